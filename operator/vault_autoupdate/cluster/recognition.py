"""Since when the API server and this process do not know each other: a login that ended, or another authority.

Neither passes by waiting, and a watch or a write that is refused looks like silence to everybody else. So the process
ends when that has gone on for some minutes: the next one logs in and reads the authority's certificate from the start.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, Final

import aiohttp

from vault_autoupdate.model import bounds
from vault_autoupdate.model.durations import format_duration
from vault_autoupdate.model.text import clean

UNAUTHORIZED: Final = 401
_LIMIT: Final = timedelta(minutes=5)
"""For how long a login that was refused, or a certificate that is not trusted, may come right by itself."""
_LOOK: Final = 5.0
"""Seconds between two looks at that."""
_NOT_TRUSTED: Final = (aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError, ssl.SSLCertVerificationError)

__all__ = ["UNAUTHORIZED", "NotRecognised", "Recognition", "work_while_recognised"]


class NotRecognised(ConnectionError):
    """The API server has refused this process for minutes, or cannot be trusted any more: begin anew."""


class Recognition:
    """What one connection has come to know about that. All methods belong to one event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: float | None = None
        self.problem = ""
        """What the last refusal said, in words."""

    @property
    def refused_for(self) -> float:
        """Seconds since the first of the refusals that nothing else came in between; 0 without any."""
        return 0.0 if self._since is None else self._clock() - self._since

    def accepted(self) -> None:
        """The API server answered, and knew who asked."""
        self._since, self.problem = None, ""

    def refused(self, problem: str) -> None:
        """The API server did not know who asked, or could not be trusted."""
        self.problem = problem
        if self._since is None:
            self._since = self._clock()

    def tracing(self) -> aiohttp.TraceConfig:
        """What makes a session tell of every answer that it gets, and of those that it could not trust."""
        trace = aiohttp.TraceConfig()
        trace.on_request_end.append(self._answered)
        trace.on_request_exception.append(self._failed)
        return trace

    async def _answered(self, _session: Any, _context: Any, answer: aiohttp.TraceRequestEndParams) -> None:
        if answer.response.status == UNAUTHORIZED:
            self.refused(f"{UNAUTHORIZED} {clean(answer.response.reason, 100)}")
        else:
            self.accepted()

    async def _failed(self, _session: Any, _context: Any, failure: aiohttp.TraceRequestExceptionParams) -> None:
        if isinstance(failure.exception, _NOT_TRUSTED):
            self.refused(clean(failure.exception, bounds.SAID))


async def work_while_recognised(work: Awaitable[None], *connections: Recognition) -> None:
    """Do ``work`` until it is done, or one of ``connections`` has been refused for minutes.

    Raises:
        NotRecognised: that one has, and the work was cancelled.
    """
    working = asyncio.ensure_future(work)
    guarding = asyncio.create_task(_until_not_recognised(connections), name="guard the login")
    try:
        await asyncio.wait({working, guarding}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            await guarding
        await working
    finally:
        working.cancel()
        guarding.cancel()
        await asyncio.gather(working, guarding, return_exceptions=True)


async def _until_not_recognised(connections: Sequence[Recognition]) -> None:
    while True:
        await asyncio.sleep(_LOOK)
        for each in connections:
            if each.refused_for >= _LIMIT.total_seconds():
                raise NotRecognised(
                    "the API server has refused this login, or could not be trusted, for more than "
                    f"{format_duration(_LIMIT)}: {each.problem}"
                )
