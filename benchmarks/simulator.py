"""The simulator as a process of its own, so that its work does not count as its client's."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final, Self

from asr_simulator.control_client import ControlClient
from benchmarks.usage import cpu_seconds
from workbench.process.children import ChildProcess
from workbench.process.waiting import wait_until

_WITHIN: Final = 600.0
"""Seconds for a scenario of 20,000 vaults on a machine with much else to do; a small one takes one."""

__all__ = ["SimulatorProcess"]


class SimulatorProcess:
    """A running simulator; leaving the ``with`` block stops it."""

    def __init__(self, document: dict[str, Any], directory: Path) -> None:
        scenario, ready = directory / "scenario.yaml", directory / "ready.json"
        ready.unlink(missing_ok=True)
        scenario.write_text(json.dumps(document))  # it is YAML as well
        command: list[str | Path] = [
            sys.executable,
            "-m",
            "asr_simulator",
            "serve",
            "--scenario",
            scenario,
            "--ready-file",
            ready,
        ]
        self._process = ChildProcess(command, log=directory / "simulator.log", name="simulator")
        try:
            self.url: str = json.loads(wait_until(lambda: self._ready(ready), within=_WITHIN, what="the simulator"))[
                "url"
            ]
        except BaseException:
            self._process.kill()
            raise
        self.control = ControlClient(self.url)

    @property
    def identity(self) -> dict[str, str]:
        """Environment by which Microsoft's managed identity client finds the token endpoint."""
        return {"IDENTITY_ENDPOINT": f"{self.url}/msi/token", "IDENTITY_HEADER": "asr-simulator"}

    @property
    def cpu_seconds(self) -> float:
        """Processor time used so far."""
        return cpu_seconds(self._process.pid)

    def _ready(self, file: Path) -> str | None:
        self._process.check_alive()
        return file.read_text() if file.exists() else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop it; it has nothing to put in order."""
        self._process.kill()
