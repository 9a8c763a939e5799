"""A scenario that has run once, with a real Prometheus that has watched it, for all who ask about it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.fixtures import tests_below
from workbench.prometheus.monitored import Monitored, monitored, run_scenario
from workbench.prometheus.server import require_program

_HERE: Final = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups, also when only this folder is run
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep what looks at the scenario in one worker, so that it runs once; the first test waits for all of it."""
    for item in tests_below(_HERE, items):
        if "scenario" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(300))
            if config.pluginmanager.hasplugin("xdist"):
                item.add_marker(pytest.mark.xdist_group("monitoring"))


@pytest.fixture(scope="package")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitored]:
    """The scenario at its end: operator and Prometheus are still running."""
    program = require_program("prometheus")
    with monitored(program, tmp_path_factory.mktemp("monitored")) as running:
        run_scenario(running)
        yield running


@pytest.fixture(scope="package")
def promtool() -> str:
    """The path of promtool."""
    return require_program("promtool")
