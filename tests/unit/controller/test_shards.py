"""Three processes share resources that come, move and go, and are killed: never do two of them work on one thing.

All of it is the operator's own but the API server, the Leases and Azure. News take up to a second and a half to arrive,
and to each process at another time.
"""

from __future__ import annotations

import asyncio
import copy
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from tests.unit.controller.test_controller import Counts
from tests.unit.virtual_time import in_virtual_time
from vault_autoupdate.controller.controller import Controller
from vault_autoupdate.controller.queue import WorkQueue
from vault_autoupdate.controller.shards import ShardGate
from vault_autoupdate.decide.shards import ShardRules
from vault_autoupdate.decide.state import Run, VaultState
from vault_autoupdate.decide.tenancy import TenancyRules
from vault_autoupdate.model.errors import ObjectGone
from vault_autoupdate.model.resource import (
    API_VERSION,
    KIND,
    LONG_AGO,
    SHARD_LABEL,
    ObjectRef,
    ResourceKey,
    VaultAutoUpdate,
)
from vault_autoupdate.reconcile.context import Timing
from vault_autoupdate.reconcile.reconciler import Outcome
from vault_autoupdate.report import readiness
from vault_autoupdate.report.readiness import Readiness
from vault_autoupdate.report.values import read_time

SHARDS = ("", "a", "b")
LEASE = 15.0
LATEST_NEWS = 1.5
SLOW = 8.0
"""Seconds that an answer of Azure may take."""
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)


def _time() -> float:
    return asyncio.get_running_loop().time()


def _now() -> datetime:
    return BEGIN + timedelta(seconds=_time())


def _subscription(number: int) -> str:
    return f"6f3b9f5e-8a3c-4c7e-9a53-{number:012}"


@dataclass
class Cluster:
    """The API server, and an Azure that knows who is changing what."""

    random: Random
    objects: dict[ResourceKey, dict[str, Any]] = field(default_factory=dict)
    processes: list[Process] = field(default_factory=list)
    leases: dict[str, float] = field(default_factory=dict)
    """By shard: until when its Lease is held."""
    at_work: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    """By subscription and vault: the shard that changes something there."""
    met: list[str] = field(default_factory=list)
    """Where one began beside another."""
    worked: set[str] = field(default_factory=set)
    left_alone_until: float = 0.0
    """Until when somebody may be at work whose resource was deleted."""
    uids: int = 0

    def create(self, name: str, shard: str, subscription: int, vault: int) -> None:
        self.uids += 1
        group = f"/subscriptions/{_subscription(subscription)}/resourceGroups/rg/providers"
        body = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {
                "name": name,
                "namespace": "team",
                "uid": f"uid-{self.uids}",
                "generation": 1,
                "creationTimestamp": f"{_now():%Y-%m-%dT%H:%M:%SZ}",
                "labels": {SHARD_LABEL: shard} if shard else {},
            },
            "spec": {
                "vaultResourceId": f"{group}/Microsoft.RecoveryServices/vaults/v{vault}",
                "autoUpdate": "Disabled",
            },
            "status": {"observedGeneration": -1},
        }
        self._tell(body)

    def move(self, key: ResourceKey, shard: str) -> None:
        body = copy.deepcopy(self.objects[key])
        body["metadata"]["labels"] = {SHARD_LABEL: shard} if shard else {}
        self._tell(body)

    def delete(self, key: ResourceKey) -> None:
        body = self.objects.pop(key)
        self.left_alone_until = _time() + SLOW + 1.0
        for process in self.processes:
            process.hear("DELETED", body)

    def write(self, ref: ObjectRef, status: Mapping[str, Any]) -> None:
        body = self.objects.get(ref.key)
        if body is None or body["metadata"]["uid"] != ref.uid:
            raise ObjectGone(str(ref.key))
        self._tell(body | {"status": copy.deepcopy(dict(status))})

    def _tell(self, body: dict[str, Any]) -> None:
        self.objects[ResourceKey("team", body["metadata"]["name"])] = body
        for process in self.processes:
            process.hear("MODIFIED", body)

    def begin(self, subscription: str, vault: str, shard: str) -> None:
        work = self.at_work[subscription]
        if vault in work or set(work.values()) - {shard}:
            self.met.append(f"at {_time():.1f}: {shard!r} begins on {vault} beside {work}")
        work[vault] = shard
        self.worked.add(shard)

    async def is_at_work(self, shard: str) -> bool | None:
        return _time() < self.leases.get(shard, 0.0)


