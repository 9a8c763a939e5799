"""``/healthz`` and ``/readyz``: are we stuck, and do we watch.

Never whether Azure is down: a restart would cure nothing there.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

from aiohttp import web

from vault_autoupdate.settings import Address

STUCK_AFTER: Final = 300.0
"""Seconds that a key may be due without being worked on. The event loop being alive is shown by any answer at all."""

__all__ = ["STUCK_AFTER", "HealthServer"]


class HealthServer:
    """Serves the two paths that a kubelet asks."""

    def __init__(self, address: Address, *, overdue: Callable[[], float], ready: Callable[[], bool]) -> None:
        self._address = address
        self._overdue = overdue
        self._ready = ready
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        self._runner = web.AppRunner(app, access_log=None)

    async def start(self) -> None:
        """Listen. Raises OSError when the address is taken."""
        await self._runner.setup()
        await web.TCPSite(self._runner, self._address.host, self._address.port).start()

    async def stop(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()

    async def _healthz(self, request: web.Request) -> web.Response:  # noqa: ARG002 - aiohttp's signature
        overdue = self._overdue()
        return _answer(overdue < STUCK_AFTER, {"oldestOverdueSeconds": round(overdue, 1)})

    async def _readyz(self, request: web.Request) -> web.Response:  # noqa: ARG002 - as above
        return _answer(self._ready(), {"watching": self._ready()})


def _answer(good: bool, facts: dict[str, object]) -> web.Response:
    return web.Response(status=200 if good else 503, text=json.dumps({"ok": good, **facts}) + "\n")
