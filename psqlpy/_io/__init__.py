"""Waiting: the only package that knows asyncio, trio, threads and clocks. What is waited for is decided elsewhere."""
