"""Contract: the simulator's answers look like those that the service gave, field by field.

``data/`` has excerpts of recorded traffic and of published examples; its README names the sources. What differs is
listed here with a reason, and on the simulator's page.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
from azure.mgmt.recoveryservicessiterecovery import models

from asr_simulator import parse_scenario
from tests.contract.shapes import differences, form
from tests.contract.strict import problems
from tests.simulator.helpers import ACCOUNT, GROUP, MAPPINGS, VAULT, VAULT_PATH, Arm, open_arm, vault

DATA: Final = Path(__file__).parent / "data"
PAGE: Final = Path(__file__).parents[2] / "docs" / "simulator.md"
_JOBS: Final = f"{VAULT_PATH}/replicationJobs"
_RECORDED_AT: Final = "2022-08-01"
_DIGITS: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def excerpt(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
    return document


@pytest.fixture
def arm() -> Iterator[Arm]:
    """One mapping with one new VM, two enabled, one without details; jobs of 10 seconds."""
    mappings = [
        {"name": "alpha"},
        {"name": "enabled", "kind": "enabled_compliant", "source": "westus"},
        {"name": "another", "kind": "enabled_compliant", "source": "westus"},
        {"name": "bare", "kind": "missing_details", "source": "uksouth"},
    ]
    of = vault(mappings=mappings, items_per_mapping=1, initial_replication_share=1)
    document = {
        "jobs": {"duration": {"min": 10, "max": 10}},
        "automation_page_size": 1,
        "vaults": [of],
        "automation_accounts": [{"id": ACCOUNT, "runs": [{}]}],
        "roles": {
            "assignments": [{"principal": ACCOUNT, "role": "Reader", "scope": VAULT_PATH.partition("/providers")[0]}]
        },
    }
    opened = open_arm(parse_scenario(document))
    opened.time.advance(0.123456)  # so that times have fractions, as real ones nearly always do
    yield opened
    opened.close()
    opened.sim.stop()


def _finished_job(arm: Arm) -> str:
    job = arm.start_job("alpha")
    arm.time.advance(10.5)
    return f"{_JOBS}/{job}"


def _running(arm: Arm) -> requests.Response:
    return arm.get(arm.patch("alpha").headers["Azure-AsyncOperation"])


def _ended(arm: Arm) -> requests.Response:
    url = arm.patch("alpha").headers["Azure-AsyncOperation"]
    arm.time.advance(10.5)
    return arm.get(url)


def _first(arm: Arm, path: str, name: str | None = None) -> dict[str, Any]:
    items: list[dict[str, Any]] = arm.get(path).json()["value"]
    return next(item for item in items if name in (None, item["name"]))


def _of_account(arm: Arm, path: str = "") -> dict[str, Any]:
    found: dict[str, Any] = arm.get(ACCOUNT + path, version="2024-10-23").json()
    return found


def _of_roles(arm: Arm, path: str) -> dict[str, Any]:
    found: dict[str, Any] = arm.get(
        f"{VAULT_PATH}/providers/Microsoft.Authorization/{path}", version="2022-04-01"
    ).json()
    return found


Answer = Callable[[Arm], Any]
_HYPER_V = "properties.targetProtectionContainerId: text, ours id with a capital"

BODIES: Final[dict[str, tuple[Answer, set[str]]]] = {
    # A disabled mapping between regions.
    "recorded_mapping": (lambda arm: arm.mapping("alpha"), set()),
    # A VM during its first replication. The field is in no published model, and nothing unknown is sent.
    "recorded_item": (
        lambda arm: _first(arm, f"{VAULT_PATH}/replicationProtectedItems?api-version={_RECORDED_AT}"),
        {"properties.providerSpecificDetails.rtoInSeconds: only real"},
    ),
    "recorded_operation_running": (lambda arm: _running(arm).json(), set()),
    "recorded_operation_ended": (lambda arm: _ended(arm).json(), set()),
    # The answer to the creation of a vault; a later GET has what the published model has besides.
    "recorded_vault": (lambda arm: arm.get(VAULT_PATH).json(), {"identity: only ours", "tags: only ours"}),
    "recorded_vault_missing": (lambda arm: arm.get(f"{VAULT_PATH}-none").json(), set()),
    # Examples are about Hyper-V, whose target is no region.
    "published_mappings": (
        lambda arm: {"value": [_first(arm, VAULT_PATH + MAPPINGS, "bare")]},
        {f"value[].{_HYPER_V}"},
    ),
    # Older than the authentication type.
    "published_mapping_enabled": (
        lambda arm: arm.mapping("enabled"),
        {_HYPER_V, "properties.providerSpecificDetails.automationAccountAuthenticationType: only ours"},
    ),
    # What a task of an update has there was never seen; the example is about a recovery plan.
    "published_job": (
        lambda arm: arm.get(_finished_job(arm)).json(),
        {"properties.tasks[].customDetails: only real", "properties.targetObjectId: text, ours id with a capital"},
    ),
    "published_jobs": (
        lambda arm: arm.get(_finished_job(arm).rpartition("/")[0]).json(),
        {"value[].properties.targetObjectId: text, ours id with a capital"},
    ),
    # The example mixes a job with the status of an operation; the model has the job only.
    "published_job_cancelling": (
        lambda arm: arm.call("POST", f"{_JOBS}/{arm.start_job('alpha')}/cancel").json(),
        {
            "status: only real",
            "error: only real",
            "startTime: only real",
            "properties.targetObjectId: text, ours id with a capital",
        },
    ),
    # Newer than the example.
    "published_vault_health": (
        lambda arm: arm.get(f"{VAULT_PATH}/replicationVaultHealth").json(),
        {"properties.containersHealth: only ours"},
    ),
    # A vault without a migration.
    "published_vault_settings": (
        lambda arm: arm.get(f"{VAULT_PATH}/replicationVaultSettings").json(),
        {
            "value[].properties.migrationSolutionId: id, ours null",
            "value[].properties.vmwareToAzureProviderType: only ours",
        },
    ),
    # The example is older than identities.
    "published_account": (_of_account, {"identity: only ours"}),
    # Recordings have the type, and say that a schedule has nothing advanced.
    "published_schedule": (
        lambda arm: _of_account(arm, f"/schedules/{arm.details('enabled')['scheduleName']}"),
        {"properties.description: text, ours null", "properties.advancedSchedule: only ours", "type: only ours"},
    ),
    "published_schedules": (
        lambda arm: _of_account(arm, "/schedules"),
        {
            "value[].properties.description: text, ours null",
            "value[].properties.advancedSchedule: only ours",
            "value[].type: only ours",
        },
    ),
    "published_job_schedules": (
        lambda arm: {"value": _of_account(arm, "/jobSchedules")["value"]},
        {"value[].type: only ours"},
    ),
    # What a runbook of Site Recovery runs in is unknown.
    "published_account_jobs": (
        lambda arm: _of_account(arm, "/jobs"),
        {"value[].properties.jobRuntimeEnvironment: only real"},
    ),
    "published_account_usages": (lambda arm: _of_account(arm, "/usages"), set()),
    "recorded_role_assignments": (lambda arm: _of_roles(arm, "roleAssignments"), set()),
    "recorded_role_definition": (
        lambda arm: _of_roles(arm, "roleDefinitions/b24988ac-6180-42a0-ab88-20f7382dd24c"),
        set(),
    ),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_looks_like_the_real_one(arm: Arm, name: str) -> None:
    answer, expected = BODIES[name]
    assert differences(excerpt(name)["body"], answer(arm)) == expected


def test_every_difference_is_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8").partition("## Differences")[2].partition("\n## ")[0]
    for _, expected in BODIES.values():
        for difference in expected:
            name = difference.partition(":")[0].rpartition(".")[2]
            assert f"`{name}`" in page, difference


def test_every_excerpt_is_compared() -> None:
    accepted = {"recorded_accepted_2022", "recorded_accepted_2023", "published_accepted"}
    activity = {"recorded_activity_page", "recorded_activity_error"}  # in test_activity_log.py
    assert {path.stem for path in DATA.glob("*.json")} == {*BODIES, *accepted, *activity}


def test_a_missing_vault_is_said_in_the_real_words(arm: Arm) -> None:
    real = excerpt("recorded_vault_missing")
    answer = arm.get(f"{VAULT_PATH}-none")
    words = (
        real["body"]["error"]["message"].replace("vaults/vault'", f"vaults/{VAULT}-none'").replace("'rg'", f"'{GROUP}'")
    )
    assert answer.status_code == real["status"]
    assert answer.json()["error"] == {"code": real["body"]["error"]["code"], "message": words}
    assert answer.headers.items() >= real["headers"].items()


@pytest.mark.parametrize("name", ["recorded_mapping", "recorded_operation_running", "recorded_operation_ended"])
def test_the_type_of_an_answer_is_json(arm: Arm, name: str) -> None:
    """In 2022 without a character set, since then with one."""
    answer = arm.get(arm.mapping_path("alpha"))
    real = excerpt(name)["headers"]["content-type"]
    assert answer.headers["Content-Type"].startswith(real)


@pytest.mark.parametrize("year", [2022, 2023])
def test_an_accepted_write_has_the_headers_of_the_real_one(year: int) -> None:
    real = excerpt(f"recorded_accepted_{year}")
    arm = open_arm(parse_scenario({"signed_operation_urls": year == 2023, "vaults": [vault()]}))
    try:
        answer = arm.patch("alpha", version=_RECORDED_AT)
        ours = {name.lower(): value for name, value in answer.headers.items()}
        assert answer.status_code == real["status"]
        assert answer.content == b""
        assert real["headers"].keys() - ours.keys() == set()
        for name in ("content-length", "cache-control", "server"):
            assert real["headers"].get(name, ours[name]) == ours[name]
        assert ours["x-ms-ratelimit-remaining-subscription-writes"].isdigit()
        for name in ("azure-asyncoperation", "location"):
            _check_operation_url(real["headers"][name], ours[name])
        guids = {_DIGITS.findall(urlsplit(ours[name]).path)[-1] for name in ("azure-asyncoperation", "location")}
        assert len(guids) == 1
    finally:
        arm.close()
        arm.sim.stop()


def _check_operation_url(real: str, ours: str) -> None:
    """Same segments but for names, same parameters in the same order, of the sizes that the excerpt notes."""
    theirs, own = urlsplit(real), urlsplit(ours)
    assert theirs.path.split("/")[1::2] == own.path.split("/")[1::2]
    expected, sent = parse_qsl(theirs.query), parse_qsl(own.query)
    assert [name for name, _ in expected] == [name for name, _ in sent]
    for (name, value), (_, text) in zip(expected, sent, strict=True):
        size = re.match(r"<(\d+) chars", value)
        assert len(text) == (int(size[1]) if size else len(value)), name
    assert ("%3a" in real) is ("%3a" in ours)


def test_an_accepted_patch_has_the_headers_of_the_published_example(arm: Arm) -> None:
    real = excerpt("published_accepted")
    answer = arm.patch("alpha", version="2026-01-01")
    assert answer.status_code == real["status"]
    assert answer.headers["Retry-After"] == real["headers"]["retry-after"]
    assert (
        urlsplit(answer.headers["Azure-AsyncOperation"]).path.split("/")[1::2]
        == (urlsplit(real["headers"]["azure-asyncoperation"]).path.split("/")[1::2])
    )


@pytest.mark.parametrize(
    ("name", "unknown"),
    [("recorded_mapping", []), ("recorded_item", ["rtoInSeconds"])],
)
def test_what_was_recorded_passes_the_strict_check(name: str, unknown: list[str]) -> None:
    """So the check is not stricter than reality: but for one field that no model has."""
    model = models.ReplicationProtectedItem if name == "recorded_item" else models.ProtectionContainerMapping
    found = problems(model, excerpt(name)["body"])
    assert [problem.rpartition(" ")[2] for problem in found] == unknown


def test_excerpts_name_nobody() -> None:
    for path in DATA.glob("*.json"):
        text = path.read_text(encoding="utf-8")
        assert {guid[:-2] for guid in _DIGITS.findall(text)} <= {"00000000-0000-0000-0000-0000000000"}, path
        assert "@" not in text
        hosts = {"management.azure.com", "management.core.windows.net", "schemas.microsoft.com", "aka.ms"}
        assert set(re.findall(r"https?://([^/:\"]+)", text)) <= hosts


def test_a_list_of_automation_goes_on_as_published(arm: Arm) -> None:
    real, ours = (
        urlsplit(body["nextLink"]) for body in (excerpt("published_schedules")["body"], _of_account(arm, "/schedules"))
    )
    assert [name for name, _ in parse_qsl(real.query)] == [name for name, _ in parse_qsl(ours.query)]
    assert real.path.split("/")[1::2] == ours.path.split("/")[1::2]


@pytest.mark.parametrize(
    ("real", "ours", "expected"),
    [
        ({"a": 1}, {"a": "1"}, {"a: number, ours text"}),
        ({"a": None}, {}, {"a: only real"}),
        ({}, {"a": None}, {"a: only ours"}),
        ({"a": {"b": "/Subscriptions/x"}}, {"a": {"b": "/subscriptions/X"}}, {"a.b: id with a capital, ours id"}),
        ({"a": [{"b": True}]}, {"a": [{"b": 0}, {}]}, {"a[].b: truth, ours number"}),
        ({"type": "x"}, {"type": "X"}, {"type: 'x', ours 'X'"}),
    ],
)
def test_a_difference_is_seen(real: Any, ours: Any, expected: set[str]) -> None:
    assert differences(real, ours) == expected


def test_the_status_of_an_operation_has_seven_digits_and_ends_at_a_whole_second(arm: Arm) -> None:
    """Always seven, unlike in jobs, where zeros at the end are left out."""
    real, ours = excerpt("recorded_operation_ended")["body"], _ended(arm).json()
    for name in ("startTime", "endTime"):
        assert len(ours[name]) == len(real[name])
    assert ours["endTime"][-9:] == real["endTime"][-9:] == ".0000000Z"


def test_never_is_spelt_as_recorded(arm: Arm) -> None:
    real = excerpt("recorded_item")["body"]["properties"]["providerSpecificDetails"]
    ours = _first(arm, f"{VAULT_PATH}/replicationProtectedItems")["properties"]["providerSpecificDetails"]
    assert ours["agentExpiryDate"] == real["agentExpiryDate"] == "9999-12-31T23:59:59.9999999"
    assert ours["agentVersion"] == real["agentVersion"]


def test_dates_differ_by_fraction_and_zone() -> None:
    texts = ("2023-08-29T01:05:43.837176Z", "9999-12-31T23:59:59.9999999", "2017-04-27T11:25:57Z")
    assert len({form(text) for text in texts}) == 3
