"""Calls from the event loop: through the throttle, in a thread, and again where that makes sense."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import pytest
from azure.core.credentials import AccessToken

from vault_autoupdate.arm.client import ArmClient, CallContext, Purpose
from vault_autoupdate.arm.identity.tokens import TokenSource
from vault_autoupdate.arm.session import ArmCall, ArmReply
from vault_autoupdate.arm.throttle import CallKind, Throttle
from vault_autoupdate.model.errors import (
    ArmError,
    AzureError,
    CredentialError,
    Disposition,
    MalformedReply,
    Unreachable,
)
from vault_autoupdate.model.limits import Limit
from vault_autoupdate.model.quota import QuotaScope

READ, WRITE = CallKind.READ, CallKind.WRITE


def _whole(reply: ArmReply) -> ArmReply:
    return reply


CONTEXT = CallContext(scope=QuotaScope("s"), namespace="", key="vault", run_id="run-1")


def _error(disposition: Disposition, *, status: int = 503, retry_after: float | None = None) -> ArmError:
    return ArmError(status, "Code", "m", disposition=disposition, retry_after=retry_after)


@dataclass
class Arm:
    """Answers what it is told, call by call, and is told of every call. `Transport` and `CallObserver` in one."""

    answers: list[ArmReply | AzureError] = field(default_factory=list)
    calls: list[ArmCall] = field(default_factory=list)
    finished: list[tuple[str, str]] = field(default_factory=list)
    throttled: list[CallKind] = field(default_factory=list)
    quota: list[tuple[CallKind, int]] = field(default_factory=list)
    waited: list[CallKind] = field(default_factory=list)
    before: Callable[[], object] = lambda: None

    def send(self, call: ArmCall) -> ArmReply:
        self.calls.append(call)
        self.before()
        answer = self.answers.pop(0) if self.answers else ArmReply(200, {}, b"{}")
        if isinstance(answer, AzureError):
            raise answer
        return answer

    def call_finished(self, operation: str, code: str, seconds: float) -> None:
        assert seconds >= 0
        self.finished.append((operation, code))

    def call_waited(self, kind: CallKind, seconds: float) -> None:
        assert seconds >= 0
        self.waited.append(kind)

    def call_throttled(self, kind: CallKind) -> None:
        self.throttled.append(kind)

    def quota_reported(self, kind: CallKind, remaining: int) -> None:
        self.quota.append((kind, remaining))


@pytest.fixture
def arm() -> Arm:
    return Arm()


@pytest.fixture
def client(arm: Arm) -> Iterator[ArmClient]:
    throttle = Throttle({READ: [Limit(100, 60)], WRITE: [Limit(100, 60)]})
    made = ArmClient(arm, throttle, arm, connections=4, retry_pause=0.001)
    yield made
    made.close()


def _used(client: ArmClient, kind: CallKind) -> int:
    state = next((state for state in client.throttle.states() if state.kind is kind), None)
    return 100 - state.remaining if state else 0


async def test_a_read_is_a_get_and_a_write_a_patch_each_with_an_id_that_begins_with_the_runs(
    client: ArmClient, arm: Arm
) -> None:
    await client.read(CONTEXT, "list", "/x", _whole)
    await client.write(CONTEXT, "update", "/y", {"a": 1})

    assert [(call.method, call.target, call.body) for call in arm.calls] == [
        ("GET", "/x", None), ("PATCH", "/y", {"a": 1}),
    ]  # fmt: skip
    ids = [call.request_id for call in arm.calls]
    assert all(request_id.startswith("run-1/") for request_id in ids)
    assert len(set(ids)) == 2
    assert arm.finished == [("list", "200"), ("update", "200")]
    assert arm.waited == [READ, WRITE]


async def test_a_write_may_be_a_post(client: ArmClient, arm: Arm) -> None:
    await client.write(CONTEXT, "update_agent", "/y", {}, method="POST")

    assert [call.method for call in arm.calls] == ["POST"]
    assert arm.waited == [WRITE]
    assert _used(client, WRITE) == 1


async def test_reads_and_writes_count_apart(client: ArmClient) -> None:
    for _ in range(3):
        await client.read(CONTEXT, "list", "/x", _whole)
    await client.write(CONTEXT, "update", "/y", {})

    assert (_used(client, READ), _used(client, WRITE)) == (3, 1)


@pytest.mark.parametrize("error", [Unreachable("m"), _error(Disposition.RETRY)])
async def test_a_read_that_fails_in_passing_is_sent_again_up_to_three_times_and_each_counts(
    client: ArmClient, arm: Arm, error: AzureError
) -> None:
    arm.answers = [error, error, error]
    assert (await client.read(CONTEXT, "list", "/x", _whole)).status == 200

    assert len(arm.calls) == 4
    assert len({call.request_id for call in arm.calls}) == 4
    assert _used(client, READ) == 4
    arm.answers = [error] * 4
    with pytest.raises(type(error)):
        await client.read(CONTEXT, "list", "/x", _whole)
    assert len(arm.calls) == 8


@pytest.mark.parametrize("disposition", [Disposition.SLOW, Disposition.STALL])
async def test_a_read_that_somebody_has_to_mend_is_not_sent_again(
    client: ArmClient, arm: Arm, disposition: Disposition
) -> None:
    arm.answers = [_error(disposition)]
    with pytest.raises(ArmError):
        await client.read(CONTEXT, "list", "/x", _whole)

    assert len(arm.calls) == 1


async def test_a_throttled_read_waits_as_long_as_the_server_says_and_is_sent_again(client: ArmClient, arm: Arm) -> None:
    loop = asyncio.get_running_loop()
    arm.answers = [_error(Disposition.WAIT, status=429, retry_after=0.1)]
    began = loop.time()
    await client.read(CONTEXT, "list", "/x", _whole)

    assert loop.time() - began >= 0.1
    assert arm.throttled == [READ]
    assert arm.finished == [("list", "429"), ("list", "200")]


async def test_a_read_that_would_wait_for_long_comes_back_at_once_and_so_do_those_after_it(
    client: ArmClient, arm: Arm
) -> None:
    arm.answers = [_error(Disposition.WAIT, status=429, retry_after=90)]
    for _ in range(3):
        with pytest.raises(ArmError) as refused:
            await client.read(CONTEXT, "list", "/x", _whole)
        assert refused.value.status == 429

    assert len(arm.calls) == 1, "Azure is left alone"
    assert (
        await client.read(CallContext(QuotaScope("other"), "", "vault", "run-1"), "list", "/x", _whole)
    ).status == 200


async def test_a_throttled_scope_is_told_to_the_throttle_before_the_next_call_can_leave(
    client: ArmClient, arm: Arm
) -> None:
    arm.answers = [_error(Disposition.WAIT, status=429, retry_after=3600)]
    with pytest.raises(ArmError):
        await client.write(CONTEXT, "update", "/x", {})

    assert client.throttle.paused_for(QuotaScope("s"), WRITE) > 3500
    assert client.throttle.paused_for(QuotaScope("s"), READ) == 0


@pytest.mark.parametrize("error", [Unreachable("m"), _error(Disposition.RETRY), _error(Disposition.SLOW)])
async def test_a_write_is_sent_once_whatever_comes_of_it(client: ArmClient, arm: Arm, error: AzureError) -> None:
    arm.answers = [error]
    with pytest.raises(type(error)):
        await client.write(CONTEXT, "update", "/x", {})

    assert len(arm.calls) == 1
    assert arm.finished == [("update", str(error.status) if isinstance(error, ArmError) else "ArmUnreachable")]


async def test_what_is_left_of_the_quota_is_told(client: ArmClient, arm: Arm) -> None:
    reads, writes = (f"x-ms-ratelimit-remaining-subscription-{kind}" for kind in ("reads", "writes"))
    arm.answers = [
        ArmReply(200, {reads: "249", writes: "1"}, b""),
        ArmReply(200, {writes: "199"}, b""),
        ArmReply(200, {reads: "odd"}, b""),
        ArmReply(200, {reads: "²"}, b""),
    ]
    await client.read(CONTEXT, "list", "/x", _whole)
    await client.write(CONTEXT, "update", "/x", {})
    await client.read(CONTEXT, "list", "/x", _whole)
    await client.read(CONTEXT, "list", "/x", _whole)

    assert arm.quota == [(READ, 249), (WRITE, 199)]


async def test_a_write_that_has_left_is_waited_for_also_when_it_is_cancelled(client: ArmClient, arm: Arm) -> None:
    left, answer = threading.Event(), threading.Event()

    def before() -> None:
        left.set()
        assert answer.wait(5)

    arm.before = before
    write = asyncio.create_task(client.write(CONTEXT, "update", "/x", {}))
    assert await asyncio.to_thread(left.wait, 5)
    for _ in range(3):
        write.cancel()
        await asyncio.sleep(0)
    assert not write.done()
    answer.set()

    assert (await write).status == 200, "its answer names the job"


async def test_a_write_that_waits_for_its_turn_is_taken_back_when_it_is_cancelled(client: ArmClient, arm: Arm) -> None:
    client.throttle.refused(QuotaScope("s"), WRITE, 3600)
    write = asyncio.create_task(client.write(CONTEXT, "update", "/x", {}))
    await asyncio.sleep(0)
    write.cancel()
    await asyncio.gather(write, return_exceptions=True)

    assert write.cancelled()
    assert arm.calls == []


async def test_calls_of_several_tasks_are_under_way_at_the_same_time(client: ArmClient, arm: Arm) -> None:
    together = threading.Barrier(4)
    arm.before = lambda: together.wait(5)

    await asyncio.gather(*(client.read(CONTEXT, "list", "/x", _whole) for _ in range(4)))

    assert len(arm.calls) == 4


async def test_logs_tell_what_was_called_and_what_for(
    client: ArmClient, arm: Arm, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="vault_autoupdate")
    arm.answers = [ArmReply(200, {}, b"{}"), _error(Disposition.STALL, status=404)]

    await client.read(CONTEXT, "list_jobs", "/x", _whole)
    with pytest.raises(ArmError):
        await client.read(CONTEXT.to(Purpose.MAKE_SURE), "list_jobs", "/x", _whole)

    assert [(vars(record)["operation"], vars(record)["purpose"]) for record in caplog.records] == [
        ("list_jobs", "observe"),
        ("list_jobs", "make sure"),
    ]


async def test_refusals_of_many_calls_at_once_are_one_line_and_a_refusal_of_another_kind_is_none(
    client: ArmClient, arm: Arm, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="vault_autoupdate")
    together = threading.Barrier(4)
    arm.before = lambda: together.wait(5)
    arm.answers = [_error(Disposition.WAIT, status=429, retry_after=90) for _ in range(4)]

    await asyncio.gather(*(client.read(CONTEXT, "list", "/x", _whole) for _ in range(4)), return_exceptions=True)
    arm.before = lambda: None
    arm.answers = [_error(Disposition.STALL, status=403)]
    with pytest.raises(ArmError):
        await client.write(CONTEXT, "update", "/x", {})

    assert len(caplog.records) == 1
    assert "(429): none for 90 s" in caplog.text


@pytest.mark.parametrize(
    "broken", [b'{"value": [', b"<html>log in</html>", b"", b'{"error": {"code": "Busy"}}', b"null"]
)
async def test_a_read_whose_answer_cannot_be_read_is_sent_again_in_place(
    client: ArmClient, arm: Arm, broken: bytes
) -> None:
    arm.answers = [ArmReply(200, {}, broken), ArmReply(200, {}, b'{"a": 1}')]

    def parse(reply: ArmReply) -> dict[str, int]:
        document = reply.document()
        if not isinstance(document, dict):
            raise MalformedReply("No object.")
        return document

    assert await client.read(CONTEXT, "list", "/x", parse) == {"a": 1}
    assert arm.finished[1] == ("list", "200")


async def test_a_pause_that_was_not_long_enough_grows(client: ArmClient, arm: Arm) -> None:
    """ARM puts the time off with each call that comes too early."""
    arm.answers = [_error(Disposition.WAIT, status=429, retry_after=0.05) for _ in range(2)]
    began = time.monotonic()
    await client.read(CONTEXT, "list", "/x", _whole)

    assert time.monotonic() - began >= 0.2


class _Identity:
    """A credential whose logins take until they are let go, or fail. Implements `TokenCredential`."""

    def __init__(self, *, fails: bool = False) -> None:
        self.go = threading.Event()
        self.fails = fails
        self.logins = 0

    def get_token(self, *_: str, **__: object) -> AccessToken:
        self.logins += 1
        assert self.go.wait(10)
        if self.fails:
            raise OSError("no")
        return AccessToken("token", int(time.time()) + 3600)


def _as(identity: _Identity) -> CallContext:
    return replace(CONTEXT, tokens=TokenSource(lambda: identity, "https://management.azure.com"))


async def test_a_login_that_hangs_takes_no_thread_and_no_turn_from_the_calls_of_others(
    client: ArmClient, arm: Arm
) -> None:
    identity = _Identity()
    context = _as(identity)
    waiting = [asyncio.create_task(client.read(context, "list", "/slow", _whole)) for _ in range(20)]
    await asyncio.sleep(0)

    async with asyncio.timeout(5):
        await asyncio.gather(*(client.read(CONTEXT, "list", "/quick", _whole) for _ in range(8)))
    assert {call.target for call in arm.calls} == {"/quick"}
    assert _used(client, READ) == 8
    assert identity.logins <= 1
    identity.go.set()
    await asyncio.gather(*waiting)
    assert identity.logins == 1


async def test_one_failed_login_is_that_of_all_who_wait_for_it(client: ArmClient, arm: Arm) -> None:
    identity = _Identity(fails=True)
    context = _as(identity)
    waiting = [asyncio.create_task(client.write(context, "update", "/x", {})) for _ in range(3)]
    await asyncio.sleep(0)
    identity.go.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)

    assert [type(result) for result in results] == [CredentialError] * 3
    assert (identity.logins, arm.calls) == (1, [])
    assert arm.finished == [("update", "AuthenticationFailed")] * 3
