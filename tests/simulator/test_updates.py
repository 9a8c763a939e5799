"""PATCHing a mapping, and what becomes of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from asr_simulator import Scenario
from tests.simulator.helpers import ACCOUNT, VAULT_PATH, Arm, scenario, update, vault

Serve = Callable[[Scenario], Arm]
_GUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


def test_a_patch_is_accepted_as_recorded(arm: Arm) -> None:
    answer = arm.patch("alpha")
    assert answer.status_code == 202
    assert answer.content == b""
    assert answer.headers["Content-Length"] == "0"
    assert answer.headers["Retry-After"] == "30"
    assert answer.headers["x-ms-ratelimit-remaining-subscription-writes"] == "199"
    operation, location = answer.headers["Azure-AsyncOperation"], answer.headers["Location"]
    guid = operation.partition("?")[0].rpartition("/")[2]
    assert re.fullmatch(_GUID, guid)
    prefix = f"{arm.sim.url}/Subscriptions"
    assert operation.startswith(
        f"{prefix}{VAULT_PATH.removeprefix('/subscriptions')}/replicationOperationStatus/{guid}?"
    )
    assert location.startswith(f"{arm.sim.url}{arm.mapping_path('alpha')}/operationresults/{guid}?")
    assert answer.headers["x-ms-request-id"].endswith(f"/replicationJobs/{guid}")
    assert arm.job(guid)["state"] == "InProgress"


def test_the_mapping_changes_when_the_job_ends_and_not_before(arm: Arm) -> None:
    arm.patch("alpha")
    arm.time.advance(9.999)
    assert arm.details("alpha")["agentAutoUpdateStatus"] == "Disabled"
    arm.time.advance(0.001)
    details = arm.details("alpha")
    assert details["agentAutoUpdateStatus"] == "Enabled"
    assert details["automationAccountArmId"] == ACCOUNT
    assert details["automationAccountAuthenticationType"] == "SystemAssignedIdentity"
    assert re.fullmatch(f"alpha_{_GUID}", details["scheduleName"])
    assert re.fullmatch(_GUID, details["jobScheduleName"])


def test_time_scale_makes_jobs_shorter_for_the_client(serve: Serve) -> None:
    arm = serve(scenario(time_scale=20))
    answer = arm.patch("alpha")
    assert answer.headers["Retry-After"] == "2"
    arm.time.advance(0.5)
    assert arm.details("alpha")["agentAutoUpdateStatus"] == "Enabled"


def test_without_an_authentication_type_it_becomes_run_as(arm: Arm) -> None:
    arm.patch("alpha", update(automationAccountAuthenticationType=None))
    arm.time.advance(10)
    assert arm.details("alpha")["automationAccountAuthenticationType"] == "RunAsAccount"


@pytest.mark.parametrize("extra", [{}, {"automationAccountArmId": ""}, {"automationAccountAuthenticationType": None}])
def test_disabling_leaves_what_was_recorded(serve: Serve, extra: dict[str, Any]) -> None:
    arm = serve(scenario(vault(mappings=[{"name": "on", "kind": "enabled_compliant"}])))
    arm.patch("on", update("Disabled", **extra))
    arm.time.advance(10)
    assert arm.details("on") == {
        "instanceType": "A2A",
        "agentAutoUpdateStatus": "Disabled",
        "automationAccountAuthenticationType": "RunAsAccount",
        "automationAccountArmId": None,
        "scheduleName": None,
        "jobScheduleName": None,
    }


def test_a_patch_that_changes_nothing_makes_a_job_all_the_same(serve: Serve) -> None:
    arm = serve(scenario(vault(mappings=[{"name": "on", "kind": "enabled_compliant"}])))
    job = arm.start_job("on")
    arm.time.advance(10)
    assert arm.job(job)["state"] == "Succeeded"


def test_a_mapping_takes_one_job_at_a_time(arm: Arm) -> None:
    job = arm.start_job("alpha")
    answer = arm.patch("alpha")
    assert answer.status_code == 409
    assert job in answer.json()["error"]["details"][0]["message"]
    arm.time.advance(10)
    assert arm.patch("alpha").status_code == 202


def test_a_failed_job_leaves_the_mapping_alone(serve: Serve) -> None:
    arm = serve(scenario(jobs={"duration": {"min": 10, "max": 10}, "failed_share": 1}))
    arm.patch("alpha")
    arm.time.advance(10)
    assert arm.details("alpha")["agentAutoUpdateStatus"] == "Disabled"
    assert arm.patch("alpha").status_code == 202


@pytest.mark.parametrize(
    "body",
    [
        b"not json",
        b"[]",
        b"{}",
        b'{"properties": null}',
        b'{"properties": {"providerSpecificInput": {"agentAutoUpdateStatus": "Enabled"}}}',
        b'{"properties": {"providerSpecificInput": {"instanceType": "InMageRcm"}}}',
        b'{"properties": {"providerSpecificInput": {"instanceType": "A2A", "agentAutoUpdateStatus": "On"}}}',
        b'{"properties": {"providerSpecificInput": {"instanceType": "A2A", "agentAutoUpdateStatus": 1}}}',
        b'{"properties": {"providerSpecificInput": {"instanceType": "A2A", "agentAutoUpdateStatus": "Enabled"}}}',
        json.dumps(update("Disabled", automationAccountAuthenticationType="Password")).encode(),
    ],
)
def test_a_body_that_makes_no_sense_is_refused(arm: Arm, body: bytes) -> None:
    answer = arm.call("PATCH", arm.mapping_path("alpha"), data=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] in {"BadRequest", "InvalidRequestContent"}
    assert arm.sim.control.patches()[arm.mapping_path("alpha")]["refused"] == 1


@pytest.mark.parametrize("kind", ["unpaired", "missing_details", "other_provider"])
def test_a_mapping_out_of_scope_cannot_be_patched(serve: Serve, kind: str) -> None:
    arm = serve(scenario(vault(mappings=[{"name": "odd", "kind": kind}])))
    assert arm.patch("odd").status_code == 400


def test_a_patch_may_fail_by_chance(serve: Serve) -> None:
    arm = serve(scenario(patch_failure_share=1))
    answer = arm.patch("alpha")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "InternalServerError")
    assert arm.below("/replicationJobs").json()["value"] == []


@pytest.mark.parametrize(("curable", "errors"), [(True, 0), (False, 1)])
def test_repair_clears_health_errors_that_can_be_cured(serve: Serve, curable: bool, errors: int) -> None:
    arm = serve(scenario(vault(mappings=[{"name": "ill", "kind": "enabled_unhealthy", "curable": curable}])))
    job = arm.start_job("ill")
    arm.time.advance(10)
    assert arm.job(job)["state"] == "Succeeded"
    assert len(arm.mapping("ill")["properties"]["healthErrorDetails"]) == errors


def test_health_errors_of_auto_update_vanish_with_auto_update(serve: Serve) -> None:
    arm = serve(scenario(vault(mappings=[{"name": "ill", "kind": "enabled_unhealthy", "curable": False}])))
    arm.patch("ill", update("Disabled"))
    arm.time.advance(10)
    assert arm.mapping("ill")["properties"]["health"] == "Normal"
    arm.patch("ill")
    arm.time.advance(10)
    assert arm.mapping("ill")["properties"]["healthErrorDetails"] != []


def test_a_mapping_removed_under_a_running_job_stays_gone(arm: Arm) -> None:
    job = arm.start_job("alpha")
    path = arm.mapping_path("alpha")
    arm.sim.control.remove_mappings(names=["alpha"])
    arm.time.advance(10)
    assert arm.job(job)["state"] == "Succeeded"
    assert arm.get(path).status_code == 404
