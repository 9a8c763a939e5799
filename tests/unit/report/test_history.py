"""What a resource's past comes to over restarts: since when it is not Ready, and since when nobody knows anything."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.unit.builders import HOUR, MINUTE, NOW
from vault_autoupdate.report.history import ReadyHistory
from vault_autoupdate.report.values import format_time

LONG_AGO = NOW - 100 * HOUR
LOOKED = NOW - 10 * HOUR


def _status(ready: str, reason: str = "x", **more: Any) -> dict[str, Any]:
    condition = {"type": "Ready", "status": ready, "reason": reason, "lastTransitionTime": format_time(LOOKED)}
    return {"conditions": [condition], **more}


def test_of_a_vault_that_was_ready_the_last_look_went_well_whenever_that_was() -> None:
    status = _status("True", lastSuccessTime=format_time(LONG_AGO))
    assert ReadyHistory.first_seen(status, LONG_AGO, NOW).stale_since == NOW


@pytest.mark.parametrize("ready", ["False", "Unknown"])
def test_a_restart_does_not_make_an_old_look_younger(ready: str) -> None:
    status = _status(ready, lastSuccessTime=format_time(LOOKED))
    for restart in range(3):
        assert ReadyHistory.first_seen(status, LONG_AGO, NOW + restart * HOUR).stale_since == LOOKED


def test_where_no_look_has_ever_gone_well_nobody_knows_anything_since_the_resource_was_made() -> None:
    history = ReadyHistory.first_seen({}, LONG_AGO, NOW)
    assert history.last_success is None
    assert history.stale_since == LONG_AGO


@pytest.mark.parametrize("written", ["yesterday", 7, None])
def test_a_time_that_is_none_is_as_good_as_none(written: object) -> None:
    assert ReadyHistory.first_seen(_status("False", lastSuccessTime=written), LONG_AGO, NOW).stale_since == LONG_AGO


def test_a_look_counts_when_it_was_made_and_not_when_its_pass_ended() -> None:
    history = ReadyHistory.first_seen(_status("False"), LONG_AGO, NOW)
    history.looked_at(NOW, NOW + timedelta(seconds=5))
    history.looked_at(NOW, NOW + 2 * HOUR)  # the same pass, hours later
    assert history.last_success == NOW + timedelta(seconds=5)
    history.looked_at(NOW + 3 * HOUR, NOW + 3 * HOUR)
    assert history.last_success == NOW + 3 * HOUR


def test_nobody_waits_for_a_suspended_resource() -> None:
    assert ReadyHistory.first_seen(_status("Unknown", "Suspended"), LONG_AGO, NOW).not_ready_for(NOW) == 0.0


def test_it_is_told_since_when_a_resource_is_not_ready_whatever_it_is_instead() -> None:
    history = ReadyHistory.first_seen({}, NOW, NOW)
    failing = {"conditions": [{"type": "Ready", "status": "False", "reason": "X"}]}
    ready = {"conditions": [{"type": "Ready", "status": "True", "reason": "Compliant"}]}

    history.status_is(ready, NOW)
    assert history.not_ready_since is None
    history.status_is(failing, NOW + MINUTE)
    history.status_is({}, NOW + 2 * MINUTE)
    history.status_is(failing, NOW + 3 * MINUTE)
    assert history.not_ready_since == NOW + MINUTE
    assert history.not_ready_for(NOW + 3 * MINUTE) == 120


def test_a_resource_is_not_ready_since_its_condition_says_so_or_since_now() -> None:
    assert ReadyHistory.first_seen(_status("False"), LONG_AGO, NOW).not_ready_since == LOOKED
    assert ReadyHistory.first_seen({}, LONG_AGO, NOW).not_ready_since == NOW
    assert ReadyHistory.first_seen(_status("True"), LONG_AGO, NOW).not_ready_since is None
    other = {"type": "Stalled", "status": "True", "lastTransitionTime": format_time(LONG_AGO)}
    assert ReadyHistory.first_seen({"conditions": [other, "odd"]}, LONG_AGO, NOW).not_ready_since == NOW
    both = {"conditions": [other, *_status("False")["conditions"]]}
    assert ReadyHistory.first_seen(both, LONG_AGO, NOW).not_ready_since == LOOKED


def test_a_resource_that_nobody_tells_the_age_of_is_as_old_as_it_is_known() -> None:
    assert ReadyHistory.first_seen({}, None, NOW).known_since == NOW
    assert ReadyHistory.first_seen({}, LONG_AGO, NOW).known_since == LONG_AGO


def test_suspending_ends_the_wait_and_a_clock_that_went_back_makes_none() -> None:
    history = ReadyHistory.first_seen({}, NOW, NOW)
    assert history.not_ready_for(NOW - HOUR) == 0.0
    history.status_is(_status("Unknown", "Suspended"), NOW + HOUR)
    assert (history.not_ready_since, history.not_ready_for(NOW + 2 * HOUR)) == (None, 0.0)
