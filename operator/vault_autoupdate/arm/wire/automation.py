"""The JSON of an Automation account: from documents to the values of `vault_autoupdate.decide.account_report`.

Field names are those of api-version 2024-10-23; all of them may be missing or null.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final, NamedTuple, TypeVar

from pydantic import BaseModel, FiniteFloat

from vault_autoupdate.arm.wire import documents
from vault_autoupdate.arm.wire.documents import Document, Name, Text, parse_moment
from vault_autoupdate.model import bounds
from vault_autoupdate.model.arm_id import fold, is_guid
from vault_autoupdate.model.azure import RUNBOOK, Account, RunbookRun, Schedule
from vault_autoupdate.model.text import clean

_ACCOUNT_USAGE: Final = "accountusage"
_ACTION: Final = (
    "If this stays, look for a proxy that answers in ARM's place, or set spec.automationAccountChecks: false."
)

__all__ = ["Minutes", "Run", "account", "job_schedules_page", "minutes", "runs_page", "schedules_page"]


class Minutes(NamedTuple):
    """Minutes of running jobs in this month."""

    used: float | None
    limit: float | None
    """None when unlimited or not known."""


class Run(NamedTuple):
    """A run of the update runbook, and when it was asked for."""

    asked_at: datetime | None
    run: RunbookRun


class _Identity(Document):
    type: Text = ""
    principal_id: Text = ""


class _AccountProperties(Document):
    state: Text = ""


class _Account(Document):
    name: Name
    identity: _Identity | None = None
    properties: _AccountProperties


class _ScheduleProperties(Document):
    is_enabled: bool | None = None
    next_run: Text = ""


class _Schedule(Document):
    name: Name
    properties: _ScheduleProperties | None = None


class _Reference(Document):
    name: Text = ""


class _JobScheduleProperties(Document):
    job_schedule_id: Text = ""
    schedule: _Reference | None = None


class _JobSchedule(Document):
    name: Text = ""
    properties: _JobScheduleProperties


class _JobProperties(Document):
    runbook: _Reference | None = None
    status: Text = ""
    creation_time: Text = ""
    start_time: Text = ""
    end_time: Text = ""


class _Job(Document):
    properties: _JobProperties


class _CounterName(Document):
    value: Text = ""


class _Counter(Document):
    name: _CounterName | None = None
    unit: Text = ""
    current_value: FiniteFloat | None = None
    limit: FiniteFloat | None = None


M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")


def account(document: object) -> Account:
    """Read the account itself."""
    wire = _read(_Account, document, "an Automation account")
    principal_id = wire.identity.principal_id if wire.identity else ""
    return Account(
        name=wire.name,
        state=clean(wire.properties.state, bounds.READ_WORD),
        identity_type=clean(wire.identity.type, bounds.READ_WORD) if wire.identity else "",
        principal_id=fold(principal_id) if is_guid(principal_id) else "",  # it goes into a query
    )


def schedules_page(document: object) -> list[tuple[str, Schedule]]:
    """Read one page of schedules, each with its folded name."""
    found = _page(document, "schedules", lambda entry: _read(_Schedule, entry, "a schedule"))
    return [(fold(wire.name), _schedule(wire)) for wire in found]


def job_schedules_page(document: object) -> list[tuple[str, str]]:
    """Read one page of job schedules: each folded id with the name of the schedule that is bound to a runbook.

    To which runbook is not looked at: Site Recovery's own is in no list of the account's runbooks, so that nothing
    is known of the name that it has here. The id is a GUID, which is enough.
    """
    found = _page(document, "job schedules", lambda entry: _read(_JobSchedule, entry, "a job schedule"))
    return [
        (fold(wire.properties.job_schedule_id or wire.name), (wire.properties.schedule or _Reference()).name)
        for wire in found
    ]


def runs_page(document: object) -> list[Run]:
    """Read one page of the account's jobs, those of other runbooks aside. Their output is nobody's business."""
    found = _page(document, "jobs", lambda entry: _read(_Job, entry, "a job of the account").properties)
    return [
        Run(
            parse_moment(wire.creation_time) or parse_moment(wire.start_time),
            RunbookRun(
                clean(wire.status, bounds.READ_WORD), parse_moment(wire.start_time), parse_moment(wire.end_time)
            ),
        )
        for wire in found
        if wire.runbook and fold(wire.runbook.name) == fold(RUNBOOK)
    ]


def minutes(document: object) -> Minutes:
    """Read the counters of usage: the minutes that end first.

    Microsoft's examples have `AccountUsage` and `SubscriptionUsage`, both with the unit ``Minute`` and the limit 500,
    which is what is free in a month. That the subscription's counter stops an account just as its own does is
    inferred: of several, the one with the largest share of its limit used is taken, and without limits the account's.
    """
    counters = [
        counter
        for counter in _page(document, "counters of usage", lambda entry: _read(_Counter, entry, "a counter of usage"))
        if counter.current_value is not None and counter.unit.casefold() in {"minute", "minutes"}
    ]
    if not counters:
        return Minutes(None, None)
    first = max(counters, key=lambda counter: (_share(counter), _name(counter) == _ACCOUNT_USAGE))
    return Minutes(first.current_value, first.limit if first.limit and first.limit > 0 else None)


def _schedule(wire: _Schedule) -> Schedule:
    properties = wire.properties or _ScheduleProperties()
    return Schedule(wire.name, properties.is_enabled, parse_moment(properties.next_run))


def _share(counter: _Counter) -> float:
    """Of the limit, -1 being none."""
    return (counter.current_value or 0.0) / counter.limit if counter.limit and counter.limit > 0 else 0.0


def _name(counter: _Counter) -> str:
    return counter.name.value.casefold() if counter.name else ""


def _page(document: object, what: str, parse: Callable[[object], T]) -> list[T]:
    return documents.read_entries(document, what, parse, action=_ACTION)


def _read(model: type[M], document: object, what: str) -> M:
    return documents.read(model, document, what, action=_ACTION)
