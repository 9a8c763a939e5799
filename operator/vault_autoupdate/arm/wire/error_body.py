"""What the body of an error says, whatever form it has. `read_error_body` is total: any bytes give an `ErrorBody`.

ARM has one envelope, and what answers behind it or in its place has others. These were met in the reports of people
who write ARM clients: ``error``, ``code`` and ``message`` at the top, ``Code`` and ``Message``, ``odata.error``, a
message that is an object (``lang``, ``value``) or holds JSON as a text, ``errors``, lists, OAuth's ``error`` and
``error_description``, XML, HTML, plain text; each with or without a byte order mark. So nothing here depends on
where something stands: names are looked for in any letter case, from the outside to the inside.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any, Final

from vault_autoupdate.model import bounds
from vault_autoupdate.model.text import clean

_MOST_BYTES: Final = 1_000_000
_MOST_MARKUP: Final = 16_000
"""Characters. The parser of the standard library takes quadratic time for a page of unclosed comments."""
_MOST_PARTS: Final = 20
"""Errors in one body that are looked at: Site Recovery gives a handful."""
_MOST_DETAILS: Final = 5
"""Of these, the ones whose words are added to the first one's."""
_DEEPEST: Final = 8
_CODE: Final = ("code", "errorcode", "faultcode")
_MESSAGE: Final = ("message", "errormessage", "errordescription", "description", "detail", "title", "faultstring",
                   "exceptionmessage", "value")  # fmt: skip
_CAUSES: Final = ("possiblecauses",)
_ACTION: Final = ("recommendedaction",)
_ACTIVITY: Final = ("activityid",)
_INSIDE: Final = ("error", "odataerror", "fault", "details", "errors", "innererror", "serviceerrordetails",
                  "providererrordetails", "message", "detail")  # fmt: skip
_NUMERIC = re.compile(r"\d{3,9}")
"""What people search for when Site Recovery refuses something, for example 151130."""
_NOT_NUMERIC_ENOUGH = re.compile(r"[1-5]\d\d")
"""A status of HTTP, as older answers of ARM have it in place of a code."""
_CUT: Final = re.compile(r'"(?P<name>code|message)"\s*:\s*"(?P<text>(?:[^"\\]|\\.){1,2000})"?', re.IGNORECASE)
_ASSIGNMENT = re.compile(r"(?:/[\w.()%-]{1,100}){1,12}/policyAssignments/[\w.()%-]{1,100}", re.IGNORECASE)

__all__ = ["ErrorBody", "read_error_body"]


@dataclass(frozen=True)
class ErrorBody:
    """What the body of an error says. All of it is fit for people; what it does not say is empty."""

    code: str = ""
    """What people search for: Site Recovery's number, or else the word of the error that explains most."""
    codes: tuple[str, ...] = ()
    """Of all errors in it, from the outside to the inside."""
    message: str = ""
    possible_causes: str = ""
    recommended_action: str = ""
    activity_id: str = ""
    """By which Microsoft's support finds what Site Recovery did."""
    policies: tuple[str, ...] = ()
    """The policies, each with its assignment, that refused the call."""
    is_error: bool = False
    """Whether it has the form of an error, and does not only say something."""
    is_page: bool = False
    """Whether it is a page for a browser: then it may not be Azure that answered."""


@dataclass(frozen=True)
class _Part:
    """One of the errors in a body."""

    code: str = ""
    message: str = ""
    possible_causes: str = ""
    recommended_action: str = ""
    activity_id: str = ""

    @property
    def explains(self) -> bool:
        return bool(self.possible_causes or self.recommended_action)

    @property
    def words(self) -> str:
        return f"{self.code}: {self.message}" if self.code and self.message else self.message or self.code


def read_error_body(body: bytes) -> ErrorBody:
    """Read what ``body`` says. Never raises."""
    text = _decoded(body[:_MOST_BYTES]).strip()
    if text.startswith("<"):
        return _of_markup(text)
    try:
        document = _parsed(text)
    except (ValueError, RecursionError):
        return _of_text(text)
    parts = [part for part in _parts(document) if part != _Part()][:_MOST_PARTS]
    if not parts:
        said = clean(text, bounds.READ_TEXT) if _says_anything(document) else ""
        return ErrorBody(message=said)
    return _combined(parts, _policies(document, text))


