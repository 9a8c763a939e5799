"""Metrics of a controller without work, read as Prometheus reads them."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from vault_autoupdate.arm.throttle import CallKind, Throttle
from vault_autoupdate.cluster.watch_health import WatchHealth
from vault_autoupdate.cluster.write_health import WriteHealth
from vault_autoupdate.controller.policies import TrackedPolicy
from vault_autoupdate.controller.queue import WorkQueue
from vault_autoupdate.decide.account_report import AccountReport, Problem
from vault_autoupdate.decide.agent_report import AgentReport, Concern
from vault_autoupdate.decide.jobs import Operation
from vault_autoupdate.decide.look import Subject
from vault_autoupdate.decide.rollout import MachineFailure, Phase, Rollout, RolloutDecision
from vault_autoupdate.metrics.collector import StateCollector
from vault_autoupdate.metrics.counters import Metrics
from vault_autoupdate.metrics.page import write_page
from vault_autoupdate.model.azure import Machine
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.model.limits import Limit
from vault_autoupdate.model.policy import parse_policy
from vault_autoupdate.model.resource import ObjectRef, ResourceKey
from vault_autoupdate.model.windows import Window
from workbench.kube.resources import manifest, policy_manifest
from workbench.prometheus.fleet import idle_controller

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
WINDOWS = {"autoUpdate": "Disabled", "agentUpdates": {"schedule": "0 12 * * *", "duration": "2h"}}
REPORT = AgentReport(
    total=30,
    behind=4,
    unknown=1,
    concerns={Concern.EXPIRING: 3, Concern.UPDATE_REQUIRED: 4},
    versions=tuple((f"9.{66 - number}.1.1", 2) for number in range(10)),
    other_versions=10,
)
ACCOUNT = AccountReport(
    "aa", False, (Problem("ScheduleMissing", "words"),), next_run=NOW + HOUR, minutes_used=12.5, minutes_limit=500.0
)


class Served:
    """Metrics of a controller without work, read as Prometheus reads them."""

    def __init__(self, *, resources: bool = True, namespaces: tuple[str, ...] = ()) -> None:
        self.now = NOW
        self.health = WatchHealth(namespaces, clock=lambda: self.now.timestamp())  # noqa: PLW0108 - it changes
        self.writes = WriteHealth(clock=lambda: self.now.timestamp())  # noqa: PLW0108 - as above
        self.throttle = Throttle({CallKind.WRITE: [Limit(200, 60)], CallKind.READ: [Limit(10_000, 3600)]}, lambda: 0.0)
        self.metrics = Metrics()
        self.policies: dict[ResourceKey, TrackedPolicy] = {}
        self.controller = idle_controller(self.metrics, lambda: self.now)
        queue: WorkQueue[ResourceKey] = WorkQueue()
        self.standing = StateCollector(
            self.controller,
            queue,
            self.throttle,
            self.health,
            self.writes,
            now=lambda: self.now,
            policies=self.policies,
            look_intervals=dict.fromkeys(Subject, 6 * HOUR),
        )
        self.resources = resources

    def see(self, name: str, status: dict[str, Any] | None = None, **spec: Any) -> Any:
        """Let the controller see a resource, and return what it knows of it."""
        document = manifest(name, namespace="dr", **spec)
        document["metadata"] |= {"uid": f"uid-{name}", "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z"}
        self.controller.on_change({**document, "status": status or {}})
        entry = self.controller.resources[ResourceKey("dr", name)]
        entry.state.agents.report, entry.state.agents.at = REPORT, NOW
        entry.state.account.report, entry.state.account.at = ACCOUNT, NOW
        return entry

    def see_windows(self, name: str, status: dict[str, Any] | None = None) -> Any:
        """Let the controller see a resource whose agents are being updated in a window."""
        entry = self.see(name, status, **WINDOWS)
        entry.state.rollout = Rollout(
            window=Window(NOW - HOUR, NOW + HOUR),
            updates={"a": Operation("a", "job", NOW, name="vm-a"), "b": Operation("b", "job", NOW, name="vm-b")},
            failures={"c": MachineFailure("c", "vm-c", 3, NOW, Explanation("1", "words"))},
        )
        waiting = tuple(Machine(name, name) for name in "defg")
        entry.state.rollout_decision = RolloutDecision(Phase.ROLLING, waiting=waiting)
        entry.state.next_window = Window(NOW + 24 * HOUR, NOW + 26 * HOUR)
        return entry

    def see_policy(self, status: dict[str, Any], **spec: Any) -> None:
        """Let there be a policy with this status."""
        policy = parse_policy(policy_manifest(namespace="platform", **spec))
        self.policies[policy.key] = TrackedPolicy(ObjectRef(policy.key, "uid"), 1, policy, None, status)

    async def text(self) -> str:
        page = write_page(self.metrics.registry, await self.standing.snapshot(), per_resource=self.resources)
        assert gzip.decompress(page.gzipped) == page.text
        return page.text.decode()

    async def samples(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(await self.text())
            for sample in family.samples
        }

    async def value(self, metric: str, /, **labels: str) -> float | None:
        return (await self.samples()).get((f"vault_autoupdate_{metric}", frozenset(labels.items())))


WELL: dict[str, str] = {"AgentsCurrent": "True", "AutomationAccountHealthy": "True"}


def status_of(ready: str, reason: str, since: str = "2026-03-01T09:00:00Z", **others: str) -> dict[str, Any]:
    conditions = [
        {"type": kind, "status": status, "reason": reason, "message": "", "lastTransitionTime": since}
        for kind, status in {"Ready": ready, **others}.items()
    ]
    return {"observedGeneration": 1, "conditions": conditions}
