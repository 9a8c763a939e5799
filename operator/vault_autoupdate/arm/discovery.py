"""The calls by which vaults are found, typed. Each follows all pages and never leaves the configured host.

They have throttles of their own: looking for vaults must not take from the reads that vaults are kept right by. What
lists cost is counted by Azure for each subscription and for the tenant; Resource Graph counts for each identity, 15
queries in 5 s as a rule, of which 10 are used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from vault_autoupdate.arm.client import ArmClient, CallContext
from vault_autoupdate.arm.paging import PagedList, pages
from vault_autoupdate.arm.session import ArmReply
from vault_autoupdate.arm.wire import discovery as wire
from vault_autoupdate.decide.policy_discovery import GraphPage
from vault_autoupdate.model.arm_id import ArmId
from vault_autoupdate.model.errors import ArmError, MalformedReply
from vault_autoupdate.model.estate import FoundAccount, FoundVault
from vault_autoupdate.model.quota import QuotaScope

_MOST_PAGES: Final = 1000
_VAULTS: Final = "2023-02-01"
_USAGES: Final = "2023-02-01"
_ACCOUNTS: Final = "2023-11-01"
_SUBSCRIPTIONS: Final = "2022-12-01"
_GROUPS: Final = "2020-05-01"
_GRAPH: Final = "2024-04-01"
GRAPH_SCOPE: Final = QuotaScope("resource-graph")
"""What shares the limit of queries. Not a subscription's: no id of one looks like this."""
TENANT_SCOPE: Final = QuotaScope("tenant")
SUBSCRIPTIONS_AT_ONCE: Final = 500
"""Resource Graph takes 1,000 in one query."""
VAULT_ROWS: Final = (
    "resources | where type =~ 'microsoft.recoveryservices/vaults' "
    "| project id, name, location, resourceGroup, subscriptionId, tags | order by id asc"
)
ACCOUNT_ROWS: Final = (
    "resources | where type =~ 'microsoft.automation/automationaccounts' "
    "| project id, name, location, subscriptionId, tags, identity | order by id asc"
)
ITEM_ROWS: Final = (
    "recoveryservicesresources | where type =~ 'microsoft.recoveryservices/vaults/replicationfabrics"
    "/replicationprotectioncontainers/replicationprotecteditems' "
    "| project id, subscriptionId | order by id asc"
)
"""No text of anybody's is in a query: tags and names are compared here."""
_TENANT: Final = ArmId("", "", "", "", "of the identity")
"""What belongs to no subscription: a link may lead anywhere on the same host."""
T = TypeVar("T")

__all__ = [
    "ACCOUNT_ROWS", "GRAPH_SCOPE", "ITEM_ROWS", "SUBSCRIPTIONS_AT_ONCE",
    "TENANT_SCOPE", "VAULT_ROWS", "ArmDiscovery", "Query", "is_gone",
]  # fmt: skip


@dataclass(frozen=True)
class Query:
    """All rows of an answer, and what its pages say about themselves."""

    rows: list[dict[str, Any]]
    pages: tuple[GraphPage, ...]


