from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.decide.policy_builders import SUBSCRIPTIONS, estate_of, policy_of, vault_of
from vault_autoupdate.decide.policy_selection import Selection, Standing, select, standing_of, tag_of


@pytest.mark.parametrize(
    ("spec", "selected"),
    [
        ({}, True),
        ({"vaultSelector": {"matchTags": {"DR": ["prod", "gold"]}}}, True),
        ({"vaultSelector": {"matchTags": {"dr": ["Gold"]}}}, False),
        ({"vaultSelector": {"matchTags": {"dr": ["gold"], "env": ["x"]}}}, False),
        ({"vaultSelector": {"locations": ["WestEurope"]}}, True),
        ({"vaultSelector": {"locations": ["northeurope"]}}, False),
        ({"vaultSelector": {"names": ["x*", "DR-?"]}}, True),
        ({"vaultSelector": {"names": ["x*"]}}, False),
        ({"vaultSelector": {"replication": "Present"}}, False),
    ],
)
def test_all_that_is_given_must_fit(spec: dict[str, Any], selected: bool) -> None:
    assert standing_of(policy_of(**spec).spec, vault_of(dr="gold")).selected is selected


@pytest.mark.parametrize(
    ("exclude", "why"),
    [
        ({"matchTags": {"Vault-AutoUpdate": ["exclude"]}}, "excluded by its tag Vault-AutoUpdate=exclude"),
        ({"matchTags": {"empty": ["", "x"]}}, "excluded by its tag empty="),
        ({"locations": ["westeurope"]}, "excluded by its region westeurope"),
        ({"names": ["DR-*"]}, "excluded by its name, which matches DR-*"),
        ({"vaults": [vault_of().id.text.upper()]}, "excluded by its id"),
    ],
)
def test_an_exclusion_always_wins_and_says_what_did_it(exclude: dict[str, Any], why: str) -> None:
    standing = standing_of(policy_of(exclude=exclude).spec, vault_of(vault_autoupdate="exclude", empty=""))

    assert (standing.selected, standing.excluded, standing.why) == (False, True, why)


@pytest.mark.parametrize(
    "exclude",
    [
        {"matchTags": {"vault-autoupdate": ["Exclude"]}},
        {"matchTags": {"vault": ["exclude"]}},
        {"matchTags": {"owner": [""]}},
        {"locations": ["northeurope"]},
        {"names": ["x*"]},
        {"vaults": [vault_of(2).id.text]},
    ],
)
def test_an_exclusion_of_others_excludes_nothing(exclude: dict[str, Any]) -> None:
    assert standing_of(policy_of(exclude=exclude).spec, vault_of(vault_autoupdate="exclude")).selected


def test_the_first_rule_that_fits_counts() -> None:
    policy = policy_of(rules=[{"matchTags": {"dr": ["x"]}}, {"names": ["dr-*"]}, {"mode": "Audit"}])

    assert standing_of(policy.spec, vault_of()).rule == policy.spec.rules[1]
    assert standing_of(policy_of().spec, vault_of()).rule is None


def test_what_is_found_is_told_apart() -> None:
    meant, excluded, idle, theirs = (replace(vault_of(number), replicates=True) for number in range(4))
    excluded, idle = replace(excluded, tags={"no": "thanks"}), replace(idle, replicates=False)
    policy = policy_of(exclude={"matchTags": {"no": ["thanks"]}}, vaultSelector={"replication": "Present"})

    selection = select(policy.spec, estate_of([meant, excluded, idle, theirs]), lambda text: text != theirs.id.text)

    assert list(selection.selected) == [meant.key]
    assert (list(selection.excluded), set(selection.idle), selection.not_allowed) == ([excluded.key], {idle.key}, 1)


def test_a_subscription_that_the_scope_leaves_out_is_excluded() -> None:
    scope = {"subscriptions": list(SUBSCRIPTIONS), "excludeSubscriptions": [SUBSCRIPTIONS[0]]}

    assert standing_of(policy_of(scope=scope).spec, vault_of()).why == "its subscription is not in spec.scope"


@pytest.mark.parametrize(
    ("spec", "standing"),
    [
        ({}, Standing(selected=True)),
        ({"vaultSelector": {"names": ["x"]}}, Standing(selected=False, why="spec.vaultSelector does not select it")),
        (
            {"vaultSelector": {"replication": "Present"}},
            Standing(selected=False, why="it replicates nothing, as far as is known", idle=True),
        ),
        (
            {"vaultSelector": {"replication": "Present"}, "exclude": {"names": ["*"]}},
            Standing(selected=False, why="excluded by its name, which matches *", excluded=True),
        ),
        (
            {"scope": {"subscriptions": [SUBSCRIPTIONS[1]]}},
            Standing(selected=False, why="its subscription is not in spec.scope", excluded=True),
        ),
    ],
)
def test_a_vault_is_selected_or_it_is_said_why_not(spec: dict[str, Any], standing: Standing) -> None:
    assert standing_of(policy_of(**spec).spec, vault_of()) == standing


@pytest.mark.parametrize(
    ("exclude", "excluded"),
    [
        ({"matchTags": {"a": ["1"], "b": ["2"]}}, True),  # any of them
        ({"matchTags": {"b": ["2", "1"]}}, False),
        ({"matchTags": {"none": [""]}}, False),
        ({"locations": ["northeurope", "WestEurope"]}, True),
        ({"locations": ["northeurope"], "names": ["x*", "dr-1"]}, True),
        ({"names": ["dr-2", "r-1"]}, False),
        ({"vaults": [vault_of(2).id.text]}, False),
        ({"vaults": [vault_of(2).id.text, vault_of(1).id.text]}, True),
    ],
)
def test_any_part_of_an_exclusion_that_fits_excludes(exclude: dict[str, Any], excluded: bool) -> None:
    assert standing_of(policy_of(exclude=exclude).spec, vault_of(A="1")).excluded is excluded


def test_a_tag_is_found_in_any_letter_case_and_where_it_is_not_there_it_is_empty() -> None:
    vault = vault_of(a="1", Ring="x")

    assert [tag_of(vault, name) for name in ("A", "RING", "ring", "b")] == ["1", "x", "x", ""]


def test_whatever_stands_before_and_after_a_vault_that_may_not_be_named_is_looked_at() -> None:
    vaults = [vault_of(number) for number in range(3)]

    selection = select(policy_of().spec, estate_of(vaults), lambda text: text != vaults[1].id.text)

    assert selection == Selection({vaults[0].key: Standing(True), vaults[2].key: Standing(True)}, {}, frozenset(), 1)
    nothing = select(policy_of().spec, estate_of(vaults), lambda _: False)
    assert nothing == Selection(not_allowed=3)
