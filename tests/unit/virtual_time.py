"""An event loop whose time is not that of the clock: where it would sleep, its time jumps instead.

Timers fire in order and at their time, tasks switch where they would in the real loop, and an hour of waiting takes
no time at all. A test that can never go on fails at once.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, ParamSpec

P = ParamSpec("P")

__all__ = ["Deadlock", "VirtualTimeLoop", "in_virtual_time"]


_BUSY: Final = 1000
"""Passes of the loop without a moment's waiting after which its time goes on by itself."""
_MOMENT: Final = 1e-9
"""asyncio lets a timer fire that much early. Who then finds that it is too early sets it again: if time stood still,
for ever."""


class Deadlock(BaseException):
    """No timer is set and nothing else can happen. No `Exception`, so that no handler in the code takes it."""


class _Selector(selectors.BaseSelector):
    """Never sleeps: passes the time it is told to wait on to the clock of the loop."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._busy = 0
        self._files = selectors.SelectSelector()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if ready := self._files.select(0):
            return ready
        if timeout is None:
            raise Deadlock("everybody waits for somebody else")
        self._busy = self._busy + 1 if timeout <= 0 else 0
        self.now += max(0.0, timeout) if self._busy < _BUSY else _MOMENT
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._files.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._files.unregister(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._files.get_map()

    def close(self) -> None:
        self._files.close()


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """The loop. It starts at an odd time, so that nothing depends on a clock that begins with zero."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an asynchronous test in a `VirtualTimeLoop` of its own."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run
