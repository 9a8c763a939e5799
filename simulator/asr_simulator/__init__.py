"""A stand-in for Azure Resource Manager and Site Recovery over real HTTP."""
