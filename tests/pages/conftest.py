"""The calls of the pages, and a real API server that has what they speak of."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import helm_python
import pytest
import yaml

from tests.chart.helm import CHART, CLIENT_ID
from tests.fixtures import require_control_plane, tests_below
from tests.pages.reading import PAGES, blocks, commands, filled
from tests.pages.recorder import Call, record
from workbench.kube.control_plane import ControlPlane
from workbench.kube.resources import ROOT
from workbench.process.waiting import wait_until

_HERE: Final = Path(__file__).parent
_RUNBOOKS: Final = ROOT / "docs" / "runbooks"
NAMESPACES: Final = ("vault-autoupdate", "dr", "default")
RESOURCES: Final = ("dr-weu", "first", "weu")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep these tests in one worker: what they share is made once."""
    for item in tests_below(_HERE, items):
        if "cluster" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.cluster)
        if config.pluginmanager.hasplugin("xdist"):
            item.add_marker(pytest.mark.xdist_group("pages"))


class Pages:
    """The calls of each page, recorded when they are first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._calls: dict[Path, list[Call]] = {}

    def folder(self, page: Path) -> Path:
        """Where the page's blocks were run: like the top of a checkout, with what they wrote."""
        return self._of(page) / "checkout"

    def calls(self, page: Path, *programs: str) -> list[Call]:
        """The page's calls of some programs."""
        if page not in self._calls:
            self._of(page).mkdir()  # fails where it has been tried before: the first failure is the one to read
            before = _typed_before() if page.parent == _RUNBOOKS and page.name != "README.md" else ""
            self._calls[page] = record(list(commands(page.read_text())), self._of(page), before=before)
        return [call for call in self._calls[page] if call.program in programs]

    def _of(self, page: Path) -> Path:
        return self._folder / "-".join(page.relative_to(ROOT).parts)


def _typed_before() -> str:
    """The variables that the runbooks' first page has people set for all of them."""
    return filled(blocks((_RUNBOOKS / "README.md").read_text())[0].text)


@pytest.fixture(scope="package")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Pages:
    """What the pages have people type."""
    return Pages(tmp_path_factory.mktemp("pages"))


@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A real API server with a release of the chart, and resources for which all is well."""
    require_control_plane()
    with ControlPlane(tmp_path_factory.mktemp("control-plane")) as running:
        for namespace in NAMESPACES[:2]:
            running.kubectl("create", "namespace", namespace).check()
        _install(running)
        for namespace in NAMESPACES:
            for name in RESOURCES:
                _declare(running, namespace, name)
        yield running


def _install(running: ControlPlane) -> None:
    values = {"azure": {"auth": {"clientId": CLIENT_ID}}, "policies": {"enabled": True}}
    with helm_python.Config(kubeconfig_path=running.admin_kubeconfig, namespace="vault-autoupdate") as helm:
        helm.install(CHART, "vault-autoupdate", values, namespace="vault-autoupdate")
    wait_until(lambda: running.kubectl("get", "vau,vaup").code == 0, within=30, what="the definitions to be served")
    kubectl = running.kubectl.in_namespace("vault-autoupdate")
    generation = kubectl("get", "deployment", "vault-autoupdate", "-o", "json").json()["metadata"]["generation"]
    ready = {
        "observedGeneration": generation,
        "replicas": 1,
        "updatedReplicas": 1,
        "readyReplicas": 1,
        "availableReplicas": 1,
    }
    _status(running, "vault-autoupdate", "deployment/vault-autoupdate", ready)
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "vault-autoupdate"}}
    kubectl("apply", "-f", "-", stdin=json.dumps(lease)).check()
    running.kubectl("create", "secret", "generic", "login-certificate", "-n", "vault-autoupdate").check()
    policy = yaml.safe_load((ROOT / "examples" / "policies" / "estate.yaml").read_text())
    for namespace, name in (("default", "estate"), ("dr", "weu")):
        policy["metadata"] = {"name": name, "namespace": namespace}
        running.kubectl("apply", "-f", "-", stdin=json.dumps(policy)).check()


def _declare(running: ControlPlane, namespace: str, name: str) -> None:
    example = yaml.safe_load((ROOT / "examples" / "vault-autoupdate.yaml").read_text())
    example["metadata"] = {"name": name, "namespace": namespace}
    if name == "dr-weu":  # the one that the pages about windows speak of
        example["spec"] |= {"autoUpdate": "Disabled", "agentUpdates": {"schedule": "0 22 * * SAT", "duration": "4h"}}
        del example["spec"]["automationAccountResourceId"]
    running.kubectl("apply", "-f", "-", stdin=json.dumps(example)).check()
    moment = "2026-11-28T00:00:00Z"
    well = [
        {"type": kind, "status": "True", "reason": "Well", "message": "Well.", "lastTransitionTime": moment}
        for kind in ("Ready", "AgentsCurrent", "AutomationAccountHealthy")
    ]
    _status(
        running, namespace, f"vau/{name}", {"observedGeneration": 1, "conditions": well, "compliantSummary": "12/12"}
    )


def _status(running: ControlPlane, namespace: str, name: str, status: dict[str, Any]) -> None:
    patch = json.dumps({"status": status})
    running.kubectl("patch", name, "-n", namespace, "--subresource=status", "--type=merge", "-p", patch).check()


def page_name(page: Path) -> str:
    """The page as tests are named for it."""
    return str(page.relative_to(ROOT))


__all__ = ["PAGES", "Pages", "page_name"]
