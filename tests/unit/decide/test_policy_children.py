"""The resource that a policy wants for a vault."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.decide.policy_builders import account_of, child_of, policy_of, vault_of
from vault_autoupdate.decide.policy_children import Wanted, wanted, wants
from vault_autoupdate.model.policy import Rule

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
    assert on["agentUpdates"] is None
    assert {name: on["runbookSchedule"][name] for name in AT_NIGHT} == AT_NIGHT


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