def _parsed(text: str) -> Any:
    """The JSON in ``text``; numbers stay as they are written, however long. Raises ValueError, RecursionError."""
    return json.loads(text, parse_int=str, parse_float=str, parse_constant=str)


def _decoded(body: bytes) -> str:
    """The text of ``body``, by its byte order mark or the form that JSON has without one."""
    try:
        return body.decode(json.detect_encoding(body))
    except UnicodeDecodeError as error:
        cut_at_the_end = error.start > len(body) - 4  # in the middle of a character
        return body[: error.start].decode("utf-8", "replace") if cut_at_the_end else body.decode("latin-1")


def _combined(parts: list[_Part], policies: tuple[str, ...]) -> ErrorBody:
    """One error out of several: the one that explains itself speaks, or else the first; the others add their words."""
    first = next((part for part in parts if part.explains), None)
    if first is None:
        first = next((part for part in parts if part.message), parts[0])
    codes = tuple(dict.fromkeys(part.code for part in parts if part.code))
    number = next((code for code in codes if _is_number_of_site_recovery(code)), "")
    code = number or first.code or next(iter(codes), "")
    message = clean(first.message, bounds.READ_MESSAGE)
    if not first.explains:
        for part in parts[parts.index(first) + 1 :][:_MOST_DETAILS]:
            if part.message and part.message not in message:
                message = f"{message} {part.words}".strip()
    return ErrorBody(
        code=code,
        codes=codes,
        message=clean(message, bounds.READ_MESSAGE),
        possible_causes=clean(first.possible_causes, bounds.READ_TEXT),
        recommended_action=clean(first.recommended_action, bounds.READ_TEXT),
        activity_id=next((part.activity_id for part in (first, *parts) if part.activity_id), ""),
        policies=policies,
        is_error=True,
    )


def _is_number_of_site_recovery(code: str) -> bool:
    return bool(_NUMERIC.fullmatch(code)) and not _NOT_NUMERIC_ENOUGH.fullmatch(code)


def _parts(node: object, depth: int = 0) -> Iterator[_Part]:
    """All errors in a document, from the outside to the inside."""
    if depth > _DEEPEST:
        return
    if isinstance(node, list):
        for entry in node[:_MOST_PARTS]:
            yield from _parts(entry, depth + 1)
    elif isinstance(node, Mapping):
        named = {re.sub(r"[^a-z]", "", str(name).lower()): value for name, value in reversed(list(node.items()))}
        yield _part(named)
        for name in _INSIDE:
            if isinstance(inside := named.get(name), list | Mapping):
                yield from _parts(inside, depth + 1)
            elif isinstance(inside, str) and inside.lstrip().startswith(("{", "[")):
                yield from _parts_of_text(inside, depth + 1)
    elif isinstance(node, str) and any(character.isalpha() for character in node):
        yield _Part(message=node.strip())


def _parts_of_text(text: str, depth: int) -> Iterator[_Part]:
    """What is in a text that holds JSON, as ARM passes on answers of resource providers."""
    try:
        yield from _parts(_parsed(text), depth)
    except (ValueError, RecursionError):
        return


def _part(named: Mapping[str, object]) -> _Part:
    code = _text(named, _CODE)
    message, inner = _text(named, _MESSAGE), named.get("error")
    if isinstance(inner, str):  # as Entra ID has it, beside error_description
        code, message = (code or inner, message) if " " not in inner.strip() else (code, message or inner.strip())
    if message.startswith(("{", "[")) and any(_parts_of_text(message, 1)):
        message = ""
    return _Part(
        code=clean(code, bounds.READ_WORD),
        message=message,
        possible_causes=_text(named, _CAUSES),
        recommended_action=_text(named, _ACTION),
        activity_id=clean(_text(named, _ACTIVITY), bounds.ID),
    )


def _text(named: Mapping[str, object], names: tuple[str, ...]) -> str:
    """The first text among fields of these names; several lines in a list are one text."""
    for name in names:
        value = named.get(name)
        if isinstance(value, list) and all(isinstance(line, str) for line in value):
            value = " ".join(value)
        if isinstance(value, str) and value.strip():
            return value.strip()
    return ""


