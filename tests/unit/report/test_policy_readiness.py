"""Where a policy stands, in whole sentences: these are what people read in conditions and Events."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.builders import NOW
from tests.unit.decide.policy_builders import SUBSCRIPTIONS, by_vault, child_of, estate_of, policy_of, vault_of
from vault_autoupdate.decide.policy_limits import Gate
from vault_autoupdate.decide.policy_plan import make_plan
from vault_autoupdate.decide.policy_steps import Facts, PolicyPlan, Removal
from vault_autoupdate.decide.tenancy import Refusal
from vault_autoupdate.model.conditions import Reason
from vault_autoupdate.model.estate import Child, ChildState, Estate, FoundVault, Trouble
from vault_autoupdate.model.policy import VaultAutoUpdatePolicy
from vault_autoupdate.model.resource import InvalidSpec
from vault_autoupdate.report.policy_readiness import (
    PolicyStanding,
    invalid_policy,
    is_alarming,
    refused_policy,
    standing_of_policy,
    suspended_policy,
)
from vault_autoupdate.report.readiness import Readiness

_GRANT = Trouble("AuthorizationFailed", "Grant it.")
_LONG = "x" * 2000
_NO_SHARE: dict[str, Any] = {"limits": {"maxFailures": 0}}


def _plan(policy: VaultAutoUpdatePolicy, estate: Estate, *children: Child) -> PolicyPlan:
    return make_plan(Facts(policy=policy, estate=estate, resources=by_vault(*children), now=NOW))


def _standing(
    policy: VaultAutoUpdatePolicy, estate: Estate, *children: Child, not_written: dict[str, str] | None = None
) -> PolicyStanding:
    return standing_of_policy(policy, estate, _plan(policy, estate, *children), not_written or {})


def test_a_policy_that_cannot_be_acted_on_is_stalled_until_somebody_mends_it() -> None:
    assert invalid_policy(InvalidSpec(["spec.scope: required"])) == PolicyStanding(
        Readiness("False", "InvalidSpec", "Nothing is done: spec.scope: required", stalled=True)
    )
    assert refused_policy(Refusal(Reason.CREDENTIAL_NOT_ALLOWED, "Nothing is done: no.")) == PolicyStanding(
        Readiness("False", "CredentialNotAllowed", "Nothing is done: no.", stalled=True)
    )


@pytest.mark.parametrize(
    "standing", [invalid_policy(InvalidSpec([_LONG])), refused_policy(Refusal(Reason.CREDENTIAL_NOT_ALLOWED, _LONG))]
)
def test_what_others_have_written_is_cut_to_what_a_condition_holds(standing: PolicyStanding) -> None:
    assert len(standing.ready.message.encode()) == 1000


def test_a_suspended_policy_says_that_what_there_is_goes_on() -> None:
    ready = suspended_policy().ready

    assert (ready.ready, ready.reason, ready.stalled, ready.reconciling) == ("Unknown", "Suspended", False, False)
    assert ready.message == (
        "Nothing is looked for, made, changed or removed; the resources that there are go on. Set spec.suspend to "
        "false to go on."
    )


def _child(vault: FoundVault, policy: VaultAutoUpdatePolicy, **child: Any) -> Child:
    return child_of(vault, child.pop("of", policy), **child)


_OTHER = policy_of(name="other", uid="other-uid")
_DIFFERS: dict[str, Any] = {"template": {"autoUpdate": "Enabled", "interval": "2h"}}
_AUDIT = {"mode": "Audit"}
_EXAMPLES = "status.samples has examples."
_DO_IT = "Set spec.mode to Enforce to have it done."


@pytest.mark.parametrize(
    ("spec", "child", "reason", "reconciling", "one", "two"),
    [
        ({}, None, "Uncovered", True, "1 vault has no resource yet.", "2 vaults have no resource yet."),
        (
            {"automationAccount": [{"namePattern": "x"}]}, None, "Uncovered", False,
            f"1 vault has no account. {_EXAMPLES}", f"2 vaults have no account. {_EXAMPLES}",
        ),
        (
            {}, {"of": _OTHER}, "Uncovered", False,
            f"1 vault belongs to another policy. {_EXAMPLES}", f"2 vaults belong to another policy. {_EXAMPLES}",
        ),
        (
            {}, {"state": ChildState.FAILED}, "Uncovered", False,
            f"1 resource has failed. {_EXAMPLES}", f"2 resources have failed. {_EXAMPLES}",
        ),
        (
            {}, {"state": ChildState.WORKING}, "Progressing", True,
            "1 resource is being worked on.", "2 resources are being worked on.",
        ),
        (_DIFFERS, {}, "Progressing", True, "1 resource is to be changed.", "2 resources are to be changed."),
        (
            _DIFFERS, {"state": ChildState.WORKING}, "Progressing", True,
            "1 resource is being worked on.", "2 resources are being worked on.",
        ),
        (
            _DIFFERS | _NO_SHARE, {"state": ChildState.FAILED}, "Progressing", False,
            "1 resource has failed.", "2 resources have failed.",
        ),
        (
            _AUDIT, None, "WouldChange", False,
            f"1 resource would be made. {_DO_IT}", f"2 resources would be made. {_DO_IT}",
        ),
        (
            _AUDIT | _DIFFERS, {}, "WouldChange", False,
            f"1 would be changed. {_DO_IT}", f"2 would be changed. {_DO_IT}",
        ),
    ],
)  # fmt: skip
def test_what_is_not_covered_is_counted_in_words(  # noqa: PLR0917 - one row is one case
    spec: dict[str, Any],
    child: dict[str, Any] | None,
    reason: str,
    reconciling: bool,
    one: str,
    two: str,
) -> None:
    policy = policy_of(**spec)
    for count, words in ((1, one), (2, two)):
        vaults = [vault_of(number) for number in range(count)]
        children = [] if child is None else [_child(vault, policy, **child) for vault in vaults]

        ready = _standing(policy, estate_of(vaults), *children).ready

        assert ready == Readiness("False", reason, words, reconciling=reconciling)


@pytest.mark.parametrize("state", [ChildState.READY, ChildState.EXCUSED])
def test_what_is_ready_or_as_somebody_wants_it_is_covered(state: ChildState) -> None:
    vaults, policy = [vault_of(1), vault_of(2)], policy_of()

    ready = _standing(policy, estate_of(vaults), *(child_of(vault, policy, state=state) for vault in vaults)).ready

    assert ready == Readiness("True", "Covered", "Every vault that is meant is covered: 2 vaults.")


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (1, "1 resource is for a vault that was not found, or not meant."),
        (2, "2 resources are for vaults that were not found, or not meant."),
    ],
)
def test_that_all_vaults_are_covered_since_none_was_found_does_not_hide_the_resources_that_there_are(
    left: int, said: str
) -> None:
    policy = policy_of()

    ready = _standing(policy, estate_of([]), *(child_of(vault_of(number), policy) for number in range(left))).ready

    assert ready == Readiness("True", "Covered", f"Every vault that is meant is covered: 0 vaults. {said}")


def test_all_that_is_not_covered_is_told_together() -> None:
    policy = policy_of()
    vaults = [vault_of(number) for number in range(8)]
    others = [child_of(vault, _OTHER) for vault in vaults[2:4]]
    failed = [child_of(vault, policy, state=ChildState.FAILED) for vault in vaults[4:6]]
    poor = [vault_of(number, SUBSCRIPTIONS[1]) for number in (1, 2)]
    estate = estate_of([*vaults[:6], *poor])
    without = replace(estate, accounts={**estate.accounts, SUBSCRIPTIONS[1]: ()})

    ready = _standing(policy, without, *others, *failed, child_of(vaults[6], policy, state=ChildState.WORKING)).ready

    assert ready == Readiness(
        "False",
        "Uncovered",
        "2 vaults have no resource yet, 2 vaults have no account, 2 vaults belong to another policy, 2 resources have "
        "failed.",
        reconciling=True,
    )


@pytest.mark.parametrize(("count", "words"), [(1, "1 would be removed."), (2, "2 would be removed.")])
def test_a_policy_that_only_looks_tells_what_would_be_removed(count: int, words: str) -> None:
    policy, estate = policy_of(mode="Audit"), estate_of([])
    leaving = tuple(Removal(child_of(vault_of(number), policy), "gone") for number in range(count))

    ready = standing_of_policy(policy, estate, replace(_plan(policy, estate), leaving=leaving), {}).ready

    assert ready == Readiness("False", "WouldChange", f"{words} {_DO_IT}")


@pytest.mark.parametrize("state", [ChildState.FAILED, ChildState.WORKING])
def test_a_resource_that_yields_to_one_written_by_hand_is_no_trouble(state: ChildState) -> None:
    vault, policy = vault_of(), policy_of(**_NO_SHARE)

    standing = _standing(policy, estate_of([vault]), child_of(vault, policy, state=state), child_of(vault))

    assert (standing.ready.reason, standing.paused and standing.paused.ready) == ("Covered", "False")


@pytest.mark.parametrize(
    ("not_written", "words"),
    [
        ({"x": "403 Forbidden"}, "1 resource could not be written, among them x: 403 Forbidden"),
        ({"y": "409", "x": "403"}, "2 resources could not be written, among them x: 403"),
    ],
)
def test_what_the_api_server_did_not_take_is_named_and_tried_again(not_written: dict[str, str], words: str) -> None:
    ready = _standing(policy_of(), estate_of([vault_of()]), not_written=not_written).ready

    assert ready == Readiness("False", "NotWritten", words, reconciling=True)
    long = _standing(policy_of(), estate_of([]), not_written={"x": _LONG}).ready
    assert len(long.message.encode()) == 1000


@pytest.mark.parametrize(
    ("estate", "words"),
    [
        ({"doubts": (_GRANT,), "unreachable": {SUBSCRIPTIONS[0]: Trouble("X", "Not this.")}}, "Grant it."),
        ({"unreachable": {SUBSCRIPTIONS[0]: _GRANT}}, "Grant it."),
        ({}, "Check spec.scope and the roles of the identity."),
        ({"doubts": (Trouble("X", _LONG),)}, None),
    ],
)
def test_a_discovery_that_saw_nothing_is_never_called_covered(estate: dict[str, Any], words: str | None) -> None:
    said = f"No subscription in scope could be read: nothing is known, and nothing is changed. {words or _LONG}"
    ready = _standing(policy_of(), estate_of([], read=frozenset(), **estate)).ready

    assert ready == Readiness("False", "NothingReadable", ready.message, reconciling=True)
    assert ready.message == (said if words else said.encode()[:997].decode() + "…")


_SEEN = "What could not be seen keeps its resources."


@pytest.mark.parametrize(
    ("estate", "complete"),
    [
        ({}, Readiness("True", "Complete", "All of the scope could be read: 1 vault in 3 subscriptions.")),
        (
            {"unreachable": {SUBSCRIPTIONS[2]: _GRANT}},
            Readiness("False", "AuthorizationFailed", f"1 subscription could not be read. Grant it. {_SEEN}"),
        ),
        (
            {"unreachable": {SUBSCRIPTIONS[2]: Trouble("Late"), SUBSCRIPTIONS[1]: _GRANT}},
            Readiness("False", "AuthorizationFailed", f"2 subscriptions could not be read. Grant it. {_SEEN}"),
        ),
        (
            {"doubts": (Trouble("PagesDiffer", "Wait."),), "unreachable": {SUBSCRIPTIONS[2]: _GRANT}},
            Readiness("False", "PagesDiffer", f"1 subscription could not be read. Wait. {_SEEN}"),
        ),
        ({"doubts": (Trouble("PagesDiffer", "Wait."),)}, Readiness("False", "PagesDiffer", f"Wait. {_SEEN}")),
        (
            {"expected": frozenset()},
            Readiness(
                "False",
                "NothingInScope",
                "No subscription could be seen in spec.scope. Nothing is removed because of it. Check the names, and "
                "that the identity has a role there.",
            ),
        ),
    ],
)
def test_an_incomplete_discovery_says_what_is_lost_and_what_to_do(estate: dict[str, Any], complete: Readiness) -> None:
    vault, policy = vault_of(), policy_of()

    standing = _standing(policy, estate_of([vault], **estate), child_of(vault, policy))

    assert standing.complete == complete
    assert standing.ready == (
        Readiness("True", "Covered", "Every vault that is meant is covered: 1 vault.")
        if complete.ready == "True"
        else Readiness("False", "DiscoveryIncomplete", "All vaults that could be seen are covered, but not all could.")
    )


def test_what_azure_says_of_an_incomplete_discovery_is_cut_to_what_a_condition_holds() -> None:
    complete = _standing(policy_of(), estate_of([], doubts=(Trouble("X", _LONG),))).complete

    assert complete is not None
    assert len(complete.message.encode()) == 1000


@pytest.mark.parametrize(("failed", "words"), [(1, "1 resource"), (2, "2 resources")])
def test_a_paused_rollout_says_why_and_what_to_do(failed: int, words: str) -> None:
    vaults, policy = [vault_of(number) for number in range(3)], policy_of(**_NO_SHARE)
    children = [child_of(vault, policy, state=ChildState.FAILED) for vault in vaults[:failed]]

    standing = _standing(policy, estate_of(vaults), *children)

    assert standing.paused == Readiness(
        "True",
        "TooManyFailures",
        f"{words} failed; limits.maxFailures allows 0. No new ones are made. Mend them (kubectl get vau says why), "
        "suspend those that are to stay so, or raise limits.maxFailures.",
    )
    assert not standing.ready.reconciling, "it does not go on by itself"


@pytest.mark.parametrize("spec", [{}, _NO_SHARE | _AUDIT])
def test_a_rollout_that_nothing_keeps_says_so_and_so_does_one_that_only_looks(spec: dict[str, Any]) -> None:
    vault, policy = vault_of(), policy_of(**spec)

    standing = _standing(policy, estate_of([vault]), child_of(vault, policy, state=ChildState.FAILED))

    assert standing.paused == Readiness("False", "WithinLimits", "Nothing keeps the rollout.")


def test_a_blocked_plan_says_how_to_approve_exactly_it() -> None:
    vaults = [vault_of(number) for number in range(3)]
    policy = policy_of(**_DIFFERS, limits={"maxNewPerHour": 2})
    children = [child_of(vault, policy) for vault in vaults]
    plan = _plan(policy, estate_of(vaults), *children)

    standing = standing_of_policy(policy, estate_of(vaults), plan, {})

    assert plan.hash != ""
    assert standing.blocked == Readiness(
        "True",
        "AboveLimits",
        "3 resources would be changed; 2 are allowed. To approve exactly that, set the annotation "
        f"asr.vault-autoupdate.io/approve={plan.hash}. vault-autoupdate policy plan -n platform estate lists it.",
    )
    assert standing.ready == Readiness("False", "Progressing", "3 resources are to be changed.")


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (
            {"removals": Gate(is_open=False, limit=1)},
            "1 resource would leave, of which 0 with proof; limits.maxRemovals allows 1 in a day.",
        ),
        (
            {"removals": Gate(is_open=False, limit=1), "changes": Gate(is_open=False, limit=4)},
            (
                "1 resource would leave, of which 0 with proof; limits.maxRemovals allows 1 in a day. "
                "0 resources would be changed; 4 are allowed."
            ),
        ),
    ],
)
def test_removals_that_are_blocked_are_counted_with_those_that_are_proved(plan: dict[str, Any], words: str) -> None:
    policy = policy_of(onUnmatched="Release", limits={"maxRemovals": 0})
    seen = replace(_plan(policy, estate_of([]), child_of(vault_of(), policy)), **plan)

    assert standing_of_policy(policy, estate_of([]), seen, {}).blocked == Readiness(
        "True", "AboveLimits", f"{words} vault-autoupdate policy plan -n platform estate lists it."
    )


@pytest.mark.parametrize("spec", [{}, _AUDIT])
def test_nothing_waits_for_approval_where_the_gates_are_open_or_the_policy_only_looks(spec: dict[str, Any]) -> None:
    policy, gate = policy_of(**spec), Gate(is_open=not spec)
    plan = replace(_plan(policy, estate_of([])), removals=gate, changes=gate)

    assert standing_of_policy(policy, estate_of([]), plan, {}).blocked == Readiness(
        "False", "WithinLimits", "Nothing waits for approval."
    )


@pytest.mark.parametrize(
    ("event", "alarming"),
    [
        (Readiness("True", "Covered", ""), False),
        (Readiness("False", "WouldChange", ""), False),
        (Readiness("False", "Uncovered", "", reconciling=True), False),
        (Readiness("False", "Uncovered", ""), True),
        (Readiness("False", "AuthorizationFailed", ""), True),
        (Readiness("False", "NothingReadable", "", reconciling=True), True),
        (Readiness("Unknown", "Suspended", ""), False),
    ],
)
def test_the_log_warns_of_what_somebody_may_have_to_act_on(event: Readiness, alarming: bool) -> None:
    assert is_alarming(event) is alarming
