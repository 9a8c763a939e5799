"""Things that a client carries back unchanged: signed operation URLs, continuation tokens, access tokens."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import quote

__all__ = ["Claims", "Signer", "TokenReader"]


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Signer:
    """Makes and checks signatures with a key derived from the scenario's seed."""

    def __init__(self, seed: int) -> None:
        self._key = hashlib.sha256(f"asr-simulator {seed}".encode()).digest()
        # 1826 bytes: the size of the certificate in a recording (2435 characters).
        self._certificate = _encode(hashlib.shake_256(self._key + b"certificate").digest(1826))

    def _digest(self, purpose: str, text: str) -> bytes:
        return hmac.digest(self._key, f"{purpose}\n{text}".encode(), "sha256")

    def sign_url(self, path: str, api_version: str, wall: float) -> str:
        """Return the query string of an operation URL: t, c, s and h as in a recording of 2023.

        ``t`` is written with lower-case escapes there, so it is here.
        """
        stamp = f"{datetime.fromtimestamp(wall, UTC):%Y-%m-%dT%H:%M:%S}"
        signature, digest = self._url_signature(path, api_version, stamp)
        return f"api-version={api_version}&t={stamp.replace(':', '%3a')}&c={self._certificate}&s={signature}&h={digest}"

    def url_is_genuine(self, path: str, query: Mapping[str, str]) -> bool:
        """Check an operation URL as the client sent it back; letter case of the path does not matter."""
        signature, digest = self._url_signature(path, query.get("api-version", ""), query.get("t", ""))
        return (
            query.get("c") == self._certificate
            and hmac.compare_digest(query.get("s", "").encode(), signature.encode())
            and hmac.compare_digest(query.get("h", "").encode(), digest.encode())
        )

    def _url_signature(self, path: str, api_version: str, stamp: str) -> tuple[str, str]:
        digest = self._digest("operation", f"{path.lower()}\n{api_version}\n{stamp}")
        return _encode(hashlib.shake_256(self._key + digest).digest(256)), _encode(digest)

    def continuation(self, place: str, position: int) -> str:
        """Make the opaque token of the page that starts after ``position`` in the list at ``place``."""
        payload = str(position)
        return quote(f"{payload}.{_encode(self._digest('continuation ' + place, payload))}", safe="")

    def position(self, place: str, token: str) -> int | None:
        """Read a continuation token; None when it was not made for this list."""
        payload, _, signature = token.partition(".")
        expected = _encode(self._digest("continuation " + place, payload))
        if not payload.isascii() or not payload.isdigit():
            return None
        return int(payload) if hmac.compare_digest(signature.encode(), expected.encode()) else None

    def make_token(self, claims: Mapping[str, Any]) -> str:
        """Make an access token; it has the outer form of a JWT, as real ones do."""
        head = _encode(b'{"alg":"HS256","typ":"JWT"}')
        body = _encode(json.dumps(claims, separators=(",", ":")).encode())
        return f"{head}.{body}.{_encode(self._digest('token', f'{head}.{body}'))}"

    def read_token(self, token: str) -> dict[str, Any] | None:
        """Return the claims of a token that this simulator made; None for anything else."""
        signed, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature.encode(), _encode(self._digest("token", signed)).encode()):
            return None
        try:
            claims: dict[str, Any] = json.loads(_decode(signed.partition(".")[2]))
        except (ValueError, binascii.Error):
            return None
        return claims


@dataclass(frozen=True, slots=True)
class Claims:
    """What an access token says."""

    client_id: str
    object_id: str
    tenant_id: str
    audience: str
    expires: float
    user: str = ""
    """User principal name; empty for an application."""


class TokenReader:
    """Reads tokens; remembers the last ones, because every request carries one."""

    def __init__(self, signer: Signer) -> None:
        self.read = lru_cache(maxsize=256)(self._read)
        self._signer = signer

    def _read(self, token: str) -> Claims | None:
        claims = self._signer.read_token(token)
        if claims is None:
            return None
        return Claims(
            claims["appid"], claims["oid"], claims["tid"], claims["aud"], float(claims["exp"]), claims.get("upn", "")
        )
