"""Observe: read what there is in the scope of a policy, and say what could not be read.

Nothing here raises for what Azure does: an error is a part of what was found, and never looks like an empty list.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, TypeVar

from vault_autoupdate.arm.client import CallContext
from vault_autoupdate.arm.discovery import (
    ACCOUNT_ROWS,
    ITEM_ROWS,
    SUBSCRIPTIONS_AT_ONCE,
    VAULT_ROWS,
    ArmDiscovery,
    Query,
    is_gone,
)
from vault_autoupdate.arm.wire import discovery as wire
from vault_autoupdate.decide.policy_discovery import doubts_about, unseen_subscriptions
from vault_autoupdate.decide.policy_selection import standing_of
from vault_autoupdate.model.arm_id import ArmId, fold
from vault_autoupdate.model.errors import ArmError, AzureError
from vault_autoupdate.model.estate import Estate, FoundAccount, FoundVault, Look, Trouble, Verdict
from vault_autoupdate.model.policy import PolicySpec, Replication

AT_ONCE: Final = 20
"""Subscriptions, or vaults, that are read at the same time."""
T = TypeVar("T")
R = TypeVar("R")
Accounts = Mapping[str, tuple[FoundAccount, ...]]
"""By subscription."""

__all__ = ["EstateReader"]


@dataclass(frozen=True)
class _Subscriptions:
    """What was read of the scope itself."""

    expected: frozenset[str]
    visible: Mapping[str, str]
    """With their states."""
    doubts: tuple[Trouble, ...]
    is_known: bool
    """Whether ``expected`` is all of it, by what is known by now."""


class EstateReader:
    """Reads estates, and looks at single vaults."""

    def __init__(self, arm: ArmDiscovery, now: Callable[[], datetime]) -> None:
        self._arm = arm
        self._now = now

    async def read(
        self,
        spec: PolicySpec,
        context: CallContext,
        previous: Estate | None,
        *,
        with_graph: bool,
        accounts: Accounts,
    ) -> Estate:
        """Read all that is in the scope of a policy.

        Args:
            spec: of the policy.
            context: on whose behalf.
            previous: the last complete one of the same policy: what is in scope where that cannot be read now.
            with_graph: whether to ask Resource Graph; where it fails, lists are read all the same.
            accounts: what is known of accounts, by subscription.
        """
        started = self._now()
        scope = await self._subscriptions(spec, context, previous)
        unreachable = unseen_subscriptions(scope.expected, scope.visible)
        readable = sorted(scope.expected - unreachable.keys())
        estate = Estate(
            source="List",
            started_at=started,
            completed_at=started,
            expected=scope.expected,
            unreachable=unreachable,
            disabled=frozenset(key for key in readable if scope.visible[key].casefold() != "enabled"),
            scope_is_known=scope.is_known,
            doubts=scope.doubts,
        )
        found = await self._from_graph(spec, context, readable, estate) if with_graph else None
        if found is None:
            found = await self._from_lists(context, readable, estate)
            found = await self._with_usages(spec, context, found, previous)
        else:
            found = replace(found, accounts=await self._checked(context, found.accounts, accounts))
        return replace(found, completed_at=self._now())

    async def look(self, context: CallContext, vault: ArmId) -> Look:
        """Look at one vault."""
        try:
            return Look(self._now(), Verdict.THERE, await self._arm.vault(context, vault))
        except AzureError as error:
            gone = isinstance(error, ArmError) and is_gone(error)
            return Look(self._now(), Verdict.GONE if gone else Verdict.UNREACHABLE, trouble=_trouble(error))

    async def looks(self, context: CallContext, vaults: Iterable[FoundVault]) -> dict[str, Look]:
        """Look at several vaults, by their keys."""
        return await _each(vaults, lambda vault: vault.key, lambda vault: self.look(context, vault.id))

    async def _subscriptions(self, spec: PolicySpec, context: CallContext, previous: Estate | None) -> _Subscriptions:
        doubts: list[Trouble] = []
        expected = {each.casefold() for each in spec.scope.subscriptions}
        visible: dict[str, str] = {}
        is_known = True
        try:
            visible = await self._arm.subscriptions(context)
        except AzureError as error:
            doubts.append(_trouble(error))
        for group in spec.scope.management_groups:
            try:
                expected |= await self._arm.descendants(context, group)
            except AzureError as error:
                doubts.append(_trouble(error))
                expected |= previous.expected if previous else set()
                is_known = is_known and previous is not None
        declared = frozenset(each for each in expected if spec.scope.declares(each))
        return _Subscriptions(declared, visible, tuple(doubts), is_known)

    async def _from_graph(
        self, spec: PolicySpec, context: CallContext, readable: list[str], estate: Estate
    ) -> Estate | None:
        """What Resource Graph shows; None where it cannot be asked."""
        try:
            vaults = await self._query(context, VAULT_ROWS, readable)
            accounts = await self._query(context, ACCOUNT_ROWS, readable)
            wants_items = spec.vault_selector.replication is Replication.PRESENT
            items = await self._query(context, ITEM_ROWS, readable) if wants_items else None
            found = {each.key: each for each in map(wire.vault, _rows(vaults))}
            listed = [wire.account(row) for row in _rows(accounts)]
            shown = [query for query in (*vaults, *accounts, *(items or ())) if readable]
            doubts = [doubt for query in shown for doubt in doubts_about(query.pages)]
        except AzureError:
            return None
        if items is not None:
            busy = {fold(str(row.get("id", ""))).partition("/replicationfabrics/")[0] for row in _rows(items)}
            found = {key: replace(each, replicates=key in busy) for key, each in found.items()}
        return replace(
            estate,
            source="Graph",
            read=frozenset(readable),
            vaults=found,
            accounts=_by_subscription(readable, listed),
            doubts=(*estate.doubts, *dict.fromkeys(doubts)),
        )

    async def _query(self, context: CallContext, text: str, readable: list[str]) -> list[Query]:
        return [
            await self._arm.query(context, text, readable[start : start + SUBSCRIPTIONS_AT_ONCE])
            for start in range(0, len(readable), SUBSCRIPTIONS_AT_ONCE)
        ]

    async def _checked(self, context: CallContext, shown: Accounts, known: Accounts) -> Accounts:
        """Accounts as lists have them. Resource Graph only tells where something has changed since they were read.

        It has shown a part of the Automation accounts for days, with success (azure-powershell#12747): by half of them
        a pattern leads to one account that leads to two.
        """
        same = {key: known[key] for key, each in shown.items() if key in known and _same(known[key], each)}
        return {**same, **await self._accounts(context, [key for key in shown if key not in same])}

    async def _accounts(self, context: CallContext, subscriptions: Iterable[str]) -> Accounts:
        """Accounts by subscription; one whose list could not be read is not among them."""

        async def accounts(subscription: str) -> tuple[FoundAccount, ...] | None:
            try:
                return tuple(await self._arm.accounts(context, subscription))
            except AzureError:
                return None

        listed = await _each(subscriptions, str, accounts)
        return {key: answer for key, answer in listed.items() if answer is not None}

    async def _from_lists(self, context: CallContext, readable: list[str], estate: Estate) -> Estate:
        async def vaults(subscription: str) -> list[FoundVault] | Trouble:
            try:
                return await self._arm.vaults(context, subscription)
            except AzureError as error:
                return _trouble(error)

        answers = await _each(readable, str, vaults)
        failed = {key: answer for key, answer in answers.items() if isinstance(answer, Trouble)}
        read = {key: answer for key, answer in answers.items() if not isinstance(answer, Trouble)}
        return replace(
            estate,
            read=frozenset(read),
            unreachable={**estate.unreachable, **failed},
            vaults={vault.key: vault for answer in read.values() for vault in answer},
            accounts=await self._accounts(context, readable),
        )

    async def _with_usages(
        self, spec: PolicySpec, context: CallContext, estate: Estate, previous: Estate | None
    ) -> Estate:
        """Ask the vaults that are meant whether they replicate anything, where that matters and is not known yet."""
        known = {key for key, vault in previous.vaults.items() if vault.replicates} if previous else set()
        vaults = {key: replace(each, replicates=True if key in known else None) for key, each in estate.vaults.items()}
        asked = [each for each in vaults.values() if standing_of(spec, each).idle]

        async def replicates(vault: FoundVault) -> bool | None:
            try:
                return await self._arm.replicates(context, vault.id)
            except AzureError:
                return None

        answers = await _each(asked, lambda vault: vault.key, replicates)
        vaults |= {key: replace(vaults[key], replicates=answer) for key, answer in answers.items()}
        return replace(estate, vaults=vaults)


async def _each(items: Iterable[T], key: Callable[[T], str], read: Callable[[T], Awaitable[R]]) -> dict[str, R]:
    """Read something for each of many, a few at the same time, and give the answers by their keys."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(item: T) -> tuple[str, R]:
        async with turns:
            return key(item), await read(item)

    return dict(await asyncio.gather(*(one(item) for item in items)))


def _rows(queries: Iterable[Query]) -> list[dict[str, object]]:
    return [row for query in queries for row in query.rows]


def _same(known: Iterable[FoundAccount], shown: Iterable[FoundAccount]) -> bool:
    """Whether two lists have the same accounts, in any order and letter case, with the same tags."""
    return {each.id.key: each.tags for each in known} == {each.id.key: each.tags for each in shown}


def _by_subscription(readable: Iterable[str], accounts: Iterable[FoundAccount]) -> Accounts:
    found: dict[str, tuple[FoundAccount, ...]] = dict.fromkeys(readable, ())
    for account in accounts:
        key = account.id.subscription.casefold()
        found[key] = (*found.get(key, ()), account)
    return found


def _trouble(error: AzureError) -> Trouble:
    return Trouble(error.reason, str(error))
