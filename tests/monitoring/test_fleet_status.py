"""``vault-autoupdate status``: the fleet in one table, the worst first, with what to do."""

from __future__ import annotations

import io
import json
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from vault_autoupdate.cli.main import main
from vault_autoupdate.cli.status_rows import document_of, fleet_rows, summary_of
from vault_autoupdate.cli.status_table import fleet_table
from workbench.kube.kubeconfig import write_kubeconfig
from workbench.kube.resources import manifest
from workbench.process import command_line
from workbench.process.children import ChildProcess
from workbench.process.ports import free_ports
from workbench.prometheus.monitored import SUBSCRIPTIONS, Monitored

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def document(
    name: str, ready: str = "", reason: str = "", *, ago: timedelta = timedelta(hours=1), **status: Any
) -> Any:
    """A resource as the API server has it."""
    since = (NOW - timedelta(hours=1)).isoformat()
    conditions = [{"type": "Ready", "status": ready, "reason": reason, "message": "words", "lastTransitionTime": since}]
    conditions += status.pop("more_conditions", ())
    if status.pop("stalled", False):
        conditions.append({"type": "Stalled", "status": "True", "reason": reason, "message": "words"})
    return {
        **manifest(name, namespace="dr"),
        "status": {"conditions": conditions if ready else [], "vaultName": name, **status},
    }


def unmet(kind: str, reason: str) -> dict[str, str]:
    return {"type": kind, "status": "False", "reason": reason, "message": f"what to do about {reason}"}


def failing(count: int, action: str) -> dict[str, Any]:
    counts = {"total": 10, "inScope": 10, "compliant": 10 - count, "failed": count}
    failure = {"mapping": "f/c/m", "reason": "JobFailed", "code": "151", "recommendedAction": action, "attempts": 1}
    return {"mappings": counts, "failures": [failure]}


