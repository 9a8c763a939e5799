"""The strict check sees what the libraries let pass."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from azure.mgmt.recoveryservices import models as vault_models
from azure.mgmt.recoveryservicessiterecovery import models

from tests.contract.strict import list_problems, problems

_ITEM: dict[str, Any] = {
    "id": "/Subscriptions/s/item",
    "name": "item",
    "type": "t",
    "properties": {
        "friendlyName": "vm",
        "allowedOperations": ["DisableProtection"],
        "healthErrors": [
            {"errorCode": "1", "creationTimeUtc": "2023-08-29T01:05:43.8371760Z", "innerHealthErrors": []}
        ],
        "providerSpecificDetails": {
            "instanceType": "A2A",
            "agentExpiryDate": "9999-12-31T23:59:59.9999999",
            "isReplicationAgentUpdateRequired": False,
            "rpoInSeconds": 60,
            "vmSyncedConfigDetails": {"tags": {"a": "b"}, "inputEndpoints": []},
            "protectedManagedDisks": [{"dataPendingAtSourceAgentInMB": 0}],
            "multiVmGroupCreateOption": "AutoCreated",
        },
    },
}


def test_a_right_document_has_no_problems() -> None:
    assert problems(models.ReplicationProtectedItem, _ITEM) == []
    assert list_problems(models.ReplicationProtectedItem, {"value": [_ITEM], "nextLink": None}) == []


def _details(item: dict[str, Any]) -> dict[str, Any]:
    details: dict[str, Any] = item["properties"]["providerSpecificDetails"]
    return details


SPOILT: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "an unknown field at the top": (lambda item: item.update(etag="1"), ": unknown field etag"),
    "an unknown field below": (
        lambda item: item["properties"].update(colour="red"),
        ".properties: unknown field colour",
    ),
    "an unknown field of a variant": (
        lambda item: _details(item).update(rtoInSeconds=None),
        "unknown field rtoInSeconds",
    ),
    "a known field in other case": (lambda item: item["properties"].update(FriendlyName="x"), "unknown field Friendly"),
    "a number for a text": (lambda item: item.update(name=7), ".name: 7 is not of type str"),
    "a text for a number": (lambda item: _details(item).update(rpoInSeconds="60"), "'60' is not of type int"),
    "a truth for a number": (lambda item: _details(item).update(rpoInSeconds=True), "True is not of type int"),
    "a text for a truth": (
        lambda item: _details(item).update(isReplicationAgentUpdateRequired="false"),
        "'false' is not of type bool",
    ),
    "a text for a list": (
        lambda item: item["properties"].update(allowedOperations="x"),
        "allowedOperations: not a list",
    ),
    "a number in a list of texts": (
        lambda item: item["properties"].update(allowedOperations=[1]),
        "allowedOperations[0]: 1 is not of type str",
    ),
    "a number in a map of texts": (
        lambda item: _details(item)["vmSyncedConfigDetails"]["tags"].update(a=1),
        "tags.a: 1 is not of type str",
    ),
    "a list for an object": (lambda item: item.update(properties=[]), ".properties: not an object"),
    "a date that is none": (
        lambda item: _details(item).update(agentExpiryDate="tomorrow"),
        "agentExpiryDate: not a date that the library can read",
    ),
    "a date as a number": (lambda item: _details(item).update(agentExpiryDate=1), "1 is not of type datetime"),
    "a value that the enum does not have": (
        lambda item: _details(item).update(multiVmGroupCreateOption="Perhaps"),
        "'Perhaps' is not one of ['AutoCreated', 'UserSpecified']",
    ),
    "an unknown variant": (lambda item: _details(item).update(instanceType="B2B"), "'B2B' is no variant"),
    "a wrong field of an item in a list": (
        lambda item: item["properties"]["healthErrors"][0].update(errorCode=5),
        "healthErrors[0].errorCode: 5 is not of type str",
    ),
}


@pytest.mark.parametrize("name", SPOILT)
def test_what_is_wrong_is_named(name: str) -> None:
    spoil, complaint = SPOILT[name]
    item = copy.deepcopy(_ITEM)
    spoil(item)
    found = problems(models.ReplicationProtectedItem, item)
    assert any(complaint in problem for problem in found), found
    assert list_problems(models.ReplicationProtectedItem, {"value": [_ITEM, item]}) != []


def test_a_missing_required_field_is_named() -> None:
    assert problems(vault_models.Vault, {}) == ["Vault: required field location is missing"]
    assert problems(vault_models.Vault, {"location": None}) == ["Vault.location: null"]


@pytest.mark.parametrize("page", [[], {}, {"value": {}}, {"value": [], "count": 0}, {"value": [], "nextLink": 7}])
def test_what_is_no_page_is_refused(page: Any) -> None:
    assert list_problems(models.Job, page)


def test_a_detail_of_an_error_may_have_what_was_seen_and_no_more() -> None:
    detail = {"code": "1", "message": "m", "possibleCauses": "p", "recommendedAction": "r", "activityId": "a"}
    assert problems(models.ErrorResponse, {"error": {"code": "1", "details": [detail]}}) == []
    found = problems(models.ErrorResponse, {"error": {"code": "1", "details": [detail | {"severity": "s"}]}})
    assert found == ["ErrorResponse.error.details[0]: unknown field severity"]
