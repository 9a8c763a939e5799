"""What the metrics say about one resource: plain facts of one instant, which a thread may write out.

This is the only place that knows where the controller keeps them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from vault_autoupdate.controller.tracked import TrackedResource, ready_condition
from vault_autoupdate.decide.account_report import AccountReport
from vault_autoupdate.decide.agent_report import AgentReport
from vault_autoupdate.decide.attempts import FailureReason
from vault_autoupdate.decide.attribution import Drift
from vault_autoupdate.decide.look import Subject
from vault_autoupdate.decide.plan import Action
from vault_autoupdate.decide.rollout import Phase
from vault_autoupdate.decide.schedule_report import ScheduleReport
from vault_autoupdate.metrics.resource_specs import CONDITIONS, OTHER, REASONS
from vault_autoupdate.model.conditions import ConditionStatus, ConditionType, Reason
from vault_autoupdate.model.resource import AutoUpdate, Mode
from vault_autoupdate.report.mapping_words import MAPPING_STATES, by_state
from vault_autoupdate.report.values import read_count

_REASONS: Final = frozenset(REASONS)
_STATUSES: Final = frozenset(ConditionStatus)
_AS_OF_THE_WELL: Final = {
    ConditionType.RECONCILING: ConditionStatus.FALSE,
    ConditionType.STALLED: ConditionStatus.FALSE,
    ConditionType.AGENTS_CURRENT: ConditionStatus.TRUE,
    ConditionType.AUTOMATION_ACCOUNT_HEALTHY: ConditionStatus.TRUE,
    ConditionType.RUNBOOK_SCHEDULE_IN_SYNC: ConditionStatus.TRUE,
}
"""The status that each condition has of a resource which needs nobody."""

__all__ = ["ConditionFact", "ResourceFacts", "RolloutFacts", "facts_of"]


class ConditionFact(NamedTuple):
    """One condition."""

    type: str
    status: str
    reason: str


class RolloutFacts(NamedTuple):
    """Updates of agents in windows. Points in time as Unix time."""

    in_flight: int
    waiting: int | None
    phase: Phase | None
    failed_machines: int
    attempts_most: int
    window_open: bool
    next_window: float | None


class ResourceFacts(NamedTuple):
    """One resource at one instant. Durations in seconds, points in time as Unix time."""

    namespace: str
    name: str
    ready: str
    """``True``, ``False`` or ``Unknown``."""
    reason: str
    not_ready_for: float | None
    """None while it is Ready, or nobody waits for it to be."""
    auto_update: bool | None
    """None where the spec cannot be acted on."""
    suspended: bool
    audited: bool
    interval: float | None
    """None where the spec cannot be acted on."""
    last_success: float
    """Since when nothing new is known of the vault."""
    looks: Mapping[Subject, int]
    """When what there is beside the mappings was last looked at, as far as anybody has."""
    changed_at: datetime | None
    """When its spec was last changed, as far as this process has seen it."""
    reverts: int
    jobs: int
    mappings: Mapping[str, int]
    """By state; empty until anything is known."""
    failures: Mapping[FailureReason, int]
    attempts_most: int
    conditions: tuple[ConditionFact, ...]
    """Those that are not as they are of a resource which needs nobody."""
    agents: AgentReport | None
    account: AccountReport | None
    rollout: RolloutFacts | None
    """None for a vault without updates in windows."""
    schedules: ScheduleReport | None
    """None for a vault whose update runbook runs when Site Recovery wants it to."""
    drift: Drift | None
    """None where nobody asks who it was."""


def facts_of(tracked: TrackedResource, now: datetime) -> ResourceFacts:
    """Read one resource. Belongs to the event loop."""
    state, spec = tracked.state, tracked.resource.spec if tracked.resource else None
    ready, reason = ready_condition(tracked.status)
    audited = spec is not None and spec.mode is Mode.AUDIT
    waited_for = not (audited and reason == Reason.DRIFT_DETECTED)
    not_ready_for = tracked.history.not_ready_for(now) if waited_for else 0.0
    return ResourceFacts(
        namespace=tracked.ref.key.namespace,
        name=tracked.ref.key.name,
        ready=str(ready) if ready in _STATUSES else ConditionStatus.UNKNOWN,
        reason=_bounded(reason),
        not_ready_for=not_ready_for or None,
        auto_update=spec.auto_update is AutoUpdate.ENABLED if spec else None,
        suspended=spec is not None and spec.suspend,
        audited=audited,
        interval=spec.interval.total_seconds() if spec else None,
        last_success=tracked.history.stale_since.timestamp(),
        looks={subject: int(look.at.timestamp()) for subject, look in state.looks.items() if look.at is not None},
        changed_at=tracked.changed_at,
        reverts=state.reverts,
        jobs=len(state.operations),
        mappings=_mappings(tracked),
        failures=_failures(tracked),
        attempts_most=_attempts_most(tracked),
        conditions=_conditions(tracked.status),
        agents=state.agents.report,
        account=state.account.report,
        rollout=_rollout(tracked, now),
        schedules=state.schedules.look.report,
        drift=state.drift,
    )


def _bounded(reason: object) -> str:
    return reason if isinstance(reason, str) and reason in _REASONS else OTHER


def _mappings(tracked: TrackedResource) -> Mapping[str, int]:
    """Where the mappings stand; until this process has looked, what an earlier one has written."""
    if tracked.state.looked:
        return by_state(tracked.state.counts)
    written = tracked.status.get("mappings")
    return {state: read_count(written.get(state)) for state in MAPPING_STATES} if isinstance(written, Mapping) else {}


def _failures(tracked: TrackedResource) -> Mapping[FailureReason, int]:
    """Mappings that wait for the next try, by why; before the first look, those of the status."""
    state = tracked.state
    if not state.attempts:
        return {}
    counts = Counter(
        attempt.reason
        for key, attempt in state.attempts.items()
        if not state.looked or state.actions.get(key) is Action.WAIT
    )
    if state.omitted:
        count, like = state.omitted
        counts[like.reason] += count
    return counts


def _attempts_most(tracked: TrackedResource) -> int:
    state = tracked.state
    if not state.attempts:
        return 0
    unsuccessful = (
        attempt.count
        for key, attempt in state.attempts.items()
        if attempt.count > 1 or not state.looked or state.actions.get(key) is Action.WAIT
    )
    return max(unsuccessful, default=0)


def _conditions(status: Mapping[str, Any]) -> tuple[ConditionFact, ...]:
    return tuple(
        ConditionFact(
            condition["type"], condition.get("status", ConditionStatus.UNKNOWN), _bounded(condition.get("reason"))
        )
        for condition in status.get("conditions") or ()
        if condition.get("type") in CONDITIONS and condition.get("status") != _AS_OF_THE_WELL[condition["type"]]
    )


def _rollout(tracked: TrackedResource, now: datetime) -> RolloutFacts | None:
    """Updates in windows; of a vault that has none any more, those that are still under way."""
    rollout, decision, window = tracked.state.rollout, tracked.state.rollout_decision, tracked.state.next_window
    has_windows = bool(tracked.resource and tracked.resource.spec.agent_updates)
    if rollout is None or not (has_windows or rollout.updates):
        return None
    if not has_windows:
        return RolloutFacts(len(rollout.updates), None, None, 0, 0, window_open=False, next_window=None)
    return RolloutFacts(
        in_flight=len(rollout.updates),
        waiting=len(decision.waiting) if decision else None,
        phase=decision.phase if decision else None,
        failed_machines=len(rollout.failures),
        attempts_most=max((failure.attempts for failure in rollout.failures.values()), default=0),
        window_open=rollout.window is not None and rollout.window.is_open(now),
        next_window=window.opens_at.timestamp() if window else None,
    )
