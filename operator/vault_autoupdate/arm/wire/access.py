"""What tells who somebody is and what they may do: the claims of a token, and the list of permissions."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BeforeValidator

from vault_autoupdate.arm.wire.documents import Document, read, read_entries
from vault_autoupdate.model import bounds
from vault_autoupdate.model.checkup import Permission, TokenClaims
from vault_autoupdate.model.text import clean

_AUTHORITY = re.compile(r'authorization_uri="?https://[^/"\s]+/(?P<tenant>[0-9A-Za-z.-]{1,80})', re.IGNORECASE)
_Patterns = Annotated[tuple[str, ...], BeforeValidator(lambda value: () if value is None else value)]

__all__ = ["permissions", "read_claims", "tenant_of"]


class _Permission(Document):
    """See `Microsoft.Authorization/permissions`, api-version 2022-04-01."""

    actions: _Patterns = ()
    not_actions: _Patterns = ()


def permissions(document: object) -> list[Permission]:
    """What the caller may do on a resource, assignment by assignment. Raises `MalformedReply`."""
    return read_entries(document, "permissions", _permission)


def _permission(entry: object) -> Permission:
    found = read(_Permission, entry, "a permission")
    return Permission(found.actions, found.not_actions)


def read_claims(token: str) -> TokenClaims:
    """What a token (RFC 7519) says about itself; of one of another form, nothing.

    The names are those of Microsoft's reference of access tokens; ``xms_mirid`` is the id of a managed identity.
    """
    claims = _claims(token)
    audience = claims.get("aud")
    named = {
        "audience": audience[0] if isinstance(audience, list) and audience else audience,
        "issuer": claims.get("iss"),
        "subject": claims.get("sub"),
        "tenant": claims.get("tid"),
        "application": claims.get("appid") or claims.get("azp"),
        "object": claims.get("oid"),
        "name": claims.get("xms_mirid") or claims.get("upn") or claims.get("unique_name"),
    }
    texts = {name: clean(value, bounds.SAID) for name, value in named.items() if isinstance(value, str)}
    return TokenClaims(**texts, expires_at=_moment(claims.get("exp")))


def _claims(token: str) -> Mapping[str, Any]:
    payload = token.split(".")[1] if token.count(".") == 2 else ""
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _moment(seconds: object) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC) if isinstance(seconds, int | float) else None
    except (ValueError, OverflowError, OSError):
        return None


def tenant_of(headers: Mapping[str, str]) -> str:
    """The tenant that a 401 of ARM sends callers to; empty where it names none.

    Args:
        headers: with names in lower case.
    """
    found = _AUTHORITY.search(headers.get("www-authenticate", ""))
    return found["tenant"] if found else ""
