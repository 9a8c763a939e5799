"""HTTP sessions in which an answer has to be there as a whole in time, and neighbours are reached without a proxy.

The read time-out of `requests` is for each piece: an answer whose headers or body arrive drop by drop keeps a thread
busy for as long as the other side likes. Here it begins with the answer and ends with it, for every URL: adapters are
mounted by scheme, since one for a host would miss the same host spelt otherwise (``:443``, a user before an ``@``).
"""

from __future__ import annotations

import contextlib
import http.client
import io
import socket
import time
import weakref
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

_NO_PROXY: Final = {"no_proxy": "*"}

_open: weakref.WeakSet[HTTPConnection] = weakref.WeakSet()
"""Connections that were made, as far as they are still there."""

__all__ = ["DeadlineAdapter", "DeadlineSession", "cut_connections"]


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

    def connect(self) -> None:
        super().connect()
        _open.add(self)


class _TlsConnection(HTTPSConnection):
    response_class = _Response

    def connect(self) -> None:
        super().connect()
        _open.add(self)


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


class DeadlineSession(requests.Session):
    """A session all of whose answers have a deadline.

    What is on this machine or its own link (an endpoint for tests, the identity endpoints of Azure) is called directly:
    what ``HTTP_PROXY`` names could not reach it, and would be shown the token.
    """

    def __init__(self, *, connections: int = 10) -> None:
        """Mount the adapters.

        Args:
            connections: to keep open for each host.
        """
        super().__init__()
        for scheme in ("http://", "https://"):
            self.mount(scheme, DeadlineAdapter(pool_maxsize=connections))

    def connections_to(self, endpoint: str) -> tuple[HTTPConnectionPool, str]:
        """The connections to ``endpoint``, for who calls it again and again, and what goes before a path on them.

        For each call by itself `requests` reads the whole environment, and prepares and wraps the call; what that costs
        stands in docs/performance.md. A pool belongs to one host: what is sent on it cannot go elsewhere.

        Raises:
            OSError: there is no such way: a proxy that is none, or no bundle of certificates where one is named.
        """
        way: Any = self.merge_environment_settings(endpoint, {}, None, None, None)
        adapter: Any = self.get_adapter(endpoint)
        request = requests.Request("GET", endpoint).prepare()
        pool = adapter.get_connection_with_tls_context(request, way["verify"], way["proxies"], way["cert"])
        adapter.cert_verify(pool, endpoint, way["verify"], way["cert"])
        # A proxy is sent the whole URL unless there is a tunnel, as there is whenever the endpoint has TLS.
        is_whole = adapter.request_url(request, way["proxies"]).startswith("http")
        return pool, endpoint if is_whole else urlsplit(endpoint).path

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """Take the settings for ``url`` from the environment, proxies for neighbours aside."""
        direct = dict(_NO_PROXY) if _is_neighbour(url) else proxies
        return super().merge_environment_settings(url, direct, stream, verify, cert)


def cut_connections() -> None:
    """Cut all connections: who waits for an answer learns that there will be none. For the end of the process."""
    for connection in list(_open):
        if (sock := connection.sock) is not None:
            with contextlib.suppress(OSError):  # it ended by itself
                # Not the TLS socket's own method, which would take the TLS away under the thread that reads.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _is_neighbour(url: str | bytes) -> bool:
    """Whether a URL leads to this machine, or to its own link, where IMDS (169.254.169.254) is."""
    host = urlsplit(url if isinstance(url, str) else url.decode()).hostname or ""
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_link_local
