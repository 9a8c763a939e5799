"""Where a resource stands, in words: one situation for each state, and each says what to do next."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import (
    DISABLE,
    ENABLE,
    HOUR,
    MINUTE,
    NOW,
    attempt,
    disabled,
    mapping,
    mapping_id_of,
    resource,
    unhealthy,
)
from tests.unit.strategies import ERRORS, HOSTILE_TEXTS, RESOURCES, STATES
from vault_autoupdate.decide.attempts import Attempt, FailureReason
from vault_autoupdate.decide.jobs import Operation
from vault_autoupdate.decide.plan import Action, make_plan
from vault_autoupdate.decide.state import VaultState
from vault_autoupdate.model.errors import ArmError, AzureError, CredentialError, Disposition, Unreachable, UntrustedLink
from vault_autoupdate.model.resource import Goal, InvalidSpec, ResourceKey, VaultAutoUpdate
from vault_autoupdate.report.readiness import (
    Readiness,
    already_managed,
    failing,
    invalid,
    looking,
    not_held,
    pause_until,
    settled,
    suspended,
    told_before,
    working,
)

NOTHING_TO_SET = (
    "The vault has no paired Azure-to-Azure mapping, so there is nothing to set. New ones are found at the interval."
)


def _looked(
    *mappings: Any, attempts: dict[str, Attempt] | None = None, jobs: tuple[str, ...] = (), goal: Goal = ENABLE
) -> VaultState:
    keyed = {mapping_id_of(name).casefold(): tried for name, tried in (attempts or {}).items()}
    state = VaultState(attempts=keyed)
    state.operations = {
        operation.key: operation for operation in (Operation(mapping_id_of(name), "job", NOW) for name in jobs)
    }
    state.look(make_plan(goal, mappings, running=state.operations, attempts=keyed, now=NOW))
    return state


def _flags(readiness: Readiness) -> tuple[str, str, bool, bool, bool]:
    return readiness.ready, readiness.reason, readiness.reconciling, readiness.stalled, readiness.is_warning


# Each readiness.


def test_an_invalid_spec_is_stalled_and_names_every_problem() -> None:
    readiness = invalid(InvalidSpec(["spec.interval: too short", "spec.mode: unknown"]))

    assert _flags(readiness) == ("False", "InvalidSpec", False, True, True)
    assert readiness.message == "Nothing is done: spec.interval: too short; spec.mode: unknown"


def test_the_younger_of_two_resources_on_a_vault_is_stalled_and_names_the_older() -> None:
    readiness = already_managed(ResourceKey("asr", "older"))

    assert _flags(readiness) == ("False", "VaultAlreadyManaged", False, True, True)
    assert readiness.related == ResourceKey("asr", "older")
    assert readiness.message == "VaultAutoUpdate asr/older is older and manages this vault. Delete one of the two."


def test_the_resource_of_a_policy_says_that_it_yields_to_one_written_by_hand() -> None:
    readiness = already_managed(ResourceKey("asr", "by-hand"), yields=True)

    assert readiness.message.startswith("VaultAutoUpdate asr/by-hand was written by hand and manages this vault.")


def test_a_finalizer_that_cannot_be_set_stalls_the_resource_and_says_what_to_allow() -> None:
    readiness = not_held("forbidden")

    assert _flags(readiness) == ("False", "FinalizerNotSet", False, True, True)
    assert readiness.message == (
        "Nothing is done: the finalizer for deletionPolicy Disable could not be set (forbidden). Allow the operator "
        "to patch vaultautoupdates (rbac.finalizers in the chart), or set spec.deletionPolicy to Retain."
    )


def test_a_suspended_resource_says_how_to_go_on_and_what_was_seen_last() -> None:
    before, after = suspended(VaultState()), suspended(_looked(mapping("a"), disabled("b")))

    assert _flags(before) == ("Unknown", "Suspended", False, False, False)
    assert before.message == "The vault is left alone. Set spec.suspend to false to go on."
    assert after.message == (
        "The vault is left alone. When last seen, 1 of 2 mappings as declared. Set spec.suspend to false to go on."
    )


def test_a_first_look_says_what_is_read() -> None:
    assert _flags(looking(resource())) == ("Unknown", "Progressing", True, False, False)
    assert looking(resource()).message == "Reading the mappings of vault dr."


@pytest.mark.parametrize(("others", "more"), [(1, ""), (2, " (and 1 more of others)"), (3, " (and 2 more of others)")])
def test_of_jobs_that_others_have_begun_the_oldest_is_told_and_the_rest_are_counted(others: int, more: str) -> None:
    jobs = [Operation(mapping_id_of(name), name, NOW - HOUR, adopted=True) for name in "abc"[:others]]
    state = VaultState(
        operations={each.key: each for each in [*jobs, Operation(mapping_id_of("own"), "d", NOW - 24 * HOUR)]}
    )

    assert working(resource(), state).message.endswith(
        f"eastus/east-container/a: a job that was begun elsewhere is at work on it since 2026-03-01T11:00:00Z: a{more}."
    )


def test_work_says_how_far_it_is() -> None:
    state = _looked(
        mapping("a"),
        disabled("b"),
        disabled("c"),
        unhealthy("d"),
        disabled("e"),
        disabled("x", state="Unpaired"),
        attempts={"e": attempt()},
        jobs=("b",),
    )
    readiness = working(resource(), state, note="Be patient.")

    assert _flags(readiness) == ("False", "Progressing", True, False, False)
    assert readiness.message == (
        "Setting auto-update: 1 of 5 mappings as declared; 1 job in flight, 2 to start, 1 failed. Be patient."
    )


def test_work_for_a_deletion_says_that_it_is_for_that() -> None:
    readiness = working(resource(deleting=True, deletionPolicy="Disable"), _looked(mapping("a"), goal=DISABLE))

    assert readiness.message == (
        "Disabling auto-update before the resource goes: 0 of 1 mapping as declared; 0 jobs in flight, 1 to start."
    )


@pytest.mark.parametrize(
    ("spec", "mappings", "goal", "message"),
    [
        ({}, [mapping("a"), mapping("b")], ENABLE, "Auto-update is Enabled in all 2 mappings in scope."),
        ({"autoUpdate": "Disabled"}, [disabled()], DISABLE, "Auto-update is Disabled in all 1 mapping in scope."),
        ({"deleting": True}, [disabled()], DISABLE, "Auto-update is Disabled in all 1 mapping in scope."),
        (
            {},
            [mapping(state="Unpaired")],
            ENABLE,
            NOTHING_TO_SET,
        ),
        (
            {"mode": "Audit"},
            [],
            ENABLE,
            NOTHING_TO_SET,
        ),
    ],
)
def test_a_vault_that_is_as_declared_is_ready(
    spec: dict[str, Any], mappings: list[Any], goal: Goal, message: str
) -> None:
    readiness = settled(resource(**spec), _looked(*mappings, goal=goal))

    assert _flags(readiness) == ("True", "Compliant", False, False, False)
    assert readiness.message == message


def test_an_audit_says_what_would_be_changed_and_how_to_have_it_changed() -> None:
    readiness = settled(resource(mode="Audit"), _looked(mapping("a"), disabled("b"), unhealthy("c")))

    assert _flags(readiness) == ("False", "DriftDetected", False, False, True)
    assert readiness.message == (
        "2 mappings of 3 would be changed. Mode Audit changes nothing; set spec.mode to Enforce to mend it. "
        "eastus/east-container/b: auto-update is Disabled, declared Enabled; "
        "eastus/east-container/c: unhealthy: AgentAutoUpdateInfra"
    )


def test_an_audit_counts_also_what_would_be_changed_later_and_what_somebody_is_changing() -> None:
    waits = _looked(disabled("b"), disabled("c"), attempts={"b": attempt()})
    assert settled(resource(mode="Audit"), waits).message.startswith("2 mappings of 2 would be changed. ")

    for seen in (
        _looked(disabled("b"), attempts={"b": attempt()}),
        _looked(disabled("b"), jobs=("b",)),
        _looked(disabled("b"), disabled("c"), attempts={"b": attempt()}, jobs=("c",)),
    ):
        assert settled(resource(mode="Audit"), seen).reason == "DriftDetected"


def test_an_audit_of_a_vault_that_is_as_declared_is_ready() -> None:
    assert settled(resource(mode="Audit"), _looked(mapping("a"))).ready == "True"


def test_a_deletion_that_fails_says_so_also_for_an_audit_whose_mode_would_change_nothing() -> None:
    state = _looked(mapping("a"), attempts={"a": attempt(code="E1", message="No.")}, goal=DISABLE)
    readiness = settled(resource(mode="Audit", deleting=True, deletionPolicy="Disable"), state)

    assert readiness.reason == "MappingsFailed"


def test_failures_name_the_worst_of_them_what_azure_recommends_and_the_next_try() -> None:
    worst = attempt(2, code="E1", message="It broke", recommended_action="Mend it.", next_in=2 * HOUR)
    slow = attempt(reason=FailureReason.STILL_DIFFERS, next_in=MINUTE)
    state = _looked(mapping("a"), disabled("b"), disabled("c"), attempts={"b": slow, "c": worst})
    readiness = settled(resource(), state)

    assert _flags(readiness) == ("False", "MappingsFailed", True, False, True)
    assert readiness.message == (
        "2 of 3 mappings in scope failed. eastus/east-container/c: E1 It broke. Recommended: Mend it. "
        "Next try at 2026-03-01T12:01:00Z."
    )


def test_a_failure_that_nobody_explained_is_named_by_its_reason() -> None:
    readiness = settled(resource(), _looked(disabled("b"), attempts={"b": attempt(reason=FailureReason.TIMED_OUT)}))

    assert "eastus/east-container/b: TimedOut. Next try" in readiness.message


def test_a_change_that_succeeded_in_vain_says_what_differs_still_and_what_to_do() -> None:
    tried = attempt(reason=FailureReason.STILL_DIFFERS)
    run_as = mapping("b", authentication_type="RunAsAccount")
    readiness = settled(resource(), _looked(run_as, attempts={"b": tried}))

    assert (
        "eastus/east-container/b: Accepted, and still authentication is RunAsAccount, declared SystemAssignedIdentity. "
        "Recommended: Site Recovery keeps the retired Run As account: "
    ) in readiness.message


def test_the_activity_that_support_asks_for_is_in_the_message() -> None:
    tried = attempt(code="151130", message="No.", activity_id="0e7c")
    readiness = settled(resource(), _looked(disabled("b"), attempts={"b": tried}))

    assert "eastus/east-container/b: 151130 No. Activity id 0e7c. Next try" in readiness.message


def test_a_message_of_azure_that_ends_with_a_period_is_not_given_another() -> None:
    tried = attempt(code="E1", message="It broke in SKU X.")
    readiness = settled(resource(), _looked(disabled("b"), attempts={"b": tried}))

    assert "E1 It broke in SKU X. Next try" in readiness.message


def test_failures_that_nothing_is_known_about_are_told_all_the_same() -> None:
    state = _looked(disabled("b"), attempts={"b": attempt()})
    state.attempts.clear()

    assert _flags(settled(resource(), state)) == ("False", "MappingsFailed", True, False, True)
    assert settled(resource(), state).message == "Some mappings could not be set."


def test_a_failure_of_a_mapping_without_a_name_for_people_is_told_with_its_key() -> None:
    state = _looked(disabled("b"), attempts={"b": attempt()})
    state.paths.clear()

    assert f" failed. {mapping_id_of('b').casefold()}: JobFailed. " in settled(resource(), state).message


def test_what_is_still_to_be_changed_counts_as_work() -> None:
    assert settled(resource(), _looked(disabled("b"))).reason == "Progressing"
    assert settled(resource(), _looked(disabled("b"), jobs=("b",))).reason == "Progressing"


def _arm_error(disposition: Disposition, code: str = "SubscriptionNotFound") -> ArmError:
    return ArmError(404, code, "It is not there.", disposition=disposition, recommended_action="Check it.")


@pytest.mark.parametrize(
    ("error", "flags"),
    [
        (_arm_error(Disposition.STALL), ("False", "SubscriptionNotFound", False, True, True)),
        (_arm_error(Disposition.SLOW, "AuthorizationFailed"), ("False", "AuthorizationFailed", False, True, True)),
        (_arm_error(Disposition.RETRY, "odd code"), ("Unknown", "Http404", True, False, True)),
        (_arm_error(Disposition.WAIT), ("Unknown", "Throttled", True, False, True)),
        (Unreachable("Nobody there."), ("Unknown", "ArmUnreachable", True, False, True)),
        (UntrustedLink("Elsewhere."), ("False", "UntrustedLink", False, True, True)),
        (CredentialError("No token."), ("Unknown", "AuthenticationFailed", True, False, True)),
    ],
)
def test_an_error_is_stalled_if_somebody_has_to_mend_it_and_reconciling_if_it_may_pass(
    error: AzureError, flags: tuple[str, str, bool, bool, bool]
) -> None:
    assert _flags(failing(error, VaultState())) == flags


def test_an_error_says_what_is_recommended_and_that_jobs_go_on() -> None:
    readiness = failing(_arm_error(Disposition.RETRY), _looked(disabled("a"), jobs=("a",)))

    assert readiness.message == "It is not there. Check it. 1 job in flight."
    assert failing(_arm_error(Disposition.RETRY), VaultState()).message == "It is not there. Check it."


def test_an_error_that_keeps_a_resource_from_being_deleted_says_how_to_delete_it_all_the_same() -> None:
    readiness = failing(_arm_error(Disposition.STALL), VaultState(), deleting=True)

    way_out = "To delete the resource without switching auto-update off, set spec.deletionPolicy to Retain."
    assert readiness.message == f"It is not there. Check it. {way_out}"
    at_work = failing(_arm_error(Disposition.STALL), _looked(disabled("a"), jobs=("a",)), deleting=True)
    assert at_work.message == f"It is not there. Check it. 1 job in flight. {way_out}"


def test_however_long_the_error_the_way_out_of_a_deletion_is_not_cut_off() -> None:
    error = ArmError(
        403, "X", "m" * 600, disposition=Disposition.SLOW, recommended_action="a" * 600, possible_causes="c" * 600
    )

    message = failing(error, VaultState(), deleting=True).message
    assert message.endswith("set spec.deletionPolicy to Retain.")
    assert len(message.encode()) == 1000


_LONG_TEXTS = st.text(max_size=3000)


def _is_fit_to_be_shown(readiness: Readiness) -> bool:
    return (
        readiness.ready in {"True", "False", "Unknown"}
        and re.fullmatch(r"[A-Za-z][A-Za-z0-9]*", readiness.reason) is not None
        and 0 < len(readiness.message.encode()) <= 1000
        and len(readiness.message.splitlines()) == 1
        and not (readiness.reconciling and readiness.stalled)
    )


@given(_LONG_TEXTS, _LONG_TEXTS, _LONG_TEXTS)
def test_every_message_is_one_bounded_line_and_every_reason_one_word(code: str, message: str, action: str) -> None:
    error = ArmError(500, code, message, disposition=Disposition.RETRY, recommended_action=action)
    state = _looked(disabled("b"), attempts={"b": attempt(code=code, message=message, recommended_action=action)})
    for readiness in (
        failing(error, state, deleting=True),
        settled(resource(), state),
        invalid(InvalidSpec([message])),
        working(resource(), state, note=message),
        not_held(message),
    ):
        assert _is_fit_to_be_shown(readiness)


@given(STATES, RESOURCES, ERRORS, st.booleans(), HOSTILE_TEXTS)
def test_every_state_has_a_readiness_that_can_be_shown(
    state: VaultState, wanted: VaultAutoUpdate, error: AzureError, deleting: bool, note: str
) -> None:
    situations = [
        settled(wanted, state),
        working(wanted, state, note=note),
        failing(error, state, deleting=deleting),
        suspended(state),
        looking(wanted),
        not_held(note),
        already_managed(wanted.key),
    ]

    assert all(map(_is_fit_to_be_shown, situations))
    assert {readiness.ready for readiness in situations[1:]} <= {"False", "Unknown"}


@given(STATES, RESOURCES)
def test_only_a_vault_in_which_nothing_is_left_to_do_is_ready(state: VaultState, wanted: VaultAutoUpdate) -> None:
    left = set(state.actions.values()) - {Action.KEEP, Action.IGNORE}

    assert (settled(wanted, state).ready == "True") == (not left)


# What was told before, to be told again with something more.


@pytest.mark.parametrize(
    ("conditions", "told"),
    [
        (
            [{"type": "Ready", "status": "False", "reason": "JobFailed", "message": "1 failed."}],
            Readiness("False", "JobFailed", "1 failed."),
        ),
        (
            [
                {"type": "Ready", "status": "Unknown", "reason": "Throttled", "message": "Later."},
                {"type": "Reconciling", "status": "True", "reason": "Other", "message": "Not this."},
            ],
            Readiness("Unknown", "Throttled", "Later.", reconciling=True),
        ),
        (
            [{"type": "Stalled", "status": "True"}, {"type": "Ready", "status": "False", "reason": "InvalidSpec"}],
            Readiness("False", "InvalidSpec", "", stalled=True),
        ),
        ([], Readiness("Unknown", "Progressing", "")),
        (None, Readiness("Unknown", "Progressing", "")),
        ([{"type": "Ready", "status": 1, "reason": None, "message": ["x"]}], Readiness("Unknown", "Progressing", "")),
    ],
)
def test_what_a_status_says_can_be_said_again(conditions: Any, told: Readiness) -> None:
    assert told_before({"conditions": conditions}) == told


def test_a_pause_that_was_told_is_not_told_twice() -> None:
    ready = {"type": "Ready", "status": "True", "reason": "Compliant", "message": f"All is well. {pause_until(NOW)}"}

    assert pause_until(NOW) == "Azure wants to be left alone until 2026-03-01T12:00:00Z."
    assert told_before({"conditions": [ready]}) == Readiness("True", "Compliant", "All is well.")