class ArmDiscovery:
    """Finds subscriptions, vaults and accounts in one cloud."""

    def __init__(self, lists: ArmClient, graph: ArmClient) -> None:
        """Bind to a cloud.

        Args:
            lists: sends what Resource Manager answers.
            graph: sends queries, within the limit that they have.
        """
        self._client = lists
        self._graph = graph

    async def subscriptions(self, context: CallContext) -> dict[str, str]:
        """States of all subscriptions that the identity can see, by id in lower case. Raises `AzureError`."""
        target = f"/subscriptions?api-version={_SUBSCRIPTIONS}"
        return dict(await self._list(_tenant(context), "list_subscriptions", target, _TENANT, wire.subscriptions))

    async def descendants(self, context: CallContext, group: str) -> set[str]:
        """All subscriptions in a management group, in lower case, at any depth. Raises `AzureError`."""
        target = f"/providers/Microsoft.Management/managementGroups/{group}/descendants?api-version={_GROUPS}"
        return set(await self._list(_tenant(context), "list_descendants", target, _TENANT, wire.descendants))

    async def vaults(self, context: CallContext, subscription: str) -> list[FoundVault]:
        """All vaults of a subscription. Raises `AzureError`."""
        place = _place(subscription)
        target = f"{place}/providers/Microsoft.RecoveryServices/vaults?api-version={_VAULTS}"
        return await self._list(_of(context, subscription), "list_vaults", target, place, wire.vaults)

    async def accounts(self, context: CallContext, subscription: str) -> list[FoundAccount]:
        """All Automation accounts of a subscription. Raises `AzureError`."""
        place = _place(subscription)
        target = f"{place}/providers/Microsoft.Automation/automationAccounts?api-version={_ACCOUNTS}"
        return await self._list(_of(context, subscription), "list_accounts", target, place, wire.accounts)

    async def vault(self, context: CallContext, vault: ArmId) -> FoundVault:
        """One vault, as it is now. Raises `AzureError`."""
        scope = _of(context, vault.subscription)
        target = f"{vault.text}?api-version={_VAULTS}"
        found = await self._client.read(scope, "look_at_vault", target, lambda reply: wire.vault(reply.document()))
        if found.key != vault.key:
            raise MalformedReply("ARM answered about another vault than it was asked about.")
        return found

    async def replicates(self, context: CallContext, vault: ArmId) -> bool:
        """Whether a vault replicates anything. Raises `AzureError`."""
        target = f"{vault.text}/replicationUsages?api-version={_USAGES}"
        scope = _of(context, vault.subscription)
        return await self._client.read(scope, "get_usages", target, lambda reply: wire.usages(reply.document()))

    async def query(self, context: CallContext, text: str, subscriptions: Sequence[str]) -> Query:
        """All rows of a query of Resource Graph over some subscriptions.

        Raises:
            AzureError: a page could not be read; a query that is answered with 403 for all of them is one as well.
        """
        rows: list[dict[str, Any]] = []
        read: list[GraphPage] = []
        token: str | None = None
        while True:
            options: dict[str, object] = {"$top": 1000, "resultFormat": "objectArray", "allowPartialScopes": False}
            body: dict[str, object] = {
                "query": text,
                "subscriptions": list(subscriptions),
                "options": options | ({"$skipToken": token} if token else {}),
            }
            target = f"/providers/Microsoft.ResourceGraph/resources?api-version={_GRAPH}"
            scope = replace(context, scope=GRAPH_SCOPE)
            answer = await self._graph.query(scope, "query_graph", target, body, _graph_page)
            rows += answer.rows
            read.append(answer.page)
            if answer.token is None:
                return Query(rows, tuple(read))
            # Tokens are offsets: one that leads where the last one led, or a page without rows, leads to no end.
            if answer.token == token or not answer.rows or len(read) >= _MOST_PAGES:
                raise MalformedReply(f"The pages of a query never end: {len(read)} were read.")
            token = answer.token

    async def _list(
        self, context: CallContext, operation: str, target: str, place: ArmId, read: Callable[[object], Sequence[T]]
    ) -> list[T]:
        kind = "subscription" if place.subscription else "tenant"
        wanted = PagedList(operation, target, place, kind, read, _MOST_PAGES)
        return [each async for page in pages(self._client, context, wanted) for each in page]


def is_gone(error: ArmError) -> bool:
    """Whether an answer about a vault is positive evidence that it does not exist.

    A subscription that is not found may only be one that the identity has lost.
    """
    return error.status == 404 and error.code.casefold() in {"resourcenotfound", "resourcegroupnotfound"}


def _of(context: CallContext, subscription: str) -> CallContext:
    return replace(context, scope=QuotaScope(subscription.casefold()))


def _tenant(context: CallContext) -> CallContext:
    return replace(context, scope=TENANT_SCOPE)


def _graph_page(reply: ArmReply) -> wire.Rows:
    return wire.graph_page(reply.document(), reply.headers)


def _place(subscription: str) -> ArmId:
    """A subscription as what a list belongs to: no link leads out of it."""
    return ArmId(f"/subscriptions/{subscription}", subscription, "", "", subscription)
