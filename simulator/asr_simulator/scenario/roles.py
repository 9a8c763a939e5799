"""Scenario sections that say who has which role: assignments, roles of one's own, groups and what is denied."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from asr_simulator.scenario.behaviour import Section
from asr_simulator.scenario.vaults import Name

__all__ = ["DenySpec", "GroupSpec", "RoleAssignmentSpec", "RoleSpec", "Roles"]


def _scope(value: str) -> str:
    if value != "/" and (not value.startswith("/") or value.endswith("/") or "//" in value):
        raise ValueError("must be an ARM id, or / for all there is")
    return value


Scope = Annotated[str, AfterValidator(_scope)]


class RoleSpec(Section):
    """A role of one's own, beside those that are built in."""

    name: Name
    """What people call it."""
    actions: tuple[str, ...] = ()
    """What it allows, with ``*`` as wildcard."""
    not_actions: tuple[str, ...] = ()
    """What it does not allow of that."""


class GroupSpec(Section):
    """A group of the directory."""

    name: Name
    """What people call it."""
    members: tuple[str, ...] = ()
    """Automation accounts (name or ARM id), other groups (name), or object ids."""


class RoleAssignmentSpec(Section):
    """Somebody has a role somewhere."""

    principal: str
    """An Automation account (name or ARM id), a group (name), or an object id, which need not exist any more."""
    role: str
    """Name or GUID of the role."""
    scope: Scope
    """ARM id of what it is for, with all that is below it."""
    condition: str | None = None
    """Condition of the assignment, as it is listed; it changes nothing here."""


class DenySpec(Section):
    """Something that is denied to somebody, whatever roles say."""

    name: str
    """What people call it."""
    scope: Scope
    """ARM id of what it is for."""
    principals: tuple[str, ...] = ()
    """To whom, named as in assignments; to nobody in particular: to everybody."""
    exclude: tuple[str, ...] = ()
    """To whom not."""
    actions: tuple[str, ...] = ("*",)
    """What."""
    not_actions: tuple[str, ...] = ("*/read",)
    """What of that not."""
    only_there: bool = False
    """Whether it leaves alone what is below the scope."""


class Roles(Section):
    """Who has which role."""

    account_role: str | None = "Contributor"
    """Role that each Automation account has on the subscriptions of the vaults that name it; null: none."""
    assignments: tuple[RoleAssignmentSpec, ...] = ()
    """Further assignments. An account that is named here has no other role than these."""
    definitions: tuple[RoleSpec, ...] = ()
    """Roles beside those that are built in."""
    groups: tuple[GroupSpec, ...] = ()
    """Groups of the directory."""
    denied: tuple[DenySpec, ...] = ()
    """Deny assignments."""
    delay: float = Field(default=600.0, ge=0)
    """Simulated seconds until a change of an assignment shows, and works (published: up to ten minutes)."""
    page_size: int = Field(default=100, gt=0)
    """Assignments on a page (not published)."""

    @model_validator(mode="after")
    def _names_are_distinct(self) -> Self:
        for kind, names in (
            ("role", [each.name.lower() for each in self.definitions]),
            ("group", [each.name.lower() for each in self.groups]),
        ):
            if len(set(names)) < len(names):
                raise ValueError(f"a {kind} is listed twice")
        return self
