"""The calls of Azure's access control: who has which role on something, and what a role allows.

The forms of assignments and roles are recorded (2025 and 2020); that of deny assignments is of the published model.
What is said to a filter that cannot be read is invented.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from asr_simulator.arm_errors import Answer, ArmError, dumps, resource_not_found
from asr_simulator.calls import Call, page_answer
from asr_simulator.clock import seven_digits
from asr_simulator.roles import Assignment, Denial, Role, RoleBook
from asr_simulator.routes import RouteKind
from asr_simulator.world import World

_CONDITION = re.compile(
    r"(?:(?P<at>atScope)\(\)|(?P<to>assignedTo)\('(?P<who>[^']*)'\)|(?P<of>principalId) eq '?(?P<whom>[^' ]*)'?)",
    re.IGNORECASE,
)
_PROVIDER = "providers/Microsoft.Authorization"

__all__ = ["Authorization", "assignment_document", "denial_document", "role_document"]


@dataclass(frozen=True, slots=True)
class _Filter:
    at_scope: bool = False
    """Only what is assigned at the scope or above it."""
    assigned_to: str = ""
    """Whom it is for, directly or by a group."""
    principal: str = ""
    """Whom it is for directly."""


class Authorization:
    """Answers calls about roles."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._handlers: dict[RouteKind, Callable[[Call, RoleBook], Answer]] = {
            RouteKind.ROLE_ASSIGNMENTS: self._list_assignments,
            RouteKind.ROLE_DEFINITION: self._get_role,
            RouteKind.DENY_ASSIGNMENTS: self._list_denials,
        }

    def answer(self, call: Call) -> Answer:
        """Answer a call; raises `ArmError` for a refusal."""
        route = call.route
        if route.vault and self._world.find(route, call.now) is None:
            raise resource_not_found(f"Microsoft.RecoveryServices/vaults/{route.vault}", route.resource_group)
        if route.account and self._world.find_account(route) is None:
            raise resource_not_found(f"Microsoft.Automation/automationAccounts/{route.account}", route.resource_group)
        return self._handlers[route.kind](call, self._world.roles)

    def _list_assignments(self, call: Call, book: RoleBook) -> Answer:
        scope, wanted = call.route.scope, _read_filter(call.query.get("$filter", ""))
        above = book.at_or_above(scope)
        who = book.identities(wanted.assigned_to) if wanted.assigned_to else set()
        found = [
            assignment_document(each, scope, self._created())
            for each in book.assignments
            if each.counts(call.now)
            and _is_there(each.scope, scope, above, at_scope=wanted.at_scope)
            and (not who or each.principal.lower() in who)
            and (not wanted.principal or each.principal.lower() == wanted.principal)
        ]
        return self._page(call, found)

    def _get_role(self, call: Call, book: RoleBook) -> Answer:
        role = book.role(call.route.role)
        if role is None:
            # The code is the one that clients know; the text is invented.
            message = f"The role definition with ID '{call.route.role}' does not exist."
            raise ArmError(404, "RoleDefinitionDoesNotExist", message)
        return Answer(200, dumps(role_document(role, call.route.subscription, self._created())))

    def _list_denials(self, call: Call, book: RoleBook) -> Answer:
        scope, wanted = call.route.scope, _read_filter(call.query.get("$filter", ""))
        if wanted.assigned_to:
            raise _bad_filter(call.query["$filter"])
        above = book.at_or_above(scope)
        found = [
            denial_document(each, self._created())
            for each in book.denials
            if _is_there(each.spec.scope, scope, above, at_scope=wanted.at_scope)
            and (not wanted.principal or wanted.principal in {who.lower() for who, _ in each.principals})
        ]
        return self._page(call, found)

    def _page(self, call: Call, documents: list[dict[str, Any]]) -> Answer:
        """Cut a page. That its link carries ``$skipToken`` is published; what is in one is not."""
        text = call.query.get("$skipToken", "0")
        if not text.isascii() or not text.isdigit():
            raise ArmError(400, "BadRequest", "The $skipToken is not one of this service.")
        begin, size = int(text), self._world.roles.settings.page_size
        carried = f"$filter={quote(call.query['$filter'], safe='')}&" if "$filter" in call.query else ""
        return page_answer(
            call,
            [dumps(document) for document in documents[begin : begin + size]],
            f"{carried}$skipToken={begin + size}" if begin + size < len(documents) else None,
            beginning=f"{carried}$skipToken=0",
            explicit_null=self._world.scenario.explicit_null_next_link,
        )

    def _created(self) -> str:
        return seven_digits(datetime.fromtimestamp(self._world.clock.wall_at(0), UTC).timestamp() - 86_400.0)


