"""The resource as people meet it: defaults, explain, columns, wait, apply, and what its status can hold."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.sample_status import NOW, full_status, ready
from workbench.kube.control_plane import ControlPlane
from workbench.kube.kubectl import Kubectl
from workbench.kube.resources import (
    ACCOUNT,
    EXAMPLE_FILE,
    VAULT,
    collection_path,
    load_definition,
    manifest,
    resource_path,
)  # fmt: skip
from workbench.kube.rest import MERGE_PATCH, ApiError


@pytest.fixture
def created(kubectl: Kubectl) -> dict[str, Any]:
    """A resource as the API server stored it."""
    stored: dict[str, Any] = kubectl("create", "-o", "json", "-f", "-", stdin=json.dumps(manifest())).json()
    return stored


def _schema() -> dict[str, Any]:
    schema: dict[str, Any] = load_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    return schema


def _fields(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every field below a schema, with its path as ``kubectl explain`` writes it."""
    for name, field in schema.get("items", schema).get("properties", {}).items():
        yield f"{path}.{name}", field
        yield from _fields(field, f"{path}.{name}")


def _write_status(control_plane: ControlPlane, namespace: str, status: dict[str, Any]) -> dict[str, Any]:
    path = resource_path(namespace, subresource="status")
    written: dict[str, Any] = control_plane.rest.request("PATCH", path, {"status": status}, content_type=MERGE_PATCH)
    return written


def test_defaults_are_filled_in_by_the_api_server(created: dict[str, Any]) -> None:
    assert created["spec"] == {
        "vaultResourceId": VAULT,
        "autoUpdate": "Enabled",
        "automationAccountResourceId": ACCOUNT,
        "mode": "Enforce",
        "suspend": False,
        "interval": "1h",
        "jobTimeout": "160m",
        "deletionPolicy": "Retain",
        "automationAccountChecks": True,
        "drift": {"attribution": "Disabled"},
    }
    assert created["status"] == {"observedGeneration": -1}


@pytest.mark.parametrize("path", sorted(EXAMPLE_FILE.parent.glob("*.yaml")), ids=lambda path: path.name)
def test_an_example_is_stored_as_it_is_written(kubectl: Kubectl, path: Path) -> None:
    default = kubectl.in_namespace("default")
    stored = default("create", "--dry-run=server", "-o", "json", "-f", path).json()
    written = yaml.safe_load(path.read_text())

    assert _paths(written["spec"]) <= _paths(stored["spec"])
    assert stored["spec"] | written["spec"] == stored["spec"]


def test_the_example_is_accepted_and_shows_the_defaults(kubectl: Kubectl) -> None:
    default = kubectl.in_namespace("default")
    shown = default("create", "--dry-run=server", "-o", "json", "-f", EXAMPLE_FILE).json()

    bare = manifest(mode=None, suspend=None, interval=None, jobTimeout=None, deletionPolicy=None)
    filled = default("create", "--dry-run=server", "-o", "json", "-f", "-", stdin=json.dumps(bare)).json()
    assert shown["spec"] == filled["spec"]


def test_it_is_found_under_its_short_name_and_in_its_category(kubectl: Kubectl, created: dict[str, Any]) -> None:
    expected = "vaultautoupdate.asr.vault-autoupdate.io/dr-weu\n"

    assert kubectl("get", "vau", "-o", "name").stdout == expected
    assert kubectl("get", "asr", "-o", "name").stdout == expected
    assert "vaultautoupdate" not in kubectl("get", "all", "-o", "name").stdout


