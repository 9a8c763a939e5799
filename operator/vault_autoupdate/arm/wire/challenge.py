"""What ARM asks of the next token when it does not take one: the claims challenge of continuous access evaluation."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping

_CLAIMS = re.compile(r'\bclaims="?(?P<encoded>[A-Za-z0-9+/_=-]{4,4000})"?', re.IGNORECASE)

__all__ = ["claims_of"]


def claims_of(headers: Mapping[str, str]) -> str:
    """The claims that a 401 asks for in ``WWW-Authenticate``, as JSON; empty when it asks for none that can be read.

    The same token will not do, however fresh: the session was revoked, a password changed, or the network is another.

    Args:
        headers: with names in lower case.
    """
    found = _CLAIMS.search(headers.get("www-authenticate", ""))
    if not found:
        return ""
    encoded = found["encoded"].rstrip("=").replace("+", "-").replace("/", "_")
    try:
        claims = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
        return claims if isinstance(json.loads(claims), dict) else ""
    except (ValueError, RecursionError):
        return ""
