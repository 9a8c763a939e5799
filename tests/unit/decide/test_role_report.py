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
        (given_role(OWNER, ""), True),
        (given_role(OWNER, principal_id=""), True),
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
    of_no_matter = denied(permissions=())

    report = judge(replace(facts(given_role(OWNER)), denials=(of_no_matter, denial)))

    assert (report.standing is RoleStanding.DENIED) is matters
    if matters:
        assert report.wrong is not None
        assert "Deny assignment stack" in report.wrong.message
        assert PRINCIPAL in report.wrong.message


# The words for it.

_GRANT: Final = (
    f"az role assignment create --assignee-object-id {PRINCIPAL} --assignee-principal-type ServicePrincipal "
    f"--role Owner --scope {VAULT.text}"
)


def test_that_a_role_is_missing_is_said_with_the_command_that_gives_it_and_what_counts_no_more() -> None:
    missing = judge(facts(), judge(facts()), after=CONFIRMATION)
    said = (
        "The identity of Automation account aa-dr has no role on the vault, so nothing is updated. Give it one: "
        f"{_GRANT}."
    )
    assert missing == RoleReport(
        RoleStanding.MISSING, PRINCIPAL, missing_since=NOW, wrong=Explanation("RoleMissing", said)
    )
    made_anew = judge(facts(), replace(missing, former_principal_id=ANOTHER), after=CONFIRMATION)
    assert made_anew.wrong == Explanation(
        "RoleMissing", f"{said} What its earlier identity {ANOTHER} was given does not count for it."
    )


@pytest.mark.parametrize(
    ("count", "named"),
    [
        (1, "Our role on the vault"),
        (3, "Our role on the vault, Our role on the subscription, Our role on resource group rg-dr"),
        (4, "Our role on the vault, Our role on the subscription, Our role on resource group rg-dr and 1 more"),
        (5, "Our role on the vault, Our role on the subscription, Our role on resource group rg-dr and 2 more"),
    ],
)
def test_that_roles_are_too_weak_is_said_with_the_first_three_of_them(count: int, named: str) -> None:
    group = VAULT.text.partition("/providers/")[0]
    scopes = (VAULT.text, f"/subscriptions/{VAULT.subscription}", group, "/", _MANAGEMENT_GROUP)
    weak = judge(facts(*(given_role(scope=scope) for scope in scopes[:count]), actions=("*/read",)))

    assert weak.wrong == Explanation(
        "RoleTooWeak",
        f"The identity of Automation account aa-dr may only read the vault ({named}), so nothing is updated. Give it a "
        f"role: {_GRANT}.",
    )


def test_that_it_is_denied_is_said_with_who_is_to_exclude_whom() -> None:
    report = judge(replace(facts(given_role(OWNER)), denials=(denied(principals=frozenset({ANOTHER})), denied())))

    assert report == RoleReport(
        RoleStanding.DENIED,
        PRINCIPAL,
        roles=("Owner on the vault",),
        note="stack",
        wrong=Explanation(
            "RoleDenied",
            "Deny assignment stack keeps the identity of Automation account aa-dr from changing the vault, whatever "
            "its role. Whoever made it (often a deployment stack or a managed application) has to exclude principal "
            f"{PRINCIPAL}.",
        ),
    )
    assert len(judge(replace(facts(given_role(OWNER)), denials=(denied(name="x" * 200),))).note.encode()) == 120


@pytest.mark.parametrize("is_elsewhere", [False, True])
def test_that_no_role_is_seen_is_said_with_why_that_may_be(*, is_elsewhere: bool) -> None:
    vault = parse_vault_id(VAULT.text.replace(VAULT.subscription, ANOTHER)) if is_elsewhere else VAULT
    lighthouse = "Roles that were delegated by Azure Lighthouse are not listed."
    soon = "A new assignment takes up to ten minutes to show: it is looked for once more."
    why = lighthouse if is_elsewhere else soon

    assert judge(facts(), vault=vault) == RoleReport(
        RoleStanding.NOT_SEEN,
        PRINCIPAL,
        note=lighthouse if is_elsewhere else "",
        missing_since=NOW,
        unclear=Explanation(
            "RoleNotSeen",
            f"No role of the identity of Automation account aa-dr on the vault is to be seen. {why} If it has none: "
            f"{_GRANT.replace(VAULT.text, vault.text)}.",
        ),
    )


_MANAGEMENT_GROUP: Final = "/providers/Microsoft.Management/managementGroups/Mg-1"


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        (given_role(OWNER), "Owner on the vault"),
        (given_role(CONTRIBUTOR, f"/subscriptions/{VAULT.subscription}"), "Contributor on the subscription"),
        (given_role(OWNER, VAULT.text.partition("/providers/")[0]), "Owner on resource group rg-dr"),
        (given_role(OWNER, _MANAGEMENT_GROUP), "Owner on management group Mg-1"),
        (given_role(OWNER, f"{_MANAGEMENT_GROUP}/"), "Owner on management group Mg-1"),
        (given_role(OWNER, "/"), "Owner on the whole tenant"),
        (given_role(OWNER, ""), "Owner on the whole tenant"),
        (given_role(""), "role that is not told on the vault"),
    ],
)
def test_a_role_is_named_with_what_it_is_on(assignment: RoleAssignment, words: str) -> None:
    assert judge(facts(assignment, assignment)).roles == (words,)


