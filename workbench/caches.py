"""Where what takes minutes to make is kept: outside the checkout, in a directory that is named by what decides it.

So switching between branches makes nothing twice, and a changed pin never meets what was made of an older one.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
from collections.abc import Iterable
from pathlib import Path

__all__ = ["cache_of", "cache_root", "pinned_version"]


def cache_root(name: str) -> Path:
    """The directory for all versions of something, whether it is there or not."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "vault-autoupdate" / name


def cache_of(name: str, sources: Iterable[Path], version: str = "") -> Path:
    """The directory for what is made on a machine like this one of the contents of some files.

    Args:
        name: of what is made.
        sources: all files that decide it, in an order that does not change.
        version: begins the directory's name, for people.
    """
    digest = hashlib.sha256(f"{platform.system()}/{platform.machine()}\n".encode())
    for path in sources:
        digest.update(path.read_bytes())
    return cache_root(name) / "-".join(filter(None, (version, digest.hexdigest()[:12])))


def pinned_version(module: Path, package: str) -> str:
    """The version of a package that a Go module pins, for example ``v1.36.3``.

    Raises:
        LookupError: it pins none.
    """
    pin = re.compile(rf"^\s*(?:require )?{re.escape(package)} (v\S+)", re.MULTILINE)
    if (match := pin.search((module / "go.mod").read_text())) is None:
        raise LookupError(f"{module / 'go.mod'} does not pin {package}")
    return match[1]
