"""Prometheus metrics. Series about one resource come from a collector over the fleet, so they go when it goes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from vault_autoupdate import __version__
from vault_autoupdate.api import ResourceKey
from vault_autoupdate.attempts import Explanation
from vault_autoupdate.fleet import Entry, Fleet
from vault_autoupdate.jobs import Verdict
from vault_autoupdate.plan import Action
from vault_autoupdate.queue import WorkQueue
from vault_autoupdate.reconcile import Outcome
from vault_autoupdate.throttle import CallKind, Throttle

PREFIX: Final = "vault_autoupdate"
_OPERATIONS: Final = ("get_vault", "list_mappings", "get_mapping", "update_mapping", "list_jobs", "get_job")
_CALL_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_JOB_BUCKETS: Final = (1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640, 1800, 3600, 9600)
_WAIT_BUCKETS: Final = (0.01, 0.1, 1, 5, 15, 30, 60, 120, 300, 900, 3600)
_PASS_BUCKETS: Final = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 10800)
_STATES: Final = {
    "compliant": (Action.KEEP,),
    "drifted": (Action.PATCH, Action.REPAIR),
    "updating": (Action.TRACK,),
    "failed": (Action.WAIT,),
    "ignored": (Action.IGNORE,),
}

__all__ = ["Metrics"]


class Metrics:
    """Everything that is counted. Implements `CallObserver` and `RunObserver`."""

    def __init__(self, *, leading: Callable[[], bool] = lambda: True) -> None:
        self.registry = CollectorRegistry()
        Gauge(f"{PREFIX}_leading", "1 if this replica is the one that works.", registry=self.registry).set_function(
            lambda: float(leading())
        )
        self._jobs = Counter(
            f"{PREFIX}_jobs", "Changes of mappings by how they ended.", ["outcome"], registry=self.registry
        )
        self._job_seconds = Histogram(
            f"{PREFIX}_job_duration_seconds",
            "Time from the PATCH to the end of its job as it was seen.",
            buckets=_JOB_BUCKETS,
            registry=self.registry,
        )
        self._unknown_states = Counter(
            f"{PREFIX}_job_unknown_states", "Looks at jobs in a state that is not documented.", registry=self.registry
        )
        self._drift = Counter(
            f"{PREFIX}_drift_detected", "Mappings found to differ from what is declared.", registry=self.registry
        )
        self._repairs = Counter(
            f"{PREFIX}_repairs", "Mappings found as declared but unhealthy, to be repaired.", registry=self.registry
        )
        self._passes = Counter(
            f"{PREFIX}_reconcile", "Passes over a vault by how they ended.", ["result"], registry=self.registry
        )
        self._pass_seconds = Histogram(
            f"{PREFIX}_reconcile_duration_seconds",
            "Time of a pass over a vault, jobs included.",
            buckets=_PASS_BUCKETS,
            registry=self.registry,
        )
        self._calls = Counter(
            f"{PREFIX}_arm_requests",
            "Calls to Azure Resource Manager by operation and HTTP status (or why there was none).",
            ["operation", "code"],
            registry=self.registry,
        )
        self._call_seconds = Histogram(
            f"{PREFIX}_arm_request_duration_seconds",
            "Time of a call to Azure Resource Manager, waiting for quota not included.",
            ["operation"],
            buckets=_CALL_BUCKETS,
            registry=self.registry,
        )
        self._waits = Histogram(
            f"{PREFIX}_arm_throttle_wait_seconds",
            "Time that a call waited for quota.",
            ["kind"],
            buckets=_WAIT_BUCKETS,
            registry=self.registry,
        )
        self._throttled = Counter(
            f"{PREFIX}_arm_throttled", "Calls that Azure refused with 429.", ["kind"], registry=self.registry
        )
        self._reported = Gauge(
            f"{PREFIX}_arm_quota_reported",
            "Calls that Azure's last answer said were left (x-ms-ratelimit-remaining-subscription-*).",
            ["kind"],
            registry=self.registry,
        )
        Info(f"{PREFIX}_build", "Version of the operator.", registry=self.registry).info({"version": __version__})
        self._initialise()

    def _initialise(self) -> None:
        """Make the label sets known from the start, so that a rate sees the first event."""
        for outcome in ("succeeded", "failed", "failed_to_start", "timed_out"):
            self._jobs.labels(outcome)
        for result in ("success", "error", "superseded"):
            self._passes.labels(result)
        for operation in _OPERATIONS:
            for code in ("200", "202", "401", "403", "404", "409", "429", "500", "503", "ArmUnreachable"):
                self._calls.labels(operation, code)
            self._call_seconds.labels(operation)
        for kind in CallKind:
            self._waits.labels(kind)
            self._throttled.labels(kind)

    # RunObserver

    def drift_found(self, drifted: int, unhealthy: int) -> None:
        """See `RunObserver`."""
        self._drift.inc(drifted)
        self._repairs.inc(unhealthy)

    def change_failed_to_start(self, path: str, explanation: Explanation) -> None:  # noqa: ARG002 - unbounded
        """See `RunObserver`."""
        self._jobs.labels("failed_to_start").inc()

    def job_ended(self, path: str, verdict: Verdict, seconds: float, explanation: Explanation) -> None:  # noqa: ARG002
        """See `RunObserver`."""
        self._jobs.labels(str(verdict)).inc()
        self._job_seconds.observe(max(0.0, seconds))

    def job_state_unknown(self, state: str) -> None:  # noqa: ARG002 - unbounded
        """See `RunObserver`."""
        self._unknown_states.inc()

    def pass_ended(self, outcome: Outcome, seconds: float) -> None:
        """A pass over a vault has ended."""
        result = "error" if outcome.error else "superseded" if outcome.superseded else "success"
        self._passes.labels(result).inc()
        self._pass_seconds.observe(seconds)

    # CallObserver

    def call_finished(self, operation: str, code: str, seconds: float) -> None:
        """See `CallObserver`."""
        self._calls.labels(operation, code).inc()
        self._call_seconds.labels(operation).observe(seconds)

    def call_waited(self, kind: CallKind, seconds: float) -> None:
        """See `CallObserver`."""
        self._waits.labels(kind).observe(seconds)

    def call_throttled(self, kind: CallKind) -> None:
        """See `CallObserver`."""
        self._throttled.labels(kind).inc()

    def quota_reported(self, kind: CallKind, remaining: int) -> None:
        """See `CallObserver`."""
        self._reported.labels(kind).set(remaining)

    def watch(self, fleet: Fleet, queue: WorkQueue[ResourceKey], throttle: Throttle) -> None:
        """Serve what stands in the fleet, the queue and the throttle whenever somebody asks."""
        self.registry.register(_Collector(fleet, queue, throttle))


class _Collector(Collector):
    def __init__(self, fleet: Fleet, queue: WorkQueue[ResourceKey], throttle: Throttle) -> None:
        self._fleet = fleet
        self._queue = queue
        self._throttle = throttle

    def collect(self) -> Iterable[Metric]:
        """Make the series of this instant."""
        entries = list(self._fleet.entries.values())
        yield from _resource_series(entries)
        yield _gauge("queue_depth", "Resources that are due and not at work.", self._queue.depth)
        yield _gauge("reconciles_running", "Passes over vaults that are under way.", self._queue.running)
        yield _gauge(
            "queue_oldest_overdue_seconds", "Longest time that a resource has been due.", self._queue.oldest_overdue
        )
        remaining = GaugeMetricFamily(
            f"{PREFIX}_arm_quota_remaining",
            "Calls that the own budget would let through now.",
            labels=["scope", "kind"],
        )
        for number, lane in enumerate(self._throttle.states()):
            remaining.add_metric([str(number), lane.kind], lane.remaining)
        yield remaining


def _resource_series(entries: list[Entry]) -> Iterable[Metric]:
    labels = ["namespace", "name"]
    mappings = GaugeMetricFamily(f"{PREFIX}_mappings", "Mappings by state.", labels=[*labels, "state"])
    in_flight = GaugeMetricFamily(f"{PREFIX}_jobs_in_flight", "Jobs under way.", labels=labels)
    ready = GaugeMetricFamily(f"{PREFIX}_resource_ready", "1 if the resource is Ready.", labels=labels)
    for entry in entries:
        names = [entry.ref.key.namespace, entry.ref.key.name]
        counts = entry.state.counts
        for state, actions in _STATES.items():
            mappings.add_metric([*names, state], sum(counts[action] for action in actions))
        in_flight.add_metric(names, len(entry.state.operations))
        ready.add_metric(names, float(entry.is_ready))
    return mappings, in_flight, ready


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{PREFIX}_{name}", text, value)
