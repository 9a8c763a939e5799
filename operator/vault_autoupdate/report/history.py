"""How a resource has been doing over time: what its metrics need and no status shows. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from vault_autoupdate.model.conditions import ConditionStatus, ConditionType, Reason
from vault_autoupdate.report.values import read_time

__all__ = ["ReadyHistory"]


@dataclass
class ReadyHistory:
    """Points in time that outlive a single pass."""

    known_since: datetime
    """When the resource was made, or else first seen: where no look has gone well, nobody knows anything since then."""
    last_success: datetime | None = None
    """When the mappings of the vault were last read; None when they never were."""
    not_ready_since: datetime | None = None

    @classmethod
    def first_seen(cls, status: Mapping[str, Any], created_at: datetime | None, now: datetime) -> ReadyHistory:
        """Begin with what the status says, which an earlier process may have written.

        Of a vault that was Ready, the last look went well, whenever that was: a status is not written anew just to
        say so, but a look that fails is, with the last one that did not.
        """
        was_ready = _ready(status).get("status") == ConditionStatus.TRUE
        last_success = now if was_ready else read_time(status.get("lastSuccessTime"))
        history = cls(created_at or now, last_success)
        history.status_is(status, _changed_at(status) or now)
        return history

    def looked_at(self, began: datetime, now: datetime) -> None:
        """The mappings have been read in the pass that ``began`` then; said more than once, the first time counts."""
        if self.last_success is None or self.last_success < began:
            self.last_success = now

    @property
    def stale_since(self) -> datetime:
        """Since when nothing new is known of the vault."""
        return self.last_success or self.known_since

    def status_is(self, status: Mapping[str, Any], now: datetime) -> None:
        """Take note of a status that was written or seen. Nobody waits for a suspended resource to be Ready.

        The transition time of the condition does not do: it begins anew with each change between False and Unknown.
        """
        ready = _ready(status)
        if ready.get("status") == ConditionStatus.TRUE or ready.get("reason") == Reason.SUSPENDED:
            self.not_ready_since = None
        elif self.not_ready_since is None:
            self.not_ready_since = now

    def not_ready_for(self, now: datetime) -> float:
        """Seconds without being Ready."""
        return max(0.0, (now - self.not_ready_since).total_seconds()) if self.not_ready_since else 0.0


def _ready(status: Mapping[str, Any]) -> Mapping[str, Any]:
    for condition in status.get("conditions") or ():
        if isinstance(condition, Mapping) and condition.get("type") == ConditionType.READY:
            return condition
    return {}


def _changed_at(status: Mapping[str, Any]) -> datetime | None:
    return read_time(_ready(status).get("lastTransitionTime"))
