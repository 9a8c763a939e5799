"""The Automation account that runs the updates: whether it can, and what to do if not. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from vault_autoupdate.agents import ConditionValue, not_known
from vault_autoupdate.attempts import Explanation
from vault_autoupdate.observed import ContainerMapping
from vault_autoupdate.resource_id import ArmId
from vault_autoupdate.text import clean

RUNBOOK: Final = "MS-SR-Update-MobilityServiceForA2AVirtualMachines"
"""Site Recovery's update runbook. It is a global one: the account's own list of runbooks does not have it."""

NEARLY_USED: Final = 0.9
"""Share of the free minutes from which on they are a problem."""

__all__ = [
    "RUNBOOK",
    "Account",
    "AccountFacts",
    "AccountReport",
    "Problem",
    "RunbookRun",
    "Schedule",
    "build_account_report",
    "condition",
]


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
    complete: bool = True
    """Whether ``schedules`` and ``job_schedules`` were read to their end: otherwise none is called missing."""


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


def build_account_report(
    facts: AccountFacts, account: ArmId, mappings: Sequence[ContainerMapping], now: datetime
) -> AccountReport:
    """Judge an Automation account by what was read of it.

    Args:
        facts: what was read.
        account: the one that the resource declares.
        mappings: all container mappings of the vault; those that the account updates count.
        now: the present.
    """
    name = clean(account.name, 64)
    if facts.account is None:
        return AccountReport(name, healthy=False, problems=(Problem("AccountNotFound", "gone"),))
    return AccountReport(name, healthy=True, state=facts.account.state)


def condition(report: AccountReport | None, problem: Explanation | None) -> ConditionValue:
    """The condition ``AutomationAccountHealthy``.

    Args:
        report: what is known; None when nothing is.
        problem: why nothing is known; None when there is a report, or before the first look.
    """
    if problem is not None or report is None:
        return not_known("AutomationAccountHealthy", problem, "The Automation account has not been looked at yet.")
    if report.problems:
        said = clean(" ".join(each.message for each in report.problems), 1000)
        return ConditionValue("AutomationAccountHealthy", "False", report.problems[0].reason, said)
    return ConditionValue("AutomationAccountHealthy", "True", "Healthy", "")
