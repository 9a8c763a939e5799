"""Resource Graph: ``POST /providers/Microsoft.ResourceGraph/resources``.

Only the queries below are understood, whatever their spaces; any other one is answered as a query that cannot be
parsed. Forms of bodies, headers and errors are those of recordings of 2021 and of published examples.
"""

from __future__ import annotations

import base64
import json
import random
import re
from collections.abc import Callable
from typing import Any, Final

from asr_simulator.arm_errors import Answer, ArmError, dumps
from asr_simulator.calls import Call
from asr_simulator.faults import FaultKind
from asr_simulator.graph_index import Row
from asr_simulator.scenario import ROOT
from asr_simulator.throttle import SlidingWindow
from asr_simulator.world import World

QUERIES: Final = {
    "resources | where type =~ 'microsoft.recoveryservices/vaults' "
    "| project id, name, location, resourceGroup, subscriptionId, tags | order by id asc": (
        "microsoft.recoveryservices/vaults",
        ("id", "name", "location", "resourceGroup", "subscriptionId", "tags"),
    ),
    "resources | where type =~ 'microsoft.automation/automationaccounts' "
    "| project id, name, location, subscriptionId, tags, identity | order by id asc": (
        "microsoft.automation/automationaccounts",
        ("id", "name", "location", "subscriptionId", "tags", "identity"),
    ),
    "recoveryservicesresources | where type =~ 'microsoft.recoveryservices/vaults/replicationfabrics"
    "/replicationprotectioncontainers/replicationprotecteditems' "
    "| project id, subscriptionId | order by id asc": (
        "microsoft.recoveryservices/vaults/replicationfabrics/replicationprotectioncontainers/replicationprotecteditems",
        ("id", "subscriptionId"),
    ),
}
"""Each with the type of its rows and the columns that it asks for."""
_CLUSTER: Final = "https://arg-wus2-three-sf.arg.core.windows.net"
_MOST_SUBSCRIPTIONS: Final = 1000
_SUPPORT: Final = "Please provide below info when asking for support: timestamp = {}, correlationId = {}."

__all__ = ["QUERIES", "ResourceGraph"]


