"""What takes hours to show: that nothing leaks (`leaks.py`), and that nothing is lost under random faults.

Written once for asyncio, uvloop, trio and threads (`runtimes.py`). Nothing of it is installed with psqlpy.
"""
