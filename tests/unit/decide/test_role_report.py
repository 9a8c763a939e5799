"""What may be said of the role of an account's identity: no more than is certain."""

from __future__ import annotations

import shlex
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import ACCOUNT_ID, NOW, VAULT
from vault_autoupdate.decide.account_report import build_account_report
from vault_autoupdate.decide.role_report import RoleReport, RoleStanding, judge_role, role_not_known
from vault_autoupdate.model.arm_id import ArmId, parse_automation_account_id, parse_vault_id
from vault_autoupdate.model.azure import Account, AccountFacts, RunbookRun
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.model.roles import (
    CONTRIBUTOR,
    EVERYBODY,
    OWNER,
    DenyAssignment,
    Permission,
    RoleAssignment,
    RoleDefinition,
    RoleFacts,
)

ACCOUNT: Final = parse_automation_account_id(ACCOUNT_ID)
PRINCIPAL: Final = "88c53162-584e-4c98-984b-62149c2e9bca"
ANOTHER: Final = "00000000-0000-0000-0000-0000000000bb"
OWN_ROLE: Final = "00000000-0000-0000-0000-0000000000cc"
CONFIRMATION: Final = timedelta(minutes=15)


def given_role(role_id: str = OWN_ROLE, scope: str = VAULT.text, **changes: Any) -> RoleAssignment:
    made = RoleAssignment(role_id, scope, PRINCIPAL, "ServicePrincipal")
    return replace(made, **changes)


def facts(*assignments: RoleAssignment, actions: tuple[str, ...] = (), not_actions: tuple[str, ...] = ()) -> RoleFacts:
    return RoleFacts(assignments, {OWN_ROLE: RoleDefinition("Our role", (Permission(actions, not_actions),))})


def judge(
    found: RoleFacts,
    before: RoleReport | None = None,
    *,
    after: timedelta = timedelta(),
    vault: ArmId = VAULT,
    principal: str = PRINCIPAL,
) -> RoleReport:
    return judge_role(found, vault, ACCOUNT, principal, before, now=NOW + after, confirmation=CONFIRMATION)


# No role.


def test_none_once_is_not_seen_and_none_for_a_quarter_of_an_hour_is_missing() -> None:
    first = judge(facts())
    assert (first.standing, first.missing_since, first.wrong) == (RoleStanding.NOT_SEEN, NOW, None)
    assert first.unclear is not None
    assert first.unclear.code == "RoleNotSeen"
    early = judge(facts(), first, after=CONFIRMATION - timedelta(seconds=1))
    assert (early.standing, early.missing_since) == (RoleStanding.NOT_SEEN, NOW)
    second = judge(facts(), early, after=CONFIRMATION)
    assert (second.standing, second.unclear) == (RoleStanding.MISSING, None)
    assert second.wrong is not None
    assert second.wrong.code == "RoleMissing"


def test_a_clock_that_was_put_back_makes_nothing_missing() -> None:
    first = judge(facts(), after=timedelta(days=1))
    assert judge(facts(), first).standing is RoleStanding.NOT_SEEN


def test_one_that_is_there_in_between_begins_the_time_anew() -> None:
    seen = judge(facts(given_role(OWNER)), judge(facts()), after=CONFIRMATION)
    assert (seen.standing, seen.missing_since) == (RoleStanding.ENOUGH, None)
    assert judge(facts(), seen, after=2 * CONFIRMATION).standing is RoleStanding.NOT_SEEN


def test_a_look_that_failed_in_between_does_not() -> None:
    failed = role_not_known(PRINCIPAL, Explanation("AuthorizationFailed", "No."), judge(facts()))
    assert failed.standing is RoleStanding.UNKNOWN
    assert judge(facts(), failed, after=CONFIRMATION).standing is RoleStanding.MISSING


def test_of_an_identity_made_anew_the_time_begins_anew_and_the_one_before_is_named_until_a_role_is_there() -> None:
    old = judge(facts(given_role(OWNER, principal_id=ANOTHER)), principal=ANOTHER)
    first = judge(facts(), old)
    assert (first.standing, first.former_principal_id) == (RoleStanding.NOT_SEEN, ANOTHER)
    second = judge(facts(), first, after=CONFIRMATION)
    assert second.wrong is not None
    assert f"earlier identity {ANOTHER}" in second.wrong.message
    assert judge(facts(given_role(OWNER)), second).former_principal_id == ""