class ResourceGraph:
    """Answers queries from the index of a `World`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._windows: dict[str, SlidingWindow] = {}
        self._rng = random.Random(f"{world.scenario.seed} graph")

    def quota(self, principal: str, now: float) -> tuple[dict[str, str], bool]:
        """Count a query of somebody; returns the headers of the answer, and whether it may be answered."""
        window = self._windows.setdefault(principal, SlidingWindow(self._world.index.settings.quota))
        allowed = window.wait(now) == 0
        if allowed:
            window.add(now)
        left = str(max(0, window.limit.count - window.count(now)))
        seconds = int(self._world.clock.real_seconds(window.limit.window if allowed else window.wait(now))) + 1
        return {
            "x-ms-user-quota-remaining": left,
            "x-ms-user-quota-resets-after": f"00:00:{min(59, seconds):02}",
            "x-ms-ratelimit-remaining-tenant-resource-requests": left,
        }, allowed

    def answer(self, call: Call, may_read: Callable[[str], bool]) -> Answer:
        """Answer a query.

        Args:
            call: the call.
            may_read: whether the caller may read vaults in a subscription.

        Raises:
            ArmError: a refusal.
        """
        document = self._document(call.body)
        wanted, columns = self._query(str(document.get("query", "")))
        options = document.get("options") or {}
        in_scope = self._in_scope(document)
        readable = {each for each in in_scope if may_read(each)}
        if in_scope and not readable:
            raise self._refused(
                403,
                "AccessDenied",
                "AccessDenied",
                "Access is denied to the requested resource. The user might not have enough permission.",
            )
        rows = [row for row in self._world.index.rows(wanted, call.now) if row["subscriptionId"].lower() in readable]
        return self._page(call, self._spoilt(call, rows), columns, options)

    def _page(self, call: Call, rows: list[Row], columns: tuple[str, ...], options: dict[str, Any]) -> Answer:
        size = min(int(options.get("$top") or 1000), self._world.index.settings.page_size)
        start = _offset(options.get("$skipToken")) or int(options.get("$skip") or 0)
        kind = call.fault.kind if call.fault else None
        if kind is FaultKind.GRAPH_ROWS_SHIFT and start:
            start += 1  # a row in front has vanished meanwhile: another one slips through between the pages
        page = rows[start : start + size]
        body: dict[str, Any] = {
            "totalRecords": len(rows),
            "count": len(page),
            "data": [{name: row.get(name) for name in columns} for row in page],
            "facets": [],
            "resultTruncated": "true" if kind is FaultKind.GRAPH_TRUNCATED else "false",
        }
        if start + size < len(rows) and kind is not FaultKind.GRAPH_TRUNCATED:
            body["$skipToken"] = _token(size, start + size)
        limited = {"x-ms-tenant-subscription-limit-hit": "true"} if kind is FaultKind.GRAPH_LIMIT_HIT else {}
        return Answer(200, dumps(body), limited)

    def _spoilt(self, call: Call, rows: list[Row]) -> list[Row]:
        """A part of the rows, where a fault wants that: with success, as in August 2020."""
        if call.fault is None:
            return rows
        if call.fault.kind is FaultKind.EMPTY_LIST:
            return []
        if call.fault.kind is FaultKind.ROWS_MISSING:
            return [row for row in rows if self._rng.random() >= call.fault.share]
        return rows

    def _in_scope(self, document: dict[str, Any]) -> set[str]:
        tenant = self._world.tenant
        listed, groups = document.get("subscriptions"), document.get("managementGroups")
        if listed:
            if len(listed) > _MOST_SUBSCRIPTIONS:
                raise self._refused(
                    400, "BadRequest", "TooManySubscriptions", "At most 1000 subscriptions may be given."
                )
            return {each.lower() for each in listed if each.lower() in tenant.subscriptions}
        for group in groups or ():
            if group.lower() not in tenant.groups:
                raise self._refused(
                    400,
                    "BadRequest",
                    "ManagementGroupsContainInvalidIds",
                    f"The provided management groups must be valid. Given: '{group}'.",
                )
        return {each.id.lower() for group in groups or (ROOT,) for each in tenant.subscriptions_below(group)}

    def _document(self, body: bytes) -> dict[str, Any]:
        try:
            document = json.loads(body)
        except ValueError:
            document = None
        if not isinstance(document, dict) or not document.get("query"):
            raise self._refused(400, "BadRequest", "InvalidRequest", "The request has no query.")
        return document

    def _query(self, text: str) -> tuple[str, tuple[str, ...]]:
        found = QUERIES.get(re.sub(r"\s+", " ", text).strip())
        if found is None:
            raise self._refused(
                400,
                "BadRequest",
                "InvalidQuery",
                "Query is invalid. Please refer to the documentation for the Azure Resource Graph service and fix the "
                "error before retrying.",
            )
        return found

    def refused_by_quota(self) -> ArmError:
        """Make the 429 of somebody who asks too often. Whether a real one has Retry-After is not known."""
        return self._refused(
            429,
            "RateLimiting",
            "RateLimiting",
            "Client application has been throttled and should not attempt to repeat the request until an amount of "
            "time has elapsed. Please see https://aka.ms/resourcegraph-throttling for help.",
        )

    def _refused(self, status: int, code: str, detail: str, message: str) -> ArmError:
        correlation = f"{self._world.ids.getrandbits(128):032x}"
        return ArmError(
            status,
            code,
            _SUPPORT.format("2026-01-01T00:00:00.0000000Z", correlation),
            details=[{"code": detail, "message": message}],
        )


def _token(size: int, offset: int) -> str:
    """A skip token: the form of a recorded one, which is an offset and no more."""
    document = {"$id": "1", "MaxRows": size, "RowsToSkip": offset, "KustoClusterUrl": _CLUSTER}
    return base64.b64encode(json.dumps(document).encode()).decode()


def _offset(token: object) -> int:
    if not isinstance(token, str):
        return 0
    try:
        return int(json.loads(base64.b64decode(token))["RowsToSkip"])
    except (ValueError, KeyError, TypeError):
        raise ArmError(400, "BadRequest", "The skip token is not valid.") from None
