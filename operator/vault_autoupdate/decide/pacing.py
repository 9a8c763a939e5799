"""How often somebody may have a resource looked at before its time. Pure.

A full look costs a dozen reads of a budget that a whole subscription shares, and an annotation or an edit is made in
no time. So a resource has a few looks at once to spare, which come back one by one; the last wish stands until then.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

BURST: Final = 5
"""Looks that somebody may have at once, after a while without any."""

__all__ = ["BURST", "Allowance"]


@dataclass
class Allowance:
    """A bucket of `BURST` looks that fills by one each ``interval``."""

    interval: timedelta
    left: float = float(BURST)
    at: datetime | None = None
    """When ``left`` was true."""

    def take(self, now: datetime) -> timedelta:
        """Take one look, or tell how long it is until there is one to take.

        Args:
            now: the present. A clock that went back gives nothing and takes nothing.
        """
        if self.at is not None and self.interval:
            self.left = min(float(BURST), self.left + max(timedelta(), now - self.at) / self.interval)
        self.at = now
        if self.left >= 1 or not self.interval:
            self.left = max(0.0, self.left - 1)
            return timedelta()
        return (1 - self.left) * self.interval
