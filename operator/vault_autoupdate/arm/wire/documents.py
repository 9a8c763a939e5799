"""What all of ARM's documents have in common: how texts, numbers and times are read, and what is no such document."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from vault_autoupdate.model import bounds
from vault_autoupdate.model.errors import MalformedReply
from vault_autoupdate.model.text import clean

_FIRST_YEAR, _NEVER_YEAR = 2000, 9999
M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")
_CHECK_VERSION: Final = "If this stays, check VAULT_AUTOUPDATE_API_VERSION and any proxy."

Text = Annotated[
    str,
    BeforeValidator(lambda value: "" if value is None else value),
    AfterValidator(lambda text: text and clean(text, bounds.READ_TEXT)),
]
"""A text that may be missing or null. Each is made fit for people here, since any may come before their eyes."""
Number = Annotated[str, BeforeValidator(lambda value: "" if value is None else str(value))]
InnerList = Annotated[
    list[T],
    BeforeValidator(lambda value: [each for each in value if each is not None] if type(value) is list else value),
]
"""A list inside an entry, of what is told beside it: null in it must not make the entry unreadable."""
Name = Annotated[str, AfterValidator(lambda text: clean(text, bounds.READ_NAME))]

__all__ = [
    "Document",
    "InnerList",
    "Name",
    "Number",
    "Page",
    "Text",
    "next_link",
    "parse_moment",
    "parse_time",
    "read",
    "read_entries",
]


class Document(BaseModel):
    """A part of ARM's JSON. Whatever is not named is ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel)


class Page(Document):
    """One page of a list."""

    value: list[Any] | None
    """Null where there is nothing."""
    next_link: str | None = None


_PROBLEMS: Final = {
    "missing": "is missing",
    "model_type": "is not an object",
    "model_attributes_type": "is not an object",
    "dict_type": "is not an object",
    "string_type": "is not a text",
    "string_unicode": "is not a text",
    "list_type": "is not a list",
    "tuple_type": "is not a list",
    "int_type": "is not a whole number",
    "int_parsing": "is not a whole number",
    "int_parsing_size": "is not a whole number",
    "int_from_float": "is not a whole number",
    "bool_type": "is neither true nor false",
    "bool_parsing": "is neither true nor false",
    "finite_number": "is not a finite number",
    "float_type": "is not a number",
    "float_parsing": "is not a number",
}
"""pydantic's own words name classes of ours."""

log = logging.getLogger(__name__)


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
        raise MalformedReply(f"ARM's answer is not {what}: {_problem(error)}.", recommended_action=action) from error


def _problem(error: ValidationError) -> str:
    """The first thing that is wrong and where, in words that do not name what it is read into."""
    first = error.errors(include_url=False)[0]
    what = _PROBLEMS.get(first["type"]) or clean(first["msg"], bounds.QUOTED)
    where = ".".join(str(part) for part in first["loc"]) or "the document"
    return f"{clean(where, bounds.READ_WORD)}: {what}"


def read_entries(
    document: object, what: str, parse: Callable[[object], T], *, needed: bool = True, action: str = _CHECK_VERSION
) -> list[T]:
    """Read a page of a list entry by entry. What is null, or cannot be read, is left out, and the log says which.

    One entry of somebody else's must not keep a vault from being looked at. But a page of which nothing can be read is
    none: it would pass for a vault with nothing in it.

    Args:
        document: the page.
        what: the entries in words, in the plural.
        parse: reads an entry; raises `MalformedReply`.
        needed: whether a single entry that cannot be read is as bad where it is the only one.
        action: what to do if it is no page.

    Raises:
        MalformedReply: it is no page, or nothing in it can be read.
    """
    found, problems = [], []
    for number, entry in enumerate(read(Page, document, f"a page of {what}", action=action).value or (), 1):
        try:
            if entry is not None:
                found.append(parse(entry))
        except MalformedReply as error:
            problems.append(f"entry {number} of a page of {what} cannot be read: {error.message}")
    if len(problems) > (0 if needed else 1) and not found:
        raise MalformedReply(
            clean(f"{problems[0][0].upper()}{problems[0][1:]}", bounds.READ_TEXT), recommended_action=action
        )
    if problems:
        log.warning("%d left out: %s", len(problems), clean(problems[0], bounds.READ_TEXT))
    return found


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
