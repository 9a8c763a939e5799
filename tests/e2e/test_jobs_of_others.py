"""A mapping that waits for somebody else's job says so: which job, what it does, and since when."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.e2e.conftest import AzureFactory
from vault_autoupdate.cli.status_rows import fleet_rows
from vault_autoupdate.core import utc_now
from vault_autoupdate.decide.plan import Action
from vault_autoupdate.decide.state import VaultState
from vault_autoupdate.model.arm_id import parse_vault_id
from vault_autoupdate.report.document import build_status
from vault_autoupdate.report.readiness import Readiness
from vault_autoupdate.report.restore import restore
from workbench.core import VAULT, Azure, resource

SCENARIO = "ModifyCloudPairing"


async def _begin_job_of_somebody_else(arm: Azure) -> str:
    """Another client changes a mapping, and its job goes on; returns the mapping's path."""
    other, state = resource(), VaultState()
    superseded = asyncio.Event()

    def stop(_: Readiness) -> None:
        if state.operations:
            superseded.set()

    await arm.reconcile(other, state, superseded=superseded, on_report=stop)
    (operation,) = state.operations.values()
    return operation.label


async def test_the_plan_names_the_job_that_a_mapping_waits_for(azure: AzureFactory) -> None:
    arm = azure(mix={"disabled": 1}, jobs={"duration": {"min": 100_000, "max": 100_000}})
    await _begin_job_of_somebody_else(arm)
    (decision,) = (await arm.plan(resource())).decisions
    assert decision.action is Action.TRACK
    assert decision.reason.startswith("a job that was begun elsewhere is at work on it since 20")
    assert SCENARIO in decision.reason


async def test_status_and_its_wide_table_name_it_and_so_does_ready_also_after_a_restart(azure: AzureFactory) -> None:
    arm = azure(mix={"disabled": 1}, jobs={"duration": {"min": 100_000, "max": 100_000}})
    path = await _begin_job_of_somebody_else(arm)
    state, superseded = VaultState(), asyncio.Event()
    told: list[Readiness] = []

    def note(readiness: Readiness) -> None:
        if state.operations:
            told.append(readiness)
            superseded.set()

    outcome = await arm.reconcile(resource(), state, superseded=superseded, on_report=note)
    assert f"{path}: a job that was begun elsewhere is at work on it since" in told[-1].message
    assert SCENARIO in told[-1].message

    status: dict[str, Any] = build_status(resource(), state, outcome.readiness, {}, utc_now())
    (entry,) = status["operations"]
    assert (entry["mapping"], entry["adopted"], entry["scenario"]) == (path, True, SCENARIO)
    (row,) = fleet_rows([{"metadata": {"name": "dr", "namespace": "default"}, "status": status}])
    assert row.others_job == f"{path}: {SCENARIO} since {entry['startedAt']}"

    restored = restore(status, parse_vault_id(VAULT), utc_now())
    assert [each.scenario for each in restored.operations.values()] == [SCENARIO]


async def test_a_job_of_our_own_is_not_called_somebody_elses(azure: AzureFactory) -> None:
    arm = azure(mix={"disabled": 1}, jobs={"duration": {"min": 100_000, "max": 100_000}})
    state, superseded, told = VaultState(), asyncio.Event(), list[str]()

    def note(readiness: Readiness) -> None:
        if state.operations:
            told.append(readiness.message)
            superseded.set()

    outcome = await arm.reconcile(resource(), state, superseded=superseded, on_report=note)
    assert told
    assert "elsewhere" not in told[-1]
    status = build_status(resource(), state, outcome.readiness, {}, utc_now())
    (row,) = fleet_rows([{"metadata": {"name": "dr", "namespace": "default"}, "status": status}])
    assert row.others_job == ""
