"""The one place that speaks HTTP to Azure Resource Manager. Blocking; called from a pool of threads.

What is kept here: the bearer token goes to the configured endpoint and nowhere else (no redirect is followed, a
link to another host is refused, ``.netrc`` has no say), every call has a time-out as a whole, and every call
carries an ``x-ms-client-request-id`` that Microsoft's support can find.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from urllib3 import BaseHTTPResponse, HTTPConnectionPool, Timeout
from urllib3.exceptions import HTTPError

from vault_autoupdate import __version__
from vault_autoupdate.arm.deadline import DeadlineSession
from vault_autoupdate.arm.greeting import greet, way_to
from vault_autoupdate.arm.identity.tokens import TokenSource
from vault_autoupdate.arm.wire.challenge import claims_of
from vault_autoupdate.arm.wire.error_body import read_error_body
from vault_autoupdate.arm.wire.errors import classify, error_in_success
from vault_autoupdate.model import bounds
from vault_autoupdate.model.checkup import Greeting, Way
from vault_autoupdate.model.errors import CredentialError, MalformedReply, NotLeading, Unreachable, UntrustedLink
from vault_autoupdate.model.text import clean, whole_number

_CONNECT_TIMEOUT: Final = 10.0
_WRITE_CONNECT_TIMEOUT: Final = 3.0
"""Less than the margin of the Lease: a replica that may write when it begins to connect still may when it sends."""
_LARGEST_BODY: Final = 16 * 1024 * 1024
"""Bytes of an answer. A page of 1,000 replicated items, each as long as those recorded, is 6 MB."""
_MOST_PARTS: Final = 500_000
"""Values in an answer. Each takes up to 230 bytes of memory, and as few as three of the body, so that bytes alone say
nothing: 16 MiB of ``{}`` would take 400 MiB. A page of 1,000 replicated items has 126,000."""
_CHUNK: Final = 64 * 1024

__all__ = ["ArmCall", "ArmReply", "ArmSession"]


@dataclass(frozen=True)
class ArmCall:
    """One request."""

    method: str
    target: str
    """A path below the endpoint, or a link that ARM gave (``nextLink``). Without a version it gets the API version."""
    request_id: str
    """Goes out as ``x-ms-client-request-id``."""
    body: Mapping[str, Any] | None = None
    tokens: TokenSource | None = field(default=None, repr=False)
    """Whose call it is; None for the process itself."""
    operation: str = ""
    """What is asked, as metrics and logs name it."""
    purpose: str = ""
    """What for, where one operation serves several ends."""


@dataclass(frozen=True)
class ArmReply:
    """A successful answer."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    """Names in lower case. Signed URLs are among them: never log this."""
    body: bytes = field(repr=False)
    request_id: str = field(default="", repr=False)
    """The client request id of the call."""

    def document(self) -> Any:
        """The body as JSON.

        Raises:
            MalformedReply: it is none, or one of more parts than any answer has.
            ArmError: it is an error instead of what was asked for.
        """
        parts = sum(self.body.count(mark) for mark in (b"{", b"[", b","))
        if parts > _MOST_PARTS:
            raise MalformedReply(
                f"ARM answered {self.status} with {len(self.body)} bytes in {parts} parts, which no list of it has.",
                recommended_action="If this stays, look for a proxy that answers in ARM's place.",
            )
        document = self._parsed()
        if error := error_in_success(document, self.status, self.body, self.headers):
            raise error
        return document

    def _parsed(self) -> Any:
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            kind = self.headers.get("content-type", "no content type")
            said = clean(read_error_body(self.body, kind).message, bounds.SAID)
            raise MalformedReply(
                f"ARM answered {self.status} with {len(self.body)} bytes ({clean(kind, 80)}) that are not JSON"
                f"{f': {said}' if said else '.'}",
                recommended_action="If this stays, look for a proxy that answers in ARM's place.",
            ) from error


class ArmSession:
    """A `requests` session that is bound to one ARM endpoint."""

    def __init__(
        self,
        *,
        endpoint: str,
        api_version: str,
        tokens: TokenSource,
        timeout: float = 60.0,
        connections: int = 32,
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        """Bind to ``endpoint``.

        Args:
            endpoint: base URL of ARM.
            api_version: for calls that do not name one.
            tokens: where the process's own tokens come from; a call may bring another source.
            timeout: seconds for one answer as a whole.
            connections: to keep open.
            may_write: is asked right before anything but a GET leaves; a replica that no longer leads says no.
        """
        self._endpoint = endpoint.rstrip("/")
        self._origin = _origin(self._endpoint)
        self._api_version = api_version
        self._tokens = tokens
        self._timeout = timeout
        self._may_write = may_write
        self._session = DeadlineSession(connections=connections)
        # Several identities share the connections: nothing that ARM tells one of them may go out with another's call.
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._session.headers.update({"User-Agent": f"vault-autoupdate/{__version__}", "Accept": "application/json"})
        self._common_headers = {name: str(value) for name, value in self._session.headers.items()}

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def send(self, call: ArmCall) -> ArmReply:
        """Send ``call``, once more with a fresh token after a 401, and return the answer if it is a success.

        Raises:
            ArmError: any other answer.
            Unreachable: no complete answer.
            UntrustedLink: ``call.target`` leads to another host.
            CredentialError: no token.
            NotLeading: this process may not write (any more); nothing was sent.
        """
        target = self._target(call.target)
        tokens = call.tokens or self._tokens
        token = tokens.token()
        status, headers, body = self._exchange(call, target, token)
        if status == requests.codes.unauthorized:
            status, headers, body = self._exchange(call, target, _another(tokens, token, headers, body))
        if requests.codes.ok <= status < requests.codes.multiple_choices:
            return ArmReply(status, headers, body, call.request_id)
        raise classify(status, body, headers)

    def way(self) -> Way:
        """How calls leave this process."""
        return way_to(self._session, self._endpoint)

    def greet(self, target: str) -> Greeting:
        """GET ``target`` without a token, as a stranger would.

        Raises:
            Unreachable: no answer.
        """
        try:
            return greet(
                self._session,
                f"{self._endpoint}{self._target(target)}",
                timeout=(min(_CONNECT_TIMEOUT, self._timeout), self._timeout),
            )
        except (requests.exceptions.RequestException, HTTPError, OSError) as error:
            raise self._unreachable(error) from error

    def _target(self, target: str) -> str:
        """What to call below the endpoint: of ``target`` the path and query alone.

        So a link may spell the host in any way that means the endpoint (``:443``, capitals), and whatever else is in it
        has no say.
        """
        if not target.startswith("/") or target.startswith("//"):
            self._refuse_elsewhere(target)
        parts = urlsplit(target)
        query = parts.query
        if not any(pair.lower().startswith("api-version=") for pair in query.split("&")):
            query = f"{query}&api-version={self._api_version}".lstrip("&")
        return f"{parts.path or '/'}?{query}"

    def _refuse_elsewhere(self, link: str) -> None:
        origin = _origin(link)
        if origin != self._origin:
            raise UntrustedLink(
                f"ARM gave a link to {clean(origin[1] or 'nowhere', 120)}, which is not followed.",
                recommended_action="Only the configured endpoint ever gets a token: check it, and any proxy.",
            )
        if "@" in urlsplit(link).netloc:
            raise UntrustedLink(
                "ARM gave a link with a user in it, which is not followed.",
                recommended_action="Azure gives no such links: look for a proxy that answers in ARM's place.",
            )

    @cached_property
    def _connections(self) -> tuple[HTTPConnectionPool, str]:
        """The connections to the endpoint, and what goes before a target on them. Raises `OSError`: there is no way."""
        return self._session.connections_to(self._endpoint)

    def _exchange(self, call: ArmCall, target: str, token: str) -> tuple[int, Mapping[str, str], bytes]:
        writes = call.method != "GET"
        if writes and not self._may_write():
            raise NotLeading("Another replica may be leading by now: nothing is changed.")
        connect = min(_WRITE_CONNECT_TIMEOUT if writes else _CONNECT_TIMEOUT, self._timeout)
        try:
            pool, before = self._connections
            response = pool.urlopen(
                call.method,
                f"{before}{target}",
                body=None if call.body is None else json.dumps(call.body, allow_nan=False).encode(),
                headers=self._headers(call, token),
                timeout=Timeout(connect=connect, read=self._timeout),
                retries=False,
                redirect=False,
                assert_same_host=False,
                preload_content=False,
                decode_content=False,
            )
            try:
                headers = {name.lower(): value for name, value in response.headers.items()}
                return response.status, headers, _read(response)
            finally:
                response.close()
        except (requests.exceptions.RequestException, HTTPError, OSError) as error:
            raise self._unreachable(error) from error

    def _headers(self, call: ArmCall, token: str) -> dict[str, str]:
        """What goes out with ``call``. Nothing that other answers said, such as a cookie, is in it."""
        headers = {
            **self._common_headers,
            "Authorization": f"Bearer {token}",
            "x-ms-client-request-id": call.request_id,
            "x-ms-return-client-request-id": "true",
        }
        return headers if call.body is None else headers | {"Content-Type": "application/json"}

    def _unreachable(self, error: Exception) -> Unreachable:
        return Unreachable(
            f"No answer from {self._origin[1]}: {_cause(error)}.",
            recommended_action="Check the network, DNS, proxy (HTTPS_PROXY) and CA bundle (REQUESTS_CA_BUNDLE).",
        )


def _another(tokens: TokenSource, refused: str, headers: Mapping[str, str], body: bytes) -> str:
    """Another token than the one that a 401 refused, with the claims that it asks for.

    Raises:
        CredentialError: none is to be had.
        ArmError: the 401, where it asks for claims that this credential cannot get.
    """
    claims = claims_of(headers)
    try:
        return tokens.renew(refused, claims)
    except CredentialError as error:
        if claims:
            raise classify(requests.codes.unauthorized, body, headers) from error
        raise


def _origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port: what has to be equal for a URL to be the endpoint's."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    except ValueError:
        return ("", "", None)
    return (parts.scheme, parts.hostname or "", port)


def _read(response: BaseHTTPResponse) -> bytes:
    """The body, unless it grows too large."""
    chunks, size = [], 0
    while chunk := response.read1(_CHUNK, decode_content=True):
        chunks.append(chunk)
        size += len(chunk)
        if size > _LARGEST_BODY:
            raise requests.exceptions.ContentDecodingError("the answer is too large")
    expected = whole_number(response.headers.get("Content-Length", ""))
    if expected not in {None, size} and not response.headers.get("Content-Encoding"):
        raise requests.exceptions.ConnectionError("the answer was cut off")
    return b"".join(chunks)


def _cause(error: BaseException) -> str:
    """The innermost of the exceptions that libraries wrap around each other, as a short text."""
    seen: set[int] = set()
    while id(error) not in seen:
        seen.add(id(error))
        inner = getattr(error, "reason", None) or error.__cause__ or error.__context__
        if not isinstance(inner, BaseException):
            break
        error = inner
    return clean(f"{type(error).__name__}: {error}", 200)
