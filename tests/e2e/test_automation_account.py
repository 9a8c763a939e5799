"""The account that runs the updates: seen to fail before Site Recovery says so, and mended where a PATCH does that."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.e2e.conftest import AzureFactory
from vault_autoupdate.arm.automation import AutomationAccounts
from vault_autoupdate.arm.client import CallContext
from vault_autoupdate.core import utc_now
from vault_autoupdate.decide.state import VaultState
from vault_autoupdate.model.arm_id import ArmId, parse_vault_id
from vault_autoupdate.model.azure import AccountFacts
from vault_autoupdate.reconcile.reconciler import Outcome
from vault_autoupdate.report.document import build_status
from vault_autoupdate.report.restore import restore
from workbench.core import ACCOUNT, VAULT, Azure, resource

HEALTHY: dict[str, Any] = {"mix": {"enabled_compliant": 3}}


def condition(state: VaultState, outcome: Outcome, **changes: Any) -> dict[str, Any]:
    status = build_status(resource(**changes), state, outcome.readiness, {}, utc_now())
    return next((each for each in status["conditions"] if each["type"] == "AutomationAccountHealthy"), {})


def reads(arm: Azure) -> int:
    kinds = ("automation_account", "schedules", "job_schedules", "automation_jobs", "usages")
    return sum(len(arm.requests("GET", kind=kind)) for kind in kinds)


async def test_a_healthy_account_is_told_with_its_next_run_and_costs_five_reads(azure: AzureFactory) -> None:
    arm, state = azure(**HEALTHY), VaultState()
    outcome = await arm.reconcile(resource(), state)
    assert condition(state, outcome)["status"] == "True"
    status = build_status(resource(), state, outcome.readiness, {}, utc_now())["automationAccount"]
    assert (status["name"], status["state"], status["schedulesMissing"]) == ("aa-dr", "Ok", 0)
    assert status["nextRun"] > f"{utc_now():%Y-%m-%dT%H:%M:%SZ}"
    assert reads(arm) == 5
    await arm.reconcile(resource(), state)
    assert reads(arm) == 5, "not at each look"


async def test_a_deleted_schedule_is_seen_before_azure_says_so_and_the_same_patch_makes_it_anew(
    azure: AzureFactory,
) -> None:
    arm, state = azure(**HEALTHY), VaultState()
    arm.control.delete_schedule(ACCOUNT, f"{arm.control.mappings()[0]['name']}_*")
    outcome = await arm.reconcile(resource(), state)
    assert outcome.readiness.ready == "True"
    assert sum(arm.patched().values()) == 1
    assert state.account.report is not None
    assert state.account.report.schedules_missing == 1, "as it was found"
    state.account.due = utc_now()
    outcome = await arm.reconcile(resource(), state)
    assert condition(state, outcome)["status"] == "True"
    assert sum(arm.patched().values()) == 1


async def test_a_deleted_job_schedule_is_made_anew_too(azure: AzureFactory) -> None:
    arm, state = azure(**HEALTHY), VaultState()
    arm.control.delete_job_schedule(ACCOUNT, "*")
    await arm.reconcile(resource(), state)
    assert set(arm.patched().values()) == {1}
    assert len(arm.patched()) == 3


async def test_what_a_patch_does_not_bring_back_is_not_patched_again_and_again(azure: AzureFactory) -> None:
    arm, state = azure(**HEALTHY), VaultState()
    for _ in range(2):
        arm.control.delete_schedule(ACCOUNT, "*")
        state.account.due = utc_now()
        await arm.reconcile(resource(), state)
    for _ in range(2):
        state.account.due = utc_now()
        outcome = await arm.reconcile(resource(), state)
    assert set(arm.patched().values()) == {1}
    said = condition(state, outcome)
    assert (said["status"], said["reason"]) == ("False", "ScheduleMissing")


@pytest.mark.parametrize("changes", [("disable",), ("disable", "comply")], ids=["undone", "set anew"])
async def test_a_mapping_changed_while_the_account_is_read_has_lost_nothing(
    azure: AzureFactory, monkeypatch: pytest.MonkeyPatch, changes: tuple[str, ...]
) -> None:
    arm, state = azure(**HEALTHY), VaultState()
    read = AutomationAccounts.facts

    async def facts(accounts: AutomationAccounts, context: CallContext, account: ArmId) -> AccountFacts:
        for change in changes:  # its old schedule is gone with that, the new one has another name
            arm.control.drift(change, count=1)
        return await read(accounts, context, account)

    monkeypatch.setattr(AutomationAccounts, "facts", facts)
    outcome = await arm.reconcile(resource(), state)
    assert condition(state, outcome)["status"] == "True"
    assert not arm.patched(), "what was seen a moment ago is no reason to change anything"
    assert state.account.report is not None
    assert (state.account.report.schedules_missing, state.account.report.missing) == (0, {})


async def test_while_mappings_change_faster_than_the_account_can_be_read_nothing_is_said_of_it(
    azure: AzureFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    arm, state = azure(mix={"enabled_compliant": 9}), VaultState()
    names = [each["name"] for each in arm.control.mappings()]
    read = AutomationAccounts.confirm

    async def confirm(*args: Any, **asked: Any) -> AccountFacts:
        name = names.pop()
        for change in ("disable", "comply"):
            arm.control.drift(change, mappings=[name])
        arm.control.delete_schedule(ACCOUNT, f"{name}_*")
        return await read(*args, **asked)

    arm.control.delete_schedule(ACCOUNT, f"{names.pop()}_*")
    monkeypatch.setattr(AutomationAccounts, "confirm", confirm)
    outcome = await arm.reconcile(resource(), state)
    assert condition(state, outcome) == {}
    assert not arm.patched()
    assert outcome.requeue_after is not None, "it is looked at again soon"


async def test_what_somebody_has_mended_is_not_patched_for_what_the_account_had_lost(azure: AzureFactory) -> None:
    arm, state = azure(**HEALTHY), VaultState()
    arm.control.delete_schedule(ACCOUNT, f"{arm.control.mappings()[0]['name']}_*")
    outcome = await arm.reconcile(resource(mode="Audit"), state)
    assert outcome.readiness.reason == "DriftDetected"
    for change in ("disable", "comply"):  # what Repair in the portal does: a new schedule
        arm.control.drift(change, count=1)
    state.settled_until = None
    outcome = await arm.reconcile(resource(), state)
    assert outcome.readiness.ready == "True"
    assert not arm.patched()


async def test_in_audit_a_deleted_schedule_is_only_reported(azure: AzureFactory) -> None:
    arm, state = azure(**HEALTHY), VaultState()
    arm.control.delete_schedule(ACCOUNT, "*")
    outcome = await arm.reconcile(resource(mode="Audit"), state)
    assert not arm.patched()
    assert outcome.readiness.reason == "DriftDetected"
    assert condition(state, outcome)["reason"] == "ScheduleMissing"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"state": "Suspended"}, "AccountNotOk"),
        ({"identity": "None"}, "NoSystemAssignedIdentity"),
        ({"minutes_used": 490, "minutes_limit": 500}, "FreeMinutesNearlyUsed"),
    ],
)
async def test_what_keeps_the_account_from_updating_is_named(
    azure: AzureFactory, change: dict[str, Any], reason: str
) -> None:
    arm, state = azure(**HEALTHY), VaultState()
    arm.control.set_account(ACCOUNT, **change)
    outcome = await arm.reconcile(resource(), state)
    said = condition(state, outcome)
    assert (said["status"], said["reason"]) == ("False", reason)
    assert outcome.readiness.ready == "True", "the mappings are as declared"


async def test_a_disabled_schedule_is_somebodys_wish_and_only_reported(azure: AzureFactory) -> None:
    arm, state = azure(**HEALTHY), VaultState()
    arm.control.set_schedule(ACCOUNT, "*", enabled=False)
    outcome = await arm.reconcile(resource(), state)
    assert condition(state, outcome)["reason"] == "ScheduleDisabled"
    assert not arm.patched()


async def test_an_account_that_is_gone_is_no_reason_to_patch(azure: AzureFactory) -> None:
    arm, state = azure(**HEALTHY), VaultState()
    arm.control.delete_account(ACCOUNT)
    outcome = await arm.reconcile(resource(), state)
    assert condition(state, outcome)["reason"] == "AccountNotFound"
    assert not arm.patched()


async def test_without_the_right_to_read_it_the_condition_says_what_to_grant(azure: AzureFactory) -> None:
    arm, state = azure(**HEALTHY), VaultState()
    message = (
        "The client 'c' with object id 'o' does not have authorization to perform action "
        "'Microsoft.Automation/automationAccounts/read' over scope '/subscriptions/s' or the scope is invalid."
    )
    arm.control.add_fault(
        "status", route="automation_account", status=403, code="AuthorizationFailed", message=message, forever=True
    )
    outcome = await arm.reconcile(resource(), state)
    said = condition(state, outcome)
    assert (said["status"], said["reason"]) == ("Unknown", "AuthorizationFailed")
    assert "Microsoft.Automation/automationAccounts/read" in said["message"]
    assert outcome.readiness.ready == "True"


@pytest.mark.parametrize(
    "changes",
    [{"automationAccountChecks": False}, {"autoUpdate": "Disabled"}],
    ids=["checks are off", "auto-update is off"],
)
async def test_where_it_does_not_matter_the_account_is_not_read(azure: AzureFactory, changes: dict[str, Any]) -> None:
    arm, state = azure(**HEALTHY), VaultState()
    outcome = await arm.reconcile(resource(**changes), state)
    assert reads(arm) == 0
    assert condition(state, outcome, **changes) == {}


async def test_a_restarted_process_keeps_what_is_known_and_is_in_no_hurry(azure: AzureFactory) -> None:
    arm, state = azure(**HEALTHY), VaultState()
    arm.control.set_account(ACCOUNT, state="Suspended")
    outcome = await arm.reconcile(resource(), state)
    status = build_status(resource(), state, outcome.readiness, {}, utc_now())
    restored = restore(status, parse_vault_id(VAULT), utc_now())
    again = await arm.reconcile(resource(), restored)
    assert reads(arm) == 5
    assert build_status(resource(), restored, again.readiness, status, utc_now()) == status
    assert restored.account.due is not None
    assert restored.account.due <= utc_now() + timedelta(hours=6)
