"""When to look again: intervals, jitter, backoff. Pure, and deterministic: jitter comes from names, not dice."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from datetime import datetime, timedelta

from vault_autoupdate.model.errors import Disposition

__all__ = ["after_error", "after_look", "backoff", "fraction_of", "jittered", "longest_pass", "poll_delay"]


def fraction_of(name: str) -> float:
    """A number in [0, 1) that is always the same for ``name`` and spread evenly over names."""
    return zlib.crc32(name.encode()) / 2**32


def jittered(interval: timedelta, name: str, *, share: float = 0.05) -> timedelta:
    """``interval``, moved by up to ``share`` of it either way, so that resources of one age drift apart."""
    return interval * (1 + share * (2 * fraction_of(name) - 1))


def backoff(attempts: int, base: timedelta, cap: timedelta) -> timedelta:
    """The wait after the ``attempts``-th failure: ``base``, doubled for each one before it, at most ``cap``."""
    enough = (cap // base).bit_length()  # so many doublings reach the cap, and more would overflow some day
    doublings = min(max(attempts - 1, 0), enough)
    return min(cap, base * (1 << doublings))


def poll_delay(age: timedelta, shortest: timedelta, longest: timedelta) -> timedelta:
    """How long to wait before the jobs are looked at again, the youngest of them being ``age`` old.

    Soon after the start, since many jobs take seconds, then later and later: a quarter of the age.
    """
    return min(longest, max(shortest, age / 4))


def longest_pass(job_timeout: timedelta, mappings: int) -> timedelta:
    """How long a pass over a vault can take at the most, so that a longer one hangs.

    The last job may run to its time-out. The PATCHes before it have a tenth of the pace that Site Recovery allows (200
    a minute), and all that Azure asks to be left alone for, has two hours.
    """
    return job_timeout + timedelta(hours=2) + mappings * timedelta(seconds=3)


def after_look(interval: timedelta, name: str, now: datetime, next_tries: Iterable[datetime]) -> timedelta:
    """How long after a look at a vault that went well the next one is due: the interval, or the next try before it."""
    soonest = min(next_tries, default=None)
    wait = jittered(interval, name)
    return wait if soonest is None else min(wait, max(timedelta(seconds=1), soonest - now))


def after_error(
    disposition: Disposition,
    errors_in_a_row: int,
    interval: timedelta,
    name: str,
    *,
    retry_min: timedelta,
    pause: timedelta,
) -> timedelta:
    """How long after a look that failed the next one is due.

    Args:
        disposition: what kind of error it was.
        errors_in_a_row: how many looks have failed one after the other.
        interval: of the resource; no wait is longer, but for the server's own pause.
        name: of the resource, for the jitter.
        retry_min: the first wait after a passing error; it doubles.
        pause: how long the server wants to be left alone.
    """
    match disposition:
        case Disposition.RETRY:
            return jittered(backoff(errors_in_a_row, retry_min, interval), name, share=0.2)
        case Disposition.WAIT:
            return max(pause, timedelta(seconds=1)) + timedelta(seconds=fraction_of(name))
        case Disposition.SLOW | Disposition.STALL:
            return jittered(interval, name)
