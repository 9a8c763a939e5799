"""Lets one fault strike at one kind of call, and at no other."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from azure.core.credentials import AccessToken

from asr_simulator import ControlRefusedError
from asr_simulator.identity import TokenAuthority
from vault_autoupdate.arm.client import CallContext
from vault_autoupdate.arm.session import ArmCall, ArmReply, ArmSession
from vault_autoupdate.arm.throttle import CallKind
from vault_autoupdate.decide.plan import Decision
from vault_autoupdate.model.arm_id import ArmId
from vault_autoupdate.model.azure import Job
from vault_autoupdate.reconcile.apply import Apply
from workbench.core import Azure
from workbench.faults.model import Call, Cell, Elsewhere, SentElsewhere, Simulated, SkewedClock, TokenTrouble

VICTIM: Final = "m1"
"""The mapping whose own calls are struck."""
_SHORT_TIMEOUT: Final = 0.1
_purpose: ContextVar[Call] = ContextVar("purpose", default=Call.LIST_JOBS)

__all__ = ["VICTIM", "Saboteur", "Surroundings"]


@contextmanager
def _for(purpose: Call) -> Iterator[None]:
    token = _purpose.set(purpose)
    try:
        yield
    finally:
        _purpose.reset(token)


@dataclass(frozen=True)
class Surroundings:
    """What there is besides ARM."""

    endpoints: Mapping[Elsewhere, str]
    """Where ARM cannot be reached."""
    listener: str
    """Another host."""


class Saboteur:
    """Stands between the client and its session. Implements `Transport`."""

    def __init__(
        self,
        azure: Azure,
        cell: Cell,
        surroundings: Surroundings,
        monkeypatch: pytest.MonkeyPatch,
        *,
        short_timeout: float = _SHORT_TIMEOUT,
    ) -> None:
        self._azure = azure
        self._call = cell.call
        self._injection = cell.injection
        self._surroundings = surroundings
        self._left = 0.0
        self._doomed: set[str] = set()
        self._job = ""
        self._short_timeout = short_timeout
        self._lock = threading.Lock()
        self.strikes = 0
        client = azure.core.site_recovery.client
        self._session: ArmSession = client._transport  # type: ignore[assignment]
        self._once, self._jobs = client._once, azure.core.site_recovery.jobs
        self._is_under_way_already = Apply._is_under_way_already
        self._tokens = self._session._tokens
        self._fetch = self._tokens._fetch
        monkeypatch.setattr(client, "_transport", self)
        monkeypatch.setattr(client, "_once", self._labelled)
        monkeypatch.setattr(azure.core.site_recovery, "jobs", self._jobs_for_a_purpose)

        async def after_a_lost_answer(apply: Apply, decision: Decision, began: datetime) -> bool:
            with _for(Call.LIST_JOBS_LOST_ANSWER):
                return await self._is_under_way_already(apply, decision, began)

        monkeypatch.setattr(Apply, "_is_under_way_already", after_a_lost_answer)
        monkeypatch.setattr(self._tokens, "_fetch", self._fetch_or_strike)
        self._monkeypatch = monkeypatch

    def strike(self, times: float = float("inf")) -> None:
        """Strike at the next ``times`` calls."""
        self._left = times

    def rest(self) -> None:
        """Let all calls through."""
        self._left = 0

    def send(self, call: ArmCall) -> ArmReply:
        """Send ``call``, with the fault if it is doomed."""
        if call.request_id not in self._doomed:
            return self._session.send(call)
        match self._injection:
            case SentElsewhere(where):
                return self._send_elsewhere(call, self._surroundings.endpoints[where])
            case TokenTrouble(endpoint_is_down=down):
                with self._without_token() if down else self._with_expired_token():
                    return self._session.send(call)
            case Simulated() as simulated:
                with self._fault(simulated, request=call.request_id):
                    return self._send_impatiently(call) if simulated.is_slow else self._session.send(call)
            case SkewedClock():
                return self._session.send(call)

    async def _labelled(self, context: CallContext, kind: CallKind, operation: str, call: ArmCall) -> ArmReply:
        if self._is_meant(operation, call) and self._take():
            self._doomed.add(call.request_id)
        return await self._once(context, kind, operation, call)

    async def _jobs_for_a_purpose(
        self, context: CallContext, vault_id: ArmId, *, until_seen: Collection[str] | None = None, most_pages: int = 100
    ) -> list[Job]:
        with _for(Call.LIST_JOBS_POLL if until_seen is not None else _purpose.get()):
            return await self._jobs(context, vault_id, until_seen=until_seen, most_pages=most_pages)

    def _is_meant(self, operation: str, call: ArmCall) -> bool:
        match self._call:
            case Call.LIST_MAPPINGS:
                return operation == "list_mappings" and "skipToken" not in call.target
            case Call.LIST_MAPPINGS_PAGE_2:
                return operation == "list_mappings" and "skipToken" in call.target
            case Call.LIST_JOBS | Call.LIST_JOBS_POLL | Call.LIST_JOBS_LOST_ANSWER:
                return operation == "list_jobs" and _purpose.get() is self._call
            case Call.GET_MAPPING | Call.UPDATE_MAPPING:
                return operation == self._call and call.target.endswith(f"/{VICTIM}")
            case Call.GET_JOB if operation == "get_job":
                self._job = self._job or call.target
                return call.target == self._job
            case _:
                return operation == self._call

    def _take(self) -> bool:
        with self._lock:
            if self._left <= 0:
                return False
            self._left -= 1
            self.strikes += 1
            return True

    def _send_elsewhere(self, call: ArmCall, endpoint: str) -> ArmReply:
        parts = urlsplit(call.target)
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        with contextlib.closing(self._other_session(endpoint, self._session._timeout)) as session:
            return session.send(replace(call, target=target))

    def _send_impatiently(self, call: ArmCall) -> ArmReply:
        """Only a call that is doomed to a time-out has a short one: a slow machine must not add others."""
        with contextlib.closing(self._other_session(self._session._endpoint, self._short_timeout)) as session:
            return session.send(call)

    def _other_session(self, endpoint: str, timeout: float) -> ArmSession:
        return ArmSession(
            endpoint=endpoint, api_version=self._session._api_version, tokens=self._tokens, timeout=timeout
        )

    @contextmanager
    def _fault(self, simulated: Simulated, *, request: str = "*") -> Iterator[None]:
        control = self._azure.control
        parameters = {
            name: value.format(listener=self._surroundings.listener) if name == "url" else value
            for name, value in simulated.parameters.items()
        }
        identifier = control.add_fault(
            simulated.kind, **parameters, route=self._call.route, request=request, times=simulated.hits
        )
        try:
            yield
        finally:
            with contextlib.suppress(ControlRefusedError):  # all its hits were used
                control.remove_fault(identifier)

    @contextmanager
    def _without_token(self) -> Iterator[None]:
        identifier = self._azure.control.add_fault("token_down", forever=True)  # before another thread can fetch one
        with self._tokens._lock:
            self._tokens._token = self._tokens._credential = None
        try:
            yield
        finally:
            self._azure.control.remove_fault(identifier)

    @contextmanager
    def _with_expired_token(self) -> Iterator[None]:
        with self._tokens._lock:
            self._tokens._token = AccessToken(self._expired()["access_token"], int(time.time()) + 3600)
        yield

    def _expired(self) -> dict[str, Any]:
        """An answer of the token endpoint with a token that Azure does not take any more."""
        authority = self._azure.sim.world.tokens
        identity = authority.find("")
        assert identity is not None
        ended = authority._settings.token_lifetime + 60
        earlier = TokenAuthority(authority._settings, authority._signer, lambda: time.time() - ended)
        token = earlier.issue(identity, "https://management.azure.com").token
        return {
            "access_token": token,
            "expires_in": "3600",
            "expires_on": str(int(time.time()) + 3600),
            "resource": "https://management.azure.com",
            "token_type": "Bearer",
        }

    def _fetch_or_strike(self, previous: AccessToken | None) -> AccessToken:
        if self._call is not Call.GET_TOKEN or not self._take():
            return self._fetch(previous)
        match self._injection:
            case SentElsewhere(where):
                with self._monkeypatch.context() as patch:
                    patch.setenv("IDENTITY_ENDPOINT", f"{self._surroundings.endpoints[where]}/msi/token")
                    return self._fetch(previous)
            case TokenTrouble():
                answer = Simulated("status", {"status": 200, "body": self._expired()})
                with self._fault(answer):
                    return self._fetch(previous)
            case Simulated() as simulated:
                with self._fault(simulated):
                    return self._fetch(previous)
            case SkewedClock():
                return self._fetch(previous)
