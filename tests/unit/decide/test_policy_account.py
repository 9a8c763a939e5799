from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.decide.policy_builders import SUBSCRIPTIONS, account_of, vault_of
from vault_autoupdate.decide.policy_account import AccountChoice, choose_account
from vault_autoupdate.model.arm_id import parse_automation_account_id
from vault_autoupdate.model.policy import AccountWay

_TWO = (account_of("aa-one", purpose="asr"), account_of("aa-two"))
_ELSEWHERE = account_of("aa-one", subscription=SUBSCRIPTIONS[1]).id.text


def _chosen(*ways: dict[str, Any], tags: dict[str, str] | None = None, **facts: Any) -> str:
    vault = replace(vault_of(), tags=tags or {})
    current = {vault.key: facts["current"]} if "current" in facts else {}
    choice = choose_account(
        [AccountWay.model_validate(way) for way in ways],
        vault,
        facts.get("accounts", _TWO),
        current,
        facts.get("allows", lambda _: True),
    )
    return choice.account.name if choice.account else choice.why


@pytest.mark.parametrize(
    ("way", "found"),
    [
        ({"namePattern": "AA-O*"}, "aa-one"),
        ({"namePattern": "aa-*"}, "namePattern: leads to 2"),
        ({"namePattern": "bb-*"}, "namePattern: leads to none"),
        ({"namePattern": "aa-one", "resourceGroup": "RG"}, "aa-one"),
        ({"namePattern": "aa-one", "resourceGroup": "other"}, "namePattern: leads to none"),
        ({"accountTag": {"PURPOSE": ["asr"]}}, "aa-one"),
        ({"accountTag": {"purpose": ["ASR"]}}, "accountTag: leads to none"),
        ({"resourceId": account_of("aa-any").id.text}, "aa-any"),
        ({"resourceId": _ELSEWHERE}, "resourceId: leads to none"),
        ({"vaultTag": "account"}, "vaultTag: leads to none"),
    ],
)
def test_a_way_leads_to_exactly_one_account_or_nowhere(way: dict[str, Any], found: str) -> None:
    assert _chosen(way) == found


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("AA-TWO", "aa-two"),
        (account_of("aa-any").id.text.upper(), "AA-ANY"),
        (_ELSEWHERE, "vaultTag: leads to none"),
        ("aa-three", "vaultTag: leads to none"),
        ("/subscriptions/x", "vaultTag: leads to none"),
    ],
)
def test_a_tag_of_the_vault_names_it_or_gives_its_id(value: str, found: str) -> None:
    assert _chosen({"vaultTag": "Account"}, tags={"account": value}) == found


def test_what_the_mappings_name_counts_if_it_is_one() -> None:
    one, two = (account_of(name).id.text for name in ("aa-one", "aa-two"))

    assert _chosen({"current": True}, current=(one, one.upper())) == "aa-one"
    assert _chosen({"current": True}, current=(one, two)) == "current: leads to 2"
    assert _chosen({"current": True}, current=("deleted", one)) == "aa-one"
    assert _chosen({"current": True}, current=()) == "current: leads to none"
    assert _chosen({"current": True}) == "its mappings were not read yet"


def test_ways_are_tried_in_order_and_all_are_named_when_none_leads_to_one() -> None:
    assert _chosen({"namePattern": "aa-*"}, {"accountTag": {"purpose": ["asr"]}}) == "aa-one"
    assert _chosen({"namePattern": "aa-*"}, {"vaultTag": "x"}) == "namePattern: leads to 2; vaultTag: leads to none"


def test_the_one_account_of_a_list_that_could_not_be_read_may_not_be_the_only_one() -> None:
    assert _chosen({"namePattern": "aa-one"}, accounts=None) == (
        "namePattern: the accounts of its subscription could not be read"
    )


def test_a_way_that_needs_no_list_is_followed_after_one_that_could_not_be_read() -> None:
    ways = ({"namePattern": "aa-one"}, {"resourceId": account_of("aa-any").id.text})

    assert _chosen(*ways, accounts=None) == "aa-any"


def test_an_account_that_the_namespace_may_not_name_is_not_chosen() -> None:
    assert _chosen({"namePattern": "aa-one"}, allows=lambda text: "two" in text) == (
        "namePattern: leads to an account that this namespace may not name"
    )


def test_the_first_spelling_of_one_account_counts_and_what_is_still_to_be_read_is_told() -> None:
    one, vault = account_of("aa-one").id, vault_of()
    ways = [AccountWay.model_validate(way) for way in ({"namePattern": "aa-*"}, {"current": True})]

    def choose(current: dict[str, tuple[str, ...]]) -> AccountChoice:
        return choose_account(ways, vault, _TWO, current, lambda _: True)

    spelled = one.text.upper().replace("/SUBSCRIPTIONS", "/subscriptions")
    assert choose({vault.key: (spelled, one.text)}) == AccountChoice(parse_automation_account_id(spelled))
    assert choose({}) == AccountChoice(
        why="namePattern: leads to 2; its mappings were not read yet", wants_current=True
    )
    assert choose({vault.key: ("odd", _ELSEWHERE)}) == AccountChoice(
        why="namePattern: leads to 2; current: leads to none"
    )
    assert choose_account([], vault, _TWO, {}, lambda _: True) == AccountChoice()


def test_of_several_accounts_one_that_may_not_be_named_is_not_told_of() -> None:
    assert _chosen({"namePattern": "aa-*"}, allows=lambda text: "two" in text) == (
        "namePattern: leads to an account that this namespace may not name"
    )
