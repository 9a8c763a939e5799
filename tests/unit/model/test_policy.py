from __future__ import annotations

from typing import Any

import pytest

from tests.unit.builders import ACCOUNT_ID, SUBSCRIPTION
from vault_autoupdate.model.policy import PolicySpec, Source, parse_policy
from vault_autoupdate.model.quantity import Quantity, parse_quantity
from vault_autoupdate.model.resource import AutoUpdate, InvalidSpec, Mode
from workbench.kube.resources import policy_manifest

_AT_NIGHT = {"time": "02:30", "timeZone": "Europe/Amsterdam"}
_WINDOW = {"schedule": "0 22 * * SAT", "duration": "4h"}


def _body(**spec: Any) -> dict[str, Any]:
    manifest = policy_manifest(namespace="platform", **spec)
    return manifest | {"metadata": manifest["metadata"] | {"uid": "u", "generation": 3}}


def test_a_policy_that_says_no_more_only_looks() -> None:
    policy = parse_policy(_body())

    assert (policy.key.namespace, policy.key.name, policy.uid, policy.generation) == ("platform", "estate", "u", 3)
    assert (policy.spec.mode, policy.spec.on_unmatched) == ("Audit", "Keep")
    assert policy.spec.discovery.source is Source.AUTO
    assert policy.spec.template.mode is Mode.ENFORCE


def test_annotations_ask_for_a_look_and_approve_a_plan() -> None:
    body = _body()
    body["metadata"]["annotations"] = {
        "asr.vault-autoupdate.io/requestedAt": "now",
        "asr.vault-autoupdate.io/approve": " 0123abcd ",
    }

    policy = parse_policy(body)

    assert (policy.requested_at, policy.approved) == ("now", "0123abcd")


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"scope": {}}, "spec.scope: must name exactly one of managementGroups and subscriptions"),
        ({"scope": {"subscriptions": ["prod"]}}, "spec.scope.subscriptions.0: 'prod' is not the GUID"),
        ({"scope": {"managementGroups": ["Tenant Root"]}}, "spec.scope.managementGroups.0: 'Tenant Root' cannot be"),
        ({"vaultSelector": {"matchTags": {"a": ["1"], "A": ["2"]}}}, "spec.vaultSelector.matchTags: Azure takes"),
        ({"vaultSelector": {"matchTags": {"a": []}}}, "spec.vaultSelector.matchTags: 'a' must have at least one value"),
        ({"exclude": {"names": ["a/b"]}}, "spec.exclude.names.0: 'a/b' is no pattern of names"),
        ({"exclude": {"vaults": [ACCOUNT_ID]}}, "spec.exclude.vaults.0: the vault id must be of type"),
        ({"automationAccount": [{}]}, "spec.automationAccount.0: must have exactly one of vaultTag"),
        ({"automationAccount": [{"current": True, "resourceGroup": "rg"}]}, "resourceGroup goes with namePattern"),
        ({"automationAccount": None}, "spec: automationAccount must have at least one way"),
        ({"template": {"autoUpdate": "Enabled", "agentUpdates": _WINDOW}}, "spec: agentUpdates goes with autoUpdate"),
        ({"rules": [{"agentUpdates": _WINDOW}]}, "spec: agentUpdates goes with autoUpdate Disabled alone"),
        (
            {"template": {"autoUpdate": "Disabled", "runbookSchedule": _AT_NIGHT}},
            "spec: runbookSchedule goes with autoUpdate Enabled alone",
        ),
        (
            {"rules": [{"autoUpdate": "Disabled", "runbookSchedule": _AT_NIGHT}]},
            "spec: runbookSchedule goes with autoUpdate Enabled alone",
        ),
        ({"rules": [{"runbookSchedule": {"time": "2"}}]}, "spec.rules.0.runbookSchedule.time: "),
        ({"limits": {"maxRemovals": "101%"}}, "spec.limits.maxRemovals: '101%' is neither a whole number"),
        ({"limits": {"maxNew": 0}}, "spec.limits.maxNew: input should be greater than or equal to 1"),
        ({"discovery": {"interval": "1m"}}, "spec.discovery.interval: 1m is out of bounds: at least 5m"),
        ({"onUnmatched": "Delete"}, "spec.onUnmatched: input should be 'Keep' or 'Release'"),
        ({"deletionPolicy": "Disable"}, "spec.deletionPolicy: unknown field"),
    ],
)
def test_a_wrong_policy_is_refused_in_the_words_of_its_manifest(spec: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidSpec) as refusal:
        parse_policy(_body(**spec))

    assert any(each.startswith(problem) or problem in each for each in refusal.value.problems), refusal.value.problems


def test_a_name_that_cannot_be_a_label_is_refused() -> None:
    body = _body()
    body["metadata"]["name"] = 64 * "x"

    with pytest.raises(InvalidSpec, match="at most 63 characters"):
        parse_policy(body)


def test_windows_go_with_disabled() -> None:
    spec = parse_policy(
        _body(template={"autoUpdate": "Disabled"}, automationAccount=None, rules=[{"agentUpdates": _WINDOW}])
    ).spec

    assert spec.rules[0].agent_updates is not None
    assert spec.template.auto_update is AutoUpdate.DISABLED


@pytest.mark.parametrize(
    ("text", "total", "allowed"),
    [(2, 100, 2), ("2", 1, 2), ("5%", 100, 5), ("5%", 199, 9), ("5%", 3, 1), ("0%", 100, 0), (0, 5, 0)],
)
def test_a_share_is_rounded_down_but_is_at_least_one(text: object, total: int, allowed: int) -> None:
    assert parse_quantity(text).of(total) == allowed


@pytest.mark.parametrize("text", ["", "many", "-1", "1.5", "5 %", "101%", True, None, "٣", 3 * "999"])
def test_what_is_no_quantity_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="neither a whole number nor a percentage"):
        parse_quantity(text)


@pytest.mark.parametrize("quantity", [Quantity(2), Quantity(5, is_percent=True)])
def test_a_quantity_is_written_as_it_is_read(quantity: Quantity) -> None:
    assert parse_quantity(str(quantity)) == quantity


def test_a_scope_declares_what_it_lists_and_does_not_exclude() -> None:
    other = "11111111-2222-3333-4444-555555555555"
    listed = PolicySpec.model_validate(_body()["spec"]).scope
    group = PolicySpec.model_validate(
        _body(scope={"managementGroups": ["mg"], "excludeSubscriptions": [other.upper()]})["spec"]
    ).scope

    assert (listed.declares(SUBSCRIPTION.upper()), listed.declares(other)) == (True, False)
    assert (group.declares(SUBSCRIPTION), group.declares(other)) == (True, False)
