"""``/metrics``: one page at a time, made aside from the event loop, and shown for a moment to all who ask.

What belongs to the event loop is read there, in slices of about a millisecond; all else (adding up, writing,
compressing) is a thread's work. A thread shares the interpreter with the loop, so it has to be cheap as well. A page is
shown again for ten times as long as it took to make, which is nothing for a few resources and seconds for thousands:
whatever asks, at most a tenth of a core makes pages.
"""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from vault_autoupdate.http_server import RenderedPage
from vault_autoupdate.metrics.collector import Snapshot
from vault_autoupdate.metrics.resource_series import write_resources
from vault_autoupdate.metrics.totals import total_of

_SHOWN_FOR: Final = 10.0
"""Times as long as it took to make a page, it is shown again."""
_LONGEST_SHOWN: Final = 5.0
"""Seconds after which a page is made anew in any case."""
_COMPRESSION: Final = 1

_now = time.monotonic

__all__ = ["Page", "write_page"]


class Page:
    """Makes ``/metrics``. Implements `MetricsPage`; belongs to the event loop."""

    def __init__(
        self, counted: CollectorRegistry, snapshot: Callable[[], Awaitable[Snapshot]], *, per_resource: bool
    ) -> None:
        """Prepare for pages.

        Args:
            counted: what is counted as it happens.
            snapshot: reads what stands.
            per_resource: whether there are series about each resource.
        """
        self._counted = counted
        self._snapshot = snapshot
        self._per_resource = per_resource
        self._making: asyncio.Task[RenderedPage] | None = None
        self._shown_until = float("-inf")

    async def render(self) -> RenderedPage:
        """The page of this instant, or of a moment ago. Who asks while one is made waits for that one."""
        made = self._making
        if made is None or (made.done() and (made.exception() or _now() > self._shown_until)):
            made = self._making = asyncio.create_task(self._make(), name="make /metrics")
        return await asyncio.shield(made)

    async def _make(self) -> RenderedPage:
        began = _now()
        snapshot = await self._snapshot()
        page = await asyncio.to_thread(write_page, self._counted, snapshot, per_resource=self._per_resource)
        ended = _now()
        self._shown_until = ended + min(_LONGEST_SHOWN, _SHOWN_FOR * (ended - began))
        return page


def write_page(counted: CollectorRegistry, snapshot: Snapshot, *, per_resource: bool) -> RenderedPage:
    """Write a page, and compress it. For a thread.

    Args:
        counted: what is counted as it happens.
        snapshot: what stands.
        per_resource: whether there are series about each resource.
    """
    families = [*total_of(snapshot.resources, snapshot.at, snapshot.look_intervals).families(), *snapshot.others]
    standing = CollectorRegistry()
    standing.register(_Given(families))
    parts = [generate_latest(counted), generate_latest(standing)]
    if per_resource:
        parts.append(write_resources(snapshot.resources).encode())
    text = b"".join(parts)
    return RenderedPage(text, gzip.compress(text, _COMPRESSION))


class _Given(Collector):
    """Families that are there already, as a registry asks for them."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Sequence[Metric]:
        return self._families
