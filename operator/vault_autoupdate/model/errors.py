"""What can go wrong with Azure, and what to do about it.

    AzureError                anything that kept a call from its result
    ├── ArmError              ARM or Site Recovery answered, but not with success
    ├── Unreachable           no complete answer came: DNS, connection, TLS, time-out
    ├── MalformedReply        an answer that is not what the API promises
    ├── UntrustedLink         a link to another host than the configured ARM endpoint
    ├── CredentialError       no token could be had
    │   └── CredentialUnusable    what spec.credential names is not there, not to be read, or not complete
    └── NotLeading            this process may not change anything (any more)

Each carries a `Disposition`, a reason in PascalCase (ARM's own code where there is one) and, where one is known,
the recommended action. `classify` is total: whatever the reply, it gives an `ArmError`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Final

from vault_autoupdate.model.text import clean

_PASCAL = re.compile(r"[A-Za-z][A-Za-z0-9]{0,63}")
_DENIED = re.compile(r"perform action '(?P<action>[^']{1,200})' over scope '(?P<scope>[^']{1,600})'")
_MESSAGE_BYTES: Final = 600
_CONCERN_ALL: Final = frozenset({401, 403})

__all__ = [
    "ArmError",
    "AzureError",
    "CredentialError",
    "CredentialUnusable",
    "Disposition",
    "MalformedReply",
    "NotLeading",
    "Unreachable",
    "UntrustedLink",
    "classify",
    "concerns_all",
]


class Disposition(StrEnum):
    """What to do about an error."""

    RETRY = "retry"
    """Transient: try again soon, with backoff."""
    WAIT = "wait"
    """Throttled: the server says when."""
    SLOW = "slow"
    """Somebody must do something first: look again rarely."""
    STALL = "stall"
    """What the resource names is not there: `Stalled`, look again at the interval."""


class AzureError(Exception):
    """Anything that kept a call from its result."""

    disposition: Disposition = Disposition.RETRY
    reason: str = "AzureError"
    request_id: str = ""
    """The client request id of the call, by which Microsoft's support finds it."""

    def __init__(self, message: str, *, possible_causes: str = "", recommended_action: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.possible_causes = possible_causes
        self.recommended_action = recommended_action

    def __str__(self) -> str:
        return f"{self.message} {self.recommended_action}".strip()


class ArmError(AzureError):
    """An answer other than success."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        disposition: Disposition,
        possible_causes: str = "",
        recommended_action: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, possible_causes=possible_causes, recommended_action=recommended_action)
        self.status = status
        self.code = code
        self.reason = code if _PASCAL.fullmatch(code) else f"Http{status}"
        self.disposition = disposition
        self.retry_after = retry_after
        """Seconds that the server asks to be left alone; None when it does not say."""


class Unreachable(AzureError):
    """No complete answer came. Whether the request was carried out is not known."""

    reason = "ArmUnreachable"


class MalformedReply(AzureError):
    """Success by its status, but not what the API promises."""

    reason = "MalformedReply"


class UntrustedLink(AzureError):
    """A link that leads away from the configured ARM endpoint. It is never followed."""

    reason = "UntrustedLink"
    disposition = Disposition.SLOW


class CredentialError(AzureError):
    """No token could be had. Tried again with backoff: the identity endpoint may be down, or still being set up."""

    reason = "AuthenticationFailed"


class CredentialUnusable(CredentialError):
    """What ``spec.credential`` names is not there, may not be read, or is not complete: somebody must mend it."""

    disposition = Disposition.SLOW

    def __init__(self, reason: str, message: str, *, recommended_action: str, passing: bool = False) -> None:
        """Say what is wrong.

        Args:
            reason: in PascalCase.
            message: what is wrong, without anything secret.
            recommended_action: what to do about it.
            passing: whether it is likely to pass by itself.
        """
        super().__init__(message, recommended_action=recommended_action)
        self.reason = reason
        if passing:
            self.disposition = Disposition.RETRY


class NotLeading(AzureError):
    """This process may not change anything (any more). Nothing was sent."""

    reason = "NotLeading"


@dataclass(frozen=True)
class _Rule:
    """One row of the table; the first that fits an answer decides."""

    disposition: Disposition
    statuses: range | tuple[int, ...]
    codes: re.Pattern[str]
    action: str

    ANY: ClassVar[re.Pattern[str]] = re.compile("")


def _rule(statuses: range | tuple[int, ...] | int, codes: str, disposition: Disposition, action: str = "") -> _Rule:
    wanted = (statuses,) if isinstance(statuses, int) else statuses
    return _Rule(disposition, wanted, re.compile(f"(?:{codes})\\Z", re.IGNORECASE), action)


# Codes as ARM documents them and as they were recorded; the actions are ours.
_TABLE: Final = (
    _rule(429, "RetryableErrorDueToAnotherOperation", Disposition.RETRY),  # busy, not throttled
    _rule(429, ".*", Disposition.WAIT),
    _rule(
        401,
        "InvalidAuthenticationTokenTenant",
        Disposition.SLOW,
        "The token is from another tenant than the subscription's: set AZURE_TENANT_ID (or the ServiceAccount's "
        "azure.workload.identity/tenant-id) to the subscription's tenant.",
    ),
    _rule(
        401,
        ".*",
        Disposition.SLOW,
        "ARM refused the token, also a fresh one: check cloud, audience and the identity's tenant.",
    ),
    _rule(
        (403, 409),
        ".*Locked",
        Disposition.SLOW,
        "Remove the lock, or set spec.suspend: true while it must stay.",
    ),
    _rule(
        403,
        "(Linked)?AuthorizationFailed",
        Disposition.SLOW,
        "Grant the calling identity this action on this scope; a new assignment takes some minutes to work.",
    ),
    _rule(403, ".*", Disposition.SLOW, "Let the calling identity do this: see the Azure role in the documentation."),
    _rule(
        404,
        "SubscriptionNotFound",
        Disposition.STALL,
        "Check the subscription in spec.vaultResourceId, and that the identity has a role in it and is of its tenant.",
    ),
    _rule(
        404,
        "ResourceNotFound|ResourceGroupNotFound|VaultNotFound|NotFound|",
        Disposition.STALL,
        "Check spec.vaultResourceId; if the vault is gone for good, delete this resource.",
    ),
    _rule(404, ".*", Disposition.STALL, "Check spec.vaultResourceId."),
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


def concerns_all(error: AzureError) -> bool:
    """Whether every other change in the vault would get the same answer."""
    if isinstance(error, ArmError):
        return error.status in _CONCERN_ALL or error.status < 400
    return isinstance(error, CredentialError | NotLeading | UntrustedLink)


def classify(status: int, body: bytes, headers: Mapping[str, str]) -> ArmError:
    """Turn any answer that is not success into an `ArmError`. Never raises.

    Args:
        status: HTTP status.
        body: as it came; ARM's envelope, Site Recovery's older one, HTML, cut off, anything.
        headers: with names in lower case.
    """
    detail = _envelope(body)
    code = clean(detail.get("code") or "", 120)
    message = clean(detail.get("message") or "", _MESSAGE_BYTES)
    rule = next((rule for rule in _TABLE if status in rule.statuses and rule.codes.match(code)), None)
    action = clean(detail.get("recommendedAction") or "", _MESSAGE_BYTES)
    if not action and rule:
        action = rule.action
    if denied := _DENIED.search(clean(detail.get("message") or "", 4 * _MESSAGE_BYTES)):
        action = (
            f"Grant the calling identity the action {denied['action']} on {clean(denied['scope'], 300)}; "
            "a new assignment takes some minutes to work."
        )
    return ArmError(
        status,
        code or f"Http{status}",
        message or f"ARM answered {status} without saying why.",
        disposition=rule.disposition if rule else Disposition.RETRY,
        possible_causes=clean(detail.get("possibleCauses") or "", _MESSAGE_BYTES),
        recommended_action=action,
        retry_after=retry_after(headers),
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds from ``Retry-After`` or its millisecond variants, as azure-core reads them; None without a usable one.

    A value beyond an hour counts as an hour: nothing that ARM throttles is throttled for longer, and a mistaken
    header must not silence a vault for a year. A date is not understood and counts as absent.
    """
    for name, unit in (("retry-after-ms", 1e-3), ("x-ms-retry-after-ms", 1e-3), ("retry-after", 1.0)):
        text = headers.get(name, "").strip()
        if re.fullmatch(r"\d{1,12}(\.\d{1,9})?", text, re.ASCII):
            return min(float(text) * unit, 3600.0)
    return None


def _envelope(body: bytes) -> dict[str, Any]:
    """The part of an error body that explains most, or nothing.

    ``error.details[0]`` is where Site Recovery's older envelope has causes and actions; ARM's own has the code
    and message in ``error``.
    """
    try:
        document = json.loads(body[:1_000_000])
    except (ValueError, RecursionError):
        return {}
    error = document.get("error") if isinstance(document, dict) else None
    if not isinstance(error, dict):
        return {}
    details = error.get("details")
    detail = details[0] if isinstance(details, list) and details and isinstance(details[0], dict) else {}
    merged = {key: value for key, value in error.items() if isinstance(value, str)}
    explained = {key: value for key, value in detail.items() if isinstance(value, str) and value}
    if "possibleCauses" in explained or "recommendedAction" in explained or not merged.get("message"):
        return {**merged, **explained}
    return {**explained, **merged}
