"""Faults meet the calls by which a policy finds vaults: nothing is removed, and what could not be seen is said."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from asr_simulator import SimulatorThread
from vault_autoupdate.discovery.reconciler import Surroundings
from vault_autoupdate.discovery.state import PolicyState
from vault_autoupdate.model.estate import Child
from vault_autoupdate.model.policy import VaultAutoUpdatePolicy, parse_policy
from vault_autoupdate.model.resource import ObjectRef
from vault_autoupdate.report.policy_readiness import standing_of_policy
from vault_autoupdate.report.policy_restore import read_child
from workbench.core import Azure, open_azure
from workbench.faults.discovery import DISCOVERY_CELLS, DiscoveryCall
from workbench.faults.matrix import LISTENER
from workbench.faults.model import Simulated
from workbench.kube.resources import policy_manifest
from workbench.policy_site import tenant, vault_spec

CELLS: Final = [pytest.param(call, fault.injection, id=f"{call}-{fault.name}") for call, fault in DISCOVERY_CELLS]
_VAULTS: Final = 6
"""That replicate; there is one more."""


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


@pytest.fixture(scope="session")
def sim() -> Iterator[SimulatorThread]:
    """Two vaults in each subscription that replicate, and one that does not yet."""
    specs = [vault_spec(subscription, number, items_per_mapping=1) for subscription in range(3) for number in range(2)]
    with SimulatorThread(tenant(specs=[*specs, vault_spec(0, 9, mix=None)])) as running:
        yield running


@pytest.fixture
def azure(sim: SimulatorThread, monkeypatch: pytest.MonkeyPatch) -> Iterator[Azure]:
    for name, value in sim.identity_env.items():
        monkeypatch.setenv(name, value)
    with open_azure(sim, request_timeout="0.5s") as opened:
        yield opened
    sim.control.clear_faults()


def _policy(call: DiscoveryCall, **changes: Any) -> VaultAutoUpdatePolicy:
    """A policy whose discovery makes the call, and that would remove whatever it may."""
    fields = {
        "scope": {"managementGroups": ["mg"]},
        "automationAccount": [{"namePattern": "aa-*"}],
        "mode": "Enforce",
        "onUnmatched": "Release",
        "limits": {"maxRemovals": "100%"},
        "vaultSelector": {"replication": "Present" if call is DiscoveryCall.GET_USAGES else "Any"},
        "discovery": {"source": "Auto" if call is DiscoveryCall.QUERY_GRAPH else "List"},
    }
    return parse_policy(policy_manifest(**(fields | changes)))


class _Discoveries:
    """Passes over a policy, and the resources that it makes."""

    def __init__(self, azure: Azure, policy: VaultAutoUpdatePolicy) -> None:
        self.policy = policy
        self.cluster = _Cluster()
        self.time = datetime(2026, 3, 1, tzinfo=UTC)
        self._state = PolicyState()
        self._core = azure.core.policies
        self._core._now = self._core._reader._now = lambda: self.time

    async def run(self) -> str:
        """One pass, two hours after the last one; returns what is said of the discovery."""
        self.time += timedelta(hours=2)
        state = self._state
        context = await self._core.discover(self.policy, state, None)
        resources = {key: (child,) for key, child in self.cluster.children.items()}
        around = Surroundings(resources, {}, lambda _: True, frozenset())
        await self._core.plan(self.policy, state, lambda: around, context, fresh=True)

        async def save() -> None:
            pass

        await self._core.apply(self.policy, state, self.cluster, save, lambda: True)
        assert state.estate is not None
        standing = standing_of_policy(self.policy, state.estate, state.plan, {})
        assert standing.complete is not None
        return standing.complete.reason


@pytest.mark.parametrize(("call", "fault"), CELLS)
def test_a_fault_that_lasts_removes_nothing_is_told_and_passes(
    azure: Azure, call: DiscoveryCall, fault: Simulated
) -> None:
    discoveries = _Discoveries(azure, _policy(call))

    async def runs() -> list[str]:
        first = await discoveries.run()
        if call is DiscoveryCall.LOOK_AT_VAULT:
            discoveries.policy = _policy(call, exclude={"names": ["dr-0-*"]})
        azure.control.add_fault(fault.kind, route=call.route, forever=True, **_parameters(fault))
        told = [await discoveries.run(), await discoveries.run()]
        azure.control.clear_faults()
        return [first, *told, await discoveries.run()]

    before = len(azure.requests(kind=call.route))
    first, *told, last = asyncio.run(runs())

    assert len(azure.requests(kind=call.route)) >= before + 2, "the call was made"
    assert (first, last) == ("Complete", "Complete")
    meant = _VAULTS if call is DiscoveryCall.GET_USAGES else _VAULTS + 1
    assert (discoveries.cluster.undone, len(discoveries.cluster.children)) == ([], meant)
    assert ("Complete" not in told) is call.decides_what_is_there
