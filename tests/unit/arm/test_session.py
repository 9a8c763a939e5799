"""HTTP to ARM, against a real server: where the token goes, and that every call ends."""

from __future__ import annotations

import base64
import gzip
import json
import socket
import ssl
import threading
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from requests.utils import select_proxy

from tests.unit.arm_server import ArmServer, Exchange, open_server
from vault_autoupdate.arm import session as session_module
from vault_autoupdate.arm.deadline import DeadlineAdapter, DeadlineSession, cut_connections
from vault_autoupdate.arm.identity.tokens import TokenSource
from vault_autoupdate.arm.session import ArmCall, ArmReply, ArmSession
from vault_autoupdate.arm.wire.challenge import claims_of
from vault_autoupdate.model.errors import (
    ArmError,
    CredentialError,
    Disposition,
    MalformedReply,
    NotLeading,
    Unreachable,
    UntrustedLink,
)
from workbench.azure.entra import open_entra
from workbench.kube.certificates import Authority

VERSION = "2025-08-01"


class Credentials:
    """Makes credentials, each of which has a token of its own: token-1, token-2, …."""

    refuses_claims = False

    def __init__(self) -> None:
        self.made = 0
        self.scopes: list[str] = []
        self.claims: list[str | None] = []

    def __call__(self) -> Any:
        self.made += 1
        token, scopes, asked, refuses = f"token-{self.made}", self.scopes, self.claims, self.refuses_claims

        class _Credential:
            def get_token(self, *wanted: str, claims: str | None = None, **_: Any) -> AccessToken:
                scopes.extend(wanted)
                asked.append(claims)
                if claims and refuses:
                    raise ValueError("Claims challenges are not supported. Run az login.")
                return AccessToken(token, int(time.time()) + 3600)

        return _Credential()


@pytest.fixture
def arm() -> Iterator[ArmServer]:
    with open_server() as server:
        yield server


@pytest.fixture
def elsewhere() -> Iterator[ArmServer]:
    with open_server() as server:
        yield server


@pytest.fixture
def session(arm: ArmServer) -> Iterator[ArmSession]:
    with_tokens = _session(arm)
    yield with_tokens
    with_tokens.close()


def _session(arm: ArmServer, **more: Any) -> ArmSession:
    tokens = TokenSource(Credentials(), "https://management.azure.com")
    settings: dict[str, Any] = {
        "endpoint": arm.url,
        "api_version": VERSION,
        "tokens": tokens,
        "timeout": 5.0,
        "connections": 4,
    }
    return ArmSession(**settings | more)


def _get(target: str = "/subscriptions/x") -> ArmCall:
    return ArmCall("GET", target, "run/call")


# What ends a call.


@pytest.mark.parametrize("method", ["GET", "PATCH"])
def test_a_call_that_hangs_ends_when_connections_are_cut(arm: ArmServer, method: str) -> None:
    """At the end of the process nobody waits for the time-out."""
    arrived = threading.Event()

    def hang(exchange: Exchange) -> None:
        arrived.set()
        arm.closing.wait(30)
        exchange.close_connection = True

    arm.answer = hang
    session = _session(arm, timeout=60.0)
    with ThreadPoolExecutor() as threads:
        answer = threads.submit(session.send, ArmCall(method, "/m", "run/call", {}))
        assert arrived.wait(5)
        cut_connections()
        with pytest.raises(Unreachable):
            answer.result(5)
    session.close()


def test_a_call_over_tls_that_hangs_ends_when_connections_are_cut(tmp_path: Path, monkeypatch: Any) -> None:
    authority = Authority(tmp_path)
    pair = authority.server("arm", ["127.0.0.1"])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.certificate, pair.key)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.certificate))
    with open_server(context) as arm, ThreadPoolExecutor() as threads:
        arrived = threading.Event()

        def hang(exchange: Exchange) -> None:
            arrived.set()
            arm.closing.wait(30)
            exchange.close_connection = True

        arm.answer = hang
        session = _session(arm, timeout=60.0)
        answer = threads.submit(session.send, _get())
        assert arrived.wait(5)
        cut_connections()
        with pytest.raises(Unreachable):
            answer.result(5)
        session.close()


