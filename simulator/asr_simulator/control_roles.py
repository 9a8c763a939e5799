"""Control requests about roles: what administrators do while the operator looks on."""

from __future__ import annotations

from typing import Any

from asr_simulator.control_requests import ControlError
from asr_simulator.scenario import DenySpec, RoleAssignmentSpec, Section
from asr_simulator.world import World

__all__ = ["RolesRequest", "apply_roles"]


class RolesRequest(Section):
    """Give roles, take them, deny things."""

    remove: tuple[str, ...] = ()
    """From whom to take all roles first: accounts (name or ARM id), groups (name) or object ids."""
    assign: tuple[RoleAssignmentSpec, ...] = ()
    """Whom to give which."""
    deny: tuple[DenySpec, ...] = ()
    """What to deny from now on."""


def apply_roles(world: World, wish: RolesRequest) -> dict[str, Any]:
    """Change who has which role: it shows, and works, when the delay is over; what is denied is denied at once."""
    unknown = [spec.role for spec in wish.assign if world.roles.role(spec.role) is None]
    if unknown:
        raise ControlError([f"assign: there is no role {unknown[0]!r}"])
    then = world.clock.now() + world.roles.settings.delay
    removed = [each for principal in wish.remove for each in world.roles.remove(principal, until=then)]
    for spec in wish.assign:
        world.roles.assign(spec, since=then)
    for denied in wish.deny:
        world.roles.deny(denied)
    return {"removed": len(removed), "assigned": len(wish.assign), "denied": len(wish.deny)}
