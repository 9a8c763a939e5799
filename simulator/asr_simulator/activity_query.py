"""Reading the activity log: ``$filter``, ``$select``, pages with a cursor for each store, and the form of an entry.

Errors have a form of their own: ``Code`` and ``Message`` with capitals, and no ``error`` around them (recorded).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from asr_simulator.activity_log import Entry
from asr_simulator.arm_errors import Answer, ArmError, dumps
from asr_simulator.calls import Call, page_answer
from asr_simulator.clock import Clock, seven_digits
from asr_simulator.world import World

_CLAUSE: Final = re.compile(r"\s*(\w+)\s+(eq|ge|le)\s+('(?:[^']|'')*'|\S+?)\s*(\band\b|$)", re.IGNORECASE)
_OLDEST: Final = 90 * 86_400.0
_TICKS_1970: Final = 621_355_968_000_000_000
"""Ticks of .NET, each 100 ns, from the year 1 to 1970."""
_SELECTABLE: Final = (
    "authorization", "caller", "claims", "correlationId", "description", "eventDataId", "eventName", "eventTimestamp",
    "httpRequest", "level", "operationId", "operationName", "properties", "resourceGroupName", "resourceProviderName",
    "resourceId", "status", "submissionTimestamp", "subStatus", "subscriptionId",
)  # fmt: skip
"""Those that are documented, and ``caller``, which was seen to be given when asked for."""
_LOCALIZED: Final = {"BeginRequest": "Begin request", "EndRequest": "End request"}
_STATUS_CODES: Final = {
    "OK": 200, "Created": 201, "Accepted": 202, "NoContent": 204, "BadRequest": 400, "Forbidden": 403, "NotFound": 404,
    "Conflict": 409, "InternalServerError": 500,
}  # fmt: skip

__all__ = ["ActivityQueries"]


@dataclass
class _BareError(ArmError):
    """An error without an envelope."""

    details: list[dict[str, Any]] | None = field(default=None, init=False)

    def answer(self) -> Answer:
        return Answer(self.status, dumps({"Code": self.code, "Message": self.message}), dict(self.headers))


@dataclass(frozen=True, slots=True)
class _Filter:
    """What is asked for."""

    since: float
    """Seconds since 1970."""
    until: float
    name: str = ""
    """``resourceGroupName``, ``resourceUri``, ``resourceProvider`` or ``correlationId``, in lower case, if any."""
    value: str = ""

    def fits(self, entry: Entry, clock: Clock) -> bool:
        """Tell whether an entry is one of those."""
        if not self.since <= clock.wall_at(entry.at) <= self.until:
            return False
        resource = entry.written.resource.lower()
        match self.name:
            case "resourceuri":
                return resource == self.value.lower()
            case "resourceprovider":
                return entry.written.action.split("/")[0].lower() == self.value.lower()
            case "resourcegroupname":
                return f"/resourcegroups/{self.value.lower()}/" in f"{resource}/"
            case "correlationid":
                return entry.correlation_id == self.value.lower()
            case _:
                return True


class ActivityQueries:
    """Answers calls that read the activity log of a `World`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def answer(self, call: Call) -> Answer:
        """Answer a call; raises `ArmError` for a refusal."""
        text, selected = call.query.get("$filter", ""), _selection(call.query.get("$select", ""))
        wanted = _read_filter(text, self._world.clock.wall())
        cursors = _read_token(call.query.get("$skipToken", ""))
        log, clock = self._world.activity, self._world.clock
        found = sorted(
            (each for each in log.shown(call.route.subscription, call.now) if wanted.fits(each, clock)),
            key=lambda each: _rank(each, clock),
            reverse=True,
        )
        left = [each for each in found if each.store not in cursors or _rank(each, clock) < cursors[each.store]]
        size = log.settings.log_page_size
        page, rest = left[:size], left[size:]
        kept = f"$filter={quote(text, safe='')}" + (f"&$select={quote(','.join(selected))}" if selected else "")
        token = _token(sorted(log.settings.stores), page, rest, cursors, clock) if rest else ""
        return page_answer(
            call,
            [dumps(self._document(each, selected)) for each in page],
            f"{kept}&$skipToken={token}" if token else None,
            beginning=kept,
            explicit_null=False,
        )

    def _document(self, entry: Entry, selected: tuple[str, ...]) -> dict[str, Any]:
        whole = _document(entry, self._world.clock, self._world.scenario.identity.tenant_id)
        if not selected:
            return whole
        return {name: value for name, value in whole.items() if name in (*selected, "id")}  # it came unasked


def _read_filter(text: str, now: float) -> _Filter:
    """Read a ``$filter``: clauses in any order, values with quotes or without (both seen), and no other syntax."""
    clauses: dict[tuple[str, str], str] = {}
    position = 0
    while position < len(text):
        match = _CLAUSE.match(text, position)
        if match is None or (match[4] and match.end() == len(text)):
            raise _bad(f"The filter '{text}' cannot be read.")
        clauses[match[1].lower(), match[2].lower()] = match[3].strip("'").replace("''", "'")
        position = match.end()
    since, until = clauses.pop(("eventtimestamp", "ge"), None), clauses.pop(("eventtimestamp", "le"), None)
    if since is None:
        raise _bad("The filter must have a start time.")
    known = {"resourcegroupname", "resourceuri", "resourceprovider", "correlationid"}
    if len(clauses) > 1 or any(name not in known or operator != "eq" for name, operator in clauses):
        raise _bad(f"The filter '{text}' is not supported.")
    start = _moment(since)
    if now - start > _OLDEST:
        raise _bad("The start time cannot be more than 90 days in the past.")
    ((name, _), value) = next(iter(clauses.items()), (("", ""), ""))
    return _Filter(start, now if until is None else _moment(until), name, value)