# What goes out.


def test_a_call_goes_to_the_endpoint_with_token_version_and_request_id(arm: ArmServer, session: ArmSession) -> None:
    session.send(_get("/subscriptions/x"))
    request = arm.seen[0]

    assert (request.method, request.path) == ("GET", f"/subscriptions/x?api-version={VERSION}")
    assert request.headers["authorization"] == "Bearer token-1"
    assert request.headers["x-ms-client-request-id"] == "run/call"
    assert request.headers["x-ms-return-client-request-id"] == "true"
    assert request.headers["user-agent"].startswith("vault-autoupdate/")
    assert request.headers["accept"] == "application/json"
    assert request.body == b""


def test_a_call_that_names_its_own_version_keeps_it(arm: ArmServer, session: ArmSession) -> None:
    session.send(_get("/subscriptions/x?api-version=2024-01-01&x=%2F"))

    assert arm.seen[0].path == "/subscriptions/x?api-version=2024-01-01&x=%2F"


@pytest.mark.parametrize("method", ["PATCH", "POST"])
def test_a_replica_that_does_not_lead_reads_but_changes_nothing(arm: ArmServer, method: str) -> None:
    session = _session(arm, may_write=lambda: False)
    with pytest.raises(NotLeading):
        session.send(ArmCall(method, "/m", "run/call", {}))
    assert arm.seen == []

    assert session.send(_get()).status == 200
    session.close()


def test_a_replica_that_loses_the_lead_between_401_and_repetition_changes_nothing(arm: ArmServer) -> None:
    answers = iter([True, False])
    session = _session(arm, may_write=lambda: next(answers))
    arm.answer = lambda exchange: exchange.reply(401)
    with pytest.raises(NotLeading):
        session.send(ArmCall("PATCH", "/m", "run/call", {}))
    session.close()

    assert len(arm.seen) == 1


@pytest.mark.parametrize("method", ["PATCH", "POST"])
def test_a_write_sends_json(arm: ArmServer, session: ArmSession, method: str) -> None:
    session.send(ArmCall(method, "/m", "run/call", {"properties": {"é": None}}))

    assert (arm.seen[0].method, arm.seen[0].path) == (method, f"/m?api-version={VERSION}")
    assert arm.seen[0].headers["content-type"] == "application/json"
    assert json.loads(arm.seen[0].body) == {"properties": {"é": None}}


def test_the_token_is_for_the_audience(arm: ArmServer) -> None:
    credentials = Credentials()
    tokens = TokenSource(credentials, "https://management.azure.com/")
    session = ArmSession(endpoint=arm.url + "/", api_version=VERSION, tokens=tokens)
    session.send(_get())
    session.close()

    assert credentials.scopes == ["https://management.azure.com/.default"]


def _identity(name: str) -> TokenSource:
    made = 0

    def make() -> Any:
        nonlocal made
        made += 1
        token = f"{name}-{made}"

        class _Named:
            def get_token(self, *_: str) -> AccessToken:
                return AccessToken(token, int(time.time()) + 3600)

        return _Named()

    return TokenSource(make, "https://a")


class _Nobody:
    def get_token(self, *_: str, **__: Any) -> AccessToken:
        raise OSError("no such identity")


def test_each_call_carries_the_token_of_its_own_identity_also_the_one_after_a_401(
    arm: ArmServer, session: ArmSession
) -> None:
    blue, green = _identity("blue"), _identity("green")
    arm.answer = lambda exchange: exchange.reply(401 if exchange.headers["Authorization"].endswith("-1") else 200)
    for tokens in (blue, green, blue):
        session.send(ArmCall("GET", "/m", "run/call", tokens=tokens))

    sent = [request.headers["authorization"].removeprefix("Bearer ") for request in arm.seen]
    assert sent == ["blue-1", "blue-2", "green-1", "green-2", "blue-2"]


