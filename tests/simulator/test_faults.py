"""Each fault does what it says, once, and to the calls that it names."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

from asr_simulator import ControlRefusedError, Scenario
from asr_simulator.faults import FaultKind
from tests.simulator.helpers import MAPPINGS, VAULT_PATH, Arm, scenario

Serve = Callable[[Scenario], Arm]


def _fault(arm: Arm, kind: str, **parameters: Any) -> str:
    return arm.sim.control.add_fault(kind, **parameters)


def _last_status(arm: Arm) -> int:
    return arm.sim.control.requests()[-1]["status"]


def test_a_status_fault_answers_instead_of_the_service(arm: Arm) -> None:
    _fault(arm, "status", status=503, code="ServerBusy", message="Later.", headers={"Retry-After": "7"})
    answer = arm.patch("alpha")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")
    assert answer.json() == {"error": {"code": "ServerBusy", "message": "Later."}}
    assert arm.below("/replicationJobs").json()["value"] == []


@pytest.mark.parametrize(("body", "text"), [("plain", "plain"), ({"a": [1]}, '{"a":[1]}')])
def test_a_status_fault_may_choose_the_body(arm: Arm, body: Any, text: str) -> None:
    _fault(arm, "status", status=418, body=body)
    assert arm.get(VAULT_PATH).text == text


def test_a_throttle_fault_chooses_retry_after(arm: Arm) -> None:
    _fault(arm, "throttle", retry_after=1.5)
    answer = arm.get(VAULT_PATH)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "2")
    assert answer.headers["retry-after-ms"] == "1500"
    _fault(arm, "throttle", code="OperationThrottled")
    answer = arm.get(VAULT_PATH)
    assert answer.json()["error"]["code"] == "OperationThrottled"
    assert "Retry-After" not in answer.headers


def test_a_token_may_be_refused_once(arm: Arm) -> None:
    _fault(arm, "unauthorized")
    assert [arm.get(VAULT_PATH).status_code for _ in range(2)] == [401, 200]


@pytest.mark.parametrize(("kind", "jobs"), [("reset_before", 0), ("reset_after", 1)])
def test_a_reset_comes_before_or_after_processing(arm: Arm, kind: str, jobs: int) -> None:
    path = arm.mapping_path("alpha")
    arm.get(path)
    _fault(arm, kind, method="PATCH")
    with pytest.raises(requests.ConnectionError):
        arm.patch("alpha")
    assert _last_status(arm) == 0
    assert len(arm.below("/replicationJobs").json()["value"]) == jobs


def test_a_reset_is_one_on_the_wire(arm: Arm) -> None:
    _fault(arm, "reset_before")
    with socket.create_connection(("127.0.0.1", arm.sim.port), timeout=5) as connection:
        connection.sendall(b"GET /subscriptions HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_a_hanging_call_ends_with_the_client(arm: Arm) -> None:
    _fault(arm, "hang")
    with pytest.raises(requests.Timeout):
        arm.get(VAULT_PATH, timeout=0.1)
    arm.sim.stop()  # does not wait for it


def test_a_hanging_call_may_end_by_itself(arm: Arm) -> None:
    _fault(arm, "hang", seconds=0)
    with pytest.raises(requests.ConnectionError):
        arm.get(VAULT_PATH)


def test_a_body_may_trickle(arm: Arm) -> None:
    whole = arm.below(MAPPINGS).json()
    _fault(arm, "slow_body", seconds=0.2)
    begin = time.monotonic()
    assert arm.below(MAPPINGS).json() == whole
    assert time.monotonic() - begin >= 0.2


def test_a_head_may_trickle_without_any_pause_that_a_read_time_out_would_notice(arm: Arm) -> None:
    _fault(arm, "slow_head", seconds=0.3)
    begin = time.monotonic()
    answer = arm.patch("alpha", timeout=0.2)
    assert time.monotonic() - begin >= 0.3
    assert answer.status_code == 202
    assert set(answer.headers["X-Slow"]) == {"."}
    assert arm.sim.control.state()["vaults"][0]["jobs"] == {"InProgress": 1}


def test_a_proxy_may_answer_in_html(arm: Arm) -> None:
    _fault(arm, "html")
    answer = arm.get(VAULT_PATH)
    assert (answer.status_code, answer.headers["Content-Type"]) == (502, "text/html; charset=utf-8")
    _fault(arm, "html", status=200, body="<p>Log in</p>")
    assert arm.get(VAULT_PATH).text == "<p>Log in</p>"


def test_json_may_be_cut_off(arm: Arm) -> None:
    whole = arm.get(VAULT_PATH).text
    _fault(arm, "truncated_json")
    answer = arm.get(VAULT_PATH)
    assert answer.status_code == 200
    assert answer.text == whole[: len(whole) // 2]


def test_json_may_have_another_shape(arm: Arm) -> None:
    _fault(arm, "wrong_shape", times=2)
    assert [type(arm.get(VAULT_PATH).json()) for _ in range(3)] == [list, list, dict]
    _fault(arm, "wrong_shape", body={"value": 1})
    assert arm.below(MAPPINGS).json() == {"value": 1}


def test_a_body_may_be_missing(arm: Arm) -> None:
    _fault(arm, "empty_body")
    answer = arm.get(VAULT_PATH)
    assert (answer.status_code, answer.content) == (200, b"")


def test_a_call_may_be_redirected(arm: Arm) -> None:
    _fault(arm, "redirect", url="https://elsewhere.example/x")
    answer = arm.get(VAULT_PATH)
    assert (answer.status_code, answer.headers["Location"]) == (307, "https://elsewhere.example/x")


def test_a_next_link_may_lead_to_another_host(arm: Arm) -> None:
    _fault(arm, "next_link_host", url="https://elsewhere.example")
    link = arm.below(MAPPINGS).json()["nextLink"]
    assert link.startswith(f"https://elsewhere.example{VAULT_PATH}{MAPPINGS}?")


def test_a_next_link_may_lead_back_to_its_own_page(serve: Serve) -> None:
    arm = serve(scenario(mappings_page_size=2))
    _fault(arm, "next_link_loop", forever=True)
    first = arm.below(MAPPINGS).json()
    assert arm.get(first["nextLink"]).json() == first


def test_an_accepted_patch_may_tell_no_urls(arm: Arm) -> None:
    _fault(arm, "no_job_urls")
    answer = arm.patch("alpha")
    assert answer.status_code == 202
    assert not {"Azure-AsyncOperation", "Location"} & set(answer.headers)
    assert "replicationJobs" not in answer.headers["x-ms-request-id"]
    assert len(arm.below("/replicationJobs").json()["value"]) == 1


def test_a_job_may_fail_with_a_chosen_error(arm: Arm) -> None:
    _fault(arm, "fail_job", mapping="b*", code="7", message="Bad.", possible_causes="Why", recommended_action="What")
    good, bad = arm.start_job("alpha"), arm.start_job("beta")
    arm.time.advance(10)
    assert arm.job(good)["state"] == "Succeeded"
    (error,) = arm.job(bad)["errors"]
    assert error["serviceErrorDetails"]["code"] == "7"
    assert error["serviceErrorDetails"]["recommendedAction"] == "What"


def test_a_job_may_never_end(arm: Arm) -> None:
    _fault(arm, "job_never_ends")
    job = arm.start_job("alpha")
    arm.time.advance(10_000)
    assert arm.job(job)["state"] == "InProgress"


def test_the_token_endpoint_may_be_down(arm: Arm) -> None:
    _fault(arm, "token_down", times=2)
    assert [arm.get_token().status_code for _ in range(3)] == [500, 500, 200]


def test_other_faults_leave_the_token_endpoint_alone_unless_they_name_it(arm: Arm) -> None:
    _fault(arm, "status")
    assert arm.get_token().status_code == 200
    _fault(arm, "status", route="token", status=404)
    assert arm.get_token().status_code == 404


def test_a_fault_hits_only_what_it_names(arm: Arm) -> None:
    _fault(arm, "status", method="PATCH", route="mapping", vault="DR-*", mapping="BETA", times=1)
    assert arm.get(VAULT_PATH).status_code == 200
    assert arm.mapping("beta")
    assert arm.patch("alpha").status_code == 202
    assert arm.patch("beta").status_code == 500
    assert arm.sim.control.faults() == []


def test_a_fault_may_be_for_one_request(arm: Arm) -> None:
    _fault(arm, "status", request="run-7/*")
    assert arm.get(VAULT_PATH, headers={"x-ms-client-request-id": "run-8/a"}).status_code == 200
    assert arm.get(VAULT_PATH, headers={"x-ms-client-request-id": "run-7/b"}).status_code == 500


def test_a_fault_of_another_vault_does_not_strike(arm: Arm) -> None:
    _fault(arm, "status", vault="other")
    assert arm.get(VAULT_PATH).status_code == 200


def test_a_fault_may_let_some_calls_through_first(arm: Arm) -> None:
    _fault(arm, "status", skip=2, times=2)
    assert [arm.get(VAULT_PATH).status_code for _ in range(5)] == [200, 200, 500, 500, 200]


def test_a_fault_with_a_rate_strikes_some_calls(arm: Arm) -> None:
    _fault(arm, "status", rate=0.5)
    codes = [arm.get(VAULT_PATH).status_code for _ in range(60)]
    assert 10 < codes.count(500) < 50
    (fault,) = arm.sim.control.faults()
    assert fault["hits"] == codes.count(500)
    assert fault["left"] is None


def test_faults_can_be_taken_back(arm: Arm) -> None:
    first = _fault(arm, "status")
    _fault(arm, "status")
    _fault(arm, "html")
    arm.sim.control.remove_fault(first)
    with pytest.raises(ControlRefusedError):
        arm.sim.control.remove_fault(first)
    assert arm.sim.control.clear_faults() == 2
    assert arm.get(VAULT_PATH).status_code == 200


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        ({"kind": "none"}, "kind"),
        ({"kind": "status", "color": "red"}, "color"),
        ({"kind": "status", "seconds": 1}, "not a parameter of status"),
        ({"kind": "redirect"}, "needs url"),
        ({"kind": "status", "times": 0}, "times"),
        ({"kind": "status", "times": 1, "forever": True}, "exclude each other"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(arm: Arm, fault: dict[str, Any], problem: str) -> None:
    with pytest.raises(ControlRefusedError, match=problem) as caught:
        arm.sim.control.add_fault(**fault)
    assert caught.value.status == 400


@pytest.mark.parametrize("kind", FaultKind)
def test_the_simulator_goes_on_after_every_fault(arm: Arm, kind: FaultKind) -> None:
    more: dict[str, Any] = (
        {"url": "https://elsewhere.example"} if kind in {FaultKind.REDIRECT, FaultKind.NEXT_LINK_HOST} else {}
    )
    more |= {"seconds": 0} if kind in {FaultKind.HANG, FaultKind.SLOW_HEAD, FaultKind.SLOW_BODY} else {}
    arm.get(VAULT_PATH)
    _fault(arm, kind.value, **more)
    calls: list[Callable[[], Any]] = [
        arm.get_token,
        lambda: arm.below(MAPPINGS),
        lambda: arm.patch("alpha"),
        lambda: arm.call("POST", "/providers/Microsoft.ResourceGraph/resources", json={}, version="2024-04-01"),
    ]
    for call in calls:
        try:
            call()
        except requests.ConnectionError:
            assert kind in {FaultKind.RESET_BEFORE, FaultKind.RESET_AFTER, FaultKind.HANG}
    assert arm.sim.control.faults() == []
    assert arm.get(VAULT_PATH).ok
