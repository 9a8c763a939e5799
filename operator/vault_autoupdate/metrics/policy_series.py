"""From policies to their series. All of it stands in their status, so that it is there after a restart as well."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from prometheus_client.core import GaugeMetricFamily

from vault_autoupdate.metrics.policy_specs import POLICY_SPECS, PendingStep, SubscriptionState, VaultStanding
from vault_autoupdate.metrics.spec_types import PREFIX
from vault_autoupdate.model.conditions import ConditionStatus, ConditionType
from vault_autoupdate.model.resource import Mode
from vault_autoupdate.report.values import read_count, read_entries, read_time

if TYPE_CHECKING:  # it is loaded where policies are worked on, and nowhere else
    from vault_autoupdate.controller.policies import TrackedPolicy

Sample = tuple[str, tuple[str, ...], float]
"""Name without the prefix, further labels, value."""

_COUNTED: Final = {
    VaultStanding.MANAGED: "managed",
    VaultStanding.WITHOUT_ACCOUNT: "withoutAccount",
    VaultStanding.FOREIGN: "foreign",
    VaultStanding.CONFLICTING: "conflicting",
    VaultStanding.EXCLUDED: "excluded",
    VaultStanding.WITHOUT_REPLICATION: "withoutReplication",
    VaultStanding.NOT_ALLOWED: "notAllowed",
}
"""By standing, what it is in the status; the other two are what is left."""
_MEANT: Final = (
    VaultStanding.MANAGED,
    VaultStanding.WITHOUT_ACCOUNT,
    VaultStanding.FOREIGN,
    VaultStanding.CONFLICTING,
)

__all__ = ["policy_families"]


def policy_families(policies: Iterable[TrackedPolicy]) -> Iterator[GaugeMetricFamily]:
    """The series of all policies, in the order of their specs; none of what is not known."""
    found: dict[str, list[tuple[tuple[str, ...], float]]] = defaultdict(list)
    for tracked in policies:
        key = tracked.ref.key
        for name, more, value in _samples_of(tracked):
            found[f"{PREFIX}_policy_{name}"].append(((key.namespace, key.name, *more), value))
    for spec in POLICY_SPECS:
        family = GaugeMetricFamily(spec.name, spec.text, labels=list(spec.labels))
        for labels, value in found[spec.name]:
            family.add_metric(list(labels), value)
        yield family


def _samples_of(tracked: TrackedPolicy) -> Iterator[Sample]:
    status, policy = tracked.status, tracked.policy
    conditions = {each.get("type"): each for each in read_entries(status.get("conditions"))}
    if ready := conditions.get(ConditionType.READY):
        yield "ready", (str(ready.get("reason")),), ready.get("status") == ConditionStatus.TRUE
    if policy is not None:
        yield "enforced", (), policy.spec.mode is Mode.ENFORCE
        yield "suspended", (), policy.spec.suspend
        yield "discovery_interval_seconds", (), policy.spec.discovery.interval.total_seconds()
    for name, kind in (
        ("discovery_complete", ConditionType.DISCOVERY_COMPLETE),
        ("rollout_paused", ConditionType.ROLLOUT_PAUSED),
        ("removals_blocked", ConditionType.REMOVALS_BLOCKED),
    ):
        if kind in conditions:
            yield name, (), conditions[kind].get("status") == ConditionStatus.TRUE
    yield from _discovery_samples(tracked)
    if isinstance(counts := status.get("vaults"), Mapping):
        yield from _vault_samples(counts)
    if isinstance(pending := status.get("pending"), Mapping):
        for step in PendingStep:
            yield "pending", (step,), read_count(pending.get(step))


def _discovery_samples(tracked: TrackedPolicy) -> Iterator[Sample]:
    discovery: Mapping[str, Any] = tracked.status.get("discovery") or {}
    began, ended = read_time(discovery.get("startedAt")), read_time(discovery.get("completedAt"))
    if began is not None and ended is not None:
        yield "discovery_duration_seconds", (), (ended - began).total_seconds()
    complete = read_time(discovery.get("lastCompleteAt")) or (tracked.policy.created_at if tracked.policy else None)
    if complete is not None:
        yield "last_complete_discovery_timestamp_seconds", (), complete.timestamp()
    if isinstance(subscriptions := discovery.get("subscriptions"), Mapping):
        for state in SubscriptionState:
            yield "subscriptions", (state,), read_count(subscriptions.get(state))


def _vault_samples(counts: Mapping[str, Any]) -> Iterator[Sample]:
    known = {standing: read_count(counts.get(name)) for standing, name in _COUNTED.items()}
    selected, found = read_count(counts.get("selected")), read_count(counts.get("found"))
    beside = selected + known[VaultStanding.EXCLUDED] + known[VaultStanding.WITHOUT_REPLICATION]
    known[VaultStanding.MISSING] = max(0, selected - sum(known[each] for each in _MEANT))
    known[VaultStanding.NOT_SELECTED] = max(0, found - beside)
    for standing in VaultStanding:
        yield "vaults", (standing,), known[standing]
    if selected:
        yield "coverage_ratio", (), known[VaultStanding.MANAGED] / selected
    yield "resources_not_ready", (), read_count(counts.get("notReady"))
    yield "resources_orphaned", (), read_count(counts.get("orphaned"))
