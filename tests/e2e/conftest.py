from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Protocol

import pytest

from asr_simulator import SimulatorThread, parse_scenario
from workbench.core import Azure, open_azure, scenario_document


class AzureFactory(Protocol):
    """Starts a simulated Azure and the core against it."""

    def __call__(self, *, settings: dict[str, str] | None = None, **scenario: Any) -> Azure: ...


@pytest.fixture
def azure(monkeypatch: pytest.MonkeyPatch) -> Iterator[AzureFactory]:
    """A factory: `scenario_document`'s arguments describe the vault, ``settings`` replaces settings of the core."""
    with ExitStack() as stack:

        def start(*, settings: dict[str, str] | None = None, **scenario: Any) -> Azure:
            sim = stack.enter_context(SimulatorThread(parse_scenario(scenario_document(**scenario))))
            for name, value in sim.identity_env.items():
                monkeypatch.setenv(name, value)
            return stack.enter_context(open_azure(sim, **(settings or {})))

        yield start
