"""A budget of calls: at most so many in any window of so long, as the *server* counts them.

Pure: the time is an argument. A call is counted from the moment it leaves until a whole window after its answer
has come back. The server saw it somewhere between the two, so two calls that this budget lets through further
apart than a window are further apart than a window for the server as well, whatever the network did to them.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable

from vault_autoupdate.model.limits import Limit

_CLOCK_GRAIN = 1e-3
"""Seconds added to each window, so that rounding in two clocks does not put a call a microsecond too early."""

__all__ = ["Budget", "pacing_gap"]


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


class _Window:
    """Calls counted against one `Limit`."""

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self.in_flight = 0
        self.frees_at: deque[float] = deque()
        """When each answered call stops counting; ascending, as answers come in order of time."""

    def used(self, now: float) -> int:
        while self.frees_at and self.frees_at[0] <= now:
            self.frees_at.popleft()
        return self.in_flight + len(self.frees_at)

    def wait(self, now: float, allowed: int) -> float:
        excess = self.used(now) - allowed + 1
        if excess <= 0:
            return 0.0
        if excess > len(self.frees_at):
            return math.inf  # only an answer that is still on its way can make room
        return self.frees_at[excess - 1] - now


class Budget:
    """Calls against several limits at once, with a pause and a lowered rate after the server said "too many".

    `wait` asks, `take` counts a call that leaves now, `settle` tells that its answer came back.
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
        return max(1, math.floor(limit.count * self.share(now)))

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

    def take(self) -> None:
        """Count a call that leaves now. Only after `wait` said 0, or the limit is broken."""
        for window in self._windows:
            window.in_flight += 1

    def settle(self, now: float) -> None:
        """Count the answer to a call (or its failure) that `take` counted."""
        for window in self._windows:
            window.in_flight -= 1
            window.frees_at.append(now + window.limit.window + _CLOCK_GRAIN)

    def spent(self, ages: Iterable[float], now: float) -> None:
        """Count calls of an earlier process, each ``age`` seconds old: they still stand in the server's windows."""
        for age in ages:
            for window in self._windows:
                if age < window.limit.window:
                    window.frees_at.append(now - age + window.limit.window + _CLOCK_GRAIN)
        for window in self._windows:
            window.frees_at = deque(sorted(window.frees_at))

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
