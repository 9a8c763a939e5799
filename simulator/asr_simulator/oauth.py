"""The OAuth endpoints of Microsoft Entra ID, as far as a service principal needs them.

Client credentials by secret (``client_secret``) or by assertion (workload identity, certificates), and the documents
that Microsoft's libraries read first. Nothing is verified cryptographically: an assertion must look like what its
sender would send, in time and for this audience. Microsoft's libraries only come here over TLS.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID, uuid5

from asr_simulator.arm_errors import Answer, dumps
from asr_simulator.identity import TokenAuthority
from asr_simulator.scenario import Identity, IdentitySpec

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
FEDERATION_AUDIENCE = "api://AzureADTokenExchange"
_SCOPE_SUFFIX = "/.default"

__all__ = ["ASSERTION_TYPE", "FEDERATION_AUDIENCE", "OAuthEndpoint"]


@dataclass
class _Refusal(Exception):
    """A refused token request: HTTP status, OAuth's error, Entra's own number and text."""

    status: int
    error: str
    number: int
    text: str


class OAuthEndpoint:
    """Answers for one tenant: the one that the subscriptions belong to."""

    def __init__(self, settings: Identity, tokens: TokenAuthority, wall: Callable[[], float]) -> None:
        self._tenant = settings.tenant_id
        self._tokens = tokens
        self._wall = wall
        self._refused = 0

    def openid_configuration(self, tenant: str, base_url: str) -> Answer:
        """Describe the tenant's endpoints (the fields that are seen in a log of Microsoft's library)."""
        try:
            self._check_tenant(tenant, error="invalid_tenant")
        except _Refusal as refusal:
            return self._refuse(refusal)
        at = f"{base_url}/{tenant}"
        body = {
            "token_endpoint": f"{at}/oauth2/v2.0/token",
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
            "jwks_uri": f"{at}/discovery/v2.0/keys",
            "response_modes_supported": ["query", "fragment", "form_post"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
            "issuer": f"{at}/v2.0",
            "request_uri_parameter_supported": False,
            "authorization_endpoint": f"{at}/oauth2/v2.0/authorize",
            "device_authorization_endpoint": f"{at}/oauth2/v2.0/devicecode",
            "http_logout_supported": True,
            "frontchannel_logout_supported": True,
            "end_session_endpoint": f"{at}/oauth2/v2.0/logout",
        }
        return Answer(200, dumps(body))

    def instance_discovery(self, base_url: str) -> Answer:
        """Say where the tenant is described: what msal asks before it trusts a host that it does not know."""
        endpoint = f"{base_url}/{self._tenant}/v2.0/.well-known/openid-configuration"
        return Answer(200, dumps({"tenant_discovery_endpoint": endpoint, "api-version": "1.1", "metadata": []}))

    def answer_token_request(self, tenant: str, body: bytes) -> Answer:
        """Answer a client-credentials request."""
        try:
            form = dict(parse_qsl(body.decode("ascii", errors="replace"), keep_blank_values=True))
            self._check_tenant(tenant, error="invalid_request")
            identity, audience = self._grant(form)
        except _Refusal as refusal:
            return self._refuse(refusal)
        issued = self._tokens.issue(identity, audience)
        lifetime = int(issued.lifetime)
        answer = {
            "token_type": "Bearer",
            "expires_in": lifetime,
            "ext_expires_in": lifetime,
            "access_token": issued.token,
        }
        return Answer(200, dumps(answer))

    def _grant(self, form: Mapping[str, str]) -> tuple[IdentitySpec, str]:
        grant = _required(form, "grant_type")
        if grant != "client_credentials":
            text = f"The app requested an unsupported grant type '{grant}'."
            raise _Refusal(400, "unsupported_grant_type", 70003, text)
        client = _required(form, "client_id")
        scope = _required(form, "scope")
        audience = scope.removesuffix(_SCOPE_SUFFIX)
        if audience == scope or " " in scope:
            text = (
                f"The provided value for scope {scope} is not valid. Client credential flows must have a scope value "
                "with /.default suffixed to the resource identifier (application ID URI)."
            )
            raise _Refusal(400, "invalid_scope", 1002012, text)
        identity = self._tokens.find(client)
        if identity is None:
            text = (
                f"Application with identifier '{client}' was not found in the directory '{self._tenant}'. This can "
                "happen if the application has not been installed by the administrator of the tenant or consented to "
                "by any user in the tenant. You may have sent your authentication request to the wrong tenant."
            )
            raise _Refusal(400, "unauthorized_client", 700016, text)
        if "client_assertion" in form:
            self._check_assertion(form, identity)
        elif "client_secret" in form:
            if identity.client_secret is not None and form["client_secret"] != identity.client_secret:
                text = (
                    "Invalid client secret provided. Ensure the secret being sent in the request is the client secret "
                    f"value, not the client secret ID, for a secret added to app '{client}'."
                )
                raise _Refusal(401, "invalid_client", 7000215, text)
        else:
            text = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."
            raise _Refusal(401, "invalid_client", 7000218, text)
        return identity, audience

    def _check_tenant(self, tenant: str, *, error: str) -> None:
        if tenant.lower() != self._tenant.lower():
            text = (
                f"Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into "
                "the correct cloud. Check with your subscription administrator, this may happen if there are no "
                "active subscriptions for the tenant."
            )
            raise _Refusal(400, error, 90002, text)

    def _check_assertion(self, form: Mapping[str, str], identity: IdentitySpec) -> None:
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            raise _Refusal(400, "invalid_request", 900144, _missing("client_assertion_type"))
        claims = _claims(form["client_assertion"])
        if claims is None:
            raise _Refusal(401, "invalid_client", 50027, "JWT token is invalid or malformed.")
        now, ends = self._wall(), claims.get("exp")
        if not isinstance(ends, int | float) or ends <= now:
            text = f"Client assertion is not within its valid time range. Current time: {_moment(now)}."
            raise _Refusal(401, "invalid_client", 700024, text)
        subject = claims.get("sub")
        if subject == claims.get("iss") == identity.client_id:
            return  # signed by the application itself, with its certificate
        audiences = claims.get("aud")
        if FEDERATION_AUDIENCE not in (audiences if isinstance(audiences, list) else [audiences]):
            text = f"No matching federated identity record found for presented assertion audience '{audiences}'."
            raise _Refusal(401, "invalid_client", 700212, text)
        if not subject or identity.federated_subject not in (None, subject):
            text = (
                f"No matching federated identity record found for presented assertion subject '{subject}'. Check your "
                "federated identity credential Subject, Audience and Issuer against the presented assertion."
            )
            raise _Refusal(401, "invalid_client", 700213, text)

    def _refuse(self, refusal: _Refusal) -> Answer:
        self._refused += 1
        trace, correlation = (str(uuid5(UUID(int=0), f"{kind} {self._refused}")) for kind in ("trace", "correlation"))
        stamp = _moment(self._wall())
        body = {
            "error": refusal.error,
            "error_description": (
                f"AADSTS{refusal.number}: {refusal.text}\r\nTrace ID: {trace}\r\nCorrelation ID: {correlation}\r\n"
                f"Timestamp: {stamp}"
            ),
            "error_codes": [refusal.number],
            "timestamp": stamp,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": f"https://login.microsoftonline.com/error?code={refusal.number}",
        }
        return Answer(refusal.status, dumps(body))


def _required(form: Mapping[str, str], name: str) -> str:
    if not form.get(name):
        raise _Refusal(400, "invalid_request", 900144, _missing(name))
    return form[name]


def _missing(name: str) -> str:
    return f"The request body must contain the following parameter: '{name}'."


def _moment(wall: float) -> str:
    return f"{datetime.fromtimestamp(wall, UTC):%Y-%m-%d %H:%M:%SZ}"


def _claims(assertion: str) -> dict[str, Any] | None:
    """Read the claims of what looks like a signed token; None for anything else."""
    parts = assertion.split(".")
    if len(parts) != 3 or not all(parts):
        return None
    try:
        head, claims = (json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in parts[:2])
    except (ValueError, binascii.Error):
        return None
    return claims if isinstance(head, dict) and "alg" in head and isinstance(claims, dict) else None
