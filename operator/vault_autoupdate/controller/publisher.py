"""What the controller says of a resource in the cluster: its status, Events, our finalizer."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from vault_autoupdate.controller.ports import PassObserver, Writer
from vault_autoupdate.controller.tracked import TrackedResource, ready_condition
from vault_autoupdate.decide.pacing import Allowance
from vault_autoupdate.decide.shards import in_words
from vault_autoupdate.model.conditions import ConditionStatus, Reason
from vault_autoupdate.model.errors import ObjectGone, TurnNotCome
from vault_autoupdate.model.resource import FINALIZER
from vault_autoupdate.report.document import build_status, differs
from vault_autoupdate.report.drift import drift_event
from vault_autoupdate.report.events import EventAggregator
from vault_autoupdate.report.readiness import Readiness
from vault_autoupdate.report.runbook_schedule import schedule_events

_PROGRESS_BURST: Final = 20
_AT_FULL_PACE: Final = 5
"""So many resources may tell of their progress as often as one alone would, after as many at once as above.

Whoever looks at a few resources sees how they go on. Where hundreds are at work at once, the API server and everybody
who watches are spared what is overtaken a moment later; the last word of each pass comes at once as always.
"""

log = logging.getLogger(__name__)

__all__ = ["Publisher"]


class Publisher:
    """Writes what is new about a resource, and nothing else."""

    def __init__(
        self,
        writer: Writer,
        observer: PassObserver,
        now: Callable[[], datetime],
        *,
        status_interval: timedelta,
        shard: str = "",
    ) -> None:
        self._writer = writer
        self._observer = observer
        self._now = now
        self._shard = shard
        self._events = EventAggregator()
        self._refusals = EventAggregator()
        self._progress = Allowance(status_interval / _AT_FULL_PACE, _PROGRESS_BURST)

    async def tell_progress(self, tracked: TrackedResource, current: Readiness, *, emit: bool = True) -> None:
        """Write the status as `publish` does, unless a crowd is telling of its progress just now."""
        if self._progress.take(self._now()):
            self._observer.interim_status_skipped()
        elif not await self.publish(tracked, current, emit=emit):
            self._progress.give_back()

    async def publish(
        self,
        tracked: TrackedResource,
        current: Readiness,
        *,
        final: bool = False,
        emit: bool = True,
        handled: str | None = None,
        logged: bool = False,
    ) -> bool:
        """Write the status if it says anything new, and post an Event if Ready or its reason changed.

        Args:
            tracked: the resource.
            current: where it stands.
            final: whether this is the last word of a pass.
            emit: whether a transition is worth an Event.
            handled: the value of the annotation ``requestedAt`` that this status answers.
            logged: whether the log has been told already, by whoever met the error that it is about.

        Returns:
            Whether there was anything to write.

        Raises:
            ObjectGone: the resource is no longer there.
            Exception: the API server would not take the ``final`` word of a pass; of others it is only logged.
        """
        status = build_status(
            tracked.resource, tracked.state, current, tracked.status, self._now(), shard=self._shard,
            generation=tracked.generation, handled_request=handled, last_success=tracked.history.last_success,
        )  # fmt: skip
        if not differs(tracked.status, status):
            return False
        before, tracked.sent = ready_condition(tracked.status), status
        attributed = drift_event(tracked.status, status)
        rescheduled = schedule_events(tracked.status, status)
        try:
            await self._writer.write_status(tracked.ref, status, patient=final)
        except ObjectGone:
            raise
        except Exception as error:
            if final:
                raise
            self._observer.interim_status_skipped()
            level = logging.DEBUG if isinstance(error, TurnNotCome) else logging.WARNING
            fields = {"resource": str(tracked.ref.key)}
            log.log(level, "the status of %s could not be written: %s", tracked.ref.key, error, extra=fields)
            return True
        tracked.status = status
        tracked.history.status_is(status, self._now())
        if emit and before != ready_condition(status):
            self._log(tracked, current, logging.DEBUG if logged else None)
            await self._emit_event(tracked, current, was_ready=before[0] == ConditionStatus.TRUE)
        if attributed:
            await self._emit_event(tracked, attributed, about="drift")
        for event in rescheduled:
            await self._emit_event(tracked, event, about="runbookSchedule")
        return True

    @staticmethod
    def _log(tracked: TrackedResource, current: Readiness, level: int | None) -> None:
        """Tell of a transition in the log, at the level that it deserves or at ``level``."""
        deserved = logging.WARNING if current.is_warning else logging.INFO
        vault = tracked.resource.spec.vault_resource_id.name if tracked.resource else ""
        fields = {"resource": str(tracked.ref.key), "vault": vault, "reason": current.reason}
        log.log(level or deserved, "%s is %s: %s", tracked.ref.key, current.reason, current.message, extra=fields)

    async def _emit_event(
        self, tracked: TrackedResource, current: Readiness, *, was_ready: bool = False, about: str = ""
    ) -> None:
        """Tell of a transition in an Event, unless that would be one too many; of several things, each by itself."""
        is_mere_progress = current.reason == Reason.PROGRESSING and not was_ready
        if is_mere_progress and self._progress.take(self._now()):
            return
        subject = f"{tracked.ref.uid}/{about}" if about else tracked.ref.uid
        emission = self._events.consider(subject, current, self._now(), was_ready=was_ready)
        if emission:
            await self._writer.emit_event(tracked.ref, current, count=emission.count)

    async def refuse(self, tracked: TrackedResource, refusal: Readiness) -> None:
        """Tell whoever asked for something that it is not to be had, unless that was told a moment ago."""
        emission = self._refusals.consider(tracked.ref.uid, refusal, self._now(), was_ready=False)
        if emission:
            self._log(tracked, refusal, None)
            await self._writer.emit_event(tracked.ref, refusal, count=emission.count)

    async def hand_over(self, tracked: TrackedResource, to: str) -> None:
        """Leave a resource to another shard. Its status stands as we have left it. Raises as `publish`."""
        await self._writer.hand_over(tracked.ref, self._shard, to)
        log.info("%s was handed over to %s", tracked.ref.key, in_words(to), extra={"resource": str(tracked.ref.key)})

    async def check_present(self, tracked: TrackedResource) -> None:
        """Ask the API server whether the object is there. Raises `ObjectGone`."""
        await self._writer.check_present(tracked.ref)

    async def add_finalizer(self, tracked: TrackedResource) -> None:
        """Make sure that our finalizer is on the object. Raises as `KubeWriter.add_finalizer`."""
        if FINALIZER not in tracked.finalizers:
            await self._writer.add_finalizer(tracked.ref, tracked.finalizers)
            tracked.finalizers += (FINALIZER,)

    async def remove_finalizer(self, tracked: TrackedResource) -> None:
        """Make sure that our finalizer is not on the object. Raises as `KubeWriter.remove_finalizer`."""
        if FINALIZER in tracked.finalizers:
            await self._writer.remove_finalizer(tracked.ref, tracked.finalizers)
            tracked.finalizers = tuple(name for name in tracked.finalizers if name != FINALIZER)
