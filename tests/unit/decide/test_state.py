"""What a restart gets back from the status, and what a look at the vault changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import (
    DISABLE,
    ENABLE,
    HOUR,
    NOW,
    VAULT,
    VAULT_ID,
    attempt,
    disabled,
    in_time_zone,
    mapping,
    mapping_id_of,
    resource,
    unhealthy,
)
from tests.unit.schema import STATUS, violations
from tests.unit.strategies import AGENTS, KEYS, OPERATIONS, RUNS, SECONDS, WORDS, attempts, rollouts
from vault_autoupdate.decide.account_report import AccountReport
from vault_autoupdate.decide.agent_report import AgentReport
from vault_autoupdate.decide.attempts import Attempt, FailureReason
from vault_autoupdate.decide.jobs import Operation
from vault_autoupdate.decide.look import Look
from vault_autoupdate.decide.plan import Action, Plan, make_plan
from vault_autoupdate.decide.rollout import Rollout
from vault_autoupdate.decide.state import Run, VaultState
from vault_autoupdate.model import bounds
from vault_autoupdate.model.arm_id import fold, item_id, parse_vault_id
from vault_autoupdate.model.azure import ContainerMapping
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.report.document import build_status
from vault_autoupdate.report.readiness import Readiness
from vault_autoupdate.report.restore import restore

JOB = "5a4c3b2a-0000-4000-8000-000000000001"
WORKING = Readiness("False", "Progressing", "At work.", reconciling=True)


def _key(name: str) -> str:
    return fold(mapping_id_of(name))


WITH_WINDOWS = resource(
    autoUpdate="Disabled",
    automationAccountResourceId=None,
    agentUpdates={"schedule": "0 22 * * SAT", "duration": "4h"},
)


def _status(state: VaultState, previous: dict[str, Any] | None = None) -> dict[str, Any]:
    return build_status(WITH_WINDOWS, state, WORKING, previous or {}, NOW)


def _plan(*mappings: ContainerMapping, attempts: dict[str, Attempt] | None = None) -> Plan:
    return make_plan(ENABLE, mappings, running={}, attempts=attempts or {}, now=NOW)


# From the status, after a restart.

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
_TIME_TEXTS = st.sampled_from([
    "2026-03-01T12:00:00Z", "2026-03-01", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "0001-01-01",
    "soon", "", "2026-03-01T12:00:00",
])  # fmt: skip
_ODD_TEXTS = st.sampled_from(["f/c/m", "a/b", "", "line\nbreak", "\ud800", JOB, *FailureReason])


def _objects(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Objects with the right fields, some of them absent, and now and then a wrong value in one."""
    return st.fixed_dictionaries({}, optional={name: st.one_of(good, good, _JSON) for name, good in fields.items()})


_STATUSES = st.one_of(
    _JSON,
    _objects(
        operations=st.lists(
            _objects(mapping=_ODD_TEXTS, jobId=_ODD_TEXTS, startedAt=_TIME_TEXTS, adopted=st.booleans()), max_size=3
        ),
        failures=st.lists(
            _objects(
                mapping=_ODD_TEXTS,
                reason=_ODD_TEXTS,
                attempts=st.integers(),
                lastAttemptAt=_TIME_TEXTS,
                nextAttemptAt=_TIME_TEXTS,
                message=_ODD_TEXTS,
            ),
            max_size=3,
        ),
        failuresOmitted=st.integers(),
        lastRun=_objects(id=_ODD_TEXTS, startedAt=_TIME_TEXTS, completedAt=_TIME_TEXTS, failed=st.integers(-1, 9)),
        location=_ODD_TEXTS,
        vaultName=_ODD_TEXTS,
        agents=_objects(
            total=st.integers(-1, 9), versions=st.lists(_objects(version=_ODD_TEXTS, machines=st.integers(-1, 9)))
        ),
        automationAccount=_objects(
            name=_ODD_TEXTS, nextRun=_TIME_TEXTS, problems=st.lists(_objects(reason=_ODD_TEXTS, message=_ODD_TEXTS))
        ),
        agentUpdates=_objects(
            window=_objects(opensAt=_TIME_TEXTS, closesAt=_TIME_TEXTS, request=_ODD_TEXTS),
            started=st.integers(-1, 9),
            operations=st.lists(_objects(item=_ODD_TEXTS, machine=_ODD_TEXTS, startedAt=_TIME_TEXTS), max_size=3),
            failures=st.lists(
                _objects(item=_ODD_TEXTS, attempts=st.integers(), lastAttemptAt=_TIME_TEXTS, code=_ODD_TEXTS),
                max_size=3,
            ),
        ),
        lastHandledUpdateAgentsNow=_ODD_TEXTS,
    ),
)


