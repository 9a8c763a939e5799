"""Lets calls through within a budget, fairly between those who wait, without a thread for each.

A scope (a subscription and region) has one budget for writes and one for reads: Site Recovery's limit, which is
the first one given. The further limits are Resource Manager's, which counts what a subscription is asked whatever
the region of the vault: all scopes of a subscription share one budget for them. Before each budget calls wait in
`Turns`, by namespace and vault, and a part of it is kept back for those that have had little (`budget`). Waiting is a
future in the event loop. What nobody has used for longer than its longest window is forgotten.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from operator import itemgetter
from typing import Final

from vault_autoupdate.arm.budget import Budget, Taken, pacing_gap
from vault_autoupdate.arm.turns import Turns
from vault_autoupdate.model.limits import Limit
from vault_autoupdate.model.quota import Caller, QuotaScope

_SHORTEST_TIMER = 1e-3
_UNTOLD_PAUSE = 60.0
_CATCH_UP: Final = 5
"""Calls by which the pace makes good what a late timer lost."""
_ROUTINE_SHARE: Final = 0.5
"""Part of what is left of a budget that calls which come again and again may use."""
_SWEEP_EVERY: Final = 60.0
"""Seconds between two looks for what nobody uses any more."""

__all__ = ["CallKind", "Throttle", "ThrottleState"]


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


Turn = asyncio.Future[tuple[Taken, ...]]
"""A call that waits; its result is how the budgets have counted it."""


class _Routine:
    """Calls that come again and again: how many in each round, by namespace and vault."""

    def __init__(self) -> None:
        self._calls: dict[str, dict[str, int]] = {}
        self._totals: dict[str, int] = defaultdict(int)
        self._total = 0

    def __bool__(self) -> bool:
        return bool(self._calls)

    def note(self, caller: Caller, calls: int) -> None:
        """Note that a vault makes ``calls`` in each round; 0 for no longer."""
        of_namespace = self._calls.setdefault(caller.namespace, {})
        more = calls - of_namespace.pop(caller.key, 0)
        if calls > 0:
            of_namespace[caller.key] = calls
        self._total += more
        self._totals[caller.namespace] += more
        if not of_namespace:
            del self._calls[caller.namespace], self._totals[caller.namespace]

    def weight(self, namespace: str) -> int:
        """What the rounds of a namespace's vaults are spread over: all calls, or its own as if all namespaces were it.

        So a few vaults need not look as seldom as the many of another namespace have to.
        """
        return min(self._total, self._totals.get(namespace, 0) * len(self._calls))


class _Lane:
    """One scope's calls of one kind."""

    def __init__(self, scope: QuotaScope, kind: CallKind, budgets: tuple[Budget, ...], now: float) -> None:
        self.scope = scope
        self.kind = kind
        self.budget = budgets[0]
        self.shared = budgets[-1] if len(budgets) > 1 else None
        """Of the subscription; None when there is no limit on it."""
        self.turns: Turns[Turn] = Turns(self._used_by)
        self.routine = _Routine()
        self.next_leave = -math.inf
        """When the pace lets the next call leave."""
        self.timer: asyncio.TimerHandle | None = None
        self.touched_at = now
        self.under_way = 0
        self._untold: OrderedDict[str, float] = OrderedDict()
        """Per vault of which it is not known what an earlier process has called for it: until when that matters."""
        self._budgets = budgets
        self._longest = max(limit.window for budget in budgets for limit in budget.limits)

    def is_over(self, now: float) -> bool:
        """Whether nobody has used the lane for so long that there is nothing left to know about it."""
        busy = self.under_way or self.turns.backlog or self.turns.waiting or self.routine or self.paused_for(now)
        return not busy and now - self.touched_at > self._longest

    def wait(self, now: float, namespace: str) -> float:
        """Seconds until the budgets let a namespace's call leave; infinity when an answer must come back first."""
        wait, others_seen = self._untold_for(now), self.turns.left_at()
        for budget in self._budgets:
            wait = max(wait, budget.wait(now) or budget.hold_back(now, namespace, others_seen))
        return wait

    def take(self, now: float, namespace: str) -> bool:
        """Let a namespace's next call leave, if it still waits."""
        others_seen = self.turns.left_at()
        turn = self.turns.pop(namespace, now)
        if turn.done():
            return False
        taken = tuple(budget.take(now, namespace, others_seen) for budget in self._budgets)
        if any(any(each.spaced) for each in taken):
            self.turns.end_turn(namespace)
        self.under_way += 1
        turn.set_result(taken)
        return True

    def settle(self, taken: tuple[Taken, ...], now: float) -> None:
        """Count the answer to a call."""
        self.under_way -= 1
        self.touched_at = now
        for budget, counted in zip(self._budgets, taken, strict=True):
            budget.settle(counted, now)
        self.turns.forget_left(now - self._longest)

    def await_spent(self, key: str, now: float) -> None:
        """Wait for what `spent` will tell about a vault, until it cannot matter any more."""
        self._untold[key] = now + self.budget.limits[0].window
        self._untold.move_to_end(key)

    def spent(self, caller: Caller, ages: Iterable[float], now: float) -> None:
        """Count calls of an earlier process."""
        known = tuple(ages)
        self._untold.pop(caller.key, None)
        for budget in self._budgets:
            budget.spent(known, now, caller.namespace)

    def precedence(self) -> tuple[int, bool]:
        """What decides between the lanes of a subscription: the less, the sooner.

        Whoever has had least of the subscription's limits comes first, as in a lane. Vaults whose region is not known
        yet come after the namespace's others, so that what was begun is read to the end first.
        """
        used = self.shared.used_by(self.turns.first()) if self.shared else 0
        return used.bit_length(), not self.scope.region

    def refused(self, now: float, pause: float) -> None:
        """Hold calls back after a 429.

        The answer does not say which limit it was. None makes anybody wait for longer than its window, so it is
        taken for the shortest one that can have meant so long a pause.
        """
        windows = [(limit.window, budget) for budget in self._budgets for limit in budget.limits]
        possible = [entry for entry in windows if entry[0] >= pause] or windows
        min(possible, key=itemgetter(0))[1].refused(now, pause)

    def remaining(self, now: float) -> int:
        """Calls that could leave now."""
        return max(0, min(budget.remaining(now) for budget in self._budgets))

    def spare(self, now: float) -> float:
        """The part that is left of the limit of which least is left; 0 while the server wants silence."""
        return 0.0 if self.paused_for(now) else min(budget.spare(now) for budget in self._budgets)

    def share(self, now: float) -> float:
        """The share of the limits that is used at present."""
        return min(budget.share(now) for budget in self._budgets)

    def paused_for(self, now: float) -> float:
        """Seconds for which the server wants silence."""
        return max(0.0, *(budget.paused_until() - now for budget in self._budgets))

    def _untold_for(self, now: float) -> float:
        while self._untold and next(iter(self._untold.values())) <= now:
            self._untold.popitem(last=False)
        return next(reversed(self._untold.values())) - now if self._untold else 0.0

    def _used_by(self, namespace: str) -> int:
        return max(budget.used_by(namespace) for budget in self._budgets)


