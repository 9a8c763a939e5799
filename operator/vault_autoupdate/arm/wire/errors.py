"""From an answer of ARM that is no success to an `ArmError`. `classify` is total: whatever the reply, it gives one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from vault_autoupdate.arm.wire.error_body import ErrorBody, read_error_body
from vault_autoupdate.arm.wire.pause import pause_asked_for
from vault_autoupdate.model import bounds
from vault_autoupdate.model.errors import ArmError, Disposition
from vault_autoupdate.model.text import clean

_DENIED = re.compile(
    r"perform action(\(s\))? '(?P<action>[^']{1,200})' "
    r"(over scope|on the linked scope\(s\)) '(?P<scope>[^']{1,600})'"
)
_DENY_ASSIGNMENT = re.compile(r"deny assignment with name '(?P<name>.{1,200}?)'( and Id\b|[\s.,;]*$)", re.IGNORECASE)
_DESCRIPTION = re.compile(r'error_description="(?P<text>[^"]{1,2000})"', re.IGNORECASE)

__all__ = ["classify", "error_in_success", "is_unknown_to_site_recovery"]


@dataclass(frozen=True)
class _Rule:
    """One row of the table; the first that fits an answer decides."""

    disposition: Disposition
    statuses: range | tuple[int, ...]
    codes: re.Pattern[str]
    words: re.Pattern[str]
    action: str
    all_alike: bool
    absent: bool

    def fits(self, status: int, body: ErrorBody) -> bool:
        return (
            status in self.statuses
            and any(self.codes.fullmatch(code) for code in body.codes or ("",))
            and (not self.words.pattern or self.words.search(body.message) is not None)
        )


def _rule(
    statuses: range | tuple[int, ...] | int,
    codes: str,
    disposition: Disposition,
    action: str = "",
    *,
    words: str = "",
    all_alike: bool = False,
    absent: bool = False,
) -> _Rule:
    """One row.

    Args:
        statuses: of HTTP.
        codes: a pattern that one of the codes in the body has to match as a whole, in any letter case.
        disposition: what to do about it.
        action: what somebody has to do about it.
        words: a pattern that has to be in the message too.
        all_alike: whether every other change in the vault would get the same answer, until somebody acts.
        absent: whether what was asked for is not there.
    """
    wanted = (statuses,) if isinstance(statuses, int) else statuses
    patterns = (re.compile(codes, re.IGNORECASE), re.compile(words, re.IGNORECASE))
    return _Rule(disposition, wanted, *patterns, action, all_alike, absent)


_REFUSED: Final = (400, 401, 403, 409, 412, 423)
"""By which of these Azure says that something is not allowed differs from one resource provider to the next."""

_CHALLENGED: Final = (
    "More is asked of this login than its token has (a session was revoked, or Conditional Access changed): log in "
    "again (az logout, then az login); for the identity of a workload, ask the administrators of the tenant."
)
_PAGE: Final = (
    "This is a page for a browser, where Azure answers in JSON: look for a proxy or firewall that answers in its place."
)
_UNKNOWN_TO_SITE_RECOVERY: Final = "SubscriptionIdNotRegisteredWithSrs|FabricArmEntityMissing"
"""Its words for what is not there; the first comes with a 400 (terraform-provider-azurerm#11019 and #11180)."""
_DENY_ASSIGNED: Final = (
    "A deny assignment refuses this, and no role helps against it: have {deny} leave this identity out, or removed."
)
_LOCKED: Final = "Remove the lock, or set spec.suspend: true while it must stay."
_NETWORK: Final = (
    "The network is refused here, not the identity: let the operator's address in, or reach Azure by a private "
    "endpoint."
)

# Codes as ARM documents them and as they were recorded; the actions are ours.
_TABLE: Final = (
    _rule(429, "RetryableErrorDueToAnotherOperation", Disposition.RETRY),  # busy, not throttled
    _rule(429, ".*", Disposition.WAIT),
    # What stays until somebody acts, whatever the status that it comes with. One try is enough for all of a vault.
    _rule(
        _REFUSED,
        "(.*_)?((ReadOnly)?DisabledSubscription.*|ReadOnlySubscription|SpendingLimit.*|Subscription(Is|In|Not)?"
        "(Disabled|Suspended|Expired|PastDue|Warned|Cancell?ed|Deleted|Enabled|Active|ReadOnly)(State)?)",
        Disposition.SLOW,
        "The subscription is disabled: whoever pays for it enables it again (portal: Cost Management + Billing). Until "
        "then set spec.suspend: true, or leave it: it is looked at again at the interval.",
        all_alike=True,
    ),
    _rule(
        _REFUSED,
        "MissingSubscriptionRegistration|SubscriptionNotRegistered|.*NotRegistered(ForSubscription)?|MissingRegistration.*",
        Disposition.SLOW,
        "Register the resource provider in the subscription (az provider register --namespace, with the namespace that "
        "the message names); somebody with the right to do so has to.",
        all_alike=True,
    ),
    _rule(
        _REFUSED,
        ".*(BeingDeleted|BeingRemoved|Deleting|DeletionInProgress|Deprovisioning|MarkedForDelet|SoftDelete).*",
        Disposition.SLOW,
        "Something that the vault lies in, or the vault itself, is being deleted: delete this resource too if that is "
        "meant.",
        all_alike=True,
    ),
    _rule(
        _REFUSED,
        ".*(BeingMoved|Move(Resources?)?(InProgress|Pending)|BeingMigrated|MigrationInProgress).*",
        Disposition.SLOW,
        "Wait for the move to end (Azure allows four hours for it); if the vault's id changes by it, name the new one "
        "in a new resource.",
        all_alike=True,
    ),
    _rule(
        (403, 409),
        ".*",
        Disposition.SLOW,
        "Wait for the deletion or the move to end; if the vault is gone for good, delete this resource.",
        words=r"\b(being|is) (deleted|moved|migrated|deprovisioned)|(deprovisioning|soft.?deleted?) state"
        r"|until (the )?move",
        all_alike=True,
    ),
    _rule(
        (403, 409),
        ".*",
        Disposition.SLOW,
        "Have whoever pays for the subscription enable it again, or register what the message names.",
        words=r"subscription\b.*\b(is|was|has been) (disabled|suspended|cancell?ed)|marked as read.?only"
        r"|not registered to use",
        all_alike=True,
    ),
    _rule(
        401,
        "InvalidAuthenticationTokenTenant",
        Disposition.SLOW,
        "The token is from another tenant than the subscription's: set AZURE_TENANT_ID (or the ServiceAccount's "
        "azure.workload.identity/tenant-id) to the subscription's tenant.",
    ),
    _rule(
        _REFUSED,
        ".*",
        Disposition.SLOW,
        "Azure asks for multi-factor authentication: log in again with it (az logout, then az login). Identities of "
        "workloads are not asked for it.",
        words=r"\bMFA\b|multi-?factor|AADSTS500(74|76|79)\b",
        all_alike=True,
    ),
    _rule(
        (401, 403),
        ".*",
        Disposition.SLOW,
        "A rule of Conditional Access keeps this identity out: ask the administrators of the tenant.",
        words=r"conditional access|AADSTS(53\d{3,4}|50158)\b",
        all_alike=True,
    ),
    _rule(
        401,
        ".*",
        Disposition.SLOW,
        "Azure's clock and the one here differ, or the identity endpoint gives out tokens that have ended: set "
        "the machine's clock (NTP).",
        words=r"not yet valid|\bnbf\b|expiry|has expired",
    ),
    _rule(
        401,
        ".*",
        Disposition.SLOW,
        "ARM refused the token, also a fresh one: check cloud, audience and the identity's tenant.",
    ),
    # Of a lock on one mapping alone the others know nothing.
    _rule((403, 409), ".*Locked", Disposition.SLOW, _LOCKED, words="locked: '[^']{1,300}/vaults/[^/']{1,100}/"),
    _rule((403, 409), ".*Locked", Disposition.SLOW, _LOCKED, all_alike=True),
    _rule((403, 409), ".*", Disposition.SLOW, _LOCKED, words=r"\b(read.?only|delete) lock\b", all_alike=True),
    # A 403 that no role mends, or one that does.
    _rule(403, ".*DenyAssignment.*", Disposition.SLOW, _DENY_ASSIGNED, all_alike=True),
    _rule(403, ".*", Disposition.SLOW, _DENY_ASSIGNED, words="deny assignment", all_alike=True),
    _rule(
        403,
        "(Linked)?AuthorizationFailed",
        Disposition.SLOW,
        "The condition of a role assignment is not met: whoever made it has to change it, or assign the role without.",
        words=r"\bcondition\b.*\bnot (fulfilled|met|satisfied)",
        all_alike=True,
    ),
    _rule(
        403,
        "(Linked)?AuthorizationFailed",
        Disposition.SLOW,
        "Grant the calling identity this action on this scope; a new assignment takes some minutes to work.",
    ),
    _rule(
        _REFUSED,
        ".*DisallowedBy.*|.*PolicyViolation.*",
        Disposition.SLOW,
        "Azure Policy refuses this, and no role helps against it: have the vault exempted from {policy}.",
        all_alike=True,
    ),
    _rule(
        403,
        ".*(Firewall|Public(Network)?Access|Private(Link|Endpoint)|NetworkSecurityPerimeter|ClientIp|IpAddress"
        "|NetworkAcl|NetworkAuthorization|ByConnection).*",
        Disposition.SLOW,
        _NETWORK,
        all_alike=True,
    ),
    _rule(
        403,
        ".*",
        Disposition.SLOW,
        _NETWORK,
        words=r"public (network )?access|firewall|private (endpoint|link)|virtual network|\bip( address)?\b|network "
        r"(rule|acl|security)",
        all_alike=True,
    ),
    _rule(
        403,
        ".*",
        Disposition.SLOW,
        "Azure says why it refuses the calling identity. If it is about a role, the documentation has it.",
    ),
    # What is not there, in Site Recovery's words: it has them for a vault without replication too.
    _rule(
        (400, 404, 410),
        _UNKNOWN_TO_SITE_RECOVERY,
        Disposition.STALL,
        "Site Recovery does not know this (any more), or is not set up in this vault.",
        absent=True,
    ),
    _rule(
        404,
        "SubscriptionNotFound",
        Disposition.STALL,
        "Check the subscription in spec.vaultResourceId, and that the identity has a role in it and is of its tenant.",
        absent=True,
    ),
    _rule(
        404,
        "ResourceNotFound|ResourceGroupNotFound|VaultNotFound|NotFound|",
        Disposition.STALL,
        "Check spec.vaultResourceId; if the vault is gone for good, delete this resource.",
        absent=True,
    ),
    _rule((404, 410), ".*", Disposition.STALL, "Check spec.vaultResourceId.", absent=True),
    _rule(
        400,
        "(Invalid|Missing)ApiVersionParameter|NoRegisteredProviderFound",
        Disposition.SLOW,
        "Set VAULT_AUTOUPDATE_API_VERSION to a version that this cloud knows.",
    ),
    _rule((408, 409, 412, 425), ".*", Disposition.RETRY),
    _rule(range(500, 600), ".*", Disposition.RETRY),
    _rule(
        range(300, 400),
        ".*",
        Disposition.SLOW,
        "ARM answered with a redirect, which is never followed with a token: check the ARM endpoint and any proxy.",
    ),
    _rule(range(400, 500), ".*", Disposition.SLOW),
)


def classify(status: int, body: bytes, headers: Mapping[str, str]) -> ArmError:
    """Turn any answer that is not success into an `ArmError`. Never raises.

    Args:
        status: HTTP status.
        body: as it came; ARM's envelope, Site Recovery's older one, HTML, cut off, anything.
        headers: with names in lower case.
    """
    return _error(status, read_error_body(body, headers.get("content-type", "")), headers)


def error_in_success(document: object, status: int, body: bytes, headers: Mapping[str, str]) -> ArmError | None:
    """The error that an answer with a status of success holds instead of what was asked for, if it does.

    Gateways answer so. Whatever it is, it counts as a passing error: by its status nothing was refused.

    Args:
        document: the body, parsed.
        status: HTTP status.
        body: as it came.
        headers: with names in lower case.
    """
    if isinstance(document, dict) and _holds_what_was_asked_for(document):
        return None
    said = read_error_body(body) if isinstance(document, dict | list) else ErrorBody()
    is_error = said.is_error if isinstance(document, dict) else bool(said.code)  # any list has texts in it
    return _error(status, said, headers) if is_error else None


def _holds_what_was_asked_for(document: Mapping[str, object]) -> bool:
    """Whether it is a page or a resource. An empty page beside an error would pass for a vault with nothing in it."""
    value, properties = document.get("value"), document.get("properties")
    error = document.get("error")
    if isinstance(error, Mapping) and any(error.values()):
        return bool(isinstance(value, list) and value) or bool(properties)
    return isinstance(value, list) or properties is not None


def is_unknown_to_site_recovery(error: ArmError) -> bool:
    """Whether it is Site Recovery itself that does not know what was asked for, and not ARM before it.

    Of a list in a vault, it then says that the vault has none, since nothing is replicated with it.
    """
    return any(re.fullmatch(_UNKNOWN_TO_SITE_RECOVERY, code, re.IGNORECASE) for code in error.codes)


def _error(status: int, said: ErrorBody, headers: Mapping[str, str]) -> ArmError:
    code = said.code or clean(headers.get("x-ms-error-code"), bounds.READ_WORD)
    told = said if said.codes or not code else replace(said, codes=(code,))
    rule = next((rule for rule in _TABLE if rule.fits(status, told)), None)
    message = said.message or _said_elsewhere(headers)
    if not message:
        message = f"ARM answered {status}{f' {code}' if code else ''} without saying why."
    return ArmError(
        status,
        code or f"Http{status}",
        clean(message, bounds.READ_TEXT),
        disposition=rule.disposition if rule else Disposition.RETRY,
        possible_causes=said.possible_causes,
        recommended_action=_action(
            said, message, rule, challenged="insufficient_claims" in headers.get("www-authenticate", "")
        ),
        retry_after=pause_asked_for(headers, message),
        codes=told.codes,
        activity_id=said.activity_id,
        all_alike=rule is not None and rule.all_alike,
        absent=rule is not None and rule.absent,
    )


def _action(said: ErrorBody, message: str, rule: _Rule | None, *, challenged: bool) -> str:
    """What to do: as Site Recovery recommends it, as the message allows to say it exactly, or as the table has it."""
    if said.is_page:
        return f"{_PAGE} {rule.action if rule and rule.disposition is Disposition.STALL else ''}".strip()
    if (denied := _DENIED.search(message)) and not (rule and rule.all_alike):
        return (
            f"Grant the calling identity the action {denied['action']} on {clean(denied['scope'], bounds.SAID)}; "
            "a new assignment takes some minutes to work."
        )
    if challenged:
        return _CHALLENGED
    if said.recommended_action or not rule:
        return said.recommended_action
    deny = _DENY_ASSIGNMENT.search(message)
    return rule.action.replace("{policy}", ", ".join(said.policies) or "the policy that the message names").replace(
        "{deny}", f"'{deny['name']}'" if deny else "it"
    )


def _said_elsewhere(headers: Mapping[str, str]) -> str:
    """What an answer without a body says in its headers."""
    described = _DESCRIPTION.search(headers.get("www-authenticate", ""))
    return clean(described["text"], bounds.READ_TEXT) if described else ""
