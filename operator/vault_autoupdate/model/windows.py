"""Maintenance windows: when one is open and when the next one opens. Pure.

A schedule is one of wall times. A time that the clock skips in spring stands for the moment of the jump, one that
comes twice in autumn for the first of the two; so for one schedule an earlier wall time never opens a later window.
How long a window stays open is real time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from vault_autoupdate.model import bounds
from vault_autoupdate.model.durations import format_duration
from vault_autoupdate.model.text import clean

SHORTEST: Final = timedelta(minutes=15)
LONGEST: Final = timedelta(hours=24)

_MINUTE: Final = timedelta(minutes=1)
_DAY: Final = timedelta(days=1)
_CRON_LENGTH: Final = 100
_ZONE: Final = re.compile(r"(?!posix/|right/)(?!localtime\Z|posixrules\Z)[A-Z][\w+-]*(/[\w+-]+){0,2}", re.ASCII)
"""Names, not paths; and nothing that is another zone on another machine."""
_ANY_TIME: Final = datetime(2024, 1, 1)  # noqa: DTZ001 - a wall time

__all__ = ["LONGEST", "SHORTEST", "Window", "WindowSchedule", "zone_named"]


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

    def check(self) -> None:
        """Make sure that the schedule can be used.

        Raises:
            ValueError: it cannot, with a message that says what to write instead.
        """
        _check_cron(self.cron)
        zone_named(self.time_zone)
        if not SHORTEST <= self.duration <= LONGEST:
            raise ValueError(
                f"a window of {format_duration(self.duration)} is out of bounds: write a duration of at least "
                f"{format_duration(SHORTEST)} and at most {format_duration(LONGEST)}"
            )

    def current(self, now: datetime) -> Window | None:
        """The window that is open at ``now``; where several overlap, the one that opened last. Times are in UTC.

        Raises:
            ValueError: the schedule would not pass `check`.
        """
        zone = zone_named(self.time_zone)
        # After the clock went back, wall times that it shows for the second time lie in the past: begin after them.
        set_back = _offset(now - _DAY, zone) - _offset(now, zone)
        latest = _wall_time(now, zone) + max(set_back, timedelta()) + timedelta(seconds=1)
        for wall_time in _matches(self.cron, latest, backwards=True):
            if (opens_at := _moment(wall_time, zone)) <= now:
                window = self._window(opens_at)
                return window if window.is_open(now) else None
        return None

    def following(self, now: datetime) -> Window | None:
        """The next window to open after ``now``; None when there will be none. Times are in UTC.

        Raises:
            ValueError: the schedule would not pass `check`.
        """
        zone = zone_named(self.time_zone)
        for wall_time in _matches(self.cron, _wall_time(now, zone), backwards=False):
            if (opens_at := _moment(wall_time, zone)) > now:
                return self._window(opens_at)
        return None

    def _window(self, opens_at: datetime) -> Window:
        return Window(opens_at, opens_at + self.duration)


def _check_cron(cron: str) -> None:
    shown = repr(clean(cron, _CRON_LENGTH))
    if len(cron) > _CRON_LENGTH or len(cron.split()) != 5:
        raise ValueError(
            f"the schedule {shown} is not made of five fields: write minute, hour, day of month, month and day of "
            "week, for example 0 2 * * SAT for every Saturday at 02:00"
        )
    try:
        first = next(_matches(cron, _ANY_TIME, backwards=False), None)
    except ValueError as error:
        raise ValueError(f"the schedule {shown} cannot be read ({error}): {_HOW_TO_WRITE}") from error
    if first is None:
        raise ValueError(f"the schedule {shown} never comes: write days that there are, for example 0 2 L * *")


_HOW_TO_WRITE: Final = (
    "write minute (0-59), hour (0-23), day of month (1-31 or L), month (1-12 or JAN-DEC) and day of week (0-7 or "
    "SUN-SAT), as *, 5, 1-5, 1,15 or */2, and only days that there are; for example 0 2 * * SAT"
)


def _matches(cron: str, start: datetime, *, backwards: bool) -> CronSim:
    """The wall times of ``cron``, from ``start`` on, which is not one of them.

    Raises:
        ValueError: it is no cron expression, with the field.
    """
    try:
        return CronSim(cron, start, reverse=backwards)
    except CronSimError as error:
        raise ValueError(str(error).lower()) from error


def zone_named(name: str) -> ZoneInfo:
    """The time zone with an IANA name.

    Raises:
        ValueError: there is none, with a message that says what to write instead.
    """
    try:
        if len(name) <= 64 and _ZONE.fullmatch(name):
            return ZoneInfo(name)
    except (KeyError, OSError, ValueError):  # no such file, a directory, or a file of another kind
        pass
    raise ValueError(
        f"{clean(name, bounds.WORD)!r} is not a time zone: write a name from the IANA time zone database, like "
        "Europe/Berlin, America/New_York or UTC"
    )


def _wall_time(moment: datetime, zone: ZoneInfo) -> datetime:
    """What the clock in ``zone`` shows."""
    return moment.astimezone(zone).replace(tzinfo=None)


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()


def _moment(wall_time: datetime, zone: ZoneInfo) -> datetime:
    """When the clock first shows ``wall_time`` or, where it skips that, goes on."""
    while True:
        moment = wall_time.replace(tzinfo=zone).astimezone(UTC)
        if _wall_time(moment, zone) == wall_time:
            return moment
        wall_time += _MINUTE
