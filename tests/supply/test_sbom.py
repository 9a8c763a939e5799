"""The list of components: valid, complete, and the same for the same lock file."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tools.checks import audit, sbom
from vault_autoupdate import __version__
from workbench.kube.resources import ROOT


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("sbom") / "sbom.json"
    assert sbom.main([str(path)]) == 0
    made: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return made


def _validate(document: dict[str, Any]) -> Any:
    version = SchemaVersion.from_version(document["specVersion"])
    return JsonStrictValidator(version).validate_str(json.dumps(document))


def test_it_is_valid(document: dict[str, Any]) -> None:
    assert _validate(document) is None
    assert _validate(document | {"components": [{"type": "library"}]}) is not None


def test_it_names_the_operator(document: dict[str, Any]) -> None:
    component = document["metadata"]["component"]
    assert component["type"] == "application"
    assert component["purl"] == f"pkg:pypi/vault-autoupdate@{__version__}"


def test_it_has_what_the_operator_installs_and_nothing_else(document: dict[str, Any], tmp_path: Path) -> None:
    """Compared with the requirements; `test_image.py` compares it with what is there after an installation."""
    requirements = audit._requirements(tmp_path)["operator"].read_text()
    pinned = dict(re.findall(r"^([a-z0-9-]+)==([^ ]+)", requirements, re.MULTILINE))
    assert {component["name"]: component["version"] for component in document["components"]} == pinned


def test_it_says_what_needs_what(document: dict[str, Any]) -> None:
    needs = {each["ref"].partition("@")[0]: each.get("dependsOn", []) for each in document["dependencies"]}
    (own,) = (needs[reference] for reference in needs if reference.startswith("vault-autoupdate-"))
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = {re.split(r"[^a-z-]", need)[0] for need in pyproject["project"]["dependencies"]}
    assert {re.sub(r"-\d+@.*", "", reference) for reference in own} == wanted


def test_every_component_has_a_package_url_and_the_hashes_of_its_files(document: dict[str, Any]) -> None:
    for component in document["components"]:
        assert component["purl"] == f"pkg:pypi/{component['name']}@{component['version']}"
        files = component["externalReferences"]
        assert files
        for file in files:
            assert [each["alg"] for each in file["hashes"]] == ["SHA-256"]
            assert re.fullmatch(r"[0-9a-f]{64}", file["hashes"][0]["content"])


def test_it_only_changes_when_the_lock_file_does(document: dict[str, Any], tmp_path: Path) -> None:
    again = tmp_path / "again.json"
    assert sbom.main([str(again)]) == 0
    assert json.loads(again.read_text()) == document
    changed = sbom.describe(sbom.read_lock(), "9.9.9")
    assert changed["serialNumber"] != document["serialNumber"]
