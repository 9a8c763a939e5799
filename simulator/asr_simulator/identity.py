"""The managed-identity token endpoint, and the check of access tokens.

The endpoint is the one of App Service: ``GET ...?api-version=2019-08-01&resource=...`` with ``X-IDENTITY-HEADER``.
Tokens live in real time, because clients compare ``expires_on`` with their own clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from asr_simulator.arm_errors import Answer, ArmError, dumps
from asr_simulator.scenario import Identity, IdentitySpec
from asr_simulator.signing import Claims, Signer, TokenReader

MSI_API_VERSION = "2019-08-01"

__all__ = ["MSI_API_VERSION", "IssuedToken", "TokenAuthority"]


def _normal(audience: str) -> str:
    return audience.rstrip("/").lower()


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token and how long it is good, in real time."""

    token: str
    expires: int
    lifetime: float


class TokenAuthority:
    """Issues and checks tokens."""

    def __init__(self, settings: Identity, signer: Signer, wall: Callable[[], float]) -> None:
        self._settings = settings
        self._signer = signer
        self._wall = wall
        self._reader = TokenReader(signer)
        self._identities = {spec.client_id.lower(): spec for spec in settings.identities}
        self._audiences = frozenset(_normal(audience) for audience in settings.audiences)
        self.issued = 0

    def answer_token_request(self, query: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
        """Answer a token request; errors have the form that Microsoft's client library reads."""
        if headers.get("X-IDENTITY-HEADER") != self._settings.secret:
            return _refused(401, "The X-IDENTITY-HEADER is missing or wrong.")
        if query.get("api-version") != MSI_API_VERSION:
            return _refused(400, f"The api-version must be {MSI_API_VERSION}.")
        resource = query.get("resource", "")
        if not resource:
            return _refused(400, "The resource parameter is missing.")
        identity = self.find(query.get("client_id", ""))
        if identity is None:
            return _refused(400, "No managed identity was found for the client id.")
        issued = self.issue(identity, resource)
        body = {
            "access_token": issued.token,
            "client_id": identity.client_id,
            "expires_in": str(int(issued.lifetime)),
            "expires_on": str(issued.expires),
            "resource": resource,
            "token_type": "Bearer",
        }
        return Answer(200, dumps(body))

    def find(self, client_id: str) -> IdentitySpec | None:
        """Find who a client id is; an empty one means the machine's own identity."""
        if not self._identities:
            return IdentitySpec(client_id=client_id or "00000000-0000-4000-8000-00000000c11e")
        if not client_id:  # the system-assigned identity: the first one
            return next(iter(self._identities.values()))
        return self._identities.get(client_id.lower())

    def issue(self, identity: IdentitySpec, audience: str) -> IssuedToken:
        """Make a token."""
        lifetime = self._settings.token_lifetime
        expires = int(self._wall() + lifetime)
        self.issued += 1
        tenant = identity.tenant_id or self._settings.tenant_id
        claims = {
            "aud": audience,
            "iss": f"https://sts.windows.net/{tenant}/",
            "exp": expires,
            "appid": identity.client_id,
            "oid": identity.object_id,
            "tid": tenant,
            # Two tokens of one second differ, as real ones do.
            "uti": self.issued,
        }
        if identity.user:
            claims["upn"] = identity.user
        return IssuedToken(self._signer.make_token(claims), expires, lifetime)

    def authenticate(self, authorization: str | None) -> Claims:
        """Check the Authorization header of a Resource Manager call; raises `ArmError` 401."""
        if not authorization:
            message = "Authentication failed. The 'Authorization' header is missing."
            raise self._unauthorized("AuthenticationFailed", message)
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            message = "Authentication failed. The 'Authorization' header is provided in an invalid format."
            raise self._unauthorized("AuthenticationFailedInvalidHeader", message)
        claims = self._reader.read(token)
        if claims is None:
            raise self._unauthorized("InvalidAuthenticationToken", "The access token is invalid.")
        now = self._wall()
        if claims.expires <= now:
            message = (
                f"The access token expiry UTC time '{_american(claims.expires)}' is earlier than current UTC time "
                f"'{_american(now)}'."
            )
            raise self._unauthorized("ExpiredAuthenticationToken", message)
        if _normal(claims.audience) not in self._audiences:
            listed = ",".join(f"'{audience}/'" for audience in self._settings.audiences)
            message = (
                f"The access token has been obtained for wrong audience or resource '{claims.audience}'. It should "
                f"exactly match with one of the allowed audiences {listed}."
            )
            raise self._unauthorized("InvalidAuthenticationTokenAudience", message)
        tenant = self._settings.tenant_id
        if claims.tenant_id != tenant:
            message = (
                f"The access token is from the wrong issuer 'https://sts.windows.net/{claims.tenant_id}/'. It must "
                f"match the tenant 'https://sts.windows.net/{tenant}/' associated with this subscription. Please use "
                f"the authority (URL) 'https://login.windows.net/{tenant}' to get the token."
            )
            raise self._unauthorized("InvalidAuthenticationTokenTenant", message)
        return claims

    def application_of(self, authorization: str | None) -> str:
        """Tell whose token an Authorization header holds, good or not; empty when it is none of ours."""
        claims = self._reader.read((authorization or "").partition(" ")[2])
        return claims.client_id if claims else ""

    def is_allowed(self, claims: Claims, action: str, vault: str, subscription: str = "") -> bool:
        """Tell whether the identity may do ``action`` in ``vault``, or in the subscription as a whole."""
        identity = self._identities.get(claims.client_id.lower())
        if identity is None:
            return not self._identities
        return not any(fnmatchcase(action.lower(), each.lower()) for each in self.denied(claims, vault, subscription))

    def denied(self, claims: Claims, vault: str, subscription: str) -> list[str]:
        """Patterns of the actions that the identity may not do there; everything else it may."""
        identity = self._identities.get(claims.client_id.lower())
        return [
            denial.action
            for denial in (identity.denied if identity else ())
            if fnmatchcase(subscription.lower(), denial.subscription.lower())
            and fnmatchcase(vault.lower(), denial.vault.lower())
        ]

    def revoked(self) -> ArmError:
        """Make the 401 of a token that has just been revoked."""
        return self._unauthorized("InvalidAuthenticationToken", "The access token is invalid.")

    def _unauthorized(self, code: str, message: str) -> ArmError:
        challenge = (
            f'Bearer authorization_uri="https://login.windows.net/{self._settings.tenant_id}", '
            f'error="invalid_token", error_description="{message}"'
        )
        return ArmError(401, code, message, headers={"WWW-Authenticate": challenge})


def _american(wall: float) -> str:
    """Print a time as these messages do."""
    moment = datetime.fromtimestamp(wall, UTC)
    return f"{moment.month}/{moment.day}/{moment.year} {moment.hour % 12 or 12}:{moment:%M:%S %p}"


def _refused(status: int, message: str) -> Answer:
    return Answer(status, dumps({"statusCode": status, "message": message, "correlationId": None}))