def test_an_identity_that_gets_no_token_calls_as_nobody_else(arm: ArmServer, session: ArmSession) -> None:
    broken = TokenSource(_Nobody, "https://a", failure_pause=0)
    with pytest.raises(CredentialError):
        session.send(ArmCall("GET", "/m", "run/call", tokens=broken))

    assert arm.seen == []


def test_what_azure_tells_one_identity_in_a_cookie_goes_out_with_no_call(arm: ArmServer, session: ArmSession) -> None:
    arm.answer = lambda exchange: exchange.reply(200, b"{}", Set_Cookie="session=blue; Path=/")
    for tokens in (_identity("blue"), _identity("green")):
        session.send(ArmCall("GET", "/m", "run/call", tokens=tokens))

    assert all("cookie" not in request.headers for request in arm.seen)


def test_no_token_is_in_what_a_call_or_its_answer_says_of_itself(arm: ArmServer, session: ArmSession) -> None:
    call = ArmCall("GET", "/m", "run/call", tokens=_identity("blue"))

    assert "blue" not in repr(call)
    assert "blue" not in repr(session.send(call))


def test_connections_are_used_again(arm: ArmServer, session: ArmSession) -> None:
    for _ in range(5):
        session.send(_get())

    assert len(arm.connections) == 1


# Where the token does not go.


def test_a_link_of_the_endpoint_is_followed_as_it_is(arm: ArmServer, session: ArmSession) -> None:
    session.send(_get(f"{arm.url}/page?api-version=old&skipToken=a%2Fb"))

    assert arm.seen[0].path == "/page?api-version=old&skipToken=a%2Fb"


def test_a_link_without_a_version_gets_the_sessions(arm: ArmServer, session: ArmSession) -> None:
    session.send(_get(f"{arm.url}/page?$skipToken=2"))
    session.send(_get("/page?$skipToken=2"))
    session.send(_get("/page?Api-Version=old"))

    with_version = f"/page?$skipToken=2&api-version={VERSION}"
    assert [seen.path for seen in arm.seen] == [with_version, with_version, "/page?Api-Version=old"]


@pytest.mark.parametrize("spelling", ["{arm}", "{upper}", "{arm}#fragment"])
def test_the_endpoint_is_called_as_it_is_configured_however_a_link_spells_it(
    arm: ArmServer, session: ArmSession, spelling: str
) -> None:
    link = spelling.format(arm=f"{arm.url}/page?api-version=1", upper=f"{arm.url.upper()}/page?api-version=1")
    session.send(_get(link))

    assert (arm.seen[0].path, f"http://{arm.seen[0].headers['host']}") == ("/page?api-version=1", arm.url)


@pytest.mark.parametrize("user", ["user@", "user:password@", "@", ":@", "%40@"])
def test_a_link_with_a_user_in_it_is_refused(arm: ArmServer, session: ArmSession, user: str) -> None:
    with pytest.raises(UntrustedLink, match="with a user in it") as refused:
        session.send(_get(arm.url.replace("://", f"://{user}") + "/page"))

    assert arm.seen == []
    assert "password" not in str(refused.value)


def test_every_url_of_a_session_has_a_deadline() -> None:
    session = DeadlineSession()

    for url in ("https://h/", "https://h:443/", "http://h:80/", "https://u@h/", "HTTPS://H/"):
        assert isinstance(session.get_adapter(url), DeadlineAdapter)


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_an_endpoint_on_this_machine_is_never_reached_through_a_proxy(
    arm: ArmServer, elsewhere: ArmServer, session: ArmSession, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, elsewhere.url)
    session.send(_get())

    assert (len(arm.seen), elsewhere.seen) == (1, [])


