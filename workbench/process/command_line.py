"""The command line as people run it: a process, a manifest, a simulated Azure."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from asr_simulator import SimulatorThread
from vault_autoupdate.model.resource import API_VERSION, KIND
from workbench.core import ACCOUNT, SCALE, VAULT
from workbench.process.children import ChildProcess
from workbench.process.operator import scaled_settings
from workbench.process.template import PROGRAM as COMMAND

__all__ = ["COMMAND", "environment", "run", "run_with", "start", "write_manifest"]


def write_manifest(path: Path, **spec: Any) -> Path:
    """Write a resource that wants auto-update Enabled, with some fields of its spec changed; None leaves one out."""
    wanted = {"vaultResourceId": VAULT, "autoUpdate": "Enabled", "automationAccountResourceId": ACCOUNT, **spec}
    document = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": "dr"},
        "spec": {name: value for name, value in wanted.items() if value is not None},
    }
    path.write_text(yaml.safe_dump(document))
    return path


def environment(sim: SimulatorThread | None, **more: str) -> dict[str, str]:
    """The variables of a command that talks to ``sim``, with settings as fast as its clock."""
    base = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    if sim is not None:
        base |= sim.identity_env | scaled_settings(SCALE)
        base |= {"VAULT_AUTOUPDATE_ARM_ENDPOINT": sim.url, "VAULT_AUTOUPDATE_CREDENTIAL": "managed-identity"}
    return base | more


def start(*arguments: str | Path, sim: SimulatorThread, directory: Path) -> ChildProcess:
    """Start a command; ``output`` and ``errors`` in ``directory`` get what it prints."""
    return ChildProcess(
        [*COMMAND, *arguments],
        log=directory / "output",
        errors=directory / "errors",
        name=str(arguments[0]),
        env=environment(sim),
    )


def run(*arguments: str | Path, sim: SimulatorThread | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return run_with(environment(sim, **more), *arguments)


def run_with(variables: Mapping[str, str], *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with exactly this environment."""
    command = [*COMMAND, *map(str, arguments)]
    with TemporaryDirectory() as directory:
        output, errors = Path(directory, "output"), Path(directory, "errors")
        with ChildProcess(command, log=output, errors=errors, env=variables) as process:
            code = process.wait(60)
        return subprocess.CompletedProcess(command, code, output.read_text(), errors.read_text())
