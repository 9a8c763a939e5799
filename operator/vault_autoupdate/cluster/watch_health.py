"""Whether the watch of the resources is alive: when the API server was last heard of, for each namespace.

A watch may be silent for long and well all the same. But it is renewed: by the server after five minutes, by kopf
when neither a change nor a bookmark has come for a minute. So an answer to a list or watch is never older than some
minutes while all is well, whatever happens to the resources.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from vault_autoupdate.cluster.recognition import Recognition
from vault_autoupdate.model.resource import GROUP, PLURAL

EVERYWHERE: Final = ""
"""Stands for the namespace where all of them are watched by one watch."""
_GOOD: Final = range(200, 300)
_LIST: Final = re.compile(rf"/apis/{re.escape(GROUP)}/[^/]+(?:/namespaces/([^/]+))?/{PLURAL}")
_HINTS: Final = {403: "does the namespace exist, and is the Role bound there?"}

log = logging.getLogger(__name__)

__all__ = ["EVERYWHERE", "NamespaceWatch", "WatchHealth"]


@dataclass
class NamespaceWatch:
    """The watch of one namespace, or of all of them."""

    last_contact: float | None = None
    """Unix time of the last answer or change; before, when watching began; None before that."""
    refused: int = 0
    """HTTP status of the last list or watch, if that was a refusal; 0 else."""


class WatchHealth:
    """When the API server was last heard of. All methods belong to one event loop."""

    def __init__(self, namespaces: tuple[str, ...] = (), clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._watches = {namespace: NamespaceWatch() for namespace in namespaces or (EVERYWHERE,)}
        self.ready = asyncio.Event()
        """Set while the resources are watched."""
        self.recognition = Recognition()

    @property
    def watches(self) -> Mapping[str, NamespaceWatch]:
        """By namespace; by `EVERYWHERE` alone where all are watched."""
        return self._watches

    @property
    def watching(self) -> bool:
        """Whether resources are watched, as far as this process can tell: those of one namespace at least."""
        return any(self.is_watching(namespace) for namespace in self._watches)

    @property
    def refused(self) -> tuple[str, ...]:
        """The namespaces whose resources the API server does not let us list or watch."""
        return tuple(namespace for namespace, each in self._watches.items() if each.refused)

    def is_watching(self, namespace: str) -> bool:
        """Whether the resources of a namespace of `watches` are watched, as far as this process can tell."""
        return self.ready.is_set() and not self._watches[namespace].refused

    def begin(self) -> None:
        """Watching begins: from now on silence counts."""
        for each in self._watches.values():
            each.last_contact = self._clock()

    def contact(self, namespace: str) -> None:
        """The API server was heard of just now, about the resources of a namespace."""
        self._watch_of(namespace).last_contact = self._clock()

    def tracing(self) -> list[aiohttp.TraceConfig]:
        """What makes a session tell of every answer that it gets."""
        trace = aiohttp.TraceConfig()
        trace.on_request_end.append(self._answered)
        return [trace, self.recognition.tracing()]

    async def _answered(self, _session: Any, _context: Any, answer: aiohttp.TraceRequestEndParams) -> None:
        status, match = answer.response.status, _LIST.search(answer.url.path)
        if match is None:
            return
        namespace = match[1] or EVERYWHERE
        if status in _GOOD:
            self._accepted(namespace)
        elif status in _HINTS:
            self._refused(namespace, status)

    def _accepted(self, namespace: str) -> None:
        watch = self._watch_of(namespace)
        if watch.refused:
            log.info("%s of namespace %s can be watched now", PLURAL, namespace)
        watch.refused = 0
        self.contact(namespace)

    def _refused(self, namespace: str, status: int) -> None:
        watch = self._watch_of(namespace)
        if not watch.refused and namespace != EVERYWHERE:
            log.warning(
                "%s of namespace %s cannot be watched: %d, %s It is tried again; the other namespaces are served.",
                PLURAL, namespace, status, _HINTS[status],
            )  # fmt: skip
        watch.refused = status

    def _watch_of(self, namespace: str) -> NamespaceWatch:
        return self._watches[namespace if namespace in self._watches else EVERYWHERE]
