"""One condition as (status, reason, message), whatever it is about. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from vault_autoupdate.model import bounds
from vault_autoupdate.model.conditions import ConditionStatus
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.model.text import clean

_REASON: Final = re.compile(r"[A-Z][A-Za-z0-9]{0,63}")

__all__ = ["ConditionValue", "not_known"]


@dataclass(frozen=True)
class ConditionValue:
    """What one condition says, apart from its times."""

    type: str
    """A `ConditionType`."""
    status: str
    """A `ConditionStatus`."""
    reason: str
    message: str


def not_known(kind: str, problem: Explanation | None, not_looked: str) -> ConditionValue:
    """The condition ``kind`` while nobody knows.

    Args:
        kind: its type.
        problem: why nobody knows; None before the first look.
        not_looked: the message before the first look.
    """
    if problem is None:
        return ConditionValue(kind, ConditionStatus.UNKNOWN, "NotLookedAt", not_looked)
    reason = problem.code if _REASON.fullmatch(problem.code) else "NotReadable"
    said = " ".join(filter(None, (problem.message, problem.recommended_action)))
    return ConditionValue(kind, ConditionStatus.UNKNOWN, reason, clean(said, bounds.MESSAGE) or not_looked)
