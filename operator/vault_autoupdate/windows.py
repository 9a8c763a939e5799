"""Maintenance windows: when one is open and when the next one opens. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

__all__ = ["Window", "WindowSchedule"]


@dataclass(frozen=True)
class Window:
    """One stretch of time in which updates may start."""

    opens_at: datetime
    closes_at: datetime

    def is_open(self, now: datetime) -> bool:
        """Whether updates may start at ``now``."""
        return self.opens_at <= now < self.closes_at


@dataclass(frozen=True)
class WindowSchedule:
    """Windows that come again and again."""

    cron: str
    """Five fields of cron."""
    time_zone: str
    """IANA name."""
    duration: timedelta
