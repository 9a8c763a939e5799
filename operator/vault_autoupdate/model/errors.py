"""What can go wrong, and what to do about it.

    AzureError                anything that kept a call from its result
    ├── ArmError              ARM or Site Recovery answered, but not with success
    ├── Unreachable           no complete answer came: DNS, connection, TLS, time-out
    ├── MalformedReply        an answer that is not what the API promises
    ├── UntrustedLink         a link to another host than the configured ARM endpoint
    ├── CredentialError       no token could be had
    │   └── CredentialUnusable    what spec.credential names is not there, not to be read, or not complete
    └── NotLeading            this process may not change anything (any more)

Each carries a `Disposition`, a reason in PascalCase (ARM's own code where there is one) and, where one is known,
the recommended action. What may go wrong with Kubernetes is beside it: `ObjectGone`, `ObjectChanged`, `NotWritten`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Final

from vault_autoupdate.model.explanation import Explanation

_PASCAL = re.compile(r"[A-Za-z][A-Za-z0-9]{0,63}")
_CONCERN_ALL: Final = frozenset({401, 403})

__all__ = [
    "ArmError",
    "AzureError",
    "CredentialError",
    "CredentialUnusable",
    "Disposition",
    "MalformedReply",
    "NotLeading",
    "NotWritten",
    "ObjectChanged",
    "ObjectGone",
    "TurnNotCome",
    "Unreachable",
    "UntrustedLink",
    "concerns_all",
]


class Disposition(StrEnum):
    """What to do about an error."""

    RETRY = "retry"
    """Transient: try again soon, with backoff."""
    WAIT = "wait"
    """Throttled: the server says when."""
    SLOW = "slow"
    """Somebody must do something first: look again rarely."""
    STALL = "stall"
    """What the resource names is not there: `Stalled`, look again at the interval."""


class AzureError(Exception):
    """Anything that kept a call from its result."""

    disposition: Disposition = Disposition.RETRY
    reason: str = "AzureError"
    request_id: str = ""
    """The client request id of the call, by which Microsoft's support finds it."""

    def __init__(self, message: str, *, possible_causes: str = "", recommended_action: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.possible_causes = possible_causes
        self.recommended_action = recommended_action

    def __str__(self) -> str:
        return f"{self.message} {self.recommended_action}".strip()

    @property
    def will_pass(self) -> bool:
        """Whether it is likely to pass by itself, so that the same is to be tried again soon."""
        return self.disposition in {Disposition.RETRY, Disposition.WAIT}

    @property
    def explanation(self) -> Explanation:
        """The error in the words of those who know it."""
        return Explanation(self.reason, self.message, self.possible_causes, self.recommended_action)


class ArmError(AzureError):
    """An answer other than success."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        disposition: Disposition,
        possible_causes: str = "",
        recommended_action: str = "",
        retry_after: float | None = None,
        codes: Sequence[str] = (),
        activity_id: str = "",
        all_alike: bool = False,
        absent: bool = False,
    ) -> None:
        """Note what was answered.

        Args:
            status: of HTTP.
            code: what people search for; Site Recovery's are numbers.
            message: what the answer says.
            disposition: what to do about it.
            possible_causes: as the answer tells them.
            recommended_action: what somebody has to do.
            retry_after: seconds that the server asks to be left alone; None when it does not say.
            codes: all that the answer has, from the outside to the inside.
            activity_id: by which Microsoft's support finds what Site Recovery did.
            all_alike: whether all other changes in the vault would get this answer, until somebody acts.
            absent: whether what was asked for is not there.
        """
        super().__init__(message, possible_causes=possible_causes, recommended_action=recommended_action)
        self.status = status
        self.code = code
        words = (each for each in (code, *codes) if _PASCAL.fullmatch(each))
        self.reason = next(words, f"Http{status}")
        self.activity_id = activity_id
        self.all_alike = all_alike or status in _CONCERN_ALL
        self.absent = absent
        self.codes = tuple(codes) or (code,)
        self.disposition = disposition
        self.retry_after = retry_after

    def __str__(self) -> str:
        number = f"{self.code}: " if self.code.isdecimal() else ""
        activity = f" Activity id {self.activity_id}." if self.activity_id else ""
        return f"{number}{super().__str__()}{activity}"

    @property
    def explanation(self) -> Explanation:
        """The error in the words of those who know it."""
        return replace(super().explanation, code=self.code, activity_id=self.activity_id)


class Unreachable(AzureError):
    """No complete answer came. Whether the request was carried out is not known."""

    reason = "ArmUnreachable"


class MalformedReply(AzureError):
    """Success by its status, but not what the API promises."""

    reason = "MalformedReply"


class UntrustedLink(AzureError):
    """A link that leads away from the configured ARM endpoint. It is never followed."""

    reason = "UntrustedLink"
    disposition = Disposition.SLOW


class CredentialError(AzureError):
    """No token could be had. Tried again with backoff: the identity endpoint may be down, or still being set up."""

    reason = "AuthenticationFailed"


class CredentialUnusable(CredentialError):
    """What ``spec.credential`` names is not there, may not be read, or is not complete: somebody must mend it."""

    disposition = Disposition.SLOW

    def __init__(self, reason: str, message: str, *, recommended_action: str, passing: bool = False) -> None:
        """Say what is wrong.

        Args:
            reason: in PascalCase.
            message: what is wrong, without anything secret.
            recommended_action: what to do about it.
            passing: whether it is likely to pass by itself.
        """
        super().__init__(message, recommended_action=recommended_action)
        self.reason = reason
        if passing:
            self.disposition = Disposition.RETRY


class NotLeading(AzureError):
    """This process may not change anything (any more). Nothing was sent."""

    reason = "NotLeading"


def concerns_all(error: AzureError) -> bool:
    """Whether every other change in the vault would get the same answer."""
    if isinstance(error, ArmError):
        return error.all_alike or 300 <= error.status < 400
    return isinstance(error, CredentialError | NotLeading | UntrustedLink)


class ObjectGone(Exception):
    """The object is no longer in the cluster, or another one has its name."""


class ObjectChanged(Exception):
    """The object is not as it was when it was last seen; how it is by now is about to be seen."""


class NotWritten(Exception):
    """The API server would not take what was to be written, or gave no answer, also after several tries."""


class TurnNotCome(NotWritten):
    """It was not sent at all: too many others had something to write, and more is to come anyway."""
