"""The file of the resource definition, as far as it can be judged without an API server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from vault_autoupdate.decide.agent_report import Concern
from vault_autoupdate.decide.rollout import Phase
from vault_autoupdate.decide.runbook_schedule import Standing
from vault_autoupdate.model.policy import PolicySpec, parse_policy
from vault_autoupdate.model.resource import VaultAutoUpdate, parse_resource
from workbench.kube.resources import CRD_FILE, EXAMPLE_FILE, POLICY_CRD_FILE, ROOT, load_definition

_DEFINITION = load_definition()
_VERSION = _DEFINITION["spec"]["versions"][0]
_SCHEMA = _VERSION["schema"]["openAPIV3Schema"]
_POLICY_SCHEMA = load_definition(POLICY_CRD_FILE)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
_BOTH = {"": _SCHEMA, "policy ": _POLICY_SCHEMA}
_POLICY_EXAMPLE = ROOT / "examples" / "policies" / "estate.yaml"


def _walk(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield a schema and all those inside it, with the path that leads there."""
    yield path, schema
    for name, field in schema.get("properties", {}).items():
        yield from _walk(field, f"{path}.{name}")
    for inside, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if inside in schema:
            yield from _walk(schema[inside], f"{path}{mark}")


def _own(kind: str | None = None) -> list[Any]:
    """Parameters for a test: every schema of ours, or those of one type."""
    return [
        pytest.param(schema, id=f"{definition}{path}")
        for definition, whole in _BOTH.items()
        for part in ("spec", "status")
        for path, schema in _walk(whole["properties"][part], part)
        if kind in {None, schema.get("type")}
    ]


@pytest.mark.parametrize("path", [CRD_FILE, POLICY_CRD_FILE], ids=lambda path: path.stem)
def test_the_file_is_named_after_what_it_defines(path: Path) -> None:
    definition = load_definition(path)
    spec, version = definition["spec"], definition["spec"]["versions"][0]

    assert path.name == f"{spec['group']}_{spec['names']['plural']}.yaml"
    assert definition["metadata"]["name"] == f"{spec['names']['plural']}.{spec['group']}"
    assert (spec["scope"], version["name"], version["subresources"]) == ("Namespaced", "v1alpha1", {"status": {}})


@pytest.mark.parametrize("schema", _own())
def test_every_field_is_described_in_sentences(schema: dict[str, Any]) -> None:
    description = schema["description"]

    assert description[0].isupper()
    assert description.endswith(".")
    assert "  " not in description
    assert "\n" not in description


@pytest.mark.parametrize("schema", _own("string"))
def test_every_string_is_bounded(schema: dict[str, Any]) -> None:
    assert {"maxLength", "enum"} & set(schema) or schema.get("format") == "date-time"


@pytest.mark.parametrize("schema", _own("array"))
def test_every_list_is_bounded_and_says_how_it_is_merged(schema: dict[str, Any]) -> None:
    assert schema["maxItems"] > 0
    assert schema["x-kubernetes-list-type"] in {"map", "atomic"}


@pytest.mark.parametrize("schema", _own("integer"))
def test_every_whole_number_has_a_format_and_a_minimum(schema: dict[str, Any]) -> None:
    assert schema["format"] in {"int32", "int64"}
    assert schema["minimum"] in {0, -1, 1}


@pytest.mark.parametrize("schema", _own("number"))
def test_every_other_number_is_a_double_and_not_negative(schema: dict[str, Any]) -> None:
    assert (schema["format"], schema["minimum"]) == ("double", 0)


@pytest.mark.parametrize("schema", _own())
def test_nothing_unknown_is_let_in(schema: dict[str, Any]) -> None:
    assert "x-kubernetes-preserve-unknown-fields" not in schema
    if "additionalProperties" in schema:  # tags: their names are the user's
        assert (schema["maxProperties"], schema["additionalProperties"]["maxItems"]) == (20, 20)


@pytest.mark.parametrize("schema", _own())
def test_every_rule_has_a_message_of_its_own(schema: dict[str, Any]) -> None:
    messages = [rule.get("message") or rule["messageExpression"] for rule in schema.get("x-kubernetes-validations", [])]

    assert len(set(messages)) == len(messages)
    assert all("\n" not in message for message in messages)


def test_optional_fields_of_the_spec_have_their_default_in_the_schema() -> None:
    spec = _SCHEMA["properties"]["spec"]
    defaults = {name: field["default"] for name, field in spec["properties"].items() if "default" in field}

    assert defaults == {
        "mode": "Enforce",
        "suspend": False,
        "interval": "1h",
        "jobTimeout": "160m",
        "deletionPolicy": "Retain",
        "automationAccountChecks": True,
        "drift": {"attribution": "Disabled"},
    }
    assert set(spec["properties"]) - set(defaults) - set(spec["required"]) == {
        "automationAccountResourceId",
        "credential",
        "runbookSchedule",
        "agentUpdates",
    }


def test_every_field_of_the_updates_in_windows_is_required_or_has_its_default_in_the_schema() -> None:
    updates = _SCHEMA["properties"]["spec"]["properties"]["agentUpdates"]
    defaults = {name: field["default"] for name, field in updates["properties"].items() if "default" in field}

    assert set(updates["properties"]) == set(defaults) | set(updates["required"])
    assert defaults == {"timeZone": "UTC", "maxConcurrent": 10, "maxFailures": 1, "order": [], "pause": False}


