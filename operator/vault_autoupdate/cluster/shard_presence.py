"""Whether another shard has a process at work, as far as its Lease tells."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final
from urllib.parse import quote

from kubernetes.aio.client.exceptions import ApiException

from vault_autoupdate.cluster.connection import NO_ANSWER, Connection
from vault_autoupdate.cluster.lease import LEASE_SECONDS

_MARGIN: Final = 5
"""Seconds beyond the Lease's own, since it is only looked at now and then."""

__all__ = ["ShardPresence", "lease_name"]


def lease_name(base: str, shard: str) -> str:
    """The name of a shard's Lease; the main shard's is the base itself."""
    return f"{base}-{shard}" if shard else base


class ShardPresence:
    """Looks at the Leases of other shards, which are in one namespace and named alike."""

    def __init__(
        self, api: Connection, *, namespace: str, base: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._base = base
        self._clock = clock
        self._renewals: dict[str, tuple[str, float]] = {}
        """By shard: its last renewal by its own clock, and when that was first seen by ours."""

    async def is_at_work(self, shard: str) -> bool | None:
        """Whether a process of that shard may be at work; None where that cannot be told.

        It may be while its Lease has a holder and was renewed not long ago, before our eyes: clocks may differ. A shard
        without a Lease runs without an election, or not at all.
        """
        name = quote(lease_name(self._base, shard), safe="")
        path = f"/apis/coordination.k8s.io/v1/namespaces/{quote(self._namespace)}/leases/{name}"
        try:
            lease = await self._api.ask("GET", path)
        except (ApiException, *NO_ANSWER):
            return None
        spec = lease.get("spec") or {}
        if not spec.get("holderIdentity"):
            self._renewals.pop(shard, None)
            return False
        now, renewal = self._clock(), str(spec.get("renewTime"))
        if self._renewals.get(shard, ("", 0.0))[0] != renewal:
            self._renewals[shard] = (renewal, now)
        return now - self._renewals[shard][1] < LEASE_SECONDS + _MARGIN
