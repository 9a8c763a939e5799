"""Processor time and memory of processes, from /proc."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Final, Self

_TICK: Final = os.sysconf("SC_CLK_TCK")

__all__ = ["Meter", "cpu_seconds", "peak_resident_bytes", "resident_bytes"]


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used so far, all its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def resident_bytes(pid: int) -> int:
    """Memory of a process that is in RAM."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def peak_resident_bytes(pid: int) -> int:
    """The most memory that a process has ever had in RAM."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


class Meter:
    """Measures this process while the ``with`` block runs: processor time as a whole, and of its busiest second."""

    def __init__(self) -> None:
        self.wall = 0.0
        self.cpu = 0.0
        self.busiest = 0.0
        """Largest part of a core that was used over any one second."""
        self._end = threading.Event()
        self._sampler = threading.Thread(target=self._sample, name="meter", daemon=True)

    @property
    def share(self) -> float:
        """Part of a core that was used."""
        return self.cpu / self.wall if self.wall else 0.0

    def __enter__(self) -> Self:
        self._began = (time.monotonic(), time.process_time())
        self._sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self.wall, self.cpu = time.monotonic() - self._began[0], time.process_time() - self._began[1]
        self._sampler.join()

    def _sample(self) -> None:
        last = self._began
        while not self._end.wait(1.0):
            now = (time.monotonic(), time.process_time())
            self.busiest = max(self.busiest, (now[1] - last[1]) / (now[0] - last[0]))
            last = now
