"""The calls that keep schedules at their time meet every fault: nothing else suffers, and nothing false is said."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest

from asr_simulator import SimulatorThread, parse_scenario
from tests.faults.saboteur import Saboteur, Surroundings
from tests.faults.trial import Clock, skippable_clock
from tests.unit.arm_server import ArmServer
from vault_autoupdate.decide.state import VaultState
from vault_autoupdate.report.document import build_status
from workbench.core import ACCOUNT, Azure, open_azure, resource, scenario_document
from workbench.faults.matrix import SCHEDULE_CELLS
from workbench.faults.model import Cell, ScheduleCall

WANTED: Final = resource(
    runbookSchedule={"time": "02:30", "timeZone": "Europe/Berlin"}, automationAccountChecks=False, mode="Enforce"
)
SETTINGS: Final = {
    "read_limit": "10000/0.6s,250/0.1s",
    "write_limit": "200/0.06s",
    "request_timeout": "10s",
    "retry_pause": "0.001s",
    "agent_interval": "6h",
}
_IMPATIENT: Final = 0.03
"""Seconds until a call that is doomed to a time-out has it."""
_A_DAY: Final = 24 * 3600 + 60

Begin = Callable[[SimulatorThread, Cell], AbstractContextManager["Site"]]


class Site:
    """Azure, the saboteur, and what is known of one vault."""

    def __init__(self, azure: Azure, saboteur: Saboteur, clock: Clock) -> None:
        self.azure = azure
        self.saboteur = saboteur
        self.clock = clock
        self.state = VaultState()
        self.status: dict[str, Any] = {}
        self.since = azure.control.state()["requests"]

    async def look(self) -> dict[str, Any]:
        """One pass; returns the condition of the schedules, if there is one. Whatever is wrong there, Ready is True."""
        outcome = await self.azure.reconcile(WANTED, self.state)
        assert (outcome.error, outcome.readiness.ready) == (None, "True")
        self.status = build_status(WANTED, self.state, outcome.readiness, self.status, self.clock.now())
        found = (each for each in self.status["conditions"] if each["type"] == "RunbookScheduleInSync")
        return next(found, {})

    def let_a_day_pass(self) -> None:
        """Until the limit of writes allows one more, and no pause is left."""
        throttle = self.azure.core.throttle
        self.clock.skipped += _A_DAY + max((lane.paused_for for lane in throttle.states()), default=0.0)

    def run_on_time(self) -> bool:
        """Whether all schedules do so, by what Azure itself knows."""
        runs = self.azure.control.due_runs(ACCOUNT, hours=96)  # the operator's clock may be a day ahead
        at = [datetime.fromisoformat(run["at"]).astimezone(ZoneInfo("Europe/Berlin")) for run in runs]
        return len({run["schedule"] for run in runs}) == 2 and {f"{each:%H:%M}" for each in at} == {"02:30"}

    def writes(self) -> Counter[str]:
        """What reached Azure, by path."""
        seen = self.azure.control.requests(since=self.since, limit=20_000)
        assert {each["kind"] for each in seen if each["method"] not in {"GET", "POST"}} <= {"schedules"}
        return Counter(
            each["path"].lower() for each in seen if each["method"] == "PUT" and each["status"] in {200, 201}
        )


@pytest.fixture(scope="session")
def sim() -> Iterator[SimulatorThread]:
    document = scenario_document(mix={"enabled_compliant": 2}, automation_page_size=1)
    with SimulatorThread(parse_scenario(document)) as running:
        yield running


@pytest.fixture
def begin(surroundings: Surroundings, listener: ArmServer, monkeypatch: pytest.MonkeyPatch) -> Begin:
    @contextmanager
    def site(sim: SimulatorThread, cell: Cell) -> Iterator[Site]:
        sim.control.reset_schedule(ACCOUNT, "*")
        for name, value in sim.identity_env.items():
            monkeypatch.setenv(name, value)
        with skippable_clock(monkeypatch) as clock, open_azure(sim, **SETTINGS) as azure:
            saboteur = Saboteur(azure, cell, surroundings, monkeypatch, short_timeout=_IMPATIENT)
            begun = Site(azure, saboteur, clock)
            saboteur.strike()
            yield begun
        assert listener.seen == [], "another host was asked"
        assert "eyJ" not in json.dumps(begun.status), "a token"

    return site


@pytest.mark.parametrize("cell", SCHEDULE_CELLS, ids=lambda cell: cell.name)
async def test_schedules_meet_every_fault(begin: Begin, sim: SimulatorThread, cell: Cell) -> None:
    assert isinstance(cell.call, ScheduleCall)
    with begin(sim, cell) as site:
        for _ in range(1 if cell.expected.reason == "Throttled" or "429" in cell.fault.name else 3):
            site.state.schedules.look.due = None
            said = await site.look()
            assert said.get("status") != "True" or site.run_on_time()
        assert site.saboteur.strikes
        assert max(site.writes().values(), default=0) <= 2
        site.saboteur.rest()
        site.let_a_day_pass()
        for _ in range(2):
            said = await site.look()
        assert said["status"] == "True", site.status
        assert site.run_on_time()
