"""The page for the first fifteen minutes, followed in real pods, word for word from the operator on.

What it does with ``az`` before that has its result here: an Azure that knows the identity, and trusts the account.
helm gets the values that lead to that Azure instead of the real one, and no others.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.node.installation import Installation, Simulated, simulated
from tests.pages.recorder import checkout
from workbench.kube.resources import CRD_FILE, POLICY_CRD_FILE, ROOT, load_definition
from workbench.node.node import Node
from workbench.site import scenario, vault

TENANT: Final = "3f1f7c4e-2b7d-4b1e-9d2a-7c6a1e5b9f00"
CLIENT: Final = "0f9d3c51-2b54-4f5e-8a0c-93c1f5a7e444"
NAMESPACE: Final = "vault-autoupdate"
_FOLLOWED: Final = re.compile(r"^<!-- followed -->\n```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def azure(node: Node, tmp_path: Path) -> Iterator[Simulated]:
    subject = f"system:serviceaccount:{NAMESPACE}:{NAMESPACE}"
    identities = [{"client_id": CLIENT, "federated_subject": subject}]
    document = scenario(
        {"disabled": 8, "enabled_compliant": 4}, identity={"tenant_id": TENANT, "identities": identities}
    )
    with simulated(node, tmp_path, document) as running:
        yield running


def test_from_nothing_to_the_first_vault(node: Node, azure: Simulated, tmp_path: Path) -> None:
    kubectl = node.kubectl
    definitions = [load_definition(file)["metadata"]["name"] for file in (CRD_FILE, POLICY_CRD_FILE)]
    kubectl("delete", "crd", *definitions, "--ignore-not-found", "--timeout=60s", timeout=70).check()
    kubectl("create", "namespace", NAMESPACE).check()
    kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted").check()
    installation = Installation(node, NAMESPACE, azure)
    installation.trust_azure()
    values = {name: value for name, value in azure.values().items() if name not in {"extraEnv", "crds", "rbac"}}
    values["azure"] = {"armEndpoint": f"https://{azure.host}", "authorityHost": azure.host}

    shown = _follow(node, values, tmp_path)

    assert "4/12" in shown
    assert "12/12" in shown
    assert {each["application"] for each in azure.control.requests(method="PATCH")} == {CLIENT}
    uninstall = [sys.executable, "-m", "tests.chart.helm_cli", "uninstall", NAMESPACE, "-n", NAMESPACE, "--wait"]
    subprocess.run(uninstall, check=True, cwd=ROOT, env=_environment(node))
    assert kubectl("get", "vau", "first", "-o", "name").check().stdout  # the definition and the resource stay
    kubectl("delete", "vau", "first", "--timeout=30s").check()
    kubectl("delete", "namespace", NAMESPACE, "--wait=false").check()


def _environment(node: Node) -> dict[str, str]:
    return os.environ | {"KUBECONFIG": str(node.admin_kubeconfig), "PYTHONPATH": str(ROOT)}


def _follow(node: Node, values: dict[str, object], tmp_path: Path) -> str:
    """Run the page's blocks in one shell, and return what they printed."""
    blocks = _FOLLOWED.findall((ROOT / "docs" / "getting-started.md").read_text())
    assert len(blocks) == 3
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(values))
    helm = tmp_path / "helm"
    more = f'case "$1" in upgrade) set -- "$@" --values {tmp_path}/values.yaml;; esac'
    helm.write_text(f'#!/bin/sh\n{more}\nexec {sys.executable} -m tests.chart.helm_cli "$@"\n')
    helm.chmod(0o755)
    of = vault()
    names = {
        "CLIENT_ID": CLIENT,
        "TENANT_ID": TENANT,
        "REGISTRY": "nobody",  # the image is on the node already
        "VAULT_ID": of.id,
        "ACCOUNT_ID": of.account,
        "PATH": f"{tmp_path}:{Path(sys.executable).parent}:/usr/bin:/bin",
    }
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", "\n".join(blocks)],
        cwd=checkout(tmp_path / "checkout"),
        env=_environment(node) | names,
        capture_output=True,
        text=True,
        timeout=380,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