def assignment_document(assignment: Assignment, asked: str, created: str) -> dict[str, Any]:
    """Build an assignment; its role is named below the subscription that was asked about."""
    parts = asked.split("/")
    place = "/".join(parts[:3]) if len(parts) > 2 else ""
    at = "" if assignment.scope == "/" else assignment.scope
    return {
        "properties": {
            "roleDefinitionId": f"{place}/{_PROVIDER}/roleDefinitions/{assignment.role.id}",
            "principalId": assignment.principal,
            "principalType": assignment.principal_type,
            "scope": assignment.scope,
            "condition": assignment.condition,
            "conditionVersion": "2.0" if assignment.condition else None,
            "createdOn": created,
            "updatedOn": created,
            "createdBy": "00000000-0000-4000-8000-0000000000aa",
            "updatedBy": "00000000-0000-4000-8000-0000000000aa",
            "delegatedManagedIdentityResourceId": None,
            "description": None,
        },
        "id": f"{at}/{_PROVIDER}/roleAssignments/{assignment.id}",
        "type": "Microsoft.Authorization/roleAssignments",
        "name": assignment.id,
    }


def role_document(role: Role, subscription: str, created: str) -> dict[str, Any]:
    """Build a role."""
    return {
        "properties": {
            "roleName": role.name,
            "type": "CustomRole" if role.is_custom else "BuiltInRole",
            "description": f"{role.name}, as the simulator has it.",
            "assignableScopes": [f"/subscriptions/{subscription}" if role.is_custom else "/"],
            "permissions": [_permission(role)],
            "createdOn": created,
            "updatedOn": created,
            "createdBy": None,
            "updatedBy": None,
        },
        "id": f"/subscriptions/{subscription}/{_PROVIDER}/roleDefinitions/{role.id}",
        "type": "Microsoft.Authorization/roleDefinitions",
        "name": role.id,
    }


def denial_document(denial: Denial, created: str) -> dict[str, Any]:
    """Build a deny assignment."""
    spec = denial.spec
    at = "" if spec.scope == "/" else spec.scope
    return {
        "properties": {
            "denyAssignmentName": spec.name,
            "description": "",
            "permissions": [_permission(denial.role)],
            "scope": spec.scope,
            "doNotApplyToChildScopes": spec.only_there,
            "principals": [{"id": who, "type": kind} for who, kind in denial.principals],
            "excludePrincipals": [{"id": who, "type": kind} for who, kind in denial.excluded],
            "isSystemProtected": True,
            "createdOn": created,
            "updatedOn": created,
        },
        "id": f"{at}/{_PROVIDER}/denyAssignments/{denial.id}",
        "type": "Microsoft.Authorization/denyAssignments",
        "name": denial.id,
    }


def _permission(role: Role) -> dict[str, list[str]]:
    return {
        "actions": list(role.actions),
        "notActions": list(role.not_actions),
        "dataActions": [],
        "notDataActions": [],
    }


def _is_there(of: str, scope: str, above: set[str], *, at_scope: bool) -> bool:
    """Tell whether something is at the scope or above it, or also below where that is not ruled out."""
    return of.lower() in above or (not at_scope and of.lower().startswith(f"{scope.lower()}/"))


def _read_filter(text: str) -> _Filter:
    """Read the forms that Microsoft documents; raises `ArmError` for any other."""
    at_scope, assigned_to, principal = False, "", ""
    for part in re.split(r"\s+and\s+", text.strip(), flags=re.IGNORECASE) if text.strip() else ():
        match = _CONDITION.fullmatch(part)
        if match is None:
            raise _bad_filter(text)
        at_scope |= match["at"] is not None
        assigned_to = (match["who"] or assigned_to).lower()
        principal = (match["whom"] or principal).lower()
    return _Filter(at_scope, assigned_to, principal)


def _bad_filter(text: str) -> ArmError:
    return ArmError(400, "BadRequestFormat", f"The filter '{text}' is not supported.")
