"""The values that a status is made of: written within bounds, and read back from whatever stands there. Pure."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

_MOST: Final = 2**31

_WORD: Final = 24
"""Letters of a text that others are likely to have as well: a reason, a state, a point in time."""

__all__ = ["compact", "fitting", "format_time", "looked_at", "read_count", "read_entries", "read_text", "read_time"]


def format_time(time: datetime) -> str:
    """A point in time as Kubernetes writes it: UTC, whole seconds."""
    return time.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def compact(document: Mapping[str, Any]) -> dict[str, Any]:
    """The same document, which shares its words with all others: thousands are kept, and JSON makes each word anew."""
    return {sys.intern(str(key)): _compacted(value) for key, value in document.items()}


def _compacted(value: Any) -> Any:
    if type(value) is str:
        return sys.intern(value) if len(value) <= _WORD else value
    if isinstance(value, Mapping):
        return compact(value)
    return [_compacted(entry) for entry in value] if isinstance(value, list) else value


def fitting(entries: Iterable[dict[str, Any]], most: int, room: int) -> list[dict[str, Any]]:
    """The first of ``entries``, as many as there is room for.

    Args:
        entries: what is to be listed.
        most: the most entries.
        room: the most bytes of their JSON together.
    """
    taken: list[dict[str, Any]] = []
    for entry in entries:
        room -= len(json.dumps(entry, ensure_ascii=False).encode())
        if len(taken) == most or room < 0:
            break
        taken.append(entry)
    return taken


def read_entries(value: object) -> list[Mapping[str, Any]]:
    """The objects of a list; none if it is no list."""
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list) else []


def read_text(value: object) -> str:
    """A text; empty if it is none."""
    return value if isinstance(value, str) else ""


def read_count(value: object) -> int:
    """A number of things; 0 if it is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST else 0


def read_time(value: object) -> datetime | None:
    """A point in time, in UTC; None if it is none."""
    try:
        time = datetime.fromisoformat(read_text(value))
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def looked_at(status: Mapping[str, Any], name: str, now: datetime) -> datetime | None:
    """When what a section of the status tells was looked at: not after ``now``; None where it does not say."""
    section = status.get(name)
    time = read_time(section.get("lookedAt")) if isinstance(section, Mapping) else None
    return min(time, now) if time else None
