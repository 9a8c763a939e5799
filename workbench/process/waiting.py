"""Waiting for something with a deadline: the one place where the harness sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")

__all__ = ["wait_until"]


def wait_until(
    condition: Callable[[], _T | None], *, within: float, what: str | Callable[[], str], every: float = 0.05
) -> _T:
    """Ask ``condition`` until it answers with something true, and return that.

    Args:
        condition: is asked at least once, and once more after the deadline.
        within: seconds to wait.
        what: names the thing that was waited for, for the error message; may be a function, so that the
            message can tell the last state.
        every: seconds between two questions.

    Raises:
        TimeoutError: the deadline passed.
    """
    deadline = time.monotonic() + within
    while True:
        late = time.monotonic() >= deadline
        if answer := condition():
            return answer
        if late:
            raise TimeoutError(f"not within {within:g} s: {what if isinstance(what, str) else what()}")
        time.sleep(every)
