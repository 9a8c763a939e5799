"""The Mobility service on the replicated VMs of a vault: which version each has, and what is done about it.

What a VM shows follows from its mapping and its number there, so only VMs that differ from that have an entry here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from asr_simulator.jobs import SUCCESSFUL_ENDINGS, Job

FIRST_VERSION = "9.55.6808.1"
"""From a recording: the newest version before any release."""
OLDER_VERSION = "9.54.0.1"
"""Invented."""

Key = tuple[int, int]
"""A VM of a vault: its mapping's ordinal, and its number among the mapping's VMs."""

__all__ = ["FIRST_VERSION", "OLDER_VERSION", "AgentRecord", "AgentState", "Agents", "Blocker", "Key"]


@dataclass(frozen=True, slots=True)
class Blocker:
    """Why an agent cannot be installed anew: fields as published."""

    code: str
    message: str
    possible_causes: str = ""
    recommended_action: str = ""


@dataclass(frozen=True, slots=True)
class AgentState:
    """The agent of one VM."""

    version: str
    update_required: bool | None = None
    """None: whether the version is another than the newest."""
    upgrade_in_progress: bool = False
    """Besides a job that updates it: somebody else does."""
    retry_count: int = 0
    retries_exhausted: bool = False
    reinstall_required: bool = False
    blockers: tuple[Blocker, ...] = ()
    certificate_update_required: bool = False
    expires_at: datetime | None = None
    """None for never."""
    certificate_expires_at: datetime | None = None
    """None for never."""

    def updated(self, version: str) -> AgentState:
        """Return what the agent is after an update: a new certificate or a new installation is another matter."""
        return replace(
            self,
            version=version,
            update_required=None,
            upgrade_in_progress=False,
            retry_count=0,
            retries_exhausted=False,
            expires_at=None,
        )


@dataclass(slots=True, eq=False)
class AgentRecord:
    """What is kept of a VM that differs from the others, or was to be updated."""

    state: AgentState | None = None
    """None: as the scenario says."""
    job: Job | None = None
    """The update under way."""
    accepted: int = 0
    refused: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    """Ended updates by outcome."""


class Agents:
    """The agents of a vault."""

    def __init__(self, auto_update_after: float | None) -> None:
        self.newest = FIRST_VERSION
        self.auto_update_after = auto_update_after
        self.records: dict[Key, AgentRecord] = {}
        self.running = 0
        """Updates under way."""
        self.most_running = 0
        """Most updates under way at once."""
        self._released_at: float | None = None
        self._versions: dict[int, str] = {}
        """By ordinal of a mapping: the version that its VMs got by themselves, if they have no state of their own."""

    def release(self, version: str, now: float) -> None:
        """Let ``version`` be the newest from now on."""
        self.newest = version
        self._released_at = now

    def record(self, key: Key) -> AgentRecord:
        """Return the record of a VM, made at need."""
        return self.records.setdefault(key, AgentRecord())

    def state(self, key: Key, default: AgentState) -> AgentState:
        """Tell the state of an agent that was ``default`` when the vault began."""
        record = self.records.get(key)
        if record is not None and record.state is not None:
            return record.state
        version = self._versions.get(key[0])
        return default if version is None else AgentState(version)

    def is_behind(self, state: AgentState) -> bool:
        """Tell whether there is a newer version."""
        return state.version != self.newest if state.update_required is None else state.update_required

    def is_upgrading(self, key: Key, state: AgentState) -> bool:
        """Tell whether the agent is being updated."""
        record = self.records.get(key)
        return state.upgrade_in_progress or (record is not None and record.job is not None)

    def begin(self, record: AgentRecord, state: AgentState, job: Job) -> None:
        """Note that ``job`` updates the agent, which is in ``state``."""
        record.state = state
        record.job = job
        record.accepted += 1
        self.running += 1
        self.most_running = max(self.most_running, self.running)

    def finish(self, record: AgentRecord, job: Job) -> None:
        """Let a job that has ended take effect."""
        ending = job.course.ending
        record.job = None
        record.outcomes[ending] = record.outcomes.get(ending, 0) + 1
        self.running -= 1
        if ending in SUCCESSFUL_ENDINGS and record.state is not None:
            record.state = record.state.updated(self.newest)

    def update_automatically(self, ordinals: Iterable[int], now: float) -> None:
        """Update what is due of the VMs of mappings whose VMs get updates by themselves.

        Not those that are being updated, or that the service has given up.
        """
        if self._released_at is None or self.auto_update_after is None:
            return
        if now < self._released_at + self.auto_update_after:
            return
        late = {ordinal for ordinal in ordinals if self._versions.get(ordinal) != self.newest}
        if not late:
            return
        self._versions |= dict.fromkeys(late, self.newest)
        for (ordinal, _), record in self.records.items():
            state = record.state
            if ordinal not in late or state is None or record.job is not None:
                continue
            if not state.retries_exhausted and not state.reinstall_required:
                record.state = state.updated(self.newest)

    def forget(self, ordinal: int) -> None:
        """Forget the VMs of a mapping that is gone; an update that runs on one still counts until it ends."""
        self._versions.pop(ordinal, None)
        for key in [key for key in self.records if key[0] == ordinal]:
            del self.records[key]

    def reset_statistics(self) -> None:
        """Forget counts and the peak; states and jobs stay."""
        self.most_running = self.running
        for record in self.records.values():
            record.accepted = record.refused = 0
            record.outcomes = {}