def test_names_of_roles_and_accounts_are_cut_to_what_a_sentence_holds() -> None:
    named = RoleFacts((given_role(),), {OWN_ROLE: RoleDefinition("x" * 200, (Permission(("*/read",), ()),))})
    assert [len(each.encode()) for each in judge(named).roles] == [120]
    account = parse_automation_account_id(ACCOUNT_ID.replace("aa-dr", "é" * 90))
    report = judge_role(facts(), VAULT, account, PRINCIPAL, None, now=NOW, confirmation=CONFIRMATION)
    assert report.unclear is not None
    assert f" account {'é' * 58}… on the vault" in report.unclear.message


_BY_GROUP: Final = "It has that by a group: who has just come into one may wait for up to 24 hours."
_MAY_NOT_READ: Final = "Whether it is denied may not be read (Microsoft.Authorization/denyAssignments/read)."


@pytest.mark.parametrize(
    ("by_group", "denials_known", "note"),
    [
        (False, True, ""),
        (True, True, _BY_GROUP),
        (False, False, _MAY_NOT_READ),
        (True, False, f"{_BY_GROUP} {_MAY_NOT_READ}"),
    ],
)
def test_what_else_is_to_be_said_of_a_role_stands_beside_it(*, by_group: bool, denials_known: bool, note: str) -> None:
    kind = "Group" if by_group else "ServicePrincipal"
    found = replace(facts(given_role(OWNER, principal_type=kind)), denials_known=denials_known)
    assert judge(found).note == note


def test_the_identity_is_told_in_the_spelling_in_which_it_is_compared() -> None:
    problem = Explanation("AuthorizationFailed", "No.")
    assert judge(facts(given_role(OWNER)), principal=PRINCIPAL.upper()).principal_id == PRINCIPAL
    assert role_not_known(PRINCIPAL.upper(), problem, None) == RoleReport(
        RoleStanding.UNKNOWN, PRINCIPAL, unclear=problem
    )


def test_without_an_identity_before_or_now_nothing_is_called_former() -> None:
    for before, principal in ((RoleReport(RoleStanding.UNKNOWN), PRINCIPAL), (judge(facts()), "")):
        report = judge(facts(), replace(before, missing_since=NOW - CONFIRMATION), principal=principal)
        assert (report.former_principal_id, report.missing_since) == ("", NOW)


BY_GROUP: Final = given_role(OWNER, principal_id=ANOTHER, principal_type="Group")


def denied_to_group(**changes: Any) -> DenyAssignment:
    return denied(**{"principals": frozenset({ANOTHER}), "groups": frozenset({ANOTHER}), **changes})


@pytest.mark.parametrize(
    ("assignments", "denial", "standing", "is_doubted"),
    [
        pytest.param((BY_GROUP,), denied_to_group(), RoleStanding.DENIED, False, id="its group"),
        pytest.param((given_role(OWNER),), denied_to_group(), RoleStanding.NOT_JUDGED, True, id="a group"),
        pytest.param(
            (BY_GROUP, given_role(OWN_ROLE, principal_id=OWN_ROLE)),
            denied_to_group(),
            RoleStanding.NOT_JUDGED,
            True,
            id="its group, in a list that has what is of others",
        ),
        pytest.param(
            (BY_GROUP,),
            denied(excluded=frozenset({ANOTHER}), groups=frozenset({ANOTHER})),
            RoleStanding.ENOUGH,
            False,
            id="everybody but its group",
        ),
        pytest.param(
            (given_role(OWNER),),
            denied(excluded=frozenset({ANOTHER}), groups=frozenset({ANOTHER})),
            RoleStanding.NOT_JUDGED,
            True,
            id="everybody but a group",
        ),
        pytest.param(
            (given_role(OWNER),),
            denied(excluded=frozenset({ANOTHER})),
            RoleStanding.DENIED,
            False,
            id="everybody but a user",
        ),
    ],
)
def test_what_is_denied_to_a_group_or_to_all_but_a_group_is_claimed_only_where_it_is_certain(
    assignments: tuple[RoleAssignment, ...], denial: DenyAssignment, standing: RoleStanding, is_doubted: bool
) -> None:
    report = judge(replace(facts(*assignments), denials=(denial,)))

    assert report.standing is standing
    assert ("Deny assignment stack may keep it" in report.note) is is_doubted


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
    assert [each.message for each in report.problems] == ([role.wrong.message] if role.wrong else [])


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
