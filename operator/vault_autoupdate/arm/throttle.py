"""Lets calls through within a budget, fairly between those who wait, without a thread for each.

A scope (a subscription and region) has one budget for writes and one for reads: Site Recovery's limit, which is
the first one given. The further limits are Resource Manager's, which counts what a subscription is asked whatever
the region of the vault: all scopes of a subscription share one budget for them. Within a scope every *key*
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
from operator import itemgetter
from typing import Final

from vault_autoupdate.arm.budget import Budget, pacing_gap
from vault_autoupdate.model.limits import Limit
from vault_autoupdate.model.quota import Caller, QuotaScope

_SHORTEST_TIMER = 1e-3
_UNTOLD_PAUSE = 60.0
TURN: Final = 20
"""Calls of one key before it is another one's turn."""
_CATCH_UP: Final = 5
"""Calls by which the pace makes good what a late timer lost."""
_ROUTINE_SHARE: Final = 0.5
"""Part of what is left of a budget that calls which come again and again may use."""

__all__ = ["TURN", "CallKind", "Throttle", "ThrottleState"]


class CallKind(StrEnum):
    """Site Recovery and ARM count the two apart."""

    READ = "read"
    WRITE = "write"


@dataclass(frozen=True)
class ThrottleState:
    """What one lane looks like at an instant, for metrics and people."""

    scope: QuotaScope
    kind: CallKind
    waiting: int
    remaining: int
    share: float
    paused_for: float


Queue = deque[asyncio.Future[None]]


@dataclass(eq=False)
class _Lane:
    """One scope's calls of one kind."""

    scope: QuotaScope
    kind: CallKind
    budget: Budget
    shared: Budget | None
    """Of the subscription; None when there is no limit on it."""
    fresh: OrderedDict[str, Queue] = field(default_factory=OrderedDict)
    """Keys in their first turn; they go before the others."""
    queues: OrderedDict[str, Queue] = field(default_factory=OrderedDict)
    """The other keys, in the order of their turns."""
    calls: dict[str, int] = field(default_factory=dict)
    """Per key: how many calls were let through since it came anew."""
    expected: dict[str, int] = field(default_factory=dict)
    """Per key: calls that it has said to come, in the queue or not; the pace follows their sum."""
    routine: dict[str, int] = field(default_factory=dict)
    """Per key: calls in each of its rounds, for those that come again and again."""
    backlog: int = 0
    """Calls that are expected, and those in the queues of keys of which nothing is expected."""
    next_leave: float = -math.inf
    """When the pace lets the next call leave."""
    timer: asyncio.TimerHandle | None = None

    def wait(self, now: float) -> float:
        """Seconds until the budgets let a call leave; infinity when an answer must come back first."""
        return max(self.budget.wait(now), self.shared.wait(now) if self.shared else 0.0)

    def take(self) -> None:
        """Count a call that leaves now."""
        for budget in self._budgets():
            budget.take()

    def settle(self, now: float) -> None:
        """Count the answer to a call."""
        for budget in self._budgets():
            budget.settle(now)

    def spent(self, ages: Iterable[float], now: float) -> None:
        """Count calls of an earlier process."""
        known = tuple(ages)
        for budget in self._budgets():
            budget.spent(known, now)

    def refused(self, now: float, pause: float) -> None:
        """Hold calls back after a 429.

        The answer does not say which limit it was. None makes anybody wait for longer than its window, so it is
        taken for the shortest one that can have meant so long a pause.
        """
        windows = [(limit.window, budget) for budget in self._budgets() for limit in budget.limits]
        possible = [entry for entry in windows if entry[0] >= pause] or windows
        min(possible, key=itemgetter(0))[1].refused(now, pause)

    def remaining(self, now: float) -> int:
        """Calls that could leave now."""
        return max(0, min(budget.remaining(now) for budget in self._budgets()))

    def spare(self, now: float) -> float:
        """The part that is left of the limit of which least is left; 0 while the server wants silence."""
        return 0.0 if self.paused_for(now) else min(budget.spare(now) for budget in self._budgets())

    def share(self, now: float) -> float:
        """The share of the limits that is used at present."""
        return min(budget.share(now) for budget in self._budgets())

    def paused_for(self, now: float) -> float:
        """Seconds for which the server wants silence."""
        return max(0.0, *(budget.paused_until() - now for budget in self._budgets()))

    def _budgets(self) -> tuple[Budget, ...]:
        return (self.budget, self.shared) if self.shared else (self.budget,)

    def waiting(self) -> int:
        return sum(len(queue) for group in (self.fresh, self.queues) for queue in group.values())

    def queue_of(self, key: str) -> Queue | None:
        return self.fresh.get(key) or self.queues.get(key)

    def enter(self, key: str, turn: asyncio.Future[None]) -> None:
        """Put a call at the end of its key's queue."""
        if (queue := self.queue_of(key)) is not None:
            queue.append(turn)
        else:
            calls = self.calls.get(key, 0)
            group = self.fresh if calls < TURN else self.queues
            group[key] = deque([turn])
            if 0 < calls < TURN:
                group.move_to_end(key, last=False)  # its turn goes on: it has said that more come
        self.backlog += key not in self.expected

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
            self.backlog -= key not in self.expected
            if not queue:
                self._forget(group, key)

    def expect(self, key: str, count: int) -> None:
        """Count ``count`` calls of ``key`` instead of those in its queue; 0 takes that back."""
        queued = len(self.queue_of(key) or ())
        self.backlog -= self.expected.pop(key, queued)
        if count > 0:
            self.expected[key] = count
        elif not queued:
            self.calls.pop(key, None)
        self.backlog += self.expected.get(key, queued)

    def _left(self, key: str) -> None:
        if key not in self.expected:
            self.backlog -= 1
        elif self.expected[key] > 0:
            self.expected[key] -= 1
            self.backlog -= 1

    def _forget(self, group: OrderedDict[str, Queue], key: str) -> None:
        del group[key]
        if key not in self.expected:
            self.calls.pop(key, None)


