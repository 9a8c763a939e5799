"""How often schedules were moved lately, so that none is moved so often that it never runs. Pure.

Schedules and mappings are known by a fingerprint of their names: what is known has to find room in the status.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

from vault_autoupdate.model.arm_id import fold

MOST_OF_A_SCHEDULE: Final = 2
"""Writes of one schedule within `WITHIN`."""
MOST_OF_A_MAPPING: Final = 4
"""Writes of all schedules that one mapping has had within `WITHIN`: each repair may give it a new one."""
WITHIN: Final = timedelta(hours=24)
FINGERPRINT: Final = 16
"""Characters of a fingerprint."""

__all__ = ["FINGERPRINT", "MOST_OF_A_MAPPING", "MOST_OF_A_SCHEDULE", "WITHIN", "ScheduleWrites", "Writes"]


@dataclass(frozen=True)
class Writes:
    """Those of one schedule."""

    mapping: str
    """Fingerprint of the mapping that names it."""
    moments: tuple[datetime, ...]


@dataclass
class ScheduleWrites:
    """The writes of the last 24 hours."""

    known: dict[str, Writes] = field(default_factory=dict)
    """By fingerprint of the schedule."""
    unknown_until: datetime | None = None
    """Until when a schedule that is not listed counts as written: after a restart, when the status had no room."""

    def next_at(self, schedule: str, mapping: str, now: datetime) -> datetime:
        """When one more write is within bounds; ``now`` if it is.

        Args:
            schedule: name of the schedule.
            mapping: path of the mapping that names it.
            now: the present.
        """
        known = self.known.get(_fingerprint(schedule))
        if known is None and self.unknown_until:
            return max(now, self.unknown_until)
        of_mapping = [each for each in self.known.values() if each.mapping == _fingerprint(mapping)]
        return max(
            _free_at([known] if known else [], MOST_OF_A_SCHEDULE, now), _free_at(of_mapping, MOST_OF_A_MAPPING, now)
        )

    def note(self, schedule: str, mapping: str, now: datetime) -> None:
        """A schedule is about to be written."""
        key = _fingerprint(schedule)
        before = self.known[key].moments if key in self.known else ()
        self.known[key] = Writes(_fingerprint(mapping), (*before, now))

    def take_back(self, schedule: str) -> None:
        """The last write that was noted did not take place."""
        key = _fingerprint(schedule)
        if (noted := self.known.pop(key, None)) and (rest := noted.moments[:-1]):
            self.known[key] = replace(noted, moments=rest)

    def forget_old(self, now: datetime) -> None:
        """Forget what matters no longer."""
        for key, writes in list(self.known.items()):
            recent = tuple(at for at in writes.moments if now - at < WITHIN)
            self.known[key] = replace(writes, moments=recent)
            if not recent:
                del self.known[key]
        if self.unknown_until and self.unknown_until <= now:
            self.unknown_until = None


def _fingerprint(name: str) -> str:
    return sha256(fold(name).encode()).hexdigest()[:FINGERPRINT]


def _free_at(writes: list[Writes], most: int, now: datetime) -> datetime:
    recent = sorted(at for each in writes for at in each.moments if now - at < WITHIN)
    return now if len(recent) < most else recent[-most] + WITHIN
