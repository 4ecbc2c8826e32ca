"""Types: how values are read from results and written as parameters. No waiting; registry.py is the door."""
