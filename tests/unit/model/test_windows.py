"""Maintenance windows: when one is open, when the next one opens, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import HOUR, MINUTE
from tests.unit.strategies import HOSTILE_TEXTS, SLOW
from vault_autoupdate.model.durations import format_duration
from vault_autoupdate.model.windows import Window, WindowSchedule

BERLIN: Final = "Europe/Berlin"
DAY: Final = timedelta(days=1)


def _at(text: str, zone: str = "UTC", *, fold: int = 0) -> datetime:
    """The moment at which a clock in ``zone`` shows ``text``."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)


def _nightly(cron: str = "0 2 * * *", zone: str = BERLIN, duration: timedelta = 4 * HOUR) -> WindowSchedule:
    return WindowSchedule(cron, zone, duration)


def _shown(window: Window | None, zone: str = BERLIN) -> list[str]:
    """A window as clocks in ``zone`` show it."""
    assert window is not None
    assert window.opens_at.tzinfo is UTC
    assert window.closes_at.tzinfo is UTC
    return [f"{time.astimezone(ZoneInfo(zone)):%m-%d %H:%M}" for time in (window.opens_at, window.closes_at)]


def _openings(schedule: WindowSchedule, start: datetime, end: datetime) -> list[str]:
    found: list[str] = []
    while (window := schedule.following(start)) and window.opens_at < end:
        found.append(f"{window.opens_at.astimezone(ZoneInfo(schedule.time_zone)):%m-%d %H:%M%z}")
        start = window.opens_at
        assert len(found) < 50, "it goes on and on"
    return found


# A window.


def test_a_window_is_open_from_its_first_moment_to_just_before_its_last() -> None:
    window = Window(_at("2026-03-01T02:00"), _at("2026-03-01T06:00"))

    assert window.is_open(window.opens_at)
    assert window.is_open(window.closes_at - timedelta(microseconds=1))
    assert not window.is_open(window.opens_at - timedelta(microseconds=1))
    assert not window.is_open(window.closes_at)


def test_the_window_that_is_open_now_has_opened_at_its_time_in_its_zone() -> None:
    assert _shown(_nightly().current(_at("2026-07-10T03:15", BERLIN))) == ["07-10 02:00", "07-10 06:00"]
    assert _nightly().current(_at("2026-07-10T02:00", BERLIN)) == _nightly().current(_at("2026-07-10T05:59", BERLIN))


@pytest.mark.parametrize("time", ["01:59", "06:00", "12:00", "23:59"])
def test_outside_its_hours_no_window_is_open(time: str) -> None:
    assert _nightly().current(_at(f"2026-07-10T{time}", BERLIN)) is None


def test_the_next_window_is_the_one_after_that_which_is_open() -> None:
    assert _shown(_nightly().following(_at("2026-07-10T01:59", BERLIN))) == ["07-10 02:00", "07-10 06:00"]
    assert _shown(_nightly().following(_at("2026-07-10T02:00", BERLIN))) == ["07-11 02:00", "07-11 06:00"]
    assert _shown(_nightly().following(_at("2026-07-10T03:00", BERLIN))) == ["07-11 02:00", "07-11 06:00"]


def test_a_fraction_of_a_second_makes_no_difference() -> None:
    just_after = _at("2026-07-10T02:00", BERLIN) + timedelta(microseconds=1)
    just_before = _at("2026-07-10T02:00", BERLIN) - timedelta(microseconds=1)

    assert _shown(_nightly().current(just_after)) == ["07-10 02:00", "07-10 06:00"]
    assert _shown(_nightly().following(just_after)) == ["07-11 02:00", "07-11 06:00"]
    assert _nightly().current(just_before) is None
    assert _shown(_nightly().following(just_before)) == ["07-10 02:00", "07-10 06:00"]


def test_a_moment_may_be_told_in_any_zone() -> None:
    elsewhere = _at("2026-07-10T03:15", BERLIN).astimezone(ZoneInfo("Asia/Tokyo"))

    assert _shown(_nightly().current(elsewhere)) == ["07-10 02:00", "07-10 06:00"]
    assert _shown(_nightly().following(elsewhere)) == ["07-11 02:00", "07-11 06:00"]


