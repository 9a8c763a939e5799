"""The chart as a package: what is in it, and whether its parts agree."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

from tests.chart.helm import CHART, CLIENT_ID, VALUE_SETS, render, value_set
from tools.docs_build import chart_values as chart_docs
from vault_autoupdate import __version__
from workbench.kube.resources import CRD_FILE, EXAMPLE_FILE, ROOT, load_definition

CLIENT = {"azure": {"auth": {"clientId": CLIENT_ID}}}


@pytest.mark.parametrize("name", ["", *VALUE_SETS])
def test_lint_finds_nothing_but_the_missing_icon(name: str) -> None:
    report = helm_python.lint(CHART, value_set(name) if name else {}, strict=True)
    assert report["errors"] == []
    assert [message["error"] for message in report["messages"]] == ["icon is recommended"]


def test_chart_names_the_version_of_the_operator() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == __version__
    images = yaml.safe_load(chart["annotations"]["artifacthub.io/images"])
    assert [image["image"] for image in images] == [f"ghcr.io/vault-autoupdate/vault-autoupdate:{__version__}"]


def test_chart_describes_the_resource_as_it_is() -> None:
    annotations = yaml.safe_load((CHART / "Chart.yaml").read_text())["annotations"]
    (described,) = yaml.safe_load(annotations["artifacthub.io/crds"])
    definition = load_definition()
    assert described["name"] == definition["metadata"]["name"]
    assert described["kind"] == definition["spec"]["names"]["kind"]
    assert described["version"] == definition["spec"]["versions"][0]["name"]
    (example,) = yaml.safe_load(annotations["artifacthub.io/crdsExamples"])
    full = yaml.safe_load(EXAMPLE_FILE.read_text())
    assert example["metadata"] == full["metadata"]
    assert example["spec"].items() <= full["spec"].items()


class TestDefinition:
    def test_there_is_one_file(self) -> None:
        assert (CHART / "files" / "crds").resolve() == CRD_FILE.parent

    def test_chart_renders_it_with_nothing_but_metadata_added(self) -> None:
        rendered = render().one("CustomResourceDefinition")
        source = load_definition()
        assert rendered["spec"] == source["spec"]
        assert rendered["metadata"]["name"] == source["metadata"]["name"]
        assert rendered["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}

    def test_archive_holds_the_same_file(self, tmp_path: Path) -> None:
        archive = helm_python.package(CHART, destination=tmp_path)
        with helm_python.Chart.load(archive) as packed, helm_python.Chart.load(CHART) as unpacked:
            files = {file["name"]: file["data"] for file in packed.files}
            assert files[f"files/crds/{CRD_FILE.name}"] == CRD_FILE.read_text()
            assert not [name for name in files if name.startswith("ci/")]
            for given in (CLIENT, *(value_set(name) for name in VALUE_SETS)):
                assert packed.render(given) == unpacked.render(given)

    def test_a_copy_that_lost_it_is_refused(self, tmp_path: Path) -> None:
        """As Flux makes one from a GitRepository: it leaves symbolic links out."""
        shutil.copytree(CHART, tmp_path / "chart", ignore=lambda _, names: [name for name in names if name == "crds"])
        with pytest.raises(helm_python.HelmRenderError, match=r"crds\.enabled.*without files/crds"):
            render(chart=tmp_path / "chart")
        assert "CustomResourceDefinition" not in render({"crds": {"enabled": False}}, chart=tmp_path / "chart").kinds


class TestReadme:
    def test_finds_values_without_a_comment(self) -> None:
        text = "# -- Documented.\na: {x: 1}\nb:\n  # plain\n  c: 1\n  # -- Yes\n  # indeed.\n  d: 2\n"
        assert chart_docs.undocumented(text) == ["b.c"]
        assert [(row.name, row.text, row.default) for row in chart_docs.read_rows(text)] == [
            ("a", "Documented.", {"x": 1}),
            ("b.d", "Yes indeed.", 2),
        ]

    def test_links_lead_somewhere(self) -> None:
        targets = re.findall(r"\]\((?!https?:)([^)#]+)", (CHART / "README.md").read_text())
        assert targets
        assert [target for target in targets if not (CHART / target).exists()] == []


class TestSchema:
    schema: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())

    def test_knows_every_value_and_no_other(self) -> None:
        values = yaml.safe_load((CHART / "values.yaml").read_text())
        assert _unknown(values, self.schema, "") == []
        assert _unused(values, self.schema, "") == ["enabled"]

    def test_every_map_of_ours_is_closed(self) -> None:
        """``global`` is the parent's too."""
        open_maps = [path for path, node in _maps(self.schema, "") if node.get("additionalProperties") is not False]
        assert open_maps == [".global"]


def _unknown(values: Any, schema: dict[str, Any], path: str) -> list[str]:
    if not isinstance(values, dict) or "properties" not in schema:
        return []
    properties = schema["properties"]
    return [f"{path}{key}" for key in values if key not in properties] + [
        entry
        for key in values
        if key in properties
        for entry in _unknown(values[key], properties[key], f"{path}{key}.")
    ]


def _unused(values: Any, schema: dict[str, Any], path: str) -> list[str]:
    properties = schema.get("properties", {})
    return [f"{path}{key}" for key in properties if key not in values] + [
        entry for key in properties if key in values for entry in _unused(values[key], properties[key], f"{path}{key}.")
    ]


def _maps(schema: dict[str, Any], path: str) -> list[tuple[str, dict[str, Any]]]:
    if "properties" not in schema:
        return []
    return [(path, schema)] + [
        entry for key, node in schema["properties"].items() for entry in _maps(node, f"{path}.{key}")
    ]


def test_repository_urls_are_the_same_everywhere() -> None:
    home = yaml.safe_load((CHART / "Chart.yaml").read_text())["home"]
    for path in [*CHART.rglob("*.yaml"), *ROOT.glob("docs/*.md")]:
        for found in re.findall(r"https://github\.com/[\w.-]+/[\w.-]+", path.read_text()):
            assert found.startswith((home, "https://github.com/vault-autoupdate")), f"{path}: {found}"
