"""From any answer of ARM that is no success to what to do about it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault_autoupdate.arm.wire.errors import classify, error_in_success
from vault_autoupdate.model.errors import (
    ArmError,
    AzureError,
    CredentialError,
    CredentialUnusable,
    Disposition,
    MalformedReply,
    Unreachable,
    UntrustedLink,
    concerns_all,
)

RETRY, WAIT, SLOW, STALL = Disposition.RETRY, Disposition.WAIT, Disposition.SLOW, Disposition.STALL
MAPPING = (
    "/subscriptions/6f3b9f5e-8a3c-4c7e-9a53-0d1f6b2c7a10/resourceGroups/rg-disaster-recovery-weu/providers"
    "/Microsoft.RecoveryServices/vaults/dr-vault-weu/replicationFabrics/asr-a2a-default-westeurope"
    "/replicationProtectionContainers/asr-a2a-default-westeurope-container"
    "/replicationProtectionContainerMappings/westeurope-northeurope-24-hour-retention-policy"
)
ACTION = (
    "Microsoft.RecoveryServices/vaults/replicationFabrics/replicationProtectionContainers"
    "/replicationProtectionContainerMappings/write"
)
DENIED = (
    "The client '8d1c1b0e-4f3a-4a53-9d3b-0f2b3c4d5e6f' with object id '8d1c1b0e-4f3a-4a53-9d3b-0f2b3c4d5e6f' does not "
    f"have authorization to perform action '{ACTION}' over scope '{MAPPING}' or the scope is invalid. If access was "
    "recently granted, please refresh your credentials."
)

REFUSED = "The client 'x' does not have authorization to perform action 'a/write' over scope '/s'"


def _classify(status: int, code: str = "", message: str = "", headers: dict[str, str] | None = None) -> ArmError:
    body = json.dumps({"error": {"code": code, "message": message}}).encode() if code or message else b""
    return classify(status, body, headers or {})


@pytest.mark.parametrize(
    ("status", "code", "disposition"),
    [
        (429, "SubscriptionRequestsThrottled", WAIT),
        (429, "TooManyRequests", WAIT),
        (429, "OperationThrottled", WAIT),
        (429, "NobodyKnows", WAIT),
        (429, "", WAIT),
        (429, "RetryableErrorDueToAnotherOperation", RETRY),
        (401, "InvalidAuthenticationToken", SLOW),
        (401, "ExpiredAuthenticationToken", SLOW),
        (401, "AuthenticationFailed", SLOW),
        (401, "InvalidAuthenticationTokenTenant", SLOW),
        (401, "", SLOW),
        (403, "AuthorizationFailed", SLOW),
        (403, "LinkedAuthorizationFailed", SLOW),
        (403, "ScopeLocked", SLOW),
        (409, "ScopeLocked", SLOW),
        (403, "", SLOW),
        (404, "SubscriptionNotFound", STALL),
        (404, "ResourceGroupNotFound", STALL),
        (404, "ResourceNotFound", STALL),
        (404, "", STALL),
        (404, "MappingGone", STALL),
        (400, "InvalidApiVersionParameter", SLOW),
        (400, "NoRegisteredProviderFound", SLOW),
        (400, "BadRequest", SLOW),
        (400, "", SLOW),
        (405, "", SLOW),
        (418, "Teapot", SLOW),
        (408, "", RETRY),
        (409, "ConflictingJob", RETRY),
        (409, "", RETRY),
        (412, "", RETRY),
        (425, "", RETRY),
        (500, "InternalServerError", RETRY),
        (502, "", RETRY),
        (503, "ServerBusy", RETRY),
        (504, "GatewayTimeout", RETRY),
        (599, "", RETRY),
        (301, "", SLOW),
        (302, "", SLOW),
        (307, "", SLOW),
        (304, "", SLOW),
        (0, "", RETRY),
        (100, "", RETRY),
        (999, "", RETRY),
    ],
)
def test_status_and_code_decide_what_to_do(status: int, code: str, disposition: Disposition) -> None:
    error = _classify(status, code, "Words.")

    assert (error.status, error.disposition) == (status, disposition)
    assert _classify(status, code.swapcase(), "Words.").disposition is disposition
    assert error.code == (code or f"Http{status}")


@pytest.mark.parametrize(
    ("status", "code", "action"),
    [
        (401, "InvalidAuthenticationTokenTenant", "AZURE_TENANT_ID"),
        (401, "InvalidAuthenticationToken", "cloud, audience"),
        (403, "ScopeLocked", "spec.suspend"),
        (409, "ScopeLocked", "Remove the lock"),
        (403, "AuthorizationFailed", "Grant"),
        (403, "Other", "identity"),
        (404, "SubscriptionNotFound", "Check the subscription in spec.vaultResourceId"),
        (404, "ResourceNotFound", "if the vault is gone for good, delete this resource"),
        (404, "", "if the vault is gone for good, delete this resource"),
        (404, "Other", "Check spec.vaultResourceId"),
        (400, "InvalidApiVersionParameter", "VAULT_AUTOUPDATE_API_VERSION"),
        (307, "", "redirect"),
    ],
)
def test_what_somebody_has_to_do_is_said(status: int, code: str, action: str) -> None:
    assert action in _classify(status, code, "Words.").recommended_action


def test_a_refusal_names_the_action_and_the_scope_that_are_missing_however_long_both_are() -> None:
    error = _classify(403, "AuthorizationFailed", DENIED)

    assert ACTION in error.recommended_action
    assert "/subscriptions/6f3b9f5e-8a3c-4c7e-9a53-0d1f6b2c7a10/resourceGroups/rg-disaster-recovery-weu" in (
        error.recommended_action
    )
    assert error.recommended_action.startswith(f"Grant the calling identity the action {ACTION} on /subscriptions/")
    assert error.recommended_action.endswith("; a new assignment takes some minutes to work.")
    assert len(DENIED) > 600, "as long as real ones are"


def test_a_refusal_without_words_still_says_what_kind_of_thing_to_do() -> None:
    assert "Grant the calling identity this action" in _classify(403, "AuthorizationFailed").recommended_action


# Whose words are told.


def _envelope(**error: Any) -> ArmError:
    return classify(400, json.dumps({"error": error}).encode(), {})


def test_arms_own_envelope() -> None:
    error = _envelope(code="BadRequest", message="No.", details=[{"code": "Inner", "message": "Inner."}])

    assert (error.code, error.message, error.reason) == ("BadRequest", "No. Inner: Inner.", "BadRequest")


def test_site_recoverys_envelope_explains_itself_in_the_first_detail() -> None:
    error = _envelope(
        code="400",
        message="Outer.",
        details=[
            {"code": "AccountMissing", "message": "No account.", "possibleCauses": "It is gone.",
             "recommendedAction": "Make one.", "activityId": "x"},
            {"code": "Second", "message": "Second."},
        ],
    )  # fmt: skip

    assert (error.code, error.message) == ("AccountMissing", "No account.")
    assert (error.possible_causes, error.recommended_action) == ("It is gone.", "Make one.")
    assert str(error) == "No account. Make one. Activity id x."


@pytest.mark.parametrize(
    ("explained", "causes", "action"),
    [({"possibleCauses": "It is gone."}, "It is gone.", ""), ({"recommendedAction": "Make one."}, "", "Make one.")],
)
def test_a_detail_that_explains_anything_speaks_for_the_whole(
    explained: dict[str, str], causes: str, action: str
) -> None:
    detail = {"code": "AccountMissing", "message": "No account.", **explained}
    error = _envelope(code="400", message="Outer.", details=[detail])

    assert (error.code, error.message) == ("AccountMissing", "No account.")
    assert (error.possible_causes, error.recommended_action) == (causes, action)


def test_an_error_that_has_only_a_code_is_told_by_it() -> None:
    error = _envelope(code="BadRequest", details=[{"code": "BadRequest", "message": {"x": 1}}])

    assert (error.code, error.message) == ("BadRequest", "ARM answered 400 BadRequest without saying why.")


def test_a_credential_that_cannot_be_used_is_looked_at_rarely_unless_that_is_likely_to_pass() -> None:
    lasting = CredentialUnusable("CredentialInvalid", "No.", recommended_action="Mend it.")
    passing = CredentialUnusable("CredentialUnknown", "Not now.", recommended_action="Wait.", passing=True)

    assert (lasting.disposition, passing.disposition) == (SLOW, RETRY)
    assert (lasting.reason, str(lasting)) == ("CredentialInvalid", "No. Mend it.")


def test_an_error_says_no_more_than_it_was_told() -> None:
    plain = Unreachable("Nobody there.")
    of_arm = ArmError(500, "X", "Broken.", disposition=RETRY)

    for error, message in ((plain, "Nobody there."), (of_arm, "Broken.")):
        assert (str(error), error.args) == (message, (message,))
        assert (error.possible_causes, error.recommended_action) == ("", "")


def test_the_detail_speaks_where_the_error_itself_says_nothing() -> None:
    error = _envelope(code="BadRequest", details=[{"code": "Inner", "message": "Inner."}])

    assert (error.code, error.message) == ("Inner", "Inner.")


def test_a_numeric_code_is_shown_as_code_and_is_no_reason_for_a_condition() -> None:
    error = _envelope(code="151083", message="Reboot.")

    assert (error.code, error.reason) == ("151083", "Http400")
    assert (error.explanation.code, str(error)) == ("151083", "151083: Reboot.")


@pytest.mark.parametrize("outer", ["BadRequest", "400", 400, "", None])
def test_the_number_that_people_search_for_is_the_code_wherever_it_stands(outer: object) -> None:
    """As in terraform-provider-azurerm#25604 and in what users of Site Recovery quote."""
    detail = {"code": 151130, "message": "The account cannot be used.", "activityId": "0e7c"}
    error = _envelope(code=outer, message="Not valid.", details=[detail])

    assert (error.code, error.activity_id) == ("151130", "0e7c")
    assert error.reason == ("BadRequest" if outer == "BadRequest" else "Http400")
    assert error.explanation.activity_id == "0e7c"
    assert str(error) == "151130: Not valid. 151130: The account cannot be used. Activity id 0e7c."


