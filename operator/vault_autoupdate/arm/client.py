"""Calls to ARM from the event loop: through the throttle, into a thread, and again when it makes sense."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, Protocol, TypeVar

from vault_autoupdate.arm.identity.logins import Logins
from vault_autoupdate.arm.identity.tokens import TokenSource
from vault_autoupdate.arm.own_writes import OwnWrites
from vault_autoupdate.arm.patience import Patience
from vault_autoupdate.arm.session import ArmCall, ArmReply
from vault_autoupdate.arm.throttle import CallKind, Throttle
from vault_autoupdate.model.errors import ArmError, AzureError, Disposition
from vault_autoupdate.model.quota import Caller, QuotaScope
from vault_autoupdate.model.text import whole_number

_TRIES: Final = 4
"""One and three more, as the runbook does it."""
_LONGEST_PAUSE: Final = 60.0
"""Seconds that a read waits in place when it is asked to come back later; for longer, the whole look comes back."""
_REMAINING = {
    CallKind.READ: "x-ms-ratelimit-remaining-subscription-reads",
    CallKind.WRITE: "x-ms-ratelimit-remaining-subscription-writes",
}
_CORRELATION: Final = "x-ms-correlation-request-id"
"""Under which the activity log has the call."""

T = TypeVar("T")

log = logging.getLogger(__name__)

__all__ = ["ArmClient", "CallContext", "CallObserver", "Purpose", "Transport"]


class Transport(Protocol):
    """What sends one call and blocks until its answer is there; `ArmSession` is the one."""

    def send(self, call: ArmCall) -> ArmReply:
        """Send ``call``; raises `AzureError`."""


class CallObserver(Protocol):
    """Is told of every call, for metrics."""

    def call_finished(self, operation: str, code: str, seconds: float) -> None:
        """One call to ARM has ended with an HTTP status, or the reason why there is none."""

    def call_waited(self, kind: CallKind, seconds: float) -> None:
        """A call has waited this long for its turn."""

    def call_throttled(self, kind: CallKind) -> None:
        """The server answered 429."""

    def quota_reported(self, kind: CallKind, remaining: int) -> None:
        """An answer told how much quota is left."""


class Purpose(StrEnum):
    """What a call is made for, where one operation serves several ends."""

    OBSERVE = "observe"
    TRACK = "track"
    """To learn what has become of the jobs in flight."""
    MAKE_SURE = "make sure"
    """To learn whether a change got through whose answer was lost."""


@dataclass(frozen=True)
class CallContext(Caller):
    """On whose behalf a call is made, for which run and as whom."""

    run_id: str
    """Begins every client request id of a run, so that all its calls can be found together."""
    tokens: TokenSource | None = field(default=None, repr=False)
    """The identity to call as; None for the process's own."""
    purpose: Purpose = Purpose.OBSERVE

    def to(self, purpose: Purpose) -> CallContext:
        """The same for calls that are made for ``purpose``."""
        return replace(self, purpose=purpose)


