"""Events: of transitions only, aggregated, with the reason of the condition, and never one for each mapping."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.monitored import Monitored
from vault_autoupdate.announcements import BURST, Announcements
from vault_autoupdate.situation import Situation

START = datetime(2026, 3, 1, tzinfo=UTC)
PROGRESSING = Situation("False", "Progressing", "", reconciling=True)
FAILED = Situation("False", "MappingsFailed", "", reconciling=True)
COMPLIANT = Situation("True", "Compliant", "")


class Story:
    """What happens to one resource, and what is told of it."""

    def __init__(self) -> None:
        self.announcements = Announcements()
        self.now = START
        self.before = Situation("Unknown", "", "")
        self.told: list[tuple[str, int]] = []

    def comes_to(self, situation: Situation, after: timedelta = timedelta(seconds=30)) -> None:
        self.now += after
        news = self.announcements.consider("uid", situation, self.now, was_ready=self.before.ready == "True")
        self.before = situation
        if news:
            self.told.append((situation.reason, news.count))


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
    announcements = Announcements()
    assert announcements.consider("a", FAILED, START, was_ready=False)
    assert announcements.consider("b", FAILED, START, was_ready=False)
    assert not announcements.consider("a", FAILED, START + timedelta(minutes=1), was_ready=False)


def events_of(scenario: Monitored) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = scenario.api.rest.request("GET", "/apis/events.k8s.io/v1/namespaces/default/events")[
        "items"
    ]
    return items


@pytest.mark.parametrize(("name", "most"), [("dr-weu", 16), ("unwell", 4), ("forbidden", 4), ("left-behind", 4)])
def test_the_scenario_gives_few_events_of_each_resource(scenario: Monitored, name: str, most: int) -> None:
    mine = [event for event in events_of(scenario) if event["regarding"]["name"] == name]
    assert 1 <= len(mine) <= most, [(event["reason"], event["note"]) for event in mine]


def test_every_event_has_a_reason_that_the_condition_had_and_names_its_resource(scenario: Monitored) -> None:
    events = events_of(scenario)
    reasons = {event["reason"] for event in events}
    assert {"Progressing", "Compliant", "MappingsFailed", "AuthorizationFailed"} <= reasons
    for event in events:
        assert event["type"] == ("Warning" if event["reason"] not in {"Progressing", "Compliant"} else "Normal")
        assert event["reportingController"] == "asr.vault-autoupdate.io/vault-autoupdate"
        assert event["regarding"]["kind"] == "VaultAutoUpdate"
        assert event["regarding"]["uid"]
        assert event["note"]
