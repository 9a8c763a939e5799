"""Answers that ARM should not give, and what becomes of them: a reason, a message that helps, and nothing lost."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.e2e.conftest import AzureFactory
from vault_autoupdate.decide.state import VaultState
from vault_autoupdate.model.errors import Disposition
from vault_autoupdate.report.document import build_status
from workbench.core import SUBSCRIPTION, VAULT, resource

DENIED = "Microsoft.RecoveryServices/vaults/replicationProtectionContainerMappings/read"


@pytest.mark.parametrize(
    ("fault", "reason", "part"),
    [
        ({"kind": "html", "method": "GET", "route": "mappings", "status": 200}, "MalformedReply", "not JSON"),
        ({"kind": "truncated_json", "method": "GET", "route": "mappings"}, "MalformedReply", "not JSON"),
        ({"kind": "empty_body", "method": "GET", "route": "mappings"}, "MalformedReply", "not JSON"),
        (
            {"kind": "wrong_shape", "method": "GET", "route": "mappings", "body": {"value": {}}},
            "MalformedReply",
            "not a page of container mappings",
        ),
        (
            {"kind": "wrong_shape", "method": "GET", "route": "mappings", "body": {"value": [{"id": "x"}]}},
            "MalformedReply",
            "not a container mapping",
        ),
        ({"kind": "next_link_loop", "route": "mappings"}, "MalformedReply", "never end"),
        (
            {"kind": "next_link_host", "route": "mappings", "url": "https://evil.example/next"},
            "UntrustedLink",
            "evil.example",
        ),
        ({"kind": "redirect", "method": "GET", "url": "https://evil.example/"}, "Http307", "redirect"),
        ({"kind": "reset_before", "method": "GET", "route": "mappings"}, "ArmUnreachable", "No answer"),
        ({"kind": "status", "method": "GET", "status": 503}, "InternalServerError", ""),
        ({"kind": "unauthorized", "method": "GET"}, "InvalidAuthenticationToken", "ARM refused the token"),
        ({"kind": "token_down"}, "AuthenticationFailed", "No token from the credential"),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else None,
)
async def test_a_bad_answer_becomes_a_reason_and_a_message_and_passes_without_a_restart(
    azure: AzureFactory, fault: dict[str, Any], reason: str, part: str
) -> None:
    arm, state = azure(mix={"disabled": 3}, mappings_page_size=2), VaultState()
    arm.control.add_fault(**fault, forever=True)
    outcome = await arm.reconcile(resource(), state)
    assert outcome.error is not None
    if fault["kind"] != "status":
        assert outcome.readiness.reason == reason
    assert part in outcome.readiness.message
    assert outcome.readiness.ready in {"False", "Unknown"}
    assert arm.patched() == {}
    arm.control.clear_faults()
    assert (await arm.reconcile(resource(), state)).readiness.ready == "True"


async def test_one_401_is_answered_with_a_fresh_token_and_goes_unnoticed(azure: AzureFactory) -> None:
    arm = azure()
    arm.control.add_fault("unauthorized", method="GET", times=1)
    outcome = await arm.reconcile(resource())
    assert outcome.error is None
    assert outcome.readiness.ready == "True"


async def test_a_token_that_expires_in_mid_run_is_replaced(azure: AzureFactory) -> None:
    arm = azure(mix={"disabled": 250}, identity={"token_lifetime": 30.0})
    outcome = await arm.reconcile(resource())
    assert outcome.readiness.ready == "True"
    assert arm.control.state()["tokens_issued"] > 1
    assert set(arm.patched().values()) == {1}


async def test_a_202_without_any_job_url_is_settled_by_looking_at_the_mapping(azure: AzureFactory) -> None:
    arm, state = azure(vault={"mappings": [{"name": "one"}]}), VaultState()
    arm.control.add_fault("no_job_urls", method="PATCH")
    outcome = await arm.reconcile(resource(), state)
    assert outcome.readiness.ready == "True"
    assert arm.patched() == {"one": 1}
    assert state.run
    assert state.run.succeeded == 1


async def test_a_vault_that_is_not_there_stalls_and_says_what_to_check(azure: AzureFactory) -> None:
    outcome = await azure().reconcile(resource(vaultResourceId=VAULT + "-gone"))
    assert outcome.readiness.stalled
    assert outcome.readiness.reason == "ResourceNotFound"
    assert "dr-gone" in outcome.readiness.message
    assert "Check spec.vaultResourceId" in outcome.readiness.message


async def test_a_subscription_that_cannot_be_seen_stalls_and_says_what_to_check(azure: AzureFactory) -> None:
    other = "00000000-1111-4222-8333-444444444444"
    wanted = resource(
        vaultResourceId=VAULT.replace(SUBSCRIPTION, other), autoUpdate="Disabled", automationAccountResourceId=None
    )
    outcome = await azure().reconcile(wanted)
    assert outcome.readiness.stalled
    assert outcome.readiness.reason == "SubscriptionNotFound"
    assert "is of its tenant" in outcome.readiness.message


async def test_a_token_of_another_tenant_says_which_setting_is_wrong(azure: AzureFactory) -> None:
    arm = azure()
    arm.control.add_fault(
        "status", status=401, code="InvalidAuthenticationTokenTenant", message="wrong issuer", forever=True
    )
    outcome = await arm.reconcile(resource())
    assert outcome.readiness.reason == "InvalidAuthenticationTokenTenant"
    assert "AZURE_TENANT_ID" in outcome.readiness.message


async def test_no_access_names_the_action_and_the_scope_to_grant(azure: AzureFactory) -> None:
    arm = azure(
        identity={"identities": [{"client_id": "c1", "denied": [{"action": DENIED}]}]},
    )
    outcome = await arm.reconcile(resource())
    assert outcome.readiness.reason == "AuthorizationFailed"
    assert outcome.error
    assert outcome.error.disposition is Disposition.SLOW
    assert f"Grant the calling identity the action {DENIED} on " in outcome.readiness.message
    assert VAULT.casefold() in outcome.readiness.message.casefold()


async def test_an_identity_that_may_not_read_the_vault_itself_still_manages_its_mappings(azure: AzureFactory) -> None:
    arm = azure(
        identity={
            "identities": [{"client_id": "c1", "denied": [{"action": "Microsoft.RecoveryServices/vaults/read"}]}]
        },
    )
    outcome = await arm.reconcile(resource())
    assert outcome.readiness.ready == "True"
    assert len(arm.patched()) == 3


async def test_no_access_to_change_mappings_stops_after_a_few_instead_of_asking_for_each(azure: AzureFactory) -> None:
    arm = azure(mix={"disabled": 200})
    arm.control.add_fault("status", method="PATCH", status=403, code="AuthorizationFailed", forever=True)
    outcome = await arm.reconcile(resource())
    assert outcome.readiness.reason == "AuthorizationFailed"
    assert len(arm.requests("PATCH")) <= 32


async def test_a_service_that_refuses_everything_is_not_asked_for_every_mapping(azure: AzureFactory) -> None:
    arm, state = azure(mix={"disabled": 300}), VaultState()
    arm.control.add_fault("status", method="PATCH", status=500, forever=True)
    outcome = await arm.reconcile(resource(), state)
    assert outcome.error is not None
    assert len(arm.requests("PATCH")) < 300


async def test_a_suspended_job_is_waited_for_until_the_deadline(azure: AzureFactory) -> None:
    arm = azure(
        vault={"mappings": [{"name": "one"}]}, jobs={"duration": {"min": 20, "max": 20}, "suspended_share": 1.0}
    )
    superseded = asyncio.Event()
    asyncio.get_running_loop().call_later(1.0, superseded.set)
    state = VaultState()
    outcome = await arm.reconcile(resource(), state, superseded=superseded)
    assert outcome.superseded
    assert len(state.operations) == 1


async def test_nothing_secret_gets_into_the_log_at_any_level(
    azure: AzureFactory, caplog: pytest.LogCaptureFixture
) -> None:
    arm = azure(mix={"disabled": 5})
    with caplog.at_level(logging.DEBUG, logger="vault_autoupdate"):
        arm.control.add_fault("fail_job", mapping="*")
        arm.control.add_fault("reset_after", method="PATCH")
        await arm.reconcile(resource())
    assert "changing" in caplog.text
    for secret in ("Bearer", "eyJ", "&s=", "&c=", "&h=", "asr-simulator"):
        assert secret not in caplog.text


_LASTING = [
    (409, "ReadOnlyDisabledSubscription", "The subscription is disabled.", "enables it again"),
    (409, "MissingSubscriptionRegistration", "Not registered.", "az provider register"),
    (409, "ResourceGroupBeingDeleted", "It is being deleted.", "is being deleted"),
    (403, "RequestDisallowedByPolicy", "Refused by policy.", "Azure Policy refuses this"),
    (403, "DenyAssignmentAuthorizationFailed", "Denied.", "no role helps"),
]


@pytest.mark.parametrize(("status", "code", "message", "action"), _LASTING, ids=[case[1] for case in _LASTING])
async def test_what_stays_until_somebody_acts_costs_one_try_a_vault_and_says_what_to_do(
    azure: AzureFactory, status: int, code: str, message: str, action: str
) -> None:
    """147 PATCHes were sent for the first of these."""
    arm, state = azure(mix={"disabled": 12}), VaultState()
    arm.control.add_fault("status", status=status, code=code, message=message, method="PATCH", forever=True)
    outcome = await arm.reconcile(resource(), state)

    assert [record["method"] for record in arm.control.requests(method="PATCH")] == ["PATCH"]
    assert outcome.error is not None
    assert outcome.error.disposition is Disposition.SLOW
    assert (outcome.readiness.ready, outcome.readiness.reason) == ("False", code)
    assert message in outcome.readiness.message
    assert action in outcome.readiness.message


async def test_a_vault_with_which_nothing_is_replicated_is_ready_and_says_so(azure: AzureFactory) -> None:
    arm, state = azure(mix={"disabled": 2}), VaultState()
    detail = {"code": "SubscriptionIdNotRegisteredWithSrs", "message": "Unknown.", "recommendedAction": "Try again."}
    body = {"error": {"code": "BadRequest", "message": "Unknown.", "details": [detail]}}
    arm.control.add_fault("status", status=400, body=body, route="mappings", forever=True)
    outcome = await arm.reconcile(resource(), state)

    assert outcome.error is None
    assert outcome.readiness.ready == "True"
    assert "no paired Azure-to-Azure mapping, so there is nothing to set" in outcome.readiness.message


async def test_the_number_and_the_activity_of_a_refusal_are_in_the_status(azure: AzureFactory) -> None:
    arm, state = azure(mix={"disabled": 1}), VaultState()
    detail = {"code": "151130", "message": "No.", "recommendedAction": "Choose another.", "activityId": "0e7c"}
    body = {"error": {"code": "BadRequest", "message": "Not valid.", "details": [detail]}}
    arm.control.add_fault("status", status=400, body=body, method="PATCH", forever=True)
    outcome = await arm.reconcile(resource(), state)

    assert "151130 No. Recommended: Choose another. Activity id 0e7c." in outcome.readiness.message
    (failure,) = build_status(resource(), state, outcome.readiness, {}, datetime.now(UTC))["failures"]
    assert (failure["code"], failure["activityId"]) == ("151130", "0e7c")
