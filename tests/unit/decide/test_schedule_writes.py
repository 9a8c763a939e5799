"""How often a schedule may be moved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from vault_autoupdate.decide.schedule_claims import ScheduleClaims
from vault_autoupdate.decide.schedule_writes import MOST_OF_A_MAPPING, MOST_OF_A_SCHEDULE, WITHIN, ScheduleWrites

NOW = datetime(2026, 3, 27, 12, 0, tzinfo=UTC)
steps = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 900)), max_size=60)


@given(steps)
def test_no_schedule_is_written_more_than_twice_in_any_24_hours(wishes: list[tuple[str, int]]) -> None:
    writes, now, done = ScheduleWrites(), NOW, list[tuple[str, datetime]]()
    for name, minutes in wishes:
        now += timedelta(minutes=minutes)
        writes.forget_old(now)
        if writes.next_at(name, f"m-{name}", now) <= now:
            writes.note(name.upper(), f"m-{name}", now)
            done.append((name, now))
    for name, at in done:
        assert sum(each == name and at <= then < at + WITHIN for each, then in done) <= MOST_OF_A_SCHEDULE


@given(steps)
def test_what_next_at_promises_holds(wishes: list[tuple[str, int]]) -> None:
    writes, now = ScheduleWrites(), NOW
    for name, minutes in wishes:
        now += timedelta(minutes=minutes)
        writes.note(name, "m", now)
        free = writes.next_at(name, "m", now)
        assert writes.next_at(name, "m", free) == free


def test_a_mapping_whose_schedule_is_another_each_time_is_bounded_too() -> None:
    writes = ScheduleWrites()
    for number in range(MOST_OF_A_MAPPING):
        assert writes.next_at(f"s-{number}", "fabric/container/M", NOW) == NOW
        writes.note(f"s-{number}", "fabric/container/m", NOW)
    assert writes.next_at("s-new", "fabric/container/M", NOW) == NOW + WITHIN
    assert writes.next_at("s-new", "fabric/container/other", NOW) == NOW


def test_what_did_not_take_place_is_taken_back() -> None:
    writes = ScheduleWrites()
    writes.note("s", "m", NOW)
    writes.note("s", "m", NOW)
    writes.take_back("S")
    assert writes.next_at("s", "m", NOW) == NOW
    writes.take_back("s")
    writes.take_back("s")
    assert writes.known == {}
    hour = timedelta(hours=1)
    for number in range(3):
        writes.note("s", "m", NOW + number * hour)
    writes.take_back("s")
    assert [each.moments for each in writes.known.values()] == [(NOW, NOW + hour)], "the last one, and no other"


def test_what_the_status_had_no_room_for_counts_as_written() -> None:
    until = NOW + timedelta(hours=5)
    writes = ScheduleWrites(unknown_until=until)
    writes.note("known", "m", NOW)
    assert writes.next_at("unknown", "m", NOW) == until
    assert writes.next_at("known", "m", NOW) == NOW
    writes.forget_old(until)
    assert writes.next_at("unknown", "m", until) == until


def test_two_vaults_that_declare_differently_for_one_schedule_are_told_of_each_other() -> None:
    claims = ScheduleClaims()
    both = frozenset({"aa/s", "aa/t"})
    assert claims.claim("one", "at 01:00", both, NOW) == {}
    assert claims.claim("two", "at 02:00", frozenset({"aa/s"}), NOW) == {"aa/s": "at 01:00"}
    assert claims.claim("one", "at 01:00", both, NOW) == {"aa/s": "at 02:00"}
    assert claims.claim("one", "at 02:00", both, NOW) == {}, "they agree"
    assert claims.claim("three", "at 03:00", both, NOW + timedelta(hours=25)) == {}, "who has not been seen for a day"
    claims.forget("three")
    assert claims.claim("two", "at 02:00", both, NOW + timedelta(hours=25)) == {}
