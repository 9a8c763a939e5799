"""Updates of agents in windows: what opens one, who goes first, how many at once, and what stops it."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import HOUR, MINUTE, NOW, VAULT_ID
from tests.unit.strategies import HOSTILE_TEXTS, SLOW
from vault_autoupdate.decide.jobs import Operation, Verdict
from vault_autoupdate.decide.rollout import (
    MachineFailure,
    Phase,
    Rollout,
    RolloutDecision,
    decide,
    enter,
    forget_current,
    is_reboot_note,
    note_failure,
    note_refusal,
    note_start,
    note_success,
    refuse,
)
from vault_autoupdate.model.azure import Job, Machine
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.model.resource import RolloutRules
from vault_autoupdate.model.windows import Window, WindowSchedule

WHY: Final = Explanation("151137", "no root disk", "", "mend it")
NOON: Final = WindowSchedule("0 12 * * *", "UTC", 4 * HOUR)
"""Opens at `NOW`, which is a noon."""
NEVER_NOW: Final = WindowSchedule("0 3 * * *", "UTC", HOUR)
DAY: Final = timedelta(days=1)


def _id(name: str) -> str:
    return (
        f"{VAULT_ID}/replicationFabrics/eastus/replicationProtectionContainers/c/replicationProtectedItems/item-{name}"
    )


def _machine(name: str, **changes: Any) -> Machine:
    """A machine whose agent is to be updated."""
    behind: dict[str, Any] = {"id": _id(name), "name": name, "update_required": True}
    return Machine(**(behind | changes))


def _machines(*names: str) -> list[Machine]:
    return [_machine(name) for name in names]


def _rules(schedule: WindowSchedule = NOON, **changes: Any) -> RolloutRules:
    return RolloutRules(schedule, **changes)


def _entered(rules: RolloutRules | None = None, *, now: datetime = NOW) -> Rollout:
    rollout = Rollout()
    assert enter(rollout, rules or _rules(), None, now)
    return rollout


def _decide(
    rollout: Rollout,
    machines: Iterable[Machine],
    *,
    now: datetime = NOW + MINUTE,
    audit: bool = False,
    running: Collection[str] = (),
    **rules: Any,
) -> RolloutDecision:
    return decide(rollout, _rules(**rules), list(machines), now=now, audit=audit, running=running)


def _start(rollout: Rollout, decision: RolloutDecision, now: datetime = NOW + MINUTE) -> None:
    for machine in decision.start:
        note_start(rollout, machine, f"job-{machine.name}", now)


def _fail(rollout: Rollout, name: str, now: datetime = NOW + 2 * MINUTE, verdict: Verdict = Verdict.FAILED) -> None:
    note_failure(rollout, rollout.updates[_id(name).casefold()], verdict, WHY, now)


def _succeed(rollout: Rollout, name: str, *, reboot: bool = False) -> None:
    note_success(rollout, _id(name).casefold(), reboot=reboot)


def _names(machines: Iterable[Machine | Operation]) -> str:
    return " ".join(each.name for each in machines)


def _counts(rollout: Rollout) -> tuple[int, int, int, int, int]:
    return rollout.started, rollout.succeeded, rollout.failed, rollout.timed_out, rollout.reboots


# What opens a window and what closes it.


def test_a_window_of_the_schedule_is_entered_once() -> None:
    rollout = Rollout()

    assert enter(rollout, _rules(), None, NOW)
    assert rollout.window == Window(NOW, NOW + 4 * HOUR)
    assert rollout.request is None
    assert not enter(rollout, _rules(), None, NOW + HOUR)
    assert rollout.window == Window(NOW, NOW + 4 * HOUR)


def test_outside_the_schedule_no_window_is_entered_and_the_last_one_stays_on_record() -> None:
    rollout = Rollout()

    assert not enter(rollout, _rules(), None, NOW - MINUTE)
    assert rollout.window is None
    assert enter(rollout, _rules(), None, NOW)
    rollout.succeeded = rollout.started = 3
    assert not enter(rollout, _rules(), None, NOW + 5 * HOUR)
    assert rollout.window == Window(NOW, NOW + 4 * HOUR)
    assert rollout.succeeded == 3


def test_the_window_of_the_next_day_begins_with_counts_of_nothing() -> None:
    rollout = _entered()
    _start(rollout, _decide(rollout, _machines("a", "b", "c", "d"), max_failures=9))
    _succeed(rollout, "a", reboot=True)
    _fail(rollout, "b")
    _fail(rollout, "c", verdict=Verdict.TIMED_OUT)
    _fail(rollout, "d")

    assert enter(rollout, _rules(), None, NOW + DAY)

    assert rollout.window == Window(NOW + DAY, NOW + DAY + 4 * HOUR)
    assert _counts(rollout) == (0, 0, 0, 0, 0)
    assert rollout.done == {}
    assert {failure.machine for failure in rollout.failures.values()} == {"b", "c", "d"}, "attempts are remembered"


def test_an_update_that_is_still_under_way_counts_in_the_new_window_as_well() -> None:
    rollout = _entered()
    _start(rollout, _decide(rollout, _machines("a", "b")))
    _succeed(rollout, "b")

    assert enter(rollout, _rules(), None, NOW + DAY)
    assert _counts(rollout) == (1, 0, 0, 0, 0)
    _fail(rollout, "a", NOW + DAY + MINUTE)

    assert _counts(rollout) == (1, 0, 1, 0, 0)
    assert _decide(rollout, _machines("a", "b"), now=NOW + DAY + MINUTE).phase is Phase.STOPPED


def test_a_new_value_of_the_annotation_opens_a_window_at_once_and_only_one() -> None:
    rollout, rules = Rollout(), _rules(NEVER_NOW)

    assert enter(rollout, rules, "please", NOW)
    assert rollout.window == Window(NOW, NOW + HOUR)
    assert (rollout.request, rollout.handled_request) == ("please", "please")
    assert not enter(rollout, rules, "please", NOW + MINUTE)
    assert not enter(rollout, rules, "please", NOW + HOUR)
    assert rollout.window == Window(NOW, NOW + HOUR)
    assert enter(rollout, rules, "again", NOW + 2 * HOUR)
    assert rollout.window == Window(NOW + 2 * HOUR, NOW + 3 * HOUR)


def test_a_requested_window_is_one_that_a_status_can_tell() -> None:
    rollout = Rollout()
    elsewhere = (NOW + timedelta(microseconds=7)).astimezone(tz=None)

    enter(rollout, _rules(), "now", elsewhere)

    assert rollout.window == Window(NOW, NOW + 4 * HOUR)
    assert rollout.window is not None
    assert rollout.window.opens_at.tzinfo is UTC


def test_taking_the_annotation_away_neither_opens_nor_closes_a_window() -> None:
    rollout, rules = Rollout(), _rules(NEVER_NOW)
    enter(rollout, rules, "please", NOW)

    assert not enter(rollout, rules, None, NOW + MINUTE)
    assert rollout.window == Window(NOW, NOW + HOUR)
    assert not enter(rollout, rules, "please", NOW + MINUTE), "the same value again is not a new one"


def test_a_requested_window_stays_open_whatever_the_schedule_says() -> None:
    rollout = Rollout()
    enter(rollout, _rules(NEVER_NOW), "please", NOW - 10 * MINUTE)

    assert not enter(rollout, _rules(NOON), "please", NOW)
    assert not enter(rollout, _rules(replace(NEVER_NOW, duration=15 * MINUTE)), "please", NOW + 20 * MINUTE)
    assert rollout.window == Window(NOW - 10 * MINUTE, NOW + 50 * MINUTE)
    assert enter(rollout, _rules(NOON), "please", NOW + 50 * MINUTE), "then the schedule's turn comes"
    assert rollout.window == Window(NOW, NOW + 4 * HOUR)
    assert rollout.request is None


def test_a_request_in_an_open_window_begins_another_so_that_a_stopped_rollout_goes_on() -> None:
    rollout = _entered()
    _start(rollout, _decide(rollout, _machines("a", "b"), max_concurrent=1))
    _fail(rollout, "a")
    assert _decide(rollout, _machines("a", "b")).phase is Phase.STOPPED

    assert enter(rollout, _rules(), "go on", NOW + HOUR)

    decision = _decide(rollout, _machines("a", "b"), now=NOW + HOUR)
    assert (decision.phase, _names(decision.start)) == (Phase.ROLLING, "b a")


def test_a_scheduled_window_closes_when_the_schedule_no_longer_has_it() -> None:
    rollout = _entered()
    rollout.started = rollout.succeeded = 2

    assert not enter(rollout, _rules(NEVER_NOW), None, NOW + HOUR)

    assert rollout.window == Window(NOW, NOW + HOUR)
    assert rollout.window is not None
    assert rollout.window.closes_at.tzinfo is UTC
    assert _decide(rollout, _machines("a"), now=NOW + HOUR).phase is Phase.CLOSED
    assert rollout.succeeded == 2


def test_a_scheduled_window_becomes_longer_or_shorter_with_its_schedule_and_keeps_its_counts() -> None:
    rollout = _entered()
    rollout.started = rollout.succeeded = 2

    for hours in (2, 8):
        assert not enter(rollout, _rules(replace(NOON, duration=hours * HOUR)), None, NOW + HOUR)
        assert rollout.window == Window(NOW, NOW + hours * HOUR)
    assert rollout.succeeded == 2


def test_a_window_that_was_closed_by_a_change_and_is_back_goes_on_with_its_counts() -> None:
    rollout = _entered()
    rollout.started = rollout.failed = 1
    enter(rollout, _rules(NEVER_NOW), None, NOW + HOUR)

    assert not enter(rollout, _rules(), None, NOW + 2 * HOUR)

    assert rollout.window == Window(NOW, NOW + 4 * HOUR)
    assert _decide(rollout, _machines("a"), now=NOW + 2 * HOUR).phase is Phase.STOPPED, "no way around maxFailures"


def test_a_window_that_follows_at_once_is_a_new_one() -> None:
    hourly = _rules(WindowSchedule("0 * * * *", "UTC", HOUR))
    rollout = _entered(hourly)

    assert enter(rollout, hourly, None, NOW + HOUR)
    assert rollout.window == Window(NOW + HOUR, NOW + 2 * HOUR)


# Who is updated.


@pytest.mark.parametrize(
    "changes",
    [
        {"update_required": False},
        {"update_required": None},
        {"upgrade_in_progress": True},
        {"reinstall_required": True},
    ],
)
def test_only_machines_that_an_update_helps_are_started(changes: dict[str, bool | None]) -> None:
    decision = _decide(_entered(), [_machine("a", **changes), _machine("b")], max_concurrent=50)

    assert _names(decision.start) == "b"
    assert decision.waiting == ()


@pytest.mark.parametrize("changes", [{"upgrade_in_progress": False}, {"reinstall_required": False}])
def test_machines_of_which_nothing_is_said_are_like_those_of_which_it_is_denied(changes: dict[str, bool]) -> None:
    assert _names(_decide(_entered(), [_machine("a", **changes), _machine("b")]).start) == "a b"


def test_how_many_are_left_out_because_they_need_another_cure_is_said() -> None:
    blocked = _machine("a", reinstall_required=True, blockers=(Explanation("1", message="no"),))

    for machines, phase in (([blocked], Phase.DONE), ([blocked, _machine("b")], Phase.ROLLING)):
        decision = _decide(_entered(), machines)
        assert decision.phase is phase
        assert decision.reason.endswith(" 1 machine left out: the agent has to be installed anew.")


def test_a_machine_that_was_updated_in_the_window_is_left_alone_though_the_report_is_older() -> None:
    rollout = _entered()
    _start(rollout, _decide(rollout, _machines("a")))
    _succeed(rollout, "a")

    decision = _decide(rollout, _machines("a"))

    assert decision == RolloutDecision(Phase.DONE, reason="Nothing is left to do in this window.")


def test_a_machine_is_tried_once_in_a_window_and_again_in_the_next() -> None:
    rollout = _entered()
    _start(rollout, _decide(rollout, _machines("a"), max_failures=9))
    _fail(rollout, "a")

    decision = _decide(rollout, _machines("a"), max_failures=9)
    assert (decision.phase, decision.start, decision.waiting) == (Phase.DONE, (), ())
    assert decision.reason == "Nothing is left to do in this window. 1 update failed."

    enter(rollout, _rules(), None, NOW + DAY)
    assert _names(_decide(rollout, _machines("a"), now=NOW + DAY).start) == "a"


def test_a_machine_that_a_job_is_at_work_on_is_not_started_takes_a_place_and_is_waited_for() -> None:
    machines = _machines("a", "b", "c")

    decision = _decide(_entered(), machines, running={machines[0].key}, max_concurrent=2)

    assert (_names(decision.start), _names(decision.waiting)) == ("b", "c")
    assert decision.reason == "2 updates under way. 1 machine waits for a place: maxConcurrent is 2."
    alone = _decide(_entered(), machines[:1], running={machines[0].key})
    assert (alone.phase, alone.reason) == (Phase.ROLLING, "1 update under way.")


def test_a_job_on_a_machine_that_needs_no_update_takes_no_place() -> None:
    current = _machine("z", update_required=False, upgrade_in_progress=True)

    decision = _decide(_entered(), [current, _machine("a")], running={current.key}, max_concurrent=1)

    assert _names(decision.start) == "a"


def test_a_machine_whose_update_is_ours_and_is_reported_as_upgrading_takes_one_place() -> None:
    rollout = _entered()
    _start(rollout, _decide(rollout, _machines("a")))
    upgrading = _machine("a", upgrade_in_progress=True)

    decision = _decide(rollout, [upgrading, _machine("b")], running={upgrading.key}, max_concurrent=2)

    assert _names(decision.start) == "b"


# In which order, and how many at once.


def test_machines_go_by_name_whatever_their_order_in_the_report() -> None:
    decision = _decide(_entered(), _machines("c", "B", "a"), max_concurrent=2)

    assert (decision.phase, _names(decision.start), _names(decision.waiting)) == (Phase.ROLLING, "a B", "c")


def test_of_two_machines_with_one_name_the_id_decides() -> None:
    twins = [_machine("a", id=_id("2")), _machine("A", id=_id("1"))]

    assert [each.id for each in _decide(_entered(), twins).start] == [_id("1"), _id("2")]


def test_no_more_than_max_concurrent_are_under_way_and_the_next_starts_when_one_ends() -> None:
    rollout, machines = _entered(), _machines("a", "b", "c", "d")
    _start(rollout, _decide(rollout, machines, max_concurrent=2))
    assert _names(rollout.updates.values()) == "a b"

    full = _decide(rollout, machines, max_concurrent=2)
    assert (_names(full.start), _names(full.waiting)) == ("", "c d")
    assert full.reason == "2 updates under way. 2 machines wait for a place: maxConcurrent is 2."
    _succeed(rollout, "a")
    assert _names(_decide(rollout, machines, max_concurrent=2).start) == "c"


def test_lowering_max_concurrent_below_what_is_under_way_starts_nothing_and_stops_nothing() -> None:
    rollout, machines = _entered(), _machines("a", "b", "c")
    _start(rollout, _decide(rollout, machines, max_concurrent=2))

    decision = _decide(rollout, machines, max_concurrent=1)

    assert (decision.phase, decision.start, _names(decision.waiting)) == (Phase.ROLLING, (), "c")


def test_groups_go_in_the_order_of_their_patterns_and_who_matches_none_goes_last() -> None:
    rollout, order = _entered(), ("canary-*", "test-?")
    machines = _machines("app", "test-1", "test-10", "canary-b", "Canary-A")
    started = []

    while (decision := _decide(rollout, machines, order=order)).phase is not Phase.DONE:
        started.append(_names(decision.start))
        _start(rollout, decision)
        for name in _names(decision.start).split():
            _succeed(rollout, name)

    assert started == ["Canary-A canary-b", "test-1", "app test-10"]


def test_a_group_waits_for_the_end_of_the_one_before_it() -> None:
    rollout, machines, order = _entered(), _machines("canary-a", "canary-b", "app"), ("canary-*",)
    _start(rollout, _decide(rollout, machines, order=order))
    _succeed(rollout, "canary-a")

    decision = _decide(rollout, machines, order=order)

    assert (decision.start, _names(decision.waiting)) == ((), "app")
    assert decision.reason == "1 update under way. 1 machine waits for the group before theirs to end."
    _succeed(rollout, "canary-b")
    assert _names(_decide(rollout, machines, order=order).start) == "app"


def test_a_group_waits_for_a_machine_of_the_one_before_it_that_somebody_else_updates() -> None:
    canary, app = _machines("canary", "app")

    for machines, running in (([canary, app], {canary.key}), ([replace(canary, upgrade_in_progress=True), app], set())):
        decision = _decide(_entered(), machines, running=running, order=("canary",))
        assert (decision.start, _names(decision.waiting)) == ((), "app")


def test_a_canary_that_fails_stops_the_rollout_before_anybody_else_is_touched() -> None:
    rollout, machines = _entered(), _machines("canary", "app")
    _start(rollout, _decide(rollout, machines, order=("canary",)))
    _fail(rollout, "canary")

    decision = _decide(rollout, machines, order=("canary",))

    assert (decision.phase, decision.start) == (Phase.STOPPED, ())


def test_a_machine_counts_in_the_first_group_that_it_matches() -> None:
    decision = _decide(_entered(), _machines("ab", "b", "a"), order=("b*", "*b", "*"))

    assert (_names(decision.start), _names(decision.waiting)) == ("b", "ab a")


@pytest.mark.parametrize(
    ("pattern", "first"),
    [
        ("*", "a1 a[1]"),
        ("a1", "a1"),
        ("A?", "a1"),
        ("*]", "a[1]"),
        ("a[1]", "a[1]"),
        ("a", "a1 a[1]"),
        ("[!x]1", "a1 a[1]"),
    ],
)
def test_patterns_know_the_star_and_the_question_mark_only(pattern: str, first: str) -> None:
    """Where none matches, all are in the last group together."""
    assert _names(_decide(_entered(), _machines("a1", "a[1]"), order=(pattern,)).start) == first


def test_a_machine_that_failed_before_goes_after_the_untried_ones_of_its_group() -> None:
    rollout, machines = _entered(), _machines("a", "b", "c", "z")
    for day in range(2):
        enter(rollout, _rules(), None, NOW + day * DAY)
        note_refusal(rollout, machines[0], WHY, NOW + day * DAY)
    note_refusal(rollout, machines[1], WHY, NOW + DAY)
    enter(rollout, _rules(), None, NOW + 2 * DAY)

    decision = _decide(rollout, machines, now=NOW + 2 * DAY, order=("a", "*"))
    assert (_names(decision.start), _names(decision.waiting)) == ("a", "c z b")
    assert _names(_decide(rollout, machines, now=NOW + 2 * DAY).start) == "c z b a", "who failed oftener goes last"


# What stops a rollout, and what holds it up.


def test_outside_a_window_nothing_starts_and_what_the_next_one_would_do_is_said() -> None:
    machines = _machines("b", "a")

    for rollout in (Rollout(), _entered()):
        decision = _decide(rollout, machines, now=NOW + 4 * HOUR)
        assert (decision.phase, decision.start, _names(decision.waiting)) == (Phase.CLOSED, (), "a b")
        assert decision.reason == "No window is open; 2 machines wait for the next one."


def test_the_next_window_would_try_again_what_has_failed_in_the_last() -> None:
    rollout = _entered()
    _start(rollout, _decide(rollout, _machines("a", "b"), max_failures=9))
    _fail(rollout, "a")
    _succeed(rollout, "b")

    assert _names(_decide(rollout, _machines("a", "b"), now=NOW + 4 * HOUR).waiting) == "a"


def test_a_window_that_ends_in_mid_rollout_starts_nothing_more_and_tracks_what_runs() -> None:
    rollout, machines = _entered(), _machines("a", "b", "c")
    _start(rollout, _decide(rollout, machines, max_concurrent=2))
    assert not enter(rollout, _rules(), None, NOW + 4 * HOUR)

    decision = _decide(rollout, machines, now=NOW + 4 * HOUR, max_concurrent=2)
    assert (decision.phase, decision.start, _names(decision.waiting)) == (Phase.CLOSED, (), "c")
    _succeed(rollout, "a")
    _fail(rollout, "b", NOW + 5 * HOUR)
    assert _counts(rollout) == (2, 1, 1, 0, 0)

    enter(rollout, _rules(), None, NOW + DAY)
    assert _names(_decide(rollout, [machines[1], machines[2]], now=NOW + DAY).start) == "c b"


def test_pause_starts_nothing_whether_a_window_is_open_or_not() -> None:
    for now in (NOW, NOW + 5 * HOUR):
        decision = _decide(_entered(), _machines("a"), now=now, pause=True)
        assert (decision.phase, decision.start, _names(decision.waiting)) == (Phase.PAUSED, (), "a")
        assert decision.reason == "1 machine waits; set spec.agentUpdates.pause to false to go on."


def test_audit_starts_nothing_and_says_who_would_be_updated_in_which_order() -> None:
    decision = _decide(_entered(), _machines("b", "a", "canary"), audit=True, order=("canary",))

    assert (decision.phase, decision.start, _names(decision.waiting)) == (Phase.AUDIT, (), "canary a b")
    assert decision.reason == "3 machines wait; mode Audit starts none. Set spec.mode to Enforce to update them."
    closed = _decide(_entered(), _machines("b", "a"), audit=True, now=NOW + 5 * HOUR)
    assert (closed.phase, _names(closed.waiting)) == (Phase.CLOSED, "a b")


@pytest.mark.parametrize("verdict", [Verdict.FAILED, Verdict.TIMED_OUT])
def test_at_max_failures_nothing_more_is_started_in_the_window(verdict: Verdict) -> None:
    rollout, machines = _entered(), _machines("a", "b", "c", "d")
    _start(rollout, _decide(rollout, machines, max_concurrent=3, max_failures=2))
    _fail(rollout, "a", verdict=verdict)
    assert _names(_decide(rollout, machines, max_concurrent=3, max_failures=2).start) == "d"
    _fail(rollout, "b", verdict=verdict)

    decision = _decide(rollout, machines, max_concurrent=3, max_failures=2)

    assert (decision.phase, decision.start, _names(decision.waiting)) == (Phase.STOPPED, (), "d a b")
    assert decision.reason == (
        "2 updates failed, and maxFailures is 2: nothing more is started in this window; 3 machines wait for the next "
        "one. Mend the cause; a new value of the annotation updateAgentsNow goes on at once."
    )
    assert set(rollout.updates) == {machines[2].key}, "the one under way is tracked on"
    enter(rollout, _rules(), None, NOW + DAY)
    assert _decide(rollout, machines, now=NOW + DAY).phase is Phase.ROLLING


def test_an_update_that_was_refused_counts_as_a_failure() -> None:
    rollout, machines = _entered(), _machines("a", "b")
    note_refusal(rollout, machines[0], WHY, NOW + MINUTE)

    assert _counts(rollout) == (1, 0, 1, 0, 0)
    assert rollout.failures == {machines[0].key: MachineFailure(_id("a"), "a", 1, NOW + MINUTE, WHY)}
    assert _decide(rollout, machines).phase is Phase.STOPPED


def test_when_nobody_needs_an_update_a_window_is_done_as_soon_as_it_opens() -> None:
    decision = _decide(_entered(), [_machine("a", update_required=False)])

    assert decision == RolloutDecision(Phase.DONE, reason="Nothing is left to do in this window.")


def test_a_window_is_not_done_while_an_update_is_under_way() -> None:
    rollout = _entered()
    _start(rollout, _decide(rollout, _machines("a")))

    decision = _decide(rollout, _machines("a"))

    assert (decision.phase, decision.start, decision.reason) == (Phase.ROLLING, (), "1 update under way.")


# What is remembered.


def test_an_update_under_way_is_remembered_with_its_job() -> None:
    rollout, machine = _entered(), _machine("A")
    note_start(rollout, machine, "job", NOW)
    note_start(rollout, machine, "job", NOW)

    assert rollout.updates == {machine.key: Operation(_id("A"), "job", NOW, name="A")}
    assert rollout.updates[machine.key].key == machine.key
    assert _counts(rollout) == (1, 0, 0, 0, 0)


def test_a_success_ends_the_row_of_failures_and_says_whether_a_reboot_is_due() -> None:
    rollout, machines = _entered(), _machines("a", "b")
    note_refusal(rollout, machines[0], WHY, NOW - DAY)
    enter(rollout, _rules(), None, NOW)
    _start(rollout, _decide(rollout, machines, max_failures=9))
    _succeed(rollout, "a", reboot=True)
    _succeed(rollout, "b")

    assert _counts(rollout) == (3, 2, 1, 0, 1)
    assert (rollout.failures, rollout.updates) == ({}, {})
    assert rollout.done == {machines[0].key: "a", machines[1].key: "b"}


def test_attempts_are_counted_in_a_row_over_windows_with_the_last_reason_and_job() -> None:
    rollout, machine = _entered(), _machine("a")
    note_refusal(rollout, machine, Explanation("Locked"), NOW)
    for day in (1, 2):
        enter(rollout, _rules(), None, NOW + day * DAY)
        note_start(rollout, machine, f"job-{day}", NOW + day * DAY)
        _fail(rollout, "a", NOW + day * DAY + MINUTE)

    assert rollout.failures[machine.key] == MachineFailure(_id("a"), "a", 3, NOW + 2 * DAY + MINUTE, WHY, "job-2")


def test_the_end_of_an_update_that_is_not_under_way_is_no_news() -> None:
    rollout = _entered()
    before = replace(rollout)

    note_success(rollout, "unknown", reboot=True)
    note_failure(rollout, Operation(_id("a"), "", NOW, name="a"), Verdict.FAILED, WHY, NOW)

    assert rollout == before
    assert rollout.failures == {}
    assert rollout.done == {}


def test_failures_and_successes_are_forgotten_once_a_report_shows_the_machine_current_or_gone() -> None:
    rollout, machines = _entered(), _machines("behind", "current", "gone", "unknown")
    for machine in machines:
        note_refusal(rollout, machine, WHY, NOW)
        rollout.done[machine.key] = machine.name
    report = [machines[0], replace(machines[1], update_required=False), replace(machines[3], update_required=None)]

    forget_current(rollout, report)

    assert {failure.machine for failure in rollout.failures.values()} == {"behind", "unknown"}
    assert set(rollout.done.values()) == {"behind", "unknown"}
    assert _counts(rollout) == (4, 0, 4, 0, 0), "what happened in the window is not undone"


@pytest.mark.parametrize(
    ("codes", "is_note"),
    [([], False), (["151083"], True), (["1", " 151083 "], True), (["151137"], False), (["1510830"], False)],
)
def test_a_job_that_is_done_but_for_a_reboot_is_known_by_its_code(codes: Sequence[str], is_note: bool) -> None:
    job = Job("job", "Failed", errors=tuple(Explanation(code) for code in codes))

    assert is_reboot_note(job) is is_note


# Whatever happens.

_NAMES: Final = [*(f"canary-{number}" for number in range(3)), *(f"app-{number}" for number in range(6)), "x", "y"]
_ORDER: Final = ("canary-*", "app-?")
_FLEETS: Final = st.lists(st.sampled_from(_NAMES), unique=True, max_size=11)
_RULES: Final = st.builds(
    RolloutRules,
    st.just(NOON),
    st.integers(1, 4),
    st.integers(1, 3),
    st.sampled_from([(), ("canary-*",), _ORDER]),
)


def _group(name: str, order: Sequence[str]) -> int:
    kind = name.split("-", maxsplit=1)[0]
    return next((number for number, pattern in enumerate(order) if pattern.startswith(f"{kind}-")), len(order))


def _restored(rollout: Rollout) -> Rollout:
    """As it comes back from a status, which tells whole seconds."""

    def told(time: datetime) -> datetime:
        return time.replace(microsecond=0)

    window = rollout.window
    return replace(
        rollout,
        window=window and Window(told(window.opens_at), told(window.closes_at)),
        updates={key: replace(each, started_at=told(each.started_at)) for key, each in rollout.updates.items()},
        failures={key: replace(each, last_at=told(each.last_at)) for key, each in rollout.failures.items()},
        done=dict(rollout.done),
    )


@dataclass
class _Vault:
    """A vault whose agents are updated, with everything going right or wrong by ``dice``."""

    dice: random.Random
    rules: RolloutRules
    machines: dict[str, Machine]
    rollout: Rollout = field(default_factory=Rollout)
    now: datetime = NOW - HOUR + timedelta(microseconds=700_000)
    pace: timedelta = 30 * MINUTE
    tried: list[str] = field(default_factory=list)
    """In the window: who was started, in order."""
    restarts: bool = False

    def step(self, *, audit: bool = False) -> RolloutDecision:
        """Some time goes by: updates end, a window opens or closes, others start."""
        self.now += self.pace
        for update in list(self.rollout.updates.values()):
            self._maybe_end(update)
        if enter(self.rollout, self.rules, None, self.now):
            self.tried = []
        if self.restarts:
            self.rollout = _restored(self.rollout)
        decision = decide(self.rollout, self.rules, self.listed(), now=self.now, audit=audit, running={})
        for machine in decision.start:
            self.tried.append(machine.name)
            if self.dice.random() < 0.1:
                note_refusal(self.rollout, machine, WHY, self.now)
            else:
                note_start(self.rollout, machine, "job", self.now)
        return decision

    def listed(self) -> list[Machine]:
        """The machines as a report may list them: in any order."""
        machines = list(self.machines.values())
        self.dice.shuffle(machines)
        return machines

    def _maybe_end(self, update: Operation) -> None:
        match self.dice.randrange(5):
            case 0 | 1:
                note_success(self.rollout, update.key, reboot=self.dice.random() < 0.5)
                if self.dice.random() < 0.8:  # else the report is late
                    self.machines[update.key] = replace(self.machines[update.key], update_required=False)
            case 2:
                note_failure(self.rollout, update, Verdict.FAILED, WHY, self.now)
            case 3:
                note_failure(self.rollout, update, Verdict.TIMED_OUT, WHY, self.now)
            case _:
                return


_VAULTS: Final = st.builds(
    lambda seed, rules, names: _Vault(
        random.Random(seed), rules, {machine.key: machine for machine in _machines(*names)}
    ),
    st.integers(0, 2**32),
    _RULES,
    _FLEETS,
)
_STEPS: Final = 2 * 54
"""Somewhat more than two days."""


@SLOW
@given(_VAULTS)
def test_the_bounds_hold_whatever_becomes_of_the_updates(vault: _Vault) -> None:
    for _ in range(_STEPS):
        decision = vault.step()
        rollout, rules = vault.rollout, vault.rules
        failures = rollout.failed + rollout.timed_out

        assert len(rollout.updates) <= rules.max_concurrent
        assert failures <= rules.max_failures + rules.max_concurrent - 1
        assert rollout.started == rollout.succeeded + failures + len(rollout.updates)
        assert rollout.reboots <= rollout.succeeded
        assert len(vault.tried) == len(set(vault.tried)), "once in a window"
        assert not set(rollout.updates) & set(rollout.done)
        if decision.start:
            assert rollout.window is not None
            assert rollout.window.is_open(vault.now)
        else:
            assert decision.reason


@given(_VAULTS)
def test_a_group_begins_only_when_those_before_it_have_ended(vault: _Vault) -> None:
    order = vault.rules.order
    for _ in range(_STEPS):
        decision = vault.step()
        if decision.start:
            group = {_group(machine.name, order) for machine in decision.start}
            assert len(group) == 1
            under_way = {_group(update.name, order) for update in vault.rollout.updates.values()}
            waiting = {_group(machine.name, order) for machine in decision.waiting}
            assert min(under_way | waiting | group) == min(group)


@SLOW
@given(_VAULTS)
def test_everybody_gets_a_turn_however_often_others_fail(vault: _Vault) -> None:
    vault.rules, vault.pace = replace(vault.rules, order=()), 2 * HOUR
    behind = set(_names(vault.machines.values()).split())
    tried: set[str] = set()
    for _ in range(30 * 12):  # in nearly each window one at least is tried, an untried one if there is any
        vault.step()
        tried |= set(vault.tried)

    assert tried == behind


@given(_VAULTS, st.booleans())
def test_outside_a_window_in_audit_and_while_paused_nothing_ever_starts(vault: _Vault, pause: bool) -> None:
    vault.rules = replace(vault.rules, pause=pause)
    for _ in range(_STEPS):
        decision = vault.step(audit=not pause)

        assert decision.start == ()
        assert len(decision.waiting) == len(vault.machines)
        assert decision.phase in ({Phase.PAUSED} if pause else {Phase.AUDIT, Phase.CLOSED})
    assert vault.rollout.started == 0


@given(_VAULTS, st.integers(0, _STEPS))
def test_deciding_on_what_was_decided_starts_nothing_twice(vault: _Vault, steps: int) -> None:
    for _ in range(steps):
        vault.step()

    again = decide(vault.rollout, vault.rules, vault.listed(), now=vault.now, audit=False, running={})

    assert not {each.key for each in again.start} & vault.rollout.updates.keys()
    assert not {each.name for each in again.start} & set(vault.tried)


@given(_VAULTS, st.integers(0, _STEPS), st.permutations(range(11)))
def test_the_order_of_the_report_does_not_matter(vault: _Vault, steps: int, order: list[int]) -> None:
    for _ in range(steps):
        vault.step()
    machines = list(vault.machines.values())
    shuffled = [machines[number] for number in order if number < len(machines)]

    decisions = [
        decide(vault.rollout, vault.rules, listed, now=vault.now, audit=False, running={})
        for listed in (machines, shuffled)
    ]

    assert decisions[0] == decisions[1]


@SLOW
@given(st.integers(0, 2**32), _RULES, _FLEETS)
def test_a_restart_at_any_time_changes_nothing(seed: int, rules: RolloutRules, names: list[str]) -> None:
    one, other = (
        _Vault(random.Random(seed), rules, {machine.key: machine for machine in _machines(*names)}, restarts=restarts)
        for restarts in (False, True)
    )
    for _ in range(_STEPS):
        assert one.step() == other.step()
    assert _restored(one.rollout) == other.rollout


@given(st.lists(HOSTILE_TEXTS, max_size=4), st.lists(HOSTILE_TEXTS, max_size=20))
def test_whatever_machines_and_patterns_are_called_each_is_started_or_waits(names: list[str], order: list[str]) -> None:
    machines = [_machine(name, id=_id(str(number))) for number, name in enumerate(names)]

    decision = _decide(_entered(), machines, max_concurrent=2, order=tuple(order))

    assert sorted(each.id for each in (*decision.start, *decision.waiting)) == sorted(each.id for each in machines)
    assert bool(decision.start) == bool(machines)


def test_a_request_where_no_windows_are_declared_is_answered_once_and_opens_none_later() -> None:
    rollout = Rollout(handled_request="before")

    assert not refuse(rollout, None)
    assert not refuse(rollout, "before")
    assert refuse(rollout, "now")
    assert rollout == Rollout(handled_request="now")
    assert not refuse(rollout, "now")
