"""Set-up of all tests: how hypothesis looks for counterexamples, and a log that is the same for each of them."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.fixtures import spread_among
from workbench.process.template import use_templates

settings.register_profile(
    "unit",
    deadline=None,  # two busy cores are no defect
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
)
settings.register_profile("thorough", settings.get_profile("unit"), max_examples=2000, derandomize=False)
settings.register_profile(
    "mutants",  # whether a test fails is all that counts: not with which smallest example
    settings.get_profile("unit"),
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    report_multiple_bugs=False,
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "unit"))


_LONGEST_NAME: Final = 60
_HERE: Final = Path(__file__).parent
_WAITING: Final = (_HERE / "e2e", _HERE / "faults" / "test_discovery_faults.py")
"""Tests that mostly wait: for jobs, for pauses, for what is not to come."""
_CALCULATING: Final = (_HERE / "chart", _HERE / "faults", _HERE / "monitoring")
"""Tests that mostly calculate, and share nothing dear that would be made again after each of the others."""


def pytest_make_parametrize_id(val: object) -> str | None:
    """A long text is named by its beginning: the whole name of each test goes to and fro between the processes."""
    text = val.decode("latin-1") if isinstance(val, bytes) else val
    if not isinstance(text, str) or len(text) <= _LONGEST_NAME:
        return None
    return f"{text[:_LONGEST_NAME]}... of {len(text)}"


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Nothing of what is collected becomes garbage: to look for some meanwhile is a sixth of the time that it takes."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where several processes test, spread what waits among what calculates.

    In the order of the folders all processes would wait at once, with cores that are idle, and then calculate at once.
    """
    if hasattr(config, "workerinput"):  # is a process of pytest-xdist
        items[:] = spread_among(items, _WAITING, _CALCULATING)


def pytest_collection_finish() -> None:
    """What was imported and collected stays to the end: it is not looked through again for what could be freed."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def processes_are_forked() -> Iterator[None]:
    """Loading our program takes a second each time: tests that are not about that fork it, see `cold_starts`."""
    with use_templates():
        yield


@pytest.fixture(autouse=True)
def logging_is_put_back() -> Iterator[None]:
    """A command that runs in this process sets the log up as its own, and the next test would hear nothing."""
    loggers = [logging.getLogger(name) for name in (None, "vault_autoupdate", "kopf", "kopf.objects", "azure")]
    before = [(logger, logger.handlers[:], logger.level) for logger in loggers]
    yield
    for logger, handlers, level in before:
        logger.handlers[:] = handlers
        logger.setLevel(level)