@given(_STATUSES)
def test_any_status_gives_a_state_from_which_a_valid_status_can_be_made_again(status: Any) -> None:
    state = restore(status, VAULT, NOW)

    assert list(violations(_status(state), STATUS)) == []
    assert state.given_up == set()
    assert state.actions == {}


@pytest.mark.parametrize("status", [None, [], "text", 7, {}, {"operations": None, "failures": 3, "lastRun": []}])
def test_a_status_that_cannot_be_read_is_as_good_as_none(status: Any) -> None:
    assert restore(status, VAULT, NOW) == VaultState()


_PAST = SECONDS.map(lambda time: min(time, NOW))


@given(
    st.lists(OPERATIONS, max_size=4, unique_by=lambda operation: operation.key),
    st.dictionaries(KEYS, attempts(WORDS, SECONDS), max_size=4),
    st.none() | RUNS,
    st.sampled_from(["", "westeurope"]),
    st.none() | AGENTS,
    st.none() | rollouts(WORDS, WORDS.map(lambda name: item_id(VAULT, f"eastus/container/x{name}")), _PAST),
)
def test_what_the_status_tells_comes_back_from_it(  # noqa: PLR0917 - hypothesis fills them in
    operations: list[Operation],
    tried: dict[str, Attempt],
    run: Run | None,
    location: str,
    agents: AgentReport | None,
    rollout: Rollout | None,
) -> None:
    state = VaultState(
        vault_name="dr",
        location=location,
        operations={operation.key: operation for operation in operations},
        attempts=tried,
        paths={key: f"eastus/east-container/{key.rpartition('/')[2]}" for key in tried},
        run=run,
        agents=Look(agents, seen=agents is not None),
        rollout=rollout,
    )
    status = _status(state)
    restored = restore(status, VAULT, NOW)

    assert (restored.operations, restored.attempts) == (state.operations, state.attempts)
    assert (restored.run, restored.location, restored.vault_name) == (run, location, "dr")
    assert restored.agents.report == agents
    assert restored.rollout == rollout
    assert restored.interrupted == (run is not None and run.completed_at is None)
    assert restored.omitted is None
    assert _status(restored, status) == status


def test_jobs_come_back_under_the_key_of_their_mapping_whatever_the_letter_case_of_the_vault_id() -> None:
    operation = Operation(mapping_id_of("Alpha").replace("/subscriptions/", "/Subscriptions/"), JOB, NOW)
    status = _status(VaultState(operations={operation.key: operation}))

    restored = restore(status, parse_vault_id(VAULT_ID.upper()), NOW)

    assert list(restored.operations) == [mapping_id_of("alpha").casefold()]
    assert restored.paths == {mapping_id_of("alpha").casefold(): "eastus/east-container/Alpha"}


def test_what_somebody_has_changed_comes_back_with_the_ids_of_the_mappings() -> None:
    changes = [{"mapping": "eastus/east-container/alpha", "found": "auto-update is Disabled, declared Enabled"}]
    status = {"lastDrift": {"foundAt": "2026-03-01T11:00:00Z", "changes": changes}}

    drift = restore(status, VAULT, NOW).drift

    assert drift is not None
    assert [(fold(each.id), each.found) for each in drift.mappings] == [(_key("alpha"), changes[0]["found"])]


def test_a_job_without_a_readable_start_is_tracked_as_if_it_had_started_now() -> None:
    restored = restore({"operations": [{"mapping": "f/c/m", "jobId": JOB, "startedAt": "?"}]}, VAULT, NOW)

    assert [operation.started_at for operation in restored.operations.values()] == [NOW]


