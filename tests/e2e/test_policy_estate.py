"""A policy over 5,000 vaults in 200 subscriptions, over real HTTP: no fault removes anything or switches anything off.

The resources are kept in memory here; those of a real API server are in tests/cluster/operator/test_policies.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest

from asr_simulator import SimulatorThread
from vault_autoupdate.discovery.reconciler import Surroundings
from vault_autoupdate.discovery.state import PolicyState
from vault_autoupdate.model.estate import Child, Look, Verdict
from vault_autoupdate.model.policy import parse_policy
from vault_autoupdate.model.resource import ObjectRef
from vault_autoupdate.report.policy_restore import read_child
from workbench.core import Azure, open_azure
from workbench.kube.resources import policy_manifest
from workbench.policy_site import subscription_of, tenant, vault_spec

_SUBSCRIPTIONS, _VAULTS = 200, 25
_ALL = _SUBSCRIPTIONS * _VAULTS
_OTHER = subscription_of(7)
_GRAPH = {"kind": "status", "route": "resource_graph"}
_RESETS_SOON = {"x-ms-user-quota-resets-after": "00:00:01"}

pytestmark = [
    pytest.mark.timeout(300),  # the simulator answers thousands of calls from the same process
    pytest.mark.xdist_group("estate"),  # which is made once
]


class _Cluster:
    """Resources in memory, all of them Ready at once."""

    _read: ClassVar[dict[str, tuple[Mapping[str, Any], Child | None]]] = {}

    def __init__(self, bodies: Mapping[str, dict[str, Any]]) -> None:
        self.bodies = dict(bodies)
        self.removed: list[str] = []
        self.changes: list[Mapping[str, Any]] = []

    async def create(self, manifest: Mapping[str, Any]) -> None:
        name = manifest["metadata"]["name"]
        metadata = {**manifest["metadata"], "uid": name, "generation": 1, "creationTimestamp": "2020-01-01T00:00:00Z"}
        ready = {
            "type": "Ready",
            "status": "True",
            "observedGeneration": 1,
            "lastTransitionTime": "2020-01-01T00:00:00Z",
        }
        self.bodies[name] = {**manifest, "metadata": metadata, "status": {"conditions": [ready]}}

    async def change(self, ref: ObjectRef, changes: Mapping[str, Any]) -> None:
        self.changes.append(changes)

    async def remove(self, ref: ObjectRef) -> None:
        self.removed.append(ref.key.name)
        del self.bodies[ref.key.name]

    def resources(self) -> dict[str, tuple[Child, ...]]:
        children = (self._child(name, body) for name, body in self.bodies.items())
        return {child.vault_key: (child,) for child in children if child}

    def _child(self, name: str, body: Mapping[str, Any]) -> Child | None:
        """What the body says, read once as by the operator, which reads it when it changes."""
        if (found := self._read.get(name)) is None or found[0] is not body:
            found = self._read[name] = (body, read_child(body))
        return found[1]


class _Policy:
    """One policy at work, with a clock of its own."""

    def __init__(self, azure: Azure, bodies: Mapping[str, dict[str, Any]] | None = None, **spec: Any) -> None:
        self.azure = azure
        self.cluster = _Cluster(bodies or {})
        self.state = PolicyState()
        self.time = datetime(2026, 3, 1, tzinfo=UTC)
        fields: dict[str, Any] = {
            "scope": {"managementGroups": ["mg"]},
            "automationAccount": [{"namePattern": "aa-*"}],
            "mode": "Enforce",
            "onUnmatched": "Release",
            "limits": {"maxNew": 1000, "maxNewPerHour": 100_000, "maxRemovals": "100%"},
        }
        self.policy = parse_policy(policy_manifest(**(fields | spec)))
        self.reconciler = azure.core.policies
        self.reconciler._now = self.reconciler._reader._now = lambda: self.time

    async def run(self, *, hours: float = 1.0) -> int:
        """One pass, some time after the last one; returns how many resources were written."""
        self.time += timedelta(hours=hours)
        context = await self.reconciler.discover(self.policy, self.state, None)
        around = Surroundings(self.cluster.resources(), {}, lambda _: True, frozenset())
        await self.reconciler.plan(self.policy, self.state, lambda: around, context, fresh=True)

        async def save() -> None:
            pass

        return await self.reconciler.apply(self.policy, self.state, self.cluster, save, lambda: True)

    async def cover(self) -> None:
        """Pass until every vault has a resource."""
        while await self.run(hours=0):
            pass


@pytest.fixture(scope="module")
def sim() -> Iterator[SimulatorThread]:
    """5,000 vaults without mappings: what is in them does not matter to who looks for them."""
    specs = [
        vault_spec(subscription, number, mix=None, tags={"dr": "gold"})
        for subscription in range(_SUBSCRIPTIONS)
        for number in range(_VAULTS)
    ]
    graph = {"spread": 0, "lag": 1}
    with SimulatorThread(tenant(subscriptions=_SUBSCRIPTIONS, specs=specs, graph=graph)) as running:
        yield running


@pytest.fixture
def azure(sim: SimulatorThread, monkeypatch: pytest.MonkeyPatch) -> Iterator[Azure]:
    for name, value in sim.identity_env.items():
        monkeypatch.setenv(name, value)
    with open_azure(sim, request_timeout="30s") as opened:
        yield opened
    sim.control.clear_faults()


@pytest.fixture(scope="module")
def covered(sim: SimulatorThread) -> dict[str, dict[str, Any]]:
    """A resource for each vault, as a policy made them."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in sim.identity_env.items():
            environment.setenv(name, value)
        with open_azure(sim, request_timeout="30s") as azure:
            policy = _Policy(azure)
            asyncio.run(policy.cover())
    assert len(policy.cluster.bodies) == _ALL
    return policy.cluster.bodies


