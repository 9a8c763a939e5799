"""Every value set on a real API server: does it take the objects, and do the rights come out as meant."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any, Final

import pytest
import yaml

from tests.chart.helm import CHART, VALUE_SETS, Objects, open_helm, render, value_set
from workbench import documents
from workbench.kube.control_plane import ControlPlane
from workbench.kube.kubectl import Kubectl, find_kubectl
from workbench.kube.resources import ROOT
from workbench.process.waiting import wait_until

MONITORING: Final = {
    "servicemonitors": "ServiceMonitor",
    "podmonitors": "PodMonitor",
    "prometheusrules": "PrometheusRule",
}
_GROUP: Final = "monitoring.coreos.com"


@pytest.mark.parametrize("name", VALUE_SETS)
def test_api_server_takes_every_object(control_plane: ControlPlane, name: str) -> None:
    """Server-side dry run with strict field validation, in the namespaces that the objects name."""
    rendered = render(value_set(name))
    objects = [item for item in [*rendered, *rendered.hooks] if not item["apiVersion"].startswith("monitoring.")]
    for namespace in {item["metadata"].get("namespace", "default") for item in objects}:
        control_plane.create_namespace(namespace)
    arguments = ("apply", "--dry-run=server", "--validate=strict", "-f", "-")
    answer = control_plane.kubectl(*arguments, stdin=yaml.safe_dump_all(objects)).check()
    assert len(answer.stdout.splitlines()) == len(objects)
    assert answer.stderr == ""


@pytest.mark.parametrize("name", VALUE_SETS)
def test_pods_pass_the_restricted_level(control_plane: ControlPlane, namespace: str, name: str) -> None:
    """Pod Security admission checks them, as it would when the Deployment makes them."""
    level = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    rest = control_plane.rest
    rest.request("PATCH", f"/api/v1/namespaces/{namespace}", level, content_type="application/merge-patch+json")
    values = value_set(name)
    if name == "everything":
        del values["extraContainers"], values["priorityClassName"]  # the user's own, and only for kube-system
    rendered = render(values)
    template = rendered.one("Deployment")["spec"]["template"]
    pods = [{"metadata": {"name": "pod"}, "spec": template["spec"]}, *rendered.hooks.of("Pod")]
    for pod in pods:
        metadata = {"name": pod["metadata"]["name"], "namespace": namespace}
        rest.create(f"/api/v1/namespaces/{namespace}/pods?dryRun=All", {"metadata": metadata, "spec": pod["spec"]})


@pytest.mark.parametrize("shard", ["", "west"])
def test_what_the_runbooks_have_people_set_names_the_pod_that_leads_whatever_the_release_is_called(
    control_plane: ControlPlane, namespace: str, shard: str
) -> None:
    deployment = render({"shard": shard}).one("Deployment")
    full_name = deployment["metadata"]["name"]
    deployment["metadata"]["namespace"] = namespace
    lease = f"vault-autoupdate-{shard}" if shard else full_name
    held = {"metadata": {"name": lease}, "spec": {"holderIdentity": f"{full_name}-6c9d5-x2x_0a1b2c3d"}}
    for item in (deployment, {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", **held}):
        control_plane.kubectl("apply", "-n", namespace, "-f", "-", stdin=yaml.safe_dump(item)).check()
    text = (ROOT / "docs/runbooks/README.md").read_text().partition("```sh\n")[2].partition("```")[0]
    chosen = "export OPERATOR_NAMESPACE=vault-autoupdate RELEASE=vault-autoupdate"
    assert chosen in text
    text = text.replace(chosen, f"export OPERATOR_NAMESPACE={namespace} RELEASE=vau")
    path = f"{find_kubectl().parent}:/usr/bin:/bin"

    said = subprocess.run(
        ["bash", "-euc", f'{text}\necho "$DEPLOYMENT $ACCOUNT $LEASE $POD"'],
        capture_output=True, text=True, check=True,
        env={"PATH": path, "HOME": str(control_plane.directory), "KUBECONFIG": str(control_plane.admin_kubeconfig)},
    )  # fmt: skip

    assert said.stdout.split() == [full_name, full_name, lease, f"{full_name}-6c9d5-x2x"]


@pytest.fixture
def monitoring(control_plane: ControlPlane) -> Iterator[None]:
    """A cluster that knows the resources of the Prometheus operator."""
    kubectl = control_plane.kubectl
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    definitions = [
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.{_GROUP}"},
            "spec": {
                "group": _GROUP,
                "scope": "Namespaced",
                "names": {"plural": plural, "kind": kind},
                "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
            },
        }
        for plural, kind in MONITORING.items()
    ]
    text = yaml.safe_dump_all(definitions)
    try:
        kubectl("apply", "-f", "-", stdin=text).check()
        wait_until(
            lambda: len(kubectl("api-resources", f"--api-group={_GROUP}", "-o", "name").stdout.split()) == 3,
            within=15,
            what="the resources of the Prometheus operator",
        )
        yield
    finally:
        kubectl("delete", "--ignore-not-found", "-f", "-", stdin=text).check()


@pytest.mark.usefixtures("monitoring")
@pytest.mark.parametrize("mode", ["skipIfMissing", "failIfMissing"])
def test_monitors_are_there_where_the_cluster_knows_them(
    control_plane: ControlPlane, namespace: str, mode: str
) -> None:
    wanted, kinds = {"enabled": True, "renderMode": mode}, set[str]()
    for monitor in ("serviceMonitor", "podMonitor"):
        values: dict[str, Any] = {
            "azure": {"auth": {"mode": "managedIdentity"}},
            "crds": {"enabled": False},
            "metrics": {monitor: wanted, "prometheusRule": wanted},
        }
        with open_helm(control_plane.admin_kubeconfig, namespace) as helm:
            release = helm.install(CHART, "dr", values, dry_run="server")
        kinds |= Objects(item for item in documents.read_all(release["manifest"]) if item).kinds
        assert "WARNING" not in release.get("notes", "")
    assert set(MONITORING.values()) <= kinds


@pytest.mark.usefixtures("definition")
def test_people_may_do_with_the_resource_what_their_role_says(kubectl: Kubectl) -> None:
    """The cluster's own roles take up these by their labels; here they are bound directly."""
    roles = [role for role in render().of("ClusterRole") if "-vault-autoupdate-" in role["metadata"]["name"]]
    kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(roles)).check()
    for user in ("view", "edit"):
        kubectl("create", "rolebinding", user, f"--clusterrole=vau-vault-autoupdate-{user}", f"--user={user}").check()

    def may(user: str, verb: str, *more: str) -> bool:
        return kubectl("auth", "can-i", verb, "vau", f"--as={user}", *more).stdout.strip() == "yes"

    # The authorizer learns of new bindings a moment after they are stored.
    wait_until(lambda: may("view", "get") and may("edit", "create"), within=10, what="the bindings to take effect")
    assert [verb for verb in ("get", "list", "watch", "create", "patch", "delete") if may("view", verb)] == [
        "get",
        "list",
        "watch",
    ]
    assert all(may("edit", verb) for verb in ("create", "update", "patch", "delete", "deletecollection"))
    assert not may("edit", "patch", "--subresource=status")
