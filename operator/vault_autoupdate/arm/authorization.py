"""The calls that read who has which role on a vault. No role is ever given to anybody."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar
from urllib.parse import quote

from vault_autoupdate.arm.client import ArmClient, CallContext
from vault_autoupdate.arm.identity.tokens import TokenSource
from vault_autoupdate.arm.paging import PagedList, pages
from vault_autoupdate.arm.wire import authorization as wire
from vault_autoupdate.model.arm_id import ArmId, fold
from vault_autoupdate.model.errors import ArmError
from vault_autoupdate.model.quota import QuotaScope
from vault_autoupdate.model.roles import BUILT_IN, DenyAssignment, RoleDefinition, RoleFacts

_API_VERSION: Final = "2022-04-01"
"""The first one that shows conditions."""
_LANE: Final = "authorization"
"""Stands where the region of vaults has its place in a scope: these calls are not counted by Site Recovery."""
_PROVIDER: Final = "providers/Microsoft.Authorization"
_MOST_PAGES: Final = 20
_MOST_ROLES: Final = 20
"""Roles of one principal on one vault that are read."""
_MOST_REMEMBERED: Final = 1_000
_FRESH_FOR: Final = 86_400.0
"""Seconds for which a role's definition does: they hardly ever change."""
_BAD_REQUEST: Final = 400
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_ACTIONS: Final = {
    "list_role_assignments": "roleAssignments/read",
    "get_role_definition": "roleDefinitions/read",
    "list_deny_assignments": "denyAssignments/read",
}

T = TypeVar("T")

__all__ = ["RoleAssignments"]


@dataclass(frozen=True)
class _Known:
    """A role that was read, when, and as whom: what one identity may see is no other one's business."""

    role: RoleDefinition | None
    at: float
    """Seconds on the event loop's clock."""
    tokens: TokenSource | None = field(repr=False)


class RoleAssignments:
    """Reads role assignments in one cloud."""

    def __init__(self, client: ArmClient) -> None:
        self._client = client
        self._roles: OrderedDict[tuple[str, str], _Known] = OrderedDict()
        """By subscription and GUID."""

    async def facts(self, context: CallContext, vault: ArmId, principal_id: str) -> RoleFacts:
        """Read which roles a principal has on ``vault``: directly, by groups, or on something above it.

        One call, one more for the deny assignments where it has a role at all, and one a day for each role that is
        neither Owner nor Contributor. Azure counts them apart from those to Site Recovery, so they have a lane of
        their own in the throttle.

        Args:
            context: on whose behalf.
            vault: on what.
            principal_id: whose, a GUID.

        Raises:
            AzureError: something could not be read. Without the right to read, the recommended action names the
                action to grant. Deny assignments that may not be read are no error.
        """
        context = replace(context, scope=QuotaScope(fold(vault.subscription), _LANE))
        wanted = quote(f"atScope() and assignedTo('{principal_id}')", safe="()'")
        assignments = await self._list(
            context, vault, "list_role_assignments", f"roleAssignments?$filter={wanted}", wire.assignments_page
        )
        if not assignments:
            return RoleFacts()
        denials = await self._denials(context, vault)
        ids = dict.fromkeys(each.role_id for each in assignments if each.role_id)
        roles = {}
        if not ids.keys() & BUILT_IN.keys():
            for role_id in list(ids)[:_MOST_ROLES]:
                if (role := await self._role(context, vault, role_id)) is not None:
                    roles[role_id] = role
        return RoleFacts(tuple(assignments), roles, tuple(denials or ()), denials_known=denials is not None)

    async def _denials(self, context: CallContext, vault: ArmId) -> Sequence[DenyAssignment] | None:
        """The deny assignments; None where they may not be read."""
        target = f"denyAssignments?$filter={quote('atScope()', safe='()')}"
        try:
            return await self._list(context, vault, "list_deny_assignments", target, wire.denials_page)
        except ArmError as error:
            if error.status == _FORBIDDEN:
                return None
            raise

    async def _role(self, context: CallContext, vault: ArmId, role_id: str) -> RoleDefinition | None:
        """A role, as it was within the last day; None when it does not exist any more."""
        key, now = (fold(vault.subscription), role_id), asyncio.get_running_loop().time()
        known = self._roles.get(key)
        if known and known.tokens is context.tokens and now - known.at < _FRESH_FOR:
            return known.role
        # Asked for at the vault: rights that were given there alone are enough.
        target = _target(vault, f"roleDefinitions/{role_id}")
        role: RoleDefinition | None = None
        try:
            role = await self._client.read(
                context, "get_role_definition", target, lambda reply: wire.role_definition(reply.document())
            )
        except ArmError as error:
            if error.status != _NOT_FOUND:
                _explain(error, "get_role_definition", vault)
                raise
        self._roles[key] = _Known(role, now, context.tokens)
        self._roles.move_to_end(key)
        while len(self._roles) > _MOST_REMEMBERED:
            self._roles.popitem(last=False)
        return role

    async def _list(
        self, context: CallContext, vault: ArmId, operation: str, path: str, read_page: Callable[[Any], Sequence[T]]
    ) -> list[T]:
        wanted = PagedList(operation, _target(vault, path), vault, "vault", read_page, _MOST_PAGES)
        found: list[T] = []
        try:
            async for page in pages(self._client, context, wanted):
                found += page
        except ArmError as error:
            _explain(error, operation, vault)
            raise
        return found


def _target(vault: ArmId, path: str) -> str:
    below, _, query = path.partition("?")
    return f"{vault.text}/{_PROVIDER}/{below}?api-version={_API_VERSION}{query and f'&{query}'}"


def _explain(error: ArmError, operation: str, vault: ArmId) -> None:
    """Say what to do about roles, where ARM's errors in general are explained with the vault in mind."""
    if error.status == _FORBIDDEN and "microsoft.authorization/" not in error.recommended_action.casefold():
        error.recommended_action = (
            f"Grant the calling identity the action Microsoft.Authorization/{_ACTIONS[operation]} on {vault.text}, or "
            "set spec.automationAccountChecks: false to do without these checks."
        )
    elif error.status == _BAD_REQUEST:
        error.recommended_action = (
            f"This cloud may not know api-version {_API_VERSION} of Microsoft.Authorization: set "
            "spec.automationAccountChecks: false to do without these checks."
        )
