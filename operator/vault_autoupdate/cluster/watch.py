"""kopf's part: watch the resources, and hand what it sees to the `Controller`. Decides nothing.

kopf keeps what it is good at: watching, reconnecting, logging in, signals. Handlers of changes, timers and
daemons are not used, nor is ``patch``: a failed status write would end a timer for good, and every resource
would get a finalizer and annotations that nobody asked for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import aiohttp

from vault_autoupdate.arm.deadline import cut_connections
from vault_autoupdate.cluster import hidden
from vault_autoupdate.cluster.calls import KubeCallObserver, tracing
from vault_autoupdate.cluster.connection import ClusterUnreadable, Connection
from vault_autoupdate.cluster.watch_health import WatchHealth
from vault_autoupdate.controller.controller import Controller
from vault_autoupdate.controller.queue import WorkQueue
from vault_autoupdate.controller.shards import ShardGate
from vault_autoupdate.model.resource import GROUP, PLURAL, POLICY_PLURAL, VERSION, ResourceKey

with hidden("kubernetes.client"):  # whose objects kopf would recognise: there are none here, and it takes time
    import kopf

if TYPE_CHECKING:  # it is loaded where policies are worked on, and nowhere else
    from vault_autoupdate.controller.policies import PolicyController

_GRACE: Final = 15.0
"""Seconds for passes to note where they are when the process ends; the pod's grace period is longer."""
_LAST_RESORT: Final = 25.0
"""Seconds after the signal, those included, for all to end; then kopf kills the process, before the kubelet does."""

_LISTED_AT_ONCE: Final = 500
"""Resources in one page of the first list, as kubectl asks for them: all of a fleet at once, with what Kubernetes notes
about each field, take several times the memory that is kept of them.
"""

_NEXT_PAGE: Final = 2.0
"""Seconds within which the next of them is seen."""

_LOGIN_PAUSE: Final = 5.0
"""Seconds until another try, where there is nothing to log in with."""

_WATCHING: Final = ("orchestration", "queueing", "running")
"""Modules of kopf that log the end of a watch, each with the whole traceback."""

log = logging.getLogger(__name__)

__all__ = ["PolicyWork", "VaultWork", "WatchLost", "watch"]


class WatchLost(ConnectionError):
    """The resources cannot be watched any more: their definition was removed, or the right to watch them."""


@dataclass(frozen=True)
class VaultWork:
    """What works on vaults."""

    controller: Controller
    gate: ShardGate
    """Is told what is seen, and tells the controller what of it is this shard's."""
    queue: WorkQueue[ResourceKey]
    """What is due."""


@dataclass(frozen=True)
class PolicyWork:
    """What works on policies."""

    controller: PolicyController
    queue: WorkQueue[ResourceKey]


async def watch(
    work: VaultWork,
    namespaces: tuple[str, ...],
    *,
    connection: Connection,
    health: WatchHealth,
    calls: KubeCallObserver,
    policies: PolicyWork | None = None,
    before_end: Callable[[], Awaitable[None]],
) -> None:
    """Watch the resources and work on them until the process is told to end.

    Args:
        work: works on what is seen.
        namespaces: to watch; none for all.
        connection: what to log in with, and again when that has ended.
        health: is told what the API server answers.
        calls: is told of every call.
        policies: works on policies, if that is wanted.
        before_end: ends what else was begun meanwhile: kopf waits for each task that it finds left over.

    Raises:
        WatchLost: kopf gave up. It cannot begin anew in the same process.
    """
    health.begin()
    await work.gate.begin()
    queues = [(work.queue, work.controller.work), *([(policies.queue, policies.controller.work)] if policies else ())]
    registry = kopf.OperatorRegistry()
    kopf.on.startup(registry=registry)(_configure)
    _log_in_by(registry, connection, health, calls)
    _watch_resources(registry, work, health)
    if policies:
        _watch_policies(registry, policies.controller, health)

    @kopf.on.cleanup(registry=registry)
    async def stop(**_: Any) -> None:
        # Not later: kopf cancels whatever was started since it began as soon as its own tasks have ended.
        log.info("stopping: passes under way note where they are")
        work.controller.stop()
        await before_end()
        await asyncio.gather(*(each.stop(_GRACE, give_up=cut_connections) for each, _ in queues))
        cut_connections()  # what is still read is of no use to anybody, and the end would wait for it

    _keep_tracebacks_out()
    working = [asyncio.create_task(each.run(do), name="work queue") for each, do in queues]
    working.append(asyncio.create_task(work.gate.run(), name="other shards"))
    try:
        await _run_kopf(registry, namespaces, health)
    except Exception as error:
        log.debug("kopf ended", exc_info=True)
        raise WatchLost(f"the watch of {PLURAL} ended for good: {type(error).__name__}: {error}") from error
    finally:
        health.ready.clear()
        for task in working:
            task.cancel()


