"""What a policy does, by example. That the safeguards hold whatever happens is in `test_policy_safeguards`."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from tests.unit.builders import NOW
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
from vault_autoupdate.decide.policy_evidence import Evidence, Finding
from vault_autoupdate.decide.policy_limits import Gate, Tally
from vault_autoupdate.decide.policy_plan import make_plan
from vault_autoupdate.decide.policy_steps import Facts, PolicyPlan, Removal
from vault_autoupdate.model.estate import ChildState, Look, Trouble, Verdict
from vault_autoupdate.model.resource import ResourceKey

_RELEASE = {"onUnmatched": "Release"}


def _plan(policy: Any, estate: Any, *children: Any, **facts: Any) -> PolicyPlan:
    return make_plan(Facts(policy=policy, estate=estate, resources=by_vault(*children), now=NOW, **facts))


def _gone(vault: Any, **changes: Any) -> dict[str, Any]:
    """Facts that prove that a vault was deleted."""
    evidence = Evidence(Finding.GONE, ago(hours=2), NOW, "the vault was deleted")
    return {
        "evidence": {vault.key: replace(evidence, **changes)},
        "looks": {vault.key: Look(NOW, Verdict.GONE)},
    }


def test_a_vault_that_is_meant_gets_a_resource() -> None:
    vault = vault_of()

    (made,) = _plan(policy_of(), estate_of([vault])).create

    assert re.fullmatch("estate-dr-1-[0-9a-f]{8}", made.name)
    assert made.want.fields["vaultResourceId"] == vault.id.text
    assert made.want.fields["automationAccountResourceId"] == account_of().id.text
    assert (made.want.fields["autoUpdate"], made.want.fields["deletionPolicy"]) == ("Enabled", "Retain")


def test_the_time_of_schedules_is_that_of_the_rule_or_the_template_and_only_where_there_are_any() -> None:
    plain, late, off = vault_of(1), vault_of(2, dr="late"), vault_of(3, dr="off")
    at_night = {"time": "02:30", "timeZone": "Europe/Amsterdam"}
    later = at_night | {"days": ["SAT"], "spread": "2h"}
    policy = policy_of(
        template={"autoUpdate": "Enabled", "runbookSchedule": at_night},
        rules=[
            {"matchTags": {"dr": ["late"]}, "runbookSchedule": later},
            {"matchTags": {"dr": ["off"]}, "autoUpdate": "Disabled"},
        ],
    )
    looks = {off.key: Look(NOW, Verdict.THERE, off)}

    made = _plan(policy, estate_of([plain, late, off]), looks=looks).create

    assert {each.vault.key: each.want.fields["runbookSchedule"] for each in made} == {
        plain.key: at_night,
        late.key: later,
        off.key: None,
    }


def test_audit_makes_changes_and_removes_nothing_but_says_what_it_would() -> None:
    gone, drifted, new = vault_of(1), vault_of(2), vault_of(3)
    policy = policy_of(mode="Audit", **_RELEASE)
    children = child_of(gone, policy), child_of(drifted, policy, spec={"interval": "2h"})

    plan = _plan(policy, estate_of([drifted, new]), *children, **_gone(gone))

    assert (plan.create, plan.change, plan.remove) == ((), (), ())
    assert [len(each) for each in (plan.missing, plan.differing, plan.leaving)] == [1, 1, 1]


@pytest.mark.parametrize("setting", [{"suspend": True}, {"mode": "Audit"}])
def test_a_suspended_policy_writes_nothing(setting: dict[str, Any]) -> None:
    assert _plan(policy_of(**setting), estate_of([vault_of()])).create == ()


def test_an_incomplete_discovery_makes_but_does_not_remove() -> None:
    gone, new = vault_of(1), vault_of(2)
    policy = policy_of(**_RELEASE)
    estate = estate_of([new], unreachable={SUBSCRIPTIONS[1]: Trouble("AuthorizationFailed")})

    plan = _plan(policy, estate, child_of(gone, policy), **_gone(gone))

    assert (len(plan.create), plan.remove, plan.leaving) == (1, (), ())


def test_a_deleted_vault_releases_its_resource_after_two_looks_an_hour_apart() -> None:
    gone, policy = vault_of(), policy_of(**_RELEASE)
    child = child_of(gone, policy)

    assert [each.child for each in _plan(policy, estate_of([]), child, **_gone(gone)).remove] == [child]
    assert _plan(policy, estate_of([]), child, **_gone(gone, since=ago(minutes=59))).remove == ()


def test_what_was_seen_an_hour_ago_is_looked_at_once_more_before_it_goes() -> None:
    gone, policy = vault_of(), policy_of(**_RELEASE)
    facts = _gone(gone, latest=ago(minutes=30)) | {"looks": {}}

    plan = _plan(policy, estate_of([]), child_of(gone, policy), **facts)

    assert (plan.remove, [each.key for each in plan.look_at]) == ((), [gone.key])


def test_keep_removes_nothing_and_says_what_is_orphaned() -> None:
    gone, policy = vault_of(), policy_of()

    plan = _plan(policy, estate_of([]), child_of(gone, policy), **_gone(gone))

    assert (plan.remove, plan.orphaned) == ((), {gone.key: "the vault was deleted"})


def test_a_resource_in_a_subscription_that_cannot_be_read_is_not_orphaned() -> None:
    policy, vault = policy_of(), vault_of()
    estate = estate_of([], unreachable={vault.subscription: Trouble("SubscriptionNotFound")})

    assert _plan(policy, estate, child_of(vault, policy)).orphaned == {}


def test_more_removals_than_the_limit_wait_for_the_approval_that_names_them() -> None:
    vaults = [vault_of(number) for number in range(10)]
    policy = policy_of(limits={"maxRemovals": 1}, **_RELEASE)
    children = [child_of(vault, policy) for vault in vaults]
    facts = {
        kind: {key: value for vault in vaults[:2] for key, value in _gone(vault)[kind].items()}
        for kind in ("evidence", "looks")
    }

    blocked = _plan(policy, estate_of(vaults[2:]), *children, **facts)
    approved = policy_of(limits={"maxRemovals": 1}, approve=blocked.hash, **_RELEASE)
    wrong = policy_of(limits={"maxRemovals": 1}, approve="0123456789abcdef", **_RELEASE)

    assert (blocked.remove, blocked.removals.is_open, bool(blocked.hash)) == ((), False, True)
    assert len(_plan(approved, estate_of(vaults[2:]), *children, **facts).remove) == 2
    assert _plan(wrong, estate_of(vaults[2:]), *children, **facts).remove == ()


def test_an_approval_names_one_set_and_no_other() -> None:
    vaults = [vault_of(number) for number in range(10)]
    policy = policy_of(limits={"maxRemovals": 1}, **_RELEASE)
    children = [child_of(vault, policy) for vault in vaults]

    def plan(gone: int, approve: str = "") -> PolicyPlan:
        facts = {
            kind: {key: value for vault in vaults[:gone] for key, value in _gone(vault)[kind].items()}
            for kind in ("evidence", "looks")
        }
        approved = policy_of(limits={"maxRemovals": 1}, approve=approve, **_RELEASE)
        return _plan(approved, estate_of(vaults[gone:]), *children, **facts)

    assert plan(3, plan(2).hash).remove == ()


def test_what_was_removed_in_the_last_day_counts_against_the_limit() -> None:
    gone, policy = vault_of(), policy_of(**_RELEASE)
    child = child_of(gone, policy)

    def removed(latest: Any) -> int:
        return len(_plan(policy, estate_of([]), child, removed=Tally(latest, 1), **_gone(gone)).remove)

    assert (removed(ago(hours=23)), removed(ago(hours=24))) == (0, 1)


def test_that_nothing_was_done_begins_no_window_anew() -> None:
    tally = Tally(ago(minutes=5), 2)

    assert tally.plus(0, NOW, timedelta(hours=1)) == tally
    assert tally.plus(1, NOW, timedelta(hours=1)) == Tally(NOW, 3)
    assert tally.plus(1, NOW, timedelta(minutes=5)) == Tally(NOW, 1)


def test_a_change_of_many_resources_waits_for_approval() -> None:
    vaults = [vault_of(number) for number in range(3)]
    children = [child_of(vault, policy_of()) for vault in vaults]

    def policy(approve: str = "") -> Any:
        template = {"autoUpdate": "Enabled", "interval": "2h"}
        return policy_of(template=template, limits={"maxNewPerHour": 2}, approve=approve)

    blocked = _plan(policy(), estate_of(vaults), *children)

    assert (blocked.change, blocked.changes.is_open) == ((), False)
    assert len(_plan(policy(blocked.hash), estate_of(vaults), *children).change) == 3


def test_an_approval_of_changes_is_good_for_the_fields_that_it_was_given_for_and_for_no_other() -> None:
    vaults = [vault_of(number) for number in range(3)]
    children = [child_of(vault, policy_of()) for vault in vaults]

    def plan(interval: str, approve: str = "") -> PolicyPlan:
        template = {"autoUpdate": "Enabled", "interval": interval}
        policy = policy_of(template=template, limits={"maxNewPerHour": 2}, approve=approve)
        return _plan(policy, estate_of(vaults), *children)

    assert plan("3h", plan("2h").hash).change == ()


def test_changes_below_the_limit_are_spread_over_hours() -> None:
    vaults = [vault_of(number) for number in range(3)]
    children = [child_of(vault, policy_of()) for vault in vaults]
    policy = policy_of(template={"autoUpdate": "Enabled", "interval": "2h"}, limits={"maxNewPerHour": 4})

    assert len(_plan(policy, estate_of(vaults), *children, changed=Tally(ago(minutes=5), 2)).change) == 2


def test_new_resources_wait_for_those_that_are_on_their_way() -> None:
    vaults = [vault_of(number) for number in range(6)]
    policy = policy_of(limits={"maxNew": 3})
    under_way = child_of(vaults[0], policy, state=ChildState.WORKING, created_at=ago(minutes=1), ready_since=None)

    assert len(_plan(policy, estate_of(vaults), under_way).create) == 2


def test_no_more_are_made_in_an_hour_than_the_limit_says() -> None:
    vaults = [vault_of(number) for number in range(6)]
    policy = policy_of(limits={"maxNewPerHour": 3})
    lately = [child_of(vault, policy, created_at=ago(minutes=59)) for vault in vaults[:2]]

    assert len(_plan(policy, estate_of(vaults), *lately).create) == 1


class TestWaves:
    POLICY: ClassVar[dict[str, Any]] = {
        "limits": {"waves": {"tag": "Ring", "order": ["canary", "early"]}, "maxFailures": 0}
    }

    def test_the_first_wave_goes_first(self) -> None:
        vaults = [vault_of(1), vault_of(2, ring="early"), vault_of(3, ring="canary")]

        plan = _plan(policy_of(**self.POLICY), estate_of(vaults))

        assert [each.vault for each in plan.create] == [vaults[2]]
        assert (plan.rollout.number, plan.rollout.total, plan.rollout.name) == (1, 3, "canary")

    def test_the_next_one_begins_when_all_have_been_ready_for_long_enough(self) -> None:
        vaults, policy = [vault_of(1, ring="canary"), vault_of(2, ring="early")], policy_of(**self.POLICY)

        def made(**child: Any) -> int:
            first = child_of(vaults[0], policy, created_at=ago(hours=1), **child)
            return len(_plan(policy, estate_of(vaults), first).create)

        assert made(ready_since=ago(minutes=30)) == 1
        assert made(ready_since=ago(minutes=29)) == 0
        assert made(state=ChildState.WORKING, ready_since=None) == 0
        assert made(state=ChildState.EXCUSED, ready_since=None) == 1

    def test_nothing_new_begins_while_too_many_fail(self) -> None:
        vaults, policy = [vault_of(1, ring="canary"), vault_of(2, ring="canary")], policy_of(**self.POLICY)
        failed = child_of(vaults[0], policy, state=ChildState.FAILED, ready_since=None)

        plan = _plan(policy, estate_of(vaults), failed)

        assert (plan.create, plan.rollout.paused, plan.rollout.failed) == ((), True, 1)

    def test_a_canary_that_is_worked_on_does_not_hide_what_has_failed_after_it(self) -> None:
        vaults, policy = [vault_of(1, ring="canary"), vault_of(2, ring="early")], policy_of(**self.POLICY)
        working = child_of(vaults[0], policy, state=ChildState.WORKING, ready_since=None)
        failed = child_of(vaults[1], policy, state=ChildState.FAILED, ready_since=None)

        plan = _plan(policy, estate_of([*vaults, vault_of(3, ring="canary")]), working, failed)

        assert (plan.create, plan.rollout.number) == ((), 1)
        assert (plan.rollout.paused, plan.rollout.failed) == (True, 1)

    def test_nobody_waits_for_a_vault_without_an_account(self) -> None:
        other = vault_of(1, subscription=SUBSCRIPTIONS[1], ring="canary")
        vault = vault_of(2, ring="early")
        estate = estate_of([other, vault], accounts={SUBSCRIPTIONS[0]: (account_of(),), SUBSCRIPTIONS[1]: ()})

        plan = _plan(policy_of(**self.POLICY), estate)

        assert ([each.vault for each in plan.create], list(plan.without_account)) == ([vault], [other.key])

    def test_an_empty_text_gives_all_others_a_place(self) -> None:
        waves = {"tag": "ring", "order": ["", "last"]}
        vaults = [vault_of(1, ring="last"), vault_of(2), vault_of(3, ring="unheard-of")]

        plan = _plan(policy_of(limits={"waves": waves}), estate_of(vaults))

        assert [each.vault for each in plan.create] == vaults[1:]
        assert (plan.rollout.name, plan.rollout.number, plan.rollout.total) == ("", 1, 2)

    def test_without_such_a_text_all_others_come_last(self) -> None:
        plan = _plan(policy_of(**self.POLICY), estate_of([vault_of(1, ring="canary")]))

        assert (plan.rollout.name, plan.rollout.total) == ("canary", 3)


class TestOwnership:
    def test_a_resource_that_somebody_wrote_by_hand_wins_over_a_new_one(self) -> None:
        vault = vault_of()

        plan = _plan(policy_of(), estate_of([vault]), child_of(vault))

        assert (plan.create, list(plan.foreign)) == ((), [vault.key])

    def test_it_wins_over_a_resource_of_the_policy_as_well(self) -> None:
        vault, policy = vault_of(), policy_of(template={"autoUpdate": "Enabled", "interval": "2h"})

        plan = _plan(policy, estate_of([vault]), child_of(vault), child_of(vault, policy))

        assert (plan.change, plan.remove, list(plan.foreign)) == ((), (), [vault.key])

    def test_one_that_is_handed_over_is_taken_over(self) -> None:
        vault, policy = vault_of(), policy_of()

        (change,) = _plan(policy, estate_of([vault]), child_of(vault, adopt=True)).change

        assert (change.adopts, change.fields) == (True, {})

    def test_one_that_a_living_policy_has_taken_over_is_not_taken_from_it_again(self) -> None:
        vault, other = vault_of(), policy_of(name="other", uid="other-uid")
        taken_over = child_of(vault, other, adopt=True)

        beside = _plan(policy_of(), estate_of([vault]), taken_over, policies=frozenset({"other-uid"}))
        after = _plan(policy_of(), estate_of([vault]), taken_over, policies=frozenset())

        assert (beside.change, list(beside.conflicting)) == ((), [vault.key])
        assert [each.adopts for each in after.change] == [True], "the other policy is gone"

    def test_one_that_is_handed_over_goes_to_the_older_policy(self) -> None:
        vault, older = vault_of(), ResourceKey("platform", "older")

        plan = _plan(policy_of(), estate_of([vault]), child_of(vault, adopt=True), rivals={vault.key: older})

        assert (plan.change, plan.conflicting) == ((), {vault.key: older})

    def test_a_name_that_another_vaults_resource_has_is_not_tried_again_and_again(self) -> None:
        vault, policy = vault_of(1), policy_of()
        name = child_of(vault, policy).ref
        other = child_of(vault_of(2), ref=replace(name, uid="by-hand"))

        plan = _plan(policy, estate_of([vault]), other)

        assert (plan.create, len(plan.missing)) == ((), 1)
        assert plan.taken == {name.key.name: other}

    def test_nobody_can_hand_over_what_is_in_another_namespace(self) -> None:
        vault = vault_of()
        child = child_of(vault, adopt=True)
        elsewhere = replace(child, ref=replace(child.ref, key=ResourceKey("team-a", "x")))

        plan = _plan(policy_of(), estate_of([vault]), elsewhere)

        assert (plan.change, list(plan.foreign)) == ((), [vault.key])

    def test_what_another_policy_has_stays_with_it(self) -> None:
        vault, other = vault_of(), policy_of(name="other", uid="other-uid")

        plan = _plan(policy_of(), estate_of([vault]), child_of(vault, other))

        assert (plan.create, plan.conflicting) == ((), {vault.key: ResourceKey("platform", "other")})

    def test_a_later_namesake_of_a_policy_does_not_inherit(self) -> None:
        vault, before = vault_of(), policy_of(uid="before")

        plan = _plan(policy_of(**_RELEASE), estate_of([]), child_of(vault, before), **_gone(vault))

        assert (plan.remove, plan.own) == ((), {})

    def test_what_an_earlier_policy_of_the_name_has_is_told_apart(self) -> None:
        vault, other, before = vault_of(1), vault_of(2), policy_of(uid="before")
        elsewhere = policy_of(name="other", uid="other-uid")

        plan = _plan(policy_of(), estate_of([vault, other]), child_of(vault, before), child_of(other, elsewhere))

        assert (set(plan.conflicting), plan.earlier) == ({vault.key, other.key}, frozenset({vault.key}))

    def test_what_an_older_policy_means_is_left_to_it(self) -> None:
        vault = vault_of()

        plan = _plan(policy_of(), estate_of([vault]), rivals={vault.key: ResourceKey("a", "older")})

        assert (plan.create, plan.conflicting) == ((), {vault.key: ResourceKey("a", "older")})

    def test_hand_edits_are_undone_but_for_suspend_and_mode(self) -> None:
        vault, policy = vault_of(), policy_of()
        edited = child_of(vault, policy, spec={"suspend": True, "mode": "Audit", "interval": "2h", "jobTimeout": "1h"})

        (change,) = _plan(policy, estate_of([vault]), edited).change

        assert change.fields == {"interval": "1h", "jobTimeout": "2h40m"}

    def test_a_schedule_that_the_policy_does_not_declare_is_taken_back(self) -> None:
        vault, policy = vault_of(), policy_of()
        edited = child_of(vault, policy, spec={"runbookSchedule": {"time": "02:30", "timeZone": "UTC"}})

        (change,) = _plan(policy, estate_of([vault]), edited).change

        assert change.fields == {"runbookSchedule": None}

    def test_a_mode_that_the_policy_changes_is_changed(self) -> None:
        vault, policy = vault_of(), policy_of(template={"autoUpdate": "Enabled", "mode": "Audit"})

        (change,) = _plan(policy, estate_of([vault]), child_of(vault, policy)).change

        assert (change.fields, change.mode) == ({"mode": "Audit"}, "Audit")

    def test_a_mode_that_was_by_chance_what_the_policy_wants_by_now_is_no_hand_edit_later(self) -> None:
        vault, policy = vault_of(), policy_of()
        by_chance = child_of(vault, policy, stamped_mode="Audit")

        (change,) = _plan(policy, estate_of([vault]), by_chance).change

        assert (change.fields, change.mode, change.adopts) == ({}, "Enforce", False)

    def test_a_deletion_policy_that_somebody_set_is_taken_back(self) -> None:
        vault, policy = vault_of(), policy_of()

        (change,) = _plan(
            policy, estate_of([vault]), child_of(vault, policy, spec={"deletionPolicy": "Disable"})
        ).change

        assert change.fields == {"deletionPolicy": "Retain"}


class TestDisabled:
    POLICY: ClassVar[dict[str, Any]] = {"rules": [{"matchTags": {"dr": ["manual"]}, "autoUpdate": "Disabled"}]}

    def test_auto_update_is_switched_off_only_where_a_look_has_just_seen_what_asks_for_it(self) -> None:
        vault, policy = vault_of(dr="manual"), policy_of(**self.POLICY)
        child, estate = child_of(vault, policy), estate_of([vault])

        first = _plan(policy, estate, child)
        confirmed = _plan(policy, estate, child, looks={vault.key: Look(NOW, Verdict.THERE, vault)})

        assert (first.change, first.look_at) == ((), (vault,))
        assert confirmed.change[0].fields == {"autoUpdate": "Disabled", "automationAccountResourceId": None}

    def test_a_look_at_the_vault_alone_does_not_tell_whether_it_replicates_but_the_discovery_does(self) -> None:
        found, policy = vault_of(dr="manual"), policy_of(vaultSelector={"replication": "Present"}, **self.POLICY)
        estate = estate_of([replace(found, replicates=True)])

        plan = _plan(policy, estate, child_of(found, policy), looks={found.key: Look(NOW, Verdict.THERE, found)})

        assert len(plan.change) == 1

    @pytest.mark.parametrize(
        "look", [Look(NOW, Verdict.UNREACHABLE), Look(NOW, Verdict.GONE), Look(NOW, Verdict.THERE, vault_of())]
    )
    def test_a_list_that_is_behind_switches_nothing_off(self, look: Look) -> None:
        vault, policy = vault_of(dr="manual"), policy_of(**self.POLICY)

        plan = _plan(policy, estate_of([vault]), child_of(vault, policy), looks={vault.key: look})

        assert (plan.change, plan.look_at) == ((), ())

    def test_a_new_resource_that_says_disabled_needs_the_look_too(self) -> None:
        vault, policy = vault_of(dr="manual"), policy_of(**self.POLICY)

        first = _plan(policy, estate_of([vault]))
        confirmed = _plan(policy, estate_of([vault]), looks={vault.key: Look(NOW, Verdict.THERE, vault)})

        assert (first.create, len(confirmed.create)) == ((), 1)


class TestAccount:
    def test_no_account_no_resource(self) -> None:
        vault = vault_of()

        plan = _plan(policy_of(), estate_of([vault], accounts={SUBSCRIPTIONS[0]: (account_of(), account_of("aa-b"))}))

        assert (plan.create, plan.without_account) == ((), {vault.key: "namePattern: leads to 2"})

    def test_an_existing_resource_keeps_its_account_when_none_can_be_told(self) -> None:
        vault, policy = vault_of(), policy_of()

        plan = _plan(policy, estate_of([vault], accounts={}), child_of(vault, policy))

        assert (plan.change, plan.without_account) == ((), {})

    def test_disabled_needs_no_account(self) -> None:
        vault, policy = vault_of(), policy_of(template={"autoUpdate": "Disabled"})
        looks = {vault.key: Look(NOW, Verdict.THERE, vault)}

        assert len(_plan(policy, estate_of([vault], accounts={}), looks=looks).create) == 1

    def test_the_mappings_of_a_vault_are_read_where_they_name_the_account(self) -> None:
        vault, policy = vault_of(), policy_of(automationAccount=[{"current": True}])

        assert _plan(policy, estate_of([vault])).read_mappings == (vault,)
        plan = _plan(policy, estate_of([vault]), current={vault.key: (account_of("aa-x").id.text,)})
        assert plan.create[0].want.fields["automationAccountResourceId"] == account_of("aa-x").id.text


def test_nothing_is_written_in_a_subscription_that_is_not_enabled() -> None:
    new, drifted, policy = vault_of(1), vault_of(2), policy_of()
    estate = estate_of([new, drifted], disabled=frozenset({new.subscription}))

    plan = _plan(policy, estate, child_of(drifted, policy, spec={"interval": "2h"}))

    assert (plan.create, plan.change, len(plan.missing)) == ((), (), 1)


def test_what_may_be_in_a_group_that_cannot_be_read_is_not_called_orphaned() -> None:
    unseen = vault_of(1, "0000000f-0000-4000-8000-000000000000")
    scope = {"managementGroups": ["mg"]}
    policy = policy_of(scope=scope)
    without = policy_of(scope=scope | {"excludeSubscriptions": [unseen.id.subscription]})
    blind = estate_of([], doubts=(Trouble("AuthorizationFailed"),), scope_is_known=False)

    assert _plan(policy, blind, child_of(unseen, policy)).orphaned == {}
    assert list(_plan(policy, estate_of([]), child_of(unseen, policy)).orphaned) == [unseen.key]
    assert list(_plan(without, blind, child_of(unseen, without)).orphaned) == [unseen.key]


def test_a_namespace_cannot_reach_beyond_what_it_may_name() -> None:
    mine, theirs = vault_of(1), vault_of(2, subscription=SUBSCRIPTIONS[1])

    plan = _plan(policy_of(), estate_of([mine, theirs]), allows=lambda text: SUBSCRIPTIONS[0] in text)

    assert ([each.vault for each in plan.create], plan.selection.not_allowed) == ([mine], 1)


def test_that_a_vault_replicates_nothing_any_more_does_not_make_it_leave() -> None:
    vault, policy = replace(vault_of(), replicates=False), policy_of(vaultSelector={"replication": "Present"})

    plan = _plan(policy, estate_of([vault]), child_of(vault, policy))

    assert (plan.orphaned, plan.selection.idle) == ({}, frozenset({vault.key}))
    assert _plan(policy, estate_of([vault])).create == ()


def test_resources_follow_their_policy_to_its_shard_whatever_the_limits_say_and_only_where_it_enforces() -> None:
    vaults = [vault_of(number) for number in range(1, 4)]
    limits = {"maxNewPerHour": 1}
    policy = replace(policy_of(limits=limits), shard="a")
    children = [child_of(vault, policy, shard=shard) for vault, shard in zip(vaults, ("", "a", "b"), strict=True)]

    plan = _plan(policy, estate_of([*vaults, vault_of(4)]), *children, child_of(vault_of(4)))

    assert plan.moving == (children[0], children[2])
    assert plan.differing == ()
    audit = replace(policy_of(limits=limits, mode="Audit"), shard="a")
    assert _plan(audit, estate_of(vaults), *children).moving == ()


def test_it_is_said_why_the_vault_of_a_resource_is_not_selected() -> None:
    lost, excluded, other, known = (vault_of(number) for number in range(4))
    far = vault_of(9, "0000000f-0000-4000-8000-000000000000")
    policy = policy_of(exclude={"vaults": [excluded.id.text]}, vaultSelector={"names": ["dr-9"]})
    children = [child_of(vault, policy) for vault in (lost, excluded, other, known, far)]
    facts = {"evidence": {known.key: Evidence(Finding.GONE, NOW, NOW, "the vault was deleted")}}

    assert _plan(policy, estate_of([excluded, other]), *children, **facts).orphaned == {
        lost.key: "it is not among the vaults that were found and meant",
        excluded.key: "excluded by its id",
        other.key: "it is not among the vaults that were found and meant",
        known.key: "the vault was deleted",
        far.key: "its subscription is no longer in scope, or no longer seen there",
    }


def test_of_many_that_have_left_those_longest_not_looked_at_are_looked_at_first() -> None:
    policy = policy_of()
    vaults = [vault_of(number) for number in range(1000, 1103)]
    evidence = {
        vault.key: Evidence(Finding.GONE, ago(hours=9), ago(hours=hours), "")
        for vault, hours in zip(vaults[:3], (1, 3, 2), strict=True)
    }
    looked = {vaults[5].key: Look(NOW, Verdict.UNREACHABLE)}
    children = [child_of(vault, policy) for vault in vaults]

    plan = _plan(policy, estate_of([]), *children, evidence=evidence)
    after = _plan(policy, estate_of([]), *children, evidence=evidence, looks=looked)

    assert [each.key for each in plan.look_at] == [each.key for each in vaults[3:]]
    assert [each.key for each in after.look_at] == [each.key for each in vaults[3:] if each is not vaults[5]]
    few = _plan(policy, estate_of([]), *children[:4], evidence=evidence)
    assert [each.key for each in few.look_at] == [vaults[number].key for number in (3, 1, 2, 0)]


def test_mappings_are_read_of_fifty_vaults_at_a_time() -> None:
    vaults = [vault_of(number) for number in range(60)]
    policy = policy_of(automationAccount=[{"current": True}])

    assert len(_plan(policy, estate_of(vaults)).read_mappings) == 50


def test_new_resources_are_made_wave_by_wave_in_the_order_of_their_ids() -> None:
    vaults = [vault_of(3, ring="b"), vault_of(2, ring="a"), vault_of(1, ring="b"), vault_of(4, ring="a")]
    policy = policy_of(limits={"waves": {"tag": "ring", "order": ["a", "b"]}, "maxNew": 3})
    children = [child_of(vault_of(9, ring="a"), policy)]

    made = _plan(policy, estate_of(vaults), *children).create

    assert [each.vault for each in made] == [vaults[1], vaults[3]]
    assert [each.wave for each in _plan(policy, estate_of(vaults)).missing] == [1, 0, 1, 0]
    plain = policy_of(limits={"maxNew": 3})
    assert [each.vault for each in _plan(plain, estate_of(vaults)).create] == [vaults[2], vaults[1], vaults[0]]


def test_what_leaves_is_told_with_its_proof_and_only_where_the_subscription_is_in_good_order() -> None:
    gone, policy = vault_of(), policy_of(**_RELEASE)
    child, elsewhere = child_of(gone, policy), policy_of(scope={"subscriptions": list(SUBSCRIPTIONS[1:])}, **_RELEASE)
    rest = frozenset(SUBSCRIPTIONS[1:])
    moved = child_of(gone, elsewhere)

    assert _plan(policy, estate_of([]), child, **_gone(gone)).leaving == (Removal(child, "the vault was deleted"),)
    assert _plan(policy, estate_of([], disabled=frozenset({gone.subscription})), child, **_gone(gone)).leaving == ()
    assert _plan(policy, estate_of([], expected=rest, read=rest), child, **_gone(gone)).leaving == ()
    out = _plan(elsewhere, estate_of([], expected=rest, read=rest), moved, **_gone(gone))
    assert out.leaving == out.remove == (Removal(moved, "the vault was deleted"),)


def test_a_policy_that_is_being_deleted_writes_nothing() -> None:
    assert _plan(replace(policy_of(), deleting=True), estate_of([vault_of()])).create == ()


def test_what_is_approved_is_done_and_waits_no_longer() -> None:
    vaults = [vault_of(number) for number in range(3)]
    children = [child_of(vault, policy_of()) for vault in vaults]

    def plan(approve: str = "") -> PolicyPlan:
        template = {"autoUpdate": "Enabled", "interval": "2h"}
        policy = policy_of(template=template, limits={"maxNewPerHour": 2}, approve=approve, **_RELEASE)
        return _plan(policy, estate_of(vaults), *children)

    waiting = plan()
    approved = plan(waiting.hash)
    assert (waiting.changes, waiting.removals.is_open) == (Gate(is_open=False, limit=2, wanted=3), True)
    assert approved.removals == waiting.removals
    assert (approved.changes, approved.hash) == (Gate(is_open=True, approved=True, limit=2, wanted=3), "")


def test_of_a_wave_that_waits_for_a_resource_on_its_way_older_than_a_day_no_room_is_kept() -> None:
    vaults = [vault_of(number) for number in range(4)]
    policy = policy_of(limits={"maxNew": 2})

    def made(**child: Any) -> int:
        working = child_of(vaults[0], policy, state=ChildState.WORKING, ready_since=None, **child)
        return len(_plan(policy, estate_of(vaults), working).create)

    assert (made(created_at=ago(hours=23)), made(created_at=ago(hours=24))) == (1, 2)
