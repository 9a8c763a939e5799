"""Which shard has which subscription: exactly one, whatever each process sees first."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import VAULT_ID, resource
from vault_autoupdate.decide.shards import Claim, ShardRules, SubscriptionTable
from vault_autoupdate.decide.tenancy import Refusal, ResourceCredentials, TenancyRules
from vault_autoupdate.model.arm_id import fold, parse_vault_id
from vault_autoupdate.model.conditions import Reason
from vault_autoupdate.model.resource import ResourceKey

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SHARDS = ("", "a", "b")
SUBSCRIPTION = fold(parse_vault_id(VAULT_ID).subscription)

claims = st.builds(
    Claim,
    key=st.builds(ResourceKey, st.sampled_from(["one", "other"]), st.sampled_from([f"dr-{n}" for n in range(6)])),
    uid=st.sampled_from(["1", "2"]),
    created_at=st.integers(0, 3).map(lambda hours: NOW + timedelta(hours=hours)),
    shard=st.sampled_from(SHARDS),
    subscription=st.sampled_from(["", "s1", "s2"]),
    in_hands_of=st.sampled_from([None, *SHARDS]),
)
sets_of_claims = st.lists(claims, unique_by=lambda claim: claim.key)


def _claim(name: str = "dr", *, age: int = 0, shard: str = "", subscription: str = SUBSCRIPTION) -> Claim:
    return Claim(ResourceKey("team", name), name, NOW - timedelta(hours=age), shard, subscription, None)


def _answers(table: SubscriptionTable) -> dict[str, tuple[Claim | None, set[str], dict[str, list[ResourceKey]]]]:
    return {
        subscription: (
            table.holder(subscription),
            table.hands(subscription),
            {shard: list(table.of(subscription, shard)) for shard in SHARDS},
        )
        for subscription in ("s1", "s2")
    }


@given(st.data(), sets_of_claims)
def test_every_process_comes_to_the_same_whatever_the_order_and_whatever_was_there_before(
    data: st.DataObject, present: list[Claim]
) -> None:
    passing = data.draw(st.lists(claims))
    one, other = SubscriptionTable(), SubscriptionTable()
    for claim in present:
        one.put(claim)
    for claim in (*passing, *data.draw(st.permutations(present))):
        other.put(claim)
    for claim in passing:
        if claim.key not in {each.key for each in present}:
            other.drop(claim.key)

    assert _answers(one) == _answers(other)


@given(sets_of_claims)
def test_a_subscription_belongs_to_the_shard_of_its_oldest_resource_and_to_no_other(present: list[Claim]) -> None:
    table, by_subscription = SubscriptionTable(), defaultdict(list)
    for claim in present:
        table.put(claim)
        by_subscription[claim.subscription].append(claim)
    by_subscription.pop("", None)

    assert set(table.subscriptions()) == set(by_subscription)
    for subscription, of_it in by_subscription.items():
        holder = table.holder(subscription)
        assert holder == min(of_it, key=lambda claim: (claim.created_at, claim.key, claim.uid))
        assert table.hands(subscription) == {each.in_hands_of for each in of_it if each.in_hands_of is not None}


_NAMED = parse_vault_id(VAULT_ID).subscription


@pytest.mark.parametrize(
    ("holder", "own", "belongs", "label", "to"),
    [
        ("a", "", "shard a", "the label asr.vault-autoupdate.io/shard=a", "the main shard"),
        ("", "b", "the main shard", "no label asr.vault-autoupdate.io/shard", "shard b"),
        ("a", "b", "shard a", "the label asr.vault-autoupdate.io/shard=a", "shard b"),
    ],
)
def test_the_resource_of_another_shard_is_told_whose_its_subscription_is_and_what_to_do(
    holder: str, own: str, belongs: str, label: str, to: str
) -> None:
    table = SubscriptionTable()
    table.put(_claim("first", age=1, shard=holder))
    table.put(_claim(shard=own))

    refusal = ShardRules(TenancyRules(shard=own), table).refusal(resource())

    assert refusal == Refusal(
        Reason.SUBSCRIPTION_IN_OTHER_SHARD,
        f"Nothing is done: subscription {_NAMED} belongs to {belongs}, as VaultAutoUpdate team/first is the oldest "
        "resource in it. A subscription is never split among shards, since its request limits count for all of its "
        f"vaults together. Give this resource {label}, or move all resources in it to {to}.",
    )
    assert ShardRules(TenancyRules(shard=holder), table).refusal(resource()) is None


@pytest.mark.parametrize(("shard", "words"), [("", "the main shard"), ("a", "shard a")])
def test_while_another_shard_may_be_at_work_in_it_nothing_is_begun_in_a_subscription(shard: str, words: str) -> None:
    rules = ShardRules(TenancyRules(shard=shard), contested={SUBSCRIPTION: 0.0})
    rules.table.put(_claim(shard=shard))

    assert rules.refusal(resource()) == Refusal(
        Reason.SUBSCRIPTION_IN_OTHER_SHARD,
        f"Nothing is done yet: subscription {_NAMED} has come to {words}, and the one that worked in it has to let go "
        "of it first.",
    )
    rules.contested.clear()
    assert rules.refusal(resource()) is None


def test_what_nobody_claims_is_nobodys_and_what_the_settings_refuse_is_told_first() -> None:
    assert ShardRules(TenancyRules()).refusal(resource()) is None
    required = TenancyRules(credentials=ResourceCredentials.REQUIRED)
    table = SubscriptionTable()
    table.put(_claim(shard="a"))
    refusal = ShardRules(required, table).refusal(resource())
    assert refusal == required.refusal(resource()) is not None


def test_a_resource_that_comes_goes_and_comes_again_is_known_as_it_was() -> None:
    table, first, second = SubscriptionTable(), _claim(shard="a"), _claim(age=3, subscription="other")

    assert (table.get(first.key), table.put(first), table.get(first.key)) == (None, None, first)
    assert (table.put(second), table.get(first.key), table.holder(SUBSCRIPTION)) == (first, second, None)
    assert (table.drop(first.key), table.drop(first.key), table.subscriptions()) == (second, None, [])


def test_ten_thousand_resources_of_one_subscription_cost_the_next_one_no_look_at_each() -> None:
    table = SubscriptionTable()
    for number in range(10_000):
        table.put(_claim(f"dr-{number}", age=number))
    compared = 0

    class Counting(datetime):
        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return super().__eq__(other)

        __hash__ = datetime.__hash__

    table.put(
        Claim(ResourceKey("team", "late"), "late", Counting.fromisoformat(NOW.isoformat()), "", SUBSCRIPTION, None)
    )

    assert table.drop(ResourceKey("team", "late")) is not None
    assert 0 < compared < 100
