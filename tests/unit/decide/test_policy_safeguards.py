"""Whatever a discovery shows, whatever fails, however late news come and in whatever order: the safeguards hold.

A small world of vaults changes at random, and discoveries of it lie at random: rows are missing, tags are old,
subscriptions are unreadable, and complete ones claim to be complete although they are not. Looks at single vaults tell
the truth or fail. What the plan would have done is then held against what was true.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.builders import NOW
from tests.unit.decide.policy_builders import SUBSCRIPTIONS, by_vault, child_of, estate_of, policy_of, vault_of
from vault_autoupdate.decide.policy_discovery import GraphPage, doubts_about, unseen_subscriptions
from vault_autoupdate.decide.policy_evidence import LOOKS_APART, Evidence, learn
from vault_autoupdate.decide.policy_limits import DAY, HOUR, Tally, plan_hash
from vault_autoupdate.decide.policy_plan import make_plan
from vault_autoupdate.decide.policy_selection import standing_of
from vault_autoupdate.decide.policy_steps import Facts, PolicyPlan, Removal
from vault_autoupdate.model.estate import Child, ChildState, Estate, FoundVault, Look, Trouble, Verdict
from vault_autoupdate.model.policy import VaultAutoUpdatePolicy
from vault_autoupdate.model.resource import AutoUpdate, ObjectRef, ResourceKey, Spec

_TAGS = st.sampled_from([{}, {"dr": "gold"}, {"dr": "manual"}, {"dr": "gold", "vault-autoupdate": "exclude"}])
_NUMBERS = range(1, 7)


@dataclass
class _World:
    """What is true: which vaults exist and with which tags, and which resources there are."""

    policy: VaultAutoUpdatePolicy
    vaults: dict[str, FoundVault] = field(default_factory=dict)
    children: dict[str, Child] = field(default_factory=dict)
    evidence: dict[str, Evidence] = field(default_factory=dict)
    removed: Tally = field(default_factory=Tally)
    changed: Tally = field(default_factory=Tally)
    now: datetime = NOW
    seen_off: dict[str, list[datetime]] = field(default_factory=dict)
    """By vault: when looks in a row have truly seen it gone, or not selected."""
    removals: list[datetime] = field(default_factory=list)
    creations: list[datetime] = field(default_factory=list)
    changes: list[datetime] = field(default_factory=list)

    def is_meant(self, key: str) -> bool:
        vault = self.vaults.get(key)
        return vault is not None and standing_of(self.policy.spec, vault).selected


def _vault(number: int, tags: Mapping[str, str]) -> FoundVault:
    return replace(vault_of(number, subscription=SUBSCRIPTIONS[number % 3]), tags=tags)


@st.composite
def _discoveries(draw: st.DrawFn, world: _World) -> Estate:
    """What may come of a discovery: the truth, a part of it, something old, or a plain lie."""
    if draw(st.integers(0, 2)):
        return estate_of(world.vaults.values())
    seen = {}
    for number in _NUMBERS:
        vault = _vault(number, draw(_TAGS))
        match draw(st.sampled_from(["true", "true", "missing", "old", "ghost"])):
            case "true" if vault.key in world.vaults:
                seen[vault.key] = world.vaults[vault.key]
            case "old" if vault.key in world.vaults:
                seen[vault.key] = vault
            case "ghost":
                seen[vault.key] = vault
            case _:
                pass
    lost = draw(st.sets(st.sampled_from(SUBSCRIPTIONS), max_size=1))
    return estate_of(
        [vault for vault in seen.values() if vault.subscription not in lost],
        read=frozenset(SUBSCRIPTIONS) - lost,
        unreachable={each: Trouble("AuthorizationFailed") for each in lost},
        disabled=frozenset(draw(st.sets(st.sampled_from(SUBSCRIPTIONS), max_size=1))),
        doubts=draw(st.sampled_from([(), (Trouble("PagesShifted"),)])),
        expected=frozenset(SUBSCRIPTIONS) if draw(st.integers(0, 3)) else frozenset(),
    )


@st.composite
def _policies(draw: st.DrawFn) -> VaultAutoUpdatePolicy:
    return policy_of(
        mode=draw(st.sampled_from(["Enforce", "Enforce", "Enforce", "Audit"])),
        onUnmatched=draw(st.sampled_from(["Release", "Release", "Keep"])),
        suspend=draw(st.sampled_from([False, False, False, True])),
        vaultSelector={"matchTags": {"dr": ["gold", "manual"]}},
        exclude={"matchTags": {"vault-autoupdate": ["exclude"]}},
        rules=[{"matchTags": {"dr": ["manual"]}, "autoUpdate": "Disabled"}],
        limits={
            "maxRemovals": draw(st.sampled_from([0, 1, 2, 3, "50%"])),
            "maxNew": draw(st.integers(1, 3)),
            "maxNewPerHour": draw(st.integers(1, 4)),
            "maxFailures": draw(st.integers(0, 2)),
        },
        approve=draw(st.sampled_from(["", "", "0123456789abcdef"])),
    )


def _look(world: _World, key: str, reachable: bool) -> Look:
    if not reachable:
        return Look(world.now, Verdict.UNREACHABLE, trouble=Trouble("SubscriptionNotFound"))
    vault = world.vaults.get(key)
    off = world.seen_off.setdefault(key, [])
    if world.is_meant(key):
        off.clear()
    else:
        off.append(world.now)
    return Look(world.now, Verdict.THERE, vault) if vault else Look(world.now, Verdict.GONE)


def _facts(world: _World, estate: Estate, looks: Mapping[str, Look]) -> Facts:
    return Facts(
        policy=world.policy,
        estate=estate,
        resources=by_vault(*world.children.values()),
        now=world.now,
        evidence=world.evidence,
        looks=looks,
        removed=world.removed,
        changed=world.changed,
    )


def _pass(world: _World, draw: st.DrawFn) -> None:
    """One pass of the flow: discover, plan, look, plan again, do."""
    estate = draw(_discoveries(world))
    draft = make_plan(_facts(world, estate, {}))
    looks = {vault.key: _look(world, vault.key, draw(st.booleans()) or draw(st.booleans())) for vault in draft.look_at}
    world.evidence = learn(world.evidence, looks, world.policy.spec)
    plan = make_plan(_facts(world, estate, looks))
    _check(world, estate, plan)
    world.removed = world.removed.plus(len(plan.remove), world.now, DAY)
    world.changed = world.changed.plus(len(plan.change), world.now, HOUR)
    for removal in plan.remove:
        world.removals.append(world.now)
        del world.children[removal.child.vault_key]
    for change in plan.change:
        world.changes.append(world.now)
        manifest = _manifest(change.child) | dict(change.fields)
        spec = Spec.model_validate({name: value for name, value in manifest.items() if value is not None})
        world.children[change.child.vault_key] = replace(change.child, spec=spec, stamped_mode=change.mode)
    for made in plan.create:
        world.creations.append(world.now)
        world.children[made.vault.key] = Child(
            ObjectRef(ResourceKey("platform", made.name), made.name),
            made.want.spec,
            policy=world.policy.key.name,
            policy_uid=world.policy.uid,
            stamped_mode="Enforce",
            created_at=world.now,
        )


def _manifest(child: Child) -> dict[str, Any]:
    account = child.spec.automation_account_resource_id
    return {
        "vaultResourceId": child.spec.vault_resource_id.text,
        "autoUpdate": child.spec.auto_update.value,
        "automationAccountResourceId": account.text if account else None,
    }


def _check(world: _World, estate: Estate, plan: PolicyPlan) -> None:
    writes = (*plan.create, *plan.change, *plan.remove)
    if world.policy.spec.mode == "Audit" or world.policy.spec.suspend:
        assert writes == ()
    if not estate.is_complete or world.policy.spec.on_unmatched == "Keep":
        assert plan.remove == ()
    for removal in plan.remove:
        key = removal.child.vault_key
        times = world.seen_off.get(key, [])
        assert not world.is_meant(key), "removed although it is there and meant"
        assert times, "removed without a look"
        assert times[-1] - times[0] >= LOOKS_APART, "removed without a second look, long enough after the first"
        assert removal.child.policy_uid == world.policy.uid
    for key, setting in [
        *((each.vault.key, each.want.spec.auto_update) for each in plan.create),
        *((each.child.vault_key, each.fields.get("autoUpdate")) for each in plan.change),
    ]:
        if setting == AutoUpdate.DISABLED:
            assert world.vaults[key].tags.get("dr") == "manual", "switched off although nothing says so"
        assert world.children.get(key) is not None or key in estate.vaults
        assert key in estate.vaults, "written for a vault that was not seen"


def _most_in_any(window: timedelta, times: list[datetime]) -> int:
    return max((sum(start <= each < start + window for each in times) for start in times), default=0)


@st.composite
def _histories(draw: st.DrawFn) -> _World:
    world = _World(draw(_policies()))
    for number in _NUMBERS:
        vault = _vault(number, draw(_TAGS))
        world.vaults[vault.key] = vault
        if draw(st.booleans()):
            world.children[vault.key] = child_of(vault, world.policy)
        if draw(st.integers(0, 3)) == 0:
            del world.vaults[vault.key]
    for _ in range(draw(st.integers(2, 10))):
        world.now += timedelta(minutes=draw(st.sampled_from([5, 30, 60, 61, 600])))
        for number in _NUMBERS:
            vault = _vault(number, draw(_TAGS))
            match draw(st.sampled_from([*8 * ["same"], "deleted", "tagged"])):
                case "deleted":
                    world.vaults.pop(vault.key, None)
                case "tagged":
                    world.vaults[vault.key] = vault
                case _:
                    pass
        for key, child in world.children.items():
            state = draw(st.sampled_from([ChildState.READY, ChildState.READY, ChildState.WORKING, ChildState.FAILED]))
            world.children[key] = replace(child, state=state, ready_since=world.now)
        if draw(st.integers(0, 9)) == 0:
            world.evidence = {}  # a restart: what was seen is forgotten, what was counted is not
        _pass(world, draw)
    return world


@settings(max_examples=150, deadline=None)
@given(_histories())
def test_nothing_goes_without_proof_nothing_is_switched_off_unasked_and_no_cap_is_passed(world: _World) -> None:
    limits = world.policy.spec.limits
    most_removals = max(limits.max_removals.of(len(_NUMBERS)), 0)

    assert _most_in_any(DAY, world.removals) <= most_removals
    assert _most_in_any(HOUR, world.creations) <= limits.max_new_per_hour
    assert _most_in_any(HOUR, world.changes) <= limits.max_new_per_hour


@pytest.mark.parametrize("wrong", ["proof", "look", "complete"])
def test_the_world_of_these_tests_can_tell_a_removal_that_is_wrong(wrong: str) -> None:
    """The check itself must be able to fail."""
    policy = policy_of(onUnmatched="Release")
    vault = _vault(1, {})
    world = _World(policy, vaults={vault.key: vault} if wrong == "proof" else {})
    plan = replace(make_plan(_facts(world, estate_of([]), {})), remove=(Removal(child_of(vault, policy), ""),))
    estate = estate_of([], expected=frozenset()) if wrong == "complete" else estate_of([])

    with pytest.raises(AssertionError):
        _check(world, estate, plan)


def _pages(rows: list[str], size: int) -> Iterator[GraphPage]:
    for start in range(0, max(1, len(rows)), size):
        yield GraphPage(len(rows), tuple(rows[start : start + size]))


@given(st.lists(st.text("abc", min_size=1), unique=True, max_size=12), st.integers(1, 5))
def test_pages_that_add_up_raise_no_doubt(rows: list[str], size: int) -> None:
    assert doubts_about(list(_pages(rows, size))) == ()


@given(st.data())
def test_a_row_that_is_lost_or_comes_twice_raises_a_doubt(data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.text("abc", min_size=1), unique=True, min_size=1, max_size=12))
    pages = list(_pages(rows, data.draw(st.integers(1, 5))))
    number = data.draw(st.integers(0, len(pages) - 1))
    page = pages[number]
    ids = page.ids[1:] if data.draw(st.booleans()) else (*page.ids, page.ids[0].upper())
    pages[number] = replace(page, ids=ids)

    assert doubts_about(pages) != ()


@pytest.mark.parametrize(
    ("page", "code"),
    [
        (GraphPage(0, (), is_truncated=True), "ResultTruncated"),
        (GraphPage(0, (), is_limited=True), "SubscriptionLimitHit"),
        (GraphPage(1, ()), "RowsMissing"),
    ],
)
def test_an_answer_that_says_itself_that_it_is_partial_is_believed(page: GraphPage, code: str) -> None:
    assert [each.code for each in doubts_about([page])] == [code]


def test_no_answer_is_no_empty_answer() -> None:
    assert doubts_about([]) != ()


@given(st.sets(st.text(min_size=1)))
def test_the_name_of_a_plan_does_not_depend_on_the_order_of_its_steps(steps: set[str]) -> None:
    assert plan_hash(sorted(steps)) == plan_hash(sorted(steps, reverse=True))
    assert plan_hash({*steps, "\0another"}) != plan_hash(steps)


def test_an_estate_in_which_nothing_is_expected_is_never_complete() -> None:
    assert not estate_of([], expected=frozenset(), read=frozenset()).is_complete


def test_a_subscription_in_scope_that_the_identity_cannot_see_is_no_empty_one() -> None:
    unseen = unseen_subscriptions(["a", "b", "c"], {"b": "Enabled", "d": "Enabled"})

    assert unseen == dict.fromkeys(
        ("a", "c"),
        Trouble("SubscriptionNotVisible", "Check that it exists, and that the identity has a role in it."),
    )
