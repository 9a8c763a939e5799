"""A proxy for https that notes whom it was asked to connect to."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

__all__ = ["Proxy", "open_proxy"]


@dataclass
class Proxy:
    """Where it is, and what it did."""

    url: str = ""
    targets: list[str] = field(default_factory=list)
    """Hosts and ports that it connected to, in the order of the requests."""


@contextmanager
def open_proxy(host: str) -> Iterator[Proxy]:
    """Run one on a free port of ``host``."""
    proxy = Proxy()

    class Tunnel(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            method, target, _ = self.rfile.readline().decode().split()
            while self.rfile.readline().strip():
                pass
            if method != "CONNECT":
                self.wfile.write(b"HTTP/1.1 405 Only CONNECT\r\n\r\n")
                return
            proxy.targets.append(target)
            address, _, port = target.rpartition(":")
            with socket.create_connection((address, int(port))) as there:
                self.wfile.write(b"HTTP/1.1 200 Connected\r\n\r\n")
                back = threading.Thread(target=_pump, args=(there, self.connection))
                back.start()
                _pump(self.connection, there)
                back.join()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Server((host, 0), Tunnel) as server:
        proxy.url = f"http://{host}:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
