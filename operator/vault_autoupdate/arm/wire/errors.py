"""From an answer of ARM that is no success to an `ArmError`. `classify` is total: whatever the reply, it gives one."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from vault_autoupdate.model.errors import ArmError, Disposition
from vault_autoupdate.model.text import clean

_DENIED = re.compile(r"perform action '(?P<action>[^']{1,200})' over scope '(?P<scope>[^']{1,600})'")
_MESSAGE_BYTES: Final = 600

__all__ = ["classify"]


@dataclass(frozen=True)
class _Rule:
    """One row of the table; the first that fits an answer decides."""

    disposition: Disposition
    statuses: range | tuple[int, ...]
    codes: re.Pattern[str]
    action: str


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
