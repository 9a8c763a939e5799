"""How a resource has been doing over time: what its metrics need and no status shows. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

__all__ = ["ReadyHistory"]


@dataclass
class ReadyHistory:
    """Points in time that outlive a single pass."""

    last_success: datetime
    """When a look at the vault last went well; at first, when the resource was first seen."""
    not_ready_since: datetime | None = None

    @classmethod
    def first_seen(cls, status: Mapping[str, Any], now: datetime) -> ReadyHistory:
        """Begin with what the status says, which an earlier process may have written."""
        history = cls(last_success=now)
        history.status_is(status, _changed_at(status) or now)
        return history

    def status_is(self, status: Mapping[str, Any], now: datetime) -> None:
        """Take note of a status that was written or seen. Nobody waits for a suspended resource to be Ready.

        The transition time of the condition does not do: it begins anew with each change between False and Unknown.
        """
        ready = _ready(status)
        if ready.get("status") == "True" or ready.get("reason") == "Suspended":
            self.not_ready_since = None
        elif self.not_ready_since is None:
            self.not_ready_since = now

    def not_ready_for(self, now: datetime) -> float:
        """Seconds without being Ready."""
        return max(0.0, (now - self.not_ready_since).total_seconds()) if self.not_ready_since else 0.0


def _ready(status: Mapping[str, Any]) -> Mapping[str, Any]:
    for condition in status.get("conditions") or ():
        if isinstance(condition, Mapping) and condition.get("type") == "Ready":
            return condition
    return {}


def _changed_at(status: Mapping[str, Any]) -> datetime | None:
    try:
        time = datetime.fromisoformat(str(_ready(status).get("lastTransitionTime", "")))
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
