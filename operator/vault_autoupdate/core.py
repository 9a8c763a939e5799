"""What works on vaults, put together from settings: for the operator, and for the command line without a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Final

from vault_autoupdate.arm.client import ArmClient, CallObserver
from vault_autoupdate.arm.identity.process import make_credential
from vault_autoupdate.arm.identity.tokens import TokenSource
from vault_autoupdate.arm.session import ArmSession
from vault_autoupdate.arm.site_recovery import SiteRecovery
from vault_autoupdate.arm.throttle import CallKind, Throttle
from vault_autoupdate.decide.state import VaultState
from vault_autoupdate.model.limits import Limit
from vault_autoupdate.model.quota import Caller
from vault_autoupdate.model.resource import VaultAutoUpdate
from vault_autoupdate.reconcile.context import RunObserver, Timing
from vault_autoupdate.reconcile.reconciler import Reconciler
from vault_autoupdate.settings import Settings

if TYPE_CHECKING:
    from vault_autoupdate.discovery.reconciler import PolicyReconciler

_DISCOVERY_CONNECTIONS: Final = 20
_DISCOVERY_READS: Final = (Limit(25, 5.0),)
"""For each subscription: far below what Resource Manager allows."""
_QUERIES: Final = (Limit(10, 5.0),)
_CLOUDS_WITH_GRAPH: Final = frozenset({"AzurePublic", "AzureChina"})
"""Where Resource Graph is documented; elsewhere lists are read."""

__all__ = ["Core", "open_core", "utc_now"]


@dataclass(frozen=True)
class Core:
    """What both the operator and the command line need."""

    settings: Settings
    throttle: Throttle
    reconciler: Reconciler
    site_recovery: SiteRecovery
    timing: Timing
    lists: ArmClient
    """Finds vaults by the lists of Resource Manager."""
    graph: ArmClient
    """Finds them by Resource Graph."""

    @cached_property
    def policies(self) -> PolicyReconciler:
        """What works on policies. Loaded when it is asked for: most processes have none, and all have to start."""
        from vault_autoupdate.arm.discovery import ArmDiscovery  # noqa: PLC0415 - see above
        from vault_autoupdate.discovery.reader import EstateReader  # noqa: PLC0415 - see above
        from vault_autoupdate.discovery.reconciler import PolicyReconciler  # noqa: PLC0415 - see above

        reader = EstateReader(ArmDiscovery(self.lists, self.graph), utc_now)
        has_graph = self.settings.cloud in _CLOUDS_WITH_GRAPH
        return PolicyReconciler(reader, self.site_recovery, has_graph=has_graph, now=utc_now)

    def paused_for(self, resource: VaultAutoUpdate, region: str) -> timedelta:
        """How long Azure wants to be left alone about this vault."""
        scope = self.settings.quota_scope(resource, region)
        return timedelta(seconds=max(self.throttle.paused_for(scope, kind) for kind in CallKind))

    def has_plenty(self, resource: VaultAutoUpdate, region: str) -> bool:
        """Whether there are reads to spare for a look at this vault that can as well be made later."""
        return self.throttle.has_plenty(self.settings.quota_scope(resource, region), CallKind.READ)

    def remember_writes(self, resource: VaultAutoUpdate, state: VaultState) -> None:
        """Count what an earlier process has written about a vault lately, as far as its status tells.

        Where it was in the middle of that, the first look will tell. Until then no other vault of the scope writes.
        """
        scope = self.settings.quota_scope(resource, state.location)
        caller = Caller(scope, resource.key.namespace, resource.spec.vault_resource_id.key)
        if state.may_have_written:
            self.throttle.await_spent(caller, CallKind.WRITE)
        elif state.run and state.run.completed_at:
            age = max(0.0, (utc_now() - state.run.completed_at).total_seconds())
            if age < self.throttle.longest_window(CallKind.WRITE):
                most = max(limit.count for limit in self.settings.write_limit)
                self.throttle.spent(caller, CallKind.WRITE, [age] * min(state.run.patched, most))


@contextmanager
def open_core(
    settings: Settings,
    environment: Mapping[str, str],
    *,
    calls: CallObserver,
    runs: RunObserver,
    token_fetched: Callable[[float | None], None] = lambda _: None,
    may_write: Callable[[], bool] = lambda: True,
) -> Iterator[Core]:
    """Build the core, and close its connections afterwards.

    Raises:
        InvalidSettings: the credential's variables are not complete.
    """
    make_credential(settings, environment)  # so that what is missing is said now
    tokens = TokenSource(
        lambda: make_credential(settings, environment),
        settings.arm_audience,
        failure_pause=settings.retry_pause.total_seconds() / 2,
        fetched=token_fetched,
    )
    session = ArmSession(
        endpoint=settings.arm_endpoint,
        api_version=settings.api_version,
        tokens=tokens,
        timeout=settings.request_timeout.total_seconds(),
        connections=settings.max_connections,
        may_write=may_write,
    )
    throttle = Throttle(
        {CallKind.WRITE: settings.write_limit, CallKind.READ: settings.read_limit},
        at_once=max(1, settings.max_connections * 3 // 4),
    )
    client = _client(settings, session, throttle, calls, settings.max_connections)
    lists, graph = (
        _client(settings, session, Throttle({CallKind.READ: limits}), calls, connections)
        for limits, connections in ((_DISCOVERY_READS, _DISCOVERY_CONNECTIONS), (_QUERIES, 1))
    )
    timing, site_recovery = _timing(settings), SiteRecovery(client)
    reconciler = Reconciler(site_recovery, timing, runs, scope=settings.quota_scope, now=utc_now)
    core = Core(settings, throttle, reconciler, site_recovery, timing, lists, graph)
    try:
        yield core
    finally:
        for each in (client, lists, graph):
            each.close()
        session.close()


def _client(
    settings: Settings, session: ArmSession, throttle: Throttle, calls: CallObserver, connections: int
) -> ArmClient:
    pause = settings.retry_pause.total_seconds()
    return ArmClient(session, throttle, calls, connections=connections, retry_pause=pause)


def _timing(settings: Settings) -> Timing:
    return Timing(
        poll_min=settings.job_poll_min,
        poll_max=settings.job_poll_max,
        retry_pause=settings.retry_pause,
        retry_min=settings.retry_min,
        retry_max=settings.retry_max,
        status_interval=settings.status_interval,
        agent_interval=settings.agent_interval,
        request_interval=settings.request_interval,
        changes_at_once=settings.max_connections,
        role_confirmation=settings.role_confirmation,
    )


def utc_now() -> datetime:
    """The present."""
    return datetime.now(UTC)
