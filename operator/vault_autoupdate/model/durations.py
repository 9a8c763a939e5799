"""Durations as Go and Kubernetes write them: ``90s``, ``0.15s``, ``1h30m``.

The format is that of Go's ``time.ParseDuration``: one or more decimal numbers, each with a unit. Signs and bare
points (``.5h``, ``1.h``) are left out on purpose: nothing here may be negative, and the CRD refuses them as well.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

from pydantic import BeforeValidator

_UNIT_SECONDS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s|us|µs|ns)", re.ASCII)
_LONGEST = timedelta(days=3650)
_MAX_TEXT = 64

__all__ = ["duration_between", "format_duration", "parse_duration"]


def parse_duration(text: str) -> timedelta:
    """Return the length of time that ``text`` names.

    Raises:
        ValueError: the text is not a duration, with a message that shows what one looks like.
    """
    position, seconds = 0, 0.0
    while len(text) <= _MAX_TEXT and (part := _PART.match(text, position)):
        seconds += float(part[1]) * _UNIT_SECONDS[part[2]]
        position = part.end()
    if position == 0 or position != len(text):
        raise ValueError(f"{text[:_MAX_TEXT]!r} is not a duration: write it like 90s, 0.5s, 15m or 1h30m")
    if seconds > _LONGEST.total_seconds():
        raise ValueError(f"{text!r} is longer than ten years")
    return timedelta(seconds=seconds)


def format_duration(duration: timedelta) -> str:
    """Return ``duration`` as a short text that `parse_duration` reads back: ``1h30m``, ``45s``, ``0.15s``."""
    seconds = duration.total_seconds()
    if seconds < 1:
        return f"{seconds:.6f}".rstrip("0").rstrip(".") + "s"
    seconds = round(seconds, 3)
    whole = round(seconds)
    if seconds != whole and seconds < 60:
        return f"{seconds:.3f}".rstrip("0") + "s"
    hours, rest = divmod(whole, 3600)
    minutes, secs = divmod(rest, 60)
    parts = [f"{value}{unit}" for value, unit in ((hours, "h"), (minutes, "m"), (secs, "s")) if value]
    return "".join(parts)


def duration_between(at_least: timedelta, at_most: timedelta) -> BeforeValidator:
    """Read a duration as Kubernetes writes it, and refuse one that is out of bounds."""

    def validate(value: object) -> timedelta:
        if isinstance(value, timedelta):
            return value
        duration = parse_duration(str(value))
        if not at_least <= duration <= at_most:
            raise ValueError(
                f"{value} is out of bounds: at least {format_duration(at_least)}, at most {format_duration(at_most)}"
            )
        return duration

    return BeforeValidator(validate)
