"""Who gets which connection, decided without waiting: no clock, no sleep, no socket, no lock."""
