"""A release on a real API server: installed, upgraded, rolled back, uninstalled."""

from __future__ import annotations

import re
import shutil
import tarfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import helm_python
import pytest
import yaml

from tests.chart import helm_cli
from tests.chart.helm import CHART, CLIENT_ID, merged, open_helm, render, value_set
from vault_autoupdate.model.resource import FINALIZER
from workbench.kube.control_plane import ControlPlane
from workbench.kube.kubectl import Kubectl
from workbench.kube.resources import CRD_FILE, ROOT, load_definition, manifest, resource_path
from workbench.kube.rest import MERGE_PATCH, ApiError
from workbench.process.waiting import wait_until

RELEASE: Final = "dr"
VALUES: Final[dict[str, Any]] = {"azure": {"auth": {"clientId": CLIENT_ID}}}
MONITORS: Final = ("serviceMonitor", "podMonitor", "prometheusRule")
DEFINITION: Final = load_definition()["metadata"]["name"]
DEFINITIONS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

pytestmark = pytest.mark.usefixtures("no_definition")


@pytest.fixture
def helm(control_plane: ControlPlane, namespace: str) -> Iterator[helm_python.Config]:
    with open_helm(control_plane.admin_kubeconfig, namespace) as config:
        yield config
        config.uninstall(RELEASE, ignore_not_found=True)


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """The chart of a later version, with one more field in the definition and another default."""
    copy = tmp_path / "newer" / "vault-autoupdate"
    shutil.copytree(CHART, copy)
    chart = yaml.safe_load((copy / "Chart.yaml").read_text()) | {"version": "0.2.0", "appVersion": "0.2.0"}
    (copy / "Chart.yaml").write_text(yaml.safe_dump(chart))
    definition = load_definition()
    spec = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    spec["note"] = {"type": "string", "maxLength": 64, "description": "New."}
    spec["interval"]["default"] = "2h"
    (copy / "files" / "crds" / CRD_FILE.name).write_text(yaml.safe_dump(definition))
    return copy


def apply(kubectl: Kubectl, **changes: Any) -> None:
    """Apply a resource; a definition that was installed this moment may need another one."""
    text = yaml.safe_dump(manifest(**changes))

    def applied() -> bool:
        done = kubectl("apply", "-f", "-", stdin=text)
        assert done.code == 0 or re.search("no matches for kind|not found|initializing|no field", done.stderr), done
        return done.code == 0

    wait_until(applied, within=15, what="the resource to be applied")


def definition(control_plane: ControlPlane) -> dict[str, Any]:
    found: dict[str, Any] = control_plane.rest.request("GET", f"{DEFINITIONS}/{DEFINITION}")
    return found


def spec_of(control_plane: ControlPlane, namespace: str) -> dict[str, Any]:
    found: dict[str, Any] = control_plane.rest.request("GET", resource_path(namespace))["spec"]
    return found


def test_upgrade_brings_the_new_definition_and_rollback_the_old_one(
    control_plane: ControlPlane, helm: helm_python.Config, kubectl: Kubectl, namespace: str, newer: Path
) -> None:
    helm.install(CHART, RELEASE, VALUES)
    apply(kubectl)
    assert spec_of(control_plane, namespace)["interval"] == "1h"
    assert "note" not in kubectl("explain", "vaultautoupdate.spec").check().stdout

    helm.upgrade(newer, RELEASE, VALUES)
    deployment = kubectl("get", "deployment", "dr-vault-autoupdate", "-o", "json").json()
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"].endswith(":0.2.0")
    wait_until(lambda: "note" in kubectl("explain", "vaultautoupdate.spec").stdout, within=15, what="the new field")
    apply(kubectl, note="there is a field for it now")
    assert spec_of(control_plane, namespace)["interval"] == "1h"  # it was stored, and stays

    helm.rollback(RELEASE)
    assert [entry["status"] for entry in helm.history(RELEASE)] == ["superseded", "superseded", "deployed"]
    properties = definition(control_plane)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    assert "note" not in properties["spec"]["properties"]
    assert spec_of(control_plane, namespace)["vaultResourceId"]  # the resource is still there


