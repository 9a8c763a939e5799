"""In which region vaults are: each is read by itself, and where many of a subscription are asked for, their list.

Which limits the calls about a vault count against is known once its region is. A fleet that is declared all at once
would make a call for each of its vaults for that, a third of all that is read before the first PATCH; a list tells it
of hundreds. The list is a short cut and nothing more: what it does not show, or where it cannot be read, is read
singly, which says what is the matter.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from vault_autoupdate.arm.client import ArmClient, CallContext
from vault_autoupdate.arm.identity.tokens import TokenSource
from vault_autoupdate.arm.paging import PagedList, pages
from vault_autoupdate.arm.wire import site_recovery as wire
from vault_autoupdate.model.arm_id import ArmId, fold
from vault_autoupdate.model.azure import Vault
from vault_autoupdate.model.errors import AzureError

_API_VERSION: Final = "2023-02-01"
"""Vaults are another resource provider's than what is in them, with versions of its own; this one was recorded live."""
_FEW: Final = 4
"""Vaults of a subscription that are read singly before they are read as a list."""
_SOON: Final = 60.0
"""Seconds without a question after which these are counted anew; and after which a list that failed is tried again."""
_FRESH_FOR: Final = 600.0
"""Seconds for which a list is good: a vault never changes its region, but others come."""
_PATIENCE: Final = 10.0
"""Seconds that a vault waits for a list."""
_MOST_PAGES: Final = 1000
_MOST_REMEMBERED: Final = 1000

__all__ = ["VaultLocations"]


@dataclass
class _Subscription:
    """What is known of the vaults that an identity sees in a subscription."""

    asked: set[str] = field(default_factory=set)
    """Keys of the first vaults that were asked for one soon after the other."""
    asked_at: float = 0.0
    """Seconds on the event loop's clock, as the next one."""
    list_after: float = float("-inf")
    """When the list is to be read again."""
    vaults: dict[str, Vault] = field(default_factory=dict)
    """By key, of the last list; nothing where it could not be read."""
    listing: asyncio.Lock = field(default_factory=asyncio.Lock)


class VaultLocations:
    """Reads vaults for their regions. Belongs to one event loop."""

    def __init__(self, client: ArmClient) -> None:
        self._client = client
        self._known: OrderedDict[tuple[str, TokenSource | None], _Subscription] = OrderedDict()
        """By subscription and identity, those that were asked about last at the end."""

    async def vault(self, context: CallContext, vault: ArmId) -> Vault:
        """Read a vault, or take it from a list. Raises `AzureError`: it could not be read."""
        known, now = self._subscription(context, vault), asyncio.get_running_loop().time()
        if now - known.asked_at >= _SOON:
            known.asked.clear()
        known.asked_at = now
        if len(known.asked | {vault.key}) > _FEW:
            with suppress(AzureError, TimeoutError):
                if found := await self._listed(known, context, vault):
                    return found
        else:
            known.asked.add(vault.key)
        target = f"{vault.text}?api-version={_API_VERSION}"
        return await self._client.read(context, "get_vault", target, lambda reply: wire.vault(reply.document()))

    async def _listed(self, known: _Subscription, context: CallContext, vault: ArmId) -> Vault | None:
        """A vault as the list has it; None if it has it not.

        Raises:
            AzureError: the list cannot be read.
            TimeoutError: it is not there soon.
        """
        async with asyncio.timeout(_PATIENCE):
            await known.listing.acquire()
        try:
            if (now := asyncio.get_running_loop().time()) >= known.list_after:
                known.vaults, known.list_after = {}, now + _SOON
                known.vaults = await self._list(context, vault.subscription)
                known.list_after += _FRESH_FOR - _SOON
            return known.vaults.pop(vault.key, None)
        finally:
            known.listing.release()

    async def _list(self, context: CallContext, subscription: str) -> dict[str, Vault]:
        """All vaults of a subscription, by key. Raises `AzureError`, and `TimeoutError`: not soon enough."""
        place = ArmId(f"/subscriptions/{subscription}", subscription, "", "", subscription)
        target = f"{place.text}/providers/Microsoft.RecoveryServices/vaults?api-version={_API_VERSION}"
        wanted = PagedList("locate_vaults", target, place, "subscription", wire.vaults_page, _MOST_PAGES)
        async with asyncio.timeout(_PATIENCE):
            return {fold(each.id): each async for page in pages(self._client, context, wanted) for each in page}

    def _subscription(self, context: CallContext, vault: ArmId) -> _Subscription:
        key = fold(vault.subscription), context.tokens
        known = self._known.setdefault(key, _Subscription())
        self._known.move_to_end(key)
        while len(self._known) > _MOST_REMEMBERED:
            self._known.popitem(last=False)
        return known
