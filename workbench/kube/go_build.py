"""Go programs, built once into a cache outside the checkout by what their module pins.

The versions are those of a Go module below ``workbench/go``, where the programs are tool dependencies with their
checksums in ``go.sum``.
"""

from __future__ import annotations

import fcntl
import os
import queue
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PROGRESS_EVERY: Final = 15.0

__all__ = ["BuildFailed", "GoBuild", "GoProgram", "find_go"]


class BuildFailed(RuntimeError):
    """The programs could not be built; the message says what to do."""


@dataclass(frozen=True)
class GoProgram:
    """One program to build."""

    name: str
    package: str
    """Import path of its main package, or its directory in the module as ``./name``."""
    module: Path
    tags: Sequence[str] = ()
    stamps: Sequence[str] = ()
    """Variables that the linker sets, as ``package.variable=value``."""
    cgo: bool = False
    """Whether a C compiler is needed. Without, the program runs on any Linux."""


@dataclass(frozen=True)
class GoBuild:
    """Builds programs into one directory, all or none of them."""

    what: str
    """Begins each line of progress."""
    instead: str
    """What somebody without Go can do, as a clause."""

    def into(self, target: Path, programs: Sequence[GoProgram], cost: str) -> None:
        """Build ``programs`` into ``target`` unless it is there. ``cost`` tells what that takes.

        Raises:
            BuildFailed: no Go, a Go that is too old, or a build that failed.
        """
        if target.is_dir():
            return
        toolchains = {program.module: find_go(program.module, self.instead) for program in programs}
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._only_one_at_a_time(target.parent / f".{target.name}.lock"):
            if target.is_dir():  # another process built them while this one waited
                return
            self.say(f"building into {target} (once; {cost})")
            with tempfile.TemporaryDirectory(dir=target.parent, prefix=".building-") as scratch:
                for program in programs:
                    self._build_one(toolchains[program.module], program, Path(scratch) / "bin" / program.name)
                # Renamed in one step, so nobody ever meets half of it.
                (Path(scratch) / "bin").rename(target)

    def say(self, text: str) -> None:
        """Print a line of progress at once, also into a pipe."""
        print(f"{self.what}: {text}", flush=True)  # noqa: T201 - a command line program

    def _build_one(self, go: str, program: GoProgram, output: Path) -> None:
        flags = " ".join(["-s -w", *(f"-X {stamp}" for stamp in program.stamps)])
        options = ["-v", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", flags]
        if program.tags:
            options += ["-tags", ",".join(program.tags)]
        process = subprocess.Popen(
            [go, "build", *options, "-o", str(output), program.package],
            cwd=program.module,
            env={**os.environ, "CGO_ENABLED": str(int(program.cgo))},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        tail = self._follow(process, output.name)
        if process.returncode != 0:
            raise BuildFailed(f"building {program.package} failed:\n" + "\n".join(tail))

    def _follow(self, process: subprocess.Popen[str], name: str) -> list[str]:
        """Print a line now and then until the process ends; return the end of its output."""
        lines: queue.Queue[str | None] = queue.Queue()

        def read() -> None:
            with process.stdout or open(os.devnull) as stream:  # noqa: PTH123
                for line in stream:
                    lines.put(line.rstrip())
            lines.put(None)

        threading.Thread(target=read, daemon=True).start()
        started = time.monotonic()
        told, packages, downloads = started, 0, 0
        tail: deque[str] = deque(maxlen=30)
        while True:
            try:
                line = lines.get(timeout=max(0.0, told + _PROGRESS_EVERY - time.monotonic()))
            except queue.Empty:
                told = time.monotonic()
                self.say(f"{name}: {told - started:.0f} s, {downloads} modules fetched, {packages} packages compiled")
                continue
            if line is None:
                break
            tail.append(line)
            downloads += line.startswith("go: downloading")
            packages += not line.startswith(("go:", "#", "\t"))
        process.wait()
        self.say(f"{name}: {'built' if process.returncode == 0 else 'failed'} after {time.monotonic() - started:.0f} s")
        return list(tail)

    @contextmanager
    def _only_one_at_a_time(self, lock: Path) -> Iterator[None]:
        with lock.open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.say("another build is running, waiting for it")
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def find_go(module: Path, instead: str) -> str:
    """Return the Go that can build ``module``.

    Raises:
        BuildFailed: there is none; ``instead`` is what can be done then.
    """
    go = shutil.which("go")
    needed = _needed_go(module)
    if go is None:
        raise BuildFailed(
            f"there is no Go toolchain here. Install Go {needed} or newer (https://go.dev/dl/), or {instead}"
        )
    # Asked inside the module: with GOTOOLCHAIN=auto this fetches the toolchain that it asks for.
    answer = subprocess.run([go, "env", "GOVERSION"], cwd=module, capture_output=True, text=True, check=False)
    if answer.returncode != 0 or _numbers(answer.stdout) < _numbers(needed):
        raise BuildFailed(
            f"{go} is too old or does not work: Go {needed} or newer is needed, and it says "
            f"{(answer.stdout + answer.stderr).strip()!r}"
        )
    return go


def _needed_go(module: Path) -> str:
    match = re.search(r"^go (\S+)", (module / "go.mod").read_text(), re.MULTILINE)
    return match[1] if match else "1.26"


def _numbers(version: str) -> tuple[int, ...]:
    match = re.search(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()
