"""What a restart gets back from the status that an earlier process wrote. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from vault_autoupdate.decide.account_report import AccountReport, Problem
from vault_autoupdate.decide.agent_report import AgentReport, Concern
from vault_autoupdate.decide.attempts import Attempt, FailureReason
from vault_autoupdate.decide.jobs import Operation
from vault_autoupdate.decide.role_report import RoleReport, RoleStanding
from vault_autoupdate.decide.rollout import MachineFailure, Rollout
from vault_autoupdate.decide.state import Run, VaultState
from vault_autoupdate.model.arm_id import ArmId, fold, is_below, is_guid, item_id, mapping_id
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.model.windows import Window
from vault_autoupdate.report.agent_fields import COUNTED_CONCERNS
from vault_autoupdate.report.drift import restore_drift
from vault_autoupdate.report.runbook_schedule import restore_schedules
from vault_autoupdate.report.values import looked_at, read_count, read_entries, read_text, read_time

_UNCLEAR: Final = frozenset({RoleStanding.NOT_SEEN, RoleStanding.UNKNOWN})

__all__ = ["restore", "restore_account", "restore_agents", "restore_rollout"]


def restore(status: Mapping[str, Any] | None, vault: ArmId, now: datetime) -> VaultState:
    """Rebuild the state from the status that an earlier process wrote.

    A status that cannot be read is as good as none: the vault itself tells what is to be done, and jobs are
    found again in its list.
    """
    state = VaultState()
    if not isinstance(status, Mapping):
        return state
    state.location = read_text(status.get("location"))
    state.vault_name = read_text(status.get("vaultName"))
    state.run = _run(status.get("lastRun"))
    state.drift = restore_drift(status, vault, now)
    state.interrupted = state.run is not None and state.run.completed_at is None
    state.agents.report = restore_agents(status)
    state.account.report = restore_account(status)
    state.agents.at, state.account.at = (looked_at(status, name, now) for name in ("agents", "automationAccount"))
    state.rollout = restore_rollout(status, vault, now)
    state.schedules = restore_schedules(status, now)
    for entry in read_entries(status.get("operations")):
        path = read_text(entry.get("mapping"))
        if is_below(restored := mapping_id(vault, path), vault.key):  # or it would be looked for somewhere else
            operation = Operation(
                restored,
                read_text(entry.get("jobId")),
                min(read_time(entry.get("startedAt")) or now, now),
                adopted=entry.get("adopted") is True,
                scenario=read_text(entry.get("scenario")),
            )
            state.operations[operation.key] = operation
            state.paths[operation.key] = path
    for entry in read_entries(status.get("failures")):
        if (attempt := _attempt(entry)) and (path := read_text(entry.get("mapping"))):
            key = fold(mapping_id(vault, path))
            state.attempts[key] = attempt
            state.paths[key] = path
    if (omitted := read_count(status.get("failuresOmitted"))) and state.attempts:
        state.omitted = (omitted, max(state.attempts.values(), key=lambda attempt: attempt.count))
    return state


def _run(entry: object) -> Run | None:
    if not isinstance(entry, Mapping) or not (started_at := read_time(entry.get("startedAt"))):
        return None
    run_id = read_text(entry.get("id"))
    return Run(
        id=run_id if is_guid(run_id) else "",  # it goes into a header of every call
        started_at=started_at,
        completed_at=read_time(entry.get("completedAt")),
        patched=read_count(entry.get("patched")),
        succeeded=read_count(entry.get("succeeded")),
        failed=read_count(entry.get("failed")),
        failed_to_start=read_count(entry.get("failedToStart")),
        timed_out=read_count(entry.get("timedOut")),
    )


def _attempt(entry: Mapping[str, Any]) -> Attempt | None:
    last_at, next_at = read_time(entry.get("lastAttemptAt")), read_time(entry.get("nextAttemptAt"))
    reason = entry.get("reason")
    if not last_at or not next_at or not isinstance(reason, str) or reason not in set(FailureReason):
        return None
    return Attempt(
        count=max(1, read_count(entry.get("attempts"))),
        last_at=last_at,
        next_at=next_at,
        reason=FailureReason(reason),
        explanation=Explanation(
            code=read_text(entry.get("code")),
            message=read_text(entry.get("message")),
            possible_causes=read_text(entry.get("possibleCauses")),
            recommended_action=read_text(entry.get("recommendedAction")),
            activity_id=read_text(entry.get("activityId")),
        ),
        job_id=read_text(entry.get("jobId")),
    )


def _version(entry: Mapping[str, Any]) -> tuple[str, int]:
    return read_text(entry.get("version")), read_count(entry.get("machines"))


def restore_agents(status: Mapping[str, Any]) -> AgentReport | None:
    """Rebuild what an earlier process counted, the machines themselves aside: those it saw are in the status still."""
    entry = status.get("agents")
    if not isinstance(entry, Mapping):
        return None
    behind = read_count(entry.get("behind"))
    counted = {concern: read_count(entry.get(name)) for name, concern in COUNTED_CONCERNS}
    counted[Concern.UPDATE_REQUIRED] = behind
    return AgentReport(
        total=read_count(entry.get("total")),
        behind=behind,
        unknown=read_count(entry.get("unknown")),
        concerns={concern: count for concern, count in counted.items() if count},
        versions=tuple(map(_version, read_entries(entry.get("versions")))),
        other_versions=read_count(entry.get("otherVersions")),
    )


def _problem(entry: Mapping[str, Any]) -> Problem:
    return Problem(read_text(entry.get("reason")), read_text(entry.get("message")))


def restore_account(status: Mapping[str, Any]) -> AccountReport | None:
    """Rebuild what an earlier process found about the account."""
    entry = status.get("automationAccount")
    if not isinstance(entry, Mapping):
        return None
    problems = tuple(map(_problem, read_entries(entry.get("problems"))))
    role = _role(entry.get("role"))
    return AccountReport(
        name=read_text(entry.get("name")),
        healthy=False if problems else (None if role and role.standing in _UNCLEAR else True),
        problems=problems,
        state=read_text(entry.get("state")),
        next_run=read_time(entry.get("nextRun")),
        schedules_missing=read_count(entry.get("schedulesMissing")),
        schedules_disabled=read_count(entry.get("schedulesDisabled")),
        role=role,
    )


def _role(entry: object) -> RoleReport | None:
    """What an earlier process found about the role: above all, since when none has been seen of which identity."""
    if not isinstance(entry, Mapping) or entry.get("standing") not in list(RoleStanding):
        return None
    ids = (read_text(entry.get(name)) for name in ("principalId", "formerPrincipalId"))
    principal_id, former = (fold(each) if is_guid(each) else "" for each in ids)
    roles = entry.get("roles")
    return RoleReport(
        RoleStanding(entry["standing"]),
        principal_id,
        roles=tuple(map(read_text, roles)) if isinstance(roles, list) else (),
        missing_since=read_time(entry.get("missingSince")),
        former_principal_id=former,
    )


def restore_rollout(status: Mapping[str, Any], vault: ArmId, now: datetime) -> Rollout | None:
    """Rebuild what an earlier process wrote about updates of agents; None when it wrote nothing.

    What cannot be read is left out: updates under way are found again among the vault's jobs and by the machines.
    """
    handled = status.get("lastHandledUpdateAgentsNow")
    entry = status.get("agentUpdates")
    if not isinstance(entry, Mapping):
        return Rollout(handled_request=handled) if isinstance(handled, str) else None
    rollout = Rollout(handled_request=handled if isinstance(handled, str) else None)
    window = entry.get("window")
    if isinstance(window, Mapping):
        opens_at, closes_at = read_time(window.get("opensAt")), read_time(window.get("closesAt"))
        if opens_at and closes_at:
            rollout.window = Window(opens_at, closes_at)
            request = window.get("request")
            rollout.request = request if isinstance(request, str) else None
    for each in read_entries(entry.get("operations")):
        if restored := _below(vault, each):
            update = Operation(
                restored,
                read_text(each.get("jobId")),
                _past(each.get("startedAt"), now) or now,
                name=read_text(each.get("machine")),
            )
            rollout.updates[update.key] = update
    for each in read_entries(entry.get("failures")):
        last_at = _past(each.get("lastAttemptAt"), now)
        if last_at and (restored := _below(vault, each)):
            rollout.failures[fold(restored)] = MachineFailure(
                restored,
                read_text(each.get("machine")),
                max(1, read_count(each.get("attempts"))),
                last_at,
                Explanation(
                    read_text(each.get("code")),
                    read_text(each.get("message")),
                    read_text(each.get("possibleCauses")),
                    read_text(each.get("recommendedAction")),
                    read_text(each.get("activityId")),
                ),
                read_text(each.get("jobId")),
            )
    rollout.started = read_count(entry.get("started"))
    rollout.succeeded = read_count(entry.get("succeeded"))
    rollout.failed = read_count(entry.get("failed"))
    rollout.timed_out = read_count(entry.get("timedOut"))
    rollout.reboots = read_count(entry.get("rebootsPending"))
    return rollout


def _below(vault: ArmId, entry: Mapping[str, Any]) -> str:
    """The item that an entry of the status names; empty when it would lead out of the vault."""
    restored = item_id(vault, read_text(entry.get("item")))
    return restored if is_below(restored, vault.key) else ""


def _past(value: object, now: datetime) -> datetime | None:
    time = read_time(value)
    return min(time, now) if time else None
