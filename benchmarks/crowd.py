"""Thousands of resources that name one vault, on a real API server: what it costs when its owner goes."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import requests

from benchmarks.scenarios import Scenario, Vault, vaults
from benchmarks.simulator import SimulatorProcess
from benchmarks.usage import cpu_seconds, peak_resident_bytes
from workbench.kube.control_plane import ControlPlane
from workbench.kube.resources import CRD_FILE, collection_path, install_definition, manifest, resource_path
from workbench.process.operator import OperatorProcess
from workbench.process.waiting import wait_until
from workbench.site import is_ready

CROWD: Final = 5000
_NAMESPACE: Final = "default"
_LEASE: Final = f"/apis/coordination.k8s.io/v1/namespaces/{_NAMESPACE}/leases/vault-autoupdate"
_SCALE: Final = 60.0
_OWNERS: Final = 3
"""Owners that go, one after the other."""
_HEALTH_PERIOD: Final = 0.02
_MOST_HEALTH: Final = 1.0
"""Seconds: what the kubelet waits for an answer if nobody tells it otherwise."""

__all__ = ["CROWD", "CrowdResult", "run_crowd"]


@dataclass(frozen=True)
class CrowdResult:
    """One vault that thousands of resources want, and whose owner is deleted a few times."""

    resources: int
    told: float
    """Seconds from the start of the process until each resource said that it does not manage the vault."""
    told_cpu: float
    """Processor seconds until then."""
    health_longest: float
    """Seconds that the slowest answer of /healthz took, from the start to the end."""
    next_ready: list[float]
    """Seconds from the deletion of an owner until the next in line was Ready."""
    next_cpu: list[float]
    """Processor seconds of each of them."""
    lease_holders: int
    """Who led: one, if the Lease was kept."""
    lease_gap: float
    """The longest time between two renewals of the Lease, seconds, as seen every tenth of a second."""
    peak_mib: float


@dataclass
class _Watched:
    """What somebody sees who asks all the while."""

    healths: list[float] = field(default_factory=list)
    holders: set[str] = field(default_factory=set)
    renewals: dict[str, float] = field(default_factory=dict)
    """By time of renewal, when it was seen."""

    @property
    def gap(self) -> float:
        seen = list(self.renewals.values())
        return max((after - before for before, after in pairwise(seen)), default=0.0)


def run_crowd(count: int = CROWD) -> tuple[dict[str, Any], list[str]]:
    """Measure and print; returns the result and what is out of bounds."""
    result = _measure(count)
    print(
        f"{count:,} resources on one vault: all told after {result.told:.1f} s ({result.told_cpu:.1f} s of processor "
        f"time); next owner Ready {', '.join(f'{each:.1f}' for each in result.next_ready)} s after a deletion "
        f"({', '.join(f'{each:.1f}' for each in result.next_cpu)} s of processor time); "
        f"/healthz at most {result.health_longest * 1000:.0f} ms; {result.lease_holders} held the Lease, renewed at "
        f"least every {result.lease_gap:.1f} s; {result.peak_mib:.0f} MiB",
        flush=True,
    )
    problems = []
    if result.health_longest > _MOST_HEALTH:
        problems.append(f"{count} resources on one vault: /healthz took {result.health_longest:.2f} s")
    if result.lease_holders != 1:
        problems.append(f"{count} resources on one vault: the Lease changed hands")
    return asdict(result), problems


def _measure(count: int) -> CrowdResult:
    (vault,) = vaults(1, 5, compliant=15)
    document = Scenario("crowd", "", _SCALE, (vault,)).document(_SCALE)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vault-autoupdate-crowd-")))
        simulator = SimulatorProcess(document, directory)
        stack.callback(simulator.close)
        plane = stack.enter_context(ControlPlane(directory / "control-plane"))
        install_definition(plane.rest, CRD_FILE)
        names = _create(plane, vault, count)
        operator = stack.enter_context(
            OperatorProcess(
                directory,
                kubeconfig=plane.kubeconfig(directory / "kubeconfig", user="operator", groups=["system:masters"]),
                arm_url=simulator.url,
                identity=simulator.identity,
                scale=_SCALE,
                settings={
                    "VAULT_AUTOUPDATE_LOG_LEVEL": "warning",
                    "VAULT_AUTOUPDATE_LEADER_ELECT": "true",
                    "VAULT_AUTOUPDATE_LEASE_NAMESPACE": _NAMESPACE,
                    "VAULT_AUTOUPDATE_LEASE_NAME": "vault-autoupdate",
                },
            )
        )
        began, pid = time.monotonic(), operator.child.pid
        watched = stack.enter_context(_watching(plane, f"{operator.health_url}/healthz"))
        wait_until(lambda: _all_told(plane, count), within=600, what="everybody to be told", every=1.0)
        told, told_cpu = time.monotonic() - began, cpu_seconds(pid)
        turns = [_next_owner(plane, pid, names[at], names[at + 1]) for at in range(_OWNERS)]
        return CrowdResult(
            resources=count,
            told=told,
            told_cpu=told_cpu,
            health_longest=max(watched.healths),
            next_ready=[seconds for seconds, _ in turns],
            next_cpu=[cpu for _, cpu in turns],
            lease_holders=len(watched.holders),
            lease_gap=watched.gap,
            peak_mib=peak_resident_bytes(pid) / 2**20,
        )


def _create(plane: ControlPlane, vault: Vault, count: int) -> list[str]:
    """The resources in the order in which they get their turn: by age, and then by name."""
    names = [f"crowd-{number:05}" for number in range(count)]

    def create(name: str) -> None:
        body = manifest(name, vaultResourceId=vault.id, automationAccountResourceId=vault.account)
        plane.rest.request("POST", collection_path(_NAMESPACE), body)

    create(names[0])
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(create, names[1:]))
    items = plane.rest.request("GET", collection_path(_NAMESPACE))["items"]
    return [
        item["metadata"]["name"]
        for item in sorted(items, key=lambda item: (item["metadata"]["creationTimestamp"], item["metadata"]["name"]))
    ]


def _all_told(plane: ControlPlane, count: int) -> bool:
    """Whether the owner is Ready, and every other one has a status of its own."""
    items = plane.rest.request("GET", collection_path(_NAMESPACE))["items"]
    statuses = [item.get("status", {}) for item in items]
    return sum(map(is_ready, statuses)) == 1 and sum("conditions" in status for status in statuses) == count


def _next_owner(plane: ControlPlane, pid: int, owner: str, following: str) -> tuple[float, float]:
    """Delete the owner; returns the seconds until the next one is Ready, and the processor seconds of that."""
    began, cpu = time.monotonic(), cpu_seconds(pid)
    plane.rest.request("DELETE", resource_path(_NAMESPACE, owner))

    def is_next() -> bool:
        return is_ready(plane.rest.request("GET", resource_path(_NAMESPACE, following)).get("status", {}))

    wait_until(is_next, within=120, what=f"{following} to be Ready", every=0.1)
    return time.monotonic() - began, cpu_seconds(pid) - cpu


@contextmanager
def _watching(plane: ControlPlane, health: str) -> Iterator[_Watched]:
    """Ask for the health and the Lease until the end."""
    watched, ended = _Watched(), threading.Event()

    def ask() -> None:
        while not ended.wait(_HEALTH_PERIOD):
            began = time.monotonic()
            try:
                requests.get(health, timeout=60).raise_for_status()
            except requests.ConnectionError:
                if watched.healths:
                    raise
                continue  # not listening yet
            watched.healths.append(time.monotonic() - began)

    def look() -> None:
        while not ended.wait(0.1):
            spec = (plane.rest.get_or_none(_LEASE) or {}).get("spec", {})
            if spec.get("holderIdentity"):
                watched.holders.add(spec["holderIdentity"])
                watched.renewals.setdefault(spec["renewTime"], time.monotonic())

    threads = [threading.Thread(target=ask), threading.Thread(target=look)]
    for thread in threads:
        thread.start()
    try:
        yield watched
    finally:
        ended.set()
        for thread in threads:
            thread.join()
