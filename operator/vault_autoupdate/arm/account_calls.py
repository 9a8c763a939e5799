"""What calls about an Automation account have in common: version, quota, and what to do about their errors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final, TypeVar

from vault_autoupdate.arm.client import ArmClient, CallContext
from vault_autoupdate.arm.paging import PagedList, pages
from vault_autoupdate.arm.session import ArmReply
from vault_autoupdate.model.arm_id import ArmId, fold
from vault_autoupdate.model.errors import ArmError
from vault_autoupdate.model.quota import QuotaScope

_API_VERSION: Final = "2024-10-23"
"""Automation is another resource provider than Site Recovery, with versions of its own."""
_LANE: Final = "automation"
"""Stands where the region of vaults has its place in a scope."""
_MOST_PAGES: Final = 50
_BAD_REQUEST: Final = 400
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_ACTIONS: Final = {
    "get_account": "read",
    "get_schedule": "schedules/read",
    "get_job_schedule": "jobSchedules/read",
    "list_schedules": "schedules/read",
    "list_job_schedules": "jobSchedules/read",
    "list_account_jobs": "jobs/read",
    "list_usages": "usages/read",
    "update_schedule": "schedules/write",
}

T = TypeVar("T")

__all__ = ["AccountCalls", "scope_of"]


class AccountCalls:
    """Calls about an account, which stay with that account, whatever a link says."""

    def __init__(self, client: ArmClient, opt_out: str) -> None:
        """Make calls by ``client``; ``opt_out`` says how a user does without them."""
        self._client = client
        self._opt_out = opt_out

    async def document(
        self, context: CallContext, operation: str, account: ArmId, path: str, parse: Callable[[Any], T]
    ) -> T:
        """Read what is at ``path`` below the account. Raises `AzureError`."""
        target = _target(account, path)
        try:
            return await self._client.read(context, operation, target, lambda reply: parse(reply.document()))
        except ArmError as error:
            self._explain(error, operation, account)
            raise

    async def pages(
        self, context: CallContext, operation: str, account: ArmId, path: str, read_page: Callable[[Any], Sequence[T]]
    ) -> AsyncIterator[Sequence[T]]:
        """Read a list at ``path`` below the account, page by page. Raises `AzureError`."""
        wanted = PagedList(operation, _target(account, path), account, "account", read_page, _MOST_PAGES)
        try:
            async for page in pages(self._client, context, wanted):
                yield page
        except ArmError as error:
            self._explain(error, operation, account)
            raise

    async def put(
        self, context: CallContext, operation: str, account: ArmId, path: str, body: dict[str, object]
    ) -> ArmReply:
        """PUT ``body`` to ``path`` below the account, once. Raises `AzureError`."""
        try:
            return await self._client.write(context, operation, _target(account, path), body, method="PUT")
        except ArmError as error:
            self._explain(error, operation, account)
            raise

    def _explain(self, error: ArmError, operation: str, account: ArmId) -> None:
        """Say what to do about the account, where ARM's errors in general are explained with the vault in mind."""
        if error.status == _FORBIDDEN and "microsoft.automation/" not in error.recommended_action.casefold():
            error.recommended_action = (
                f"Grant the calling identity the action Microsoft.Automation/automationAccounts/{_ACTIONS[operation]} "
                f"on {account.text}, or {self._opt_out}."
            )
        elif error.status == _NOT_FOUND:
            error.recommended_action = (
                "Check spec.automationAccountResourceId, and that the identity has a role in its subscription and is "
                "of its tenant."
            )
        elif error.status == _BAD_REQUEST:
            error.recommended_action = (
                f"This cloud may not know api-version {_API_VERSION} of Microsoft.Automation: {self._opt_out}."
            )


def scope_of(account: ArmId) -> QuotaScope:
    """What shares a quota with calls about ``account``."""
    return QuotaScope(fold(account.subscription), _LANE)


def _target(account: ArmId, path: str) -> str:
    below, _, query = path.partition("?")
    return f"{account.text}{below}?api-version={_API_VERSION}{query and f'&{query}'}"
