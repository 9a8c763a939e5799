"""An ARM that answers what it is told, for tests of the typed calls."""

from __future__ import annotations

import json
from collections.abc import Callable

from vault_autoupdate.arm.client import ArmClient
from vault_autoupdate.arm.session import ArmCall, ArmReply
from vault_autoupdate.arm.throttle import CallKind, Throttle
from vault_autoupdate.model.errors import AzureError
from vault_autoupdate.model.limits import Limit

__all__ = ["ScriptedArm", "json_reply"]


def json_reply(document: object, status: int = 200, headers: dict[str, str] | None = None) -> ArmReply:
    """An answer with ``document`` as its body."""
    return ArmReply(status, headers or {}, json.dumps(document).encode())


class ScriptedArm:
    """`Transport` and `CallObserver` in one. Answers by ``answer``, and remembers every call."""

    def __init__(self) -> None:
        self.answer: Callable[[ArmCall], ArmReply | AzureError] = lambda _: json_reply({})
        self.calls: list[ArmCall] = []
        self.operations: list[str] = []

    def client(self) -> ArmClient:
        """A client of it; close it afterwards."""
        throttle = Throttle({kind: [Limit(100, 60)] for kind in CallKind})
        return ArmClient(self, throttle, self, connections=1, retry_pause=0.001)

    def answer_in_turn(self, *answers: ArmReply | AzureError) -> None:
        """Give these answers, one after the other, and none after them."""
        left = list(answers)
        self.answer = lambda _: left.pop(0)

    def send(self, call: ArmCall) -> ArmReply:
        self.calls.append(call)
        answer = self.answer(call)
        if isinstance(answer, AzureError):
            raise answer
        return answer

    def call_finished(self, operation: str, code: str, seconds: float) -> None:
        self.operations.append(operation)

    def call_waited(self, kind: CallKind, seconds: float) -> None:
        pass

    def call_throttled(self, kind: CallKind) -> None:
        pass

    def quota_reported(self, kind: CallKind, remaining: int) -> None:
        pass
