"""Lets calls through within a budget, fairly between those who wait, without a thread for each.

A scope (a subscription and region) has one budget for writes and one for reads. Within a scope every *key*
(a vault) has its own queue, and the queues take turns of `TURN` calls. A key that comes anew has its first turn
before those that have had one: five calls of one vault are not behind five thousand of another. Turns are longer
than one call so that vaults get done one after the other instead of all at the end; fewer of them have jobs in
flight at a time, which have to be looked at. Waiting is a future in the event loop.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from vault_autoupdate.budget import Budget, Limit, pacing_gap

_SHORTEST_TIMER = 1e-3
_UNTOLD_PAUSE = 60.0
TURN: Final = 20
"""Calls of one key before it is another one's turn."""
_CATCH_UP: Final = 5
"""Calls by which the pace makes good what a late timer lost."""
_ROUTINE_SHARE: Final = 0.5
"""Part of a budget that calls which come again and again may use."""

__all__ = ["TURN", "CallKind", "Throttle", "ThrottleState"]


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


Queue = deque[asyncio.Future[None]]


@dataclass
class _Lane:
    """One scope's calls of one kind."""

    budget: Budget
    fresh: OrderedDict[str, Queue] = field(default_factory=OrderedDict)
    """Keys in their first turn; they go before the others."""
    queues: OrderedDict[str, Queue] = field(default_factory=OrderedDict)
    """The other keys, in the order of their turns."""
    calls: dict[str, int] = field(default_factory=dict)
    """Per key: how many calls were let through since it came anew."""
    announced: dict[str, int] = field(default_factory=dict)
    """Per key: calls it is about to make, in the queue or not; the pace follows their sum."""
    routine: dict[str, int] = field(default_factory=dict)
    """Per key: calls in each of its rounds, for those that come again and again."""
    backlog: int = 0
    """Calls that are announced, and those in the queues of keys that have announced nothing."""
    next_leave: float = -math.inf
    """When the pace lets the next call leave."""
    timer: asyncio.TimerHandle | None = None

    def waiting(self) -> int:
        return sum(len(queue) for group in (self.fresh, self.queues) for queue in group.values())

    def queue_of(self, key: str) -> Queue | None:
        return self.fresh.get(key) or self.queues.get(key)

    def enter(self, key: str, turn: asyncio.Future[None]) -> None:
        """Put a call at the end of its key's queue."""
        if (queue := self.queue_of(key)) is not None:
            queue.append(turn)
        else:
            group = self.fresh if self.calls.get(key, 0) < TURN else self.queues
            group[key] = deque([turn])
        self.backlog += key not in self.announced

    def pop(self) -> asyncio.Future[None]:
        """Take the call whose turn it is out of its queue."""
        group = self.fresh or self.queues
        key, queue = next(iter(group.items()))
        turn = queue.popleft()
        self._left(key)
        self.calls[key] = self.calls.get(key, 0) + 1
        if not queue:
            self._forget(group, key)
        elif self.calls[key] % TURN == 0:
            del group[key]
            self.queues[key] = queue
        return turn

    def leave(self, key: str, turn: asyncio.Future[None]) -> None:
        """Take a call out that does not wait any longer."""
        group = self.fresh if key in self.fresh else self.queues
        queue = group.get(key)
        if queue and turn in queue:
            queue.remove(turn)
            self.backlog -= key not in self.announced
            if not queue:
                self._forget(group, key)

    def announce(self, key: str, count: int) -> None:
        """Count ``count`` calls of ``key`` instead of those in its queue; 0 takes that back."""
        queued = len(self.queue_of(key) or ())
        self.backlog -= self.announced.pop(key, queued)
        if count > 0:
            self.announced[key] = count
        elif not queued:
            self.calls.pop(key, None)
        self.backlog += self.announced.get(key, queued)

    def _left(self, key: str) -> None:
        if key not in self.announced:
            self.backlog -= 1
        elif self.announced[key] > 0:
            self.announced[key] -= 1
            self.backlog -= 1

    def _forget(self, group: OrderedDict[str, Queue], key: str) -> None:
        del group[key]
        if key not in self.announced:
            self.calls.pop(key, None)


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
        lane.enter(key, turn)
        self._let_through(lane)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                lane.budget.settle(self.now())  # let through and cancelled in the same instant
            else:
                lane.leave(key, turn)
            self._let_through(lane)
            raise
        try:
            yield
        finally:
            lane.budget.settle(self.now())
            self._let_through(lane)

    def announce(self, scope: str, kind: CallKind, key: str, count: int) -> None:
        """Say how many calls ``key`` is going to make, so that the pace suits all that is coming."""
        self._lane(scope, kind).announce(key, count)

    def rhythm(self, scope: str, kind: CallKind, key: str, calls: int) -> float:
        """How many seconds ``key``, which makes ``calls`` calls again and again, is to leave between two rounds.

        All that do so in a scope, taken together, then use no more than half of its limits; the rest is for calls
        that are wanted now. A number of calls of 0 says that ``key`` does so no longer.
        """
        lane = self._lane(scope, kind)
        lane.routine.pop(key, None)
        if calls > 0:
            lane.routine[key] = calls
        per_call = max(limit.window / limit.count for limit in lane.budget.limits)
        return sum(lane.routine.values()) * per_call / _ROUTINE_SHARE

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
        while lane.fresh or lane.queues:
            now = self.now()
            gap = pacing_gap(lane.backlog, lane.budget.limits[0])
            wait = max(lane.budget.wait(now), lane.next_leave - now)
            if wait == math.inf:
                return  # the next answer calls again
            if wait > 0:
                delay = max(wait, _SHORTEST_TIMER)
                lane.timer = asyncio.get_running_loop().call_later(delay, self._let_through, lane)
                return
            turn = lane.pop()
            if turn.done():
                continue
            lane.budget.take()
            lane.next_leave = max(lane.next_leave, now - _CATCH_UP * gap) + gap
            turn.set_result(None)