@pytest.mark.parametrize(
    ("url", "direct"),
    [
        ("http://127.0.0.1:41/msi", True),
        ("http://localhost:40342/x", True),
        ("http://[::1]/x", True),
        ("http://169.254.169.254/metadata/identity/oauth2/token", True),
        ("http://[fe80::1]/x", True),
        ("https://management.azure.com/x", False),
        ("https://login.microsoftonline.com/x", False),
        ("http://10.0.0.1/x", False),
    ],
)
def test_neighbours_are_called_directly_and_all_else_as_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, url: str, *, direct: bool
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://proxy:3128")
    settings = DeadlineSession().merge_environment_settings(url, {}, None, None, None)

    assert (select_proxy(url, settings["proxies"]) is None) is direct


@pytest.mark.parametrize(
    "link",
    [
        "{elsewhere}/page",
        "//{host}/page",
        "{arm}@{host}/page",
        "https://127.0.0.1/page",
        "HTTP://evil.example/page",
        "ftp://127.0.0.1/page",
        "page",
        "",
        "?x=1",
        "http://[",
        "http://127.0.0.1:99999/page",
        "http://127.0.0.1:x/page",
        "{elsewhere}\\@{arm_host}/page",
        "{elsewhere}#@{arm_host}/page",
    ],
)
def test_a_link_to_anywhere_else_is_refused_and_nobody_is_asked(
    arm: ArmServer, elsewhere: ArmServer, session: ArmSession, link: str
) -> None:
    host, arm_host = elsewhere.url.removeprefix("http://"), arm.url.removeprefix("http://")
    with pytest.raises(UntrustedLink) as refused:
        session.send(_get(link.format(elsewhere=elsewhere.url, host=host, arm=arm.url, arm_host=arm_host)))

    assert arm.seen == elsewhere.seen == []
    assert refused.value.disposition is Disposition.SLOW


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_error_and_not_followed(
    arm: ArmServer, elsewhere: ArmServer, session: ArmSession, status: int
) -> None:
    arm.answer = lambda exchange: exchange.reply(status, b"", Location=f"{elsewhere.url}/page")
    with pytest.raises(ArmError) as refused:
        session.send(_get())

    assert (refused.value.status, refused.value.disposition) == (status, Disposition.SLOW)
    assert elsewhere.seen == []
    assert len(arm.seen) == 1


def test_an_endpoint_whose_certificate_nobody_vouches_for_gets_no_token(tmp_path: Path) -> None:
    with open_entra(tmp_path, {}) as impostor:
        endpoint = f"https://{impostor.host}"
        session = ArmSession(endpoint=endpoint, api_version=VERSION, tokens=_identity("own"), timeout=5)
        with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
            session.send(_get())
        session.close()

        assert impostor.paths == []


