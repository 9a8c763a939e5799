"""Whether the machines' agents get updated, which is what all this is for: looked at now and then, and at no cost."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.e2e.conftest import AzureFactory
from vault_autoupdate.core import utc_now
from vault_autoupdate.decide.agent_report import AgentReport
from vault_autoupdate.decide.look import Look
from vault_autoupdate.decide.state import VaultState
from vault_autoupdate.model.arm_id import parse_vault_id
from vault_autoupdate.report.document import build_status
from vault_autoupdate.report.readiness import Readiness
from vault_autoupdate.report.restore import restore
from workbench.core import VAULT, Azure, resource

MACHINES: dict[str, Any] = {
    "mix": {"enabled_compliant": 4, "other_provider": 2, "unpaired": 1},
    "items_per_mapping": 30,
    "outdated_agent_share": 0.25,
}


def reads(arm: Azure) -> int:
    return len(arm.requests(kind="protected_items"))


async def test_machines_behind_are_counted_after_the_vault_is_as_declared(azure: AzureFactory) -> None:
    arm, state = azure(vault=MACHINES), VaultState()
    outcome = await arm.reconcile(resource(), state)
    assert state.agents.report is not None
    assert (state.agents.report.total, state.agents.report.unknown) == (120, 0)
    assert 10 < state.agents.report.behind < 60
    status = build_status(resource(), state, outcome.readiness, {}, utc_now())
    told = {"total": 120, "behind": state.agents.report.behind, "unknown": 0}
    assert told.items() <= status["agents"].items()
    condition = next(each for each in status["conditions"] if each["type"] == "AgentsCurrent")
    assert (condition["status"], condition["reason"]) == ("False", "UpdatesWaiting")


async def test_they_are_counted_again_when_their_time_has_come_and_not_at_each_look(azure: AzureFactory) -> None:
    arm, state = azure(vault=MACHINES), VaultState()
    await arm.reconcile(resource(), state)
    once = reads(arm)
    await arm.reconcile(resource(), state)
    assert reads(arm) == once > 0
    assert state.agents.due is not None
    state.agents.due = utc_now() - timedelta(seconds=1)
    await arm.reconcile(resource(), state)
    assert reads(arm) == 2 * once


async def test_a_restarted_process_keeps_the_count_and_is_in_no_hurry(azure: AzureFactory) -> None:
    arm, state = azure(vault=MACHINES), VaultState()
    outcome = await arm.reconcile(resource(), state)
    status = build_status(resource(), state, outcome.readiness, {}, utc_now())
    once = reads(arm)
    restored = restore(status, parse_vault_id(VAULT), utc_now())
    await arm.reconcile(resource(), restored)
    assert state.agents.report is not None
    assert restored.agents.report == replace(state.agents.report, worst=())
    again = build_status(resource(), restored, outcome.readiness, status, utc_now())
    assert again["agents"] == status["agents"], "those that somebody should look at stay in the status"
    assert reads(arm) == once
    assert restored.agents.due is not None
    assert utc_now() <= restored.agents.due <= utc_now() + timedelta(hours=6)


async def test_without_the_right_to_read_them_all_else_goes_on(azure: AzureFactory) -> None:
    arm, state = azure(vault=MACHINES), VaultState(agents=Look(AgentReport(1, 1), due=utc_now()))
    arm.control.add_fault("status", route="protected_items", status=403, code="AuthorizationFailed", forever=True)
    outcome = await arm.reconcile(resource(), state)
    assert (outcome.error, outcome.readiness.ready) == (None, "True")
    assert state.agents.report is None, "what is no longer known is not shown"
    condition = next(
        each
        for each in build_status(resource(), state, outcome.readiness, {}, utc_now())["conditions"]
        if each["type"] == "AgentsCurrent"
    )
    assert (condition["status"], condition["reason"]) == ("Unknown", "AuthorizationFailed")
    assert reads(arm) == 1
    await arm.reconcile(resource(), state)
    assert reads(arm) == 1, "not asked again at each look"


@pytest.mark.parametrize(
    "fault", [{"kind": "status", "status": 503, "times": 4}, {"kind": "truncated_json", "times": 4}]
)
async def test_an_answer_that_does_not_come_is_asked_for_again_at_the_next_look(
    azure: AzureFactory, fault: dict[str, Any]
) -> None:
    arm, state = azure(vault=MACHINES), VaultState()
    arm.control.add_fault(route="protected_items", **fault)
    outcome = await arm.reconcile(resource(), state)
    assert outcome.readiness.ready == "True"
    assert state.agents.report is None
    await arm.reconcile(resource(), state)
    assert state.agents.report is not None


async def test_they_are_not_counted_while_reads_are_short(azure: AzureFactory) -> None:
    arm, state = azure(vault=MACHINES, settings={"read_limit": "2/60s"}), VaultState()
    await arm.reconcile(resource(), state)  # the list of the mappings is half of what the region may be asked
    assert (state.agents.report, reads(arm)) == (None, 0)


async def test_they_are_not_counted_where_nobody_wants_that(azure: AzureFactory) -> None:
    arm, state = azure(vault=MACHINES, settings={"agent_interval": "0s"}), VaultState()
    await arm.reconcile(resource(), state)
    assert (state.agents.report, reads(arm)) == (None, 0)


async def test_nor_before_a_resource_goes(azure: AzureFactory) -> None:
    arm, state = azure(vault=MACHINES), VaultState()
    await arm.reconcile(resource(deleting=True, deletionPolicy="Disable"), state)
    assert (state.agents.report, reads(arm)) == (None, 0)


async def test_what_agents_are_like_is_said_together_with_how_the_mappings_stand(azure: AzureFactory) -> None:
    arm, said = azure(vault=MACHINES, settings={"status_interval": "1m"}), list[Readiness]()
    outcome = await arm.reconcile(resource(), on_report=said.append)
    assert outcome.readiness.ready == "True"
    assert not [each for each in said if each.ready == "True"], "it was said before, and then once more"


async def test_a_pass_that_is_to_end_while_agents_are_looked_at_for_long_says_so(azure: AzureFactory) -> None:
    arm, superseded = azure(vault=MACHINES, settings={"status_interval": "1ms"}), asyncio.Event()

    def change_when_ready(readiness: Readiness) -> None:
        if readiness.ready == "True":
            superseded.set()

    outcome = await arm.reconcile(resource(), superseded=superseded, on_report=change_when_ready)
    assert superseded.is_set(), "it was said to be ready before the agents were looked at"
    assert outcome.superseded
