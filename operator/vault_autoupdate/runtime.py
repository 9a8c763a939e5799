"""Puts the parts together: from settings to a running operator."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from vault_autoupdate import __version__
from vault_autoupdate.arm.activity import ActivityLogs
from vault_autoupdate.arm.identity.per_resource import Identities
from vault_autoupdate.arm.identity.process import certificate_expiry
from vault_autoupdate.cluster.child_writer import ChildWriter
from vault_autoupdate.cluster.connection import Connection, await_definition, connect
from vault_autoupdate.cluster.credentials import KubeLogins
from vault_autoupdate.cluster.lease import Leadership
from vault_autoupdate.cluster.listing import each_that_matters_to_shards
from vault_autoupdate.cluster.recognition import work_while_recognised
from vault_autoupdate.cluster.shard_presence import ShardPresence, lease_name
from vault_autoupdate.cluster.watch import PolicyWork, VaultWork, watch
from vault_autoupdate.cluster.watch_health import WatchHealth
from vault_autoupdate.cluster.writer import KubeWriter
from vault_autoupdate.controller.controller import Controller
from vault_autoupdate.controller.hints import HintObserver, HintWatch
from vault_autoupdate.controller.queue import WorkQueue
from vault_autoupdate.controller.shards import ShardGate
from vault_autoupdate.core import Core, open_core, utc_now
from vault_autoupdate.decide.shards import ShardRules
from vault_autoupdate.decide.tenancy import TenancyRules
from vault_autoupdate.http_server import serve_health, serve_metrics
from vault_autoupdate.metrics.collector import StateCollector
from vault_autoupdate.metrics.counters import Metrics
from vault_autoupdate.model.resource import POLICY_KIND, POLICY_PLURAL, ResourceKey
from vault_autoupdate.reconcile.looks import look_intervals
from vault_autoupdate.settings import Settings

_NAMESPACE_FILE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")

log = logging.getLogger(__name__)

__all__ = ["own_namespace", "run_operator"]


async def run_operator(settings: Settings) -> None:
    """Run until the process is told to end.

    Raises:
        InvalidSettings: the credential's variables are not complete.
        OSError: an address to listen on is taken.
        LeadershipLost: another replica may be leading; this process has to start anew.
        NotRecognised: the API server refuses this login, or cannot be trusted; likewise.
    """
    main = asyncio.current_task()
    if main is not None:  # until kopf runs, which has its own way to end
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, main.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        async with AsyncExitStack() as stack:
            metrics = Metrics(settings.shard)
            api = await stack.enter_async_context(connect(metrics.kube_call_finished))
            identity = f"{os.environ.get('POD_NAME') or socket.gethostname()}_{uuid.uuid4().hex[:8]}"
            leadership = _leadership(settings, api, identity)
            may_write = leadership.holds if settings.leader_elect else lambda: True
            metrics.leading_when(may_write)
            fetched = metrics.token_fetched
            core = stack.enter_context(
                open_core(settings, os.environ, calls=metrics, runs=metrics, token_fetched=fetched, may_write=may_write)
            )
            if expiry := certificate_expiry(settings, os.environ):
                metrics.credential_expires(expiry)
            writer = KubeWriter(api, instance=identity, may_write=may_write)

            async def work_on(work: Callable[[], Awaitable[None]]) -> None:
                await await_definition(api, settings.watch_namespaces)
                if settings.policies:
                    await await_definition(api, settings.watch_namespaces, POLICY_PLURAL)
                await (leadership.lead(work) if settings.leader_elect else work())

            identities = Identities(KubeLogins(api), settings, fetched=metrics.resource_token_fetched)
            policies = (
                _policy_work(settings, core, api, identities=identities, instance=identity, may_write=may_write)
                if settings.policies
                else None
            )
            await _run(
                settings,
                core,
                metrics,
                api=api,
                writer=writer,
                identities=identities,
                policies=policies,
                work_on=work_on,
                # A replica whose turn it is not is ready once it sees that another one works; with nobody at work it
                # has to show that it can.
                standing_by=leadership.follows,
            )


def _leadership(settings: Settings, api: Connection, identity: str) -> Leadership:
    namespace = settings.lease_namespace or own_namespace()
    name = lease_name(settings.lease_name, settings.shard)
    return Leadership(api, namespace=namespace, name=name, identity=identity)


def _policy_work(
    settings: Settings,
    core: Core,
    api: Connection,
    *,
    identities: Identities,
    instance: str,
    may_write: Callable[[], bool],
) -> PolicyWork:
    """What works on policies beside what works on vaults."""
    from vault_autoupdate.controller.policies import PolicyController  # noqa: PLC0415 - see `Core.policies`

    queue: WorkQueue[ResourceKey] = WorkQueue()
    controller = PolicyController(
        reconciler=core.policies,
        children=ChildWriter(api, settings.watch_namespaces, may_write=may_write),
        writer=KubeWriter(api, instance=instance, may_write=may_write, plural=POLICY_PLURAL, kind=POLICY_KIND),
        wake=queue.add,
        now=utc_now,
        rules=_tenancy(settings),
        tokens_for=identities.tokens_for,
    )
    return PolicyWork(controller, queue)


async def _run(
    settings: Settings,
    core: Core,
    metrics: Metrics,
    *,
    api: Connection,
    writer: KubeWriter,
    identities: Identities,
    policies: PolicyWork | None,
    work_on: Callable[[Callable[[], Awaitable[None]]], Awaitable[None]],
    standing_by: Callable[[], bool],
) -> None:
    """Serve health and metrics, and work when ``work_on`` says so: at once, or while this replica leads."""
    queue: WorkQueue[ResourceKey] = WorkQueue()
    rules = ShardRules(_tenancy(settings))
    controller = _controller(core, writer, metrics, identities, rules, wake=queue.add)
    gate = _gate(settings, api, controller, rules)
    hints = watch_for_hints(core, controller, metrics)
    health = WatchHealth(settings.watch_namespaces)
    standing = StateCollector(
        controller,
        queue,
        core.throttle,
        health,
        writer.health,
        now=utc_now,
        policies=policies.controller.policies if policies else None,
        look_intervals=look_intervals(core.timing),
        logs=hints.logs,
    )
    page = metrics.page(standing.snapshot, per_resource=settings.resource_metrics)

    async def work() -> None:
        calls = metrics.kube_call_finished
        async with hints:
            await watch(
                VaultWork(controller, gate, queue),
                settings.watch_namespaces,
                connection=api,
                health=health,
                calls=calls,
                policies=policies,
                before_end=hints.stop,
            )

    async with (
        serve_health(
            settings.health_address,
            overdue=lambda: queue.oldest_overdue,
            writes_refused=lambda: writer.health.refused_for({key.namespace for key in controller.resources}),
            ready=lambda: health.watching or standing_by(),
            not_watched=lambda: health.refused,
        ),
        serve_metrics(settings, page),
    ):
        log.info("vault-autoupdate %s: ARM at %s", __version__, settings.arm_endpoint)
        await work_while_recognised(work_on(work), health.recognition, api.recognition)


def _tenancy(settings: Settings) -> TenancyRules:
    return TenancyRules(settings.vault_scopes, settings.resource_credentials, settings.shard)


def _gate(settings: Settings, api: Connection, controller: Controller, rules: ShardRules) -> ShardGate:
    """What lets through what is of this process's shard."""
    namespace = settings.lease_namespace or own_namespace()
    return ShardGate(
        rules,
        controller,
        ShardPresence(api, namespace=namespace, base=settings.lease_name),
        listed=lambda: each_that_matters_to_shards(api, settings.watch_namespaces, settings.shard),
    )


