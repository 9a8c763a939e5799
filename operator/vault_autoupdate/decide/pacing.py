"""How often something may happen that costs others: a bucket of them that fills one by one. Pure.

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
    """A bucket of ``most`` that fills by one each ``interval``; without an interval it is always full."""

    interval: timedelta
    most: int = BURST
    used: float = 0.0
    at: datetime | None = None
    """When ``used`` was true."""

    def take(self, now: datetime) -> timedelta:
        """Take one, or tell how long it is until there is one to take.

        Args:
            now: the present. A clock that went back gives nothing and takes nothing.
        """
        if not self.interval:
            return timedelta()
        if self.at is not None:
            self.used = max(0.0, self.used - max(timedelta(), now - self.at) / self.interval)
        self.at = now
        if self.used <= self.most - 1:
            self.used += 1
            return timedelta()
        return (self.used - (self.most - 1)) * self.interval

    def give_back(self) -> None:
        """Put one back that was taken and not needed."""
        self.used = max(0.0, self.used - 1)
