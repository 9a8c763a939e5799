"""``vault-autoupdate plan`` tells of the schedules, and ``apply`` leaves them to the operator."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from asr_simulator import SimulatorThread, parse_scenario
from workbench.core import ACCOUNT, scenario_document
from workbench.process.command_line import run, write_manifest


@pytest.fixture
def sim() -> Iterator[SimulatorThread]:
    document = scenario_document(mix={"enabled_compliant": 3})
    with SimulatorThread(parse_scenario(document)) as running:
        yield running


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return write_manifest(tmp_path / "v.yaml", runbookSchedule={"time": "02:30", "timeZone": "Europe/Berlin"})


def _writes(sim: SimulatorThread) -> int:
    return len(sim.control.requests(method="PUT"))


def test_plan_shows_old_and_new_of_each_schedule_moves_none_and_exits_2(sim: SimulatorThread, manifest: Path) -> None:
    sim.control.set_schedule(ACCOUNT, f"{sim.control.mappings()[0]['name']}_*", enabled=False)
    result = run("plan", manifest, sim=sim)
    assert result.returncode == 2, result.stderr
    lines = result.stdout.splitlines()
    change = "every day at 00:00 Etc/UTC → every day at 02:30 Europe/Berlin"
    assert sum(line.startswith("~ schedule of ") and line.endswith(change) for line in lines) == 2
    assert sum(line.startswith("! schedule of ") and "ScheduleDisabled" in line for line in lines) == 1
    assert lines[-1] == "Schedules: 2 to move, 1 left alone, 0 in sync: every day at 02:30 Europe/Berlin."
    (document,) = json.loads(run("plan", "-o", "json", manifest, sim=sim).stdout)
    assert sorted(each["reason"] for each in document["runbookSchedule"]["differing"]) == [
        "Differs", "Differs", "ScheduleDisabled",
    ]  # fmt: skip
    assert _writes(sim) == 0


def test_apply_moves_none_since_it_does_not_know_how_often_that_was_done(sim: SimulatorThread, manifest: Path) -> None:
    result = run("apply", manifest, sim=sim)
    assert result.returncode == 0, result.stderr
    assert _writes(sim) == 0


def test_an_account_that_cannot_be_read_keeps_nothing_else_from_being_planned(
    sim: SimulatorThread, manifest: Path
) -> None:
    sim.control.add_fault("status", status=403, code="AuthorizationFailed", route="schedules", forever=True)
    result = run("plan", manifest, sim=sim)
    assert result.returncode == 0, result.stderr
    assert "3 as declared" in result.stdout
    assert "Schedules: cannot be read." in result.stdout
    assert "Microsoft.Automation/automationAccounts/schedules/read" in result.stdout
