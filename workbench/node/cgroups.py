"""The control groups that a node's pods live in, below one of its own."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Final

_ROOT: Final = Path("/sys/fs/cgroup")
_PREFIX: Final = "vault-autoupdate-node-"
_CPUSET: Final = ("cpuset.cpus", "cpuset.mems")
_END_SECONDS: Final = 10.0

__all__ = ["Cgroup"]


class Cgroup:
    """One control group, in each hierarchy that the machine has; version 1, version 2, or both."""

    def __init__(self) -> None:
        self.name = f"{_PREFIX}{os.getpid()}"

    def create(self) -> None:
        """Make it; and remove what a node left behind whose process was killed."""
        for directory in _ROOT.glob(f"**/{_PREFIX}*"):
            if not Path(f"/proc/{directory.name.removeprefix(_PREFIX)}").exists():
                _remove(directory)
        for hierarchy in _hierarchies():
            directory = hierarchy / self.name
            directory.mkdir(exist_ok=True)
            if hierarchy.name == "cpuset":  # in version 1, nothing can run in a group that has no processors
                for name in _CPUSET:
                    (directory / name).write_text((hierarchy / name).read_text())

    def remove(self) -> None:
        """Take it away, once the last process in it has ended.

        Raises:
            OSError: there is one that does not.
        """
        deadline = time.monotonic() + _END_SECONDS
        while True:
            try:
                for hierarchy in _hierarchies():
                    _remove(hierarchy / self.name)
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return

    def paths(self) -> list[Path]:
        """Where it is."""
        return [hierarchy / self.name for hierarchy in _hierarchies() if (hierarchy / self.name).exists()]


def _hierarchies() -> list[Path]:
    """All directories in which a group has to be made: also those that only name processes."""
    mounts = (line.split() for line in Path("/proc/mounts").read_text().splitlines())
    places = {Path(place) for _, place, kind, *_ in mounts if kind in {"cgroup", "cgroup2"}}
    return sorted(place for place in places if place.is_relative_to(_ROOT))


def _remove(directory: Path) -> None:
    for path, _, _ in os.walk(directory, topdown=False):
        with contextlib.suppress(FileNotFoundError):
            Path(path).rmdir()
