"""The calls that read an Automation account. Nothing there is ever changed, and no output of a job is ever read."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from vault_autoupdate.arm.account_calls import AccountCalls, scope_of
from vault_autoupdate.arm.client import ArmClient, CallContext
from vault_autoupdate.arm.identity.tokens import TokenSource
from vault_autoupdate.arm.wire import automation as wire
from vault_autoupdate.model.arm_id import ArmId, fold, is_below
from vault_autoupdate.model.azure import RUNBOOK, AccountFacts, RunbookRun, Schedule
from vault_autoupdate.model.errors import ArmError

_MOST_PAGES_OF_JOBS: Final = 3
_RUNS: Final = 5
_MOST_REMEMBERED: Final = 16
_FRESH_FOR: Final = 600.0
"""Seconds for which what was read for one vault does for others."""
_MOST_ASKED_FOR: Final = 10
"""Schedules, and job schedules, that are asked for singly."""
_NOT_FOUND: Final = 404
_OPT_OUT: Final = "set spec.automationAccountChecks: false to do without these checks"
_GONE: Final = frozenset({"resourcenotfound", "resourcegroupnotfound", "notfound"})

__all__ = ["AutomationAccounts"]


@dataclass
class _Read:
    """What was read of an account, for whom and when."""

    facts: AccountFacts | None = None
    at: float = 0.0
    """Seconds on the event loop's clock."""
    key: str = ""
    """The vault for which it was read; for the same one it is read anew."""
    tokens: TokenSource | None = field(default=None, repr=False)
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)


class AutomationAccounts:
    """Reads Automation accounts in one cloud. A call about an account stays with that account, whatever a link says."""

    def __init__(self, client: ArmClient) -> None:
        self._calls = AccountCalls(client, _OPT_OUT)
        self._read: OrderedDict[str, _Read] = OrderedDict()
        """By key of the account: what was read last, of the accounts that were read last."""

    async def facts(self, context: CallContext, account: ArmId) -> AccountFacts:
        """Read what there is to know about ``account``, with five calls or a few more.

        Where vaults share an account, what was read for another one a moment ago, as the same identity, will do.

        Azure counts these calls apart from those to Site Recovery, so a 429 here must not silence the vault: they have
        a lane of their own in the throttle.

        Args:
            context: on whose behalf.
            account: the account that is declared.

        Raises:
            AzureError: something could not be read. Without the right to read, the recommended action names the
                action to grant. An account that is not there is no error.
        """
        last = self._read.pop(account.key, None) or _Read()
        self._read[account.key] = last
        while len(self._read) > _MOST_REMEMBERED:
            self._read.popitem(last=False)
        async with last.reading:
            now = asyncio.get_running_loop().time()
            if last.facts and last.key != context.key and last.tokens is context.tokens and now - last.at < _FRESH_FOR:
                return last.facts
            last.facts = await self._facts(context, account)
            last.at, last.key, last.tokens = now, context.key, context.tokens
            return last.facts

    async def _facts(self, context: CallContext, account: ArmId) -> AccountFacts:
        context = replace(context, scope=scope_of(account))
        try:
            found = await self._calls.document(context, "get_account", account, "", wire.account)
        except ArmError as error:
            if error.status == _NOT_FOUND and error.code.casefold() in _GONE:
                return AccountFacts(None)
            raise
        schedules = await self._schedules(context, account)
        job_schedules = await self._job_schedules(context, account)
        runs = await self._runs(context, account)
        used, limit = await self._calls.document(context, "list_usages", account, "/usages", wire.minutes)
        return AccountFacts(found, schedules, job_schedules, runs, used, limit)

    async def confirm(
        self,
        context: CallContext,
        account: ArmId,
        facts: AccountFacts,
        *,
        schedules: Sequence[str],
        job_schedules: Sequence[str],
    ) -> AccountFacts:
        """Ask singly for what the lists did not show, before it counts as gone.

        Site Recovery's runbook is in no list of runbooks, so whether what starts it is in the lists of schedules is not
        certain. Of many only some are asked for; where one of those is there, the lists are no proof of anything.

        Args:
            context: on whose behalf.
            account: the account that is declared.
            facts: what was read of it.
            schedules: names of schedules that it should have and the list does not show.
            job_schedules: the same for job schedules.

        Returns:
            The facts, with what is there after all.

        Raises:
            AzureError: something could not be read.
        """
        context = replace(context, scope=scope_of(account))
        if await self._is_any_there(context, account, "get_schedule", "schedules", schedules):
            found = {fold(name): Schedule(name) for name in schedules}
            facts = replace(facts, schedules={**found, **facts.schedules})
        if await self._is_any_there(context, account, "get_job_schedule", "jobSchedules", job_schedules):
            facts = replace(facts, job_schedules={**dict.fromkeys(map(fold, job_schedules), ""), **facts.job_schedules})
        return facts

    async def _is_any_there(
        self, context: CallContext, account: ArmId, operation: str, kind: str, names: Sequence[str]
    ) -> bool:
        for name in names[:_MOST_ASKED_FOR]:
            if "/" in name or not is_below(f"{account.text}/{kind}/{name}", account.key):
                return True  # no name that could be asked for: nothing is known, so nothing is done
            try:
                await self._calls.document(context, operation, account, f"/{kind}/{name}", bool)
            except ArmError as error:
                if error.status != _NOT_FOUND:
                    raise
            else:
                return True
        return False

    async def _schedules(self, context: CallContext, account: ArmId) -> dict[str, Schedule]:
        found: dict[str, Schedule] = {}
        async for page in self._calls.pages(context, "list_schedules", account, "/schedules", wire.schedules_page):
            found.update(page)
        return found

    async def _job_schedules(self, context: CallContext, account: ArmId) -> dict[str, str]:
        found: dict[str, str] = {}
        async for page in self._calls.pages(
            context, "list_job_schedules", account, "/jobSchedules", wire.job_schedules_page
        ):
            found.update(page)
        return found

    async def _runs(self, context: CallContext, account: ArmId) -> tuple[RunbookRun, ...]:
        """The last few runs of the update runbook, newest first.

        The filter is what Azure PowerShell sends for ``Get-AzAutomationJob -RunbookName``. That it finds the runs of
        Site Recovery's runbook, which is in no list of runbooks, and that the newest come first are inferred; what
        comes is filtered and sorted here once more.
        """
        found: list[wire.Run] = []
        read = 0
        path = "/jobs?$filter=" + quote(f"properties/runbook/name eq '{RUNBOOK}'")
        async for page in self._calls.pages(context, "list_account_jobs", account, path, wire.runs_page):
            read += 1
            found += page
            if len(found) >= _RUNS or read == _MOST_PAGES_OF_JOBS:
                break
        never = datetime.min.replace(tzinfo=UTC)
        found.sort(key=lambda run: run.asked_at or never, reverse=True)
        return tuple(run.run for run in found[:_RUNS])
