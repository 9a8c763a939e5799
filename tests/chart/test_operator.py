"""The operator as the chart would run it: from the Deployment that the API server stored, with its ServiceAccount."""

from __future__ import annotations

import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import helm_python
import pytest
import yaml

from asr_simulator import SimulatorThread, parse_scenario
from tests.chart.helm import CHART, Rendered, container, merged, open_helm
from tests.chart.pod import Pod
from workbench.azure.entra import TENANT, open_entra
from workbench.azure.role import ROLE, action_of
from workbench.ci import skip_unless_in_ci
from workbench.kube.certificates import Authority
from workbench.kube.control_plane import ControlPlane
from workbench.kube.kubectl import Kubectl
from workbench.kube.resources import ACCOUNT, SUBSCRIPTION, manifest, resource_path
from workbench.process.children import ChildProcess
from workbench.process.ports import free_ports
from workbench.process.waiting import wait_until

RELEASE: Final = "dr"
NAME: Final = f"{RELEASE}-vault-autoupdate"
SCALE: Final = 50
_NO_MOUNTS: Final = "needs a mount namespace: be root, or allow unprivileged user namespaces"
Right = tuple[str, str, str]
"""Group, resource (with subresource), verb."""
Install = Callable[[str, dict[str, Any]], "AbstractContextManager[Installation]"]
"""Installs a release into a namespace with some values, and uninstalls it at the end."""


@pytest.fixture
def sim() -> Iterator[SimulatorThread]:
    scenario = {
        "time_scale": SCALE,
        "jobs": {"duration": {"min": 5, "max": 10}},
        "vaults": [
            {
                "subscription": SUBSCRIPTION,
                "resource_group": "rg-dr-weu",
                "name": "dr-weu",
                "automation_account": ACCOUNT,
                "mix": {"enabled_compliant": 2, "disabled": 4},
            }
        ],
    }
    with SimulatorThread(parse_scenario(scenario)) as running:
        yield running


