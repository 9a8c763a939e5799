"""What is remembered of tries that did not help."""

from __future__ import annotations

from tests.unit.builders import HOUR, MINUTE, NOW, POLICY
from vault_autoupdate.decide.attempts import FailureReason, failed, started
from vault_autoupdate.model.explanation import Explanation

WHY = Explanation("E1", "No.", "Some.", "Do.")
JOB = "5a4c3b2a-0000-4000-8000-000000000001"


def test_a_first_change_gets_the_time_that_a_repair_needs_to_show() -> None:
    first = started(None, NOW, POLICY)

    assert (first.count, first.last_at, first.next_at) == (1, NOW, NOW + HOUR)
    assert (first.reason, first.explanation, first.job_id) == (FailureReason.STILL_DIFFERS, Explanation(), "")


def test_each_change_that_helps_nothing_doubles_the_wait_up_to_the_longest() -> None:
    tried, waits = None, []
    for _ in range(7):
        tried = started(tried, NOW, POLICY)
        waits.append((tried.next_at - NOW) / HOUR)

    assert waits == [1, 2, 4, 8, 16, 24, 24]
    assert tried is not None
    assert tried.count == 7


def test_a_change_that_fails_is_tried_again_sooner_and_says_why() -> None:
    tried = failed(started(None, NOW, POLICY), FailureReason.JOB_FAILED, WHY, NOW + MINUTE, POLICY, job_id=JOB)

    assert (tried.count, tried.last_at, tried.next_at) == (1, NOW, NOW + 2 * MINUTE)
    assert (tried.reason, tried.explanation, tried.job_id) == (FailureReason.JOB_FAILED, WHY, JOB)


def test_a_change_that_did_not_start_has_no_job() -> None:
    assert failed(started(None, NOW, POLICY), FailureReason.FAILED_TO_START, WHY, NOW, POLICY).job_id == ""


def test_failures_in_a_row_wait_longer_and_longer_too() -> None:
    tried, waits = None, []
    for _ in range(13):
        tried = failed(started(tried, NOW, POLICY), FailureReason.FAILED_TO_START, WHY, NOW, POLICY)
        waits.append((tried.next_at - NOW) / MINUTE)

    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1440, 1440]


def test_a_new_try_remembers_the_last_explanation_but_not_the_last_job() -> None:
    before = failed(started(None, NOW, POLICY), FailureReason.TIMED_OUT, WHY, NOW, POLICY, job_id=JOB)
    again = started(before, NOW, POLICY)

    assert (again.count, again.explanation, again.reason) == (2, WHY, FailureReason.STILL_DIFFERS)
    assert again.job_id == ""
