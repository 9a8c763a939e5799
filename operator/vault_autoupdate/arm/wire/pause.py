"""For how long ARM asks to be left alone, in any of the ways in which it was seen to say so, or a proxy before it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

_NUMBER = re.compile(r"\+?(?P<number>\d{1,12}(\.\d{1,9})?)(\s*((?P<ms>ms)|s(ec(ond)?s?)?))?", re.ASCII | re.IGNORECASE)
_TIME_SPAN = re.compile(r"(\d\d):(\d\d):(\d\d)(\.\d{1,9})?", re.ASCII)
_AGAIN_AFTER = re.compile(r"try again (after|in) '?(?P<seconds>\d{1,6})'? seconds", re.IGNORECASE | re.ASCII)
_PAUSES: Final = (
    ("retry-after-ms", 1e-3),
    ("x-ms-retry-after-ms", 1e-3),
    ("retry-after", 1.0),
    ("x-ms-user-quota-resets-after", 1.0),
)
"""Headers that say for how long to leave Azure alone, and how many seconds a number in them is. The last is Resource
Graph's own; whether its 429 has ``Retry-After`` as well is documented nowhere."""
_LONGEST_PAUSE: Final = 3600.0
"""Seconds. Nothing that ARM throttles is throttled for longer."""

__all__ = ["pause_asked_for", "retry_after"]


def pause_asked_for(headers: Mapping[str, str], message: str) -> float | None:
    """Seconds that the server asks for in its headers, or else in words, as ARM does it too.

    Args:
        headers: with names in lower case.
        message: of the error.
    """
    asked = retry_after(headers)
    if asked is None and (told := _AGAIN_AFTER.search(message)):
        return min(float(told["seconds"]), _LONGEST_PAUSE)
    return asked


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds from ``Retry-After`` or its millisecond variants, as azure-core reads them; None without a usable one.

    A date (RFC 9110, 10.2.3) is taken as so long after the answer's own ``Date``, since the clocks of two machines
    differ. A value beyond an hour counts as an hour: a mistaken header must not silence a vault for a year. Of several,
    as ARM and a proxy before it may each send one, the longest counts.

    Args:
        headers: with names in lower case.
        now: the present, where the answer has no date of its own; None for this machine's clock.
    """
    for name, unit in _PAUSES:
        pauses = [_seconds(text, unit) for text in headers.get(name, "").split(",")]
        if found := [pause for pause in pauses if pause is not None]:
            return min(max(found), _LONGEST_PAUSE)
        if until := _date(headers.get(name, "")):
            pause = (until - (_date(headers.get("date", "")) or now or datetime.now(UTC))).total_seconds()
            return min(max(pause, 0.0), _LONGEST_PAUSE)
    return None


def _seconds(text: str, unit: float) -> float | None:
    """Of a number, or of a time as .NET writes it, ``hh:mm:ss``."""
    if number := _NUMBER.fullmatch(text.strip()):
        return float(number["number"]) * (1e-3 if number["ms"] else unit)
    span = _TIME_SPAN.fullmatch(text.strip())
    return int(span[1]) * 3600.0 + int(span[2]) * 60 + int(span[3]) + float(span[4] or 0) if span else None


def _date(text: str) -> datetime | None:
    """A date of HTTP, in any of its three forms, or of ISO 8601."""
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        with suppress(ValueError, TypeError, IndexError, OverflowError):
            date = read(text.strip())
            return date if date.tzinfo else date.replace(tzinfo=UTC)
    return None
