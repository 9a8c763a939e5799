"""The activity log: what a write leaves there, from when on it shows, and how it can be asked for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from asr_simulator import Scenario
from tests.simulator.helpers import SUBSCRIPTION, VAULT_PATH, Arm, scenario

_LOG = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Insights/eventtypes/management/values"
_VERSION = "2015-04-01"
_EVEN: dict[str, Any] = {"lag": {"min": 60, "max": 60}, "tail_share": 0, "stores": {"US1": 0}}
_MAPPING_WRITE = (
    "Microsoft.RecoveryServices/vaults/replicationFabrics/replicationProtectionContainers"
    "/replicationProtectionContainerMappings/write"
)


@pytest.fixture
def arm(serve: Callable[[Scenario], Arm]) -> Arm:
    """All entries are late by a minute."""
    return serve(scenario(activity_log=_EVEN))


def _since(arm: Arm, hours: float = 1) -> str:
    start = datetime.fromtimestamp(arm.time.wall(), UTC) - timedelta(hours=hours)
    return f"eventTimestamp ge '{start:%Y-%m-%dT%H:%M:%SZ}'"


def _read(arm: Arm, text: str | None = None, **query: str) -> Any:
    text = _since(arm) if text is None else text
    parts = {"$filter": text, **query}
    return arm.get(f"{_LOG}?" + "&".join(f"{name}={quote(value)}" for name, value in parts.items()), version=_VERSION)


def _entries(arm: Arm, text: str | None = None, **query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = _read(arm, text, **query).json()["value"]
    return found


def _statuses(entries: list[dict[str, Any]]) -> list[str]:
    return sorted(each["status"]["value"] for each in entries)


def test_a_change_shows_a_minute_later_and_its_end_after_that(arm: Arm) -> None:
    arm.patch("alpha", headers={"x-ms-client-request-id": "mine"})
    arm.time.advance(59)
    assert _entries(arm) == []
    arm.time.advance(1)
    found = _entries(arm)
    assert _statuses(found) == ["Accepted", "Started"]
    arm.time.advance(10)
    found = _entries(arm)
    assert _statuses(found) == ["Accepted", "Started", "Succeeded"]
    assert {each["operationName"]["value"] for each in found} == {_MAPPING_WRITE}
    assert {each["httpRequest"]["clientRequestId"] for each in found} == {"mine"}
    assert {each["resourceId"].lower() for each in found} == {arm.mapping_path("alpha").lower()}
    assert len({each["eventDataId"] for each in found}) == 3
    assert len({each["correlationId"] for each in found}) == 1


def test_the_correlation_id_is_the_one_that_the_answer_has(arm: Arm) -> None:
    answer = arm.patch("alpha")
    arm.time.advance(60)
    assert {each["correlationId"] for each in _entries(arm)} == {answer.headers["x-ms-correlation-request-id"]}


def test_the_newest_come_first(arm: Arm) -> None:
    for name in ("alpha", "beta", "gamma"):
        arm.patch(name)
        arm.time.advance(1)
    arm.time.advance(60)
    times = [each["eventTimestamp"] for each in _entries(arm)]
    assert times == sorted(times, reverse=True)


def test_a_refused_change_is_a_failed_one_and_a_read_is_none(arm: Arm) -> None:
    arm.patch("alpha", {"properties": {}})
    arm.mapping("alpha")
    arm.time.advance(60)
    assert _statuses(_entries(arm)) == ["Failed", "Started"]


def test_a_person_is_named_and_an_application_by_its_object_id(serve: Callable[[Scenario], Arm]) -> None:
    people = [{"client_id": "app", "object_id": "o-1"}, {"client_id": "cli", "object_id": "o-2", "user": "ann@x"}]
    arm = serve(scenario(activity_log=_EVEN, identity={"identities": people}))
    for name, client in (("alpha", "app"), ("beta", "cli")):
        arm.token = arm.get_token(client_id=client).json()["access_token"]
        arm.patch(name)
    arm.time.advance(60)
    claim = "http://schemas.microsoft.com/identity/claims/objectidentifier"
    assert {(each["caller"], each["claims"][claim]) for each in _entries(arm)} == {("o-1", "o-1"), ("ann@x", "o-2")}


def test_drift_shows_only_with_a_caller(arm: Arm) -> None:
    arm.sim.control.drift("comply", mappings=["alpha"])
    arm.sim.control.drift("comply", mappings=["beta"], caller="ann@x")
    arm.time.advance(60)
    found = _entries(arm)
    assert {(each["resourceId"].rpartition("/")[2], each["caller"]) for each in found} == {("beta", "ann@x")}
    assert _statuses(found) == ["Accepted", "Started", "Succeeded"]


@pytest.mark.parametrize(
    ("clause", "count"),
    [
        ("resourceProvider eq 'Microsoft.RecoveryServices'", 2),
        ("resourceProvider eq microsoft.recoveryservices", 2),
        ("resourceProvider eq 'Microsoft.Automation'", 0),
        ("resourceGroupName eq 'RG-DR'", 2),
        ("resourceGroupName eq 'other'", 0),
        ("correlationId eq 'none'", 0),
    ],
)
def test_one_clause_beside_the_time_narrows_it_down(arm: Arm, clause: str, count: int) -> None:
    arm.patch("alpha")
    arm.time.advance(60)
    assert len(_entries(arm, f"{_since(arm)} and {clause}")) == count
    assert len(_entries(arm, f"{clause} and {_since(arm)}")) == count


def test_the_entries_of_one_resource_are_found_in_any_letter_case(arm: Arm) -> None:
    arm.patch("alpha")
    arm.patch("beta")
    arm.time.advance(60)
    path = arm.mapping_path("alpha").upper()
    assert len(_entries(arm, f"{_since(arm)} and resourceUri eq '{path}'")) == 2


def test_an_end_in_the_future_and_times_without_quotes_will_do(arm: Arm) -> None:
    arm.patch("alpha")
    arm.time.advance(60)
    assert len(_entries(arm, f"{_since(arm).replace(chr(39), '')} and eventTimestamp le 2099-01-01T00:00:00Z")) == 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "resourceProvider eq 'Microsoft.RecoveryServices'",
        "eventTimestamp ge 'yesterday'",
        "eventTimestamp ge '2023-11-14T00:00:00Z' and caller eq 'ann'",
        "eventTimestamp ge '2023-11-14T00:00:00Z' and resourceUri eq 'a' and resourceProvider eq 'b'",
        "eventTimestamp ge '2023-11-14T00:00:00Z' or resourceUri eq 'a'",
        "eventTimestamp ge '2023-11-14T00:00:00Z' and",
        "eventTimestamp ge '2000-01-01T00:00:00Z'",
    ],
)
def test_no_other_syntax_is_allowed_and_the_error_has_no_envelope(arm: Arm, text: str) -> None:
    answer = _read(arm, text)
    assert answer.status_code == 400
    assert answer.json().keys() == {"Code", "Message"}


def test_only_what_is_selected_comes_and_the_id(arm: Arm) -> None:
    arm.patch("alpha")
    arm.time.advance(60)
    entry = _entries(arm, **{"$select": "eventDataId,status,Caller"})[0]
    assert entry.keys() == {"id", "eventDataId", "status", "caller"}
    assert _read(arm, **{"$select": "category"}).status_code == 400


def test_pages_have_a_cursor_for_each_store_and_show_each_entry_once(serve: Callable[[Scenario], Arm]) -> None:
    arm = serve(scenario(activity_log={"noise_per_hour": 1000, "log_page_size": 50}))
    _entries(arm)
    arm.time.advance(7200)
    answer, found = _read(arm, _since(arm, 2)), []
    token = answer.json()["nextLink"].partition("$skipToken=")[2]
    assert [part.split(":")[0] for part in token.split(";")] == ["AS1", "EU1", "US1"]
    while True:
        found += [each["eventDataId"] for each in answer.json()["value"]]
        if not (link := answer.json().get("nextLink")):
            break
        answer = arm.get(link)
    assert len(found) == len(set(found)) > 3000
    times = [each["time"] for each in arm.sim.control.activity(SUBSCRIPTION)]
    assert len(times) > len(found), "the newest do not show yet"


def test_a_store_may_lag_behind_the_others(serve: Callable[[Scenario], Arm]) -> None:
    arm = serve(scenario(activity_log=_EVEN | {"stores": {"US1": 0, "EU1": 600}, "noise_per_hour": 100}))
    _entries(arm)
    arm.time.advance(600)
    stores = {each["id"]: each["store"] for each in arm.sim.control.activity(SUBSCRIPTION)}
    assert {stores[each["eventDataId"]] for each in _entries(arm)} == {"US1"}
    arm.time.advance(600)
    stores = {each["id"]: each["store"] for each in arm.sim.control.activity(SUBSCRIPTION)}
    assert {stores[each["eventDataId"]] for each in _entries(arm)} == {"US1", "EU1"}


def test_entries_may_be_lost_or_doubled(serve: Callable[[Scenario], Arm]) -> None:
    arm = serve(scenario(activity_log=_EVEN | {"lost_share": 1}))
    arm.patch("alpha")
    arm.time.advance(3600)
    assert _entries(arm, _since(arm, 2)) == []
    arm.sim.control.settings(activity_log=_EVEN | {"doubled_share": 1})
    arm.patch("beta")
    arm.time.advance(60)
    ids = [each["eventDataId"] for each in _entries(arm)]
    assert (len(ids), len(set(ids))) == (4, 2)


def test_a_request_id_that_is_no_guid_may_not_be_kept(serve: Callable[[Scenario], Arm]) -> None:
    arm = serve(scenario(activity_log=_EVEN | {"request_ids": "guids"}))
    guid = "0b1ec700-0000-4000-8000-000000000001"
    arm.patch("alpha", headers={"x-ms-client-request-id": "a/b"})
    arm.patch("beta", headers={"x-ms-client-request-id": guid})
    arm.time.advance(60)
    assert {each["httpRequest"]["clientRequestId"] for each in _entries(arm)} == {"", guid}


def test_the_call_of_another_can_be_written_as_it_is_wanted(arm: Arm) -> None:
    arm.sim.control.add_activity(
        VAULT_PATH.upper().replace("/SUBSCRIPTIONS", "/subscriptions").replace("RESOURCEGROUPS", "resourceGroups")
        .replace("PROVIDERS", "providers"),
        "Microsoft.RecoveryServices/vaults/write", request_id="", ago=100,
    )  # fmt: skip
    found = _entries(arm)
    assert _statuses(found) == ["Started", "Succeeded"]
    assert all("httpRequest" not in each for each in found)


def test_without_the_right_to_read_it_there_is_none(serve: Callable[[Scenario], Arm]) -> None:
    denied = [{"action": "microsoft.insights/*"}]
    arm = serve(scenario(identity={"identities": [{"client_id": "a", "denied": denied}]}))
    answer = _read(arm)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "AuthorizationFailed")
    assert "'microsoft.insights/eventtypes/values/read'" in answer.json()["error"]["message"]