def test_a_window_over_midnight_is_open_on_both_days() -> None:
    schedule = _nightly("0 22 * * FRI", duration=6 * HOUR)  # 2026-07-10 is a Friday

    for time in ("2026-07-10T22:00", "2026-07-10T23:59", "2026-07-11T00:00", "2026-07-11T03:59"):
        assert _shown(schedule.current(_at(time, BERLIN))) == ["07-10 22:00", "07-11 04:00"]
    for time in ("2026-07-10T21:59", "2026-07-11T04:00", "2026-07-11T23:00"):
        assert schedule.current(_at(time, BERLIN)) is None


def test_a_window_over_the_end_of_the_year_is_open_on_both_sides_of_it() -> None:
    schedule = _nightly("0 22 31 12 *", duration=8 * HOUR)

    assert _shown(schedule.current(_at("2027-01-01T05:00", BERLIN))) == ["12-31 22:00", "01-01 06:00"]


def test_the_last_day_of_each_month_can_be_named() -> None:
    schedule = _nightly("0 2 L * *", "UTC")

    found = _openings(schedule, _at("2028-01-01T00:00"), _at("2028-05-01T00:00"))

    assert found == ["01-31 02:00+0000", "02-29 02:00+0000", "03-31 02:00+0000", "04-30 02:00+0000"]


def test_a_day_that_a_month_does_not_have_is_left_out_of_it() -> None:
    found = _openings(_nightly("0 2 31 * *", "UTC"), _at("2026-01-01T00:00"), _at("2026-06-01T00:00"))

    assert found == ["01-31 02:00+0000", "03-31 02:00+0000", "05-31 02:00+0000"]


def test_a_window_of_every_leap_year_is_found_four_years_ahead_and_back() -> None:
    schedule = _nightly("0 2 29 2 *", "UTC")

    assert _shown(schedule.following(_at("2024-02-29T02:00")), "UTC") == ["02-29 02:00", "02-29 06:00"]
    assert schedule.following(_at("2024-02-29T02:00")) == schedule.following(_at("2028-02-29T01:00"))
    assert schedule.current(_at("2028-02-29T05:00")) == Window(_at("2028-02-29T02:00"), _at("2028-02-29T06:00"))
    assert schedule.current(_at("2027-03-01T05:00")) is None


def test_of_windows_that_overlap_the_one_that_opened_last_counts() -> None:
    schedule = _nightly("0 * * * *", "UTC", 3 * HOUR)

    assert schedule.current(_at("2026-07-10T12:59")) == Window(_at("2026-07-10T12:00"), _at("2026-07-10T15:00"))
    assert schedule.following(_at("2026-07-10T12:59")) == Window(_at("2026-07-10T13:00"), _at("2026-07-10T16:00"))


# Daylight saving time: in Berlin 2026 the clock skips 02:00 to 03:00 on March 29 and shows it twice on October 25.


def test_a_time_that_the_clock_skips_stands_for_the_moment_of_the_jump() -> None:
    schedule = _nightly("30 2 * * *")

    found = _openings(schedule, _at("2026-03-28T00:00", BERLIN), _at("2026-03-31T00:00", BERLIN))

    assert found == ["03-28 02:30+0100", "03-29 03:00+0200", "03-30 02:30+0200"]
    assert schedule.current(_at("2026-03-29T01:59", BERLIN)) is None
    assert _shown(schedule.current(_at("2026-03-29T03:00", BERLIN))) == ["03-29 03:00", "03-29 07:00"]


def test_times_that_the_clock_skips_together_open_one_window() -> None:
    found = _openings(_nightly("0,30 2,3 * * *"), _at("2026-03-29T00:00", BERLIN), _at("2026-03-30T00:00", BERLIN))

    assert found == ["03-29 03:00+0200", "03-29 03:30+0200"]


def test_a_time_that_comes_twice_opens_a_window_the_first_time_only() -> None:
    schedule = _nightly("30 2 * * *", duration=HOUR)

    found = _openings(schedule, _at("2026-10-24T00:00", BERLIN), _at("2026-10-27T00:00", BERLIN))

    assert found == ["10-24 02:30+0200", "10-25 02:30+0200", "10-26 02:30+0100"]
    assert schedule.current(_at("2026-10-25T02:45", BERLIN, fold=1)) is None