def test_a_netrc_file_has_no_say(
    arm: ArmServer, session: ArmSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password secret\ndefault login other password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    session.send(_get())

    assert arm.seen[0].headers["authorization"] == "Bearer token-1"


# A token that is not taken.


def test_a_401_is_answered_once_with_the_token_of_a_new_credential(arm: ArmServer, session: ArmSession) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.reply(200 if exchange.headers["Authorization"] == "Bearer token-2" else 401, b"{}")

    arm.answer = answer
    assert session.send(_get()).status == 200
    assert session.send(_get()).status == 200

    assert [request.headers["authorization"] for request in arm.seen] == [
        "Bearer token-1", "Bearer token-2", "Bearer token-2",
    ]  # fmt: skip


_CLAIMS = '{"access_token":{"nbf":{"essential":true,"value":"1"}}}'


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("padding", ["=", ""])
def test_the_claims_that_a_401_asks_for_are_passed_on(arm: ArmServer, encode: Any, padding: str) -> None:
    """Continuous access evaluation (azure-cli#31777): the same token will not do, however fresh."""
    encoded = encode(_CLAIMS.encode()).decode().rstrip("=") + padding
    challenge = f'Bearer realm="", error="insufficient_claims", claims="{encoded}"'
    credentials = Credentials()
    session = _session(arm, tokens=TokenSource(credentials, "https://management.azure.com"))
    arm.answer = lambda exchange: (
        exchange.reply(401, b"{}", WWW_Authenticate=challenge) if len(arm.seen) == 1 else exchange.reply()
    )

    assert session.send(_get()).status == 200
    assert credentials.claims == [None, _CLAIMS]
    session.close()


@pytest.mark.parametrize("challenge", ['Bearer claims="?"', 'Bearer claims="eyJh"', "Bearer", 'Bearer claims="WzFd"'])
def test_claims_that_cannot_be_read_ask_for_nothing(challenge: str) -> None:
    assert claims_of({"www-authenticate": challenge}) == ""


def test_who_cannot_get_the_claims_is_told_to_log_in_again_in_azures_words(arm: ArmServer) -> None:
    class NoClaims(Credentials):
        refuses_claims = True

    body = b'{"error": {"code": "InvalidAuthenticationToken", "message": "The session was revoked."}}'
    challenge = f'Bearer error="insufficient_claims", claims="{base64.b64encode(_CLAIMS.encode()).decode()}"'
    arm.answer = lambda exchange: exchange.reply(401, body, WWW_Authenticate=challenge)
    session = _session(arm, tokens=TokenSource(NoClaims(), "https://management.azure.com"))
    with pytest.raises(ArmError, match="The session was revoked") as refused:
        session.send(_get())
    session.close()

    assert "log in again (az logout, then az login)" in refused.value.recommended_action
    assert refused.value.disposition is Disposition.SLOW


def test_a_401_to_the_new_token_as_well_is_an_error(arm: ArmServer, session: ArmSession) -> None:
    body = b'{"error":{"code":"InvalidAuthenticationToken","message":"No."}}'
    arm.answer = lambda exchange: exchange.reply(401, body)
    with pytest.raises(ArmError) as refused:
        session.send(_get())

    assert (refused.value.status, refused.value.reason) == (401, "InvalidAuthenticationToken")
    assert len(arm.seen) == 2


def test_without_a_token_nobody_is_asked(arm: ArmServer) -> None:
    class _Broken:
        def get_token(self, *_: str, **__: Any) -> AccessToken:
            raise OSError("no identity endpoint")

    session = ArmSession(endpoint=arm.url, api_version=VERSION, tokens=TokenSource(_Broken, "https://a"))
    with pytest.raises(CredentialError, match="no identity endpoint"):
        session.send(_get())
    session.close()

    assert arm.seen == []


# What comes back.


def test_an_answer_is_its_status_headers_and_document(arm: ArmServer, session: ArmSession) -> None:
    arm.answer = lambda exchange: exchange.reply(202, b'{"a": 1}', Azure_AsyncOperation="https://h/x?sig=secret")
    reply = session.send(_get())

    assert (reply.status, reply.document()) == (202, {"a": 1})
    assert reply.headers["azure-asyncoperation"] == "https://h/x?sig=secret"
    assert "secret" not in repr(reply), "signed links stay out of logs"


def test_an_accepted_change_has_no_body(arm: ArmServer, session: ArmSession) -> None:
    arm.answer = lambda exchange: exchange.reply(202, b"")

    assert session.send(_get()).body == b""


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_compressed_answer_is_read(arm: ArmServer, session: ArmSession, encoding: str) -> None:
    text = json.dumps({"value": list(range(20_000))}).encode()
    packed = gzip.compress(text) if encoding == "gzip" else zlib.compress(text)
    arm.answer = lambda exchange: exchange.reply(200, packed, Content_Encoding=encoding)

    assert session.send(_get()).body == text


def test_an_answer_in_chunks_is_read(arm: ArmServer, session: ArmSession) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.begin(Transfer_Encoding="chunked")
        exchange.wfile.write(b'5\r\n{"a":\r\n3\r\n 1}\r\n0\r\n\r\n')

    arm.answer = answer
    assert session.send(_get()).document() == {"a": 1}


@pytest.mark.parametrize("body", [b"<html>Welcome</html>", b"", b'{"a":', b"\xff\xfe", b"[" * 100_000])
def test_a_success_that_is_not_json_is_malformed(arm: ArmServer, session: ArmSession, body: bytes) -> None:
    arm.answer = lambda exchange: exchange.reply(200, body, Content_Type="text/html")
    with pytest.raises(MalformedReply, match=rf"ARM answered 200 with {len(body)} bytes \(text/html\) that are not"):
        session.send(_get()).document()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html><title>Log in</title><body>to the guest network</body></html>", ": Log in to the guest network"),
        (b"<Error><Code>Busy</Code><Message>Try later.</Message></Error>", ": Busy Try later."),
        (b"Service busy", ": Service busy"),
        (b"\x1f\x8b\x08\x00\x00", "."),
    ],
)
def test_what_came_in_place_of_json_is_shown(body: bytes, said: str) -> None:
    with pytest.raises(MalformedReply) as refused:
        ArmReply(200, {"content-type": "text/html"}, body).document()

    assert refused.value.message.endswith(f"that are not JSON{said}")


