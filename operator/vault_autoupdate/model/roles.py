"""Roles of Azure's access control, as far as they tell whether an Automation account may change a vault."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

CONTRIBUTOR: Final = "b24988ac-6180-42a0-ab88-20f7382dd24c"
OWNER: Final = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
BUILT_IN: Final = {OWNER: "Owner", CONTRIBUTOR: "Contributor"}
"""The roles that are enough, as far as Microsoft says, by their GUIDs, which are the same everywhere."""
EVERYBODY: Final = "00000000-0000-0000-0000-000000000000"
"""The principal by which deny assignments mean all of them."""

__all__ = [
    "BUILT_IN", "CONTRIBUTOR", "EVERYBODY", "OWNER", "DenyAssignment", "Permission", "RoleAssignment",
    "RoleDefinition", "RoleFacts",
]  # fmt: skip


@dataclass(frozen=True)
class Permission:
    """What a role allows, or a deny assignment denies: patterns of actions, in which ``*`` stands for anything."""

    actions: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()
    """What is taken away from these."""


@dataclass(frozen=True)
class RoleDefinition:
    """A role. What several permissions allow adds up."""

    name: str
    permissions: tuple[Permission, ...] = ()


@dataclass(frozen=True)
class RoleAssignment:
    """Somebody has a role on something, and on all below it."""

    role_id: str
    """GUID of the role, in lower case; empty where it is none."""
    scope: str
    """ARM id; ``/`` for all that there is."""
    principal_id: str
    """A GUID in lower case; empty where it is none."""
    principal_type: str = ""
    """``ServicePrincipal``, of which managed identities are, ``Group``, ``User`` and others."""
    has_condition: bool = False
    """Whether it has a condition: those are about data and about role assignments only, and never about a vault."""

    @property
    def is_of_group(self) -> bool:
        """Whether it is for the members of a group."""
        return "group" in self.principal_type.casefold()


@dataclass(frozen=True)
class DenyAssignment:
    """Something is denied to somebody, whatever roles say."""

    name: str
    scope: str
    principals: frozenset[str]
    """Principal ids, in lower case, groups among them."""
    excluded: frozenset[str] = frozenset()
    """To whom it is not denied."""
    groups: frozenset[str] = frozenset()
    """Those of both that are groups."""
    permissions: tuple[Permission, ...] = ()
    only_there: bool = False
    """Whether it leaves alone what is below the scope."""


@dataclass(frozen=True)
class RoleFacts:
    """What was read of the roles of one principal on one vault."""

    assignments: tuple[RoleAssignment, ...] = ()
    roles: Mapping[str, RoleDefinition] = field(default_factory=dict)
    """By GUID. `OWNER` and `CONTRIBUTOR` are known anyway; one that does not exist any more is missing."""
    denials: tuple[DenyAssignment, ...] = ()
    denials_known: bool = True
    """Whether the deny assignments could be read."""
