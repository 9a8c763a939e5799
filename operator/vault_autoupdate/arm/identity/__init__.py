"""Who calls Azure: the process, or a resource by a credential of its own."""
