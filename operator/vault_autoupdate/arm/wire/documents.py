"""What all of ARM's documents have in common: how texts, numbers and times are read, and what is no such document."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from vault_autoupdate.model.errors import MalformedReply
from vault_autoupdate.model.text import clean

_TEXT_BYTES: Final = 600
_NAME_BYTES: Final = 260
_FIRST_YEAR, _NEVER_YEAR = 2000, 9999
_CHECK_VERSION: Final = "If this stays, check VAULT_AUTOUPDATE_API_VERSION and any proxy."

Text = Annotated[
    str,
    BeforeValidator(lambda value: "" if value is None else value),
    AfterValidator(lambda text: text and clean(text, _TEXT_BYTES)),
]
"""A text that may be missing or null. Each is made fit for people here, since any may come before their eyes."""
Number = Annotated[str, BeforeValidator(lambda value: "" if value is None else str(value))]
Name = Annotated[str, AfterValidator(lambda text: clean(text, _NAME_BYTES))]

__all__ = ["Document", "Name", "Number", "Page", "Text", "next_link", "parse_moment", "parse_time", "read"]


class Document(BaseModel):
    """A part of ARM's JSON. Whatever is not named is ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel)


class Page(Document):
    """One page of a list."""

    value: list[Any]
    next_link: str | None = None


M = TypeVar("M", bound=BaseModel)


def read(model: type[M], document: object, what: str, *, action: str = _CHECK_VERSION) -> M:
    """Read ``document`` as ``model``.

    Args:
        model: what it should be.
        document: what came.
        what: the same in words, with its article.
        action: what to do if it is something else.

    Raises:
        MalformedReply: it is something else; the message names the place.
    """
    try:
        return model.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the document"
        raise MalformedReply(
            f"ARM's answer is not {what}: {clean(where, 120)}: {clean(first['msg'], 200)}.", recommended_action=action
        ) from error


def next_link(page: object) -> str | None:
    """The link from one page of a list to the next; None on the last one."""
    return read(Page, page, "a page of a list").next_link or None


def parse_time(text: str) -> datetime | None:
    """Read a time as ASR writes it (seven digits of fraction, sometimes no zone, sometimes the year 9999)."""
    try:
        time = datetime.fromisoformat(text)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def parse_moment(text: str) -> datetime | None:
    """Read a time that is a real one: None for the year 9999, by which Site Recovery says never (as recorded).

    Nor are years before 2000 real: Site Recovery has 1753 where it has no time, and .NET the year 1. That one of
    these comes as an expiry date is inferred; it must not be taken for one long past.
    """
    time = parse_time(text)
    return time if time and _FIRST_YEAR <= time.year < _NEVER_YEAR else None
