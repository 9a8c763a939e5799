"""From a vault to its Automation account. Pure.

No account is guessed: a way that leads to several, or to none, leads nowhere. And a list of accounts that could not
be read says nothing: the one account in half a list may not be the only one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from vault_autoupdate.decide.policy_selection import matches_tags, tag_of
from vault_autoupdate.model.arm_id import ArmId, InvalidResourceId, fold, parse_automation_account_id
from vault_autoupdate.model.estate import FoundAccount, FoundVault
from vault_autoupdate.model.policy import AccountWay

__all__ = ["AccountChoice", "choose_account"]


@dataclass(frozen=True)
class AccountChoice:
    """Which account a vault gets."""

    account: ArmId | None = None
    why: str = ""
    """Why there is none, way by way."""
    wants_current: bool = False
    """Whether the vault's mappings have to be read before it can be told."""


def choose_account(
    ways: Iterable[AccountWay],
    vault: FoundVault,
    accounts: tuple[FoundAccount, ...] | None,
    current: Mapping[str, tuple[str, ...]],
    allows: Callable[[str], bool],
) -> AccountChoice:
    """Follow the ways in order; the first that leads to exactly one account counts.

    Args:
        ways: of the policy.
        vault: the vault.
        accounts: those of its subscription; None when they could not be read.
        current: by vault, the ids that its mappings with auto-update name; one that was not read is not in it.
        allows: whether the policy's namespace may name a resource, by its id.
    """
    tried: list[str] = []
    for way in ways:
        if way.current and vault.key not in current:
            return AccountChoice(why="; ".join([*tried, "its mappings were not read yet"]), wants_current=True)
        name, found = _follow(way, vault, accounts, current)
        if found is None:
            tried.append(f"{name}: the accounts of its subscription could not be read")
            continue
        distinct = {account.key: account for account in reversed(found)}  # as the first of them spells it
        usable = [account for account in distinct.values() if allows(account.text)]
        if len(distinct) == 1 and usable:
            return AccountChoice(usable[0])
        tried.append(f"{name}: {_count(len(distinct), outside=len(distinct) - len(usable))}")
    return AccountChoice(why="; ".join(tried))


def _follow(
    way: AccountWay,
    vault: FoundVault,
    accounts: tuple[FoundAccount, ...] | None,
    current: Mapping[str, tuple[str, ...]],
) -> tuple[str, list[ArmId] | None]:
    """What the way is called, and where it leads; None when that cannot be told."""
    if way.resource_id:
        return "resourceId", _in_subscription([way.resource_id.text], vault)
    if way.current:
        return "current", _in_subscription(current[vault.key], vault)
    if way.vault_tag:
        value = tag_of(vault, way.vault_tag)
        if not value or value.startswith("/"):
            return "vaultTag", _in_subscription([value], vault)
        return "vaultTag", _listed(accounts, lambda each: fold(each.id.name) == fold(value))
    if way.account_tag:
        wanted = way.account_tag
        return "accountTag", _listed(accounts, lambda each: matches_tags(wanted, each.tags))
    return "namePattern", _listed(accounts, lambda each: _is_named(way, each.id))


def _is_named(way: AccountWay, account: ArmId) -> bool:
    group = way.resource_group
    return fnmatchcase(fold(account.name), fold(way.name_pattern or "")) and (
        group is None or fold(account.resource_group) == fold(group)
    )


def _listed(accounts: tuple[FoundAccount, ...] | None, fits: Callable[[FoundAccount], bool]) -> list[ArmId] | None:
    return None if accounts is None else [each.id for each in accounts if fits(each)]


def _in_subscription(ids: Iterable[str], vault: FoundVault) -> list[ArmId]:
    """Those that are ids of accounts in the vault's subscription: Site Recovery accepts no other."""
    found = []
    for text in ids:
        try:
            account = parse_automation_account_id(text)
        except InvalidResourceId:
            continue
        if account.subscription.casefold() == vault.subscription:
            found.append(account)
    return found


def _count(found: int, *, outside: int) -> str:
    if outside:
        return "leads to an account that this namespace may not name"
    return "leads to none" if found == 0 else f"leads to {found}"