def test_a_job_that_starts_in_the_future_cannot_keep_its_mapping_for_ever() -> None:
    restored = restore({"operations": [{"mapping": "f/c/m", "startedAt": "9999-01-01T00:00:00Z"}]}, VAULT, NOW)

    assert [operation.started_at for operation in restored.operations.values()] == [NOW]


@pytest.mark.parametrize("run_id", ["line\nbreak", "naïve-Ł", "x" * 65, " "])
def test_a_run_id_that_could_not_go_into_a_header_is_not_taken_over(run_id: str) -> None:
    restored = restore({"lastRun": {"id": run_id, "startedAt": "2026-03-01T12:00:00Z"}}, VAULT, NOW)

    assert restored.run == Run("", NOW)


@pytest.mark.parametrize(
    "entry",
    [
        {"reason": "Odd", "lastAttemptAt": "2026-03-01T12:00:00Z", "nextAttemptAt": "2026-03-01T12:00:00Z"},
        {"reason": ["JobFailed"], "lastAttemptAt": "2026-03-01T12:00:00Z", "nextAttemptAt": "2026-03-01T12:00:00Z"},
        {"reason": "JobFailed", "lastAttemptAt": "2026-03-01T12:00:00Z"},
        {"reason": "JobFailed", "nextAttemptAt": "2026-03-01T12:00:00Z"},
    ],
)
def test_a_failure_that_is_incomplete_is_left_out(entry: dict[str, Any]) -> None:
    assert restore({"failures": [{"mapping": "f/c/m", **entry}]}, VAULT, NOW).attempts == {}


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-03-01T14:00:00+02:00", NOW),
        ("2026-03-01T12:00:00", NOW),
        ("2026-03-01", NOW - 12 * HOUR),
        ("tomorrow", None),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo"])
