"""The role of an Automation account's identity on a vault: whether it has one, and what to do if not. Pure.

Site Recovery takes the setting for an account whose identity may do nothing at all (Microsoft's own provider for
Terraform tests with such an account); then nothing is ever updated. Which actions the update runbook needs is not
published. So three things are certain: no role, none but reading ones, and one of those that Microsoft names.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Final

from vault_autoupdate.model import bounds
from vault_autoupdate.model.arm_id import ArmId, fold
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.model.roles import (
    BUILT_IN,
    EVERYBODY,
    DenyAssignment,
    Permission,
    RoleAssignment,
    RoleDefinition,
    RoleFacts,
)
from vault_autoupdate.model.text import clean

_WRITES: Final = ("write", "delete", "action")
"""The last words of actions that change something; all others end with ``read``."""
_CHANGES_OF_VAULT: Final = (
    "microsoft.recoveryservices/vaults/replicationfabrics/replicationprotectioncontainers/replicationprotecteditems"
    "/updatemobilityservice/action"
)
"""What every run comes to, whatever else it does (inferred)."""
_MOST_NAMED: Final = 3

__all__ = ["RoleReport", "RoleStanding", "judge_role", "role_not_known"]


class RoleStanding(StrEnum):
    """Whether the identity may change the vault."""

    ENOUGH = "Enough"
    """It is Owner or Contributor: enough, as far as Microsoft says."""
    NOT_JUDGED = "NotJudged"
    """It has another role, or something may be denied to it, and nobody says whether that is enough."""
    TOO_WEAK = "TooWeak"
    """It may read, and nothing else."""
    DENIED = "Denied"
    """It has a role, and a deny assignment takes away what it allows."""
    MISSING = "Missing"
    """It has no role."""
    NOT_SEEN = "NotSeen"
    """No role of it is to be seen, which may have other reasons still."""
    UNKNOWN = "Unknown"
    """That could not be read."""


@dataclass(frozen=True)
class RoleReport:
    """What follows from the facts."""

    standing: RoleStanding
    principal_id: str = ""
    """Of the identity: what a role is given to."""
    roles: tuple[str, ...] = ()
    """Each role with what it is on, in words."""
    note: str = ""
    """What else is to be said, in words."""
    missing_since: datetime | None = None
    """Since when no role has been seen."""
    former_principal_id: str = ""
    """Of the identity that the account had before, where it was made anew: what that one was given counts no more."""
    wrong: Explanation | None = None
    """What is wrong with it, and the exact thing to do; None if nothing is known to be."""
    unclear: Explanation | None = None
    """Why it cannot be told whether it has a role; None if it can, or if nobody could."""


def judge_role(
    facts: RoleFacts,
    vault: ArmId,
    account: ArmId,
    principal_id: str,
    before: RoleReport | None,
    *,
    now: datetime,
    confirmation: timedelta,
) -> RoleReport:
    """Judge what an account's identity may do in a vault.

    Args:
        facts: what was read.
        vault: the vault.
        account: the account.
        principal_id: of its identity as it is now.
        before: what was found at the look before this one.
        now: the present.
        confirmation: for how long no role must have been seen before that counts: a new assignment takes up to ten
            minutes to show (Microsoft's troubleshooting page of role assignments).
    """
    report = _with_history(RoleReport(RoleStanding.UNKNOWN, fold(principal_id)), before)
    counting = [each for each in facts.assignments if _counts(each, vault, report.principal_id)]
    if counting:
        report = _judge_presence(report, counting, facts, vault)
    else:
        report = _judge_absence(report, vault, account, now, confirmation)
    name = clean(account.name, bounds.NAMED)
    return replace(report, wrong=_wrong(report, name, vault), unclear=_unclear(report, name, vault))


def role_not_known(principal_id: str, problem: Explanation, before: RoleReport | None) -> RoleReport:
    """The report where the roles could not be read. For how long none was seen before is not forgotten."""
    return _with_history(RoleReport(RoleStanding.UNKNOWN, fold(principal_id), unclear=problem), before)


def _wrong(report: RoleReport, account: str, vault: ArmId) -> Explanation | None:
    command = _grant_command(report.principal_id, vault)
    match report.standing:
        case RoleStanding.MISSING:
            former = report.former_principal_id
            lost = f" What its earlier identity {former} was given does not count for it." if former else ""
            return Explanation(
                "RoleMissing",
                f"The identity of Automation account {account} has no role on the vault, so nothing is updated. "
                f"Give it one: {command}.{lost}",
            )
        case RoleStanding.TOO_WEAK:
            return Explanation(
                "RoleTooWeak",
                f"The identity of Automation account {account} may only read the vault ({_named(report)}), so nothing "
                f"is updated. Give it a role: {command}.",
            )
        case RoleStanding.DENIED:
            return Explanation(
                "RoleDenied",
                f"Deny assignment {report.note} keeps the identity of Automation account {account} from changing the "
                "vault, whatever its role. Whoever made it (often a deployment stack or a managed application) has to "
                f"exclude principal {report.principal_id}.",
            )
        case RoleStanding.ENOUGH | RoleStanding.NOT_JUDGED | RoleStanding.NOT_SEEN | RoleStanding.UNKNOWN:
            return None


def _unclear(report: RoleReport, account: str, vault: ArmId) -> Explanation | None:
    if report.standing is not RoleStanding.NOT_SEEN:
        return None
    why = report.note or "A new assignment takes up to ten minutes to show: it is looked for once more."
    return Explanation(
        "RoleNotSeen",
        f"No role of the identity of Automation account {account} on the vault is to be seen. {why} If it has none: "
        f"{_grant_command(report.principal_id, vault)}.",
    )


def _named(report: RoleReport) -> str:
    more = len(report.roles) - _MOST_NAMED
    return ", ".join(report.roles[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _grant_command(principal_id: str, vault: ArmId) -> str:
    """The command that gives the identity the role that Microsoft asks for, to be pasted into a shell."""
    return (
        f"az role assignment create --assignee-object-id {principal_id} --assignee-principal-type ServicePrincipal "
        f"--role Owner --scope {shlex.quote(vault.text)}"
    )


def _with_history(report: RoleReport, before: RoleReport | None) -> RoleReport:
    if before is None or not before.principal_id or not report.principal_id:
        return report
    if before.principal_id != report.principal_id:
        return replace(report, former_principal_id=before.principal_id)
    return replace(report, missing_since=before.missing_since, former_principal_id=before.former_principal_id)


def _judge_presence(
    report: RoleReport, counting: Sequence[RoleAssignment], facts: RoleFacts, vault: ArmId
) -> RoleReport:
    report = replace(
        report,
        missing_since=None,
        former_principal_id="",
        roles=tuple(dict.fromkeys(_in_words(each, facts, vault) for each in counting)),
        note=_note(counting, facts),
    )
    certain, possible = _denials_of(facts, vault, report.principal_id)
    if certain is not None:
        return replace(report, standing=RoleStanding.DENIED, note=clean(certain.name, bounds.NAMED))
    if possible is not None:
        report = replace(report, note=f"{report.note} {_perhaps(possible)}".strip())
    ids = {each.role_id for each in counting}
    if ids & BUILT_IN.keys() and possible is None:
        return replace(report, standing=RoleStanding.ENOUGH)
    known = [facts.roles.get(each) for each in ids - BUILT_IN.keys()]
    only_reads = not ids & BUILT_IN.keys() and all(role is not None and not _may_change(role) for role in known)
    return replace(report, standing=RoleStanding.TOO_WEAK if only_reads else RoleStanding.NOT_JUDGED)


def _judge_absence(
    report: RoleReport, vault: ArmId, account: ArmId, now: datetime, confirmation: timedelta
) -> RoleReport:
    since = min(report.missing_since or now, now)
    # By Azure Lighthouse the account may be another tenant's, and such roles are in no list.
    elsewhere = fold(vault.subscription) != fold(account.subscription)
    certain = now - since >= confirmation and not elsewhere
    note = "Roles that were delegated by Azure Lighthouse are not listed." if elsewhere else ""
    standing = RoleStanding.MISSING if certain else RoleStanding.NOT_SEEN
    return replace(report, standing=standing, missing_since=since, note=note)


def _counts(assignment: RoleAssignment, vault: ArmId, principal_id: str) -> bool:
    """Whether it is for this principal, or a group of it, and for this vault: a filter might not have been obeyed.

    What is not told counts as if it were: nothing may be called missing that could be there.
    """
    is_of_principal = assignment.is_of_group or assignment.principal_id in {"", principal_id}
    return is_of_principal and _is_above(assignment.scope, vault)


def _is_above(scope: str, vault: ArmId) -> bool:
    """Whether what is assigned at ``scope`` is for ``vault`` too. Management groups cannot be told apart by an id."""
    folded = fold(scope).rstrip("/")
    is_group = folded.startswith("/providers/microsoft.management/managementgroups/")
    return folded == vault.key or is_group or vault.key.startswith(f"{folded}/")


def _in_words(assignment: RoleAssignment, facts: RoleFacts, vault: ArmId) -> str:
    role = facts.roles.get(assignment.role_id)
    name = (
        BUILT_IN.get(assignment.role_id)
        or (role.name if role else "")
        or f"role {assignment.role_id or 'that is not told'}"
    )
    return clean(f"{name} on {_place(assignment.scope, vault)}", bounds.NAMED)


def _place(scope: str, vault: ArmId) -> str:
    segments = fold(scope).strip("/").split("/")
    name = scope.strip("/").rpartition("/")[2]
    if fold(scope) == vault.key:
        return "the vault"
    if segments[0] == "providers":
        return f"management group {name}"
    if segments == [""]:
        return "the whole tenant"
    return f"resource group {name}" if len(segments) == 4 else "the subscription"


def _note(assignments: Iterable[RoleAssignment], facts: RoleFacts) -> str:
    notes = []
    if all(each.is_of_group for each in assignments):
        notes.append("It has that by a group: who has just come into one may wait for up to 24 hours.")
    if not facts.denials_known:
        notes.append("Whether it is denied may not be read (Microsoft.Authorization/denyAssignments/read).")
    return " ".join(notes)


def _denials_of(
    facts: RoleFacts, vault: ArmId, principal_id: str
) -> tuple[DenyAssignment | None, DenyAssignment | None]:
    """The first deny assignment that keeps the principal from changing the vault, and the first that may.

    Of groups only those are known by which it has a role. It may be in any other that is denied, or excluded.
    """
    own = {principal_id, *_groups_of(facts, principal_id)}
    certain = possible = None
    for each in facts.denials:
        if not _denies_changes(each, vault) or own & each.excluded:
            continue
        unknown = each.groups - own
        is_meant = bool((own | {EVERYBODY}) & each.principals)
        if is_meant and not unknown & each.excluded:
            certain = certain or each
        elif is_meant or unknown & each.principals:
            possible = possible or each
    return certain, possible


def _groups_of(facts: RoleFacts, principal_id: str) -> set[str]:
    """The groups by which the principal has a role: none, if the list has what is of others too."""
    others = (each for each in facts.assignments if not each.is_of_group and each.principal_id != principal_id)
    return set() if any(others) else {each.principal_id for each in facts.assignments if each.is_of_group}


def _denies_changes(denial: DenyAssignment, vault: ArmId) -> bool:
    is_for_vault = fold(denial.scope) == vault.key if denial.only_there else _is_above(denial.scope, vault)
    return is_for_vault and any(_allows(permission, _CHANGES_OF_VAULT) for permission in denial.permissions)


def _perhaps(denial: DenyAssignment) -> str:
    return (
        f"Deny assignment {clean(denial.name, bounds.NAMED)} may keep it from changing the vault: whether it is in a "
        "group that is denied, or excluded, is not known."
    )


def _allows(permission: Permission, action: str) -> bool:
    return _matches(action, permission.actions) and not _matches(action, permission.not_actions)


def _may_change(role: RoleDefinition) -> bool:
    """Whether a role allows anything but reading."""
    return any(
        not _matches(change, permission.not_actions)
        for permission in role.permissions
        for action in permission.actions
        for change in _changes_in(action)
    )


def _changes_in(action: str) -> list[str]:
    """What a pattern allows apart from reading, as patterns again; ``*`` at its end stands for each kind of change."""
    if action.endswith("*"):
        return [f"{action}/{kind}" for kind in _WRITES]
    return [] if action.casefold().endswith("/read") else [action]


def _matches(action: str, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns covers an action, or all that a pattern of actions stands for."""
    return any(fnmatchcase(action.casefold(), pattern.casefold()) for pattern in patterns)
