"""Site Recovery's schedules run when the resource says, and nothing but those is written."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.e2e.conftest import AzureFactory
from vault_autoupdate.core import utc_now
from vault_autoupdate.decide.state import VaultState
from vault_autoupdate.reconcile.reconciler import Outcome
from vault_autoupdate.report.document import build_status
from vault_autoupdate.report.restore import restore
from workbench.core import ACCOUNT, SUBSCRIPTION, VAULT, Azure, resource

NIGHTLY: dict[str, Any] = {"time": "02:30", "timeZone": "Europe/Berlin"}
THREE: dict[str, Any] = {"mix": {"enabled_compliant": 3}}


def wanted(schedule: dict[str, Any] | None = None, **changes: Any) -> Any:
    return resource(runbookSchedule=NIGHTLY if schedule is None else schedule, **changes)


def condition(state: VaultState, outcome: Outcome, **changes: Any) -> dict[str, Any]:
    status = build_status(wanted(**changes), state, outcome.readiness, {}, utc_now())
    return next((each for each in status["conditions"] if each["type"] == "RunbookScheduleInSync"), {})


def wall_times(arm: Azure, zone: str = "Europe/Berlin") -> list[str]:
    runs = arm.control.due_runs(ACCOUNT, hours=24)
    return [f"{datetime.fromisoformat(run['at']).astimezone(ZoneInfo(zone)):%H:%M}" for run in runs]


def writes(arm: Azure) -> list[str]:
    """What was written, PATCHes of mappings aside."""
    return [
        f"{each['method']} {each['kind']}"
        for each in arm.requests()
        if each["method"] not in ("GET", "PATCH") and each["kind"] not in ("token", "oauth_token")
    ]


async def test_schedules_are_moved_to_the_declared_time_once(azure: AzureFactory) -> None:
    arm, state = azure(**THREE), VaultState()
    outcome = await arm.reconcile(wanted(), state)
    assert outcome.readiness.ready == "True"
    assert wall_times(arm) == ["02:30"] * 3
    assert writes(arm) == ["PUT schedules"] * 3
    assert condition(state, outcome)["status"] == "True"
    state.schedules.look.due = None
    await arm.reconcile(wanted(), state)
    assert writes(arm) == ["PUT schedules"] * 3
    assert [(each.was, each.schedules) for each in state.schedules.replaced] == [("every day at 00:00 Etc/UTC", 3)]


async def test_audit_says_old_and_new_and_writes_nothing(azure: AzureFactory) -> None:
    arm, state = azure(**THREE), VaultState()
    outcome = await arm.reconcile(wanted(mode="Audit"), state)
    said = condition(state, outcome, mode="Audit")
    assert (said["status"], said["reason"]) == ("False", "SchedulesDiffer")
    assert "every day at 00:00 Etc/UTC → every day at 02:30 Europe/Berlin" in said["message"]
    assert not writes(arm)


BEHAVIOURS: list[dict[str, Any]] = [
    {},
    {"put_when_disabled": "enable"},
    {"enabled_in_put": "obeyed"},
    {"after_repair": "same_name_reset"},
    {"after_repair": "same_name_keep"},
    {"after_repair": "new_name_copy"},
    {"shared_by": "vault"},
    {"default_zone": "America/Los_Angeles"},
    {"week_to_day": "kept"},
]


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=str)
async def test_the_time_is_kept_through_a_repair_whatever_becomes_of_the_schedule(
    azure: AzureFactory, behaviour: dict[str, Any]
) -> None:
    arm, state = azure(**THREE, schedules=behaviour), VaultState()
    await arm.reconcile(wanted(), state)
    arm.control.drift("health_error", count=3)
    outcome = await arm.reconcile(wanted(), state)
    assert set(arm.patched().values()) == {1}
    assert set(wall_times(arm)) == {"02:30"}
    assert condition(state, outcome)["status"] == "True"
    assert set(writes(arm)) == {"PUT schedules"}


async def test_a_repair_and_the_look_at_its_schedule_are_one_pass(azure: AzureFactory) -> None:
    arm, state = azure(mix={"disabled": 3}), VaultState()
    await arm.reconcile(wanted(), state)
    assert wall_times(arm) == ["02:30"] * 3


async def test_a_weekly_schedule_becomes_a_daily_one_and_back(azure: AzureFactory) -> None:
    for behaviour in ("cleared", "kept"):
        arm, state = azure(**THREE, schedules={"week_to_day": behaviour}), VaultState()
        weekend = {**NIGHTLY, "days": ["SUN", "SAT"]}
        await arm.reconcile(wanted(weekend), state)
        assert {tuple(each["days"]) for each in schedules(arm)} == {("Saturday", "Sunday")}
        outcome = await arm.reconcile(wanted(), state)
        assert {each["frequency"] for each in schedules(arm)} == {"Day"}
        assert condition(state, outcome)["status"] == "True"
        assert len(writes(arm)) == 6


def schedules(arm: Azure) -> list[Any]:
    return [each for account in arm.control.accounts() for each in account["schedules"]]


async def test_a_disabled_schedule_is_left_alone_with_its_reason(azure: AzureFactory) -> None:
    arm, state = azure(**THREE, schedules={"put_when_disabled": "enable"}), VaultState()
    (off,) = arm.control.set_schedule(ACCOUNT, f"{arm.control.mappings()[0]['name']}_*", enabled=False)
    outcome = await arm.reconcile(wanted(), state)
    said = condition(state, outcome)
    assert (said["status"], said["reason"]) == ("False", "ScheduleDisabled")
    assert writes(arm) == ["PUT schedules"] * 2
    assert not any(off in each["path"].lower() for each in arm.requests("PUT"))


async def test_a_schedule_that_starts_another_runbook_is_left_alone(azure: AzureFactory) -> None:
    arm, state = azure(**THREE), VaultState()
    arm.control.share_schedule(ACCOUNT, f"{arm.control.mappings()[0]['name']}_*")
    outcome = await arm.reconcile(wanted(), state)
    said = condition(state, outcome)
    assert (said["status"], said["reason"]) == ("False", "ScheduleShared")
    assert "Nightly-Cleanup" in said["message"]
    assert writes(arm) == ["PUT schedules"] * 2


async def test_a_missing_schedule_is_made_anew_by_the_account_check_and_then_moved(azure: AzureFactory) -> None:
    arm, state = azure(**THREE), VaultState()
    arm.control.delete_schedule(ACCOUNT, f"{arm.control.mappings()[0]['name']}_*")
    outcome = await arm.reconcile(wanted(automationAccountChecks=False), state)
    assert condition(state, outcome)["reason"] == "ScheduleMissing"
    assert len(writes(arm)) == 2
    state.schedules.look.due = None
    outcome = await arm.reconcile(wanted(), state)
    assert wall_times(arm) == ["02:30"] * 3
    assert condition(state, outcome)["status"] == "True"


async def test_a_schedule_that_somebody_sets_back_is_moved_twice_a_day_and_no_more(azure: AzureFactory) -> None:
    arm, state = azure(**THREE), VaultState()
    for _ in range(4):
        arm.control.reset_schedule(ACCOUNT, "*")
        state.schedules.look.due = None
        outcome = await arm.reconcile(wanted(), state)
    assert len(writes(arm)) == 6
    said = condition(state, outcome)
    assert (said["status"], said["reason"]) == ("False", "ScheduleKeepsChanging")


async def test_the_limit_holds_over_restarts(azure: AzureFactory) -> None:
    arm, status = azure(**THREE), dict[str, Any]()
    for _ in range(4):
        arm.control.reset_schedule(ACCOUNT, "*")
        state = restore(status, wanted().spec.vault_resource_id, utc_now())
        state.schedules.look.due = utc_now()
        outcome = await arm.reconcile(wanted(), state)
        status = build_status(wanted(), state, outcome.readiness, status, utc_now())
    assert len(writes(arm)) == 6
    assert status["runbookSchedule"]["replaced"][0]["schedules"] == 6


async def test_a_move_is_told_before_it_leaves(azure: AzureFactory) -> None:
    arm, state, told = azure(**THREE), VaultState(), list[int]()

    def see(_: Any) -> None:
        if state.schedules.writes.known:
            told.append(len(writes(arm)))

    await arm.reconcile(wanted(), state, on_report=see)
    assert told[0] == 0


async def test_what_was_read_of_a_schedule_is_sent_back(azure: AzureFactory) -> None:
    arm, state = azure(mix={"enabled_compliant": 1}), VaultState()
    await arm.reconcile(wanted({**NIGHTLY, "time": "01:00"}), state)
    (before,) = schedules(arm)
    await arm.reconcile(wanted(), state)
    (after,) = schedules(arm)
    assert (before["schedule"], before["job_schedule"]) == (after["schedule"], after["job_schedule"])
    assert after["time_zone"] == "Europe/Berlin"


async def test_without_the_right_to_move_the_action_is_named_and_all_else_goes_on(azure: AzureFactory) -> None:
    denied = {"denied": [{"action": "*/schedules/write"}]}
    identity = {"identities": [{"client_id": "operator", **denied}]}
    arm = azure(mix={"disabled": 3}, identity=identity)
    state = VaultState()
    outcome = await arm.reconcile(wanted(), state)
    assert outcome.readiness.ready == "True"
    said = condition(state, outcome)
    assert (said["status"], said["reason"]) == ("False", "AuthorizationFailed")
    assert "Microsoft.Automation/automationAccounts/schedules/write" in said["message"]
    assert len(writes(arm)) == 1, "the first refusal is one for all"
    assert not state.schedules.writes.known, "nothing was written"


async def test_a_refusal_is_told_and_not_repeated_for_each_schedule(azure: AzureFactory) -> None:
    arm, state = azure(mix={"enabled_compliant": 9}, schedules={"put_existing": "conflict"}), VaultState()
    outcome = await arm.reconcile(wanted(), state)
    said = condition(state, outcome)
    assert (said["status"], said["reason"]) == ("False", "SchedulesDiffer")
    assert len(writes(arm)) == 3
    assert {each.standing for each in findings(state)} == {"SchedulesDiffer", "ScheduleNotAccepted"}


def findings(state: VaultState) -> Any:
    assert state.schedules.look.report is not None
    return state.schedules.look.report.findings


@pytest.mark.parametrize("behaviour", [each for each in BEHAVIOURS if "shared_by" not in each], ids=str)
async def test_the_fleet_of_an_account_is_spread_over_the_declared_hour(
    azure: AzureFactory, behaviour: dict[str, Any]
) -> None:
    fleet = 30 if behaviour else 200
    arm, state = azure(mix={"enabled_compliant": fleet}, schedules=behaviour), VaultState()
    await arm.reconcile(wanted({**NIGHTLY, "spread": "1h"}), state)
    times = wall_times(arm)
    assert len(times) == fleet
    assert all("02:30" <= each < "03:30" for each in times)
    assert max(times.count(each) for each in times) <= 12
    again = VaultState()
    await arm.reconcile(wanted({**NIGHTLY, "spread": "1h"}), again)
    assert writes(arm) == ["PUT schedules"] * fleet, "the same after a restart, and nothing else"


async def test_a_schedule_for_which_two_resources_declare_another_time_is_left_alone_and_both_say_so(
    azure: AzureFactory,
) -> None:
    vault = {"subscription": SUBSCRIPTION, "resource_group": "rg-dr", "automation_account": ACCOUNT, **THREE}
    arm = azure(vaults=[vault | {"name": "one"}, vault | {"name": "two"}], schedules={"shared_by": "account"})
    first, second = (
        wanted(at, vaultResourceId=VAULT.replace("/dr", f"/{name}"))
        for at, name in ((NIGHTLY, "one"), (NIGHTLY | {"time": "04:30"}, "two"))
    )
    states = VaultState(), VaultState()
    said = []
    for each, state in [(first, states[0]), (second, states[1])] * 3:
        state.schedules.look.due = None
        outcome = await arm.reconcile(each, state)
        assert outcome.readiness.ready == "True"
        status = build_status(each, state, outcome.readiness, {}, utc_now())
        said.append(next(cond["reason"] for cond in status["conditions"] if cond["type"] == "RunbookScheduleInSync"))
        arm.control.reset_schedule(ACCOUNT, "*")

    assert said == ["InSync", *["ScheduleDeclaredTwice"] * 5]
    assert writes(arm) == ["PUT schedules"], "by who looked first, before anything of the other was known"
    message = findings(states[0])[0].message
    assert "04:30 Europe/Berlin" in message, message


async def test_a_mapping_at_work_is_left_alone(azure: AzureFactory) -> None:
    arm, state = azure(mix={"enabled_compliant": 1, "disabled": 1}, jobs={"never_ending_share": 1.0}), VaultState()
    name = next(each["name"] for each in arm.control.mappings() if each["status"] == "Enabled")
    arm.control.drift("health_error", mappings=[name])
    state.actions = {}
    outcome = await arm.reconcile(wanted(mode="Audit"), state)
    assert outcome.error is None
    assert not writes(arm)


async def test_removing_the_field_writes_nothing_and_forgets_the_condition(azure: AzureFactory) -> None:
    arm, state = azure(**THREE), VaultState()
    await arm.reconcile(wanted(), state)
    outcome = await arm.reconcile(resource(), state)
    status = build_status(resource(), state, outcome.readiness, {}, utc_now())
    assert not [each for each in status["conditions"] if each["type"] == "RunbookScheduleInSync"]
    assert wall_times(arm) == ["02:30"] * 3
    assert len(writes(arm)) == 3
    assert status["runbookSchedule"]["replaced"][0]["was"] == "every day at 00:00 Etc/UTC"
