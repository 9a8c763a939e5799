"""A fleet of resources on a real API server, with the simulator for Azure and the operator as its own process."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.scenarios import Scenario, Vault, vaults
from benchmarks.simulator import SimulatorProcess
from workbench.kube.audit_log import AuditEvent
from workbench.kube.control_plane import ControlPlane
from workbench.kube.resources import CRD_FILE, collection_path, install_definition, manifest
from workbench.process.operator import OperatorProcess
from workbench.site import SHARD_LABEL

MAPPINGS: Final = 20
"""In each vault."""
TO_PATCH: Final = 1
"""Of them, those that are not as declared."""
PER_SCOPE: Final = 500
"""Vaults in a subscription and region."""
_USER: Final = "vault-autoupdate-operator"
_NAMESPACE: Final = "default"
_PAGE: Final = 500
_VERBS: Final = frozenset({"create", "update", "patch", "delete"})

__all__ = ["MAPPINGS", "TO_PATCH", "Fleet", "open_fleet", "scopes_of", "shard_of"]


@dataclass(frozen=True)
class Fleet:
    """What stands and runs; the operator apart."""

    plane: ControlPlane
    simulator: SimulatorProcess
    directory: Path
    vaults: tuple[Vault, ...]
    kubeconfig: Path
    scale: float
    """Simulated seconds per real second."""

    def operator(
        self, name: str, *, scale: float | None = None, settings: Mapping[str, str] | None = None
    ) -> OperatorProcess:
        """An operator for the fleet, not started yet."""
        return OperatorProcess(
            self.directory,
            kubeconfig=self.kubeconfig,
            arm_url=self.simulator.url,
            identity=self.simulator.identity,
            scale=scale or self.scale,
            # Agents and accounts are looked at with spare reads, at some time after the rest: not a part of this.
            settings={
                "VAULT_AUTOUPDATE_LOG_LEVEL": "warning",
                "VAULT_AUTOUPDATE_AGENT_INTERVAL": "0s",
                **(settings or {}),
            },
            name=name,
        )

    def is_compliant(self) -> bool:
        """Whether every mapping is as declared, as the simulator knows."""
        control, names = self.simulator.control, {vault.name for vault in self.vaults}
        if control.stats()["responses"].get("202", 0) < sum(vault.to_patch for vault in self.vaults):
            return False
        states = [vault for vault in control.state()["vaults"] if vault["name"] in names]
        return all(vault["compliant"] == vault["total"] for vault in states)

    def all_ready(self) -> bool:
        """Whether every resource says so."""
        path, following = f"{collection_path(_NAMESPACE)}?limit={_PAGE}", ""
        while True:
            page = self.plane.rest.request("GET", f"{path}&continue={following}" if following else path)
            if not all(_is_ready(item) for item in page["items"]):
                return False
            if not (following := page["metadata"].get("continue", "")):
                return True

    def writes(self) -> Counter[str]:
        """What the operator wrote to Kubernetes so far, by kind: everything but the renewal of a Lease."""
        return Counter(
            _kind_of(event)
            for event in self.plane.audit_events(user=_USER)
            if event.verb in _VERBS and event.resource != "leases"
        )

    def create(self, shards: int) -> None:
        """Create the resources, over several connections, labelled for so many shards."""

        def create(vault: Vault) -> None:
            body = manifest(vault.name, vaultResourceId=vault.id, automationAccountResourceId=vault.account)
            if shard := shard_of(vault, shards):
                body["metadata"]["labels"] = {SHARD_LABEL: shard}
            self.plane.rest.request("POST", collection_path(_NAMESPACE), body)

        with ThreadPoolExecutor(8) as pool:
            for _ in pool.map(create, self.vaults):
                pass


@contextmanager
def open_fleet(
    count: int,
    scale: float,
    *,
    to_patch: int = TO_PATCH,
    more: Iterable[Vault] = (),
    latency: float = 0.0,
    shards: int = 1,
) -> Iterator[Fleet]:
    """Start everything but the operator, with the resources in place.

    Args:
        count: of vaults and resources.
        scale: simulated seconds per real second.
        to_patch: mappings of each vault that are not as declared.
        more: vaults without a resource.
        latency: seconds (real) by which Azure's answers are late.
        shards: to which the subscriptions are dealt out.
    """
    scopes = shards * -(-scopes_of(count) // shards)
    fleet = vaults(count, to_patch, scopes=scopes, compliant=MAPPINGS - to_patch)
    document = Scenario("scale", "", scale, (*fleet, *more)).document(scale)
    document["latency"] = {"min": latency, "max": latency}
    _compile()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vault-autoupdate-scale-")))
        simulator_starts = stack.enter_context(ThreadPoolExecutor(1)).submit(SimulatorProcess, document, directory)
        stack.callback(lambda: simulator_starts.result().close())
        plane = stack.enter_context(ControlPlane(directory / "control-plane"))
        install_definition(plane.rest, CRD_FILE)
        kubeconfig = plane.kubeconfig(directory / "operator.kubeconfig", user=_USER, groups=["system:masters"])
        made = Fleet(plane, simulator_starts.result(), directory, fleet, kubeconfig, scale)
        made.create(shards)
        yield made


def _compile() -> None:
    """Import once what the operator imports: that Python compiles it when it is new is no part of what is measured."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    modules = "vault_autoupdate.cli.main, vault_autoupdate.cli.run"
    subprocess.run([sys.executable, "-P", "-c", f"import {modules}"], check=True, env=environment)


def scopes_of(count: int) -> int:
    """How many subscriptions so many vaults are in."""
    return -(-count // PER_SCOPE)


def shard_of(vault: Vault, shards: int) -> str:
    """The shard of a vault's subscription; empty for the main one."""
    number = vault.scope % shards
    return f"shard-{number}" if number else ""


def _is_ready(item: dict[str, Any]) -> bool:
    conditions = item.get("status", {}).get("conditions", ())
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _kind_of(event: AuditEvent) -> str:
    return f"{event.resource}/{event.subresource}" if event.subresource else event.resource
