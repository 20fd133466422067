"""Other programs on the same network: one script each, run as a process of its own."""