def _selection(text: str) -> tuple[str, ...]:
    known = {name.lower(): name for name in _SELECTABLE}
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in known]:
        raise _bad(f"The property '{unknown[0]}' cannot be selected.")
    return tuple(known[name] for name in names)


def _bad(message: str) -> ArmError:
    return _BareError(400, "BadRequest", message)


def _moment(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _bad(f"The time '{text}' cannot be read.") from None
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()


def _rank(entry: Entry, clock: Clock) -> tuple[int, str]:
    """Place of an entry in its store: its time in ticks and a piece that tells it from others of that time."""
    ticks = _TICKS_1970 + round(clock.wall_at(entry.at) * 1e6) * 10
    return ticks, hashlib.sha256(entry.id.encode()).hexdigest()[:8]


def _token(
    stores: Iterable[str], page: list[Entry], rest: list[Entry], cursors: dict[str, tuple[int, str]], clock: Clock
) -> str:
    """Make the token of the next page: for each store how far it was read, or that there is nothing more in it."""
    left = {each.store for each in rest}
    last = {**cursors, **{each.store: _rank(each, clock) for each in page}}  # the last of each store wins
    parts = []
    for store in stores:
        if store not in left:
            parts.append(f"{store}:-1:FFFFFFFF")
        elif store in last:
            parts.append(f"{store}:{last[store][0]:019}:{last[store][1]}")
    return ";".join(parts)


def _read_token(text: str) -> dict[str, tuple[int, str]]:
    cursors = {}
    for part in filter(None, text.split(";")):
        match = re.fullmatch(r"(\w+):(-1|\d{19}):([0-9a-fA-F]{8})", part)
        if match is None:
            raise _bad("The skip token is not valid.")
        cursors[match[1]] = (int(match[2]), match[3])
    return cursors


def _document(entry: Entry, clock: Clock, tenant: str) -> dict[str, Any]:
    written, resource = entry.written, entry.written.resource
    author, segments = written.author, resource.split("/")
    at = clock.wall_at(entry.at)
    kind = f"{segments[6]}/{'/'.join(segments[7::2])}"
    properties: dict[str, str | None] = {
        "eventCategory": "Administrative",
        "entity": resource,
        "message": written.action,
    }
    if entry.event == "EndRequest" and entry.sub_status:
        properties |= {"statusCode": entry.sub_status, "serviceRequestId": None}
    document: dict[str, Any] = {
        "authorization": {"action": written.action, "scope": resource},
        "caller": author.caller,
        "channels": "Operation",
        "claims": _claims(entry, tenant),
        "correlationId": entry.correlation_id,
        "description": "",
        "eventDataId": entry.id,
        "eventName": {"value": entry.event, "localizedValue": _LOCALIZED[entry.event]},
        "category": {"value": "Administrative", "localizedValue": "Administrative"},
        "httpRequest": {
            "clientRequestId": entry.request_id,
            "clientIpAddress": "192.0.2.10",
            "method": written.method,
        },
        "id": f"{resource}/events/{entry.id}/ticks/{_rank(entry, clock)[0]}",
        "level": "Error" if entry.status == "Failed" else "Informational",
        "resourceGroupName": segments[4],
        "resourceProviderName": {"value": segments[6], "localizedValue": segments[6]},
        "resourceId": resource,
        "resourceType": {"value": kind, "localizedValue": kind},
        "operationId": entry.correlation_id,
        "operationName": {"value": written.action, "localizedValue": written.action},
        "properties": properties,
        "status": {"value": entry.status, "localizedValue": entry.status},
        "subStatus": {"value": entry.sub_status, "localizedValue": _words(entry.sub_status)},
        "eventTimestamp": seven_digits(at),
        "submissionTimestamp": seven_digits(clock.wall_at(entry.shows_at)),
        "subscriptionId": segments[2],
        "tenantId": author.tenant or tenant,
    }
    if not written.request_id:  # a consequence of another call
        del document["httpRequest"]
    return document


def _claims(entry: Entry, tenant: str) -> dict[str, str]:
    author, schemas = entry.written.author, "http://schemas.microsoft.com/identity/claims"
    claims = {
        "aud": "https://management.core.windows.net/",
        "appid": author.application,
        f"{schemas}/objectidentifier": author.object_id,
        f"{schemas}/tenantid": author.tenant or tenant,
        "ver": "1.0",
    }
    if author.user:
        claims["http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn"] = author.user
    return claims


def _words(sub_status: str) -> str:
    return f"{sub_status} (HTTP Status Code: {_STATUS_CODES[sub_status]})" if sub_status else ""
