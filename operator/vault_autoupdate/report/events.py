"""Which transitions become Events, so that a vault that fails again and again gives a handful and not hundreds. Pure.

The right to create Events is all that the operator has, so a repetition cannot be counted in the Event that is there
already. Instead it is kept back for a while and counted in the next one:

- work that begins is news only after the resource was Ready, or was never heard of;
- the same reason as last time is told again after ten minutes, then after twice as long each time;
- another reason is told at once, but no more than `BURST` times in a row and then every two minutes.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from vault_autoupdate.model.conditions import Reason
from vault_autoupdate.report.readiness import Readiness

BURST: Final = 10
_REFILL: Final = timedelta(minutes=2)
_FIRST_PAUSE: Final = timedelta(minutes=10)
_LONGEST_PAUSE: Final = timedelta(hours=6)
_MOST_OBJECTS: Final = 20_000

__all__ = ["BURST", "Emission", "EventAggregator"]


@dataclass(frozen=True)
class Emission:
    """An Event to post."""

    count: int = 1
    """How many times it has come to this since it was told last, this time included."""


@dataclass
class _Told:
    reason: str
    at: datetime
    pause: timedelta = _FIRST_PAUSE
    kept_back: int = 0
    tokens: float = BURST - 1.0
    filled_at: datetime | None = None


class EventAggregator:
    """Remembers what was told about each object."""

    def __init__(self) -> None:
        self._told: OrderedDict[str, _Told] = OrderedDict()

    def consider(self, uid: str, readiness: Readiness, now: datetime, *, was_ready: bool) -> Emission | None:
        """Decide about one transition.

        Args:
            uid: of the object.
            readiness: where it stands now.
            now: the present.
            was_ready: whether it was Ready before.
        """
        told = self._told.get(uid)
        if told is None:
            self._remember(uid, _Told(readiness.reason, now))
            return Emission()
        if readiness.reason == Reason.PROGRESSING and not was_ready:
            return None
        told.tokens = min(float(BURST), told.tokens + (now - (told.filled_at or told.at)) / _REFILL)
        told.filled_at = now
        repeated = readiness.reason == told.reason
        if (repeated and now - told.at < told.pause) or told.tokens < 1:
            told.kept_back += repeated
            return None
        count = 1 + (told.kept_back if repeated else 0)
        pause = min(_LONGEST_PAUSE, told.pause * 2) if repeated else _FIRST_PAUSE
        self._remember(uid, _Told(readiness.reason, now, pause, tokens=told.tokens - 1))
        return Emission(count)

    def _remember(self, uid: str, told: _Told) -> None:
        self._told[uid] = told
        self._told.move_to_end(uid)
        while len(self._told) > _MOST_OBJECTS:
            self._told.popitem(last=False)
