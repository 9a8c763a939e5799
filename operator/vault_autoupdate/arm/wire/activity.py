"""Entries of the activity log, from ARM's JSON.

Of the claims only the three are read that say who it was: the others hold addresses, groups and more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BeforeValidator

from vault_autoupdate.arm.wire.documents import Document, Text, parse_moment, read, read_entries
from vault_autoupdate.model.activity import ActivityEntry
from vault_autoupdate.model.errors import MalformedReply

_SCHEMAS: Final = "http://schemas.microsoft.com/identity/claims"
_USERS: Final = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims"
_OBJECT_ID: Final = (f"{_SCHEMAS}/objectidentifier", "oid")
_NAMES: Final = (f"{_USERS}/upn", "upn", f"{_USERS}/name", f"{_USERS}/emailaddress")
_ACTION: Final = "If this stays, look for a proxy that answers in ARM's place."

__all__ = ["activity_page"]


def _value(document: object) -> object:
    """The text of a ``{"value", "localizedValue"}``."""
    return document.get("value") if isinstance(document, Mapping) else document


Localizable = Annotated[Text, BeforeValidator(_value)]


class _HttpRequest(Document):
    client_request_id: Text = ""


class _Entry(Document):
    event_data_id: Text
    event_timestamp: str
    operation_name: Localizable
    resource_id: Text
    status: Localizable = ""
    correlation_id: Text = ""
    caller: Text = ""
    claims: dict[str, Any] | None = None
    http_request: _HttpRequest | None = None
    """Not there for what is a consequence of another call."""


def activity_page(document: object) -> list[ActivityEntry]:
    """Read a page of the activity log. Raises `MalformedReply`."""
    return read_entries(document, "entries of the activity log", _entry, needed=False, action=_ACTION)


def _entry(document: object) -> ActivityEntry:
    found = read(_Entry, document, "an entry of the activity log", action=_ACTION)
    at = parse_moment(found.event_timestamp)
    if at is None or not found.event_data_id:
        raise MalformedReply("an entry of the activity log has no time, or no id", recommended_action=_ACTION)
    claims = found.claims or {}
    object_id = _claim(claims, _OBJECT_ID)
    return ActivityEntry(
        id=found.event_data_id,
        operation=found.operation_name,
        status=found.status,
        resource_id=found.resource_id,
        at=at,
        correlation_id=found.correlation_id,
        request_id=found.http_request.client_request_id if found.http_request else "",
        caller=found.caller or _claim(claims, _NAMES) or object_id,
        object_id=object_id,
        application_id=_claim(claims, ("appid",)),
    )


def _claim(claims: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """The first of some claims that is a text; `Text` makes it fit for people."""
    return next((_Claim(text=text).text for name in names if isinstance(text := claims.get(name), str) and text), "")


class _Claim(Document):
    text: Text
