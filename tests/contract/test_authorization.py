"""Contract: Microsoft's own client library reads role assignments from the simulator, as it is."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.identity import ManagedIdentityCredential
from azure.mgmt.authorization import AuthorizationManagementClient
from azure.mgmt.authorization.v2022_04_01 import models

from asr_simulator import SimulatorThread
from tests.contract.test_recorded import excerpt
from tests.simulator.helpers import ACCOUNT, SUBSCRIPTION, VAULT_PATH

_HTTP: dict[str, Any] = {"enforce_https": False}
_CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"
_READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
_NAME = ACCOUNT.rpartition("/")[2]


def _principal(sim: SimulatorThread) -> str:
    return next(each["principal"] for each in sim.control.accounts() if each["id"] == ACCOUNT)


def _assigned(client: AuthorizationManagementClient, principal: str) -> list[models.RoleAssignment]:
    wanted = f"atScope() and assignedTo('{principal}')"
    return list(client.role_assignments.list_for_scope(VAULT_PATH, filter=wanted, **_HTTP))


def test_roles_on_the_vault_and_above_it_are_listed_page_by_page(
    sim: SimulatorThread, authorization: AuthorizationManagementClient
) -> None:
    principal = _principal(sim)
    for scope in (VAULT_PATH, VAULT_PATH.partition("/providers")[0], "/", f"{VAULT_PATH}-other"):
        sim.control.assign_role(_NAME, "Reader", scope)
    sim.control.advance(600)
    found = _assigned(authorization, principal)
    assert len({each.scope for each in found}) == 4, "and on the subscription, as the scenario has it; not on another"
    assert {each.principal_id for each in found} == {principal}
    assert {each.principal_type for each in found} == {models.PrincipalType.SERVICE_PRINCIPAL}
    assert {str(each.role_definition_id).rpartition("/")[2] for each in found} == {_CONTRIBUTOR, _READER}


def test_a_role_shows_when_ten_minutes_are_over_and_one_that_was_taken_for_as_long(
    sim: SimulatorThread, authorization: AuthorizationManagementClient
) -> None:
    principal = _principal(sim)
    sim.control.settings(time_scale=1e-9)  # nothing passes but what is skipped
    sim.control.remove_roles(_NAME)
    sim.control.advance(599)
    assert len(_assigned(authorization, principal)) == 1
    sim.control.advance(1)
    assert _assigned(authorization, principal) == []
    sim.control.assign_role(_NAME, "Owner", VAULT_PATH)
    sim.control.advance(599)
    assert _assigned(authorization, principal) == []
    sim.control.advance(1)
    assert len(_assigned(authorization, principal)) == 1


def test_an_identity_made_anew_has_nothing_of_the_old_one(
    sim: SimulatorThread, authorization: AuthorizationManagementClient
) -> None:
    former = _principal(sim)
    for identity in ("None", "SystemAssigned"):
        sim.control.set_account(_NAME, identity=identity)
    assert _principal(sim) != former
    assert _assigned(authorization, _principal(sim)) == []
    assert len(_assigned(authorization, former)) == 1, "the assignment outlives whom it was for"


def test_a_role_tells_what_it_allows(sim: SimulatorThread, authorization: AuthorizationManagementClient) -> None:
    found = authorization.role_definitions.get(VAULT_PATH, _CONTRIBUTOR, **_HTTP)
    assert (found.role_name, found.role_type, found.name) == ("Contributor", "BuiltInRole", _CONTRIBUTOR)
    (recorded,) = excerpt("recorded_role_definition")["body"]["properties"]["permissions"]
    assert found.permissions is not None
    assert [(each.actions, each.not_actions) for each in found.permissions] == [
        (recorded["actions"], recorded["notActions"])
    ]
    with pytest.raises(ResourceNotFoundError):
        authorization.role_definitions.get(VAULT_PATH, SUBSCRIPTION, **_HTTP)


def test_what_is_denied_is_listed(sim: SimulatorThread, authorization: AuthorizationManagementClient) -> None:
    sim.control.deny("stack", f"/subscriptions/{SUBSCRIPTION}", exclude=[_NAME])
    (found,) = authorization.deny_assignments.list_for_scope(VAULT_PATH, filter="atScope()", **_HTTP)
    assert (found.deny_assignment_name, found.do_not_apply_to_child_scopes) == ("stack", False)
    assert [each.type for each in found.principals or ()] == ["SystemDefined"]
    assert [each.id for each in found.exclude_principals or ()] == [_principal(sim)]


@pytest.mark.parametrize("wanted", ["below()", "assignedTo(x)", "atScope() or atScope()", "scope eq '/'"])
def test_a_filter_that_is_not_published_is_refused(authorization: AuthorizationManagementClient, wanted: str) -> None:
    with pytest.raises(HttpResponseError) as refused:
        list(authorization.role_assignments.list_for_scope(VAULT_PATH, filter=wanted, **_HTTP))
    assert refused.value.status_code == 400


@pytest.mark.parametrize(
    ("model", "path"),
    [
        (models.RoleAssignment, "roleAssignments"),
        (models.DenyAssignment, "denyAssignments"),
        (models.RoleDefinition, f"roleDefinitions/{_CONTRIBUTOR}"),
    ],
)
def test_no_answer_has_a_field_that_the_model_does_not_know(
    sim: SimulatorThread, credential: ManagedIdentityCredential, model: type[Any], path: str
) -> None:
    sim.control.deny("stack", VAULT_PATH)
    answer = requests.get(
        f"{sim.url}{VAULT_PATH}/providers/Microsoft.Authorization/{path}?api-version=2022-04-01",
        headers={"Authorization": f"Bearer {credential.get_token('https://management.azure.com/.default').token}"},
        timeout=10,
    ).json()
    known = {each["key"] for each in model._attribute_map.values()}
    for document in answer.get("value", [answer]):
        assert {name for name in document if name != "properties"} <= known
        assert {f"properties.{name}" for name in document["properties"]} <= known
