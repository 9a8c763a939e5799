"""Whether the watch of the resources is alive: when the API server was last heard of.

A watch may be silent for long and well all the same. But it is renewed: by the server after five minutes, by kopf
when neither a change nor a bookmark has come for a minute. So an answer to a list or watch is never older than some
minutes while all is well, whatever happens to the resources.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

import aiohttp

_GOOD: Final = range(200, 300)

__all__ = ["WatchHealth"]


class WatchHealth:
    """When the API server was last heard of. All methods belong to one event loop."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.ready = asyncio.Event()
        """Set while the resources are watched."""
        self.last_contact: float | None = None
        """Unix time of the last answer or change; None before watching has begun."""

    @property
    def watching(self) -> bool:
        """Whether the resources are watched, as far as this process can tell."""
        return self.ready.is_set()

    def contact(self) -> None:
        """The API server was heard of just now."""
        self.last_contact = self._clock()

    def tracing(self) -> aiohttp.TraceConfig:
        """What makes a session tell of every answer that it gets."""
        trace = aiohttp.TraceConfig()
        trace.on_request_end.append(self._answered)
        return trace

    async def _answered(self, _session: Any, _context: Any, answer: aiohttp.TraceRequestEndParams) -> None:
        if answer.response.status in _GOOD:
            self.contact()
