"""Faults: things that go wrong on request."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from asr_simulator.control_types import FaultState
from asr_simulator.routes import LOGIN, Route, RouteKind
from asr_simulator.scenario import JobFailure, Section

__all__ = ["Fault", "FaultBook", "FaultKind"]


class FaultKind(StrEnum):
    """What can go wrong."""

    STATUS = "status"
    """Answer with a chosen status, code, message, body and headers; nothing is processed."""
    THROTTLE = "throttle"
    """429 with a chosen Retry-After."""
    UNAUTHORIZED = "unauthorized"
    """401, as when a token has just been revoked."""
    RESET_BEFORE = "reset_before"
    """Connection reset; nothing is processed."""
    RESET_AFTER = "reset_after"
    """The call is processed, then the connection is reset."""
    HANG = "hang"
    """No answer for ``seconds``, then the connection is closed; nothing is processed."""
    SLOW_HEAD = "slow_head"
    """The status and the headers arrive byte by byte over ``seconds``; the call is processed."""
    SLOW_BODY = "slow_body"
    """The body arrives in small pieces, stretched over ``seconds``."""
    HTML = "html"
    """An HTML page, as from a proxy; nothing is processed."""
    TRUNCATED_JSON = "truncated_json"
    """The body stops half-way, though its length says it is complete."""
    WRONG_SHAPE = "wrong_shape"
    """JSON of another shape; ``body`` chooses it."""
    EMPTY_BODY = "empty_body"
    """The right status without a body."""
    REDIRECT = "redirect"
    """307 to ``url``; nothing is processed."""
    NEXT_LINK_HOST = "next_link_host"
    """``nextLink`` points to the host of ``url``."""
    NEXT_LINK_LOOP = "next_link_loop"
    """``nextLink`` points to the page itself."""
    NO_JOB_URLS = "no_job_urls"
    """An accepted PATCH, or update of an agent, does not tell its job."""
    FAIL_JOB = "fail_job"
    """The job of it fails with a chosen error."""
    JOB_NEVER_ENDS = "job_never_ends"
    """The job of it runs for ever."""
    EMPTY_LIST = "empty_list"
    """A list, or a query, is answered with success and nothing in it."""
    ROWS_MISSING = "rows_missing"
    """A list, or a query, is answered with success and without a random part of it, as in August 2020."""
    GRAPH_ROWS_SHIFT = "graph_rows_shift"
    """A row vanishes between two pages of a query, so that another one is never shown."""
    GRAPH_TRUNCATED = "graph_truncated"
    """A query says that its result is truncated, and gives no token to go on."""
    GRAPH_LIMIT_HIT = "graph_limit_hit"
    """A query is answered for a part of the subscriptions only; a header says so."""
    TOKEN_DOWN = "token_down"  # noqa: S105 - the name of a fault
    """The token endpoints answer 500."""


_ALWAYS = frozenset(
    {"kind", "method", "route", "subscription", "vault", "mapping", "request", "skip", "times", "rate", "forever"}
)
_TEXTS = frozenset({"code", "message"})
_PARAMETERS: dict[FaultKind, frozenset[str]] = {
    FaultKind.STATUS: _TEXTS | {"status", "body", "headers"},
    FaultKind.THROTTLE: _TEXTS | {"retry_after"},
    FaultKind.HANG: frozenset({"seconds"}),
    FaultKind.SLOW_HEAD: frozenset({"seconds"}),
    FaultKind.SLOW_BODY: frozenset({"seconds"}),
    FaultKind.HTML: frozenset({"status", "body"}),
    FaultKind.WRONG_SHAPE: frozenset({"body"}),
    FaultKind.REDIRECT: frozenset({"url"}),
    FaultKind.NEXT_LINK_HOST: frozenset({"url"}),
    FaultKind.ROWS_MISSING: frozenset({"share"}),
    FaultKind.FAIL_JOB: _TEXTS | {"possible_causes", "recommended_action"},
}
_GATEWAY = frozenset(
    {
        FaultKind.STATUS,
        FaultKind.THROTTLE,
        FaultKind.UNAUTHORIZED,
        FaultKind.RESET_BEFORE,
        FaultKind.HANG,
        FaultKind.HTML,
        FaultKind.REDIRECT,
        FaultKind.TOKEN_DOWN,
    }
)
"""Faults that strike before the call is processed or counted; the others spoil the answer or the job."""
_LISTS = frozenset(
    {
        RouteKind.MAPPINGS,
        RouteKind.CONTAINER_MAPPINGS,
        RouteKind.JOBS,
        RouteKind.PROTECTED_ITEMS,
        RouteKind.CONTAINER_PROTECTED_ITEMS,
        RouteKind.SCHEDULES,
        RouteKind.JOB_SCHEDULES,
        RouteKind.AUTOMATION_JOBS,
        RouteKind.ACTIVITY_LOG,
    }
)
_JOB_STARTERS = frozenset({RouteKind.MAPPING, RouteKind.UPDATE_AGENT})
_INVENTORIES = frozenset({RouteKind.VAULTS, RouteKind.RESOURCE_GRAPH})
_GRAPH = frozenset({RouteKind.RESOURCE_GRAPH})
_NATURAL_ROUTES: dict[FaultKind, frozenset[RouteKind]] = {
    FaultKind.TOKEN_DOWN: frozenset({RouteKind.TOKEN, RouteKind.OAUTH_TOKEN}),
    FaultKind.NO_JOB_URLS: _JOB_STARTERS,
    FaultKind.FAIL_JOB: _JOB_STARTERS,
    FaultKind.JOB_NEVER_ENDS: _JOB_STARTERS,
    FaultKind.EMPTY_LIST: _INVENTORIES,
    FaultKind.ROWS_MISSING: _INVENTORIES,
    FaultKind.GRAPH_ROWS_SHIFT: _GRAPH,
    FaultKind.GRAPH_TRUNCATED: _GRAPH,
    FaultKind.GRAPH_LIMIT_HIT: _GRAPH,
    FaultKind.NEXT_LINK_HOST: _LISTS,
    FaultKind.NEXT_LINK_LOOP: _LISTS,
}
"""Where a fault makes sense when it names no route; the others may hit any Resource Manager call."""
_NATURAL_METHODS: dict[FaultKind, tuple[str, ...]] = {
    FaultKind.NO_JOB_URLS: ("PATCH", "POST"),
    FaultKind.FAIL_JOB: ("PATCH", "POST"),
    FaultKind.JOB_NEVER_ENDS: ("PATCH", "POST"),
    FaultKind.SLOW_BODY: ("GET",),
    FaultKind.TRUNCATED_JSON: ("GET",),
    FaultKind.EMPTY_BODY: ("GET",),
}
"""And with which method: only a GET has a body to spoil, only a PATCH or a POST starts a job."""


class Fault(Section):
    """A fault and the calls that it hits. It dies after ``times`` hits."""

    kind: FaultKind
    """What goes wrong."""
    method: str | None = None
    """HTTP method; none for any that makes sense."""
    route: RouteKind | None = None
    """Kind of call; none for any Resource Manager call that makes sense."""
    subscription: str = "*"
    """Subscription id, with wildcards."""
    vault: str = "*"
    """Vault name, with wildcards."""
    mapping: str = "*"
    """Mapping name, with wildcards; a pattern other than ``*`` only hits calls that name a mapping."""
    request: str = "*"
    """Client request id (``x-ms-client-request-id``), with wildcards."""
    skip: int = Field(default=0, ge=0)
    """Matching calls that get through first."""
    times: Annotated[int, Field(gt=0)] | None = None
    """Hits until it dies. Not set: 1, or without end when ``rate`` is set."""
    rate: Annotated[float, Field(gt=0, le=1)] | None = None
    """Probability of a hit; none for certain."""
    forever: bool = False
    """Never dies by itself, though it has no rate."""
    status: int = Field(default=500, ge=200, le=599)
    """Status of `STATUS` and `HTML`."""
    code: str | None = None
    """Error code."""
    message: str | None = None
    """Error message."""
    possible_causes: str = ""
    """Of a failed job."""
    recommended_action: str = ""
    """Of a failed job."""
    body: Any = None
    """Text or JSON that replaces the body."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Further headers of `STATUS`."""
    retry_after: float | None = Field(default=None, ge=0)
    """Real seconds of `THROTTLE`: rounded up in Retry-After, exact in retry-after-ms; none leaves both out."""
    seconds: float = Field(default=3600.0, ge=0)
    """Real seconds of `HANG`, `SLOW_HEAD` and `SLOW_BODY`."""
    share: float = Field(default=0.5, gt=0, le=1)
    """Part of the rows that `ROWS_MISSING` leaves out, about."""
    url: str | None = None
    """Target of `REDIRECT` and `NEXT_LINK_HOST`."""

    @model_validator(mode="after")
    def _parameters_fit(self) -> Self:
        allowed = _ALWAYS | _PARAMETERS.get(self.kind, frozenset())
        foreign = sorted(self.model_fields_set - allowed)
        if foreign:
            raise ValueError(f"{', '.join(foreign)}: not a parameter of {self.kind.value}")
        if self.kind in (FaultKind.REDIRECT, FaultKind.NEXT_LINK_HOST) and not self.url:
            raise ValueError(f"{self.kind.value} needs url")
        if self.forever and self.times is not None:
            raise ValueError("times and forever exclude each other")
        return self

    @property
    def limit(self) -> int | None:
        """Hits until it dies; None for no end."""
        if self.forever:
            return None
        if self.times is None:
            return 1 if self.rate is None else None
        return self.times

    @property
    def is_gateway(self) -> bool:
        """Whether it strikes before the call is processed."""
        return self.kind in _GATEWAY

    def matches(self, method: str, route: Route, client_request_id: str = "") -> bool:
        """Tell whether a call is one that the fault may hit."""
        natural = _NATURAL_ROUTES.get(self.kind)
        if self.route is not None:
            hits_route = self.route is route.kind
        elif natural is not None:
            hits_route = route.kind in natural
        else:
            hits_route = route.kind not in LOGIN
        wanted = (self.method.upper(),) if self.method else _NATURAL_METHODS.get(self.kind)
        if not hits_route or (wanted is not None and method not in wanted):
            return False
        names = (
            (self.subscription, route.subscription),
            (self.vault, route.vault),
            (self.mapping, route.mapping),
            (self.request, client_request_id),
        )
        return all(_fits(pattern, name) for pattern, name in names)

    def job_failure(self) -> JobFailure:
        """Return the error of a failed job."""
        return JobFailure(
            code=self.code or "900099",
            message=self.message or "The job failed on request.",
            possible_causes=self.possible_causes,
            recommended_action=self.recommended_action,
        )


