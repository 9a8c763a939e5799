"""What the command line shows of agents to people at a terminal."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from tests.unit.builders import mapping, resource
from vault_autoupdate.arm.wire import site_recovery as wire
from vault_autoupdate.cli.agent_view import (
    AgentRow,
    UpdateGroup,
    agents_document,
    show_agents,
    show_order,
    show_rollout,
)
from vault_autoupdate.cli.view import LiveView, open_view
from vault_autoupdate.decide.agent_report import AgentReport, build_report
from vault_autoupdate.decide.jobs import Operation
from vault_autoupdate.decide.plan import Action
from vault_autoupdate.decide.rollout import Phase, Rollout, RolloutDecision
from vault_autoupdate.decide.state import VaultState
from vault_autoupdate.model.azure import Machine
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.model.resource import RolloutRules
from vault_autoupdate.model.windows import WindowSchedule
from vault_autoupdate.report.readiness import Readiness

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
RULES = RolloutRules(WindowSchedule("0 0 * * *", "UTC", timedelta(hours=4)))
HOSTILE = "\x1b[2J\x1b]0;owned\x07\x9b31m[red]red[/red]\r\nsecond line"


def machine(name: str, **changes: Any) -> Machine:
    container = mapping().id.partition("/replicationProtectionContainerMappings/")[0]
    return Machine(f"{container}/replicationProtectedItems/{name}", name, agent_version="9.55.1.1", **changes)


def rows(*machines: Machine) -> tuple[list[AgentRow], AgentReport]:
    """Each as `vault-autoupdate agents` makes them."""
    report = build_report(machines, [mapping()], newest="", now=NOW)
    worst = {entry.machine: entry for entry in report.worst}
    return [AgentRow(each, mapping().path, worst.get(each.name)) for each in machines], report


def at_terminal(width: int = 600) -> tuple[Console, io.StringIO]:
    shown = io.StringIO()
    return Console(file=shown, force_terminal=True, color_system=None, width=width), shown


def test_the_table_has_the_worst_machine_first_and_those_that_are_current_only_when_asked_for() -> None:
    found, report = rows(
        machine("fine", update_required=False),
        machine("behind", update_required=True),
        machine("dead", update_required=True, agent_expires_at=datetime(2026, 11, 1, tzinfo=UTC)),
    )
    for everything, expected in ((False, ["dead", "behind"]), (True, ["dead", "behind", "fine"])):
        console, shown = at_terminal()
        show_agents(console, resource(), found, report, everything=everything)
        lines = shown.getvalue().splitlines()
        assert lines[1].split() == ["MACHINE", "VERSION", "STATE", "EXPIRES", "MAPPING", "WHAT", "TO", "DO"]
        assert [line.split()[0] for line in lines[2:-1]] == expected
        assert "2026-11-01" in lines[2]
        assert lines[-1] == "Agents: 3 machines, 1 current, 2 behind, 1 expired; newest version 9.55.1.1."


def test_advice_that_is_the_same_as_in_the_row_above_is_not_repeated() -> None:
    found, report = rows(*(machine(f"vm-{number}", update_required=True) for number in range(3)))
    console, shown = at_terminal()
    show_agents(console, resource(), found, report, everything=False)
    first, *others = shown.getvalue().splitlines()[2:-1]
    assert "Wait for the next update" in first
    assert len(others) == 2
    assert not any("Wait" in line for line in others)


def test_the_table_can_be_read_in_eighty_columns() -> None:
    found, report = rows(machine("sqlserver-prod-01", update_required=True))
    console, shown = at_terminal(width=80)
    show_agents(console, resource(), found, report, everything=False)
    assert len(shown.getvalue().splitlines()) < 20


def test_a_vault_without_machines_has_a_summary_and_no_table() -> None:
    console, shown = at_terminal()
    show_agents(console, resource(), [], AgentReport(), everything=True)
    assert shown.getvalue().splitlines()[1:] == ["Agents: 0 machines, 0 current, 0 behind."]


def test_machines_of_which_nothing_is_known_are_counted_as_such() -> None:
    console, shown = at_terminal()
    found, report = rows(machine("old-api"))
    show_agents(console, resource(), found, report, everything=False)
    assert shown.getvalue().splitlines()[-1].startswith("Agents: 1 machine, 0 current, 0 behind, 1 unknown; ")


def test_the_document_leaves_out_what_is_not_known() -> None:
    found, report = rows(machine("fine", update_required=False))
    document = agents_document(resource(), found, report)
    assert document["machines"] == [
        {"machine": "fine", "item": found[0].machine.id, "mapping": mapping().path, "version": "9.55.1.1"}
    ]
    assert "worst" not in document


@pytest.mark.parametrize(
    ("order", "named"), [((), "Group 1 (all): 1 machine"), (("web-*",), "Group 1 (all others): 1 machine")]
)
def test_a_group_is_named_by_what_puts_machines_into_it(order: tuple[str, ...], named: str) -> None:
    console, shown = at_terminal()
    rules = RolloutRules(RULES.schedule, order=order)
    show_order(console, resource(), rules, [UpdateGroup("", (machine("db"),))])
    assert named in shown.getvalue()


def rolling(*waiting: Machine, **counts: Any) -> VaultState:
    update = Operation(machine("running").id, "job", NOW, name="running")
    rollout = Rollout(updates={update.key: update}, started=1, **counts)
    return VaultState(rollout=rollout, rollout_decision=RolloutDecision(Phase.ROLLING, waiting=waiting))


def test_the_end_is_told_with_what_is_left() -> None:
    console, shown = at_terminal()
    state = rolling(machine("next"), succeeded=3, reboots=2, failed=1)
    show_rollout(console, state, Readiness("False", "AgentUpdatesFailed", "One failed."))
    assert shown.getvalue().splitlines() == [
        "AgentUpdatesFailed: One failed.",
        "1 started, 3 succeeded (2 to be rebooted), 1 failed, 0 timed out, 1 still to update.",
    ]


def shown_progress(state: VaultState, ended: int) -> tuple[str, float, float | None]:
    console, _ = at_terminal()
    with open_view(console) as view:
        assert isinstance(view, LiveView)
        for _ in range(ended):
            view.outcome("m", "succeeded", Explanation())
        view.progress(Readiness("False", "Progressing", ""), state)
        (task,) = view._progress.tasks
        return view._in_flight.render(task).plain, task.completed, task.total


def test_the_bar_counts_updates_that_ended_that_run_and_that_wait() -> None:
    state = rolling(machine("next"), machine("last"))
    assert shown_progress(state, ended=2) == ("1 job in flight", 2, 5)


def test_the_bar_does_not_count_a_machine_twice_that_has_just_been_started_or_has_ended() -> None:
    state = rolling(machine("running"), machine("next"), machine("over"))
    assert state.rollout
    state.rollout.done[machine("over").key] = "over"
    assert shown_progress(state, ended=1) == ("1 job in flight", 1, 3)


def test_the_bar_does_not_wait_for_machines_of_the_next_window() -> None:
    state = rolling(machine("next"))
    assert state.rollout_decision
    state.rollout_decision = RolloutDecision(Phase.STOPPED, waiting=state.rollout_decision.waiting)
    assert shown_progress(state, ended=0) == ("1 job in flight", 0, 1)


def test_the_bar_counts_mappings_too() -> None:
    state = rolling()
    state.actions = {"a": Action.PATCH, "b": Action.REPAIR, "c": Action.KEEP}
    assert shown_progress(state, ended=0) == ("1 job in flight", 0, 3)


def test_what_azure_says_moves_no_cursor_and_is_no_markup() -> None:
    details = {"instanceType": "A2A", "agentVersion": HOSTILE, "isReplicationAgentUpdateRequired": True}
    properties = {"friendlyName": HOSTILE, "providerSpecificDetails": details}
    item = wire.machine({"id": machine("m").id, "name": HOSTILE, "properties": properties})
    blocked = {
        **details,
        "isAgentReinstallRequired": True,
        "reasonsBlockingReinstallDetails": [{"errorMessage": HOSTILE}],
    }
    other = wire.machine(
        {"id": machine("n").id, "name": HOSTILE, "properties": {**properties, "providerSpecificDetails": blocked}}
    )
    report = build_report([item, other], [mapping()], newest="", now=NOW)
    found = [AgentRow(item, "", report.worst[1]), AgentRow(other, "", report.worst[0])]
    for is_terminal in (True, False):
        shown = io.StringIO()
        console = Console(file=shown, force_terminal=is_terminal, color_system=None, width=400)
        show_agents(console, resource(), found, report, everything=True)
        show_order(console, resource(), RULES, [UpdateGroup("", (item,))])
        printed = shown.getvalue()
        assert not {"\x1b", "\x07", "\x9b", "\r"} & set(printed)
        assert printed.count("[red]red[/red]") >= 4
