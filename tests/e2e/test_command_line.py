"""``vault-autoupdate plan`` and ``apply`` as people run them: a process, a manifest, a simulated Azure."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from asr_simulator import SimulatorThread, parse_scenario
from vault_autoupdate.cli.main import main
from workbench.core import ACCOUNT, VAULT, scenario_document
from workbench.process.command_line import COMMAND, environment, run, start, write_manifest
from workbench.process.waiting import wait_until

MIX = {"disabled": 6, "enabled_unhealthy": 2, "enabled_compliant": 4, "unpaired": 1, "other_provider": 2}


@pytest.fixture
def sim() -> Iterator[SimulatorThread]:
    with SimulatorThread(parse_scenario(scenario_document(mix=MIX))) as running:
        yield running


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return write_manifest(tmp_path / "vault.yaml")


def test_plan_shows_each_change_with_its_reason_changes_nothing_and_exits_2(
    sim: SimulatorThread, manifest: Path
) -> None:
    result = run("plan", manifest, sim=sim)
    assert result.returncode == 2, result.stderr
    lines = result.stdout.splitlines()
    assert sum(line.startswith("~ ") for line in lines) == 6
    assert sum(line.startswith("! ") for line in lines) == 2
    assert any("auto-update is Disabled, declared Enabled" in line for line in lines)
    assert lines[-1] == "Plan: 6 to change, 2 to repair, 0 under way, 4 as declared, 3 ignored."
    assert sim.control.patches() == {}


def test_plan_with_all_also_shows_what_stays_as_it_is(sim: SimulatorThread, manifest: Path) -> None:
    result = run("plan", "--all", manifest, sim=sim)
    assert ", not A2A" in result.stdout
    assert "= " in result.stdout


def test_plan_as_json_is_one_document_for_programs(sim: SimulatorThread, manifest: Path) -> None:
    (document,) = json.loads(run("plan", "-o", "json", manifest, sim=sim).stdout)
    assert document["counts"]["patch"] == 6
    assert len(document["mappings"]) == 15
    has = {"autoUpdate", "automationAccountResourceId", "automationAccountAuthenticationType"}
    assert {"mapping", "action", "reason", *has} == set(document["mappings"][0])


def test_apply_changes_what_differs_shows_each_outcome_and_the_four_counters(
    sim: SimulatorThread, manifest: Path
) -> None:
    result = run("apply", manifest, sim=sim)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert sum(line.startswith("succeeded ") for line in lines) == 8
    assert lines[-1] == "8 succeeded, 0 failed, 0 failed to start, 0 timed out."
    assert {record["accepted"] for record in sim.control.patches().values()} == {1}


def test_plan_after_apply_has_nothing_to_do_and_exits_0(sim: SimulatorThread, manifest: Path) -> None:
    run("apply", manifest, sim=sim)
    assert run("plan", manifest, sim=sim).returncode == 0
    assert run("apply", manifest, sim=sim).returncode == 0
    assert len(sim.control.patches()) == 8


def test_apply_exits_1_when_a_job_fails_and_says_why_and_what_to_do(sim: SimulatorThread, manifest: Path) -> None:
    sim.control.add_fault("fail_job", code="150999", message="It broke.", recommended_action="Mend it.")
    result = run("apply", manifest, sim=sim)
    assert result.returncode == 1
    failed = next(line for line in result.stdout.splitlines() if line.startswith("failed "))
    assert failed.endswith("150999 It broke. Mend it.")
    assert "7 succeeded, 1 failed, 0 failed to start, 0 timed out." in result.stdout


def test_apply_as_json_keeps_standard_output_for_the_document(sim: SimulatorThread, manifest: Path) -> None:
    result = run("apply", "-o", "json", manifest, sim=sim)
    (document,) = json.loads(result.stdout)
    assert (document["succeeded"], document["ready"]) == (8, "True")


def test_apply_in_audit_mode_changes_nothing(sim: SimulatorThread, tmp_path: Path) -> None:
    result = run("apply", write_manifest(tmp_path / "audit.yaml", mode="Audit"), sim=sim)
    assert result.returncode == 0
    assert "8 mappings of 12 would be changed" in result.stdout
    assert sim.control.patches() == {}


def test_ctrl_c_leaves_a_summary_and_the_next_call_goes_on_without_patching_twice(
    sim: SimulatorThread, manifest: Path, tmp_path: Path
) -> None:
    sim.control.settings(jobs={"duration": {"min": 86_400, "max": 86_400}})
    with start("apply", manifest, sim=sim, directory=tmp_path) as process:
        wait_until(lambda: len(sim.control.patches()) == 8, within=20, what="all changes to be under way")
        process.send_signal(signal.SIGINT)
        assert process.wait(within=20) == 130, (tmp_path / "errors").read_text()
    output = (tmp_path / "output").read_text()
    assert "Interrupted. 8 jobs still running in Azure; the same command again finds them." in output
    assert "Traceback" not in (tmp_path / "errors").read_text()
    last = max(record["sequence"] for record in sim.control.requests())
    with start("apply", manifest, sim=sim, directory=tmp_path) as process:
        wait_until(lambda: sim.control.requests(kind="jobs", since=last), within=20, what="the jobs to be found")
        sim.control.advance(86_400)
        assert process.wait(within=20) == 0, (tmp_path / "errors").read_text()
    assert "8 succeeded" in (tmp_path / "output").read_text()
    assert {record["accepted"] for record in sim.control.patches().values()} == {1}


def _throttle_reads_for_long(sim: SimulatorThread, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second stands for more than the minute for which a call waits in its place."""
    monkeypatch.setattr("vault_autoupdate.arm.client._LONGEST_PAUSE", 0.1)
    sim.control.add_fault("throttle", route="mappings", retry_after=0.5, message="Too many.")


