"""A number of things, or a share of them: ``2`` or ``5%``, as Kubernetes writes ``maxUnavailable``."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TEXT = re.compile(r"(\d{1,6})(%?)", re.ASCII)

__all__ = ["Quantity", "parse_quantity"]


@dataclass(frozen=True)
class Quantity:
    """At most so many, or so many percent."""

    number: int
    is_percent: bool = False

    def of(self, total: int) -> int:
        """How many of ``total`` that is: rounded down, but at least one where any share is allowed at all."""
        if not self.is_percent:
            return self.number
        return max(1, total * self.number // 100) if self.number else 0

    def __str__(self) -> str:
        return f"{self.number}%" if self.is_percent else str(self.number)


def parse_quantity(value: object) -> Quantity:
    """Read a whole number or a percentage.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(value, Quantity):
        return value
    match = _TEXT.fullmatch(str(value))
    if not match or (match[2] and int(match[1]) > 100):
        raise ValueError(f"{str(value)[:20]!r} is neither a whole number nor a percentage: write it like 2 or 5%")
    return Quantity(int(match[1]), is_percent=bool(match[2]))
