"""A queue of keys, each with the time when it is due, and at most one worker for a key at any time."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import logging
from collections.abc import Awaitable, Callable, Hashable
from datetime import timedelta
from typing import Final, Generic, TypeVar

from vault_autoupdate.decide.schedule import backoff

K = TypeVar("K", bound=Hashable)
Work = Callable[[K], Awaitable[float | None]]
"""What is done for a key. Gives the seconds until it is due again; None to forget it until it is woken."""

_CRASH_MIN: Final = timedelta(seconds=1)
_CRASH_MAX: Final = timedelta(minutes=5)
_AT_ONCE: Final = 20
"""Keys that begin before the event loop gets to anything else: a fleet that is due as a whole must not stop it."""
_SLOWLY: Final = 5
_SLOW_PAUSE: Final = 0.1
"""Seconds after each so many keys, while the queue goes slow."""
_CANCEL_SECONDS: Final = 3.0

log = logging.getLogger(__name__)

__all__ = ["Work", "WorkQueue"]


class WorkQueue(Generic[K]):
    """Hands out each key when it is due. All methods belong to one event loop.

    A key that is woken while it is at work runs again right after. A work that raises is logged and tried again with
    backoff, for ever: a defect in handling one key must not stop the others, nor go unnoticed.
    """

    def __init__(self) -> None:
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._order = itertools.count()
        self._running: dict[K, asyncio.Task[None]] = {}
        self._began: dict[K, float] = {}
        self._woken: set[K] = set()
        """Keys that were woken while at work."""
        self._crashes: dict[K, int] = {}
        self._changed = asyncio.Event()
        self._slow_until = 0.0
        self._stopping = False

    def add(self, key: K, delay: float = 0.0) -> None:
        """Make ``key`` due in ``delay`` seconds, or leave it due earlier; if it is at work, again afterwards."""
        if key in self._running:
            self._woken.add(key)
            return
        at = asyncio.get_running_loop().time() + delay
        if at < self._due.get(key, float("inf")):
            self._push(key, at)

    def go_slow(self, seconds: float) -> None:
        """Begin no more than fifty keys a second for so long: somebody else needs the event loop now."""
        self._slow_until = asyncio.get_running_loop().time() + seconds

    @property
    def depth(self) -> int:
        """Keys that are due and not at work."""
        now = asyncio.get_running_loop().time()
        return sum(1 for at in self._due.values() if at <= now)

    @property
    def running(self) -> int:
        """Keys at work."""
        return len(self._running)

    def running_for(self) -> dict[K, float]:
        """Each key at work, and for how many seconds."""
        now = asyncio.get_running_loop().time()
        return {key: now - began for key, began in self._began.items()}

    @property
    def oldest_overdue(self) -> float:
        """For how many seconds the longest-waiting key has been due; 0 when none is."""
        now = asyncio.get_running_loop().time()
        return max((now - at for at in self._due.values() if at <= now), default=0.0)

    async def run(self, work: Work[K]) -> None:
        """Hand out keys to ``work`` as they become due, until `stop`."""
        loop = asyncio.get_running_loop()
        while not self._stopping:
            self._changed.clear()
            is_slow = loop.time() < self._slow_until
            for _ in range(_SLOWLY if is_slow else _AT_ONCE):
                if (key := self._pop(loop.time())) is None:
                    break
                self._began[key] = loop.time()
                self._running[key] = asyncio.create_task(self._work_on(key, work), name=f"work on {key}")
            delay = max(0.0, self._heap[0][0] - loop.time()) if self._heap else None
            if delay == 0.0:
                await asyncio.sleep(_SLOW_PAUSE if is_slow else 0)
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), delay)

    async def stop(self, grace: float, *, give_up: Callable[[], None] = lambda: None) -> None:
        """Hand out nothing more; wait up to ``grace`` seconds for work under way, then cancel it.

        ``give_up`` is called then: it ends what work waits for in spite of being cancelled. Work that goes on all the
        same is left alone after some seconds.
        """
        self._stopping = True
        self._changed.set()
        if self._running:
            _, late = await asyncio.wait(self._running.values(), timeout=grace)
            for task in late:
                task.cancel()
            if late:
                give_up()
                await asyncio.wait(late, timeout=_CANCEL_SECONDS)

    async def _work_on(self, key: K, work: Work[K]) -> None:
        delay: float | None
        try:
            delay = await work(key)
            self._crashes.pop(key, None)
        except Exception:
            crashes = self._crashes[key] = self._crashes.get(key, 0) + 1
            delay = backoff(crashes, _CRASH_MIN, _CRASH_MAX).total_seconds()
            log.exception("handling %s failed, again in %.0f s", key, delay)
        finally:
            del self._running[key], self._began[key]
            woken = key in self._woken
            self._woken.discard(key)
        if woken:
            delay = 0.0
        if delay is not None:
            self._push(key, asyncio.get_running_loop().time() + delay)

    def _pop(self, now: float) -> K | None:
        """The key that has been due for longest; None when none is due. Entries that were overtaken are dropped."""
        while self._heap and self._heap[0][0] <= now:
            at, _, key = heapq.heappop(self._heap)
            if self._due.get(key) == at:
                del self._due[key]
                return key
        return None

    def _push(self, key: K, at: float) -> None:
        self._due[key] = at
        heapq.heappush(self._heap, (at, next(self._order), key))
        self._changed.set()