def test_the_status_has_a_word_for_all_that_the_operator_knows() -> None:
    status = _SCHEMA["properties"]["status"]["properties"]
    concern = status["agents"]["properties"]["worst"]["items"]["properties"]["concern"]

    assert status["agentUpdates"]["properties"]["phase"]["enum"] == list(Phase)
    standing = status["runbookSchedule"]["properties"]["differing"]["items"]["properties"]["reason"]
    amiss = [str(each) for each in Standing if each not in {Standing.IN_SYNC, Standing.DIFFERS}]
    assert standing["enum"] == ["Differs", *amiss]
    assert concern["enum"] == ["".join(word.capitalize() for word in each.split("_")) for each in Concern]


def test_columns_and_selectable_fields_point_at_fields_that_exist() -> None:
    known = {path for path, _ in _walk(_SCHEMA, "")} | {".metadata.creationTimestamp"}
    paths = [entry["jsonPath"] for key in ("additionalPrinterColumns", "selectableFields") for entry in _VERSION[key]]

    assert {re.sub(r"\[\?.*?\]", "[]", path) for path in paths} <= known


def test_helm_can_render_the_file_as_it_is() -> None:
    assert "{{" not in CRD_FILE.read_text()


def test_the_example_names_every_field_that_goes_with_enabled_with_its_default() -> None:
    example = yaml.safe_load(EXAMPLE_FILE.read_text())
    fields = _SCHEMA["properties"]["spec"]["properties"]

    # Most operators take no credential, most vaults leave the time to Azure, and windows are for vaults with Disabled.
    assert set(example["spec"]) == set(fields) - {"credential", "runbookSchedule", "agentUpdates"}
    assert {name: example["spec"][name] for name, field in fields.items() if "default" in field} == {
        name: field["default"] for name, field in fields.items() if "default" in field
    }


def test_the_example_of_windows_names_every_field_of_theirs() -> None:
    example = yaml.safe_load((EXAMPLE_FILE.parent / "agent-updates.yaml").read_text())
    fields = _SCHEMA["properties"]["spec"]["properties"]["agentUpdates"]["properties"]

    assert example["spec"]["autoUpdate"] == "Disabled"
    assert set(example["spec"]["agentUpdates"]) == set(fields)


@pytest.mark.parametrize("path", sorted(EXAMPLE_FILE.parent.glob("*.yaml")), ids=lambda path: path.name)
def test_every_example_is_a_resource_that_can_be_acted_on(path: Path) -> None:
    assert parse_resource(yaml.safe_load(path.read_text())).spec.vault_resource_id.name == "dr-weu"


def test_every_manifest_in_the_docs_can_be_acted_on() -> None:
    blocks = [
        block
        for page in [ROOT / "README.md", *(ROOT / "docs").glob("**/*.md")]
        for block in re.findall(r"^ *```yaml\n(.*?)^ *```$", page.read_text(), re.MULTILINE | re.DOTALL)
        if "kind: VaultAutoUpdate\n" in block
    ]

    assert blocks
    for document in map(yaml.safe_load, blocks):
        for manifest in document.get("extraObjects", [document]):  # a manifest, or values of the chart with some
            assert isinstance(parse_resource(manifest), VaultAutoUpdate)


def test_there_is_one_definition_of_each_kind() -> None:
    assert set(CRD_FILE.parent.iterdir()) == {CRD_FILE, POLICY_CRD_FILE}


@pytest.mark.parametrize("field", ["agentUpdates", "credential"])
def test_a_policy_has_the_same_windows_and_credentials_as_a_resource(field: str) -> None:
    template = _POLICY_SCHEMA["properties"]["spec"]["properties"]["template"]["properties"]

    assert template[field] == _SCHEMA["properties"]["spec"]["properties"][field]


def test_the_defaults_of_a_policy_are_the_same_in_the_schema_and_in_the_types() -> None:
    bare = {
        "scope": {"subscriptions": ["6f3b9f5e-8a3c-4c7e-9a53-0d1f6b2c7a10"]},
        "template": {"autoUpdate": "Disabled"},
    }
    filled = _with_defaults(_POLICY_SCHEMA["properties"]["spec"], bare)

    assert set(filled) > set(bare)
    assert PolicySpec.model_validate(filled) == PolicySpec.model_validate(bare)


def test_the_example_of_a_policy_names_every_field_that_goes_with_enabled_with_its_default() -> None:
    example = yaml.safe_load(_POLICY_EXAMPLE.read_text())
    spec = _POLICY_SCHEMA["properties"]["spec"]["properties"]

    assert parse_policy(example).key.name == "estate"
    assert set(example["spec"]) == set(spec)
    for part in ("limits", "discovery", "template"):
        fields = spec[part]["properties"]
        assert set(example["spec"][part]) == set(fields) - {"credential", "runbookSchedule", "agentUpdates"}
        defaults = {name: field["default"] for name, field in fields.items() if "default" in field}
        assert {name: example["spec"][part][name] for name in defaults} == defaults


def _with_defaults(schema: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    """What the API server makes of an object: the defaults of the schema, inside of what is there."""
    filled = dict(value)
    for name, field in schema.get("properties", {}).items():
        if name not in filled and "default" in field:
            filled[name] = field["default"]
        if isinstance(filled.get(name), dict):
            filled[name] = _with_defaults(field, filled[name])
    return filled
