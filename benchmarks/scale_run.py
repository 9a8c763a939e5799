"""One size of fleet on a real API server: the operator as its own process, from its start to a restart."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.fleet import MAPPINGS, TO_PATCH, Fleet, open_fleet, scopes_of
from benchmarks.latency import Latency, measure_latency
from benchmarks.scenarios import JOB_SECONDS, Scenario, Vault
from benchmarks.usage import cpu_seconds, peak_resident_bytes, resident_bytes
from benchmarks.yardstick import Yardstick
from workbench.process.waiting import wait_until

_REST: Final = 10.0
_RESTART_SCALE: Final = 60.0
_AT_FULL_SCALE: Final = 5000
"""Of more resources than that the clock goes slower in a restart: an hour later each is looked at once more."""
_LOOKED_AT: Final = 1000
"""So many resources a second are looked at to see how far the work is; more would slow down what is measured."""

__all__ = ["MAPPINGS", "ScaleResult", "run_size"]


@dataclass(frozen=True)
class ScaleResult:
    """What was measured for one size. Times from the start of the process, in simulated seconds unless said."""

    resources: int
    scale: float
    shortest: float
    """The time that the limits alone allow for the PATCHes."""
    observed: float
    """Until every vault had been read once."""
    compliant: float
    """Until every mapping was as declared, as the simulator knows."""
    all_ready: float
    """Until every resource said so."""
    cpu: float
    """Processor seconds until then."""
    yardstick: float
    """Processor seconds of the fixed piece of work, meanwhile and on the same machine."""
    status_writes: int
    """Kubernetes writes until then, Events included."""
    peak_mib: float
    rest_mib: float
    rest_cpu: float
    """Part of a core at rest, over some seconds (real)."""
    rest_writes: int
    restart_observed: float
    """Real seconds until every vault had been read again by a new process."""
    restart_cpu: float
    restart_status_writes: int
    restart_patches: int
    restart_peak_mib: float
    writes_429: int
    latency: Latency | None

    @property
    def ratio(self) -> float:
        """Time to all compliant over what the limits allow; 1 where nothing was to be patched."""
        return self.compliant / self.shortest if self.shortest else 1.0


def run_size(count: int, scale: float, *, to_patch: int = TO_PATCH, applies: int = 0) -> ScaleResult:
    """Measure one size; with ``applies``, also how long an apply takes to its first PATCH while the rest is idle."""
    spare = tuple(Vault(f"spare-{n:04}", 1, 0, n % scopes_of(count)) for n in range(applies))
    with open_fleet(count, scale, to_patch=to_patch, more=spare) as fleet:
        return _measure(fleet, spare)


def _measure(fleet: Fleet, spare: tuple[Vault, ...]) -> ScaleResult:
    control = fleet.simulator.control
    with fleet.operator("first") as operator:
        pid = operator.child.pid
        began = control.state()["simulated"]
        yardstick = _until_ready(fleet)
        all_ready, cpu = control.state()["simulated"] - began, cpu_seconds(pid)
        requests_seen = control.requests(limit=10**6)
        first_look: dict[str, float] = {}
        for record in requests_seen:
            if record["kind"] == "mappings":
                first_look.setdefault(record["vault"], record["simulated"])
        patched = [r["simulated"] for r in requests_seen if r["method"] == "PATCH" and r["status"] == 202]
        writes = fleet.writes().total()
        _until_quiet(fleet)
        writes_before, cpu_before = fleet.writes().total(), cpu_seconds(pid)
        time.sleep(_REST)
        rest_cpu = (cpu_seconds(pid) - cpu_before) / _REST
        rest_writes = fleet.writes().total() - writes_before
        peak, rest = peak_resident_bytes(pid), resident_bytes(pid)
        latency = measure_latency(fleet.plane, fleet.simulator, spare) if spare else None
        wait_until(fleet.all_ready, within=_patience(fleet), what="the late ones to be Ready", every=0.5)
    restart = _restart(fleet)
    return ScaleResult(
        resources=len(fleet.vaults),
        scale=fleet.scale,
        shortest=Scenario("", "", 1, fleet.vaults).shortest,
        observed=max(first_look.values()) - began,
        compliant=max(patched) + JOB_SECONDS - began if patched else 0.0,
        all_ready=all_ready,
        cpu=cpu,
        yardstick=yardstick.seconds,
        status_writes=writes,
        peak_mib=peak / 2**20,
        rest_mib=rest / 2**20,
        rest_cpu=rest_cpu,
        rest_writes=rest_writes,
        writes_429=control.stats()["responses"].get("429", 0),
        latency=latency,
        **restart,
    )


def _until_ready(fleet: Fleet) -> Yardstick:
    """Wait until all is done; gives the fixed piece of work, which was done now and then meanwhile."""
    yardstick, within = Yardstick(), _patience(fleet)
    every = max(0.5, len(fleet.vaults) / _LOOKED_AT)

    def is_compliant() -> bool:
        yardstick.measure()
        return fleet.is_compliant()

    wait_until(is_compliant, within=within, what="all mappings to be as declared", every=every)
    wait_until(fleet.all_ready, within=within, what="all resources to be Ready", every=2 * every)
    return yardstick


def _until_quiet(fleet: Fleet) -> None:
    """Wait for what follows after the last status: Events wait for their turn when there are many."""
    before = -1
    while (writes := fleet.writes().total()) != before:
        before = writes
        time.sleep(3)


def _patience(fleet: Fleet) -> float:
    """Seconds within which all of it is done, also on a machine with much else to do."""
    return 60 + 4 * (len(fleet.vaults) / 10 + 300 / fleet.scale)


def _restart(fleet: Fleet) -> dict[str, Any]:
    """Start another process over the same resources and see what it does that it need not."""
    control = fleet.simulator.control
    scale = _RESTART_SCALE * min(1.0, _AT_FULL_SCALE / len(fleet.vaults))
    control.settings(time_scale=scale)
    control.reset_stats()
    since, writes = control.state()["requests"], fleet.writes().total()
    began = time.monotonic()
    with fleet.operator("second", scale=scale) as operator:

        def all_read() -> bool:
            return bool(control.stats()["calls"].get("GET mappings", 0) >= len(fleet.vaults))

        wait_until(all_read, within=_patience(fleet), what="all vaults to be read again", every=0.5)
        observed = time.monotonic() - began
        time.sleep(2)
        pid = operator.child.pid
        cpu, peak = cpu_seconds(pid), peak_resident_bytes(pid)
    return {
        "restart_observed": observed,
        "restart_cpu": cpu,
        "restart_status_writes": fleet.writes().total() - writes,
        "restart_patches": len(control.requests(since=since, limit=10**6, method="PATCH")),
        "restart_peak_mib": peak / 2**20,
    }