@pytest.mark.parametrize("part", ["spec", "status"])
def test_explain_describes_every_field(kubectl: Kubectl, part: str) -> None:
    explained = kubectl("explain", f"vaultautoupdate.{part}", "--recursive").check().stdout
    for path, field in _fields(_schema()[part], part):
        name = path.rpartition(".")[2]
        assert re.search(rf"^\s+{name}\t<", explained, re.MULTILINE), path
        assert field["description"].endswith("."), path


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("", ["Azure Site Recovery", "Mobility service"]),
        (".spec", ["FIELDS", "vaultResourceId\t<string> -required-", "autoUpdate\t<string> -required-"]),
        (".spec.vaultResourceId", ["az backup vault list --query", "cannot be changed"]),
        (".spec.autoUpdate", ["ENUM: Enabled Disabled", "Mobility service"]),
        (".spec.interval", ["at least 5m", "requestedAt"]),
        (".spec.deletionPolicy", ["ENUM: Retain Disable", "finalizer"]),
        (".spec.automationAccountChecks", ["only read", "AutomationAccountHealthy"]),
        (
            ".spec.runbookSchedule",
            ["time\t<string> -required-", "timeZone\t<string> -required-", "no maintenance window"],
        ),
        (".status.runbookSchedule.differing.reason", ["ENUM: Differs", "starts another runbook too"]),
        (".spec.agentUpdates", ["schedule\t<string> -required-", "duration\t<string> -required-", "updateAgentsNow"]),
        (".spec.agentUpdates.schedule", ["0 22 * * SAT", "five fields of cron"]),
        (".spec.agentUpdates.order", ["first pattern go first"]),
        (".status.agentUpdates.phase", ["ENUM: Closed Rolling Done Paused Stopped Audit", "maxFailures was reached"]),
        (".status.agents", ["every six hours", "farBehind"]),
        (".status.automationAccount.lastRun", ["never read"]),
        (".status.operations", ["fabric/container/mapping", "jobId"]),
    ],
)
def test_explain_tells_people_what_they_need(kubectl: Kubectl, field: str, words: list[str]) -> None:
    explained = kubectl("explain", f"vau{field}").check().stdout
    folded = re.sub(r"\s*\n\s*", " ", explained)
    assert [word for word in words if word not in folded] == []


def test_get_prints_a_line_that_says_whether_all_is_right(
    control_plane: ControlPlane, kubectl: Kubectl, namespace: str, created: dict[str, Any]
) -> None:
    _write_status(control_plane, namespace, full_status())

    short = kubectl("get", "vau").check().stdout.splitlines()
    assert re.split(r"\s{2,}", short[0].strip()) == [
        "NAME", "VAULT", "DESIRED", "COMPLIANT", "READY", "STATUS", "AGE",
    ]  # fmt: skip
    assert re.split(r"\s{2,}", short[1].strip())[:-1] == [
        "dr-weu", "dr-weu", "Enabled", "812/814", "False", "2 mappings could not be changed",
    ]  # fmt: skip

    wide = kubectl("get", "vau", "-o", "wide").check().stdout.splitlines()
    assert re.split(r"\s{2,}", wide[0].strip())[7:] == [
        "MODE", "SUSPENDED", "UPDATING", "FAILED", "AGENTS BEHIND", "AGENT UPDATES", "NEXT WINDOW", "REASON",
        "LOCATION", "INTERVAL", "VAULT ID",
    ]  # fmt: skip
    assert re.split(r"\s{2,}", wide[1].strip())[7:] == [
        "Enforce", "false", "3", "2", "41", "Rolling", NOW, "JobFailed", "westeurope", "1h", VAULT,
    ]  # fmt: skip


def test_wait_for_ready_does_not_believe_a_status_about_an_older_generation(
    control_plane: ControlPlane, kubectl: Kubectl, namespace: str, created: dict[str, Any]
) -> None:
    _write_status(control_plane, namespace, {"observedGeneration": 1, "conditions": [ready(1)]})
    wait = ("wait", "vau/dr-weu", "--for=condition=Ready")
    assert kubectl(*wait, "--timeout=10s").code == 0

    kubectl("patch", "vau", "dr-weu", "--type=merge", "-p", '{"spec": {"mode": "Audit"}}').check()
    stale = kubectl(*wait, "--timeout=1s")
    assert (stale.code, "timed out waiting for the condition" in stale.stderr) == (1, True)

    _write_status(control_plane, namespace, {"observedGeneration": 2, "conditions": [ready(2)]})
    assert kubectl(*wait, "--timeout=10s").code == 0


