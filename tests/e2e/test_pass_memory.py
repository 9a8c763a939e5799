"""What a pass has read and made is gone when it ends: thousands follow each other, and garbage is rarely looked for."""

from __future__ import annotations

import asyncio
import contextlib
import gc

import pytest

from tests.e2e.conftest import AzureFactory
from vault_autoupdate.decide.state import VaultState
from vault_autoupdate.model.azure import ContainerMapping
from vault_autoupdate.reconcile.context import ReconcileContext
from workbench.core import resource

OF_A_PASS = (ReconcileContext, ContainerMapping)


def _of_a_pass() -> list[object]:
    return [each for each in gc.get_objects() if isinstance(each, OF_A_PASS)]


@pytest.mark.parametrize("mix", [{"enabled_compliant": 3}, {"enabled_compliant": 2, "disabled": 1}])
async def test_nothing_of_a_pass_waits_for_the_garbage_collector(azure: AzureFactory, mix: dict[str, int]) -> None:
    arm, state = azure(mix=mix), VaultState()
    gc.collect()
    before = len(_of_a_pass())
    gc.disable()
    try:
        await arm.reconcile(resource(drift={"attribution": "Caller"}, automationAccountChecks=False), state)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):  # the thread that read them may be about to let go of them
                while len(_of_a_pass()) > before:  # noqa: ASYNC110 - nothing tells of it
                    await asyncio.sleep(0.01)
        left = _of_a_pass()
    finally:
        gc.enable()
    assert len(left) == before, left