def test_the_status_of_an_operation_that_failed_tells_its_number() -> None:
    document = {"error": {"code": "150253", "message": "No.", "details": None}, "id": None, "status": "Failed"}
    error = classify(400, json.dumps(document).encode(), {})

    assert (error.code, error.message) == ("150253", "No.")


@pytest.mark.parametrize("code", ["has space", "a_b", "1A", "A" * 65, "ä"])
def test_only_one_plain_word_becomes_a_reason(code: str) -> None:
    assert _envelope(code=code, message="m").reason == "Http400"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body></body></html>",
        b'{"error":',
        b'""',
        b"{}",
        b'{"x": [{}, null, true, ""]}',
        b"[]",
        b"null",
        b'{"error": null}',
        b"\xff\xfe\x00",
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
        b"[" * 100_000,
        b"<" * 100_000,
        b"<!--" * 25_000,
        b"<![" * 100,
    ],
)
def test_a_body_that_says_nothing_is_told_by_its_status(body: bytes) -> None:
    error = classify(502, body, {})

    assert (error.code, error.reason, error.message) == ("Http502", "Http502", "ARM answered 502 without saying why.")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "code", "message", "details", "possibleCauses", "recommendedAction", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)
_BODIES = st.binary(max_size=200) | _JSON.map(lambda value: json.dumps(value).encode())
_HEADERS = st.dictionaries(
    st.sampled_from(["retry-after", "retry-after-ms", "x-ms-retry-after-ms", "content-type"]), st.text(max_size=20)
)


