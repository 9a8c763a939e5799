"""A simulated vault, its resources on a real API server, and operators as processes: what their tests work with."""

from __future__ import annotations

import json
import re
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from asr_simulator import SimulatorThread, parse_scenario
from asr_simulator.control_types import MappingState, RequestRecord
from workbench.kube.audit_log import AuditEvent
from workbench.kube.control_plane import ControlPlane
from workbench.kube.kubectl import Kubectl
from workbench.kube.resources import collection_path, manifest, resource_path
from workbench.kube.rest import MERGE_PATCH, ApiError
from workbench.process.operator import OperatorProcess
from workbench.process.waiting import wait_until

SCALE: Final = 50.0
"""Simulated seconds in a second."""
ENDLESS: Final = 100_000.0
"""Simulated seconds that a job takes which is not to end before the test skips that time."""
QUICK: Final = 5.0
"""Simulated seconds that a job takes which is to end at once."""
REQUESTED_AT: Final = "asr.vault-autoupdate.io/requestedAt"
SHARD_LABEL: Final = "asr.vault-autoupdate.io/shard"
FINALIZER: Final = "asr.vault-autoupdate.io/disable-auto-update"
_SECRET: Final = re.compile(r"Bearer|eyJ|&s=|&c=|[?]t=")

__all__ = [
    "ENDLESS", "FINALIZER", "QUICK", "REQUESTED_AT", "SCALE", "SHARD_LABEL", "Site", "Vault", "check_log", "condition",
    "is_ready", "jobs_take", "make_operator", "make_simulator", "scenario", "vault",
]  # fmt: skip


@dataclass(frozen=True)
class Vault:
    """One vault of the simulated Azure. Each has a subscription, and so limits, of its own."""

    name: str
    subscription: str
    group: str = "rg-dr"

    @property
    def id(self) -> str:
        return f"{self._group}/providers/Microsoft.RecoveryServices/vaults/{self.name}"

    @property
    def account(self) -> str:
        return f"{self._group}/providers/Microsoft.Automation/automationAccounts/aa-{self.name}"

    @property
    def _group(self) -> str:
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.group}"


def vault(number: int = 0) -> Vault:
    """The vault with this number."""
    return Vault(f"vault-{number:02}", f"6f3b9f5e-8a3c-4c7e-9a53-{number:012}")


def jobs_take(simulated_seconds: float, **more: Any) -> dict[str, Any]:
    """The section of a scenario by which all jobs take so long."""
    return {"duration": {"min": simulated_seconds, "max": simulated_seconds}, **more}


def scenario(mix: Mapping[str, int], *, vault_count: int = 1, **changes: Any) -> dict[str, Any]:
    """A scenario with vaults of this mix; ``changes`` replace top-level keys."""
    return {
        "time_scale": SCALE,
        "jobs": jobs_take(QUICK),
        "vaults": [
            {
                "subscription": each.subscription,
                "resource_group": each.group,
                "name": each.name,
                "automation_account": each.account,
                "mix": dict(mix),
            }
            for each in map(vault, range(vault_count))
        ],
        **changes,
    }


def make_simulator(document: Mapping[str, Any]) -> SimulatorThread:
    """Prepare a simulator for this scenario."""
    return SimulatorThread(parse_scenario(dict(document)))


def make_operator(
    plane: ControlPlane,
    sim: SimulatorThread,
    work_dir: Path,
    namespace: str,
    *,
    name: str = "operator",
    settings: Mapping[str, str] | None = None,
) -> OperatorProcess:
    """Prepare an operator that looks after one namespace, as a user of its own; it is not started yet."""
    user = f"{namespace}-{name}"
    return OperatorProcess(
        work_dir,
        kubeconfig=plane.kubeconfig(work_dir / f"{user}.kubeconfig", user=user, groups=["system:masters"]),
        arm_url=sim.url,
        identity=sim.identity_env,
        scale=sim.scenario.time_scale,
        settings={
            "VAULT_AUTOUPDATE_WATCH_NAMESPACES": namespace,
            "VAULT_AUTOUPDATE_STATUS_INTERVAL": "0.2s",
            "VAULT_AUTOUPDATE_REQUEST_INTERVAL": "0s",  # tests ask for looks instead of waiting for the interval
            "VAULT_AUTOUPDATE_JOB_POLL_MIN": "0.1s",
            **(settings or {}),
        },
        name=name,
    )


def check_log(log: Path, start: int = 0) -> int:
    """Fail if an operator's log has a traceback or anything secret after ``start``; returns where it ends."""
    if not log.exists():
        return 0
    text = log.read_text(errors="replace")
    new = text[start:]
    assert "Traceback (most recent call last)" not in new, f"a traceback in {log}:\n{new[-8000:]}"
    secret = _SECRET.search(new)
    assert secret is None, f"a secret in {log}: {new[max(0, secret.start() - 200) : secret.end() + 20]}"
    return len(text)


