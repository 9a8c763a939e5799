"""The bounds of a small fleet on a real API server: pace, writes and processor time, none of it by the wall clock.

Times are those of the simulator, whose clock stands as little still for a slow machine as any; so the bound of the pace
is a loose one, which only an operator that waits for something breaks. Writes are counted. Processor time is compared
with a fixed piece of work that was done meanwhile, and has room for half as much again as it was measured with.
"""

from __future__ import annotations

from typing import Final

from benchmarks.cost import cost_violations, measure_cost
from benchmarks.fleet import open_fleet
from workbench.kube.binaries import HOW_TO_ENABLE, find_binaries

_RESOURCES: Final = 220
"""A few more than leave in the first window, so that the shortest time is 80 s."""
_SCALE: Final = 2.0
_MOST_RATIO: Final = 2.0
_MOST_WRITES: Final = 3.8
_MOST_YARDSTICKS: Final = 16.0

__all__ = ["run_fleet_smoke"]


def run_fleet_smoke() -> list[str]:
    """Measure, and say what is out of bounds; nothing is measured without a control plane."""
    if find_binaries() is None:
        print(f"a fleet on a real API server: not measured, there is no kube-apiserver: {HOW_TO_ENABLE}")
        return []
    with open_fleet(_RESOURCES, _SCALE) as fleet, fleet.operator("smoke") as operator:
        cost = measure_cost(fleet, operator)
    print(
        f"{cost.resources} resources on a real API server: {cost.ratio:.2f} of the shortest time, "
        f"{cost.writes_each:.2f} Kubernetes writes and {1000 * cost.cpu_each:.1f} ms of processor time each "
        f"({cost.yardsticks_each:.1f} yardsticks), {cost.mib:.0f} MiB"
    )
    return cost_violations(cost, ratio=_MOST_RATIO, writes_each=_MOST_WRITES, yardsticks_each=_MOST_YARDSTICKS)
