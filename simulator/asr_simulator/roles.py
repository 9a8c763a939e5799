"""Who has which role on what, as Azure's access control keeps it.

An assignment is for a scope and all below it. A change of one shows, and works, only after a while. An assignment
outlives whom it is for: an identity that is made anew has another object id, and nothing of the old one's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from uuid import NAMESPACE_URL, uuid5

from asr_simulator.accounts import Account
from asr_simulator.scenario import DenySpec, RoleAssignmentSpec, Roles
from asr_simulator.tenant import Tenant

EVERYBODY = "00000000-0000-0000-0000-000000000000"
"""Object id of all principals, as deny assignments have it (published)."""

__all__ = ["EVERYBODY", "Assignment", "Denial", "Role", "RoleBook"]


@dataclass(frozen=True, slots=True)
class Role:
    """A role: what it allows."""

    id: str
    """Its GUID."""
    name: str
    actions: tuple[str, ...]
    not_actions: tuple[str, ...] = ()
    is_custom: bool = False

    def allows(self, action: str) -> bool:
        """Tell whether it allows an action."""
        return _matches(action, self.actions) and not _matches(action, self.not_actions)


_BUILT_IN = (
    Role("8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "Owner", ("*",)),
    Role(
        "b24988ac-6180-42a0-ab88-20f7382dd24c",
        "Contributor",
        ("*",),
        (
            "Microsoft.Authorization/*/Delete",
            "Microsoft.Authorization/*/Write",
            "Microsoft.Authorization/elevateAccess/Action",
            "Microsoft.Blueprint/blueprintAssignments/write",
            "Microsoft.Blueprint/blueprintAssignments/delete",
        ),
    ),
    Role("acdd72a7-3385-48ef-bd42-f606fba81ae7", "Reader", ("*/read",)),
    Role(
        "6670b86e-a3f7-4917-ac9b-5d6ab1be4567",
        "Site Recovery Contributor",
        (
            "Microsoft.Authorization/*/read",
            "Microsoft.RecoveryServices/Vaults/replicationFabrics/*",
            "Microsoft.RecoveryServices/Vaults/replicationJobs/*",
        ),
    ),
)
"""Contributor's is recorded; of the others the ids are, or the names, and the actions are no more than the gist."""


@dataclass(slots=True)
class Assignment:
    """Somebody has a role somewhere, from one time to another."""

    id: str
    """Its GUID."""
    principal: str
    principal_type: str
    role: Role
    scope: str
    condition: str | None = None
    since: float = 0.0
    """From when on it shows, and works."""
    until: float = math.inf

    def counts(self, now: float) -> bool:
        """Tell whether it shows, and works."""
        return self.since <= now < self.until


@dataclass(frozen=True, slots=True)
class Denial:
    """Something is denied to somebody."""

    id: str
    spec: DenySpec
    principals: tuple[tuple[str, str], ...]
    """Object ids and types."""
    excluded: tuple[tuple[str, str], ...]
    role: Role
    """What is denied, as a role would allow it."""