@given(st.integers(-1, 1000), _BODIES, _HEADERS)
def test_any_answer_at_all_is_classified(status: int, body: bytes, headers: dict[str, str]) -> None:
    error = classify(status, body, headers)

    assert error.disposition in set(Disposition)
    assert error.message
    for text in (error.message, error.possible_causes, error.recommended_action, error.code, str(error)):
        assert len(text.encode()) <= 1500
        assert text.isprintable() or not any(ord(character) < 32 for character in text)
    assert error.retry_after is None or 0 <= error.retry_after <= 3600


# What stays until somebody acts, and a refusal that no role mends.


@pytest.mark.parametrize(
    ("code", "message", "action"),
    [
        ("ReadOnlyDisabledSubscription", "It can only be read.", "enables it again"),
        ("SubscriptionDisabled", "No.", "enables it again"),
        ("CreateNic_ReadOnlyDisabledSubscription", "No.", "enables it again"),
        ("Conflict", "The subscription 'x' is disabled and therefore marked as read only.", "enable it again"),
        ("MissingSubscriptionRegistration", "No.", "az provider register"),
        ("Conflict", "The subscription is not registered to use namespace 'Microsoft.RecoveryServices'.", "register"),
        ("ResourceGroupBeingDeleted", "No.", "is being deleted"),
        ("ResourceBeingDeleted", "No.", "is being deleted"),
        ("VaultBeingDeleted", "No.", "is being deleted"),
        ("ResourceGroupDeprovisioning", "No.", "is being deleted"),
        ("Conflict", "The resource group 'rg' is in deprovisioning state.", "deletion or the move"),
        ("ResourceBeingMoved", "No.", "Wait for the move"),
        ("ResourceMoveInProgress", "No.", "Wait for the move"),
        ("Conflict", "The resources are being moved. Cannot write until the move completes.", "deletion or the move"),
        ("SubscriptionNotEnabled", "No.", "enables it again"),
        ("SubscriptionPastDue", "No.", "enables it again"),
        ("SpendingLimitReached", "No.", "enables it again"),
        ("ResourceGroupDeletionInProgress", "No.", "is being deleted"),
        ("ResourceInSoftDeleteState", "No.", "is being deleted"),
        ("Conflict", "The vault is in soft deleted state.", "deletion or the move"),
        ("MoveResourcesInProgress", "No.", "Wait for the move"),
        ("ScopeLocked", "Following scope(s) are locked: '/subscriptions/s/resourceGroups/g'.", "Remove the lock"),
        ("ScopeLocked", "Following scope(s) are locked: '/x/Microsoft.RecoveryServices/vaults/dr'.", "Remove the lock"),
        ("Conflict", "There is a read-only lock on the vault.", "Remove the lock"),
    ],
)
@pytest.mark.parametrize("status", [409, 403])
def test_what_stays_until_somebody_acts_is_the_same_for_all_mappings_and_says_what_to_do(
    status: int, code: str, message: str, action: str
) -> None:
    if (status, code) == (403, "Conflict"):
        code = "Forbidden"
    error = _classify(status, code, message)

    assert (error.disposition, concerns_all(error)) == (SLOW, True)
    assert action in error.recommended_action
    assert concerns_all(_classify(409, "Conflict", "Another job is at work.")) is False


