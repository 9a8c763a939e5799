"""Reading the bodies of writes."""

from __future__ import annotations

import json
from typing import Any

from asr_simulator.arm_errors import ArmError, invalid_request_content, site_recovery_error
from asr_simulator.mapping import DISABLED, ENABLED, MANAGED_IDENTITY, RUN_AS_ACCOUNT, AutoUpdate

_AUTHENTICATIONS = {name.lower(): name for name in (RUN_AS_ACCOUNT, MANAGED_IDENTITY)}
_STATUSES = {name.lower(): name for name in (ENABLED, DISABLED)}

__all__ = ["check_agent_update", "read_update"]


def read_update(body: bytes) -> AutoUpdate:
    """Return what a mapping becomes when the job of this PATCH succeeds; raises `ArmError` 400.

    Published: the fields, and ``RunAsAccount`` as the default of the authentication type. Recorded: a disabled mapping
    shows the defaults. Inferred: that an account is needed for Enabled, and that values may be in any letter case.
    """
    given = _provider_input(body)
    if _text(given, "instanceType").lower() != "a2a":
        raise _bad_request("The instanceType of providerSpecificInput must be A2A.")
    status = _STATUSES.get(_text(given, "agentAutoUpdateStatus").lower())
    if status is None:
        raise _bad_request("The agentAutoUpdateStatus must be Enabled or Disabled.")
    authentication = _AUTHENTICATIONS.get(
        (_text(given, "automationAccountAuthenticationType") or RUN_AS_ACCOUNT).lower()
    )
    if authentication is None:
        raise _bad_request("The automationAccountAuthenticationType must be RunAsAccount or SystemAssignedIdentity.")
    if status == DISABLED:
        return AutoUpdate()
    account = _text(given, "automationAccountArmId")
    if not account:
        raise _bad_request("The automationAccountArmId is required to enable automatic updates.")
    return AutoUpdate(ENABLED, authentication, account)


def check_agent_update(body: bytes) -> None:
    """Check the body of an update of an agent, which needs ``properties`` (published); raises `ArmError` 400.

    What may stand there, the account of a configuration server, has no meaning between Azure regions.
    """
    document = _document(body)
    if not isinstance(document, dict) or not isinstance(document.get("properties"), dict):
        raise _bad_request("The request has no properties.")


def _document(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise invalid_request_content(str(error)) from None


def _provider_input(body: bytes) -> dict[str, Any]:
    document = _document(body)
    for field in ("properties", "providerSpecificInput"):
        document = document.get(field) if isinstance(document, dict) else None
    if not isinstance(document, dict):
        raise _bad_request("The request has no properties.providerSpecificInput.")
    return document


def _text(given: dict[str, Any], field: str) -> str:
    value = given.get(field)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise invalid_request_content(f"{field} is not a string")
    return value


def _bad_request(message: str) -> ArmError:
    return site_recovery_error(
        400,
        "BadRequest",
        "900303",
        message,
        possible_causes="The request is not complete.",
        recommended_action="Correct the request and retry.",
    )
