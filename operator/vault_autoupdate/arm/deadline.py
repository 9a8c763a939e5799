"""HTTP sessions in which an answer has to be there as a whole in time.

The read time-out of `requests` is for each piece: an answer whose headers or body arrive drop by drop keeps a thread
busy for as long as the other side likes. Here it begins with the answer and ends with it.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import socket
import time
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

__all__ = ["DeadlineAdapter", "deadline_session"]


class _TimedReader(io.RawIOBase):
    """Reads from a socket until a point in time."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, timeout: float) -> None:
        self._raw = raw
        self._sock = sock
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer took too long to arrive as a whole")
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # the connection may be used again, or be closed already
            self._sock.settimeout(self._timeout)
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        timeout = sock.gettimeout()
        if timeout is not None:
            reader: Any = self.fp
            self.fp = io.BufferedReader(_TimedReader(reader.detach(), sock, timeout))


class _Connection(HTTPConnection):
    response_class = _Response


class _TlsConnection(HTTPSConnection):
    response_class = _Response


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class DeadlineAdapter(HTTPAdapter):
    """Takes the read time-out for the answer as a whole."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools of direct connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """Make the pools of connections through a proxy."""
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
        return manager


def deadline_session() -> requests.Session:
    """A session all of whose answers have a deadline."""
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, DeadlineAdapter())
    return session
