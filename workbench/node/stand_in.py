"""What stands in for the base image where no registry can be reached: Debian with its own Python 3.13.

Debian trixie instead of bookworm, and Python in /usr instead of /usr/local; otherwise the same: a minimal system, pip,
and nothing of this machine.
"""

from __future__ import annotations

import subprocess
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Final

from workbench.kube.go_build import BuildFailed

_SUITE: Final = "trixie"
_OPTIONS: Final = (
    "--variant=minbase",
    "--mode=root",
    "--include=ca-certificates,python3,python3-pip",
    *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("man", "doc", "locale", "info")),
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    # As in the official image: pip installs where it is told to, and Python has both names.
    '--customize-hook=rm -f "$1"/usr/lib/python3.*/EXTERNALLY-MANAGED',
    '--customize-hook=ln -s python3 "$1/usr/bin/python"',
    # What mmdebstrap took over from this machine.
    '--customize-hook=rm -f "$1"/etc/apt/sources.list "$1"/etc/resolv.conf "$1"/etc/hostname',
)

__all__ = ["make_stand_in", "stand_in_recipe"]


def stand_in_recipe() -> str:
    """Names what is made; another recipe has another name."""
    return f"{_SUITE}-{sha256(chr(10).join(_OPTIONS).encode()).hexdigest()[:12]}"


def make_stand_in(directory: Path) -> Path:
    """Make the root file system in ``directory``, unless it is there, and return it as an archive.

    Raises:
        BuildFailed: mmdebstrap failed; the message has the end of what it said.
    """
    archive = directory / f"base-{stand_in_recipe()}.tar"
    if archive.exists():
        return archive
    with tempfile.TemporaryDirectory(dir=directory, prefix=".base-") as scratch:
        partial = Path(scratch) / "base.tar"
        done = subprocess.run(
            ["mmdebstrap", *_OPTIONS, _SUITE, str(partial), *_mirror()],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode != 0:
            raise BuildFailed("mmdebstrap failed:\n" + "\n".join(done.stderr.splitlines()[-20:]))
        partial.rename(archive)
    return archive


def _mirror() -> list[str]:
    """Where this machine gets Debian's packages from; nothing where it does not say, for mmdebstrap's own choice."""
    asked = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    places = [line.rstrip("/") for line in done.stdout.splitlines()]
    return [place for place in places if place.endswith("/debian")][:1]
