"""Every call meets every fault, once and for long: nothing is lost, nothing is done twice, and the reason is told."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Final

import pytest
import requests

from asr_simulator import SimulatorThread, parse_scenario
from asr_simulator.clock import Clock as AzureClock
from tests.faults.saboteur import VICTIM, Saboteur, Surroundings
from tests.faults.trial import Trial, open_trial, skippable_clock
from tests.unit.arm_server import ArmServer
from vault_autoupdate.decide.jobs import Verdict
from workbench.core import ACCOUNT, SCALE, Azure, open_azure, scenario_document
from workbench.faults.matrix import CELLS, FAULTS, excuse
from workbench.faults.model import AgentCall, Call, Cell, Simulated, SkewedClock

MAPPINGS: Final = (VICTIM, "m2", "m3")
SETTINGS: Final = {
    "read_limit": "10000/0.6s,250/0.1s",
    "write_limit": "200/0.6s",
    "request_timeout": "10s",
    "retry_pause": "0.005s",
    "retry_min": "60s",
    "job_poll_min": "0.01s",
    "job_poll_max": "0.05s",
    "status_interval": "0.02s",
}
ONCE: Final = {"Progressing", "Compliant"}

Begin = Callable[[Cell, float], AbstractAsyncContextManager["Site"]]


class Site:
    """Azure, the fleet and the saboteur of one cell."""

    def __init__(self, azure: Azure, saboteur: Saboteur, trial: Trial) -> None:
        self.azure = azure
        self.saboteur = saboteur
        self.trial = trial


@pytest.fixture
def begin(
    surroundings: Surroundings, listener: ArmServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Begin:
    caplog.set_level(logging.ERROR, logger="azure")  # as `configure_logging` has it

    @asynccontextmanager
    async def site(cell: Cell, times: float) -> AsyncIterator[Site]:
        scenario = parse_scenario(
            scenario_document(
                vault={"mappings": [{"name": name} for name in MAPPINGS]},
                mappings_page_size=2,
                jobs_page_size=2,
                jobs={"duration": {"min": 5, "max": 5}},
            )
        )
        skew = cell.injection.seconds if isinstance(cell.injection, SkewedClock) else 0.0
        azures_clock = AzureClock(SCALE, wall=lambda: time.time() + skew)
        async with AsyncExitStack() as stack:
            sim = stack.enter_context(SimulatorThread(scenario, clock=azures_clock))
            for name, value in sim.identity_env.items():
                monkeypatch.setenv(name, value)
            assert isinstance(cell.call, Call)
            _make_the_call_necessary(cell.call, sim)
            clock = stack.enter_context(skippable_clock(monkeypatch))
            azure = stack.enter_context(open_azure(sim, **_settings(cell)))
            saboteur = Saboteur(azure, cell, surroundings, monkeypatch)
            saboteur.strike(times)
            async with open_trial(azure, clock) as trial:
                yield Site(azure, saboteur, trial)
            _nothing_is_lost_or_done_twice(azure, trial, cell)
            _nothing_secret_went_anywhere(azure, trial, listener, caplog.text)

    return site


def _settings(cell: Cell) -> dict[str, str]:
    slow = isinstance(cell.injection, Simulated) and cell.injection.is_slow
    return {**SETTINGS, "request_timeout": "0.15s"} if slow and cell.call is Call.GET_TOKEN else SETTINGS


def _make_the_call_necessary(call: Call | AgentCall, sim: SimulatorThread) -> None:
    match call:
        case Call.LIST_JOBS:
            _patch_as_an_earlier_process(sim)
        case Call.GET_JOB:
            sim.control.add_fault("wrong_shape", route="jobs", body={"value": []}, forever=True)
        case Call.GET_MAPPING:
            sim.control.add_fault("no_job_urls", mapping=VICTIM, forever=True)
        case Call.LIST_JOBS_LOST_ANSWER:
            sim.control.add_fault("reset_after", method="PATCH", mapping=VICTIM)
        case _:
            pass


def _patch_as_an_earlier_process(sim: SimulatorThread) -> None:
    """Start a job that the operator does not know: it has to be found, and its mapping left alone."""
    environment = sim.identity_env
    answer = requests.get(
        environment["IDENTITY_ENDPOINT"],
        params={"api-version": "2019-08-01", "resource": "https://management.azure.com"},
        headers={"X-IDENTITY-HEADER": environment["IDENTITY_HEADER"]},
        timeout=10,
    )
    (mapping,) = (mapping for mapping in sim.control.mappings() if mapping["name"] == VICTIM)
    wanted = {
        "instanceType": "A2A",
        "agentAutoUpdateStatus": "Enabled",
        "automationAccountArmId": ACCOUNT,
        "automationAccountAuthenticationType": "SystemAssignedIdentity",
    }
    requests.patch(
        f"{sim.url}{mapping['id']}?api-version=2025-08-01",
        json={"properties": {"providerSpecificInput": wanted}},
        headers={"Authorization": f"Bearer {answer.json()['access_token']}"},
        timeout=10,
    ).raise_for_status()


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
async def test_a_fault_that_lasts_is_told_and_passes_without_a_restart(begin: Begin, cell: Cell) -> None:
    expected = cell.expected

    def told(condition: dict[str, Any]) -> bool:
        seen = (condition["reason"], condition["status"])
        return seen == (expected.reason, expected.ready) and expected.says in condition["message"]

    async with begin(cell, float("inf")) as site:
        await site.trial.until(told)
        site.saboteur.rest()
        await site.trial.recover()
    assert site.saboteur.strikes or isinstance(cell.injection, SkewedClock)


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
async def test_a_fault_that_strikes_once_is_absorbed_or_told(begin: Begin, cell: Cell) -> None:
    async with begin(cell, 1) as site:
        await site.trial.recover()
    assert site.saboteur.strikes == 1 or isinstance(cell.injection, SkewedClock)
    assert site.trial.reasons - ONCE == (set() if cell.expected.absorbed else {cell.expected.reason} - ONCE)


def _nothing_is_lost_or_done_twice(azure: Azure, trial: Trial, cell: Cell) -> None:
    control = azure.control
    for mapping in control.mappings():
        assert (mapping["status"], mapping["account"], mapping["active_job"]) == ("Enabled", ACCOUNT, None)
    for record in control.patches().values():
        assert 1 <= record["accepted"] <= cell.expected.patches, record
        assert record["refused"] == 0, "a mapping was changed while a job was at work on it"
    (vault,) = control.state()["vaults"]
    ended = sum(azure.recorder.outcomes[str(verdict)] for verdict in Verdict)
    missed = sum(vault["jobs"].values()) - ended
    may_miss: dict[object, int] = {
        Call.LIST_JOBS: 1,  # that of the process before
        Call.LIST_JOBS_LOST_ANSWER: 1,  # seen by its effect, after it has ended
    }
    assert 0 <= missed <= may_miss.get(cell.call, 0), "every job is accounted for"
    status = trial.statuses[-1]
    assert not status.get("operations")
    assert status["lastRun"]["completedAt"]


def _nothing_secret_went_anywhere(azure: Azure, trial: Trial, listener: ArmServer, log: str) -> None:
    assert listener.seen == [], "another host was asked"
    shown = json.dumps(trial.statuses) + log
    assert "eyJ" not in shown, "a token"
    assert azure.sim.scenario.identity.secret not in shown


def test_every_fault_meets_every_call_or_says_why_not() -> None:
    cells = {(cell.call, cell.fault.name) for cell in CELLS}
    for fault in FAULTS:
        for call in Call:
            assert ((call, fault.name) in cells) != bool(excuse(call, fault))
