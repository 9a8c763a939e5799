"""What the status says of agents, their updates and the account, word for word, and what comes back from there."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.builders import HOUR, MINUTE, NOW, VAULT
from tests.unit.schema import STATUS, violations
from vault_autoupdate.decide.account_report import AccountReport, Problem
from vault_autoupdate.decide.agent_report import AgentReport, Concern, MachineConcern
from vault_autoupdate.decide.jobs import Operation
from vault_autoupdate.decide.role_report import RoleReport, RoleStanding
from vault_autoupdate.decide.rollout import MachineFailure, Phase, Rollout, RolloutDecision
from vault_autoupdate.model.arm_id import item_id
from vault_autoupdate.model.azure import Machine, RunbookRun
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.model.windows import Window
from vault_autoupdate.report.agent_fields import agent_fields
from vault_autoupdate.report.restore import restore_account, restore_agents, restore_rollout
from vault_autoupdate.report.values import format_time

LONG = "x" * 2000
PRINCIPAL = "88c53162-584e-4c98-984b-62149c2e9bca"
FORMER = "88c53162-584e-4c98-984b-62149c2e9bcb"
ITEM = "fabric/container/item-1"
JOB = "5a4c3b2a-0000-4000-8000-000000000001"
AT = format_time(NOW)
WINDOW = Window(NOW, NOW + 4 * HOUR)
WHY = Explanation("539", "It is old.", "Nobody looked.", "Update it.")

ACCOUNT = AccountReport(
    "aa-dr",
    healthy=False,
    problems=(Problem("SchedulesMissing", "One is gone."),),
    state="Ok",
    next_run=NOW + HOUR,
    last_run=RunbookRun("Failed", NOW - HOUR, NOW - MINUTE),
    minutes_used=12.5,
    minutes_limit=500.0,
    schedules_missing=1,
    schedules_disabled=2,
)
AGENTS = AgentReport(
    total=12,
    behind=7,
    unknown=1,
    concerns={
        Concern.EXPIRED: 1,
        Concern.EXPIRING: 2,
        Concern.REINSTALL_REQUIRED: 3,
        Concern.RETRIES_EXHAUSTED: 4,
        Concern.FAR_BEHIND: 5,
        Concern.CERTIFICATE_UPDATE: 6,
        Concern.UPGRADING: 8,
        Concern.UPDATE_REQUIRED: 7,
    },
    versions=(("9.64.1", 5), ("9.63.0", 7)),
    other_versions=3,
    worst=(MachineConcern("vm-1", "fabric/container/mapping", "9.63.0", Concern.RETRIES_EXHAUSTED, WHY),),
)
AGENTS_ENTRY = {
    "total": 12,
    "behind": 7,
    "unknown": 1,
    "expired": 1,
    "expiring": 2,
    "reinstallRequired": 3,
    "retriesExhausted": 4,
    "farBehind": 5,
    "certificateUpdate": 6,
    "upgrading": 8,
    "versions": [{"version": "9.64.1", "machines": 5}, {"version": "9.63.0", "machines": 7}],
    "otherVersions": 3,
    "worst": [
        {
            "machine": "vm-1",
            "concern": "RetriesExhausted",
            "mapping": "fabric/container/mapping",
            "version": "9.63.0",
            "message": "It is old.",
            "recommendedAction": "Update it.",
        }
    ],
}


def _fields(
    agents: AgentReport | None = None,
    account: AccountReport | None = None,
    rollout: Rollout | None = None,
    decision: RolloutDecision | None = None,
    next_window: Window | None = None,
) -> dict[str, Any]:
    fields = agent_fields(agents, account, rollout, decision, next_window)
    assert not list(violations({"observedGeneration": 1, **fields}, STATUS))
    return fields


def _update(machine: str = "vm-1", *, job_id: str = JOB, path: str = ITEM) -> Operation:
    return Operation(item_id(VAULT, path), job_id, NOW, name=machine)


def _failure(machine: str = "vm-1", path: str = ITEM, **more: Any) -> MachineFailure:
    return MachineFailure(item_id(VAULT, path), machine, 2, NOW, **{"explanation": WHY, "job_id": JOB, **more})


def _machine(name: str) -> Machine:
    return Machine(item_id(VAULT, f"fabric/container/{name}"), name)


def _lengths(entry: dict[str, Any]) -> dict[str, int]:
    return {key: len(value.encode()) for key, value in entry.items() if isinstance(value, str)}


def test_nothing_is_said_of_what_nobody_knows() -> None:
    assert _fields() == {}
    assert _fields(rollout=Rollout()) == {}


def test_the_agents_are_counted_by_what_is_wrong_with_them() -> None:
    assert _fields(AGENTS) == {"agents": AGENTS_ENTRY}


def test_of_agents_only_what_there_is_is_said() -> None:
    worst = MachineConcern("vm-1", "", "", Concern.EXPIRED, Explanation())
    agents = _fields(AgentReport(total=1, worst=(worst,)))["agents"]

    assert agents["worst"] == [{"machine": "vm-1", "concern": "Expired"}]
    assert "otherVersions" not in agents
    assert "worst" not in _fields(AgentReport(total=1))["agents"]


def test_a_dozen_versions_and_a_dozen_machines_are_cut_to_ten_of_each() -> None:
    worst = tuple(MachineConcern(f"vm-{n}", "", "", Concern.EXPIRED, Explanation()) for n in range(12))
    versions = tuple((f"9.{n}", 1) for n in range(12))
    agents = _fields(AgentReport(total=12, worst=worst, versions=versions))["agents"]

    assert [entry["machine"] for entry in agents["worst"]] == [f"vm-{n}" for n in range(10)]
    assert [entry["version"] for entry in agents["versions"]] == [f"9.{n}" for n in range(10)]


def test_long_texts_about_agents_are_cut() -> None:
    worst = MachineConcern(LONG, LONG, LONG, Concern.EXPIRED, Explanation(LONG, LONG, LONG, LONG, LONG))
    agents = _fields(AgentReport(total=1, worst=(worst,), versions=((LONG, 1),)))["agents"]

    assert _lengths(agents["versions"][0]) == {"version": 64}
    assert _lengths(agents["worst"][0]) == {
        "machine": 128, "concern": 7, "mapping": 400, "version": 64, "message": 400, "recommendedAction": 400,
    }  # fmt: skip


def test_counts_of_agents_come_back_after_a_restart_without_the_machines() -> None:
    assert restore_agents({"agents": AGENTS_ENTRY}) == replace(AGENTS, worst=())
    assert restore_agents({}) is None
    assert restore_agents({"agents": "many"}) is None


def test_the_account_is_described_with_its_problems() -> None:
    assert _fields(account=ACCOUNT) == {
        "automationAccount": {
            "name": "aa-dr",
            "state": "Ok",
            "nextRun": format_time(NOW + HOUR),
            "lastRun": {
                "status": "Failed",
                "startedAt": format_time(NOW - HOUR),
                "endedAt": format_time(NOW - MINUTE),
            },
            "minutesUsed": 12.5,
            "minutesLimit": 500.0,
            "schedulesMissing": 1,
            "schedulesDisabled": 2,
            "problems": [{"reason": "SchedulesMissing", "message": "One is gone."}],
        }
    }


def test_of_an_account_only_what_there_is_is_said() -> None:
    bare = {"name": "aa-dr", "schedulesMissing": 0, "schedulesDisabled": 0}

    assert _fields(account=AccountReport("aa-dr", healthy=True)) == {"automationAccount": bare}
    queued = AccountReport("aa-dr", healthy=True, last_run=RunbookRun("Queued"))
    assert _fields(account=queued) == {"automationAccount": {**bare, "lastRun": {"status": "Queued"}}}


def test_long_texts_about_an_account_are_cut_and_so_are_many_problems() -> None:
    account = AccountReport(
        LONG, healthy=False, problems=(Problem("SchedulesMissing", LONG),) * 6, state=LONG, last_run=RunbookRun(LONG)
    )
    entry = _fields(account=account)["automationAccount"]

    assert _lengths(entry) == {"name": 128, "state": 64}
    assert _lengths(entry["lastRun"]) == {"status": 64}
    assert [_lengths(problem) for problem in entry["problems"]] == [{"reason": 16, "message": 900}] * 4


def _with_role(**changes: Any) -> AccountReport:
    role = RoleReport(RoleStanding.NOT_SEEN, PRINCIPAL, missing_since=NOW, former_principal_id=FORMER)
    return AccountReport("aa-dr", healthy=None, role=replace(role, **changes))


def test_the_role_of_the_account_is_described_as_far_as_it_is_known() -> None:
    assert _fields(account=_with_role())["automationAccount"]["role"] == {
        "standing": "NotSeen",
        "principalId": PRINCIPAL,
        "formerPrincipalId": FORMER,
        "missingSince": "2026-03-01T12:00:00Z",
    }
    enough = AccountReport(
        "aa-dr", healthy=True, role=RoleReport(RoleStanding.ENOUGH, roles=("Owner on the vault",) * 20)
    )
    said = _fields(account=enough)["automationAccount"]["role"]
    assert said == {"standing": "Enough", "roles": ["Owner on the vault"] * 5}


def test_what_was_found_about_a_role_comes_back_after_a_restart() -> None:
    account = _with_role(roles=("Reader on the group", "Own role on the vault"))
    restored = restore_account(_fields(account=account))
    assert restored is not None
    assert (restored.role, restored.healthy) == (account.role, None)


@pytest.mark.parametrize(
    "role",
    [None, [], "x", {}, {"standing": "Good"}, {"standing": None}, {"standing": ["Missing"]}, {"standing": 1}],
)
def test_a_role_that_nobody_wrote_like_that_is_none(role: object) -> None:
    restored = restore_account({"automationAccount": {"name": "aa-dr", "role": role}})
    assert restored is not None
    assert restored.role is None


def test_what_is_no_principal_does_not_come_back_as_one() -> None:
    entry = {
        "standing": "Missing",
        "principalId": "x' or '1",
        "formerPrincipalId": 7,
        "roles": "y",
        "missingSince": "z",
    }
    restored = restore_account({"automationAccount": {"name": "aa-dr", "role": entry}})
    assert restored is not None
    assert restored.role == RoleReport(RoleStanding.MISSING)


def test_what_was_found_about_an_account_comes_back_after_a_restart() -> None:
    restored = restore_account(_fields(account=ACCOUNT))

    assert restored == replace(ACCOUNT, last_run=None, minutes_used=None, minutes_limit=None)
    assert restore_account(_fields(account=replace(ACCOUNT, problems=()))) == replace(
        ACCOUNT, healthy=True, problems=(), last_run=None, minutes_used=None, minutes_limit=None
    )
    assert restore_account({}) is None
    assert restore_account({"automationAccount": []}) is None


def test_updates_of_agents_are_told_with_the_window_and_what_comes_next() -> None:
    rollout = Rollout(
        WINDOW,
        "now",
        "now",
        {"1": _update()},
        {},
        {"2": _failure("vm-2", "fabric/container/item-2")},
        started=5,
        succeeded=1,
        failed=2,
        timed_out=1,
        reboots=3,
    )
    decision = RolloutDecision(Phase.ROLLING, waiting=(_machine("vm-3"), _machine("vm-4")), reason="Two wait.")

    assert _fields(None, None, rollout, decision, Window(NOW + HOUR, NOW + 2 * HOUR)) == {
        "agentUpdates": {
            "phase": "Rolling",
            "message": "Two wait.",
            "window": {"opensAt": AT, "closesAt": format_time(NOW + 4 * HOUR), "request": "now"},
            "nextWindow": {"opensAt": format_time(NOW + HOUR), "closesAt": format_time(NOW + 2 * HOUR)},
            "started": 5,
            "succeeded": 1,
            "failed": 2,
            "timedOut": 1,
            "rebootsPending": 3,
            "waiting": 2,
            "planned": ["vm-3", "vm-4"],
            "operations": [{"machine": "vm-1", "item": ITEM, "jobId": JOB, "startedAt": AT}],
            "failures": [
                {
                    "machine": "vm-2",
                    "item": "fabric/container/item-2",
                    "attempts": 2,
                    "code": "539",
                    "message": "It is old.",
                    "possibleCauses": "Nobody looked.",
                    "recommendedAction": "Update it.",
                    "jobId": JOB,
                    "lastAttemptAt": AT,
                }
            ],
        },
        "lastHandledUpdateAgentsNow": "now",
    }


def test_of_updates_only_what_there_is_is_said() -> None:
    counts = dict.fromkeys(("started", "succeeded", "failed", "timedOut", "rebootsPending", "waiting"), 0)

    idle = _fields(rollout=Rollout(), decision=RolloutDecision(Phase.CLOSED))["agentUpdates"]
    assert idle == {"phase": "Closed", **counts}
    left_over = _fields(rollout=Rollout(updates={"1": _update(job_id="")}))["agentUpdates"]
    assert left_over == {**counts, "operations": [{"machine": "vm-1", "item": ITEM, "startedAt": AT}]}
    failed = _fields(rollout=Rollout(failures={"1": _failure(explanation=Explanation(), job_id="")}))["agentUpdates"]
    assert failed == {
        **counts,
        "failures": [{"machine": "vm-1", "item": ITEM, "attempts": 2, "lastAttemptAt": AT}],
    }


def test_the_newest_failures_stand_first_and_the_rest_is_counted() -> None:
    failures = {
        str(n): replace(_failure(f"vm-{n}", f"fabric/container/item-{n}"), last_at=NOW - n * MINUTE) for n in range(60)
    }
    updates = _fields(rollout=Rollout(failures=dict(reversed(failures.items()))))["agentUpdates"]

    shown = [entry["machine"] for entry in updates["failures"]]
    assert shown == [f"vm-{n}" for n in range(len(shown))]
    assert 0 < len(shown) <= 50
    assert updates["failuresOmitted"] == 60 - len(shown)


def test_long_texts_about_updates_are_cut_and_so_are_many_names() -> None:
    path = f"fabric/container/{LONG}"
    rollout = Rollout(
        WINDOW, LONG, LONG, {"1": _update(LONG, job_id=LONG, path=path)}, {},
        {"1": _failure(LONG, path, explanation=Explanation(LONG, LONG, LONG, LONG, LONG), job_id=LONG)},
    )  # fmt: skip
    decision = RolloutDecision(Phase.ROLLING, waiting=(_machine(LONG),) * 30, reason=LONG)
    fields = _fields(None, None, rollout, decision)
    updates = fields["agentUpdates"]

    assert len(fields["lastHandledUpdateAgentsNow"].encode()) == 256
    assert _lengths(updates) == {"phase": 7, "message": 400}
    assert _lengths(updates["window"])["request"] == 256
    assert [len(name.encode()) for name in updates["planned"]] == [128] * 20
    assert updates["waiting"] == 30
    assert _lengths(updates["operations"][0]) == {"machine": 128, "item": 400, "jobId": 64, "startedAt": 20}
    assert _lengths(updates["failures"][0]) == {
        "machine": 128, "item": 400, "code": 120, "message": 300, "possibleCauses": 300, "recommendedAction": 300,
        "activityId": 64, "jobId": 64, "lastAttemptAt": 20,
    }  # fmt: skip


def test_a_rollout_comes_back_after_a_restart() -> None:
    update, failure = _update(), _failure("vm-2", "fabric/container/item-2")
    rollout = Rollout(
        WINDOW, "now", "before", {update.key: update}, {}, {failure.machine_id.casefold(): failure}, 5, 1, 2, 1, 3
    )

    assert restore_rollout(_fields(rollout=rollout), VAULT, NOW) == rollout
    assert restore_rollout({}, VAULT, NOW) is None
    assert restore_rollout({"lastHandledUpdateAgentsNow": 7}, VAULT, NOW) is None
    assert restore_rollout({"lastHandledUpdateAgentsNow": "now"}, VAULT, NOW) == Rollout(handled_request="now")
    assert restore_rollout({"agentUpdates": {}, "lastHandledUpdateAgentsNow": 7}, VAULT, NOW) == Rollout()
    for window in ({"opensAt": AT}, {"closesAt": AT}, {"opensAt": AT, "closesAt": "later", "request": "now"}):
        assert restore_rollout({"agentUpdates": {"window": window}}, VAULT, NOW) == Rollout()
    unasked = {"opensAt": AT, "closesAt": AT, "request": 7}
    assert restore_rollout({"agentUpdates": {"window": unasked}}, VAULT, NOW) == Rollout(Window(NOW, NOW))


def test_a_restart_takes_nothing_from_a_status_that_leads_out_of_the_vault_or_into_the_future() -> None:
    late = NOW + timedelta(days=3)
    entry = {"machine": "vm-1", "startedAt": format_time(late), "lastAttemptAt": format_time(late)}
    elsewhere = {**entry, "item": "/subscriptions/other/item"}
    nowhere = {**entry, "item": ITEM, "startedAt": "soon", "lastAttemptAt": "soon"}
    there = {**entry, "item": ITEM}

    def restore(*entries: dict[str, Any]) -> Rollout | None:
        updates = {"operations": list(entries), "failures": list(entries)}
        return restore_rollout({"agentUpdates": updates}, VAULT, NOW)

    assert restore(elsewhere) == Rollout()
    key = item_id(VAULT, ITEM).casefold()
    of_nowhere, of_there = restore(nowhere), restore(there)
    assert of_nowhere
    assert of_there
    assert of_nowhere.updates[key].started_at == of_there.updates[key].started_at == NOW
    assert not of_nowhere.failures
    assert of_there.failures[key].last_at == NOW
    assert of_there.failures[key].attempts == 1
