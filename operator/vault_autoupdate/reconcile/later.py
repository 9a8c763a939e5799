"""Saying something only if nothing better is said for a while."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

__all__ = ["say_later"]


@asynccontextmanager
async def say_later(
    say: Callable[[], Awaitable[None]],
    seconds: float | None,
    *,
    every: float | None = None,
    wanted: Callable[[], bool] = lambda: True,
) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Call ``say`` once the block has run for so many ``seconds``, never where that is None; then ``every`` so many.

    Only when it is ``wanted``: thousands of blocks may wait at the same time, and to ask that costs next to nothing.

    Gives what ends that: it is awaited before anything else is said, so that the two never come at the same time. It
    raises what ``say`` raised.
    """
    later = _Later(say, every, wanted)
    if seconds is not None:
        later.begin_in(seconds)
    try:
        yield later.end
        await later.end()
    finally:
        await later.give_up()


class _Later:
    """What is said later. While it waits, there is no task of it."""

    __slots__ = ("_every", "_say", "_saying", "_timer", "_wanted")

    def __init__(self, say: Callable[[], Awaitable[None]], every: float | None, wanted: Callable[[], bool]) -> None:
        self._say = say
        self._every = every
        self._wanted = wanted
        self._timer: asyncio.TimerHandle | None = None
        self._saying: asyncio.Future[None] | None = None

    def begin_in(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._begin)

    async def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._saying is not None:
            await self._saying

    async def give_up(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._saying is not None:
            self._saying.cancel()
            await asyncio.gather(self._saying, return_exceptions=True)

    def _begin(self) -> None:
        if self._saying is not None and self._saying.done():
            if self._saying.cancelled() or self._saying.exception():
                return  # which `end` raises
            self._saying = None
        if self._saying is None and self._wanted():
            self._saying = asyncio.ensure_future(self._say())
        if self._every is not None:
            self.begin_in(self._every)
