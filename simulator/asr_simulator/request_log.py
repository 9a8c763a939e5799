"""A ring buffer of the requests that arrived. Queries are not kept: they carry signatures."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple, cast

from asr_simulator.control_types import RequestRecord

__all__ = ["LogEntry", "RequestLog"]


class LogEntry(NamedTuple):
    """One request and how it was answered."""

    simulated: float
    """Arrival, as `real`."""
    real: float
    method: str
    kind: str
    path: str
    status: int
    """0 when the connection was closed without an answer."""
    code: str
    """Error code, if any."""
    fault: str
    """Id of the fault that hit it, if any."""
    vault: str
    mapping: str
    job: str
    client_request_id: str
    user_agent: str
    client: str
    """Address that it came from."""
    scope: str
    """Subscription and region in which it counted."""
    application: str
    """Client id of the identity whose token came with it; empty without a token of ours."""
    sequence: int = 0
    """Set by the log."""

    def record(self) -> RequestRecord:
        """Return the entry as the control endpoint shows it."""
        return cast("RequestRecord", self._asdict())


class RequestLog:
    """The newest requests, numbered from 1."""

    def __init__(self, size: int) -> None:
        self._entries: deque[LogEntry] = deque(maxlen=size)
        self.last_sequence = 0

    def add(self, entry: LogEntry) -> None:
        """Keep a request, under the next number.

        Numbers follow the order of the answers, so that reading on from the last number misses nothing.
        """
        self.last_sequence += 1
        self._entries.append(entry._replace(sequence=self.last_sequence))

    def since(self, sequence: int) -> Iterator[LogEntry]:
        """Yield the kept requests with a higher number."""
        return (entry for entry in self._entries if entry.sequence > sequence)
