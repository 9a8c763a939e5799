"""What the status says of schedules, and what a restart gets back from it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault_autoupdate.decide.runbook_schedule import Finding, Standing, Target
from vault_autoupdate.decide.schedule_report import Replaced, ScheduleReport, add_replaced, build_schedule_report
from vault_autoupdate.decide.schedule_writes import WITHIN, Writes
from vault_autoupdate.decide.state import ScheduleKeeping
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.model.runbook_schedule import WallSchedule
from vault_autoupdate.report.condition_value import ConditionValue
from vault_autoupdate.report.readiness import Readiness
from vault_autoupdate.report.runbook_schedule import (
    has_unwritten_moves,
    in_sync,
    restore_schedules,
    schedule_events,
    schedule_fields,
)
from vault_autoupdate.report.values import format_time

NOW = datetime(2026, 3, 27, 12, 0, tzinfo=UTC)
DECLARED = "every day at 02:30 Europe/Berlin"
MIDNIGHT = "every day at 00:00 Etc/UTC"


def finding(number: int, standing: Standing = Standing.DIFFERS, message: str = "") -> Finding:
    target = Target(f"S-{number}", f"f/c/{number}", frozenset(), WallSchedule(time(2, 30), "Europe/Berlin"))
    return Finding(target, standing, MIDNIGHT, message)


def keeping(*findings: Finding, refusal: Explanation | None = None, writes: int = 0) -> ScheduleKeeping:
    found = ScheduleKeeping()
    found.look.found(build_schedule_report(DECLARED, findings, refusal), NOW, NOW)
    for number in range(writes):
        found.writes.note(f"S-{number}", f"f/c/{number}", NOW)
    return found


_KIND = "RunbookScheduleInSync"
_NOT_LOOKED = "The schedules of the update runbook have not been looked at yet."
_REFUSAL = Explanation("AuthorizationFailed", "You may not.", recommended_action="Grant schedules/write.")


@pytest.mark.parametrize(
    ("findings", "refusal", "status", "reason", "message"),
    [
        ([], None, "True", "InSync", "No mapping names a schedule in the Automation account yet."),
        ([finding(1, Standing.IN_SYNC)], None, "True", "InSync", f"1 schedule in sync: {DECLARED}."),
        (
            [finding(n, Standing.IN_SYNC) for n in (1, 2)],
            _REFUSAL,
            "True",
            "InSync",
            f"2 schedules in sync: {DECLARED}.",
        ),
        (
            [finding(1, Standing.IN_SYNC), finding(2)],
            None,
            "False",
            "SchedulesDiffer",
            f"1 of 2 schedules runs at another time than declared. f/c/2: {MIDNIGHT} → {DECLARED}",
        ),
        (
            [finding(1), replace(finding(2), was="")],
            _REFUSAL,
            "False",
            "AuthorizationFailed",
            (
                f"2 of 2 schedules run at another time than declared. You may not. Grant schedules/write. "
                f"f/c/1: {MIDNIGHT} → {DECLARED}; f/c/2: nothing → {DECLARED}"
            ),
        ),
        (
            [finding(1, Standing.DISABLED, "Enable it."), finding(2, Standing.MISSING), finding(3, Standing.DISABLED)],
            None,
            "False",
            "ScheduleDisabled",
            (
                f"3 of 3 schedules run at another time than declared. f/c/1: {MIDNIGHT} → {DECLARED} Enable it.; "
                f"f/c/3: {MIDNIGHT} → {DECLARED}"
            ),
        ),
    ],
)
def test_the_condition_says_old_and_new_and_what_to_do(
    findings: list[Finding], refusal: Explanation | None, status: str, reason: str, message: str
) -> None:
    said = in_sync(build_schedule_report(DECLARED, findings, refusal), None)
    assert said == ConditionValue(_KIND, status, reason, message)


@pytest.mark.parametrize(
    ("problem", "reason", "message"),
    [
        (None, "NotLookedAt", _NOT_LOOKED),
        (
            Explanation("AuthorizationFailed", "No.", recommended_action="Grant it."),
            "AuthorizationFailed",
            "No. Grant it.",
        ),
        (Explanation("429", "Later."), "NotReadable", "Later."),
        (Explanation("X"), "X", _NOT_LOOKED),
    ],
)
def test_what_nobody_knows_is_said_with_its_reason(problem: Explanation | None, reason: str, message: str) -> None:
    assert in_sync(None, problem) == ConditionValue(_KIND, "Unknown", reason, message)
    known = build_schedule_report(DECLARED, [])
    if problem:
        assert in_sync(known, problem) == ConditionValue(_KIND, "Unknown", reason, message)


def test_messages_are_cut_to_what_a_condition_holds() -> None:
    long = "x" * 2000
    for said in (
        in_sync(build_schedule_report(long, [finding(1, Standing.IN_SYNC)]), None),
        in_sync(build_schedule_report(DECLARED, [finding(1, message=long)]), None),
        in_sync(None, Explanation("X", long)),
    ):
        assert len(said.message.encode()) == 1000


def test_the_status_has_all_that_is_known_of_schedules() -> None:
    found = keeping(finding(1), finding(2, Standing.DISABLED, "Enable it."), replace(finding(3), was=""), writes=1)
    found.writes.note("S-0", "f/c/0", NOW + timedelta(hours=1))
    found.writes.note("S-0", "f/c/0", NOW + timedelta(hours=2))
    found.replaced = add_replaced((), [MIDNIGHT, MIDNIGHT], NOW)
    written = schedule_fields(found)["runbookSchedule"]

    entry = {"mapping": "f/c/1", "schedule": "S-1", "reason": "Differs", "was": MIDNIGHT, "wanted": DECLARED}
    [moved] = written.pop("moved")
    assert written == {
        "declared": DECLARED,
        "schedules": 3,
        "inSync": 0,
        "differing": [
            entry,
            {name: value for name, value in entry.items() if name != "was"} | {"mapping": "f/c/3", "schedule": "S-3"},
            entry | {"mapping": "f/c/2", "schedule": "S-2", "reason": "ScheduleDisabled", "message": "Enable it."},
        ],
        "replaced": [{"was": MIDNIGHT, "schedules": 2, "lastMovedAt": "2026-03-27T12:00:00Z"}],
    }
    assert moved["movedAt"] == ["2026-03-27T13:00:00Z", "2026-03-27T14:00:00Z"]
    assert schedule_fields(keeping()) == {"runbookSchedule": {"declared": DECLARED, "schedules": 0, "inSync": 0}}
    assert schedule_fields(ScheduleKeeping()) == {}


def test_texts_are_cut_to_what_the_status_holds() -> None:
    long = "x" * 2000
    target = Target(long, long, frozenset(), WallSchedule(time(2, 30), long))
    found = ScheduleKeeping()
    found.look.found(build_schedule_report(long, [Finding(target, Standing.DIFFERS, long, long)]), NOW, NOW)
    found.replaced = (Replaced(long, 1, NOW),)
    written = schedule_fields(found)["runbookSchedule"]

    assert len(written["declared"].encode()) == len(written["replaced"][0]["was"].encode()) == 120
    assert {name: len(text.encode()) for name, text in written["differing"][0].items() if name != "reason"} == {
        "mapping": 400, "schedule": 128, "was": 120, "wanted": 120, "message": 240,
    }  # fmt: skip


@pytest.mark.parametrize("writes", [0, 1, 300, 301, 900])
def test_moves_are_known_after_a_restart_or_count_as_made(writes: int) -> None:
    before = keeping(writes=writes)
    fields = schedule_fields(before)
    listed = fields["runbookSchedule"].get("moved", [])
    assert len(listed) == min(writes, 300)
    later = NOW + timedelta(hours=1)
    after = restore_schedules(fields, later)
    for number in range(writes):
        name, mapping = f"S-{number}", f"f/c/{number}"
        if after.writes.next_at(name, mapping, later) == later:
            after.writes.note(name, mapping, later)  # the second one
        assert after.writes.next_at(name, mapping, later) == NOW + WITHIN
    assert not has_unwritten_moves(fields, before)
    before.writes.note("another", "f/c/another", NOW + timedelta(minutes=1))
    assert has_unwritten_moves(fields, before)


_FIELDS = st.sampled_from(
    ["declared", "schedules", "moved", "schedule", "mapping", "movedAt", "replaced", "was", "movedOthersUntil"]
)
_SCALARS = st.none() | st.booleans() | st.integers() | st.text()
_ANYTHING = st.recursive(_SCALARS, lambda inner: st.lists(inner) | st.dictionaries(_FIELDS, inner))


@given(_ANYTHING)
def test_any_status_can_be_read_back(entry: Any) -> None:
    restored = restore_schedules({"runbookSchedule": entry, "conditions": entry}, NOW)
    assert isinstance(schedule_fields(restored), dict)


def test_lists_are_bounded_and_say_how_much_is_left_out() -> None:
    fields = schedule_fields(keeping(*(finding(number) for number in range(200))))["runbookSchedule"]
    assert (len(fields["differing"]), fields["differingOmitted"]) == (8, 192)
    assert fields["differing"][0]["reason"] == "Differs"


def test_times_that_were_replaced_are_counted_and_the_last_five_are_kept() -> None:
    known = add_replaced((), [MIDNIGHT, MIDNIGHT, "x"], NOW)
    assert [(each.was, each.schedules) for each in known] == [(MIDNIGHT, 2), ("x", 1)]
    known = add_replaced(known, ["x"], NOW)
    assert [(each.was, each.schedules) for each in known] == [("x", 2), (MIDNIGHT, 2)]
    for number in range(9):
        known = add_replaced(known, [str(number)], NOW)
    assert len(known) == 5


def _status(kept: ScheduleKeeping) -> dict[str, Any]:
    said = in_sync(kept.look.report, None)
    other = {"type": "Ready", "status": "False", "reason": "Other", "message": "Not this."}
    condition = {"type": said.type, "status": said.status, "reason": said.reason, "message": said.message}
    return {**schedule_fields(kept), "conditions": [other, condition]}


def test_a_move_and_a_new_reason_are_events_once() -> None:
    before = keeping(finding(1))
    after = keeping(finding(1, Standing.DISABLED, "Enable it."))
    before.replaced = add_replaced((), ["x", "y"], NOW)
    after.replaced = add_replaced(before.replaced, [MIDNIGHT, "x", "x"], NOW)
    moved = Readiness(
        "True", "RunbookScheduleMoved", f"Moved 3 schedules to {DECLARED}: 1 ran {MIDNIGHT} before; 2 ran x before."
    )
    runs = "1 of 1 schedule runs at another time than declared."
    differs, disabled = (
        Readiness("False", reason, f"{runs} f/c/1: {MIDNIGHT} → {DECLARED}{more}")
        for reason, more in (("SchedulesDiffer", ""), ("ScheduleDisabled", " Enable it."))
    )

    assert schedule_events(_status(before), _status(after)) == [moved, disabled]
    assert (moved.is_warning, disabled.is_warning) == (False, True)
    assert schedule_events(_status(after), _status(after)) == []
    before.replaced = ()
    assert schedule_events({}, _status(before)) == [differs]


def test_one_schedule_that_was_moved_is_one() -> None:
    after = keeping(finding(1, Standing.IN_SYNC))
    after.replaced = add_replaced((), [MIDNIGHT], NOW)

    [event] = schedule_events({"runbookSchedule": "odd", "conditions": "odd"}, _status(after))

    assert event.message == f"Moved 1 schedule to {DECLARED}: 1 ran {MIDNIGHT} before."
    after.replaced = add_replaced((), ["x" * 2000], NOW)
    undeclared = {"runbookSchedule": {"replaced": [{"was": "y" * 2000, "schedules": 1}]}}
    [event] = schedule_events({}, undeclared)
    assert (len(event.message.encode()), event.message[:24]) == (1000, "Moved 1 schedule to : 1 ")


def test_that_all_is_in_sync_again_is_no_event() -> None:
    good, bad = keeping(finding(1, Standing.IN_SYNC)), keeping(finding(1))

    assert schedule_events(_status(bad), _status(good)) == []
    assert schedule_events(_status(bad), {}) == []
    unknown = {"conditions": [{"type": _KIND, "status": "Unknown", "reason": "X", "message": "Why."}]}
    assert schedule_events(_status(good), unknown) == [Readiness("Unknown", "X", "Why.")]


_NAME, _MAPPING = "0123456789abcdef", "fedcba9876543210"


def test_what_a_process_has_known_is_known_to_the_next_one() -> None:
    hour = timedelta(hours=1)
    ahead, before = format_time(NOW + hour), format_time(NOW - hour)
    status = {
        "runbookSchedule": {
            "lookedAt": before,
            "declared": DECLARED,
            "schedules": 3,
            "inSync": 2,
            "moved": [
                {"schedule": _NAME, "mapping": _MAPPING, "movedAt": [before, "odd", ahead]},
                {"schedule": _NAME.upper(), "mapping": _MAPPING, "movedAt": [before]},
                {"schedule": _MAPPING, "mapping": "x", "movedAt": [before]},
                {"schedule": _MAPPING, "mapping": _NAME, "movedAt": before},
            ],
            "movedOthersUntil": format_time(NOW + 30 * hour),
        }
    }
    restored = restore_schedules(status, NOW)

    assert restored.look.report == ScheduleReport(DECLARED, 3, 2)
    assert (restored.look.at, restored.look.seen) == (NOW - hour, False)
    assert set(schedule_fields(restored)["runbookSchedule"]) == {"moved", "movedOthersUntil"}, "of what it has not seen"
    assert restored.writes.known == {_NAME: Writes(_MAPPING, (NOW - hour, NOW)), _MAPPING: Writes(_NAME, ())}
    assert restored.writes.unknown_until == NOW + WITHIN, "a clock that was set back keeps nothing for ever"
    assert restore_schedules({"runbookSchedule": {"movedOthersUntil": ahead}}, NOW).writes.unknown_until == NOW + hour
    for odd in ({}, {"runbookSchedule": "odd"}, {"runbookSchedule": {"schedules": 3, "lookedAt": before}}):
        assert restore_schedules(odd, NOW) == ScheduleKeeping()


def test_of_moves_that_found_no_room_it_is_told_until_when_they_count() -> None:
    found = keeping(writes=300)
    found.writes.note("another", "f/c/another", NOW + timedelta(hours=1))
    until = schedule_fields(found)["runbookSchedule"]["movedOthersUntil"]
    assert until in {format_time(NOW + WITHIN), format_time(NOW + WITHIN + timedelta(hours=1))}
    found.writes.unknown_until = NOW + WITHIN + timedelta(hours=2)
    assert schedule_fields(found)["runbookSchedule"]["movedOthersUntil"] == format_time(found.writes.unknown_until)
    found.writes.unknown_until = NOW
    assert schedule_fields(found)["runbookSchedule"]["movedOthersUntil"] == until
    assert "movedOthersUntil" not in schedule_fields(keeping(writes=1))["runbookSchedule"]


def test_the_schedules_that_were_moved_most_are_told_first() -> None:
    found = keeping(writes=301)
    found.writes.note("S-7", "f/c/7", NOW)
    listed = schedule_fields(found)["runbookSchedule"]["moved"]
    assert [len(each["movedAt"]) for each in listed[:2]] == [2, 1]
    names = [each["schedule"] for each in listed[1:]]
    assert names == sorted(names), "the others in an order that does not change"


def test_a_move_that_no_status_tells_has_to_be_written_before_the_process_leaves() -> None:
    statuses: list[dict[str, Any]] = [{}, {"runbookSchedule": "odd"}, {"runbookSchedule": {}}]
    for status in statuses:
        assert has_unwritten_moves(status, keeping(writes=1))
        assert not has_unwritten_moves(status, keeping())


def test_the_times_that_were_replaced_come_back_after_a_restart() -> None:
    entry = {"was": "every day at 00:00 Etc/UTC", "schedules": 3, "lastMovedAt": format_time(NOW - timedelta(hours=1))}
    later = entry | {"lastMovedAt": format_time(NOW + timedelta(hours=1))}
    status = {"runbookSchedule": {"replaced": [entry, later, {"was": "x"}]}}

    assert restore_schedules(status, NOW).replaced == (
        Replaced("every day at 00:00 Etc/UTC", 3, NOW - timedelta(hours=1)),
        Replaced("every day at 00:00 Etc/UTC", 3, NOW),
    )
