"""What a pass has read and made is gone when it ends: thousands follow each other, and garbage is rarely looked for."""

from __future__ import annotations

import gc

import pytest

from tests.e2e.conftest import AzureFactory
from vault_autoupdate.decide.state import VaultState
from vault_autoupdate.model.azure import ContainerMapping
from vault_autoupdate.reconcile.context import ReconcileContext
from workbench.core import resource

OF_A_PASS = (ReconcileContext, ContainerMapping)


@pytest.mark.parametrize("mix", [{"enabled_compliant": 3}, {"enabled_compliant": 2, "disabled": 1}])
async def test_nothing_of_a_pass_waits_for_the_garbage_collector(azure: AzureFactory, mix: dict[str, int]) -> None:
    arm, state = azure(mix=mix), VaultState()
    gc.collect()
    before = [each for each in gc.get_objects() if isinstance(each, OF_A_PASS)]
    gc.disable()
    try:
        await arm.reconcile(resource(drift={"attribution": "Caller"}, automationAccountChecks=False), state)
        left = [each for each in gc.get_objects() if isinstance(each, OF_A_PASS)]
    finally:
        gc.enable()
    assert len(left) == len(before)
