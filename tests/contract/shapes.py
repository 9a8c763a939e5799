"""Compares JSON by shape: which fields there are, of which types, and in which quirks of spelling."""

from __future__ import annotations

import re
from typing import Any, Final

__all__ = ["differences", "form"]

_DATE: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.(\d+))?(Z?)")
_LITERAL: Final = frozenset({"type", "instanceType", "primaryFabricProvider", "protectedItemType"})
_FREE: Final = frozenset({"affectedObjectDetails", "tags"})
"""Maps whose keys mean nothing to us."""


def form(value: Any) -> str:
    """Name the type of a value; of a text also what it looks like."""
    match value:
        case None:
            return "null"
        case bool():
            return "truth"
        case int() | float():
            return "number"
        case list():
            return "list"
        case dict():
            return "object"
    date = _DATE.fullmatch(value)
    if date is not None:
        return f"date {'with' if date[1] else 'without'} fraction, {'UTC' if date[2] else 'no zone'}"
    if value.startswith("/Subscriptions/"):
        return "id with a capital"
    if value.startswith("/subscriptions/"):
        return "id in lower case" if value == value.lower() else "id"
    if value.startswith("W/"):
        return re.sub(r"\d+", "0", value)
    return "text" if value else "empty text"


def differences(real: Any, ours: Any, path: str = "", name: str = "") -> set[str]:
    """Tell how two documents differ: fields that only one has, forms that are not the same."""
    here = path or "all"
    if isinstance(real, dict) and isinstance(ours, dict):
        if name in _FREE:
            return set()
        found = {f"{path}.{key}: only real".lstrip(".") for key in real.keys() - ours.keys()}
        found |= {f"{path}.{key}: only ours".lstrip(".") for key in ours.keys() - real.keys()}
        for key in real.keys() & ours.keys():
            found |= differences(real[key], ours[key], f"{path}.{key}".lstrip("."), key)
        return found
    if isinstance(real, list) and isinstance(ours, list):
        # Items of one list look alike, and an empty one says nothing about them.
        return set[str]().union(*(differences(one, other, f"{path}[]") for one in real[:1] for other in ours[:1]))
    if form(real) != form(ours):
        return {f"{here}: {form(real)}, ours {form(ours)}"}
    return {f"{here}: {real!r}, ours {ours!r}"} if name in _LITERAL and real != ours else set()
