"""A release on a real API server: installed, upgraded, rolled back, uninstalled."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import helm_python
import pytest
import yaml

from tests.chart.helm import CHART, CLIENT_ID, open_helm
from vault_autoupdate.model.resource import FINALIZER
from workbench.kube.control_plane import ControlPlane
from workbench.kube.kubectl import Kubectl
from workbench.kube.resources import CRD_FILE, load_definition, manifest, resource_path
from workbench.kube.rest import MERGE_PATCH, ApiError
from workbench.process.waiting import wait_until

RELEASE: Final = "dr"
VALUES: Final[dict[str, Any]] = {"azure": {"auth": {"clientId": CLIENT_ID}}}
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
