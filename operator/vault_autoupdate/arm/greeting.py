"""A call without a token: what lies between here and ARM, and what ARM tells to anybody."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.utils import select_proxy

from vault_autoupdate.arm.wire.access import tenant_of
from vault_autoupdate.model.checkup import Greeting, Way
from vault_autoupdate.model.text import clean

__all__ = ["greet", "way_to"]


def greet(session: requests.Session, url: str, *, timeout: tuple[float, float]) -> Greeting:
    """GET ``url`` without a token.

    Args:
        session: whose settings, proxy and certificates are those of all calls to ARM.
        url: of ARM.
        timeout: seconds to connect, and for the answer.

    Raises:
        OSError: no answer came. `requests.RequestException` is one.
    """
    # The auth that adds nothing keeps .netrc from adding something.
    with session.get(
        url, auth=lambda request: request, timeout=timeout, allow_redirects=False, stream=True
    ) as response:
        headers = {name.lower(): value for name, value in response.headers.items()}
        version, issuer = _tls(response)
        return Greeting(
            status=response.status_code,
            date=_date(headers),
            received_at=datetime.now(UTC),
            tenant=tenant_of(headers),
            tls=version,
            issuer=issuer,
        )


def way_to(session: requests.Session, url: str) -> Way:
    """How a call to ``url`` would leave this process."""
    settings = session.merge_environment_settings(url, {}, None, None, None)
    trust = settings["verify"] if isinstance(settings["verify"], str) else ""
    return Way(_proxy(url, settings["proxies"]), trust)


def _tls(response: requests.Response) -> tuple[str, str]:
    """Version of TLS, and who issued the certificate; both empty for plain HTTP."""
    sock = getattr(response.raw.connection, "sock", None)
    if not isinstance(sock, ssl.SSLSocket):
        return "", ""
    issuer: Any = (sock.getpeercert() or {}).get("issuer", ())
    names = dict(pair for part in issuer for pair in part)
    return sock.version() or "", clean(names.get("commonName") or names.get("organizationName"), 120)


def _proxy(url: str, proxies: Mapping[str, str]) -> str:
    """Host and port alone: there may be a password before them."""
    proxy = select_proxy(url, dict(proxies))
    return urlsplit(proxy if "://" in proxy else f"http://{proxy}").netloc.rpartition("@")[2] if proxy else ""


def _date(headers: Mapping[str, str]) -> datetime | None:
    with suppress(ValueError, TypeError):
        date = parsedate_to_datetime(headers.get("date", ""))
        return date if date.tzinfo else date.replace(tzinfo=UTC)
    return None