def test_a_lock_on_one_mapping_does_not_keep_the_others_of_its_vault() -> None:
    """ARM answers 409, and names what is locked."""
    error = _classify(409, "ScopeLocked", f"Following scope(s) are locked: '{MAPPING}'. Please remove the lock.")

    assert (error.disposition, concerns_all(error)) == (SLOW, False)
    assert "Remove the lock" in error.recommended_action


_POLICY = {
    "type": "PolicyViolation",
    "info": {
        "policyDefinitionDisplayName": "No changes to vaults",
        "policyAssignmentId": "/providers/Microsoft.Management/managementGroups/corp/providers"
        "/Microsoft.Authorization/policyAssignments/deny-rsv",
    },
}


@pytest.mark.parametrize(
    ("error", "named"),
    [
        ({"additionalInfo": [_POLICY]}, "'No changes to vaults', assigned by /providers/Microsoft.Management"),
        ({"details": [{"code": "PolicyViolation", "additionalInfo": [_POLICY]}]}, "'No changes to vaults'"),
        ({"additionalInfo": [{"info": {"policyAssignmentName": "deny-rsv"}}]}, "the assignment deny-rsv"),
        (
            {"message": "Refused. Policy identifiers: '[{\"id\":\"/subscriptions/x/providers/Microsoft.Authorization"
             "/policyAssignments/deny-rsv\"}]'."},
            "the assignment /subscriptions/x/providers/Microsoft.Authorization/policyAssignments/deny-rsv",
        ),
        ({"additionalInfo": "?"}, "the policy that the message names"),
    ],
)  # fmt: skip
def test_a_refusal_by_policy_names_policy_and_assignment_and_sends_nobody_to_roles(
    error: dict[str, Any], named: str
) -> None:
    refused = {"code": "RequestDisallowedByPolicy", "message": "map was refused by policy.", **error}
    told = classify(403, json.dumps({"error": refused}).encode(), {})

    assert "Azure Policy refuses this, and no role helps" in told.recommended_action
    assert named in told.recommended_action
    assert told.disposition is SLOW


