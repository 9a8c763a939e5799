"""What a contender is told and what it answers; it runs in a process of its own and both go as JSON."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from asr_simulator.control_client import ControlClient
from benchmarks.scenarios import Vault

__all__ = ["Answer", "SimulatedClock", "Task", "read_task", "write_task"]


@dataclass(frozen=True)
class Task:
    """One run of one contender."""

    contender: str
    url: str
    scale: float
    vaults: tuple[Vault, ...]
    limit: float
    late: Vault | None = None
    late_at: float = 0.0
    undisturbed_from: float | None = None
    """When the other client goes away, in simulated seconds after the start."""
    hold: float = 0.0


@dataclass
class Answer:
    """What the contender itself knows. All times are simulated seconds since the simulator's start."""

    contender: str = ""
    began: float = 0.0
    ended: float = 0.0
    finished: bool = False
    """Whether it came to its own end within the limit."""
    late_applied: float | None = None
    ready: dict[str, float] = field(default_factory=dict)
    """By vault: when it was known to be as declared."""
    status_writes: int = 0
    status_writes_on_hold: int = 0
    reads_on_hold: int = 0
    cpu: float = 0.0
    """Processor seconds."""
    cpu_share: float = 0.0
    cpu_busiest: float = 0.0
    cpu_on_hold: float = 0.0
    notes: str = ""


class SimulatedClock:
    """The simulator's time, reckoned from this process's clock."""

    def __init__(self, control: ControlClient, scale: float) -> None:
        self.scale = scale
        before = time.monotonic()
        simulated = control.state()["simulated"]
        self._offset = simulated - scale * (before + time.monotonic()) / 2

    def now(self) -> float:
        """Simulated seconds since the simulator's start."""
        return self._offset + self.scale * time.monotonic()

    def real(self, simulated: float) -> float:
        """How long a simulated time takes here."""
        return simulated / self.scale

    def sleep(self, simulated: float) -> None:
        """Wait for a simulated time."""
        time.sleep(max(0.0, simulated) / self.scale)


def write_task(task: Task, path: Path) -> None:
    """Write what a contender is to do."""
    path.write_text(json.dumps(asdict(task)))


def read_task(path: Path) -> Task:
    """Read what `write_task` wrote."""
    fields: dict[str, Any] = json.loads(path.read_text())
    late = fields.pop("late")
    return Task(
        **{**fields, "vaults": tuple(Vault(**vault) for vault in fields["vaults"])},
        late=Vault(**late) if late else None,
    )