def test_an_error_page_of_a_proxy_is_told_by_its_status(arm: ArmServer, session: ArmSession) -> None:
    arm.answer = lambda exchange: exchange.reply(502, b"<html>Bad Gateway</html>", Content_Type="text/html")
    with pytest.raises(ArmError) as refused:
        session.send(_get())

    assert (refused.value.reason, refused.value.disposition) == ("Http502", Disposition.RETRY)


def test_a_429_tells_how_long_to_wait(arm: ArmServer, session: ArmSession) -> None:
    arm.answer = lambda exchange: exchange.reply(429, b"{}", Retry_After="17")
    with pytest.raises(ArmError) as refused:
        session.send(_get())

    assert (refused.value.disposition, refused.value.retry_after) == (Disposition.WAIT, 17)


# What does not come back as a whole.


def _cut_off(exchange: Exchange) -> None:
    exchange.begin(Content_Length="1000")
    exchange.wfile.write(b'{"value": [')
    exchange.close_connection = True


def _cut_off_at_nothing(exchange: Exchange) -> None:
    exchange.begin(Content_Length="1000")
    exchange.close_connection = True


def _cut_off_in_a_chunk(exchange: Exchange) -> None:
    exchange.begin(Transfer_Encoding="chunked")
    exchange.wfile.write(b"100\r\n{")
    exchange.close_connection = True


def _cut_off_between_chunks(exchange: Exchange) -> None:
    exchange.begin(Transfer_Encoding="chunked")
    exchange.wfile.write(b"2\r\n{}\r\n")
    exchange.close_connection = True


def _cut_off_in_gzip(exchange: Exchange) -> None:
    exchange.begin(Content_Encoding="gzip", Content_Length="1000")
    exchange.wfile.write(gzip.compress(b"{}" * 1000)[:15])
    exchange.close_connection = True


def _no_gzip(exchange: Exchange) -> None:
    exchange.reply(200, b"{}", Content_Encoding="gzip")


def _nonsense(exchange: Exchange) -> None:
    exchange.wfile.write(b"SMTP ready\r\n\r\n")
    exchange.close_connection = True


def _hang_up(exchange: Exchange) -> None:
    exchange.close_connection = True


@pytest.mark.parametrize(
    "answer",
    [_cut_off, _cut_off_at_nothing, _cut_off_in_a_chunk, _cut_off_between_chunks, _cut_off_in_gzip, _no_gzip,
     _nonsense, _hang_up, Exchange.reset],
)  # fmt: skip
def test_an_answer_that_is_not_whole_is_no_answer(arm: ArmServer, session: ArmSession, answer: Any) -> None:
    arm.answer = answer
    with pytest.raises(Unreachable) as lost:
        session.send(_get("/subscriptions/hidden"))

    assert lost.value.message.startswith("No answer from 127.0.0.1: ")
    assert "token-1" not in str(lost.value)
    assert "hidden" not in str(lost.value)
    arm.answer = Exchange.reply
    assert session.send(_get()).status == 200, "the next call has a connection again"


