from __future__ import annotations

import io
from datetime import UTC, datetime

from rich.console import Console

from tests.unit.builders import mapping, resource
from vault_autoupdate.cli.view import open_view, show_plan
from vault_autoupdate.decide.jobs import Operation
from vault_autoupdate.decide.plan import Action, Decision, Plan
from vault_autoupdate.decide.rollout import Rollout
from vault_autoupdate.decide.state import VaultState
from vault_autoupdate.report.readiness import Readiness

NOW = datetime(2026, 11, 28, tzinfo=UTC)
WORKING = Readiness("False", "Progressing", "", reconciling=True)


def _console(*, terminal: bool) -> tuple[Console, io.StringIO]:
    text = io.StringIO()
    return Console(file=text, force_terminal=terminal, width=120, color_system=None), text


def test_the_bar_says_how_many_jobs_are_in_flight_now_and_not_when_progress_was_last_told() -> None:
    """Progress is told before the first job, and then every few seconds: it said 0 while 15 ran."""
    console, text = _console(terminal=True)
    state = VaultState()
    with open_view(console) as view:
        view.progress(WORKING, state)
        state.operations.update({str(number): Operation(str(number), "", NOW) for number in range(15)})
    assert "15 jobs in flight" in text.getvalue().rpartition("\r")[2]


def test_the_bar_counts_updates_of_agents_too() -> None:
    console, text = _console(terminal=True)
    state = VaultState(rollout=Rollout())
    with open_view(console) as view:
        view.progress(WORKING, state)
        assert state.rollout is not None
        state.rollout.updates["m"] = Operation("m", "", NOW)
    assert "1 job in flight" in text.getvalue().rpartition("\r")[2]


def test_before_anything_is_known_the_bar_says_so() -> None:
    console, text = _console(terminal=True)
    with open_view(console):
        pass
    assert "reading the vault" in text.getvalue()


def _plan(*actions: Action) -> str:
    decisions = tuple(Decision(mapping(f"m{number}"), action, "why", None) for number, action in enumerate(actions))
    console, text = _console(terminal=False)
    show_plan(console, resource(), Plan(decisions), everything=True)
    return text.getvalue()


def test_a_plan_says_what_its_signs_mean_and_only_those_that_are_in_it() -> None:
    lines = _plan(Action.PATCH, Action.KEEP, Action.PATCH).splitlines()
    assert lines[-2] == "Signs: ~ to change  = as declared"


def test_each_action_has_a_sign_of_its_own() -> None:
    lines = _plan(*Action).splitlines()
    shown = lines[1:-2]
    assert len({line[0] for line in shown}) == len(Action)
    assert all(f"{line[0]} " in lines[-2] for line in shown)


def test_where_nothing_is_shown_there_is_nothing_to_explain() -> None:
    assert "Signs:" not in _plan()
