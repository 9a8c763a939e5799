from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.unit.builders import ACCOUNT_ID, SUBSCRIPTION
from vault_autoupdate.model.policy import APPROVE, PolicySpec, Source, VaultAutoUpdatePolicy, parse_policy
from vault_autoupdate.model.quantity import Quantity, parse_quantity
from vault_autoupdate.model.resource import REQUESTED_AT, SHARD_LABEL, AutoUpdate, InvalidSpec, Mode, ResourceKey
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

    with pytest.raises(
        InvalidSpec, match=r"^metadata\.name: at most 63 characters, since children carry it as a label$"
    ):
        parse_policy(body)


def test_windows_go_with_disabled() -> None:
    spec = parse_policy(
        _body(template={"autoUpdate": "Disabled"}, automationAccount=None, rules=[{"agentUpdates": _WINDOW}])
    ).spec

    assert spec.rules[0].agent_updates is not None
    assert spec.template.auto_update is AutoUpdate.DISABLED


@pytest.mark.parametrize(
    ("text", "total", "allowed"),
    [(2, 100, 2), ("2", 1, 2), ("5%", 100, 5), ("5%", 199, 9), ("5%", 3, 1), ("0%", 100, 0), ("100%", 7, 7), (0, 5, 0)],
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


_PATTERN = (
    "is no pattern of names: write 1 to 90 letters, digits, periods, underscores, hyphens and parentheses, with * for "
    "any text and ? for any one character"
)
_WAY = "spec.automationAccount.0"


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"exclude": {"names": [""]}}, f"spec.exclude.names.0: '' {_PATTERN}"),
        ({"exclude": {"names": ["x" * 91]}}, f"spec.exclude.names.0: '{'x' * 90}' {_PATTERN}"),
        (
            {"vaultSelector": {"matchTags": {"": ["1"]}}},
            "spec.vaultSelector.matchTags: the name of a tag has 1 to 512 characters",
        ),
        (
            {"vaultSelector": {"matchTags": {"x" * 513: ["1"]}}},
            "spec.vaultSelector.matchTags: the name of a tag has 1 to 512 characters",
        ),
        (
            {"vaultSelector": {"matchTags": {"x" * 512: []}}},
            f"spec.vaultSelector.matchTags: '{'x' * 80}' must have at least one value",
        ),
        (
            {"vaultSelector": {"matchTags": {"a": ["1"], "A": ["2"]}}},
            "spec.vaultSelector.matchTags: Azure takes names of tags that differ only in letter case for the same one",
        ),
        (
            {"scope": {"subscriptions": ["x" * 99]}},
            f"spec.scope.subscriptions.0: '{'x' * 80}' is not the GUID of a subscription",
        ),
        (
            {"scope": {"managementGroups": [" " * 99]}},
            (
                f"spec.scope.managementGroups.0: '{' ' * 90}' cannot be a name (not the display name): letters, digits "
                "and -_.() only"
            ),
        ),
        (
            {"automationAccount": [{}]},
            f"{_WAY}: must have exactly one of vaultTag, accountTag, namePattern, resourceId and current",
        ),
        (
            {"automationAccount": [{"vaultTag": "a", "namePattern": "a"}]},
            f"{_WAY}: must have exactly one of vaultTag, accountTag, namePattern, resourceId and current",
        ),
        (
            {"automationAccount": [{"current": True, "resourceGroup": "rg"}]},
            f"{_WAY}: resourceGroup goes with namePattern alone",
        ),
        (
            {"automationAccount": None},
            "spec: automationAccount must have at least one way to the account where autoUpdate is Enabled",
        ),
        (
            {"rules": [{"agentUpdates": _WINDOW}]},
            "spec: agentUpdates goes with autoUpdate Disabled alone: else Site Recovery updates by itself",
        ),
        (
            {"rules": [{"autoUpdate": "Disabled", "runbookSchedule": _AT_NIGHT}]},
            "spec: runbookSchedule goes with autoUpdate Enabled alone: else Site Recovery has no schedule",
        ),
        (
            {"limits": {"maxRemovals": "x" * 30}},
            f"spec.limits.maxRemovals: '{'x' * 20}' is neither a whole number nor a percentage: write it like 2 or 5%",
        ),
    ],
)
def test_each_problem_says_what_to_write(spec: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidSpec) as refusal:
        parse_policy(_body(**spec))

    assert refusal.value.problems == [problem]


def test_names_of_tags_and_patterns_at_their_bounds_are_taken() -> None:
    spec = parse_policy(
        _body(vaultSelector={"matchTags": {"x" * 512: ["1"], "a": ["1"]}, "names": ["x" * 90, "A-1_(.)*?"]})
    ).spec
    assert spec.vault_selector.names == ("x" * 90, "A-1_(.)*?")


def test_all_that_the_api_server_says_of_a_policy_is_read() -> None:
    body = _body()
    body["metadata"] |= {
        "name": "x" * 63,
        "creationTimestamp": "2026-02-01T00:00:00Z",
        "deletionTimestamp": "2026-03-01T00:00:00Z",
        "annotations": {APPROVE: f" {'a' * 70}", REQUESTED_AT: "y" * 300},
        "labels": {SHARD_LABEL: "a"},
    }
    read, bare = parse_policy(body), parse_policy(policy_manifest() | {"metadata": {"name": "p"}})

    assert read == VaultAutoUpdatePolicy(
        ResourceKey("platform", "x" * 63),
        bare.spec,
        uid="u",
        generation=3,
        created_at=datetime(2026, 2, 1, tzinfo=UTC),
        deleting=True,
        requested_at=f"{'y' * 253}…",
        approved="a" * 63,
        shard="a",
    )
    assert bare == VaultAutoUpdatePolicy(ResourceKey("default", "p"), bare.spec)


def test_more_than_one_rule_is_looked_at() -> None:
    rules = [{"mode": "Audit"}, {"autoUpdate": "Disabled", "agentUpdates": _WINDOW}, {"runbookSchedule": _AT_NIGHT}]
    spec = parse_policy(_body(rules=rules)).spec

    assert [spec.setting_of(rule).value for rule in (None, *spec.rules)] == [
        "Enabled", "Enabled", "Disabled", "Enabled",
    ]  # fmt: skip
