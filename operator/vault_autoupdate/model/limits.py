"""Limits on calls, as settings write them: ``200/60s``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

from vault_autoupdate.model.durations import format_duration, parse_duration

_LIMIT = re.compile(r"(\d{1,9})/(\S{1,32})")

__all__ = ["Limit", "parse_limits"]


@dataclass(frozen=True)
class Limit:
    """At most ``count`` calls in any ``window`` seconds."""

    count: int
    window: float

    def __str__(self) -> str:
        return f"{self.count}/{format_duration(timedelta(seconds=self.window))}"


def parse_limits(text: str) -> tuple[Limit, ...]:
    """Parse ``count/window`` pairs, separated by commas: ``200/60s`` or ``10000/1h,250/10s``.

    Raises:
        ValueError: with what was expected.
    """
    limits = []
    for part in text.split(","):
        match = _LIMIT.fullmatch(part.strip())
        if not match or int(match[1]) < 1:
            raise ValueError(f"{part.strip()!r} is not a limit: write count/window, for example 200/60s")
        window = parse_duration(match[2]).total_seconds()
        if window <= 0:
            raise ValueError(f"the window of {part.strip()!r} must be longer than nothing")
        limits.append(Limit(int(match[1]), window))
    return tuple(limits)