@pytest.mark.parametrize(
    ("code", "message", "action"),
    [
        ("RequestDisallowedByPolicy", "Refused by policy. Reasons: 'MFA is needed'.", "multi-factor authentication"),
        ("RequestDisallowedByAzure", "Not in this region.", "Azure Policy"),
        (
            "DenyAssignmentAuthorizationFailed",
            "To perform action 'a/w' over scope '/s' is denied by the deny assignment with name 'stack lock'.",
            "have 'stack lock' leave this identity out",
        ),
        ("Forbidden", "Denied by a deny assignment.", "have it leave this identity out"),
        ("", "Public network access is disabled for the vault.", "network"),
        ("PublicNetworkAccessDisabled", "No.", "network"),
        ("ForbiddenByFirewall", "No.", "network"),
        ("Forbidden", "Client IP 10.0.0.1 is not let in.", "network"),
        ("AuthorizationFailed", f"{REFUSED} because of deny assignment with name 'x'.", "have 'x' leave"),
        (
            "DenyAssignmentAuthorizationFailed",
            "Denied because of the deny assignment with name 'Made by 'stack' itself' and Id '1' at scope '/s'.",
            "have 'Made by 'stack' itself' leave this identity out",
        ),
        (
            "AuthorizationFailed",
            f"{REFUSED}. ABAC condition that is not fulfilled: 'x'.",
            "condition of a role assignment",
        ),
        ("NetworkAuthorizationFailure", "No.", "network"),
        ("Forbidden", "AADSTS53003: blocked by Conditional Access.", "Conditional Access"),
        ("Forbidden", "AADSTS530032: blocked by security policy.", "Conditional Access"),
        ("Forbidden", "Not today.", "says why"),
    ],
)
def test_a_403_that_no_role_mends_says_what_does(code: str, message: str, action: str) -> None:
    error = _classify(403, code, message)

    assert action in error.recommended_action
    assert "Grant" not in error.recommended_action
    assert message in error.message


@pytest.mark.parametrize(
    ("message", "action"),
    [
        ("AADSTS53003: Access has been blocked by Conditional Access policies.", "Conditional Access"),
        ("AADSTS50158: External security challenge not satisfied.", "Conditional Access"),
        ("AADSTS50076: You must use multi-factor authentication to access.", "multi-factor authentication"),
        ("AADSTS50079: You must enroll to access.", "multi-factor authentication"),
        ("The access token expiry UTC time '1' is earlier than current UTC time '2'.", "clock"),
        ("The access token is not yet valid.", "clock"),
        ("The access token is invalid.", "cloud, audience"),
    ],
)
def test_a_401_that_says_why_sends_nobody_after_something_else(message: str, action: str) -> None:
    assert action in _classify(401, "InvalidAuthenticationToken", message).recommended_action