def test_apply_waits_while_azure_asks_to_be_left_alone_and_says_until_when(
    sim: SimulatorThread, manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _throttle_reads_for_long(sim, monkeypatch)
    result = CliRunner().invoke(main, ["apply", str(manifest)], env=environment(sim))
    assert result.exit_code == 0, result.output
    assert re.search(r"Too many\..* Going on at \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\.$", result.output, re.MULTILINE)
    assert "8 succeeded, 0 failed, 0 failed to start, 0 timed out." in result.output


_LOOK = 4
"""Calls of a look that fails: the first one, and three more in its place."""


_UNTIL_THE_SECOND_LOOK = [
    {"kind": "truncated_json", "route": "mappings", "times": _LOOK + 1},
    {"kind": "token_down", "times": 3},
]


@pytest.mark.parametrize("fault", _UNTIL_THE_SECOND_LOOK, ids=["cut off", "no token"])
@pytest.mark.parametrize("command", ["apply", "plan"])
def test_a_look_that_fails_in_passing_is_taken_again(
    sim: SimulatorThread, manifest: Path, fault: dict[str, Any], command: str
) -> None:
    sim.control.add_fault(**fault)
    result = run(command, manifest, sim=sim)

    code, said = (0, "8 succeeded, 0 failed") if command == "apply" else (2, "Plan: 6 to change, 2 to repair")
    assert result.returncode == code, result.stderr
    assert said in result.stdout


@pytest.mark.parametrize("command", ["apply", "plan"])
def test_a_look_is_taken_again_four_times_at_the_most(sim: SimulatorThread, manifest: Path, command: str) -> None:
    sim.control.add_fault("status", status=503, message="Not now.", route="mappings", forever=True)
    result = run(command, manifest, sim=sim)

    assert (result.returncode, "Traceback" in result.stderr) == (1, False), result.stderr
    assert "Not now." in result.stdout + result.stderr
    assert len(sim.control.requests(kind="mappings")) == 5 * _LOOK


def test_an_answer_that_is_cut_off_now_and_then_does_not_end_a_long_run(sim: SimulatorThread, manifest: Path) -> None:
    """One in forty did, after all changes had succeeded."""
    sim.control.add_fault("truncated_json", rate=0.4)
    result = run("apply", manifest, sim=sim)

    assert result.returncode == 0, result.stdout + result.stderr
    assert "8 succeeded, 0 failed, 0 failed to start, 0 timed out." in result.stdout


def test_two_resources_of_one_vault_in_one_file_are_refused_before_any_call(
    sim: SimulatorThread, manifest: Path
) -> None:
    text = manifest.read_text()
    manifest.write_text(f"{text}---\n{text.replace('name: dr', 'name: other')}")
    result = run("apply", manifest, sim=sim)

    assert (result.returncode, result.stdout) == (2, "")
    assert "default/dr and default/other name one vault" in result.stderr
    assert sim.control.requests() == []


def test_nothing_of_a_strange_file_moves_the_cursor(sim: SimulatorThread, manifest: Path) -> None:
    manifest.write_text(f'{manifest.read_text()}  "\\e]0;owned\\a\\e[31mx\\r\\nFORGED ok": 1\n')
    strange = manifest.rename(manifest.with_name("v\x1b[31m\u202e.yaml"))
    result = run("plan", strange, sim=sim)

    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert result.stderr.rstrip("\n").isprintable()


def test_ctrl_c_ends_the_waiting_too(sim: SimulatorThread, manifest: Path, tmp_path: Path) -> None:
    sim.control.add_fault("throttle", route="mappings", retry_after=3000, message="Too many.")
    with start("apply", manifest, sim=sim, directory=tmp_path) as process:
        process.wait_for_log("Too many.", within=20)
        process.send_signal(signal.SIGINT)
        assert process.wait(within=20) == 130, (tmp_path / "errors").read_text()
    assert "Interrupted. 0 jobs still running in Azure" in (tmp_path / "output").read_text()
    assert "Traceback" not in (tmp_path / "errors").read_text()


@pytest.mark.parametrize(
    ("command", "end"),
    [("plan", (1, "Aborted!")), ("agents", (1, "Aborted!")), ("apply", (130, "Interrupted. 0 jobs still running"))],
)
def test_ctrl_c_does_not_wait_for_an_answer_that_does_not_come(
    sim: SimulatorThread, manifest: Path, tmp_path: Path, command: str, end: tuple[int, str]
) -> None:
    """Azure may take as long as a call may, a minute, and calls are tried again."""
    sim.control.add_fault("hang", route="mappings", seconds=300, forever=True)
    with start(command, manifest, "--request-timeout", "100s", sim=sim, directory=tmp_path) as process:
        wait_until(lambda: sim.control.faults()[0]["hits"], within=20, what="Azure to be asked")
        process.send_signal(signal.SIGINT)
        assert process.wait(within=25) == end[0], (tmp_path / "errors").read_text()
    errors = (tmp_path / "errors").read_text()
    assert end[1] in (tmp_path / "output").read_text() + errors
    assert "Traceback" not in errors


def test_a_manifest_is_read_from_standard_input_too(sim: SimulatorThread, manifest: Path) -> None:
    command = [*COMMAND, "plan", "-"]
    text = manifest.read_text()
    result = subprocess.run(
        command, env=environment(sim), input=text, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 2


def test_a_vault_that_is_not_there_is_an_error_that_says_what_to_check(sim: SimulatorThread, tmp_path: Path) -> None:
    gone = write_manifest(tmp_path / "gone.yaml", vaultResourceId=VAULT + "-gone")
    result = run("plan", gone, sim=sim)
    assert result.returncode == 1
    assert "ResourceNotFound" in result.stderr
    assert "Check spec.vaultResourceId" in result.stderr


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"vaultResourceId": "subscriptions/x"}, "must start with /subscriptions"),
        ({"vaultResourceId": "/subscriptions/x/resourceGroups"}, "must be made of pairs"),
        ({"vaultResourceId": "/subscriptions/x/resourceGroups/y"}, "must have exactly four pairs"),
        ({"vaultResourceId": VAULT.replace("RecoveryServices", "Compute")}, "must be of type"),
        ({"automationAccountResourceId": None}, "required when autoUpdate is Enabled"),
        (
            {"automationAccountResourceId": ACCOUNT.replace("6f3b9f5e", "00000000")},
            "must be in the vault's subscription",
        ),
        ({"interval": "4m"}, "at least 5m"),
        ({"interval": "9999h"}, "at most 168h"),
        ({"jobTimeout": "soon"}, "is not a duration"),
        ({"autoUpdates": "Enabled"}, "spec.autoUpdates: unknown field"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused_before_anything_is_called(
    sim: SimulatorThread, tmp_path: Path, spec: dict[str, Any], message: str
) -> None:
    result = run("apply", write_manifest(tmp_path / "bad.yaml", **spec), sim=sim)
    assert result.returncode == 2
    assert message in result.stderr
    assert sim.control.state()["requests"] == 0


@pytest.mark.parametrize(
    ("text", "message"), [("a: [", "not YAML"), ("kind: ConfigMap", "no VaultAutoUpdate in it"), ("", "no VaultAuto")]
)
def test_a_file_that_is_no_manifest_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "other.yaml"
    path.write_text(text)
    result = run("plan", path)
    assert result.returncode == 2
    assert message in result.stderr


def test_configuration_errors_are_listed_all_at_once_with_exit_2(manifest: Path) -> None:
    result = run(
        "plan",
        manifest,
        "--job-poll-min",
        "often",
        VAULT_AUTOUPDATE_CLOUD="Moon",
        VAULT_AUTOUPDATE_ARM_ENDPOINT="http://arm.example",
        VAULT_AUTOUPDATE_WRITE_LIMIT="many",
        VAULT_AUTOUPDATE_CREDENTIALS="default",
    )
    assert result.returncode == 2
    for part in (
        "VAULT_AUTOUPDATE_CLOUD (--cloud)",
        "VAULT_AUTOUPDATE_ARM_ENDPOINT (--arm-endpoint): plain http",
        "VAULT_AUTOUPDATE_WRITE_LIMIT (--write-limit): 'many' is not a limit",
        "VAULT_AUTOUPDATE_JOB_POLL_MIN (--job-poll-min): 'often' is not a duration",
        "VAULT_AUTOUPDATE_CREDENTIALS: no such setting",
    ):
        assert part in result.stderr


def test_a_credential_without_its_variables_is_refused_naming_them_all(manifest: Path) -> None:
    result = run("plan", manifest, VAULT_AUTOUPDATE_CREDENTIAL="client-secret")
    assert result.returncode == 2
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"):
        assert f"error: {name}: required by VAULT_AUTOUPDATE_CREDENTIAL=client-secret" in result.stderr


def test_run_lists_configuration_errors_all_at_once_with_exit_2() -> None:
    result = run("run", "--metrics-address", "nowhere", "--watch-namespaces", "A,b_c", "--log-format", "xml")
    assert result.returncode == 2
    assert result.stderr.count("error: VAULT_AUTOUPDATE_") == 3


def test_version_is_printed() -> None:
    assert run("version").stdout.strip() == "0.1.0"


def test_a_credential_in_the_manifest_is_for_the_operator_and_said_to_be_ignored(
    sim: SimulatorThread, tmp_path: Path
) -> None:
    path = write_manifest(tmp_path / "vault.yaml", credential={"secretName": "azure-login"})
    result = run("plan", path, "-o", "json", sim=sim, VAULT_AUTOUPDATE_VAULT_SCOPES="{}")

    assert result.returncode == 2, result.stderr
    assert result.stderr == "note: default/dr: spec.credential is for the operator; you log in as yourself\n"
    assert json.loads(result.stdout)
