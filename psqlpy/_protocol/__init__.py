"""The dialogue with the server, without I/O: nothing here waits, reads a clock or opens a socket."""
