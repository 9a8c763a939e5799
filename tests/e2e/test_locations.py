"""A fleet that is declared at once: a list tells where its vaults are, and whatever is wrong with that costs calls."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import pytest

from tests.e2e.conftest import AzureFactory
from vault_autoupdate.arm import locations
from vault_autoupdate.decide.state import VaultState
from workbench.core import ACCOUNT, SUBSCRIPTION, VAULT, Azure, resource

FLEET: Final = 12
SINGLY: Final = 4
"""Vaults that are read before it is seen that there are more."""
_OTHER: Final = "https://elsewhere.example/subscriptions"
LIES: Final[dict[str, dict[str, Any]]] = {
    "forbidden": {"kind": "status", "status": 403, "code": "AuthorizationFailed"},
    "cut": {"kind": "reset_before"},
    "another shape": {"kind": "wrong_shape", "body": "[1, 2]"},
    "an empty list": {"kind": "empty_list"},
    "half of the rows": {"kind": "rows_missing"},
    "a link to elsewhere": {"kind": "next_link_host", "url": _OTHER},
    "a link to itself": {"kind": "next_link_loop"},
    "never": {"kind": "hang", "seconds": 3.0},
}


@pytest.fixture
def fleet(azure: AzureFactory) -> Azure:
    vault = {
        "subscription": SUBSCRIPTION,
        "resource_group": "rg-dr",
        "automation_account": ACCOUNT,
        "mix": {"enabled_compliant": 1},
    }
    return azure(vaults=[{**vault, "name": f"dr-{number}"} for number in range(FLEET)])


async def _locate_all(fleet: Azure) -> dict[str, int]:
    """One look at each vault, all at the same time; how often what was called."""
    states = [VaultState() for _ in range(FLEET)]
    specs = [resource(vaultResourceId=f"{VAULT}-{number}", automationAccountChecks=False) for number in range(FLEET)]
    await asyncio.gather(*(fleet.reconcile(spec, state) for spec, state in zip(specs, states, strict=True)))
    assert {state.location for state in states} == {"westeurope"}
    return fleet.control.stats()["calls"]


async def test_one_list_is_read_instead_of_each_vault(fleet: Azure) -> None:
    calls = await _locate_all(fleet)

    assert (calls["GET vault"], calls["GET vaults"]) == (SINGLY, 1)


@pytest.mark.parametrize("lie", LIES)
async def test_whatever_the_list_says_each_vault_is_found(
    fleet: Azure, lie: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locations, "_PATIENCE", 0.5)
    fleet.control.add_fault(route="vaults", forever=True, **LIES[lie])

    calls = await _locate_all(fleet)

    assert SINGLY < calls["GET vault"] <= FLEET
