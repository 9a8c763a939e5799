"""Whether what is found can be written, told namespace by namespace: rights are given by namespace too."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

__all__ = ["WriteHealth"]


@dataclass
class _Failure:
    since: float
    refused: bool


class WriteHealth:
    """Since when nothing could be written to the resources of a namespace. All methods belong to one event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: dict[str, _Failure] = {}

    def failing_for(self, namespaces: Collection[str]) -> float:
        """Seconds since the first write to one of ``namespaces`` that none got through to after; the longest of all."""
        found = [self._failures[namespace] for namespace in namespaces if namespace in self._failures]
        return max((self._clock() - each.since for each in found), default=0.0)

    def refused_for(self, namespaces: Collection[str]) -> float:
        """Seconds for which the API server has answered, and let nothing be written to any of ``namespaces``.

        0 where one of them is not known to be refused: one team's missing Role is no reason to begin anew for all.
        And 0 without an answer: an API server that is away is not mended by that either.
        """
        found = [self._failures.get(namespace) for namespace in namespaces]
        return min((self._clock() - each.since if each and each.refused else 0.0 for each in found), default=0.0)

    def written(self, namespace: str) -> None:
        """Something was written to a resource of the namespace, or could have been had the resource been there."""
        self._failures.pop(namespace, None)

    def failed(self, namespace: str, *, refused: bool) -> None:
        """Something could not be written.

        Args:
            namespace: of the resource.
            refused: whether the API server said so, rather than not answering or being ill itself.
        """
        known = self._failures.setdefault(namespace, _Failure(self._clock(), refused))
        known.refused = refused
