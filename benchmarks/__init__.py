"""How fast psqlpy is beside other drivers, on the same work in the same run: `make bench`, or `python -m benchmarks`.

The conductor (conductor.py) starts one worker process for each driver (worker.py), in that driver's own virtual
environment (environments.py), and lets them work in turns (work.py). What is measured is a table (parts.py); what came
of it is kept in results.json, from which page.py writes docs/benchmarks.md. roundtrip.py is a script of its own, for
one environment that has all drivers.

Modules that a worker imports (worker, work, rows, channel, memory, startup, drivers) use nothing but the standard
library and the driver, and never `psqlpy` outside its own adapter: in one of the environments that name is another
package.
"""
