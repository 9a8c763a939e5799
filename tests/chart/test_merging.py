"""What is given in two places is there once: labels, annotations, variables. Kustomize and Flux refuse it else."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any, Final

import helm_python
import pytest
import yaml

from tests.chart.helm import VALUE_SETS, Object, Rendered, container, merged, render, value_set
from workbench import documents

TWICE: Final = {"team": "x", "app.kubernetes.io/part-of": "x", "app.kubernetes.io/managed-by": "x"}
"""Labels that one value has and another, or the chart itself, has too."""
SELECTED: Final = {"app.kubernetes.io/name": "vault-autoupdate", "app.kubernetes.io/instance": "vau"}
NOT_OURS: Final = dict.fromkeys(SELECTED, "not-ours")
PLACES: Final[dict[str, dict[str, Any]]] = {
    "podLabels": {"podLabels": TWICE},
    "serviceAccount": {"serviceAccount": {"labels": TWICE}},
    "serviceMonitor": {"metrics": {"serviceMonitor": {"enabled": True, "renderMode": "alwaysRender", "labels": TWICE}}},
    "podMonitor": {"metrics": {"podMonitor": {"enabled": True, "renderMode": "alwaysRender", "labels": TWICE}}},
    "prometheusRule": {"metrics": {"prometheusRule": {"enabled": True, "renderMode": "alwaysRender", "labels": TWICE}}},
    "dashboard": {"metrics": {"dashboard": {"enabled": True, "labels": TWICE}}},
    "tests": {"tests": {"labels": TWICE}},
}
ANNOTATIONS: Final[dict[str, dict[str, Any]]] = {
    "pods": {"podAnnotations": {"kubectl.kubernetes.io/default-container": "sidecar"}},
    "account": {"serviceAccount": {"annotations": {"azure.workload.identity/client-id": "x"}}},
    "definition": {"crds": {"annotations": {"helm.sh/resource-policy": "x"}}},
    "tests": {"tests": {"annotations": {"helm.sh/hook": "x", "helm.sh/hook-delete-policy": "x"}}},
}


@pytest.mark.parametrize("name", VALUE_SETS)
def test_kustomize_takes_the_rendering_of_every_value_set(name: str, tmp_path: Path) -> None:
    _kustomize(render(value_set(name)), tmp_path)


@pytest.mark.parametrize("place", PLACES)
def test_a_label_of_two_values_is_there_once_and_the_nearer_one_wins(place: str, tmp_path: Path) -> None:
    common = {"team": "platform", "app.kubernetes.io/part-of": "platform", "cost": "4711"}
    rendered = render(merged({"commonLabels": common}, PLACES[place]))
    _kustomize(rendered, tmp_path)
    found = [labels for labels in _labels(rendered) if labels.get("team") == "x"]
    assert found
    for labels in found:
        assert labels["app.kubernetes.io/part-of"] == "x"
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        assert labels["cost"] == "4711"


@pytest.mark.parametrize("place", ["commonLabels", *PLACES])
def test_what_selectors_look_for_is_nobody_elses_to_set(place: str) -> None:
    values = {"commonLabels": NOT_OURS} if place == "commonLabels" else _with_labels(PLACES[place], NOT_OURS)
    rendered = render(values)
    template = rendered.one("Deployment")["spec"]["template"]["metadata"]
    assert SELECTED.items() <= template["labels"].items()
    assert rendered.one("Deployment")["spec"]["selector"]["matchLabels"] == SELECTED
    for labels in _labels(rendered):
        assert labels["app.kubernetes.io/instance"] == "vau"
        assert labels["app.kubernetes.io/name"] in {"vault-autoupdate", "vault-autoupdate-test"}


@pytest.mark.parametrize("place", ANNOTATIONS)
def test_an_annotation_that_the_chart_has_too_is_there_once(place: str, tmp_path: Path) -> None:
    _kustomize(render(ANNOTATIONS[place]), tmp_path)


def test_every_pod_has_the_common_labels_that_a_policy_may_ask_for() -> None:
    rendered = render({"commonLabels": {"team": "platform"}})
    assert rendered.one("Deployment")["spec"]["template"]["metadata"]["labels"]["team"] == "platform"
    assert rendered.hooks.one("Pod")["metadata"]["labels"]["team"] == "platform"


class TestVariables:
    OF_THE_CHART: Final = sorted(
        {entry["name"] for name in VALUE_SETS for entry in container(render(value_set(name)).one("Deployment"))["env"]}
        - {"IDENTITY_ENDPOINT", "IDENTITY_HEADER", "TZ"}
    )

    @pytest.mark.parametrize("name", OF_THE_CHART)
    def test_one_that_the_chart_may_set_is_refused_by_name(self, name: str) -> None:
        """Also where the present values do not set it: with the next ones Helm would lose one of the two."""
        with pytest.raises(
            helm_python.HelmRenderError, match=f"extraEnv: {name} is a variable of the chart; it is set by"
        ):
            render({"extraEnv": [{"name": name, "value": "x"}]})

    @pytest.mark.parametrize(
        ("extra", "problem"),
        [
            ([{"name": "VAULT_AUTOUPDATE_VAULT_SCOPES", "value": "{}"}], "it is set by vaultScopes"),
            (
                [{"name": "VAULT_AUTOUPDATE_NO_SUCH", "value": "x"}],
                "VAULT_AUTOUPDATE_NO_SUCH: the operator has no such",
            ),
            ([{"name": "TZ", "value": "UTC"}, {"name": "TZ", "value": "CET"}], "TZ is there twice"),
        ],
    )
    def test_refused_too(self, extra: list[dict[str, str]], problem: str) -> None:
        with pytest.raises(helm_python.HelmRenderError, match=re.escape(problem)):
            render({"extraEnv": extra})

    def test_the_ways_that_are_named_lead_to_values(self) -> None:
        text = (Path(__file__).parents[2] / "charts/vault-autoupdate/templates/_helpers.tpl").read_text()
        variables = yaml.safe_load(text.split('define "vault-autoupdate.variables" -}}')[1].split("{{- end }}")[0])
        values = yaml.safe_load((Path(__file__).parents[2] / "charts/vault-autoupdate/values.yaml").read_text())
        for way in variables.values():
            for path in [] if way.startswith("nothing") else way.split(" and "):
                node = values
                for key in path.split("."):
                    node = node[key]


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"extraVolumes": [{"name": "tmp"}]}, "a volume tmp already"),
        ({"extraVolumes": [{"name": "metrics-tls"}]}, "a volume metrics-tls already"),
        ({"extraVolumes": [{"name": "mine"}, {"name": "mine"}]}, "a volume mine already"),
        ({"extraVolumeMounts": [{"name": "mine", "mountPath": "/tmp/"}]}, "something at /tmp/ already"),
        ({"extraContainers": [{"name": "vault-autoupdate"}]}, "a container vault-autoupdate already"),
    ],
)
def test_names_in_lists_that_are_taken_are_refused(values: dict[str, Any], problem: str) -> None:
    with pytest.raises(helm_python.HelmRenderError, match=problem):
        render(values)


def _with_labels(values: dict[str, Any], labels: dict[str, str]) -> dict[str, Any]:
    """The same values with other labels."""
    return {
        key: labels if value is TWICE else _with_labels(value, labels) if isinstance(value, dict) else value
        for key, value in values.items()
    }


def _labels(rendered: Rendered) -> list[dict[str, str]]:
    objects: list[Object] = [*rendered, *rendered.hooks]
    found = [item["metadata"]["labels"] for item in objects]
    return [*found, rendered.one("Deployment")["spec"]["template"]["metadata"]["labels"]]


def _kustomize(rendered: Rendered, directory: Path) -> None:
    (directory / "all.yaml").write_text("\n---\n".join(rendered.texts))
    (directory / "kustomization.yaml").write_text("resources: [all.yaml]\n")
    done = subprocess.run(["kubectl", "kustomize", directory], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    built = [item for item in documents.read_all(done.stdout) if item]
    assert len(built) == len([*rendered, *rendered.hooks])
