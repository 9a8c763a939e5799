"""What the gateway says about calls that are wrong, and the headers of every answer."""

from __future__ import annotations

import pytest

from tests.simulator.helpers import GROUP, MAPPINGS, SUBSCRIPTION, VAULT_PATH, Arm

_VAULT_NOT_FOUND = (
    f"The Resource 'Microsoft.RecoveryServices/vaults/dr-vaultx' under resource group '{GROUP}' was not found. "
    "For more details please go to https://aka.ms/ARMResourceNotFoundFix"
)


def test_an_api_version_is_required(arm: Arm) -> None:
    answer = arm.get(VAULT_PATH, version=None)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "MissingApiVersionParameter")


@pytest.mark.parametrize("path", ["", MAPPINGS])
def test_an_unknown_api_version_is_refused_and_the_known_ones_named(arm: Arm, path: str) -> None:
    answer = arm.below(path, version="2020-02-30")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "InvalidApiVersionParameter")
    assert "2025-08-01" in answer.json()["error"]["message"]


def test_the_vault_has_versions_of_its_own(arm: Arm) -> None:
    assert arm.below("", version="2026-11-01").ok
    assert arm.below(MAPPINGS, version="2026-11-01").status_code == 400


@pytest.mark.parametrize(
    ("path", "code", "message"),
    [
        (
            VAULT_PATH + "x",
            "ResourceNotFound",
            _VAULT_NOT_FOUND,
        ),
        (VAULT_PATH.replace(GROUP, "none"), "ResourceGroupNotFound", "Resource group 'none' could not be found."),
        (
            VAULT_PATH.replace(SUBSCRIPTION, "none"),
            "SubscriptionNotFound",
            "The subscription 'none' could not be found.",
        ),
    ],
)
@pytest.mark.parametrize("below", ["", MAPPINGS])
def test_what_does_not_exist_is_said_in_the_real_words(
    arm: Arm, path: str, code: str, message: str, below: str
) -> None:
    answer = arm.get(path + below)
    assert answer.status_code == 404
    assert answer.json() == {"error": {"code": code, "message": message}}
    assert answer.headers.get("x-ms-failure-cause") == ("gateway" if code == "ResourceNotFound" else None)


@pytest.mark.parametrize(
    "path",
    [
        f"/subscriptions/{SUBSCRIPTION}/resources",
        "/providers/Microsoft.Management/managementGroups",
        f"{VAULT_PATH}/backupJobs",
        f"{VAULT_PATH}/replicationJobs/a/b/c",
        f"{VAULT_PATH}/replicationFabrics/f/replicationProtectionContainers/c{MAPPINGS}/m/remove",
    ],
)
def test_a_path_that_means_nothing_is_not_found(arm: Arm, path: str) -> None:
    assert arm.get(path).status_code == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST"])
def test_other_methods_are_not_allowed(arm: Arm, method: str) -> None:
    assert arm.call(method, arm.mapping_path("alpha")).status_code == 405


def test_the_client_request_id_comes_back_when_asked_for(arm: Arm) -> None:
    asked = {"x-ms-client-request-id": "mine", "x-ms-return-client-request-id": "true"}
    assert arm.get(VAULT_PATH, headers=asked).headers["x-ms-client-request-id"] == "mine"
    del asked["x-ms-return-client-request-id"]
    assert "x-ms-client-request-id" not in arm.get(VAULT_PATH, headers=asked).headers


def test_every_answer_has_ids_a_date_and_what_is_left(arm: Arm) -> None:
    answers = [arm.get(VAULT_PATH), arm.below(MAPPINGS)]
    for answer in answers:
        assert answer.headers["Date"].endswith("GMT")
        assert answer.headers["x-ms-correlation-request-id"]
        assert answer.headers["Cache-Control"] == "no-cache"
    assert [answer.headers["x-ms-ratelimit-remaining-subscription-reads"] for answer in answers] == ["249", "248"]
    assert len({answer.headers["x-ms-request-id"] for answer in answers}) == 2


def test_errors_of_site_recovery_carry_what_support_asks_for(arm: Arm) -> None:
    answer = arm.get(arm.mapping_path("alpha") + "x", headers={"x-ms-client-request-id": "mine"})
    (detail,) = answer.json()["error"]["details"]
    assert detail["clientRequestId"] == "mine"
    assert detail["activityId"]