def test_nobody_there_is_told_with_the_cause(session: ArmSession) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        lonely = _session(ArmServer(), endpoint=f"http://127.0.0.1:{free.getsockname()[1]}")
        with pytest.raises(Unreachable, match="Connection refused") as lost:
            lonely.send(_get("/subscriptions/hidden"))
        lonely.close()

    assert "hidden" not in str(lost.value)
    assert "HTTPS_PROXY" in lost.value.recommended_action


def _silent(exchange: Exchange) -> None:
    exchange.arm.closing.wait(5)


def _trickling(exchange: Exchange) -> None:
    exchange.begin(Content_Length="1000000")
    exchange.trickle(b"x")


def _trickling_chunks(exchange: Exchange) -> None:
    exchange.begin(Transfer_Encoding="chunked")
    exchange.trickle(b"1\r\nx\r\n")


def _trickling_head(exchange: Exchange) -> None:
    exchange.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    exchange.trickle(b".")


@pytest.mark.parametrize("answer", [_silent, _trickling, _trickling_chunks, _trickling_head])
def test_a_call_ends_in_time_also_when_its_answer_comes_drop_by_drop(arm: ArmServer, answer: Any) -> None:
    arm.answer = answer
    session = _session(arm, timeout=0.3)
    began = time.monotonic()
    with pytest.raises(Unreachable):
        session.send(_get())
    session.close()

    assert 0.2 < time.monotonic() - began < 5


def test_a_call_through_a_proxy_ends_in_time_too(arm: ArmServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", arm.url)
    arm.answer = _trickling_head
    session = _session(arm, timeout=0.3, endpoint="http://management.azure.invalid")
    with pytest.raises(Unreachable):
        session.send(_get())
    session.close()

    assert [request.path for request in arm.seen] == [
        f"http://management.azure.invalid/subscriptions/x?api-version={VERSION}"
    ]


def test_an_answer_without_end_is_given_up(
    arm: ArmServer, session: ArmSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "_LARGEST_BODY", 100_000)
    arm.answer = lambda exchange: exchange.reply(200, gzip.compress(b" " * 10_000_000), Content_Encoding="gzip")
    with pytest.raises(Unreachable, match="too large"):
        session.send(_get())


_DENSE = [
    b'{"value":[' + b",".join([b"{}"] * 600_000) + b"]}",
    b'{"value":[' + b",".join([b"[]"] * 600_000) + b"]}",
    b'{"value":[' + b",".join([b'{"a":1}'] * 300_000) + b"]}",
    b'{"value":[' + b",".join([b'"ab"'] * 600_000) + b"]}",
    b'{"value":' + b"[" * 600_000 + b"]" * 600_000 + b"}",
]


@pytest.mark.parametrize("body", _DENSE, ids=["objects", "lists", "fields", "texts", "depth"])
def test_an_answer_of_more_parts_than_any_has_is_not_even_read(body: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(MalformedReply, match="parts, which no list of it has"):
        ArmReply(200, {}, body).document()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 100_000


def test_an_error_in_a_success_is_shown() -> None:
    reply = ArmReply(200, {}, b'{"error": {"code": "InternalServerError", "message": "Try later."}}')

    with pytest.raises(ArmError, match="Try later") as shown:
        reply.document()
    assert (shown.value.code, shown.value.disposition) == ("InternalServerError", Disposition.RETRY)


def test_a_reply_does_not_show_its_content() -> None:
    assert repr(ArmReply(200, {"location": "secret"}, b"secret")) == "ArmReply(status=200)"
