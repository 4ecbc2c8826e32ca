"""The public classes. The synchronous mirror is generated from them: what waits is in psqlpy._io."""
