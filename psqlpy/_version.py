"""The version, as in pyproject.toml."""

__version__ = "1.0.0.dev0"
