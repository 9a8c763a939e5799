"""A budget of calls: at most so many in any window of so long, as the *server* counts them.

Pure: the time is an argument. A call is counted from the moment it leaves until a whole window after its answer
has come back. The server saw it somewhere between the two, so two calls that this budget lets through further
apart than a window are further apart than a window for the server as well, whatever the network did to them.

The last quarter of a limit is *kept back*, so that nobody finds it used up by one other namespace. Whoever has had
more than a few calls in the window (`_free`) gets of it only *spaced* calls: all namespaces together one in every
window / quarter (1.2 s of 200 writes a minute, 1.44 s of 10,000 reads an hour). Nothing is lost of the pace for that:
in each window three quarters may leave as they come, and the last one spaced. What was spaced comes free again in the
same steps, so there is always a call left for a newcomer, or one within such a step: its k-th waits for k + 1 of them,
for one gap of the pace (`pacing_gap`, at most window / count), and for as many more steps as other newcomers have had
of that window. That is so up to an eighth of the limit (25 writes, 1,250 reads): who has had more uses up what is kept
back. A quarter is what routine looks leave alone as well.

A window of up to a minute is kept back only after another namespace has been there within it. Who is alone may use
all of it at once (200 mappings of one vault, 200 PATCHes), and somebody of whom nothing was known waits for
the window's end, a minute at most. Nobody can be asked to wait for the end of an hour: longer windows are kept back
always.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from vault_autoupdate.arm.turns import TURN
from vault_autoupdate.model.limits import Limit

_CLOCK_GRAIN = 1e-3
"""Seconds added to each window, so that rounding in two clocks does not put a call a microsecond too early."""
_KEPT_BACK: Final = 4
"""One part in so many of a limit is kept back."""
_BEARABLE: Final = 60.0
"""Seconds of a window for whose end a newcomer can wait."""
_NEWCOMERS: Final = 4
"""So many at once find what they need of what is kept back."""

__all__ = ["Budget", "Taken", "pacing_gap"]


def pacing_gap(backlog: int, limit: Limit, *, slack: float = 0.06) -> float:
    """Return how many seconds to leave between two calls when ``backlog`` calls wait for ``limit``.

    A backlog that fits into one window goes out at once. A longer one has to wait for later windows in any case,
    so its calls may be spread over each window without being late, as long as the spread stays within ``slack``
    of the whole time. Spread calls leave gaps in which a newcomer gets its turn: after a burst of the whole
    limit, a vault with five mappings would wait a full window.
    """
    windows = math.ceil(backlog / limit.count)
    if windows <= 1:
        return 0.0
    spread = min(limit.window, slack * limit.window * (windows - 1))
    return spread / limit.count


@dataclass(frozen=True)
class Taken:
    """A call that was let through, as its budget counts it."""

    namespace: str
    spaced: tuple[bool, ...]
    """For each limit: whether the call is one of the spaced ones."""


class _Answered(NamedTuple):
    frees_at: float
    namespace: str
    spaced: bool


def _free(kept_back: int) -> int:
    """Calls in a window that a namespace may make of what is kept back as they come: at most a vault's turn."""
    return max(1, min(TURN, kept_back // _NEWCOMERS))


class _Window:
    """Calls counted against one `Limit`."""

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self.by_namespace: Counter[str] = Counter()
        self._in_flight = 0
        self._spaced = 0
        self._last_spaced = -math.inf
        self._answered: deque[_Answered] = deque()
        """When each answered call stops counting; ascending, as answers come in order of time."""

    def used(self, now: float) -> int:
        while self._answered and self._answered[0].frees_at <= now:
            _, namespace, spaced = self._answered.popleft()
            self._spaced -= spaced
            self.by_namespace[namespace] -= 1
            if not self.by_namespace[namespace]:
                del self.by_namespace[namespace]
        return self._in_flight + len(self._answered)

    def wait(self, now: float, allowed: int) -> float:
        excess = self.used(now) - allowed + 1
        if excess <= 0:
            return 0.0
        if excess > len(self._answered):
            return math.inf  # only an answer that is still on its way can make room
        return self._answered[excess - 1].frees_at - now

    def needs_space(self, now: float, allowed: int, namespace: str, others_seen: float) -> bool:
        """Whether a call of ``namespace`` would be of what is kept back for others."""
        kept_back = allowed // _KEPT_BACK
        if self.used(now) - self._spaced < allowed - kept_back:
            return False
        is_kept_back = self.limit.window > _BEARABLE or now - others_seen < self.limit.window
        return is_kept_back and self.by_namespace[namespace] >= _free(kept_back)

    def space(self, now: float, allowed: int) -> float:
        """Seconds until the next spaced call, or until an older call makes room for one that need not be spaced."""
        kept_back = allowed // _KEPT_BACK
        step = self.limit.window / kept_back if kept_back else math.inf
        frees_at = self._answered[0].frees_at if self._answered else math.inf
        return max(0.0, min(self._last_spaced + step, frees_at) - now)

    def take(self, now: float, namespace: str, *, spaced: bool) -> None:
        self._in_flight += 1
        self.by_namespace[namespace] += 1
        if spaced:
            self._spaced += 1
            self._last_spaced = now

    def settle(self, now: float, namespace: str, *, spaced: bool) -> None:
        self._in_flight -= 1
        self._answered.append(_Answered(now + self.limit.window + _CLOCK_GRAIN, namespace, spaced))

    def spent(self, namespace: str, ages: Iterable[float], now: float) -> None:
        ends = [now - age + self.limit.window + _CLOCK_GRAIN for age in ages if age < self.limit.window]
        self.by_namespace.update({namespace: len(ends)} if ends else {})
        earlier = (_Answered(frees_at, namespace, spaced=False) for frees_at in ends)
        self._answered = deque(sorted((*self._answered, *earlier)))


class Budget:
    """Calls against several limits at once, with a pause and a lowered rate after the server said "too many".

    `wait` and `hold_back` ask, `take` counts a call that leaves now, `settle` tells that its answer came back.
    """

    LOWEST_SHARE = 0.05
    """A budget never falls below this share of its limits, or below one call."""

    def __init__(self, limits: Iterable[Limit]) -> None:
        self._windows = [_Window(limit) for limit in limits]
        self._limits = tuple(window.limit for window in self._windows)
        self._paused_until = -math.inf
        self._share = 1.0
        self._share_since = -math.inf
        self._lowered_at = -math.inf

    @property
    def limits(self) -> tuple[Limit, ...]:
        """The limits, the first of which sets the pace."""
        return self._limits

    def allowed(self, limit: Limit, now: float) -> int:
        """How many calls in ``limit.window`` are let through at present."""
        share = self.share(now)
        return limit.count if share >= 1.0 else max(1, math.floor(limit.count * share))

    def share(self, now: float) -> float:
        """The share of the limits that is used at present: 1 unless the server has refused calls lately.

        After a refusal it comes back by a tenth of the limit for each (shortest) window without another one.
        """
        if self._share >= 1.0:
            return 1.0
        windows = max(0.0, now - self._share_since) / self._shortest_window()
        return min(1.0, self._share + 0.1 * math.floor(windows))

    def wait(self, now: float) -> float:
        """Seconds until a call may leave; 0 for at once, infinity when an answer must come back first."""
        pause = max(0.0, self._paused_until - now)
        return max(pause, *(window.wait(now, self.allowed(window.limit, now)) for window in self._windows))

    def hold_back(self, now: float, namespace: str, others_seen: float) -> float:
        """Seconds for which ``namespace`` is to leave to others what `wait` would let through.

        Args:
            now: the time.
            namespace: whose call it would be.
            others_seen: when another namespace was last there that does not wait at present.
        """
        held = 0.0
        for window in self._windows:
            allowed = self.allowed(window.limit, now)
            if window.needs_space(now, allowed, namespace, others_seen):
                held = max(held, window.space(now, allowed))
        return held

    def take(self, now: float, namespace: str = "", others_seen: float = -math.inf) -> Taken:
        """Count a call that leaves now. Only after `wait` and `hold_back` said 0, or the limit is broken."""
        spaced = []
        for window in self._windows:
            needs_space = window.needs_space(now, self.allowed(window.limit, now), namespace, others_seen)
            window.take(now, namespace, spaced=needs_space)
            spaced.append(needs_space)
        return Taken(namespace, tuple(spaced))

    def settle(self, taken: Taken, now: float) -> None:
        """Count the answer to a call (or its failure)."""
        for window, spaced in zip(self._windows, taken.spaced, strict=True):
            window.settle(now, taken.namespace, spaced=spaced)

    def spent(self, ages: Iterable[float], now: float, namespace: str = "") -> None:
        """Count calls of an earlier process, each ``age`` seconds old: they still stand in the server's windows."""
        known = tuple(ages)
        for window in self._windows:
            window.spent(namespace, known, now)

    def used_by(self, namespace: str) -> int:
        """Calls of ``namespace`` in the window in which it has most of them, as of the last question."""
        return max(window.by_namespace[namespace] for window in self._windows)

    def refused(self, now: float, retry_after: float) -> None:
        """The server answered 429: pause for ``retry_after`` seconds and go on slower.

        One pause lowers the rate once, however many calls were under way when it began and however short it is.
        """
        shortest = self._shortest_window()
        if now >= max(self._paused_until, self._lowered_at + shortest / 60):
            self._share = max(self.LOWEST_SHARE, self.share(now) * 0.7)
            self._lowered_at = now
        self._paused_until = max(self._paused_until, now + retry_after)
        self._share_since = self._paused_until

    def _shortest_window(self) -> float:
        return min(window.limit.window for window in self._windows)

    def paused_until(self) -> float:
        """When the present pause ends; minus infinity when there has been none."""
        return self._paused_until

    def spare(self, now: float) -> float:
        """The part, from 0 to 1, that is left of the limit of which least is left."""
        return min(1 - w.used(now) / self.allowed(w.limit, now) for w in self._windows)

    def remaining(self, now: float) -> int:
        """Calls that could leave now, over all limits."""
        return min(self.allowed(w.limit, now) - w.used(now) for w in self._windows)
