"""What is decided about a mapping: the decision table, row by row, and what holds for every plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import (
    ACCOUNT_ID,
    DISABLE,
    ENABLE,
    HOUR,
    NOW,
    OTHER_ACCOUNT_ID,
    attempt,
    disabled,
    mapping,
    unhealthy,
)
from tests.unit.strategies import ATTEMPTS_BY_KEY, GOALS, HOSTILE_VAULTS, RUNNING, VAULTS
from vault_autoupdate.arm.wire import site_recovery as wire
from vault_autoupdate.decide.attempts import Attempt
from vault_autoupdate.decide.jobs import Operation
from vault_autoupdate.decide.plan import Action, Decision, Plan, decide, is_in_scope, make_plan
from vault_autoupdate.model.azure import ContainerMapping, LostArtifact
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.model.resource import AutoUpdate, Goal

OURS = Operation(mapping().id, "j", NOW)
OTHER_ACCOUNT_AND_RUN_AS = (
    "automation account is rg-dr/aa-other, declared rg-dr/aa-dr; "
    "authentication is RunAsAccount, declared SystemAssignedIdentity"
)


def _decide(
    goal: Goal, seen: ContainerMapping, *, running: Operation | None = None, tried: Attempt | None = None
) -> tuple[Action, str]:
    decision = decide(goal, seen, running=running, attempt=tried, now=NOW)
    return decision.action, decision.reason


# The decision table; the first row that applies decides.


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (mapping(instance_type="InMageRcm"), "provider is InMageRcm, not A2A"),
        (mapping(instance_type="A2ACrossClusterMigration"), "provider is A2ACrossClusterMigration, not A2A"),
        (mapping(instance_type=""), "provider is not given, not A2A"),
        (mapping(state="PairingInProgress"), "state is PairingInProgress, not Paired"),
        (mapping(state=""), "state is not given, not Paired"),
        (mapping(instance_type="VMwareCbt", state="x"), "provider is VMwareCbt, not A2A"),
    ],
)
@pytest.mark.parametrize("goal", [ENABLE, DISABLE])
@pytest.mark.parametrize("running", [None, OURS], ids=["idle", "at work"])
def test_what_is_no_paired_a2a_mapping_is_ignored_whatever_else_is_the_case(
    goal: Goal, seen: ContainerMapping, reason: str, running: Operation | None
) -> None:
    assert _decide(goal, seen, running=running, tried=attempt(next_in=HOUR)) == (Action.IGNORE, reason)


@pytest.mark.parametrize("seen", [mapping(), disabled(), unhealthy()])
@pytest.mark.parametrize("goal", [ENABLE, DISABLE])
def test_a_mapping_with_a_running_job_is_tracked_and_not_patched(goal: Goal, seen: ContainerMapping) -> None:
    action, reason = _decide(goal, seen, running=OURS, tried=attempt(next_in=-HOUR))
    assert (action, reason) == (Action.TRACK, f"our job is at work on it since {NOW:%Y-%m-%dT%H:%M:%SZ}")


@pytest.mark.parametrize(
    ("job_id", "scenario", "named"),
    [
        ("j-1", "ModifyCloudPairing", "ModifyCloudPairing j-1"),
        ("j-1", "", "j-1"),
        ("", "", "of which nothing more is known"),
    ],
)
def test_a_job_that_was_begun_elsewhere_is_named_with_what_it_does_and_since_when(
    job_id: str, scenario: str, named: str
) -> None:
    job = Operation(mapping().id, job_id, NOW, adopted=True, scenario=scenario)
    _, reason = _decide(ENABLE, disabled(), running=job)
    assert reason == f"a job that was begun elsewhere is at work on it since {NOW:%Y-%m-%dT%H:%M:%SZ}: {named}"


@pytest.mark.parametrize(
    "seen",
    [
        disabled(),
        disabled(auto_update_status="DISABLED"),
        disabled(automation_account_id=OTHER_ACCOUNT_ID),
        disabled(authentication_type="SystemAssignedIdentity"),
        disabled(health_errors=(Explanation(category="AgentAutoUpdateInfra"),)),
    ],
)
def test_wanted_disabled_and_disabled_is_kept_whatever_its_account_authentication_and_health(
    seen: ContainerMapping,
) -> None:
    assert _decide(DISABLE, seen) == (Action.KEEP, "auto-update is Disabled")


@pytest.mark.parametrize(
    "seen",
    [
        mapping(),
        mapping(auto_update_status="enabled"),
        mapping(automation_account_id=ACCOUNT_ID.upper()),
        mapping(automation_account_id=ACCOUNT_ID.replace("/subscriptions/", "/Subscriptions/")),
        mapping(authentication_type="SYSTEMASSIGNEDIDENTITY"),
    ],
)
def test_wanted_enabled_and_all_three_match_in_any_case_without_health_errors_is_kept(seen: ContainerMapping) -> None:
    assert _decide(ENABLE, seen) == (Action.KEEP, "auto-update is Enabled")


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (Explanation(category="AgentAutoUpdateInfra", code="1", message="m"), "AgentAutoUpdateInfra (1)"),
        (Explanation(code="151083", message="m"), "151083"),
        (Explanation(message="The account is gone."), "The account is gone."),
        (Explanation(), "no details given"),
    ],
)
def test_as_declared_but_unhealthy_is_repaired_and_names_what_ails_it(error: Explanation, named: str) -> None:
    assert _decide(ENABLE, mapping(health_errors=(error,))) == (Action.REPAIR, f"unhealthy: {named}")


@pytest.mark.parametrize(
    ("goal", "seen", "reason"),
    [
        (ENABLE, disabled(), "auto-update is Disabled, declared Enabled"),
        (ENABLE, mapping(auto_update_status=""), "auto-update is not set, declared Enabled"),
        (DISABLE, mapping(), "auto-update is Enabled, declared Disabled"),
        (DISABLE, mapping(auto_update_status=""), "auto-update is not set, declared Disabled"),
        (
            ENABLE,
            mapping(automation_account_id=OTHER_ACCOUNT_ID),
            "automation account is rg-dr/aa-other, declared rg-dr/aa-dr",
        ),
        (
            ENABLE,
            mapping(automation_account_id=ACCOUNT_ID.replace("rg-dr", "rg-other")),
            "automation account is rg-other/aa-dr, declared rg-dr/aa-dr",
        ),
        (
            ENABLE,
            mapping(automation_account_id=ACCOUNT_ID.replace("aa-dr", "aa-X/")),
            "automation account is rg-dr/aa-X, declared rg-dr/aa-dr",
        ),
        (ENABLE, mapping(automation_account_id=""), "automation account is not set, declared rg-dr/aa-dr"),
        (ENABLE, mapping(automation_account_id="odd"), "automation account is odd, declared rg-dr/aa-dr"),
        (
            ENABLE,
            mapping(authentication_type="RunAsAccount"),
            "authentication is RunAsAccount, declared SystemAssignedIdentity",
        ),
        (ENABLE, mapping(authentication_type=""), "authentication is not set, declared SystemAssignedIdentity"),
        (
            ENABLE,
            mapping(automation_account_id=OTHER_ACCOUNT_ID, authentication_type="RunAsAccount"),
            OTHER_ACCOUNT_AND_RUN_AS,
        ),
    ],
)
def test_what_differs_is_patched_and_the_reason_names_every_difference(
    goal: Goal, seen: ContainerMapping, reason: str
) -> None:
    assert _decide(goal, seen) == (Action.PATCH, reason)


def test_a_mapping_that_differs_and_is_unhealthy_is_patched_for_the_difference() -> None:
    assert _decide(ENABLE, unhealthy(auto_update_status="Disabled"))[0] is Action.PATCH


@pytest.mark.parametrize(
    ("seen", "what"),
    [
        (disabled(), "auto-update is Disabled, declared Enabled"),
        (unhealthy(), "unhealthy: AgentAutoUpdateInfra"),
    ],
)
def test_before_its_next_try_a_mapping_waits_and_afterwards_it_is_tried_again(
    seen: ContainerMapping, what: str
) -> None:
    early = decide(ENABLE, seen, running=None, attempt=attempt(3, next_in=timedelta(seconds=1)), now=NOW)
    due = decide(ENABLE, seen, running=None, attempt=attempt(3, next_in=timedelta()), now=NOW)

    assert (early.action, early.actionable) == (Action.WAIT, False)
    assert early.reason == f"{what}; tried 3 times, next try at 2026-03-01T12:00:01Z"
    assert (due.action, due.actionable) == (Action.REPAIR if "unhealthy" in what else Action.PATCH, True)
    assert due.reason == what


@pytest.mark.parametrize(
    ("category", "named"), [("AgentAutoUpdateInfra", "AgentAutoUpdateInfra (151083)"), ("", "151083")]
)
def test_what_waits_for_its_next_repair_tells_what_ails_it_in_azures_words(category: str, named: str) -> None:
    error = Explanation("151083", "No account.", "It is gone.", "Make one.", category=category)
    waiting = decide(ENABLE, mapping(health_errors=(error,)), running=None, attempt=attempt(), now=NOW)

    assert waiting.unhealthy == Explanation(named, "No account.", "It is gone.", "Make one.")
    assert decide(ENABLE, disabled(health_errors=(error,)), running=None, attempt=attempt(), now=NOW).unhealthy is None


_WHO_ELSE = (
    "Look at the job in the vault's Site Recovery jobs, and for what else may set this: Azure Policy, Terraform, a "
    "script, another operator."
)
_MIGRATE = (
    "Site Recovery keeps the retired Run As account: in the vault, Site Recovery infrastructure > Extension update "
    "settings > Migrate; or set autoUpdate to Disabled, wait, and to Enabled again."
)
_MAY_IT = "Check that Site Recovery may use the declared account for this vault, and for what else may set it."
_RUN_AS = "authentication is RunAsAccount, declared SystemAssignedIdentity"
_OTHER = "automation account is rg-dr/aa-other, declared rg-dr/aa-dr"


@pytest.mark.parametrize(
    ("goal", "seen", "what", "action"),
    [
        (ENABLE, disabled(), "auto-update is Disabled, declared Enabled", _WHO_ELSE),
        (DISABLE, mapping(), "auto-update is Enabled, declared Disabled", _WHO_ELSE),
        (ENABLE, mapping(authentication_type="RunAsAccount"), _RUN_AS, _MIGRATE),
        (ENABLE, mapping(automation_account_id=OTHER_ACCOUNT_ID), _OTHER, _MAY_IT),
        (
            ENABLE,
            mapping(automation_account_id="", authentication_type="RunAsAccount"),
            f"automation account is not set, declared rg-dr/aa-dr; {_RUN_AS}",
            _MIGRATE,
        ),
    ],
)
def test_what_differs_still_after_it_was_changed_says_what_and_what_may_help(
    goal: Goal, seen: ContainerMapping, what: str, action: str
) -> None:
    waiting = decide(goal, seen, running=None, attempt=attempt(), now=NOW)

    assert waiting.differs == Explanation(message=f"Accepted, and still {what}.", recommended_action=action)
    assert decide(goal, seen, running=None, attempt=None, now=NOW).differs is None


def test_one_try_is_told_in_the_singular() -> None:
    assert "; tried 1 time, next try" in _decide(ENABLE, disabled(), tried=attempt(1))[1]


def test_what_is_right_again_is_kept_however_often_it_failed() -> None:
    assert _decide(ENABLE, mapping(), tried=attempt(7, next_in=HOUR))[0] is Action.KEEP


# What the Automation account has lost.

LOST = LostArtifact("alpha_A85EA38F", "schedule alpha_A85EA38F is missing")
IN_NEED = mapping(schedule_name="alpha_A85EA38F", job_schedule_name="3d6f1e0c")


def _with_lost(seen: ContainerMapping, goal: Goal = ENABLE, lost: LostArtifact = LOST) -> Decision:
    (decision,) = make_plan(goal, [seen], running={}, attempts={}, missing={seen.key: lost}, now=NOW).decisions
    return decision


@pytest.mark.parametrize("lost", [LOST, LostArtifact("ALPHA_a85ea38f", LOST.what), LostArtifact("3D6F1E0C", LOST.what)])
def test_a_mapping_whose_account_has_lost_what_it_names_is_repaired(lost: LostArtifact) -> None:
    decision = _with_lost(IN_NEED, lost=lost)

    assert (decision.action, decision.reason) == (Action.REPAIR, "unhealthy: schedule alpha_A85EA38F is missing")


@pytest.mark.parametrize("names", [("alpha_NEW", "77777777"), ("", "")])
def test_a_mapping_that_was_set_anew_meanwhile_has_lost_nothing(names: tuple[str, str]) -> None:
    seen = replace(IN_NEED, schedule_name=names[0], job_schedule_name=names[1])

    assert _with_lost(seen).action is Action.KEEP


def test_where_auto_update_is_to_be_off_nothing_lost_matters() -> None:
    off = disabled(schedule_name="alpha_A85EA38F")

    assert _with_lost(off, DISABLE).action is Action.KEEP


def test_what_is_lost_is_told_of_its_own_mapping_only() -> None:
    other = replace(IN_NEED, id=mapping("beta").id)
    plan = make_plan(ENABLE, [IN_NEED, other], running={}, attempts={}, missing={other.key: LOST}, now=NOW)

    assert [decision.action for decision in plan.decisions] == [Action.KEEP, Action.REPAIR]


def test_what_waits_for_its_next_repair_tells_what_the_account_has_lost() -> None:
    waiting = decide(ENABLE, IN_NEED, running=None, attempt=attempt(), now=NOW, missing=LOST)

    assert waiting.action is Action.WAIT
    assert waiting.unhealthy == Explanation("AgentAutoUpdateArtifactDeleted", LOST.what)


# The row "keep a mapping" of Microsoft's runbook, part by part.


@pytest.mark.parametrize("provider", ["A2A", "a2a", "a2A"])
def test_runbook_row_keep_a_mapping_of_provider_a2a_in_any_case(provider: str) -> None:
    assert _decide(ENABLE, disabled(instance_type=provider))[0] is Action.PATCH


def test_runbook_row_keep_a_mapping_only_with_provider_details() -> None:
    assert _decide(ENABLE, disabled(instance_type=""))[0] is Action.IGNORE


@pytest.mark.parametrize(("state", "action"), [("Paired", Action.PATCH), ("Unpaired", Action.IGNORE)])
def test_runbook_row_keep_a_mapping_that_is_paired(state: str, action: Action) -> None:
    assert _decide(ENABLE, disabled(state=state))[0] is action


def test_runbook_row_keep_a_mapping_not_when_enabled_with_the_same_account_in_any_case_and_no_health_errors() -> None:
    assert _decide(ENABLE, mapping(automation_account_id=ACCOUNT_ID.swapcase()))[0] is Action.KEEP


def test_runbook_row_keep_a_mapping_when_enabled_with_another_account() -> None:
    assert _decide(ENABLE, mapping(automation_account_id=OTHER_ACCOUNT_ID))[0] is Action.PATCH


def test_runbook_row_keep_a_mapping_when_enabled_with_health_errors_and_patch_it_again() -> None:
    decision = decide(ENABLE, unhealthy(), running=None, attempt=None, now=NOW)

    assert decision.action is Action.REPAIR
    assert decision.actionable


def test_runbook_row_keep_a_mapping_when_disabling_but_better_than_the_runbook_not_what_is_disabled_already() -> None:
    """The runbook patches every paired A2A mapping when it disables; a PATCH that changes nothing is a wasted job."""
    plan = make_plan(DISABLE, [mapping("on"), disabled("off")], running={}, attempts={}, now=NOW)

    assert [decision.mapping.name for decision in plan.actionable] == ["on"]


def test_runbook_row_keep_a_mapping_and_its_gap_a_run_as_account_is_drift_although_all_else_is_right() -> None:
    """The runbook does not look at the authentication type: Run As accounts are retired and update nothing any more."""
    assert _decide(ENABLE, mapping(authentication_type="RunAsAccount"))[0] is Action.PATCH


# What holds for every plan.


def _after_patch(decision: Decision, goal: Goal) -> ContainerMapping:
    """The mapping as Azure shows it after the PATCH of ``decision`` has been carried out."""
    if not decision.actionable:
        return decision.mapping
    sent: dict[str, Any] = wire.patch_body(goal)["properties"]["providerSpecificInput"]
    return replace(
        decision.mapping,
        auto_update_status=sent["agentAutoUpdateStatus"],
        automation_account_id=sent.get("automationAccountArmId", ""),
        authentication_type=sent.get("automationAccountAuthenticationType", "RunAsAccount"),
        health_errors=(),
    )


@given(GOALS, VAULTS | HOSTILE_VAULTS)
def test_a_plan_that_was_carried_out_leaves_nothing_to_do(goal: Goal, vault: list[ContainerMapping]) -> None:
    first = make_plan(goal, vault, running={}, attempts={}, now=NOW)
    vault = [_after_patch(decision, goal) for decision in first.decisions]
    second = make_plan(goal, vault, running={}, attempts={}, now=NOW)

    assert second.actionable == ()
    assert set(second.counts) <= {Action.KEEP, Action.IGNORE}


@given(GOALS, VAULTS, RUNNING, ATTEMPTS_BY_KEY)
def test_a_round_changes_what_it_chose_and_the_next_one_only_what_had_to_wait(
    goal: Goal, vault: list[ContainerMapping], running: dict[str, Operation], attempts: dict[str, Attempt]
) -> None:
    first = make_plan(goal, vault, running=running, attempts=attempts, now=NOW)
    changed = [_after_patch(decision, goal) for decision in first.decisions]
    second = make_plan(goal, changed, running=running, attempts=attempts, now=NOW)

    for before, after in zip(first.decisions, second.decisions, strict=True):
        assert after.action is (Action.KEEP if before.actionable else before.action)


@given(GOALS, HOSTILE_VAULTS, RUNNING, ATTEMPTS_BY_KEY)
def test_whatever_azure_writes_every_mapping_gets_a_decision_and_a_reason(
    goal: Goal, vault: list[ContainerMapping], running: dict[str, Operation], attempts: dict[str, Attempt]
) -> None:
    plan = make_plan(goal, vault, running=running, attempts=attempts, now=NOW)

    assert [decision.mapping for decision in plan.decisions] == vault
    assert all(decision.reason for decision in plan.decisions)
    assert all(decision.mapping.key not in running for decision in plan.actionable)


@given(GOALS, VAULTS, RUNNING, ATTEMPTS_BY_KEY, st.randoms(use_true_random=False))
def test_the_order_of_the_mappings_decides_nothing(
    goal: Goal, vault: list[ContainerMapping], running: dict[str, Operation], attempts: dict[str, Attempt], random: Any
) -> None:
    shuffled = random.sample(vault, len(vault))
    one, other = (make_plan(goal, v, running=running, attempts=attempts, now=NOW) for v in (vault, shuffled))

    assert {d.mapping.key: d for d in one.decisions} == {d.mapping.key: d for d in other.decisions}
    assert [d.mapping for d in one.decisions] == vault, "decisions stand in the vault's order"


@given(GOALS, VAULTS, RUNNING, ATTEMPTS_BY_KEY)
def test_every_mapping_is_counted_once(
    goal: Goal, vault: list[ContainerMapping], running: dict[str, Operation], attempts: dict[str, Attempt]
) -> None:
    plan = make_plan(goal, vault, running=running, attempts=attempts, now=NOW)

    assert sum(plan.counts.values()) == len(vault)
    assert sum(map(is_in_scope, vault)) == len(vault) - plan.counts[Action.IGNORE]
    assert len(plan.actionable) == plan.counts[Action.PATCH] + plan.counts[Action.REPAIR]
    assert all(decision.reason for decision in plan.decisions)


@given(GOALS, VAULTS, RUNNING, ATTEMPTS_BY_KEY)
def test_never_is_anything_patched_that_is_ignored_running_kept_or_not_yet_due(
    goal: Goal, vault: list[ContainerMapping], running: dict[str, Operation], attempts: dict[str, Attempt]
) -> None:
    plan = make_plan(goal, vault, running=running, attempts=attempts, now=NOW)

    for decision in plan.actionable:
        seen = decision.mapping
        assert seen.instance_type.casefold() == "a2a"
        assert seen.state.casefold() == "paired"
        assert seen.key not in running
        assert seen.key not in attempts or attempts[seen.key].next_at <= NOW
        if goal.auto_update is AutoUpdate.DISABLED:
            assert seen.auto_update_status.casefold() != "disabled"


@given(GOALS, VAULTS, st.sampled_from([str.upper, str.lower, str.swapcase, str.title]))
def test_letter_case_decides_nothing(goal: Goal, vault: list[ContainerMapping], spell: Callable[[str], str]) -> None:
    fields = ("id", "state", "instance_type", "auto_update_status", "automation_account_id", "authentication_type")
    spellings: list[dict[str, Any]] = [{field: spell(getattr(m, field)) for field in fields} for m in vault]
    recased = [replace(m, **spelled) for m, spelled in zip(vault, spellings, strict=True)]
    one, other = (make_plan(goal, v, running={}, attempts={}, now=NOW) for v in (vault, recased))

    assert [d.action for d in one.decisions] == [d.action for d in other.decisions]


def test_a_vault_without_mappings_needs_nothing() -> None:
    plan = make_plan(ENABLE, [], running={}, attempts={}, now=NOW)

    assert plan == Plan(())
    assert plan.actionable == ()
