"""How long to leave Azure alone after a 429: as long as it asks for, and longer when that was not enough."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final

_LONGEST: Final = 3600.0
_SHORTEST: Final = 0.1
"""Seconds from which a pause grows, where the server asks for none."""
_UNTOLD: Final = 10.0
"""Seconds, where the server does not say how long; ARM itself was seen to ask for about as many."""
_MOST_REMEMBERED: Final = 1000

__all__ = ["Patience"]


@dataclass(frozen=True)
class _Pause:
    until: float
    seconds: float


class Patience:
    """Remembers the pauses that were kept, for each thing that shares a limit.

    ARM prolongs a pause with each call that comes too early, and its clock and ours differ. So when the first call
    after a pause is refused again, the next one is twice as long, whatever is asked for.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._pauses: OrderedDict[Hashable, _Pause] = OrderedDict()

    def pause(self, key: Hashable, asked: float | None, *, sent_at: float) -> float | None:
        """Seconds to pause for after a 429.

        Args:
            key: what shares the limit.
            asked: seconds that the server asks for; None when it does not say.
            sent_at: when the call left that was refused.

        Returns:
            None when nobody knows, and there is no reason to think that it was too short before.
        """
        last = self._pauses.get(key)
        if last and sent_at < last.until:
            return asked  # it left before the pause was over, or known of: that proves nothing
        seconds = _UNTOLD if asked is None else asked
        if last:
            seconds = min(max(seconds, 2 * last.seconds), _LONGEST)
        self._pauses[key] = _Pause(self._now() + seconds, max(seconds, _SHORTEST))
        while len(self._pauses) > _MOST_REMEMBERED:
            self._pauses.popitem(last=False)
        return seconds if last or asked is not None else None

    def served(self, key: Hashable, *, sent_at: float) -> None:
        """Note that a call was not refused: after the pause, that was long enough."""
        last = self._pauses.get(key)
        if last and sent_at >= last.until:
            del self._pauses[key]
