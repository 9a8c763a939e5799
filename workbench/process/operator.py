"""The operator as a process of its own, started through its normal entry point and environment."""

from __future__ import annotations

import os
import signal
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Self

from workbench.process.children import ChildProcess
from workbench.process.ports import free_ports
from workbench.process.template import PROGRAM
from workbench.process.waiting import wait_until

__all__ = ["OperatorProcess", "scaled_settings"]

_INHERITED: Final = ("PATH", "HOME", "LANG", "TMPDIR")


def scaled_settings(scale: float) -> dict[str, str]:
    """The default settings for an ARM whose time runs ``scale`` times as fast as the clock."""

    def seconds(simulated: float) -> str:
        return f"{simulated / scale:.6f}s"

    return {
        "VAULT_AUTOUPDATE_WRITE_LIMIT": f"200/{seconds(60)}",
        "VAULT_AUTOUPDATE_READ_LIMIT": f"10000/{seconds(3600)},250/{seconds(10)}",
        "VAULT_AUTOUPDATE_JOB_POLL_MIN": seconds(3),
        "VAULT_AUTOUPDATE_JOB_POLL_MAX": seconds(30),
        "VAULT_AUTOUPDATE_RETRY_PAUSE": seconds(2),
        "VAULT_AUTOUPDATE_RETRY_MIN": seconds(60),
        "VAULT_AUTOUPDATE_STATUS_INTERVAL": seconds(5),
        "VAULT_AUTOUPDATE_STARTUP_SPREAD": seconds(300),
        "VAULT_AUTOUPDATE_AGENT_INTERVAL": seconds(21_600),
        "VAULT_AUTOUPDATE_ROLE_CONFIRMATION": seconds(900),
        "VAULT_AUTOUPDATE_REQUEST_INTERVAL": seconds(30),
        "VAULT_AUTOUPDATE_HINT_INTERVAL": seconds(110),
    }


class OperatorProcess:
    """One operator; it can be killed and started again with the same configuration."""

    def __init__(
        self,
        work_dir: Path,
        *,
        kubeconfig: Path,
        arm_url: str,
        identity: Mapping[str, str],
        scale: float = 1.0,
        settings: Mapping[str, str] | None = None,
        name: str = "operator",
        program: Sequence[str] = PROGRAM,
    ) -> None:
        metrics, health = free_ports(2)
        self.metrics_url = f"http://127.0.0.1:{metrics}/metrics"
        self.health_url = f"http://127.0.0.1:{health}"
        self.log = work_dir / f"{name}.log"
        self.name = name
        self.program = tuple(program)
        self.environment = {
            **{key: os.environ[key] for key in _INHERITED if key in os.environ},
            "MALLOC_ARENA_MAX": "2",  # as the image sets it
            **identity,
            **scaled_settings(scale),
            "KUBECONFIG": str(kubeconfig),
            "VAULT_AUTOUPDATE_ARM_ENDPOINT": arm_url,
            "VAULT_AUTOUPDATE_CREDENTIAL": "managed-identity",
            "VAULT_AUTOUPDATE_METRICS_ADDRESS": f"127.0.0.1:{metrics}",
            "VAULT_AUTOUPDATE_HEALTH_ADDRESS": f"127.0.0.1:{health}",
            **(settings or {}),
        }
        self.process: ChildProcess | None = None

    @property
    def child(self) -> ChildProcess:
        """The running process."""
        if self.process is None:
            raise RuntimeError("the operator was not started")
        return self.process

    def start(self) -> OperatorProcess:
        """Start it, also anew after it has ended; returns at once."""
        if self.process is not None:
            self.process.kill()
        self.process = ChildProcess([*self.program, "run"], log=self.log, name=self.name, env=self.environment)
        return self

    def wait_ready(self, *, within: float = 20.0) -> OperatorProcess:
        """Wait until it watches."""
        wait_until(self._is_ready, within=within, what=lambda: f"{self.name} to be ready:\n{self.child.log_tail()}")
        return self

    def metrics(self) -> dict[str, float]:
        """The metrics it serves now: from a series as it is written to its value."""
        with urllib.request.urlopen(self.metrics_url, timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        series = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, value in series}

    def kill(self) -> None:
        """kill -9."""
        self.child.kill()

    def freeze(self) -> None:
        """SIGSTOP: the process does nothing until it is thawed; its connections stay."""
        self.child.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT; no harm if it was not frozen."""
        self.child.send_signal(signal.SIGCONT)

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        return self.child.stop(grace=30)

    def close(self) -> None:
        """Stop it if it runs."""
        if self.process is not None:
            self.process.stop(grace=10)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _is_ready(self) -> bool:
        self.child.check_alive()
        try:
            with urllib.request.urlopen(f"{self.health_url}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False