def test_wait_for_ready_does_not_pass_before_the_first_status(kubectl: Kubectl, created: dict[str, Any]) -> None:
    assert kubectl("wait", "vau/dr-weu", "--for=condition=Ready", "--timeout=1s").code == 1


def test_applying_server_side_twice_changes_nothing(
    control_plane: ControlPlane, kubectl: Kubectl, namespace: str
) -> None:
    apply = ("apply", "--server-side", "-o", "json", "-f", "-")
    body = json.dumps(manifest())
    kubectl(*apply, stdin=body).check()
    assert kubectl("diff", "--server-side", "-f", "-", stdin=body).code == 0
    # The default of status is seen at once, but stored only with the next write, whoever makes it.
    first = _write_status(control_plane, namespace, {"observedGeneration": 1})

    second = kubectl(*apply, stdin=body).json()

    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    assert second["metadata"]["generation"] == 1


def test_the_main_resource_cannot_change_the_status(
    control_plane: ControlPlane, namespace: str, created: dict[str, Any]
) -> None:
    patched = control_plane.rest.request(
        "PATCH", resource_path(namespace), {"status": {"location": "moon"}}, content_type=MERGE_PATCH
    )
    assert patched["status"] == {"observedGeneration": -1}

    other = control_plane.rest.create(
        collection_path(namespace), manifest("other") | {"status": {"observedGeneration": 7}}
    )
    assert other["status"] == {"observedGeneration": -1}


def test_the_status_subresource_changes_neither_spec_nor_generation(
    control_plane: ControlPlane, namespace: str, created: dict[str, Any]
) -> None:
    path = resource_path(namespace, subresource="status")
    body = {"spec": {"mode": "Audit"}, "status": {"location": "westeurope"}}
    written = control_plane.rest.request("PATCH", path, body, content_type=MERGE_PATCH)

    assert (written["spec"]["mode"], written["metadata"]["generation"]) == ("Enforce", 1)
    assert written["status"] == {"observedGeneration": -1, "location": "westeurope"}


def test_resources_can_be_selected_by_fields_of_their_spec(kubectl: Kubectl, created: dict[str, Any]) -> None:
    off = manifest("off", autoUpdate="Disabled", suspend=True)
    kubectl("create", "-f", "-", stdin=json.dumps(off)).check()

    def select(selector: str) -> list[str]:
        return kubectl("get", "vau", "-o", "name", "--field-selector", selector).check().stdout.split()

    assert select("spec.autoUpdate=Disabled") == ["vaultautoupdate.asr.vault-autoupdate.io/off"]
    assert select("spec.suspend=false,spec.mode=Enforce") == ["vaultautoupdate.asr.vault-autoupdate.io/dr-weu"]
    assert len(select(f"spec.vaultResourceId={VAULT}")) == 2


def test_every_field_of_the_status_is_kept(
    control_plane: ControlPlane, namespace: str, created: dict[str, Any]
) -> None:
    status = full_status()
    known = {path.removeprefix("status.") for path, _ in _fields(_schema()["status"], "status")}
    assert known == _paths(status)  # the sample below has every field of the schema

    assert _write_status(control_plane, namespace, status)["status"] == status