def test_a_right_that_is_missing_on_what_the_change_refers_to_is_named_with_that() -> None:
    """As when a mapping is to have an Automation account that the identity may not use."""
    error = _classify(
        403, "LinkedAuthorizationFailed",
        "The client 'x' has permission to perform action 'a/write' on scope '/s'; however, it does not have permission "
        "to perform action(s) 'Microsoft.Automation/automationAccounts/read' on the linked scope(s) '/account' "
        "(respectively) or the linked scope(s) are invalid.",
    )  # fmt: skip

    assert error.recommended_action.startswith(
        "Grant the calling identity the action Microsoft.Automation/automationAccounts/read on /account;"
    )


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "SubscriptionIdNotRegisteredWithSrs"), (404, "FabricArmEntityMissing"), (404, "X"), (404, ""), (410, "")],
)
def test_what_is_not_there_is_known_in_all_the_words_for_it(status: int, code: str) -> None:
    detail = {"code": code, "message": "Unknown.", "possibleCauses": "Internal.", "recommendedAction": "Try again."}
    in_detail = classify(status, json.dumps({"error": {"code": "BadRequest", "details": [detail]}}).encode(), {})

    for error in (in_detail, _classify(status, code)):
        assert (error.absent, error.disposition) == (True, STALL)
    assert not _classify(400, "BadRequest", "Unknown.").absent


def test_a_page_that_came_in_azures_place_says_that_it_is_one() -> None:
    error = classify(403, b"<html><head><title>Blocked</title></head><body>By the firewall.</body></html>", {})

    assert error.message == "Blocked By the firewall."
    assert "look for a proxy or firewall" in error.recommended_action


def test_an_answer_without_a_body_is_told_by_its_headers() -> None:
    error = classify(403, b"", {"x-ms-error-code": "PublicAccessDisabled"})
    assert (error.code, error.message) == (
        "PublicAccessDisabled", "ARM answered 403 PublicAccessDisabled without saying why.",
    )  # fmt: skip

    challenge = 'Bearer authorization_uri="https://login", error="invalid_token", error_description="It has ended."'
    assert classify(401, b"", {"www-authenticate": challenge}).message == "It has ended."


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ({"error": {"code": "InternalServerError", "message": "Try later."}}, "InternalServerError"),
        ({"code": "Busy", "message": "Try later."}, "Busy"),
        ({"error": {"code": "Busy", "message": "Try later."}, "value": None, "properties": None}, "Busy"),
        ({"error": {"code": "Busy", "message": "Try later."}, "value": []}, "Busy"),
        ({"error": {"code": "Busy", "message": "Try later."}, "value": {}}, "Busy"),
        ({"error": {"code": "Busy", "message": "Try later."}, "properties": {}}, "Busy"),
        ({"result": {"error": {"code": "Busy", "message": "Try later."}}}, "Busy"),
        ([{"error": {"code": "Busy", "message": "Try later."}}], "Busy"),
    ],
)
def test_an_error_in_a_success_is_one_that_passes(document: object, code: str) -> None:
    error = error_in_success(document, 200, json.dumps(document).encode(), {})

    assert error is not None
    assert (error.code, error.message, error.disposition, concerns_all(error)) == (code, "Try later.", RETRY, False)


@pytest.mark.parametrize(
    "document",
    [
        [], None, 1, {}, {"value": []}, {"id": "x", "properties": {"code": 1}}, {"error": None, "properties": {}},
        {"value": [], "error": {}}, {"value": [], "error": {"code": None}}, {"value": [1], "error": {"code": "X"}},
        {"error": {"code": "X"}, "properties": {"a": 1}}, ["unexpected", {"value": 1}], ["text"], [{"message": "m"}],
        {"unexpected": True},
    ],
)  # fmt: skip
def test_a_success_is_no_error(document: object) -> None:
    assert error_in_success(document, 200, json.dumps(document).encode(), {}) is None


@pytest.mark.parametrize(
    ("error", "reason", "disposition"),
    [
        (AzureError("m"), "AzureError", RETRY),
        (Unreachable("m"), "ArmUnreachable", RETRY),
        (MalformedReply("m"), "MalformedReply", RETRY),
        (UntrustedLink("m"), "UntrustedLink", SLOW),
        (CredentialError("m"), "AuthenticationFailed", RETRY),
    ],
)
def test_errors_without_an_answer_have_a_reason_and_a_disposition_too(
    error: AzureError, reason: str, disposition: Disposition
) -> None:
    assert (error.reason, error.disposition, str(error)) == (reason, disposition, "m")
