"""Whether the agents of machines were updated as often as there was a cause, and never twice at once. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_BEHIND, _CURRENT, _STARTED = "behind", "current", "started"

__all__ = ["MachineFact", "UpdateFact", "check_agents"]


@dataclass(frozen=True)
class UpdateFact:
    """One update that the service accepted; times are simulated seconds."""

    name: str
    """Of its job."""
    start: float
    end: float
    """Infinite for one that never ended."""
    succeeded: bool


@dataclass(frozen=True)
class MachineFact:
    """One machine, whose agent was behind at first."""

    name: str
    updates: Sequence[UpdateFact]
    aged: Sequence[tuple[float, float]]
    """Between which two moments its agent fell behind again."""
    refused: int = 0
    """How often the service refused an update because another one was under way."""


def check_agents(machines: Sequence[MachineFact], most: int) -> list[str]:
    """Everything that is wrong with the updates of a vault, of which ``most`` may run at once."""
    problems = [problem for machine in machines for problem in _check_machine(machine)]
    spans = [(update.start, update.end) for machine in machines for update in machine.updates]
    if (found := _most_at_once(spans)) > most:
        problems.append(f"{found} updates of agents at once: maxConcurrent is {most}")
    return problems


def _check_machine(machine: MachineFact) -> list[str]:
    problems = [f"{machine.name}: {machine.refused} updates were asked for while one ran"] if machine.refused else []
    behind = True
    events = [
        *((since, 2, _BEHIND, "") for since, _ in machine.aged),
        *((until, 2, _BEHIND, "") for _, until in machine.aged),
        *((update.start, 1, _STARTED, update.name) for update in machine.updates),
        *((update.end, 0, _CURRENT, update.name) for update in machine.updates if update.succeeded),
    ]
    for at, _, what, job in sorted(events):
        if what == _STARTED and not behind:
            problems.append(f"{machine.name}: job {job} of {at:.1f} updated an agent that was current")
        behind = what == _BEHIND or (behind and what == _STARTED)
    return problems


def _most_at_once(spans: Sequence[tuple[float, float]]) -> int:
    return max((sum(since <= start < until for since, until in spans) for start, _ in spans), default=0)