def condition(status: Mapping[str, Any], kind: str = "Ready") -> dict[str, Any]:
    """A condition of a status, or nothing."""
    return next((dict(each) for each in status.get("conditions", ()) if each["type"] == kind), {})


def is_ready(status: Mapping[str, Any]) -> bool:
    """Whether the status says Ready."""
    return bool(condition(status).get("status") == "True")


@dataclass
class Site:
    """One vault, and the namespace with the resources that name it."""

    plane: ControlPlane
    sim: SimulatorThread
    namespace: str
    vault: Vault
    operator: OperatorProcess
    prefix: str = field(default_factory=lambda: f"r{uuid.uuid4().hex[:6]}")
    """Begins the names of this test's resources."""

    # --- resources --------------------------------------------------------------------------------------------

    def create(
        self, name: str = "dr", *, finalizers: tuple[str, ...] = (), shard: str = "", **spec: Any
    ) -> dict[str, Any]:
        """Create a resource for the vault."""
        fields = {"vaultResourceId": self.vault.id, "automationAccountResourceId": self.vault.account, **spec}
        document = manifest(self.name(name), **fields)
        if shard:
            document["metadata"]["labels"] = {SHARD_LABEL: shard}
        if finalizers:
            document["metadata"]["finalizers"] = list(finalizers)
        created: dict[str, Any] = self.plane.rest.create(collection_path(self.namespace), document)
        return created

    def name(self, name: str = "dr") -> str:
        """The whole name of a resource."""
        return f"{self.prefix}-{name}" if self.prefix else name

    def path(self, name: str = "dr", subresource: str = "") -> str:
        """The path of a resource."""
        return resource_path(self.namespace, self.name(name), subresource=subresource)

    def get(self, name: str = "dr") -> dict[str, Any]:
        """A resource as it is now; empty if it is not there."""
        return self.plane.rest.get_or_none(self.path(name)) or {}

    def status(self, name: str = "dr") -> dict[str, Any]:
        """The status of a resource as it is now."""
        return dict(self.get(name).get("status") or {})

    def patch(self, name: str = "dr", **spec: Any) -> dict[str, Any]:
        """Change fields of a resource's spec."""
        return self.merge(name, {"spec": spec})

    def merge(self, name: str, patch: Mapping[str, Any]) -> dict[str, Any]:
        """Merge something into a resource."""
        merged: dict[str, Any] = self.plane.rest.request("PATCH", self.path(name), patch, content_type=MERGE_PATCH)
        return merged

    def request(self, name: str = "dr") -> str:
        """Ask for a look now; returns the value of the annotation."""
        stamp = uuid.uuid4().hex
        self.merge(name, {"metadata": {"annotations": {REQUESTED_AT: stamp}}})
        return stamp

    def request_and_wait(self, name: str = "dr", *, within: float = 20) -> dict[str, Any]:
        """Ask for a look now and wait for the answer."""
        stamp = self.request(name)
        return self.wait(lambda status: status.get("lastHandledReconcileAt") == stamp, name, within=within)

    def move(self, shard: str, name: str = "dr") -> None:
        """Label a resource for another shard; for the main one, take the label off."""
        self.merge(name, {"metadata": {"labels": {SHARD_LABEL: shard or None}}})

    def delete(self, name: str = "dr") -> None:
        """Delete a resource; returns at once."""
        self.plane.rest.request("DELETE", self.path(name))

    def delete_all(self) -> None:
        """Remove this test's resources, finalizers or not."""
        for item in self.plane.rest.request("GET", collection_path(self.namespace))["items"]:
            path = resource_path(self.namespace, item["metadata"]["name"])
            try:
                self.plane.rest.request("PATCH", path, {"metadata": {"finalizers": None}}, content_type=MERGE_PATCH)
                self.plane.rest.request("DELETE", path)
            except ApiError as error:
                if error.code != 404:
                    raise

    @property
    def kubectl(self) -> Kubectl:
        """kubectl in this namespace."""
        return self.plane.kubectl.in_namespace(self.namespace)

    # --- waiting ----------------------------------------------------------------------------------------------

    def wait(
        self, wanted: Callable[[dict[str, Any]], object], name: str = "dr", *, within: float = 20
    ) -> dict[str, Any]:
        """Wait until the status is as wanted, and return it."""

        def look() -> dict[str, Any] | None:
            status = self.status(name)
            return status if wanted(status) else None

        def last() -> str:
            log = "\n".join(self.operator.log.read_text(errors="replace").splitlines()[-30:])
            return f"the status wanted of {name}: {json.dumps(self.status(name), indent=1)[:4000]}\n{log}"

        return wait_until(look, within=within, what=last)

    def wait_ready(self, name: str = "dr", *, within: float = 20) -> dict[str, Any]:
        """Wait until a resource is Ready in its present generation, and return its status."""
        generation = self.get(name)["metadata"]["generation"]
        return self.wait(
            lambda status: is_ready(status) and condition(status)["observedGeneration"] == generation,
            name,
            within=within,
        )

    def wait_at_rest(self, name: str = "dr", *, within: float = 20) -> dict[str, Any]:
        """Wait until a resource with auto-update is Ready and its agents and account have been looked at."""
        self.wait_ready(name, within=within)
        looked_at = {"Ready", "AgentsCurrent", "AutomationAccountHealthy"}
        return self.wait(lambda status: looked_at == {each["type"] for each in status["conditions"]}, name)

    def wait_reason(self, reason: str, name: str = "dr", *, within: float = 20) -> dict[str, Any]:
        """Wait until the Ready condition has this reason."""
        return self.wait(lambda status: condition(status).get("reason") == reason, name, within=within)

    def wait_gone(self, name: str = "dr", *, within: float = 10) -> None:
        """Wait until a resource is gone."""
        wait_until(lambda: not self.get(name), within=within, what=lambda: f"{name} gone: {self.get(name)}")

    def wait_operations(self, count: int, name: str = "dr", *, within: float = 20) -> dict[str, Any]:
        """Wait until the status counts so many jobs in flight."""
        return self.wait(
            lambda status: (
                len(status.get("operations", ())) + status.get("operationsOmitted", 0) == count
                and status["mappings"]["updating"] == count
            ),
            name,
            within=within,
        )

    # --- Azure ------------------------------------------------------------------------------------------------

    def mappings(self) -> list[MappingState]:
        """The vault's mappings as they are."""
        return self.sim.control.mappings(self.vault.name)

    def in_scope(self) -> list[MappingState]:
        """Those that can have auto-update at all."""
        return [each for each in self.mappings() if each["provider"] == "A2A" and each["state"] == "Paired"]

    def statuses(self) -> Counter[str]:
        """How many mappings in scope are Enabled, how many Disabled."""
        return Counter(each["status"] for each in self.in_scope())

    def differing(self) -> set[str]:
        """Ids of the mappings in scope that are not Enabled with the vault's account, or are unhealthy."""
        return {
            each["id"]
            for each in self.in_scope()
            if each["status"] != "Enabled"
            or (each["account"] or "").casefold() != self.vault.account.casefold()
            or each["authentication"] != "SystemAssignedIdentity"
            or each["health_category"]
        }

    def patched(self) -> dict[str, int]:
        """By mapping id: PATCHes that were accepted."""
        return {key: record["accepted"] for key, record in self.sim.control.patches(self.vault.name).items()}

    def patch_count(self) -> int:
        """PATCHes that were accepted, all in all."""
        return sum(self.patched().values())

    def reset_stats(self) -> None:
        """Forget the PATCHes so far."""
        self.sim.control.reset_stats()

    def requests(self, *, since: int = 0, method: str | None = None, kind: str | None = None) -> list[RequestRecord]:
        """What Azure was asked about the vault."""
        return self.sim.control.requests(since=since, limit=20_000, method=method, kind=kind, vault=self.vault.name)

    def sequence(self) -> int:
        """Number of the newest request to Azure."""
        return self.sim.control.state()["requests"]

    def running_jobs(self) -> int:
        """Jobs at work in the vault."""
        (found,) = (each for each in self.sim.control.state()["vaults"] if each["name"] == self.vault.name)
        return found["jobs"].get("InProgress", 0)

    def set_jobs(self, simulated_seconds: float, **more: Any) -> None:
        """From now on all jobs take so long."""
        self.sim.control.settings(jobs=jobs_take(simulated_seconds, **more))

    def end_jobs(self) -> None:
        """Let all jobs come to their end, and new ones be quick."""
        self.set_jobs(QUICK)
        self.sim.control.advance(ENDLESS)

    # --- Kubernetes -------------------------------------------------------------------------------------------

    def events(self, name: str = "dr") -> list[dict[str, Any]]:
        """Events about a resource, oldest first."""
        path = f"/apis/events.k8s.io/v1/namespaces/{self.namespace}/events"
        items: list[dict[str, Any]] = self.plane.rest.request("GET", path)["items"]
        about = [item for item in items if item["regarding"]["name"] == self.name(name)]
        return sorted(about, key=lambda item: str(item["eventTime"]))

    def wait_events(self, *reasons: str, name: str = "dr") -> None:
        """Wait until there are Events with these reasons in this order, and no others."""
        wait_until(
            lambda: [event["reason"] for event in self.events(name)] == list(reasons),
            within=10,
            what=lambda: f"the Events {reasons}: {[event['reason'] for event in self.events(name)]}",
        )

    def writes(self, *, user: str | None = None) -> list[AuditEvent]:
        """What the operator has written to resources so far, from the audit log."""
        own = user or f"{self.namespace}-{self.operator.name}"
        return [
            event
            for event in self.plane.audit_events(user=own)
            if event.verb not in {"get", "list", "watch"} and event.stage == "ResponseComplete"
        ]