class Azure:
    """Stands for the `Reconciler`: a pass looks, says that it begins, changes something for a while, and ends."""

    def __init__(self, cluster: Cluster, shard: str) -> None:
        self._cluster = cluster
        self._shard = shard
        self._runs = 0

    async def reconcile(
        self,
        resource: VaultAutoUpdate,
        state: VaultState,
        report: Callable[[Readiness], Awaitable[None]],
        superseded: asyncio.Event,
        _log_in: object,
    ) -> Outcome:
        random, vault = self._cluster.random, resource.spec.vault_resource_id
        await asyncio.sleep(random.uniform(0, 1))
        if superseded.is_set():
            return Outcome(readiness.working(resource, state), superseded=True)
        self._runs += 1
        state.run = Run(f"{self._shard}-{self._runs}-{_time()}", _now())
        await report(readiness.working(resource, state))
        if superseded.is_set():
            return Outcome(readiness.working(resource, state), superseded=True)
        self._cluster.begin(vault.subscription, vault.key, self._shard)
        try:
            for _ in range(random.randrange(20)):
                if superseded.is_set():
                    break
                await asyncio.sleep(0.3)
            await asyncio.sleep(random.choice([0.1, 0.1, SLOW]))  # answers of Azure may be long in coming
        finally:
            self._cluster.at_work[vault.subscription].pop(vault.key, None)
        if superseded.is_set():
            return Outcome(readiness.working(resource, state), superseded=True)
        state.run.completed_at = _now()
        return Outcome(readiness.settled(resource, state))


