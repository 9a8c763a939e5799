"""What the status says of agents, their updates and the Automation account. Pure.

Bounded like the rest of the status, see `vault_autoupdate.report.document`: every list by its length and by its bytes.
"""

from __future__ import annotations

from typing import Any, Final

from vault_autoupdate.decide.account_report import AccountReport, Problem
from vault_autoupdate.decide.agent_report import AgentReport, Concern, MachineConcern
from vault_autoupdate.decide.jobs import Operation
from vault_autoupdate.decide.role_report import RoleReport
from vault_autoupdate.decide.rollout import MachineFailure, Rollout, RolloutDecision
from vault_autoupdate.model import bounds
from vault_autoupdate.model.arm_id import item_path
from vault_autoupdate.model.azure import RunbookRun
from vault_autoupdate.model.text import clean
from vault_autoupdate.model.windows import Window
from vault_autoupdate.report.values import fitting, format_time

COUNTED_CONCERNS: Final = (
    ("expired", Concern.EXPIRED),
    ("expiring", Concern.EXPIRING),
    ("reinstallRequired", Concern.REINSTALL_REQUIRED),
    ("retriesExhausted", Concern.RETRIES_EXHAUSTED),
    ("farBehind", Concern.FAR_BEHIND),
    ("certificateUpdate", Concern.CERTIFICATE_UPDATE),
    ("upgrading", Concern.UPGRADING),
)
"""Fields of ``status.agents`` that count machines with a concern."""

__all__ = ["COUNTED_CONCERNS", "agent_fields"]


def agent_fields(
    agents: AgentReport | None,
    account: AccountReport | None,
    rollout: Rollout | None,
    decision: RolloutDecision | None,
    next_window: Window | None,
) -> dict[str, Any]:
    """Build ``agents``, ``automationAccount``, ``agentUpdates`` and ``lastHandledUpdateAgentsNow``, where known."""
    fields: dict[str, Any] = {}
    if agents:
        fields["agents"] = _agents(agents)
    if account:
        fields["automationAccount"] = _account(account)
    if rollout and (decision or rollout.window or rollout.updates or rollout.failures):
        fields["agentUpdates"] = _updates(rollout, decision, next_window)
    if rollout and rollout.handled_request is not None:
        fields["lastHandledUpdateAgentsNow"] = clean(rollout.handled_request, bounds.REQUEST)
    return fields


def _agents(report: AgentReport) -> dict[str, Any]:
    versions = [{"version": clean(version, bounds.WORD), "machines": count} for version, count in report.versions]
    worst = fitting(map(_machine_concern, report.worst), bounds.WORST_MACHINES, bounds.WORST_MACHINES_BYTES)
    return {
        "total": report.total,
        "behind": report.behind,
        "unknown": report.unknown,
        **{name: report.concerns.get(concern, 0) for name, concern in COUNTED_CONCERNS},
        "versions": versions[: bounds.VERSIONS],
        **({"otherVersions": report.other_versions} if report.other_versions else {}),
        **({"worst": worst} if worst else {}),
    }


def _machine_concern(entry: MachineConcern) -> dict[str, Any]:
    texts = {
        "mapping": clean(entry.mapping, bounds.PATH),
        "version": clean(entry.version, bounds.WORD),
        "message": clean(entry.explanation.message, bounds.EXPLANATION),
        "recommendedAction": clean(entry.explanation.recommended_action, bounds.EXPLANATION),
    }
    return {
        "machine": clean(entry.machine, bounds.NAME),
        "concern": "".join(word.capitalize() for word in entry.concern.split("_")),
        **{key: text for key, text in texts.items() if text},
    }


def _problem(problem: Problem) -> dict[str, Any]:
    return {"reason": clean(problem.reason, bounds.WORD), "message": clean(problem.message, bounds.PROBLEM)}


