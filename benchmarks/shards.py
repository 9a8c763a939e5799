"""Several processes that share a fleet by label, each with so many resources: what each costs, and a restart of one."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final

from benchmarks.fleet import MAPPINGS, TO_PATCH, Fleet, open_fleet, shard_of
from benchmarks.scenarios import JOB_SECONDS, Scenario, Vault
from benchmarks.table import format_table
from benchmarks.usage import cpu_seconds, peak_resident_bytes, resident_bytes
from workbench.kube.binaries import HOW_TO_ENABLE, find_binaries
from workbench.process.operator import OperatorProcess
from workbench.process.waiting import wait_until

_SCALES: Final = ((500, 4.0), (1000, 2.0), (5000, 0.5))
"""Resources of each shard up to which so many simulated seconds go by in a real one."""
_SLOWEST: Final = 0.25
_RESTART_SCALE: Final = 60.0
_AT_FULL_SCALE: Final = 5000
"""Resources of all shards."""
_REST: Final = 10.0
_LOOKED_AT: Final = 1000
"""So many resources a second are looked at to see how far the work is; more would slow down what is measured."""

__all__ = ["ShardResult", "ShardsResult", "run_shards"]


@dataclass(frozen=True)
class ShardResult:
    """What was measured of one process. Times in simulated seconds."""

    name: str
    resources: int
    compliant: float
    """Until the last of its mappings was as declared."""
    cpu: float
    """Processor seconds until all resources, of whomever, were Ready."""
    peak_mib: float
    rest_mib: float
    rest_cpu: float
    """Part of a core at rest."""


@dataclass(frozen=True)
class ShardsResult:
    """What was measured of all of them."""

    resources: int
    scale: float
    shortest: float
    """The time that the limits alone allow for the PATCHes."""
    all_ready: float
    shards: tuple[ShardResult, ...]
    writes: int
    """Kubernetes writes until all were Ready, Events included."""
    writes_429: int
    patched: int
    """PATCHes that were accepted."""
    restart_observed: float
    """Real seconds until a new process of the last shard had read each of its vaults again."""
    restart_cpu: float
    restart_peak_mib: float
    restart_cpu_of_others: float
    """Processor seconds of all others meanwhile."""
    restart_patches: int
    restart_writes: int


def run_shards(each: int, shards: int, *, to_patch: int = TO_PATCH) -> tuple[dict[str, Any], list[str]]:
    """Measure and print; without a control plane's binaries nothing is measured.

    Args:
        each: resources of each shard.
        shards: how many there are, the main one among them.
        to_patch: mappings of each vault that are not as declared.
    """
    if find_binaries() is None:
        print(f"\nshards: not measured, there is no kube-apiserver: {HOW_TO_ENABLE}")
        return {}, []
    scale = next((scale for size, scale in _SCALES if each <= size), _SLOWEST)
    print(f"{shards} shards of {each:,} resources of {MAPPINGS} mappings ...", flush=True)
    with open_fleet(each * shards, scale, shards=shards, to_patch=to_patch) as fleet:
        result = _measure(fleet, shards)
    print(f"\n{_table(result)}\n")
    print(
        f"- {result.resources:,} resources, T* {result.shortest:.0f} s, all Ready after {result.all_ready:.0f} s at "
        f"time scale {result.scale:g}; {result.writes / result.resources:.1f} Kubernetes writes for each"
    )
    print(
        f"- restart of {result.shards[-1].name}: its vaults read again after {result.restart_observed:.0f} s (real), "
        f"{result.restart_cpu:.0f} s of processor time, {result.restart_peak_mib:.0f} MiB at most; the others used "
        f"{result.restart_cpu_of_others:.1f} s meanwhile; {result.restart_patches} PATCHes, {result.restart_writes} "
        "Kubernetes writes"
    )
    return asdict(result), list(_violations(result, each * shards * to_patch))


def _measure(fleet: Fleet, shards: int) -> ShardsResult:
    control, vaults = fleet.simulator.control, _by_shard(fleet, shards)
    with ExitStack() as stack:
        began = control.state()["simulated"]
        operators = [stack.enter_context(_operator(fleet, shard)) for shard in vaults]
        _until_ready(fleet, operators)
        all_ready, writes = control.state()["simulated"] - began, fleet.writes().total()
        spent = [cpu_seconds(each.child.pid) for each in operators]
        last = _last_patches(fleet)
        time.sleep(3)  # whatever was under way
        before = [cpu_seconds(each.child.pid) for each in operators]
        time.sleep(_REST)
        measured = tuple(
            ShardResult(
                shard or "main",
                len(of_shard),
                max((last[vault.name] + JOB_SECONDS - began for vault in of_shard if vault.to_patch), default=0.0),
                spent[number],
                peak_resident_bytes(operator.child.pid) / 2**20,
                resident_bytes(operator.child.pid) / 2**20,
                (cpu_seconds(operator.child.pid) - before[number]) / _REST,
            )
            for number, (operator, (shard, of_shard)) in enumerate(zip(operators, vaults.items(), strict=True))
        )
        responses = control.stats()["responses"]
        restart = _restart(fleet, operators, *list(vaults.items())[-1])
    return ShardsResult(
        resources=len(fleet.vaults),
        scale=fleet.scale,
        shortest=Scenario("", "", 1, fleet.vaults).shortest,
        all_ready=all_ready,
        shards=measured,
        writes=writes,
        writes_429=responses.get("429", 0),
        patched=responses.get("202", 0),
        **restart,
    )


def _by_shard(fleet: Fleet, shards: int) -> dict[str, list[Vault]]:
    """The main shard first."""
    found: dict[str, list[Vault]] = defaultdict(list)
    for vault in fleet.vaults:
        found[shard_of(vault, shards)].append(vault)
    return found


@contextmanager
def _operator(fleet: Fleet, shard: str, *, again: bool = False) -> Iterator[OperatorProcess]:
    # Without an election: on a machine that is busy with much else a Lease runs out, and nobody starts a process anew.
    settings = {"VAULT_AUTOUPDATE_SHARD": shard}
    scale = _restart_scale(fleet) if again else fleet.scale
    name = f"{shard or 'main'}{'-again' if again else ''}"
    with fleet.operator(name, scale=scale, settings=settings) as operator:
        yield operator


def _restart_scale(fleet: Fleet) -> float:
    """Simulated seconds in a second: with many resources fewer, since an hour later each is looked at once more."""
    return _RESTART_SCALE * min(1.0, _AT_FULL_SCALE / len(fleet.vaults))


def _until_ready(fleet: Fleet, operators: Sequence[OperatorProcess]) -> None:
    def is_compliant() -> bool:
        for each in operators:
            each.child.check_alive()
        return fleet.is_compliant()

    within = 60 + 4 * (len(fleet.vaults) / 10 + 300 / fleet.scale)
    every = max(0.5, len(fleet.vaults) / _LOOKED_AT)
    wait_until(is_compliant, within=within, what="all mappings to be as declared", every=every)
    wait_until(fleet.all_ready, within=within, what="all resources to be Ready", every=2 * every)


def _last_patches(fleet: Fleet) -> dict[str, float]:
    """By vault: when its last PATCH was accepted, in simulated seconds."""
    last: dict[str, float] = {}
    for record in fleet.simulator.control.requests(limit=10**6, method="PATCH"):
        if record["status"] == 202:
            last[record["vault"]] = max(last.get(record["vault"], 0.0), record["simulated"])
    return last


def _restart(fleet: Fleet, operators: Sequence[OperatorProcess], shard: str, its: Sequence[Vault]) -> dict[str, Any]:
    """End the last process and start another one: what does that cost it, and the others?"""
    control, others = fleet.simulator.control, operators[:-1]
    operators[-1].stop()
    control.settings(time_scale=_restart_scale(fleet))
    control.reset_stats()
    since, writes = control.state()["requests"], fleet.writes().total()
    spent, began = sum(cpu_seconds(each.child.pid) for each in others), time.monotonic()
    with _operator(fleet, shard, again=True) as operator:

        def all_read() -> bool:
            return bool(control.stats()["calls"].get("GET mappings", 0) >= len(its))

        wait_until(all_read, within=600, what="its vaults to be read again", every=0.5)
        observed = time.monotonic() - began
        time.sleep(2)
        return {
            "restart_observed": observed,
            "restart_cpu": cpu_seconds(operator.child.pid),
            "restart_peak_mib": peak_resident_bytes(operator.child.pid) / 2**20,
            "restart_cpu_of_others": sum(cpu_seconds(each.child.pid) for each in others) - spent,
            "restart_patches": len(control.requests(since=since, limit=10**6, method="PATCH")),
            "restart_writes": fleet.writes().total() - writes,
        }


def _violations(result: ShardsResult, to_patch: int) -> Iterator[str]:
    """Counts only: times and processor time depend on the machine."""
    for what, count in {
        "PATCHes too many": result.patched - to_patch,
        "answers 429": result.writes_429,
        "PATCHes after the restart of one": result.restart_patches,
        "Kubernetes writes after the restart of one": result.restart_writes,
    }.items():
        if count:
            yield f"{len(result.shards)} shards of {result.resources:,} resources: {count} {what}"


def _table(result: ShardsResult) -> str:
    head = (
        "shard",
        "resources",
        "compliant s",
        "over T*",
        "CPU s",
        "CPU ms a resource",
        "memory MiB, most / rest",
        "CPU at rest",
    )
    rows = [
        (
            each.name,
            f"{each.resources:,}",
            f"{each.compliant:.0f}",
            f"{each.compliant / result.shortest:.2f}" if result.shortest else "-",
            f"{each.cpu:.0f}",
            f"{1000 * each.cpu / each.resources:.0f}",
            f"{each.peak_mib:.0f} / {each.rest_mib:.0f}",
            f"{each.rest_cpu:.1%}",
        )
        for each in result.shards
    ]
    return format_table(head, rows)
