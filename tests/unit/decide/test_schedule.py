"""When things are looked at again."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import HOUR, MINUTE, NOW
from vault_autoupdate.decide.schedule import (
    after_error,
    after_look,
    backoff,
    fraction_of,
    jittered,
    longest_pass,
    poll_delay,
)
from vault_autoupdate.model.errors import Disposition

SECOND = timedelta(seconds=1)
_NAMES = st.text(st.characters(codec="utf-8"), max_size=40)
_WAITS = st.timedeltas(timedelta(milliseconds=1), timedelta(days=3650))


def test_backoff_doubles_from_its_base_to_its_cap() -> None:
    waits = [backoff(attempts, MINUTE, HOUR) for attempts in range(9)]

    assert [wait / MINUTE for wait in waits] == [1, 1, 2, 4, 8, 16, 32, 60, 60]


@pytest.mark.parametrize(("base", "cap"), [(HOUR, HOUR), (2 * HOUR, HOUR)])
def test_backoff_with_a_cap_below_its_base_is_the_cap(base: timedelta, cap: timedelta) -> None:
    assert {backoff(attempts, base, cap) for attempts in range(100)} == {HOUR}


@given(st.integers(0, 10**30), _WAITS, _WAITS)
def test_backoff_is_bounded_however_long_something_has_failed(attempts: int, base: timedelta, cap: timedelta) -> None:
    wait = backoff(attempts, base, cap)

    assert min(base, cap) <= wait <= cap
    assert backoff(attempts + 1, base, cap) >= wait


def test_a_repair_that_has_helped_nothing_for_a_year_is_still_tried_daily() -> None:
    assert backoff(365, HOUR, 24 * HOUR) == 24 * HOUR


@given(_NAMES)
def test_a_name_always_has_the_same_fraction(name: str) -> None:
    assert 0 <= fraction_of(name) < 1
    assert fraction_of(name) == fraction_of(name)


def test_names_are_spread_evenly() -> None:
    tenths = [int(10 * fraction_of(f"uid-{number}/vault-{number}")) for number in range(1000)]

    assert all(70 <= tenths.count(tenth) <= 130 for tenth in range(10))
    assert fraction_of("asr/dr") == pytest.approx(0.506427, abs=1e-6), "the same in every process and release"


@given(_WAITS, _NAMES, st.floats(0, 1))
def test_jitter_moves_an_interval_by_no_more_than_its_share(interval: timedelta, name: str, share: float) -> None:
    moved = jittered(interval, name, share=share)

    assert abs(moved - interval) <= interval * share + timedelta(microseconds=1)
    assert moved == jittered(interval, name, share=share)


def test_jitter_goes_both_ways() -> None:
    moved = {jittered(HOUR, str(number)) > HOUR for number in range(20)}

    assert moved == {True, False}
    assert jittered(HOUR, "n", share=0.5) / HOUR == pytest.approx(0.5 + fraction_of("n"))


@pytest.mark.parametrize(
    ("age", "delay"),
    [(timedelta(), 3), (-HOUR, 3), (12 * SECOND, 3), (40 * SECOND, 10), (2 * MINUTE, 30), (HOUR, 30)],
)
def test_young_jobs_are_looked_at_soon_and_old_ones_at_a_quarter_of_their_age(age: timedelta, delay: float) -> None:
    assert poll_delay(age, 3 * SECOND, 30 * SECOND) == delay * SECOND


@given(_WAITS, _WAITS, _WAITS, _WAITS)
def test_the_older_a_job_the_later_it_is_looked_at_again_within_the_bounds(
    age: timedelta, older: timedelta, shortest: timedelta, more: timedelta
) -> None:
    delay, later = (poll_delay(a, shortest, shortest + more) for a in (age, age + older))

    assert shortest <= delay <= later <= shortest + more


_INSTANTS = st.timedeltas(timedelta(days=-400), timedelta(days=400)).map(lambda since: NOW + since)


@given(st.timedeltas(SECOND, timedelta(days=7)), _NAMES, st.lists(_INSTANTS, max_size=5))
def test_after_a_look_nothing_spins_nothing_sleeps_past_the_interval_and_no_due_try_is_slept_through(
    interval: timedelta, name: str, tries: list[datetime]
) -> None:
    wait = after_look(interval, name, NOW, tries)

    assert min(SECOND, jittered(interval, name)) <= wait <= jittered(interval, name)
    assert all(NOW + wait <= max(due, NOW + SECOND) for due in tries)


@given(st.integers(0, 10**30), _WAITS, _NAMES, _WAITS)
def test_after_any_error_of_any_number_there_is_a_next_look_within_the_interval(
    errors: int, interval: timedelta, name: str, retry_min: timedelta
) -> None:
    for disposition in set(Disposition) - {Disposition.WAIT}:
        wait = after_error(disposition, errors, interval, name, retry_min=retry_min, pause=timedelta())

        assert timedelta() < wait <= interval * 1.2 + timedelta(microseconds=1)


@given(_NAMES, st.timedeltas(timedelta(), timedelta(days=1)))
def test_who_is_throttled_comes_back_within_a_second_after_the_servers_pause(name: str, pause: timedelta) -> None:
    wait = after_error(Disposition.WAIT, 1, MINUTE, name, retry_min=MINUTE, pause=pause)

    assert max(pause, SECOND) <= wait <= max(pause, SECOND) + SECOND


def test_after_a_look_that_went_well_the_next_one_is_at_the_interval() -> None:
    assert after_look(HOUR, "n", NOW, []) == jittered(HOUR, "n")
    assert after_look(HOUR, "n", NOW, [NOW + 2 * HOUR]) == jittered(HOUR, "n")


def test_the_next_try_of_a_mapping_comes_before_the_interval() -> None:
    assert after_look(HOUR, "n", NOW, [NOW + 20 * MINUTE, NOW + 10 * MINUTE]) == 10 * MINUTE


def test_a_try_that_is_due_already_does_not_make_the_queue_spin() -> None:
    assert after_look(HOUR, "n", NOW, [NOW - HOUR]) == SECOND


def _after(disposition: Disposition, errors: int = 1, pause: timedelta = timedelta()) -> timedelta:
    return after_error(disposition, errors, HOUR, "n", retry_min=MINUTE, pause=pause)


def test_passing_errors_are_tried_again_with_backoff_up_to_the_interval() -> None:
    waits = [_after(Disposition.RETRY, errors) / jittered(MINUTE, "n", share=0.2) for errors in (1, 2, 3, 20)]

    assert waits == pytest.approx([1, 2, 4, 60])
    assert {_after(Disposition.RETRY, errors) <= 1.2 * HOUR for errors in (100, 10**9)} == {True}


def test_a_throttled_look_comes_back_when_the_server_said_not_all_at_the_same_instant() -> None:
    assert _after(Disposition.WAIT, pause=30 * SECOND) == (30 + fraction_of("n")) * SECOND
    assert _after(Disposition.WAIT) == (1 + fraction_of("n")) * SECOND


@pytest.mark.parametrize("disposition", [Disposition.SLOW, Disposition.STALL])
def test_what_somebody_has_to_mend_is_looked_at_at_the_interval(disposition: Disposition) -> None:
    assert _after(disposition, 7) == jittered(HOUR, "n")


def test_a_pass_may_take_as_long_as_its_last_job_and_all_its_mappings_and_no_longer() -> None:
    assert longest_pass(timedelta(minutes=160), 0) == timedelta(minutes=280)
    assert longest_pass(timedelta(hours=24), 10_000) == timedelta(hours=26, seconds=30_000)