@dataclass
class RoleBook:
    """All assignments of the tenant."""

    settings: Roles
    tenant: Tenant
    find_account: Callable[[str], Account | None]
    """From name or ARM id to an Automation account."""
    assignments: list[Assignment] = field(default_factory=list)
    denials: list[Denial] = field(default_factory=list)
    _groups: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    """By name in lower case: object id and members."""
    _roles: list[Role] = field(default_factory=list)

    def load(self, accounts: Iterable[tuple[Account, Iterable[str]]]) -> None:
        """Begin with what the scenario says; ``accounts`` come with the subscriptions of the vaults that name them."""
        settings = self.settings
        own = (Role(_guid(f"role {each.name}"), each.name, each.actions, each.not_actions, is_custom=True)
               for each in settings.definitions)  # fmt: skip
        self._roles = [*_BUILT_IN, *own]
        self._groups = {each.name.lower(): (_guid(f"group {each.name}"), each.members) for each in settings.groups}
        for spec in settings.assignments:
            self.assign(spec, since=0.0)
        named = {self.principal(spec.principal)[0] for spec in settings.assignments}
        for account, subscriptions in accounts:
            if settings.account_role is not None and account.principal not in named:
                for subscription in subscriptions:
                    scope = f"/subscriptions/{subscription}"
                    spec = RoleAssignmentSpec(principal=account.id, role=settings.account_role, scope=scope)
                    self.assign(spec, since=0.0)
        for denied in settings.denied:
            self.deny(denied)

    def role(self, reference: str) -> Role | None:
        """Find a role by name or GUID."""
        wanted = reference.lower()
        return next((each for each in self._roles if wanted in (each.id, each.name.lower())), None)

    def principal(self, reference: str) -> tuple[str, str]:
        """Find object id and type of an account, a group, or what is an object id already."""
        account = self.find_account(reference)
        if account is not None:
            return account.principal, "ServicePrincipal"
        group = self._groups.get(reference.lower())
        if group is not None:
            return group[0], "Group"
        return reference, "ServicePrincipal"

    def assign(self, spec: RoleAssignmentSpec, *, since: float) -> Assignment:
        """Give somebody a role; raises `KeyError` when there is no such role."""
        role = self.role(spec.role)
        if role is None:
            raise KeyError(spec.role)
        principal, kind = self.principal(spec.principal)
        name = _guid(f"{principal} {role.id} {spec.scope.lower()} {len(self.assignments)}")
        made = Assignment(name, principal, kind, role, spec.scope, spec.condition, since)
        self.assignments.append(made)
        return made

    def remove(self, reference: str, *, until: float) -> list[Assignment]:
        """Take all roles from somebody."""
        principal, _ = self.principal(reference)
        found = [each for each in self.assignments if each.principal == principal and math.isinf(each.until)]
        for each in found:
            each.until = until
        return found

    def deny(self, spec: DenySpec) -> None:
        """Deny something to somebody."""
        principals = tuple(map(self.principal, spec.principals)) or ((EVERYBODY, "SystemDefined"),)
        role = Role("", spec.name, spec.actions, spec.not_actions)
        name = _guid(f"deny {spec.name} {len(self.denials)}")
        self.denials.append(Denial(name, spec, principals, tuple(map(self.principal, spec.exclude)), role))

    def identities(self, principal: str) -> set[str]:
        """The object ids by which somebody may have roles: the own one, and those of groups, however deep."""
        found = {principal.lower()}
        grew = True
        while grew:
            grew = False
            for group, members in self._groups.values():
                if group not in found and any(self.principal(each)[0].lower() in found for each in members):
                    found.add(group)
                    grew = True
        return found

    def at_or_above(self, scope: str) -> set[str]:
        """The scopes, in lower case, whose assignments are for ``scope`` too."""
        parts = scope.lower().strip("/").split("/")
        found = {"/", scope.lower()}
        if parts[0] == "subscriptions":
            found |= {"/" + "/".join(parts[:length]) for length in (2, 4, 8) if length <= len(parts)}
            found |= {each.lower() for each in self._groups_above(parts[1])}
        return found

    def is_allowed(self, principal: str, action: str, scope: str, now: float) -> bool:
        """Tell whether somebody may do something, by all roles and what is denied."""
        who, where = self.identities(principal), self.at_or_above(scope)
        denied = any(
            denial.role.allows(action)
            and self.is_denied_there(denial, scope)
            and any(each.lower() in {*who, EVERYBODY} for each, _ in denial.principals)
            and not any(each.lower() in who for each, _ in denial.excluded)
            for denial in self.denials
        )
        return not denied and any(
            each.counts(now) and each.principal.lower() in who and each.scope.lower() in where
            and each.role.allows(action)
            for each in self.assignments
        )  # fmt: skip

    def is_denied_there(self, denial: Denial, scope: str) -> bool:
        """Tell whether a deny assignment is about a scope."""
        of = denial.spec.scope.lower()
        return of == scope.lower() or (not denial.spec.only_there and of in self.at_or_above(scope))

    def _groups_above(self, subscription: str) -> Iterator[str]:
        known = self.tenant.subscriptions.get(subscription.lower())
        name = known.group if known else ""
        while name and (group := self.tenant.groups.get(name.lower())) is not None:
            yield group.id
            name = group.parent


def _matches(action: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(action.lower(), pattern.lower()) for pattern in patterns)


def _guid(seed: str) -> str:
    return str(uuid5(NAMESPACE_URL, seed.lower()))
