"""What the body of an error says, whatever form it has. `read_error_body` is total: any bytes give an `ErrorBody`.

ARM has one envelope, and what answers behind it or in its place has others. These were met in the reports of people
who write ARM clients: ``error``, ``code`` and ``message`` at the top, ``Code`` and ``Message``, ``odata.error``, a
message that is an object (``lang``, ``value``) or holds JSON as a text, ``errors``, lists, OAuth's ``error`` and
``error_description``, XML, HTML, plain text; each with or without a byte order mark. So nothing here depends on
where something stands: names are looked for in any letter case, from the outside to the inside. What is in none of the
known places is looked for everywhere, and what has no known name is shown as it came.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from html.parser import HTMLParser
from itertools import islice
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
                   "exceptionmessage", "msg", "errormsg", "text", "reason", "value")  # fmt: skip
_BESIDE: Final = ("exceptionmessage", "details")
"""Texts that say more than the message beside them."""
_FIELDS: Final = ("modelstate", "errors")
"""What is wrong with each field of a request, by its name."""
_CAUSES: Final = ("possiblecauses",)
_ACTION: Final = ("recommendedaction",)
_ACTIVITY: Final = ("activityid",)
_INSIDE: Final = ("error", "odataerror", "fault", "details", "errors", "innererror", "serviceerrordetails",
                  "providererrordetails", "message", "detail")  # fmt: skip
_DOCUMENTS: Final = ("{", "[")
_NAME_OF_FIELD = re.compile(r'"[^"]{0,200}"\s*:')
_NUMERIC = re.compile(r"\d{3,9}")
"""What people search for when Site Recovery refuses something, for example 151130."""
_NOT_NUMERIC_ENOUGH = re.compile(r"[1-5]\d\d")
"""A status of HTTP, as older answers of ARM have it in place of a code."""
_CUT: Final = re.compile(r'"(?P<name>code|message)"\s*:\s*"(?P<text>(?:[^"\\]|\\.){1,2000})"?', re.IGNORECASE)
_ASSIGNMENT = re.compile(
    r"""(?<=["'])(?:/[^"'/\\]{1,100}){1,12}/policyAssignments/[^"'/\\]{1,100}(?=\\?["'])"""
    r"|(?:/[\w.()%-]{1,100}){1,12}/policyAssignments/[\w.()%-]{1,100}",
    re.IGNORECASE,
)
_CHARSET = re.compile(
    r"""(?:charset|encoding)\s*=\s*["']?"""
    r"(?P<name>(?:windows-|cp|iso[-_]?8859-|iso-2022-|shift[-_]?jis|sjis|euc-|gb|big5|koi8-|ks_c|tis-)[\w-]{0,20})",
    re.IGNORECASE,
)
"""Of those that are no form of Unicode, the ones that pages of proxies are written in."""
_PAGE = re.compile(r"<(!doctype html|html|head|body|h1)\b", re.IGNORECASE)
_MOST_OPEN: Final = 8
"""Elements around a text that it is counted to."""

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


def read_error_body(body: bytes, content_type: str = "") -> ErrorBody:
    """Read what ``body`` says. Never raises.

    Args:
        body: as it came.
        content_type: what it is said to be; that counts where the body itself does not tell.
    """
    text = _decoded(body[:_MOST_BYTES], content_type).strip()
    if text.startswith("<"):
        return _of_markup(text, is_page="html" in content_type.lower())
    try:
        document = _parsed(text)
    except (ValueError, RecursionError):
        return _of_text(text)
    parts = _parts_with_words(document)
    said = clean(text, bounds.READ_TEXT) if _says_anything(document, {part.code for part in parts}) else ""
    return _combined(parts, _policies(document, text), said) if parts else ErrorBody(message=said)


def _parsed(text: str) -> Any:
    """The JSON that ``text`` is or, in braces, begins with; numbers stay as they are written, however long.

    Raises:
        ValueError: it is none.
        RecursionError: it is nested too deeply.
    """
    document, end = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str).raw_decode(text)
    if text[end:].strip() and not text.startswith(_DOCUMENTS):
        raise ValueError("more than a value of JSON")
    return document


def _decoded(body: bytes, content_type: str) -> str:
    """The text of ``body``: by its byte order mark, the form that JSON has without one, or what it says to be in."""
    try:
        return body.decode(json.detect_encoding(body))
    except UnicodeDecodeError as error:
        if error.start > len(body) - 4:  # cut at the end, in the middle of a character
            return body[: error.start].decode("utf-8", "replace")
    for place in (content_type, body[:1024].decode("ascii", "replace")):
        with suppress(LookupError):
            if named := _CHARSET.search(place):
                return body.decode(named["name"], "replace")
    return body.decode("cp1252", "replace")


def _combined(parts: list[_Part], policies: tuple[str, ...], said: str) -> ErrorBody:
    """One error out of several: the one that explains itself speaks, or else the first; the others add their words.

    Args:
        parts: the errors.
        policies: that refused the call.
        said: what is shown where none of the errors has a message.
    """
    first = next((part for part in parts if part.explains), None)
    if first is None:
        first = next((part for part in parts if part.message), parts[0])
    codes = tuple(dict.fromkeys(part.code for part in parts if part.code))
    number = next((code for code in codes if _is_number_of_site_recovery(code)), "")
    code = number or first.code or next(iter(codes), "")
    return ErrorBody(
        code=code,
        codes=codes,
        message=clean(_message(first, parts) or first.possible_causes or said, bounds.READ_MESSAGE),
        possible_causes=clean(first.possible_causes, bounds.READ_TEXT),
        recommended_action=clean(first.recommended_action, bounds.READ_TEXT),
        activity_id=next((part.activity_id for part in (first, *parts) if part.activity_id), ""),
        policies=policies,
        is_error=True,
    )


def _message(first: _Part, parts: list[_Part]) -> str:
    if first.explains:
        return first.message or next((part.message for part in parts if part.message), "")
    message = clean(first.message, bounds.READ_MESSAGE)
    for part in parts[parts.index(first) + 1 :][:_MOST_DETAILS]:
        if part.message and part.message not in message:
            message = f"{message} {part.words}".strip()
    return message


def _is_number_of_site_recovery(code: str) -> bool:
    return bool(_NUMERIC.fullmatch(code)) and not _NOT_NUMERIC_ENOUGH.fullmatch(code)


def _parts_with_words(document: object) -> list[_Part]:
    """All errors in a document, where they are meant to be, or else wherever there is any with a code or a message."""
    for everywhere in (False, True):
        found = islice((part for part in _parts(document, everywhere=everywhere) if part != _Part()), _MOST_PARTS)
        if parts := list(found):
            return parts
    return []


def _parts(node: object, depth: int = 0, *, everywhere: bool = False) -> Iterator[_Part]:
    """All errors in a document, from the outside to the inside."""
    if depth > _DEEPEST:
        return
    if isinstance(node, list):
        for entry in node[:_MOST_PARTS]:
            yield from _parts(entry, depth + 1, everywhere=everywhere)
    elif isinstance(node, Mapping):
        yield from _parts_of_mapping(node, depth, everywhere=everywhere)
    elif isinstance(node, str):
        yield _Part(message=_plain(node))
        if not _plain(node):
            yield from _parts_of_text(node, depth + 1)


def _parts_of_mapping(node: Mapping[str, object], depth: int, *, everywhere: bool) -> Iterator[_Part]:
    named = {re.sub(r"[^a-z]", "", str(name).lower()): value for name, value in reversed(list(node.items()))}
    yield _part(named)
    yield from (_Part(message=text) for name in _BESIDE if (text := _plain(named.get(name))))
    yield from _problems_of_fields(named)
    for name in list(named)[:_MOST_PARTS] if everywhere else _INSIDE:
        inside = named.get(name)
        if isinstance(inside, list | Mapping) or (isinstance(inside, str) and not _plain(inside)):
            yield from _parts(inside, depth + 1, everywhere=everywhere)


def _plain(value: object) -> str:
    """A text that is meant for people, and no JSON; empty if it is none."""
    text = value.strip() if isinstance(value, str) else ""
    return "" if text.startswith(_DOCUMENTS) or not any(character.isalpha() for character in text) else text


def _problems_of_fields(named: Mapping[str, object]) -> Iterator[_Part]:
    """Of ``{"name": ["is required"]}``, as ASP.NET and RFC 9457 tell what is wrong with a request."""
    for name in _FIELDS:
        fields = named.get(name)
        for field, problem in islice(fields.items(), _MOST_DETAILS) if isinstance(fields, Mapping) else ():
            if text := _text({"": problem}, ("",)):
                yield _Part(message=f"{field}: {text}")


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
    if message.startswith(_DOCUMENTS) and any(_parts_of_text(message, 1)):
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


def _says_anything(node: object, codes: Container[str]) -> bool:
    """Whether there is any text in a document of another form, beside ``codes`` that are told anyway."""
    if isinstance(node, Mapping):
        return any(_says_anything(value, codes) for value in node.values())
    if isinstance(node, list):
        return any(_says_anything(value, codes) for value in node)
    return isinstance(node, str) and node not in codes and any(character.isalpha() for character in node)


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
    if text.startswith((*_DOCUMENTS, '"')) and ((found := _cut_off(text)).message or found.code):
        return found
    readable = sum(character.isprintable() or character.isspace() for character in text[:1000])
    said = _NAME_OF_FIELD.sub("", text[:1000])
    if readable < 0.9 * len(text[:1000]) or not any(character.isalnum() for character in said):
        return ErrorBody()
    return ErrorBody(message=clean(text, bounds.READ_TEXT))


def _cut_off(text: str) -> ErrorBody:
    """What came through of JSON that was cut off."""
    matches = reversed(list(_CUT.finditer(text[:20_000])))
    found = {match["name"].lower(): _unescaped(match["text"]) for match in matches}
    code, message = clean(found.get("code"), bounds.READ_WORD), clean(found.get("message"), bounds.READ_TEXT)
    return ErrorBody(code, (code,) if code else (), message)


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
        self.first: dict[str, list[str]] = {}
        """By name of the element or attribute, without its namespace: the texts in the first of that name."""
        self.texts: list[str] = []
        self._open: list[tuple[str, list[str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        name, texts = tag.rpartition(":")[2], list[str]()
        self.first.setdefault(name, texts)
        self._open.append((name, texts))
        for attribute, value in attrs:
            if value:
                self.first.setdefault(attribute.rpartition(":")[2], [value])

    def handle_endtag(self, tag: str) -> None:
        name = tag.rpartition(":")[2]
        last = next((place for place in range(-1, -_MOST_OPEN - 1, -1) if self._name_open(place) == name), 0)
        if last:
            del self._open[last:]

    def _name_open(self, place: int) -> str:
        return self._open[place][0] if -place <= len(self._open) else ""

    def unknown_decl(self, data: str) -> None:
        """Take a CDATA section as what it is."""
        self.handle_data(data.removeprefix("CDATA["))

    def handle_data(self, data: str) -> None:
        text = " ".join(data.split())
        if any(character.isalnum() for character in text) and self._name_open(-1) not in {"script", "style"}:
            for _, texts in self._open[-_MOST_OPEN:]:
                texts.append(text)
            self.texts.append(text)


def _of_markup(text: str, *, is_page: bool) -> ErrorBody:
    markup = _Markup()
    with suppress(AssertionError, ValueError):  # what was read before something that is no markup still counts
        markup.feed(text[:_MOST_MARKUP])
        markup.close()
    code = clean(_text({name: texts[0] for name, texts in markup.first.items() if texts}, _CODE), bounds.READ_WORD)
    is_page = is_page or _PAGE.search(text[:2000]) is not None
    said = "" if is_page else _text(markup.first, tuple(name for name in _MESSAGE if name != "value"))
    message = said or " ".join(dict.fromkeys(markup.texts))
    return ErrorBody(code, (code,) if code else (), clean(message, bounds.READ_TEXT), is_page=is_page)
