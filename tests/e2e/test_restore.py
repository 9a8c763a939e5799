"""The way back: plan kept, enforced, restored, and everything is as it was before."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from asr_simulator import SimulatorThread, parse_scenario
from vault_autoupdate.cli.main import main
from workbench.core import ACCOUNT, VAULT, scenario_document
from workbench.process.command_line import environment, start, write_manifest
from workbench.process.waiting import wait_until

OTHER = f"{ACCOUNT}-other"
MIX = {
    "disabled": 3,
    "enabled_compliant": 2,
    "enabled_unhealthy": 2,
    "enabled_other_account": 2,
    "unpaired": 1,
    "other_provider": 2,
}


@pytest.fixture
def sim() -> Iterator[SimulatorThread]:
    with SimulatorThread(parse_scenario(scenario_document(mix=MIX))) as running:
        yield running


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return write_manifest(tmp_path / "vault.yaml")


@pytest.fixture
def kept(sim: SimulatorThread, manifest: Path, tmp_path: Path) -> Path:
    """What plan has printed before the first change."""
    path = tmp_path / "before.json"
    result = _invoke(sim, "plan", "--all", "-o", "json", manifest)
    assert result.exit_code == 2
    path.write_text(result.stdout)
    return path


def _invoke(sim: SimulatorThread, *arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments], env=environment(sim))


def _settings(sim: SimulatorThread) -> dict[str, tuple[str | None, str]]:
    """What each mapping has, by name: the account counts where it is enabled."""
    return {
        each["name"]: (each["status"], (each["account"] or "").lower() if each["status"] == "Enabled" else "")
        for each in sim.control.mappings()
    }


@pytest.mark.parametrize("declared", ["Enabled", "Disabled"])
def test_plan_enforce_restore_and_all_is_as_before(
    sim: SimulatorThread, tmp_path: Path, kept: Path, declared: str
) -> None:
    before = _settings(sim)
    assert len(set(before.values())) >= 3  # disabled, and enabled with two accounts
    enforced = _invoke(sim, "apply", write_manifest(tmp_path / "wanted.yaml", autoUpdate=declared))
    assert enforced.exit_code == 0, enforced.output
    assert _settings(sim) != before

    result = _invoke(sim, "restore", "--yes", kept)

    assert result.exit_code == 0, result.output
    assert _settings(sim) == before
    assert _invoke(sim, "restore", kept).exit_code == 0


def test_without_yes_it_shows_what_it_would_do_changes_nothing_and_exits_2(
    sim: SimulatorThread, manifest: Path, kept: Path
) -> None:
    _invoke(sim, "apply", manifest)
    sent = len(sim.control.requests(method="PATCH"))
    result = _invoke(sim, "restore", kept)

    assert result.exit_code == 2
    assert sum(line.startswith("~ ") for line in result.stdout.splitlines()) == 5
    assert len(sim.control.requests(method="PATCH")) == sent


def test_where_nothing_has_changed_there_is_nothing_to_do_not_even_repairs(sim: SimulatorThread, kept: Path) -> None:
    assert _invoke(sim, "restore", kept).exit_code == 0
    assert _invoke(sim, "restore", "--yes", kept).exit_code == 0
    assert sim.control.patches() == {}


def test_mappings_that_came_later_are_left_as_they_are(sim: SimulatorThread, manifest: Path, kept: Path) -> None:
    (added,) = sim.control.add_mappings(disabled=1)
    _invoke(sim, "apply", manifest)
    now = _settings(sim)[added]
    assert now[0] == "Enabled"

    assert _invoke(sim, "restore", "--yes", kept).exit_code == 0
    assert _settings(sim)[added] == now


def test_mappings_that_are_gone_are_named_and_keep_nobody_from_the_rest(
    sim: SimulatorThread, manifest: Path, kept: Path
) -> None:
    _invoke(sim, "apply", manifest)
    gone = next(each["name"] for each in sim.control.mappings() if each["status"] == "Enabled")
    sim.control.remove_mappings(names=[gone])

    shown = _invoke(sim, "restore", kept)
    assert f"/{gone}\n" in shown.stdout[shown.stdout.index("no longer there: ") :]
    assert _invoke(sim, "restore", "--yes", kept).exit_code == 0


def test_several_vaults_of_one_file_are_all_put_back(tmp_path: Path) -> None:
    document = scenario_document(mix={"disabled": 2})
    document["vaults"].append({**document["vaults"][0], "name": "dr-2"})
    with SimulatorThread(parse_scenario(document)) as sim:
        one, other = (write_manifest(tmp_path / f"{name}.yaml", vaultResourceId=VAULT + name) for name in ("", "-2"))
        second = yaml.safe_load(other.read_text()) | {"metadata": {"name": "other"}}
        one.write_text(f"{one.read_text()}---\n{yaml.safe_dump(second)}")
        kept = tmp_path / "before.json"
        kept.write_text(_invoke(sim, "plan", "-o", "json", one).stdout)
        assert _invoke(sim, "apply", one).exit_code == 0
        result = _invoke(sim, "restore", "--yes", "-o", "json", kept)

        assert result.exit_code == 0
        assert [each["succeeded"] for each in json.loads(result.stdout)] == [2, 2]
        assert {state for each in ("dr", "dr-2") for state in _statuses(sim, each)} == {"Disabled"}


def _statuses(sim: SimulatorThread, vault: str) -> list[Any]:
    return [each["status"] for each in sim.control.mappings(vault)]


def test_a_failure_is_told_and_exits_1(sim: SimulatorThread, manifest: Path, kept: Path) -> None:
    _invoke(sim, "apply", manifest)
    sim.control.add_fault("fail_job", code="150999", message="It broke.", recommended_action="Mend it.")
    result = _invoke(sim, "restore", "--yes", kept)
    assert result.exit_code == 1
    assert "150999" in result.output


def test_it_warns_of_an_operator_that_would_change_it_back(sim: SimulatorThread, kept: Path) -> None:
    assert "mode: Audit" in _invoke(sim, "restore", "--yes", kept).stderr
    assert _invoke(sim, "restore", kept).stderr == ""


def test_ctrl_c_leaves_a_summary_and_the_same_command_goes_on(
    sim: SimulatorThread, manifest: Path, kept: Path, tmp_path: Path
) -> None:
    before = _settings(sim)
    _invoke(sim, "apply", manifest)
    enabled = len(sim.control.requests(method="PATCH"))
    sim.control.settings(jobs={"duration": {"min": 1000, "max": 1000}})  # ten seconds
    with start("restore", "--yes", kept, sim=sim, directory=tmp_path) as process:
        wait_until(lambda: len(sim.control.requests(method="PATCH")) > enabled, within=20, what="the first change")
        process.send_signal(signal.SIGINT)
        assert process.wait(within=20) == 130, (tmp_path / "errors").read_text()
    assert "Interrupted. " in (tmp_path / "output").read_text()

    sim.control.settings(jobs={"duration": {"min": 10, "max": 10}})
    assert _invoke(sim, "restore", "--yes", kept).exit_code == 0
    assert _settings(sim) == before


def test_a_manifest_in_the_place_of_a_plan_is_refused_before_any_call(sim: SimulatorThread, manifest: Path) -> None:
    result = _invoke(sim, "restore", manifest)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "not JSON" in result.stderr
    assert sim.control.requests() == []
