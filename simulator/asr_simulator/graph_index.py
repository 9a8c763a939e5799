"""The index behind Resource Graph: rows of resources, each some time behind what is true."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from typing import Any

from asr_simulator.scenario import Graph

__all__ = ["GraphIndex", "Row"]

Row = Mapping[str, Any]


class GraphIndex:
    """Versions of rows by id, each with the moment from which the index shows it. None stands for no row."""

    def __init__(self, settings: Graph, rng: random.Random) -> None:
        self.settings = settings
        self._rng = rng
        self._versions: dict[str, list[tuple[float, Row | None]]] = {}

    def load(self, row: Row) -> None:
        """Have a row from the beginning."""
        self._versions[row["id"].lower()] = [(-math.inf, row)]

    def change(self, row_id: str, row: Row | None, now: float) -> float:
        """Let a row be as it is now, or be gone, after a while; returns the simulated time at which it shows."""
        settings = self.settings
        lag = min(settings.longest_lag, settings.lag * math.exp(self._rng.gauss(0.0, settings.spread)))
        self._versions.setdefault(row_id.lower(), []).append((now + lag, row))
        return now + lag

    def rows(self, kind: str, now: float) -> Iterator[Row]:
        """Yield what the index shows of a type (in lower case), ordered by id."""
        for key in sorted(self._versions):
            row = self._shown(key, now)
            if row is not None and row["type"] == kind:
                yield row

    def _shown(self, key: str, now: float) -> Row | None:
        """Later versions may show before earlier ones; what was changed last counts."""
        shown = [row for moment, row in self._versions[key] if moment <= now]
        return shown[-1] if shown else None
