"""The JSON of Azure's access control: from documents to the values of `vault_autoupdate.model.roles`.

Field names are those of api-version 2022-04-01: of role assignments and role definitions as recorded, of deny
assignments as Microsoft's library has them.
"""

from __future__ import annotations

from typing import Annotated, Final, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator

from vault_autoupdate.arm.wire import documents
from vault_autoupdate.arm.wire.documents import Document, Text
from vault_autoupdate.model import bounds
from vault_autoupdate.model.arm_id import fold, is_guid
from vault_autoupdate.model.roles import DenyAssignment, Permission, RoleAssignment, RoleDefinition
from vault_autoupdate.model.text import clean

_ACTION: Final = (
    "If this stays, look for a proxy that answers in ARM's place, or set spec.automationAccountChecks: false."
)
_MOST_PATTERNS: Final = 2_000
"""Of one role: Azure allows fewer."""

Patterns = Annotated[
    tuple[str, ...],
    BeforeValidator(lambda value: () if value is None else value),
    AfterValidator(lambda patterns: tuple(clean(each, bounds.READ_NAME) for each in patterns[:_MOST_PATTERNS])),
]

__all__ = ["assignments_page", "denials_page", "role_definition"]


class _AssignmentProperties(Document):
    role_definition_id: Text = ""
    principal_id: Text = ""
    principal_type: Text = ""
    scope: Text = ""
    condition: Text = ""


class _Assignment(Document):
    properties: _AssignmentProperties | None = None


class _Permission(Document):
    actions: Patterns = ()
    not_actions: Patterns = ()


class _RoleProperties(Document):
    role_name: Text = ""
    permissions: tuple[_Permission, ...] = ()


class _Role(Document):
    properties: _RoleProperties


class _Principal(Document):
    id: Text = ""
    type: Text = ""


class _DenialProperties(Document):
    deny_assignment_name: Text = ""
    scope: Text = ""
    do_not_apply_to_child_scopes: bool | None = None
    principals: tuple[_Principal, ...] | None = None
    exclude_principals: tuple[_Principal, ...] | None = None
    permissions: tuple[_Permission, ...] | None = None


class _Denial(Document):
    properties: _DenialProperties


M = TypeVar("M", bound=BaseModel)


def assignments_page(document: object) -> list[RoleAssignment]:
    """Read one page of role assignments."""
    return documents.read_entries(document, "role assignments", _assignment, action=_ACTION)


def role_definition(document: object) -> RoleDefinition:
    """Read a role."""
    wire = _read(_Role, document, "a role definition").properties
    return RoleDefinition(clean(wire.role_name, bounds.NAMED), _permissions(wire.permissions))


def denials_page(document: object) -> list[DenyAssignment]:
    """Read one page of deny assignments."""
    return documents.read_entries(document, "deny assignments", _denial, action=_ACTION)


def _assignment(entry: object) -> RoleAssignment:
    """Read an assignment. It counts also where its role or principal is not to be read: it is there, whatever it is."""
    wire = _read(_Assignment, entry, "a role assignment").properties or _AssignmentProperties()
    return RoleAssignment(
        role_id=_guid(wire.role_definition_id.rpartition("/")[2]),
        scope=wire.scope,
        principal_id=_guid(wire.principal_id),
        principal_type=clean(wire.principal_type, bounds.WORD),
        has_condition=bool(wire.condition),
    )


def _guid(text: str) -> str:
    """A GUID in lower case; empty for anything else, which must not get into a URL."""
    return fold(text) if is_guid(text) else ""


def _denial(entry: object) -> DenyAssignment:
    wire = _read(_Denial, entry, "a deny assignment").properties
    named = (*(wire.principals or ()), *(wire.exclude_principals or ()))
    return DenyAssignment(
        name=clean(wire.deny_assignment_name, bounds.NAMED),
        scope=wire.scope,
        principals=frozenset(fold(each.id) for each in wire.principals or ()),
        excluded=frozenset(fold(each.id) for each in wire.exclude_principals or ()),
        groups=frozenset(fold(each.id) for each in named if "group" in fold(each.type)),
        permissions=_permissions(wire.permissions or ()),
        only_there=bool(wire.do_not_apply_to_child_scopes),
    )


def _permissions(found: tuple[_Permission, ...]) -> tuple[Permission, ...]:
    return tuple(Permission(each.actions, each.not_actions) for each in found)


def _read(model: type[M], document: object, what: str) -> M:
    return documents.read(model, document, what, action=_ACTION)
