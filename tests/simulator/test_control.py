"""The control endpoint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from asr_simulator import ControlRefusedError, Scenario
from asr_simulator.control import Control
from tests.simulator.helpers import MAPPINGS, VAULT_PATH, Arm, scenario, update, vault

Serve = Callable[[Scenario], Arm]
_MIX = {"enabled_compliant": 4, "disabled": 3, "enabled_unhealthy": 2, "unpaired": 1, "other_provider": 1}


@pytest.fixture
def mixed(serve: Serve) -> Arm:
    return serve(scenario(vault(mappings=[], mix=_MIX)))


def _vault_state(arm: Arm) -> dict[str, Any]:
    return dict(arm.sim.control.state()["vaults"][0])


def test_the_state_sums_up_a_vault(mixed: Arm) -> None:
    state = _vault_state(mixed)
    assert state["id"] == VAULT_PATH
    assert (state["total"], state["compliant"], state["unhealthy"], state["unpaired"]) == (11, 4, 2, 1)
    assert state["by_status"] == {"Enabled": 6, "Disabled": 4, "none": 1}
    assert state["jobs"] == {}


def test_the_state_is_up_to_date_without_any_call(arm: Arm) -> None:
    arm.patch("alpha")
    assert _vault_state(arm)["jobs"] == {"InProgress": 1}
    arm.time.advance(10)
    state = _vault_state(arm)
    assert (state["jobs"], state["compliant"]) == ({"Succeeded": 1}, 1)


def test_the_log_keeps_what_came_in(arm: Arm) -> None:
    arm.time.advance(2)
    path = arm.mapping_path("alpha")
    arm.call("PATCH", path, json=update(), headers={"x-ms-client-request-id": "mine", "User-Agent": "test"})
    entry = arm.sim.control.requests(kind="mapping")[-1]
    assert (entry["method"], entry["path"], entry["status"]) == ("PATCH", path, 202)
    assert (entry["vault"], entry["mapping"], entry["simulated"], entry["real"]) == ("dr-vault", "alpha", 2, 2)
    assert (entry["client_request_id"], entry["user_agent"]) == ("mine", "test")
    assert entry["scope"].endswith("/westeurope")


def test_the_log_holds_no_secrets(arm: Arm) -> None:
    arm.get(arm.patch("alpha").headers["Azure-AsyncOperation"])
    text = str(arm.sim.control.requests())
    assert arm.token not in text
    assert "&s=" not in text
    assert arm.sim.scenario.identity.secret not in text


def test_the_log_is_bounded_and_can_be_read_in_parts(serve: Serve) -> None:
    arm = serve(scenario(request_log_size=3))
    for _ in range(5):
        arm.get(VAULT_PATH)
    assert [entry["sequence"] for entry in arm.sim.control.requests()] == [4, 5, 6]
    assert [entry["sequence"] for entry in arm.sim.control.requests(since=4)] == [5, 6]
    assert [entry["sequence"] for entry in arm.sim.control.requests(limit=1)] == [6]
    assert arm.sim.control.requests(method="PATCH") == []


def test_patches_are_counted_by_mapping(arm: Arm) -> None:
    arm.patch("alpha")
    arm.patch("alpha")
    path = arm.mapping_path("alpha")
    assert arm.sim.control.patches()[path]["running"] is True
    arm.time.advance(10)
    (record,) = arm.sim.control.patches("dr-vault").values()
    assert (record["accepted"], record["refused"], record["outcomes"]) == (1, 1, {"Completed": 1})


def test_statistics_count_and_can_be_reset(arm: Arm) -> None:
    arm.below(MAPPINGS)
    arm.patch("alpha")
    stats = arm.sim.control.stats()
    assert stats["responses"] == {"200": 2, "202": 1}
    assert stats["calls"] == {"GET token": 1, "GET mappings": 1, "PATCH mapping": 1}
    (scope,) = stats["scopes"]
    assert (scope["reads"]["served"], scope["writes"]["served"], scope["region"]) == (1, 1, "westeurope")
    arm.sim.control.reset_stats()
    stats = arm.sim.control.stats()
    assert (stats["requests"], stats["scopes"][0]["writes"]["served"]) == (0, 0)
    assert stats["scopes"][0]["writes"]["in_window"] == 1
    assert arm.sim.control.patches() == {}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("disable", {"status": "Disabled", "account": None}),
        ("other_account", {"status": "Enabled", "authentication": "SystemAssignedIdentity"}),
        ("run_as", {"status": "Enabled", "authentication": "RunAsAccount"}),
        ("unpair", {"state": "PairingFailed"}),
    ],
)
def test_drift_makes_compliant_mappings_wrong(serve: Serve, change: str, expected: dict[str, Any]) -> None:
    arm = serve(scenario(vault(mappings=[], mix={"enabled_compliant": 5})))
    names = arm.sim.control.drift(change, count=2)
    after = {item["name"]: dict(item) for item in arm.sim.control.mappings()}
    assert len(names) == 2
    assert _vault_state(arm)["compliant"] == 3
    assert all(after[name] | expected == after[name] for name in names)
    assert arm.below("/replicationJobs").json()["value"] == []


def test_drift_shows_to_clients_at_once(arm: Arm) -> None:
    assert arm.sim.control.drift("comply", mappings=["ALPHA"]) == ["alpha"]
    assert arm.details("alpha")["agentAutoUpdateStatus"] == "Enabled"
    arm.sim.control.drift("health_error", mappings=["alpha"])
    assert arm.mapping("alpha")["properties"]["healthErrorDetails"]


@pytest.mark.parametrize("curable", [True, False])
def test_a_drifted_health_error_can_be_cured_or_not(arm: Arm, curable: bool) -> None:
    assert arm.sim.control.drift("health_error", count=1, curable=curable) == ["alpha"]
    arm.patch("alpha")
    arm.time.advance(10)
    assert bool(arm.mapping("alpha")["properties"]["healthErrorDetails"]) is not curable


def test_drift_by_count_skips_what_is_already_so(mixed: Arm) -> None:
    for change, times in (("disable", 6), ("health_error", 9), ("comply", 9), ("unpair", 11), ("pair", 11)):
        assert mixed.sim.control.drift(change, count=20), (change, times)
        assert mixed.sim.control.drift(change, count=20) == []


def test_mappings_come_and_go(arm: Arm) -> None:
    added = arm.sim.control.add_mappings(disabled=2, enabled_compliant=1)
    assert [item["name"] for item in arm.below(MAPPINGS).json()["value"]] == ["alpha", "beta", "gamma", *added]
    assert arm.sim.control.remove_mappings(names=["beta"], count=1) == ["beta", added[-1]]
    assert _vault_state(arm)["total"] == 4


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda control: control.drift("disable", mappings=["nobody"]), "'nobody' does not exist"),
        (lambda control: control.drift("disable"), "either mappings or count"),
        (lambda control: control.drift("explode", count=1), "change"),
        (lambda control: control.drift("disable", count=1, vault="none"), "no vault matches"),
        (lambda control: control.remove_mappings(names=["nobody"]), "'nobody' does not exist"),
        (lambda control: control.add_mappings(broken=1), "add.broken"),
        (lambda control: control.settings(time_scale=0), "time_scale"),
        (lambda control: control.advance(-1), "advance"),
        (lambda control: control._get("requests", since="x"), "since"),
    ],
)
def test_a_wish_that_makes_no_sense_is_refused(arm: Arm, call: Callable[[Any], Any], problem: str) -> None:
    with pytest.raises(ControlRefusedError, match=problem):
        call(arm.sim.control)


def test_a_vault_must_be_named_when_there_are_several(serve: Serve) -> None:
    arm = serve(scenario(vault(), vault(name="second")))
    with pytest.raises(ControlRefusedError, match="more than one"):
        arm.sim.control.mappings()
    assert len(arm.sim.control.mappings("SECOND")) == 3
    assert len(arm.sim.control.mappings(VAULT_PATH)) == 3


def test_settings_change_at_run_time(arm: Arm) -> None:
    applied = arm.sim.control.settings(
        throttle={"writes": "1/60s"},
        jobs={"duration": {"min": 100, "max": 100}},
        time_scale=10,
        latency={"min": 0, "max": 0},
        patch_failure_share=0,
    )
    assert applied["throttle"]["writes"] == "1/60s"
    assert applied["time_scale"] == 10
    arm.patch("alpha")
    assert arm.patch("beta").status_code == 429
    arm.time.advance(9.9)
    assert arm.details("alpha")["agentAutoUpdateStatus"] == "Disabled"
    arm.time.advance(0.1)
    assert arm.details("alpha")["agentAutoUpdateStatus"] == "Enabled"


def test_background_jobs_can_be_turned_on_and_off(arm: Arm) -> None:
    arm.sim.control.settings(jobs={"background_per_hour": 3600})
    arm.below(MAPPINGS)
    arm.time.advance(20)
    assert arm.below("/replicationJobs").json()["value"]
    arm.sim.control.settings(jobs={})
    count = len(arm.below("/replicationJobs").json()["value"])
    arm.time.advance(20)
    assert len(arm.below("/replicationJobs").json()["value"]) == count


def test_the_clock_can_be_advanced(arm: Arm) -> None:
    arm.patch("alpha")
    assert arm.sim.control.advance(10) == 10
    assert arm.details("alpha")["agentAutoUpdateStatus"] == "Enabled"


def test_latency_delays_calls(serve: Serve) -> None:
    arm = serve(scenario(latency={"min": 0.05, "max": 0.05}))
    assert arm.get(VAULT_PATH).elapsed.total_seconds() >= 0.05


async def test_strangers_are_turned_away(arm: Arm) -> None:
    route = next(route for route in Control(arm.sim.world).routes() if route.path == "/_simulator/state")
    handler: Any = route.handler
    for remote, allowed in (("127.0.0.1", True), ("::1", True), ("10.0.0.7", False), (None, False)):
        request = make_mocked_request("GET", "/_simulator/state").clone(remote=remote or "0.0.0.0")
        if allowed:
            assert (await handler(request)).status == 200
        else:
            with pytest.raises(web.HTTPForbidden):
                await handler(request)


def test_an_unknown_control_call_is_no_secret_door(arm: Arm) -> None:
    assert arm.session.get(f"{arm.sim.url}/_simulator/nothing").status_code == 401
