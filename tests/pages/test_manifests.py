"""Every manifest of every page is one that an API server takes, unknown fields and all; and they fit together."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import helm_python
import pytest
import yaml

from tests.chart.helm import CHART, Object, Rendered, merged
from tests.pages.conftest import Pages
from tests.pages.published import PUBLISHED, Published
from tests.pages.reading import PAGES, blocks
from workbench.kube.control_plane import ControlPlane
from workbench.kube.resources import ROOT
from workbench.process.waiting import wait_until

_GITOPS: Final = ROOT / "docs" / "gitops.md"
_FOREIGN: Final = ("argoproj.io/", "helm.toolkit.fluxcd.io/", "source.toolkit.fluxcd.io/")
_VALUES: Final = set(yaml.safe_load((CHART / "values.yaml").read_text()))
_NOT_ALL: Final = {"dependencies", "data", "kind", "mode", "scrape_configs", "spec"}
"""Keys of blocks that are something else than this chart's values."""
_IDENTITY: Final = ("getting-started", "install", "workload-identity")
"""Pages that let Entra ID trust the ServiceAccount."""


def _documents(page: Path) -> Iterator[Any]:
    for block in blocks(page.read_text()):
        if block.language == "yaml":
            yield from yaml.safe_load_all(block.text)


def _manifests(page: Path) -> list[Object]:
    return [document for document in _documents(page) if isinstance(document, dict) and "kind" in document]


_WITH_MANIFESTS: Final = [page for page in PAGES if _manifests(page)]


@pytest.fixture(scope="package", params=PUBLISHED, ids=lambda published: published.module)
def foreign(
    request: pytest.FixtureRequest, cluster: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> ControlPlane:
    """The API server, with one of the definitions of Flux and Argo CD."""
    published: Published = request.param
    file = published.fetch(tmp_path_factory.mktemp("go"))
    cluster.kubectl("apply", "--server-side", "-f", file).check()
    (kind,) = yaml.safe_load_all(file.read_text())
    plural = f"{kind['spec']['names']['plural']}.{kind['spec']['group']}"
    wait_until(lambda: cluster.kubectl("get", plural).code == 0, within=60, what=f"{plural} to be served")
    for namespace in ("argocd", "flux-system"):
        cluster.kubectl("create", "namespace", namespace)
    return cluster


def _dry_run(cluster: ControlPlane, manifest: Object) -> str:
    text = json.dumps(manifest)
    done = cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=text)
    return done.stderr if done.code else ""


def _served(cluster: ControlPlane) -> str:
    return cluster.kubectl("api-resources", "--no-headers").check().stdout


def test_an_api_server_takes_the_manifests_of_flux_and_argo_cd(foreign: ControlPlane) -> None:
    served = _served(foreign)
    mine = [manifest for manifest in _manifests(_GITOPS) if f" {manifest['apiVersion']} " in served]
    assert [manifest for manifest in mine if manifest["apiVersion"].startswith(_FOREIGN)]
    assert [complaint for manifest in mine if (complaint := _dry_run(foreign, manifest))] == []


def test_a_misspelt_field_of_theirs_is_refused(foreign: ControlPlane) -> None:
    served = _served(foreign)
    for manifest in _manifests(_GITOPS):
        if f" {manifest['apiVersion']} " in served and manifest["apiVersion"].startswith(_FOREIGN):
            wrong = merged(manifest, {"spec": {"targetNamespce": "x"}})
            assert "targetNamespce" in _dry_run(foreign, wrong)


@pytest.mark.parametrize("page", _WITH_MANIFESTS, ids=lambda page: page.stem)
def test_an_api_server_takes_every_other_manifest(page: Path, cluster: ControlPlane) -> None:
    cluster.kubectl("create", "namespace", "team-a")
    for manifest in _manifests(page):
        if not manifest["apiVersion"].startswith(_FOREIGN):
            assert _dry_run(cluster, manifest) == "", manifest


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_of_values_is_taken_by_the_chart(page: Path) -> None:
    for document in _documents(page):
        keys = set(document) if isinstance(document, dict) else set()
        if keys & _VALUES and not keys & _NOT_ALL:
            _render(document)


def _render(values: dict[str, Any], name: str = "vault-autoupdate", namespace: str = "vault-autoupdate") -> Rendered:
    given = merged({"azure": {"auth": {"clientId": "6f3b9f5e-8a3c-4c7e-9a53-0d1f6b2c7a10"}}}, values)
    chart = helm_python.Chart.load(CHART)
    return Rendered(chart.render(given, name=name, namespace=namespace, is_install=True))


def _trusted(pages: Pages, page: str) -> set[str]:
    """Subjects of the federated credentials that a page makes."""
    calls = pages.calls(ROOT / "docs" / f"{page}.md", "az")
    return {
        call.argv[call.argv.index("--subject") + 1]
        for call in calls
        if call.argv[1:4] == ("identity", "federated-credential", "create")
    }


def _subject(rendered: Rendered, namespace: str) -> str:
    return f"system:serviceaccount:{namespace}:{rendered.one('ServiceAccount')['metadata']['name']}"


@pytest.mark.parametrize("page", _IDENTITY)
def test_entra_id_trusts_the_account_that_helm_makes(page: str, pages: Pages) -> None:
    subject = _subject(_render({}), "vault-autoupdate")
    assert subject in _trusted(pages, page)


def test_entra_id_trusts_the_account_that_flux_makes(pages: Pages) -> None:
    (release,) = (each["spec"] for each in _manifests(_GITOPS) if each["kind"] == "HelmRelease")
    # helm-controller: [<target namespace>-]<name> where there is no releaseName
    name = release.get("releaseName") or "-".join([release["targetNamespace"], "vault-autoupdate"])
    rendered = _render(release["values"], name, release["targetNamespace"])
    assert {_subject(rendered, release["targetNamespace"])} == _trusted(pages, "workload-identity")


def test_entra_id_trusts_the_account_that_argo_cd_makes(pages: Pages) -> None:
    (application,) = (each for each in _manifests(_GITOPS) if each["kind"] == "Application")
    helm = application["spec"]["source"]["helm"]
    name = helm.get("releaseName") or application["metadata"]["name"]  # which is Argo CD's default
    namespace = application["spec"]["destination"]["namespace"]
    rendered = _render(helm["valuesObject"], name, namespace)
    assert {_subject(rendered, namespace)} == _trusted(pages, "workload-identity")


def test_the_role_that_is_deleted_at_the_end_is_assigned_nowhere_any_more(pages: Pages) -> None:
    """A custom role that is still assigned cannot be deleted: RoleDefinitionHasAssignments."""
    given, taken = (
        {
            call.argv[call.argv.index("--scope") + 1]
            for call in pages.calls(ROOT / "docs" / f"{page}.md", "az")
            if call.argv[1:4] == ("role", "assignment", verb) and "Site Recovery Auto-Update Operator" in call.argv
        }
        for page, verb in (("install", "create"), ("uninstall", "delete"))
    )
    assert given
    assert given <= taken
    order = [" ".join(call.argv[1:4]) for call in pages.calls(ROOT / "docs" / "uninstall.md", "az")]
    assert order.index("role definition delete") > max(
        i for i, each in enumerate(order) if each == "role assignment delete"
    )
    assert order.index("identity delete --name") > max(
        i for i, each in enumerate(order) if each == "role assignment delete"
    )
