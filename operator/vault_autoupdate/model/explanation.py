"""An error in the words of those who know it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Explanation"]


@dataclass(frozen=True)
class Explanation:
    """An error in the words of those who know it."""

    code: str = ""
    message: str = ""
    possible_causes: str = ""
    recommended_action: str = ""
    activity_id: str = ""
    """By which Microsoft's support finds what Site Recovery did."""
    category: str = ""
    """Of a health error: Site Recovery's word for its kind, which tells more than a code that may be empty."""
