"""The C side: libpq's declarations and our helpers; compiled by build_ffi.py, imported only by psqlpy._pq."""
