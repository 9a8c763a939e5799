"""When to look again at what an earlier process has looked at, and from when on a look is old."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.unit.builders import NOW
from vault_autoupdate.decide.look import NOTED_WITHIN, Look, next_after_restart, old_after
from vault_autoupdate.model.explanation import Explanation

HOUR = timedelta(hours=1)
INTERVAL = 6 * HOUR


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_after_a_restart_looks_are_spread_over_the_interval(share: float) -> None:
    for at in (None, NOW, NOW - NOTED_WITHIN):
        assert next_after_restart(at, INTERVAL, share, NOW) == NOW + share * INTERVAL


def test_a_process_that_is_restarted_again_and_again_comes_to_each_of_them_all_the_same() -> None:
    looked, now = NOW, NOW
    for _ in range(10):  # none of them lives for the five hours and 24 minutes that it would take
        due = next_after_restart(looked, INTERVAL, 0.9, now)
        if due <= now + 5 * HOUR:
            return
        now += 5 * HOUR
    pytest.fail("nobody would ever look")


def test_what_is_late_for_certain_is_looked_at_at_once() -> None:
    assert next_after_restart(NOW - 31 * HOUR, INTERVAL, 0.9, NOW) == NOW


def test_two_looks_may_fail_and_the_status_may_be_a_day_behind() -> None:
    assert old_after(INTERVAL) == 42 * HOUR


def test_a_look_that_cannot_be_made_leaves_nothing_known_but_why() -> None:
    look, why = Look[str](), Explanation("X", "It is refused.")

    look.found("report", NOW, NOW + HOUR)
    assert look == Look("report", None, seen=True, due=NOW + HOUR, at=NOW)
    look.failed(why, NOW + 2 * HOUR)
    assert look == Look(None, why, seen=True, due=NOW + 2 * HOUR, at=None)
    look.found("report", NOW, NOW)
    assert look.problem is None
    look.forget()
    assert look == Look()
