"""Runs a contender against a fresh simulator, and works out what happened from what the simulator saw."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from asr_simulator.control_types import RequestRecord, ScopeStats
from benchmarks.scenarios import JOB_SECONDS, WINDOW, Contender, Scenario
from benchmarks.simulator import SimulatorProcess
from benchmarks.task import Answer, Task, write_task
from workbench.process.children import ChildProcess

BUSY: Final = 0.8
"""A client that uses more than this part of a core on average was held up by the machine, not by the limits."""
_ACCEPTED: Final = 202
_EXTRA_REAL: Final = 120.0

__all__ = ["Result", "measure"]


@dataclass
class Result:
    """One contender in one scenario. Times are simulated seconds after its start."""

    scenario: str
    title: str
    contender: str
    scale: float
    to_patch: int
    shortest: float
    compliant: int
    """Mappings as declared at the end, of those that were not at the start."""
    seconds: float | None
    """Until all were as declared, as the simulator knows; None if that never came."""
    known: float | None
    """Until the contender itself knew."""
    writes: int
    reads: int
    throttled: int
    peak_writes: int
    """Most writes of this client in any 60 s of a scope, as the server counts them."""
    peak_reads: int
    """Most reads in any 60 min of a scope, as the server counts them."""
    late_seconds: float | None
    left_used: float | None
    """Part of the quota that another client left which was used while it was there."""
    recovered: float | None
    """Until the full rate was reached again after the other client had gone."""
    cpu: float
    cpu_share: float
    cpu_busiest: float
    simulator_cpu_share: float
    real_seconds: float
    status_writes: int
    reads_on_hold: int | None
    status_writes_on_hold: int | None
    cpu_on_hold: float | None
    finished: bool
    notes: str
    progress: list[tuple[float, int]] = field(default_factory=list, repr=False)

    @property
    def ratio(self) -> float | None:
        """Time to all compliant over the shortest possible one."""
        return self.seconds / self.shortest if self.seconds is not None and self.shortest else None

    @property
    def is_valid(self) -> bool:
        """Whether the limits, not the machine, decided how long it took."""
        return self.cpu_share <= BUSY and self.simulator_cpu_share <= BUSY


def measure(scenario: Scenario, contender: Contender) -> Result:
    """Run ``contender`` in ``scenario``."""
    scale = scenario.scale_for(contender)
    with tempfile.TemporaryDirectory(prefix="vault-autoupdate-bench-") as name:
        directory = Path(name)
        with SimulatorProcess(scenario.document(scale), directory) as simulator:
            answer, began_real, cpu = _run(scenario, contender, scale, simulator, directory)
            real, simulator_cpu = time.monotonic() - began_real, simulator.cpu_seconds - cpu
            return _result(scenario, answer, simulator, real, simulator_cpu)


def _run(
    scenario: Scenario, contender: Contender, scale: float, simulator: SimulatorProcess, directory: Path
) -> tuple[Answer, float, float]:
    task_file, answer_file = directory / "task.json", directory / "answer.json"
    task = Task(
        contender=contender,
        url=simulator.url,
        scale=scale,
        vaults=scenario.vaults,
        limit=scenario.limit_for(contender),
        late=scenario.late.vault if scenario.late else None,
        late_at=scenario.late.at if scenario.late else 0.0,
        undisturbed_from=scenario.disturbance.until if scenario.disturbance else None,
        hold=scenario.hold,
    )
    write_task(task, task_file)
    began, cpu = time.monotonic(), simulator.cpu_seconds
    process = ChildProcess(
        [sys.executable, "-m", "benchmarks.contender", task_file, answer_file],
        log=directory / "contender.log",
        env={**os.environ, **simulator.identity},
    )
    with process:
        code = process.wait((task.limit + scenario.hold) / scale + _EXTRA_REAL)
        if code != 0 or not answer_file.exists():
            raise RuntimeError(f"{contender} ended with {code} in {scenario.name}:\n{process.log_tail(40)}")
    return Answer(**json.loads(answer_file.read_text())), began, cpu


def _result(
    scenario: Scenario, answer: Answer, simulator: SimulatorProcess, real: float, simulator_cpu: float
) -> Result:
    stats, control = simulator.control.stats(), simulator.control
    patches = [r for r in control.requests(limit=1_000_000, method="PATCH") if r["status"] == _ACCEPTED]
    state = control.state()
    ends = _ends(patches, answer.began, until=state["simulated"])
    compliant = sum(vault["compliant"] for vault in state["vaults"]) - sum(v.compliant for v in scenario.all_vaults)
    is_all = compliant == scenario.to_patch and scenario.to_patch > 0
    scopes = stats["scopes"]
    known = max(answer.ready.values(), default=0.0) - answer.began if answer.finished and answer.ready else None
    return Result(
        scenario=scenario.name,
        title=scenario.title,
        contender=answer.contender,
        scale=scenario.scale_for(Contender(answer.contender)),
        to_patch=scenario.to_patch,
        shortest=scenario.shortest,
        compliant=compliant,
        seconds=max(ends) if is_all else None,
        known=known if not scenario.late else None,
        writes=len(patches),
        reads=sum(scope["reads"]["served"] for scope in scopes),
        throttled=stats["responses"].get("429", 0),
        peak_writes=_peak(patches),
        peak_reads=max((_peak_reads(scope) for scope in scopes), default=0),
        late_seconds=_late_seconds(scenario, answer, patches),
        left_used=_left_used(scenario, answer, patches),
        recovered=_recovered(scenario, answer, patches),
        cpu=answer.cpu,
        cpu_share=answer.cpu_share,
        cpu_busiest=answer.cpu_busiest,
        simulator_cpu_share=simulator_cpu / real,
        real_seconds=real,
        status_writes=answer.status_writes,
        reads_on_hold=answer.reads_on_hold if scenario.hold else None,
        status_writes_on_hold=answer.status_writes_on_hold if scenario.hold else None,
        cpu_on_hold=answer.cpu_on_hold if scenario.hold else None,
        finished=answer.finished,
        notes=answer.notes,
        progress=[(round(end, 2), number) for number, end in enumerate(sorted(ends), 1)],
    )


def _ends(patches: Iterable[RequestRecord], began: float, *, until: float) -> list[float]:
    """When each mapping became as declared: at the end of the job of its last PATCH that was accepted."""
    last = {record["path"].lower(): record["simulated"] + JOB_SECONDS for record in patches}
    return [end - began for end in last.values() if end <= until]


def _peak(patches: Iterable[RequestRecord]) -> int:
    windows: dict[str, deque[float]] = {}
    peak = 0
    for record in sorted(patches, key=lambda record: record["simulated"]):
        window = windows.setdefault(record["scope"], deque())
        window.append(record["simulated"])
        while window[0] <= record["simulated"] - WINDOW:
            window.popleft()
        peak = max(peak, len(window))
    return peak


def _peak_reads(scope: ScopeStats) -> int:
    return scope["reads"]["peak_in_window"]


def _late_seconds(scenario: Scenario, answer: Answer, patches: list[RequestRecord]) -> float | None:
    if scenario.late is None or answer.late_applied is None:
        return None
    own = [record["simulated"] for record in patches if record["vault"] == scenario.late.vault.name]
    if len(own) < scenario.late.vault.to_patch:
        return None
    return max(own) + JOB_SECONDS - answer.late_applied


def _left_used(scenario: Scenario, answer: Answer, patches: list[RequestRecord]) -> float | None:
    if (disturbance := scenario.disturbance) is None:
        return None
    used = sum(record["simulated"] - answer.began < disturbance.until for record in patches)
    return used / ((200 - disturbance.writes_per_minute) * disturbance.until / WINDOW)


def _recovered(scenario: Scenario, answer: Answer, patches: list[RequestRecord]) -> float | None:
    """When the window was first filled to 95 % again."""
    if (disturbance := scenario.disturbance) is None:
        return None
    window: deque[float] = deque()
    for at in sorted(record["simulated"] - answer.began for record in patches):
        window.append(at)
        while window[0] <= at - WINDOW:
            window.popleft()
        if at > disturbance.until and len(window) >= 190:
            return at - disturbance.until
    return None