def test_times_are_read_as_utc_unless_they_say_otherwise_wherever_the_process_runs(
    text: str, time: datetime | None, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with in_time_zone(zone, monkeypatch):
        run = restore({"lastRun": {"id": JOB, "startedAt": text}}, VAULT, NOW).run
        assert run == (time and Run(JOB, time))
        assert run is None or run.started_at.tzinfo is UTC


@pytest.mark.parametrize(
    ("count", "believed"), [(0, 0), (7, 7), (2**31 - 1, 2**31 - 1), (2**31, 0), (-1, 0), (True, 0)]
)
def test_a_count_that_no_status_can_hold_is_not_believed(count: Any, believed: int) -> None:
    run = restore({"lastRun": {"startedAt": "2026-03-01", "patched": count}}, VAULT, NOW).run

    assert run is not None
    assert run.patched == believed


# Failures for which the status had no room.


def _with_omitted(count: int) -> VaultState:
    failures = [
        {"mapping": f"eastus/east-container/m{tries}", "reason": "JobFailed", "attempts": tries,
         "lastAttemptAt": "2026-03-01T11:00:00Z", "nextAttemptAt": "2026-03-01T13:00:00Z"}
        for tries in (1, 4, 2)
    ]  # fmt: skip
    return restore({"failures": failures, "failuresOmitted": count}, VAULT, NOW)


def test_as_many_mappings_that_differ_are_taken_for_failed_as_the_status_had_no_room_for() -> None:
    state = _with_omitted(2)
    plan = _plan(*(disabled(name) for name in ("m1", "x", "y", "z")), mapping("fine"), attempts=state.attempts)

    state.assume_omitted(decision.key for decision in plan.actionable)
    assert {key.rpartition("/")[2]: tried.count for key, tried in state.attempts.items()} == {
        "m1": 1, "m4": 4, "m2": 2, "x": 4, "y": 4,
    }  # fmt: skip
    again = _plan(*(disabled(name) for name in ("m1", "x", "y", "z")), attempts=state.attempts)
    assert [decision.mapping.name for decision in again.actionable] == ["z"]


def test_omitted_failures_are_assumed_once_only() -> None:
    state = _with_omitted(1)

    for each in (state, VaultState()):
        known = dict(each.attempts)
        each.assume_omitted([])
        each.assume_omitted([disabled("x").key])
        assert each.attempts == known


@pytest.mark.parametrize("count", [0, -3, True, "5", None])
def test_a_count_of_omitted_failures_that_is_none_is_not_believed(count: Any) -> None:
    assert _with_omitted(count).omitted is None


_FATES = st.lists(st.sampled_from(["right", "waits", "due", "new", "ignored"]), max_size=60)


@given(_FATES, st.integers(0, 200), st.randoms(use_true_random=False))
def test_after_a_restart_no_more_is_changed_than_was_due_before_it_however_many_had_failed(
    fates: list[str], in_flight: int, random: Any
) -> None:
    vault = [
        mapping(f"m{number}")
        if fate == "right"
        else disabled(f"m{number}", state="" if fate == "ignored" else "Paired")
        for number, fate in enumerate(fates)
    ]
    tried = {
        seen.key: attempt(2, next_in=HOUR if fate == "waits" else -HOUR)
        for seen, fate in zip(vault, fates, strict=True)
        if fate in {"waits", "due"}
    }
    working_on = [disabled(f"w{number}") for number in range(in_flight)]
    before = VaultState(
        attempts=tried, operations={seen.key: Operation(seen.id, JOB, NOW - HOUR) for seen in working_on}
    )
    vault = random.sample(vault + working_on, len(vault) + in_flight)
    plan = make_plan(ENABLE, vault, running=before.operations, attempts=tried, now=NOW)
    before.look(plan)

    after = restore(_status(before), VAULT, NOW)
    assert len(after.operations) == min(in_flight, bounds.OPERATIONS)
    after.operations = before.operations  # those that the status had no room for are found in the vault's list of jobs
    first = make_plan(ENABLE, vault, running=after.operations, attempts=after.attempts, now=NOW)
    after.assume_omitted(decision.key for decision in first.actionable)
    again = make_plan(ENABLE, vault, running=after.operations, attempts=after.attempts, now=NOW)

    assert len(again.actionable) <= len(plan.actionable)
    shown = {entry["mapping"] for entry in _status(before).get("failures", ())}
    assert shown <= {decision.mapping.path for decision in again.decisions if decision.action is Action.WAIT}


# A look at the vault.


def test_a_look_forgets_the_tries_of_what_is_right_not_ours_any_more_or_gone_and_keeps_the_others() -> None:
    names = ("right", "ignored", "gone", "waits", "due")
    state = VaultState(attempts={_key(name): attempt() for name in names})
    state.attempts[_key("due")] = attempt(next_in=-HOUR)
    vault = [mapping("right"), disabled("ignored", state="Unpaired"), disabled("waits"), disabled("due")]

    state.look(_plan(*vault, attempts=state.attempts))

    assert set(state.attempts) == {_key("waits"), _key("due")}
    assert state.paths == {_key(name): f"eastus/east-container/{name}" for name in ("waits", "due")}
    assert state.actions == {
        _key("right"): Action.KEEP,
        _key("ignored"): Action.IGNORE,
        _key("waits"): Action.WAIT,
        _key("due"): Action.PATCH,
    }
    assert state.counts[Action.WAIT] == 1


def test_a_look_keeps_the_tries_of_what_a_job_is_at_work_on() -> None:
    state = VaultState(attempts={_key("a"): attempt()}, operations={_key("a"): Operation(mapping_id_of("a"), JOB, NOW)})
    plan = make_plan(ENABLE, [disabled("a")], running=state.operations, attempts=state.attempts, now=NOW)

    state.look(plan)

    assert state.attempts[_key("a")].count == 1
    assert state.actions == {_key("a"): Action.TRACK}


def test_each_look_that_finds_something_changed_after_it_was_right_counts_as_one_revert() -> None:
    state = VaultState()
    reverts = []
    for vault in (
        [disabled("a"), disabled("b")],  # it was never right
        [mapping("a"), mapping("b")],
        [disabled("a"), disabled("b")],
        [disabled("a"), disabled("b")],  # still the same
        [mapping("a"), disabled("b")],
        [disabled("a"), disabled("b")],
    ):
        state.look(_plan(*vault), ENABLE)
        reverts.append(state.reverts)

    assert reverts == [0, 0, 1, 1, 1, 2]


def test_that_something_else_is_declared_is_no_revert() -> None:
    state = VaultState()
    state.look(_plan(mapping("a")), ENABLE)
    state.look(make_plan(DISABLE, [mapping("a")], running={}, attempts={}, now=NOW), DISABLE)
    assert state.reverts == 0

    state.look(make_plan(DISABLE, [disabled("a")], running={}, attempts={}, now=NOW), DISABLE)
    state.look(make_plan(DISABLE, [mapping("a")], running={}, attempts={}, now=NOW), DISABLE)
    assert state.reverts == 1


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        (FailureReason.STILL_DIFFERS, FailureReason.UNHEALTHY),
        (FailureReason.UNHEALTHY, FailureReason.UNHEALTHY),
        (FailureReason.JOB_FAILED, FailureReason.JOB_FAILED),
    ],
)
def test_a_repair_that_cured_nothing_is_explained_by_what_ails_the_mapping_unless_it_failed_itself(
    reason: FailureReason, told: FailureReason
) -> None:
    before = attempt(3, reason=reason, code="Earlier")
    state = VaultState(attempts={_key("a"): before})
    state.look(_plan(unhealthy("a"), attempts=state.attempts))

    explanation = Explanation("AgentAutoUpdateInfra") if told is FailureReason.UNHEALTHY else before.explanation
    assert state.attempts[_key("a")] == replace(before, reason=told, explanation=explanation)


