"""What the conftest files of several folders have in common."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from workbench.ci import skip_unless_in_ci
from workbench.kube.binaries import HOW_TO_ENABLE, find_binaries

__all__ = ["namespace_name", "require_control_plane", "tests_below"]


def tests_below(folder: Path, items: Iterable[pytest.Item]) -> Iterator[pytest.Item]:
    """Those of ``items`` whose file is in ``folder`` or below it."""
    beginning = f"{folder}{os.sep}"
    return (item for item in items if str(item.path).startswith(beginning))


def require_control_plane() -> None:
    """Skip the test where there is no kube-apiserver; in CI, fail it."""
    if find_binaries() is None:
        skip_unless_in_ci(f"needs a real kube-apiserver: {HOW_TO_ENABLE}")


def namespace_name(request: pytest.FixtureRequest) -> str:
    """A name for a namespace that nobody else has, after the name of the test."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:40].strip("-")
    return f"{name}-{os.urandom(3).hex()}"
