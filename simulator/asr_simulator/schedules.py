"""A schedule of an Automation account: what it is, what a PUT makes of it, and when it runs.

What was seen in recordings: a PUT on a name that exists changes it; the instant of the start counts, and is shown in
the zone; seconds are cut; what is left out becomes ``Etc/UTC`` and the end of the year 9999; the answer of a change has
the old ``lastModifiedTime``, and the next GET the new one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from asr_simulator.arm_errors import Answer, ArmError, dumps
from asr_simulator.clock import automation_time
from asr_simulator.scenario import Schedules

NEVER = "9999-12-31T23:59:59.9999999+00:00"
"""When a schedule without an end ends (seen)."""
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_FREQUENCIES = ("OneTime", "Minute", "Hour", "Day", "Week", "Month")
_OFFSET = re.compile(r"UTC([+-])(\d{2}):(\d{2})")
_CANONICAL = {"utc": "Etc/UTC"}
"""Names that come back as another one (seen)."""
_TOO_SOON = (
    "Argument scheduleAllData with value Orchestrator.Schedules.DataAccess.Models.ScheduleAllData is not valid. "
    "Error message: The start time of the schedule must be at least 5 minutes after the time you create the schedule."
)
_MOST_DAYS = 400

__all__ = ["BareError", "Schedule", "bad_request", "default_schedule", "patched", "put", "runs_between"]


class BareError(ArmError):
    """An error of Automation itself, which has no envelope (seen)."""

    def answer(self) -> Answer:
        """Render ``{"code", "message"}``."""
        return Answer(self.status, dumps({"code": self.code, "message": self.message}), dict(self.headers))


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule as it is."""

    name: str
    start: datetime
    zone: str
    created: datetime
    modified: datetime
    frequency: str = "Day"
    interval: int | None = 1
    days: tuple[str, ...] | None = None
    description: str | None = None
    expiry: str = NEVER
    is_enabled: bool = True
    edited_at: datetime | None = None
    """When somebody other than Site Recovery changed it last."""
    is_foreign: bool = False
    """Whether somebody other than Site Recovery has made it. Its own go with the mappings that name them."""

    def next_run(self, now: datetime) -> datetime | None:
        """The first run after ``now``, disabled or not (seen)."""
        return next(runs_between(self, now, now + timedelta(days=_MOST_DAYS)), None)

    def document(self, account_id: str, now: datetime, modified: datetime | None = None) -> dict[str, Any]:
        """Build the wire form; ``modified`` where that is not what it is."""
        zone = _zone(self.zone)
        following = self.next_run(now)
        days = None if self.days is None else {"weekDays": list(self.days), "monthDays": None}
        return {
            "name": self.name,
            "id": f"{account_id}/schedules/{self.name}",
            "type": "Microsoft.Automation/AutomationAccounts/Schedules",
            "properties": {
                "description": self.description,
                "startTime": _local(self.start, zone),
                "startTimeOffsetMinutes": _offset_minutes(self.start, zone),
                "expiryTime": self.expiry,
                "expiryTimeOffsetMinutes": 0,
                "isEnabled": self.is_enabled,
                "nextRun": None if following is None else _local(following, zone),
                "nextRunOffsetMinutes": 0 if following is None else _offset_minutes(following, zone),
                "interval": self.interval,
                "frequency": self.frequency,
                "creationTime": automation_time(self.created),
                "lastModifiedTime": automation_time(modified or self.modified),
                "timeZone": self.zone,
                "advancedSchedule": None if days is None else {**days, "monthlyOccurrences": None},
            },
        }


def default_schedule(name: str, zone: str, now: datetime) -> Schedule:
    """Make one as Site Recovery does: daily at midnight (published), in a zone that nobody knows."""
    local = now.astimezone(_zone(zone))
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)
    return Schedule(name, midnight, zone, created=now, modified=now)


def put(existing: Schedule | None, name: str, body: bytes, behaviour: Schedules, now: datetime) -> Schedule:
    """Read a PUT, and say what becomes of the schedule; raises `ArmError`."""
    if existing is not None and behaviour.put_existing == "conflict":
        raise BareError(409, "Conflict", f"The schedule {name} already exists.")
    given = _properties(body)
    start, frequency = _moment(given.get("startTime")), given.get("frequency")
    if frequency not in _FREQUENCIES:
        raise bad_request(f"The frequency {frequency!r} is not valid.")
    if start < now + timedelta(seconds=behaviour.start_margin):
        raise bad_request(_TOO_SOON)
    zone = given.get("timeZone") or "Etc/UTC"
    _zone(zone)
    made = Schedule(
        existing.name if existing else name,
        start.replace(second=0, microsecond=0),
        _CANONICAL.get(zone.lower(), zone),
        created=existing.created if existing else now,
        modified=now,
        frequency=frequency,
        interval=_interval(frequency, given.get("interval")),
        days=_days(given, frequency, existing, behaviour),
        description=given.get("description"),
        expiry=given.get("expiryTime") or NEVER,
        is_enabled=existing is None or existing.is_enabled or behaviour.put_when_disabled == "enable",
        edited_at=now,
        is_foreign=existing is None or existing.is_foreign,
    )
    if behaviour.enabled_in_put == "obeyed" and isinstance(given.get("isEnabled"), bool):
        made = replace(made, is_enabled=given["isEnabled"])
    return made


