"""A call that has passed the gateway, and the pages of the lists that answer one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from asr_simulator.arm_errors import Answer, dumps
from asr_simulator.faults import Fault, FaultKind
from asr_simulator.routes import Route

__all__ = ["Call", "escaped", "page_answer"]


@dataclass(frozen=True, slots=True)
class Call:
    """A request that has passed the gateway."""

    method: str
    route: Route
    path: str
    query: Mapping[str, str]
    base_url: str
    """Scheme and host by which the client reached us: links in answers lead back there."""
    body: bytes
    now: float
    fault: Fault | None = None

    @property
    def api_version(self) -> str:
        """The version that the client asked for."""
        return self.query["api-version"]


def page_answer(
    call: Call, items: Iterable[bytes], following: str | None, *, beginning: str, explicit_null: bool
) -> Answer:
    """Answer with a page of a list.

    The link to the next page carries ``following``, a piece of a query, and there is none for None. A fault may turn it
    into a link to the same page, or to another host, even on the last page; then it carries ``beginning``.
    """
    body = b'{"value":[' + b",".join(items) + b"]"
    kind = call.fault.kind if call.fault is not None else None
    if kind is FaultKind.NEXT_LINK_LOOP:
        here = [f"{name}={quote(value, safe='')}" for name, value in call.query.items() if name != "api-version"]
        following = "&".join(here)
    elif kind is FaultKind.NEXT_LINK_HOST and following is None:
        following = beginning
    if following is None:
        return Answer(200, body + (b',"nextLink":null}' if explicit_null else b"}"))
    host = call.base_url
    if kind is FaultKind.NEXT_LINK_HOST and call.fault is not None and call.fault.url is not None:
        host = call.fault.url.rstrip("/")
    link = f"{host}{escaped(call.path)}?api-version={call.api_version}"
    return Answer(200, body + b',"nextLink":' + dumps(f"{link}&{following}" if following else link) + b"}")


def escaped(path: str) -> str:
    """Escape a path for a URL; parentheses, which names of resource groups may have, stay."""
    return quote(path, safe="/()")