class ArmClient:
    """Sends calls through a `Throttle` and a pool of threads."""

    def __init__(
        self,
        transport: Transport,
        throttle: Throttle,
        observer: CallObserver,
        *,
        connections: int = 32,
        retry_pause: float = 2.0,
    ) -> None:
        self.throttle = throttle
        self.own_writes = OwnWrites()
        self._retry_pause = retry_pause
        self._transport = transport
        self._observer = observer
        self._refusals: dict[tuple[QuotaScope, CallKind], AzureError] = {}
        """The last 429 of each scope and kind."""
        self._patience = Patience()
        self._logins = Logins()
        self._threads = ThreadPoolExecutor(connections, thread_name_prefix="arm")

    def close(self) -> None:
        """Let the threads end; calls under way are not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def read(self, context: CallContext, operation: str, target: str, parse: Callable[[ArmReply], T]) -> T:
        """GET ``target``; transient errors and throttling are tried again, up to three times.

        So are answers that cannot be read: one that was cut off, or came from something in ARM's place.

        Args:
            context: on whose behalf.
            operation: what it is called in metrics and messages.
            target: a path below the endpoint, or a link.
            parse: makes of an answer what is wanted of it; called in a thread; raises `AzureError` if it cannot.

        Raises:
            AzureError: what the last try ended with; also at once while Azure wants silence for longer than a call
                waits in place, so that whoever waits for the answer can say so.
        """
        return await self._patiently(context, _call_maker(context, operation, "GET", target), parse)

    async def query(
        self, context: CallContext, operation: str, target: str, body: dict[str, object], parse: Callable[[ArmReply], T]
    ) -> T:
        """POST a question to ``target`` that changes nothing, so that it is tried again as `read` does it.

        Raises:
            AzureError: as `read`.
        """
        return await self._patiently(context, _call_maker(context, operation, "POST", target, body), parse)

    async def _patiently(
        self, context: CallContext, make_call: Callable[[], ArmCall], parse: Callable[[ArmReply], T]
    ) -> T:
        for attempt in range(1, _TRIES + 1):
            refusal = self._refusals.get((context.scope, CallKind.READ))
            if refusal and self.throttle.paused_for(context.scope, CallKind.READ) > _LONGEST_PAUSE:
                raise refusal
            try:
                return await self._once(context, CallKind.READ, make_call(), parse)
            except AzureError as error:
                if attempt == _TRIES or not error.will_pass:
                    raise
                if error.disposition is Disposition.RETRY:
                    asked = (error.retry_after if isinstance(error, ArmError) else None) or 0.0
                    if asked > _LONGEST_PAUSE:
                        raise
                    await asyncio.sleep(max(self._retry_pause * 2 ** (attempt - 1), asked))
        raise AssertionError("unreachable: the last try returns or raises")

    async def write(
        self, context: CallContext, operation: str, target: str, body: dict[str, object], *, method: str = "PATCH"
    ) -> ArmReply:
        """PATCH ``target`` (or POST to it), once: whether it may be tried again is for the caller to find out.

        A cancellation is obeyed while the call waits for its turn. Once it has left, its answer is waited for,
        since that answer names the job.

        Raises:
            AzureError: what it ended with.
        """
        call = _call(context, operation, method, target, body)
        self.own_writes.note(call.request_id)  # before it leaves: its answer may get lost
        reply = await self._once(context, CallKind.WRITE, call, lambda reply: reply)
        self.own_writes.note(reply.headers.get(_CORRELATION, ""))
        return reply

    async def _once(self, context: CallContext, kind: CallKind, call: ArmCall, parse: Callable[[ArmReply], T]) -> T:
        operation = call.operation
        await self._log_in(call)
        asked = time.monotonic()
        async with self.throttle.call(context, kind):
            began = time.monotonic()
            self._observer.call_waited(kind, began - asked)
            try:
                reply, result = await self._in_thread(call, parse)
            except AzureError as error:
                error.request_id = call.request_id
                code = str(error.status) if isinstance(error, ArmError) else error.reason
                self._observer.call_finished(operation, code, time.monotonic() - began)
                log.debug("%s was answered %s", operation, code, extra=_fields(call, error.reason))
                if error.disposition is Disposition.WAIT:
                    self._observer.call_throttled(kind)
                    asked_for = error.retry_after if isinstance(error, ArmError) else None
                    pause = self._patience.pause((context.scope, kind), asked_for, sent_at=began)
                    self._tell_of_pause(context, kind, pause, call)
                    self.throttle.refused(context.scope, kind, pause)
                    self._note_refusal(context.scope, kind, error)
                raise
        seconds = time.monotonic() - began
        self._observer.call_finished(operation, str(reply.status), seconds)
        log.debug("%s was answered %d in %.3f s", operation, reply.status, seconds, extra=_fields(call))
        if (left := whole_number(reply.headers.get(_REMAINING[kind], ""))) is not None:
            self._observer.quota_reported(kind, left)
        self._patience.served((context.scope, kind), sent_at=began)
        return result

    def _tell_of_pause(self, context: CallContext, kind: CallKind, pause: float | None, call: ArmCall) -> None:
        """One line for each pause, however many calls were refused when it began."""
        if self.throttle.paused_for(context.scope, kind) > 0:
            return
        scope = "/".join(filter(None, (context.scope.subscription, context.scope.region)))
        until = "for a while" if pause is None else f"for {pause:.0f} s"
        log.info("Azure refuses %ss about %s (429): none %s", kind, scope, until, extra=_fields(call, "Throttled"))

    async def _log_in(self, call: ArmCall) -> None:
        """Have a token of the resource's own identity at hand before the call takes a turn, or a thread."""
        if call.tokens is None:
            return
        began = time.monotonic()
        try:
            await self._logins.ensure(call.tokens)
        except AzureError as error:
            error.request_id = call.request_id
            self._observer.call_finished(call.operation, error.reason, time.monotonic() - began)
            log.debug("%s got no token: %s", call.operation, error.reason, extra=_fields(call, error.reason))
            raise

    def _note_refusal(self, scope: QuotaScope, kind: CallKind, error: AzureError) -> None:
        """Keep a 429 for as long as it lasts."""
        self._refusals = {of: known for of, known in self._refusals.items() if self.throttle.paused_for(*of) > 0}
        self._refusals[scope, kind] = error

    async def _in_thread(self, call: ArmCall, parse: Callable[[ArmReply], T]) -> tuple[ArmReply, T]:
        """Send in a thread and read the answer there. It is waited for, come what may: until then the call counts.

        Raises:
            asyncio.CancelledError: a read was cancelled meanwhile; of a write the answer is worth more.
        """

        def send() -> tuple[ArmReply, T]:
            reply = self._transport.send(call)
            return reply, parse(reply)

        answer = asyncio.get_running_loop().run_in_executor(self._threads, send)
        cancelled = False
        while not answer.done():
            try:
                await asyncio.wait({answer})
            except asyncio.CancelledError:
                cancelled = True
        if cancelled and call.method == "GET":
            answer.exception()  # nobody wants it any more
            raise asyncio.CancelledError
        return answer.result()


def _fields(call: ArmCall, reason: str = "") -> dict[str, str]:
    return {"request": call.request_id, "operation": call.operation, "purpose": call.purpose, "reason": reason}


def _call_maker(
    context: CallContext, operation: str, method: str, target: str, body: dict[str, object] | None = None
) -> Callable[[], ArmCall]:
    """Makes the same call again and again, each with a client request id of its own."""
    return lambda: _call(context, operation, method, target, body)


def _call(
    context: CallContext, operation: str, method: str, target: str, body: dict[str, object] | None = None
) -> ArmCall:
    """A call with a client request id of its own."""
    request_id = f"{context.run_id}/{uuid.uuid4()}"
    return ArmCall(method, target, request_id, body, context.tokens, operation=operation, purpose=context.purpose)
