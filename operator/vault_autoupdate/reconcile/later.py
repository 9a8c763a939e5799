"""Saying something only if nothing better is said for a while."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

__all__ = ["say_later"]


@asynccontextmanager
async def say_later(
    say: Callable[[], Awaitable[None]], seconds: float | None, *, every: float | None = None
) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Call ``say`` once the block has run for so many ``seconds``, never where that is None; then ``every`` so many.

    Gives what ends that: it is awaited before anything else is said, so that the two never come at the same time. It
    raises what ``say`` raised.
    """
    saying: asyncio.Task[None] | None = None
    ended = asyncio.Event()

    async def run() -> None:
        await say()
        while every is not None and not ended.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), every)
                return
            await say()

    def begin() -> None:
        nonlocal saying
        saying = asyncio.create_task(run())

    timer = None if seconds is None else asyncio.get_running_loop().call_later(seconds, begin)

    async def end() -> None:
        ended.set()
        if timer is not None:
            timer.cancel()
        if saying is not None:
            await saying

    try:
        yield end
        await end()
    finally:
        if timer is not None:
            timer.cancel()
        if saying is not None:
            saying.cancel()
            await asyncio.gather(saying, return_exceptions=True)
