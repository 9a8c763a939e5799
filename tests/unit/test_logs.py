"""What is said again and again is said once, and counted."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from vault_autoupdate.logs import Repeats

LOGGER = logging.getLogger("vault_autoupdate.test_repeats")
HOUR = 3600.0


class Told(logging.Handler):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


class Clock:
    """Tells the time that the test wants."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def told(clock: Clock) -> Iterator[Told]:
    handler = Told()
    handler.addFilter(Repeats(clock))
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False
    yield handler
    LOGGER.removeHandler(handler)
    LOGGER.propagate = True


def warn(resource: str, error: str, reason: str = "AuthorizationFailed") -> None:
    LOGGER.warning("%s", error, extra={"resource": resource, "reason": reason})


def test_a_warning_that_comes_again_is_counted_and_told_again_after_an_hour(told: Told, clock: Clock) -> None:
    for _ in range(5):
        warn("dr/weu", "refused, trace 1")
    clock.now = HOUR
    warn("dr/weu", "refused, trace 6")
    assert told.lines == ["refused, trace 1", "refused, trace 6 (and 4 times since it was told last)"]


def test_another_resource_or_another_reason_is_another_warning(told: Told) -> None:
    warn("dr/weu", "refused")
    warn("dr/neu", "refused")
    warn("dr/weu", "gone", reason="ResourceNotFound")
    assert told.lines == ["refused", "refused", "gone"]


def test_what_is_no_warning_is_always_told(told: Told) -> None:
    for number in range(3):
        LOGGER.info("changing %s", number)
    assert len(told.lines) == 3


def test_at_level_debug_everything_is_told(told: Told) -> None:
    LOGGER.setLevel(logging.DEBUG)
    for _ in range(3):
        warn("dr/weu", "refused")
    assert len(told.lines) == 3


def test_what_is_remembered_is_bounded(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vault_autoupdate.logs._MOST_TOLD", 10)
    for number in range(30):
        warn(f"dr/{number}", "refused")
    warn("dr/29", "refused")
    warn("dr/0", "refused")
    assert len(told.lines) == 31, "the last was forgotten, the one before it not"
