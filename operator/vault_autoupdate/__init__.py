"""Keeps Mobility service auto-update of Azure Site Recovery vaults as declared."""

__version__ = "0.1.0"
