"""The activity log: what was written through Resource Manager, by whom, and from when on that shows.

A write leaves two entries, or three where it was accepted and went on: begun, answered, ended. Those of one call share
their correlation id; each has an id of its own. Which fields they have is seen in recordings of role assignments; that
those of Site Recovery look like them is inferred.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from asr_simulator.ids import guid
from asr_simulator.scenario import ActivityLogSettings

_NOISE: Final = (
    "Microsoft.RecoveryServices/vaults/backupFabrics/protectionContainers/protectedItems/write",
    "Microsoft.RecoveryServices/vaults/backupFabrics/protectionContainers/protectedItems/backup/action",
    "Microsoft.RecoveryServices/vaults/backupPolicies/write",
    "Microsoft.RecoveryServices/vaults/backupconfig/write",
)
BACKUP_SERVICE: Final = "262044b1-e2ce-469f-a196-69ab7ada62d3"
"""Application id of the backup service."""
PORTAL: Final = "c44b4083-3bb0-49c1-b47d-974e53cbdf3c"
"""Application id of the portal."""

__all__ = ["BACKUP_SERVICE", "PORTAL", "ActivityLog", "Author", "Entry", "Written"]


@dataclass(frozen=True, slots=True)
class Author:
    """Who has written."""

    object_id: str
    application: str
    user: str = ""
    """User principal name; empty for an application."""
    tenant: str = ""

    @property
    def caller(self) -> str:
        """The field of that name: a user's name; of an application its object id (inferred)."""
        return self.user or self.object_id


@dataclass(frozen=True, slots=True)
class Written:
    """A call that has written something, or was to."""

    resource: str
    """ARM id of what it was about, in the letter case of the client."""
    action: str
    author: Author
    at: float
    """Simulated time."""
    status: int = 202
    """Of HTTP."""
    method: str = "PATCH"
    request_id: str = ""
    """The client's; empty for a consequence of another call, which has no request of its own."""
    correlation_id: str = ""
    """None is drawn for an empty one."""
    ended_at: float | None = None
    """When that which it has begun ends; None where nothing is begun, or it never ends."""
    failed: bool = False
    """Whether that which it has begun fails."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry."""

    id: str
    written: Written
    event: str
    """``BeginRequest`` or ``EndRequest``."""
    status: str
    sub_status: str
    at: float
    shows_at: float
    store: str
    lost: bool = False
    correlation_id: str = ""
    request_id: str = ""
    """The client's, as far as it was kept."""


@dataclass
class _Subscription:
    entries: deque[Entry]
    next_noise: float | None = None


@dataclass
class ActivityLog:
    """The entries of all subscriptions."""

    settings: ActivityLogSettings
    rng: random.Random
    _logs: dict[str, _Subscription] = field(default_factory=dict)

    def record(self, written: Written) -> None:
        """Log a call: it shows later."""
        log = self._of(written.resource.split("/")[2])
        correlation_id = written.correlation_id or guid(self.rng)
        store = self.rng.choice(sorted(self.settings.stores))
        lag = self._lag(store)  # what a call leaves at once begins to show at once (recorded)
        for event, status, sub_status, at in _steps(written):
            if at > written.at:
                lag = self._lag(store)
            entry = Entry(
                id=guid(self.rng),
                written=written,
                event=event,
                status=status,
                sub_status=sub_status,
                at=at,
                shows_at=at + lag,
                store=store,
                lost=self.rng.random() < self.settings.lost_share,
                correlation_id=correlation_id,
                request_id=self._kept(written.request_id),
            )
            log.entries.append(entry)
            if self.rng.random() < self.settings.doubled_share:
                log.entries.append(entry)

    def entries(self, subscription: str, now: float) -> Iterator[Entry]:
        """Yield all entries of a subscription, those too that do not show yet."""
        self._make_noise(subscription, now)
        yield from self._of(subscription).entries

    def shown(self, subscription: str, now: float) -> Iterator[Entry]:
        """Yield the entries of a subscription that show by now, in no order."""
        return (each for each in self.entries(subscription, now) if not each.lost and each.shows_at <= now)

    def _of(self, subscription: str) -> _Subscription:
        kept = self.settings.entries_kept
        return self._logs.setdefault(subscription.lower(), _Subscription(deque(maxlen=kept)))

    def _lag(self, store: str) -> float:
        """Draw by how much entries are late."""
        settings = self.settings
        longest = max(settings.lag.max, settings.longest_lag)
        bounds = (settings.lag.max, longest) if self.rng.random() < settings.tail_share else _ends(settings)
        return self.rng.uniform(*bounds) + settings.stores[store]

    def _kept(self, request_id: str) -> str:
        if self.settings.request_ids == "all":
            return request_id
        try:
            return str(UUID(request_id))
        except ValueError:
            return ""

    def _make_noise(self, subscription: str, now: float) -> None:
        log = self._of(subscription)
        if self.settings.noise_per_hour == 0:
            log.next_noise = None
            return
        mean = 3600.0 / self.settings.noise_per_hour
        if log.next_noise is None:
            log.next_noise = now + self.rng.expovariate(1 / mean)
        while log.next_noise <= now:
            self.record(self._noise(subscription, log.next_noise))
            log.next_noise += self.rng.expovariate(1 / mean)

    def _noise(self, subscription: str, at: float) -> Written:
        vault = f"vault-{self.rng.randrange(100):02}"
        place = f"/subscriptions/{subscription}/resourceGroups/rg-backup/providers/Microsoft.RecoveryServices"
        action = self.rng.choice(_NOISE)
        by_hand = self.rng.random() < 0.5
        return Written(
            resource=f"{place}/vaults/{vault}/backupFabrics/Azure/item-{self.rng.randrange(1000):03}",
            action=action,
            author=Author(guid(self.rng), BACKUP_SERVICE),
            at=at,
            status=self.rng.choice((200, 200, 202, 409)),
            method="PUT",
            request_id=guid(self.rng) if by_hand else "",
        )


def _ends(settings: ActivityLogSettings) -> tuple[float, float]:
    return settings.lag.min, settings.lag.max


def _steps(written: Written) -> Iterable[tuple[str, str, str, float]]:
    """Event, status, sub-status and time of each entry of a call."""
    yield "BeginRequest", "Started", "", written.at
    name = _SUB_STATUS.get(written.status, "")
    if written.status >= 400:
        yield "EndRequest", "Failed", name, written.at
        return
    if written.status != 202:
        yield "EndRequest", "Succeeded", name, written.at
        return
    yield "EndRequest", "Accepted", name, written.at
    if written.ended_at is not None:
        yield "EndRequest", "Failed" if written.failed else "Succeeded", "", written.ended_at


_SUB_STATUS: Final = {
    200: "OK",
    201: "Created",
    202: "Accepted",
    204: "NoContent",
    400: "BadRequest",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    500: "InternalServerError",
}