def test_where_the_account_is_in_another_subscription_it_is_never_certain() -> None:
    elsewhere = parse_vault_id(VAULT.text.replace(VAULT.subscription, ANOTHER))
    second = judge(facts(), judge(facts(), vault=elsewhere), after=timedelta(days=9), vault=elsewhere)
    assert second.standing is RoleStanding.NOT_SEEN
    assert second.unclear is not None
    assert "Lighthouse" in second.unclear.message


@pytest.mark.parametrize("group", ["rg-dr", "rg(1)", "Größe_-.x"])
def test_the_command_is_one_that_a_shell_takes_apart_as_it_is_meant(group: str) -> None:
    vault = parse_vault_id(VAULT.text.replace(VAULT.resource_group, group))
    report = judge(facts(), judge(facts(), vault=vault), after=CONFIRMATION, vault=vault)
    assert report.wrong is not None
    command = report.wrong.message.partition("Give it one: ")[2].removesuffix(".")
    assert shlex.split(command) == [
        "az", "role", "assignment", "create", "--assignee-object-id", PRINCIPAL, "--assignee-principal-type",
        "ServicePrincipal", "--role", "Owner", "--scope", vault.text,
    ]  # fmt: skip


# Which assignments count.


@pytest.mark.parametrize(
    ("assignment", "counts"),
    [
        (given_role(OWNER, VAULT.text.swapcase()), True),
        (given_role(OWNER, f"/subscriptions/{VAULT.subscription}"), True),
        (given_role(OWNER, f"/subscriptions/{VAULT.subscription}/"), True),
        (given_role(OWNER, "/providers/Microsoft.Management/managementGroups/mg"), True),
        (given_role(OWNER, "/"), True),
        (given_role(OWNER, f"{VAULT.text}/replicationFabrics/f"), False),
        (given_role(OWNER, f"{VAULT.text}x"), False),
        (given_role(OWNER, VAULT.text[:-1]), False),
        (given_role(OWNER, "/providers/Microsoft.Other/things/x"), False),
        (given_role(OWNER, principal_id=ANOTHER), False),
        (given_role(OWNER, principal_id=ANOTHER, principal_type="User"), False),
        (given_role(OWNER, principal_id=ANOTHER, principal_type="Group"), True),
        (given_role(OWNER, principal_id=ANOTHER, principal_type="ForeignGroup"), True),
        (given_role(OWNER, has_condition=True), True),
    ],
)
def test_what_is_for_this_identity_or_a_group_and_for_the_vault_or_above_it(
    assignment: RoleAssignment, counts: bool
) -> None:
    assert (judge(facts(assignment)).standing is RoleStanding.ENOUGH) is counts


def test_only_where_all_of_it_comes_by_groups_is_that_said() -> None:
    by_group = given_role(OWNER, principal_id=ANOTHER, principal_type="Group")
    assert "by a group" in judge(facts(by_group)).note
    assert judge(facts(by_group, given_role(CONTRIBUTOR))).note == ""


# What a role allows.


@pytest.mark.parametrize(
    ("actions", "not_actions", "too_weak"),
    [
        (("*/read",), (), True),
        (("*/READ", "Microsoft.Support/supportTickets/read"), (), True),
        ((), (), True),
        (("*",), (), False),
        (("*",), ("*/write", "*/delete", "*/action"), True),
        (("*",), ("*/write", "*/delete"), False),
        (("*",), ("*",), True),
        (("Microsoft.RecoveryServices/*",), ("microsoft.recoveryservices/*",), True),
        (("Microsoft.RecoveryServices/*",), ("Microsoft.RecoveryServices/vaults/*",), False),
        (("Microsoft.Support/*", "*/read"), (), False),
        (("Microsoft.RecoveryServices/vaults/write",), (), False),
        (("Microsoft.RecoveryServices/vaults/write",), ("*/write",), True),
        (("Microsoft.RecoveryServices/vaults/*/read",), (), True),
    ],
)
def test_a_role_is_too_weak_only_if_it_allows_nothing_but_reading(
    actions: tuple[str, ...], not_actions: tuple[str, ...], too_weak: bool
) -> None:
    report = judge(facts(given_role(), actions=actions, not_actions=not_actions))
    assert report.standing is (RoleStanding.TOO_WEAK if too_weak else RoleStanding.NOT_JUDGED)
    assert (report.wrong is not None) is too_weak
    assert report.roles == ("Our role on the vault",)


