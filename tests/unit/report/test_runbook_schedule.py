"""What the status says of schedules, and what a restart gets back from it."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault_autoupdate.decide.runbook_schedule import Finding, Standing, Target
from vault_autoupdate.decide.schedule_report import Replaced, add_replaced, build_schedule_report
from vault_autoupdate.decide.schedule_writes import WITHIN
from vault_autoupdate.decide.state import ScheduleKeeping
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.model.runbook_schedule import WallSchedule
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


def test_the_condition_says_old_and_new_and_what_to_do() -> None:
    good = in_sync(build_schedule_report(DECLARED, [finding(1, Standing.IN_SYNC)]), None)
    assert (good.status, good.reason, good.message) == ("True", "InSync", f"1 schedule in sync: {DECLARED}.")
    bad = in_sync(build_schedule_report(DECLARED, [finding(1, Standing.IN_SYNC), finding(2)]), None)
    assert (bad.status, bad.reason) == ("False", "SchedulesDiffer")
    assert f"f/c/2: {MIDNIGHT} → {DECLARED}" in bad.message
    assert in_sync(build_schedule_report(DECLARED, []), None).status == "True"
    assert in_sync(None, Explanation("AuthorizationFailed", "No.", recommended_action="Grant it.")).reason == (
        "AuthorizationFailed"
    )
    assert in_sync(None, None).status == "Unknown"


def test_what_kept_schedules_from_being_moved_is_the_reason() -> None:
    refusal = Explanation("AuthorizationFailed", "You may not.", recommended_action="Grant schedules/write.")
    said = in_sync(build_schedule_report(DECLARED, [finding(1)], refusal), None)
    assert (said.status, said.reason) == ("False", "AuthorizationFailed")
    assert "Grant schedules/write." in said.message


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


def test_a_move_and_a_new_reason_are_events_once() -> None:
    before = keeping(finding(1))
    after = keeping(finding(1, Standing.DISABLED, "Enable it."))
    after.replaced = add_replaced((), [MIDNIGHT], NOW)

    def status(kept: ScheduleKeeping) -> dict[str, Any]:
        said = in_sync(kept.look.report, None)
        condition = {"type": said.type, "status": said.status, "reason": said.reason, "message": said.message}
        return {**schedule_fields(kept), "conditions": [condition]}

    told = schedule_events(status(before), status(after))
    assert [(each.reason, each.is_warning) for each in told] == [
        ("RunbookScheduleMoved", False), ("ScheduleDisabled", True),
    ]  # fmt: skip
    assert told[0].message == f"Moved 1 schedule to {DECLARED}: 1 ran {MIDNIGHT} before."
    assert schedule_events(status(after), status(after)) == []
    assert [each.reason for each in schedule_events({}, status(before))] == ["SchedulesDiffer"]


def test_the_times_that_were_replaced_come_back_after_a_restart() -> None:
    entry = {"was": "every day at 00:00 Etc/UTC", "schedules": 3, "lastMovedAt": format_time(NOW - timedelta(hours=1))}
    later = entry | {"lastMovedAt": format_time(NOW + timedelta(hours=1))}
    status = {"runbookSchedule": {"replaced": [entry, later, {"was": "x"}]}}

    assert restore_schedules(status, NOW).replaced == (
        Replaced("every day at 00:00 Etc/UTC", 3, NOW - timedelta(hours=1)),
        Replaced("every day at 00:00 Etc/UTC", 3, NOW),
    )
