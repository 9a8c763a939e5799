"""The status document: from a `VaultState` and a `Readiness` to what ``kubectl get -o yaml`` shows. Pure.

Bounded whatever the vault: each list and each text is cut to what `model.bounds` says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from vault_autoupdate.decide.attempts import Attempt
from vault_autoupdate.decide.jobs import Operation
from vault_autoupdate.decide.look import NOTED_WITHIN, Subject
from vault_autoupdate.decide.plan import Action
from vault_autoupdate.decide.state import Run, VaultState
from vault_autoupdate.model import bounds
from vault_autoupdate.model.arm_id import mapping_path
from vault_autoupdate.model.resource import VaultAutoUpdate
from vault_autoupdate.model.text import clean
from vault_autoupdate.report.agent_fields import agent_fields
from vault_autoupdate.report.conditions import account_matters, conditions
from vault_autoupdate.report.drift import drift_fields
from vault_autoupdate.report.mapping_words import by_state
from vault_autoupdate.report.readiness import Readiness, severity_key
from vault_autoupdate.report.runbook_schedule import schedule_fields, schedule_matters
from vault_autoupdate.report.values import fitting, format_time, read_time

_TIMES: Final = frozenset(
    {
        "endedAt", "lastAttemptAt", "lastSuccessTime", "lastTransitionTime", "lookedAt", "nextAttemptAt", "nextRun",
        "startedAt",
    }
)  # fmt: skip

_LOOKED_AT: Final = {
    Subject.AGENTS: "agents",
    Subject.ACCOUNT: "automationAccount",
    Subject.SCHEDULES: "runbookSchedule",
}
"""What is looked at, and the section of the status that says when."""

__all__ = ["build_status", "differs"]


def build_status(
    resource: VaultAutoUpdate | None,
    state: VaultState,
    readiness: Readiness,
    previous: Mapping[str, Any],
    now: datetime,
    *,
    generation: int | None = None,
    handled_request: str | None = None,
    last_success: datetime | None = None,
    shard: str = "",
) -> dict[str, Any]:
    """Build the whole status.

    Args:
        resource: what is declared; None when it could not be read.
        state: what is known of the vault. Before the first look at it, what ``previous`` says of the mappings stays.
        readiness: what the conditions are to say.
        previous: the status as it is now, for transition times and for what is kept.
        now: the present.
        generation: the generation spoken about, where there is no ``resource``.
        handled_request: value of the ``requestedAt`` annotation that this status answers.
        last_success: when the mappings were last read; None when they never were.
        shard: the one that works on it; empty for the main one.
    """
    observed = resource.generation if resource else (generation or 0)
    before: dict[str, Mapping[str, Any]] = {
        str(condition.get("type")): condition
        for condition in previous.get("conditions") or ()
        if isinstance(condition, Mapping)
    }
    status: dict[str, Any] = {
        "observedGeneration": observed,
        "conditions": conditions(resource, state, readiness, before, now, generation=observed),
    }
    if state.looked:
        status.update(_mappings(state))
    else:
        status.update({key: previous[key] for key in ("mappings", "compliantSummary") if key in previous})
    for key, value in (("vaultName", state.vault_name), ("location", state.location)):
        if value or key in previous:
            status[key] = clean(value or previous[key], bounds.WORD)
    status.update(_agents_and_account(resource, state, previous))
    status.update(_schedules(resource, state, previous))
    _say_when(status, state)
    status.update(_operations(state))
    status.update(_failures(state))
    status.update(drift_fields(state.drift))
    if state.run:
        status["lastRun"] = _run(state.run)
    handled = handled_request if handled_request is not None else previous.get("lastHandledReconcileAt")
    if handled is not None:
        status["lastHandledReconcileAt"] = clean(handled, bounds.REQUEST)
    if last_success is not None:
        status["lastSuccessTime"] = format_time(last_success)
    if shard:
        status["shard"] = shard
    return status


def differs(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Tell whether ``new`` says anything that ``old`` does not, points in time apart.

    ``completedAt`` counts: that it is there at all is news. When something was looked at counts once a day.
    """
    return _without_times(old) != _without_times(new) or any(_is_news(old, new, name) for name in _LOOKED_AT.values())


def _say_when(status: dict[str, Any], state: VaultState) -> None:
    """Say of what this process has looked at when that was; of the rest, what an earlier one said has been kept."""
    for subject, name in _LOOKED_AT.items():
        look = state.looks[subject]
        if look.seen and look.at is not None and name in status:
            status[name]["lookedAt"] = format_time(look.at)


def _is_news(old: Mapping[str, Any], new: Mapping[str, Any], name: str) -> bool:
    """Whether a section of the status is about a look so much newer that a process after this one has to know."""
    looked, before = (_looked_at(status.get(name)) for status in (new, old))
    return looked is not None and (before is None or looked - before > NOTED_WITHIN)


def _looked_at(section: object) -> datetime | None:
    return read_time(section.get("lookedAt")) if isinstance(section, Mapping) else None