@dataclass
class Installation:
    """A release whose operator runs as a process."""

    control_plane: ControlPlane
    namespace: str
    helm: helm_python.Config
    pod: Pod
    health: str
    metrics: str

    @property
    def user(self) -> str:
        return f"system:serviceaccount:{self.namespace}:{self.pod.account}"

    def is_ready(self, process: ChildProcess) -> bool:
        process.check_alive()
        try:
            with urllib.request.urlopen(f"{self.health}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def used(self) -> set[Right]:
        """What the ServiceAccount asked for; all of it must have been allowed."""
        rights = set()
        for event in self.control_plane.audit_events(user=self.user):
            assert event.allowed, f"{event.verb} {event.uri}: {event.code}"
            if event.resource:
                resource = f"{event.resource}/{event.subresource}" if event.subresource else event.resource
                rights.add((event.group, resource, event.verb))
        return rights


@pytest.fixture
def install(control_plane: ControlPlane, sim: SimulatorThread, tmp_path: Path, definition: None) -> Install:
    """The operator's login and its Azure are the simulator; the definition was there before."""

    def enter(namespace: str, values: dict[str, Any]) -> AbstractContextManager[Installation]:
        return _install(control_plane, sim, tmp_path, namespace, values)

    return enter


@contextmanager
def _install(
    control_plane: ControlPlane, sim: SimulatorThread, work_dir: Path, namespace: str, values: dict[str, Any]
) -> Iterator[Installation]:
    health, metrics = free_ports(2)
    given = merged(
        {
            "azure": {"armEndpoint": sim.url, "auth": {"mode": "managedIdentity"}},
            "extraEnv": [{"name": name, "value": value} for name, value in sim.identity_env.items()],
            "crds": {"enabled": False},
            "bindAddress": "127.0.0.1",
            "health": {"port": health},
            "metrics": {"port": metrics},
            "polling": {"jobMin": "0.06s", "jobMax": "0.6s", "statusInterval": "0.1s", "startupSpread": "1s"},
        },
        values,
    )
    scheme = "https" if given.get("metrics", {}).get("tls") else "http"
    with open_helm(control_plane.admin_kubeconfig, namespace) as helm:
        helm.install(CHART, RELEASE, given, namespace=namespace)
        stored = control_plane.rest.request("GET", f"/apis/apps/v1/namespaces/{namespace}/deployments/{NAME}")
        pod = Pod(control_plane, namespace, stored["spec"]["template"], work_dir)
        try:
            yield Installation(
                control_plane, namespace, helm, pod, f"http://127.0.0.1:{health}", f"{scheme}://127.0.0.1:{metrics}"
            )
        finally:
            helm.uninstall(RELEASE)


@pytest.mark.parametrize("mode", ["cluster-wide", "namespaced", "without a Lease"])
def test_works_with_exactly_the_rights_that_it_has(
    control_plane: ControlPlane, kubectl: Kubectl, sim: SimulatorThread, install: Install, mode: str
) -> None:
    """Everything that needs a right is done once: watching, status, Events, finalizer on and off, the Lease."""
    watched = str(kubectl.namespace)
    home = control_plane.create_namespace(f"{watched}-home")
    elsewhere = control_plane.create_namespace(f"{watched}-else")
    values: dict[str, Any] = {}
    if mode == "namespaced":
        values = {"watchNamespaces": [watched], "rbac": {"aggregate": False}}
    if mode == "without a Lease":
        values = {"leaderElection": {"enabled": False}}
    with install(home, values) as installed:
        resource = manifest(deletionPolicy="Disable")
        with installed.pod.start() as process:
            wait_until(lambda: installed.is_ready(process), within=20, what=lambda: f"ready:\n{process.log_tail()}")
            if mode == "namespaced":
                kubectl.in_namespace(elsewhere)("apply", "-f", "-", stdin=yaml.safe_dump(resource)).check()
            kubectl("apply", "-f", "-", stdin=yaml.safe_dump(resource)).check()
            kubectl("wait", "--for=condition=Ready", "vau/dr-weu", "--timeout=50s").check()
            status = control_plane.rest.request("GET", resource_path(watched))["status"]
            assert status["compliantSummary"] == "6/6"
            assert len(sim.control.patches()) == 4
            assert kubectl("get", "events", "-o", "name").check().stdout
            _helm_test(installed)
            kubectl("delete", "vau/dr-weu", "--timeout=50s").check()
            assert process.stop(grace=20) == 0, process.log_tail()
        assert installed.used() == _granted(installed, watched)
        if mode == "namespaced":
            other = control_plane.rest.request("GET", resource_path(elsewhere))
            assert other["status"] == {"observedGeneration": -1}
            assert "finalizers" not in other["metadata"]
            kubectl.in_namespace(elsewhere)("delete", "vau", "--all", "--timeout=10s").check()
        assert _actions(sim) <= set(ROLE["Actions"])


def test_doctor_in_the_container_checks_the_login_that_the_operator_has(
    kubectl: Kubectl, sim: SimulatorThread, install: Install
) -> None:
    """`kubectl exec` runs it in the container's environment, from the chart's values alone."""
    of = manifest()["spec"]
    ids = ("--vault", of["vaultResourceId"], "--automation-account", of["automationAccountResourceId"])
    with (
        install(str(kubectl.namespace), {}) as installed,
        installed.pod.start(command=["vault-autoupdate", "doctor", *ids]) as process,
    ):
        assert process.wait(within=30) == 0, process.log_tail()
        assert f"{sim.url} answers" in process.log_tail(100)
        assert "18 checks, 0 not ok, 0 not known." in process.log_tail()


def test_reads_the_credentials_of_resources_with_exactly_the_rights_granted_for_that(
    control_plane: ControlPlane, kubectl: Kubectl, sim: SimulatorThread, install: Install, tmp_path: Path
) -> None:
    """Logs in by a Secret, then by a ServiceAccount; each right is used, and none is missing."""
    watched, client = str(kubectl.namespace), "b1ceb1ce-0000-4000-8000-00000000000b"
    home = control_plane.create_namespace(f"{watched}-home")
    with open_entra(tmp_path / "entra", sim.identity_env) as entra:
        entra.secrets[client] = "s3cret"
        entra.subjects[client] = f"system:serviceaccount:{watched}:dr"
        entra.review = lambda _: f"system:serviceaccount:{watched}:dr"
        ids = {"client-id": client, "tenant-id": TENANT}
        login = [f"--from-literal=AZURE_{name.upper().replace('-', '_')}={value}" for name, value in ids.items()]
        kubectl("create", "secret", "generic", "login", *login, "--from-literal=AZURE_CLIENT_SECRET=s3cret").check()
        kubectl("create", "serviceaccount", "dr").check()
        kubectl(
            "annotate", "serviceaccount", "dr", *(f"azure.workload.identity/{n}={v}" for n, v in ids.items())
        ).check()
        values = {
            "azure": {"authorityHost": entra.host},
            "resourceCredentials": {"mode": "required", "grant": ["secrets", "serviceAccounts"]},
            "rbac": {"finalizers": False},
        }
        with install(home, values) as installed:
            shared = installed.pod.mounts["/tmp"] / "ca.crt"
            shared.write_bytes(entra.ca_bundle.read_bytes())
            bundle = "/tmp/ca.crt" if installed.pod.has_mounts else str(shared)
            with installed.pod.start({"REQUESTS_CA_BUNDLE": bundle}) as process:
                resource = manifest(credential={"secretName": "login"})
                kubectl("apply", "-f", "-", stdin=yaml.safe_dump(resource)).check()
                kubectl("wait", "--for=condition=Ready", "vau/dr-weu", "--timeout=50s").check()
                resource["spec"]["credential"] = {"serviceAccountName": "dr"}
                kubectl("replace", "-f", "-", stdin=yaml.safe_dump(resource)).check()
                wait_until(lambda: any(each.assertion for each in entra.requests), within=20, what="an assertion")
                kubectl("wait", "--for=condition=Ready", "vau/dr-weu", "--timeout=50s").check()
                assert process.stop(grace=20) == 0, process.log_tail()
            assert installed.used() == _granted(installed, watched)
        assert {each["application"] for each in sim.control.requests() if each["kind"] != "token"} == {client}


def test_runs_with_the_mounts_and_limits_of_a_pod(
    control_plane: ControlPlane, namespace: str, install: Install
) -> None:
    """What the container may read and write, seen from inside."""
    values = {
        "azure": {
            "auth": {
                "mode": "workloadIdentity",
                "clientId": "6f3b9f5e-8a3c-4c7e-9a53-0d1f6b2c7a10",
                "tenantId": "0c7f7b2e-95a4-4ff5-b8ef-1b07f1ac2f11",
                "workloadIdentity": {"projectedToken": True},
            }
        },
        "proxy": {"https": "http://proxy.example.com:3128"},
    }
    with install(namespace, values) as installed:
        pod = installed.pod
        if not pod.has_mounts:
            skip_unless_in_ci(_NO_MOUNTS)
        script = (
            "import os, pathlib\n"
            "token = pathlib.Path(os.environ['AZURE_FEDERATED_TOKEN_FILE']).read_text()\n"
            "assert token.count('.') == 2\n"
            "assert os.environ['KUBERNETES_SERVICE_HOST'] in os.environ['NO_PROXY'].split(',')\n"
            "assert os.environ['POD_NAME']\n"
            "pathlib.Path('/tmp/may').write_text('be written')\n"
            "try:\n"
            "    pathlib.Path('/etc/may-not').write_text('be written')\n"
            "except OSError as error:\n"
            "    print(error)\n"
            "lines = pathlib.Path('/proc/self/status').read_text().splitlines()\n"
            "print(*[line for line in lines if line.startswith(('CapEff', 'NoNewPrivs'))])\n"
        )
        pod._container["command"] = ["python", "-c", script]
        with pod.start() as process:
            assert process.wait(20) == 0, process.log_tail()
        seen = pod.log.read_text()
        assert "Read-only file system" in seen
        assert re.search(r"CapEff:\s+0000000000000000 NoNewPrivs:\s+1", seen)
        token = (pod.mounts["/var/run/secrets/azure/tokens"] / "azure-identity-token").read_text()
        review = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": ["api://AzureADTokenExchange"]},
        }
        answer = control_plane.rest.create("/apis/authentication.k8s.io/v1/tokenreviews", review)["status"]
        assert answer["authenticated"]
        assert answer["user"]["username"] == installed.user