async def _run_kopf(registry: kopf.OperatorRegistry, namespaces: tuple[str, ...], health: WatchHealth) -> None:
    await kopf.operator(
        registry=registry,
        # For peering, which is not used. Without, kopf asks for the user's name, and a uid may have none.
        identity=cast("Any", "vault-autoupdate"),
        standalone=True,
        clusterwide=not namespaces,
        namespaces=namespaces,
        ready_flag=health.ready,
    )


async def _configure(settings: kopf.OperatorSettings, **_: Any) -> None:
    settings.scanning.disabled = True  # no list of all CRDs and namespaces: less to grant
    settings.watching.chunk_size = _LISTED_AT_ONCE
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 310
    settings.watching.connect_timeout = 30
    settings.networking.request_timeout = 60
    settings.networking.connect_timeout = 10
    settings.networking.error_backoffs = _Backoffs()
    settings.queueing.idle_timeout = 0.1
    settings.posting.enabled = False  # Events are ours
    settings.persistence.diffbase_storage = _NothingToCompare()
    settings.process.ultimate_exiting_timeout = _LAST_RESORT


def _log_in_by(
    registry: kopf.OperatorRegistry, connection: Connection, health: WatchHealth, calls: KubeCallObserver
) -> None:
    """Have kopf log in as ``connection`` does. It asks at the start, and when its session is refused."""
    used_logins: int | None = None

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.AiohttpSession:
        nonlocal used_logins
        if used_logins is not None:
            try:
                await connection.log_in_again(used_logins)
            except ClusterUnreadable as error:
                raise kopf.TemporaryError(str(error), delay=_LOGIN_PAUSE) from error
        used_logins = connection.logins
        return await _session(connection, health, calls)


def _watch_resources(registry: kopf.OperatorRegistry, work: VaultWork, health: WatchHealth) -> None:
    listed = 0

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
    async def seen(event: Mapping[str, Any], **_: Any) -> None:
        nonlocal listed
        metadata = event["object"]["metadata"]
        health.contact(metadata["namespace"])
        if event["type"] == "DELETED":
            work.gate.on_delete(ResourceKey(metadata["namespace"], metadata["name"]), metadata["uid"])
            return
        is_listed = event["type"] is None
        work.gate.on_change(event["object"], initial=is_listed)
        listed += is_listed
        if is_listed and listed >= _LISTED_AT_ONCE:
            # A list has to be read within five minutes, or the API server knows its pages no more and kopf gives up.
            work.queue.go_slow(_NEXT_PAGE)


def _watch_policies(registry: kopf.OperatorRegistry, controller: PolicyController, health: WatchHealth) -> None:
    @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
    async def resource_seen(event: Mapping[str, Any], body: Mapping[str, Any], **_: Any) -> None:
        metadata = body["metadata"]
        if event["type"] == "DELETED":
            controller.on_resource_delete(ResourceKey(metadata["namespace"], metadata["name"]), metadata["uid"])
        else:
            controller.on_resource_change(body)

    @kopf.on.event(GROUP, VERSION, POLICY_PLURAL, registry=registry)
    async def policy_seen(event: Mapping[str, Any], body: Mapping[str, Any], **_: Any) -> None:
        metadata = body["metadata"]
        health.contact(metadata["namespace"])
        if event["type"] == "DELETED":
            controller.on_policy_delete(ResourceKey(metadata["namespace"], metadata["name"]), metadata["uid"])
        else:
            controller.on_policy_change(dict(body))


async def _session(connection: Connection, health: WatchHealth, calls: KubeCallObserver) -> kopf.AiohttpSession:
    """A session of the watch, with the login of ``connection``, that tells what the API server answers."""
    configuration = connection.configuration
    settings = await configuration.auth_settings()
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=connection.rest_client.ssl_context),
        headers={each["key"]: str(each["value"]) for each in settings.values()},
        proxy=configuration.proxy,
        trace_configs=[*health.tracing(), tracing(calls)],
    )
    return kopf.AiohttpSession(server=configuration.host, aiohttp_session=session)


def _keep_tracebacks_out() -> None:
    for name in _WATCHING:
        logging.getLogger(f"kopf._core.reactor.{name}").addFilter(_in_one_line)


def _in_one_line(record: logging.LogRecord) -> bool:
    """What ends kopf is raised too; its log lines say so without the traceback."""
    if "has failed" in record.getMessage():
        record.exc_info = None
    return True


class _NothingToCompare(kopf.DiffBaseStorage):
    """Keeps kopf from copying each object to compare it with the last one: no handler of ours asks for that."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        """Nothing of an object matters to kopf."""
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        """Nothing was stored."""
        return None

    def store(self, **_: Any) -> None:
        """Store nothing."""


class _Backoffs:
    """Pauses before another try at the API server: never giving up, never longer than half a minute."""

    def __iter__(self) -> Iterator[float]:
        pause = 0.5
        while True:
            yield pause
            pause = min(30.0, pause * 1.6)