class Throttle:
    """Budgets per scope and kind, and the queues before them. All methods belong to one event loop."""

    def __init__(
        self,
        limits: Mapping[CallKind, Iterable[Limit]],
        clock: Callable[[], float] | None = None,
        *,
        at_once: int | None = None,
    ) -> None:
        """Begin with budgets that nobody has used.

        Args:
            limits: for each kind, Site Recovery's and then those of a subscription.
            clock: seconds; None for the event loop's own.
            at_once: calls of a scope and kind that may be under way at a time; None for any number. Who waits for a
                connection has not had its turn yet: so a vault that was begun goes on before others begin, and one
                subscription whose answers hang does not take all connections.
        """
        self._at_once = math.inf if at_once is None else at_once
        self._limits = {kind: tuple(values) for kind, values in limits.items()}
        self._clock = clock
        self._lanes: dict[tuple[QuotaScope, CallKind], _Lane] = {}
        self._families: dict[tuple[str, CallKind], dict[QuotaScope, _Lane]] = {}
        """Per subscription and kind: the lanes of its scopes, in the order of their turns."""
        self._shared: dict[tuple[str, CallKind], Budget] = {}
        """The budgets of the families, where subscriptions have limits."""
        self._next_sweep = -math.inf

    def now(self) -> float:
        """Seconds on the throttle's own clock (the event loop's unless another was given)."""
        return self._clock() if self._clock else asyncio.get_running_loop().time()

    @asynccontextmanager
    async def call(self, caller: Caller, kind: CallKind) -> AsyncIterator[None]:
        """Wait for a turn, and hold it while one call is under way."""
        lane = self._lane(caller.scope, kind)
        turn: Turn = asyncio.get_running_loop().create_future()
        lane.turns.enter(caller, turn)
        self._let_through(lane)
        try:
            taken = await turn
        except asyncio.CancelledError:
            self._gave_up(lane, caller, turn)
            raise
        try:
            yield
        finally:
            lane.settle(taken, self.now())
            self._wake(lane)

    def _gave_up(self, lane: _Lane, caller: Caller, turn: Turn) -> None:
        if turn.done() and not turn.cancelled():
            lane.settle(turn.result(), self.now())  # let through and cancelled in the same instant
        else:
            lane.turns.leave(caller, turn, self.now())
        self._wake(lane)

    def expect_calls(self, caller: Caller, kind: CallKind, count: int) -> None:
        """Say how many calls ``caller`` is going to make, so that the pace suits all that is coming."""
        self._lane(caller.scope, kind).turns.expect(caller, count, self.now())

    def poll_interval(self, caller: Caller, kind: CallKind, calls: int) -> float:
        """How many seconds ``caller``, which makes ``calls`` calls again and again, is to leave between two rounds.

        While little of the limit is used they may come often: all that do so in a scope, taken together, may use
        half of what is left in a sixth of the limit's window. A quarter of the limit is not theirs, but for calls
        that are wanted now; when no more than that is left, they may use as much as a quarter in a whole window.
        Where the vaults of several namespaces do so, none of them has to come less often for the many of another
        one than if all had as many as its own. A number of 0 says that ``caller`` does so no longer.
        """
        lane = self._lane(caller.scope, kind)
        lane.routine.note(caller, calls)
        (own,) = lane.budget.limits
        reserve = own.count / 4
        left = max(1e-9, lane.budget.remaining(self.now()) - reserve)
        per_call = min(own.window / reserve, own.window / 6 / (left * _ROUTINE_SHARE))
        for limit in self._limits[kind][1:]:
            per_call = max(per_call, limit.window / (limit.count * _ROUTINE_SHARE))
        return lane.routine.weight(caller.namespace) * per_call

    def has_plenty(self, scope: QuotaScope, kind: CallKind) -> bool:
        """Whether nobody waits and half of each limit is left: time for calls that can as well be made later."""
        lane = self._lane(scope, kind)
        return not lane.turns.waiting and lane.spare(self.now()) > 0.5

    def await_spent(self, caller: Caller, kind: CallKind) -> None:
        """Say that an earlier process may have made calls for ``caller`` a moment ago, which `spent` will tell.

        Until it has, and for a window of the scope's limit at most, nothing of this scope and kind leaves: the
        server still counts those calls.
        """
        self._lane(caller.scope, kind).await_spent(caller.key, self.now())

    def spent(self, caller: Caller, kind: CallKind, ages: Iterable[float]) -> None:
        """Count calls that an earlier process made for ``caller`` ``ages`` seconds ago."""
        lane = self._lane(caller.scope, kind)
        lane.spent(caller, ages, self.now())
        self._wake(lane)

    def longest_window(self, kind: CallKind) -> float:
        """Seconds after which no call of this kind counts any more."""
        return max(limit.window for limit in self._limits[kind])

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
        self._sweep(now)
        return [
            ThrottleState(
                lane.scope,
                lane.kind,
                lane.turns.waiting,
                lane.remaining(now),
                lane.share(now),
                lane.paused_for(now),
            )
            for lane in self._lanes.values()
        ]

    def paused_for(self, scope: QuotaScope, kind: CallKind) -> float:
        """Seconds for which the server has told this lane to be silent."""
        now = self.now()
        if lane := self._lanes.get((scope, kind)):
            return lane.paused_for(now)
        shared = self._shared.get((scope.subscription, kind))
        return max(0.0, shared.paused_until() - now) if shared else 0.0

    def _lane(self, scope: QuotaScope, kind: CallKind) -> _Lane:
        now = self.now()
        if (lane := self._lanes.get((scope, kind))) is None:
            self._sweep(now)
            lane = self._lanes[scope, kind] = self._made(scope, kind, now)
        lane.touched_at = now
        return lane

    def _made(self, scope: QuotaScope, kind: CallKind, now: float) -> _Lane:
        own, *further = self._limits[kind]
        family = (scope.subscription, kind)
        shared = [self._shared.setdefault(family, Budget(further))] if further else []
        lane = _Lane(scope, kind, (Budget([own]), *shared), now)
        self._families.setdefault(family, {})[scope] = lane
        return lane

    def _sweep(self, now: float) -> None:
        """Forget the lanes that nobody uses any more, now and then."""
        if now < self._next_sweep:
            return
        self._next_sweep = now + _SWEEP_EVERY
        for (scope, kind), lane in list(self._lanes.items()):
            if lane.is_over(now):
                family = (scope.subscription, kind)
                del self._lanes[scope, kind], self._families[family][scope]
                if not self._families[family]:
                    del self._families[family]
                    self._shared.pop(family, None)

    def _wake(self, lane: _Lane) -> None:
        """Let calls through after something has changed for a lane, and with it for its whole subscription.

        Where the subscription's limits are what they wait for, the regions take turns: among equals the one that was
        served last comes last.
        """
        lanes = self._families[lane.scope.subscription, lane.kind].values()
        for other in sorted(lanes, key=_Lane.precedence) if len(lanes) > 1 else (lane,):
            self._let_through(other)

    def _let_through(self, lane: _Lane) -> None:
        """Wake as many waiters as may leave now, and set a timer for the next one."""
        if lane.timer:
            lane.timer.cancel()
            lane.timer = None
        while lane.turns.waiting and lane.under_way < self._at_once:  # else the next answer calls again
            now = self.now()
            gap = pacing_gap(lane.turns.backlog, lane.budget.limits[0])
            namespace = lane.turns.first()
            wait = max(lane.wait(now, namespace), lane.next_leave - now)
            if wait == math.inf:
                return  # the next answer calls again
            if wait > 0:
                delay = max(wait, _SHORTEST_TIMER)
                lane.timer = asyncio.get_running_loop().call_later(delay, self._wake, lane)
                return
            if not lane.take(now, namespace):
                continue
            behind = _CATCH_UP * gap if lane.share(now) == 1.0 else 0.0  # no hurry where somebody else is about
            lane.next_leave = max(lane.next_leave, now - behind) + gap
            family = self._families[lane.scope.subscription, lane.kind]
            family[lane.scope] = family.pop(lane.scope)
