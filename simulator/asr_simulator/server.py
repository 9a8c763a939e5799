"""Serving a simulator: as an aiohttp application, in the running loop, or in a thread of its own."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from asr_simulator.clock import Clock
from asr_simulator.control import Control
from asr_simulator.control_client import ControlClient
from asr_simulator.gateway import Gateway
from asr_simulator.scenario import Scenario
from asr_simulator.world import World

WORLD: web.AppKey[World] = web.AppKey("world", World)
_START_SECONDS = 10.0

__all__ = ["WORLD", "SimulatorThread", "Tls", "create_app", "start", "stop"]


@dataclass(frozen=True)
class Tls:
    """Certificate (with its chain, if any) and private key of the server, as PEM files."""

    certificate: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """Load them; raises `OSError`, of which `ssl.SSLError` is one, when they cannot be used."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


def create_app(scenario: Scenario, *, clock: Clock | None = None) -> web.Application:
    """Make the application; its state is ``app[WORLD]``."""
    return _application(World(scenario, clock))


def _application(world: World) -> web.Application:
    app = web.Application()
    app[WORLD] = world
    app.add_routes(Control(world).routes())
    app.router.add_route("*", "/{path:.*}", Gateway(world).handle)
    return app


async def start(
    app: web.Application, host: str, port: int, tls: ssl.SSLContext | None = None
) -> tuple[web.AppRunner, int]:
    """Listen; returns the runner, to be cleaned up, and the port (a free one for 0)."""
    # A request whose client has gone is dropped: else a hanging one would outlive everything.
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, host, port, ssl_context=tls).start()
    bound: int = runner.addresses[0][1]
    return runner, bound


async def stop(runner: web.AppRunner) -> None:
    """Close the port and all connections, without waiting for clients to say goodbye, as TLS would have it."""
    server = runner.server
    if server is None:
        return
    transports = {connection.transport for connection in server.connections}  # which they forget when they are closed
    await runner.cleanup()
    for _ in range(3):  # rounds of the loop: it closes the sockets of aborted connections, and has some to take up
        transports |= {connection.transport for connection in server.connections}
        for transport in filter(None, transports):
            transport.abort()
        await asyncio.sleep(0)


class SimulatorThread:
    """A simulator on a free loopback port, for tests: ``with SimulatorThread(scenario) as sim: sim.url``.

    ``world`` is the live state. Read it freely, but change it through ``control`` only: it belongs to the thread.
    A stopped simulator can be started again: on the same port, with the state that it had.
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        clock: Clock | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: Tls | None = None,
    ) -> None:
        self.scenario = scenario
        self.world = World(scenario, clock)
        self.port = port
        self._host = host
        self._tls = tls
        self._running: tuple[asyncio.AbstractEventLoop, threading.Thread] | None = None
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Base URL, without a trailing slash."""
        return f"{'http' if self._tls is None else 'https'}://{self._host}:{self.port}"

    @property
    def control(self) -> ControlClient:
        """A client of the control endpoint."""
        return ControlClient(self.url, certificate=None if self._tls is None else self._tls.certificate)

    @property
    def identity_env(self) -> dict[str, str]:
        """Environment by which Microsoft's managed identity client finds the token endpoint."""
        return {"IDENTITY_ENDPOINT": f"{self.url}/msi/token", "IDENTITY_HEADER": self.scenario.identity.secret}

    def start(self) -> Self:
        """Start to serve; returns when the port is open."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="asr-simulator", daemon=True)
        thread.start()
        self._running = (loop, thread)
        try:
            context = None if self._tls is None else self._tls.context()
            self._runner, self.port = _wait(start(_application(self.world), self._host, self.port, context), loop)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Close the port and end the thread; no harm when it is not running."""
        if self._running is None:
            return
        (loop, thread), self._running = self._running, None
        if self._runner is not None:
            _wait(stop(self._runner), loop)
            self._runner = None
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _wait(work: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop) -> Any:
    return asyncio.run_coroutine_threadsafe(work, loop).result(_START_SECONDS)
