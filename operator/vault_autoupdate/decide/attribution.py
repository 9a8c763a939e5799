"""Who has changed what was as declared, as far as the activity log tells. Never a guess. Pure.

The log is one to two minutes late as a rule, and up to 20, and each of its stores may be late by itself. So it is asked
when drift is found, and a few times more: until it names somebody, and once more at the end, since what comes late may
be the later change. What counts is a call about that very mapping that was let through, that did not fail, that was not
ours, and that took effect after the mapping was last seen as declared and before it was seen to differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from vault_autoupdate.model.activity import ActivityEntry
from vault_autoupdate.model.arm_id import fold, mapping_path
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.model.resource import DriftAttribution

MOST_ASKED: Final = 5
"""Mappings of one look that are asked about: who has changed a hundred at once is behind each of them."""
_LOOKS: Final = (timedelta(), timedelta(minutes=2), timedelta(minutes=6), timedelta(minutes=20))
"""After drift was found; Microsoft's page says that entries come within 20 minutes."""

__all__ = ["MOST_ASKED", "Change", "ChangedMapping", "Drift", "Standing", "change_by", "changed"]


class Standing(StrEnum):
    """How far the question is."""

    WAITING = "Waiting"
    """The log does not show it yet, or was not to be had."""
    NAMED = "Named"
    NOT_IN_LOG = "NotInLog"
    """It did not show in all the time that entries take to come."""
    NOT_READABLE = "NotReadable"
    """The log may not be read, or cannot be."""


@dataclass(frozen=True)
class Change:
    """What the log has of the last change of a mapping by somebody else."""

    at: datetime
    """When it was asked for."""
    operation: str
    correlation_id: str
    caller: str = ""
    """Personal data; empty where only the object id is wanted, or the log has none."""
    object_id: str = ""
    application_id: str = ""
    others: int = 0
    """Further calls of others in that time, before this one."""


@dataclass(frozen=True)
class ChangedMapping:
    """A mapping that was as declared, and then was not."""

    id: str
    found: str
    """In what it differs, in words."""
    change: Change | None = None

    @property
    def path(self) -> str:
        """How to name it to people."""
        return mapping_path(self.id)


@dataclass(frozen=True)
class Drift:
    """What one look found changed by others, and what is known of who did it."""

    found_at: datetime
    since: datetime | None
    """When the look began that last found all of it as declared; None where that is not known."""
    count: int
    """All mappings that were changed; only some are asked about."""
    mappings: tuple[ChangedMapping, ...]
    looks: int = 0
    """How many of the looks at the log are over."""
    run_before: str = ""
    """Id of our run before it, by which the changes of an earlier process are known."""
    problem: Explanation | None = None
    """Why the log cannot be read, where that will not pass."""

    @property
    def next_look(self) -> datetime | None:
        """When the log is to be asked again; None when it is not."""
        if self.since is None or self.problem or self.looks >= len(_LOOKS):
            return None
        return self.found_at + _LOOKS[self.looks]

    @property
    def standing(self) -> Standing:
        """How far the question is."""
        if any(each.change for each in self.mappings):
            return Standing.NAMED
        if self.problem:
            return Standing.NOT_READABLE
        return Standing.NOT_IN_LOG if self.next_look is None else Standing.WAITING

    def looked(self, changes: Iterable[Change | None]) -> Drift:
        """The log was asked about each mapping; what it said before counts where it says nothing any more."""
        told = tuple(
            replace(mapping, change=change or mapping.change)
            for mapping, change in zip(self.mappings, changes, strict=True)
        )
        last = len(_LOOKS) - 1
        all_named = all(each.change for each in told)
        return replace(self, mappings=told, looks=max(self.looks + 1, last) if all_named else self.looks + 1)

    def resumed(self, now: datetime, *, is_over: bool) -> Drift:
        """The same in a process after the one that found it.

        Args:
            now: the present.
            is_over: whether nothing more is to be asked.
        """
        late = sum(self.found_at + after <= now for after in _LOOKS)
        if is_over or (late == len(_LOOKS) and any(each.change for each in self.mappings)):
            return replace(self, looks=len(_LOOKS))
        return replace(self, looks=max(0, late - 1))

    def as_wanted(self, attribution: DriftAttribution) -> Drift | None:
        """The same without what is not to be told, by now, of whoever it was."""
        if attribution is DriftAttribution.DISABLED:
            return None
        if attribution is DriftAttribution.CALLER or not any(m.change and m.change.caller for m in self.mappings):
            return self
        told = (replace(m, change=m.change and replace(m.change, caller="")) for m in self.mappings)
        return replace(self, mappings=tuple(told))

    def not_looked(self, problem: Explanation, *, will_pass: bool) -> Drift:
        """The log could not be asked; with a problem that passes, this was one look less."""
        return replace(self, looks=self.looks + 1, problem=None if will_pass else problem)


def changed(found_at: datetime, since: datetime, mappings: Iterable[tuple[str, str]], *, run_before: str) -> Drift:
    """What a look found.

    Args:
        found_at: when it was.
        since: when the last look began, which found all of this as declared.
        mappings: ids of what was changed, each with what differs.
        run_before: id of our last run until then.
    """
    all_of_them = list(mappings)
    asked = tuple(ChangedMapping(mapping_id, differs) for mapping_id, differs in all_of_them[:MOST_ASKED])
    return Drift(found_at, since, len(all_of_them), asked, run_before=run_before)


def change_by(
    entries: Iterable[ActivityEntry],
    mapping_id: str,
    drift: Drift,
    *,
    is_own: Callable[[ActivityEntry], bool],
    attribution: DriftAttribution,
) -> Change | None:
    """Find who has changed a mapping last before it was seen to differ; None where the log does not show it.

    Args:
        entries: of the log, in any order, some perhaps twice.
        mapping_id: of the mapping.
        drift: when it was as declared last, and when it was not.
        is_own: whether an entry is about a change of ours.
        attribution: what may be told of whoever it was.
    """
    calls: dict[str, list[ActivityEntry]] = {}
    for entry in entries:
        if entry.resource_key == fold(mapping_id):
            calls.setdefault(fold(entry.correlation_id) or entry.id, []).append(entry)
    foreign = [
        call
        for call in calls.values()
        if _took_effect(call, drift) and not any(entry.is_failed or is_own(entry) for entry in call)
    ]
    if not foreign:
        return None
    last = max(foreign, key=_effective_at)
    return _told(last, others=len(foreign) - 1, attribution=attribution)


def _took_effect(call: list[ActivityEntry], drift: Drift) -> bool:
    """Whether a call was let through, and its effect came between the two looks."""
    return (
        any(entry.is_done for entry in call)
        and drift.since is not None
        and drift.since <= _effective_at(call) <= drift.found_at
    )


def _effective_at(call: list[ActivityEntry]) -> datetime:
    """When a call took effect, as far as the log shows: its last entry that is not its beginning."""
    return max(entry.at for entry in call if entry.is_done)


def _told(call: list[ActivityEntry], *, others: int, attribution: DriftAttribution) -> Change:
    first = min(call, key=lambda entry: entry.at)
    known = next((entry for entry in call if entry.caller or entry.object_id), first)
    return Change(
        at=first.at,
        operation=first.operation,
        correlation_id=first.correlation_id,
        caller=known.caller if attribution is DriftAttribution.CALLER else "",
        object_id=known.object_id,
        application_id=known.application_id,
        others=others,
    )
