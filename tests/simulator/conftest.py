"""Fixtures of the simulator's own tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from asr_simulator import Scenario
from tests.simulator.helpers import Arm, open_arm, scenario


@pytest.fixture
def serve() -> Iterator[Callable[[Scenario], Arm]]:
    """Start simulators for a test; all are stopped at its end."""
    opened: list[Arm] = []

    def start(of: Scenario) -> Arm:
        opened.append(open_arm(of))
        return opened[-1]

    yield start
    for arm in opened:
        arm.close()
        arm.sim.stop()


@pytest.fixture
def arm(serve: Callable[[Scenario], Arm]) -> Arm:
    """A simulator with one vault of three disabled mappings, whose jobs take 10 seconds."""
    return serve(scenario())
