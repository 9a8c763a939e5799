"""What the activity log of a subscription gives reason to look at, and whom to wake for it. Pure.

A hint wakes and never decides: what is done follows from the look alone. So one that is lost, late, doubled or made up
costs a look, or gains none. How many it can cost is bounded here: an entry counts once, a vault is woken once a minute,
and of a namespace only so many at a time.
"""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, TypeVar

from vault_autoupdate.model.activity import ActivityEntry
from vault_autoupdate.model.arm_id import fold

WINDOW: Final = timedelta(minutes=30)
"""How far back the log is read each time: entries are up to 20 minutes late, each store of them by itself, so that
there is no time up to which all of them are known."""
MOST_PAGES: Final = 5
"""Of 200 entries, each time. Backups have the same provider."""
WAKE_INTERVAL: Final = timedelta(minutes=1)
"""Between two wakes of a vault."""
MOST_WAKES: Final = 60
"""Vaults of one namespace that are woken at a time; the others have their turn the next time."""
FEWEST_VAULTS: Final = 3
"""Of a subscription for which one log costs less than looking every five minutes (2.7 lists of mappings an hour)."""
OFF_FOR: Final = timedelta(hours=1)
"""After the log was refused."""
_MOST_SEEN: Final = 20_000
_FARTHEST: Final = timedelta(minutes=15)
"""More than any wake is ahead."""
_CHANGES: Final = frozenset({"write", "delete", "action"})
_BELOW_VAULT: Final = "microsoft.recoveryservices/vaults/replicationfabrics/replicationprotectioncontainers/"
_ACCOUNT: Final = "microsoft.automation/automationaccounts"
_ACCOUNT_OPERATIONS: Final = frozenset(
    f"{_ACCOUNT}{kind}/{change}" for kind in ("", "/schedules", "/jobschedules") for change in ("write", "delete")
)
_RESOURCE: Final = re.compile(
    r"/subscriptions/[^/]+/resourcegroups/[^/]+/providers/"
    r"(?P<kind>microsoft\.recoveryservices/vaults|microsoft\.automation/automationaccounts)/[^/]+"
)

T = TypeVar("T")

__all__ = [
    "FEWEST_VAULTS", "MOST_PAGES", "MOST_WAKES", "OFF_FOR", "WAKE_INTERVAL", "WINDOW", "Hint", "HintMode", "Meaning",
    "SeenEntries", "WakeTimes", "hint_of", "is_watched", "sort_entries", "within_share",
]  # fmt: skip


class HintMode(StrEnum):
    """Whether activity logs are read for hints."""

    OFF = "off"
    AUTO = "auto"
    """Where a subscription has `FEWEST_VAULTS`."""
    ON = "on"


class Meaning(StrEnum):
    """What an entry of the log comes to."""

    CHANGE = "change"
    """A reason to look."""
    OWN = "own"
    """This process has done it."""
    REPEATED = "repeated"
    """It was there before."""
    OTHER = "other"
    """It is about something else, is only begun, or has failed."""


@dataclass(frozen=True, order=True)
class Hint:
    """What there is reason to look at."""

    key: str
    """Of a vault or an Automation account, see `ArmId.key`."""
    is_account: bool = False


def is_watched(mode: HintMode, vaults: int) -> bool:
    """Whether the log of a subscription with so many vaults is read."""
    return mode is HintMode.ON or (mode is HintMode.AUTO and vaults >= FEWEST_VAULTS)


def hint_of(entry: ActivityEntry) -> Hint | None:
    """What an entry gives reason to look at; None for nothing.

    A change counts when it was let through and again when it has ended: the first look finds the job at work, and waits
    for it. Names of operations are those of Azure's access control, in any letter case.
    """
    if not entry.is_done or (match := _RESOURCE.match(entry.resource_key)) is None:
        return None
    operation = fold(entry.operation)
    is_account = match["kind"] == _ACCOUNT
    if is_account:
        return Hint(match[0], is_account=True) if operation in _ACCOUNT_OPERATIONS else None
    changes = operation.startswith(_BELOW_VAULT) and operation.rpartition("/")[2] in _CHANGES
    return Hint(match[0]) if changes else None


class SeenEntries:
    """Ids of entries that were dealt with; the oldest are forgotten, and cost another look if they come again."""

    def __init__(self, most: int = _MOST_SEEN) -> None:
        self._ids: OrderedDict[str, None] = OrderedDict()
        self._most = most

    def __contains__(self, entry: ActivityEntry) -> bool:
        return entry.id in self._ids

    def add(self, entry: ActivityEntry) -> None:
        """Take note of an entry."""
        self._ids[entry.id] = None
        self._ids.move_to_end(entry.id)
        while len(self._ids) > self._most:
            self._ids.popitem(last=False)


def sort_entries(
    entries: Iterable[ActivityEntry], seen: SeenEntries, is_own: Callable[[ActivityEntry], bool]
) -> tuple[dict[Hint, list[ActivityEntry]], Counter[Meaning]]:
    """Sort entries by what there is reason to look at.

    Args:
        entries: of the log, in any order. Those that give no reason are taken as seen.
        seen: what was dealt with before.
        is_own: whether this process has done it.

    Returns:
        The hints with the entries that they are from, which are to be taken as seen once somebody was woken for them;
        and how many entries mean what.
    """
    hints: dict[Hint, list[ActivityEntry]] = {}
    meanings: Counter[Meaning] = Counter()
    taken: set[str] = set()
    for entry in entries:
        if entry in seen or entry.id in taken:
            meanings[Meaning.REPEATED] += 1
            continue
        hint = hint_of(entry)
        if hint is not None and not is_own(entry):
            meanings[Meaning.CHANGE] += 1
            hints.setdefault(hint, []).append(entry)
            taken.add(entry.id)
            continue
        meanings[Meaning.OTHER if hint is None else Meaning.OWN] += 1
        seen.add(entry)
    return hints, meanings


class WakeTimes:
    """When each vault was woken last, or is about to be."""

    def __init__(self, interval: timedelta = WAKE_INTERVAL) -> None:
        self._at: dict[str, datetime] = {}
        self._interval = interval

    def delay(self, key: str, now: datetime, at_random: timedelta) -> timedelta:
        """How long to wait until a vault may be woken, and take note that it is. Who is about to be is not woken twice.

        Args:
            key: of the vault.
            now: the present. A clock that went back delays nobody for longer than a wake can be ahead.
            at_random: a delay that spreads those which are woken together.
        """
        last = self._at.get(key)
        if last is not None and now < last <= now + _FARTHEST:
            return last - now
        at = now + at_random
        if last is not None and last <= now:
            at = max(at, last + self._interval)
        self._at[key] = at
        if len(self._at) > _MOST_SEEN:
            self._at = {each: time for each, time in self._at.items() if time + self._interval > now}
        return at - now


def within_share(wanted: Iterable[T], namespace_of: Callable[[T], str], most: int = MOST_WAKES) -> list[T]:
    """Choose whom to wake now: of each namespace so many, in the order in which they come.

    Args:
        wanted: all of them.
        namespace_of: tells whose one is.
        most: for one namespace.
    """
    chosen: list[T] = []
    had: Counter[str] = Counter()
    for each in wanted:
        namespace = namespace_of(each)
        if had[namespace] < most:
            had[namespace] += 1
            chosen.append(each)
    return chosen
