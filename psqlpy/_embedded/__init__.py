"""What stands behind psqlpy.embedded: finding the server's binaries, and the process that supervises it."""
