"""What a policy's plan is made from, and what it is made of. Values only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from vault_autoupdate.decide.policy_children import Wanted
from vault_autoupdate.decide.policy_evidence import Evidence
from vault_autoupdate.decide.policy_limits import Gate, Tally
from vault_autoupdate.decide.policy_selection import Selection
from vault_autoupdate.decide.policy_waves import Rollout
from vault_autoupdate.model.estate import Child, Estate, FoundVault, Look
from vault_autoupdate.model.policy import VaultAutoUpdatePolicy
from vault_autoupdate.model.resource import ResourceKey

__all__ = ["Change", "Creation", "Facts", "PolicyPlan", "Removal"]


@dataclass(frozen=True)
class Facts:
    """All that a plan is made from."""

    policy: VaultAutoUpdatePolicy
    estate: Estate
    resources: Mapping[str, tuple[Child, ...]]
    """All VaultAutoUpdates that are known, of whomever, by vault."""
    now: datetime
    allows: Callable[[str], bool] = lambda _: True
    """Whether the policy's namespace may name a resource, by its id."""
    rivals: Mapping[str, ResourceKey] = field(default_factory=dict)
    """Vaults that an older policy means."""
    policies: frozenset[str] = frozenset()
    """Uids of all other policies that there are."""
    evidence: Mapping[str, Evidence] = field(default_factory=dict)
    looks: Mapping[str, Look] = field(default_factory=dict)
    """Of this pass alone."""
    current: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By vault, the accounts that its mappings with auto-update name."""
    removed: Tally = field(default_factory=Tally)
    changed: Tally = field(default_factory=Tally)


@dataclass(frozen=True)
class Creation:
    """A resource to make."""

    name: str
    vault: FoundVault
    want: Wanted
    wave: int = 0


@dataclass(frozen=True)
class Change:
    """A resource to change."""

    child: Child
    fields: Mapping[str, Any]
    """Of its ``spec``; None takes one away. Empty when it is only taken over, or ``mode`` noted."""
    mode: str
    """The mode that the policy gives it."""
    adopts: bool = False


@dataclass(frozen=True)
class Removal:
    """A resource to delete. The vault in Azure is not touched by it."""

    child: Child
    why: str


@dataclass(frozen=True)
class PolicyPlan:
    """What is to be done, what would be if it were allowed, and what keeps it from being done."""

    selection: Selection = field(default_factory=Selection)
    own: Mapping[str, Child] = field(default_factory=dict)
    """Its resources, by vault: also those whose vault is no longer selected."""
    create: tuple[Creation, ...] = ()
    """To be done now."""
    change: tuple[Change, ...] = ()
    moving: tuple[Child, ...] = ()
    """Those that another shard has, while the policy is of this one. They change nothing in Azure."""
    remove: tuple[Removal, ...] = ()
    missing: tuple[Creation, ...] = ()
    """All vaults that should have a resource and have none, those of ``create`` among them."""
    differing: tuple[Change, ...] = ()
    leaving: tuple[Removal, ...] = ()
    """All resources for which there is proof that their vault has left."""
    rollout: Rollout = field(default_factory=Rollout)
    changes: Gate = field(default_factory=lambda: Gate(is_open=True))
    removals: Gate = field(default_factory=lambda: Gate(is_open=True))
    hash: str = ""
    """Names what waits for approval; empty when nothing does."""
    look_at: tuple[FoundVault, ...] = ()
    """Vaults that have to be looked at before this can be gone through with."""
    read_mappings: tuple[FoundVault, ...] = ()
    without_account: Mapping[str, str] = field(default_factory=dict)
    foreign: Mapping[str, Child] = field(default_factory=dict)
    conflicting: Mapping[str, ResourceKey] = field(default_factory=dict)
    earlier: frozenset[str] = frozenset()
    """Those of them that a policy of the same name had, which is gone."""
    taken: Mapping[str, Child] = field(default_factory=dict)
    """Names of resources that are missing, and that a resource of another vault has."""
    orphaned: Mapping[str, str] = field(default_factory=dict)
    """Its resources whose vault is not selected, with what is known of the reason."""