def _agents_and_account(
    resource: VaultAutoUpdate | None, state: VaultState, previous: Mapping[str, Any]
) -> dict[str, Any]:
    """What is known of the agents and the account; until this process has looked, what an earlier one has seen."""
    rollout = state.rollout
    has_updates = resource is None or resource.spec.agent_updates is not None or bool(rollout and rollout.updates)
    fields = agent_fields(
        state.agents.report if state.agents.seen else None,
        state.account.report if state.account.seen and account_matters(resource) else None,
        rollout,
        state.rollout_decision,
        state.next_window,
    )
    kept = {
        "agents": not state.agents.seen,
        "automationAccount": not state.account.seen and account_matters(resource),
        "agentUpdates": rollout is not None and state.rollout_decision is None,
    }
    fields.update({key: previous[key] for key, keep in kept.items() if keep and key in previous})
    if not has_updates:
        fields.pop("agentUpdates", None)
    return fields


def _schedules(resource: VaultAutoUpdate | None, state: VaultState, previous: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of the schedules; until this process has looked, what an earlier one has seen of them."""
    fields = schedule_fields(state.schedules)
    kept = previous.get("runbookSchedule")
    if not state.schedules.look.seen and schedule_matters(resource) and isinstance(kept, Mapping):
        fields = {"runbookSchedule": {**kept, **fields.get("runbookSchedule", {})}}
    return fields


def _mappings(state: VaultState) -> dict[str, Any]:
    counts = state.counts
    total = sum(counts.values())
    in_scope = total - counts[Action.IGNORE]
    return {
        "mappings": {"total": total, "inScope": in_scope, **by_state(counts)},
        "compliantSummary": f"{counts[Action.KEEP]}/{in_scope}",
    }


def _operations(state: VaultState) -> dict[str, Any]:
    oldest_first = sorted(state.operations.values(), key=lambda operation: operation.started_at)
    entries = fitting((_operation(operation) for operation in oldest_first), bounds.OPERATIONS, bounds.OPERATIONS_BYTES)
    omitted = len(state.operations) - len(entries)
    return {**({"operations": entries} if entries else {}), **({"operationsOmitted": omitted} if omitted else {})}


def _operation(operation: Operation) -> dict[str, Any]:
    return {
        "mapping": clean(mapping_path(operation.target_id), bounds.PATH),
        "startedAt": format_time(operation.started_at),
        **({"jobId": clean(operation.job_id, bounds.ID)} if operation.job_id else {}),
        **({"adopted": True} if operation.adopted else {}),
        **({"scenario": clean(operation.scenario, bounds.SCENARIO)} if operation.scenario else {}),
    }


def _failures(state: VaultState) -> dict[str, Any]:
    waiting = [
        (key, attempt)
        for key, attempt in state.attempts.items()
        if not state.looked or state.actions.get(key) is Action.WAIT
    ]
    waiting.sort(key=lambda item: (severity_key(item[1]), item[0]))
    shown = fitting(
        (_failure(state.paths.get(key, key), attempt) for key, attempt in waiting),
        bounds.FAILURES,
        bounds.FAILURES_BYTES,
    )
    omitted = len(waiting) - len(shown) + (state.omitted[0] if state.omitted else 0)
    codes = _failure_codes([attempt for _, attempt in waiting], state)
    return {
        **({"failureCodes": codes} if codes else {}),
        **({"failures": shown} if shown else {}),
        **({"failuresOmitted": omitted} if omitted else {}),
    }


def _failure_codes(waiting: Sequence[Attempt], state: VaultState) -> list[dict[str, Any]]:
    """How many of all failures have which reason and code, the most frequent first."""
    counts = Counter((str(attempt.reason), clean(attempt.explanation.code, bounds.CODE)) for attempt in waiting)
    if state.omitted:
        count, like = state.omitted
        counts[str(like.reason), clean(like.explanation.code, bounds.CODE)] += count
    return [
        {"reason": reason, **({"code": code} if code else {}), "count": count}
        for (reason, code), count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[
            : bounds.FAILURE_CODES
        ]
    ]


def _failure(path: str, attempt: Attempt) -> dict[str, Any]:
    explanation = attempt.explanation
    texts = {
        "code": clean(explanation.code, bounds.CODE),
        "message": clean(explanation.message, bounds.EXPLANATION),
        "possibleCauses": clean(explanation.possible_causes, bounds.EXPLANATION),
        "recommendedAction": clean(explanation.recommended_action, bounds.EXPLANATION),
        "activityId": clean(explanation.activity_id, bounds.ID),
        "jobId": clean(attempt.job_id, bounds.ID),
    }
    return {
        "mapping": clean(path, bounds.PATH),
        "reason": str(attempt.reason),
        **{key: text for key, text in texts.items() if text},
        "attempts": attempt.count,
        "lastAttemptAt": format_time(attempt.last_at),
        "nextAttemptAt": format_time(attempt.next_at),
    }


def _run(run: Run) -> dict[str, Any]:
    return {
        "id": clean(run.id, bounds.ID),
        "startedAt": format_time(run.started_at),
        **({"completedAt": format_time(run.completed_at)} if run.completed_at else {}),
        "patched": run.patched,
        "succeeded": run.succeeded,
        "failed": run.failed,
        "failedToStart": run.failed_to_start,
        "timedOut": run.timed_out,
    }


def _without_times(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _without_times(entry) for key, entry in value.items() if key not in _TIMES}
    if isinstance(value, list):
        return [_without_times(entry) for entry in value]
    return value