def _controller(
    core: Core,
    writer: KubeWriter,
    metrics: Metrics,
    identities: Identities,
    rules: ShardRules,
    *,
    wake: Callable[[ResourceKey, float], None],
) -> Controller:
    settings = core.settings
    return Controller(
        reconciler=core.reconciler,
        writer=writer,
        timing=core.timing,
        observer=metrics,
        wake=wake,
        startup_spread=settings.startup_spread,
        paused_for=core.paused_for,
        on_first_seen=core.remember_writes,
        now=utc_now,
        rules=rules,
        tokens_of=identities.tokens_of,
    )


def watch_for_hints(core: Core, controller: Controller, observer: HintObserver) -> HintWatch:
    """What reads the activity logs while it is entered, as far as the settings want that."""
    client, settings = core.site_recovery.client, core.settings
    return HintWatch(
        logs=ActivityLogs(client),
        own_writes=client.own_writes,
        controller=controller,
        mode=settings.hints,
        interval=settings.hint_interval,
        has_plenty=core.has_plenty,
        observer=observer,
        now=utc_now,
    )


def own_namespace() -> str:
    """The namespace of the pod that this runs in; ``default`` outside of one."""
    try:
        return _NAMESPACE_FILE.read_text().strip() or "default"
    except OSError:
        return "default"
