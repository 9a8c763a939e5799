"""The Automation account that runs the updates: whether it can, and what to do if not. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from vault_autoupdate.decide.role_report import RoleReport, RoleStanding
from vault_autoupdate.model import bounds
from vault_autoupdate.model.arm_id import ArmId, fold
from vault_autoupdate.model.azure import (
    RUNBOOK,
    Account,
    AccountFacts,
    ContainerMapping,
    LostArtifact,
    RunbookRun,
    Schedule,
)
from vault_autoupdate.model.resource import AutoUpdate
from vault_autoupdate.model.text import clean, plural

NEARLY_USED: Final = 0.9
"""Share of the free minutes from which on they are a problem."""

# Of the states of a job that Azure documents, those after which another one comes.
_UNFINISHED: Final = frozenset(
    {"new", "activating", "running", "suspending", "stopping", "resuming", "removing", "queued", ""}
)

__all__ = ["AccountReport", "Problem", "absent_artifacts", "build_account_report", "is_updated_by"]


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
    schedules: int = 0
    """That mappings name and the account has."""
    schedules_missing: int = 0
    schedules_disabled: int = 0
    missing: Mapping[str, LostArtifact] = field(default_factory=dict)
    """By mapping key: which artifact of the account is gone."""
    role: RoleReport | None = None
    """What its identity may do in the vault; None where it has none, or before the first look at that."""


def build_account_report(
    facts: AccountFacts,
    account: ArmId,
    mappings: Sequence[ContainerMapping],
    now: datetime,
    role: RoleReport | None = None,
) -> AccountReport:
    """Judge an Automation account by what was read of it.

    Args:
        facts: what was read.
        account: the one that the resource declares.
        mappings: all container mappings of the vault; those that the account updates count.
        now: the present.
        role: what its identity may do in the vault; None where there is no identity.

    Returns:
        The report, its problems in this order: account, identity, role, schedules, runs, minutes.
    """
    name = clean(account.name, bounds.WORD)
    if facts.account is None:
        gone = Problem(
            "AccountNotFound",
            f"Automation account {name} does not exist in resource group {clean(account.resource_group, bounds.WORD)}. "
            "Create it, or set spec.automationAccountResourceId to one that exists.",
        )
        return AccountReport(name, healthy=False, problems=(gone,))
    artifacts = _artifacts(facts, account, mappings)
    found = (
        _state_problem(name, facts.account),
        _identity_problem(name, facts.account),
        _role_problem(role),
        _missing_problem(
            "ScheduleMissing", name, [(each, f"Schedule {each.schedule_name}") for each in artifacts.unscheduled]
        ),
        _missing_problem(
            "JobScheduleMissing", name, [(each, f"Job schedule {each.job_schedule_name}") for each in artifacts.unbound]
        ),
        _disabled_problem(name, artifacts.disabled),
        _run_problem(name, facts.runs, role),
        _minutes_problem(name, facts),
    )
    problems = tuple(problem for problem in found if problem)
    return AccountReport(
        name=name,
        healthy=False if problems else (True if facts.account.state and not (role and role.unclear) else None),
        problems=problems,
        state=clean(facts.account.state, bounds.WORD),
        next_run=artifacts.next_run(now),
        last_run=facts.runs[0] if facts.runs else None,
        minutes_used=facts.minutes_used,
        minutes_limit=_limit(facts),
        schedules=len({fold(schedule.name) for _, schedule in artifacts.scheduled}),
        schedules_missing=len({fold(each.schedule_name) for each in artifacts.unscheduled}),
        schedules_disabled=len({fold(schedule.name) for _, schedule in artifacts.disabled}),
        missing=artifacts.missing,
        role=role,
    )


@dataclass(frozen=True)
class _Artifacts:
    """What the account has of what the mappings that it updates name."""

    scheduled: Sequence[tuple[ContainerMapping, Schedule]]
    unscheduled: Sequence[ContainerMapping]
    """Those whose schedule is gone."""
    unbound: Sequence[ContainerMapping]
    """Those whose job schedule, the link of schedule and runbook, is gone."""

    @property
    def disabled(self) -> list[tuple[ContainerMapping, Schedule]]:
        return [(mapping, schedule) for mapping, schedule in self.scheduled if schedule.enabled is False]

    @property
    def missing(self) -> dict[str, LostArtifact]:
        """By mapping key; where both are gone, the schedule, without which no job schedule can be."""
        return {
            **{each.key: _lost("job schedule", each.job_schedule_name) for each in self.unbound},
            **{each.key: _lost("schedule", each.schedule_name) for each in self.unscheduled},
        }

    def next_run(self, now: datetime) -> datetime | None:
        runs = (schedule.next_run for _, schedule in self.scheduled if schedule.enabled is not False)
        return min((run for run in runs if run and run >= now), default=None)


def _artifacts(facts: AccountFacts, account: ArmId, mappings: Sequence[ContainerMapping]) -> _Artifacts:
    ours = sorted((each for each in mappings if is_updated_by(each, account)), key=lambda each: each.key)
    named = [(each, facts.schedules.get(fold(each.schedule_name))) for each in ours if each.schedule_name]
    return _Artifacts(
        scheduled=[(mapping, schedule) for mapping, schedule in named if schedule],
        unscheduled=[mapping for mapping, schedule in named if not schedule],
        unbound=[
            each for each in ours if each.job_schedule_name and fold(each.job_schedule_name) not in facts.job_schedules
        ],
    )


def absent_artifacts(
    facts: AccountFacts, account: ArmId, mappings: Sequence[ContainerMapping]
) -> tuple[list[str], list[str]]:
    """Names of the schedules and of the job schedules that mappings need and the account's lists do not show."""
    ours = [each for each in mappings if is_updated_by(each, account)]
    schedules = {each.schedule_name for each in ours if each.schedule_name}
    job_schedules = {each.job_schedule_name for each in ours if each.job_schedule_name}
    return (
        sorted(name for name in schedules if fold(name) not in facts.schedules),
        sorted(name for name in job_schedules if fold(name) not in facts.job_schedules),
    )


