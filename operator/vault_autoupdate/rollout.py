"""Updating the agents of a vault's machines in windows: which are started now, and why no more. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from vault_autoupdate.attempts import Explanation
from vault_autoupdate.observed import Machine
from vault_autoupdate.windows import Window, WindowSchedule

__all__ = ["AgentUpdate", "MachineFailure", "Phase", "Rollout", "RolloutDecision", "RolloutRules"]


@dataclass(frozen=True)
class RolloutRules:
    """``spec.agentUpdates``."""

    schedule: WindowSchedule
    max_concurrent: int = 10
    max_failures: int = 1
    """Failures in a window after which nothing more is started in it."""
    order: tuple[str, ...] = ()
    """Patterns of machine names (``*`` and ``?``, any letter case): who matches the first goes first, then the
    next; all others come last. The next group begins when the one before it has ended."""
    pause: bool = False


class Phase(StrEnum):
    """Where a rollout stands."""

    CLOSED = "Closed"
    """No window is open."""
    ROLLING = "Rolling"
    """A window is open and there is something left to do in it."""
    DONE = "Done"
    """A window is open and nothing is left to do."""
    PAUSED = "Paused"
    STOPPED = "Stopped"
    """``maxFailures`` was reached in the open window."""
    AUDIT = "Audit"
    """A window is open, and the resource's mode is to change nothing."""


@dataclass(frozen=True)
class AgentUpdate:
    """An update of one machine's agent under way."""

    machine_id: str
    machine: str
    """Name of the machine."""
    job_id: str
    """The job's GUID; empty when ARM named none."""
    started_at: datetime

    @property
    def key(self) -> str:
        """The machine's key."""
        return self.machine_id.casefold()


@dataclass(frozen=True)
class MachineFailure:
    """A machine whose agent could not be updated."""

    machine_id: str
    machine: str
    attempts: int
    """In a row, over all windows."""
    last_at: datetime
    explanation: Explanation
    job_id: str = ""


@dataclass
class Rollout:
    """What is remembered of the updates of one vault. All of it goes into the status and comes back from there."""

    window: Window | None = None
    """The window whose counts these are: open, or the last one."""
    request: str | None = None
    """The value of the annotation that opened ``window``; None when it was the schedule."""
    handled_request: str | None = None
    """The last value of the annotation that was taken up."""
    updates: dict[str, AgentUpdate] = field(default_factory=dict)
    """By machine key: under way."""
    done: dict[str, str] = field(default_factory=dict)
    """By machine key: the names of those updated in ``window``, until a report shows them current."""
    failures: dict[str, MachineFailure] = field(default_factory=dict)
    """By machine key: the last try failed."""
    started: int = 0
    succeeded: int = 0
    failed: int = 0
    timed_out: int = 0
    reboots: int = 0
    """Of those that succeeded: wait for a reboot (Site Recovery's code 151083)."""


@dataclass(frozen=True)
class RolloutDecision:
    """What is done about a vault's agents now."""

    phase: Phase
    start: tuple[Machine, ...] = ()
    """To be started now, in this order."""
    waiting: tuple[Machine, ...] = ()
    """Those that an open window, or the next one, would still update, in the order in which it would."""
    reason: str = ""
    """In words: why nothing more is started."""
