"""From ``kubectl apply`` to the first PATCH."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

import yaml

from benchmarks.scenarios import Vault
from benchmarks.simulator import SimulatorProcess
from workbench.kube.control_plane import ControlPlane
from workbench.kube.resources import manifest
from workbench.process.waiting import wait_until

__all__ = ["Latency", "measure_latency"]


@dataclass(frozen=True)
class Latency:
    """Real milliseconds from starting kubectl to the arrival of the first PATCH."""

    count: int
    p50: float
    p99: float
    most: float
    kubectl_p50: float
    """Of that, the run of kubectl itself."""


def measure_latency(plane: ControlPlane, simulator: SimulatorProcess, spare: tuple[Vault, ...]) -> Latency:
    """Apply one resource after the other, each for a vault with a mapping to patch."""
    control = simulator.control
    before = time.monotonic()
    state = control.state()
    offset = (before + time.monotonic()) / 2 - state["real"]
    since = state["requests"]
    applied: dict[str, float] = {}
    kubectl_took = []
    for vault in spare:
        document = manifest(vault.name, vaultResourceId=vault.id, automationAccountResourceId=vault.account)
        text = yaml.safe_dump(document)
        applied[vault.name] = time.monotonic()
        plane.kubectl("apply", "-f", "-", stdin=text).check()
        kubectl_took.append(time.monotonic() - applied[vault.name])
        time.sleep(0.1)

    def arrivals() -> dict[str, float] | None:
        found: dict[str, float] = {}
        for record in control.requests(since=since, limit=10**6, method="PATCH"):
            found.setdefault(record["vault"], record["real"] + offset)
        return found if applied.keys() <= found.keys() else None

    first = wait_until(arrivals, within=60, what="the first PATCH of each vault")
    took = sorted(1000 * (first[name] - at) for name, at in applied.items())
    return Latency(
        count=len(took),
        p50=statistics.median(took),
        p99=took[min(len(took) - 1, round(0.99 * len(took)))],
        most=took[-1],
        kubectl_p50=1000 * statistics.median(kubectl_took),
    )
