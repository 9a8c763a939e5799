"""Which resource is due, and who owns the vault."""