def test_roles_add_up() -> None:
    reader = facts(given_role(), actions=("*/read",))
    assert judge(replace(reader, assignments=(given_role(), given_role(CONTRIBUTOR)))).standing is RoleStanding.ENOUGH


def test_of_a_role_that_does_not_exist_any_more_nothing_is_claimed() -> None:
    report = judge(RoleFacts((given_role(),)))
    assert (report.standing, report.roles) == (RoleStanding.NOT_JUDGED, (f"role {OWN_ROLE} on the vault",))


@given(st.lists(st.text("abc*/.", min_size=1, max_size=12).map(lambda text: f"{text}/read"), max_size=4), st.data())
def test_whatever_is_taken_away_from_reading_roles_they_stay_too_weak(reads: list[str], data: st.DataObject) -> None:
    taken = data.draw(st.lists(st.text("abc*/.", max_size=8), max_size=3))
    report = judge(facts(given_role(), actions=tuple(reads), not_actions=tuple(taken)))
    assert report.standing is RoleStanding.TOO_WEAK


# What is denied.


def denied(**changes: Any) -> DenyAssignment:
    made = DenyAssignment("stack", VAULT.text, frozenset({EVERYBODY}), permissions=(Permission(("*",), ("*/read",)),))
    return replace(made, **changes)


@pytest.mark.parametrize(
    ("denial", "matters"),
    [
        (denied(), True),
        (denied(principals=frozenset({PRINCIPAL})), True),
        (denied(principals=frozenset({ANOTHER})), False),
        (denied(excluded=frozenset({PRINCIPAL})), False),
        (denied(scope=f"/subscriptions/{VAULT.subscription}"), True),
        (denied(scope=f"/subscriptions/{VAULT.subscription}", only_there=True), False),
        (denied(only_there=True), True),
        (denied(scope=f"{VAULT.text}/replicationFabrics/f"), False),
        (denied(permissions=(Permission(("*/delete",)),)), False),
        (denied(permissions=(Permission(("Microsoft.RecoveryServices/*",)),)), True),
        (denied(permissions=()), False),
    ],
)
def test_a_deny_assignment_matters_where_it_keeps_this_identity_from_changing_the_vault(
    denial: DenyAssignment, matters: bool
) -> None:
    report = judge(replace(facts(given_role(OWNER)), denials=(denial,)))
    assert (report.standing is RoleStanding.DENIED) is matters
    if matters:
        assert report.wrong is not None
        assert "Deny assignment stack" in report.wrong.message
        assert PRINCIPAL in report.wrong.message


# In the report of the account.


RUNNING: Final = AccountFacts(Account("aa-dr", "Ok", "SystemAssigned", PRINCIPAL))


@pytest.mark.parametrize(
    ("role", "healthy", "reasons"),
    [
        (judge(facts(given_role(OWNER))), True, []),
        (judge(facts(given_role(), actions=("*",))), True, []),
        (judge(facts()), None, []),
        (judge(facts(), judge(facts()), after=CONFIRMATION), False, ["RoleMissing"]),
        (role_not_known(PRINCIPAL, Explanation("AuthorizationFailed", "No."), None), None, []),
    ],
    ids=["enough", "not judged", "not seen", "missing", "not known"],
)
def test_the_account_is_as_healthy_as_its_role(role: RoleReport, healthy: bool | None, reasons: list[str]) -> None:
    report = build_account_report(RUNNING, ACCOUNT, (), NOW, role)
    assert (report.healthy, [each.reason for each in report.problems]) == (healthy, reasons)


@pytest.mark.parametrize(
    ("role", "hint"),
    [
        (None, "has no role on the vault"),
        (judge(facts(given_role(OWNER))), ""),
        (judge(facts(given_role(), actions=("*",))), "Our role on the vault, and nobody says whether that is enough"),
    ],
)
def test_a_failing_run_is_not_blamed_on_a_role_that_is_enough(role: RoleReport | None, hint: str) -> None:
    failing = replace(RUNNING, runs=(RunbookRun("Failed"),))
    (problem,) = build_account_report(failing, ACCOUNT, (), NOW, role).problems
    assert problem.reason == "RunbookFailing"
    assert problem.message.endswith(f"{hint}." if hint else "VirtualMachines).")
