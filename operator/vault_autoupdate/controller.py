"""kopf's part: watch the resources, and hand what it sees to the `Fleet`. Decides nothing.

kopf keeps what it is good at: watching, reconnecting, logging in, signals. Handlers of changes, timers and
daemons are not used, nor is ``patch``: a failed status write would end a timer for good, and every resource
would get a finalizer and annotations that nobody asked for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from typing import Any, Final

import kopf

from vault_autoupdate.api import GROUP, PLURAL, VERSION, ResourceKey
from vault_autoupdate.fleet import Fleet
from vault_autoupdate.queue import WorkQueue

_GRACE: Final = 15.0
"""Seconds for passes to note where they are when the process ends; the pod's grace period is longer."""

log = logging.getLogger(__name__)

__all__ = ["watch"]


async def watch(
    fleet: Fleet, queue: WorkQueue[ResourceKey], namespaces: tuple[str, ...], *, ready: asyncio.Event
) -> None:
    """Watch the resources and work on them until the process is told to end."""
    registry = kopf.OperatorRegistry()

    @kopf.on.startup(registry=registry)
    async def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.scanning.disabled = True  # no list of all CRDs and namespaces: less to grant
        settings.watching.server_timeout = 300
        settings.watching.client_timeout = 310
        settings.watching.connect_timeout = 30
        settings.networking.request_timeout = 60
        settings.networking.connect_timeout = 10
        settings.networking.error_backoffs = _Backoffs()
        settings.queueing.idle_timeout = 0.1
        settings.posting.enabled = False  # Events are ours
        settings.process.ultimate_exiting_timeout = 25

    @kopf.on.login(registry=registry)
    async def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_via_client(**kwargs)  # the official client: in a pod, by kubeconfig, with exec plugins

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
    async def seen(event: Mapping[str, Any], body: Mapping[str, Any], **_: Any) -> None:
        if event["type"] == "DELETED":
            fleet.gone(ResourceKey(body["metadata"]["namespace"], body["metadata"]["name"]))
        else:
            fleet.seen(dict(body), initial=event["type"] is None)

    @kopf.on.cleanup(registry=registry)
    async def stop(**_: Any) -> None:
        # Not later: kopf cancels whatever was started since it began as soon as its own tasks have ended.
        log.info("stopping: passes under way note where they are")
        fleet.stop()
        await queue.stop(_GRACE)

    working = asyncio.create_task(queue.run(), name="work queue")
    try:
        await kopf.operator(
            registry=registry,
            standalone=True,
            clusterwide=not namespaces,
            namespaces=namespaces,
            ready_flag=ready,
        )
    finally:
        working.cancel()


class _Backoffs:
    """Pauses before another try at the API server: never giving up, never longer than half a minute."""

    def __iter__(self) -> Iterator[float]:
        pause = 0.5
        while True:
            yield pause
            pause = min(30.0, pause * 1.6)
