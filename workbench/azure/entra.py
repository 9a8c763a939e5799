"""A stand-in for Entra ID over TLS: the client credentials flow with a secret or a federated token.

The token that it gives is one of the simulator's identity of the same client id, so that the simulated Azure knows who
calls. azure-identity is used as it is: it finds the token endpoint by the authority's own description of itself.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlencode

from workbench.kube.certificates import Authority

__all__ = ["TENANT", "Entra", "TokenRequest", "open_entra"]

TENANT: Final = "0c7f7b2e-95a4-4ff5-b8ef-1b07f1ac2f11"


@dataclass(frozen=True)
class TokenRequest:
    """One request for a token."""

    client: str
    secret: str
    assertion: str
    granted: bool


@dataclass
class Entra:
    """The clients that there are, and what was asked."""

    host: str
    """Host and port, for VAULT_AUTOUPDATE_AUTHORITY_HOST."""
    ca_bundle: Path
    """For REQUESTS_CA_BUNDLE."""
    identity: Mapping[str, str]
    """Where the simulator gives tokens."""
    secrets: dict[str, str] = field(default_factory=dict)
    """By client id: its secret."""
    subjects: dict[str, str] = field(default_factory=dict)
    """By client id: the Kubernetes user whose tokens it is to be had for."""
    review: Callable[[str], str] = lambda _: ""
    """Tells whose token it is, as a cluster's issuer would prove it; empty for nobody's."""
    lifetime: float = 3600.0
    """Seconds for which a token is good."""
    requests: list[TokenRequest] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    """All that was asked for, tokens or not."""

    @property
    def environment(self) -> dict[str, str]:
        """Variables by which a process trusts it."""
        return {"REQUESTS_CA_BUNDLE": str(self.ca_bundle)}

    def answer(self, tenant: str, form: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        """Grant a token or refuse it."""
        client, secret, assertion = (form.get(name, "") for name in ("client_id", "client_secret", "client_assertion"))
        granted = tenant == TENANT and form.get("grant_type") == "client_credentials"
        if assertion:
            granted = granted and bool(self.subjects.get(client)) and self.review(assertion) == self.subjects[client]
        else:
            granted = granted and bool(secret) and self.secrets.get(client) == secret
        self.requests.append(TokenRequest(client, secret, assertion, granted))
        if not granted:
            # The real one repeats no secret. One that does must not get it into a status.
            said = f"AADSTS7000215: Invalid client secret provided: {secret}{assertion}"
            return 401, {"error": "invalid_client", "error_description": said}
        audience = form.get("scope", "").removesuffix("/.default")
        query = urlencode({"api-version": "2019-08-01", "resource": audience, "client_id": client})
        request = urllib.request.Request(
            f"{self.identity['IDENTITY_ENDPOINT']}?{query}",
            headers={"X-IDENTITY-HEADER": self.identity["IDENTITY_HEADER"]},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            issued = json.loads(answer.read())
        left = min(self.lifetime, int(issued["expires_on"]) - time.time())
        return 200, {"token_type": "Bearer", "expires_in": int(left), "access_token": issued["access_token"]}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    entra: Entra

    def do_GET(self) -> None:
        self.entra.paths.append(self.path)
        tenant, _, rest = self.path.strip("/").partition("/")
        if not rest.startswith("v2.0/.well-known/openid-configuration"):
            self._reply(404, {"error": "not_found"})
            return
        base = f"https://{self.entra.host}/{tenant}"
        self._reply(
            200,
            {
                "issuer": f"{base}/v2.0",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "token_endpoint": f"{base}/oauth2/v2.0/token",
            },
        )

    def do_POST(self) -> None:
        self.entra.paths.append(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        self._reply(*self.entra.answer(self.path.strip("/").partition("/")[0], form))

    def _reply(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that http.server uses
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is none of our business."""


@contextmanager
def open_entra(directory: Path, identity: Mapping[str, str]) -> Iterator[Entra]:
    """Serve on a free port of this machine, with a certificate of an authority of its own in ``directory``."""
    authority = Authority(directory)
    pair = authority.server("entra", ["127.0.0.1", "localhost"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    entra = Entra("", authority.certificate, identity)
    with _Server(("127.0.0.1", 0), type("BoundHandler", (_Handler,), {"entra": entra})) as server:
        entra.host = f"localhost:{server.server_address[1]}"
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield entra
        finally:
            server.shutdown()
            thread.join()
