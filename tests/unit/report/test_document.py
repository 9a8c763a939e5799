"""The status document: what kubectl shows, what kstatus expects, and that it always fits."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.builders import (
    ENABLE,
    HOUR,
    MINUTE,
    NOW,
    VAULT,
    attempt,
    disabled,
    in_time_zone,
    mapping,
    mapping_id_of,
    resource,
    unhealthy,
)
from tests.unit.schema import STATUS, violations
from tests.unit.strategies import HOSTILE_TEXTS, SITUATIONS, STATES
from vault_autoupdate.decide.agent_report import AgentReport, Concern, MachineConcern
from vault_autoupdate.decide.attempts import Attempt, FailureReason
from vault_autoupdate.decide.attribution import Change, ChangedMapping, Drift
from vault_autoupdate.decide.jobs import Operation
from vault_autoupdate.decide.look import Look
from vault_autoupdate.decide.plan import Action, make_plan
from vault_autoupdate.decide.rollout import MachineFailure, Phase, Rollout, RolloutDecision
from vault_autoupdate.decide.schedule_report import build_schedule_report
from vault_autoupdate.decide.state import Run, VaultState
from vault_autoupdate.model import bounds
from vault_autoupdate.model.arm_id import item_id, mapping_path
from vault_autoupdate.model.azure import Machine
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.model.resource import VaultAutoUpdate
from vault_autoupdate.model.windows import Window
from vault_autoupdate.report.document import build_status, differs
from vault_autoupdate.report.readiness import Readiness
from vault_autoupdate.report.restore import restore
from vault_autoupdate.report.values import format_time

READY = Readiness("True", "Compliant", "All is well.")
WORKING = Readiness("False", "Progressing", "At work.", reconciling=True)
STALLED = Readiness("False", "SubscriptionNotFound", "Check it.", stalled=True)
JOB = "5a4c3b2a-0000-4000-8000-000000000001"


def _build(
    state: VaultState | None = None,
    readiness: Readiness = READY,
    previous: dict[str, Any] | None = None,
    now: datetime = NOW,
    **more: Any,
) -> dict[str, Any]:
    return build_status(resource(), state or VaultState(), readiness, previous or {}, now, **more)


def _conditions(status: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {condition["type"]: condition for condition in status["conditions"]}


def _looked(*mappings: Any, attempts: dict[str, Attempt] | None = None) -> VaultState:
    """A state after a look at these mappings."""
    state = VaultState(vault_name="dr", location="westeurope", attempts=attempts or {})
    state.look(make_plan(ENABLE, mappings, running={}, attempts=state.attempts, now=NOW))
    return state


# Conditions, as kstatus reads them.


@pytest.mark.parametrize(
    ("readiness", "present"),
    [(READY, {"Ready": "True"}), (WORKING, {"Ready": "False", "Reconciling": "True"}),
     (STALLED, {"Ready": "False", "Stalled": "True"})],
)  # fmt: skip
def test_reconciling_and_stalled_are_there_only_while_true(readiness: Readiness, present: dict[str, str]) -> None:
    status = _build(readiness=readiness)

    assert {kind: condition["status"] for kind, condition in _conditions(status).items()} == present
    for condition in status["conditions"]:
        assert (condition["reason"], condition["message"]) == (readiness.reason, readiness.message)


@pytest.mark.parametrize("readiness", [READY, WORKING, STALLED])
def test_every_condition_and_the_status_itself_name_the_generation_they_speak_about(readiness: Readiness) -> None:
    status = _build(readiness=readiness)

    assert {status["observedGeneration"], *(c["observedGeneration"] for c in status["conditions"])} == {3}


def test_the_generation_is_told_even_of_a_resource_that_cannot_be_read() -> None:
    status = build_status(None, VaultState(), STALLED, {}, NOW, generation=7)

    assert status["observedGeneration"] == _conditions(status)["Ready"]["observedGeneration"] == 7


def test_of_a_resource_that_was_never_read_no_generation_is_told() -> None:
    assert build_status(None, VaultState(), STALLED, {}, NOW)["observedGeneration"] == 0


def test_what_is_not_known_is_left_out() -> None:
    assert set(_build()) == {"observedGeneration", "conditions"}


def test_what_was_seen_of_schedules_before_a_restart_stays_until_they_are_looked_at_while_a_time_is_declared() -> None:
    at_night = resource(runbookSchedule={"time": "02:30", "timeZone": "Europe/Amsterdam"})
    seen = {"runbookSchedule": {"declared": "02:30 Europe/Amsterdam", "inSync": 3}}
    looked = VaultState()
    looked.schedules.look.seen = True

    def kept(of: VaultAutoUpdate | None, state: VaultState) -> Any:
        return build_status(of, state, READY, seen, NOW).get("runbookSchedule")

    assert kept(at_night, VaultState()) == seen["runbookSchedule"]
    assert kept(None, VaultState()) == seen["runbookSchedule"], "a resource that cannot be read says nothing of it"
    assert kept(at_night, looked) is None
    assert kept(resource(), VaultState()) is None


@pytest.mark.parametrize(
    ("kind", "spec", "kept"),
    [
        ("AgentsCurrent", {}, True),
        ("AutomationAccountHealthy", {}, True),
        ("AutomationAccountHealthy", {"automationAccountChecks": False}, False),
        ("AutomationAccountHealthy", {"autoUpdate": "Disabled", "automationAccountResourceId": None}, False),
        ("RunbookScheduleInSync", {}, False),
        ("RunbookScheduleInSync", {"runbookSchedule": {"time": "02:30", "timeZone": "UTC"}}, True),
        ("Odd", {}, False),
    ],
)
def test_a_condition_stays_until_this_process_has_looked_where_it_still_matters(
    kind: str, spec: dict[str, Any], *, kept: bool
) -> None:
    before = {"type": kind, "status": "False", "reason": "X", "message": "m", "lastTransitionTime": "t"}

    def told(of: VaultAutoUpdate | None, state: VaultState) -> list[dict[str, Any]]:
        status = build_status(of, state, READY, {"conditions": [before]}, NOW)
        return [each for each in status["conditions"] if each["type"] == kind]

    assert told(resource(**spec), VaultState()) == ([before] if kept else [])
    assert told(None, VaultState()) == ([] if kind == "Odd" else [before]), "of what cannot be read all stays"
    looked = VaultState()
    for look in looked.looks.values():
        look.failed(Explanation("Y", "It is refused."), NOW)
    assert [each["reason"] for each in told(resource(**spec), looked)] == (["Y"] if kept else [])


def test_that_schedules_were_found_to_be_in_sync_is_told_as_a_condition() -> None:
    state = VaultState()
    state.schedules.look.found(build_schedule_report("every day at 02:30 UTC", []), NOW, NOW)

    status = build_status(resource(runbookSchedule={"time": "02:30", "timeZone": "UTC"}), state, READY, {}, NOW)

    told = _conditions(status)["RunbookScheduleInSync"]
    assert (told["status"], told["reason"]) == ("True", "InSync")


def test_transition_times_move_only_when_the_status_of_a_condition_flips() -> None:
    first = _build(readiness=WORKING, now=NOW)
    same = _build(readiness=Readiness("False", "Other", "Other.", reconciling=True), previous=first, now=NOW + HOUR)
    flipped = _build(readiness=READY, previous=same, now=NOW + 2 * HOUR)
    back = _build(readiness=WORKING, previous=flipped, now=NOW + 3 * HOUR)

    times = [
        {kind: condition["lastTransitionTime"] for kind, condition in _conditions(status).items()}
        for status in (first, same, flipped, back)
    ]
    assert times == [
        {"Ready": "2026-03-01T12:00:00Z", "Reconciling": "2026-03-01T12:00:00Z"},
        {"Ready": "2026-03-01T12:00:00Z", "Reconciling": "2026-03-01T12:00:00Z"},
        {"Ready": "2026-03-01T14:00:00Z"},
        {"Ready": "2026-03-01T15:00:00Z", "Reconciling": "2026-03-01T15:00:00Z"},
    ]


@pytest.mark.parametrize(
    "conditions", [None, [], ["odd"], [{}], [{"type": "Ready"}], [{"type": "Ready", "status": "True"}]]
)
def test_earlier_conditions_that_cannot_be_read_are_as_good_as_none(conditions: Any) -> None:
    status = _build(previous={"conditions": conditions})

    assert _conditions(status)["Ready"]["lastTransitionTime"] == "2026-03-01T12:00:00Z"


# Counts and what else is told of the vault.


def test_mappings_are_counted_by_what_is_done_about_them() -> None:
    state = _looked(
        mapping("a"),
        mapping("b"),
        disabled("c"),
        unhealthy("d"),
        disabled("e"),
        mapping("f", instance_type="InMageRcm"),
        attempts={mapping_id_of("e").casefold(): attempt()},
    )
    state.actions[mapping_id_of("b").casefold()] = Action.TRACK
    status = _build(state)

    assert status["mappings"] == {
        "total": 6, "inScope": 5, "compliant": 1, "drifted": 2, "updating": 1, "failed": 1, "ignored": 1,
    }  # fmt: skip
    assert status["compliantSummary"] == "1/5"
    assert (status["vaultName"], status["location"]) == ("dr", "westeurope")


def test_before_the_first_look_what_was_known_stays() -> None:
    before = _build(_looked(mapping("a"), disabled("b")))
    after = _build(VaultState(), WORKING, before)

    assert {key: after[key] for key in ("mappings", "compliantSummary", "vaultName", "location")} == {
        key: before[key] for key in ("mappings", "compliantSummary", "vaultName", "location")
    }


def test_a_vault_whose_mappings_are_all_gone_is_counted_as_empty() -> None:
    before = _build(_looked(mapping("a"), disabled("b")))
    after = _build(_looked(), READY, before)

    assert after["mappings"]["total"] == 0
    assert after["compliantSummary"] == "0/0"


def test_the_last_run_is_told_with_the_runbooks_four_counts() -> None:
    run = Run(JOB, NOW, NOW + MINUTE, patched=9, succeeded=4, failed=3, failed_to_start=2, timed_out=1)
    status = _build(VaultState(run=run))

    assert status["lastRun"] == {
        "id": JOB,
        "startedAt": "2026-03-01T12:00:00Z",
        "completedAt": "2026-03-01T12:01:00Z",
        "patched": 9,
        "succeeded": 4,
        "failed": 3,
        "failedToStart": 2,
        "timedOut": 1,
    }
    assert "completedAt" not in _build(VaultState(run=Run(JOB, NOW)))["lastRun"]


def test_a_request_is_answered_once_and_the_answer_stays() -> None:
    answered = _build(handled_request="now!")

    assert answered["lastHandledReconcileAt"] == "now!"
    assert _build(previous=answered)["lastHandledReconcileAt"] == "now!"
    assert _build(previous=answered, handled_request="again")["lastHandledReconcileAt"] == "again"
    assert "lastHandledReconcileAt" not in _build()


# Jobs and failures.


def _operation(name: str = "alpha", *, started_at: datetime = NOW, job: str = JOB) -> Operation:
    return Operation(mapping_id_of(name), job, started_at)


def test_jobs_in_flight_are_listed_the_oldest_first() -> None:
    operations = [_operation("b"), _operation("a", started_at=NOW - HOUR, job="")]
    status = _build(VaultState(operations={operation.key: operation for operation in operations}))

    assert status["operations"] == [
        {"mapping": "eastus/east-container/a", "startedAt": "2026-03-01T11:00:00Z"},
        {"mapping": "eastus/east-container/b", "startedAt": "2026-03-01T12:00:00Z", "jobId": JOB},
    ]
    assert "operationsOmitted" not in status


def test_a_job_that_somebody_else_started_is_marked() -> None:
    found = Operation(mapping_id_of("a"), JOB, NOW, adopted=True)
    status = _build(VaultState(operations={found.key: found}))

    assert [operation["adopted"] for operation in status["operations"]] == [True]


def test_a_failure_is_told_in_azures_words_with_its_tries_and_the_next_one() -> None:
    tried = attempt(
        2,
        code="E1",
        message="No.",
        possible_causes="Some.",
        recommended_action="Do.",
        activity_id="a-1",
        reason=FailureReason.JOB_FAILED,
    )
    status = _build(_looked(disabled("c"), attempts={mapping_id_of("c").casefold(): tried}))

    assert status["failures"] == [
        {
            "mapping": "eastus/east-container/c",
            "reason": "JobFailed",
            "code": "E1",
            "message": "No.",
            "possibleCauses": "Some.",
            "recommendedAction": "Do.",
            "activityId": "a-1",
            "attempts": 2,
            "lastAttemptAt": "2026-03-01T11:59:00Z",
            "nextAttemptAt": "2026-03-01T13:00:00Z",
        }
    ]


def test_a_failure_of_a_mapping_without_a_name_for_people_is_told_with_its_key() -> None:
    key = mapping_id_of("c").casefold()

    assert [failure["mapping"] for failure in _build(VaultState(attempts={key: attempt()}))["failures"]] == [key]


def test_only_what_waits_for_its_next_try_is_a_failure() -> None:
    state = _looked(disabled("due"), attempts={mapping_id_of("due").casefold(): attempt(next_in=-HOUR)})

    assert "failures" not in _build(state)


def test_failures_of_azure_stand_before_those_that_are_only_slow_and_newer_before_older() -> None:
    reasons = [FailureReason.STILL_DIFFERS, FailureReason.JOB_FAILED, FailureReason.TIMED_OUT]
    attempts = {
        mapping_id_of(f"m{number}").casefold(): Attempt(1, NOW - number * MINUTE, NOW + HOUR, reasons[number % 3])
        for number in range(6)
    }
    status = _build(_looked(*(disabled(f"m{number}") for number in range(6)), attempts=attempts))

    assert [failure["mapping"][-2:] for failure in status["failures"]] == ["m1", "m2", "m4", "m5", "m0", "m3"]


def test_what_there_is_no_room_for_is_counted() -> None:
    many = [f"m{number:04}" for number in range(500)]
    state = _looked(
        *(disabled(name) for name in many), attempts={mapping_id_of(name).casefold(): attempt() for name in many}
    )
    state.operations = {operation.key: operation for operation in map(_operation, many)}
    status = _build(state)

    assert len(status["operations"]) <= bounds.OPERATIONS
    assert len(status["operations"]) + status["operationsOmitted"] == 500
    assert len(status["failures"]) == bounds.FAILURES
    assert len(status["failures"]) + status["failuresOmitted"] == 500


def test_all_failures_are_counted_by_code_the_most_frequent_first_also_those_that_are_not_listed() -> None:
    failing = {f"m{n:03}": attempt(code="151137" if n % 3 else "900099") for n in range(265)}
    state = VaultState(looked=True, attempts=failing, actions=dict.fromkeys(failing, Action.WAIT))
    status = _build(state)
    assert len(status["failures"]) == bounds.FAILURES
    assert status["failureCodes"] == [
        {"reason": "JobFailed", "code": "151137", "count": 176},
        {"reason": "JobFailed", "code": "900099", "count": 89},
    ]
    assert sum(each["count"] for each in status["failureCodes"]) == bounds.FAILURES + status["failuresOmitted"]


def test_failures_that_there_was_no_room_for_before_a_restart_are_counted_as_what_they_are_taken_for() -> None:
    tried = attempt(code="151137")
    state = VaultState(looked=True, attempts={"m": tried}, actions={"m": Action.WAIT}, omitted=(3, tried))

    assert _build(state)["failureCodes"] == [{"reason": "JobFailed", "code": "151137", "count": 4}]


def test_failures_of_more_kinds_than_there_is_room_for_are_the_most_frequent_and_then_the_first_by_their_codes() -> (
    None
):
    failing = {f"m{n:03}": attempt(code=f"code-{99 - n}") for n in range(30)} | {"m": attempt(code="code-99")}
    state = VaultState(looked=True, attempts=failing, actions=dict.fromkeys(failing, Action.WAIT))

    codes = [each["code"] for each in _build(state)["failureCodes"]]

    assert codes == ["code-99", *(f"code-{n}" for n in range(70, 70 + bounds.FAILURE_CODES - 1))]


def test_when_the_vault_was_last_read_is_told_along_with_other_news_and_is_none_itself() -> None:
    old, new = _build(last_success=NOW - HOUR), _build(last_success=NOW)
    assert new["lastSuccessTime"] == format_time(NOW)
    assert not differs(old, new)
    assert "lastSuccessTime" not in _build()


def test_failures_that_an_earlier_status_had_no_room_for_are_still_counted_before_the_first_look() -> None:
    many = [f"m{number:04}" for number in range(100)]
    before = _build(
        _looked(
            *(disabled(name) for name in many), attempts={mapping_id_of(name).casefold(): attempt() for name in many}
        )
    )
    after = _build(restore(before, VAULT, NOW), WORKING, before)

    assert after["failuresOmitted"] == before["failuresOmitted"] == 80


# It fits, whatever the vault is like.

_NASTY = ['"', "\\", "<", "a", "é", "😀", "\x00", "\u2028", "\ud800", "\u200b"]


def _huge(pieces: Sequence[str], size: int) -> VaultState:
    """Mappings whose names and errors are long and made of these pieces."""
    long = [piece * (5000 // len(piece)) for piece in pieces]
    state = VaultState(
        looked=True, vault_name=long[0], location=long[0], run=Run(long[0], NOW, patched=size, failed=size)
    )
    for number in range(size):
        text = long[number % len(long)]
        path = f"f{number}{text[:400]}/c{text[:400]}/m{text[:400]}"
        key = mapping_id_of(f"{number}{text[:100]}").casefold()
        state.actions[key] = Action.WAIT
        state.paths[key] = path
        state.attempts[key] = Attempt(
            number, NOW, NOW + HOUR, FailureReason.JOB_FAILED, Explanation(text, text, text, text), text
        )
        state.operations[key] = Operation(mapping_id_of(path), text, NOW)
    return state


def _huge_rollout(pieces: Sequence[str], size: int) -> VaultState:
    """As `_huge`, with as many machines whose agents fail and are at work."""
    state, long = _huge(pieces, size), [piece * (5000 // len(piece)) for piece in pieces]
    state.rollout = Rollout(Window(NOW, NOW + HOUR), request=long[0], handled_request=long[0], started=size)
    for number in range(size):
        text = long[number % len(long)]
        item = item_id(VAULT, f"f{number}{text[:400]}/c{text[:400]}/i{text[:400]}")
        update = Operation(item, text, NOW, name=text)
        state.rollout.updates[update.key] = update
        state.rollout.failures[update.key] = MachineFailure(item, text, 1, NOW, Explanation(text, text, text, text))
    machines = tuple(Machine(str(number), long[number % len(long)]) for number in range(size))
    state.rollout_decision = RolloutDecision(Phase.STOPPED, waiting=machines, reason=long[0])
    state.next_window = Window(NOW + HOUR, NOW + 2 * HOUR)
    change = Change(NOW, long[0], long[0], long[0], long[0], long[0], size)
    state.drift = Drift(NOW, NOW, size, (ChangedMapping(long[0], long[0], change),) * 5)
    worst = tuple(
        MachineConcern(text, text, text, Concern.EXPIRED, Explanation(text, text, text, text)) for text in long * 10
    )
    state.agents = Look(AgentReport(size, size, worst=worst, versions=((long[0], 1),) * 20), seen=True)
    return state


@pytest.mark.parametrize("character", _NASTY)
def test_nor_does_a_rollout_over_two_thousand_machines_take_more(character: str) -> None:
    readiness = Readiness("False", "MappingsFailed", character * 1000, reconciling=True)
    status = _build(_huge_rollout([character], 2_000), readiness, handled_request=character * 5000)

    assert len(json.dumps(status, ensure_ascii=False).encode("utf-8", "surrogatepass")) < 100_000
    assert list(violations(status, STATUS)) == []
    updates = status["agentUpdates"]
    assert len(updates["failures"]) + updates["failuresOmitted"] == 2_000
    assert updates["operations"]


@pytest.mark.parametrize("character", _NASTY)
def test_ten_thousand_mappings_in_flight_and_failing_stay_below_100_kb(character: str) -> None:
    _fits(_huge([character], 10_000), character)


@settings(max_examples=max(1, settings.default.max_examples // 12) if settings.default else 5)
@given(st.lists(HOSTILE_TEXTS.filter(bool), min_size=1, max_size=8))
def test_nor_do_ten_thousand_mappings_with_any_texts_take_more(pieces: list[str]) -> None:
    _fits(_huge(pieces, 10_000), pieces[0])


def _fits(state: VaultState, text: str) -> None:
    readiness = Readiness("False", "MappingsFailed", text[:80], reconciling=True)
    status = _build(state, readiness, handled_request=text * 5000)

    assert len(json.dumps(status, ensure_ascii=False).encode("utf-8", "surrogatepass")) < 100_000
    assert list(violations(status, STATUS)) == []
    assert len(status["operations"]) + status["operationsOmitted"] == 10_000
    assert len(status["failures"]) + status["failuresOmitted"] == 10_000


@given(STATES, SITUATIONS, st.none() | HOSTILE_TEXTS)
def test_whatever_is_known_the_api_server_takes_the_status_of_it(
    state: VaultState, readiness: Readiness, request: str | None
) -> None:
    status = _build(state, readiness, handled_request=request)

    assert list(violations(status, STATUS)) == []
    assert list(violations(_build(state, readiness, status), STATUS)) == []


# When it is worth writing.


@given(STATES, SITUATIONS)
def test_a_status_differs_from_itself_at_another_time_only_in_times(state: VaultState, readiness: Readiness) -> None:
    status = _build(state, readiness)

    assert not differs(status, _build(state, readiness, status, NOW + HOUR))
    assert not differs(status, _build(state, readiness, {}, NOW + HOUR))


@pytest.mark.parametrize("key", ["lastTransitionTime", "startedAt", "lastAttemptAt", "nextAttemptAt"])
def test_times_alone_are_no_news(key: str) -> None:
    assert not differs({"entries": [{key: "1", "x": 1}]}, {"entries": [{key: "2", "x": 1}]})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"lastRun": {}}, {"lastRun": {"completedAt": "1"}}),
        ({"observedGeneration": 1}, {"observedGeneration": 2}),
        ({"operations": [{"jobId": "1"}]}, {"operations": [{"jobId": "2"}]}),
        ({"operations": [1]}, {"operations": [1, 2]}),
        ({"conditions": [{"message": "1"}]}, {"conditions": [{"message": "2"}]}),
        ({"failures": []}, {}),
        ({}, {"lastHandledReconcileAt": "1"}),
    ],
)
def test_everything_else_is_news(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert differs(old, new)
    assert differs(new, old)
    assert not differs(new, new)


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (NOW, "2026-03-01T12:00:00Z"),
        (NOW.astimezone(timezone(timedelta(hours=5, minutes=30))), "2026-03-01T12:00:00Z"),
        (NOW.replace(microsecond=999_999), "2026-03-01T12:00:00Z"),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00Z"),
        (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), "9999-12-31T23:59:59Z"),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo"])
def test_times_are_written_as_kubernetes_does_it_wherever_the_process_runs(
    time: datetime, text: str, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with in_time_zone(zone, monkeypatch):
        assert format_time(time) == text


def test_the_path_of_a_mapping_that_is_listed_leads_back_to_it() -> None:
    operation = _operation("alpha")
    status = _build(VaultState(operations={operation.key: operation}))

    assert status["operations"][0]["mapping"] == mapping_path(operation.target_id)
    assert list(restore(status, VAULT, NOW).operations) == [operation.key]


def test_long_texts_are_cut_to_what_the_schema_allows() -> None:
    long = "x" * 2000
    explanation = Explanation(long, long, long, long, long)
    tried = Attempt(1, NOW, NOW + HOUR, FailureReason.JOB_FAILED, explanation, long)
    operation = Operation(mapping_id_of(long), long, NOW)
    state = VaultState(
        vault_name=long,
        location=long,
        operations={operation.key: operation},
        attempts={"1": tried},
        paths={"1": long},
        run=Run(long, NOW),
    )
    status = _build(state, handled_request=long)

    def lengths(entry: dict[str, Any]) -> dict[str, int]:
        return {key: len(value.encode()) for key, value in entry.items() if isinstance(value, str)}

    assert lengths(status) == {"vaultName": 64, "location": 64, "lastHandledReconcileAt": 256}
    assert lengths(status["operations"][0]) == {"mapping": 400, "jobId": 64, "startedAt": 20}
    assert lengths(status["failures"][0]) | {"reason": 0} == {
        "mapping": 400, "reason": 0, "code": 120, "message": 400, "possibleCauses": 400, "recommendedAction": 400,
        "activityId": 64, "jobId": 64, "lastAttemptAt": 20, "nextAttemptAt": 20,
    }  # fmt: skip
    assert lengths(status["lastRun"])["id"] == 64
