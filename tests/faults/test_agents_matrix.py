"""The calls about agents and the Automation account meet every fault.

What cannot be seen is said, Ready stays as it is, and no agent is updated twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final

import pytest

from asr_simulator import SimulatorThread, parse_scenario
from tests.faults.saboteur import Saboteur, Surroundings
from tests.faults.trial import Clock, skippable_clock
from tests.unit.arm_server import ArmServer
from vault_autoupdate.decide.rollout import Phase
from vault_autoupdate.decide.state import VaultState
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.model.resource import UPDATE_AGENTS_NOW, VaultAutoUpdate
from vault_autoupdate.report.document import build_status
from workbench.core import VAULT, Azure, open_azure, resource, scenario_document
from workbench.faults.matrix import AGENT_CELLS, told
from workbench.faults.model import AgentCall, Cell, Expected

SETTINGS: Final = {
    "read_limit": "10000/0.6s,250/0.1s",
    "write_limit": "200/0.06s",
    "request_timeout": "10s",
    "retry_pause": "0.001s",
    "job_poll_min": "0.01s",
    "job_poll_max": "0.05s",
    "agent_interval": "6h",
}
READS: Final = [cell for cell in AGENT_CELLS if cell.call not in {AgentCall.UPDATE_AGENT, AgentCall.GET_ITEM}]
UPDATES: Final = [cell for cell in AGENT_CELLS if cell.call is AgentCall.UPDATE_AGENT]
AFTER_A_LOST_ANSWER: Final = [cell for cell in AGENT_CELLS if cell.call is AgentCall.GET_ITEM]
OLD: Final = "9.54.0.1"
NEW: Final = "9.55.6808.1"
_IMPATIENT: Final = 0.03
"""Seconds until a read that is doomed to a time-out has it."""
_CONDITIONS: Final = {False: "AgentsCurrent", True: "AutomationAccountHealthy"}

Begin = Callable[[SimulatorThread, Cell, float], AbstractContextManager["Site"]]


class Site:
    """Azure, the saboteur and the state of one vault."""

    def __init__(self, azure: Azure, saboteur: Saboteur, clock: Clock) -> None:
        self.azure = azure
        self.saboteur = saboteur
        self.clock = clock
        self.state = VaultState()
        self.status: dict[str, Any] = {}

    async def look(self, wanted: VaultAutoUpdate) -> None:
        """One pass. Whatever is wrong with agents or account, Ready is True."""
        outcome = await self.azure.reconcile(wanted, self.state)
        assert (outcome.error, outcome.readiness.ready) == (None, "True")
        self.status = build_status(wanted, self.state, outcome.readiness, self.status, self.clock.now())

    def let_time_pass(self) -> None:
        """Until all is due again and no pause is left."""
        throttle = self.azure.core.throttle
        self.clock.skipped += 3600 * 6 + max((lane.paused_for for lane in throttle.states()), default=0.0)

    def condition(self, kind: str) -> dict[str, Any] | None:
        """A condition of the status, if it has it."""
        return next((each for each in self.status["conditions"] if each["type"] == kind), None)


@pytest.fixture(scope="session")
def sim() -> Iterator[SimulatorThread]:
    document = scenario_document(
        vault={"mix": {"enabled_compliant": 2}, "items_per_mapping": 2},
        jobs={"duration": {"min": 5, "max": 5}},
        items_page_size=3,
        automation_page_size=1,
        roles={
            "page_size": 1,
            "assignments": [
                {"principal": "aa-dr", "role": "Site Recovery Contributor", "scope": scope}
                for scope in (VAULT, VAULT.partition("/providers")[0])
            ],
            "denied": [{"name": name, "scope": VAULT, "exclude": ["aa-dr"]} for name in ("one", "two")],
        },
    )
    with SimulatorThread(parse_scenario(document)) as running:
        yield running


@pytest.fixture
def begin(surroundings: Surroundings, listener: ArmServer, monkeypatch: pytest.MonkeyPatch) -> Begin:
    @contextmanager
    def site(sim: SimulatorThread, cell: Cell, times: float) -> Iterator[Site]:
        for name, value in sim.identity_env.items():
            monkeypatch.setenv(name, value)
        timeout = {} if cell.call is AgentCall.UPDATE_AGENT else {"short_timeout": _IMPATIENT}
        with skippable_clock(monkeypatch) as clock, open_azure(sim, **SETTINGS) as azure:
            saboteur = Saboteur(azure, cell, surroundings, monkeypatch, **timeout)
            saboteur.strike(times)
            begun = Site(azure, saboteur, clock)
            yield begun
        assert listener.seen == [], "another host was asked"
        assert "eyJ" not in json.dumps(begun.status), "a token"

    return site


# Looking at agents and account.


@pytest.mark.parametrize("cell", READS, ids=lambda cell: cell.name)
async def test_what_cannot_be_seen_is_said_and_comes_back_by_itself(
    begin: Begin, sim: SimulatorThread, cell: Cell
) -> None:
    assert isinstance(cell.call, AgentCall)
    struck, other = _CONDITIONS[cell.call.is_about_account], _CONDITIONS[not cell.call.is_about_account]
    wanted, expected = resource(), told(cell.call, cell.fault)
    with begin(sim, cell, float("inf")) as site:
        await site.look(wanted)
        assert site.saboteur.strikes
        seen = site.condition(struck)
        if expected is None:
            assert seen is None
        else:
            assert seen is not None
            assert (seen["status"], seen["reason"]) == (expected.ready, expected.reason)
            assert expected.says in seen["message"]
        if cell.expected.reason != "Throttled":  # or what can wait does, until there are plenty of reads again
            assert (site.condition(other) or {})["status"] == "True", site.status
        if cell.call in {AgentCall.LIST_ITEMS, AgentCall.GET_ACCOUNT}:  # all calls about the account come back alike
            site.saboteur.rest()
            site.let_time_pass()
            await site.look(wanted)
            for kind in (struck, other):
                assert (site.condition(kind) or {})["status"] == "True", site.status


# Updating agents.


def _update_now(request: str) -> VaultAutoUpdate:
    """The vault is as declared; whose agents are behind is updated now, one after the other."""
    updates = {"schedule": "0 2 29 2 *", "duration": "24h", "maxConcurrent": 1, "maxFailures": 1}
    return resource(
        autoUpdate="Disabled",
        automationAccountResourceId=None,
        agentUpdates=updates,
        annotations={UPDATE_AGENTS_NOW: request},
    )


@pytest.fixture(scope="session")
def sim_with_old_agents() -> Iterator[SimulatorThread]:
    document = scenario_document(
        vault={"mappings": [{"name": "m", "kind": "disabled"}], "items_per_mapping": 2},
        jobs={"duration": {"min": 5, "max": 5}},
    )
    with SimulatorThread(parse_scenario(document)) as running:
        yield running


async def _step(site: Site, request: str) -> None:
    """One pass, then time for its jobs to end and for pauses to pass."""
    await site.look(_update_now(request))
    site.azure.control.advance(10)
    throttle = site.azure.core.throttle
    site.clock.skipped += 1 + max((lane.paused_for for lane in throttle.states()), default=0.0)


def _phase(site: Site) -> Phase | None:
    return site.state.rollout_decision.phase if site.state.rollout_decision else None


async def _roll_out(site: Site, request: str) -> None:
    """Until nothing is left to do in the window, or no more is started in it."""
    for _ in range(20):
        await _step(site, request)
        if _phase(site) in {Phase.DONE, Phase.STOPPED}:
            return
    raise AssertionError(site.status)


def _begin_anew(sim: SimulatorThread) -> None:
    sim.control.set_items(None, "*", version=OLD)
    sim.control.reset_stats()


def _each_is_updated_once(site: Site, *, failures: int = 0) -> None:
    """And nothing is forgotten: every job that Site Recovery made is accounted for."""
    items = site.azure.control.items()
    assert [(item["version"], item["updates_accepted"]) for item in items] == [(NEW, 1)] * 2
    assert [item["updates_refused"] for item in items] == [0] * 2
    outcomes = site.azure.recorder.agent_outcomes
    assert (outcomes["succeeded"], outcomes["failed"]) == (2 - failures, failures)
    assert "operations" not in site.status["agentUpdates"]


def _seems_right(site: Site, expected: Expected) -> bool:
    """Whether what is known of the rollout is what is expected while the fault lasts."""
    rollout, decision = site.state.rollout, site.state.rollout_decision
    assert rollout
    assert decision
    match expected.reason:
        case "Compliant":
            return decision.phase is Phase.DONE and rollout.succeeded == 2
        case "Progressing":
            return decision.phase is Phase.ROLLING and (rollout.started, rollout.failed) == (0, 0)
        case "MappingsFailed":
            (failure,) = rollout.failures.values() or (None,)
            why = failure.explanation if failure else Explanation()
            said = f"{why.code}: {why.message} {why.recommended_action}"
            return decision.phase is Phase.STOPPED and expected.says in said
        case reason:
            return decision.reason.startswith(f"{reason}: ") and expected.says in decision.reason


@pytest.mark.parametrize("cell", UPDATES, ids=lambda cell: cell.name)
async def test_no_agent_is_updated_twice_and_what_keeps_it_from_that_is_said(
    begin: Begin, sim_with_old_agents: SimulatorThread, cell: Cell
) -> None:
    sim, expected = sim_with_old_agents, cell.expected
    _begin_anew(sim)
    with begin(sim, cell, 1) as site:  # the fault strikes once
        await _roll_out(site, "1")
        assert site.saboteur.strikes == 1
        assert (_phase(site) is Phase.DONE) or not expected.absorbed
        if _phase(site) is Phase.STOPPED:
            await _roll_out(site, "2")
        _each_is_updated_once(site)
    _begin_anew(sim)
    with begin(sim, cell, float("inf")) as site:  # the fault lasts
        for _ in range(3):
            await _step(site, "1")
            if _seems_right(site, expected):
                break
        assert _seems_right(site, expected), site.status
        site.saboteur.rest()
        await _roll_out(site, "2" if _phase(site) is Phase.STOPPED else "1")
        _each_is_updated_once(site)


@pytest.mark.parametrize("cell", AFTER_A_LOST_ANSWER, ids=lambda cell: cell.name)
async def test_no_agent_is_updated_twice_when_the_machine_cannot_be_seen_after_an_answer_that_was_lost(
    begin: Begin, sim_with_old_agents: SimulatorThread, cell: Cell
) -> None:
    sim = sim_with_old_agents
    _begin_anew(sim)
    with begin(sim, cell, float("inf")) as site:
        sim.control.add_fault("reset_after", route="update_agent")
        unlisted = sim.control.add_fault("wrong_shape", route="jobs", body={"value": []}, forever=True)
        for _ in range(2):
            await _step(site, "1")
        assert site.saboteur.strikes
        sim.control.remove_fault(unlisted)
        gone = _phase(site) is Phase.STOPPED
        assert gone == (cell.fault.name == "404"), "a machine that is not replicated any more counts as failed"
        site.saboteur.rest()
        await _roll_out(site, "2" if gone else "1")
        _each_is_updated_once(site, failures=int(gone))
