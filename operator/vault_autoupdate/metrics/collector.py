"""Reads the controller, the queue and the throttle whenever somebody scrapes: what goes, takes its series along."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from vault_autoupdate.arm.throttle import Throttle, ThrottleState
from vault_autoupdate.cluster.watch_health import WatchHealth
from vault_autoupdate.cluster.write_health import WriteHealth
from vault_autoupdate.controller.controller import Controller
from vault_autoupdate.controller.queue import WorkQueue
from vault_autoupdate.controller.tracked import TrackedResource
from vault_autoupdate.decide.account_report import AccountReport
from vault_autoupdate.decide.agent_report import MOST_VERSIONS, AgentReport, Concern
from vault_autoupdate.decide.attempts import FailureReason
from vault_autoupdate.decide.plan import Action
from vault_autoupdate.decide.rollout import Phase, Rollout
from vault_autoupdate.metrics.specs import ACCOUNT_PROBLEMS, CONDITIONS, OTHER_VERSION, Kind, spec
from vault_autoupdate.model.resource import AutoUpdate, ResourceKey

_STATES: Final = {
    "compliant": (Action.KEEP,),
    "drifted": (Action.PATCH, Action.REPAIR),
    "updating": (Action.TRACK,),
    "failed": (Action.WAIT,),
    "ignored": (Action.IGNORE,),
}
_MAY_BE_ABSENT: Final = frozenset({"AgentsCurrent", "AutomationAccountHealthy"})
"""Conditions that not every resource has; the others count as not met until the operator has written them."""
_VERSION: Final = re.compile(r"unknown|[0-9]+(\.[0-9]+){0,7}", re.ASCII)

Labels = tuple[str, ...]

__all__ = ["StateCollector"]


class StateCollector(Collector):
    """The series of this instant. Asked from the event loop alone."""

    def __init__(
        self,
        controller: Controller,
        queue: WorkQueue[ResourceKey],
        throttle: Throttle,
        watching: WatchHealth,
        writes: WriteHealth,
        *,
        now: Callable[[], datetime],
        resources: bool = True,
    ) -> None:
        self._controller = controller
        self._queue = queue
        self._throttle = throttle
        self._watching = watching
        self._writes = writes
        self._now = now
        self._resources = resources

    def collect(self) -> Iterable[Metric]:
        """Make the series of this instant."""
        if self._resources:
            yield from _resource_series(list(self._controller.resources.values()), self._now())
        yield from _throttle_series(self._throttle.states())
        yield _single("queue_depth", self._queue.depth)
        yield _single("reconciles_running", self._queue.running)
        yield _single("queue_oldest_overdue_seconds", self._queue.oldest_overdue)
        namespaces = {key.namespace for key in self._controller.resources}
        yield _single("cluster_writes_failing_seconds", self._writes.failing_for(namespaces))
        yield from _watch_series(self._watching)


def _watch_series(health: WatchHealth) -> Iterable[Metric]:
    watching, contact = _family("watching"), _family("watch_last_contact_timestamp_seconds")
    for namespace, watch in health.watches.items():
        watching.add_metric([namespace], float(health.is_watching(namespace)))
        if watch.last_contact is not None:
            contact.add_metric([namespace], watch.last_contact)
    yield watching
    yield contact


def _resource_series(resources: Sequence[TrackedResource], now: datetime) -> Iterable[Metric]:
    of_one: dict[str, Callable[[TrackedResource], float | None]] = {
        "jobs_in_flight": lambda tracked: len(tracked.state.operations),
        "resource_ready": lambda tracked: tracked.is_ready,
        "resource_not_ready_seconds": lambda tracked: tracked.history.not_ready_for(now),
        "resource_suspended": _suspended,
        "resource_interval_seconds": _interval,
        "resource_auto_update": _auto_update,
        "resource_last_success_timestamp_seconds": lambda tracked: tracked.history.last_success.timestamp(),
        "resource_attempts_most": _most_attempts,
        "resource_reverts_total": lambda tracked: tracked.state.reverts,
        "agent_updates_in_flight": _updates_in_flight,
        "agent_updates_waiting": _waiting,
        "agent_updates_failed_machines": _of_rollout(lambda rollout: len(rollout.failures)),
        "agent_window_open": _of_rollout(lambda rollout: rollout.window is not None and rollout.window.is_open(now)),
        "agent_next_window_timestamp_seconds": _next_window,
        "automation_account_healthy": _of_account(lambda account: account.healthy),
        "automation_account_next_run_timestamp_seconds": _of_account(_next_run),
        "automation_account_run_time_used_seconds": _of_account(lambda account: _seconds(account.minutes_used)),
        "automation_account_run_time_limit_seconds": _of_account(lambda account: _seconds(account.minutes_limit)),
    }
    of_many: dict[str, Callable[[TrackedResource], Mapping[Labels, float]]] = {
        "mappings": _mappings,
        "resource_condition": _conditions,
        "resource_failures": _failures,
        "agents": _of_report(_agents),
        "agents_concern": _of_report(_concerns),
        "agent_versions": _of_report(_versions),
        "agent_updates_phase": _phase,
        "automation_account_problem": _problems,
    }
    for name, value_of in of_one.items():
        family = _family(name)
        for tracked in resources:
            if (value := value_of(tracked)) is not None:
                family.add_metric([tracked.ref.key.namespace, tracked.ref.key.name], float(value))
        yield family
    for name, values_of in of_many.items():
        family = _family(name)
        for tracked in resources:
            for labels, count in values_of(tracked).items():
                family.add_metric([tracked.ref.key.namespace, tracked.ref.key.name, *labels], count)
        yield family


def _suspended(tracked: TrackedResource) -> bool:
    return bool(tracked.resource and tracked.resource.spec.suspend)


def _interval(tracked: TrackedResource) -> float | None:
    return tracked.resource.spec.interval.total_seconds() if tracked.resource else None


def _auto_update(tracked: TrackedResource) -> float | None:
    return float(tracked.resource.spec.auto_update is AutoUpdate.ENABLED) if tracked.resource else None


def _of_report(
    values_of: Callable[[AgentReport], Mapping[Labels, float]],
) -> Callable[[TrackedResource], Mapping[Labels, float]]:
    return lambda tracked: values_of(tracked.state.agents) if tracked.state.agents else {}


def _agents(report: AgentReport) -> Mapping[Labels, float]:
    return {("current",): report.current, ("behind",): report.behind, ("unknown",): report.unknown}


def _concerns(report: AgentReport) -> Mapping[Labels, float]:
    return {(str(concern),): report.concerns.get(concern, 0) for concern in Concern}


def _versions(report: AgentReport) -> Mapping[Labels, float]:
    """Machines by version. A label is no place for whatever else Azure may write where a version belongs."""
    counts = Counter({OTHER_VERSION: report.other_versions})
    for number, (version, machines) in enumerate(report.versions):
        is_shown = number < MOST_VERSIONS and _VERSION.fullmatch(version)
        counts[version if is_shown else OTHER_VERSION] += machines
    return {(version,): machines for version, machines in counts.items()}


def _of_rollout(value_of: Callable[[Rollout], float]) -> Callable[[TrackedResource], float | None]:
    return lambda tracked: value_of(tracked.state.rollout) if _has_windows(tracked) and tracked.state.rollout else None


def _has_windows(tracked: TrackedResource) -> bool:
    return bool(tracked.resource and tracked.resource.spec.agent_updates)


def _updates_in_flight(tracked: TrackedResource) -> float | None:
    return len(tracked.state.rollout.updates) if tracked.state.rollout else None


def _waiting(tracked: TrackedResource) -> float | None:
    decision = tracked.state.rollout_decision
    return len(decision.waiting) if decision and _has_windows(tracked) else None


def _phase(tracked: TrackedResource) -> Mapping[Labels, float]:
    decision = tracked.state.rollout_decision
    if decision is None or not _has_windows(tracked):
        return {}
    return {(str(phase),): float(phase is decision.phase) for phase in Phase}


def _next_window(tracked: TrackedResource) -> float | None:
    window = tracked.state.next_window
    return window.opens_at.timestamp() if window and _has_windows(tracked) else None


def _of_account(value_of: Callable[[AccountReport], float | None]) -> Callable[[TrackedResource], float | None]:
    return lambda tracked: value_of(tracked.state.account) if tracked.state.account else None


def _next_run(account: AccountReport) -> float | None:
    return account.next_run.timestamp() if account.next_run else None


def _seconds(minutes: float | None) -> float | None:
    return None if minutes is None else minutes * 60


def _problems(tracked: TrackedResource) -> Mapping[Labels, float]:
    account = tracked.state.account
    if account is None or account.healthy is None:
        return {}
    present = {problem.reason for problem in account.problems}
    return {(reason,): float(reason in present) for reason in ACCOUNT_PROBLEMS}


def _most_attempts(tracked: TrackedResource) -> int:
    unsuccessful = (
        attempt.count
        for key, attempt in tracked.state.attempts.items()
        if tracked.state.actions.get(key) is Action.WAIT or attempt.count > 1
    )
    return max(unsuccessful, default=0)


def _mappings(tracked: TrackedResource) -> Mapping[Labels, float]:
    counts = tracked.state.counts
    return {(state,): sum(counts[action] for action in actions) for state, actions in _STATES.items()}


def _conditions(tracked: TrackedResource) -> Mapping[Labels, float]:
    present = {condition.get("type"): condition.get("status") for condition in tracked.status.get("conditions") or ()}
    return {
        (kind, status): float(present.get(kind, "Unknown" if "Unknown" in statuses else "False") == status)
        for kind, statuses in CONDITIONS.items()
        if kind in present or kind not in _MAY_BE_ABSENT
        for status in statuses
    }


def _failures(tracked: TrackedResource) -> Mapping[Labels, float]:
    counts = dict.fromkeys(FailureReason, 0.0)
    for key, attempt in tracked.state.attempts.items():
        if tracked.state.actions.get(key) is Action.WAIT:
            counts[attempt.reason] += 1
    return {(str(reason),): count for reason, count in counts.items()}


def _throttle_series(lanes: Sequence[ThrottleState]) -> Iterable[Metric]:
    numbers = {scope: str(number) for number, scope in enumerate(dict.fromkeys(lane.scope for lane in lanes))}
    values: dict[str, Callable[[ThrottleState], float]] = {
        "arm_quota_remaining": lambda lane: lane.remaining,
        "arm_calls_waiting": lambda lane: lane.waiting,
        "arm_throttle_share_ratio": lambda lane: lane.share,
        "arm_throttle_paused_seconds": lambda lane: lane.paused_for,
    }
    for name, value_of in values.items():
        family = _family(name)
        for lane in lanes:
            family.add_metric([numbers[lane.scope], lane.scope.region, str(lane.kind)], value_of(lane))
        yield family


def _single(name: str, value: float) -> Metric:
    family = _family(name)
    family.add_metric([], value)
    return family


def _family(name: str) -> GaugeMetricFamily | CounterMetricFamily:
    wanted = spec(name)
    kind = CounterMetricFamily if wanted.kind is Kind.COUNTER else GaugeMetricFamily
    return kind(wanted.name, wanted.text, labels=list(wanted.labels))
