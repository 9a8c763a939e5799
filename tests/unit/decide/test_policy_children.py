"""The resource that a policy wants for a vault."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.decide.policy_builders import account_of, child_of, policy_of, vault_of
from vault_autoupdate.decide.policy_children import (
    Claims,
    Wanted,
    child_name,
    claims_of,
    digest_of,
    is_ours,
    wanted,
    wants,
)
from vault_autoupdate.model.arm_id import parse_vault_id
from vault_autoupdate.model.estate import Child
from vault_autoupdate.model.policy import Rule
from vault_autoupdate.model.resource import ObjectRef, ResourceKey

WINDOW = {"schedule": "0 22 * * SAT", "duration": "4h", "order": ["dc-*", "web-*"], "maxConcurrent": 3}
OTHER = {"schedule": "0 1 * * SUN", "duration": "90m"}
AT_NIGHT = {"time": "02:30", "timeZone": "Europe/Amsterdam"}


def _wanted(template: dict[str, Any], rule: dict[str, Any] | None = None) -> Wanted:
    policy = policy_of(template=template, automationAccount=[{"namePattern": "aa-*"}])
    account = account_of().id if template["autoUpdate"] == "Enabled" else None
    return wanted(policy, vault_of(), Rule.model_validate(rule) if rule else None, account)


def test_what_the_template_leaves_out_is_written_as_it_is_by_default() -> None:
    fields = _wanted({"autoUpdate": "Enabled"}).fields

    assert {name: value for name, value in fields.items() if value is not None} == {
        "vaultResourceId": vault_of().id.text,
        "autoUpdate": "Enabled",
        "automationAccountResourceId": account_of().id.text,
        "mode": "Enforce",
        "interval": "1h",
        "jobTimeout": "2h40m",
        "deletionPolicy": "Retain",
        "automationAccountChecks": True,
        "drift": {"attribution": "Disabled"},
    }


def test_windows_are_written_as_they_are_declared_where_site_recovery_does_not_update() -> None:
    want = _wanted({"autoUpdate": "Disabled", "agentUpdates": WINDOW})

    assert {name: want.fields["agentUpdates"][name] for name in WINDOW} == WINDOW
    assert want.spec.agent_updates is not None
    assert want.spec.agent_updates.order == ("dc-*", "web-*")


def test_windows_and_times_of_a_rule_replace_those_of_the_template_and_each_goes_with_its_setting() -> None:
    off = _wanted({"autoUpdate": "Disabled", "agentUpdates": WINDOW}, {"agentUpdates": OTHER}).fields
    on = _wanted({"autoUpdate": "Enabled", "runbookSchedule": AT_NIGHT}).fields

    assert (off["agentUpdates"]["duration"], off["runbookSchedule"]) == ("1h30m", None)
    assert {name: on["runbookSchedule"][name] for name in AT_NIGHT} == AT_NIGHT


def test_a_rule_that_has_site_recovery_update_takes_the_windows_of_the_template_away() -> None:
    policy = policy_of(template={"autoUpdate": "Disabled", "agentUpdates": WINDOW})

    want = wanted(policy, vault_of(), Rule.model_validate({"autoUpdate": "Enabled"}), account_of().id)

    assert (want.fields["autoUpdate"], want.fields["agentUpdates"]) == ("Enabled", None)


def test_a_rule_that_has_site_recovery_stop_takes_the_time_of_the_template_away() -> None:
    policy = policy_of(template={"autoUpdate": "Enabled", "runbookSchedule": AT_NIGHT})

    want = wanted(policy, vault_of(), Rule.model_validate({"autoUpdate": "Disabled"}), None)

    assert (want.fields["autoUpdate"], want.fields["runbookSchedule"]) == ("Disabled", None)


@pytest.mark.parametrize(
    ("spec", "changed"),
    [
        ({}, {}),
        ({"suspend": True}, {}),
        ({"mode": "Audit"}, {}),
        ({"vaultResourceId": vault_of().id.text.upper()}, {}),
        ({"automationAccountResourceId": account_of().id.text.upper()}, {}),
        ({"interval": "2h"}, {"interval": "1h"}),
        ({"deletionPolicy": "Disable"}, {"deletionPolicy": "Retain"}),
    ],
)
def test_hand_edits_are_undone_but_for_those_that_are_somebodys_decision(
    spec: dict[str, Any], changed: dict[str, Any]
) -> None:
    child = child_of(vault_of(), policy_of(), spec=spec)

    assert wants(child, _wanted({"autoUpdate": "Enabled"})) == changed


def test_a_mode_that_the_policy_wants_by_now_replaces_a_hand_edit() -> None:
    child = child_of(vault_of(), policy_of(), spec={"mode": "Enforce"}, stamped_mode="Enforce")

    assert wants(child, _wanted({"autoUpdate": "Enabled", "mode": "Audit"})) == {"mode": "Audit"}


@pytest.mark.parametrize(
    ("vault", "name"),
    [
        ("dr-1", "estate-dr-1"),
        ("DR_Vault.West-", "estate-dr-vault-west"),
        ("_-_", "estate"),
        ("a" * 90, f"estate-{'a' * 60}"),
        (f"{'a' * 59}--b", f"estate-{'a' * 59}"),
    ],
)
def test_a_resource_is_named_after_its_policy_and_its_vault_and_the_same_each_time(vault: str, name: str) -> None:
    found = parse_vault_id(vault_of().id.text.replace("dr-1", vault))
    elsewhere = parse_vault_id(found.text.replace("/rg/", "/other/"))
    made = child_name("estate", found)

    assert re.fullmatch(f"{name}-[0-9a-f]{{8}}", made)
    assert made == child_name("estate", parse_vault_id(found.text.upper())) != child_name("estate", elsewhere)


@pytest.mark.parametrize(
    ("template", "spec", "changed"),
    [
        ({}, {"jobTimeout": "1h"}, {"jobTimeout": "2h40m"}),
        ({}, {"automationAccountChecks": False}, {"automationAccountChecks": True}),
        ({}, {"drift": {"attribution": "ObjectId"}}, {"drift": {"attribution": "Disabled"}}),
        ({}, {"credential": {"secretName": "x"}}, {"credential": None}),
        ({}, {"runbookSchedule": AT_NIGHT}, {"runbookSchedule": None}),
        ({"credential": {"secretName": "x"}}, {}, {"credential": {"secretName": "x"}}),
        ({"runbookSchedule": AT_NIGHT}, {}, {"runbookSchedule": AT_NIGHT}),
        ({"automationAccountChecks": False}, {}, {"automationAccountChecks": False}),
        (
            {"interval": "2h", "jobTimeout": "1h", "drift": {"attribution": "Caller"}},
            {},
            {"interval": "2h", "jobTimeout": "1h", "drift": {"attribution": "Caller"}},
        ),
        (
            {},
            {"automationAccountResourceId": account_of("aa-x").id.text},
            {"automationAccountResourceId": account_of().id.text},
        ),
        (
            {},
            {"autoUpdate": "Disabled", "automationAccountResourceId": None, "agentUpdates": WINDOW},
            {
                "autoUpdate": "Enabled",
                "automationAccountResourceId": account_of().id.text,
                "agentUpdates": None,
            },
        ),
    ],
)
def test_each_field_of_the_template_is_brought_about(
    template: dict[str, Any], spec: dict[str, Any], changed: dict[str, Any]
) -> None:
    child = child_of(vault_of(), policy_of(), spec=spec)

    assert wants(child, _wanted({"autoUpdate": "Enabled"} | template)) == changed


def test_a_rule_gives_its_mode_setting_and_schedule_and_the_template_the_rest() -> None:
    template = {"autoUpdate": "Enabled", "mode": "Audit", "runbookSchedule": AT_NIGHT}
    later = AT_NIGHT | {"time": "03:00", "days": ["SAT"], "spread": "2h"}

    assert _wanted(template).fields["mode"] == "Audit"
    assert _wanted(template, {"mode": "Enforce"}).fields["mode"] == "Enforce"
    assert _wanted(template, {"names": ["x"]}).fields["runbookSchedule"] == AT_NIGHT
    assert _wanted(template, {"runbookSchedule": later}).fields["runbookSchedule"] == later


def test_changes_have_a_digest_that_follows_from_what_they_are() -> None:
    assert digest_of({"a": 1, "b": None}) == digest_of({"b": None, "a": 1}) != digest_of({"a": 2, "b": None})
    assert re.fullmatch("[0-9a-f]{16}", digest_of({}))


def _named(child: Child, name: str, namespace: str = "platform") -> Child:
    return replace(child, ref=ObjectRef(ResourceKey(namespace, name), name))


def test_whose_the_resources_of_a_vault_are_is_told_by_their_order_and_not_by_that_in_which_they_come() -> None:
    policy, other = policy_of(), policy_of(name="other", uid="o")
    own, adopted = child_of(vault_of(), policy), child_of(vault_of(), adopt=True)
    hands, others = ([_named(child_of(vault_of(), of), name) for name in ("b", "a", "c")] for of in (None, other))
    handed = [_named(adopted, name) for name in ("y", "x")]

    for listed in (hands + others + handed, handed[::-1] + others[::-1] + hands[::-1]):
        assert claims_of(policy, listed) == Claims(own=handed[1], foreign=hands[1], others=others[1])
        assert claims_of(policy, [*listed, own]).own == own
        assert claims_of(policy, [own, *listed]).own == own
    assert claims_of(policy, [replace(own, deleting=True), replace(hands[0], deleting=True)]) == Claims()
    assert claims_of(policy, []) == Claims()


def test_a_resource_is_ours_by_namespace_name_and_uid() -> None:
    policy = policy_of()
    child = child_of(vault_of(), policy)

    assert is_ours(policy, child)
    for other in (
        _named(child, child.ref.key.name, namespace="team-a"),
        replace(child, policy="other"),
        replace(child, policy_uid="another"),
    ):
        assert not is_ours(policy, other)