def _says_anything(node: object) -> bool:
    """Whether there is any text or number in a document of another form."""
    if isinstance(node, Mapping):
        return any(_says_anything(value) for value in node.values())
    if isinstance(node, list):
        return any(_says_anything(value) for value in node)
    return isinstance(node, str) and any(character.isalnum() for character in node)


def _policies(document: object, text: str) -> tuple[str, ...]:
    """The policies that refused a call, as ``additionalInfo`` or, in older answers, the message names them."""
    found = [_policy(info) for info in _infos(document)]
    if not any(found):
        found = [f"the assignment {match[0].strip()}" for match in _ASSIGNMENT.finditer(text[:20_000])]
    return tuple(dict.fromkeys(clean(policy, bounds.SAID) for policy in found if policy))[:3]


def _infos(node: object, depth: int = 0) -> Iterator[Mapping[str, object]]:
    if depth > _DEEPEST:
        return
    if isinstance(node, list):
        for entry in node[:_MOST_PARTS]:
            yield from _infos(entry, depth + 1)
    elif isinstance(node, Mapping):
        for name, value in node.items():
            if str(name).lower() == "info" and isinstance(value, Mapping):
                yield {str(key).lower(): entry for key, entry in value.items()}
            elif isinstance(value, list | Mapping):
                yield from _infos(value, depth + 1)


def _policy(info: Mapping[str, object]) -> str:
    names = ("policydefinitiondisplayname", "policysetdefinitiondisplayname", "policydefinitionname")
    policy = _text(info, names)
    assignment = _text(info, ("policyassignmentid", "policyassignmentdisplayname", "policyassignmentname"))
    if not policy:
        return f"the assignment {assignment}" if assignment else ""
    return f"'{policy}'" + (f", assigned by {assignment}" if assignment else "")


def _of_text(text: str) -> ErrorBody:
    """What a plain text says, or JSON that was cut off: its code and message, if they came through."""
    if text.startswith(("{", "[", '"')):
        matches = reversed(list(_CUT.finditer(text[:20_000])))
        found = {match["name"].lower(): _unescaped(match["text"]) for match in matches}
        code, message = clean(found.get("code"), bounds.READ_WORD), clean(found.get("message"), bounds.READ_TEXT)
        return ErrorBody(code, (code,) if code else (), message)
    readable = sum(character.isprintable() or character.isspace() for character in text[:1000])
    if readable < 0.9 * len(text[:1000]) or not any(character.isalnum() for character in text[:1000]):
        return ErrorBody()
    return ErrorBody(message=clean(text, bounds.READ_TEXT))


def _unescaped(text: str) -> str:
    """The text that a string of JSON stands for; one that was cut in the middle of an escape stays as it is."""
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError:
        return text


class _Markup(HTMLParser):
    """Collects the texts of XML or HTML. No entity of a document's own is ever expanded."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.first: dict[str, str] = {}
        """By name of the element, without its namespace: its first text."""
        self.texts: list[str] = []
        self._open = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002 - the name that HTMLParser uses
        self._open = tag.rpartition(":")[2]

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - as above
        self._open = ""

    def unknown_decl(self, data: str) -> None:
        """Take a CDATA section as what it is."""
        self.handle_data(data.removeprefix("CDATA["))

    def handle_data(self, data: str) -> None:
        text = " ".join(data.split())
        if any(character.isalnum() for character in text) and self._open not in {"script", "style"}:
            self.first.setdefault(self._open, text)
            self.texts.append(text)


def _of_markup(text: str) -> ErrorBody:
    markup = _Markup()
    with suppress(AssertionError, ValueError):  # what was read before something that is no markup still counts
        markup.feed(text[:_MOST_MARKUP])
        markup.close()
    code = clean(_text(markup.first, _CODE), bounds.READ_WORD)
    is_page = "<html" in text[:2000].lower() or "<!doctype html" in text[:2000].lower()
    said = "" if is_page else _text(markup.first, tuple(name for name in _MESSAGE if name != "value"))
    message = said or " ".join(dict.fromkeys(markup.texts))
    return ErrorBody(code, (code,) if code else (), clean(message, bounds.READ_TEXT), is_page=is_page)
