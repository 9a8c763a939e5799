"""Lets one fault strike at one kind of call, and at no other."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from itertools import chain, repeat
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from azure.core.credentials import AccessToken, TokenCredential

from asr_simulator import ControlRefusedError
from asr_simulator.identity import TokenAuthority
from vault_autoupdate.arm.client import Purpose
from vault_autoupdate.arm.identity.process import make_credential
from vault_autoupdate.arm.identity.tokens import TokenSource
from vault_autoupdate.arm.session import ArmCall, ArmReply, ArmSession
from workbench.core import Azure
from workbench.faults.model import (
    AgentCall,
    Call,
    Cell,
    Elsewhere,
    ScheduleCall,
    SentElsewhere,
    Simulated,
    SkewedClock,
    TokenTrouble,
)

VICTIM: Final = "m1"
"""The mapping whose own calls are struck."""
_SHORT_TIMEOUT: Final = 0.1
_SEND: Final = ArmSession.send
"""Not as some earlier saboteur may have left it."""
_PURPOSES: Final[Mapping[Call | AgentCall | ScheduleCall, Purpose]] = {
    Call.LIST_JOBS: Purpose.OBSERVE,
    Call.LIST_JOBS_POLL: Purpose.TRACK,
    Call.LIST_JOBS_LOST_ANSWER: Purpose.MAKE_SURE,
}

__all__ = ["VICTIM", "Saboteur", "Surroundings"]


@dataclass(frozen=True)
class Surroundings:
    """What there is besides ARM."""

    endpoints: Mapping[Elsewhere, str]
    """Where ARM cannot be reached."""
    listener: str
    """Another host."""


class _StruckCredential:
    """The process's own credential, but a fault may strike when it is asked. Implements `TokenCredential`."""

    def __init__(self, credential: TokenCredential, struck: Callable[[], AbstractContextManager[None]]) -> None:
        self._credential = credential
        self._struck = struck

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        with self._struck():
            return self._credential.get_token(*scopes, **options)


class _ExpiredCredential:
    """Has a token that Azure does not take any more. Implements `TokenCredential`."""

    def __init__(self, token: str) -> None:
        self._token = token

    def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        return AccessToken(self._token, int(time.time()) + 3600)


class Saboteur:
    """Stands between the client and its session, and between the session and its tokens."""

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
        self._settings = azure.core.settings
        self._call = cell.call
        self._injection = cell.injection
        self._surroundings = surroundings
        self._left = 0.0
        self._job = ""
        self._short_timeout = short_timeout
        self._lock = threading.Lock()
        self.strikes = 0
        self._tokens = self._token_source(lambda: _StruckCredential(self._credential(), self._struck_login))

        def send(session: ArmSession, call: ArmCall) -> ArmReply:
            return self.send(session, call)

        monkeypatch.setattr(ArmSession, "send", send)
        self._monkeypatch = monkeypatch

    def strike(self, times: float = float("inf")) -> None:
        """Strike at the next ``times`` calls."""
        self._left = times

    def rest(self) -> None:
        """Let all calls through."""
        self._left = 0

    def send(self, session: ArmSession, call: ArmCall) -> ArmReply:
        """Send ``call``, with the fault if it is meant."""
        call = replace(call, tokens=self._tokens)
        if not (self._is_meant(call) and self._take()):
            return _SEND(session, call)
        match self._injection:
            case SentElsewhere(where):
                return self._send_elsewhere(call, self._surroundings.endpoints[where])
            case TokenTrouble(endpoint_is_down=True):
                with self._without_logins():
                    return _SEND(session, replace(call, tokens=self._token_source(self._credential)))
            case TokenTrouble():
                credentials = chain([_ExpiredCredential(self._expired()["access_token"])], repeat(self._credential()))
                return _SEND(session, replace(call, tokens=self._token_source(lambda: next(credentials))))
            case Simulated() as simulated:
                with self._fault(simulated, request=call.request_id):
                    return self._send_impatiently(call) if simulated.is_slow else _SEND(session, call)
            case SkewedClock():
                return _SEND(session, call)

    def _is_meant(self, call: ArmCall) -> bool:
        operation = call.operation
        match self._call:
            case Call.LIST_MAPPINGS:
                return operation == "list_mappings" and "skipToken" not in call.target
            case Call.LIST_MAPPINGS_PAGE_2:
                return operation == "list_mappings" and "skipToken" in call.target
            case Call.LIST_JOBS | Call.LIST_JOBS_POLL | Call.LIST_JOBS_LOST_ANSWER:
                return operation == "list_jobs" and call.purpose == _PURPOSES[self._call]
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
        timeout = self._settings.request_timeout.total_seconds()
        return self._send_by_another_session(endpoint, timeout, replace(call, target=target))

    def _send_impatiently(self, call: ArmCall) -> ArmReply:
        """Only a call that is doomed to a time-out has a short one: a slow machine must not add others."""
        return self._send_by_another_session(self._settings.arm_endpoint, self._short_timeout, call)

    def _send_by_another_session(self, endpoint: str, timeout: float, call: ArmCall) -> ArmReply:
        session = ArmSession(
            endpoint=endpoint, api_version=self._settings.api_version, tokens=self._tokens, timeout=timeout
        )
        with contextlib.closing(session):
            return _SEND(session, call)

    def _credential(self) -> TokenCredential:
        return make_credential(self._settings, os.environ)

    def _token_source(self, factory: Callable[[], TokenCredential]) -> TokenSource:
        """Tokens as the process has its own."""
        pause = self._settings.retry_pause.total_seconds() / 2
        return TokenSource(factory, self._settings.arm_audience, failure_pause=pause)

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
    def _without_logins(self) -> Iterator[None]:
        identifier = self._azure.control.add_fault("token_down", forever=True)
        try:
            yield
        finally:
            self._azure.control.remove_fault(identifier)

    def _expired(self) -> dict[str, Any]:
        """An answer of the token endpoint with a token that Azure does not take any more."""
        world = self._azure.sim.world
        identity, settings = world.tokens.find(""), world.scenario.identity
        assert identity is not None
        ended = settings.token_lifetime + 60
        earlier = TokenAuthority(settings, world.signer, lambda: time.time() - ended)
        token = earlier.issue(identity, "https://management.azure.com").token
        return {
            "access_token": token,
            "expires_in": "3600",
            "expires_on": str(int(time.time()) + 3600),
            "resource": "https://management.azure.com",
            "token_type": "Bearer",
        }

    @contextmanager
    def _struck_login(self) -> Iterator[None]:
        """Around each question for a token."""
        if self._call is not Call.GET_TOKEN or not self._take():
            yield
            return
        match self._injection:
            case SentElsewhere(where):
                with self._monkeypatch.context() as patch:
                    patch.setenv("IDENTITY_ENDPOINT", f"{self._surroundings.endpoints[where]}/msi/token")
                    yield
            case TokenTrouble():
                with self._fault(Simulated("status", {"status": 200, "body": self._expired()})):
                    yield
            case Simulated() as simulated:
                with self._fault(simulated):
                    yield
            case SkewedClock():
                yield
