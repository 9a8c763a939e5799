"""Identifiers as Azure makes them, the same ones for the same seed."""

from __future__ import annotations

import random
from uuid import UUID

__all__ = ["guid"]


def guid(rng: random.Random) -> str:
    """Draw a GUID."""
    return str(UUID(int=rng.getrandbits(128), version=4))
