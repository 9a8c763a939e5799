"""After kill -9 in mid-run the new process keeps to what the one before has left of the limits."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from asr_simulator import SimulatorThread, parse_scenario
from workbench.kube.embedded_api import EmbeddedApi, open_embedded_api
from workbench.kube.resources import manifest
from workbench.process.operator import OperatorProcess
from workbench.process.waiting import wait_until

SCALE = 3
LIMIT = 40
"""Writes in a minute, which is 20 s here: longer than a restart takes, so that a kill finds the window about full."""
NAMES = ("one", "two", "three", "four")
EACH = 30
SUBSCRIPTION = "6f3b9f5e-8a3c-4c7e-9a53-0d1f6b2c7a10"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers"
ACCOUNT = f"{GROUP}/Microsoft.Automation/automationAccounts/aa"


@pytest.fixture
def sim() -> Iterator[SimulatorThread]:
    vaults = [
        {
            "subscription": SUBSCRIPTION,
            "resource_group": "rg",
            "name": name,
            "automation_account": ACCOUNT,
            "mix": {"disabled": EACH},
        }
        for name in NAMES
    ]
    jobs = {"duration": {"min": 20, "max": 20}}
    document = {"time_scale": SCALE, "jobs": jobs, "throttle": {"writes": f"{LIMIT}/60s"}, "vaults": vaults}
    with SimulatorThread(parse_scenario(document)) as running:
        yield running


@pytest.fixture
def api(tmp_path: Path) -> Iterator[EmbeddedApi]:
    with open_embedded_api(tmp_path, emulate=True) as running:
        yield running


@pytest.fixture
def operator(tmp_path: Path, api: EmbeddedApi, sim: SimulatorThread) -> Iterator[OperatorProcess]:
    process = OperatorProcess(
        tmp_path,
        kubeconfig=api.kubeconfig,
        arm_url=sim.url,
        identity=sim.identity_env,
        scale=SCALE,
        settings={"VAULT_AUTOUPDATE_WRITE_LIMIT": f"{LIMIT}/{60 / SCALE}s", "VAULT_AUTOUPDATE_AGENT_INTERVAL": "0s"},
    )
    yield process
    process.close()


def _refused(sim: SimulatorThread) -> int:
    return sum(
        kind[reason]
        for scope in sim.control.stats()["scopes"]
        for kind in (scope["writes"], scope["reads"])
        for reason in ("throttled", "throttled_by_arm")
    )


def _has_patched(sim: SimulatorThread, least: int) -> bool:
    return len(sim.control.patches()) >= least


def test_kills_in_mid_run_cost_no_429_and_no_second_patch(
    api: EmbeddedApi, sim: SimulatorThread, operator: OperatorProcess
) -> None:
    operator.start().wait_ready()
    for name in NAMES:
        api.apply(
            manifest(
                name,
                vaultResourceId=f"{GROUP}/Microsoft.RecoveryServices/vaults/{name}",
                automationAccountResourceId=ACCOUNT,
            )
        )
    for least in (5, 38, 45, 78):
        wait_until(partial(_has_patched, sim, least), within=60, what=f"{least} PATCHes", every=0.02)
        operator.kill()
        operator.start()
    began = time.monotonic()
    total = EACH * len(NAMES)
    wait_until(partial(_has_patched, sim, total), within=90, what=f"{total} PATCHes")

    assert _refused(sim) == 0
    assert {record["accepted"] for record in sim.control.patches().values()} == {1}
    assert time.monotonic() - began < 60, "what was left is done at the limit's pace"
