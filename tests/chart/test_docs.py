"""The docs, followed word for word on a real API server, and whether what they name exists.

A shell block below the line ``<!-- tested -->`` is run as it is, all blocks of a page in one shell. The other ones need
Azure, or pods.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.chart.helm import CHART, CLIENT_ID, TENANT_ID, open_helm
from tests.pages.reading import filled
from tests.pages.recorder import checkout
from vault_autoupdate.model.resource import FINALIZER
from workbench.kube.control_plane import ControlPlane
from workbench.kube.resources import ROOT

DOCS: Final = ROOT / "docs"
PAGES: Final = [
    "getting-started", "install", "upgrade", "uninstall", "rbac", "workload-identity", "gitops", "agents", "openshift",
]  # fmt: skip
_TESTED: Final = re.compile(r"^<!-- tested -->\n```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SETTLE: Final = """
for attempt in $(seq 100); do if kubectl explain vau >/dev/null 2>&1; then break; fi; sleep 0.1; done
"""
"""A person is slower than the API server, which serves a new definition some moments after it is Established."""
_SHELL: Final = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def text(page: str) -> str:
    return (DOCS / f"{page}.md").read_text()


@pytest.mark.usefixtures("no_definition")
@pytest.mark.timeout(300)  # it is many steps, and other workers have some of the machine
def test_install_upgrade_and_uninstall_word_for_word(control_plane: ControlPlane, tmp_path: Path) -> None:
    kubectl = control_plane.kubectl
    _run(_TESTED.findall(text("install")), control_plane, tmp_path)
    spec = kubectl("get", "vau", "dr-weu", "-o", "json").json()["spec"]
    assert spec["mode"] == "Enforce"
    deployment = kubectl("-n", "vault-autoupdate", "get", "deployment", "vault-autoupdate", "-o", "json").json()
    assert deployment["spec"]["replicas"] == 2
    assert kubectl("-n", "team-a", "get", "role", "team-a-vault-autoupdate", "-o", "name").code == 0

    _run(_TESTED.findall(text("upgrade")), control_plane, tmp_path)
    deployment = kubectl("-n", "vault-autoupdate", "get", "deployment", "vault-autoupdate", "-o", "json").json()
    assert deployment["spec"]["replicas"] == 2  # the values were kept

    _run(_TESTED.findall(text("workload-identity")), control_plane, tmp_path)
    deployment = kubectl("-n", "vault-autoupdate", "get", "deployment", "vault-autoupdate", "-o", "json").json()
    assert "projected" in json.dumps(deployment["spec"]["template"]["spec"]["volumes"])

    shown = _run(_TESTED.findall(text("uninstall")), control_plane, tmp_path)
    assert "dr-weu" in shown  # the resource was still there after helm uninstall
    assert kubectl("get", "crd", "-o", "name").check().stdout == ""
    with open_helm(control_plane.admin_kubeconfig, "team-a") as helm:
        helm.uninstall("team-a")


@pytest.mark.usefixtures("no_definition")
def test_readme_install_section_word_for_word(control_plane: ControlPlane, tmp_path: Path) -> None:
    """With ids for what it has words for; then its example is applied."""
    section = re.split(r"^## ", (ROOT / "README.md").read_text(), flags=re.MULTILINE)
    (install,) = (part for part in section if part.startswith("Install\n"))
    _run(
        [*_SHELL.findall(install), _SETTLE, "kubectl apply -f examples/vault-autoupdate.yaml"], control_plane, tmp_path
    )
    deployment = ("get", "deployment", "vault-autoupdate", "-o", "name")
    assert control_plane.kubectl("-n", "vault-autoupdate", *deployment).code == 0
    assert control_plane.kubectl("get", "vau", "dr-weu", "-o", "name").code == 0
    with open_helm(control_plane.admin_kubeconfig, "vault-autoupdate") as helm:
        helm.uninstall("vault-autoupdate")


@pytest.mark.parametrize("page", PAGES)
def test_shell_blocks_are_shell(page: str) -> None:
    """<placeholders> would be redirections: they stand for words here."""
    for block in _SHELL.findall(text(page)):
        words = re.sub(r"<[a-z][A-Za-z ]*>", "WORD", block)
        done = subprocess.run(["bash", "-n"], input=words, text=True, capture_output=True, check=False)
        assert done.returncode == 0, f"{block}\n{done.stderr}"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", text(page)):
        path = DOCS / target if target else DOCS / f"{page}.md"
        assert path.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, "../charts/vault-autoupdate/README"])
def test_values_exist(page: str) -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    named = re.findall(r"(?:--set |`)([a-z]\w*(?:\.\w+)+)=", text(page))
    named += re.findall(
        r"`((?:azure|crds|rbac|metrics|tls|proxy|serviceAccount|leaderElection)(?:\.\w+)+)`", text(page)
    )
    for name in set(named) - {"tls.crt", "tls.key"}:  # of a Secret
        node: Any = values
        for key in name.split("."):
            assert key in node, name
            node = node[key]


@pytest.mark.parametrize("page", PAGES)
def test_yaml_blocks_are_yaml(page: str) -> None:
    for block in re.findall(r"^```yaml\n(.*?)^```$", text(page), re.MULTILINE | re.DOTALL):
        assert list(yaml.safe_load_all(block))


def test_finalizer_is_the_one_that_there_is() -> None:
    assert FINALIZER in text("uninstall")


class TestAzureRole:
    role: dict[str, Any] = json.loads((DOCS / "azure-role.json").read_text())

    def test_is_what_az_takes(self) -> None:
        assert set(self.role) == {
            "Name",
            "IsCustom",
            "Description",
            "Actions",
            "NotActions",
            "DataActions",
            "NotDataActions",
            "AssignableScopes",
        }
        assert self.role["IsCustom"] is True
        assert all(re.fullmatch(r"/subscriptions/[0-9a-f-]{36}", scope) for scope in self.role["AssignableScopes"])

    def test_has_no_wildcards_and_changes_two_things(self) -> None:
        assert not [action for action in self.role["Actions"] if "*" in action]
        assert [action.split("/", 4)[4] for action in self.role["Actions"] if not action.endswith("/read")] == [
            "replicationProtectionContainerMappings/write",
            "replicationProtectedItems/updateMobilityService/action",
        ]

    def test_every_action_is_explained_in_the_table_of_its_provider(self) -> None:
        before, table = text("rbac").split("| Action (after `Microsoft.Automation/automationAccounts/`)")
        for action in self.role["Actions"]:
            vault = action.startswith("Microsoft.RecoveryServices/vaults/")
            short = action.split("/", 2)[2]
            nested = "replicationFabrics/replicationProtectionContainers/"
            rows = before if vault else table
            assert f"| `{short}` |" in rows or f"| `{short.replace(nested, '…/')}` |" in rows, action

    @pytest.mark.parametrize("page", ["install", "uninstall", "rbac", "getting-started", "agents"])
    def test_goes_by_one_name(self, page: str) -> None:
        assert set(re.findall(r'--(?:role|name) "([^"$]+)"', text(page))) == {self.role["Name"]}
        assert self.role["Name"] in (CHART / "templates" / "NOTES.txt").read_text()


def _run(blocks: Sequence[str], control_plane: ControlPlane, tmp_path: Path) -> str:
    """Run shell blocks from the top of what looks like a checkout, with all rights, and return what was printed."""
    assert blocks
    programs, top = tmp_path / "bin", tmp_path / "checkout"
    programs.mkdir(exist_ok=True)
    if not top.exists():
        checkout(top)
    helm = programs / "helm"
    helm.write_text(f'#!/bin/sh\nexec {sys.executable} -m tests.chart.helm_cli "$@"\n')
    helm.chmod(0o755)
    done = subprocess.run(
        [
            "bash",
            "-eux",
            "-o",
            "pipefail",
            "-c",
            filled("\n".join(f"{block}{_SETTLE}" if "Established" in block else block for block in blocks)),
        ],
        cwd=top,
        env={
            "CLIENT_ID": CLIENT_ID,
            "TENANT_ID": TENANT_ID,
            "CLIENT_SECRET": "not-a-secret",
            "PATH": f"{programs}:{Path(sys.executable).parent}:/usr/bin:/bin",
            "HOME": str(tmp_path),
            "PYTHONPATH": os.fspath(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "KUBECONFIG": str(control_plane.admin_kubeconfig),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
