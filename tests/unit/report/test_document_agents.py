"""When the status speaks of agents and the account: as this process has seen them, else as an earlier one has."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.unit.builders import ACCOUNT_ID, NOW, resource
from vault_autoupdate.decide.account_report import AccountReport, Problem
from vault_autoupdate.decide.agent_report import AgentReport, Concern
from vault_autoupdate.decide.jobs import Operation
from vault_autoupdate.decide.look import Look
from vault_autoupdate.decide.rollout import Phase, Rollout, RolloutDecision
from vault_autoupdate.decide.state import VaultState
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.model.resource import VaultAutoUpdate
from vault_autoupdate.model.windows import Window
from vault_autoupdate.report.document import build_status, differs
from vault_autoupdate.report.readiness import Readiness
from vault_autoupdate.report.restore import restore
from vault_autoupdate.report.values import format_time

READY = Readiness("True", "Compliant", "All is well.")
ENABLED = resource(autoUpdate="Enabled", automationAccountResourceId=ACCOUNT_ID)
DISABLED = resource(autoUpdate="Disabled", automationAccountResourceId=None)
IN_WINDOWS = resource(
    autoUpdate="Disabled",
    automationAccountResourceId=None,
    agentUpdates={"schedule": "0 22 * * SAT", "duration": "4h"},
)
UNCHECKED = resource(autoUpdate="Enabled", automationAccountResourceId=ACCOUNT_ID, automationAccountChecks=False)
AGENTS, ACCOUNT = "AgentsCurrent", "AutomationAccountHealthy"
BEFORE: dict[str, Any] = {
    "agents": {"total": 1},
    "automationAccount": {"name": "before"},
    "agentUpdates": {"phase": "Rolling"},
    "conditions": [
        {"type": kind, "status": "Unknown", "reason": "Before", "message": "As it was."} for kind in (AGENTS, ACCOUNT)
    ],
}


def _build(
    declared: VaultAutoUpdate | None, state: VaultState, previous: dict[str, Any] | None = None
) -> tuple[dict[str, Any], dict[str, tuple[str, str]]]:
    status = build_status(declared, state, READY, previous or {}, NOW)
    return status, {each["type"]: (each["status"], each["reason"]) for each in status["conditions"]}


def _seen(**more: Any) -> VaultState:
    return VaultState(
        agents=Look(AgentReport(3, 1, concerns={Concern.UPDATE_REQUIRED: 1}), seen=True),
        account=Look(
            AccountReport("aa", healthy=False, problems=(Problem("AccountNotOk", "It is suspended."),)), seen=True
        ),
        **more,
    )


def test_what_this_process_has_seen_takes_the_place_of_what_was_said_before() -> None:
    status, conditions = _build(ENABLED, _seen(), BEFORE)

    assert status["agents"]["total"] == 3
    assert status["automationAccount"]["name"] == "aa"
    assert conditions == {
        "Ready": ("True", "Compliant"),
        AGENTS: ("False", "UpdatesWaiting"),
        ACCOUNT: ("False", "AccountNotOk"),
    }


def test_when_agents_and_account_were_looked_at_is_said_and_news_once_a_day() -> None:
    state = _seen()
    state.agents.at = state.account.at = NOW
    told, _ = _build(ENABLED, state)
    assert told["agents"]["lookedAt"] == told["automationAccount"]["lookedAt"] == format_time(NOW)

    for hours, is_news in ((6, False), (24, False), (25, True)):
        state.agents.at = NOW + timedelta(hours=hours)
        later, _ = _build(ENABLED, state, told)
        assert differs(told, later) == is_news, hours

    older = {**told, "agents": {key: value for key, value in told["agents"].items() if key != "lookedAt"}}
    assert differs(older, told), "a version before this one has not said when"


def test_the_next_process_knows_when_that_was_and_a_clock_that_was_set_back_makes_it_now() -> None:
    state = _seen()
    state.agents.at, state.account.at = NOW - timedelta(hours=5), NOW + timedelta(days=400)
    told, _ = _build(ENABLED, state)

    restored = restore(told, ENABLED.spec.vault_resource_id, NOW)
    assert (restored.agents.at, restored.account.at) == (NOW - timedelta(hours=5), NOW)
    later, _ = _build(ENABLED, restored, told)
    assert later["agents"]["lookedAt"] == told["agents"]["lookedAt"], "it has not looked itself"


@pytest.mark.parametrize("entry", [None, [], {}, {"lookedAt": 5}, {"lookedAt": "yesterday"}])
def test_a_time_that_cannot_be_read_is_as_good_as_none(entry: Any) -> None:
    assert restore({"agents": entry}, ENABLED.spec.vault_resource_id, NOW).agents.at is None


def test_until_this_process_has_looked_what_was_said_before_stays() -> None:
    told = VaultState(agents=Look(AgentReport(3)), account=Look(AccountReport("aa", healthy=True)))
    for declared in (ENABLED, None):
        status, conditions = _build(declared, told, BEFORE)

        assert status["agents"] == BEFORE["agents"]
        assert status["automationAccount"] == BEFORE["automationAccount"]
        assert conditions == {
            "Ready": ("True", "Compliant"),
            AGENTS: ("Unknown", "Before"),
            ACCOUNT: ("Unknown", "Before"),
        }
    status, conditions = _build(ENABLED, told)
    assert not {"agents", "automationAccount"} & status.keys()
    assert conditions.keys() == {"Ready"}


@pytest.mark.parametrize("declared", [DISABLED, UNCHECKED])
def test_of_an_account_that_does_not_matter_nothing_is_said(declared: VaultAutoUpdate) -> None:
    for state in (_seen(), VaultState()):
        status, conditions = _build(declared, state, BEFORE)

        assert "automationAccount" not in status
        assert "agents" in status
        assert conditions.keys() == {"Ready", AGENTS}


def test_why_nothing_is_known_is_said_in_the_conditions() -> None:
    problem = Explanation("AuthorizationFailed", "It may not be read.", "", "Grant the role.")
    state = VaultState(agents=Look(problem=problem, seen=True), account=Look(problem=problem, seen=True))
    status, conditions = _build(ENABLED, state)

    assert conditions[AGENTS] == conditions[ACCOUNT] == ("Unknown", "AuthorizationFailed")
    assert not {"agents", "automationAccount"} & status.keys()


def test_what_to_do_about_agents_behind_depends_on_who_is_to_update_them() -> None:
    by_itself, in_windows, unreadable = (
        next(each["message"] for each in _build(declared, _seen())[0]["conditions"] if each["type"] == AGENTS)
        for declared in (ENABLED, DISABLED, None)
    )

    assert "an agentUpdates window" in in_windows
    assert by_itself != in_windows == unreadable


def test_updates_are_told_as_decided_and_before_that_as_an_earlier_process_has() -> None:
    window = Window(NOW, NOW)
    decided = _seen(rollout=Rollout(), rollout_decision=RolloutDecision(Phase.CLOSED), next_window=window)
    status, _ = _build(IN_WINDOWS, decided, BEFORE)

    assert status["agentUpdates"]["phase"] == "Closed"
    assert status["agentUpdates"]["nextWindow"]["opensAt"] == "2026-03-01T12:00:00Z"
    assert _build(IN_WINDOWS, _seen(rollout=Rollout()), BEFORE)[0]["agentUpdates"] == BEFORE["agentUpdates"]
    assert "agentUpdates" not in _build(IN_WINDOWS, _seen(), BEFORE)[0]


@pytest.mark.parametrize("declared", [ENABLED, DISABLED])
def test_without_a_declaration_updates_are_told_only_while_some_run(declared: VaultAutoUpdate) -> None:
    """Whatever is remembered of them, and whether or not this process has come to look."""
    closed = RolloutDecision(Phase.CLOSED)
    for rollout in (Rollout(handled_request="asked"), Rollout(window=Window(NOW, NOW))):
        for decision in (None, closed):
            state = _seen(rollout=rollout, rollout_decision=decision)
            assert "agentUpdates" not in _build(declared, state, BEFORE)[0]
    running = Rollout(updates={"/m": Operation("/m", "", NOW)})
    assert _build(declared, _seen(rollout=running, rollout_decision=closed), BEFORE)[0]["agentUpdates"]["operations"]
