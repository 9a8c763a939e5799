"""Automation accounts: what is read of them, and what somebody does to them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from asr_simulator import ControlRefusedError, Scenario, ScenarioError
from asr_simulator.accounts import RUNBOOK
from tests.simulator.helpers import ACCOUNT, GROUP, SUBSCRIPTION, Arm, scenario, update, vault

Serve = Callable[[Scenario], Arm]
_VERSION = "2024-10-23"
_OTHER = ACCOUNT.replace(GROUP, "rg-automation").replace("aa-dr", "aa-other")
_NEWER = "9.60.7000.1"


def _vault(**changes: Any) -> dict[str, Any]:
    """Two mappings that are as they should be, and one that is off."""
    mappings = [{"name": "one", "kind": "enabled_compliant"}, {"name": "two", "kind": "enabled_other_case"}]
    return vault(mappings=[*mappings, {"name": "off"}], **changes)


@pytest.fixture
def accounts(serve: Serve) -> Arm:
    return serve(scenario(_vault()))


def _below(arm: Arm, path: str = "", **more: Any) -> requests.Response:
    return arm.get(more.pop("account", ACCOUNT) + path, version=_VERSION, **more)


def _schedules(arm: Arm) -> dict[str, dict[str, Any]]:
    """By mapping."""
    found = _below(arm, "/schedules").json()["value"]
    return {item["name"].rpartition("_")[0]: item for item in found}


def test_every_vault_has_its_account(accounts: Arm) -> None:
    found = _below(accounts).json()
    assert (found["name"], found["id"], found["location"]) == ("aa-dr", ACCOUNT, "westeurope")
    assert found["properties"]["state"] == "Ok"
    assert found["identity"]["type"] == "SystemAssigned"
    assert found["identity"]["tenantId"] == accounts.sim.scenario.identity.tenant_id
    assert [each["name"] for each in accounts.sim.control.accounts()] == ["aa-dr"]


def test_one_account_may_serve_many_vaults(serve: Serve) -> None:
    arm = serve(scenario(_vault(), _vault(name="other", automation_account=ACCOUNT.upper().replace("/MI", "/Mi"))))
    (only,) = arm.sim.control.accounts()
    assert [each["mapping"] for each in only["schedules"]] == ["one", "two"] * 2


def test_a_scenario_describes_accounts(serve: Serve) -> None:
    described = {"id": _OTHER, "location": "eastus", "state": "Suspended", "identity": "None", "minutes_limit": -1}
    of = scenario(automation_accounts=[described, {"id": ACCOUNT.upper().replace("/MI", "/Mi"), "minutes_used": 7}])
    arm = serve(of)
    found = _below(arm, account=_OTHER).json()
    assert (found["location"], found["properties"]["state"], found["identity"]) == (
        "eastus",
        "Suspended",
        {"type": "None"},
    )
    assert _below(arm, "/usages", account=_OTHER).json()["value"][0]["limit"] == -1
    assert len(arm.sim.control.accounts()) == 2, "the vault's own is described, not doubled"
    with pytest.raises(ScenarioError, match="listed twice"):
        scenario(automation_accounts=[described, {"id": _OTHER}])


def test_what_is_not_there_is_not_found(accounts: Arm) -> None:
    for account, code in (
        (f"{ACCOUNT}-none", "ResourceNotFound"),
        (ACCOUNT.replace(GROUP, "none"), "ResourceGroupNotFound"),
        (ACCOUNT.replace(SUBSCRIPTION, "none"), "SubscriptionNotFound"),
    ):
        answer = _below(accounts, account=account)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, code)
    for path in ("/schedules/none", "/jobSchedules/none", "/jobs/none", "/jobs/none/output", "/statistics"):
        assert _below(accounts, path).status_code == 404, path
    assert accounts.call("PATCH", ACCOUNT, version=_VERSION, json={}).status_code == 405


@pytest.mark.parametrize("version", ["2025-08-01", None])
def test_automation_has_versions_of_its_own(accounts: Arm, version: str | None) -> None:
    answer = accounts.get(ACCOUNT, version=version)
    assert answer.status_code == 400
    assert "ApiVersionParameter" in answer.json()["error"]["code"]


def test_an_enabled_mapping_has_a_schedule_and_a_job_schedule(accounts: Arm) -> None:
    schedules = _schedules(accounts)
    assert schedules.keys() == {"one", "two"}
    details = accounts.details("one")
    assert schedules["one"]["name"] == details["scheduleName"]
    single = _below(accounts, f"/schedules/{details['scheduleName'].upper()}").json()
    assert single == schedules["one"]
    assert single["properties"]["isEnabled"] is True
    job_schedules = _below(accounts, "/jobSchedules").json()["value"]
    bound = _below(accounts, f"/jobSchedules/{details['jobScheduleName']}").json()
    assert bound in job_schedules
    assert "name" not in bound
    assert bound["properties"]["schedule"] == {"name": details["scheduleName"]}
    assert bound["properties"]["runbook"] == {"name": RUNBOOK}


def test_the_next_run_is_at_midnight(accounts: Arm) -> None:
    now = datetime.fromtimestamp(accounts.time.wall(), UTC)
    following = datetime.fromisoformat(_schedules(accounts)["one"]["properties"]["nextRun"])
    assert (following.hour, following.minute, following.second) == (0, 0, 0)
    assert 0 < (following - now).total_seconds() <= 86_400


def test_a_patch_makes_and_takes_away_what_a_mapping_needs(accounts: Arm) -> None:
    accounts.patch("off", update())
    assert "off" not in _schedules(accounts), "only when its job has ended"
    accounts.time.advance(10)
    assert "off" in _schedules(accounts)
    accounts.patch("off", update("Disabled"))
    accounts.time.advance(10)
    assert "off" not in _schedules(accounts)
    assert len(_below(accounts, "/jobSchedules").json()["value"]) == 2


def test_a_mapping_that_moves_takes_its_schedule_along(serve: Serve) -> None:
    arm = serve(scenario(_vault(), automation_accounts=[{"id": _OTHER}]))
    arm.patch("one", update(automationAccountArmId=_OTHER))
    arm.time.advance(10)
    assert _schedules(arm).keys() == {"two"}
    (moved,) = _below(arm, "/schedules", account=_OTHER).json()["value"]
    assert moved["name"] == arm.details("one")["scheduleName"]


def test_what_was_deleted_stays_away_until_a_patch(accounts: Arm) -> None:
    control = accounts.sim.control
    name = accounts.details("one")["scheduleName"]
    bound = accounts.details("one")["jobScheduleName"]
    assert control.delete_schedule("aa-dr", "one_*") == [name.lower()]
    assert _below(accounts, f"/schedules/{name}").status_code == 404
    assert _schedules(accounts).keys() == {"two"}
    assert _below(accounts, f"/jobSchedules/{bound}").status_code == 200
    assert control.delete_job_schedule(ACCOUNT, bound) == [bound]
    assert _below(accounts, f"/jobSchedules/{bound}").status_code == 404
    assert accounts.details("one")["scheduleName"] == name, "the mapping does not know"
    assert accounts.mapping("one")["properties"]["health"] == "Normal"
    (state,) = [each for each in control.accounts()[0]["schedules"] if each["mapping"] == "one"]
    assert (state["schedule"], state["job_schedule"]) == (None, None)
    accounts.patch("one", update())
    accounts.time.advance(10)
    assert _schedules(accounts).keys() == {"one", "two"}
    assert _below(accounts, f"/jobSchedules/{accounts.details('one')['jobScheduleName']}").status_code == 200


def test_a_job_schedule_may_be_named_by_its_schedule(accounts: Arm) -> None:
    bound = accounts.details("two")["jobScheduleName"]
    assert accounts.sim.control.delete_job_schedule("aa-dr", "two_*") == [bound]
    assert _schedules(accounts).keys() == {"one", "two"}


def test_schedules_are_disabled_and_enabled(accounts: Arm) -> None:
    accounts.sim.control.set_schedule("aa-dr", "*", enabled=False)
    assert {item["properties"]["isEnabled"] for item in _schedules(accounts).values()} == {False}
    accounts.sim.control.set_schedule("aa-dr", "one_*", enabled=True)
    enabled = {name: item["properties"]["isEnabled"] for name, item in _schedules(accounts).items()}
    assert enabled == {"one": True, "two": False}


def test_an_account_is_changed_and_deleted(accounts: Arm) -> None:
    control = accounts.sim.control
    control.set_account("aa-dr", state="Unavailable", identity="SystemAssigned, UserAssigned")
    found = _below(accounts).json()
    assert (found["properties"]["state"], found["identity"]["type"]) == (
        "Unavailable",
        "SystemAssigned, UserAssigned",
    )
    assert found["identity"]["principalId"]
    control.set_account(ACCOUNT, identity="UserAssigned")
    found = _below(accounts).json()
    assert (found["properties"]["state"], found["identity"]) == ("Unavailable", {"type": "UserAssigned"})
    control.delete_account("aa-dr")
    for path in ("", "/schedules", "/jobSchedules", "/jobs", "/usages"):
        answer = _below(accounts, path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "ResourceNotFound")
    assert control.accounts() == []
    control.restore_account("AA-DR")
    assert _below(accounts).json()["identity"] == {"type": "UserAssigned"}
    assert _schedules(accounts).keys() == {"one", "two"}
    with pytest.raises(ControlRefusedError, match="no deleted account matches 'aa-dr'"):
        control.restore_account("aa-dr")


def test_what_cannot_be_done_to_accounts_is_refused(accounts: Arm) -> None:
    control = accounts.sim.control
    with pytest.raises(ControlRefusedError, match="no account matches 'none'"):
        control.set_account("none", state="Ok")
    with pytest.raises(ControlRefusedError, match="nothing in 'aa-dr' matches 'off_"):
        control.delete_schedule("aa-dr", "off_*")
    with pytest.raises(ControlRefusedError, match="state"):
        control.set_account("aa-dr", state="Sleepy")
    control.delete_schedule("aa-dr", "one_*")
    with pytest.raises(ControlRefusedError, match="nothing in"):
        control.set_schedule("aa-dr", "one_*", enabled=False)


def test_minutes_are_told_by_account_and_subscription(serve: Serve) -> None:
    arm = serve(scenario(automation_accounts=[{"id": _OTHER, "minutes_used": 100.5}]))
    arm.sim.control.set_account("aa-dr", minutes_used=450, minutes_limit=500)
    values = _below(arm, "/usages").json()["value"]
    assert [(each["name"]["value"], each["currentValue"], each["throttleStatus"]) for each in values] == [
        ("AccountUsage", 450.0, "NotThrottled"),
        ("SubscriptionUsage", 550.5, "ThrottledAtSubscriptionLevel"),
    ]
    assert {(each["limit"], each["unit"]) for each in values} == {(500, "Minute")}


def test_runs_are_listed_as_told(accounts: Arm) -> None:
    assert _below(accounts, "/jobs").json()["value"] == []
    now = datetime.fromtimestamp(accounts.time.wall(), UTC)
    runs = [
        {"status": "Running", "ago": 30, "lasted": None},
        {"status": "Failed", "ago": 86_400, "lasted": 90},
        {"status": "New", "ago": 5},
        {"runbook": "mine", "ago": 60},
    ]
    accounts.sim.control.set_account("aa-dr", runs=runs)
    found = [item["properties"] for item in _below(accounts, "/jobs").json()["value"]]
    assert [each["status"] for each in found] == ["Running", "Failed", "New", "Completed"]
    assert [each["runbook"]["name"] for each in found] == [RUNBOOK] * 3 + ["mine"]
    assert found[0]["endTime"] is None
    begin, end = (datetime.fromisoformat(found[1][name]) for name in ("startTime", "endTime"))
    assert ((now - begin).total_seconds(), (end - begin).total_seconds()) == (86_400, 90)
    assert (found[2]["startTime"], found[2]["endTime"]) == (None, None)
    assert accounts.sim.control.accounts()[0]["runs"] == ["Running", "Failed", "New", "Completed"]
    filtered = _below(accounts, "/jobs?$filter=properties/runbook/name%20eq%20'MINE'").json()["value"]
    assert [item["properties"]["runbook"]["name"] for item in filtered] == ["mine"]
    assert len(_below(accounts, "/jobs?$filter=whatever").json()["value"]) == 4


def test_lists_come_in_pages_that_skip(serve: Serve) -> None:
    arm = serve(scenario(_vault(), automation_page_size=1))
    first = _below(arm, "/schedules").json()
    assert first["nextLink"] == f"{arm.sim.url}{ACCOUNT}/schedules?api-version={_VERSION}&$skip=1"
    for path in ("/schedules", "/jobSchedules"):
        pages = arm.pages(f"{ACCOUNT}{path}?api-version={_VERSION}")
        assert [len(page) for page in pages] == [1, 1]
    arm.sim.control.set_account("aa-dr", runs=[{"runbook": "mine"}, {}, {}])
    path = f"{ACCOUNT}/jobs?api-version={_VERSION}&$filter=properties/runbook/name%20eq%20'{RUNBOOK}'"
    assert [len(page) for page in arm.pages(path)] == [1, 1]
    assert _below(arm, "/schedules?$skip=x").status_code == 400


def test_only_the_buckets_of_resource_manager_count_reads_of_accounts(accounts: Arm) -> None:
    for path in ("", "/schedules", "/jobSchedules", "/jobs", "/usages"):
        assert _below(accounts, path).headers["x-ms-ratelimit-remaining-subscription-reads"]
    (scope,) = accounts.sim.control.stats()["scopes"]
    assert (scope["region"], scope["reads"]["served"]) == ("westeurope", 0)
    accounts.sim.control.settings(throttle={"arm": {"reads": 1, "reads_per_second": 0.1}})
    assert _below(accounts).status_code == 200
    refused = _below(accounts)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "SubscriptionRequestsThrottled")
    assert refused.headers["Retry-After"] == "10"


@pytest.mark.parametrize(
    ("path", "action"),
    [
        ("", "automationAccounts/read"),
        ("/schedules", "automationAccounts/schedules/read"),
        ("/jobSchedules", "automationAccounts/jobSchedules/read"),
        ("/jobs", "automationAccounts/jobs/read"),
        ("/usages", "automationAccounts/usages/read"),
    ],
)
def test_every_read_needs_its_own_right(serve: Serve, path: str, action: str) -> None:
    denied = {"client_id": "reader", "denied": [{"action": f"Microsoft.Automation/{action}"}]}
    arm = serve(scenario(_vault(), identity={"identities": [denied]}))
    refused = _below(arm, path)
    assert refused.status_code == 403
    assert f"'Microsoft.Automation/{action}' over scope '{ACCOUNT}'" in refused.json()["error"]["message"]
    others = {"", "/schedules", "/jobSchedules", "/jobs", "/usages"} - {path}
    assert {_below(arm, other).status_code for other in others} == {200}


@pytest.mark.parametrize("route", ["automation_account", "schedules", "job_schedules", "automation_jobs", "usages"])
def test_faults_hit_every_call_by_name(accounts: Arm, route: str) -> None:
    paths = {
        "automation_account": "",
        "schedules": "/schedules",
        "job_schedules": "/jobSchedules",
        "automation_jobs": "/jobs",
        "usages": "/usages",
    }
    accounts.sim.control.add_fault("status", status=503, route=route)
    assert _below(accounts, paths[route]).status_code == 503
    assert _below(accounts, paths[route]).status_code == 200
    assert [entry["status"] for entry in accounts.sim.control.requests(kind=route)] == [503, 200]


def test_a_link_of_a_list_may_lead_astray(accounts: Arm) -> None:
    accounts.sim.control.add_fault("next_link_host", url="https://elsewhere.example", route="schedules")
    link = _below(accounts, "/schedules").json()["nextLink"]
    assert link == f"https://elsewhere.example{ACCOUNT}/schedules?api-version={_VERSION}&$skip=0"
    accounts.sim.control.add_fault("next_link_loop", route="job_schedules")
    link = _below(accounts, "/jobSchedules").json()["nextLink"]
    assert link == f"{accounts.sim.url}{ACCOUNT}/jobSchedules?api-version={_VERSION}"


@pytest.mark.parametrize(
    ("what", "spoil"),
    [
        ("nothing", lambda _control: None),
        ("the schedule", lambda control: control.delete_schedule("aa-dr", "one_*")),
        ("the job schedule", lambda control: control.delete_job_schedule("aa-dr", "one_*")),
        ("a switch", lambda control: control.set_schedule("aa-dr", "one_*", enabled=False)),
        ("the account", lambda control: control.delete_account("aa-dr")),
        ("its state", lambda control: control.set_account("aa-dr", state="Suspended")),
        ("its identity", lambda control: control.set_account("aa-dr", identity="UserAssigned")),
        ("the authentication", lambda control: control.drift("run_as", mappings=["one"])),
        ("its health", lambda control: control.drift("health_error", mappings=["one"])),
    ],
)
def test_machines_only_update_themselves_with_all_that_it_takes(serve: Serve, what: str, spoil: Any) -> None:
    arm = serve(scenario(_vault(items_per_mapping=1), agent_updates={"auto_update_after": 60}))
    spoil(arm.sim.control)
    arm.sim.control.release_agent(_NEWER)
    arm.time.advance(60)
    (version,) = [item["version"] for item in arm.sim.control.items() if item["mapping"] == "one"]
    assert (version == _NEWER) is (what == "nothing"), what
