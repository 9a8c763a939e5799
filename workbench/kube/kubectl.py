"""A thin runner around kubectl, the one that the test dependencies bring."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Kubectl", "KubectlError", "Result", "find_kubectl"]


class KubectlError(RuntimeError):
    """kubectl ended with another code than 0; the message has what it said."""


@dataclass(frozen=True)
class Result:
    """What a run of kubectl left behind."""

    command: tuple[str, ...]
    code: int
    stdout: str
    stderr: str

    def check(self) -> Result:
        """Return the result if the run succeeded, and raise `KubectlError` if it did not."""
        if self.code:
            raise KubectlError(f"kubectl {' '.join(self.command)} ended with {self.code}:\n{self.stderr}{self.stdout}")
        return self

    def json(self) -> Any:
        """Parse the output of a successful run with ``-o json``."""
        return json.loads(self.check().stdout)


@dataclass(frozen=True)
class Kubectl:
    """kubectl with one kubeconfig and, if wanted, one namespace."""

    kubeconfig: Path
    namespace: str | None = None

    def __call__(self, *arguments: str | Path, stdin: str | None = None, timeout: float = 60) -> Result:
        """Run kubectl to its end; an exit code other than 0 is no error here (see `Result.check`)."""
        command = [str(argument) for argument in arguments]
        scope = ["--namespace", self.namespace] if self.namespace else []
        done = subprocess.run(
            [str(find_kubectl()), "--kubeconfig", str(self.kubeconfig), *scope, *command],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env=self._environment(),
        )
        return Result(tuple(command), done.returncode, done.stdout, done.stderr)

    def in_namespace(self, namespace: str) -> Kubectl:
        """Return a kubectl for another namespace."""
        return Kubectl(self.kubeconfig, namespace)

    def _environment(self) -> dict[str, str]:
        # Nothing of the user's own set-up may leak in; kubectl keeps its discovery cache below HOME.
        return {"PATH": os.environ.get("PATH", ""), "HOME": str(self.kubeconfig.parent)}


def find_kubectl() -> Path:
    """Return the path of kubectl: beside the running Python first, then on the PATH.

    Raises:
        FileNotFoundError: there is none.
    """
    beside = Path(sys.executable).parent / "kubectl"
    if beside.exists():
        return beside
    if found := shutil.which("kubectl"):
        return Path(found)
    raise FileNotFoundError("kubectl is missing; `make setup` installs it into .venv")
