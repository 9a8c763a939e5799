"""Control requests about agents: releases, and the state of the agents on VMs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from asr_simulator.agents import AgentRecord, Blocker
from asr_simulator.control_requests import ControlError, find_vault
from asr_simulator.control_types import ItemState
from asr_simulator.protected_items import ProtectedItem, select_items
from asr_simulator.scenario import Section, matches_any
from asr_simulator.vault import Vault
from asr_simulator.world import World

__all__ = [
    "AgentFields",
    "BlockerFields",
    "ItemsRequest",
    "Moment",
    "ReleaseRequest",
    "apply_items",
    "apply_release",
    "item_states",
]


def _in_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)


Moment = Annotated[datetime, AfterValidator(_in_utc)]


class ReleaseRequest(Section):
    """Let a new version of the agent come out."""

    version: str = Field(min_length=1)
    """The newest from now on."""
    vault: str | None = None
    """Vault name or ARM id; all of them if left out."""


class BlockerFields(Section):
    """Why an agent cannot be installed anew."""

    code: str
    """``errorCode``."""
    message: str
    """``errorMessage``."""
    possible_causes: str = ""
    """Why."""
    recommended_action: str = ""
    """What to do."""


class AgentFields(Section):
    """What to set of agents; what is not given stays."""

    version: str = ""
    """Version that is installed."""
    update_required: bool | None = None
    """Whether there is a newer one; null: whether the version is another than the newest."""
    upgrade_in_progress: bool = False
    """Whether somebody else updates it."""
    retry_count: int = Field(default=0, ge=0)
    """Tries of automatic updates."""
    retries_exhausted: bool = False
    """Whether the service has given up."""
    reinstall_required: bool = False
    """Whether it has to be installed anew."""
    blockers: tuple[BlockerFields, ...] = ()
    """Why that cannot be done."""
    certificate_update_required: bool = False
    """Whether it needs a new certificate."""
    expires_at: Moment | None = None
    """When the agent is out of support; null for never."""
    certificate_expires_at: Moment | None = None
    """When its certificate ends; null for never."""


class ItemsRequest(Section):
    """Set the state of agents."""

    vault: str | None = None
    """Vault name or ARM id; may be left out when there is only one."""
    pattern: str = "*"
    """Names of VMs, with wildcards, in any letter case."""
    set: AgentFields
    """What to set."""


def apply_release(world: World, wish: ReleaseRequest) -> dict[str, Any]:
    """Release a version; returns the names of the vaults that know of it."""
    vaults = list(world.vaults.values()) if wish.vault is None else [find_vault(world, wish.vault)]
    now = world.clock.now()
    for vault in vaults:
        vault.settle(now)
        vault.agents.release(wish.version, now)
    return {"vaults": [vault.spec.name for vault in vaults]}


def apply_items(world: World, wish: ItemsRequest) -> dict[str, Any]:
    """Set agents; returns the names of the VMs."""
    vault = find_vault(world, wish.vault)
    vault.settle(world.clock.now())
    given = {name: getattr(wish.set, name) for name in wish.set.model_fields_set}
    if "version" in given and not given["version"]:
        raise ControlError(["set.version: must not be empty"])
    if "blockers" in given:
        given["blockers"] = tuple(Blocker(**blocker.model_dump()) for blocker in wish.set.blockers)
    changed = []
    for item in _all_items(vault):
        if matches_any(item.vm_name, (wish.pattern,)):
            record = vault.agents.record(item.key)
            record.state = replace(item.agent(world.clock.wall()), **given)
            changed.append(item.vm_name)
    return {"changed": changed}


def item_states(vault: Vault, wall: float) -> list[ItemState]:
    """Show all agents of a vault."""
    agents, untouched = vault.agents, AgentRecord()
    states = []
    for item in _all_items(vault):
        state, record = item.agent(wall), agents.records.get(item.key, untouched)
        states.append(
            ItemState(
                vm_name=item.vm_name,
                id=item.id,
                mapping=item.mapping.name,
                version=state.version,
                update_required=agents.is_behind(state),
                upgrade_in_progress=agents.is_upgrading(item.key, state),
                expires_at=None if state.expires_at is None else state.expires_at.isoformat(),
                updates_accepted=record.accepted,
                updates_refused=record.refused,
                outcomes=record.outcomes,
                running=record.job is not None,
                running_in_vault=agents.running,
                most_running_in_vault=agents.most_running,
            )
        )
    return states


def _all_items(vault: Vault) -> Iterator[ProtectedItem]:
    return (item for _, item in select_items(vault, vault.ordered, -1, {}))
