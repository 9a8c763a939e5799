"""The chart in a namespace of the node, and the simulated Azure that its operator works on."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from asr_simulator import SimulatorThread, parse_scenario
from asr_simulator.control_client import ControlClient
from asr_simulator.control_types import RequestRecord
from asr_simulator.server import Tls
from tests.chart.helm import CHART, merged
from workbench.kube.kubectl import Kubectl
from workbench.kube.resources import ROOT, manifest
from workbench.node.configuration import ADDRESS
from workbench.node.node import Node
from workbench.process.waiting import wait_until
from workbench.site import SCALE, Vault, vault

RELEASE: Final = "vau"
DEPLOYMENT: Final = "vau-vault-autoupdate"
SELECTOR: Final = f"app.kubernetes.io/name=vault-autoupdate,app.kubernetes.io/instance={RELEASE}"
_IMAGE: Final = {"repository": "vault-autoupdate", "tag": "ci", "pullPolicy": "Never"}
_TRUST: Final = "azure-ca"
_WAIT_SECONDS: Final = 120

__all__ = [
    "DEPLOYMENT", "RELEASE", "SELECTOR", "Installation", "Simulated", "operator_process", "simulated", "writers",
]  # fmt: skip


@dataclass(frozen=True)
class Simulated:
    """A simulated Azure that pods reach over TLS, and who vouches for its certificate."""

    sim: SimulatorThread
    certificate: Path
    authority: Path

    @property
    def host(self) -> str:
        """Where pods reach it."""
        return f"{ADDRESS}:{self.sim.port}"

    @property
    def control(self) -> ControlClient:
        """A client of its control endpoint, which this machine alone may use."""
        return ControlClient(f"https://127.0.0.1:{self.sim.port}", certificate=self.certificate)

    def values(self) -> dict[str, Any]:
        """Values of the chart by which the operator works on it, with an identity of the node."""
        return {
            "image": _IMAGE,
            "crds": {"enabled": False},
            "rbac": {"aggregate": False},
            "azure": {"armEndpoint": f"https://{self.host}", "auth": {"mode": "managedIdentity"}},
            # Where an identity of the node is to be had, as azure-identity is told in App Service.
            "extraEnv": [
                {"name": "IDENTITY_ENDPOINT", "value": f"https://{self.host}/msi/token"},
                {"name": "IDENTITY_HEADER", "value": self.sim.scenario.identity.secret},
            ],
            "tls": {"caBundle": {"configMap": _TRUST}},
            "startupProbe": {"initialDelaySeconds": 1, "periodSeconds": 1},
            "readinessProbe": {"periodSeconds": 1},
            "polling": {"jobMin": "0.1s", "jobMax": "0.6s", "statusInterval": "0.2s"},
            "limits": {"write": f"200/{60 / SCALE}s", "read": f"10000/{3600 / SCALE}s,250/{10 / SCALE}s"},
        }

    def patches(self, of: Vault) -> list[RequestRecord]:
        """The PATCHes for a vault's mappings so far, in the order of their arrival."""
        found = self.control.requests(limit=20_000, method="PATCH", vault=of.name)
        return sorted(found, key=lambda each: each["real"])


@contextmanager
def simulated(node: Node, directory: Path, document: Mapping[str, Any]) -> Iterator[Simulated]:
    """Run a simulated Azure at the node's address. To be entered in the node's network."""
    pair = node.authority.server(f"azure-{directory.name}", [ADDRESS, "127.0.0.1"])
    tls = Tls(pair.certificate, pair.key)
    with SimulatorThread(parse_scenario(dict(document)), host="0.0.0.0", tls=tls) as sim:
        yield Simulated(sim, pair.certificate, node.authority.certificate)


def writers(patches: Sequence[RequestRecord]) -> list[str]:
    """The addresses that PATCHes came from, each as often as it took over from another one."""
    clients = [each["client"] for each in patches]
    return [client for number, client in enumerate(clients) if number == 0 or client != clients[number - 1]]


