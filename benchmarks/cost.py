"""What a fleet costs from the first sight of its resources to Ready, told so that machines can be compared."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

from benchmarks.fleet import Fleet
from benchmarks.scenarios import JOB_SECONDS, Scenario
from benchmarks.usage import cpu_seconds, peak_resident_bytes
from benchmarks.yardstick import Yardstick
from workbench.process.operator import OperatorProcess
from workbench.process.waiting import wait_until

_WITHIN: Final = 900.0

__all__ = ["Cost", "cost_violations", "measure_cost"]


@dataclass(frozen=True)
class Cost:
    """What was measured."""

    resources: int
    ratio: float
    """Simulated time from the first call to the last mapping as declared, over the shortest that the limits allow."""
    writes: Counter[str]
    """To Kubernetes, Events included, by kind."""
    start_cpu: float
    """Processor seconds from the start of the process to its first call to ARM."""
    cpu: float
    """Processor seconds from the start of the process until all were Ready."""
    yardstick: float
    """Processor seconds of the fixed piece of work, meanwhile and on the same machine."""
    mib: float
    """The most memory that the process had."""
    throttled: int
    """Answers 429."""

    @property
    def writes_each(self) -> float:
        """Kubernetes writes a resource."""
        return self.writes.total() / self.resources

    @property
    def cpu_each(self) -> float:
        """Processor seconds a resource, the start of the process aside."""
        return (self.cpu - self.start_cpu) / self.resources

    @property
    def yardsticks_each(self) -> float:
        """The same, in yardsticks."""
        return self.cpu_each / self.yardstick


def measure_cost(fleet: Fleet, operator: OperatorProcess) -> Cost:
    """Wait until an operator that was just started has all resources Ready."""
    control, pid, yardstick = fleet.simulator.control, operator.child.pid, Yardstick()
    wait_until(lambda: control.stats()["calls"], within=60, what="a first call to ARM", every=0.01)
    start_cpu = cpu_seconds(pid)

    def all_ready() -> bool:
        yardstick.measure()
        return fleet.is_compliant() and fleet.all_ready()

    wait_until(all_ready, within=_WITHIN, what="all resources to be Ready", every=1.0)
    cpu = cpu_seconds(pid)
    requests = control.requests(limit=10**6)
    patched = max(each["simulated"] for each in requests if each["method"] == "PATCH" and each["status"] == 202)
    took = patched + JOB_SECONDS - min(each["simulated"] for each in requests)
    return Cost(
        resources=len(fleet.vaults),
        ratio=took / Scenario("", "", 1, fleet.vaults).shortest,
        writes=fleet.writes(),
        start_cpu=start_cpu,
        cpu=cpu,
        yardstick=yardstick.seconds,
        mib=peak_resident_bytes(pid) / 2**20,
        throttled=control.stats()["responses"].get("429", 0),
    )


def cost_violations(cost: Cost, *, ratio: float, writes_each: float, yardsticks_each: float) -> list[str]:
    """Say what is out of bounds, one line each."""
    measured = {
        "time over the shortest": (cost.ratio, ratio),
        "Kubernetes writes a resource": (cost.writes_each, writes_each),
        "processor time a resource, in yardsticks": (cost.yardsticks_each, yardsticks_each),
        "answers 429": (cost.throttled, 0),
    }
    return [
        f"a fleet of {cost.resources}: {what} is {value:.4g}, over {most:g}"
        for what, (value, most) in measured.items()
        if value > most
    ]