def _fits(pattern: str, name: str) -> bool:
    return pattern == "*" or (bool(name) and fnmatchcase(name.lower(), pattern.lower()))


@dataclass(slots=True)
class _Live:
    fault: Fault
    identifier: str
    hits: int = 0
    to_skip: int = 0

    @property
    def left(self) -> int | None:
        limit = self.fault.limit
        return None if limit is None else limit - self.hits


class FaultBook:
    """The faults that are waiting, oldest first."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._live: list[_Live] = []
        self._added = 0

    def __len__(self) -> int:
        return len(self._live)

    def add(self, fault: Fault) -> str:
        """Arm a fault; returns its id."""
        self._added += 1
        identifier = f"fault-{self._added}"
        self._live.append(_Live(fault, identifier, to_skip=fault.skip))
        return identifier

    def remove(self, identifier: str | None = None) -> int:
        """Take back one fault, or all; returns how many."""
        before = len(self._live)
        self._live = [live for live in self._live if identifier is not None and live.identifier != identifier]
        return before - len(self._live)

    def states(self) -> list[FaultState]:
        """Show the waiting faults."""
        return [
            FaultState(
                id=live.identifier,
                hits=live.hits,
                left=live.left,
                fault=live.fault.model_dump(mode="json", exclude_unset=True),
            )
            for live in self._live
        ]

    def take(self, method: str, route: Route, client_request_id: str = "") -> tuple[Fault, str] | None:
        """Choose the fault that hits a call, if any, and count the hit: the oldest that matches."""
        for live in self._live:
            fault = live.fault
            if not fault.matches(method, route, client_request_id):
                continue
            if live.to_skip > 0:
                live.to_skip -= 1
                continue
            if fault.rate is not None and self._rng.random() >= fault.rate:
                continue
            live.hits += 1
            if live.left == 0:
                self._live.remove(live)
            return fault, live.identifier
        return None