def run(kubeconfig: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return command_line.run("status", *arguments, KUBECONFIG=str(kubeconfig), COLUMNS="200")


def test_the_worst_come_first() -> None:
    rows = fleet_rows(
        [
            document("fine", "True", "Compliant"),
            document("paused", "Unknown", "Suspended"),
            document("busy", "False", "Progressing"),
            document("slowed", "Unknown", "Throttled"),
            document("failing-a-bit", "False", "MappingsFailed", **failing(1, "a")),
            document("failing-much", "False", "MappingsFailed", **failing(7, "b")),
            document("denied", "False", "AuthorizationFailed", stalled=True),
        ]
    )
    assert [row.name for row in rows] == [
        "denied", "failing-much", "failing-a-bit", "slowed", "busy", "paused", "fine",
    ]  # fmt: skip


def test_what_to_do_is_azures_advice_about_the_worst_failure_else_the_condition_says_it() -> None:
    rows = {
        row.name: row
        for row in fleet_rows(
            [
                document("failing", "False", "MappingsFailed", **failing(1, "Give the identity a role.")),
                document("denied", "False", "AuthorizationFailed"),
                document("fine", "True", "Compliant"),
                document("new"),
            ]
        )
    }
    assert rows["failing"].action == "Give the identity a role."
    assert rows["denied"].action == "words"
    assert rows["fine"].action == ""
    assert rows["new"].action == "Not looked at yet: does the operator run?"


def test_a_vault_that_is_ready_but_whose_agents_or_account_need_somebody_comes_before_the_others_and_says_so() -> None:
    rows = fleet_rows(
        [
            document("fine", "True", "Compliant"),
            document("waiting", "True", "Compliant", more_conditions=[unmet("AgentsCurrent", "UpdatesWaiting")]),
            document(
                "old",
                "True",
                "Compliant",
                more_conditions=[
                    unmet("AgentsCurrent", "AgentsExpired"),
                    unmet("AutomationAccountHealthy", "AccountNotFound"),
                ],
            ),
            document("older", "True", "Compliant", more_conditions=[unmet("AgentsCurrent", "AgentsExpired")]),
            document("paused", "Unknown", "Suspended"),
        ]
    )
    assert [(row.name, row.action) for row in rows] == [
        ("paused", "words"),
        ("old", "what to do about AccountNotFound"),
        ("older", "what to do about AgentsExpired"),
        ("fine", ""),
        ("waiting", ""),
    ]
    assert [(row.agents, row.account) for row in rows[1:4]] == [
        ("AgentsExpired", "AccountNotFound"), ("AgentsExpired", ""), ("", ""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("updates", "shown"),
    [
        ({"phase": "Closed", "nextWindow": {"opensAt": "2026-03-03T12:00:00Z"}}, "in 2d"),
        ({"phase": "Rolling", "nextWindow": {"opensAt": "2026-03-03T12:00:00Z"}}, "Rolling"),
        ({"phase": "Closed"}, ""),
        ("odd", ""),
    ],
)
def test_the_wide_table_says_when_the_next_window_opens_or_where_the_updates_in_the_open_one_stand(
    updates: Any, shown: str
) -> None:
    rows = fleet_rows([document("a", "True", "Compliant", agents={"behind": 3}, agentUpdates=updates)])
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(fleet_table(rows, NOW, wide=True))
    header, row, *_ = console.export_text().splitlines()
    assert row[header.index("WINDOW") : header.index("NEXT TRY")].strip() == shown
    assert row[header.index("BEHIND") : header.index("WINDOW")].strip() == "3"


def test_all_together_are_summed_up() -> None:
    rows = fleet_rows([document("a", "True", "Compliant", **failing(0, "")), document("b", **failing(2, ""))])
    assert summary_of(rows) == ("1 of 2 resources Ready, 18 of 20 mappings as declared, 0 jobs in flight, 2 failed.")


@pytest.mark.parametrize(
    "broken", [{}, {"status": None}, {"status": {"conditions": "x", "failures": [1], "mappings": 3}}]
)
def test_a_document_that_is_odd_is_a_row_all_the_same(broken: dict[str, Any]) -> None:
    (row,) = fleet_rows([{**broken, "metadata": {"name": "odd", "namespace": "dr"}}])
    assert (row.key, row.ready, row.in_scope) == ("dr/odd", "Unknown", 0)


def test_text_of_azure_can_neither_style_the_terminal_nor_name_a_secret() -> None:
    text = "[red]do[/red] \x1b[31m https://arm/x?sig=secret"
    rows = fleet_rows([document("a", "False", "MappingsFailed", **failing(1, text))])
    console = Console(width=200, record=True, file=io.StringIO(), force_terminal=True)
    console.print(fleet_table(rows, NOW))
    shown = console.export_text()
    assert "[red]do[/red]" in shown
    assert "\x1b" not in shown
    assert "secret" not in shown


def test_programs_get_every_field_with_times_as_text() -> None:
    (found,) = document_of(fleet_rows([document("a", "False", "MappingsFailed", **failing(1, "x"))]))
    assert found["since"] == "2026-03-01T11:00:00+00:00"
    assert {"namespace", "name", "inScope", "worstReason", "nextTry", "action"} <= found.keys()
    json.dumps(found)


def test_the_command_shows_the_fleet_of_the_scenario(scenario: Monitored) -> None:
    shown = run(scenario.api.kubeconfig, "-o", "wide")
    assert shown.returncode == 0, shown.stderr
    policy, *lines = [line.split()[0] for line in shown.stdout.splitlines()[1:] if line.startswith("default/")]
    assert policy == "default/estate"
    assert lines[0] == "default/forbidden", shown.stdout
    assert set(lines) == {f"default/{name}" for name in SUBSCRIPTIONS}
    assert "AuthorizationFailed" in shown.stdout
    assert "Stopped" in shown.stdout
    assert "MAPPING" in shown.stdout


def test_the_command_gives_programs_a_document_of_one_namespace(scenario: Monitored) -> None:
    found = json.loads(run(scenario.api.kubeconfig, "-n", "default", "-o", "json").stdout)
    assert len(found) == len(SUBSCRIPTIONS)
    assert found[0]["name"] == "forbidden"


def test_the_command_goes_on_showing_the_fleet_until_it_is_interrupted(scenario: Monitored, tmp_path: Path) -> None:
    environment = command_line.environment(None, KUBECONFIG=str(scenario.api.kubeconfig), COLUMNS="200")
    command = [*command_line.COMMAND, "status", "--watch"]
    with ChildProcess(command, log=tmp_path / "output", env=environment) as process:
        process.wait_for_log("unwell", within=20)
        process.send_signal(signal.SIGINT)
        assert process.wait(within=10) == 0
    assert "Traceback" not in (tmp_path / "output").read_text()


def test_a_cluster_that_does_not_answer_is_told_in_one_line(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    ended = run(write_kubeconfig(tmp_path / "config", f"http://127.0.0.1:{port}", token="none"))
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: no answer from the API server")
    assert ended.stderr.count("\n") == 1


def test_without_a_kubeconfig_it_says_what_is_missing(tmp_path: Path) -> None:
    ended = run(tmp_path / "missing")
    assert ended.returncode == 1
    assert "KUBECONFIG" in ended.stderr


def test_an_empty_cluster_is_said_to_be_empty() -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(fleet_table([], NOW))
    assert console.export_text() == "There are no VaultAutoUpdate resources.\n"


@pytest.mark.parametrize("arguments", [["--watch", "-o", "json"], ["-n", "x", "-A"]])
def test_options_that_make_no_sense_together_are_refused(arguments: list[str]) -> None:
    assert CliRunner().invoke(main, ["status", *arguments]).exit_code == 2


@pytest.mark.parametrize("columns", [160, 200])
def test_the_wide_table_leaves_room_for_what_is_to_be_done_however_many_columns_it_has(columns: int) -> None:
    """With a column more it was one letter wide, and the whole table a hundred lines high."""
    change = {"mapping": "f/c/m", "changedAt": NOW.isoformat(), "caller": "ann@example.com"}
    drift = {"foundAt": NOW.isoformat(), "attribution": "Named", "changes": [change]}
    advice = "Grant the calling identity the action that the message names, on the vault that it names."
    rows = fleet_rows([document("a", "False", "AuthorizationFailed", **failing(1, advice), lastDrift=drift)])
    shown = io.StringIO()
    Console(file=shown, width=columns).print(fleet_table(rows, NOW, wide=True))
    assert "AuthorizationFailed" in shown.getvalue()
    assert len(shown.getvalue().splitlines()) < 16
    assert all(word in shown.getvalue() for word in advice.split())


def test_who_changed_a_vault_last_is_in_the_wide_table() -> None:
    drift = {"foundAt": (NOW - timedelta(hours=2)).isoformat(), "attribution": "Named"}
    ann = {"mapping": "f/c/m", "changedAt": NOW.isoformat(), "caller": "ann@example.com", "objectId": "o-1"}
    bob = {"mapping": "f/c/n", "changedAt": NOW.isoformat(), "objectId": "o-2"}
    rows = {
        row.name: row.changed_by
        for row in fleet_rows(
            [
                document("named", "True", "Compliant", lastDrift={**drift, "changes": [ann, ann, bob]}),
                document("open", "True", "Compliant", lastDrift={**drift, "attribution": "Waiting", "changes": [{}]}),
                document("none", "True", "Compliant"),
            ]
        )
    }
    assert rows == {"named": "ann@example.com, o-2", "open": "Waiting", "none": ""}


def _wide_table(*documents: dict[str, Any]) -> str:
    told = io.StringIO()
    Console(file=told, width=250).print(fleet_table(fleet_rows(documents), NOW, wide=True))
    return told.getvalue()


def test_the_wide_table_names_the_oldest_job_of_others_and_has_no_such_column_where_there_is_none() -> None:
    at = NOW.strftime("%Y-%m-%dT%H:%M:%SZ")
    ours = {"mapping": "f/c/m0", "jobId": "j0", "startedAt": at}
    theirs = [{**ours, "mapping": f"f/c/m{number}", "adopted": True, "scenario": "Failover"} for number in (1, 2)]
    shown = _wide_table(document("a", "False", "Progressing", operations=[ours, *theirs]))
    assert "JOB OF OTHERS" in shown
    assert "f/c/m1:" in shown
    assert "Failover" in shown
    assert "JOB OF OTHERS" not in _wide_table(document("a", "False", "Progressing", operations=[ours]))


def test_the_column_says_when_and_who() -> None:
    drift = {"foundAt": (NOW - timedelta(hours=3)).isoformat(), "attribution": "Named", "changes": [
        {"mapping": "m", "changedAt": NOW.isoformat(), "caller": "ann"}]}  # fmt: skip
    told = io.StringIO()
    console = Console(file=told, width=250)
    console.print(fleet_table(fleet_rows([document("a", "True", "Compliant", lastDrift=drift)]), NOW, wide=True))
    assert "LAST DRIFT" in told.getvalue()
    assert "3h ann" in told.getvalue()


def test_the_wide_table_says_how_many_schedules_run_at_their_time_and_why_not_all() -> None:
    fields = {"schedules": 3, "inSync": 2}
    off = [unmet("RunbookScheduleInSync", "ScheduleDisabled")]
    rows = [
        document("a", "True", "Compliant", runbookSchedule=fields, more_conditions=off),
        document("b", "True", "Compliant"),
    ]
    (first, second) = fleet_rows(rows)
    assert (first.schedules, first.action) == ("2/3 ScheduleDisabled", "what to do about ScheduleDisabled")
    assert (second.schedules, second.severity > first.severity) == ("", True)
    assert "SCHEDULES" in _wide_table(*rows)
    assert "SCHEDULES" not in _wide_table(rows[1])
