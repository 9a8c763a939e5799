"""Prometheus metrics: what happens is counted here; what stands is read by `collector` when somebody asks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import TypeVar

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.metrics import MetricWrapperBase

from vault_autoupdate import __version__
from vault_autoupdate.arm.throttle import CallKind
from vault_autoupdate.controller.hints import HintPoll
from vault_autoupdate.decide.hints import Meaning
from vault_autoupdate.decide.jobs import Verdict, WorkKind
from vault_autoupdate.metrics.collector import Snapshot
from vault_autoupdate.metrics.page import Page
from vault_autoupdate.metrics.specs import (
    CODES,
    HINT_WAKES,
    KUBE_CODES,
    KUBE_OPERATIONS,
    OPERATIONS,
    PASS_RESULTS,
    UPDATE_OUTCOMES,
    spec,
)
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.reconcile.reconciler import Outcome

M = TypeVar("M", bound=MetricWrapperBase)

__all__ = ["Metrics"]

prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # one more series for each one there is


class Metrics:
    """Everything that is counted. Implements `CallObserver`, `RunObserver`, `PassObserver` and
    `HintObserver`."""

    def __init__(self, shard: str = "") -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._ended = {
            WorkKind.MAPPING: self._counter("jobs_total"),
            WorkKind.AGENT: self._counter("agent_updates_total"),
        }
        self._work_seconds = {
            WorkKind.MAPPING: self._histogram("job_duration_seconds"),
            WorkKind.AGENT: self._histogram("agent_update_duration_seconds"),
        }
        self._unknown_states = self._counter("job_unknown_states_total")
        self._drift = self._counter("drift_detected_total")
        self._repairs = self._counter("repairs_total")
        self._passes = self._counter("reconcile_total")
        self._pass_seconds = self._histogram("reconcile_duration_seconds")
        self._calls = self._counter("arm_requests_total")
        self._call_seconds = self._histogram("arm_request_duration_seconds")
        self._waits = self._histogram("arm_throttle_wait_seconds")
        self._throttled = self._counter("arm_throttled_total")
        self._reported = self._gauge("arm_quota_reported")
        self._tokens = self._counter("arm_token_requests_total")
        self._token_expiry = self._gauge("arm_token_expiry_timestamp_seconds")
        self._kube_calls = self._counter("kube_requests_total")
        self._statuses_skipped = self._counter("interim_statuses_skipped_total")
        self._hint_readings = self._counter("hint_readings_total")
        self._hint_entries = self._counter("hint_entries_total")
        self._hint_wakes = self._counter("hint_wakes_total")
        self._leading = self._gauge("leading")
        self._gauge("start_timestamp_seconds").set_to_current_time()
        self._gauge("build_info").labels(__version__, shard).set(1)
        self._initialise()

    def _initialise(self) -> None:
        """Make the label sets known from the start, so that a rate sees the first event."""
        for outcome in UPDATE_OUTCOMES:
            for ended in self._ended.values():
                ended.labels(outcome)
        for result in PASS_RESULTS:
            self._passes.labels(result)
        for identity in ("operator", "resource"):
            for result in ("success", "error"):
                self._tokens.labels(result, identity)
        for operation in KUBE_OPERATIONS:
            for code in KUBE_CODES:
                self._kube_calls.labels(operation, code)
        for operation in OPERATIONS:
            for code in CODES:
                self._calls.labels(operation, code)
            self._call_seconds.labels(operation)
        hints = (self._hint_readings, HintPoll), (self._hint_entries, Meaning), (self._hint_wakes, HINT_WAKES)
        for counter, value in ((counter, value) for counter, values in hints for value in values):
            counter.labels(value)
        for kind in CallKind:
            self._waits.labels(kind)
            self._throttled.labels(kind)

    # RunObserver

    def drift_found(self, drifted: int, unhealthy: int) -> None:
        """See `RunObserver`."""
        self._drift.inc(drifted)
        self._repairs.inc(unhealthy)

    def work_failed_to_start(self, kind: WorkKind, label: str, explanation: Explanation) -> None:  # noqa: ARG002 - unbounded
        """See `RunObserver`."""
        self._ended[kind].labels("failed_to_start").inc()

    def work_ended(
        self, kind: WorkKind, label: str, verdict: Verdict, took: timedelta, explanation: Explanation
    ) -> None:
        """See `RunObserver`."""
        del label, explanation  # unbounded
        self._ended[kind].labels(str(verdict)).inc()
        self._work_seconds[kind].observe(max(0.0, took.total_seconds()))

    def job_state_unknown(self, state: str) -> None:  # noqa: ARG002 - unbounded
        """See `RunObserver`."""
        self._unknown_states.inc()

    def pass_ended(self, outcome: Outcome, seconds: float) -> None:
        """A pass over a vault has ended."""
        result = "error" if outcome.error else "superseded" if outcome.superseded else "success"
        self._passes.labels(result).inc()
        self._pass_seconds.observe(seconds)

    def pass_not_written(self) -> None:
        """See `PassObserver`."""
        self._passes.labels("not_written").inc()

    def pass_crashed(self) -> None:
        """See `PassObserver`."""
        self._passes.labels("crashed").inc()

    def interim_status_skipped(self) -> None:
        """See `PassObserver`."""
        self._statuses_skipped.inc()

    # HintObserver

    def hints_read(self, result: HintPoll, meanings: Mapping[Meaning, int]) -> None:
        """See `HintObserver`."""
        self._hint_readings.labels(result).inc()
        for meaning, count in meanings.items():
            self._hint_entries.labels(meaning).inc(count)

    def hinted(self, *, woken: int, postponed: int) -> None:
        """See `HintObserver`."""
        for outcome, count in zip(HINT_WAKES, (woken, postponed), strict=True):
            self._hint_wakes.labels(outcome).inc(count)

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

    def token_fetched(self, expires_on: float | None) -> None:
        """A token was asked for; ``expires_on`` is the Unix time of its end, None if there was none to be had."""
        self._tokens.labels("error" if expires_on is None else "success", "operator").inc()
        if expires_on is not None:
            self._token_expiry.set(expires_on)

    def resource_token_fetched(self, expires_on: float | None) -> None:
        """Like `token_fetched`, of an identity that a resource brings along."""
        self._tokens.labels("error" if expires_on is None else "success", "resource").inc()

    def kube_call_finished(self, operation: str, code: str) -> None:
        """See `KubeCallObserver`."""
        self._kube_calls.labels(operation, code).inc()

    def leading_when(self, leading: Callable[[], bool]) -> None:
        """Show whether this replica leads as ``leading`` says, which any thread may ask."""
        self._leading.set_function(lambda: float(leading()))

    def credential_expires(self, at: float) -> None:
        """The credential itself ends at this Unix time."""
        self._gauge("credential_expiry_timestamp_seconds").set(at)

    def page(self, snapshot: Callable[[], Awaitable[Snapshot]], *, per_resource: bool = True) -> Page:
        """Make ``/metrics`` of what is counted here and what stands elsewhere.

        Args:
            snapshot: reads what stands; see `StateCollector`.
            per_resource: whether there are series for each resource.
        """
        return Page(self.registry, snapshot, per_resource=per_resource)

    def _counter(self, name: str) -> Counter:
        return self._make(Counter, name)

    def _gauge(self, name: str) -> Gauge:
        return self._make(Gauge, name)

    def _histogram(self, name: str) -> Histogram:
        wanted = spec(name)
        return Histogram(wanted.name, wanted.text, list(wanted.labels), buckets=wanted.buckets, registry=self.registry)

    def _make(self, kind: type[M], name: str) -> M:
        wanted = spec(name)
        return kind(wanted.name, wanted.text, list(wanted.labels), registry=self.registry)
