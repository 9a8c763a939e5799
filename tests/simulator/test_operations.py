"""The two URLs of an accepted PATCH."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest

from asr_simulator import Scenario
from tests.simulator.helpers import GROUP, MAPPINGS, VAULT_PATH, Arm, scenario, vault

Serve = Callable[[Scenario], Arm]
_SEVEN_DIGITS = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z"
_HEADERS = ("Azure-AsyncOperation", "Location")


def test_status_bodies_are_as_recorded(arm: Arm) -> None:
    arm.time.advance(0.25)
    url = arm.patch("alpha").headers["Azure-AsyncOperation"]
    body = arm.get(url).json()
    assert list(body) == ["error", "id", "name", "properties", "status", "startTime", "endTime", "percentComplete"]
    assert body["status"] == "InProgress"
    assert re.fullmatch(_SEVEN_DIGITS, body["startTime"])
    assert body["startTime"].endswith(".2500000Z")
    assert (body["error"], body["id"], body["properties"], body["endTime"]) == (None, None, None, None)
    arm.time.advance(10)
    body = arm.get(url).json()
    assert body["status"] == "Succeeded"
    assert body["endTime"].endswith(":31.0000000Z")


def test_the_result_is_the_mapping_once_the_job_has_succeeded(arm: Arm) -> None:
    url = arm.patch("alpha").headers["Location"]
    running = arm.get(url)
    assert (running.status_code, running.content) == (202, b"")
    assert arm.get(running.headers["Location"]).status_code == 202
    arm.time.advance(10)
    assert arm.get(url).json() == arm.mapping("alpha")


def test_the_result_of_a_failed_job_is_an_error(serve: Serve) -> None:
    arm = serve(scenario(jobs={"duration": {"min": 10, "max": 10}, "failed_share": 1}))
    answer = arm.patch("alpha")
    arm.time.advance(10)
    status = arm.get(answer.headers["Azure-AsyncOperation"]).json()
    assert status["status"] == "Failed"
    result = arm.get(answer.headers["Location"])
    assert result.status_code == 409
    assert result.json()["error"]["details"][0]["code"] == status["error"]["code"]


def test_urls_are_signed_like_those_of_a_recording(arm: Arm) -> None:
    answer = arm.patch("alpha")
    operation, location = (answer.headers[name] for name in _HEADERS)
    assert 3000 < len(operation) < 4096
    assert re.search(r"&t=\d{4}-\d\d-\d\dT\d\d%3a\d\d%3a\d\d&c=", operation)
    first, second = (parse_qs(urlsplit(url).query) for url in (operation, location))
    assert [len(first[name][0]) for name in "csh"] == [2435, 342, 43]
    assert first["c"] == second["c"]
    assert first["s"] != second["s"]
    assert first["h"] != second["h"]


@pytest.mark.parametrize("header", _HEADERS)
@pytest.mark.parametrize("change", [lambda url: url.replace("%3a", "%3A"), lambda url: url.replace("%3a", ":")])
def test_another_escape_of_the_same_url_is_accepted(arm: Arm, header: str, change: Callable[[str], str]) -> None:
    url = change(arm.patch("alpha").headers[header])
    assert arm.get(url).status_code in {200, 202}


@pytest.mark.parametrize("header", _HEADERS)
def test_letter_case_of_the_path_does_not_break_the_signature(arm: Arm, header: str) -> None:
    assert arm.get(arm.patch("alpha").headers[header].replace("/Subscriptions/", "/subscriptions/")).ok


@pytest.mark.parametrize("header", _HEADERS)
@pytest.mark.parametrize("parameter", ["t", "c", "s", "h"])
def test_an_altered_url_is_refused(arm: Arm, header: str, parameter: str) -> None:
    url = arm.patch("alpha").headers[header]
    changed = re.sub(rf"(&{parameter}=[^&]*)[^&](?=&|$)", r"\1_x", url)
    assert changed != url
    answer = arm.get(changed)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "InvalidOperationUrlSignature")
    assert arm.get(url.partition("&")[0]).status_code == 400


def test_a_signature_is_no_good_for_another_operation(arm: Arm) -> None:
    one, other = (arm.patch(name).headers["Azure-AsyncOperation"] for name in ("alpha", "beta"))
    assert arm.get(one.partition("?")[0] + "?" + other.partition("?")[2]).status_code == 400


def test_urls_can_be_plain_as_in_2022(serve: Serve) -> None:
    arm = serve(scenario(signed_operation_urls=False))
    answer = arm.patch("alpha")
    for name in _HEADERS:
        assert answer.headers[name].endswith("?api-version=2025-08-01")
        assert arm.get(answer.headers[name]).ok


@pytest.mark.parametrize("signed", [True, False])
def test_urls_escape_names_that_need_it(serve: Serve, signed: bool) -> None:
    of = scenario(
        vault(resource_group="rg dr (süd)", mappings=[{"name": "a b"}, {"name": "c&d"}]),
        mappings_page_size=1,
        signed_operation_urls=signed,
    )
    arm = serve(of)
    path = VAULT_PATH.replace(GROUP, "rg dr (süd)")
    assert [page[0]["name"] for page in arm.pages(path + MAPPINGS)] == ["a b", "c&d"]
    answer = arm.patch("a b")
    for name in _HEADERS:
        assert "/resourceGroups/rg%20dr%20(s%C3%BCd)/" in answer.headers[name]
        assert arm.get(answer.headers[name]).ok
