"""The JSON of schedules: from documents to `vault_autoupdate.model.azure.Schedule`, and to the body that moves one.

Field names are those of api-version 2024-10-23; all of them may be missing or null.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from pydantic import BeforeValidator, StringConstraints

from vault_autoupdate.arm.wire import documents
from vault_autoupdate.arm.wire.documents import Document, Name, Text, parse_moment, parse_time
from vault_autoupdate.model.arm_id import fold
from vault_autoupdate.model.azure import Schedule, ScheduleLink
from vault_autoupdate.model.runbook_schedule import WallSchedule, Weekday

_ACTION: Final = "If this stays, look for a proxy that answers in ARM's place, or remove spec.runbookSchedule."
_WEEKLY: Final = "week"
_NEVER: Final = "9999-12-31T23:59:59.9999999+00:00"
"""As Azure tells it of a schedule without an end."""
_Whole = Annotated[int | None, BeforeValidator(lambda value: value if type(value) is int else None)]
"""The interval is of any type in Microsoft's model."""
_AsRead = Annotated[str, StringConstraints(max_length=4096)]
"""Sent back as it was read, and never shown to anybody."""

__all__ = ["links_page", "schedule", "schedule_body", "schedules_page"]


class _Advanced(Document):
    week_days: list[str] | None = None


class _ScheduleProperties(Document):
    description: _AsRead | None = None
    start_time: Text = ""
    expiry_time: _AsRead | None = None
    is_enabled: bool | None = None
    next_run: Text = ""
    interval: _Whole = None
    frequency: Text = ""
    time_zone: Text = ""
    advanced_schedule: _Advanced | None = None


class _Schedule(Document):
    name: Name
    properties: _ScheduleProperties | None = None


class _Reference(Document):
    name: Text = ""


class _LinkProperties(Document):
    job_schedule_id: Text = ""
    schedule: _Reference | None = None
    runbook: _Reference | None = None


class _Link(Document):
    name: Text = ""
    properties: _LinkProperties


def schedule(document: object) -> Schedule:
    """Read one schedule. Raises `MalformedReply`."""
    wire = documents.read(_Schedule, document, "a schedule", action=_ACTION)
    properties = wire.properties or _ScheduleProperties()
    advanced = properties.advanced_schedule or _Advanced()
    return Schedule(
        wire.name,
        properties.is_enabled,
        parse_moment(properties.next_run),
        start=parse_time(properties.start_time),
        time_zone=properties.time_zone,
        frequency=properties.frequency,
        interval=properties.interval,
        week_days=frozenset(fold(day) for day in advanced.week_days or ()),
        expiry=properties.expiry_time,
        description=properties.description,
    )


def schedules_page(document: object) -> list[tuple[str, Schedule]]:
    """Read one page of schedules, each with its folded name. Raises `MalformedReply`."""
    found = documents.read_entries(document, "schedules", schedule, action=_ACTION)
    return [(fold(each.name), each) for each in found]


def links_page(document: object) -> list[tuple[str, ScheduleLink]]:
    """Read one page of job schedules, each with its folded id. Raises `MalformedReply`."""
    return documents.read_entries(document, "job schedules", _link, action=_ACTION)


def schedule_body(read: Schedule, wanted: WallSchedule, start: datetime) -> dict[str, object]:
    """The body of the PUT that lets the schedule that was ``read`` run as ``wanted`` from ``start`` on.

    Only the list that belongs to the frequency is sent: where another one is empty, Azure refuses it now and then.
    ``isEnabled`` is not among what may be sent, in any published version since 2015-10-31.
    """
    # What has ended, or would before it begins, would never run.
    expiry = _NEVER if read.expires_at is not None and read.expires_at <= start else read.expiry
    properties: dict[str, object] = {
        **({"description": read.description} if read.description is not None else {}),
        "startTime": start.isoformat(timespec="seconds"),
        **({"expiryTime": expiry} if expiry is not None else {}),
        "interval": 1,
        "frequency": "Week" if wanted.days else "Day",
        "timeZone": wanted.time_zone,
    }
    if wanted.days:
        days = [day.azure_name for day in Weekday if day in wanted.days]
        properties["advancedSchedule"] = {"weekDays": days}
    return {"name": read.name, "properties": properties}


def _link(document: object) -> tuple[str, ScheduleLink]:
    wire = documents.read(_Link, document, "a job schedule", action=_ACTION).properties
    schedule_name, runbook = (wire.schedule or _Reference()).name, (wire.runbook or _Reference()).name
    return fold(wire.job_schedule_id), ScheduleLink(schedule_name, runbook)
