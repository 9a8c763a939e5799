"""One size of fleet on a real API server: the operator as its own process, from its start to a restart."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.latency import Latency, measure_latency
from benchmarks.scenarios import JOB_SECONDS, Scenario, Vault, vaults
from benchmarks.simulator import SimulatorProcess
from benchmarks.usage import cpu_seconds, peak_resident_bytes, resident_bytes
from workbench.kube.control_plane import ControlPlane
from workbench.kube.resources import CRD_FILE, collection_path, install_definition, manifest
from workbench.process.operator import OperatorProcess
from workbench.process.waiting import wait_until

MAPPINGS: Final = 20
TO_PATCH: Final = 1
PER_SCOPE: Final = 500
"""Vaults in a subscription and region."""
_USER: Final = "vault-autoupdate-operator"
_NAMESPACE: Final = "default"
_WRITES: Final = frozenset({"create", "update", "patch", "delete"})
_REST: Final = 10.0
_RESTART_SCALE: Final = 60.0

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
        """Time to all compliant over what the limits allow."""
        return self.compliant / self.shortest


def run_size(count: int, scale: float, *, applies: int = 0) -> ScaleResult:
    """Measure one size; with ``applies``, also how long an apply takes to its first PATCH while the rest is idle."""
    fleet = vaults(count, TO_PATCH, scopes=-(-count // PER_SCOPE), compliant=MAPPINGS - TO_PATCH)
    spare = tuple(Vault(f"spare-{n:04}", 1, 0, n % -(-count // PER_SCOPE)) for n in range(applies))
    scenario = Scenario("scale", "", scale, (*fleet, *spare))
    document = {**scenario.document(scale), "latency": {"min": 0, "max": 0}}
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vault-autoupdate-scale-")))
        simulator_starts = stack.enter_context(ThreadPoolExecutor(1)).submit(SimulatorProcess, document, directory)
        stack.callback(lambda: simulator_starts.result().close())
        plane = stack.enter_context(ControlPlane(directory / "control-plane"))
        install_definition(plane.rest, CRD_FILE)
        _create(plane, fleet)
        simulator = simulator_starts.result()
        bench = _Bench(plane, simulator, directory, fleet, scale)
        return bench.run(spare)


class _Bench:
    """One size, step by step."""

    def __init__(
        self, plane: ControlPlane, simulator: SimulatorProcess, directory: Path, fleet: tuple[Vault, ...], scale: float
    ) -> None:
        self._plane = plane
        self._simulator = simulator
        self._directory = directory
        self._fleet = fleet
        self._scale = scale
        self._names = {vault.name for vault in fleet}
        self._kubeconfig = plane.kubeconfig(directory / "operator.kubeconfig", user=_USER, groups=["system:masters"])

    def run(self, spare: tuple[Vault, ...]) -> ScaleResult:
        control = self._simulator.control
        with self._operator("first", self._scale) as operator:
            pid = operator.child.pid
            began = control.state()["simulated"]
            within = 60 + 4 * (len(self._fleet) / 10 + 300 / self._scale)
            wait_until(self._is_compliant, within=within, what="all mappings to be as declared", every=0.5)
            wait_until(self._all_ready, within=within, what="all resources to be Ready", every=1.0)
            all_ready, cpu = control.state()["simulated"] - began, cpu_seconds(pid)
            requests_seen = control.requests(limit=10**6)
            first_look: dict[str, float] = {}
            for record in requests_seen:
                if record["kind"] == "mappings":
                    first_look.setdefault(record["vault"], record["simulated"])
            patched = [r["simulated"] for r in requests_seen if r["method"] == "PATCH" and r["status"] == 202]
            writes = self._writes(since=0)
            time.sleep(3)  # whatever was under way
            writes_before, cpu_before = self._writes(since=0), cpu_seconds(pid)
            time.sleep(_REST)
            rest_cpu = (cpu_seconds(pid) - cpu_before) / _REST
            rest_writes = self._writes(since=0) - writes_before
            peak, rest = peak_resident_bytes(pid), resident_bytes(pid)
            latency = measure_latency(self._plane, self._simulator, spare) if spare else None
            wait_until(self._all_ready, within=within, what="the late ones to be Ready", every=0.5)
        restart = self._restart()
        return ScaleResult(
            resources=len(self._fleet),
            scale=self._scale,
            shortest=Scenario("", "", 1, self._fleet).shortest,
            observed=max(first_look.values()) - began,
            compliant=max(patched) + JOB_SECONDS - began,
            all_ready=all_ready,
            cpu=cpu,
            status_writes=writes,
            peak_mib=peak / 2**20,
            rest_mib=rest / 2**20,
            rest_cpu=rest_cpu,
            rest_writes=rest_writes,
            writes_429=control.stats()["responses"].get("429", 0),
            latency=latency,
            **restart,
        )

    def _restart(self) -> dict[str, Any]:
        """Start another process over the same resources and see what it does that it need not."""
        control = self._simulator.control
        control.settings(time_scale=_RESTART_SCALE)
        control.reset_stats()
        since, writes = control.state()["requests"], self._writes(since=0)
        began = time.monotonic()
        with self._operator("second", _RESTART_SCALE) as operator:

            def all_read() -> bool:
                return control.stats()["calls"].get("GET mappings", 0) >= len(self._fleet)

            wait_until(all_read, within=240, what="all vaults to be read again", every=0.5)
            observed = time.monotonic() - began
            time.sleep(2)
            pid = operator.child.pid
            cpu, peak = cpu_seconds(pid), peak_resident_bytes(pid)
        return {
            "restart_observed": observed,
            "restart_cpu": cpu,
            "restart_status_writes": self._writes(since=0) - writes,
            "restart_patches": len(control.requests(since=since, limit=10**6, method="PATCH")),
            "restart_peak_mib": peak / 2**20,
        }

    def _operator(self, name: str, scale: float) -> OperatorProcess:
        return OperatorProcess(
            self._directory,
            kubeconfig=self._kubeconfig,
            arm_url=self._simulator.url,
            identity=self._simulator.identity,
            scale=scale,
            # Agents and accounts are looked at with spare reads, at some time after the rest: not a part of this.
            settings={"VAULT_AUTOUPDATE_LOG_LEVEL": "warning", "VAULT_AUTOUPDATE_AGENT_INTERVAL": "0s"},
            name=name,
        )

    def _is_compliant(self) -> bool:
        accepted = self._simulator.control.stats()["responses"].get("202", 0)
        if accepted < sum(vault.to_patch for vault in self._fleet):
            return False
        states = [vault for vault in self._simulator.control.state()["vaults"] if vault["name"] in self._names]
        return all(vault["compliant"] == vault["total"] for vault in states)

    def _all_ready(self) -> bool:
        items = self._plane.rest.request("GET", f"{collection_path(_NAMESPACE)}?limit=10000")["items"]
        return all(_is_ready(item) for item in items)

    def _writes(self, *, since: int) -> int:
        """What the operator wrote to Kubernetes: everything but the renewal of a Lease."""
        events = [e for e in self._plane.audit_events(user=_USER) if e.verb in _WRITES and e.resource != "leases"]
        return len(events) - since


def _is_ready(item: dict[str, Any]) -> bool:
    conditions = item.get("status", {}).get("conditions", ())
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _create(plane: ControlPlane, fleet: Iterable[Vault]) -> None:
    """Create the resources, over several connections."""

    def create(vault: Vault) -> None:
        body = manifest(vault.name, vaultResourceId=vault.id, automationAccountResourceId=vault.account)
        plane.rest.request("POST", collection_path(_NAMESPACE), body)

    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(create, fleet):
            pass