def test_a_discovery_is_few_queries_and_a_check_two_lists_of_each_subscription(
    azure: Azure, sim: SimulatorThread
) -> None:
    policy = _Policy(azure)

    def calls() -> int:
        return sim.control.state()["requests"]

    async def passes() -> tuple[int, int]:
        before = calls()
        await policy.run()
        listed = calls()
        await policy.run(hours=1)
        return listed - before, calls() - listed

    by_list, by_graph = asyncio.run(passes())

    assert by_list <= 2 * _SUBSCRIPTIONS + 3  # and the token
    assert by_graph <= 10
    assert policy.state.estate is not None
    assert (policy.state.estate.source, len(policy.state.estate.vaults)) == ("Graph", _ALL)


@pytest.mark.parametrize(
    ("source", "faults"),
    [
        pytest.param("Auto", [{"kind": "rows_missing", "share": 0.5}], id="rows-of-the-graph-missing"),
        pytest.param("Auto", [{"kind": "empty_list"}], id="graph-empty-with-success"),
        pytest.param("List", [{"kind": "rows_missing", "share": 0.5}], id="rows-missing"),
        pytest.param("List", [{"kind": "empty_list"}], id="empty-with-success"),
        pytest.param("Auto", [{"kind": "graph_rows_shift"}], id="rows-shift"),
        pytest.param("Auto", [{"kind": "graph_truncated"}], id="truncated"),
        pytest.param("Auto", [{"kind": "graph_limit_hit"}], id="limit-hit"),
        pytest.param("Auto", [{**_GRAPH, "status": 429, "code": "RateLimiting", "headers": _RESETS_SOON}], id="quota"),
        pytest.param("Auto", [{**_GRAPH, "status": 403, "code": "AccessDenied"}], id="graph-denied"),
        pytest.param(
            "List",
            [
                {"kind": "status", "route": route, "subscription": _OTHER, "status": 403}
                for route in ("vaults", "vault")
            ],
            id="one-subscription-denied",
        ),
        pytest.param(
            "List",
            [
                {"kind": "status", "route": route, "status": 404, "code": "SubscriptionNotFound"}
                for route in ("vaults", "vault", "resource_graph")
            ],
            id="subscriptions-not-found",
        ),
        pytest.param(
            "List",
            [{"kind": "status", "route": "subscriptions", "status": 200, "body": {"value": []}}],
            id="no-rights-at-all",
        ),
        pytest.param(
            "List", [{"kind": "status", "route": "descendants", "status": 200, "body": {"value": []}}], id="empty-group"
        ),
    ],
)
def test_no_fault_removes_anything_or_switches_anything_off(
    azure: Azure, sim: SimulatorThread, covered: dict[str, dict[str, Any]], source: str, faults: list[dict[str, Any]]
) -> None:
    policy = _Policy(azure, covered, discovery={"source": source})

    async def passes() -> None:
        policy.state.verified_at = policy.time  # so that Resource Graph is asked, where it may be
        for fault in faults:
            sim.control.add_fault(**fault, forever=True)
        for _ in range(2):
            await policy.run(hours=2)

    asyncio.run(passes())

    assert (policy.cluster.removed, policy.cluster.changes) == ([], [])
    assert len(policy.cluster.bodies) == _ALL


def test_what_is_truly_gone_or_left_is_released_after_an_hour_and_nothing_else(
    azure: Azure, sim: SimulatorThread, covered: dict[str, dict[str, Any]]
) -> None:
    policy = _Policy(azure, covered, vaultSelector={"matchTags": {"dr": ["gold"]}}, discovery={"source": "List"})

    async def passes() -> None:
        await policy.run()
        sim.control.delete_vaults("dr-3-3")
        sim.control.tag_vault("dr-4-4", dr="silver")
        await policy.run(hours=1)
        assert policy.cluster.removed == []
        await policy.run(hours=1)

    try:
        asyncio.run(passes())
        assert sorted(name.rpartition("-")[0] for name in policy.cluster.removed) == ["estate-dr-3-3", "estate-dr-4-4"]
    finally:
        sim.control.add_vaults(vault_spec(3, 3, mix=None, tags={"dr": "gold"}))
        sim.control.tag_vault("dr-4-4", dr="gold")


def test_a_look_at_a_vault_tells_gone_from_unreachable(azure: Azure, sim: SimulatorThread) -> None:
    policy = _Policy(azure)
    vault = next(iter(sim.world.vaults.values()))

    async def look() -> Look:
        context = policy.reconciler.context(policy.policy, None)
        await policy.reconciler.discover(policy.policy, policy.state, None)
        assert policy.state.estate is not None
        return await policy.reconciler._reader.look(context, policy.state.estate.vaults[vault.id.lower()].id)

    assert asyncio.run(look()).verdict is Verdict.THERE
    for code, verdict in (("ResourceNotFound", Verdict.GONE), ("SubscriptionNotFound", Verdict.UNREACHABLE)):
        sim.control.add_fault("status", route="vault", status=404, code=code)
        assert asyncio.run(look()).verdict is verdict
