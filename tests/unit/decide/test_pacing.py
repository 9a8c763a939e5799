"""A bucket that fills one by one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from vault_autoupdate.decide.pacing import Allowance

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def test_a_full_bucket_gives_all_that_it_holds_and_then_one_each_interval() -> None:
    allowance = Allowance(SECOND, most=3)
    assert [allowance.take(NOW) for _ in range(4)] == [timedelta(), timedelta(), timedelta(), SECOND]
    assert allowance.take(NOW + SECOND / 2) == SECOND / 2
    assert allowance.take(NOW + SECOND) == timedelta()
    assert allowance.take(NOW + SECOND) == SECOND


def test_what_is_given_back_can_be_taken_again() -> None:
    allowance = Allowance(SECOND, most=1)
    for _ in range(5):
        assert allowance.take(NOW) == timedelta()
        allowance.give_back()
    assert allowance.take(NOW) == timedelta()
    assert allowance.take(NOW) == SECOND


def test_no_more_is_given_back_than_was_taken() -> None:
    allowance = Allowance(SECOND, most=3)
    for _ in range(3):
        allowance.take(NOW)
    allowance.give_back()
    assert [allowance.take(NOW) for _ in range(2)] == [timedelta(), SECOND]


def test_it_never_holds_more_than_it_is_made_for() -> None:
    allowance = Allowance(SECOND, most=2)
    allowance.take(NOW)
    later = NOW + timedelta(days=1)
    assert [allowance.take(later) for _ in range(3)] == [timedelta(), timedelta(), SECOND]


def test_a_clock_that_goes_back_gives_nothing_and_takes_nothing() -> None:
    allowance = Allowance(SECOND, most=1)
    allowance.take(NOW)
    assert allowance.take(NOW - timedelta(hours=1)) == SECOND
    assert allowance.take(NOW) == timedelta()


def test_without_an_interval_there_is_always_one() -> None:
    allowance = Allowance(timedelta(), most=1)
    assert not any(allowance.take(NOW) for _ in range(100))
