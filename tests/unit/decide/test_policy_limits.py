"""How much a policy may change at once."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.unit.builders import NOW
from tests.unit.decide.policy_builders import ago, policy_of
from vault_autoupdate.decide.policy_limits import (
    DAY,
    Gate,
    Tally,
    change_gate,
    change_room,
    creation_room,
    plan_hash,
    removal_gate,
)
from vault_autoupdate.model.policy import Limits

SECOND = timedelta(seconds=1)


def limits(**fields: Any) -> Limits:
    return policy_of(limits=fields).spec.limits


@pytest.mark.parametrize(
    ("latest", "now_is_in", "count"),
    [(NOW, DAY - SECOND, 3), (NOW, DAY, 0), (NOW, timedelta(), 3), (None, timedelta(), 0)],
)
def test_what_was_done_counts_until_a_whole_window_has_gone_by_without_anything(
    latest: datetime | None, now_is_in: timedelta, count: int
) -> None:
    assert Tally(latest, 3 if latest else 0).at(NOW + now_is_in, DAY).count == count


@pytest.mark.parametrize(
    ("leaving", "proved", "done", "approved", "is_open"),
    [
        (0, 0, 0, False, True),
        (2, 2, 0, False, True),
        (3, 2, 0, False, False),  # a selection that has shrunk that much may be wrong
        (2, 3, 0, False, False),
        (1, 1, 1, False, True),
        (2, 2, 1, False, False),
        (3, 1, 0, True, True),
        (3, 0, 0, True, False),  # an approval of nothing opens nothing
    ],
)
def test_removals_fit_in_the_share_of_what_the_policy_has(
    leaving: int, proved: int, done: int, *, approved: bool, is_open: bool
) -> None:
    gate = removal_gate(
        limits(maxRemovals="20%"),
        managed=10,
        leaving=leaving,
        proved=proved,
        done=Tally(ago(hours=23), done),
        approved=approved,
        now=NOW,
    )
    assert gate == Gate(is_open, approved, limit=2, wanted=proved)


@pytest.mark.parametrize(
    ("changes", "approved", "is_open"), [(0, False, True), (3, False, True), (4, False, False), (4, True, True)]
)
def test_changes_fit_in_an_hour_or_are_approved(changes: int, *, approved: bool, is_open: bool) -> None:
    gate = change_gate(limits(maxNewPerHour=3), changes=changes, approved=approved)
    assert gate == Gate(is_open, approved, limit=3, wanted=changes)


@pytest.mark.parametrize(
    ("gate", "done", "room"),
    [
        (Gate(is_open=True), Tally(), 3),
        (Gate(is_open=True), Tally(ago(minutes=59), 1), 2),
        (Gate(is_open=True), Tally(ago(minutes=59), 5), 0),
        (Gate(is_open=True), Tally(ago(minutes=60), 5), 3),
        (Gate(is_open=False), Tally(), 0),
        (Gate(is_open=True, approved=True, wanted=7), Tally(ago(minutes=1), 5), 7),
    ],
)
def test_there_is_room_for_what_the_hour_has_left_and_for_all_that_is_approved(
    gate: Gate, done: Tally, room: int
) -> None:
    assert change_room(limits(maxNewPerHour=3), gate, done, NOW) == room


@pytest.mark.parametrize(
    ("created", "on_the_way", "room"),
    [
        ([], 0, 3),
        ([], 2, 1),
        ([], 9, 0),
        ([ago(minutes=59)] * 2, 0, 2),
        ([ago(minutes=59)] * 9, 0, 0),
        ([ago(minutes=60)] * 9, 0, 3),
    ],
)
def test_new_ones_have_room_beside_those_on_the_way_and_those_of_the_hour(
    created: list[datetime], on_the_way: int, room: int
) -> None:
    fitting = limits(maxNew=3, maxNewPerHour=4)
    assert creation_room(fitting, created=created, on_the_way=on_the_way, now=NOW) == room


def test_the_name_of_a_plan_is_short_and_nothing_has_none() -> None:
    assert plan_hash([]) == ""
    assert re.fullmatch("[0-9a-f]{16}", plan_hash(["remove a", "remove b"]))
    assert len({plan_hash(steps) for steps in (["a", "b"], ["ab"], ["a"], ["b"])}) == 4
