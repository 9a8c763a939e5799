"""The Automation account that runs the updates: whether it can, and what to do if not. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

__all__ = ["Account", "AccountFacts", "AccountReport", "Problem", "RunbookRun", "Schedule"]


@dataclass(frozen=True)
class Account:
    """An Automation account."""

    name: str
    state: str
    """``Ok``, ``Unavailable`` or ``Suspended``."""
    identity_type: str = ""
    """``SystemAssigned``, ``UserAssigned``, ``SystemAssigned, UserAssigned`` or ``None``; empty when not given."""


@dataclass(frozen=True)
class Schedule:
    """A schedule of the account."""

    name: str
    enabled: bool | None = None
    next_run: datetime | None = None


@dataclass(frozen=True)
class RunbookRun:
    """One job of the account that ran the update runbook. Never its output."""

    status: str
    started_at: datetime | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True)
class AccountFacts:
    """What was read of one account."""

    account: Account | None
    """None when it does not exist."""
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    """By casefolded name."""
    job_schedules: Mapping[str, str] = field(default_factory=dict)
    """By casefolded id: the name of the schedule that it binds to the runbook."""
    runs: tuple[RunbookRun, ...] = ()
    """The last few runs of the update runbook, newest first."""
    minutes_used: float | None = None
    minutes_limit: float | None = None
    """None when unlimited or not known."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with the account, worst first in a report."""

    reason: str
    """PascalCase word for the condition."""
    message: str
    """What is wrong and the exact thing to do."""


@dataclass(frozen=True)
class AccountReport:
    """What follows from the facts."""

    name: str
    healthy: bool | None
    """None when it cannot be told."""
    problems: tuple[Problem, ...] = ()
    state: str = ""
    next_run: datetime | None = None
    last_run: RunbookRun | None = None
    minutes_used: float | None = None
    minutes_limit: float | None = None
    schedules_missing: int = 0
    schedules_disabled: int = 0
    missing: Mapping[str, str] = field(default_factory=dict)
    """By mapping key: which artifact of the account is gone, in words. A PATCH makes it anew."""
