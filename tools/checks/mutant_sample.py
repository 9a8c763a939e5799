"""A sample of the mutants: which are drawn, and what their score says about all of them."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from typing import Final

_Z95: Final = 1.959964
"""How many standard deviations around the mean hold 95 % of a normal distribution."""

__all__ = ["draw", "interval"]


def draw(mutants: Iterable[str], size: int, seed: int) -> list[str]:
    """Draw ``size`` mutants, each with the same chance. A larger sample of the same seed begins with the smaller."""
    order = sorted(mutants)
    random.Random(seed).shuffle(order)
    return order[:size]


def interval(noticed: int, drawn: int) -> tuple[float, float]:
    """Between which scores, in percent, that of all mutants lies in 95 of 100 samples: the interval of Wilson.

    It holds near 100 % too, where one around the mean would be of no width when nothing survived.
    """
    part, square = noticed / drawn, _Z95**2
    middle = (part + square / (2 * drawn)) / (1 + square / drawn)
    half = _Z95 / (1 + square / drawn) * math.sqrt(part * (1 - part) / drawn + square / (4 * drawn**2))
    return 100 * max(0.0, middle - half), 100 * min(1.0, middle + half)