@dataclass
class Installation:
    """A release, and what there is to know about it."""

    node: Node
    namespace: str
    azure: Simulated
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def kubectl(self) -> Kubectl:
        """kubectl in the release's namespace."""
        return self.node.kubectl.in_namespace(self.namespace)

    # --- Helm -------------------------------------------------------------------------------------------------

    def install(
        self, *, wait: bool = True, base: Mapping[str, Any] | None = None, chart: Path = CHART, **changes: Any
    ) -> None:
        """Install, or upgrade to these values; with ``wait`` until all pods are Ready."""
        self.trust_azure()
        own = {"watchNamespaces": [self.namespace]}
        self.values = merged(merged(dict(base if base is not None else self.azure.values()), own), changes)
        path = self.node.directory / f"{self.namespace}.yaml"
        path.write_text(yaml.safe_dump(self.values))
        self.helm("upgrade", RELEASE, chart, "--install", f"--values={path}", *(["--wait"] if wait else []))

    def trust_azure(self) -> None:
        """Put the certificate of the simulated Azure's authority where the values look for it."""
        trust = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": _TRUST}}
        self.apply({**trust, "data": {"ca.crt": self.azure.authority.read_text()}})

    def rollback(self) -> None:
        """Go back to the values before."""
        self.helm("rollback", RELEASE, "--wait")

    def test(self) -> None:
        """``helm test``."""
        self.helm("test", RELEASE)

    def uninstall(self) -> None:
        """Take it away, if it is there."""
        self.helm("uninstall", RELEASE, "--ignore-not-found", "--wait")

    def helm(self, *arguments: str | Path) -> None:
        """Helm in the release's namespace: in a process of its own, which is in the node's network with all threads."""
        command = [sys.executable, "-m", "tests.chart.helm_cli", *map(str, arguments)]
        done = subprocess.run(
            [*command, f"--namespace={self.namespace}", f"--timeout={_WAIT_SECONDS}s"],
            cwd=ROOT,
            env=os.environ | {"KUBECONFIG": str(self.node.admin_kubeconfig), "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"helm {arguments[0]}: {done.stderr}{done.stdout}\n{self.describe()}"

    # --- resources --------------------------------------------------------------------------------------------

    def apply(self, *documents: Mapping[str, Any]) -> None:
        """``kubectl apply``."""
        self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(documents)).check()

    def declare(self, number: int = 0, **spec: Any) -> Vault:
        """Declare that a vault's auto-update is to be Enabled; returns the vault."""
        of = vault(number)
        fields = {"vaultResourceId": of.id, "automationAccountResourceId": of.account} | spec
        self.apply(manifest(of.name, **fields))
        return of

    def wait_ready(self, of: Vault, *, within: float = 60) -> None:
        """Wait until a vault is as declared."""
        done = self.kubectl(
            "wait", "--for=condition=Ready", f"vau/{of.name}", f"--timeout={within}s", timeout=within + 9
        )
        assert done.code == 0, f"{done.stderr}\n{self.kubectl('describe', 'vau', of.name).stdout}\n{self.logs()}"

    def secret(self, name: str, **data: str) -> None:
        """Make a Secret."""
        encoded = {key.replace("_", "-"): base64.b64encode(text.encode()).decode() for key, text in data.items()}
        self.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": encoded})

    # --- pods -------------------------------------------------------------------------------------------------

    def pods(self) -> list[dict[str, Any]]:
        """The operator's pods that are not on their way out."""
        found = self.kubectl("get", "pods", "--selector", SELECTOR, "--output", "json").json()["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def pod(self) -> dict[str, Any]:
        """The only pod that runs."""
        (pod,) = (each for each in self.pods() if each["status"]["phase"] == "Running")
        return pod

    def wait_pod(self, wanted: Callable[[dict[str, Any]], object], what: str, *, within: float = 60) -> dict[str, Any]:
        """Wait until one of the pods is as wanted, and return it."""
        return wait_until(
            lambda: next((pod for pod in self.pods() if wanted(pod)), None),
            within=within,
            what=lambda: f"{what}: {json.dumps([pod['status'] for pod in self.pods()])[:3000]}\n{self.logs()}",
            every=0.2,
        )

    def leader(self) -> str:
        """Name of the pod that holds the Lease; empty if none does."""
        lease = self.kubectl("get", "lease", DEPLOYMENT, "--output", "json", "--ignore-not-found").stdout
        return str((json.loads(lease)["spec"].get("holderIdentity") or "").rpartition("_")[0]) if lease else ""

    def describe(self) -> str:
        """What somebody would look at first: the pods as ``kubectl describe`` has them, and what they said."""
        return f"{self.kubectl('describe', 'pods').stdout}\n{self.logs()}"

    def logs(self) -> str:
        """What the operators said."""
        return self.kubectl("logs", "--selector", SELECTOR, "--tail=40", "--prefix").stdout

    def events(self, kind: str = "Warning") -> list[dict[str, Any]]:
        """Events of the namespace's pods and Deployments."""
        found: list[dict[str, Any]] = self.kubectl("get", "events", "--output", "json").json()["items"]
        return [event for event in found if event["type"] == kind]


def operator_process(pod: str) -> int:
    """The operator's process in a pod, by its id on this machine."""
    found = []
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            try:
                command = (directory / "cmdline").read_bytes().split(b"\0")
                variables = (directory / "environ").read_bytes().split(b"\0")
            except OSError:  # it has ended
                continue
            if command[-2:-1] == [b"run"] and f"POD_NAME={pod}".encode() in variables:
                found.append(int(directory.name))
    (process,) = found
    return process