def test_an_hour_that_comes_twice_opens_one_window_of_an_hourly_schedule_and_one_that_is_skipped_none() -> None:
    hourly = _nightly("0 * * * *", duration=HOUR)

    autumn = _openings(hourly, _at("2026-10-25T00:30", BERLIN), _at("2026-10-25T04:30", BERLIN))
    spring = _openings(hourly, _at("2026-03-29T00:30", BERLIN), _at("2026-03-29T04:30", BERLIN))

    assert autumn == ["10-25 01:00+0200", "10-25 02:00+0200", "10-25 03:00+0100", "10-25 04:00+0100"]
    assert spring == ["03-29 01:00+0100", "03-29 03:00+0200", "03-29 04:00+0200"]
    assert hourly.current(_at("2026-10-25T02:59", BERLIN)) is not None
    assert hourly.current(_at("2026-10-25T02:00", BERLIN, fold=1)) is None


def test_a_window_is_still_open_when_the_clock_shows_the_time_before_it_opened_once_more() -> None:
    schedule = _nightly("30 2 * * *", duration=HOUR)

    window = schedule.current(_at("2026-10-25T02:10", BERLIN, fold=1))

    assert window == Window(_at("2026-10-25T02:30", BERLIN), _at("2026-10-25T02:30", BERLIN, fold=1))


def test_so_it_is_where_the_clock_is_behind_that_of_utc() -> None:
    schedule = _nightly("30 1 * * *", "America/New_York", duration=HOUR)
    opened = _at("2026-11-01T01:30", "America/New_York")

    window = schedule.current(_at("2026-11-01T01:10", "America/New_York", fold=1))

    assert window == Window(opened, opened + HOUR)


@pytest.mark.parametrize(("day", "closes"), [("2026-03-28", "06:00"), ("2026-03-29", "07:00"), ("2026-10-25", "05:00")])
def test_how_long_a_window_stays_open_is_real_time(day: str, closes: str) -> None:
    schedule = _nightly("0 1 * * *", duration=5 * HOUR)

    window = schedule.current(_at(f"{day}T01:30", BERLIN))

    assert window is not None
    assert window.closes_at - window.opens_at == 5 * HOUR
    assert _shown(window) == [f"{day[5:]} 01:00", f"{day[5:]} {closes}"]


def test_a_day_whose_midnight_the_clock_skips_has_its_window_all_the_same() -> None:
    found = _openings(
        _nightly("0 0 * * SUN", "America/Havana"), _at("2026-03-02T00:00"), _at("2026-03-16T00:00")
    )  # there the clock went from 2026-03-08 00:00 to 01:00

    assert found == ["03-08 01:00-0400", "03-15 00:00-0400"]


_ZONES: Final = st.sampled_from(
    [
        "UTC",
        BERLIN,
        "America/New_York",
        "America/Havana",  # changes at midnight
        "Africa/Cairo",  # so that 23:00 comes twice
        "Australia/Lord_Howe",  # by half an hour
        "Antarctica/Troll",  # by two hours
        "Asia/Kathmandu",
    ]
)
_HOURS: Final = st.sets(st.integers(0, 23), min_size=1, max_size=4)
_MINUTES: Final = st.sets(st.sampled_from([0, 1, 15, 30, 45, 59]), min_size=1)
_CHANGES: Final = st.sampled_from(
    [
        "2026-03-08T06:00", "2026-03-29T01:00", "2026-04-04T15:00", "2026-04-23T22:00", "2026-10-03T15:30",
        "2026-10-25T01:00", "2026-10-29T21:00", "2026-11-01T05:00", "2026-07-01T12:00",
    ]
).map(_at)  # fmt: skip
"""When a clock of one of the zones changes, about."""


def _first_shown(zone: str, start: datetime, end: datetime) -> list[tuple[datetime, set[tuple[int, int]]]]:
    """For each minute, the wall times (hour, minute) that the clock shows or passes for the first time."""
    latest = start.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    minutes = []
    moment = start
    while (moment := moment + MINUTE) <= end:
        shown = moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        passed = set()
        while latest < shown:
            latest += MINUTE
            passed.add((latest.hour, latest.minute))
        minutes.append((moment, passed))
    return minutes