def is_updated_by(mapping: ContainerMapping, account: ArmId) -> bool:
    """Whether ``account`` updates the agents of a mapping."""
    return (
        mapping.is_azure_to_azure
        and mapping.is_paired
        and mapping.is_set_to(AutoUpdate.ENABLED)
        and fold(mapping.automation_account_id) == account.key
    )


def _state_problem(name: str, account: Account) -> Problem | None:
    if account.state.casefold() in {"ok", ""}:
        return None
    return Problem(
        "AccountNotOk",
        f"Automation account {name} is in state {clean(account.state, bounds.WORD)}, so it runs nothing. Its page "
        "in the portal says why.",
    )


def _identity_problem(name: str, account: Account) -> Problem | None:
    # ARM leaves out the identity of a resource that has none (inferred: not seen of an Automation account).
    if account.has_own_identity:
        return None
    return Problem(
        "NoSystemAssignedIdentity",
        f"Automation account {name} has no system-assigned identity, with which the update runbook logs in. Switch it "
        "on in the portal (Automation account > Identity > System assigned) and give it a role on the vault.",
    )


def _role_problem(role: RoleReport | None) -> Problem | None:
    return Problem(role.wrong.code, role.wrong.message) if role and role.wrong else None


def _lost(kind: str, name: str) -> LostArtifact:
    return LostArtifact(name, f"{kind} {clean(name, bounds.NAMED)} is missing")


def _missing_problem(reason: str, name: str, missing: Sequence[tuple[ContainerMapping, str]]) -> Problem | None:
    if not missing:
        return None
    mapping, artifact = missing[0]
    return Problem(
        reason,
        f"{clean(artifact, bounds.NAMED)} of mapping {clean(mapping.path, bounds.NAMED_PATH)}{_and_more(missing)} is "
        f"not in Automation account {name}. Setting auto-update of the mapping again makes it anew: mode Enforce does "
        "so; by hand, use Repair in the vault's Site Recovery Infrastructure > Extension Update Settings.",
    )


def _disabled_problem(name: str, disabled: Sequence[tuple[ContainerMapping, Schedule]]) -> Problem | None:
    if not disabled:
        return None
    mapping, schedule = disabled[0]
    return Problem(
        "ScheduleDisabled",
        f"Schedule {clean(schedule.name, bounds.NAMED)} of mapping {clean(mapping.path, bounds.NAMED_PATH)}"
        f"{_and_more(disabled)} is disabled, so the update runbook does not run. Enable it in the portal (Automation "
        f"account {name} > Schedules), or declare autoUpdate: Disabled if that is meant.",
    )


def _run_problem(name: str, runs: Sequence[RunbookRun], role: RoleReport | None) -> Problem | None:
    last = next((run for run in runs if run.status.casefold() not in _UNFINISHED), None)
    if last is None or last.status.casefold() == "completed":
        return None
    when = f" of {last.started_at:%Y-%m-%dT%H:%M:%SZ}" if last.started_at else ""
    return Problem(
        "RunbookFailing",
        f"The last run{when} of the update runbook ended as {clean(last.status, bounds.WORD)}. Look at it in the "
        f"portal (Automation account {name} > Jobs > {RUNBOOK}).{_cause_of_failing(role)}",
    )


def _cause_of_failing(role: RoleReport | None) -> str:
    """What may be behind it, unless the role is known to be enough, or has been told of."""
    if role and (role.wrong or role.standing is RoleStanding.ENOUGH):
        return ""
    if role and role.roles:
        return f" The account's identity is {', '.join(role.roles)}, and nobody says whether that is enough."
    return " One cause that Microsoft names: the account's identity has no role on the vault."


def _minutes_problem(name: str, facts: AccountFacts) -> Problem | None:
    used, limit = facts.minutes_used, _limit(facts)
    if used is None or limit is None or used < NEARLY_USED * limit:
        return None
    return Problem(
        "FreeMinutesNearlyUsed",
        f"Automation account {name} has used {used:,.0f} of its {limit:,.0f} minutes of job time this month, and "
        "runs nothing once they are used up. Move other runbooks to another account, or let the account be billed.",
    )


def _limit(facts: AccountFacts) -> float | None:
    """The limit, if there is one: Azure writes -1 for none."""
    return facts.minutes_limit if facts.minutes_limit is not None and facts.minutes_limit > 0 else None


def _and_more(entries: Sequence[object]) -> str:
    return f" (and of {plural(len(entries) - 1, 'more mapping')})" if len(entries) > 1 else ""
