"""Whatever comes from the network is an answer, or one of our own errors, fit to be shown; never anything else."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest
from azure.core.credentials import AccessToken
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vault_autoupdate.arm.identity.tokens import TokenSource
from vault_autoupdate.arm.session import ArmCall, ArmReply, ArmSession
from vault_autoupdate.arm.wire import automation as wire_automation
from vault_autoupdate.arm.wire import site_recovery as wire
from vault_autoupdate.arm.wire.errors import classify
from vault_autoupdate.model.errors import AzureError, MalformedReply, Unreachable

TOKEN: Final = "opaque-t0ken"
_ODD: Final = st.text(
    st.one_of(st.characters(), st.sampled_from("\x00\n\x1b\x85\u2028\u202e\ud800?#&'\"")), max_size=40
)


def _is_fit_to_be_shown(text: str, most: int = 1500) -> bool:
    categories = {unicodedata.category(character) for character in text}
    return len(text.encode()) <= most and not categories & {"Cc", "Cs", "Zl", "Zp"}


# Errors.

_ENVELOPES = st.fixed_dictionaries(
    {},
    optional={
        "code": _ODD | st.integers(),
        "message": _ODD | st.just("x" * 5000) | st.none(),
        "details": st.lists(
            st.dictionaries(st.sampled_from(["code", "message", "possibleCauses", "recommendedAction"]), _ODD),
            max_size=2,
        )
        | _ODD,
    },
).map(lambda error: json.dumps({"error": error}).encode())


@given(
    st.integers(-1, 1000),
    st.binary(max_size=200) | _ENVELOPES,
    st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms", "content-type"]) | _ODD, _ODD, max_size=4),
)
@example(403, b'{"error":{"message":"perform action \'\\ud800\' over scope \'\\u2028\'"}}', {})
def test_every_answer_becomes_an_error_that_is_fit_for_a_condition(
    status: int, body: bytes, headers: dict[str, str]
) -> None:
    error = classify(status, body, headers)
    assert re.fullmatch(r"[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?", error.reason) or status < 0, "as Kubernetes has it"
    for text in (error.code, error.message, error.possible_causes, error.recommended_action, str(error)):
        assert _is_fit_to_be_shown(text)


# Documents.

_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | _ODD
_KEYS = st.sampled_from(
    [
        *("value", "nextLink", "id", "name", "location", "properties", "state", "stateDescription", "startTime"),
        *("targetObjectId", "targetObjectName", "targetInstanceType", "errors", "serviceErrorDetails"),
        *("providerErrorDetails", "errorCode", "errorMessage", "code", "message", "possibleCauses"),
        *("providerSpecificDetails", "instanceType", "agentAutoUpdateStatus", "automationAccountArmId"),
        *("healthErrorDetails", "summaryMessage", "recommendedAction", "errorCategory"),
        *("friendlyName", "agentVersion", "agentExpiryDate", "isReplicationAgentUpdateRequired"),
        *("reasonsBlockingReInstall", "reasonsBlockingReinstallDetails", "identity", "type", "isEnabled", "nextRun"),
        *("jobScheduleId", "schedule", "runbook", "status", "creationTime", "unit", "currentValue", "limit"),
    ]
)
_ANYTHING = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4), max_leaves=10
)
_JOBS = st.fixed_dictionaries(
    {"name": _ODD, "properties": st.dictionaries(_KEYS, _ANYTHING, max_size=5)},
)
_MAPPINGS = st.fixed_dictionaries(
    {"id": _ODD, "name": _ODD, "properties": st.dictionaries(_KEYS, _ANYTHING, max_size=5)},
)
_MACHINES = st.fixed_dictionaries(
    {
        "id": _ODD,
        "name": _ODD,
        "properties": st.fixed_dictionaries(
            {
                "providerSpecificDetails": st.dictionaries(_KEYS, _ANYTHING, max_size=5).map(
                    lambda details: {**details, "instanceType": "A2A"}
                )
            },
            optional={"friendlyName": _ODD},
        ),
    }
)
_DOCUMENTS = (
    _ANYTHING
    | _JOBS
    | _MAPPINGS
    | _MACHINES
    | st.fixed_dictionaries(
        {"value": st.lists(_JOBS | _MAPPINGS | _MACHINES, max_size=2)}, optional={"nextLink": _ANYTHING}
    )
)


@pytest.mark.parametrize(
    "read",
    [
        *(wire.mappings_page, wire.jobs_page, wire.mapping, wire.job, wire.vault, wire.next_link),
        *(wire.machines_page, wire.machine, wire_automation.account, wire_automation.schedules_page),
        *(wire_automation.job_schedules_page, wire_automation.runs_page, wire_automation.minutes),
    ],
)
@given(document=_DOCUMENTS)
def test_every_document_is_read_or_refused_in_words_that_are_fit_to_be_shown(read: Any, document: Any) -> None:
    came = json.loads(json.dumps(document))
    try:
        read(came)
    except MalformedReply as error:
        assert _is_fit_to_be_shown(str(error), 1000)  # noqa: PT017 - any error will do, or none - both outcomes are right


# Bytes.


class RawServer:
    """Answers every request with the same bytes, and closes."""

    def __init__(self) -> None:
        self.answer = b""
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                try:
                    while not connection.recv(65536).rpartition(b"\r\n\r\n")[1]:
                        pass
                    connection.sendall(self.answer)
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65536):
                        pass
                except OSError:
                    continue

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class _Credential:
    def get_token(self, *_: str, **__: Any) -> AccessToken:
        return AccessToken(TOKEN, int(time.time()) + 3600)


@contextmanager
def _raw_server() -> Iterator[tuple[RawServer, ArmSession]]:
    server = RawServer()
    thread = threading.Thread(target=server.serve)
    thread.start()
    session = ArmSession(
        endpoint=server.url,
        api_version="2025-08-01",
        tokens=TokenSource(_Credential, "https://management.azure.com"),
        timeout=5.0,
    )
    try:
        yield server, session
    finally:
        session.close()
        server.close()
        thread.join()


@pytest.fixture(scope="module")
def raw() -> Iterator[tuple[RawServer, ArmSession]]:
    with _raw_server() as pair:
        yield pair


_LINES = st.sampled_from(
    [
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 202 Accepted",
        b"HTTP/1.1 204 No Content",
        b"HTTP/1.1 100 Continue",
        b"HTTP/1.1 307 Temporary Redirect",
        b"HTTP/1.1 401 Unauthorized",
        b"HTTP/1.1 429 \xff\xfe",
        b"HTTP/1.1 999 ?",
        b"HTTP/9.9 200 OK",
        b"HTTP/1.1",
        b"Content-Length: 5",
        b"Content-Length: -1",
        b"Content-Length: 1, 2",
        b"Content-Length: \xb2",
        b"Transfer-Encoding: chunked",
        b"Content-Encoding: gzip",
        b"Content-Encoding: deflate, gzip",
        b"Content-Type: text/html; charset=\xff",
        b"Location: http://[",
        b"Retry-After: \xe0",
        b"Set-Cookie: a=b; domain=\xff",
        b": no name",
        b"",
        b"ffffffffffffffffffff",
        b"5",
        b'{"a":',
        b"\x1f\x8b\x08\x00",
    ]
)
_MESSAGES = st.lists(_LINES | st.binary(max_size=20), max_size=8).map(b"\r\n".join)
_ANSWERS = (
    st.binary(max_size=200)
    | _MESSAGES
    | st.tuples(_MESSAGES, st.binary(max_size=40)).map(lambda parts: b"HTTP/1.1 200 OK\r\n" + b"\r\n\r\n".join(parts))
)


@settings(deadline=None, max_examples=200)
@given(answer=_ANSWERS)
@example(b"HTTP/1.1 200 OK\r\nContent-Length: \xb2\r\n\r\nab")
@example(b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\nab")
@example(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\n")
@example(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n")
@example(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n")
def test_whatever_bytes_come_back_there_is_an_answer_or_an_error_of_ours(
    raw: tuple[RawServer, ArmSession], answer: bytes
) -> None:
    server, session = raw
    server.answer = answer
    try:
        reply = session.send(ArmCall("GET", "/subscriptions/x", "run/call"))
    except AzureError as error:
        assert _is_fit_to_be_shown(str(error))  # noqa: PT017 - any error will do, or none - both outcomes are right
        assert TOKEN not in str(error)  # noqa: PT017 - any error will do, or none
    else:
        assert isinstance(reply, ArmReply)
        try:
            reply.document()
        except MalformedReply as error:
            assert _is_fit_to_be_shown(str(error))  # noqa: PT017 - any error will do, or none


@given(target=_ODD.map(lambda text: f"/{text}"), request_id=st.just("run/call"))
@settings(deadline=None, max_examples=50)
def test_whatever_id_a_mapping_has_the_call_about_it_ends_with_an_answer_or_an_error_of_ours(
    raw: tuple[RawServer, ArmSession], target: str, request_id: str
) -> None:
    server, session = raw
    server.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    try:
        assert session.send(ArmCall("GET", target, request_id)).status == 200
    except AzureError as error:
        assert _is_fit_to_be_shown(str(error))  # noqa: PT017 - any error will do, or none - both outcomes are right


def test_the_server_of_these_tests_is_heard(raw: tuple[RawServer, ArmSession]) -> None:
    server, session = raw
    server.answer = b'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 8\r\n\r\n{"a": 1}'
    assert session.send(ArmCall("GET", "/x", "run/call")).document() == {"a": 1}
    server.answer = b""
    with pytest.raises(Unreachable):
        session.send(ArmCall("GET", "/x", "run/call"))