class Process:
    """One operator."""

    def __init__(self, cluster: Cluster, shard: str) -> None:
        self.cluster, self.shard = cluster, shard
        self._queue: WorkQueue[ResourceKey] = WorkQueue()
        rules, second = ShardRules(TenancyRules(shard=shard)), timedelta(seconds=1)
        self.controller = Controller(
            reconciler=Azure(cluster, shard),  # type: ignore[arg-type]  # as much of one as is asked for
            writer=self,
            timing=Timing(second, second, second, second, second, second, second, timedelta(), 1),
            observer=Counts(),
            wake=self._queue.add,
            startup_spread=timedelta(),
            paused_for=lambda *_: timedelta(),
            now=_now,
            rules=rules,
        )
        self._gate = ShardGate(rules, self.controller, cluster, listed=self._listed, clock=_time)
        self._news: asyncio.Queue[tuple[float, str, dict[str, Any]]] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Wait for the Lease, then begin: what there is is heard of first."""
        await asyncio.sleep(max(0.0, self.cluster.leases.get(self.shard, 0.0) - _time()))
        self.cluster.leases[self.shard] = float("inf")
        # Of what was deleted before it began, and who may be at work there, a process cannot know.
        await asyncio.sleep(max(0.0, self.cluster.left_alone_until - _time()))
        await self._gate.begin()
        self.cluster.processes.append(self)
        for body in self.cluster.random.sample(list(self.cluster.objects.values()), len(self.cluster.objects)):
            self.hear("ADDED", body)
        for work in (self._queue.run(self.controller.work), self._gate.run(), self._listen()):
            self._tasks.append(asyncio.create_task(work))

    async def kill(self) -> None:
        self.cluster.leases[self.shard] = _time() + LEASE
        await self._end(grace=0.0)

    async def stop(self) -> None:
        self.controller.stop()
        await self._end(grace=15.0)
        self.cluster.leases[self.shard] = 0.0

    async def _end(self, grace: float) -> None:
        self.cluster.processes.remove(self)
        await self._queue.stop(grace)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def hear(self, kind: str, body: dict[str, Any]) -> None:
        delay = self.cluster.random.uniform(0, LATEST_NEWS)
        self._news.put_nowait((_time() + delay, kind, copy.deepcopy(body)))

    async def _listen(self) -> None:
        while True:
            at, kind, body = await self._news.get()
            await asyncio.sleep(1.0 if kind == "ADDED" else max(0.0, at - _time()))
            metadata = body["metadata"]
            if kind == "DELETED":
                self._gate.on_delete(ResourceKey("team", metadata["name"]), metadata["uid"])
            else:
                self._gate.on_change(body, initial=kind == "ADDED")

    async def _listed(self) -> AsyncIterator[Mapping[str, Any]]:
        for body in list(self.cluster.objects.values()):
            yield copy.deepcopy(body)

    # --- `Writer` ---------------------------------------------------------------------------------------------

    async def write_status(self, ref: ObjectRef, status: Mapping[str, Any], *, patient: bool) -> None:
        await asyncio.sleep(self.cluster.random.uniform(0, 0.2))
        self.cluster.write(ref, status)

    async def hand_over(self, ref: ObjectRef, shard: str, to: str) -> None:
        await asyncio.sleep(self.cluster.random.uniform(0, 0.2))
        body = self.cluster.objects.get(ref.key)
        if body and body["metadata"]["uid"] == ref.uid and body["status"].get("shard", "") == shard:
            status = {key: value for key, value in body["status"].items() if key != "shard"}
            self.cluster.write(ref, status | ({"shard": to} if to else {}))

    async def check_present(self, ref: ObjectRef) -> None:
        if ref.key not in self.cluster.objects:
            raise ObjectGone(str(ref.key))

    async def add_finalizer(self, ref: ObjectRef, finalizers: tuple[str, ...]) -> None:
        raise AssertionError("nobody asks for one")

    async def remove_finalizer(self, ref: ObjectRef, finalizers: tuple[str, ...]) -> None:
        raise AssertionError("nobody has one")

    async def emit_event(self, ref: ObjectRef, readiness: Readiness, *, count: int) -> None:
        return


async def _something_happens(cluster: Cluster, names: list[str]) -> None:
    random, what = cluster.random, cluster.random.random()
    keys = list(cluster.objects)
    if what < 0.3 or not keys:
        name = random.choice(names)
        if ResourceKey("team", name) not in cluster.objects:
            cluster.create(name, random.choice(SHARDS), random.randrange(2), random.randrange(3))
    elif what < 0.7:
        cluster.move(random.choice(keys), random.choice(SHARDS))
    elif what < 0.85:
        cluster.delete(random.choice(keys))
    elif cluster.processes:
        process = random.choice(cluster.processes)
        await (process.kill() if random.random() < 0.5 else process.stop())
        await asyncio.sleep(random.uniform(0, 3))
        await Process(cluster, process.shard).run()


def _reason(body: Mapping[str, Any]) -> str:
    return next((each["reason"] for each in body["status"].get("conditions", ()) if each["type"] == "Ready"), "")


def _check_all_is_settled(cluster: Cluster) -> None:
    """Whoever may work has done so, whoever may not was told, and each status says whose the resource is."""
    by_subscription = defaultdict(list)
    for key, body in cluster.objects.items():
        created = read_time(body["metadata"]["creationTimestamp"]) or LONG_AGO
        by_subscription[body["spec"]["vaultResourceId"].split("/")[2]].append((created, key, body))
    for claims in by_subscription.values():
        holder = min(claims, key=lambda each: each[:2])[2]["metadata"]["labels"].get(SHARD_LABEL, "")
        for *_, body in claims:
            shard = body["metadata"]["labels"].get(SHARD_LABEL, "")
            expected = {"Compliant", "VaultAlreadyManaged"} if shard == holder else {"SubscriptionInOtherShard"}
            assert _reason(body) in expected, body
            assert body["status"].get("shard", "") == shard, body


@pytest.mark.parametrize("seed", range(12))
@in_virtual_time
async def test_whatever_happens_one_shard_works_in_a_subscription_at_a_time_and_in_the_end_each_on_its_own(
    seed: int,
) -> None:
    cluster = Cluster(Random(seed))
    for shard in SHARDS:
        await Process(cluster, shard).run()
    for _ in range(60):
        await _something_happens(cluster, [f"dr-{number}" for number in range(8)])
        await asyncio.sleep(cluster.random.choice([0.0, 0.1, 2.0, 10.0]))
    await asyncio.sleep(120)

    assert cluster.met == []
    assert len(cluster.worked) > 1
    _check_all_is_settled(cluster)
    for process in list(cluster.processes):
        await process.stop()


@pytest.mark.parametrize("seed", [1, 2, 3])
@in_virtual_time
async def test_an_older_resource_of_another_shard_counts_before_the_watch_has_shown_it(seed: int) -> None:
    cluster = Cluster(Random(seed))
    cluster.create("old", "b", 1, 1)
    await asyncio.sleep(10)
    cluster.create("young", "a", 1, 2)
    ready = {"type": "Ready", "status": "True", "reason": "Compliant"}
    cluster.objects[ResourceKey("team", "young")]["status"] = {"conditions": [ready], "shard": "a"}
    await Process(cluster, "a").run()
    await asyncio.sleep(30)

    assert _reason(cluster.objects[ResourceKey("team", "young")]) == "SubscriptionInOtherShard"
    assert cluster.worked == set()
    await cluster.processes[0].stop()


@in_virtual_time
async def test_what_names_no_vault_is_left_alone_as_well_until_it_was_handed_over() -> None:
    cluster = Cluster(Random(1))
    key = ResourceKey("team", "wrong")
    cluster.create("wrong", "a", 1, 1)
    cluster.objects[key]["spec"]["vaultResourceId"] = "/subscriptions/x"
    ready = {"type": "Ready", "status": "False", "reason": "InvalidSpec"}
    cluster.objects[key]["status"] = {"conditions": [ready], "shard": "b"}
    cluster.leases["b"] = float("inf")
    process = Process(cluster, "a")
    await process.run()
    await asyncio.sleep(30)
    assert cluster.objects[key]["status"] == {"conditions": [ready], "shard": "b"}

    cluster.leases["b"] = 0.0
    await asyncio.sleep(5)

    assert cluster.objects[key]["status"]["shard"] == "a"
    await process.stop()


@in_virtual_time
async def test_where_nobody_can_tell_whether_the_other_shard_is_at_work_it_has_a_minute_to_let_go() -> None:
    class NoLeases(Cluster):
        async def is_at_work(self, shard: str) -> bool | None:
            return None

    cluster, key = NoLeases(Random(1)), ResourceKey("team", "dr")
    cluster.create("dr", "a", 1, 1)
    cluster.objects[key]["status"] = {"conditions": [{"type": "Ready", "status": "True", "reason": "Compliant"}]}
    process = Process(cluster, "a")
    await process.run()
    await asyncio.sleep(55)
    assert cluster.worked == set()

    await asyncio.sleep(30)

    assert cluster.worked == {"a"}
    await process.stop()


@in_virtual_time
async def test_what_a_process_had_before_goes_on_while_its_first_listing_still_comes_in() -> None:
    cluster = Cluster(Random(1))
    ready = {"type": "Ready", "status": "True", "reason": "Compliant"}
    for number in range(30):
        cluster.create(f"dr-{number}", "a", number, 1)
        cluster.objects[ResourceKey("team", f"dr-{number}")]["status"] = {"conditions": [ready], "shard": "a"}
    process = Process(cluster, "a")
    await process.run()

    await asyncio.sleep(5)

    assert cluster.worked == {"a"}
    await process.stop()
