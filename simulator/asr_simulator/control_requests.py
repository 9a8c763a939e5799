"""What can be asked of the control endpoint, and how it is done."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Self
from uuid import NAMESPACE_URL, uuid5

from pydantic import Field, model_validator

from asr_simulator.activity_log import PORTAL, Author, Written
from asr_simulator.clock import trimmed
from asr_simulator.generate import enabled, make_ailment, other_account
from asr_simulator.mapping import ENABLED, PAIRED, RUN_AS_ACCOUNT, AutoUpdate, ContainerMapping
from asr_simulator.routes import RouteKind, action_of
from asr_simulator.scenario import ActivityLogSettings, AgentUpdates, Jobs, Mix, Range, Schedules, Section, Throttling
from asr_simulator.scenario.behaviour import Share
from asr_simulator.vault import Vault
from asr_simulator.world import World

__all__ = [
    "ClockRequest",
    "ControlError",
    "DriftKind",
    "DriftRequest",
    "MappingsRequest",
    "SettingsRequest",
    "apply_drift",
    "apply_mappings",
    "apply_settings",
    "find_vault",
]


class ControlError(Exception):
    """A control request that cannot be done."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class DriftKind(StrEnum):
    """What somebody does to a mapping behind everybody's back."""

    DISABLE = "disable"
    OTHER_ACCOUNT = "other_account"
    RUN_AS = "run_as"
    HEALTH_ERROR = "health_error"
    UNPAIR = "unpair"
    PAIR = "pair"
    COMPLY = "comply"
    """Set to the vault's account, healthy."""


class DriftRequest(Section):
    """Change mappings without any call; no job shows it, and the activity log only where a caller is given."""

    vault: str | None = None
    """Vault name or ARM id; may be left out when there is only one."""
    change: DriftKind
    """What to do."""
    mappings: tuple[str, ...] = ()
    """Names of mappings to change."""
    count: int | None = Field(default=None, gt=0)
    """Or: how many, the first in list order that the change really changes."""
    curable: bool = True
    """For health_error: whether a PATCH cures it."""
    caller: str = ""
    """Who the activity log names for it: a user; empty: it does not show there, like a change without a call."""

    @model_validator(mode="after")
    def _names_or_count(self) -> Self:
        if bool(self.mappings) == (self.count is not None):
            raise ValueError("give either mappings or count")
        return self


class MappingsRequest(Section):
    """Add or remove mappings."""

    vault: str | None = None
    """Vault name or ARM id; may be left out when there is only one."""
    add: Mix = Mix()
    """How many to add of each kind."""
    remove: tuple[str, ...] = ()
    """Names to remove."""
    remove_count: int = Field(default=0, ge=0)
    """How many to remove, from the end of the list."""


class SettingsRequest(Section):
    """Replace whole sections of the scenario's behaviour; what is not given stays."""

    throttle: Throttling | None = None
    """New limits; windows start empty and buckets full."""
    jobs: Jobs | None = None
    """How jobs run that start from now on."""
    agent_updates: AgentUpdates | None = None
    """How updates of agents go that start from now on."""
    activity_log: ActivityLogSettings | None = None
    """How the activity log goes on from now on."""
    schedules: Schedules | None = None
    """What happens to schedules from now on; who shares one stays."""
    latency: Range | None = None
    """Latency."""
    patch_failure_share: Share | None = None
    """Part of the PATCH calls answered 500."""
    time_scale: float | None = Field(default=None, gt=0)
    """Simulated seconds per real second from now on."""


class ClockRequest(Section):
    """Jump ahead."""

    advance: float = Field(gt=0)
    """Simulated seconds to skip."""


def find_vault(world: World, reference: str | None) -> Vault:
    """Find a vault by name or ARM id; None means the only one."""
    wanted = (reference or "").lower()
    found = [vault for vault in world.vaults.values() if wanted in ("", vault.spec.name.lower(), vault.id.lower())]
    if len(found) != 1:
        which = "no vault" if not found else "more than one vault"
        raise ControlError([f"vault: {which} matches {reference!r}"])
    return found[0]


def apply_drift(world: World, wish: DriftRequest) -> dict[str, Any]:
    """Change mappings; returns the names of those that were changed."""
    vault = find_vault(world, wish.vault)
    vault.settle(world.clock.now())
    if wish.mappings:
        chosen = _by_name(vault, wish.mappings)
        changed = [mapping for mapping in chosen if _drift(world, vault, mapping, wish)]
    else:
        changed = []
        for mapping in vault.ordered:
            if len(changed) == wish.count:
                break
            if _drift(world, vault, mapping, wish):
                changed.append(mapping)
    if wish.caller:
        for mapping in changed:
            world.activity.record(_as_if_written(world, mapping, wish.caller))
    return {"changed": [mapping.name for mapping in changed]}


