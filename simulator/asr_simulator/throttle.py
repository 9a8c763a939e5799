"""Request limits: Site Recovery's sliding windows and Resource Manager's token buckets.

Both count in simulated time, at the moment of a request's arrival. A rejected request shows in the statistics but does
not use up the window. That is an assumption: Microsoft documents that asking before ``Retry-After`` has passed is not
served and starts a new wait, but not how the service counts it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from asr_simulator.scenario import Limit, Throttling

__all__ = ["Counters", "ScopeLimits", "SlidingWindow", "Throttle", "TokenBucket", "Verdict"]


class SlidingWindow:
    """Counts arrivals in the last ``limit.window`` seconds; one exactly that old has left the window."""

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self.peak = 0
        self._arrivals: deque[float] = deque()

    def count(self, now: float) -> int:
        """Tell how many arrivals lie in the window that ends now."""
        horizon = now - self.limit.window
        arrivals = self._arrivals
        while arrivals and arrivals[0] <= horizon:
            arrivals.popleft()
        return len(arrivals)

    def wait(self, now: float) -> float:
        """Tell how long until one more fits; 0 means that it fits now."""
        excess = self.count(now) - self.limit.count
        if excess < 0:
            return 0.0
        return self._arrivals[excess] + self.limit.window - now

    def add(self, now: float) -> None:
        """Count an arrival."""
        self._arrivals.append(now)
        self.peak = max(self.peak, self.count(now))


class TokenBucket:
    """A bucket of ``size`` tokens that refills steadily."""

    def __init__(self, size: float, per_second: float) -> None:
        self.size = size
        self.per_second = per_second
        self._tokens = float(size)
        self._updated = 0.0

    def tokens(self, now: float) -> float:
        """Tell how many tokens there are now."""
        self._tokens = min(self.size, self._tokens + (now - self._updated) * self.per_second)
        self._updated = now
        return self._tokens

    def take(self, now: float) -> float:
        """Take a token and return 0, or return the time until there is one."""
        tokens = self.tokens(now)
        if tokens >= 1.0 - 1e-9:
            self._tokens = tokens - 1.0
            return 0.0
        return (1.0 - tokens) / self.per_second


@dataclass
class Counters:
    """What happened in a scope, for one kind of call."""

    served: int = 0
    throttled: int = 0
    throttled_by_arm: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a call may go on, and if not, who says so and for how long (simulated seconds)."""

    wait: float = 0.0
    by_arm: bool = False


_GO = Verdict()


class ScopeLimits:
    """Everything counted for one (subscription, region)."""

    def __init__(self, settings: Throttling, now: float) -> None:
        self.writes = Counters()
        self.reads = Counters()
        self._next_other = now
        self.apply(settings)

    def apply(self, settings: Throttling) -> None:
        """Start afresh with other limits; counters stay, windows and buckets begin empty and full."""
        self.settings = settings
        self.write_window = SlidingWindow(settings.writes)
        self.read_window = SlidingWindow(settings.reads)
        self.own_write_window = SlidingWindow(settings.writes)
        self.write_bucket = TokenBucket(settings.arm.writes, settings.arm.writes_per_second)
        self.read_bucket = TokenBucket(settings.arm.reads, settings.arm.reads_per_second)

    def reset_statistics(self) -> None:
        """Forget counts and peaks, but not what lies in the windows."""
        self.writes = Counters()
        self.reads = Counters()
        for window in (self.write_window, self.read_window, self.own_write_window):
            window.peak = 0

    def admit(self, now: float, *, write: bool, site_recovery: bool) -> Verdict:
        """Let a call through or not; calls to other services than Site Recovery only pass the bucket."""
        counters = self.writes if write else self.reads
        self._other_client(now)
        if self.settings.arm.enabled:
            wait = (self.write_bucket if write else self.read_bucket).take(now)
            if wait > 0:
                counters.throttled_by_arm += 1
                return Verdict(wait, by_arm=True)
        if not site_recovery:
            return _GO
        window = self.write_window if write else self.read_window
        wait = window.wait(now)
        if wait > 0 and self.settings.enabled:
            counters.throttled += 1
            return Verdict(wait)
        window.add(now)
        counters.served += 1
        if write:
            self.own_write_window.add(now)
        return _GO

    def remaining(self, now: float, *, write: bool) -> int | None:
        """Tell what is left in the bucket, for the header; None when there is no bucket."""
        if not self.settings.arm.enabled:
            return None
        return int((self.write_bucket if write else self.read_bucket).tokens(now))

    def _other_client(self, now: float) -> None:
        """Count the writes that the other client has made since the last look, as far as they were let through."""
        rate = self.settings.other_client_writes_per_minute
        if rate == 0:
            self._next_other = now
            return
        period = 60.0 / rate
        oldest = now - self.settings.writes.window
        if self._next_other < oldest:  # long idle: what has left the window does not matter
            self._next_other += ((oldest - self._next_other) // period) * period
        while self._next_other <= now:
            if self.write_window.wait(self._next_other) == 0:
                self.write_window.add(self._next_other)
            self._next_other += period


class Throttle:
    """All scopes, made as they are met."""

    def __init__(self, settings: Throttling) -> None:
        self.settings = settings
        self.scopes: dict[tuple[str, str], ScopeLimits] = {}

    def scope(self, subscription: str, region: str, now: float) -> ScopeLimits:
        """Find the limits of a subscription in a region."""
        key = (subscription.lower(), region.lower())
        limits = self.scopes.get(key)
        if limits is None:
            limits = self.scopes[key] = ScopeLimits(self.settings, now)
        return limits

    def apply(self, settings: Throttling) -> None:
        """Use other limits from now on."""
        self.settings = settings
        for limits in self.scopes.values():
            limits.apply(settings)
