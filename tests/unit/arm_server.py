"""A small HTTP server on this machine that does what a test tells it, and notes what it was asked."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["ArmServer", "Exchange", "Seen", "open_server"]


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes


class Exchange(BaseHTTPRequestHandler):
    """One request and the means to answer it, well or badly."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    arm: ArmServer

    def handle_any(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.arm.seen.append(Seen(self.command, self.path, headers, self.rfile.read(length)))
        self.arm.connections.add(self.client_address)
        self.arm.answer(self)

    do_GET = do_PATCH = do_POST = handle_any  # noqa: N815 - names that http.server looks for

    def reply(self, status: int = 200, body: bytes = b"{}", /, **headers: str) -> None:
        """Send a complete answer; underscores in the names of headers stand for hyphens."""
        self.send_response(status)
        for name, value in {"Content_Type": "application/json", "Content_Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def begin(self, **headers: str) -> None:
        """Send the head of an answer whose body comes piece by piece."""
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def reset(self) -> None:
        """End the connection as a crash does."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def trickle(self, piece: bytes) -> None:
        """Send the same piece again and again until the other side has had enough."""
        try:
            while not self.arm.closing.wait(0.02):
                self.wfile.write(piece)
                self.wfile.flush()
        except OSError:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that http.server uses
        pass


@dataclass
class ArmServer:
    """What the server was asked, and how it answers."""

    url: str = ""
    answer: Callable[[Exchange], None] = Exchange.reply
    seen: list[Seen] = field(default_factory=list)
    connections: set[Any] = field(default_factory=set)
    closing: threading.Event = field(default_factory=threading.Event)


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle is what some of the tests are about."""


@contextmanager
def open_server(tls: ssl.SSLContext | None = None) -> Iterator[ArmServer]:
    """Serve on a free port of this machine, over TLS if there is a context for it."""
    arm = ArmServer()
    handler = type("BoundExchange", (Exchange,), {"arm": arm})
    with _Server(("127.0.0.1", 0), handler) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        arm.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield arm
        finally:
            arm.closing.set()
            server.shutdown()
            thread.join()