def patched(existing: Schedule, body: bytes, now: datetime) -> Schedule:
    """Read a PATCH, which can change the description and whether it is enabled, and nothing else (seen)."""
    given = _properties(body)
    is_enabled = given.get("isEnabled", existing.is_enabled)
    if not isinstance(is_enabled, bool):
        raise bad_request("The isEnabled is not a truth value.")
    description = given.get("description", existing.description)
    return replace(existing, description=description, is_enabled=is_enabled, modified=now)


def runs_between(schedule: Schedule, after: datetime, until: datetime) -> Iterator[datetime]:
    """Yield when it runs, after ``after`` and no later than ``until``; of months and hours only whole ones.

    What happens at a wall time that the clock skips is unknown: here it is an hour later.
    """
    zone = _zone(schedule.zone)
    first, interval = schedule.start.astimezone(zone), schedule.interval or 1
    end = min(until, _expiry(schedule))
    if schedule.frequency in ("Minute", "Hour"):
        step = timedelta(minutes=interval) if schedule.frequency == "Minute" else timedelta(hours=interval)
        passed = max(0, (after - schedule.start) // step)
        moments = (schedule.start + step * number for number in range(passed, passed + _MOST_DAYS * 24))
    else:
        begin = max(0, (after.astimezone(zone).date() - first.date()).days - 1)
        days = (first.date() + timedelta(days=number) for number in range(begin, begin + _MOST_DAYS * 2))
        moments = (
            datetime.combine(day, first.time(), zone).astimezone(UTC)
            for day in days
            if _runs_on(schedule, (day - first.date()).days, day.weekday(), is_day=day.day == first.day)
        )
    for moment in moments:
        if moment > end:
            return
        if moment > after and moment >= schedule.start:
            yield moment


def bad_request(message: str) -> ArmError:
    """A body that Automation does not take."""
    return BareError(400, "BadRequest", message)


def _runs_on(schedule: Schedule, number: int, weekday: int, *, is_day: bool) -> bool:
    interval = schedule.interval or 1
    match schedule.frequency:
        case "OneTime":
            return number == 0
        case "Day":
            return number % interval == 0
        case "Week" if schedule.days:
            return WEEKDAYS[weekday] in schedule.days and number // 7 % interval == 0
        case "Week":
            return number % (7 * interval) == 0
        case _:
            return is_day


def _properties(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError as error:
        raise bad_request(f"The request content was invalid: {error}") from None
    given = document.get("properties") if isinstance(document, dict) else None
    if not isinstance(given, dict):
        raise bad_request("The request has no properties.")
    return given


def _moment(text: object) -> datetime:
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        moment = None
    if moment is None:
        raise bad_request("The startTime is not a point in time.")
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _interval(frequency: str, given: object) -> int | None:
    if frequency == "OneTime":
        return None
    if type(given) is not int or given < 1:
        raise bad_request("The interval must be a whole number from 1.")
    return given


def _days(
    given: dict[str, Any], frequency: str, existing: Schedule | None, behaviour: Schedules
) -> tuple[str, ...] | None:
    advanced = given.get("advancedSchedule") or {}
    days = advanced.get("weekDays") if isinstance(advanced, dict) else None
    if days is not None and (not isinstance(days, list) or not set(days) <= set(WEEKDAYS)):
        raise bad_request("The weekDays are not days of the week.")
    if frequency == "Week":
        return tuple(days or ())
    if behaviour.week_to_day == "kept" and existing is not None:
        return existing.days
    return None


def _expiry(schedule: Schedule) -> datetime:
    try:
        return datetime.fromisoformat(schedule.expiry).astimezone(UTC)
    except (ValueError, OverflowError):
        return datetime.max.replace(tzinfo=UTC)


def _zone(name: str) -> tzinfo:
    if offset := _OFFSET.fullmatch(name):
        length = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
        return timezone(length if offset[1] == "+" else -length)
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        raise bad_request(f"The time zone {name!r} is not valid.") from None  # inferred


def _local(moment: datetime, zone: tzinfo) -> str:
    return moment.astimezone(zone).isoformat(timespec="seconds")


def _offset_minutes(moment: datetime, zone: tzinfo) -> float:
    return (moment.astimezone(zone).utcoffset() or timedelta()).total_seconds() / 60