def test_a_secret_arrives_and_an_unknown_setting_ends_it(kubectl: Kubectl, install: Install) -> None:
    """With a client secret from a Secret the operator starts; a value that it refuses ends it with exit code 2."""
    namespace = str(kubectl.namespace)
    kubectl("create", "secret", "generic", "login", "--from-literal=client-secret=s3cret").check()
    auth = {
        "mode": "clientSecret",
        "clientId": "6f3b9f5e-8a3c-4c7e-9a53-0d1f6b2c7a10",
        "tenantId": "0c7f7b2e-95a4-4ff5-b8ef-1b07f1ac2f11",
        "secret": {"name": "login"},
    }
    with install(namespace, {"azure": {"auth": auth}}) as installed:
        assert installed.pod.environment["AZURE_CLIENT_SECRET"] == "s3cret"
        with installed.pod.start() as process:
            wait_until(lambda: installed.is_ready(process), within=20, what=lambda: f"ready:\n{process.log_tail()}")
        with installed.pod.start({"VAULT_AUTOUPDATE_WRIET_LIMIT": "1/1s"}) as process:
            assert process.wait(20) == 2
        assert "VAULT_AUTOUPDATE_WRIET_LIMIT: no such setting" in process.log_tail()
        assert "s3cret" not in process.log.read_text()


