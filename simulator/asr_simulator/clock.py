"""Simulated time: real time stretched by a factor, with jumps on request.

Two notions of time meet here. *Simulated* time drives what the service does by itself: how long jobs run, what
lies in a throttling window, how fast a token bucket refills. *Wall* time is what every timestamp on the wire shows,
so that a client can compare it with its own clock whatever the time scale is.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

__all__ = ["Clock", "ManualTime", "automation_time", "seven_digits", "trimmed", "whole_second"]


class _Segment(NamedTuple):
    """A stretch of simulated time with one scale: it began at ``simulated`` when the real clock read ``real``."""

    simulated: float
    real: float
    scale: float


@dataclass
class ManualTime:
    """A real clock that stands still until it is told to advance; for tests."""

    seconds: float = 0.0
    epoch: float = 1_700_000_000.0

    def monotonic(self) -> float:
        """Seconds since an arbitrary origin, as ``time.monotonic``."""
        return self.seconds

    def wall(self) -> float:
        """Seconds since 1970, as ``time.time``."""
        return self.epoch + self.seconds

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` of real time pass."""
        self.seconds += seconds


class Clock:
    """Maps real time to simulated time; the scale may change while it runs."""

    def __init__(
        self,
        time_scale: float = 1.0,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._monotonic = monotonic
        self._wall = wall
        self._origin_real = monotonic()
        self._origin_wall = wall()
        self._segments = [_Segment(0.0, self._origin_real, time_scale)]

    @classmethod
    def manual(cls, manual: ManualTime, time_scale: float = 1.0) -> Clock:
        """Make a clock that only moves when ``manual`` does."""
        return cls(time_scale, monotonic=manual.monotonic, wall=manual.wall)

    @property
    def time_scale(self) -> float:
        """Simulated seconds per real second."""
        return self._segments[-1].scale

    def now(self) -> float:
        """Simulated seconds since the start."""
        segment = self._segments[-1]
        return segment.simulated + (self._monotonic() - segment.real) * segment.scale

    def real(self) -> float:
        """Real seconds since the start."""
        return self._monotonic() - self._origin_real

    def wall(self) -> float:
        """Real seconds since 1970."""
        return self._wall()

    def real_seconds(self, simulated_seconds: float) -> float:
        """How long a client has to wait, by its own clock, for ``simulated_seconds`` to pass."""
        return simulated_seconds / self.time_scale

    def set_time_scale(self, time_scale: float) -> None:
        """Go on at another speed from now on."""
        self._segments.append(_Segment(self.now(), self._monotonic(), time_scale))

    def skip(self, simulated_seconds: float) -> None:
        """Jump forward in simulated time; no real time passes."""
        self._segments.append(_Segment(self.now() + simulated_seconds, self._monotonic(), self.time_scale))

    def wall_at(self, simulated: float) -> float:
        """Tell the wall time at which simulated time was, or will be, ``simulated``.

        Moments inside a jump all fall on the instant of the jump.
        """
        index = len(self._segments) - 1
        while index > 0 and self._segments[index].simulated > simulated:
            index -= 1
        segment = self._segments[index]
        real = segment.real + (simulated - segment.simulated) / segment.scale
        if index + 1 < len(self._segments):
            real = min(real, self._segments[index + 1].real)
        return self._origin_wall + real - self._origin_real


def seven_digits(wall: float) -> str:
    """Print a time as operation status bodies do, always with 7 fractional digits (seen in a recording)."""
    moment = datetime.fromtimestamp(wall, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06d}0Z"


def automation_time(moment: datetime) -> str:
    """Print a time as Automation does: with a zone, and at most three digits of a fraction without trailing zeros."""
    fraction = f".{moment.microsecond // 1000:03}".rstrip("0").rstrip(".")
    return f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}+00:00"


def trimmed(wall: float) -> str:
    """Print a time as job bodies do: no trailing zeros, no fraction for a whole second (published example)."""
    moment = datetime.fromtimestamp(wall, UTC)
    fraction = f".{moment.microsecond:06d}".rstrip("0").rstrip(".")
    return f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}Z"


def whole_second(wall: float) -> float:
    """Round up to a second: end times carry no fraction (seen in a recording: started :57.55, ended :58.00)."""
    return float(math.ceil(wall))
