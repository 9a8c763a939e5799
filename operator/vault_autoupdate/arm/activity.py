"""The calls that read the activity log, which is Azure Monitor's: they count apart from Site Recovery's limits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from vault_autoupdate.arm.client import ArmClient, CallContext
from vault_autoupdate.arm.paging import PagedList, pages
from vault_autoupdate.arm.wire.activity import activity_page
from vault_autoupdate.arm.wire.documents import next_link
from vault_autoupdate.model.activity import ActivityEntry
from vault_autoupdate.model.arm_id import ArmId, fold
from vault_autoupdate.model.errors import ArmError
from vault_autoupdate.model.quota import QuotaScope

_API_VERSION: Final = "2015-04-01"
"""The only one that was ever seen."""
_LANE: Final = "activity-log"
"""Stands where the region of vaults has its place in a scope: a 429 here must not silence the vaults."""
_FIELDS: Final = (
    "eventDataId",
    "eventTimestamp",
    "operationName",
    "resourceId",
    "status",
    "correlationId",
    "httpRequest",
)
_WHO: Final = "claims"
"""Documented as to be selected, where ``caller`` is not; the name of who called is among them."""
_MOST_PAGES_OF_RESOURCE: Final = 3
_FORBIDDEN: Final = 403
READ_ACTION: Final = "Microsoft.Insights/eventtypes/values/read"

__all__ = ["READ_ACTION", "ActivityLogs", "ActivityPages"]


@dataclass(frozen=True)
class ActivityPages:
    """What was read of a log."""

    entries: tuple[ActivityEntry, ...]
    cut_off: bool
    """Whether there were more pages than may be read."""
    pages: int


class ActivityLogs:
    """Reads the activity logs of subscriptions in one cloud."""

    def __init__(self, client: ArmClient) -> None:
        self._client = client

    async def of_resource(
        self, context: CallContext, resource_id: str, since: datetime, until: datetime
    ) -> ActivityPages:
        """Read what was done about one resource, and by whom.

        Args:
            context: on whose behalf.
            resource_id: of the resource.
            since: when the first entries of interest happened.
            until: when the last ones did.

        Raises:
            AzureError: the log could not be read; without the right to, the recommended action names it.
        """
        subscription = resource_id.split("/")[2]
        clause = f"resourceUri eq '{_quoted(resource_id)}'"
        return await self._read(
            context, subscription, clause, since, until, fields=(*_FIELDS, _WHO), most=_MOST_PAGES_OF_RESOURCE
        )

    async def of_provider(
        self, context: CallContext, subscription: str, provider: str, since: datetime, until: datetime, *, most: int
    ) -> ActivityPages:
        """Read what was done in a subscription about the resources of one provider, but not by whom.

        Args:
            context: on whose behalf.
            subscription: its GUID.
            provider: its namespace, such as ``Microsoft.Automation``.
            since: when the first entries of interest happened.
            until: when the last ones did.
            most: pages to read.

        Raises:
            AzureError: as `of_resource`.
        """
        clause = f"resourceProvider eq '{_quoted(provider)}'"
        return await self._read(context, subscription, clause, since, until, fields=_FIELDS, most=most)

    async def _read(
        self,
        context: CallContext,
        subscription: str,
        clause: str,
        since: datetime,
        until: datetime,
        *,
        fields: tuple[str, ...],
        most: int,
    ) -> ActivityPages:
        context = replace(context, scope=QuotaScope(fold(subscription), _LANE))
        place = ArmId(f"/subscriptions/{subscription}", subscription, "", "", subscription)
        between = f"eventTimestamp ge '{_time(since)}' and eventTimestamp le '{_time(until)}' and {clause}"
        target = (
            f"{place.text}/providers/Microsoft.Insights/eventtypes/management/values?api-version={_API_VERSION}"
            f"&$filter={quote(between, safe='')}&$select={','.join(fields)}"
        )
        found: list[ActivityEntry] = []
        read, goes_on = 0, False

        def read_page(document: object) -> list[ActivityEntry]:
            nonlocal goes_on
            goes_on = next_link(document) is not None
            return activity_page(document)

        wanted = PagedList("list_activity", target, place, "subscription", read_page, most + 1)
        try:
            async for page in pages(self._client, context, wanted):
                read += 1
                found += page
                if read == most:
                    break
        except ArmError as error:
            _explain(error, place)
            raise
        return ActivityPages(tuple(found), cut_off=goes_on, pages=read)


def _explain(error: ArmError, place: ArmId) -> None:
    """Say what to do about the log, where ARM's errors in general are explained with the vault in mind."""
    if error.status == _FORBIDDEN:
        error.recommended_action = f"Grant the calling identity the action {READ_ACTION} on {place.text}."


def _quoted(text: str) -> str:
    return text.replace("'", "''")


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
