"""Text from elsewhere, made fit for a status, an Event, a log line or a terminal."""

from __future__ import annotations

import re

_CONTROL = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u2028\u2029"  # of the terminal, and ends of lines
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # that change the direction
    r"\xad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200d\u2060-\u2065\u206a-\u206f\u3164\ufe00-\ufe0f\ufeff"
    r"\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"  # that nobody sees
    r"\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd\U00013430-\U0001343f"  # other formats
    r"\ud800-\udfff\ufffe\uffff]+"  # that are no characters
)
_QUERY = re.compile(r"(https?://[^\s?#\"'<>]+)[?#][^\s\"'<>]*", re.IGNORECASE)
_BEARER = re.compile(r"(bearer\s+)[\w.~+/=-]{8,}", re.IGNORECASE)
_TOKEN = re.compile(r"eyJ[\w-]{8,}[\w.-]*")
"""A JSON Web Token: of Azure or of a ServiceAccount."""
_SUSPECT = re.compile(r"[?#]|bearer|eyj", re.IGNORECASE)
_ELLIPSIS = "…"

__all__ = ["clean", "is_printable", "plural", "printable", "whole_number"]


def clean(text: object, max_bytes: int) -> str:
    """Return ``text`` on one line, without control characters, query strings of URLs or tokens.

    Site Recovery signs the URLs of operations, so what stands behind the ``?`` is as good as a secret.

    Args:
        text: anything; None gives an empty text.
        max_bytes: the most bytes of UTF-8 that come back; what is cut is marked by an ellipsis.
    """
    text = "" if text is None else str(text)
    if len(text) <= max_bytes and text.isascii() and text.isprintable() and not _SUSPECT.search(text):
        return text.strip()  # nearly all of them, and a large vault has tens of thousands
    valid = text[: 4 * max_bytes].encode("utf-8", "replace").decode()
    flat = printable(valid).strip()
    encoded = _TOKEN.sub("***", _BEARER.sub(r"\1***", _QUERY.sub(r"\1?***", flat))).encode()
    if len(encoded) <= max_bytes:
        return encoded.decode()
    return encoded[: max(0, max_bytes - 3)].decode("utf-8", "ignore") + _ELLIPSIS


def printable(text: str) -> str:
    """Return ``text`` without what moves the cursor, changes colours or direction, begins a new line or is not seen."""
    return _CONTROL.sub(" ", text)


def is_printable(text: str) -> bool:
    """Tell whether people see all of ``text`` as it is, and any terminal and file takes it."""
    return _CONTROL.search(text) is None


def whole_number(text: str) -> int | None:
    """The number that ``text`` is, if it is one; `int` refuses some texts that `str.isdigit` takes."""
    return int(text) if re.fullmatch(r"\d{1,18}", text, re.ASCII) else None


def plural(count: int, noun: str) -> str:
    """``1 mapping``, ``2 mappings``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
