"""Control requests about the tenant: vaults that come, go and are tagged, subscriptions that change."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from asr_simulator.control_requests import ControlError, find_vault
from asr_simulator.scenario import Section, SubscriptionState, VaultSpec
from asr_simulator.world import World

__all__ = ["SubscriptionRequest", "TagsRequest", "VaultsRequest", "apply_subscription", "apply_tags", "apply_vaults"]


class VaultsRequest(Section):
    """Vaults to make and to delete."""

    add: tuple[VaultSpec, ...] = ()
    """Vaults to make."""
    delete: tuple[str, ...] = ()
    """Names or ARM ids of vaults to delete."""


class TagsRequest(Section):
    """Other tags for a vault."""

    vault: str | None = None
    """Vault name or ARM id."""
    tags: dict[str, str] = Field(default_factory=dict)
    """All tags that it is to have."""


class SubscriptionRequest(Section):
    """Another state or place for a subscription."""

    subscription: str
    """Its id."""
    state: SubscriptionState | None = None
    """Its state."""
    management_group: str | None = None
    """The group to move it to."""


def apply_vaults(world: World, wish: VaultsRequest) -> dict[str, Any]:
    """Make and delete vaults; Resource Graph learns of it later."""
    doomed = [find_vault(world, reference) for reference in wish.delete]
    taken = [spec.name for spec in wish.add if spec.key in world.vaults]
    if taken:
        raise ControlError([f"vault {name!r} is there already" for name in taken])
    for vault in doomed:
        world.delete_vault(vault)
    return {"added": [world.add_vault(spec).id for spec in wish.add], "deleted": [vault.id for vault in doomed]}


def apply_tags(world: World, wish: TagsRequest) -> dict[str, Any]:
    """Tag a vault; Resource Graph learns of it later."""
    vault = find_vault(world, wish.vault)
    world.tag_vault(vault, wish.tags)
    return {"id": vault.id, "tags": vault.tags}


def apply_subscription(world: World, wish: SubscriptionRequest) -> dict[str, Any]:
    """Change a subscription."""
    found = world.tenant.subscriptions.get(wish.subscription.lower())
    if found is None:
        raise ControlError([f"there is no subscription {wish.subscription!r}"])
    if wish.management_group is not None:
        if wish.management_group.lower() not in world.tenant.groups:
            raise ControlError([f"there is no management group {wish.management_group!r}"])
        found.group = wish.management_group
    found.state = wish.state or found.state
    return {"subscription": found.id, "state": found.state, "management_group": found.group}