@pytest.mark.parametrize("character", ["x", "<", "\x01", "\N{SNOWMAN}", "\N{GRINNING FACE}"])
def test_the_largest_status_that_the_bounds_allow_fits(
    control_plane: ControlPlane, namespace: str, created: dict[str, Any], character: str
) -> None:
    # Characters that JSON writes as six bytes, or UTF-8 as four, count as one for a maxLength.
    largest = _largest(_schema()["status"], character)
    for number, condition in enumerate(largest["conditions"]):
        condition["type"] = f"{number}{condition['type'][1:]}"

    written = _write_status(control_plane, namespace, largest)

    assert written["status"] == largest
    assert (len(largest["operations"]), len(largest["failures"]), len(largest["conditions"])) == (150, 20, 8)
    assert [len(largest["agentUpdates"][each]) for each in ("planned", "operations", "failures")] == [20, 50, 20]


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ({"operations": 151 * [{"mapping": "a/b/c", "startedAt": NOW}]}, "must have at most 150 items"),
        ({"failures": 21 * [{"mapping": "a/b/c", "reason": "JobFailed"}]}, "must have at most 20 items"),
        ({"failures": [{"mapping": "a/b/c", "reason": "not a word"}]}, "should match '^[A-Za-z]"),
        ({"failures": [{"mapping": "a/b/c", "reason": "X", "message": 401 * "x"}]}, "may not be more than 400"),
        ({"conditions": [ready(1), ready(1)]}, 'Duplicate value: {"type":"Ready"}'),
        ({"conditions": [ready(1, status="Maybe")]}, 'supported values: "True", "False", "Unknown"'),
        ({"conditions": [ready(1) | {"reason": "two words"}]}, "should match '^[A-Za-z]"),
        ({"conditions": [ready(1, message=1025 * "x")]}, "may not be more than 1024"),
        ({"mappings": {"total": -1}}, "should be greater than or equal to 0"),
        ({"agents": {"worst": [{"machine": "vm", "concern": "expired"}]}}, 'Unsupported value: "expired"'),
        ({"agents": {"versions": 11 * [{"version": "9.55", "machines": 1}]}}, "must have at most 10 items"),
        ({"agents": {"worst": [{"concern": "Expired"}]}}, "status.agents.worst[0].machine: Required value"),
        ({"agentUpdates": {"phase": "Open"}}, 'Unsupported value: "Open"'),
        ({"agentUpdates": {"window": {"opensAt": NOW}}}, "status.agentUpdates.window.closesAt: Required value"),
        ({"agentUpdates": {"planned": 21 * ["vm"]}}, "must have at most 20 items"),
        ({"agentUpdates": {"failures": 21 * [{"machine": "vm", "item": "a/b/c"}]}}, "must have at most 20 items"),
        ({"automationAccount": {"state": "Ok"}}, "status.automationAccount.name: Required value"),
        ({"automationAccount": {"name": "aa", "minutesUsed": -0.5}}, "should be greater than or equal to 0"),
        ({"lastHandledUpdateAgentsNow": 257 * "x"}, "may not be more than 256"),
        ({"lastRun": {"startedAt": "yesterday"}}, "must be of type date-time"),
    ],
)
def test_a_status_out_of_bounds_is_refused(
    control_plane: ControlPlane, namespace: str, created: dict[str, Any], status: dict[str, Any], message: str
) -> None:
    with pytest.raises(ApiError, match=re.escape(message)) as refusal:
        _write_status(control_plane, namespace, status)
    assert refusal.value.code == 422


def _paths(value: Any, path: str = "") -> set[str]:
    """Every key in a document, by its path; lists count by what their items have."""
    if isinstance(value, list):
        return set().union(*(_paths(item, path) for item in value))
    if not isinstance(value, dict):
        return set()
    return set().union(*({f"{path}{key}"} | _paths(inner, f"{path}{key}.") for key, inner in value.items()))


def _largest(schema: dict[str, Any], character: str) -> Any:
    """The largest value that a schema allows, with free text made of one character."""
    match schema["type"]:
        case "object":
            return {name: _largest(field, character) for name, field in schema["properties"].items()}
        case "array":
            return [_largest(schema["items"], character) for _ in range(schema["maxItems"])]
        case "integer":
            return 2 ** (63 if schema["format"] == "int64" else 31) - 1
        case "number":
            return sys.float_info.max
        case "boolean":
            return False
        case _ if "enum" in schema:
            return max(schema["enum"], key=len)
        case _ if schema.get("format") == "date-time":
            return "2026-01-02T03:04:05.123456789+01:00"
        case _ if "pattern" in schema:
            return schema["maxLength"] * "x"
    return schema["maxLength"] * character