def test_upgrade_with_the_same_chart_changes_nothing(
    control_plane: ControlPlane, helm: helm_python.Config, kubectl: Kubectl
) -> None:
    helm.install(CHART, RELEASE, VALUES)
    before = {kind: _generations(kubectl, kind) for kind in ("deployment", "crd")}
    helm.upgrade(CHART, RELEASE, VALUES)
    assert {kind: _generations(kubectl, kind) for kind in ("deployment", "crd")} == before


@pytest.fixture
def previous(tmp_path: Path) -> Path:
    """The chart of the release before."""
    with tarfile.open(Path(__file__).parent / "data" / "previous.tgz") as archive:
        archive.extractall(tmp_path / "previous", filter="data")
    return tmp_path / "previous" / "vault-autoupdate"


def test_upgrade_from_the_release_before_keeps_what_was_set_over_the_new_defaults(
    helm: helm_python.Config, kubectl: Kubectl, previous: Path
) -> None:
    """As docs/upgrade.md says; with ``--reuse-values`` it ends at the first new map, and nothing is changed."""
    own = VALUES | {
        "logging": {"level": "debug"},
        "podLabels": {"team": "dr"},
        "extraEnv": [{"name": "TZ", "value": "UTC"}],
    }
    helm.install(previous, RELEASE, own)
    apply(kubectl)
    with pytest.raises(helm_python.HelmError, match="missing propert"):
        helm.upgrade(CHART, RELEASE, {}, reuse_values=True)

    helm_cli.reset_then_reuse(helm, CHART, RELEASE, {"retry": {"max": "12h"}})

    assert helm.get_values(RELEASE) == merged(own, {"retry": {"max": "12h"}})
    template = kubectl("get", "deployment", "dr-vault-autoupdate", "-o", "json").json()["spec"]["template"]
    given = {entry["name"]: entry.get("value") for entry in template["spec"]["containers"][0]["env"]}
    assert (given["VAULT_AUTOUPDATE_LOG_LEVEL"], given["VAULT_AUTOUPDATE_RETRY_MAX"], given["TZ"]) == (
        "debug",
        "12h",
        "UTC",
    )
    assert template["metadata"]["labels"]["team"] == "dr"
    assert kubectl("get", "vau", "dr-weu", "-o", "name").code == 0

    helm.rollback(RELEASE)
    assert helm.history(RELEASE)[-1]["status"] == "deployed"


@pytest.mark.parametrize("name", ["everything", "platform", "pod-monitored"])
def test_the_release_before_can_be_upgraded_to_other_values(
    helm: helm_python.Config, control_plane: ControlPlane, previous: Path, name: str
) -> None:
    values = value_set(name)
    for namespace in values.get("watchNamespaces", []):
        control_plane.create_namespace(namespace)
    without_monitoring = merged(values, {"metrics": {kind: {"enabled": False} for kind in MONITORS}})
    helm.install(previous, RELEASE, merged(VALUES, {"podLabels": {"team": "dr"}}))
    helm.upgrade(CHART, RELEASE, without_monitoring)


