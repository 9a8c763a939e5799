"""What the status says of the schedules of the update runbook, and what is read back from it. Pure.

Bounded like the rest of the status, see `vault_autoupdate.report.document`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from vault_autoupdate.decide.runbook_schedule import Finding, Standing
from vault_autoupdate.decide.schedule_report import Replaced, ScheduleReport
from vault_autoupdate.decide.schedule_writes import FINGERPRINT, MOST_OF_A_SCHEDULE, WITHIN, ScheduleWrites, Writes
from vault_autoupdate.decide.state import ScheduleKeeping
from vault_autoupdate.model import bounds
from vault_autoupdate.model.conditions import ConditionStatus, ConditionType, Reason
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.model.resource import AutoUpdate, VaultAutoUpdate
from vault_autoupdate.model.text import clean, plural
from vault_autoupdate.report.condition_value import ConditionValue, not_known
from vault_autoupdate.report.readiness import Readiness
from vault_autoupdate.report.values import (
    fitting,
    format_time,
    looked_at,
    read_count,
    read_entries,
    read_text,
    read_time,
)

_FINGERPRINT: Final = re.compile(rf"[0-9a-f]{{{FINGERPRINT}}}")

__all__ = [
    "has_unwritten_moves",
    "in_sync",
    "restore_schedules",
    "schedule_events",
    "schedule_fields",
    "schedule_matters",
]


def schedule_matters(resource: VaultAutoUpdate | None) -> bool:
    """Whether a time is declared; of a resource that cannot be read, what was said stays."""
    spec = resource.spec if resource else None
    return spec is None or (spec.auto_update is AutoUpdate.ENABLED and spec.runbook_schedule is not None)


def in_sync(report: ScheduleReport | None, problem: Explanation | None) -> ConditionValue:
    """The condition ``RunbookScheduleInSync``.

    Args:
        report: what is known; None when nothing is.
        problem: why nothing is known; None when there is a report, or before the first look.
    """
    kind = ConditionType.RUNBOOK_SCHEDULE_IN_SYNC
    if problem is not None or report is None:
        return not_known(kind, problem, "The schedules of the update runbook have not been looked at yet.")
    if report.findings:
        return ConditionValue(kind, ConditionStatus.FALSE, report.reason, _amiss(report))
    if not report.total:
        none = "No mapping names a schedule in the Automation account yet."
        return ConditionValue(kind, ConditionStatus.TRUE, report.reason, none)
    said = f"{plural(report.total, 'schedule')} in sync: {report.declared}."
    return ConditionValue(kind, ConditionStatus.TRUE, report.reason, clean(said, bounds.MESSAGE))


def _amiss(report: ScheduleReport) -> str:
    worst = report.findings[0].standing
    refusal = f" {_said(report.refusal)}" if report.refusal else ""
    examples = "; ".join(_example(each) for each in report.findings if each.standing is worst)
    count = len(report.findings)
    runs = "runs" if count == 1 else "run"
    said = f"{count:,} of {plural(report.total, 'schedule')} {runs} at another time than declared.{refusal} {examples}"
    return clean(said, bounds.MESSAGE)


def _said(explanation: Explanation) -> str:
    return " ".join(filter(None, (explanation.message, explanation.recommended_action)))


def _example(finding: Finding) -> str:
    change = f"{finding.was or 'nothing'} → {finding.target.wanted}"
    return " ".join(filter(None, (f"{finding.target.mapping}: {change}", finding.message)))


def schedule_fields(keeping: ScheduleKeeping) -> dict[str, Any]:
    """Build ``runbookSchedule``, where there is anything to say; until a look, ``writes`` and ``replaced`` alone."""
    report = keeping.look.report if keeping.look.seen else None
    fields = {**(_report(report) if report else {}), **_replaced(keeping.replaced), **_writes(keeping.writes)}
    return {"runbookSchedule": fields} if fields else {}


def _report(report: ScheduleReport) -> dict[str, Any]:
    differing = fitting(map(_finding, report.findings), bounds.FINDINGS, bounds.FINDINGS_BYTES)
    omitted = len(report.findings) - len(differing)
    return {
        "declared": clean(report.declared, bounds.SCHEDULE),
        "schedules": report.total,
        "inSync": report.in_sync,
        **({"differing": differing} if differing else {}),
        **({"differingOmitted": omitted} if omitted else {}),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    standing = "Differs" if finding.standing is Standing.DIFFERS else str(finding.standing)
    return {
        "mapping": clean(finding.target.mapping, bounds.PATH),
        "schedule": clean(finding.target.name, bounds.NAME),
        "reason": standing,
        **({"was": clean(finding.was, bounds.SCHEDULE)} if finding.was else {}),
        "wanted": clean(finding.target.wanted, bounds.SCHEDULE),
        **({"message": clean(finding.message, bounds.FINDING)} if finding.message else {}),
    }


def _replaced(replaced: tuple[Replaced, ...]) -> dict[str, Any]:
    entries = [
        {"was": clean(each.was, bounds.SCHEDULE), "schedules": each.schedules, "lastMovedAt": format_time(each.last_at)}
        for each in replaced
    ]
    return {"replaced": entries} if entries else {}


def _written(key: str, writes: Writes) -> dict[str, Any]:
    moments = [format_time(at) for at in writes.moments[-MOST_OF_A_SCHEDULE:]]
    return {"schedule": key, "mapping": writes.mapping, "movedAt": moments}


def _writes(writes: ScheduleWrites) -> dict[str, Any]:
    """The writes of the last 24 hours, the schedules with the most of them first: those are next to the limit."""
    by_count = sorted(writes.known.items(), key=lambda item: (-len(item[1].moments), item[0]))
    shown = fitting((_written(key, each) for key, each in by_count), bounds.WRITES, bounds.WRITES_BYTES)
    last = [max(each.moments) + WITHIN for _, each in by_count[len(shown) :]]
    until = max([*last, *([writes.unknown_until] if writes.unknown_until else [])], default=None)
    return {
        **({"moved": shown} if shown else {}),
        **({"movedOthersUntil": format_time(until)} if until else {}),
    }


def restore_schedules(status: Mapping[str, Any], now: datetime) -> ScheduleKeeping:
    """Rebuild what an earlier process wrote. A moment that lies ahead counts as now: the clock was set back."""
    keeping, entry = ScheduleKeeping(), status.get("runbookSchedule")
    if not isinstance(entry, Mapping):
        return keeping
    if declared := read_text(entry.get("declared")):
        total, in_sync_before = read_count(entry.get("schedules")), read_count(entry.get("inSync"))
        keeping.look.report = ScheduleReport(declared, total, in_sync_before)
        keeping.look.at = looked_at(status, "runbookSchedule", now)
    for each in read_entries(entry.get("moved")):
        listed = each.get("movedAt")
        moments = [read_time(at) for at in listed] if isinstance(listed, list) else []
        name, mapping = read_text(each.get("schedule")), read_text(each.get("mapping"))
        if _FINGERPRINT.fullmatch(name) and _FINGERPRINT.fullmatch(mapping):
            keeping.writes.known[name] = Writes(mapping, tuple(min(at, now) for at in moments if at))
    if until := read_time(entry.get("movedOthersUntil")):
        keeping.writes.unknown_until = min(until, now + WITHIN)
    keeping.replaced = tuple(
        Replaced(read_text(each.get("was")), read_count(each.get("schedules")), min(at, now))
        for each in read_entries(entry.get("replaced"))
        if (at := read_time(each.get("lastMovedAt")))
    )
    return keeping


def has_unwritten_moves(status: Mapping[str, Any], keeping: ScheduleKeeping) -> bool:
    """Whether a process after this one would not know of a move that was begun: it has to, before it leaves."""
    entry = status.get("runbookSchedule")
    written = entry if isinstance(entry, Mapping) else {}
    return any(written.get(name) != value for name, value in _writes(keeping.writes).items())


def schedule_events(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Readiness]:
    """The Events about schedules that one status gives cause for and the one before it did not.

    Args:
        before: a status.
        now: the next one.
    """
    moved, old, new = _moved(before, now), _condition(before), _condition(now)
    events = [Readiness(ConditionStatus.TRUE, Reason.RUNBOOK_SCHEDULE_MOVED, moved)] if moved else []
    status, reason = read_text(new.get("status")), read_text(new.get("reason"))
    if status not in {ConditionStatus.TRUE, ""} and reason != old.get("reason"):
        events.append(Readiness(status, reason, read_text(new.get("message"))))
    return events


def _moved(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What was moved between two statuses, in words; empty when nothing was."""
    old, new = _counts(before), _counts(now)
    moved = {was: count - old.get(was, 0) for was, count in new.items() if count > old.get(was, 0)}
    if not moved:
        return ""
    declared = read_text(now["runbookSchedule"].get("declared"))
    ran = "; ".join(f"{count:,} ran {was} before" for was, count in moved.items())
    return clean(f"Moved {plural(sum(moved.values()), 'schedule')} to {declared}: {ran}.", bounds.MESSAGE)


def _counts(status: Mapping[str, Any]) -> dict[str, int]:
    entry = status.get("runbookSchedule")
    replaced = read_entries(entry.get("replaced")) if isinstance(entry, Mapping) else []
    return {read_text(each.get("was")): read_count(each.get("schedules")) for each in replaced}


def _condition(status: Mapping[str, Any]) -> Mapping[str, Any]:
    found = (
        each
        for each in read_entries(status.get("conditions"))
        if each.get("type") == ConditionType.RUNBOOK_SCHEDULE_IN_SYNC
    )
    return next(found, {})
