"""Reads the controller, the queue and the throttle whenever somebody scrapes: what goes, takes its series along."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from prometheus_client.core import GaugeMetricFamily, Metric

from vault_autoupdate.arm.throttle import Throttle, ThrottleState
from vault_autoupdate.cluster.watch_health import WatchHealth
from vault_autoupdate.cluster.write_health import WriteHealth
from vault_autoupdate.controller.controller import Controller
from vault_autoupdate.controller.hints import LogState
from vault_autoupdate.controller.queue import WorkQueue
from vault_autoupdate.decide.look import Subject
from vault_autoupdate.decide.schedule import longest_pass
from vault_autoupdate.metrics.facts import ResourceFacts, facts_of
from vault_autoupdate.metrics.policy_series import policy_families
from vault_autoupdate.metrics.specs import spec
from vault_autoupdate.model.quota import is_region
from vault_autoupdate.model.resource import ResourceKey

if TYPE_CHECKING:  # it is loaded where policies are worked on, and nowhere else
    from vault_autoupdate.controller.policies import TrackedPolicy

_SLICE: Final = 100
"""Resources that are read before the event loop may turn to something else: about a millisecond."""

_OTHER_REGION: Final = "other"
"""Stands for whatever else Azure may write where the name of a region belongs."""

log = logging.getLogger(__name__)

__all__ = ["Snapshot", "StateCollector"]


@dataclass(frozen=True)
class Snapshot:
    """What stands at one instant, or nearly so: thousands of resources are read in slices."""

    at: float
    """Unix time."""
    resources: Sequence[ResourceFacts]
    others: Sequence[Metric]
    look_intervals: Mapping[Subject, timedelta] = field(default_factory=dict)
    """Between two looks at what there is beside the mappings."""


class StateCollector:
    """Takes snapshots. Belongs to the event loop."""

    def __init__(
        self,
        controller: Controller,
        queue: WorkQueue[ResourceKey],
        throttle: Throttle,
        watching: WatchHealth,
        writes: WriteHealth,
        *,
        now: Callable[[], datetime],
        policies: Mapping[ResourceKey, TrackedPolicy] | None = None,
        look_intervals: Mapping[Subject, timedelta] | None = None,
        logs: Callable[[], Mapping[LogState, int]] = lambda: dict.fromkeys(LogState, 0),
    ) -> None:
        self._controller = controller
        self._queue = queue
        self._throttle = throttle
        self._watching = watching
        self._writes = writes
        self._now = now
        self._policies = policies
        self._look_intervals = look_intervals or {}
        self._logs = logs
        self._named: set[str] = set()
        """Subscriptions in sight of which the log says what stands for them."""

    async def snapshot(self) -> Snapshot:
        """Read everything, without keeping the event loop from its other work."""
        now, facts = self._now(), list[ResourceFacts]()
        tracked = list(self._controller.resources.values())
        for begin in range(0, len(tracked), _SLICE):
            facts += [facts_of(each, now) for each in tracked[begin : begin + _SLICE]]
            await asyncio.sleep(0)
        return Snapshot(now.timestamp(), facts, list(self._others()), self._look_intervals)

    def _others(self) -> Iterable[Metric]:
        lanes = self._throttle.states()
        self._name({lane.scope.subscription: lane.scope.label for lane in lanes})
        yield from _throttle_series(lanes)
        yield _single("queue_depth", self._queue.depth)
        yield _single("reconciles_running", self._queue.running)
        yield _single("queue_oldest_overdue_seconds", self._queue.oldest_overdue)
        yield _single("reconcile_overrun_seconds", self._overrun())
        namespaces = {key.namespace for key in self._controller.resources}
        yield _single("cluster_writes_failing_seconds", self._writes.failing_for(namespaces))
        yield from _watch_series(self._watching)
        hint_logs = _family("hint_logs")
        for state, count in self._logs().items():
            hint_logs.add_metric([state], count)
        yield hint_logs
        if self._policies is not None:
            yield from policy_families(self._policies.values())

    def _name(self, labels: Mapping[str, str]) -> None:
        """Say in the log which subscription a label stands for, since the label does not."""
        for subscription in labels.keys() - self._named:
            log.info("in metrics, scope %s is subscription %s", labels[subscription], subscription)
        self._named = set(labels)

    def _overrun(self) -> float:
        """Seconds for which the slowest pass has run beyond what any could take."""
        over = 0.0
        for key, seconds in self._queue.running_for().items():
            tracked = self._controller.resources.get(key)
            if tracked and tracked.resource:
                longest = longest_pass(tracked.resource.spec.job_timeout, len(tracked.state.actions))
                over = max(over, seconds - longest.total_seconds())
        return over


def _watch_series(health: WatchHealth) -> Iterable[Metric]:
    watching, contact = _family("watching"), _family("watch_last_contact_timestamp_seconds")
    for namespace, watch in health.watches.items():
        watching.add_metric([namespace], float(health.is_watching(namespace)))
        if watch.last_contact is not None:
            contact.add_metric([namespace], watch.last_contact)
    yield watching
    yield contact


def _throttle_series(lanes: Sequence[ThrottleState]) -> Iterable[Metric]:
    values: dict[str, Callable[[ThrottleState], float]] = {
        "arm_quota_remaining": lambda lane: lane.remaining,
        "arm_calls_waiting": lambda lane: lane.waiting,
        "arm_throttle_share_ratio": lambda lane: lane.share,
        "arm_throttle_paused_seconds": lambda lane: lane.paused_for,
    }
    for name, value_of in values.items():
        family = _family(name)
        for lane in lanes:
            region = lane.scope.region
            label = region if not region or is_region(region) else _OTHER_REGION
            family.add_metric([lane.scope.label, label, str(lane.kind)], value_of(lane))
        yield family


def _single(name: str, value: float) -> Metric:
    family = _family(name)
    family.add_metric([], value)
    return family


def _family(name: str) -> GaugeMetricFamily:
    wanted = spec(name)
    return GaugeMetricFamily(wanted.name, wanted.text, labels=list(wanted.labels))