def _make_available(control_plane: ControlPlane, namespace: str) -> None:
    """Say of the Deployment what a controller manager would say of one without pods."""
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/dr-vault-autoupdate"
    wait_until(lambda: control_plane.rest.get_or_none(path), within=30, what="the Deployment")
    conditions = [
        {"type": "Available", "status": "True"},
        {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"},
    ]
    status = {"observedGeneration": 1, "conditions": conditions}
    control_plane.rest.request("PATCH", f"{path}/status", {"status": status}, content_type=MERGE_PATCH)


class TestObjectsOfTheUser:
    @staticmethod
    def values(namespace: str) -> dict[str, Any]:
        """The example of docs/gitops.md."""
        page = (ROOT / "docs" / "gitops.md").read_text().split("## Resources with the release")[1]
        found: dict[str, Any] = yaml.safe_load(page.split("```yaml\n")[1].split("```")[0])
        found["extraObjects"][0]["metadata"]["namespace"] = namespace
        return VALUES | found

    def test_a_resource_that_is_a_hook_comes_with_the_first_installation_and_outlives_upgrades(
        self, control_plane: ControlPlane, helm: helm_python.Config, kubectl: Kubectl, namespace: str
    ) -> None:
        values = self.values(namespace) | {"replicas": 0}
        with ThreadPoolExecutor(1) as pool:
            available = pool.submit(_make_available, control_plane, namespace)
            helm.install(CHART, RELEASE, values, wait="watcher", timeout=60)
            available.result()
        made = kubectl("get", "vau", "dr-weu", "-o", "json").json()
        helm.upgrade(CHART, RELEASE, values)
        assert kubectl("get", "vau", "dr-weu", "-o", "json").json()["metadata"]["uid"] == made["metadata"]["uid"]

    def test_without_the_hook_helm_does_not_know_it_yet_and_once_there_is_the_definition_it_does(
        self, helm: helm_python.Config, kubectl: Kubectl, namespace: str
    ) -> None:
        values = self.values(namespace)
        del values["extraObjects"][0]["metadata"]["annotations"]
        with pytest.raises(helm_python.HelmError, match="no matches for kind"):
            helm.install(CHART, RELEASE, values)
        helm.uninstall(RELEASE, ignore_not_found=True)
        helm.install(CHART, RELEASE, VALUES)
        helm.upgrade(CHART, RELEASE, values)
        assert kubectl("get", "vau", "dr-weu", "-o", "name").code == 0


def test_a_parent_chart_switches_it_on_and_off_by_its_condition(
    control_plane: ControlPlane, kubectl: Kubectl, namespace: str, tmp_path: Path
) -> None:
    parent = tmp_path / "parent"
    parent.mkdir()
    shutil.copytree(CHART, parent / "charts" / "vault-autoupdate")
    dependency = {"name": "vault-autoupdate", "version": "0.1.0", "condition": "vault-autoupdate.enabled"}
    chart = {"apiVersion": "v2", "name": "parent", "version": "1.0.0", "dependencies": [dependency]}
    (parent / "Chart.yaml").write_text(yaml.safe_dump(chart))
    below = {"global": {"team": "platform"}, "vault-autoupdate": {**VALUES, "enabled": True}}
    (parent / "values.yaml").write_text(yaml.safe_dump(below))
    with open_helm(control_plane.admin_kubeconfig, namespace) as config:
        config.install(parent, "parent", {})
        assert kubectl("get", "deployment", "-o", "name").check().stdout.strip() == (
            "deployment.apps/parent-vault-autoupdate"
        )
        config.upgrade(parent, "parent", {"vault-autoupdate": {"enabled": False}})
        assert kubectl("get", "deployment", "-o", "name").check().stdout == ""
        config.uninstall("parent")


def test_a_quota_and_a_policy_about_labels_take_the_pods(
    control_plane: ControlPlane, kubectl: Kubectl, namespace: str
) -> None:
    """The operator's pod and that of ``helm test``, as the admission of a cluster with such rules sees them."""
    limits = {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"cpu": "500m", "memory": "512Mi"}}
    rendered = render({"commonLabels": {"team": "platform"}, "resources": limits})
    hard = {"requests.cpu": "2", "requests.memory": "4Gi", "limits.cpu": "4", "limits.memory": "8Gi"}
    control_plane.rest.create(
        f"/api/v1/namespaces/{namespace}/resourcequotas", {"metadata": {"name": "quota"}, "spec": {"hard": hard}}
    )
    path = f"/api/v1/namespaces/{namespace}/resourcequotas/quota/status"
    used = {"status": {"hard": hard, "used": dict.fromkeys(hard, "0")}}  # a controller manager would write it
    control_plane.rest.request("PATCH", path, used, content_type=MERGE_PATCH)
    template = rendered.one("Deployment")["spec"]["template"]
    for number, pod in enumerate([template, rendered.hooks.one("Pod")]):
        assert pod["metadata"]["labels"]["team"] == "platform"
        document = {"metadata": {"name": f"pod-{number}", "labels": pod["metadata"]["labels"]}, "spec": pod["spec"]}
        control_plane.rest.create(f"/api/v1/namespaces/{namespace}/pods?dryRun=All", document)


