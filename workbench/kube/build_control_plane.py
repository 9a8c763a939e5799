"""Build kube-apiserver and etcd once, into a cache outside the checkout.

This is what ``make control-plane`` runs. The versions are those of the Go module in ``workbench/go/control-plane``,
where they are tool dependencies with their checksums in ``go.sum``. With ``KUBEBUILDER_ASSETS`` set nothing is built.
"""

from __future__ import annotations

import fcntl
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from workbench.kube.binaries import MODULE, Binaries, cache_directory, find_binaries, pinned_version

TARGETS: Final = {"etcd": "go.etcd.io/etcd/server/v3", "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver"}
_PROGRESS_EVERY: Final = 15.0
_VERSION_PACKAGE: Final = "k8s.io/component-base/version"

__all__ = ["BuildFailed", "build", "main"]


class BuildFailed(RuntimeError):
    """The binaries could not be built; the message says what to do."""


def build(module: Path = MODULE) -> Binaries:
    """Return the binaries, after building them if they are not there yet.

    Raises:
        BuildFailed: no Go, a Go that is too old, or a build that failed.
    """
    if found := find_binaries():
        return found
    go = _find_go(module)
    target = cache_directory(module)
    target.parent.mkdir(parents=True, exist_ok=True)
    with _only_one_at_a_time(target.parent / f".{target.name}.lock"):
        if found := Binaries.inside(target):  # another process built them while this one waited
            return found
        say(f"building into {target} (once; about 5 minutes on two cores, and 3 GB in the caches of Go)")
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".building-") as scratch:
            for name, package in TARGETS.items():
                _build_one(go, module, package, Path(scratch) / "bin" / name)
            # Renamed in one step, so nobody ever meets half of it.
            (Path(scratch) / "bin").rename(target)
    if (found := Binaries.inside(target)) is None:
        raise BuildFailed(f"go build succeeded, but {target} has not both binaries")
    return found


def say(text: str) -> None:
    """Print a line of progress at once, also into a pipe."""
    print(f"control-plane: {text}", flush=True)  # noqa: T201 - a command line program


def _find_go(module: Path) -> str:
    go = shutil.which("go")
    needed = _needed_go(module)
    if go is None:
        raise BuildFailed(
            f"there is no Go toolchain here. Install Go {needed} or newer (https://go.dev/dl/), or set "
            "KUBEBUILDER_ASSETS to a directory with kube-apiserver and etcd, for example from setup-envtest"
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


def _build_one(go: str, module: Path, package: str, output: Path) -> None:
    version = pinned_version(module)
    major, minor = version.removeprefix("v").split(".")[:2]
    stamps = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}  # or it calls itself v0.0.0-master
    flags = " ".join(["-s -w", *(f"-X {_VERSION_PACKAGE}.{key}={value}" for key, value in stamps.items())])
    options = ["-v", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", flags]
    command = [go, "build", *options, "-o", str(output), package]
    # No C compiler needed, and the binary runs on any Linux.
    process = subprocess.Popen(
        command,
        cwd=module,
        env={**os.environ, "CGO_ENABLED": "0"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    tail = _follow(process, output.name)
    if process.returncode != 0:
        raise BuildFailed(f"building {package} failed:\n" + "\n".join(tail))


def _follow(process: subprocess.Popen[str], name: str) -> list[str]:
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
            say(f"{name}: {told - started:.0f} s, {downloads} modules fetched, {packages} packages compiled")
            continue
        if line is None:
            break
        tail.append(line)
        downloads += line.startswith("go: downloading")
        packages += not line.startswith(("go:", "#", "\t"))
    process.wait()
    say(f"{name}: {'built' if process.returncode == 0 else 'failed'} after {time.monotonic() - started:.0f} s")
    return list(tail)


@contextmanager
def _only_one_at_a_time(lock: Path) -> Iterator[None]:
    with lock.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another build is running, waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def main() -> int:
    """Build what is missing and print where it is."""
    try:
        binaries = build()
    except (BuildFailed, FileNotFoundError) as error:
        print(f"control-plane: {error}", file=sys.stderr)  # noqa: T201
        return 1
    say(f"kube-apiserver and etcd are in {binaries.etcd.parent}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
