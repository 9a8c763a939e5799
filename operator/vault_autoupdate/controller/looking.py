"""What is said while a vault is being read that somebody waits for, and nothing better can be said yet.

Reads wait in place while Azure wants to be left alone for a minute or less, so that whoever has changed a resource, or
asked for a look at it, would see nothing at all. Looks that nobody waits for say nothing: thousands of them may stand
behind one pause.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from vault_autoupdate.controller.publisher import Publisher
from vault_autoupdate.controller.tracked import TrackedResource
from vault_autoupdate.model.resource import VaultAutoUpdate
from vault_autoupdate.report import readiness

_SAME_PAUSE: Final = timedelta(seconds=5)
"""A pause that ends within that of the one that was told is taken to be the same."""

__all__ = ["Looking"]


@dataclass
class Looking:
    """One look, from its begin until there is something to say of it."""

    tracked: TrackedResource
    resource: VaultAutoUpdate
    publisher: Publisher
    paused_for: Callable[[VaultAutoUpdate, str], timedelta]
    """For how long Azure wants to be left alone, by the resource and the region of its vault."""
    now: Callable[[], datetime]
    told_until: datetime | None = None
    """The end of the pause that was told."""
    said: bool = False
    is_new: bool = field(init=False)
    """Whether nothing was said of this generation before."""

    def __post_init__(self) -> None:
        """Take note of what was said before this look says anything itself."""
        self.is_new = self.tracked.status.get("observedGeneration") != self.tracked.generation

    def has_news(self) -> bool:
        """Whether there is something to say now."""
        if not self.is_new and self.tracked.requested_at is None:
            return False
        return (self.is_new and not self.said) or self._another_pause() is not None

    async def tell(self) -> None:
        """Say that the vault is being read, and of each pause once until when that waits."""
        if not self.has_news():
            return
        self.told_until = self._another_pause() or self.told_until
        note = readiness.pause_until(self.told_until) if self.told_until else ""
        stands = readiness.looking(self.resource) if self.is_new else readiness.told_before(self.tracked.status)
        self.said = True
        await self.publisher.tell_progress(self.tracked, readiness.with_note(stands, note), emit=False)

    def _another_pause(self) -> datetime | None:
        """The end of the pause that there is, if it was not told."""
        pause = self.paused_for(self.resource, self.tracked.state.location)  # which the look itself may have learned
        until = self.now() + pause
        is_known = self.told_until is not None and abs(until - self.told_until) < _SAME_PAUSE
        return until if pause and not is_known else None
