"""Which transitions become Events: news at once, repetitions rarely, and everything is counted."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from vault_autoupdate.report.events import BURST, EventAggregator
from vault_autoupdate.report.readiness import Readiness

START = datetime(2026, 3, 1, tzinfo=UTC)
PROGRESSING = Readiness("False", "Progressing", "", reconciling=True)
FAILED = Readiness("False", "MappingsFailed", "", reconciling=True)
COMPLIANT = Readiness("True", "Compliant", "")


class Story:
    """What happens to resources, and what is told of them."""

    def __init__(self) -> None:
        self.announcements = EventAggregator()
        self.now = START
        self.was_ready: set[str] = set()
        self.told: list[tuple[str, int]] = []
        self.times: list[datetime] = []
        self.uids: list[str] = []

    def comes_to(self, readiness: Readiness, after: timedelta = timedelta(seconds=30), *, uid: str = "uid") -> None:
        self.now += after
        news = self.announcements.consider(uid, readiness, self.now, was_ready=uid in self.was_ready)
        (self.was_ready.add if readiness.ready == "True" else self.was_ready.discard)(uid)
        if news:
            self.told.append((readiness.reason, news.count))
            self.times.append(self.now)
            self.uids.append(uid)


def test_a_run_that_ends_well_is_told_at_its_beginning_and_end() -> None:
    story = Story()
    story.comes_to(PROGRESSING)
    story.comes_to(COMPLIANT)
    assert story.told == [("Progressing", 1), ("Compliant", 1)]


def test_a_vault_of_5000_whose_mappings_fail_again_and_again_for_a_day_gives_a_handful() -> None:
    story = Story()
    story.comes_to(PROGRESSING)
    for _ in range(1440):  # its 5,000 mappings are due at different times, so it comes to this every minute
        story.comes_to(FAILED)
        story.comes_to(PROGRESSING)
    reasons = [reason for reason, _ in story.told]
    assert reasons[0] == "Progressing"
    assert set(reasons[1:]) == {"MappingsFailed"}
    assert len(reasons) <= 10
    assert sum(count for reason, count in story.told if reason == "MappingsFailed") > 900, "the others are counted"


def test_that_it_is_right_again_is_told_at_once_after_many_failures() -> None:
    story = Story()
    for _ in range(50):
        story.comes_to(FAILED)
        story.comes_to(PROGRESSING)
    story.comes_to(COMPLIANT)
    assert story.told[-1] == ("Compliant", 1)


def test_drift_that_is_mended_every_hour_is_told_each_time() -> None:
    story = Story()
    story.comes_to(COMPLIANT)
    for _ in range(24):
        story.comes_to(PROGRESSING, timedelta(hours=1))
        story.comes_to(COMPLIANT)
    assert len(story.told) == 1 + 2 * 24


def test_what_goes_back_and_forth_every_second_does_not_flood() -> None:
    story = Story()
    for _ in range(300):
        story.comes_to(PROGRESSING, timedelta(seconds=1))
        story.comes_to(COMPLIANT, timedelta(seconds=1))
    assert len(story.told) <= BURST + 6


def test_each_resource_is_told_of_by_itself() -> None:
    announcements = EventAggregator()
    assert announcements.consider("a", FAILED, START, was_ready=False)
    assert announcements.consider("b", FAILED, START, was_ready=False)
    assert not announcements.consider("a", FAILED, START + timedelta(minutes=1), was_ready=False)


def test_a_repetition_is_told_after_ten_minutes_and_then_after_twice_as_long_each_time_up_to_six_hours() -> None:
    story, began = Story(), START
    for _ in range(24 * 60 + 1):
        story.comes_to(FAILED, timedelta(minutes=1))
    minutes = [(at - began) / timedelta(minutes=1) - 1 for at in story.times]

    assert minutes == [0, 10, 30, 70, 150, 310, 630, 990, 1350]
    assert [count for _, count in story.told] == [1, 10, 20, 40, 80, 160, 320, 360, 360]


def test_another_reason_begins_with_a_short_pause_again() -> None:
    story = Story()
    for _ in range(100):
        story.comes_to(FAILED, timedelta(minutes=1))
    story.comes_to(COMPLIANT)
    before = len(story.told)
    story.comes_to(COMPLIANT, timedelta(minutes=10))

    assert len(story.told) == before + 1


def test_ten_reasons_in_a_row_are_told_at_once_and_then_one_every_two_minutes() -> None:
    story = Story()
    for number in range(30):
        story.comes_to((FAILED, COMPLIANT)[number % 2], timedelta())
    assert len(story.told) == BURST

    for expected in (1, 2, 3):
        story.comes_to((FAILED, COMPLIANT)[expected % 2], timedelta(minutes=2))
        story.comes_to((COMPLIANT, FAILED)[expected % 2], timedelta())
        assert len(story.told) == BURST + expected


def test_of_very_many_objects_the_one_that_was_told_about_longest_ago_is_forgotten() -> None:
    story = Story()
    for number in range(20_000):
        story.comes_to(FAILED, timedelta(), uid=str(number))
    story.comes_to(FAILED, timedelta(), uid="0")
    assert len(story.told) == 20_000, "all of them are remembered"

    story.comes_to(FAILED, timedelta(), uid="one more")
    for uid in ("one more", "1", "0"):
        story.comes_to(FAILED, timedelta(), uid=uid)
    assert story.uids[20_000:] == ["one more", "0"]


# Whatever a resource goes through.

_REASONS = st.sampled_from([PROGRESSING, FAILED, COMPLIANT, Readiness("Unknown", "Throttled", "")])
_AFTER = st.sampled_from([timedelta(), timedelta(seconds=1), timedelta(minutes=3), timedelta(hours=1)])
_STORIES = st.lists(st.tuples(_REASONS, _AFTER), min_size=1, max_size=80)


def _story(steps: list[tuple[Readiness, timedelta]]) -> Story:
    story = Story()
    for readiness, after in steps:
        story.comes_to(readiness, after)
    return story


@given(_STORIES)
def test_in_no_stretch_of_time_is_more_told_than_a_burst_and_one_for_every_two_minutes(
    steps: list[tuple[Readiness, timedelta]],
) -> None:
    times = _story(steps).times

    for first, begins in enumerate(times):
        for last, ends in enumerate(times[first:], first):
            assert last - first + 1 <= BURST + (ends - begins) / timedelta(minutes=2) + 1e-6


@given(_STORIES)
def test_the_first_thing_is_told_and_nothing_is_counted_that_was_not_or_twice(
    steps: list[tuple[Readiness, timedelta]],
) -> None:
    story = _story(steps)
    happened, counted = Counter(readiness.reason for readiness, _ in steps), Counter[str]()
    for reason, count in story.told:
        assert count >= 1
        counted[reason] += count

    assert story.told[0] == (steps[0][0].reason, 1)
    assert counted <= happened


@given(_STORIES, _REASONS)
def test_after_half_a_day_of_quiet_anything_but_further_work_is_told(
    steps: list[tuple[Readiness, timedelta]], readiness: Readiness
) -> None:
    story = _story(steps)
    before = len(story.told)
    story.comes_to(readiness, timedelta(hours=12))

    assert len(story.told) == before + (readiness is not PROGRESSING or steps[-1][0] is COMPLIANT)


@given(st.lists(st.tuples(st.sampled_from("ab"), _REASONS, _AFTER), max_size=40))
def test_what_is_told_of_one_resource_does_not_depend_on_others(steps: list[tuple[str, Readiness, timedelta]]) -> None:
    together, alone = Story(), Story()
    for uid, readiness, after in steps:
        together.comes_to(readiness, after, uid=uid)
        if uid == "a":
            alone.now = together.now
            alone.comes_to(readiness, timedelta(), uid=uid)

    assert [told for told, uid in zip(together.told, together.uids, strict=True) if uid == "a"] == alone.told
