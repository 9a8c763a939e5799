"""When a schedule should run, and what is done about one that runs at another time."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from vault_autoupdate.decide.runbook_schedule import (
    SOONEST,
    Finding,
    Standing,
    Target,
    can_be_asked_for,
    declared_for,
    describe,
    differences,
    find_targets,
    is_same_zone,
    judge,
    next_start,
    not_accepted,
    runs_on_time,
)
from vault_autoupdate.decide.schedule import fraction_of
from vault_autoupdate.decide.schedule_writes import ScheduleWrites
from vault_autoupdate.model.arm_id import parse_automation_account_id
from vault_autoupdate.model.azure import RUNBOOK, ContainerMapping, Schedule, ScheduleLink
from vault_autoupdate.model.runbook_schedule import RunbookScheduleSpec, WallSchedule, Weekday

NOW = datetime(2026, 3, 27, 12, 0, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
NIGHTLY = WallSchedule(time(2, 30), "Europe/Berlin")
ACCOUNT = parse_automation_account_id(
    "/subscriptions/6f3b9f5e-8a3c-4c7e-9a53-0d1f6b2c7a10/resourceGroups/rg/providers"
    "/Microsoft.Automation/automationAccounts/aa"
)

zones = st.sampled_from(sorted(zone for zone in available_timezones() if zone[0].isupper() and zone != "Factory"))
times = st.times().map(lambda each: each.replace(second=0, microsecond=0))
days = st.frozensets(st.sampled_from(Weekday))
wall_schedules = st.builds(WallSchedule, times, zones, days)
moments = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - UTC is added


def spec(**fields: Any) -> RunbookScheduleSpec:
    return RunbookScheduleSpec.model_validate({"time": "02:30", "timeZone": "Europe/Berlin", **fields})


def moved(wanted: WallSchedule, now: datetime) -> Schedule:
    """A schedule as Azure shows it after it was moved."""
    week = frozenset(day.azure_name.casefold() for day in wanted.days)
    start = next_start(wanted, now).astimezone(UTC)
    return Schedule(
        "s",
        True,
        start=start,
        time_zone=wanted.time_zone,
        frequency="Week" if week else "Day",
        interval=1,
        week_days=week,
    )


# When it should run.


@given(wall_schedules, moments)
def test_the_first_run_is_the_next_one_that_the_clock_shows(wanted: WallSchedule, now: datetime) -> None:
    start = next_start(wanted, now)
    assert start.astimezone(UTC) >= now + SOONEST
    local = start.astimezone(UTC).astimezone(ZoneInfo(wanted.time_zone))
    assert (local.hour, local.minute, local.second) == (wanted.time.hour, wanted.time.minute, 0)
    assert not wanted.days or list(Weekday)[local.weekday()] in wanted.days
    assert start.utcoffset() == local.utcoffset(), "the instant counts: the offset is that of the day"
    if not wanted.days:
        assert start.astimezone(UTC) - now < timedelta(days=3), "a day that the clock skips is left out, no more"


@given(wall_schedules, moments)
def test_what_was_moved_runs_as_wanted_whatever_the_date(wanted: WallSchedule, now: datetime) -> None:
    assert differences(moved(wanted, now), wanted, now) == []


@given(wall_schedules, moments, st.integers(0, 5000))
def test_what_was_moved_is_as_wanted_for_ever(wanted: WallSchedule, now: datetime, later: int) -> None:
    assert differences(moved(wanted, now), wanted, now + timedelta(days=later)) == []


@given(wall_schedules, wall_schedules, moments)
def test_another_time_differs(wanted: WallSchedule, other: WallSchedule, now: datetime) -> None:
    assume(other.days != wanted.days or (other.time_zone == wanted.time_zone and other.time != wanted.time))
    assert differences(moved(other, now), wanted, now)


@pytest.mark.parametrize(
    ("now", "start"),
    [
        ("2026-03-28T00:00+00:00", "2026-03-28T02:30:00+01:00"),
        ("2026-03-28T12:00+00:00", "2026-03-30T02:30:00+02:00"),  # on the 29th the clock skips it
        ("2026-10-24T12:00+00:00", "2026-10-25T02:30:00+02:00"),  # it comes twice: the first
        ("2026-10-25T00:20+00:00", "2026-10-26T02:30:00+01:00"),  # the second is not taken for it
        ("2026-03-31T23:00+00:00", "2026-04-01T02:30:00+02:00"),
        ("2026-12-31T23:00+00:00", "2027-01-01T02:30:00+01:00"),
        ("2028-02-28T12:00+00:00", "2028-02-29T02:30:00+01:00"),
        ("2026-03-27T01:14+00:00", "2026-03-27T02:30:00+01:00"),  # 16 minutes ahead
        ("2026-03-27T01:16+00:00", "2026-03-28T02:30:00+01:00"),  # 14 minutes ahead
    ],
)
def test_the_nights_on_which_clocks_change_and_months_end(now: str, start: str) -> None:
    assert next_start(NIGHTLY, datetime.fromisoformat(now)).isoformat() == start


def test_a_weekly_schedule_begins_on_one_of_its_days() -> None:
    weekend = replace(NIGHTLY, days=frozenset({Weekday.SATURDAY, Weekday.SUNDAY}))
    assert next_start(weekend, NOW).isoformat() == "2026-03-28T02:30:00+01:00"
    sunday = replace(NIGHTLY, days=frozenset({Weekday.SUNDAY}))
    assert next_start(sunday, NOW).isoformat() == "2026-04-05T02:30:00+02:00", "the 29th has no 02:30"


# The spread.


@given(st.text(st.characters(codec="ascii"), min_size=1), times, st.integers(1, 24 * 60), days)
def test_a_share_of_the_spread_is_always_the_same_and_within_it(name: str, at: time, minutes: int, on: Any) -> None:
    fields: dict[str, Any] = {"days": tuple(on)} if on else {}
    declared = spec(time=f"{at:%H:%M}", spread=f"{minutes}m", **fields)
    wanted = declared_for(declared, name)
    assert wanted == declared_for(declared, name.upper()), "ARM does not keep letter case"
    begin, then = at.hour * 60 + at.minute, wanted.time.hour * 60 + wanted.time.minute
    past_midnight = then < begin
    assert 0 <= then + past_midnight * 24 * 60 - begin < minutes
    week = list(Weekday)
    assert wanted.days == {week[(day.number + past_midnight) % 7] for day in on}


def test_a_fleet_is_spread_evenly_over_the_hour() -> None:
    declared = spec(spread="1h")
    minutes = Counter(
        declared_for(declared, f"/subscriptions/s/mapping-{number}").time.minute for number in range(1200)
    )
    assert len(minutes) == 60
    assert max(minutes.values()) < 2 * 1200 / 60


def test_of_a_spread_that_is_no_whole_number_of_minutes_the_whole_ones_count() -> None:
    assert {declared_for(spec(spread="1m59s"), str(number)).time.minute for number in range(99)} == {30}


def test_without_a_spread_all_run_at_the_minute() -> None:
    assert {declared_for(spec(), name) for name in "abc"} == {NIGHTLY}


# Comparing.


def test_each_thing_that_is_about_time_is_compared() -> None:
    good = moved(NIGHTLY, NOW)
    assert good.start is not None
    for wrong, named in (
        ({"start": good.start + timedelta(minutes=1)}, "time"),
        ({"start": None}, "time"),
        ({"time_zone": "America/New_York"}, "time zone"),
        ({"time_zone": ""}, "time zone"),
        ({"frequency": "Week"}, "frequency"),
        ({"frequency": ""}, "frequency"),
        ({"interval": 2}, "interval"),
        ({"interval": None}, "interval"),
        ({"expiry": "2026-03-27T11:00:00+00:00"}, "expiry"),
    ):
        assert differences(replace(good, **wrong), NIGHTLY, NOW) == [named], wrong


def test_what_is_not_about_time_is_not_compared() -> None:
    good = moved(NIGHTLY, NOW)
    assert good.start is not None
    for alike in (
        {"description": "another"},
        {"start": good.start - timedelta(days=28)},  # the day before the clock changes, and long ago
        {"next_run": None},
        {"week_days": frozenset({"monday"})},  # of a daily one they may be left over
        {"expiry": "9999-12-31T23:59:59.9999999+00:00"},
        {"expiry": "2026-03-27T13:00:00+00:00"},
        {"enabled": None},
    ):
        assert differences(replace(good, **alike), NIGHTLY, NOW) == [], alike
    weekly = replace(NIGHTLY, days=frozenset({Weekday.SUNDAY}))
    assert differences(replace(moved(weekly, NOW), week_days=frozenset({"monday"})), weekly, NOW) == ["days"]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("UTC", "Etc/UTC", True),
        ("Europe/Berlin", "europe/berlin", True),
        ("Asia/Calcutta", "Asia/Kolkata", True),
        ("Europe/Berlin", "Europe/London", False),
        ("Europe/Berlin", "W. Europe Standard Time", False),
        ("Europe/Berlin", "", False),
        ("America/New_York", "America/Jamaica", False),  # the same in winter
    ],
)
def test_zones_are_the_same_where_their_clocks_are(one: str, other: str, same: bool) -> None:
    assert is_same_zone(one, other, 2026) is same
    assert is_same_zone(other, one, 2026) is same


def test_what_azure_says_after_a_change_has_to_be_right() -> None:
    before = replace(moved(NIGHTLY, NOW), enabled=True)
    assert not_accepted(before, before, NIGHTLY, NOW) == ""
    assert not_accepted(before, None, NIGHTLY, NOW) == "it is gone"
    assert not_accepted(before, replace(before, enabled=False), NIGHTLY, NOW) == "it is disabled since"
    unsaid = "Azure does not say any more whether it is enabled"
    assert not_accepted(before, replace(before, enabled=None), NIGHTLY, NOW) == unsaid
    elsewhere = replace(before, time_zone="UTC", interval=2)
    assert not_accepted(before, elsewhere, NIGHTLY, NOW) == (
        "its time zone, interval did not change: it runs every 2 days at 01:30 UTC"
    )
    late = datetime(2026, 3, 28, 9, tzinfo=UTC)
    assert not_accepted(before, replace(before, next_run=late), NIGHTLY, NOW) == (
        "Azure says that it runs next at 2026-03-28T09:00:00Z"
    )
    unknown = replace(before, enabled=None)
    assert not_accepted(unknown, unknown, NIGHTLY, NOW) == "", "it did not say so before either"


def test_no_next_run_is_no_proof_of_anything() -> None:
    assert runs_on_time(Schedule("s"), NIGHTLY)
    on_time = datetime(2026, 3, 28, 1, 30, tzinfo=UTC)
    assert runs_on_time(Schedule("s", next_run=on_time), NIGHTLY)
    assert not runs_on_time(Schedule("s", next_run=on_time), replace(NIGHTLY, days=frozenset({Weekday.MONDAY})))


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        (moved(NIGHTLY, NOW), "every day at 02:30 Europe/Berlin"),
        (
            moved(replace(NIGHTLY, days=frozenset({Weekday.SUNDAY, Weekday.SATURDAY})), NOW),
            "every week on SAT, SUN at 02:30 Europe/Berlin",
        ),
        (replace(moved(NIGHTLY, NOW), interval=3), "every 3 days at 02:30 Europe/Berlin"),
        (replace(moved(NIGHTLY, NOW), time_zone="UTC+08:00"), "every day at 01:30 UTC (in time zone UTC+08:00)"),
        (Schedule("s"), "every time at an unknown time"),
        (Schedule("s", frequency="Month", interval=2), "every 2 months at an unknown time"),
        (Schedule("s", interval=2), "every 2 times at an unknown time"),
        (Schedule("s", frequency="Week", week_days=frozenset({"monday"})), "every week on MON at an unknown time"),
        (Schedule("s", frequency="Day", week_days=frozenset({"monday"})), "every day at an unknown time"),
        (
            Schedule("s", frequency="Week", interval=2, start=NOW, week_days=frozenset({"friday", "monday"})),
            "every 2 weeks on MON, FRI at 12:00 UTC (in time zone not given)",
        ),
        (Schedule("s", frequency="x" * 300), f"every {'x' * 191}…"),
        (Schedule("s", frequency="x" * 300, start=NOW, time_zone="UTC"), f"every {'x' * 191}…"),
    ],
)
def test_a_schedule_is_told_in_words(schedule: Schedule, said: str) -> None:
    assert describe(schedule) == said


# Which schedules, and what is done.


def mapping(number: int, **fields: Any) -> ContainerMapping:
    values: dict[str, Any] = {
        "id": f"/subscriptions/s/mappings/{number}",
        "name": str(number),
        "state": "Paired",
        "instance_type": "A2A",
        "auto_update_status": "Enabled",
        "automation_account_id": ACCOUNT.text,
        "schedule_name": f"Schedule-{number}",
        "job_schedule_name": f"Job-{number}",
        **fields,
    }
    return ContainerMapping(**values)


def test_only_schedules_of_mappings_in_scope_are_meant() -> None:
    meant = [mapping(1), mapping(2, automation_account_id=ACCOUNT.text.upper())]
    others = [
        mapping(3, state="Pairing"),
        mapping(4, instance_type="InMageRcm"),
        mapping(5, auto_update_status="Disabled"),
        mapping(6, automation_account_id=f"{ACCOUNT.text}-other"),
        mapping(7, schedule_name=""),
        mapping(8),
    ]
    found = find_targets(spec(), [*others, *meant], ACCOUNT, {mapping(8).key})
    assert found == [
        Target(f"Schedule-{number}", meant[number - 1].path, frozenset({f"job-{number}"}), NIGHTLY) for number in (1, 2)
    ]


def test_a_mapping_that_names_a_schedule_and_no_job_schedule_is_meant_too() -> None:
    (target,) = find_targets(spec(), [mapping(1, job_schedule_name="")], ACCOUNT, ())
    assert target.job_schedules == frozenset()
    assert target.key == "schedule-1"


@pytest.mark.parametrize(
    ("links", "named"),
    [
        ({"b": "Zebra", "a": "Cleanup"}, "Cleanup, Zebra"),
        ({"a": "Cleanup", "b": "Cleanup"}, "Cleanup"),
        ({"a": ""}, "a runbook without a name"),
        ({"a": "x" * 300}, f"{'x' * 197}…"),
    ],
)
def test_all_that_a_schedule_starts_besides_is_named(links: dict[str, str], named: str) -> None:
    foreign = OWN | {key: ScheduleLink("schedule-1", runbook) for key, runbook in links.items()}
    assert judge(TARGET, MIDNIGHT, foreign, ScheduleWrites(), NOW) == Finding(
        TARGET,
        Standing.SHARED,
        "every day at 00:00 Etc/UTC",
        f"It starts {named} as well: give that a schedule of its own.",
    )


@pytest.mark.parametrize(
    ("at", "on", "expected"),
    [
        ("23:59", (Weekday.SUNDAY,), {Weekday.MONDAY}),
        ("23:59", (Weekday.MONDAY, Weekday.WEDNESDAY), {Weekday.TUESDAY, Weekday.THURSDAY}),
        ("00:00", (Weekday.SUNDAY,), {Weekday.SUNDAY}),
    ],
)
def test_where_a_share_leads_past_midnight_the_days_move_on(at: str, on: Any, expected: set[Weekday]) -> None:
    name = next(f"m{number}" for number in range(99) if 0.5 < fraction_of(f"m{number}") < 0.9)
    wanted = declared_for(spec(time=at, spread="4m", days=on), name)
    minutes = (
        {"23:59": time(0, 1), "00:00": time(0, 2)}
        if fraction_of(name) < 0.75
        else {"23:59": time(0, 2), "00:00": time(0, 3)}
    )
    assert (wanted.time, set(wanted.days)) == (minutes[at], expected)


def test_a_first_run_is_a_quarter_of_an_hour_ahead_at_least() -> None:
    at = WallSchedule(time(12, 15), "UTC")
    assert next_start(at, NOW) == NOW + SOONEST
    assert next_start(at, NOW + timedelta(seconds=1)) == NOW + SOONEST + timedelta(days=1)


def test_a_schedule_that_mappings_share_goes_by_the_first_of_them() -> None:
    shared = [mapping(number, schedule_name="Shared" if number % 2 else "SHARED") for number in range(4)]
    (target,) = find_targets(spec(spread="1h"), reversed(shared), ACCOUNT, ())
    assert target.wanted == declared_for(spec(spread="1h"), shared[0].key)
    assert target.job_schedules == {f"job-{number}" for number in range(4)}


TARGET = Target("Schedule-1", "f/c/1", frozenset({"job-1"}), NIGHTLY)
MIDNIGHT = moved(WallSchedule(time(0, 0), "Etc/UTC"), NOW)
OWN = {"job-1": ScheduleLink("schedule-1", "any name that it has here")}


def standing(schedule: Schedule | None, links: Any = OWN, writes: ScheduleWrites | None = None) -> Standing:
    return judge(TARGET, schedule, links, writes or ScheduleWrites(), NOW).standing


def test_the_first_rule_that_applies_says_where_a_schedule_stands() -> None:
    good = moved(NIGHTLY, NOW)
    assert standing(None) is Standing.MISSING
    assert standing(replace(good, enabled=False)) is Standing.DISABLED
    assert standing(good) is Standing.IN_SYNC
    assert standing(MIDNIGHT) is Standing.DIFFERS
    assert standing(MIDNIGHT, {}) is Standing.DIFFERS, "what binds it is for the account check to see"
    assert standing(MIDNIGHT, {"other": ScheduleLink("schedule-1", RUNBOOK.upper())}) is Standing.DIFFERS
    foreign = {**OWN, "other": ScheduleLink("schedule-1", "Cleanup")}
    assert standing(MIDNIGHT, foreign) is Standing.SHARED
    assert standing(good, foreign) is Standing.IN_SYNC, "nothing has to be written"
    assert standing(MIDNIGHT, {**OWN, "other": ScheduleLink("schedule-1", "")}) is Standing.SHARED
    writes = ScheduleWrites()
    for _ in range(2):
        writes.note(TARGET.name, TARGET.mapping, NOW)
    assert standing(MIDNIGHT, writes=writes) is Standing.KEEPS_CHANGING
    assert standing(good, writes=writes) is Standing.IN_SYNC


def test_wherever_a_schedule_stands_it_is_said_when_it_runs() -> None:
    good = moved(NIGHTLY, NOW)
    foreign = {**OWN, "other": ScheduleLink("schedule-1", "Cleanup")}
    written = ScheduleWrites()
    for _ in range(2):
        written.note(TARGET.name, TARGET.mapping, NOW)

    for schedule, links, writes in (
        (replace(good, enabled=False), OWN, ScheduleWrites()),
        (good, OWN, ScheduleWrites()),
        (MIDNIGHT, OWN, ScheduleWrites()),
        (MIDNIGHT, foreign, ScheduleWrites()),
        (MIDNIGHT, OWN, written),
    ):
        assert judge(TARGET, schedule, links, writes, NOW).was == describe(schedule)
    assert judge(TARGET, None, OWN, written, NOW).was == ""


def test_each_standing_that_somebody_has_to_act_on_says_what_to_do() -> None:
    def said(schedule: Schedule | None, links: Any = OWN, writes: ScheduleWrites | None = None) -> str:
        return judge(TARGET, schedule, links, writes or ScheduleWrites(), NOW).message

    good = moved(NIGHTLY, NOW)
    written = ScheduleWrites()
    for _ in range(2):
        written.note(TARGET.name, TARGET.mapping, NOW)
    assert said(None) == (
        "The Automation account does not have it. Setting auto-update of the mapping again makes it anew."
    )
    assert said(replace(good, enabled=False)) == (
        "It is disabled, and moving it might enable it: enable it in the portal."
    )
    assert said(MIDNIGHT, {**OWN, "other": ScheduleLink("schedule-1", "Cleanup")}) == (
        "It starts Cleanup as well: give that a schedule of its own."
    )
    assert said(MIDNIGHT, writes=written) == (
        "It was moved as often as is good for it within 24 hours, and runs at another time again. It is left alone "
        f"until {NOW + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}: the activity log of the Automation account says who "
        "changes it."
    )
    assert (said(good), said(MIDNIGHT)) == ("", "")
    foreign = {**OWN, "other": ScheduleLink("schedule-1", "Cleanup")}
    none = ScheduleWrites()
    for links, writes in ((OWN, none), (foreign, none), (OWN, written)):
        assert judge(TARGET, MIDNIGHT, links, writes, NOW).was == "every day at 00:00 Etc/UTC"
    assert judge(TARGET, None, OWN, none, NOW).was == ""


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a?b", "a#b", "a%2fb", "a\\b", "a\nb", 129 * "x"])
def test_a_name_that_leads_elsewhere_is_never_asked_for(name: str) -> None:
    assert not can_be_asked_for(name)
    assert can_be_asked_for("eastus-westeurope-24-hour-retention-policy_0b0ad8a9-0000-4000-8000-000000000000")
