"""Accepts connections within bounds, so that whoever reaches a port cannot use the process up.

A connection answers one request. It is closed when the request is not there, or the answer not taken, within a time;
there are so many at a time, and so many from one address: the neighbour who opens more than that shuts out itself.
All of it counts from the moment when a connection is accepted, an unfinished TLS handshake included. What cannot be
accepted at all (no file descriptors are left) is said once, and not at every try.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

_BACKLOG: Final = 128
_ACCEPT_PAUSE: Final = 1.0
"""Seconds before the next try after a connection could not be accepted."""

log = logging.getLogger(__name__)

__all__ = ["Bounds", "listen"]

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Bounds:
    """What one listener puts up with. Times in seconds."""

    connections: int = 128
    """At the same time."""
    of_one_address: int = 32
    """At the same time, from one address."""
    request_time: float = 5.0
    """From a connection to the end of its request's header, the TLS handshake included."""
    answer_time: float = 30.0
    """From there until the answer has been made and taken."""


@asynccontextmanager
async def listen(
    host: str, port: int, handler: Handler, *, tls: ssl.SSLContext | None = None, bounds: Bounds | None = None
) -> AsyncIterator[None]:
    """Serve ``handler`` at an address, and close all connections at the end.

    Args:
        host: the address, or a name of it.
        port: the port.
        handler: answers a request.
        tls: the certificate; None for plain http.
        bounds: what connections keep to; None for the usual ones.

    Raises:
        OSError: the address is taken, or none of this machine's.
    """
    sockets = await _bind(host, port)
    listener = _Listener(handler, tls, bounds or Bounds())
    accepting = [asyncio.create_task(listener.accept(each), name=f"accept at {host}:{port}") for each in sockets]
    try:
        yield
    finally:
        for task in accepting:
            task.cancel()
        await asyncio.gather(*accepting, return_exceptions=True)
        for each in sockets:
            each.close()
        await listener.close()


async def _bind(host: str, port: int) -> list[socket.socket]:
    """A listening socket for each address that ``host`` stands for."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    try:
        for family, address in dict.fromkeys((each[0], each[4]) for each in found):
            both = address[0] == "::" and socket.has_dualstack_ipv6()  # as everybody else understands `[::]`
            sockets.append(socket.create_server(address[:2], family=family, backlog=_BACKLOG, dualstack_ipv6=both))
            sockets[-1].settimeout(0)
    except OSError:
        for each in sockets:
            each.close()
        raise
    return sockets


class _Listener:
    """The connections of one address, and what they may take."""

    def __init__(self, handler: Handler, tls: ssl.SSLContext | None, bounds: Bounds) -> None:
        self._handler = handler
        self._tls = tls
        self._bounds = bounds
        self._http = web.Server(self._answer, access_log=None)
        self._open: dict[asyncio.Task[None], str] = {}
        """Connections and the addresses that they come from."""
        self._deadlines: dict[object, asyncio.Timeout] = {}
        """By aiohttp's part of a connection: when it is closed."""
        self._troubled = False
        """Whether the last try to accept a connection failed."""

    async def accept(self, listening: socket.socket) -> None:
        """Take in connections for ever."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, peer = await loop.sock_accept(listening)
            except OSError as error:
                if not self._troubled:
                    log.warning("connections cannot be accepted, tried again each second: %s", error)
                self._troubled = True
                await asyncio.sleep(_ACCEPT_PAUSE)
                continue
            self._troubled = False
            self._admit(connection, str(peer[0]))

    def _admit(self, connection: socket.socket, address: str) -> None:
        """Serve a connection if there is room for it, else close it."""
        if (
            len(self._open) >= self._bounds.connections
            or Counter(self._open.values())[address] >= self._bounds.of_one_address
        ):
            connection.close()
            return
        task = asyncio.create_task(self._serve(connection), name=f"connection from {address}")
        self._open[task] = address
        task.add_done_callback(lambda done: self._open.pop(done, None))

    async def _serve(self, connection: socket.socket) -> None:
        """Answer the request of one connection in time, or close it."""
        loop = asyncio.get_running_loop()
        http = self._http()
        wrapped = _Closing(http)
        transport: asyncio.Transport | None = None
        try:
            async with asyncio.timeout(self._bounds.request_time) as deadline:
                self._deadlines[http] = deadline
                transport, _ = await loop.connect_accepted_socket(
                    lambda: wrapped,
                    connection,
                    ssl=self._tls,
                    ssl_handshake_timeout=self._bounds.request_time if self._tls else None,
                    ssl_shutdown_timeout=1.0 if self._tls else None,
                )
                await wrapped.closed.wait()
        except (TimeoutError, OSError):  # too slow, or no TLS at all: theirs to mend
            log.debug("a connection was closed before it was answered", exc_info=True)
        finally:
            self._deadlines.pop(http, None)
            if transport is not None:
                transport.abort()
            connection.close()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """The header is there: from now on, the time for the answer counts."""
        if (deadline := self._deadlines.get(request.protocol)) is not None:
            deadline.reschedule(asyncio.get_running_loop().time() + self._bounds.answer_time)
        response = await self._handler(request)
        response.force_close()
        return response

    async def close(self) -> None:
        """Close all connections."""
        for task in (tasks := list(self._open)):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            await self._http.shutdown(1.0)


class _Closing(asyncio.Protocol):
    """aiohttp's part of a connection, and a word when the connection has gone."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()
        self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._inner.data_received(data)

    def eof_received(self) -> None:
        self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()
