"""The agents of replicated VMs: releases, updates by call and by themselves, and what is told of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import requests

from asr_simulator import ControlRefusedError, Scenario, ScenarioError
from asr_simulator.agents import FIRST_VERSION, OLDER_VERSION
from asr_simulator.control_types import ItemState
from asr_simulator.protected_items import NEVER
from tests.simulator.helpers import MAPPINGS, SUBSCRIPTION, Arm, scenario, update, vault

Serve = Callable[[Scenario], Arm]
_NEWER = "9.60.7000.1"
_BODY: dict[str, Any] = {"properties": {}}


def _vault(**changes: Any) -> dict[str, Any]:
    """Three mappings of four machines each: a canary and three for the web."""
    described: dict[str, Any] = {
        "items_per_mapping": 4,
        "vm_name": "{role}-{mapping}-{index}",
        "roles": ["canary", "web", "web", "web"],
    }
    return vault(**(described | changes))


@pytest.fixture
def fleet(serve: Serve) -> Arm:
    return serve(scenario(_vault()))


def _item(arm: Arm, vm_name: str) -> ItemState:
    (found,) = [item for item in arm.sim.control.items() if item["vm_name"] == vm_name]
    return found


def _start(arm: Arm, vm_name: str, body: Any = _BODY) -> requests.Response:
    return arm.call("POST", f"{_item(arm, vm_name)['id']}/updateMobilityService", json=body)


def _job(arm: Arm, answer: requests.Response) -> dict[str, Any]:
    assert answer.status_code == 202, answer.text
    return arm.job(answer.headers["Azure-AsyncOperation"].partition("?")[0].rpartition("/")[2])


def _details(arm: Arm, vm_name: str, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = arm.get(_item(arm, vm_name)["id"], **more).json()["properties"]["providerSpecificDetails"]
    return found


def test_machines_are_named_by_format_and_take_roles_in_turn(fleet: Arm) -> None:
    names = [item["vm_name"] for item in fleet.sim.control.items()]
    assert names[:5] == ["canary-0-0", "web-0-1", "web-0-2", "web-0-3", "canary-1-0"]
    assert len(set(names)) == len(names) == 12
    document = fleet.get(_item(fleet, "canary-1-0")["id"]).json()["properties"]
    assert document["friendlyName"] == "canary-1-0"
    assert document["providerSpecificDetails"]["fabricObjectId"].endswith("/virtualmachines/canary-1-0")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"vm_name": "{colour}"}, "only have the fields mapping, index and role"),
        ({"vm_name": "{index.real}"}, "only have the fields mapping, index and role"),
        ({"vm_name": "{index"}, "is not a format"),
        ({"vm_name": "a/{index}"}, "without slashes"),
        ({"vm_name": "{role}-{index}"}, "vm_name needs roles"),
    ],
)
def test_a_format_of_names_that_cannot_work_is_refused(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(ScenarioError, match=problem):
        scenario(vault(**changes))


def test_nothing_is_kept_of_machines_that_are_as_the_scenario_says(serve: Serve) -> None:
    arm = serve(scenario(_vault(outdated_agent_share=0.5)))
    found = arm.sim.control.items()
    assert Counter(item["version"] for item in found).keys() == {FIRST_VERSION, OLDER_VERSION}
    assert all(item["update_required"] is (item["version"] == OLDER_VERSION) for item in found)
    arm.below("/replicationProtectedItems")
    (only,) = arm.sim.world.vaults.values()
    assert only.agents.records == {}


def test_a_release_makes_every_other_version_old(fleet: Arm) -> None:
    fleet.sim.control.set_items(None, "canary-*", version=_NEWER)
    fleet.sim.control.release_agent(_NEWER)
    assert {item["update_required"] for item in fleet.sim.control.items() if "web" in item["vm_name"]} == {True}
    assert {item["update_required"] for item in fleet.sim.control.items() if "canary" in item["vm_name"]} == {False}
    details = _details(fleet, "web-0-1")
    assert details["agentVersion"] == FIRST_VERSION
    assert details["isReplicationAgentUpdateRequired"] is True
    assert details["isAgentUpgradeable"] is True
    assert _details(fleet, "canary-0-0")["isReplicationAgentUpdateRequired"] is False


def test_a_release_may_be_for_one_vault(serve: Serve) -> None:
    arm = serve(scenario(_vault(), _vault(name="other")))
    control = arm.sim.control
    control.release_agent(_NEWER, vault="other")
    assert {item["update_required"] for item in control.items("other")} == {True}
    assert {item["update_required"] for item in control.items("dr-vault")} == {False}
    control.release_agent(_NEWER)
    assert {item["update_required"] for item in control.items("dr-vault")} == {True}


def test_an_update_runs_as_a_job_and_ends_with_the_newest_version(fleet: Arm) -> None:
    control = fleet.sim.control
    control.release_agent(_NEWER)
    answer = _start(fleet, "canary-0-0")
    assert answer.content == b""
    assert answer.headers["Retry-After"] == "30"
    running = _item(fleet, "canary-0-0")
    assert (running["running"], running["upgrade_in_progress"], running["version"]) == (True, True, FIRST_VERSION)
    assert _details(fleet, "canary-0-0")["isAgentUpgradeInProgress"] is True
    job = _job(fleet, answer)
    assert (job["state"], job["targetObjectId"], job["targetObjectName"], job["targetInstanceType"]) == (
        "InProgress",
        running["id"],
        "canary-0-0",
        "ProtectionEntity",
    )
    assert fleet.get(answer.headers["Azure-AsyncOperation"]).json()["status"] == "InProgress"
    assert fleet.get(answer.headers["Location"]).status_code == 202
    fleet.time.advance(10)
    assert fleet.get(answer.headers["Azure-AsyncOperation"]).json()["status"] == "Succeeded"
    assert fleet.get(answer.headers["Location"]).json()["id"] == running["id"]
    ended = _item(fleet, "canary-0-0")
    assert (ended["running"], ended["upgrade_in_progress"], ended["version"]) == (False, False, _NEWER)
    assert (ended["update_required"], ended["updates_accepted"], ended["outcomes"]) == (False, 1, {"Completed": 1})
    assert _job(fleet, answer)["stateDescription"] == "Completed"
    assert _item(fleet, "web-0-1")["update_required"] is True


def test_a_version_that_comes_out_meanwhile_is_installed(fleet: Arm) -> None:
    fleet.sim.control.release_agent(_NEWER)
    _start(fleet, "web-0-1")
    fleet.sim.control.release_agent("9.61.0.1")
    fleet.time.advance(10)
    assert _item(fleet, "web-0-1")["version"] == "9.61.0.1"


@pytest.mark.parametrize(
    ("body", "code"), [({}, "BadRequest"), ([], "BadRequest"), ({"properties": None}, "BadRequest"), (None, "Invalid")]
)
def test_an_update_needs_properties(fleet: Arm, body: Any, code: str) -> None:
    answer = _start(fleet, "web-0-1", body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"].startswith(code)
    assert _item(fleet, "web-0-1")["updates_refused"] == 1


def test_a_machine_takes_one_update_at_a_time(fleet: Arm) -> None:
    fleet.sim.control.release_agent(_NEWER)
    name = _start(fleet, "web-0-1").headers["x-ms-request-id"].rpartition("/")[2]
    second = _start(fleet, "web-0-1")
    assert second.status_code == 409
    assert second.json()["error"]["details"][0]["code"] == "532"
    assert name in second.json()["error"]["message"]
    fleet.time.advance(10)
    assert _start(fleet, "web-0-1").status_code == 202
    item = _item(fleet, "web-0-1")
    assert (item["updates_accepted"], item["updates_refused"]) == (2, 1)


def test_a_machine_that_is_not_there_cannot_be_updated(fleet: Arm) -> None:
    path = _item(fleet, "web-0-1")["id"].rpartition("/")[0]
    assert fleet.call("POST", f"{path}/none/updateMobilityService", json=_BODY).status_code == 404
    assert fleet.get(f"{path}/none/updateMobilityService").status_code == 405


def test_the_most_updates_at_once_are_remembered(fleet: Arm) -> None:
    for name in ("web-0-1", "web-0-2", "web-0-3"):
        _start(fleet, name)
    fleet.time.advance(10)
    _start(fleet, "web-1-1")
    item = _item(fleet, "canary-0-0")
    assert (item["running_in_vault"], item["most_running_in_vault"]) == (1, 3)
    fleet.sim.control.reset_stats()
    item = _item(fleet, "web-0-1")
    assert (item["updates_accepted"], item["outcomes"], item["most_running_in_vault"]) == (0, {}, 1)


def test_an_update_counts_as_a_write_of_site_recovery(fleet: Arm) -> None:
    fleet.sim.control.settings(throttle={"writes": "1/60s", "arm": {"enabled": False}})
    assert _start(fleet, "web-0-1").status_code == 202
    refused = _start(fleet, "web-0-2")
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "60")
    assert _item(fleet, "web-0-2")["updates_accepted"] == 0


def test_an_update_needs_its_own_right(serve: Serve) -> None:
    identity = {"client_id": "writer", "denied": [{"action": "*/updateMobilityService/action"}]}
    arm = serve(scenario(_vault(), identity={"identities": [identity]}))
    refused = _start(arm, "web-0-1")
    assert refused.status_code == 403
    assert "/replicationProtectedItems/updateMobilityService/action'" in refused.json()["error"]["message"]
    assert _item(arm, "web-0-1")["id"].rpartition("/")[2] in refused.json()["error"]["message"]


def test_updates_fail_on_chosen_machines_and_say_why(serve: Serve) -> None:
    failure = {"code": "900160", "message": "m", "possible_causes": "p", "recommended_action": "r"}
    arm = serve(scenario(_vault(), agent_updates={"failing": ["WEB-0-*"], "failures": [failure]}))
    arm.sim.control.release_agent(_NEWER)
    bad, good = _start(arm, "web-0-1"), _start(arm, "web-1-1")
    arm.time.advance(10)
    job = _job(arm, bad)
    assert (job["state"], job["errors"][0]["errorLevel"]) == ("Failed", "Error")
    error = job["errors"][0]["serviceErrorDetails"]
    assert {key: error[key] for key in ("code", "message", "possibleCauses", "recommendedAction")} == {
        "code": "900160",
        "message": "m",
        "possibleCauses": "p",
        "recommendedAction": "r",
    }
    assert arm.get(bad.headers["Location"]).status_code == 409
    assert _job(arm, good)["state"] == "Succeeded"
    item = _item(arm, "web-0-1")
    assert (item["version"], item["update_required"], item["outcomes"]) == (FIRST_VERSION, True, {"Failed": 1})
    arm.sim.control.settings(agent_updates={})
    _start(arm, "web-0-1")
    arm.time.advance(10)
    assert _item(arm, "web-0-1")["version"] == _NEWER


def test_a_share_of_updates_fails(serve: Serve) -> None:
    arm = serve(
        scenario(_vault(items_per_mapping=40, vm_name="{mapping}-{index}"), agent_updates={"failed_share": 0.5})
    )
    for item in arm.sim.control.items():
        arm.call("POST", f"{item['id']}/updateMobilityService", json=_BODY)
    arm.time.advance(10)
    outcomes = Counter(outcome for item in arm.sim.control.items() for outcome in item["outcomes"])
    assert outcomes.total() == 120
    assert 30 < outcomes["Failed"] < 90


def test_an_update_that_waits_for_a_restart_succeeds_with_information(serve: Serve) -> None:
    arm = serve(scenario(_vault(), agent_updates={"reboot_pending": ["web-2-?"]}))
    arm.sim.control.release_agent(_NEWER)
    answer = _start(arm, "web-2-1")
    assert _job(arm, answer)["errors"] == []
    arm.time.advance(10)
    job = _job(arm, answer)
    assert (job["state"], job["stateDescription"]) == ("Succeeded", "CompletedWithInformation")
    (error,) = job["errors"]
    assert (error["serviceErrorDetails"]["code"], error["errorLevel"]) == ("151083", "Warning")
    assert arm.get(answer.headers["Azure-AsyncOperation"]).json()["error"] is None
    assert arm.get(answer.headers["Location"]).status_code == 200
    assert _item(arm, "web-2-1")["version"] == _NEWER


def test_updates_of_chosen_machines_never_end(serve: Serve) -> None:
    arm = serve(scenario(_vault(), agent_updates={"never_ending": ["web-2-1"]}))
    answer = _start(arm, "web-2-1")
    arm.time.advance(10_000)
    assert _job(arm, answer)["state"] == "InProgress"
    assert _item(arm, "web-2-1")["running"] is True


def test_a_cancelled_update_changes_nothing(fleet: Arm) -> None:
    fleet.sim.control.release_agent(_NEWER)
    answer = _start(fleet, "web-0-1")
    fleet.call("POST", f"{answer.headers['x-ms-request-id']}/cancel")
    fleet.time.advance(10)
    item = _item(fleet, "web-0-1")
    assert (item["version"], item["running"], item["outcomes"]) == (FIRST_VERSION, False, {"Cancelled": 1})


def test_an_update_of_a_machine_whose_mapping_goes_ends_all_the_same(fleet: Arm) -> None:
    _start(fleet, "web-0-1")
    fleet.sim.control.remove_mappings(names=["alpha"])
    fleet.time.advance(10)
    item = _item(fleet, "web-1-1")
    assert (item["running_in_vault"], item["most_running_in_vault"]) == (0, 1)
    (only,) = fleet.sim.world.vaults.values()
    assert only.agents.records == {}


def test_agents_are_set_by_name(fleet: Arm) -> None:
    control = fleet.sim.control
    blocker = {"code": "1", "message": "m", "possible_causes": "p", "recommended_action": "r"}
    changed = control.set_items(
        None,
        "WEB-0-?",
        version="9.50.0.1",
        expires_at="2026-12-31T12:00:00+02:00",
        certificate_expires_at="2027-01-31T00:00:00",
        reinstall_required=True,
        blockers=[blocker],
        certificate_update_required=True,
        retry_count=5,
        retries_exhausted=True,
        upgrade_in_progress=True,
    )
    assert changed == ["web-0-1", "web-0-2", "web-0-3"]
    assert _item(fleet, "web-0-1")["expires_at"] == "2026-12-31T10:00:00+00:00"
    details = _details(fleet, "web-0-1")
    assert details["agentVersion"] == "9.50.0.1"
    assert details["agentExpiryDate"] == "2026-12-31T10:00:00.0000000"
    assert details["agentCertificateExpiryDate"] == "2027-01-31T00:00:00.0000000"
    assert details["isAgentReinstallRequired"] is True
    assert details["reasonsBlockingReInstall"] == "1"
    assert details["reasonsBlockingReinstallDetails"] == [
        {
            "errorCode": "1",
            "errorMessage": "m",
            "errorMessageParameters": {},
            "errorTags": {},
            "possibleCauses": "p",
            "recommendedAction": "r",
        }
    ]
    assert details["isReplicationAgentCertificateUpdateRequired"] is True
    assert details["autoAgentUpgradeRetryCount"] == 5
    assert details["isAgentUpgradeRetryThresholdExhausted"] is True
    assert details["isAgentUpgradeInProgress"] is True
    assert details["isReplicationAgentUpdateRequired"] is True
    control.set_items("dr-vault", "web-0-1", expires_at=None, update_required=False)
    details = _details(fleet, "web-0-1")
    assert details["agentExpiryDate"] == NEVER
    assert details["isReplicationAgentUpdateRequired"] is False
    assert details["autoAgentUpgradeRetryCount"] == 5
    assert _details(fleet, "canary-0-0")["agentVersion"] == FIRST_VERSION


@pytest.mark.parametrize("fields", [{"colour": "red"}, {"version": ""}, {"retry_count": -1}, {"expires_at": "soon"}])
def test_what_cannot_be_set_of_agents_is_refused(fleet: Arm, fields: dict[str, Any]) -> None:
    with pytest.raises(ControlRefusedError, match=next(iter(fields))):
        fleet.sim.control.set_items(None, "*", **fields)


def test_an_update_ends_the_expiry_and_the_retries_but_not_the_need_to_install_anew(fleet: Arm) -> None:
    fleet.sim.control.set_items(
        None,
        "web-0-1",
        expires_at="2026-12-31T00:00:00Z",
        retries_exhausted=True,
        retry_count=3,
        reinstall_required=True,
    )
    _start(fleet, "web-0-1")
    fleet.time.advance(10)
    details = _details(fleet, "web-0-1")
    assert details["agentExpiryDate"] == NEVER
    assert (details["autoAgentUpgradeRetryCount"], details["isAgentUpgradeRetryThresholdExhausted"]) == (0, False)
    assert details["isAgentReinstallRequired"] is True


def test_machines_with_auto_update_get_a_release_by_themselves(serve: Serve) -> None:
    mappings = [{"name": "alpha", "kind": "enabled_compliant"}, {"name": "beta"}]
    arm = serve(scenario(_vault(mappings=mappings), agent_updates={"auto_update_after": 100}))
    control = arm.sim.control
    control.set_items(None, "web-0-1", retries_exhausted=True)
    control.set_items(None, "web-0-2", certificate_update_required=True)
    control.release_agent(_NEWER)
    arm.time.advance(99)
    assert {item["version"] for item in control.items()} == {FIRST_VERSION}
    arm.time.advance(1)
    versions = {item["vm_name"]: item["version"] for item in control.items()}
    assert {name for name, version in versions.items() if version == _NEWER} == {"canary-0-0", "web-0-2", "web-0-3"}
    assert _details(arm, "web-0-2")["isReplicationAgentCertificateUpdateRequired"] is True
    (only,) = arm.sim.world.vaults.values()
    assert len(only.agents.records) == 2, "machines that follow their mapping need no entry"
    arm.patch("beta", update())
    arm.time.advance(10)
    assert _item(arm, "canary-1-0")["version"] == _NEWER


def test_without_a_time_nothing_is_updated_by_itself(serve: Serve) -> None:
    arm = serve(scenario(_vault(mappings=[{"name": "alpha", "kind": "enabled_compliant"}])))
    arm.sim.control.release_agent(_NEWER)
    arm.time.advance(10_000_000)
    assert {item["version"] for item in arm.sim.control.items()} == {FIRST_VERSION}
    arm.sim.control.settings(agent_updates={"auto_update_after": 0})
    assert {item["version"] for item in arm.sim.control.items()} == {_NEWER}


@pytest.mark.parametrize("kind", ["fail_job", "job_never_ends", "no_job_urls"])
def test_faults_of_jobs_hit_updates_too(fleet: Arm, kind: str) -> None:
    fleet.sim.control.add_fault(kind, route="update_agent")
    answer = _start(fleet, "web-0-1")
    assert answer.status_code == 202
    assert ("Azure-AsyncOperation" in answer.headers) is (kind != "no_job_urls")
    fleet.time.advance(10)
    item = _item(fleet, "web-0-1")
    expected = {"fail_job": {"Failed": 1}, "job_never_ends": {}, "no_job_urls": {"Completed": 1}}
    assert item["outcomes"] == expected[kind]
    assert fleet.sim.control.faults() == []


def test_a_fault_of_the_connection_leaves_the_job_alone(serve: Serve) -> None:
    arm = serve(scenario(_vault(), agent_updates={"failing": ["web-0-1"]}))
    arm.sim.control.add_fault("reset_after", route="update_agent")
    with pytest.raises(requests.ConnectionError):
        _start(arm, "web-0-1")
    arm.time.advance(10)
    assert _item(arm, "web-0-1")["outcomes"] == {"Failed": 1}


def test_a_fault_at_the_gateway_keeps_an_update_from_starting(fleet: Arm) -> None:
    fleet.sim.control.add_fault("status", status=503, route="update_agent")
    assert _start(fleet, "web-0-1").status_code == 503
    assert _item(fleet, "web-0-1")["updates_accepted"] == 0
    assert [entry["kind"] for entry in fleet.sim.control.requests(method="POST")] == ["update_agent"]


def test_an_update_is_found_in_the_job_list(fleet: Arm) -> None:
    name = _start(fleet, "web-0-1").headers["x-ms-request-id"].rpartition("/")[2]
    (listed,) = fleet.below("/replicationJobs?$filter=jobStatus%20eq%20'InProgress'").json()["value"]
    assert (listed["name"], listed["properties"]["targetObjectId"]) == (name, _item(fleet, "web-0-1")["id"])
    assert SUBSCRIPTION in listed["properties"]["targetObjectId"]
    assert len(fleet.below(MAPPINGS).json()["value"]) == 3
