"""What the conftest files of several folders have in common."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from pathlib import Path

import pytest

from workbench.ci import skip_unless_in_ci
from workbench.kube.binaries import HOW_TO_ENABLE, find_binaries

__all__ = ["namespace_name", "require_control_plane", "spread_among", "tests_below"]


def tests_below(folder: Path, items: Iterable[pytest.Item]) -> Iterator[pytest.Item]:
    """Those of ``items`` whose file is in ``folder`` or below it."""
    beginning = f"{folder}{os.sep}"
    return (item for item in items if str(item.path).startswith(beginning))


def spread_among(items: Sequence[pytest.Item], some: Sequence[Path], others: Sequence[Path]) -> list[pytest.Item]:
    """Begin with the tests of ``some`` places, evenly spread among those of ``others``; the rest keeps its order.

    What has a group goes to one process as a whole anyhow, and belongs to the rest.
    """

    def is_in(item: pytest.Item, places: tuple[str, ...]) -> bool:
        return str(item.path).startswith(places) and not item.get_closest_marker("xdist_group")

    first, second = tuple(map(str, some)), tuple(map(str, others))
    few = [item for item in items if is_in(item, first)]
    many = [item for item in items if is_in(item, second) and not is_in(item, first)]
    rest = [item for item in items if not is_in(item, (*first, *second))]
    placed = [((number + 0.5) / len(part), item) for part in (few, many) for number, item in enumerate(part)]
    return [*(item for _, item in sorted(placed, key=itemgetter(0))), *rest]


def require_control_plane() -> None:
    """Skip the test where there is no kube-apiserver; in CI, fail it."""
    if find_binaries() is None:
        skip_unless_in_ci(f"needs a real kube-apiserver: {HOW_TO_ENABLE}")


def namespace_name(request: pytest.FixtureRequest) -> str:
    """A name for a namespace that nobody else has, after the name of the test."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:40].strip("-")
    return f"{name}-{os.urandom(3).hex()}"