class Throttle:
    """Budgets per scope and kind, and the queues before them. All methods belong to one event loop."""

    def __init__(self, limits: Mapping[CallKind, Iterable[Limit]], clock: Callable[[], float] | None = None) -> None:
        self._limits = {kind: tuple(values) for kind, values in limits.items()}
        self._clock = clock
        self._lanes: dict[tuple[QuotaScope, CallKind], _Lane] = {}
        self._shared: dict[tuple[str, CallKind], Budget] = {}
        self._families: dict[tuple[str, CallKind], list[_Lane]] = {}
        """Per subscription and kind: the lanes of its scopes, in the order of their turns."""

    def now(self) -> float:
        """Seconds on the throttle's own clock (the event loop's unless another was given)."""
        return self._clock() if self._clock else asyncio.get_running_loop().time()

    @asynccontextmanager
    async def call(self, caller: Caller, kind: CallKind) -> AsyncIterator[None]:
        """Wait for a turn, and hold it while one call is under way."""
        lane, key = self._lane(caller.scope, kind), caller.key
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        lane.enter(key, turn)
        self._let_through(lane)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                lane.settle(self.now())  # let through and cancelled in the same instant
            else:
                lane.leave(key, turn)
            self._wake(lane)
            raise
        try:
            yield
        finally:
            lane.settle(self.now())
            self._wake(lane)

    def expect_calls(self, caller: Caller, kind: CallKind, count: int) -> None:
        """Say how many calls ``caller`` is going to make, so that the pace suits all that is coming."""
        self._lane(caller.scope, kind).expect(caller.key, count)

    def poll_interval(self, caller: Caller, kind: CallKind, calls: int) -> float:
        """How many seconds ``caller``, which makes ``calls`` calls again and again, is to leave between two rounds.

        While little of the limit is used they may come often: all that do so in a scope, taken together, may use
        half of what is left in a sixth of the limit's window. A quarter of the limit is not theirs, but for calls
        that are wanted now; when no more than that is left, they may use as much as a quarter in a whole window.
        A number of 0 says that ``key`` does so no longer.
        """
        lane = self._lane(caller.scope, kind)
        lane.routine.pop(caller.key, None)
        if calls > 0:
            lane.routine[caller.key] = calls
        (own,) = lane.budget.limits
        reserve = own.count / 4
        left = max(1e-9, lane.budget.remaining(self.now()) - reserve)
        per_call = min(own.window / reserve, own.window / 6 / (left * _ROUTINE_SHARE))
        for limit in self._limits[kind][1:]:
            per_call = max(per_call, limit.window / (limit.count * _ROUTINE_SHARE))
        return sum(lane.routine.values()) * per_call

    def has_plenty(self, scope: QuotaScope, kind: CallKind) -> bool:
        """Whether nobody waits and half of each limit is left: time for calls that can as well be made later."""
        lane = self._lane(scope, kind)
        return not lane.waiting() and lane.spare(self.now()) > 0.5

    def spent(self, scope: QuotaScope, kind: CallKind, ages: Iterable[float]) -> None:
        """Count calls that an earlier process made ``ages`` seconds ago."""
        self._lane(scope, kind).spent(ages, self.now())

    def refused(self, scope: QuotaScope, kind: CallKind, retry_after: float | None) -> None:
        """The server answered 429: nothing of this scope and kind leaves for ``retry_after`` seconds.

        Where the server does not say how long, a sixth of the limit's window has to do.
        """
        lane = self._lane(scope, kind)
        pause = retry_after if retry_after is not None else min(lane.budget.limits[0].window / 6, _UNTOLD_PAUSE)
        lane.refused(self.now(), pause)
        self._wake(lane)

    def states(self) -> list[ThrottleState]:
        """What every lane looks like now."""
        now = self.now()
        return [
            ThrottleState(
                scope,
                kind,
                lane.waiting(),
                lane.remaining(now),
                lane.share(now),
                lane.paused_for(now),
            )
            for (scope, kind), lane in self._lanes.items()
        ]

    def paused_for(self, scope: QuotaScope, kind: CallKind) -> float:
        """Seconds for which the server has told this lane to be silent."""
        return self._lane(scope, kind).paused_for(self.now())

    def _lane(self, scope: QuotaScope, kind: CallKind) -> _Lane:
        key = (scope, kind)
        if key not in self._lanes:
            own, *further = self._limits[kind]
            family = (scope.subscription, kind)
            shared = self._shared.setdefault(family, Budget(further)) if further else None
            self._lanes[key] = _Lane(scope, kind, Budget([own]), shared)
            self._families.setdefault(family, []).append(self._lanes[key])
        return self._lanes[key]

    def _wake(self, lane: _Lane) -> None:
        """Let calls through after something has changed for a lane, and with it for its whole subscription.

        Where the subscription's limits are what they wait for, the regions take turns: the one that was served last
        comes last. Vaults whose region is not known yet come after all others, so that what was begun is read to the
        end first.
        """
        lanes = self._families[lane.scope.subscription, lane.kind]
        for other in sorted(lanes, key=lambda lane: not lane.scope.region):
            self._let_through(other)

    def _let_through(self, lane: _Lane) -> None:
        """Wake as many waiters as may leave now, and set a timer for the next one."""
        if lane.timer:
            lane.timer.cancel()
            lane.timer = None
        while lane.fresh or lane.queues:
            now = self.now()
            gap = pacing_gap(lane.backlog, lane.budget.limits[0])
            wait = max(lane.wait(now), lane.next_leave - now)
            if wait == math.inf:
                return  # the next answer calls again
            if wait > 0:
                delay = max(wait, _SHORTEST_TIMER)
                lane.timer = asyncio.get_running_loop().call_later(delay, self._wake, lane)
                return
            turn = lane.pop()
            if turn.done():
                continue
            lane.take()
            behind = _CATCH_UP * gap if lane.share(now) == 1.0 else 0.0  # no hurry where somebody else is about
            lane.next_leave = max(lane.next_leave, now - behind) + gap
            family = self._families[lane.scope.subscription, lane.kind]
            family.remove(lane)
            family.append(lane)
            turn.set_result(None)
