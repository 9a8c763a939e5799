"""The policy as people meet it: defaults, explain, columns, what its status can hold, and what is refused."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from workbench.kube.control_plane import ControlPlane
from workbench.kube.kubectl import Kubectl
from workbench.kube.refusals import NO_DURATIONS, UNCHECKED, problems_of
from workbench.kube.resources import (
    ACCOUNT,
    POLICY_CRD_FILE,
    ROOT,
    SUBSCRIPTION,
    VAULT,
    load_definition,
    policy_manifest,
    resource_path,
)
from workbench.kube.rest import MERGE_PATCH

_PLURAL = "vaultautoupdatepolicies"
_AT_NIGHT = {"time": "02:30", "timeZone": "Europe/Amsterdam", "days": ["SAT"], "spread": "2h"}
_WINDOW = {"schedule": "0 22 * * SAT", "duration": "4h"}
_DISABLED = {"template": {"autoUpdate": "Disabled"}, "automationAccount": None}


def _schema() -> dict[str, Any]:
    schema: dict[str, Any] = load_definition(POLICY_CRD_FILE)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def _create(kubectl: Kubectl, **spec: Any) -> dict[str, Any]:
    stored: dict[str, Any] = kubectl(
        "create", "-o", "json", "-f", "-", stdin=json.dumps(policy_manifest(**spec))
    ).json()
    return stored


def test_a_policy_that_says_no_more_only_looks(kubectl: Kubectl) -> None:
    spec = _create(kubectl)["spec"]

    assert (spec["mode"], spec["onUnmatched"], spec["suspend"]) == ("Audit", "Keep", False)
    assert spec["limits"] == {
        "maxNew": 20, "maxNewPerHour": 100, "maxRemovals": "5%", "maxFailures": 2, "minSuccessTime": "30m",
    }  # fmt: skip
    assert spec["discovery"] == {"source": "Auto", "interval": "1h", "verifyInterval": "6h"}


def test_the_example_is_stored_as_it_is_written(kubectl: Kubectl) -> None:
    path = ROOT / "examples" / "policies" / "estate.yaml"

    stored = kubectl.in_namespace("default")("create", "--dry-run=server", "-o", "json", "-f", path).json()

    assert stored["spec"] == yaml.safe_load(path.read_text())["spec"]


def test_it_is_found_under_its_short_name_and_in_its_category(kubectl: Kubectl) -> None:
    _create(kubectl)

    assert kubectl("get", "vaup", "-o", "name").stdout == "vaultautoupdatepolicy.asr.vault-autoupdate.io/estate\n"
    assert kubectl("get", "asr", "-o", "name").stdout == "vaultautoupdatepolicy.asr.vault-autoupdate.io/estate\n"


@pytest.mark.parametrize("part", ["spec", "status"])
def test_explain_knows_every_field(kubectl: Kubectl, part: str) -> None:
    explained = kubectl("explain", f"vaup.{part}", "--recursive").check().stdout

    for name in _schema()["properties"][part]["properties"]:
        assert re.search(rf"^\s+{name}\t<", explained, re.MULTILINE), name


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("", ["begins in mode Audit", "keeps its resource and its setting"]),
        (".spec", ["scope\t<Object> -required-", "template\t<Object> -required-"]),
        (".spec.mode", ["ENUM: Enforce Audit", "does none of it"]),
        (".spec.onUnmatched", ["ENUM: Keep Release", "keeps its setting either way"]),
        (".spec.vaultSelector.matchTags", ["in any letter case", "exactly as written"]),
        (".spec.limits.maxRemovals", ["approves that very plan"]),
        (".status.pending.planHash", ["To approve exactly that"]),
    ],
)
def test_explain_tells_people_what_they_need(kubectl: Kubectl, field: str, words: list[str]) -> None:
    explained = re.sub(r"\s*\n\s*", " ", kubectl("explain", f"vaup{field}").check().stdout)

    assert [word for word in words if word not in explained] == []


def test_get_answers_whether_everything_is_covered(
    control_plane: ControlPlane, kubectl: Kubectl, namespace: str
) -> None:
    _create(kubectl)
    status = _full_status()
    path = resource_path(namespace, "estate", subresource="status", plural=_PLURAL)

    written = control_plane.rest.request("PATCH", path, {"status": status}, content_type=MERGE_PATCH)

    assert written["status"] == status
    assert set(status) == set(_schema()["properties"]["status"]["properties"])
    lines = kubectl("get", "vaup").check().stdout.splitlines()
    assert [re.split(r"\s{2,}", line.strip())[:6] for line in lines] == [
        ["NAME", "MODE", "FOUND", "MANAGED", "READY", "STATUS"],
        ["estate", "Audit", "4990", "4812/4903", "False", "91 vaults have no resource yet"],
    ]


def _full_status() -> dict[str, Any]:
    now = "2026-03-01T12:00:00Z"
    counts = _schema()["properties"]["status"]["properties"]["vaults"]["properties"]
    return {
        "observedGeneration": 1,
        "conditions": [
            {
                "type": "Ready", "status": "False", "reason": "Uncovered", "lastTransitionTime": now,
                "message": "91 vaults have no resource yet", "observedGeneration": 1,
            }
        ],
        "lastHandledReconcileAt": "now",
        "coverage": "4812/4903",
        "vaults": dict.fromkeys(counts, 7) | {"found": 4990},
        "discovery": {
            "source": "Graph", "startedAt": now, "completedAt": now, "lastCompleteAt": now,
            "subscriptions": {"expected": 200, "read": 199, "unreachable": 1, "disabled": 0},
        },
        "pending": {"create": 91, "update": 0, "remove": 0, "planHash": "0123456789abcdef"},
        "rollout": {"wave": "canary", "number": 1, "total": 3, "failed": 0},
        "removals": {"latest": now, "count": 1},
        "changes": {"latest": now, "count": 3},
        "samples": [{"kind": "Orphaned", "name": VAULT, "why": "it was deleted", "since": now}],
    }  # fmt: skip


_ONE_WAY = "must have exactly one of vaultTag, accountTag, namePattern, resourceId and current"
_ONE_SCOPE = "must name exactly one of managementGroups and subscriptions"
_GUID = "must be the GUID of a subscription, not its name: see `az account show --query id`"
_PATTERN = (
    "must be a pattern of names: letters, digits, periods, underscores, hyphens and parentheses, with * for any text "
    "and ? for any one character"
)
_QUANTITY = "must be a whole number, such as 2, or a percentage, such as 5%"
_NEEDS_ACCOUNT = (
    "must have at least one way to the Automation account where autoUpdate is Enabled, such as current: true or "
    "namePattern: aa-asr-*"
)
_BY_ITSELF = (
    "Site Recovery updates the agents by itself when autoUpdate is Enabled: set autoUpdate to Disabled where "
    "agentUpdates is given, or remove agentUpdates"
)

_NO_SCHEDULE = (
    "Site Recovery has no schedule when autoUpdate is Disabled: set autoUpdate to Enabled where runbookSchedule is "
    "given, or remove runbookSchedule"
)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        pytest.param({"scope": {}}, f"spec.scope: Invalid value: {_ONE_SCOPE}", id="no-scope"),
        pytest.param(
            {"scope": {"managementGroups": ["mg"], "subscriptions": [SUBSCRIPTION]}},
            f"spec.scope: Invalid value: {_ONE_SCOPE}", id="two-scopes",
        ),
        pytest.param(
            {"scope": {"managementGroups": [], "subscriptions": []}},
            f"spec.scope: Invalid value: {_ONE_SCOPE}", id="empty-scopes",
        ),
        pytest.param(
            {"scope": {"subscriptions": ["production"]}},
            f'spec.scope.subscriptions[0]: Invalid value: "production": {_GUID}', id="subscription-by-name",
        ),
        pytest.param(
            {"scope": {"managementGroups": ["Tenant Root Group"]}},
            'spec.scope.managementGroups[0]: Invalid value: "Tenant Root Group": must be the name of a management '
            "group: letters, digits and -_.() only", id="management-group-by-display-name",
        ),
        pytest.param(
            {"vaultSelector": {"matchTags": {"Dr": ["a"], "dr": ["b"]}}},
            "spec.vaultSelector.matchTags: Invalid value: must not name a tag twice; Azure takes names that differ "
            "only in letter case for the same one", id="one-tag-twice",
        ),
        pytest.param(
            {"vaultSelector": {"matchTags": {"dr": []}}},
            'spec.vaultSelector.matchTags.dr: Invalid value: 0: spec.vaultSelector.matchTags.dr in body should have '
            "at least 1 items", id="tag-without-values",
        ),
        pytest.param(
            {"exclude": {"names": ["dr/1"]}},
            f'spec.exclude.names[0]: Invalid value: "dr/1": {_PATTERN}', id="no-pattern",
        ),
        pytest.param(
            {"exclude": {"vaults": [ACCOUNT]}},
            f'spec.exclude.vaults[0]: Invalid value: "{ACCOUNT}": must be the id of a Recovery Services vault: '
            "/subscriptions/<guid>/resourceGroups/<group>/providers/Microsoft.RecoveryServices/vaults/<name>",
            id="excluded-account",
        ),
        pytest.param({"automationAccount": [{}]}, f"spec.automationAccount[0]: Invalid value: {_ONE_WAY}", id="no-way"),
        pytest.param(
            {"automationAccount": [{"current": True, "vaultTag": "a"}]},
            f"spec.automationAccount[0]: Invalid value: {_ONE_WAY}", id="two-ways",
        ),
        pytest.param(
            {"automationAccount": [{"current": True, "resourceGroup": "rg"}]},
            "spec.automationAccount[0]: Invalid value: resourceGroup goes with namePattern alone", id="lonely-group",
        ),
        pytest.param(
            {"automationAccount": [{"resourceId": VAULT}]},
            f'spec.automationAccount[0].resourceId: Invalid value: "{VAULT}": must be the id of an Automation account: '
            "/subscriptions/<guid>/resourceGroups/<group>/providers/Microsoft.Automation/automationAccounts/<name>",
            id="account-that-is-a-vault",
        ),
        pytest.param(
            {"automationAccount": None}, f"spec.automationAccount: Required value: {_NEEDS_ACCOUNT}", id="no-account"
        ),
        pytest.param(
            _DISABLED | {"rules": [{"autoUpdate": "Enabled"}]},
            f"spec.automationAccount: Required value: {_NEEDS_ACCOUNT}", id="no-account-for-a-rule",
        ),
        pytest.param(
            {"template": {"autoUpdate": "Enabled", "agentUpdates": _WINDOW}},
            f"spec: Forbidden: {_BY_ITSELF}", id="windows-with-enabled",
        ),
        pytest.param(
            {"rules": [{"agentUpdates": _WINDOW}]}, f"spec: Forbidden: {_BY_ITSELF}", id="windows-in-a-rule"
        ),
        pytest.param(
            {"template": {"autoUpdate": "Disabled", "runbookSchedule": _AT_NIGHT}},
            f"spec: Forbidden: {_NO_SCHEDULE}", id="schedule-with-disabled",
        ),
        pytest.param(
            {"rules": [{"autoUpdate": "Disabled", "runbookSchedule": _AT_NIGHT}]},
            f"spec: Forbidden: {_NO_SCHEDULE}", id="schedule-in-a-rule",
        ),
        *(
            pytest.param(
                {"limits": {field: text}},
                f"spec.limits.{field}: Invalid value: {_QUANTITY}", id=f"{field}-{text}",
            )
            for field in ("maxRemovals", "maxFailures") for text in ("many", "101%", "-1%", "5 %", "5")
        ),
        *(
            pytest.param(
                {"discovery": {"interval": text}},
                f'spec.discovery.interval: Invalid value: "{text}": must be a duration of hours, minutes and seconds, '
                "such as 90m, 1h30m or 0.5h", id=f"interval-{text or 'empty'}",
            )
            for text in NO_DURATIONS
        ),
        pytest.param(
            {"discovery": {"verifyInterval": "59m"}},
            'spec.discovery.verifyInterval: Invalid value: "59m": must be at least 1h', id="verified-too-often",
        ),
        pytest.param(
            {"template": {}}, "spec.template.autoUpdate: Required value", id="template-without-setting"
        ),
    ],
)  # fmt: skip
def test_a_wrong_policy_is_refused_with_one_message_that_says_what_to_do(
    kubectl: Kubectl, spec: dict[str, Any], message: str
) -> None:
    result = kubectl("apply", "-f", "-", stdin=json.dumps(policy_manifest(**spec)))

    assert (result.code, result.stdout) == (1, "")
    problems = [re.sub(r"^(spec.*?: Invalid value: )(?:null|\{.*?\}|\"[^\"]*\"): (?=must be a whole)", r"\1", problem)
                for problem in problems_of(result, "estate", "VaultAutoUpdatePolicy")]  # fmt: skip
    assert problems in ([message], [message, UNCHECKED])


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"scope": {"managementGroups": ["mg-prod", "Contoso_(1).x"]}}, id="management-groups"),
        pytest.param({"limits": {"maxRemovals": 0, "maxFailures": "100%", "minSuccessTime": "0s"}}, id="quantities"),
        pytest.param(_DISABLED | {"rules": [{"agentUpdates": _WINDOW}]}, id="windows"),
        pytest.param({"template": {"autoUpdate": "Enabled", "runbookSchedule": _AT_NIGHT}}, id="schedule"),
        pytest.param(
            _DISABLED
            | {
                "rules": [{"autoUpdate": "Enabled", "runbookSchedule": _AT_NIGHT}],
                "automationAccount": [{"current": True}],
            },
            id="schedule-of-a-rule",
        ),
        pytest.param({"template": {"autoUpdate": "Enabled", "credential": {"secretName": "azure"}}}, id="credential"),
        pytest.param(
            {"automationAccount": [{"accountTag": {"purpose": ["asr"]}}, {"resourceId": ACCOUNT.upper()}]}, id="ways"
        ),
    ],
)
def test_a_right_policy_is_accepted(kubectl: Kubectl, spec: dict[str, Any]) -> None:
    result = kubectl("apply", "-f", "-", stdin=json.dumps(policy_manifest(**spec)))

    assert (result.code, result.stdout) == (0, "vaultautoupdatepolicy.asr.vault-autoupdate.io/estate created\n")


def test_a_name_that_cannot_be_a_label_is_refused(control_plane: ControlPlane, kubectl: Kubectl) -> None:
    name = 64 * "x"

    result = kubectl("apply", "-f", "-", stdin=json.dumps(policy_manifest(name)))

    assert "the name must have at most 63 characters" in result.stderr
