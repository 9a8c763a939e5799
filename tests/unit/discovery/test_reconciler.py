"""One pass over a policy: what is looked at, what is written, and what is noted before anything is done."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from tests.unit.builders import NOW
from tests.unit.decide.policy_builders import by_vault, child_of, estate_of, policy_of, vault_of
from vault_autoupdate.arm.client import CallContext
from vault_autoupdate.decide.policy_evidence import Evidence, Finding
from vault_autoupdate.discovery.reconciler import PolicyReconciler, Surroundings, manifest_of
from vault_autoupdate.discovery.state import PolicyState
from vault_autoupdate.model.errors import NotLeading, NotWritten, ObjectChanged, ObjectGone
from vault_autoupdate.model.estate import Child, Estate, FoundVault, Look, Verdict
from vault_autoupdate.model.policy import PolicySpec, VaultAutoUpdatePolicy
from vault_autoupdate.model.resource import ObjectRef, parse_resource

_RELEASE: dict[str, Any] = {"onUnmatched": "Release", "limits": {"maxRemovals": "100%"}}


@dataclass
class Reader:
    """Finds what it is told to. Implements what is used of `EstateReader`."""

    estate: Estate
    looked_at: list[str] = field(default_factory=list)
    verdict: Verdict = Verdict.GONE
    graph: list[bool] = field(default_factory=list)

    accounts: list[Any] = field(default_factory=list)

    async def read(
        self, spec: PolicySpec, _: CallContext, previous: Estate | None, *, with_graph: bool, accounts: Any
    ) -> Estate:
        self.graph.append(with_graph)
        self.accounts.append(accounts)
        return replace(self.estate, source="Graph" if with_graph else "List")

    async def looks(self, _: CallContext, vaults: Iterable[FoundVault]) -> dict[str, Look]:
        vaults = list(vaults)
        self.looked_at += [vault.key for vault in vaults]
        return {vault.key: Look(NOW, self.verdict) for vault in vaults}


@dataclass
class Cluster:
    """Takes what is written, or says why not."""

    done: list[str] = field(default_factory=list)
    error: Exception | None = None

    async def create(self, manifest: Mapping[str, Any]) -> None:
        self._do(f"create {manifest['metadata']['name']}")

    async def change(self, ref: ObjectRef, changes: Mapping[str, Any]) -> None:
        self._do(f"change {ref.key.name}")

    async def remove(self, ref: ObjectRef) -> None:
        self._do(f"remove {ref.key.name}")

    def _do(self, what: str) -> None:
        if self.error:
            raise self.error
        self.done.append(what)


@dataclass
class Bench:
    """One policy, and what is around it."""

    policy: VaultAutoUpdatePolicy
    reader: Reader
    children: tuple[Child, ...] = ()
    state: PolicyState = field(default_factory=PolicyState)
    cluster: Cluster = field(default_factory=Cluster)
    now: datetime = NOW
    saved: list[tuple[int, int]] = field(default_factory=list)
    wanted: int | None = None
    """For how many writes more what was planned is still wanted; None: for all."""

    def run(self, *, fresh: bool = True, discover: bool = True) -> int:
        reconciler = PolicyReconciler(cast("Any", self.reader), cast("Any", None), has_graph=True, now=lambda: self.now)
        self.reader.estate = replace(self.reader.estate, started_at=self.now)
        around = Surroundings(by_vault(*self.children), {}, lambda _: True, frozenset())

        async def save() -> None:
            assert not self.cluster.done, "what is counted is written before it is done"
            self.saved.append((self.state.removed.count, self.state.changed.count))

        async def run() -> int:
            context = reconciler.context(self.policy, None)
            if discover:
                context = await reconciler.discover(self.policy, self.state, None)
            await reconciler.plan(self.policy, self.state, lambda: around, context, fresh=fresh)
            return await reconciler.apply(self.policy, self.state, self.cluster, save, self._is_wanted)

        return asyncio.run(run())

    def _is_wanted(self) -> bool:
        return self.wanted is None or len(self.cluster.done) < self.wanted


def _leaving() -> Bench:
    """A policy with a resource whose vault is proved to be gone."""
    policy, gone = policy_of(**_RELEASE), vault_of(1)
    bench = Bench(policy, Reader(estate_of([])), (child_of(gone, policy),))
    bench.state.evidence[gone.key] = Evidence(Finding.GONE, NOW - timedelta(hours=2), NOW - timedelta(hours=1), "gone")
    return bench


def test_what_is_made_is_a_valid_resource_that_says_whose_it_is_and_is_owned_by_nobody() -> None:
    policy = policy_of()
    bench = Bench(policy, Reader(estate_of([vault_of()])))

    assert bench.run() == 1
    (creation,) = bench.state.plan.create
    manifest = manifest_of(policy, creation)
    assert manifest["metadata"]["labels"] == {"asr.vault-autoupdate.io/policy": "estate"}
    assert not {"ownerReferences", "finalizers"} & manifest["metadata"].keys()
    assert parse_resource(manifest).policy == "estate"


def test_a_removal_is_counted_in_the_status_before_it_is_done() -> None:
    bench = _leaving()

    assert bench.run() == 1
    assert bench.saved == [(1, 0)]
    assert bench.cluster.done == [f"remove {bench.children[0].ref.key.name}"]


def test_without_a_fresh_discovery_nothing_is_removed_nor_even_looked_at() -> None:
    bench = _leaving()
    bench.state.estate = estate_of([])

    assert bench.run(fresh=False, discover=False) == 0
    assert (bench.reader.looked_at, bench.cluster.done) == ([], [])


def test_a_look_that_cannot_see_the_vault_removes_nothing_and_keeps_what_was_known() -> None:
    bench = _leaving()
    bench.reader.verdict = Verdict.UNREACHABLE
    before = dict(bench.state.evidence)

    assert bench.run() == 0
    assert bench.state.evidence == before


def test_evidence_about_what_is_no_longer_there_is_forgotten() -> None:
    bench = _leaving()
    bench.children = ()

    bench.run()

    assert bench.state.evidence == {}


@pytest.mark.parametrize("error", [ObjectGone("404"), ObjectChanged("409")])
def test_somebody_who_was_faster_is_no_trouble(error: Exception) -> None:
    bench = Bench(policy_of(), Reader(estate_of([vault_of()])), cluster=Cluster(error=error))

    assert (bench.run(), bench.state.not_written) == (0, {})


def test_what_the_api_server_does_not_take_is_noted_by_name_until_it_does() -> None:
    bench = Bench(policy_of(), Reader(estate_of([vault_of()])), cluster=Cluster(error=NotWritten("403 Forbidden")))

    assert bench.run() == 0
    assert list(bench.state.not_written.values()) == ["403 Forbidden"]
    bench.cluster.error = None
    assert (bench.run(), bench.state.not_written) == (1, {})


def test_who_does_not_lead_any_more_stops() -> None:
    bench = Bench(policy_of(), Reader(estate_of([vault_of()])), cluster=Cluster(error=NotLeading("another")))

    with pytest.raises(NotLeading):
        bench.run()


def test_two_processes_that_take_each_other_for_gone_do_together_what_one_of_them_does() -> None:
    policy = policy_of(**_RELEASE, template={"autoUpdate": "Enabled", "interval": "2h"})
    gone, drifted = child_of(vault_of(1), policy), child_of(vault_of(2), policy, spec={"interval": "1h"})
    meant = [vault_of(2), *(vault_of(number) for number in range(3, 50))]

    def process(evidence: Mapping[str, Evidence]) -> set[str]:
        bench = Bench(policy, Reader(estate_of(meant)), (gone, drifted))
        bench.state.evidence |= evidence
        bench.run()
        return set(bench.cluster.done)

    leaving = Evidence(Finding.GONE, NOW - timedelta(hours=2), NOW - timedelta(hours=1), "gone")
    before, after = process({gone.vault_key: leaving}), process({})

    assert len(before) == policy.spec.limits.max_new + 2
    assert before - after == {f"remove {gone.ref.key.name}"}, "who is new has no proof"
    assert after <= before, "by the same names, of which the API server takes each once"


def test_what_is_not_wanted_any_more_is_not_gone_through_with() -> None:
    bench = Bench(policy_of(), Reader(estate_of([vault_of(number) for number in range(20)])), wanted=3)

    assert bench.run() == 3
    assert len(bench.cluster.done) == 3


def test_a_name_that_somebody_elses_resource_has_is_told_with_what_to_do() -> None:
    policy, vault = policy_of(), vault_of(1)
    by_hand = child_of(vault_of(2), ref=replace(child_of(vault, policy).ref, uid="by-hand"))
    bench = Bench(policy, Reader(estate_of([vault])), (by_hand,))

    assert bench.run() == 0
    [(name, why)] = bench.state.not_written.items()
    assert name == by_hand.ref.key.name
    assert "vaults/dr-2" in why
    assert "delete" in why


def test_a_discovery_takes_the_accounts_of_the_one_before_it_along() -> None:
    bench = Bench(policy_of(), Reader(estate_of([])))

    bench.run()
    bench.run()

    assert bench.reader.accounts == [{}, estate_of([]).accounts]


def test_resource_graph_is_asked_between_two_checks_by_lists() -> None:
    bench = Bench(policy_of(discovery={"verifyInterval": "3h"}), Reader(estate_of([])))

    for _ in range(5):
        bench.run()
        bench.now += timedelta(hours=1)

    assert bench.reader.graph == [False, True, True, False, True]
    listed = Bench(policy_of(discovery={"source": "List"}), Reader(estate_of([])))
    listed.run()
    listed.run()
    assert listed.reader.graph == [False, False]


def test_the_last_complete_discovery_is_kept_when_a_later_one_is_not() -> None:
    bench = Bench(policy_of(), Reader(estate_of([vault_of()])))
    bench.run()
    bench.reader.estate = estate_of([], read=frozenset())
    bench.run()

    assert bench.state.complete is not None
    assert (len(bench.state.complete.vaults), bench.state.last_complete_at) == (1, NOW)
