"""How much a policy may change at once, and the approval that lifts it: one that names exactly what waits. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from vault_autoupdate.model.policy import Limits

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)

__all__ = ["DAY", "HOUR", "Gate", "Tally", "change_gate", "change_room", "creation_room", "plan_hash", "removal_gate"]


@dataclass(frozen=True)
class Tally:
    """How often something was done since it was last left alone for a whole window.

    So no window, wherever it begins, holds more than ``count``. Kept in the status, and written there before anything
    is done: a process that dies in between has counted too much, never too little.
    """

    latest: datetime | None = None
    count: int = 0

    def at(self, now: datetime, window: timedelta) -> Tally:
        """The same at ``now``: after a whole window in which nothing was done, it begins anew."""
        return self if self.latest is not None and now - self.latest < window else Tally()

    def plus(self, count: int, now: datetime, window: timedelta) -> Tally:
        """The same after ``count`` more."""
        return Tally(now, self.at(now, window).count + count) if count else self


@dataclass(frozen=True)
class Gate:
    """Whether something that is wanted may happen."""

    is_open: bool
    approved: bool = False
    """Whether somebody has said so, although it is above the limit."""
    limit: int = 0
    wanted: int = 0


def plan_hash(steps: Iterable[str]) -> str:
    """Names a set of steps: the same for the same set in any order, another one for any other set."""
    text = "\n".join(sorted(steps))
    return hashlib.sha256(text.encode()).hexdigest()[:16] if text else ""


def removal_gate(
    limits: Limits, *, managed: int, leaving: int, proved: int, done: Tally, approved: bool, now: datetime
) -> Gate:
    """Whether the resources of vaults that have left may be removed.

    Args:
        limits: of the policy.
        managed: resources that it has.
        leaving: those whose vault is no longer among the selected ones, whether that is proved or not: where a
            selection has shrunk that much, something may be wrong with what selects.
        proved: those of them for which there is proof.
        done: what was removed before.
        approved: whether somebody has approved exactly this set.
        now: the present.
    """
    limit = limits.max_removals.of(managed)
    gone = done.at(now, DAY).count
    fits = max(leaving, proved) + gone <= limit
    return Gate(fits or (approved and proved > 0), approved, limit, proved)


def change_gate(limits: Limits, *, changes: int, approved: bool) -> Gate:
    """Whether so many existing resources may be changed at once."""
    return Gate(changes <= limits.max_new_per_hour or approved, approved, limits.max_new_per_hour, changes)


def change_room(limits: Limits, gate: Gate, done: Tally, now: datetime) -> int:
    """How many existing resources may be changed now, if they may be at all."""
    if gate.approved:
        return gate.wanted
    return max(0, limits.max_new_per_hour - done.at(now, HOUR).count) if gate.is_open else 0


def creation_room(limits: Limits, *, created: Iterable[datetime], on_the_way: int, now: datetime) -> int:
    """How many resources may be made now.

    Args:
        limits: of the policy.
        created: when the resources that there are were made.
        on_the_way: those that were made lately and are neither Ready nor failed.
        now: the present.
    """
    lately = sum(1 for moment in created if now - moment < HOUR)
    return max(0, min(limits.max_new - on_the_way, limits.max_new_per_hour - lately))
