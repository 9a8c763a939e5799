"""Control requests about the activity log: look at all of it, and write entries of others."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from asr_simulator.activity_log import PORTAL, Author, Written
from asr_simulator.clock import seven_digits
from asr_simulator.scenario import Section
from asr_simulator.world import World

__all__ = ["ActivityRequest", "apply_activity", "list_activity"]


class ActivityRequest(Section):
    """A call of somebody, as the activity log shows it; nothing else comes of it."""

    resource: str = Field(pattern="^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/[^/]+/.+$")
    """ARM id of what it is about."""
    operation: str = Field(pattern="^[^/]+/.+/[^/]+$")
    """Name of the operation, such as ``Microsoft.Automation/automationAccounts/write``."""
    caller: str = "somebody@example.com"
    """The user."""
    object_id: str = "0b1ec700-0000-4000-8000-000000000001"
    """Of the user."""
    http_status: int = 200
    """How it was answered."""
    request_id: str = "0b1ec700-0000-4000-8000-000000000002"
    """The client request id; empty for a consequence of another call."""
    ago: float = Field(default=0.0, ge=0)
    """Simulated seconds since it was made."""


def apply_activity(world: World, wish: ActivityRequest) -> dict[str, Any]:
    """Write the entries of a call."""
    world.activity.record(
        Written(
            resource=wish.resource,
            action=wish.operation,
            author=Author(wish.object_id, PORTAL, wish.caller),
            at=world.clock.now() - wish.ago,
            status=wish.http_status,
            request_id=wish.request_id,
        )
    )
    return {"recorded": True}


def list_activity(world: World, subscription: str) -> dict[str, Any]:
    """Show all entries of a subscription, those too that nobody can read yet, or ever."""
    now, clock = world.clock.now(), world.clock
    return {
        "entries": [
            {
                "id": each.id,
                "operation": each.written.action,
                "resource": each.written.resource,
                "status": each.status,
                "caller": each.written.author.caller,
                "correlation_id": each.correlation_id,
                "request_id": each.request_id,
                "time": seven_digits(clock.wall_at(each.at)),
                "store": each.store,
                "shows_at": each.shows_at,
                "lost": each.lost,
            }
            for each in world.activity.entries(subscription, now)
        ]
    }
