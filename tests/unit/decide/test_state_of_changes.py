"""What a state remembers of the change of a mapping: that it began, was refused, or how its job ended."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.unit.builders import ENABLE, HOUR, MINUTE, NOW, POLICY, attempt, mapping
from vault_autoupdate.decide.attempts import Attempt, FailureReason
from vault_autoupdate.decide.jobs import Operation, Verdict
from vault_autoupdate.decide.plan import Action, make_plan
from vault_autoupdate.decide.state import Run, VaultState
from vault_autoupdate.model.azure import LostArtifact
from vault_autoupdate.model.explanation import Explanation

ALPHA = mapping()
WORDS = Explanation("151130", "It failed.")
JOB = "5A4C3B2A-0000-4000-8000-000000000001"


def _operation(job: str = JOB) -> Operation:
    return Operation(ALPHA.id, job, NOW - MINUTE)


def test_a_change_under_way_is_tracked_and_may_have_moved_the_schedule() -> None:
    state = VaultState()

    state.change_began(ALPHA, _operation(), NOW, POLICY)

    assert state.operations == {ALPHA.key: _operation()}
    assert state.actions == {ALPHA.key: Action.TRACK}
    assert state.paths == {ALPHA.key: ALPHA.path}
    assert state.attempts == {ALPHA.key: Attempt(1, NOW, NOW + HOUR)}
    assert state.schedules.look.due == NOW
    assert (state.artifacts_renewed, state.account.due) == ({}, None)


def test_a_change_that_needs_no_job_is_done_at_once() -> None:
    state = VaultState(attempts={ALPHA.key: attempt(2, code="c")})

    state.change_began(ALPHA, None, NOW, POLICY)

    assert (state.operations, state.actions) == ({}, {ALPHA.key: Action.KEEP})
    assert state.attempts[ALPHA.key].count == 3
    assert state.attempts[ALPHA.key].explanation.code == "c", "until it has shown to have helped"


def test_what_the_account_had_lost_is_looked_for_again_after_the_change_that_renews_it() -> None:
    state = VaultState(artifacts_missing={ALPHA.key: LostArtifact("s", "schedule s is missing")})

    state.change_began(ALPHA, _operation(), NOW, POLICY)

    assert (state.artifacts_missing, state.artifacts_renewed) == ({}, {ALPHA.key: NOW})
    assert state.account.due == NOW + POLICY.repair_min


def test_a_change_that_was_refused_waits_for_its_next_try_with_the_reason() -> None:
    state = VaultState(attempts={ALPHA.key: attempt(1)})

    state.change_refused(ALPHA, WORDS, NOW, POLICY)

    assert (state.actions, state.paths) == ({ALPHA.key: Action.WAIT}, {ALPHA.key: ALPHA.path})
    failed = state.attempts[ALPHA.key]
    assert (failed.count, failed.reason, failed.explanation) == (2, FailureReason.FAILED_TO_START, WORDS)
    assert (failed.last_at, failed.next_at, failed.job_id) == (NOW, NOW + 2 * MINUTE, "")


def test_a_job_that_succeeded_leaves_its_mapping_as_declared() -> None:
    state = VaultState(operations={ALPHA.key: _operation()}, attempts={ALPHA.key: attempt(1)})

    state.change_ended(_operation(), Verdict.SUCCEEDED, Explanation(), NOW, POLICY)

    assert (state.operations, state.actions) == ({}, {ALPHA.key: Action.KEEP})
    assert state.attempts == {ALPHA.key: attempt(1)}, "it shows at the next look whether it helped"
    assert state.schedules.look.due == NOW
    assert state.given_up == set()


@pytest.mark.parametrize(
    ("verdict", "reason", "given_up"),
    [
        (Verdict.FAILED, FailureReason.JOB_FAILED, set()),
        (Verdict.TIMED_OUT, FailureReason.TIMED_OUT, {JOB.casefold()}),
    ],
)
def test_a_job_that_failed_or_takes_too_long_has_its_mapping_wait_and_the_latter_is_not_tracked_again(
    verdict: Verdict, reason: FailureReason, given_up: frozenset[str]
) -> None:
    state = VaultState(operations={ALPHA.key: _operation()}, attempts={ALPHA.key: attempt(3)})

    state.change_ended(_operation(), verdict, WORDS, NOW, POLICY)

    assert (state.operations, state.actions, state.given_up) == ({}, {ALPHA.key: Action.WAIT}, given_up)
    failed = state.attempts[ALPHA.key]
    assert (failed.count, failed.reason, failed.explanation, failed.job_id) == (3, reason, WORDS, JOB)
    assert failed.next_at == NOW + 4 * MINUTE
    assert state.paths == {ALPHA.key: _operation().label}


def test_a_job_that_somebody_else_began_counts_as_a_first_try_when_it_fails() -> None:
    state = VaultState(operations={ALPHA.key: _operation()})

    state.change_ended(_operation(), Verdict.FAILED, WORDS, NOW, POLICY)

    assert (state.attempts[ALPHA.key].count, state.attempts[ALPHA.key].last_at) == (1, NOW)


def test_the_end_of_a_job_that_was_forgotten_meanwhile_counts_all_the_same() -> None:
    state = VaultState()

    state.change_ended(_operation(), Verdict.FAILED, WORDS, NOW, POLICY)

    assert (state.operations, state.actions) == ({}, {ALPHA.key: Action.WAIT})


def test_jobs_on_mappings_that_are_gone_are_forgotten() -> None:
    beta = mapping("beta")
    operations = [_operation(), Operation(beta.id, "j", NOW)]
    state = VaultState()

    state.adopt(operations)
    assert state.operations == {ALPHA.key: operations[0], beta.key: operations[1]}
    state.keep_present([beta])

    assert state.operations == {beta.key: operations[1]}


def test_a_run_counts_how_its_jobs_ended() -> None:
    run = Run("r", NOW)
    for verdict in 2 * (Verdict.SUCCEEDED, Verdict.FAILED, Verdict.TIMED_OUT, Verdict.SUCCEEDED):
        run.count(verdict)

    assert (run.succeeded, run.failed, run.timed_out, run.failed_to_start, run.patched) == (4, 2, 2, 0, 0)
    with pytest.raises(ValueError, match=r"^a job that runs has not ended$"):
        run.count(Verdict.RUNNING)


def test_a_look_after_a_change_that_helped_forgets_its_tries() -> None:
    state = VaultState()
    state.change_began(ALPHA, None, NOW, POLICY)

    later = NOW + timedelta(minutes=5)
    state.look(make_plan(ENABLE, [ALPHA], running={}, attempts=state.attempts, now=later), ENABLE, later)

    assert (state.attempts, state.paths) == ({}, {})
