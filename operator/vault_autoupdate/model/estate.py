"""What a discovery has found, and the resources that there are: values only, for the decisions of a policy.

Keys are casefolded ids throughout: Resource Manager does not keep letter case.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from vault_autoupdate.model.arm_id import ArmId
from vault_autoupdate.model.resource import LONG_AGO, ObjectRef, Spec

__all__ = ["Child", "ChildState", "Estate", "FoundAccount", "FoundVault", "Look", "Trouble", "Verdict"]


@dataclass(frozen=True)
class FoundVault:
    """A vault as a list, Resource Graph or a GET shows it."""

    id: ArmId
    location: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Names in the letter case that they were given."""
    replicates: bool | None = None
    """Whether anything is replicated by it; None when nobody has looked."""

    @property
    def key(self) -> str:
        """The id for comparing."""
        return self.id.key

    @property
    def subscription(self) -> str:
        """The subscription for comparing."""
        return self.id.subscription.casefold()


@dataclass(frozen=True)
class FoundAccount:
    """An Automation account."""

    id: ArmId
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Trouble:
    """Why something could not be seen, and what to do about it."""

    code: str
    """In PascalCase."""
    action: str = ""


@dataclass(frozen=True)
class Estate:
    """What one discovery has found in the scope of a policy, and what it could not see."""

    source: str
    """``Graph`` or ``List``."""
    started_at: datetime
    completed_at: datetime
    expected: frozenset[str] = frozenset()
    """Subscriptions that are in scope, whether they could be read or not."""
    read: frozenset[str] = frozenset()
    """Those of which all vaults are known."""
    unreachable: Mapping[str, Trouble] = field(default_factory=dict)
    disabled: frozenset[str] = frozenset()
    """Subscriptions whose state is not Enabled: nothing is changed there."""
    vaults: Mapping[str, FoundVault] = field(default_factory=dict)
    accounts: Mapping[str, tuple[FoundAccount, ...]] = field(default_factory=dict)
    """By subscription; one whose accounts could not be read is not in it."""
    scope_is_known: bool = True
    """Whether ``expected`` is all that is in scope; not where a group could not be read and nothing is known of it."""
    doubts: tuple[Trouble, ...] = ()
    """What makes the whole of it unreliable, such as pages that do not add up."""

    @property
    def is_complete(self) -> bool:
        """Whether nothing that is in scope can have been missed. Without that, absence proves nothing.

        An empty scope is never complete: whoever sees no subscription has, as a rule, lost a right.
        """
        return bool(self.expected) and self.expected <= self.read and not self.unreachable and not self.doubts


class Verdict(StrEnum):
    """What a GET of one vault has shown."""

    THERE = "There"
    GONE = "Gone"
    """404 with ``ResourceNotFound`` or ``ResourceGroupNotFound``: positive evidence."""
    UNREACHABLE = "Unreachable"
    """Anything else, 403 and ``SubscriptionNotFound`` among it. It says nothing about the vault."""


@dataclass(frozen=True)
class Look:
    """One GET of one vault."""

    at: datetime
    verdict: Verdict
    vault: FoundVault | None = None
    """As it is now, if it is there."""
    trouble: Trouble | None = None


class ChildState(StrEnum):
    """How a resource fares, as its status says."""

    READY = "Ready"
    WORKING = "Working"
    """Not yet, or not at the moment."""
    FAILED = "Failed"
    """Somebody has to do something about it."""
    EXCUSED = "Excused"
    """Not Ready because somebody wants it so: suspended, or only audited."""


@dataclass(frozen=True)
class Child:
    """A VaultAutoUpdate resource of the cluster: of a policy, or written by hand."""

    ref: ObjectRef
    spec: Spec
    policy: str = ""
    """Name of the policy, in the same namespace, that made it; empty when somebody wrote it by hand."""
    policy_uid: str = ""
    stamped_mode: str = ""
    """The mode that the policy gave it last."""
    adopt: bool = False
    """Whether somebody hands it over to a policy."""
    state: ChildState = ChildState.WORKING
    ready_since: datetime | None = None
    created_at: datetime = LONG_AGO
    deleting: bool = False
    shard: str = ""
    """By its label; empty for the main one."""

    @property
    def vault_key(self) -> str:
        """The vault that it names, for comparing."""
        return self.spec.vault_resource_id.key
