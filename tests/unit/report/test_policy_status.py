"""What a policy says of itself, and what is read back."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

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
from vault_autoupdate.decide.policy_limits import Tally
from vault_autoupdate.decide.policy_plan import make_plan
from vault_autoupdate.decide.policy_steps import Facts, PolicyPlan, Removal
from vault_autoupdate.model import bounds
from vault_autoupdate.model.estate import Child, ChildState, Estate, Trouble
from vault_autoupdate.model.policy import VaultAutoUpdatePolicy
from vault_autoupdate.model.resource import LONG_AGO, SHARD_LABEL, ObjectRef, ResourceKey, Spec
from vault_autoupdate.report.policy_readiness import PolicyStanding, standing_of_policy
from vault_autoupdate.report.policy_restore import read_child, read_tally
from vault_autoupdate.report.policy_status import build_policy_status, counts_of, samples_of
from vault_autoupdate.report.readiness import Readiness


def _plan(policy: VaultAutoUpdatePolicy, estate: Estate, *children: Child) -> PolicyPlan:
    return make_plan(Facts(policy=policy, estate=estate, resources=by_vault(*children), now=NOW))


def _standing(policy: VaultAutoUpdatePolicy, estate: Estate, *children: Child, **not_written: str) -> PolicyStanding:
    return standing_of_policy(policy, estate, _plan(policy, estate, *children), not_written)


def test_a_status_counts_everything_and_shows_a_few_of_each_trouble() -> None:
    policy = policy_of(automationAccount=[{"namePattern": "none"}])
    estate = estate_of([vault_of(number) for number in range(bounds.SAMPLES + 5)])
    plan = _plan(policy, estate)

    status = build_policy_status(
        {}, standing_of_policy(policy, estate, plan, {}), NOW, generation=3, estate=estate, plan=plan
    )

    assert (status["coverage"], status["vaults"]["withoutAccount"]) == (f"0/{bounds.SAMPLES + 5}", bounds.SAMPLES + 5)
    assert len(status["samples"]) == bounds.SAMPLES
    assert status["samples"][0]["why"] == "namePattern: leads to none"
    assert {each["type"] for each in status["conditions"]} == {
        "Ready", "DiscoveryComplete", "RolloutPaused", "RemovalsBlocked",
    }  # fmt: skip


def test_all_that_a_status_says() -> None:
    ready, failed, missing, hand, of_other, gone = (vault_of(number) for number in range(1, 7))
    poor, excluded = vault_of(7, SUBSCRIPTIONS[1]), vault_of(8)
    policy = policy_of(limits={"maxFailures": 0}, exclude={"vaults": [excluded.id.text]})
    estate = estate_of(
        [ready, failed, missing, hand, of_other, poor, excluded],
        read=frozenset(SUBSCRIPTIONS[:2]),
        unreachable={SUBSCRIPTIONS[2]: Trouble("AuthorizationFailed", "Grant it.")},
        accounts={SUBSCRIPTIONS[0]: (account_of(),), SUBSCRIPTIONS[1]: ()},
        started_at=ago(minutes=2),
        completed_at=ago(minutes=1),
    )
    by_hand = child_of(hand)
    plan = _plan(
        policy,
        estate,
        child_of(ready, policy),
        child_of(failed, policy, state=ChildState.FAILED),
        by_hand,
        child_of(of_other, policy_of(name="other", uid="o")),
        child_of(gone, policy),
    )

    status = build_policy_status(
        {"kept": 1},
        standing_of_policy(policy, estate, plan, {}),
        NOW,
        generation=3,
        estate=estate,
        plan=plan,
        evidence={gone.key: Evidence(Finding.GONE, ago(hours=1), ago(minutes=50), "the vault was deleted")},
        last_complete_at=ago(hours=2),
        removed=Tally(ago(hours=1), 3),
        changed=Tally(ago(minutes=30), 4),
        handled="now",
    )

    assert {name: value for name, value in status.items() if name not in {"conditions", "samples"}} == {
        "kept": 1,
        "observedGeneration": 3,
        "lastHandledReconcileAt": "now",
        "coverage": "2/6",
        "vaults": {
            "found": 7, "selected": 6, "managed": 2, "excluded": 1, "notAllowed": 0, "withoutReplication": 0,
            "withoutAccount": 1, "foreign": 1, "conflicting": 1, "orphaned": 1, "ready": 1, "notReady": 1,
        },
        "discovery": {
            "source": "List",
            "startedAt": "2026-03-01T11:58:00Z",
            "completedAt": "2026-03-01T11:59:00Z",
            "lastCompleteAt": "2026-03-01T10:00:00Z",
            "subscriptions": {"expected": 3, "read": 2, "unreachable": 1, "disabled": 0},
        },
        "pending": {"create": 1, "update": 0, "remove": 0},
        "rollout": {"wave": "", "number": 1, "total": 1, "failed": 1},
        "removals": {"latest": "2026-03-01T11:00:00Z", "count": 3},
        "changes": {"latest": "2026-03-01T11:30:00Z", "count": 4},
    }  # fmt: skip
    assert [(each["kind"], each["name"], each["why"]) for each in status["samples"]] == [
        ("Unreachable", SUBSCRIPTIONS[2], "AuthorizationFailed: Grant it."),
        ("WithoutAccount", poor.key, "namePattern: leads to none"),
        ("Conflicting", of_other.key, "it belongs to policy platform/other"),
        ("Foreign", hand.key, f"{by_hand.ref.key} was written by hand"),
        ("Orphaned", gone.key, "it is not among the vaults that were found and meant"),
    ]
    assert [each.get("since") for each in status["samples"]] == [None] * 4 + ["2026-03-01T11:00:00Z"]
    uncovered = (
        "1 vault has no resource yet, 1 vault has no account, 1 vault belongs to another policy, 1 resource has failed."
    )
    incomplete = "1 subscription could not be read. Grant it. What could not be seen keeps its resources."
    paused = (
        "1 resource failed; limits.maxFailures allows 0. No new ones are made. Mend them (kubectl get vau says why), "
        "suspend those that are to stay so, or raise limits.maxFailures."
    )
    under_now = {"observedGeneration": 3, "lastTransitionTime": "2026-03-01T12:00:00Z"}
    assert status["conditions"] == [
        {"type": kind, "status": holds, "reason": reason, "message": message} | under_now
        for kind, holds, reason, message in (
            ("Ready", "False", "Uncovered", uncovered),
            ("DiscoveryComplete", "False", "AuthorizationFailed", incomplete),
            ("RolloutPaused", "True", "TooManyFailures", paused),
            ("RemovalsBlocked", "False", "WithinLimits", "Nothing waits for approval."),
        )
    ]
    json.dumps(status)


@pytest.mark.parametrize(
    ("readiness", "kinds"),
    [
        (Readiness("False", "X", "m", reconciling=True), {"Ready": "False", "Reconciling": "True"}),
        (Readiness("False", "X", "m", stalled=True), {"Ready": "False", "Stalled": "True"}),
        (Readiness("True", "X", "m"), {"Ready": "True"}),
    ],
)
def test_whether_it_goes_on_by_itself_is_a_condition_only_while_it_holds(
    readiness: Readiness, kinds: dict[str, str]
) -> None:
    status = build_policy_status({}, PolicyStanding(readiness), NOW, generation=3)

    assert {each["type"]: each["status"] for each in status["conditions"]} == kinds
    assert {(each["reason"], each["message"]) for each in status["conditions"]} == {("X", "m")}
    assert set(status) == {"observedGeneration", "conditions"}, "nothing was found yet"


def test_a_condition_keeps_the_time_of_its_last_transition() -> None:
    vault, policy = vault_of(), policy_of()
    standing = _standing(policy, estate_of([vault]), child_of(vault, policy))
    first = build_policy_status({}, standing, ago(hours=1), generation=1)

    again = build_policy_status(first, standing, NOW, generation=1)

    assert again["conditions"] == first["conditions"]


def test_what_was_counted_is_read_back() -> None:
    standing = _standing(policy_of(), estate_of([]))
    status = build_policy_status({}, standing, NOW, generation=1, removed=Tally(ago(hours=1), 3), changed=Tally())

    assert read_tally(status["removals"]) == Tally(ago(hours=1), 3)
    assert "changes" not in status


@pytest.mark.parametrize(
    "value", [None, "x", {}, {"latest": "never", "count": 1}, {"latest": "2026-01-01", "count": "x"}]
)
def test_a_count_that_is_none_counts_nothing(value: object) -> None:
    assert read_tally(value) == Tally()


def test_vaults_that_the_namespace_may_not_name_are_only_counted() -> None:
    mine, theirs = vault_of(1), vault_of(2, subscription=SUBSCRIPTIONS[1])
    estate = estate_of([mine, theirs])
    facts = Facts(policy_of(), estate, {}, NOW, allows=lambda text: SUBSCRIPTIONS[0] in text)

    counts = counts_of(estate, make_plan(facts))

    assert (counts["found"], counts["notAllowed"]) == (1, 1)


def _body(**changes: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "namespace": "platform",
            "name": "x",
            "uid": "u",
            "generation": 2,
            "creationTimestamp": "2026-03-01T10:00:00Z",
            "labels": {"asr.vault-autoupdate.io/policy": "estate"},
            "annotations": {"asr.vault-autoupdate.io/policy-uid": "p", "asr.vault-autoupdate.io/adopt": "true"},
        },
        "spec": {"vaultResourceId": vault_of().id.text, "autoUpdate": "Disabled"},
    } | changes


def _ready(status: str, reason: str = "X", generation: int = 2, *more: str) -> dict[str, Any]:
    time = "2026-03-01T11:00:00Z"
    ready = {"type": "Ready", "status": status, "reason": reason, "observedGeneration": generation}
    return {"conditions": [ready | {"lastTransitionTime": time}, *({"type": each, "status": "True"} for each in more)]}


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ({}, ChildState.WORKING),
        (_ready("True"), ChildState.READY),
        (_ready("True", "X", 1), ChildState.WORKING),
        (_ready("False", "JobFailed"), ChildState.FAILED),
        (_ready("False", "Progressing", 2, "Reconciling"), ChildState.WORKING),
        (_ready("False", "VaultAlreadyManaged", 2, "Stalled"), ChildState.FAILED),
        (_ready("Unknown", "Looking"), ChildState.WORKING),
    ],
)
def test_how_a_resource_fares_is_read_from_its_conditions(status: dict[str, Any], state: ChildState) -> None:
    child = read_child(_body(status=status))

    assert child is not None
    assert (child.state, child.policy, child.policy_uid, child.adopt) == (state, "estate", "p", True)
    assert (child.ready_since is not None) == (state is ChildState.READY)


@pytest.mark.parametrize(
    ("spec", "status"),
    [({"suspend": True}, _ready("Unknown", "Suspended")), ({"mode": "Audit"}, _ready("False", "DriftDetected"))],
)
def test_a_resource_that_somebody_wants_as_it_is_has_not_failed(spec: dict[str, Any], status: dict[str, Any]) -> None:
    child = read_child(_body(spec=_body()["spec"] | spec, status=status))

    assert child is not None
    assert child.state is ChildState.EXCUSED


@pytest.mark.parametrize(
    "status", ["x", [1], {"conditions": "x"}, {"conditions": {"a": 1}}, {"conditions": [None, 1, []]}]
)
def test_a_status_that_is_none_as_one_in_a_file_may_be_says_nothing(status: Any) -> None:
    child = read_child(_body(status=status))

    assert child is not None
    assert child.state is ChildState.WORKING


def test_all_of_a_resource_is_read_that_a_plan_goes_by() -> None:
    child = read_child(_body(status=_ready("True")))

    assert child == Child(
        ref=ObjectRef(ResourceKey("platform", "x"), "u"),
        spec=Spec.model_validate(_body()["spec"]),
        policy="estate",
        policy_uid="p",
        stamped_mode="",
        adopt=True,
        state=ChildState.READY,
        ready_since=ago(hours=1),
        created_at=ago(hours=2),
        deleting=False,
    )
    bare = read_child({"metadata": {"namespace": "a", "name": "b"}, "spec": _body()["spec"]})
    assert bare is not None
    assert (bare.ref.uid, bare.policy, bare.policy_uid, bare.adopt, bare.created_at) == ("", "", "", False, LONG_AGO)
    stamped = _body()["metadata"] | {
        "annotations": {"asr.vault-autoupdate.io/stamped-mode": "Audit"},
        "deletionTimestamp": "2026-03-01T10:00:00Z",
    }
    leaving = read_child(_body(metadata=stamped))
    assert leaving is not None
    assert (leaving.stamped_mode, leaving.adopt, leaving.deleting) == ("Audit", False, True)


def test_a_resource_that_cannot_be_acted_on_has_no_vault() -> None:
    assert read_child(_body(spec={"vaultResourceId": "x"})) is None


@pytest.mark.parametrize(
    ("spec", "status", "state"),
    [
        ({"suspend": True}, _ready("False", "X", 1), ChildState.EXCUSED),
        ({"suspend": True}, {}, ChildState.EXCUSED),
        ({"suspend": True}, _ready("True"), ChildState.READY),
        ({"suspend": True}, _ready("False", "X", 2, "Stalled"), ChildState.EXCUSED),
        ({"mode": "Audit"}, _ready("False", "MappingsFailed"), ChildState.FAILED),
        ({"mode": "Enforce"}, _ready("False", "DriftDetected"), ChildState.FAILED),
        ({}, _ready("Unknown", "X", 2, "Stalled"), ChildState.FAILED),
        ({}, _ready("False", "X", 2, "Stalled", "Reconciling"), ChildState.FAILED),
        ({}, {"conditions": None}, ChildState.WORKING),
        ({}, None, ChildState.WORKING),
    ],
)
def test_who_waits_who_has_failed_and_who_is_as_somebody_wants_it(
    spec: dict[str, Any], status: dict[str, Any] | None, state: ChildState
) -> None:
    child = read_child(_body(spec=_body()["spec"] | spec, status=status))

    assert child is not None
    assert child.state is state


def test_a_condition_that_does_not_hold_is_as_good_as_none() -> None:
    ready = _ready("False", "X")
    ready["conditions"] += [{"type": kind, "status": "False"} for kind in ("Stalled", "Reconciling")]
    waiting = _ready("Unknown", "X")
    waiting["conditions"] += [{"type": "Stalled", "status": "False"}]

    children = [read_child(_body(status=status)) for status in (ready, waiting)]

    assert [child and child.state for child in children] == [ChildState.FAILED, ChildState.WORKING]


def test_a_resource_says_which_shard_it_is_of_and_what_is_not_told_is_empty() -> None:
    body = _body(metadata=_body()["metadata"] | {"labels": {SHARD_LABEL: "a"}, "annotations": None})
    child = read_child(body)

    assert child is not None
    assert (child.shard, child.policy, child.policy_uid, child.stamped_mode, child.adopt) == ("a", "", "", "", False)
    handed = _body()["metadata"] | {"annotations": {"asr.vault-autoupdate.io/adopt": "yes"}}
    not_handed = read_child(_body(metadata=handed))
    assert not_handed is not None
    assert not not_handed.adopt


@pytest.mark.parametrize(
    ("value", "tally"),
    [
        ({"latest": "2026-03-01T12:00:00Z", "count": 1}, Tally(NOW, 1)),
        ({"latest": "2026-03-01T12:00:00Z", "count": 0}, Tally()),
        ({"latest": "2026-03-01T12:00:00Z", "count": -1}, Tally()),
        ({"latest": "2026-03-01T12:00:00Z"}, Tally()),
        ({"count": 1}, Tally()),
        ([], Tally()),
    ],
)
def test_a_tally_is_read_whole_or_not_at_all(value: object, tally: Tally) -> None:
    assert read_tally(value) == tally


def test_a_transition_is_timed_when_the_status_flips_and_only_then() -> None:
    ready = Readiness("False", "X", "m", reconciling=True)
    first = build_policy_status({}, PolicyStanding(ready), ago(hours=2), generation=1)
    again = Readiness("False", "Y", "n", stalled=True)
    second = build_policy_status(first, PolicyStanding(again, complete=ready), ago(hours=1), generation=2)
    third = build_policy_status(second, PolicyStanding(Readiness("True", "Z", "o")), NOW, generation=3)

    def told(status: dict[str, Any]) -> list[tuple[str, ...]]:
        fields = ("type", "status", "reason", "message", "observedGeneration", "lastTransitionTime")
        return [tuple(str(each[field]) for field in fields) for each in status["conditions"]]

    two, one, now = (f"2026-03-01T{hour}:00:00Z" for hour in ("10", "11", "12"))
    assert told(first) == [("Ready", "False", "X", "m", "1", two), ("Reconciling", "True", "X", "m", "1", two)]
    assert told(second) == [
        ("Ready", "False", "Y", "n", "2", two),
        ("Stalled", "True", "Y", "n", "2", one),
        ("DiscoveryComplete", "False", "X", "m", "2", one),
    ]
    assert told(third) == [("Ready", "True", "Z", "o", "3", now)]
    assert third["observedGeneration"] == 3


def test_what_is_not_said_anew_stays_as_it_was() -> None:
    before = {"lastHandledReconcileAt": "before", "coverage": "1/2", "removals": {"latest": "x", "count": 1}}
    standing = PolicyStanding(Readiness("True", "X", "m"))
    estate, policy = estate_of([]), policy_of()

    for facts in ({}, {"estate": estate}, {"plan": _plan(policy, estate)}, {"removed": Tally()}):
        status = build_policy_status(before, standing, NOW, generation=1, **facts)
        assert {name: status[name] for name in before} == before
    assert before == {"lastHandledReconcileAt": "before", "coverage": "1/2", "removals": {"latest": "x", "count": 1}}
    complete = build_policy_status(before, standing, NOW, generation=1, estate=estate, plan=_plan(policy, estate))
    assert "lastCompleteAt" not in complete["discovery"]


def test_what_waits_for_approval_is_named_and_counted() -> None:
    policy = policy_of(template={"autoUpdate": "Enabled", "interval": "2h"}, limits={"maxNewPerHour": 1})
    vaults = [vault_of(number) for number in range(3)]
    estate = replace(estate_of(vaults), disabled=frozenset({SUBSCRIPTIONS[2]}))
    plan = _plan(policy, estate, *(child_of(vault, policy_of()) for vault in vaults[:2]))
    leaving = replace(plan, leaving=(Removal(child_of(vaults[0], policy), "gone"),))
    standing = standing_of_policy(policy, estate, plan, {})

    status = build_policy_status({}, standing, NOW, generation=1, estate=estate, plan=leaving)

    assert plan.hash
    assert status["pending"] == {"create": 1, "update": 2, "remove": 1, "planHash": plan.hash}
    assert status["discovery"]["subscriptions"] == {"expected": 3, "read": 3, "unreachable": 0, "disabled": 1}


def test_of_each_trouble_so_many_are_shown_in_order_and_texts_are_cut() -> None:
    long = "x" * 2000
    estate = estate_of([], unreachable={key: Trouble(long, "y") for key in reversed(SUBSCRIPTIONS)})
    keys = [f"v{number}" for number in (3, 1, 2)]
    other = child_of(vault_of(), policy_of(name="other", uid="o"))
    plan = replace(
        _plan(policy_of(), estate_of([])),
        without_account={**dict.fromkeys(keys, "why"), long: long},
        conflicting={key: ResourceKey("platform", "other") for key in keys},
        foreign=dict.fromkeys(keys, other),
        orphaned=dict.fromkeys(keys, "lost"),
    )

    found = list(samples_of(estate, plan, {"v1": Evidence(Finding.GONE, ago(hours=1), NOW, "")}, most=2))

    assert [(each["kind"], each["name"]) for each in found] == [
        ("Unreachable", SUBSCRIPTIONS[0]), ("Unreachable", SUBSCRIPTIONS[1]),
        *((kind, name) for kind in ("WithoutAccount", "Conflicting", "Foreign", "Orphaned") for name in ("v1", "v2")),
    ]  # fmt: skip
    assert [each.get("since") for each in found[-2:]] == ["2026-03-01T11:00:00Z", None]
    assert len(found[0]["why"].encode()) == 400
    assert all(set(each) <= {"kind", "name", "why", "since"} for each in found)
    long_one = next(each for each in samples_of(estate, plan, {}) if each["name"].startswith("xx"))
    assert (len(long_one["name"].encode()), len(long_one["why"].encode())) == (512, 400)


def test_a_resource_that_somebody_wants_as_it_is_counts_as_ready_and_an_idle_vault_by_itself() -> None:
    policy = policy_of(vaultSelector={"replication": "Present"})
    vaults = [replace(vault_of(number), replicates=number > 0) for number in range(4)]
    states = (ChildState.EXCUSED, ChildState.WORKING, ChildState.FAILED)
    estate = estate_of(vaults)
    children = [child_of(vault, policy, state=state) for vault, state in zip(vaults[1:], states, strict=True)]

    counts = counts_of(estate, _plan(policy, estate, *children))

    assert {name: count for name, count in counts.items() if count} == {
        "found": 4, "selected": 3, "managed": 3, "withoutReplication": 1, "ready": 1, "notReady": 2,
    }  # fmt: skip
