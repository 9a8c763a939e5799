"""How the operator in its pod gets to Azure: each login that the chart has, certificates of one's own, and a proxy.

What a pod needs for that is what a process on this machine does not have: a mounted token that the kubelet renews, a
Secret in its variables, certificates from a ConfigMap that its user can read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.chart.helm import merged
from tests.node.installation import DEPLOYMENT, Installation, Simulated, simulated
from workbench.azure.proxy import open_proxy
from workbench.node.configuration import ADDRESS
from workbench.node.node import Node
from workbench.process.waiting import wait_until
from workbench.site import scenario

TENANT: Final = "3f1f7c4e-2b7d-4b1e-9d2a-7c6a1e5b9f00"
FEDERATED: Final = "0f9d3c51-2b54-4f5e-8a0c-93c1f5a7e111"
WITH_SECRET: Final = "0f9d3c51-2b54-4f5e-8a0c-93c1f5a7e222"
OF_NODE: Final = "0f9d3c51-2b54-4f5e-8a0c-93c1f5a7e333"
_TOKEN_FILE: Final = "/var/run/secrets/azure/tokens/azure-identity-token"


@pytest.fixture
def azure(node: Node, namespace: str, tmp_path: Path) -> Iterator[Simulated]:
    """An Azure that knows three applications: one by its ServiceAccount, one by a secret, and one of the node."""
    subject = f"system:serviceaccount:{namespace}:{DEPLOYMENT}"
    identities = [
        {"client_id": FEDERATED, "federated_subject": subject},
        {"client_id": WITH_SECRET, "client_secret": "s3cret"},
        {"client_id": OF_NODE},
    ]
    document = scenario({"disabled": 4}, identity={"tenant_id": TENANT, "identities": identities})
    with simulated(node, tmp_path, document) as running:
        yield running


def _login(azure: Simulated, **auth: Any) -> dict[str, Any]:
    """Values for a login by Entra ID, without the node's identity."""
    values = azure.values()
    del values["extraEnv"]
    return merged(values, {"azure": {"authorityHost": azure.host, "auth": auth}})


def _applications(azure: Simulated) -> set[str]:
    return {each["application"] for each in azure.control.requests(method="PATCH")}


def test_workload_identity_with_a_token_that_the_kubelet_renews(installation: Installation, azure: Simulated) -> None:
    projected = {"projectedToken": True}
    login = _login(azure, mode="workloadIdentity", clientId=FEDERATED, tenantId=TENANT, workloadIdentity=projected)
    installation.install(base=login)
    of = installation.declare()
    checked = installation.kubectl(
        "exec", f"deployment/{DEPLOYMENT}", "--", "vault-autoupdate", "doctor", "--vault", of.id
    )
    assert "subject system:serviceaccount:" in checked.check().stdout
    assert f"application {FEDERATED}" in checked.stdout
    installation.wait_ready(of)
    assert _applications(azure) == {FEDERATED}

    before = _token(installation)
    installation.node.restart_kubelet()  # it begins anew, so it asks for a new token
    wait_until(lambda: _token(installation) != before, within=100, what="another token in the same file", every=1)
    azure.control.add_fault("unauthorized")  # so that the operator has to log in again
    logins = len(azure.control.requests(kind="oauth_token"))
    installation.kubectl("annotate", "vau", of.name, "asr.vault-autoupdate.io/requestedAt=now").check()
    wait_until(lambda: len(azure.control.requests(kind="oauth_token")) > logins, within=30, what="another login")
    installation.wait_ready(of)
    assert installation.pod()["status"]["containerStatuses"][0]["restartCount"] == 0


def _token(installation: Installation) -> str:
    return installation.kubectl("exec", f"deployment/{DEPLOYMENT}", "--", "cat", _TOKEN_FILE).stdout


def test_a_client_secret_out_of_a_secret(installation: Installation, azure: Simulated) -> None:
    installation.secret("azure-login", client_secret="s3cret")
    secret = {"name": "azure-login"}
    installation.install(base=_login(azure, mode="clientSecret", clientId=WITH_SECRET, tenantId=TENANT, secret=secret))
    installation.wait_ready(installation.declare())
    assert _applications(azure) == {WITH_SECRET}


def test_an_identity_of_the_node(installation: Installation, azure: Simulated) -> None:
    """And the certificates of Azure's stand-in are in a ConfigMap, in this test as in all others."""
    installation.install(azure={"auth": {"clientId": OF_NODE}})
    installation.wait_ready(installation.declare())
    assert _applications(azure) == {OF_NODE}


def test_without_the_authority_that_vouches_for_it_azure_is_not_trusted(installation: Installation) -> None:
    installation.install(tls={"caBundle": {"configMap": ""}})
    of = installation.declare()
    described = ("describe", "vau", of.name)
    wait_until(
        lambda: "certificate verify failed" in installation.kubectl(*described).stdout.casefold().replace("_", " "),
        within=120,
        what=lambda: f"the reason: {installation.kubectl(*described).stdout}\n{installation.logs()}",
        every=1,
    )
    assert installation.azure.patches(of) == []


def test_azure_through_a_proxy_and_the_cluster_without(installation: Installation, azure: Simulated) -> None:
    with open_proxy(ADDRESS) as proxy:
        installation.install(proxy={"https": proxy.url})
        installation.wait_ready(installation.declare())
        assert set(proxy.targets) == {azure.host}
        installation.uninstall()
