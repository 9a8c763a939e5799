"""What was really done in a run, and when: the plan says what was meant."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.chaos.accounting import Setting

__all__ = ["AgeNote", "DriftNote", "Entry", "Journal", "MappingNote", "ResourceNote"]


@dataclass(frozen=True)
class Entry:
    """One line of the journal."""

    at: float
    """Simulated seconds."""
    text: str

    def __str__(self) -> str:
        return f"{self.at:8.1f}  {self.text}"


@dataclass(frozen=True)
class DriftNote:
    """Mappings (by ordinal) of a vault were changed between two moments."""

    since: float
    until: float
    vault: str
    change: str
    ordinals: tuple[int, ...]


@dataclass(frozen=True)
class AgeNote:
    """The agents of machines of a vault fell behind between two moments."""

    since: float
    until: float
    vault: str
    machines: tuple[str, ...]


@dataclass(frozen=True)
class MappingNote:
    """A mapping (by ordinal) as it was when it appeared."""

    at: float
    vault: str
    ordinal: int
    name: str
    setting: Setting
    in_scope: bool


@dataclass(frozen=True)
class ResourceNote:
    """A resource as it was after somebody other than the operator did something to it."""

    at: float
    """When that was begun."""
    kind: Literal["declared", "deleted"]
    body: Mapping[str, Any]


@dataclass
class Journal:
    """Notes from several threads, in the order of time."""

    now: Callable[[], float]
    """Simulated seconds."""
    entries: list[Entry] = field(default_factory=list)
    mappings: list[MappingNote] = field(default_factory=list)
    drifts: list[DriftNote] = field(default_factory=list)
    aged: list[AgeNote] = field(default_factory=list)
    resources: list[ResourceNote] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    """What was done how often."""
    uncounted: set[str] = field(default_factory=set)
    """Ids of the faults that strike before the server counts the call."""
    starts: list[float] = field(default_factory=list)
    """When operator processes were started."""
    problems: list[str] = field(default_factory=list)
    """What the actors themselves found wrong."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, text: str, *, count: str = "") -> None:
        """Write a line; count it under a name if there is one."""
        with self._lock:
            self.entries.append(Entry(self.now(), text))
        if count:
            self.add(count)

    def add(self, name: str, number: int = 1) -> None:
        """Count something that was done."""
        with self._lock:
            self.counts[name] = self.counts.get(name, 0) + number

    def problem(self, text: str) -> None:
        """Write down something that must not be."""
        self.note(f"PROBLEM {text}")
        self.problems.append(text)

    @contextmanager
    def doing(self, text: str, *, count: str = "") -> Iterator[None]:
        """Write a line before something, and one after it if it took a while."""
        self.note(text, count=count)
        began = self.now()
        yield
        if self.now() - began > 25:
            self.note(f"done: {text}")

    def __str__(self) -> str:
        return "\n".join(map(str, self.entries))