def _as_if_written(world: World, mapping: ContainerMapping, caller: str) -> Written:
    """A PATCH by which somebody may have done it."""
    object_id = str(uuid5(NAMESPACE_URL, caller))
    now = world.clock.now()
    return Written(
        resource=mapping.id,
        action=action_of(RouteKind.MAPPING, "PATCH") or "",
        author=Author(object_id, PORTAL, caller),
        at=now,
        request_id=str(uuid5(NAMESPACE_URL, f"{caller} {now} {mapping.id}")),
        ended_at=now,
    )


def _by_name(vault: Vault, names: tuple[str, ...]) -> list[ContainerMapping]:
    wanted = {name.lower() for name in names}
    chosen = [mapping for mapping in vault.ordered if mapping.name.lower() in wanted]
    missing = sorted(wanted - {mapping.name.lower() for mapping in chosen})
    if missing:
        raise ControlError([f"mappings: {name!r} does not exist" for name in missing])
    return chosen


def _drift(world: World, vault: Vault, mapping: ContainerMapping, wish: DriftRequest) -> bool:
    """Apply one change; tells whether there was anything to change."""
    before = (mapping.state, mapping.auto_update, mapping.ailment)
    if wish.change in (DriftKind.UNPAIR, DriftKind.PAIR):
        if mapping.provider is not None and (mapping.state == PAIRED) == (wish.change is DriftKind.UNPAIR):
            mapping.state = PAIRED if wish.change is DriftKind.PAIR else "PairingFailed"
    elif mapping.provider == "A2A" and mapping.state == PAIRED:
        _drift_setting(world, vault, mapping, wish)
    mapping.changed()
    return (mapping.state, mapping.auto_update, mapping.ailment) != before


def _drift_setting(world: World, vault: Vault, mapping: ContainerMapping, wish: DriftRequest) -> None:
    account, setting = vault.spec.automation_account, mapping.auto_update
    is_enabled = setting.status == ENABLED
    match wish.change:
        case DriftKind.DISABLE if is_enabled:
            mapping.auto_update = AutoUpdate()
        case DriftKind.OTHER_ACCOUNT if setting.account != other_account(account):
            mapping.auto_update = enabled(vault.rng, mapping.name, other_account(account))
        case DriftKind.RUN_AS if not (is_enabled and setting.authentication == RUN_AS_ACCOUNT):
            mapping.auto_update = enabled(vault.rng, mapping.name, account, RUN_AS_ACCOUNT)
        case DriftKind.HEALTH_ERROR if not mapping.is_unhealthy:
            if not is_enabled:
                mapping.auto_update = enabled(vault.rng, mapping.name, account)
            mapping.ailment = make_ailment(vault.rng, trimmed(world.clock.wall()), curable=wish.curable)
        case DriftKind.COMPLY if not vault.is_compliant(mapping):
            mapping.auto_update, mapping.ailment = enabled(vault.rng, mapping.name, account), None
        case _:
            pass  # it is already so


def apply_mappings(world: World, wish: MappingsRequest) -> dict[str, Any]:
    """Add and remove mappings; returns the names."""
    vault = find_vault(world, wish.vault)
    vault.settle(world.clock.now())
    gone = _by_name(vault, wish.remove) if wish.remove else []
    if wish.remove_count:
        gone += [mapping for mapping in vault.ordered[-wish.remove_count :] if mapping not in gone]
    for mapping in gone:
        vault.remove(mapping)
    added = vault.factory.generate(wish.add, taken=vault.mappings)
    vault.add(added)
    return {"added": [mapping.name for mapping in added], "removed": [mapping.name for mapping in gone]}


def apply_settings(world: World, wish: SettingsRequest) -> dict[str, Any]:
    """Change the behaviour; returns what now applies."""
    if wish.throttle is not None:
        world.throttle.apply(wish.throttle)
    if wish.jobs is not None:
        world.set_jobs(wish.jobs)
    if wish.agent_updates is not None:
        world.set_agent_updates(wish.agent_updates)
    if wish.activity_log is not None:
        world.activity.settings = wish.activity_log
    if wish.schedules is not None:
        world.schedules.behaviour = wish.schedules
    if wish.latency is not None:
        world.latency = wish.latency
    if wish.patch_failure_share is not None:
        world.patch_failure_share = wish.patch_failure_share
    if wish.time_scale is not None:
        world.clock.set_time_scale(wish.time_scale)
    return {
        "throttle": world.throttle.settings.model_dump(mode="json"),
        "jobs": world.job_settings.model_dump(mode="json"),
        "agent_updates": world.agent_updates.model_dump(mode="json"),
        "activity_log": world.activity.settings.model_dump(mode="json"),
        "schedules": world.schedules.behaviour.model_dump(mode="json"),
        "latency": world.latency.model_dump(mode="json"),
        "patch_failure_share": world.patch_failure_share,
        "time_scale": world.clock.time_scale,
    }
