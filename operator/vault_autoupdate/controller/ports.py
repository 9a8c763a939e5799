"""What the controller needs from outside: somebody who writes to Kubernetes, and somebody who counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from vault_autoupdate.model.resource import ObjectRef
from vault_autoupdate.reconcile.reconciler import Outcome
from vault_autoupdate.report.readiness import Readiness

__all__ = ["PassObserver", "Writer"]


class Writer(Protocol):
    """Writes to Kubernetes; `KubeWriter` is the one."""

    async def write_status(self, ref: ObjectRef, status: Mapping[str, Any], *, patient: bool) -> None:
        """Replace the status. Raises as `KubeWriter.write_status`."""

    async def hand_over(self, ref: ObjectRef, shard: str, to: str) -> None:
        """Say in the status that it is in other hands now. Raises as `KubeWriter.hand_over`."""

    async def check_present(self, ref: ObjectRef) -> None:
        """Raise `ObjectGone` if there is no such object."""

    async def add_finalizer(self, ref: ObjectRef, finalizers: tuple[str, ...]) -> None:
        """Add our finalizer."""

    async def remove_finalizer(self, ref: ObjectRef, finalizers: tuple[str, ...]) -> None:
        """Take our finalizer off."""

    async def emit_event(self, ref: ObjectRef, readiness: Readiness, *, count: int) -> None:
        """Post an Event about something that has happened ``count`` times since the last one."""


class PassObserver(Protocol):
    """Is told of every pass, for metrics."""

    def pass_ended(self, outcome: Outcome, seconds: float) -> None:
        """A pass over a vault has ended."""

    def pass_not_written(self) -> None:
        """The API server did not take what came of a pass, also after several tries."""

    def pass_crashed(self) -> None:
        """A pass ended by a defect."""

    def interim_status_skipped(self) -> None:
        """A status that would only have told of progress did not get its turn in time."""