def test_metrics_over_tls_and_for_those_with_the_token(kubectl: Kubectl, install: Install, tmp_path: Path) -> None:
    pair = Authority(tmp_path / "certificates").server("metrics", ["127.0.0.1"])
    kubectl("create", "secret", "tls", "metrics-tls", f"--cert={pair.certificate}", f"--key={pair.key}").check()
    kubectl("create", "secret", "generic", "metrics-token", "--from-literal=token=t0ken").check()
    values = {"metrics": {"tls": {"secret": "metrics-tls"}, "auth": {"secret": "metrics-token"}}}
    with install(str(kubectl.namespace), values) as installed:
        if not installed.pod.has_mounts:
            skip_unless_in_ci(_NO_MOUNTS)
        with installed.pod.start() as process:
            wait_until(lambda: installed.is_ready(process), within=20, what=lambda: f"ready:\n{process.log_tail()}")
            _helm_test(installed, token="t0ken")
            context = ssl.create_default_context(cafile=str(tmp_path / "certificates" / "ca.crt"))
            with pytest.raises(urllib.error.HTTPError, match="401"):
                urllib.request.urlopen(f"{installed.metrics}/metrics", timeout=5, context=context)


def _helm_test(installed: Installation, *, token: str = "") -> None:
    """Run what ``helm test`` would run in a pod, against the process instead of its Service."""
    hooks = installed.helm.get_all(RELEASE)["hooks"]
    rendered = Rendered({hook["path"]: hook["manifest"] for hook in hooks})
    of = {"spec": {"template": rendered.hooks.one("Pod")}}
    command = container(of)["command"]
    assert command[:2] == ["python", "-c"]
    urls = {entry["name"]: entry["value"] for entry in container(of)["env"] if "value" in entry}
    here = {name: re.sub(r"//[^:]+:", "//127.0.0.1:", url) for name, url in urls.items()}
    assert set(here.values()) == {f"{installed.health}/readyz", f"{installed.metrics}/metrics"}
    log = installed.pod.log.with_name("helm-test.log")
    python = [installed.pod.environment["PATH"].split(":")[0] + "/python", *command[1:]]
    with ChildProcess(python, log=log, name="helm-test", env=here | {"METRICS_TOKEN": token}) as process:
        assert process.wait(20) == 0, process.log_tail()
    assert "vault_autoupdate_build_info" in log.read_text()


def _granted(installed: Installation, *namespaces: str) -> set[Right]:
    """What RBAC grants to the ServiceAccount: by the API server's own objects, followed from the bindings."""
    rest = installed.control_plane.rest
    base = "/apis/rbac.authorization.k8s.io/v1"
    scopes = [f"{base}/clusterrolebindings"]
    scopes += [f"{base}/namespaces/{name}/rolebindings" for name in {installed.namespace, *namespaces}]
    subject = {"kind": "ServiceAccount", "name": installed.pod.account, "namespace": installed.namespace}
    rights: set[Right] = set()
    for scope in scopes:
        for binding in rest.request("GET", scope)["items"]:
            if subject not in binding.get("subjects", []):
                continue
            reference = binding["roleRef"]
            parent = base if reference["kind"] == "ClusterRole" else scope.removesuffix("/rolebindings")
            role = rest.request("GET", f"{parent}/{reference['kind'].lower()}s/{reference['name']}")
            rights |= {
                (group, resource, verb)
                for rule in role["rules"]
                for group in rule["apiGroups"]
                for resource in rule["resources"]
                for verb in rule["verbs"]
            }
    return rights


def _actions(sim: SimulatorThread) -> set[str]:
    """The actions of Azure's access control that the calls to the simulator stand for."""
    calls = [(record["method"], record["path"]) for record in sim.control.requests()]
    return {action_of(method, path) for method, path in calls if "/msi/" not in path}
