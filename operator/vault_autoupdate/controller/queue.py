"""A queue of keys, each with the time when it is due, and at most one worker for a key at any time."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import logging
from collections.abc import Awaitable, Callable, Hashable
from datetime import timedelta
from typing import Generic, TypeVar

from vault_autoupdate.decide.schedule import backoff

K = TypeVar("K", bound=Hashable)

_CRASH_MIN = timedelta(seconds=1)
_CRASH_MAX = timedelta(minutes=5)

log = logging.getLogger(__name__)

__all__ = ["WorkQueue"]


class WorkQueue(Generic[K]):
    """Calls ``work(key)`` when ``key`` is due. All methods belong to one event loop.

    ``work`` returns the seconds until the key is due again, or None to forget it. A key that is woken while it is
    at work runs again right after. A ``work`` that raises is logged and tried again with backoff, for ever: a
    defect in handling one key must not stop the others, nor go unnoticed.
    """

    def __init__(self, work: Callable[[K], Awaitable[float | None]]) -> None:
        self._work = work
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._order = itertools.count()
        self._running: dict[K, asyncio.Task[None]] = {}
        self._again: set[K] = set()
        self._dropped: set[K] = set()
        self._crashes: dict[K, int] = {}
        self._changed = asyncio.Event()
        self._stopping = False

    def add(self, key: K, delay: float = 0.0) -> None:
        """Make ``key`` due in ``delay`` seconds, or leave it due earlier; if it is at work, again afterwards."""
        if key in self._running:
            self._again.add(key)
            return
        at = asyncio.get_running_loop().time() + delay
        if at < self._due.get(key, float("inf")):
            self._push(key, at)

    def forget(self, key: K) -> None:
        """Drop ``key``; work that is under way goes on, for the last time."""
        if key in self._running:
            self._dropped.add(key)
        self._due.pop(key, None)
        self._again.discard(key)
        self._crashes.pop(key, None)

    @property
    def depth(self) -> int:
        """Keys that are due and not at work."""
        now = asyncio.get_running_loop().time()
        return sum(1 for at in self._due.values() if at <= now)

    @property
    def running(self) -> int:
        """Keys at work."""
        return len(self._running)

    @property
    def oldest_overdue(self) -> float:
        """For how many seconds the longest-waiting key has been due; 0 when none is."""
        now = asyncio.get_running_loop().time()
        return max((now - at for at in self._due.values() if at <= now), default=0.0)

    async def run(self) -> None:
        """Hand out keys as they become due, until `stop`."""
        loop = asyncio.get_running_loop()
        while not self._stopping:
            self._changed.clear()
            while self._heap and self._heap[0][0] <= loop.time():
                at, _, key = heapq.heappop(self._heap)
                if self._due.get(key) == at:
                    del self._due[key]
                    self._running[key] = asyncio.create_task(self._work_on(key), name=f"work on {key}")
            delay = max(0.0, self._heap[0][0] - loop.time()) if self._heap else None
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), delay)

    async def stop(self, grace: float) -> None:
        """Hand out nothing more; wait up to ``grace`` seconds for work under way, then cancel it."""
        self._stopping = True
        self._changed.set()
        if self._running:
            _, late = await asyncio.wait(self._running.values(), timeout=grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _work_on(self, key: K) -> None:
        delay: float | None
        try:
            delay = await self._work(key)
            self._crashes.pop(key, None)
        except Exception:
            crashes = self._crashes[key] = self._crashes.get(key, 0) + 1
            delay = backoff(crashes, _CRASH_MIN, _CRASH_MAX).total_seconds()
            log.exception("handling %s failed, again in %.0f s", key, delay)
        finally:
            del self._running[key]
            dropped, again = key in self._dropped, key in self._again
            self._dropped.discard(key)
            self._again.discard(key)
        if again:
            delay = 0.0
        elif dropped:
            delay = None
            self._crashes.pop(key, None)
        if delay is not None:
            self._push(key, asyncio.get_running_loop().time() + delay)

    def _push(self, key: K, at: float) -> None:
        self._due[key] = at
        heapq.heappush(self._heap, (at, next(self._order), key))
        self._changed.set()
