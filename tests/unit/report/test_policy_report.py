"""What becomes of each vault under a policy, for people and audits; and what a vault has today, as a manifest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.builders import ACCOUNT_ID, NOW, OTHER_ACCOUNT_ID, disabled, mapping
from tests.unit.decide.policy_builders import (
    SUBSCRIPTIONS,
    account_of,
    ago,
    by_vault,
    child_of,
    estate_of,
    policy_of,
    vault_of,
)
from vault_autoupdate.decide.policy_evidence import Evidence
from vault_autoupdate.decide.policy_evidence import Finding as EvidenceOf
from vault_autoupdate.decide.policy_plan import make_plan
from vault_autoupdate.decide.policy_steps import Facts, PolicyPlan
from vault_autoupdate.model.azure import ContainerMapping
from vault_autoupdate.model.estate import Child, Estate
from vault_autoupdate.model.policy import VaultAutoUpdatePolicy
from vault_autoupdate.model.resource import parse_resource
from vault_autoupdate.report.policy_report import Setting, VaultRow, manifest_today, rows_of, setting_of

ACCOUNT = account_of().id.text


def _plan(policy: VaultAutoUpdatePolicy, estate: Estate, *children: Child, **facts: Any) -> PolicyPlan:
    return make_plan(Facts(policy=policy, estate=estate, resources=by_vault(*children), now=NOW, **facts))


def _row(policy: VaultAutoUpdatePolicy, *children: Child, **estate: Any) -> VaultRow:
    found = estate_of([vault_of()], **estate)
    [row] = rows_of(found, _plan(policy, found, *children))
    return row


def test_a_vault_without_a_resource_is_told_with_the_one_that_it_would_get() -> None:
    row = _row(policy_of())

    assert row == VaultRow(
        vault_of().id.text, "westeurope", "Missing", "it has no resource yet", row.resource, "Enabled", ACCOUNT
    )
    assert row.resource == child_of(vault_of(), policy_of()).ref.key.name
    assert row.document() == {
        "vault": vault_of().id.text, "location": "westeurope", "standing": "Missing", "why": "it has no resource yet",
        "resource": row.resource, "auto_update": "Enabled", "automation_account": ACCOUNT,
    }  # fmt: skip


def test_a_vault_that_is_as_the_policy_wants_it_is_told_with_its_resource() -> None:
    child = child_of(vault_of(), policy_of())

    assert _row(policy_of(), child) == VaultRow(
        vault_of().id.text, "westeurope", "Managed", "", child.ref.key.name, "Enabled", ACCOUNT
    )


def test_what_would_be_changed_is_told_by_its_fields_beside_what_there_is() -> None:
    child = child_of(vault_of(), policy_of(), spec={"mode": "Audit", "autoUpdate": "Disabled"} | _NO_ACCOUNT)

    assert _row(policy_of(), child) == VaultRow(
        vault_of().id.text,
        "westeurope",
        "Changes",
        "to change: autoUpdate, automationAccountResourceId",
        child.ref.key.name,
        "Disabled",
        "",
    )


_NO_ACCOUNT = {"automationAccountResourceId": None}


def test_a_resource_that_somebody_hands_over_is_to_be_taken_over() -> None:
    row = _row(policy_of(), child_of(vault_of(), adopt=True))

    assert (row.standing, row.why) == ("Changes", "to be taken over")


def test_a_mode_that_is_only_to_be_noted_is_told_by_its_annotation() -> None:
    row = _row(policy_of(), child_of(vault_of(), policy_of(), stamped_mode="Audit"))

    assert (row.standing, row.why) == ("Changes", "to change: asr.vault-autoupdate.io/stamped-mode")


def test_a_resource_that_somebody_wrote_by_hand_is_left_to_them() -> None:
    hand = child_of(vault_of())

    assert _row(policy_of(), hand) == VaultRow(
        vault_of().id.text, "westeurope", "Foreign", "somebody wrote a resource by hand", str(hand.ref.key)
    )


def test_a_vault_of_another_policy_names_it() -> None:
    assert _row(policy_of(), child_of(vault_of(), policy_of(name="other", uid="other-uid"))) == VaultRow(
        vault_of().id.text, "westeurope", "Conflicting", "it belongs to policy platform/other"
    )


def test_a_vault_of_an_earlier_policy_of_the_name_says_what_to_do() -> None:
    assert _row(policy_of(), child_of(vault_of(), policy_of(uid="before"))) == VaultRow(
        vault_of().id.text,
        "westeurope",
        "Conflicting",
        "its resource is of an earlier policy of this name: set asr.vault-autoupdate.io/adopt=true on it",
    )


def test_a_vault_without_an_account_says_why() -> None:
    assert _row(policy_of(automationAccount=[{"namePattern": "x"}])) == VaultRow(
        vault_of().id.text, "westeurope", "WithoutAccount", "namePattern: leads to none"
    )


def test_a_vault_that_replicates_nothing_says_so() -> None:
    assert _row(policy_of(vaultSelector={"replication": "Present"})) == VaultRow(
        vault_of().id.text, "westeurope", "WithoutReplication", "it replicates nothing, as far as is known"
    )


def test_a_vault_whose_auto_update_is_to_be_off_has_no_account() -> None:
    policy = policy_of(template={"autoUpdate": "Disabled"})
    off = child_of(vault_of(), policy, spec={"autoUpdate": "Disabled"} | _NO_ACCOUNT)
    name = off.ref.key.name

    place = vault_of().id.text, "westeurope"
    assert _row(policy) == VaultRow(*place, "Missing", "it has no resource yet", name, "Disabled", "")
    assert _row(policy, off) == VaultRow(*place, "Managed", "", name, "Disabled", "")


@pytest.mark.parametrize(
    ("selector", "standing", "why"),
    [
        ({"locations": ["northeurope"]}, "NotSelected", "spec.vaultSelector does not select it"),
        ({"names": ["x*"]}, "NotSelected", "spec.vaultSelector does not select it"),
    ],
)
def test_a_vault_that_is_not_meant_is_told_all_the_same(selector: dict[str, Any], standing: str, why: str) -> None:
    assert _row(policy_of(vaultSelector=selector)) == VaultRow(vault_of().id.text, "westeurope", standing, why)


def test_a_vault_that_is_excluded_says_by_what() -> None:
    assert _row(policy_of(exclude={"vaults": [vault_of().id.text]})) == VaultRow(
        vault_of().id.text, "westeurope", "Excluded", "excluded by its id"
    )


def test_the_resource_of_a_vault_that_is_gone_leaves_with_proof_and_else_stays() -> None:
    policy = policy_of(onUnmatched="Release")
    child, other = child_of(vault_of(1), policy), child_of(vault_of(2), policy)
    estate = estate_of([vault_of(2)])
    lost = "it is not among the vaults that were found and meant"

    unproved, managed = rows_of(estate, _plan(policy, estate, child, other))

    assert unproved == VaultRow(vault_of(1).id.text, "", "Orphaned", lost, child.ref.key.name)
    assert (managed.vault, managed.standing) == (vault_of(2).id.text, "Managed")

    evidence = {child.vault_key: Evidence(EvidenceOf.GONE, ago(days=30), NOW, "the vault was deleted")}
    proved, _ = rows_of(estate, _plan(policy, estate, child, other, evidence=evidence))
    assert proved == replace(unproved, standing="Leaves", why="the vault was deleted")


def test_rows_are_told_in_the_order_of_their_ids_each_vault_once() -> None:
    vaults = [vault_of(number) for number in (3, 1, 2)]
    estate, policy = estate_of(vaults), policy_of()

    rows = rows_of(estate, _plan(policy, estate, child_of(vaults[0], policy), child_of(vault_of(0), policy)))

    assert [(row.vault, row.standing) for row in rows] == [
        (vault_of(number).id.text, standing)
        for number, standing in ((0, "Orphaned"), (1, "Missing"), (2, "Missing"), (3, "Managed"))
    ]


def test_what_is_excluded_or_idle_is_told_of_where_others_may_not_be_named() -> None:
    allowed, excluded, idle, theirs = (vault_of(number) for number in range(4))
    policy = policy_of(vaultSelector={"replication": "Present"}, exclude={"vaults": [excluded.id.text]})
    estate = estate_of([replace(allowed, replicates=True), excluded, idle, theirs])

    rows = rows_of(estate, _plan(policy, estate, allows=lambda text: text != theirs.id.text))

    assert [row.standing for row in rows] == ["Missing", "Excluded", "WithoutReplication"]


def test_what_the_namespace_may_not_name_is_not_told_of() -> None:
    allowed, other = vault_of(1), vault_of(2, SUBSCRIPTIONS[1])
    estate, policy = estate_of([allowed, other]), policy_of()
    plan = _plan(policy, estate)
    hidden = replace(
        plan,
        missing=tuple(each for each in plan.missing if each.vault == allowed),
        selection=replace(plan.selection, selected={allowed.key: plan.selection.selected[allowed.key]}, not_allowed=1),
    )

    assert [row.vault for row in rows_of(estate, plan)] == [allowed.id.text, other.id.text]
    assert [row.vault for row in rows_of(estate, hidden)] == [allowed.id.text]


# What a vault has today.


@pytest.mark.parametrize(
    ("mappings", "setting"),
    [
        ([], Setting("None")),
        ([mapping(instance_type="InMage"), mapping(state="PairingInProgress")], Setting("None")),
        ([mapping(), mapping("beta")], Setting("Enabled", ACCOUNT_ID, 2)),
        ([mapping(), mapping("beta", automation_account_id=ACCOUNT_ID.upper())], Setting("Enabled", ACCOUNT_ID, 2)),
        (
            [mapping(instance_type="a2a", state="PAIRED", auto_update_status="enabled")],
            Setting("Enabled", ACCOUNT_ID, 1),
        ),
        ([mapping(), mapping("beta", automation_account_id=OTHER_ACCOUNT_ID)], Setting("Mixed", "", 2)),
        ([mapping(), disabled("beta")], Setting("Mixed", "", 2)),
        ([disabled(), disabled("beta"), mapping("other", instance_type="InMage")], Setting("Disabled", "", 2)),
    ],
)
def test_the_setting_of_a_vault_is_one_only_where_its_mappings_agree(
    mappings: list[ContainerMapping], setting: Setting
) -> None:
    assert setting_of(mappings) == setting


def test_what_a_vault_has_today_is_declared_so_that_nothing_is_changed() -> None:
    vault = vault_of()

    enabled = manifest_today("dr", vault, Setting("Enabled", ACCOUNT, 2))
    off = manifest_today("dr", vault, Setting("Disabled", mappings=2))

    assert enabled == {
        "apiVersion": "asr.vault-autoupdate.io/v1alpha1",
        "kind": "VaultAutoUpdate",
        "metadata": {"name": "dr"},
        "spec": {
            "vaultResourceId": vault.id.text,
            "autoUpdate": "Enabled",
            "automationAccountResourceId": ACCOUNT,
            "mode": "Audit",
        },
    }
    assert off is not None
    assert off["spec"] == {"vaultResourceId": vault.id.text, "autoUpdate": "Disabled", "mode": "Audit"}
    for each in (enabled, off):
        parse_resource({**each, "metadata": {"name": "dr", "namespace": "a", "uid": "u"}})


@pytest.mark.parametrize("word", ["Mixed", "None"])
def test_what_is_not_one_thing_cannot_be_declared(word: str) -> None:
    assert manifest_today("dr", vault_of(), Setting(word)) is None
