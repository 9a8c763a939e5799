"""A few seeds of ``make chaos``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.run import run_seed
from workbench.kube.control_plane import ControlPlane


@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", [3, 4, 8])
def test_after_a_storm_everything_is_as_declared_and_nothing_was_done_without_cause(
    seed: int, plane: ControlPlane, tmp_path: Path
) -> None:
    result = run_seed(seed, plane, tmp_path)

    assert not result.problems, result.explain()
