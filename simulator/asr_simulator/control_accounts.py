"""Control requests about Automation accounts: what somebody does to them behind everybody's back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from pydantic import Field

from asr_simulator.accounts import Account, Binding, Link, make_runs
from asr_simulator.control_requests import ControlError
from asr_simulator.control_types import AccountInfo, DueRun, ScheduleInfo
from asr_simulator.scenario import AccountState, IdentityType, RunSpec, Section, matches_any
from asr_simulator.world import World

__all__ = [
    "AccountRequest",
    "ScheduleChange",
    "SchedulesRequest",
    "account_infos",
    "apply_account",
    "apply_schedules",
    "due_runs",
]


class AccountRequest(Section):
    """Change an account; what is not given stays."""

    account: str
    """Name or ARM id."""
    state: AccountState | None = None
    """State of the account."""
    identity: IdentityType | None = None
    """Type of its identity."""
    minutes_used: float | None = Field(default=None, ge=0)
    """Minutes that its jobs have run this month."""
    minutes_limit: int | None = Field(default=None, ge=-1)
    """Minutes that they may run; -1: without limit."""
    runs: tuple[RunSpec, ...] | None = None
    """Its last jobs."""
    delete: bool = False
    """Delete it with all that is in it."""
    restore: bool = False
    """First bring it back, if it was deleted."""


class ScheduleChange(StrEnum):
    """What somebody does to a schedule."""

    DELETE = "delete"
    """Delete it. Its job schedule stays."""
    DELETE_JOB_SCHEDULE = "delete_job_schedule"
    """Delete the job schedule that binds it. It stays."""
    ENABLE = "enable"
    """Enable it."""
    DISABLE = "disable"
    """Disable it."""
    RESET = "reset"
    """Set it back to the time that Site Recovery gives."""
    SHARE = "share"
    """Bind another runbook to it as well."""


class SchedulesRequest(Section):
    """Change schedules of an account."""

    account: str
    """Name or ARM id."""
    pattern: str
    """Names of schedules, or ids of job schedules, with wildcards, in any letter case."""
    change: ScheduleChange
    """What to do."""


def apply_account(world: World, wish: AccountRequest) -> dict[str, Any]:
    """Change an account; returns its ARM id."""
    if wish.restore and world.accounts.restore(wish.account) is None:
        raise ControlError([f"account: no deleted account matches {wish.account!r}"])
    account = _find(world, wish.account)
    if wish.delete:
        world.accounts.delete(account)
    if wish.identity is not None:
        account.set_identity(wish.identity)
    for name in ("state", "minutes_used", "minutes_limit"):
        value = getattr(wish, name)
        if value is not None:
            setattr(account, name, value)
    if wish.runs is not None:
        account.runs = make_runs(wish.runs, account.id, datetime.fromtimestamp(world.clock.wall(), UTC))
    return {"account": account.id}


def apply_schedules(world: World, wish: SchedulesRequest) -> dict[str, Any]:
    """Change schedules; returns the names, or for job schedules the ids, of those that were chosen."""
    world.settle()
    account = _find(world, wish.account)
    chosen = [
        name.lower()
        for binding in _bindings(world, account)
        if (name := _subject(binding, wish.change)) is not None and _is_meant(binding, wish.pattern)
    ]
    if not chosen:
        raise ControlError([f"pattern: nothing in {account.name!r} matches {wish.pattern!r}"])
    for name in dict.fromkeys(chosen):
        _change(world, account, name, wish.change)
    return {"changed": list(dict.fromkeys(chosen))}


def _change(world: World, account: Account, name: str, change: ScheduleChange) -> None:
    match change:
        case ScheduleChange.DISABLE | ScheduleChange.ENABLE:
            if (schedule := world.schedules.find(account, name)) is not None:
                account.schedules[name] = replace(schedule, is_enabled=change is ScheduleChange.ENABLE)
        case ScheduleChange.DELETE | ScheduleChange.DELETE_JOB_SCHEDULE:
            account.deleted.add(name)
        case ScheduleChange.RESET:
            world.schedules.reset(account, name)
        case ScheduleChange.SHARE:
            account.foreign.append(Link(str(uuid5(NAMESPACE_URL, name)), name, "Nightly-Cleanup"))


def account_infos(world: World) -> list[AccountInfo]:
    """Show all accounts."""
    world.settle()
    return [
        AccountInfo(
            id=account.id,
            name=account.name,
            location=account.location,
            state=account.state,
            identity=account.identity,
            principal=account.principal,
            minutes_used=account.minutes_used,
            minutes_limit=account.minutes_limit,
            runs=[run.status for run in account.runs],
            schedules=[_schedule_info(world, account, binding) for binding in _bindings(world, account)],
        )
        for account in world.accounts
    ]


def due_runs(world: World, reference: str, hours: int) -> list[DueRun]:
    """Show when schedules of an account will start the update runbook, from now on, if nobody changes them."""
    world.settle()
    now = datetime.fromtimestamp(world.clock.wall(), UTC)
    due = world.schedules.due(_find(world, reference), now, now + timedelta(hours=hours))
    return [DueRun(at=at.isoformat(timespec="seconds"), schedule=name) for at, name in sorted(due)]


def _schedule_info(world: World, account: Account, binding: Binding) -> ScheduleInfo:
    schedule = world.schedules.find(account, binding.schedule) if binding.schedule else None
    return ScheduleInfo(
        mapping=binding.mapping.name,
        schedule=binding.schedule,
        job_schedule=binding.job_schedule,
        enabled=schedule is not None and schedule.is_enabled,
        start=schedule.start.isoformat(timespec="seconds") if schedule else None,
        time_zone=schedule.zone if schedule else None,
        frequency=schedule.frequency if schedule else None,
        days=list(schedule.days or ()) if schedule else [],
    )


def _bindings(world: World, account: Account) -> list[Binding]:
    return list(world.accounts.bindings(account, world.vaults.values()))


def _subject(binding: Binding, change: ScheduleChange) -> str | None:
    return binding.job_schedule if change is ScheduleChange.DELETE_JOB_SCHEDULE else binding.schedule


def _is_meant(binding: Binding, pattern: str) -> bool:
    setting = binding.mapping.auto_update
    return any(matches_any(name, (pattern,)) for name in (setting.schedule, setting.job_schedule) if name)


def _find(world: World, reference: str) -> Account:
    wanted = reference.lower()
    found = [account for account in world.accounts if wanted in (account.name.lower(), account.id.lower())]
    if len(found) != 1:
        which = "no account" if not found else "more than one account"
        raise ControlError([f"account: {which} matches {reference!r}"])
    return found[0]
