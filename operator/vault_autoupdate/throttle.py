"""Lets calls through within a budget, fairly between those who wait, without a thread for each.

A scope (a subscription and region) has one budget for writes and one for reads. Within a scope every *key*
(a vault) has its own queue, and the queues take turns: five calls of one vault are not behind five thousand of
another. Waiting is a future in the event loop.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from vault_autoupdate.budget import Budget, Limit, pacing_gap

_SHORTEST_TIMER = 1e-3
_UNTOLD_PAUSE = 60.0

__all__ = ["CallKind", "Throttle", "ThrottleState"]


class CallKind(StrEnum):
    """Site Recovery and ARM count the two apart."""

    READ = "read"
    WRITE = "write"


@dataclass(frozen=True)
class ThrottleState:
    """What one lane looks like at an instant, for metrics and people."""

    scope: str
    kind: CallKind
    waiting: int
    remaining: int
    share: float
    paused_for: float


@dataclass
class _Lane:
    """One scope's calls of one kind."""

    budget: Budget
    queues: OrderedDict[str, deque[asyncio.Future[None]]] = field(default_factory=OrderedDict)
    announced: dict[str, int] = field(default_factory=dict)
    """Per key: calls it is about to make, in the queue or not; the pace follows their sum."""
    last_leave: float = -math.inf
    timer: asyncio.TimerHandle | None = None

    def waiting(self) -> int:
        return sum(len(queue) for queue in self.queues.values())

    def backlog(self) -> int:
        unannounced = sum(len(q) for key, q in self.queues.items() if key not in self.announced)
        return unannounced + sum(self.announced.values())


class Throttle:
    """Budgets per scope and kind, and the queues before them. All methods belong to one event loop."""

    def __init__(self, limits: Mapping[CallKind, Iterable[Limit]], clock: Callable[[], float] | None = None) -> None:
        self._limits = {kind: tuple(values) for kind, values in limits.items()}
        self._clock = clock
        self._lanes: dict[tuple[str, CallKind], _Lane] = {}

    def now(self) -> float:
        """Seconds on the throttle's own clock (the event loop's unless another was given)."""
        return self._clock() if self._clock else asyncio.get_running_loop().time()

    @asynccontextmanager
    async def call(self, scope: str, kind: CallKind, key: str) -> AsyncIterator[None]:
        """Wait for a turn, and hold it while one call is under way."""
        lane = self._lane(scope, kind)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        lane.queues.setdefault(key, deque()).append(turn)
        self._let_through(lane)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                lane.budget.settle(self.now())  # let through and cancelled in the same instant
            else:
                self._leave_queue(lane, key, turn)
            self._let_through(lane)
            raise
        try:
            yield
        finally:
            lane.budget.settle(self.now())
            self._let_through(lane)

    def announce(self, scope: str, kind: CallKind, key: str, count: int) -> None:
        """Say how many calls ``key`` is going to make, so that the pace suits all that is coming."""
        lane = self._lane(scope, kind)
        if count > 0:
            lane.announced[key] = count
        else:
            lane.announced.pop(key, None)

    def spent(self, scope: str, kind: CallKind, ages: Iterable[float]) -> None:
        """Count calls that an earlier process made ``ages`` seconds ago."""
        self._lane(scope, kind).budget.spent(ages, self.now())

    def refused(self, scope: str, kind: CallKind, retry_after: float | None) -> None:
        """The server answered 429: nothing of this lane leaves for ``retry_after`` seconds.

        Where the server does not say how long, a sixth of the limit's window has to do.
        """
        lane = self._lane(scope, kind)
        pause = retry_after if retry_after is not None else min(lane.budget.limits[0].window / 6, _UNTOLD_PAUSE)
        lane.budget.refused(self.now(), pause)
        self._let_through(lane)

    def states(self) -> list[ThrottleState]:
        """What every lane looks like now."""
        now = self.now()
        return [
            ThrottleState(
                scope,
                kind,
                lane.waiting(),
                max(0, lane.budget.remaining(now)),
                lane.budget.share(now),
                max(0.0, lane.budget.paused_until() - now),
            )
            for (scope, kind), lane in self._lanes.items()
        ]

    def paused_for(self, scope: str, kind: CallKind) -> float:
        """Seconds for which the server has told this lane to be silent."""
        return max(0.0, self._lane(scope, kind).budget.paused_until() - self.now())

    def _lane(self, scope: str, kind: CallKind) -> _Lane:
        key = (scope, kind)
        if key not in self._lanes:
            self._lanes[key] = _Lane(Budget(self._limits[kind]))
        return self._lanes[key]

    def _let_through(self, lane: _Lane) -> None:
        """Wake as many waiters as may leave now, and set a timer for the next one."""
        if lane.timer:
            lane.timer.cancel()
            lane.timer = None
        while lane.queues:
            now = self.now()
            gap = pacing_gap(lane.backlog(), lane.budget.limits[0])
            wait = max(lane.budget.wait(now), lane.last_leave + gap - now)
            if wait == math.inf:
                return  # the next answer calls again
            if wait > 0:
                delay = max(wait, _SHORTEST_TIMER)
                lane.timer = asyncio.get_running_loop().call_later(delay, self._let_through, lane)
                return
            key, queue = lane.queues.popitem(last=False)
            turn = queue.popleft()
            if queue:
                lane.queues[key] = queue  # to the end: the keys take turns
            if turn.done():
                continue
            if (left := lane.announced.get(key, 0)) > 0:
                lane.announced[key] = left - 1
            lane.budget.take()
            lane.last_leave = now
            turn.set_result(None)

    @staticmethod
    def _leave_queue(lane: _Lane, key: str, turn: asyncio.Future[None]) -> None:
        queue = lane.queues.get(key)
        if queue and turn in queue:
            queue.remove(turn)
            if not queue:
                del lane.queues[key]
