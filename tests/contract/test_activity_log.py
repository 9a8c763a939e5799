"""Contract: Microsoft's own library reads the simulator's activity log, and its entries are as those recorded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from azure.core.exceptions import HttpResponseError
from azure.identity import ManagedIdentityCredential
from azure.mgmt.monitor import MonitorManagementClient

from asr_simulator import SimulatorThread
from tests.simulator.helpers import SUBSCRIPTION, VAULT_PATH, scenario

_HTTP: dict[str, Any] = {"enforce_https": False}
_DATA: Final = Path(__file__).parent / "data"
_NOW: Final = {"lag": {"min": 0, "max": 0}, "tail_share": 0}
_PAIRS: Final = (
    "eventName",
    "category",
    "resourceProviderName",
    "resourceType",
    "operationName",
    "status",
    "subStatus",
)


@pytest.fixture
def sim(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatorThread]:
    with SimulatorThread(scenario(activity_log=_NOW | {"log_page_size": 2})) as running:
        for name, value in running.identity_env.items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def monitor(sim: SimulatorThread) -> Iterator[MonitorManagementClient]:
    with (
        ManagedIdentityCredential() as credential,
        MonitorManagementClient(credential, SUBSCRIPTION, base_url=sim.url, retry_total=0) as client,
    ):
        yield client


def _since(ago: timedelta = timedelta(hours=1)) -> str:
    return f"eventTimestamp ge '{datetime.now(UTC) - ago:%Y-%m-%dT%H:%M:%SZ}'"


def test_entries_are_listed_through_all_pages_and_read_as_the_model_has_them(
    sim: SimulatorThread, monitor: MonitorManagementClient
) -> None:
    names = [each["name"] for each in sim.control.mappings()]
    sim.control.drift("comply", count=3, caller="ann@example.com")
    found = list(monitor.activity_logs.list(_since(), **_HTTP))
    assert len({each.event_data_id for each in found}) == 9
    assert len(sim.control.requests(kind="activity_log")) == 5
    assert {str(each.resource_id).rpartition("/")[2] for each in found} == set(names)
    assert {each.caller for each in found} == {"ann@example.com"}
    assert {each.status.value for each in found if each.status} == {"Started", "Accepted", "Succeeded"}
    for each in found:
        assert each.event_timestamp is not None
        assert each.submission_timestamp is not None
        assert timedelta(0) <= each.submission_timestamp - each.event_timestamp < timedelta(seconds=5)
        assert each.http_request is not None
        assert each.http_request.method == "PATCH"
        assert each.claims is not None
        assert each.claims["appid"]


def test_what_is_selected_is_what_comes(sim: SimulatorThread, monitor: MonitorManagementClient) -> None:
    sim.control.add_activity(VAULT_PATH, "Microsoft.RecoveryServices/vaults/write")
    text = f"{_since()} and resourceProvider eq 'Microsoft.RecoveryServices'"
    found = list(monitor.activity_logs.list(text, select="eventDataId,httpRequest", **_HTTP))
    assert [bool(each.http_request) for each in found] == [True, True]
    assert {(each.status, each.claims, each.caller) for each in found} == {(None, None, None)}


def test_a_time_more_than_90_days_ago_is_refused_as_recorded(monitor: MonitorManagementClient) -> None:
    with pytest.raises(HttpResponseError) as refused:
        list(monitor.activity_logs.list(_since(timedelta(days=91)), **_HTTP))
    assert refused.value.status_code == 400
    assert refused.value.response is not None
    assert json.loads(refused.value.response.text()) == _recorded("recorded_activity_error.json")


def test_an_entry_has_the_fields_of_a_recorded_one_and_their_forms(sim: SimulatorThread) -> None:
    page = _recorded("recorded_activity_page.json")
    recorded, consequence = page["value"][0], page["value"][2]
    sim.control.add_activity(VAULT_PATH, "Microsoft.RecoveryServices/vaults/write")
    sim.control.add_activity(VAULT_PATH, "Microsoft.RecoveryServices/vaults/write", request_id="")
    whole, without = (_documents(sim)[index] for index in (0, 2))
    assert whole.keys() == recorded.keys()
    assert (recorded.keys() - consequence.keys()) >= (whole.keys() - without.keys()) == {"httpRequest"}
    for name in _PAIRS:
        assert whole[name].keys() == recorded[name].keys()
    assert whole["httpRequest"].keys() == recorded["httpRequest"].keys()
    assert whole["id"].split("/")[-4::2] == recorded["id"].split("/")[-4::2] == ["events", "ticks"]
    for name in ("eventTimestamp", "submissionTimestamp"):
        assert len(whole[name]) == len(recorded[name])


def _recorded(name: str) -> Any:
    return json.loads((_DATA / name).read_text(encoding="utf-8"))


def _documents(sim: SimulatorThread) -> list[dict[str, Any]]:
    """All that is in the log, as it goes over the wire, the oldest call first."""
    seen: list[dict[str, Any]] = []
    with (
        ManagedIdentityCredential() as credential,
        MonitorManagementClient(credential, SUBSCRIPTION, base_url=sim.url) as client,
    ):
        keep: dict[str, Any] = {
            "raw_response_hook": lambda reply: seen.extend(json.loads(reply.http_response.text())["value"])
        }
        list(client.activity_logs.list(_since(), **_HTTP, **keep))
    return sorted(seen, key=lambda each: str(each["eventTimestamp"]))