def test_from_one_replica_to_two_and_back(helm: helm_python.Config, kubectl: Kubectl) -> None:
    def shape() -> str:
        found: dict[str, Any] = kubectl("get", "deployment", "dr-vault-autoupdate", "-o", "json").json()["spec"]
        return f"{found['replicas']} {found['strategy']['type']}"

    helm.install(CHART, RELEASE, VALUES)
    assert shape() == "1 Recreate"
    helm.upgrade(CHART, RELEASE, VALUES | {"replicas": 2})
    assert shape() == "2 Recreate"
    helm.upgrade(CHART, RELEASE, VALUES)
    assert shape() == "1 Recreate"
    helm.rollback(RELEASE)
    assert shape() == "2 Recreate"


def test_uninstall_leaves_definition_and_resources_which_then_delete_without_hanging(
    control_plane: ControlPlane, helm: helm_python.Config, kubectl: Kubectl, namespace: str
) -> None:
    helm.install(CHART, RELEASE, VALUES)
    apply(kubectl)
    apply(kubectl, name="held", deletionPolicy="Disable")
    finalizers = {"metadata": {"finalizers": [FINALIZER]}}  # the operator would have put it there
    control_plane.rest.request("PATCH", resource_path(namespace, "held"), finalizers, content_type=MERGE_PATCH)

    helm.uninstall(RELEASE)
    left = kubectl("get", "deployment,serviceaccount,clusterrole,clusterrolebinding", "-o", "name").check().stdout
    assert "dr-vault-autoupdate" not in left
    assert kubectl("get", "vau", "-o", "name").check().stdout.split() == [
        "vaultautoupdate.asr.vault-autoupdate.io/dr-weu",
        "vaultautoupdate.asr.vault-autoupdate.io/held",
    ]

    began = time.monotonic()
    kubectl("delete", "vau/dr-weu", "--timeout=10s").check()
    assert kubectl("delete", "vau/held", "--timeout=1s").code != 0  # nobody is there to switch the vault off
    freed = '{"metadata":{"finalizers":null}}'
    kubectl("patch", "vau/held", "--type=merge", "--patch", freed).check()
    assert kubectl("get", "vau", "-o", "name").check().stdout == ""
    kubectl("delete", "crd", DEFINITION, "--timeout=15s").check()
    assert time.monotonic() - began < 15


def test_the_same_release_installed_again_takes_up_what_it_left(
    control_plane: ControlPlane, helm: helm_python.Config, kubectl: Kubectl, namespace: str
) -> None:
    helm.install(CHART, RELEASE, VALUES)
    apply(kubectl)
    helm.uninstall(RELEASE)
    helm.install(CHART, RELEASE, VALUES)
    assert spec_of(control_plane, namespace)["vaultResourceId"]


def test_another_release_needs_to_leave_the_definition_alone(
    control_plane: ControlPlane, helm: helm_python.Config
) -> None:
    helm.install(CHART, RELEASE, VALUES)
    other = control_plane.create_namespace("another-release")
    with open_helm(control_plane.admin_kubeconfig, other) as config:
        with pytest.raises(helm_python.HelmError, match="invalid ownership metadata"):
            config.install(CHART, "second", VALUES)
        config.uninstall("second", ignore_not_found=True)
        config.install(CHART, "second", VALUES | {"crds": {"enabled": False}})
        config.uninstall("second")
    assert definition(control_plane)


def test_without_keep_the_definition_goes_with_the_release(
    control_plane: ControlPlane, helm: helm_python.Config
) -> None:
    helm.install(CHART, RELEASE, VALUES | {"crds": {"keep": False}})
    helm.uninstall(RELEASE)

    def gone() -> bool:
        try:
            definition(control_plane)
        except ApiError as error:
            return error.code == 404
        return False

    wait_until(gone, within=15, what="the definition to be gone")


def _generations(kubectl: Kubectl, kind: str) -> list[int]:
    items = kubectl("get", kind, "-o", "json").json()["items"]
    return [item["metadata"]["generation"] for item in items]
