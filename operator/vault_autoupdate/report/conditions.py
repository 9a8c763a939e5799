"""The conditions of a resource, each as one (status, reason, message). Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from vault_autoupdate.decide.account_report import AccountReport
from vault_autoupdate.decide.agent_report import SOON, AgentReport, Concern
from vault_autoupdate.decide.role_report import RoleReport, RoleStanding
from vault_autoupdate.decide.state import VaultState
from vault_autoupdate.model import bounds
from vault_autoupdate.model.conditions import ConditionStatus, ConditionType
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.model.resource import AutoUpdate, VaultAutoUpdate
from vault_autoupdate.model.text import clean, plural
from vault_autoupdate.report.condition_value import ConditionValue, not_known
from vault_autoupdate.report.readiness import Readiness
from vault_autoupdate.report.runbook_schedule import in_sync, schedule_matters
from vault_autoupdate.report.values import format_time

_NAMED: Final = 3
"""Machines that the condition names."""

__all__ = ["ConditionValue", "account_healthy", "account_matters", "agents_current", "conditions", "not_known"]


def agents_current(report: AgentReport | None, problem: Explanation | None, *, auto_update: bool) -> ConditionValue:
    """The condition ``AgentsCurrent``.

    Args:
        report: what is known; None when nothing is.
        problem: why nothing is known; None when there is a report, or before the first look.
        auto_update: whether Site Recovery is to update the agents by itself.
    """
    if problem is not None or report is None:
        return not_known(ConditionType.AGENTS_CURRENT, problem, "The agents have not been looked at yet.")
    if not report.total:
        return ConditionValue(
            ConditionType.AGENTS_CURRENT,
            ConditionStatus.TRUE,
            "AgentsCurrent",
            "No machine is replicated.",
        )
    counts = Counter({**report.concerns, Concern.UPDATE_REQUIRED: report.behind})
    found = [(finding, counts[concern]) for concern, finding in _CONDITION.items() if counts[concern]]
    if found:
        return ConditionValue(
            ConditionType.AGENTS_CURRENT,
            ConditionStatus.FALSE,
            found[0][0].reason,
            _message(report, found, auto_update=auto_update),
        )
    machines = plural(report.total, "machine")
    if report.unknown:
        message = (
            f"Site Recovery does not say of {report.unknown:,} of {machines} whether there is a newer agent: look at "
            "the vault's page of replicated items in the portal."
        )
        return ConditionValue(ConditionType.AGENTS_CURRENT, ConditionStatus.UNKNOWN, "NotReported", message)
    return ConditionValue(
        ConditionType.AGENTS_CURRENT,
        ConditionStatus.TRUE,
        "AgentsCurrent",
        f"No agent of {machines} has to be updated.",
    )


class _Finding(NamedTuple):
    """How the condition speaks of machines with a concern."""

    concern: Concern
    reason: str
    singular: str
    plural: str
    what: str


_CONDITION: Final = {
    finding.concern: finding
    for finding in (
        _Finding(Concern.EXPIRED, "AgentsExpired", "has", "have", "an expired agent"),
        _Finding(Concern.EXPIRING, "AgentsExpiring", "has", "have", f"an agent that expires within {SOON.days} days"),
        _Finding(Concern.REINSTALL_REQUIRED, "ReinstallRequired", "needs", "need", "the agent installed anew"),
        _Finding(Concern.RETRIES_EXHAUSTED, "RetriesExhausted", "is", "are", "not tried again by Site Recovery"),
        _Finding(Concern.FAR_BEHIND, "FarBehind", "has", "have", "an agent older than Microsoft supports"),
        _Finding(Concern.CERTIFICATE_UPDATE, "CertificateUpdate", "needs", "need", "a new agent certificate"),
        _Finding(Concern.UPDATE_REQUIRED, "UpdatesWaiting", "waits", "wait", "for an agent update"),
    )
}
"""The worst first. A machine that is only being updated needs nobody."""


def _message(report: AgentReport, found: Sequence[tuple[_Finding, int]], *, auto_update: bool) -> str:
    worst = found[0][0]
    of_all = f" of {plural(report.total, 'machine')}"
    said = [
        f"{count:,}{of_all if each is worst else ''} {each.singular if count == 1 else each.plural} {each.what}"
        for each, count in found
    ]
    if worst.concern is not Concern.UPDATE_REQUIRED:
        names = [entry.machine for entry in report.worst if entry.concern is worst.concern][:_NAMED]
        said[0] += f" ({', '.join(names)})" if names else ""
        helps = "status.agents.worst says what to do."
    elif auto_update:
        helps = "Site Recovery installs it by itself."
    else:
        helps = f"an agentUpdates window or the portal updates {'it' if report.behind == 1 else 'them'}."
    return clean(f"{', '.join(said)}; {helps}", bounds.MESSAGE)


def account_healthy(report: AccountReport | None, problem: Explanation | None) -> ConditionValue:
    """The condition ``AutomationAccountHealthy``.

    Args:
        report: what is known; None when nothing is.
        problem: why nothing is known; None when there is a report, or before the first look.
    """
    if problem is not None or report is None:
        return not_known(
            ConditionType.AUTOMATION_ACCOUNT_HEALTHY,
            problem,
            "The Automation account has not been looked at yet.",
        )
    name = report.name
    if report.problems:
        said = clean(" ".join(each.message for each in report.problems), bounds.MESSAGE)
        return ConditionValue(
            ConditionType.AUTOMATION_ACCOUNT_HEALTHY,
            ConditionStatus.FALSE,
            report.problems[0].reason,
            said,
        )
    if report.role and report.role.unclear:
        return not_known(ConditionType.AUTOMATION_ACCOUNT_HEALTHY, report.role.unclear, "")
    if report.healthy is None:
        return ConditionValue(
            ConditionType.AUTOMATION_ACCOUNT_HEALTHY,
            ConditionStatus.UNKNOWN,
            "NotReported",
            f"Azure does not say in what state Automation account {name} is: look at its page in the portal.",
        )
    return ConditionValue(
        ConditionType.AUTOMATION_ACCOUNT_HEALTHY,
        ConditionStatus.TRUE,
        "Healthy",
        _healthy(name, report),
    )


def _healthy(name: str, report: AccountReport) -> str:
    """What is right with the account; of what is not there yet, that it is not."""
    role = report.role
    right = [
        "state",
        "identity",
        *(["role"] if role and role.standing is RoleStanding.ENOUGH else []),
        *(["schedules"] if report.schedules else []),
        *(["last run"] if report.last_run else []),
    ]
    yet = [
        *(["no mapping names a schedule of it"] if not report.schedules else []),
        *(["the update runbook has not run"] if not report.last_run else []),
    ]
    listed = f"{', '.join(right[:-1])} and {right[-1]}"
    so_far = f" So far, {' and '.join(yet)}." if yet else ""
    return clean(
        f"Automation account {name} can update the agents: its {listed} are right.{_role_note(role)}{so_far}",
        bounds.MESSAGE,
    )


def _role_note(role: RoleReport | None) -> str:
    """What is to be said of a role that is not known to be wrong."""
    if role is None:
        return ""
    named = f" Its identity is {', '.join(role.roles)}" if role.roles else ""
    doubt = "; nobody says whether that is enough." if role.standing is RoleStanding.NOT_JUDGED else "."
    return f"{named}{doubt if named else ''}{' ' if role.note else ''}{role.note}"


def conditions(
    resource: VaultAutoUpdate | None,
    state: VaultState,
    readiness: Readiness,
    before: Mapping[str, Mapping[str, Any]],
    now: datetime,
    *,
    generation: int,
) -> list[dict[str, Any]]:
    """All conditions of a resource, as the status has them.

    Args:
        resource: what is declared; None when it could not be read.
        state: what is known of the vault.
        readiness: what Ready, Reconciling and Stalled are to say.
        before: the conditions as they are now, by type: for transition times, and for those that only an earlier
            process has seen to.
        now: the present.
        generation: the generation spoken about.
    """
    told = [_document(each, before.get(each.type, {}), now, generation) for each in _wanted(resource, state, readiness)]
    return told + _kept(resource, state, before)


def _document(value: ConditionValue, before: Mapping[str, Any], now: datetime, generation: int) -> dict[str, Any]:
    is_same = before.get("status") == value.status and "lastTransitionTime" in before
    return {
        "type": str(value.type),
        "status": str(value.status),
        "observedGeneration": generation,
        "lastTransitionTime": before["lastTransitionTime"] if is_same else format_time(now),
        "reason": str(value.reason),
        "message": value.message,
    }


def _wanted(resource: VaultAutoUpdate | None, state: VaultState, readiness: Readiness) -> list[ConditionValue]:
    """The conditions that there is something to say about."""
    kinds = [
        ConditionType.READY,
        *([ConditionType.RECONCILING] if readiness.reconciling else []),
        *([ConditionType.STALLED] if readiness.stalled else []),
    ]
    wanted = [
        ConditionValue(
            kind,
            readiness.ready if kind == ConditionType.READY else ConditionStatus.TRUE,
            readiness.reason,
            readiness.message,
        )
        for kind in kinds
    ]
    if state.agents.seen:
        enabled = resource is not None and resource.spec.auto_update is AutoUpdate.ENABLED
        wanted.append(agents_current(state.agents.report, state.agents.problem, auto_update=enabled))
    if state.account.seen and account_matters(resource):
        wanted.append(account_healthy(state.account.report, state.account.problem))
    if state.schedules.look.seen and schedule_matters(resource):
        wanted.append(in_sync(state.schedules.look.report, state.schedules.look.problem))
    return wanted


def _kept(
    resource: VaultAutoUpdate | None, state: VaultState, before: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The conditions that an earlier process has seen to, as long as this one has not."""
    kinds = [
        *([ConditionType.AGENTS_CURRENT] if not state.agents.seen else []),
        *([ConditionType.AUTOMATION_ACCOUNT_HEALTHY] if not state.account.seen and account_matters(resource) else []),
        *(
            [ConditionType.RUNBOOK_SCHEDULE_IN_SYNC]
            if not state.schedules.look.seen and schedule_matters(resource)
            else []
        ),
    ]
    return [dict(before[kind]) for kind in kinds if kind in before]


def account_matters(resource: VaultAutoUpdate | None) -> bool:
    """Whether the Automation account has anything to do; of a resource that cannot be read, what was said stays."""
    spec = resource.spec if resource else None
    return spec is None or (spec.auto_update is AutoUpdate.ENABLED and spec.automation_account_checks)