@SLOW
@given(
    _ZONES,
    _CHANGES,
    st.integers(-10 * 60, 10 * 60),
    st.tuples(_HOURS, _MINUTES),
    st.integers(15, 24 * 60),
)
def test_windows_are_those_that_somebody_would_open_who_watches_the_clock_all_day(
    zone: str, change: datetime, offset: int, times_of_day: tuple[set[int], set[int]], duration: int
) -> None:
    now = change + offset * MINUTE
    hours, minutes = times_of_day
    times = {(hour, minute) for hour in hours for minute in minutes}
    schedule = WindowSchedule(
        f"{','.join(map(str, minutes))} {','.join(map(str, hours))} * * *", zone, duration * MINUTE
    )

    watched = _first_shown(zone, now - 28 * HOUR, now + 28 * HOUR)
    openings = [moment for moment, passed in watched if passed & times]
    last = max((moment for moment in openings if moment <= now), default=None)
    current = Window(last, last + duration * MINUTE) if last and now < last + duration * MINUTE else None

    assert schedule.current(now) == current
    following = schedule.following(now)
    assert following is not None
    assert following.opens_at == min(moment for moment in openings if moment > now)


@given(_ZONES, st.datetimes(datetime(2000, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - hypothesis wants them naive
def test_the_window_that_follows_is_the_current_one_when_it_opens(zone: str, now: datetime) -> None:
    schedule = WindowSchedule("30 1,2 * * MON-FRI", zone, HOUR)

    following = schedule.following(now)

    assert following is not None
    assert following.opens_at > now
    assert schedule.current(following.opens_at) == following
    assert schedule.current(following.closes_at - timedelta(microseconds=1)) is not None
    before = schedule.following(following.opens_at - timedelta(microseconds=1))
    assert before == following


# What is refused, and what to write instead.


@pytest.mark.parametrize(
    "cron",
    [
        "0 2 * * SAT",
        "*/15 0-6 * * *",
        "0 2 1,15 * *",
        "0 2 L * *",
        "0 2 * JAN-MAR 1-5",
        "0 2 * * MON#2",
        "59 23 31 12 7",
    ],
)
def test_usual_schedules_are_taken(cron: str) -> None:
    _nightly(cron).check()

    assert _nightly(cron).following(_at("2026-03-01T12:00")) is not None


@pytest.mark.parametrize("cron", ["", "0 2 * *", "0 0 2 * * SAT", "@daily", "0 2 * * SAT 2026", "0 " * 60])
def test_a_schedule_of_other_than_five_fields_is_refused_with_what_to_write(cron: str) -> None:
    with pytest.raises(ValueError, match="fields") as refused:
        _nightly(cron).check()

    shown = cron.strip() if len(cron) <= 100 else f"{cron[:97]}…"
    assert str(refused.value) == (
        f"the schedule {shown!r} is not made of five fields: write minute, hour, day of month, month and day of week, "
        "for example 0 2 * * SAT for every Saturday at 02:00"
    )


def test_a_schedule_of_up_to_a_hundred_characters_is_read() -> None:
    hours = ",".join(str(hour) for hour in range(24))
    longest = f"0 {hours} * * ".ljust(99, " ") + "1"

    _nightly(longest).check()
    with pytest.raises(ValueError, match="fields"):
        _nightly(f" {longest}").check()


@pytest.mark.parametrize(
    ("cron", "field"),
    [
        ("60 2 * * *", "bad minute"),
        ("0 24 * * *", "bad hour"),
        ("0 2 0 * *", "bad day-of-month"),
        ("0 2 * 13 *", "bad month"),
        ("0 2 * * 8", "bad day-of-week"),
        ("0 2 * * SATURDAY", "bad day-of-week"),
        ("0 5-2 * * *", "bad hour"),
        ("*/0 2 * * *", "bad minute"),
        ("H 2 * * *", "bad minute"),
    ],
)
def test_a_field_that_cannot_be_read_is_named_with_what_may_stand_in_it(cron: str, field: str) -> None:
    with pytest.raises(ValueError, match=rf"cannot be read \({field}\): write minute \(0-59\), hour \(0-23\)"):
        _nightly(cron).check()


@pytest.mark.parametrize("cron", ["0 2 30 2 *", "0 2 31 4,6,9,11 *", "0 2 LW * */7"])
def test_a_schedule_that_never_comes_is_refused(cron: str) -> None:
    with pytest.raises(ValueError, match="days that there are"):
        _nightly(cron).check()


def test_an_unchecked_schedule_that_never_comes_has_no_windows() -> None:
    never = _nightly("0 2 LW * */7")  # the last weekday of a month, when it is a Sunday

    assert never.following(_at("2026-03-01T12:00")) is None
    assert never.current(_at("2026-03-01T12:00")) is None


@pytest.mark.parametrize("zone", [BERLIN, "UTC", "Etc/GMT+5", "America/Argentina/Buenos_Aires", "CET", "GMT"])
def test_names_of_the_time_zone_database_are_taken(zone: str) -> None:
    _nightly(zone=zone).check()


@pytest.mark.parametrize(
    "zone",
    [
        "", "Berlin", "Europe/Atlantis", "Europe", "+01:00", "../../../etc/passwd", "/etc/localtime", "localtime",
        "posixrules", "right/Europe/Berlin", "posix/UTC", "Europe/../UTC", "zone.tab", "Europe/Berlin\x00", "UTC\n",
        "E" * 65, "É",
    ],
)  # fmt: skip
def test_what_is_no_name_of_a_time_zone_is_refused_with_what_to_write(zone: str) -> None:
    schedule, refusal = _nightly(zone=zone), r"is not a time zone: write a name .* like Europe/Berlin"

    with pytest.raises(ValueError, match=refusal):
        schedule.check()
    for use in (schedule.current, schedule.following):
        with pytest.raises(ValueError, match=refusal):
            use(_at("2026-03-01T12:00"))


@pytest.mark.parametrize(
    ("zone", "shown"),
    [("Berlin", "'Berlin'"), ("E" * 64, f"'{'E' * 64}'"), ("E" * 65, f"'{'E' * 61}…'"), ("a\nb", "'a b'")],
)
def test_what_is_no_name_of_a_time_zone_is_shown_in_one_line_of_bounded_length(zone: str, shown: str) -> None:
    with pytest.raises(ValueError, match="is not a time zone") as refused:
        _nightly(zone=zone).check()

    assert str(refused.value) == (
        f"{shown} is not a time zone: write a name from the IANA time zone database, like Europe/Berlin, "
        "America/New_York or UTC"
    )


def test_all_that_may_stand_in_a_schedule_is_told_with_what_cannot_be_read() -> None:
    with pytest.raises(ValueError, match="cannot be read") as refused:
        _nightly("60 2 * * *").check()

    assert str(refused.value) == (
        "the schedule '60 2 * * *' cannot be read (bad minute): write minute (0-59), hour (0-23), day of month (1-31 "
        "or L), month (1-12 or JAN-DEC) and day of week (0-7 or SUN-SAT), as *, 5, 1-5, 1,15 or */2, and only days "
        "that there are; for example 0 2 * * SAT"
    )
    with pytest.raises(ValueError, match="never comes") as refused:
        _nightly("0 2 LW * */7").check()
    assert str(refused.value) == (
        "the schedule '0 2 LW * */7' never comes: write days that there are, for example 0 2 L * *"
    )


@pytest.mark.parametrize("duration", [timedelta(), 15 * MINUTE - timedelta(seconds=1), DAY + timedelta(seconds=1)])
def test_a_duration_out_of_bounds_is_refused_with_the_bounds(duration: timedelta) -> None:
    with pytest.raises(ValueError, match="out of bounds") as refused:
        _nightly(duration=duration).check()

    assert str(refused.value) == (
        f"a window of {format_duration(duration)} is out of bounds: write a duration of at least 15m and at most 24h"
    )


@pytest.mark.parametrize("duration", [15 * MINUTE, DAY])
def test_durations_at_their_bounds_are_taken(duration: timedelta) -> None:
    _nightly(duration=duration).check()


_FIELDS: Final = st.text("0123456789*/,-#LWSUNMOABRFGT ", max_size=24)


@given(HOSTILE_TEXTS | st.lists(_FIELDS, min_size=5, max_size=5).map(" ".join), HOSTILE_TEXTS | _ZONES)
def test_whatever_is_written_is_refused_in_words_of_bounded_length_or_can_be_used(cron: str, zone: str) -> None:
    schedule = WindowSchedule(cron, zone, HOUR)
    refused = ""
    try:
        schedule.check()
    except ValueError as error:
        refused = str(error)
    if refused:
        assert len(refused) < 800
        assert refused.isprintable()
        assert "write" in refused
        return
    now = _at("2026-03-01T12:00")
    following, current = schedule.following(now), schedule.current(now)
    assert following is None or following.opens_at > now
    assert current is None or current.is_open(now)
