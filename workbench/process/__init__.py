"""Child processes, their ports, and waiting for them."""
