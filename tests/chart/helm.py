"""Helm for the tests: the chart, its value sets, and what comes out of rendering."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

import helm_python
import yaml

from workbench import documents
from workbench.kube.resources import ROOT

CHART: Final = ROOT / "charts" / "vault-autoupdate"
CLIENT_ID: Final = "6f3b9f5e-8a3c-4c7e-9a53-0d1f6b2c7a10"
TENANT_ID: Final = "0c7f7b2e-95a4-4ff5-b8ef-1b07f1ac2f11"
RELEASE: Final = "vau"
NAMESPACE: Final = "operators"

Object = dict[str, Any]


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # the base depends on libyaml
    """Refuses a map that has a key twice, as kustomize and Flux do; YAML's own reader takes the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key) for key, _ in node.value]
        if len(keys) != len(set(keys)):
            raise yaml.constructor.ConstructorError(problem=f"a key twice: {keys}", problem_mark=node.start_mark)
        found: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return found

    def construct_yaml_map(self, node: yaml.MappingNode) -> Iterator[dict[Any, Any]]:
        data: dict[Any, Any] = {}
        yield data
        data.update(self.construct_mapping(node))


_Loader.add_constructor("tag:yaml.org,2002:map", _Loader.construct_yaml_map)


__all__ = [
    "CHART", "CLIENT_ID", "NAMESPACE", "RELEASE", "TENANT_ID", "VALUE_SETS", "Objects", "Rendered", "container",
    "environment", "merged", "open_helm", "render", "value_set",
]  # fmt: skip

VALUE_SETS: Final = sorted(path.name.removesuffix("-values.yaml") for path in (CHART / "ci").glob("*-values.yaml"))
"""The value sets in the chart's ``ci`` directory, where chart-testing looks for them too."""


def value_set(name: str) -> dict[str, Any]:
    """Read one of the chart's value sets."""
    values: dict[str, Any] = documents.read((CHART / "ci" / f"{name}-values.yaml").read_text())
    return values


def merged(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return ``values`` with ``changes`` put over them, maps key by key."""
    result = copy.deepcopy(values)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


class Objects:
    """Kubernetes objects that are looked for by kind and name."""

    def __init__(self, objects: Iterable[Object]) -> None:
        self.all = list(objects)

    def __iter__(self) -> Iterator[Object]:
        return iter(self.all)

    def of(self, kind: str) -> list[Object]:
        """The objects of a kind."""
        return [item for item in self.all if item["kind"] == kind]

    def one(self, kind: str, name: str | None = None) -> Object:
        """The only object of a kind, or the one of this name."""
        found = [item for item in self.of(kind) if name in {None, item["metadata"]["name"]}]
        assert len(found) == 1, f"{kind} {name or ''}: {[item['metadata']['name'] for item in self.of(kind)]}"
        return found[0]

    @property
    def kinds(self) -> set[str]:
        """The kinds that are there."""
        return {item["kind"] for item in self.all}


class Rendered(Objects):
    """What a chart becomes with some values."""

    def __init__(self, files: dict[str, str]) -> None:
        self.texts = [text for path, text in files.items() if not path.endswith("/NOTES.txt")]
        self.notes = "".join(text for path, text in files.items() if path.endswith("/NOTES.txt"))
        documents = [
            document for text in self.texts for document in yaml.load_all(text, _Loader) if document is not None
        ]
        hooks = [item for item in documents if "helm.sh/hook" in (item["metadata"].get("annotations") or {})]
        super().__init__(item for item in documents if item not in hooks)
        self.hooks = Objects(hooks)


@cache
def _chart(path: Path) -> helm_python.Chart:
    return helm_python.Chart.load(path)


def render(values: dict[str, Any] | None = None, *, chart: Path = CHART, release: str = RELEASE) -> Rendered:
    """Render the chart as for an installation; the cluster has no APIs but Kubernetes' own."""
    given = merged({"azure": {"auth": {"clientId": CLIENT_ID}}}, values or {})
    return copy.deepcopy(_rendered(json.dumps(given), chart, release))


@cache
def _rendered(values: str, chart: Path, release: str) -> Rendered:
    return Rendered(_chart(chart).render(json.loads(values), name=release, namespace=NAMESPACE, is_install=True))


def container(deployment: Object) -> Object:
    """The operator's container."""
    found: Object = deployment["spec"]["template"]["spec"]["containers"][0]
    return found


def environment(deployment: Object) -> dict[str, str]:
    """The variables of the operator's container that have a value; none may be there twice."""
    entries = container(deployment)["env"]
    names = [entry["name"] for entry in entries]
    assert len(names) == len(set(names)), names
    return {entry["name"]: entry["value"] for entry in entries if "value" in entry}


@contextmanager
def open_helm(kubeconfig: Path, namespace: str) -> Iterator[helm_python.Config]:
    """Helm with the releases of one namespace."""
    with helm_python.Config(kubeconfig_path=kubeconfig, namespace=namespace) as config:
        yield config
