"""Reading roles: which calls go out, what of the answers is believed, and what errors say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest
from azure.core.credentials import AccessToken
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import VAULT
from tests.unit.scripted_arm import ScriptedArm, json_reply
from vault_autoupdate.arm import authorization
from vault_autoupdate.arm.authorization import RoleAssignments
from vault_autoupdate.arm.client import CallContext
from vault_autoupdate.arm.identity.tokens import TokenSource
from vault_autoupdate.arm.session import ArmCall, ArmReply
from vault_autoupdate.arm.wire import authorization as wire
from vault_autoupdate.arm.wire.errors import classify
from vault_autoupdate.model.errors import ArmError, AzureError, MalformedReply, UntrustedLink
from vault_autoupdate.model.quota import QuotaScope
from vault_autoupdate.model.roles import OWNER, Permission, RoleAssignment, RoleDefinition, RoleFacts

CONTEXT: Final = CallContext(scope=QuotaScope("s", "westeurope"), namespace="", key=VAULT.key, run_id="run")
PRINCIPAL: Final = "88c53162-584e-4c98-984b-62149c2e9bca"
ROLE: Final = "00000000-0000-0000-0000-0000000000cc"
LISTS: Final = ("roleAssignments", "denyAssignments")
_BELOW: Final = f"{VAULT.text}/providers/Microsoft.Authorization/"


def _assignment(role_id: str = ROLE, **changes: Any) -> dict[str, Any]:
    role = f"/subscriptions/s/providers/Microsoft.Authorization/roleDefinitions/{role_id}"
    properties = {
        "roleDefinitionId": role,
        "principalId": PRINCIPAL,
        "principalType": "ServicePrincipal",
        "scope": VAULT.text,
    }
    return {"properties": {**properties, **changes}}


class Azure:
    """Answers for one vault."""

    def __init__(self) -> None:
        self.pages: dict[str, list[list[Any]]] = {"roleAssignments": [[_assignment()]], "denyAssignments": [[]]}
        self.role: dict[str, Any] = {"properties": {"roleName": "Ours", "permissions": [{"actions": ["*"]}]}}
        self.errors: dict[str, AzureError] = {}
        self.link = "https://h{below}{kind}?page={page}"

    def answer(self, call: ArmCall) -> ArmReply | AzureError:
        parts = urlsplit(call.target)
        kind = parts.path.removeprefix(_BELOW).split("/")[0]
        if kind in self.errors:
            return self.errors[kind]
        if kind == "roleDefinitions":
            return json_reply(self.role)
        page, pages = int(parse_qs(parts.query).get("page", ["0"])[0]), self.pages[kind]
        link = self.link.format(below=_BELOW, kind=kind, page=page + 1) if page + 1 < len(pages) else None
        return json_reply({"value": pages[page], "nextLink": link})


@pytest.fixture
def azure() -> Azure:
    return Azure()


@pytest.fixture
def arm(azure: Azure) -> ScriptedArm:
    arm = ScriptedArm()
    arm.answer = azure.answer
    return arm


@pytest.fixture
def roles(arm: ScriptedArm) -> Iterator[RoleAssignments]:
    client = arm.client()
    yield RoleAssignments(client)
    client.close()


def _refused(status: int, code: str) -> ArmError:
    return classify(status, f'{{"error": {{"code": "{code}", "message": "m"}}}}'.encode(), {})


async def test_one_call_asks_for_roles_here_and_above_also_by_groups(
    azure: Azure, arm: ScriptedArm, roles: RoleAssignments
) -> None:
    azure.pages["roleAssignments"] = [[]]
    assert await roles.facts(CONTEXT, VAULT, PRINCIPAL) == RoleFacts()
    (call,) = arm.calls
    parts = urlsplit(call.target)
    assert (call.method, parts.path) == ("GET", f"{_BELOW}roleAssignments")
    assert parse_qs(parts.query) == {
        "api-version": ["2022-04-01"],
        "$filter": [f"atScope() and assignedTo('{PRINCIPAL}')"],
    }


async def test_the_vault_is_not_silenced_by_a_refusal_of_access_control(
    arm: ScriptedArm, roles: RoleAssignments, monkeypatch: pytest.MonkeyPatch
) -> None:
    scopes = []

    async def note(client: Any, context: CallContext, *_: Any) -> Any:
        scopes.append(context.scope)
        raise MalformedReply("x", recommended_action="")

    monkeypatch.setattr("vault_autoupdate.arm.client.ArmClient.read", note)
    with pytest.raises(MalformedReply):
        await roles.facts(CONTEXT, VAULT, PRINCIPAL)
    assert scopes == [QuotaScope(VAULT.subscription.lower(), "authorization")]
    assert arm.calls == []


async def test_what_is_read_is_all_pages_of_assignments_and_each_role_once(
    azure: Azure, arm: ScriptedArm, roles: RoleAssignments
) -> None:
    azure.pages["roleAssignments"] = [[_assignment()], [_assignment(scope="/")]]
    found = await roles.facts(CONTEXT, VAULT, PRINCIPAL)
    assert [each.scope for each in found.assignments] == [VAULT.text, "/"]
    assert found.roles == {ROLE: RoleDefinition("Ours", (Permission(("*",)),))}
    assert arm.operations == [*["list_role_assignments"] * 2, "list_deny_assignments", "get_role_definition"]
    assert f"{_BELOW}roleDefinitions/{ROLE}?" in arm.calls[-1].target, "where the role that reads it was given"


async def test_of_an_owner_nobody_asks_what_his_other_roles_allow(
    azure: Azure, arm: ScriptedArm, roles: RoleAssignments
) -> None:
    azure.pages["roleAssignments"] = [[_assignment(), _assignment(OWNER.upper())]]
    await roles.facts(CONTEXT, VAULT, PRINCIPAL)
    assert "get_role_definition" not in arm.operations


async def test_a_definition_does_for_a_day_and_for_nobody_else(
    arm: ScriptedArm, roles: RoleAssignments, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        await roles.facts(CONTEXT, VAULT, PRINCIPAL)
    assert arm.operations.count("get_role_definition") == 1
    other = TokenSource(_Nobody, "https://arm")
    await roles.facts(replace(CONTEXT, tokens=other), VAULT, PRINCIPAL)
    assert arm.operations.count("get_role_definition") == 2, "another identity may have no right to see it"
    monkeypatch.setattr(authorization, "_FRESH_FOR", 0.0)
    await roles.facts(replace(CONTEXT, tokens=other), VAULT, PRINCIPAL)
    assert arm.operations.count("get_role_definition") == 3


class _Nobody:
    """A credential that always has a token."""

    def get_token(self, *_: str, **__: Any) -> AccessToken:
        return AccessToken("t", 2**40)


async def test_a_role_that_does_not_exist_any_more_is_left_out(azure: Azure, roles: RoleAssignments) -> None:
    azure.errors["roleDefinitions"] = _refused(404, "RoleDefinitionDoesNotExist")
    found = await roles.facts(CONTEXT, VAULT, PRINCIPAL)
    assert (len(found.assignments), found.roles) == (1, {})


async def test_whether_something_is_denied_may_stay_unknown(azure: Azure, roles: RoleAssignments) -> None:
    azure.errors["denyAssignments"] = _refused(403, "AuthorizationFailed")
    assert not (await roles.facts(CONTEXT, VAULT, PRINCIPAL)).denials_known


@pytest.mark.parametrize("kind", ["roleAssignments", "roleDefinitions"])
async def test_a_missing_right_is_named_also_where_arm_does_not(
    azure: Azure, roles: RoleAssignments, kind: str
) -> None:
    azure.errors[kind] = _refused(403, "Forbidden")
    with pytest.raises(ArmError) as refused:
        await roles.facts(CONTEXT, VAULT, PRINCIPAL)
    assert f"the action Microsoft.Authorization/{kind}/read on {VAULT.text}" in refused.value.recommended_action


@pytest.mark.parametrize("kind", ["roleAssignments", "roleDefinitions", "denyAssignments"])
async def test_a_cloud_that_does_not_know_the_version_is_told_as_such(
    azure: Azure, roles: RoleAssignments, kind: str
) -> None:
    azure.errors[kind] = _refused(400, "InvalidApiVersionParameter")
    with pytest.raises(ArmError) as refused:
        await roles.facts(CONTEXT, VAULT, PRINCIPAL)
    assert "2022-04-01 of Microsoft.Authorization" in refused.value.recommended_action


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize(
    "link", ["https://h/subscriptions/x/{kind}?page={page}", "https://h{below}../{kind}?page={page}"]
)
async def test_a_link_that_leads_away_from_the_vault_is_not_followed(
    azure: Azure, roles: RoleAssignments, kind: str, link: str
) -> None:
    azure.pages[kind] = [[_assignment()], [_assignment()]]
    azure.link = link
    with pytest.raises(UntrustedLink):
        await roles.facts(CONTEXT, VAULT, PRINCIPAL)


# What of the answers is believed.


@pytest.mark.parametrize("role_id", ["", "x", f"{ROLE}/../x", f"{ROLE}?x", "../../roleAssignments", None, 5 * ROLE])
async def test_a_role_whose_id_is_none_is_not_asked_for_and_counts_all_the_same(
    azure: Azure, arm: ScriptedArm, roles: RoleAssignments, role_id: str | None
) -> None:
    azure.pages["roleAssignments"] = [[_assignment(roleDefinitionId=role_id)]]
    found = await roles.facts(CONTEXT, VAULT, PRINCIPAL)
    assert found.assignments == (RoleAssignment("", VAULT.text, PRINCIPAL, "ServicePrincipal"),)
    assert "get_role_definition" not in arm.operations


def test_all_fields_of_an_assignment_may_be_missing() -> None:
    page = wire.assignments_page({"value": [{}, {"properties": None}, {"properties": {}}, None]})
    assert page == [RoleAssignment("", "", "")] * 3


def test_so_may_those_of_roles_and_deny_assignments() -> None:
    assert wire.role_definition({"properties": {}}) == RoleDefinition("")
    nulls = {"properties": {"permissions": [{"actions": None, "notActions": None}]}}
    assert wire.role_definition(nulls) == RoleDefinition("", (Permission(),))
    names = ("denyAssignmentName", "scope", "principals", "excludePrincipals", "permissions")
    (denial,) = wire.denials_page({"value": [{"properties": dict.fromkeys(names)}]})
    assert (denial.name, denial.principals, denial.permissions, denial.only_there) == ("", frozenset(), (), False)


@given(st.recursive(st.none() | st.booleans() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)))
def test_whatever_comes_is_read_or_refused(document: object) -> None:
    for read in (wire.assignments_page, wire.denials_page, wire.role_definition):
        for whole in (document, {"value": document}, {"value": [{"properties": {"permissions": document}}]}):
            with suppress(MalformedReply):
                read(whole)
