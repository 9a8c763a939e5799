"""At what time a schedule of the update runbook should run, and what is done about one that runs at another. Pure.

A schedule has a first run, and its later runs have the wall time of that one. So what is compared is a wall time, never
a date; and a first run is never put where the clock skips the wall time, since all later ones would be moved with it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from vault_autoupdate.decide.account_report import is_updated_by
from vault_autoupdate.decide.schedule import fraction_of
from vault_autoupdate.decide.schedule_writes import ScheduleWrites
from vault_autoupdate.model import bounds
from vault_autoupdate.model.arm_id import ArmId, fold
from vault_autoupdate.model.azure import RUNBOOK, ContainerMapping, Schedule, ScheduleLink
from vault_autoupdate.model.runbook_schedule import RunbookScheduleSpec, WallSchedule, Weekday
from vault_autoupdate.model.text import clean
from vault_autoupdate.model.windows import zone_named

SOONEST: Final = timedelta(minutes=15)
"""How far ahead a first run is put. Azure refuses less than 5 minutes, and 15 is what its portal asks for."""
_MINUTES_A_DAY: Final = 24 * 60
_SEARCHED: Final = 60
"""Days among which a first run is looked for: no zone skips one wall time of a weekday that often."""
_COMPARED: Final = 2 * 366
"""Days on which two zones must show the same time to be the same."""
_NAME: Final = re.compile(r"(?!\.{1,2}\Z)[^<>*%&:\\?+/#\x00-\x1f]{1,128}")
"""What Automation takes as the name of a schedule, and periods, of which nobody knows."""

__all__ = [
    "SOONEST",
    "Standing",
    "Target",
    "can_be_asked_for",
    "declared_for",
    "describe",
    "differences",
    "find_targets",
    "is_same_zone",
    "judge",
    "next_start",
    "not_accepted",
    "runs_on_time",
]


class Standing(StrEnum):
    """Where a schedule stands. Those after the first two are reasons for which it is left alone."""

    IN_SYNC = "InSync"
    DIFFERS = "SchedulesDiffer"
    DISABLED = "ScheduleDisabled"
    MISSING = "ScheduleMissing"
    SHARED = "ScheduleShared"
    """It starts another runbook as well."""
    DECLARED_TWICE = "ScheduleDeclaredTwice"
    KEEPS_CHANGING = "ScheduleKeepsChanging"
    NOT_ACCEPTED = "ScheduleNotAccepted"


@dataclass(frozen=True)
class Target:
    """A schedule that mappings name, and when it should run."""

    name: str
    mapping: str
    """Path of the mapping that names it; of several, the first by id."""
    job_schedules: frozenset[str]
    """Folded ids of the job schedules that those mappings name."""
    wanted: WallSchedule

    @property
    def key(self) -> str:
        """The name for comparing."""
        return fold(self.name)


@dataclass(frozen=True)
class Finding:
    """Where one schedule stands."""

    target: Target
    standing: Standing
    was: str = ""
    """When it ran as it was found, in words."""
    message: str = ""
    """What is wrong, and what to do about it."""


def can_be_asked_for(name: str) -> bool:
    """Whether a schedule can have this name: nothing else is put into a path."""
    return _NAME.fullmatch(name) is not None


def declared_for(declared: RunbookScheduleSpec, mapping_key: str) -> WallSchedule:
    """When the schedule of one mapping should run: the declared time, and its own share of the spread.

    The share follows from the mapping's id, so that no restart and no other mapping moves it. Where it leads past
    midnight, the days move on by one.
    """
    minutes = declared.time.hour * 60 + declared.time.minute
    if declared.spread:
        minutes += int(fraction_of(fold(mapping_key)) * (declared.spread // timedelta(minutes=1)))
    midnights, minutes = divmod(minutes, _MINUTES_A_DAY)
    week = list(Weekday)
    days = frozenset(week[(day.number + midnights) % 7] for day in declared.days or ())
    return WallSchedule(time(minutes // 60, minutes % 60), declared.time_zone, days)


def next_start(wanted: WallSchedule, now: datetime) -> datetime:
    """The first moment, `SOONEST` from ``now`` or later, at which ``wanted`` says to run; in its zone.

    Of a time that comes twice it is the first one. One that the clock skips does not come: see the module.

    Raises:
        ValueError: there is no such zone.
    """
    zone, earliest = zone_named(wanted.time_zone), now + SOONEST
    day = earliest.astimezone(zone).date()
    for _ in range(_SEARCHED):
        start = datetime.combine(day, wanted.time, zone)
        comes = start.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == start.replace(tzinfo=None)
        if comes and start.astimezone(UTC) >= earliest and _is_among(day.weekday(), wanted.days):
            return start
        day += timedelta(days=1)
    raise AssertionError("unreachable: every wall time comes within two months")


def differences(schedule: Schedule, wanted: WallSchedule, now: datetime) -> list[str]:
    """In words, each thing about the time of ``schedule`` that is not as ``wanted``; none: it runs as wanted.

    Never the date of its first run. Days of the week matter to a weekly schedule alone: what becomes of them when it
    is made a daily one is unknown.
    """
    found = []
    zone = zone_named(wanted.time_zone)
    if schedule.start is None or _wall_time(schedule.start, zone) != wanted.time:
        found.append("time")
    if not is_same_zone(schedule.time_zone, wanted.time_zone, now.year):
        found.append("time zone")
    if fold(schedule.frequency) != ("week" if wanted.days else "day"):
        found.append("frequency")
    elif wanted.days and schedule.week_days != {fold(day.azure_name) for day in wanted.days}:
        found.append("days")
    if schedule.interval != 1:
        found.append("interval")
    if schedule.expires_at is not None and schedule.expires_at <= now:
        found.append("expiry")
    return found


@lru_cache(maxsize=1024)
def is_same_zone(one: str, other: str, year: int) -> bool:
    """Whether two names stand for the same time: Azure gives ``UTC`` back as ``Etc/UTC``.

    Two zones whose clocks show the same for two years are the same as far as a schedule goes, whatever they are called.
    """
    if fold(one) == fold(other):
        return True
    try:
        zones = zone_named(one), zone_named(other)
    except ValueError:
        return False
    first = datetime(year, 1, 1, tzinfo=UTC)
    days = (first + timedelta(days=number) for number in range(_COMPARED))
    return all(day.astimezone(zones[0]).utcoffset() == day.astimezone(zones[1]).utcoffset() for day in days)


def runs_on_time(schedule: Schedule, wanted: WallSchedule) -> bool:
    """Whether the next run that Azure tells, if it tells one, is at a time when ``wanted`` says to run.

    It is a check after a change and no more: Azure tells one of a disabled schedule too, and none of a new one.
    """
    if schedule.next_run is None:
        return True
    local = schedule.next_run.astimezone(zone_named(wanted.time_zone))
    return local.time().replace(second=0, microsecond=0) == wanted.time and _is_among(local.weekday(), wanted.days)


def not_accepted(before: Schedule, after: Schedule | None, wanted: WallSchedule, now: datetime) -> str:
    """After a change: what of the schedule is not as it should be, in words; empty when all of it is."""
    if after is None:
        return "it is gone"
    if wrong := differences(after, wanted, now):
        return f"its {', '.join(wrong)} did not change: it runs {describe(after)}"
    if after.enabled is False:
        return "it is disabled since"
    if before.enabled is not None and after.enabled is None:
        return "Azure does not say any more whether it is enabled"
    if not runs_on_time(after, wanted):
        return f"Azure says that it runs next at {after.next_run:%Y-%m-%dT%H:%M:%SZ}"
    return ""


def describe(schedule: Schedule) -> str:
    """When a schedule runs, in words, as it was read."""
    interval = schedule.interval or 1
    every = f"every {schedule.frequency.lower() or 'time'}" if interval == 1 else _several(interval, schedule.frequency)
    on = [day for day in Weekday if fold(day.azure_name) in schedule.week_days]
    days = f" on {', '.join(on)}" if on and fold(schedule.frequency) == "week" else ""
    zone = _known_zone(schedule.time_zone)
    if schedule.start is None:
        return clean(f"{every}{days} at an unknown time", bounds.NAMED_SCHEDULE)
    at = _wall_time(schedule.start, zone or ZoneInfo("UTC"))
    name = schedule.time_zone if zone else f"UTC (in time zone {schedule.time_zone or 'not given'})"
    return clean(f"{every}{days} at {at:%H:%M} {name}", bounds.NAMED_SCHEDULE)


def find_targets(
    declared: RunbookScheduleSpec, mappings: Iterable[ContainerMapping], account: ArmId, busy: Collection[str]
) -> list[Target]:
    """The schedules that are to be kept: those that mappings name which the account updates, in order of their ids.

    Args:
        declared: when they should run.
        mappings: all mappings of the vault.
        account: the one that is declared.
        busy: keys of mappings that a job is at work on, which may have another schedule in a moment.
    """
    found: dict[str, list[ContainerMapping]] = {}
    for mapping in sorted(mappings, key=lambda each: each.key):
        if mapping.schedule_name and mapping.key not in busy and is_updated_by(mapping, account):
            found.setdefault(fold(mapping.schedule_name), []).append(mapping)
    return [
        Target(
            named[0].schedule_name,
            named[0].path,
            frozenset(fold(each.job_schedule_name) for each in named if each.job_schedule_name),
            declared_for(declared, named[0].key),
        )
        for named in found.values()
    ]


def judge(
    target: Target,
    schedule: Schedule | None,
    links: Mapping[str, ScheduleLink],
    writes: ScheduleWrites,
    now: datetime,
) -> Finding:
    """Say where a schedule stands; the first rule that applies wins.

    Args:
        target: when it should run.
        schedule: as it was read; None when the account has none of that name.
        links: what binds this schedule to runbooks, by folded id of the job schedule.
        writes: what was written lately.
        now: the present.
    """
    if schedule is None:
        gone = "The Automation account does not have it. Setting auto-update of the mapping again makes it anew."
        return Finding(target, Standing.MISSING, message=gone)
    was = describe(schedule)
    if schedule.enabled is False:
        return Finding(
            target, Standing.DISABLED, was, "It is disabled, and moving it might enable it: enable it in the portal."
        )
    if not differences(schedule, target.wanted, now):
        return Finding(target, Standing.IN_SYNC, was)
    if others := _foreign_runbooks(target, links):
        return Finding(
            target, Standing.SHARED, was, f"It starts {', '.join(others)} as well: give that a schedule of its own."
        )
    if (again := writes.next_at(target.name, target.mapping, now)) > now:
        return Finding(
            target,
            Standing.KEEPS_CHANGING,
            was,
            "It was moved as often as is good for it within 24 hours, and runs at another time again. It is left alone "
            f"until {again:%Y-%m-%dT%H:%M:%SZ}: the activity log of the Automation account says who changes it.",
        )
    return Finding(target, Standing.DIFFERS, was)


def _foreign_runbooks(target: Target, links: Mapping[str, ScheduleLink]) -> Sequence[str]:
    """Names of what else the schedule starts: of Site Recovery's runbook, whatever its name here, it is the purpose."""
    own = {fold(RUNBOOK), *(fold(links[each].runbook) for each in target.job_schedules if each in links)}
    names = {clean(link.runbook, bounds.NAMED_SCHEDULE) or "a runbook without a name" for link in links.values()}
    return sorted(name for name in names if fold(name) not in own)


def _is_among(weekday: int, days: Collection[Weekday]) -> bool:
    return not days or list(Weekday)[weekday] in days


def _wall_time(moment: datetime, zone: ZoneInfo) -> time:
    return moment.astimezone(zone).time().replace(second=0, microsecond=0)


def _known_zone(name: str) -> ZoneInfo | None:
    try:
        return zone_named(name)
    except ValueError:
        return None


def _several(interval: int, frequency: str) -> str:
    return f"every {interval} {frequency.lower() or 'time'}s"
