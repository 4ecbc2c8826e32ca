"""libpq as Python objects: the only package that imports the C module. No dialogue, no waiting."""
