"""What is said about those who have changed what was as declared: ``status.lastDrift``, the log, the Event. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from vault_autoupdate.decide.attribution import MOST_ASKED, Change, ChangedMapping, Drift, Standing
from vault_autoupdate.model import bounds
from vault_autoupdate.model.arm_id import ArmId, is_below, mapping_id
from vault_autoupdate.model.conditions import ConditionStatus, Reason
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.model.text import clean, plural
from vault_autoupdate.report.readiness import Readiness
from vault_autoupdate.report.values import format_time, read_count, read_entries, read_text, read_time

_UNNAMED: Final = "somebody whom the log does not name"
_CANNOT: Final = "Who it was cannot be learned: "

__all__ = ["drift_event", "drift_fields", "restore_drift", "sentence_of", "sentence_of_nobody"]


def sentence_of(mapping: ChangedMapping) -> str:
    """Who has changed a mapping, as the log has it."""
    change = mapping.change
    if change is None:
        return f"The activity log does not show who changed {mapping.path}: {mapping.found}."
    who = change.caller or (
        f"object id {change.object_id}" if change.object_id else "somebody whom the log does not name"
    )
    by_means_of = f" with application {change.application_id}" if change.application_id not in {"", who} else ""
    others = f", after {plural(change.others, 'change')} by others" if change.others else ""
    return (
        f"{mapping.path} was changed by {who}{by_means_of} at {format_time(change.at)} ({change.operation}, "
        f"correlation id {change.correlation_id}{others}): {mapping.found}."
    )


def sentence_of_nobody(drift: Drift) -> str:
    """Why nobody is named."""
    if drift.problem:
        said = " ".join(filter(None, (drift.problem.message, drift.problem.recommended_action)))
        return f"{_CANNOT}{said}"
    if drift.standing is Standing.WAITING:
        return "The activity log does not show yet who it was; it is up to 20 minutes late."
    return (
        "The activity log shows no change by others in that time. What Site Recovery changes by itself is not in it, "
        "and entries may be missing."
    )


def drift_fields(drift: Drift | None) -> dict[str, Any]:
    """``status.lastDrift``, where there is any."""
    if drift is None:
        return {}
    document: dict[str, Any] = {
        **({"asDeclaredAt": format_time(drift.since)} if drift.since else {}),
        "foundAt": format_time(drift.found_at),
        "mappings": drift.count,
        "attribution": str(drift.standing),
        "message": _message(drift),
        "changes": [_change(each) for each in drift.mappings[:MOST_ASKED]],
    }
    return {"lastDrift": document}


def _message(drift: Drift) -> str:
    named = next((each for each in drift.mappings if each.change), None)
    more = _in_all(drift.count)
    return clean(sentence_of(named) if named else sentence_of_nobody(drift), bounds.MESSAGE - len(more)) + more


def _in_all(count: int) -> str:
    return f" {plural(count, 'mapping')} in all." if count > 1 else ""


def _change(mapping: ChangedMapping) -> dict[str, Any]:
    document: dict[str, Any] = {"mapping": clean(mapping.path, bounds.PATH), "found": clean(mapping.found, bounds.PATH)}
    if change := mapping.change:
        document["changedAt"] = format_time(change.at)
        texts = {
            "caller": clean(change.caller, bounds.REQUEST),
            "objectId": clean(change.object_id, bounds.ID),
            "applicationId": clean(change.application_id, bounds.ID),
            "operation": clean(change.operation, bounds.REQUEST),
            "correlationId": clean(change.correlation_id, bounds.ID),
        }
        document |= {name: text for name, text in texts.items() if text}
        document |= {"otherChanges": change.others} if change.others else {}
    return document


def restore_drift(status: Mapping[str, Any], vault: ArmId, now: datetime) -> Drift | None:
    """Rebuild what an earlier process has found; what it has not learned is asked once more, or when it is time."""
    entry = status.get("lastDrift")
    if not isinstance(entry, Mapping) or not (found_at := read_time(entry.get("foundAt"))):
        return None
    mappings = tuple(
        ChangedMapping(restored, read_text(each.get("found")), _restored_change(each))
        for each in read_entries(entry.get("changes"))[:MOST_ASKED]
        if is_below(restored := mapping_id(vault, read_text(each.get("mapping"))), vault.key)
    )
    drift = Drift(
        min(found_at, now),
        read_time(entry.get("asDeclaredAt")),
        max(read_count(entry.get("mappings")), len(mappings)),
        mappings,
    )
    standing, said = read_text(entry.get("attribution")), read_text(entry.get("message"))
    if standing == Standing.NOT_READABLE:
        return replace(
            drift, problem=Explanation(message=said.removeprefix(_CANNOT).removesuffix(_in_all(drift.count)))
        )
    return drift.resumed(now, is_over=standing == Standing.NOT_IN_LOG)


def _restored_change(entry: Mapping[str, Any]) -> Change | None:
    changed_at: datetime | None = read_time(entry.get("changedAt"))
    if changed_at is None:
        return None
    return Change(
        at=changed_at,
        operation=read_text(entry.get("operation")),
        correlation_id=read_text(entry.get("correlationId")),
        caller=read_text(entry.get("caller")),
        object_id=read_text(entry.get("objectId")),
        application_id=read_text(entry.get("applicationId")),
        others=read_count(entry.get("otherChanges")),
    )


def drift_event(before: Mapping[str, Any], now: Mapping[str, Any]) -> Readiness | None:
    """The Event about who it was, where one status tells that and the one before it did not.

    Args:
        before: a status.
        now: the next one.
    """
    old, new = before.get("lastDrift"), now.get("lastDrift")
    if not isinstance(new, Mapping) or new.get("attribution") == Standing.WAITING:
        return None
    if isinstance(old, Mapping) and (old.get("attribution"), old.get("message")) == (
        new.get("attribution"),
        new.get("message"),
    ):
        return None
    is_named = new.get("attribution") == Standing.NAMED
    reason = Reason.DRIFT_ATTRIBUTED if is_named else Reason.DRIFT_NOT_ATTRIBUTED
    return Readiness(ConditionStatus.FALSE if is_named else ConditionStatus.TRUE, reason, read_text(new.get("message")))