def _account(report: AccountReport) -> dict[str, Any]:
    optional: dict[str, Any] = {
        "state": clean(report.state, bounds.WORD) or None,
        "nextRun": format_time(report.next_run) if report.next_run else None,
        "lastRun": _runbook_run(report.last_run) if report.last_run else None,
        "minutesUsed": report.minutes_used,
        "minutesLimit": report.minutes_limit,
    }
    problems = fitting(map(_problem, report.problems), bounds.PROBLEMS, bounds.PROBLEMS_BYTES)
    return {
        "name": clean(report.name, bounds.NAME),
        **{key: value for key, value in optional.items() if value is not None},
        "schedulesMissing": report.schedules_missing,
        "schedulesDisabled": report.schedules_disabled,
        **({"problems": problems} if problems else {}),
        **({"role": _role(report.role)} if report.role else {}),
    }


def _role(role: RoleReport) -> dict[str, Any]:
    optional: dict[str, Any] = {
        "principalId": clean(role.principal_id, bounds.ID),
        "formerPrincipalId": clean(role.former_principal_id, bounds.ID),
        "roles": [clean(each, bounds.NAMED) for each in role.roles[: bounds.ROLES]],
        "missingSince": format_time(role.missing_since) if role.missing_since else "",
    }
    return {"standing": str(role.standing), **{key: value for key, value in optional.items() if value}}


def _runbook_run(run: RunbookRun) -> dict[str, Any]:
    return {
        "status": clean(run.status, bounds.WORD),
        **({"startedAt": format_time(run.started_at)} if run.started_at else {}),
        **({"endedAt": format_time(run.ended_at)} if run.ended_at else {}),
    }


def _updates(rollout: Rollout, decision: RolloutDecision | None, next_window: Window | None) -> dict[str, Any]:
    waiting = decision.waiting if decision else ()
    oldest_first = sorted(rollout.updates.values(), key=lambda update: (update.started_at, update.key))
    operations = fitting(map(_update, oldest_first), bounds.UPDATES, bounds.UPDATES_BYTES)
    newest_first = sorted(
        rollout.failures.values(), key=lambda failure: (-failure.last_at.timestamp(), failure.machine)
    )
    failures = fitting(map(_failure, newest_first), bounds.MACHINE_FAILURES, bounds.MACHINE_FAILURES_BYTES)
    omitted = len(rollout.failures) - len(failures)
    planned = [clean(machine.name, bounds.NAME) for machine in waiting[: bounds.PLANNED]]
    return {
        **({"phase": str(decision.phase)} if decision else {}),
        **({"message": clean(decision.reason, bounds.EXPLANATION)} if decision and decision.reason else {}),
        **({"window": _window(rollout.window, rollout.request)} if rollout.window else {}),
        **({"nextWindow": _window(next_window)} if next_window else {}),
        "started": rollout.started,
        "succeeded": rollout.succeeded,
        "failed": rollout.failed,
        "timedOut": rollout.timed_out,
        "rebootsPending": rollout.reboots,
        "waiting": len(waiting),
        **({"planned": planned} if planned else {}),
        **({"operations": operations} if operations else {}),
        **({"failures": failures} if failures else {}),
        **({"failuresOmitted": omitted} if omitted else {}),
    }


def _window(window: Window, request: str | None = None) -> dict[str, Any]:
    return {
        "opensAt": format_time(window.opens_at),
        "closesAt": format_time(window.closes_at),
        **({"request": clean(request, bounds.REQUEST)} if request is not None else {}),
    }


def _update(update: Operation) -> dict[str, Any]:
    return {
        "machine": clean(update.name, bounds.NAME),
        "item": clean(item_path(update.target_id), bounds.PATH),
        **({"jobId": clean(update.job_id, bounds.ID)} if update.job_id else {}),
        "startedAt": format_time(update.started_at),
    }


def _failure(failure: MachineFailure) -> dict[str, Any]:
    explanation = failure.explanation
    texts = {
        "code": clean(explanation.code, bounds.CODE),
        "message": clean(explanation.message, bounds.FAILURE),
        "possibleCauses": clean(explanation.possible_causes, bounds.FAILURE),
        "recommendedAction": clean(explanation.recommended_action, bounds.FAILURE),
        "activityId": clean(explanation.activity_id, bounds.ID),
        "jobId": clean(failure.job_id, bounds.ID),
    }
    return {
        "machine": clean(failure.machine, bounds.NAME),
        "item": clean(item_path(failure.machine_id), bounds.PATH),
        "attempts": failure.attempts,
        **{key: text for key, text in texts.items() if text},
        "lastAttemptAt": format_time(failure.last_at),
    }