def test_a_look_notes_why_the_first_three_that_differ_do() -> None:
    state = VaultState(attempts={_key("b"): attempt()})

    state.look(_plan(mapping("fine"), *(disabled(name) for name in "abcd"), attempts=state.attempts))

    assert list(state.samples) == [f"eastus/east-container/{name}" for name in "abc"]
    assert state.samples["eastus/east-container/a"] == "auto-update is Disabled, declared Enabled"


@pytest.mark.parametrize(
    "path",
    [
        f"{VAULT_ID.replace('/vaults/dr', '/vaults/other')}/replicationFabrics/f",
        "/subscriptions/x",
        "f/../m",
        "f/c/m?x=1",
        "f/c/m#x",
        "f/%2e%2e/m",
        "a/b/c/d",
    ],
)
def test_a_job_that_leads_out_of_the_vault_is_not_taken_over_from_a_status(path: str) -> None:
    """Whoever may write a status could have the operator read anything in Azure otherwise."""
    operations = [{"mapping": path, "jobId": JOB, "startedAt": "2026-03-01T11:00:00Z"}]

    assert restore({"operations": operations}, VAULT, NOW).operations == {}


def test_jobs_that_another_pass_has_left_are_tracked_beside_those_of_ones_own() -> None:
    mine, left = Operation("/mapping/a", "job-1", NOW), Operation("/mapping/b", "job-2", NOW)
    state = VaultState(operations={mine.key: mine})

    state.take_over({mine.key: replace(mine, job_id="older"), left.key: left})

    assert state.operations == {mine.key: mine, left.key: replace(left, adopted=True)}
    assert state.taken_over


def test_who_asks_for_a_look_has_all_of_it_looked_at_and_mended_anew() -> None:
    state = VaultState(settled_until=NOW, artifacts_renewed={"key": NOW})
    state.look_anew(NOW)

    assert state.settled_until is None
    assert state.agents.due == state.account.due == NOW
    assert not state.artifacts_renewed


def test_what_was_found_about_the_account_comes_back_after_a_restart() -> None:
    state = restore({"automationAccount": {"name": "aa", "schedulesMissing": 2}}, VAULT, NOW)

    assert state.account.report == AccountReport("aa", healthy=True, schedules_missing=2)
    assert not state.account.seen


@pytest.mark.parametrize(
    ("state", "may"),
    [
        (VaultState(), False),
        (VaultState(run=Run("r", NOW, completed_at=NOW)), False),
        (VaultState(rollout=Rollout()), False),
        (VaultState(interrupted=True), True),
        (VaultState(operations={"m": Operation("m", "job", NOW)}), True),
        (VaultState(rollout=Rollout(updates={"a": Operation("a", "job", NOW, name="vm")})), True),
    ],
)
def test_an_earlier_process_may_have_written_what_no_status_tells_where_it_was_in_the_middle_of_something(
    state: VaultState, may: bool
) -> None:
    assert state.may_have_written is may
