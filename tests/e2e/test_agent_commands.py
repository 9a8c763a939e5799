"""``vault-autoupdate agents`` and ``update-agents`` as people run them: a process, a manifest, a simulated Azure."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asr_simulator import SimulatorThread, parse_scenario
from workbench.core import VAULT, scenario_document
from workbench.process.command_line import run, start, write_manifest
from workbench.process.waiting import wait_until

RELEASED = "9.56.7000.1"
VAULT_WITH_MACHINES: dict[str, Any] = {
    "mix": {"disabled": 2},
    "items_per_mapping": 6,
    "vm_name": "{role}-{mapping}{index}",
    "roles": ["db", "web", "canary"],
}
"""Twelve machines, four of each role."""
WINDOWS: dict[str, Any] = {"schedule": "0 22 * * SAT", "duration": "4h"}


@pytest.fixture
def sim() -> Iterator[SimulatorThread]:
    with SimulatorThread(parse_scenario(scenario_document(vault=VAULT_WITH_MACHINES))) as running:
        yield running


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return by_hand(tmp_path)


def by_hand(tmp_path: Path, *, updates: dict[str, Any] | None = None, **spec: Any) -> Path:
    """A manifest of a vault without auto-update."""
    wanted = {"autoUpdate": "Disabled", "automationAccountResourceId": None, **spec}
    if updates is not None:
        wanted["agentUpdates"] = WINDOWS | updates
    return write_manifest(tmp_path / "vault.yaml", **wanted)


def started(sim: SimulatorThread) -> list[str]:
    """Names of the machines whose update was begun, in that order."""
    names = {item["id"].casefold(): item["vm_name"] for item in sim.control.items()}
    paths = [record["path"].casefold() for record in sim.control.requests(limit=1000, method="POST")]
    return [names[path.removesuffix("/updatemobilityservice")] for path in paths if path.endswith("mobilityservice")]


def machine_lines(output: str) -> list[str]:
    return output.splitlines()[1:-1]


class TestAgents:
    def test_with_all_current_there_is_only_a_summary_and_exit_0(self, sim: SimulatorThread, manifest: Path) -> None:
        result = run("agents", manifest, sim=sim)
        assert result.returncode == 0, result.stderr
        assert machine_lines(result.stdout) == []
        assert result.stdout.splitlines()[0].endswith(VAULT)
        assert result.stdout.splitlines()[-1].startswith("Agents: 12 machines, 12 current, 0 behind")

    def test_all_shows_those_that_are_current_too(self, sim: SimulatorThread, manifest: Path) -> None:
        lines = machine_lines(run("agents", "--all", manifest, sim=sim).stdout)
        assert len(lines) == 12
        assert all(line.startswith("current ") for line in lines)

    def test_those_behind_are_shown_the_worst_first_with_what_to_do_and_exit_2(
        self, sim: SimulatorThread, manifest: Path
    ) -> None:
        sim.control.release_agent(RELEASED)
        sim.control.set_items(None, "web-*", version=RELEASED)
        sim.control.set_items(None, "db-00", expires_at="2020-01-01T00:00:00Z")
        result = run("agents", manifest, sim=sim)
        assert result.returncode == 2, result.stderr
        first, *others = machine_lines(result.stdout)
        assert first.startswith("expired ")
        assert " db-00 " in first
        assert "expires 2020-01-01" in first
        (mapping,) = {item["mapping"] for item in sim.control.items() if item["vm_name"] == "db-00"}
        assert f"/{mapping} " in first, "the mapping that it belongs to"
        assert len(others) == 7
        assert all(line.startswith("update required ") for line in others)
        assert "12 machines, 4 current, 8 behind, 1 expired" in result.stdout.splitlines()[-1]

    def test_it_says_what_site_recovery_says_to_do(self, sim: SimulatorThread, manifest: Path) -> None:
        blocker = {"code": "900170", "message": "No room on the disk.", "recommended_action": "Make room."}
        sim.control.set_items(None, "db-00", reinstall_required=True, blockers=[blocker])
        (line,) = machine_lines(run("agents", manifest, sim=sim).stdout)
        assert line.startswith("reinstall required ")
        assert "No room on the disk." in line
        assert "Make room." in line

    def test_a_pattern_narrows_what_is_shown_counted_and_exited_with(
        self, sim: SimulatorThread, manifest: Path
    ) -> None:
        sim.control.release_agent(RELEASED)
        sim.control.set_items(None, "web-*", version=RELEASED)
        result = run("agents", "--vm", "WEB-*", manifest, sim=sim)
        assert result.returncode == 0, result.stdout
        assert "4 machines, 4 current" in result.stdout
        result = run("agents", "--vm", "web-*", "--vm", "db-0?", manifest, sim=sim)
        assert result.returncode == 2
        assert "6 machines, 4 current, 2 behind" in result.stdout

    def test_as_json_it_is_the_counts_of_the_status_and_all_machines(
        self, sim: SimulatorThread, manifest: Path
    ) -> None:
        sim.control.release_agent(RELEASED)
        sim.control.set_items(None, "web-*", version=RELEASED)
        (document,) = json.loads(run("agents", "-o", "json", manifest, sim=sim).stdout)
        assert (document["total"], document["behind"], document["unknown"]) == (12, 8, 0)
        assert document["versions"][0] == {"version": RELEASED, "machines": 4}
        assert len(document["machines"]) == 12
        assert {machine.get("concern") for machine in document["machines"]} == {"UpdateRequired", None}
        assert document["machines"][0]["concern"] == "UpdateRequired"

    def test_it_reads_the_vault_once_and_changes_nothing(self, sim: SimulatorThread, manifest: Path) -> None:
        sim.control.release_agent(RELEASED)
        run("agents", manifest, sim=sim)
        calls = [record for record in sim.control.requests(limit=1000) if record["kind"] != "token"]
        assert {record["method"] for record in calls} == {"GET"}
        assert [record["kind"] for record in calls].count("protected_items") == 1

    def test_a_vault_that_cannot_be_read_is_an_error_that_says_why_and_exit_1(
        self, sim: SimulatorThread, manifest: Path
    ) -> None:
        sim.control.add_fault("status", route="protected_items", status=403, code="AuthorizationFailed", forever=True)
        result = run("agents", manifest, sim=sim)
        assert result.returncode == 1
        assert "error: default/dr: AuthorizationFailed: " in result.stderr
        assert "Traceback" not in result.stderr


class TestUpdateAgents:
    def test_those_behind_are_updated_each_once_and_exit_0(self, sim: SimulatorThread, manifest: Path) -> None:
        sim.control.release_agent(RELEASED)
        sim.control.set_items(None, "web-*", version=RELEASED)
        result = run("update-agents", manifest, sim=sim)
        assert result.returncode == 0, result.stdout + result.stderr
        lines = result.stdout.splitlines()
        assert sum(line.startswith("succeeded ") for line in lines) == 8
        assert lines[-1] == "8 started, 8 succeeded, 0 failed, 0 timed out, 0 still to update."
        assert sorted(started(sim)) == sorted(
            item["vm_name"] for item in sim.control.items() if not item["vm_name"].startswith("web-")
        )
        assert {item["version"] for item in sim.control.items()} == {RELEASED}
        assert sim.control.patches() == {}, "the mappings are another command's"

    def test_the_order_and_the_bound_of_the_manifest_hold_and_its_window_does_not_matter(
        self, sim: SimulatorThread, tmp_path: Path
    ) -> None:
        sim.control.release_agent(RELEASED)
        bounds = {"order": ["canary-*", "web-*"], "maxConcurrent": 2, "schedule": "0 0 29 2 *"}
        result = run("update-agents", by_hand(tmp_path, updates=bounds), sim=sim)
        assert result.returncode == 0, result.stdout + result.stderr
        roles = [name.partition("-")[0] for name in started(sim)]
        assert roles == ["canary"] * 4 + ["web"] * 4 + ["db"] * 4
        assert {item["most_running_in_vault"] for item in sim.control.items()} == {2}

    def test_with_nothing_to_do_nothing_is_started(self, sim: SimulatorThread, manifest: Path) -> None:
        result = run("update-agents", manifest, sim=sim)
        assert result.returncode == 0, result.stdout + result.stderr
        assert started(sim) == []

    def test_a_pattern_narrows_what_is_updated(self, sim: SimulatorThread, manifest: Path) -> None:
        sim.control.release_agent(RELEASED)
        result = run("update-agents", "--vm", "DB-0*", manifest, sim=sim)
        assert result.returncode == 0, result.stdout + result.stderr
        assert sorted(started(sim)) == ["db-00", "db-03"]

    def test_a_failure_is_shown_with_what_to_do_and_ends_it_with_exit_1(
        self, sim: SimulatorThread, tmp_path: Path
    ) -> None:
        sim.control.release_agent(RELEASED)
        sim.control.settings(agent_updates={"failing": ["canary-02"]})
        bounds = {"order": ["canary-*"], "maxConcurrent": 4}
        result = run("update-agents", by_hand(tmp_path, updates=bounds), sim=sim)
        assert result.returncode == 1, result.stdout + result.stderr
        (failed,) = (line for line in result.stdout.splitlines() if line.startswith("failed "))
        assert "canary-02" in failed
        assert "900151" in failed
        assert "Start the virtual machine" in failed
        assert {name.partition("-")[0] for name in started(sim)} == {"canary"}
        assert result.stdout.splitlines()[-1].startswith("4 started, 3 succeeded, 1 failed, 0 timed out, ")

    def test_one_that_needs_a_reboot_is_updated(self, sim: SimulatorThread, manifest: Path) -> None:
        sim.control.release_agent(RELEASED)
        sim.control.settings(agent_updates={"reboot_pending": ["db-00"]})
        result = run("update-agents", "--vm", "db-0*", manifest, sim=sim)
        assert result.returncode == 0, result.stdout + result.stderr
        assert "2 started, 2 succeeded (1 to be rebooted), 0 failed" in result.stdout

    def test_as_json_standard_output_is_for_the_document(self, sim: SimulatorThread, manifest: Path) -> None:
        sim.control.release_agent(RELEASED)
        sim.control.settings(agent_updates={"failing": ["db-00"]})
        result = run("update-agents", "-o", "json", "--vm", "db-0*", manifest, sim=sim)
        (document,) = json.loads(result.stdout)
        assert (document["started"], document["succeeded"], document["failed"]) == (2, 1, 1)
        (failure,) = document["failures"]
        assert (failure["machine"], failure["code"]) == ("db-00", "900151")

    def test_ctrl_c_starts_nothing_more_and_says_how_many_run_on(self, sim: SimulatorThread, tmp_path: Path) -> None:
        sim.control.release_agent(RELEASED)
        sim.control.settings(agent_updates={"never_ending": ["*"]})
        manifest = by_hand(tmp_path, updates={"maxConcurrent": 3})
        with start("update-agents", manifest, sim=sim, directory=tmp_path) as process:
            wait_until(lambda: len(started(sim)) == 3, within=20, what="all that may run at once to be under way")
            process.send_signal(signal.SIGINT)
            assert process.wait(within=20) == 130, (tmp_path / "errors").read_text()
        output = (tmp_path / "output").read_text()
        assert "Interrupted. Nothing more is started; 3 updates still running in Azure." in output
        assert "Traceback" not in (tmp_path / "errors").read_text()
        assert len(started(sim)) == 3

    def test_called_again_it_waits_for_what_runs_and_goes_on_without_starting_any_twice(
        self, sim: SimulatorThread, tmp_path: Path
    ) -> None:
        sim.control.release_agent(RELEASED)
        sim.control.settings(jobs={"duration": {"min": 600, "max": 600}})  # six seconds: time to start again
        manifest = by_hand(tmp_path, updates={"maxConcurrent": 3})
        with start("update-agents", "--vm", "db-*", manifest, sim=sim, directory=tmp_path) as process:
            wait_until(lambda: len(started(sim)) == 3, within=20, what="all that may run at once to be under way")
            process.send_signal(signal.SIGTERM)
            assert process.wait(within=20) == 130
        result = run("update-agents", "--vm", "db-*", manifest, sim=sim)
        assert result.returncode == 0, result.stdout + result.stderr
        assert sorted(started(sim)) == ["db-00", "db-03", "db-10", "db-13"]
        assert {item["version"] for item in sim.control.items() if item["vm_name"].startswith("db-")} == {RELEASED}

    def test_without_the_right_to_update_it_says_what_to_grant_and_exits_1(
        self, sim: SimulatorThread, manifest: Path
    ) -> None:
        sim.control.release_agent(RELEASED)
        sim.control.add_fault("status", method="POST", status=403, code="AuthorizationFailed", forever=True)
        result = run("update-agents", manifest, sim=sim)
        assert result.returncode == 1
        assert "AuthorizationFailed" in result.stdout
        assert "12 machines" not in result.stdout.splitlines()[-1]

    def test_where_site_recovery_does_it_by_itself_it_is_refused_before_anything_is_called(
        self, sim: SimulatorThread, tmp_path: Path
    ) -> None:
        enabled = write_manifest(tmp_path / "enabled.yaml")
        for more in ((), ("--dry-run",), ("--vm", "db-00")):
            result = run("update-agents", enabled, *more, sim=sim)
            assert result.returncode == 2
            assert "Site Recovery updates the agents by itself" in result.stderr
        assert sim.control.state()["requests"] == 0

    def test_paused_updates_are_refused_before_anything_is_called(self, sim: SimulatorThread, tmp_path: Path) -> None:
        result = run("update-agents", by_hand(tmp_path, updates={"pause": True}), sim=sim)
        assert result.returncode == 2
        assert "spec.agentUpdates.pause is true" in result.stderr
        assert sim.control.state()["requests"] == 0

    def test_a_vault_that_cannot_be_read_is_an_error_that_says_why_and_exit_1(
        self, sim: SimulatorThread, tmp_path: Path
    ) -> None:
        result = run("update-agents", by_hand(tmp_path, vaultResourceId=VAULT + "-gone"), sim=sim)
        assert result.returncode == 1
        assert "ResourceNotFound" in result.stdout


def test_apply_leaves_agents_alone_also_while_a_window_is_open(sim: SimulatorThread, tmp_path: Path) -> None:
    sim.control.release_agent(RELEASED)
    result = run("apply", by_hand(tmp_path, updates={"schedule": "* * * * *"}), sim=sim)
    assert result.returncode == 0, result.stdout + result.stderr
    assert started(sim) == []


class TestDryRun:
    def test_groups_are_shown_in_their_order_nothing_is_started_and_exit_2(
        self, sim: SimulatorThread, tmp_path: Path
    ) -> None:
        sim.control.release_agent(RELEASED)
        bounds = {"order": ["canary-*", "web-*"], "maxConcurrent": 2, "maxFailures": 3}
        result = run("update-agents", "--dry-run", by_hand(tmp_path, updates=bounds), sim=sim)
        assert result.returncode == 2, result.stderr
        groups = [line for line in result.stdout.splitlines() if line.startswith("Group ")]
        assert groups == [
            "Group 1 (order canary-*): 4 machines",
            "Group 2 (order web-*): 4 machines",
            "Group 3 (all others): 4 machines",
        ]
        machines = [line.split()[0] for line in result.stdout.splitlines() if line.startswith("  ")]
        assert [name.partition("-")[0] for name in machines] == ["canary"] * 4 + ["web"] * 4 + ["db"] * 4
        assert result.stdout.splitlines()[-1] == (
            "Updates: 12 machines in 3 groups, at most 2 at a time, no more after 3 failures."
        )
        assert started(sim) == []

    def test_it_shows_what_a_run_then_does(self, sim: SimulatorThread, tmp_path: Path) -> None:
        sim.control.release_agent(RELEASED)
        path = by_hand(tmp_path, updates={"order": ["*2", "web-*"], "maxConcurrent": 1})
        (document,) = json.loads(run("update-agents", "--dry-run", "-o", "json", path, sim=sim).stdout)
        announced = [name for group in document["groups"] for name in group["machines"]]
        assert run("update-agents", path, sim=sim).returncode == 0
        assert started(sim) == announced

    def test_with_nothing_to_update_it_exits_0(self, sim: SimulatorThread, manifest: Path) -> None:
        result = run("update-agents", "--dry-run", manifest, sim=sim)
        assert result.returncode == 0
        assert result.stdout.splitlines()[-1].startswith("Updates: 0 machines in 0 groups")

    def test_in_audit_mode_a_run_is_one_and_exits_0(self, sim: SimulatorThread, tmp_path: Path) -> None:
        sim.control.release_agent(RELEASED)
        result = run("update-agents", by_hand(tmp_path, mode="Audit"), sim=sim)
        assert result.returncode == 0, result.stderr
        assert "Updates: 12 machines in 1 group, " in result.stdout
        assert started(sim) == []
