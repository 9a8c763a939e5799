"""kopf's part: watch the resources, and hand what it sees to the `Controller`. Decides nothing.

kopf keeps what it is good at: watching, reconnecting, logging in, signals. Handlers of changes, timers and
daemons are not used, nor is ``patch``: a failed status write would end a timer for good, and every resource
would get a finalizer and annotations that nobody asked for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from typing import Any, Final

import aiohttp
import kopf

from vault_autoupdate.cluster.calls import KubeCallObserver, tracing
from vault_autoupdate.cluster.watch_health import WatchHealth
from vault_autoupdate.controller.controller import Controller
from vault_autoupdate.controller.queue import WorkQueue
from vault_autoupdate.model.resource import GROUP, PLURAL, VERSION, ResourceKey

_GRACE: Final = 15.0
"""Seconds for passes to note where they are when the process ends; the pod's grace period is longer."""

_WATCHING: Final = ("orchestration", "queueing", "running")
"""Modules of kopf that log the end of a watch, each with the whole traceback."""

log = logging.getLogger(__name__)

__all__ = ["WatchLost", "watch"]


class WatchLost(ConnectionError):
    """The resources cannot be watched any more: their definition was removed, or the right to watch them."""


async def watch(
    controller: Controller,
    queue: WorkQueue[ResourceKey],
    namespaces: tuple[str, ...],
    *,
    health: WatchHealth,
    calls: KubeCallObserver,
) -> None:
    """Watch the resources and work on them until the process is told to end.

    Args:
        controller: takes in what is seen.
        queue: hands out what is due.
        namespaces: to watch; empty for all.
        health: is told whenever the API server is heard of.
        calls: is told of every call.

    Raises:
        WatchLost: kopf gave up. It cannot begin anew in the same process.
    """
    health.contact()
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
    async def login(**kwargs: Any) -> kopf.AiohttpSession | None:
        # Through the official client: in a pod, by kubeconfig, with exec plugins.
        info = kopf.login_via_client(**kwargs)
        return _session(info, health, calls) if info else None

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
    async def seen(event: Mapping[str, Any], body: Mapping[str, Any], **_: Any) -> None:
        health.contact()
        if event["type"] == "DELETED":
            metadata = body["metadata"]
            controller.on_delete(ResourceKey(metadata["namespace"], metadata["name"]), metadata["uid"])
        else:
            controller.on_change(dict(body), initial=event["type"] is None)

    @kopf.on.cleanup(registry=registry)
    async def stop(**_: Any) -> None:
        # Not later: kopf cancels whatever was started since it began as soon as its own tasks have ended.
        log.info("stopping: passes under way note where they are")
        controller.stop()
        await queue.stop(_GRACE)

    for name in _WATCHING:
        logging.getLogger(f"kopf._core.reactor.{name}").addFilter(_in_one_line)
    working = asyncio.create_task(queue.run(), name="work queue")
    try:
        await kopf.operator(
            registry=registry,
            standalone=True,
            clusterwide=not namespaces,
            namespaces=namespaces,
            ready_flag=health.ready,
        )
    except Exception as error:
        log.debug("kopf ended", exc_info=True)
        raise WatchLost(f"the watch of {PLURAL} ended for good: {type(error).__name__}: {error}") from error
    finally:
        health.ready.clear()
        working.cancel()


def _session(info: kopf.ConnectionInfo, health: WatchHealth, calls: KubeCallObserver) -> kopf.AiohttpSession:
    """What kopf would make of ``info``, and one that tells when the API server answers."""
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=info.as_ssl_context()),
        headers=info.as_http_headers(),
        proxy=info.proxy_url,
        trust_env=info.trust_env,
        trace_configs=[health.tracing(), tracing(calls)],
    )
    return kopf.AiohttpSession(
        server=info.server,
        aiohttp_session=session,
        default_namespace=info.default_namespace,
        priority=info.priority,
        expiration=info.expiration,
    )


def _in_one_line(record: logging.LogRecord) -> bool:
    """What ends kopf is raised too; its log lines say so without the traceback."""
    if "has failed" in record.getMessage():
        record.exc_info = None
    return True


class _Backoffs:
    """Pauses before another try at the API server: never giving up, never longer than half a minute."""

    def __iter__(self) -> Iterator[float]:
        pause = 0.5
        while True:
            yield pause
            pause = min(30.0, pause * 1.6)
