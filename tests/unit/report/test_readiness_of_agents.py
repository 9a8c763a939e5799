"""What is said of updates of agents that were asked for by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.builders import NOW, resource
from vault_autoupdate.decide.jobs import Operation
from vault_autoupdate.decide.rollout import Phase, Rollout, RolloutDecision
from vault_autoupdate.decide.state import VaultState
from vault_autoupdate.model.azure import Machine
from vault_autoupdate.report.readiness import Readiness, agents_not_updated, updating_agents, with_note

ONE, TWO = (Machine(f"/m/{number}", f"web-{number}") for number in (1, 2))
UNDER_WAY = {ONE.key: Operation(ONE.id, "j", NOW, name="web-1")}


def _said(rollout: Rollout, decision: RolloutDecision) -> Readiness:
    return updating_agents(VaultState(rollout=rollout, rollout_decision=decision))


@pytest.mark.parametrize("state", [VaultState(), VaultState(rollout=Rollout())])
def test_first_the_machines_are_read(state: VaultState) -> None:
    assert updating_agents(state) == Readiness(
        "Unknown", "Progressing", "Reading the machines of the vault.", reconciling=True
    )


def test_while_updates_are_under_way_it_is_told_how_many() -> None:
    decision = RolloutDecision(Phase.DONE, waiting=(TWO,), reason="Two at a time.")

    assert _said(Rollout(updates=UNDER_WAY, succeeded=1200), decision) == Readiness(
        "False", "Progressing", "1,200 updated, 1 under way, 1 to go. Two at a time.", reconciling=True
    )


def test_a_rollout_goes_on_between_two_updates() -> None:
    said = _said(Rollout(succeeded=1), RolloutDecision(Phase.ROLLING, waiting=(TWO,)))

    assert said == Readiness("False", "Progressing", "1 updated, 0 under way, 1 to go.", reconciling=True)


def test_when_all_are_updated_it_is_done() -> None:
    said = _said(Rollout(succeeded=2), RolloutDecision(Phase.DONE))

    assert said == Readiness("True", "AgentsUpdated", "2 updated, 0 under way, 0 to go.")


def test_failures_are_counted_whichever_way_they_failed() -> None:
    said = _said(Rollout(succeeded=1, failed=2, timed_out=1), RolloutDecision(Phase.DONE))

    assert said == Readiness("False", "AgentUpdatesFailed", "1 updated, 0 under way, 0 to go, 3 failed.")


def test_who_waits_for_a_window_waits() -> None:
    said = _said(Rollout(), RolloutDecision(Phase.CLOSED, waiting=(ONE, TWO), reason="The window is closed."))

    assert said == Readiness("False", "AgentUpdatesWaiting", "0 updated, 0 under way, 2 to go. The window is closed.")


def test_a_request_where_nothing_is_updated_in_windows_is_answered_with_the_reason() -> None:
    enabled = replace(resource(), update_agents_now="now")
    off = replace(resource(autoUpdate="Disabled", automationAccountResourceId=None), update_agents_now="now")
    answer = "The annotation updateAgentsNow (now) is answered, and updates nothing: "

    assert agents_not_updated(enabled) == Readiness(
        "False",
        "UpdateAgentsRefused",
        f"{answer}spec.autoUpdate is Enabled, so Site Recovery updates the agents by itself.",
    )
    assert agents_not_updated(off).message == (
        f"{answer}there is no spec.agentUpdates. Declare it, then set the annotation to another value."
    )


def test_a_note_follows_what_was_said() -> None:
    stands = Readiness("True", "Compliant", "All is well.")

    assert with_note(stands, "So it is.") == replace(stands, message="All is well. So it is.")
