"""Azure's own command line as a parser: what it would say to a command, without a login and without doing anything.

It pins hundreds of packages, so it lives in an environment of its own, in a cache outside the checkout, made of
``tools/azure_cli/uv.lock`` where every artefact has its hash. Making it takes seconds once the packages are there, and
parsing hundreds of commands in one process less than a minute. So the tests ask the real parser; a table of flags that
is made from it would have to be kept in step, and could not say what argparse, the generated commands and JMESPath say.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from workbench.caches import cache_root

PROJECT: Final = Path(__file__).resolve().parents[2] / "tools" / "azure_cli"
"""Pins azure-cli and all that it needs."""

HOW_TO_ENABLE: Final = "run `python -m workbench.azure.azure_cli` once (needs PyPI, some 370 MB)"
_PARSE: Final = Path(__file__).with_name("azure_cli_parse.py")

__all__ = ["HOW_TO_ENABLE", "PROJECT", "build", "cache_directory", "complaints", "find_python", "main", "version"]


def version() -> str:
    """The version of azure-cli that is pinned."""
    (pin,) = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["dependencies"]
    return str(pin).partition("==")[2]


def cache_directory() -> Path:
    """Where the environment belongs, whether it is there or not: another lock or Python is another environment."""
    decides = f"{sys.version_info[:2]}/{platform.system()}/{platform.machine()}\n".encode()
    digest = hashlib.sha256(decides + (PROJECT / "uv.lock").read_bytes()).hexdigest()[:12]
    return cache_root("azure-cli") / f"{version()}-{digest}"


def find_python() -> Path | None:
    """The Python that has azure-cli, or None if the environment was not made yet."""
    found = cache_directory() / "bin" / "python"
    return found if (cache_directory() / "complete").exists() else None


def build() -> Path:
    """Return the Python that has azure-cli, after making its environment if it is not there.

    Raises:
        subprocess.CalledProcessError: the packages could not be had.
    """
    if found := find_python():
        return found
    target = cache_directory()
    target.mkdir(parents=True, exist_ok=True)
    with target.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second test run waits, and finds it made
        subprocess.run(
            [
                Path(sys.executable).with_name("uv"),
                "sync",
                "--quiet",
                "--locked",
                "--no-install-project",
                "--project",
                PROJECT,
                "--python",
                sys.executable,
            ],
            check=True,
            env=os.environ | {"UV_PROJECT_ENVIRONMENT": str(target)},
        )
        (target / "complete").touch()
    return target / "bin" / "python"


def complaints(commands: Sequence[Sequence[str]], *, timeout: float = 300) -> list[str | None]:
    """What azure-cli says against each command (without the leading ``az``), None where it would go on.

    Raises:
        FileNotFoundError: the environment is not there; the message says how to make it.
    """
    if (python := find_python()) is None:
        raise FileNotFoundError(f"no azure-cli: {HOW_TO_ENABLE}")
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [python, "-I", _PARSE],
            input=json.dumps([list(command) for command in commands]),
            capture_output=True,
            text=True,
            check=True,
            timeout=timeout,
            # Nothing of the user's own: no login, no extensions, no defaults; and nothing is sent or fetched.
            env={
                "PATH": "/usr/bin:/bin",
                "HOME": home,
                "AZURE_CONFIG_DIR": f"{home}/azure",
                "AZURE_CORE_COLLECT_TELEMETRY": "no",
                "AZURE_EXTENSION_USE_DYNAMIC_INSTALL": "no",
                "PYTHONDONTWRITEBYTECODE": "",
            },
        )
    answers: list[str | None] = json.loads(done.stdout)
    return answers


def main() -> int:
    """Make the environment, and print where it is."""
    try:
        python = build()
    except subprocess.CalledProcessError as error:
        print(f"azure-cli: {error}", file=sys.stderr)  # noqa: T201
        return 1
    print(f"azure-cli: {version()} is in {python.parent.parent}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
