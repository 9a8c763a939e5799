"""Whether another shard is at work, as its Lease tells: by what is seen of it, and not by its clock."""

from __future__ import annotations

from typing import Any, cast

import pytest
from kubernetes.aio.client.exceptions import ApiException

from vault_autoupdate.cluster.connection import Connection
from vault_autoupdate.cluster.shard_presence import ShardPresence


class Leases:
    """An API server with one Lease, as far as `Connection` is asked for it."""

    def __init__(self) -> None:
        self.spec: dict[str, Any] | None = None
        self.asked: list[str] = []
        self.now = 1000.0

    async def ask(self, _method: str, path: str) -> dict[str, Any]:
        self.asked.append(path)
        if self.spec is None:
            raise ApiException(status=404, reason="Not Found")
        return {"spec": self.spec}

    def presence(self) -> ShardPresence:
        return ShardPresence(cast("Connection", self), namespace="ops", base="asr", clock=lambda: self.now)


async def test_it_is_while_its_lease_is_renewed_and_not_any_more_some_time_after_the_last_renewal() -> None:
    leases = Leases()
    presence = leases.presence()
    leases.spec = {"holderIdentity": "pod-1", "renewTime": "2001-01-01T00:00:00Z"}
    assert await presence.is_at_work("a"), "a clock that is late may have renewed it just now"
    leases.now += 19
    assert await presence.is_at_work("a")
    leases.spec = leases.spec | {"renewTime": "2001-01-01T00:00:03Z"}
    assert await presence.is_at_work("a")
    leases.now += 19
    assert await presence.is_at_work("a")
    leases.now += 2
    assert await presence.is_at_work("a") is False


async def test_it_is_not_once_the_lease_was_given_back() -> None:
    leases = Leases()
    leases.spec = {"holderIdentity": "", "renewTime": "2001-01-01T00:00:00Z"}

    assert await leases.presence().is_at_work("a") is False


async def test_without_a_lease_nobody_can_tell() -> None:
    assert await Leases().presence().is_at_work("a") is None


@pytest.mark.parametrize(("shard", "name"), [("", "asr"), ("emea", "asr-emea")])
async def test_the_lease_is_named_after_the_shard(shard: str, name: str) -> None:
    leases = Leases()
    await leases.presence().is_at_work(shard)

    assert leases.asked == [f"/apis/coordination.k8s.io/v1/namespaces/ops/leases/{name}"]
