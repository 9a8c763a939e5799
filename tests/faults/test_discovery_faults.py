"""Faults meet the calls by which a policy finds vaults: nothing is removed, and what could not be seen is said."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest

from asr_simulator import SimulatorThread
from vault_autoupdate.discovery.reconciler import Surroundings
from vault_autoupdate.discovery.state import PolicyState
from vault_autoupdate.model.estate import Child
from vault_autoupdate.model.policy import parse_policy
from vault_autoupdate.model.resource import ObjectRef
from vault_autoupdate.report.policy_readiness import standing_of_policy
from vault_autoupdate.report.policy_restore import read_child
from workbench.core import Azure, open_azure
from workbench.faults.matrix import FAULTS, LISTENER
from workbench.faults.model import Simulated
from workbench.kube.resources import policy_manifest
from workbench.policy_site import tenant

ROUTES: Final = ("subscriptions", "descendants", "vaults", "automation_accounts", "resource_graph")
_OUTLASTS: Final = frozenset({"429-with-a-date", "429-with-an-absurd-retry-after"})
"""Azure's wish to be left alone goes on when the fault has ended."""
_THROTTLED: Final = "vaults"
"""A wish to be left alone takes five seconds, and is the same for all that share a client: one stands for all."""
_HAS_NO_PAGES: Final = "resource_graph"
"""It pages by tokens, and not by links."""
CELLS: Final = [
    pytest.param(route, fault.injection, id=f"{route}-{fault.name}")
    for route in ROUTES
    for fault in FAULTS
    if isinstance(fault.injection, Simulated)
    and fault.name not in _OUTLASTS
    and (fault.injection.kind != "throttle" or route == _THROTTLED)
    and not fault.injection.is_slow
    and not (fault.injection.kind.startswith("next_link") and route == _HAS_NO_PAGES)
]
"""Slow answers are left out: for these calls they end in the same time-out as a reset, only later."""
_VAULTS: Final = 6


class _Cluster:
    """Resources in memory."""

    def __init__(self) -> None:
        self.children: dict[str, Child] = {}
        self.undone: list[str] = []

    async def create(self, manifest: Mapping[str, Any]) -> None:
        name = manifest["metadata"]["name"]
        child = read_child({**manifest, "metadata": {**manifest["metadata"], "uid": name}})
        assert child is not None
        self.children[child.vault_key] = child

    async def change(self, ref: ObjectRef, changes: Mapping[str, Any]) -> None:
        self.undone.append(f"changed {ref.key}: {changes}")

    async def remove(self, ref: ObjectRef) -> None:
        self.undone.append(f"removed {ref.key}")


def _parameters(fault: Simulated) -> dict[str, Any]:
    """Nobody listens where the fault leads to."""
    return {
        name: value.replace(LISTENER, "http://127.0.0.1:9") if isinstance(value, str) else value
        for name, value in fault.parameters.items()
    }


@pytest.fixture(scope="module")
def sim() -> Iterator[SimulatorThread]:
    with SimulatorThread(tenant(vaults=2)) as running:
        yield running


@pytest.fixture
def azure(sim: SimulatorThread, monkeypatch: pytest.MonkeyPatch) -> Iterator[Azure]:
    for name, value in sim.identity_env.items():
        monkeypatch.setenv(name, value)
    with open_azure(sim, request_timeout="0.5s") as opened:
        yield opened
    sim.control.clear_faults()


@pytest.mark.parametrize(("route", "fault"), CELLS)
def test_a_fault_that_lasts_removes_nothing_is_told_and_passes(azure: Azure, route: str, fault: Simulated) -> None:
    policy = parse_policy(
        policy_manifest(
            scope={"managementGroups": ["mg"]},
            automationAccount=[{"namePattern": "aa-*"}],
            mode="Enforce",
            onUnmatched="Release",
            limits={"maxRemovals": "100%"},
            discovery={"source": "Auto" if route == "resource_graph" else "List"},
        )
    )
    state, cluster = PolicyState(), _Cluster()
    core = azure.core.policies

    async def run() -> str:
        context = await core.discover(policy, state, None)
        around = Surroundings(
            {key: (child,) for key, child in cluster.children.items()}, {}, lambda _: True, frozenset()
        )
        await core.plan(policy, state, lambda: around, context, fresh=True)

        async def save() -> None:
            pass

        await core.apply(policy, state, cluster, save, lambda: True)
        assert state.estate is not None
        standing = standing_of_policy(policy, state.estate, state.plan, {})
        assert standing.complete is not None
        return standing.complete.reason

    async def runs() -> list[str]:
        first = await run()
        azure.control.add_fault(fault.kind, route=route, forever=True, **_parameters(fault))
        told = await run()
        azure.control.clear_faults()
        return [first, told, await run()]

    first, told, last = asyncio.run(runs())

    assert (first, last) == ("Complete", "Complete")
    assert (cluster.undone, len(cluster.children)) == ([], _VAULTS)
    if route in {"subscriptions", "descendants", "vaults"}:
        assert told != "Complete"
