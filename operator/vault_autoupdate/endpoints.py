"""What the process serves: ``/healthz`` and ``/readyz`` for the kubelet, ``/metrics`` for Prometheus.

Healthy means "not stuck", ready means "watching". Neither asks whether Azure is up: a restart would cure nothing
there. All of it is answered from the event loop, so that any answer at all shows that the loop turns.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.aiohttp import make_aiohttp_handler

from vault_autoupdate.settings import Address

STUCK_AFTER: Final = 300.0
"""Seconds that a resource may be due without being worked on."""

__all__ = ["STUCK_AFTER", "serve_health", "serve_metrics"]


@asynccontextmanager
async def serve_health(
    address: Address, *, overdue: Callable[[], float], ready: Callable[[], bool]
) -> AsyncIterator[None]:
    """Serve ``/healthz`` and ``/readyz``. Raises OSError when the address is taken."""

    async def healthz(_: web.Request) -> web.Response:
        seconds = overdue()
        return _answer({"oldestOverdueSeconds": round(seconds, 1)}, good=seconds < STUCK_AFTER)

    async def readyz(_: web.Request) -> web.Response:
        return _answer({"watching": ready()}, good=ready())

    async with _listen(address, {"/healthz": healthz, "/readyz": readyz}):
        yield


@asynccontextmanager
async def serve_metrics(address: Address, registry: CollectorRegistry) -> AsyncIterator[None]:
    """Serve ``/metrics``. Raises OSError when the address is taken."""
    async with _listen(address, {"/metrics": make_aiohttp_handler(registry)}):
        yield


@asynccontextmanager
async def _listen(address: Address, routes: dict[str, Callable[..., object]]) -> AsyncIterator[None]:
    app = web.Application()
    for path, handler in routes.items():
        app.router.add_get(path, handler)  # type: ignore[arg-type]  # prometheus-client types its handler loosely
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, address.host, address.port).start()
        yield
    finally:
        await runner.cleanup()


def _answer(facts: dict[str, object], *, good: bool) -> web.Response:
    return web.Response(status=200 if good else 503, text=json.dumps({"ok": good, **facts}) + "\n")
