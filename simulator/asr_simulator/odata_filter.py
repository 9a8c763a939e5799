"""The text of a ``$filter``.

Only the names of the fields and what they mean are published. The text form is inferred: ``name eq 'value'`` joined
by ``and``; an empty value means "any".
"""

from __future__ import annotations

import re

from asr_simulator.arm_errors import ArmError

_CONDITION = re.compile(r"\s*(\w+)\s+(\w+)\s+'((?:[^']|'')*)'\s*(and\b|$)", re.IGNORECASE)

__all__ = ["bad_filter", "read_conditions"]


def read_conditions(text: str) -> dict[str, str]:
    """Read a ``$filter`` into values by field, both in lower case; raises `ArmError` 400 for any other form."""
    values: dict[str, str] = {}
    position = 0
    while position < len(text):
        match = _CONDITION.match(text, position)
        if match is None or match[2].lower() != "eq":
            raise bad_filter(text)
        values[match[1].lower()] = match[3].replace("''", "'").lower()
        position = match.end()
        if match[4] and position == len(text):
            raise bad_filter(text)
    return {name: value for name, value in values.items() if value}


def bad_filter(text: str) -> ArmError:
    """Make the refusal of a filter that cannot be read or names an unknown field."""
    return ArmError(400, "InvalidFilterInQueryString", f"Invalid $filter '{text}' specified in the query string.")
