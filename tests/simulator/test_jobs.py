"""Jobs: their course, the list, the filter, single jobs, cancelling."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from asr_simulator import Scenario
from tests.simulator.helpers import VAULT_PATH, Arm, scenario, update, vault

Serve = Callable[[Scenario], Arm]
_JOBS = "/replicationJobs"


def _jobs(**changes: Any) -> dict[str, Any]:
    return {"duration": {"min": 10, "max": 10}} | changes


def _names(arm: Arm, text: str) -> list[str]:
    answer = arm.below(_JOBS, params={"$filter": text})
    assert answer.status_code == 200, answer.text
    return [str(item["properties"]["targetObjectName"]) for item in answer.json()["value"]]


def test_the_list_shows_the_newest_first_without_details(arm: Arm) -> None:
    for name in ("alpha", "beta"):
        arm.start_job(name)
        arm.time.advance(1)
    listed = arm.below(_JOBS).json()["value"]
    assert [item["properties"]["targetObjectName"] for item in listed] == ["beta", "alpha"]
    newest = listed[0]["properties"]
    assert (newest["tasks"], newest["errors"]) == ([], [])
    assert "activityId" not in newest
    assert "customDetails" not in newest
    assert "endTime" not in newest


def test_the_list_shows_a_job_as_it_is_now(arm: Arm) -> None:
    arm.start_job("alpha")
    states = []
    for _ in range(3):
        states.append(arm.below(_JOBS).json()["value"][0]["properties"]["state"])
        arm.time.advance(5)
    assert states == ["InProgress", "InProgress", "Succeeded"]


def test_pages_of_jobs_do_not_shift_when_new_jobs_start(serve: Serve) -> None:
    arm = serve(scenario(jobs_page_size=1))
    first = arm.start_job("alpha")
    second = arm.start_job("beta")
    page = arm.below(_JOBS).json()
    third = arm.start_job("gamma")
    rest = arm.get(page["nextLink"]).json()
    assert [page["value"][0]["name"], rest["value"][0]["name"]] == [second, first]
    assert rest.get("nextLink") is None
    assert [page[0]["name"] for page in arm.pages(VAULT_PATH + _JOBS)] == [third, second, first]


def test_a_filter_chooses_by_state(arm: Arm) -> None:
    arm.start_job("alpha")
    arm.time.advance(6)
    arm.start_job("beta")
    arm.time.advance(6)
    assert _names(arm, "jobStatus eq 'InProgress'") == ["beta"]
    assert _names(arm, "JobStatus eq 'succeeded'") == ["alpha"]
    assert _names(arm, "jobStatus eq 'Failed'") == []


def test_a_filter_chooses_by_start(arm: Arm) -> None:
    for name in ("alpha", "beta", "gamma"):
        arm.start_job(name)
        arm.time.advance(60)
    start = datetime.fromtimestamp(arm.time.epoch, UTC)
    after = f"{start + timedelta(seconds=30):%Y-%m-%dT%H:%M:%SZ}"
    before = f"{start + timedelta(seconds=90):%Y-%m-%dT%H:%M:%S}.0000000Z"
    assert _names(arm, f"startTime eq '{after}'") == ["gamma", "beta"]
    assert _names(arm, f"endTime eq '{before}'") == ["beta", "alpha"]
    assert _names(arm, f"startTime eq '{after}' and endTime eq '{before}' and jobStatus eq ''") == ["beta"]


def test_a_filter_chooses_by_name_and_type(arm: Arm) -> None:
    job = arm.start_job("alpha")
    arm.start_job("beta")
    assert _names(arm, f"jobName eq '{job}'") == ["alpha"]
    assert _names(arm, "affectedObjectTypes eq 'ProtectionEntity'") == []


def test_a_filter_goes_on_to_the_next_page(serve: Serve) -> None:
    arm = serve(scenario(jobs_page_size=1))
    for name in ("alpha", "beta", "gamma"):
        arm.start_job(name)
    pages = arm.pages(f"{VAULT_PATH}{_JOBS}?$filter=jobStatus%20eq%20'InProgress'")
    assert [page[0]["properties"]["targetObjectName"] for page in pages] == ["gamma", "beta", "alpha"]


@pytest.mark.parametrize(
    "text",
    [
        "jobStatus",
        "jobStatus ne 'Failed'",
        "jobStatus eq Failed",
        "color eq 'red'",
        "startTime eq 'soon'",
        "jobStatus eq 'a' and",
    ],
)
def test_a_filter_that_cannot_be_read_is_refused(arm: Arm, text: str) -> None:
    assert arm.below(_JOBS, params={"$filter": text}).status_code == 400


def test_a_failed_job_tells_why(serve: Serve) -> None:
    failure = {
        "code": "77001",
        "message": "It broke.",
        "possible_causes": "Age.",
        "recommended_action": "Replace it.",
        "provider_code": 9,
        "provider_message": "Crack.",
    }
    arm = serve(scenario(jobs=_jobs(failed_share=1, failures=[failure])))
    name = arm.start_job("alpha")
    assert arm.job(name)["errors"] == []
    arm.time.advance(10)
    job = arm.job(name)
    (error,) = job["errors"]
    assert job["state"] == "Failed"
    assert job["allowedActions"] == []
    assert job["tasks"][-1]["state"] == "Failed"
    assert error["taskId"] == job["tasks"][-1]["taskId"]
    assert error["serviceErrorDetails"]["possibleCauses"] == "Age."
    assert error["serviceErrorDetails"]["recommendedAction"] == "Replace it."
    assert error["providerErrorDetails"]["errorCode"] == 9
    assert arm.below(_JOBS).json()["value"][0]["properties"]["errors"] == []


@pytest.mark.parametrize(
    ("share", "description"),
    [
        ("partially_succeeded_share", "PartiallySucceeded"),
        ("completed_with_information_share", "CompletedWithInformation"),
    ],
)
def test_a_partial_success_is_a_success(serve: Serve, share: str, description: str) -> None:
    arm = serve(scenario(jobs=_jobs(**{share: 1})))
    answer = arm.patch("alpha")
    arm.time.advance(10)
    job = arm.below(_JOBS).json()["value"][0]["properties"]
    assert (job["state"], job["stateDescription"]) == ("Succeeded", description)
    assert arm.get(answer.headers["Azure-AsyncOperation"]).json()["status"] == description
    assert arm.details("alpha")["agentAutoUpdateStatus"] == "Enabled"


def test_a_job_may_wait_before_it_starts(serve: Serve) -> None:
    arm = serve(scenario(jobs=_jobs(duration={"min": 9, "max": 9}, not_started_share=1)))
    name = arm.start_job("alpha")
    states = []
    for _ in range(4):
        states.append(arm.job(name)["state"])
        arm.time.advance(3)
    assert states == ["NotStarted", "InProgress", "InProgress", "Succeeded"]


@pytest.mark.parametrize(("share", "state"), [("never_ending_share", "InProgress"), ("suspended_share", "Suspended")])
def test_a_job_may_never_end(serve: Serve, share: str, state: str) -> None:
    arm = serve(scenario(jobs=_jobs(**{share: 1})))
    name = arm.start_job("alpha")
    arm.time.advance(80_000)
    assert arm.job(name)["state"] == state
    assert "endTime" not in arm.job(name)
    assert arm.patch("alpha").status_code == 409


def test_somebody_may_cancel_a_job(serve: Serve) -> None:
    arm = serve(scenario(jobs=_jobs(cancelled_share=1)))
    name = arm.start_job("alpha")
    arm.time.advance(7)
    assert arm.job(name)["state"] == "Cancelling"
    arm.time.advance(3)
    job = arm.job(name)
    assert job["state"] == "Cancelled"
    assert job["errors"][0]["serviceErrorDetails"]["code"] == "538"
    assert arm.details("alpha")["agentAutoUpdateStatus"] == "Disabled"


def test_a_running_job_can_be_cancelled(arm: Arm) -> None:
    answer = arm.patch("alpha")
    name = answer.headers["x-ms-request-id"].rpartition("/")[2]
    assert arm.job(name)["allowedActions"] == ["Cancel"]
    cancelled = arm.call("POST", f"{VAULT_PATH}{_JOBS}/{name}/cancel")
    assert (cancelled.status_code, cancelled.json()["properties"]["state"]) == (200, "Cancelling")
    assert arm.get(answer.headers["Azure-AsyncOperation"]).json()["error"]["code"] == "538"
    assert arm.call("POST", f"{VAULT_PATH}{_JOBS}/{name}/cancel").status_code == 400
    arm.time.advance(20)
    assert arm.job(name)["state"] == "Cancelled"
    assert arm.details("alpha")["agentAutoUpdateStatus"] == "Disabled"
    assert arm.patch("alpha").status_code == 202


def test_a_job_cancelled_late_ends_when_cancelling_ends(arm: Arm) -> None:
    name = arm.start_job("alpha")
    arm.time.advance(9.5)
    arm.call("POST", f"{VAULT_PATH}{_JOBS}/{name}/cancel")
    arm.time.advance(1)  # its old end is over, the new one is not
    assert arm.job(name)["state"] == "Cancelling"
    assert arm.patch("alpha").status_code == 409
    arm.time.advance(1)
    assert arm.patch("alpha").status_code == 202


def test_a_job_names_its_mapping_or_the_policy(serve: Serve) -> None:
    arm = serve(scenario())
    job = arm.job(arm.start_job("alpha"))
    assert job["targetInstanceType"] == "ProtectionContainerMapping"
    assert job["targetObjectId"] == arm.mapping_path("alpha")
    arm = serve(scenario(jobs=_jobs(target="policy")))
    jobs = [arm.job(arm.start_job(name)) for name in ("alpha", "beta")]
    assert {job["targetInstanceType"] for job in jobs} == {"ProtectionProfile"}
    assert {job["targetObjectName"] for job in jobs} == {"24-hour-retention-policy"}
    assert len({job["targetObjectId"] for job in jobs}) == 1


def test_other_jobs_run_in_the_background(serve: Serve) -> None:
    arm = serve(scenario(jobs=_jobs(background_per_hour=60)))
    assert arm.below(_JOBS).json()["value"] == []
    arm.time.advance(3600)
    found = arm.below(_JOBS).json()["value"]
    assert 30 < len(found) <= 100
    assert {item["properties"]["targetInstanceType"] for item in found} == {"ProtectionEntity"}
    starts = [item["properties"]["startTime"] for item in found]
    assert starts == sorted(starts, reverse=True)


def test_an_unknown_job_is_not_found(arm: Arm) -> None:
    assert arm.below(f"{_JOBS}/00000000-0000-0000-0000-000000000000").status_code == 404


def test_ends_are_drawn_in_the_given_shares(serve: Serve) -> None:
    shares = {"failed_share": 0.25, "suspended_share": 0.25, "never_ending_share": 0.25}
    buckets = {"arm": {"enabled": False}, "enabled": False}
    arm = serve(scenario(vault(mappings=[], mix={"disabled": 200}), jobs=_jobs(**shares), throttle=buckets))
    for item in arm.sim.control.mappings():
        assert arm.call("PATCH", item["id"], json=update()).status_code == 202
    arm.time.advance(10)
    states = arm.sim.control.state()["vaults"][0]["jobs"]
    assert set(states) == {"Failed", "Suspended", "InProgress", "Succeeded"}
    assert all(25 <= count <= 75 for count in states.values())
