"""Ask the activity log who has changed what was as declared: beside the work, which never waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Final

from vault_autoupdate.decide.attribution import Change, ChangedMapping, Drift, Standing, change_by, changed
from vault_autoupdate.decide.plan import Decision
from vault_autoupdate.model.activity import ActivityEntry
from vault_autoupdate.model.arm_id import fold
from vault_autoupdate.model.errors import AzureError
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.model.resource import DriftAttribution
from vault_autoupdate.reconcile.context import ReconcileContext
from vault_autoupdate.report.drift import sentence_of, sentence_of_nobody

_PATIENCE: Final = 30.0
"""Seconds for the questions of one look: what they wait for is beside the point of a pass."""
_TOO_SLOW: Final = Explanation("ActivityLogTooSlow", "The activity log did not answer in time.")

log = logging.getLogger(__name__)

__all__ = ["asking_who", "note_drift", "until_asked_again"]


def note_drift(context: ReconcileContext, undone: Iterable[Decision], last_look: datetime) -> None:
    """Have it asked who has changed some mappings since the last look, if that is wanted."""
    if context.resource.spec.drift.attribution is DriftAttribution.DISABLED or context.resource.deleting:
        return
    state, differing = context.state, ((each.id, each.reason) for each in undone)
    state.drift = changed(context.now(), last_look, differing, run_before=state.run.id if state.run else "")
    context.ask_who()


def until_asked_again(context: ReconcileContext) -> timedelta | None:
    """How long until the log is to be asked again; None when it is not."""
    drift = context.state.drift
    if drift is None or drift.next_look is None:
        return None
    return max(timedelta(), drift.next_look - context.now())


@asynccontextmanager
async def asking_who(context: ReconcileContext) -> AsyncIterator[None]:
    """While a pass goes on, ask the log whenever that is due; at its end once more what is due then.

    What a superseded pass has not learned, the next one asks.
    """
    state, asker = context.state, _Asker(context)
    state.drift = state.drift and state.drift.as_wanted(context.resource.spec.drift.attribution)
    context.ask_who = asker.wake
    if until_asked_again(context) is not None:
        asker.wake()
    try:
        yield
    except BaseException:
        asker.give_up()
        raise
    finally:
        context.ask_who = _nobody_asks  # or each would keep the other until garbage is looked for
        await asker.end()


def _nobody_asks() -> None:
    """Outside of a pass, or where nobody would be told."""


class _Asker:
    """Asks the log in a task of its own, which there is once there is something to ask: in few passes there is."""

    def __init__(self, context: ReconcileContext) -> None:
        self._context = context
        self._asking: asyncio.Task[None] | None = None
        self._woken: asyncio.Event | None = None
        self._ends = False
        """Whether the log is to be asked no further, but for what is due already."""

    def wake(self) -> None:
        """There is something to ask."""
        if self._woken is None:
            self._woken = asyncio.Event()
            self._asking = asyncio.create_task(self._ask_when_due(self._woken))
        self._woken.set()

    def give_up(self) -> None:
        """Learn nothing more."""
        if self._asking is not None:
            self._asking.cancel()

    async def end(self) -> None:
        """Ask what is due, and no more."""
        self._ends = True
        if self._asking is None:
            return
        self.wake()
        if self._context.superseded.is_set():
            self.give_up()
        with contextlib.suppress(asyncio.CancelledError):
            await self._asking

    async def _ask_when_due(self, woken: asyncio.Event) -> None:
        while True:
            wait = until_asked_again(self._context)
            if wait == timedelta():
                await _ask(self._context)
            elif self._ends:
                return
            else:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(None if wait is None else wait.total_seconds()):
                        await woken.wait()
                woken.clear()


async def _ask(context: ReconcileContext) -> None:
    """Ask the log about the last drift, once."""
    drift = context.state.drift
    if drift is None:
        return
    try:
        async with asyncio.timeout(_PATIENCE):
            changes = [await _change_of(context, drift, mapping) for mapping in drift.mappings]
    except TimeoutError:
        known = drift.not_looked(_TOO_SLOW, will_pass=True)
    except AzureError as error:
        known = drift.not_looked(error.explanation, will_pass=error.will_pass)
    else:
        known = drift.looked(changes)
    if context.state.drift is not drift:
        return  # more was found meanwhile: that is asked about next
    context.state.drift = known
    _tell(context, drift, known)


async def _change_of(context: ReconcileContext, drift: Drift, mapping: ChangedMapping) -> Change | None:
    until = drift.found_at + timedelta(seconds=1)  # the log counts finer than clocks are right
    read = await context.activity.of_resource(context.call_context, mapping.id, drift.since or until, until)
    return change_by(
        read.entries,
        mapping.id,
        drift,
        is_own=lambda entry: _is_own(context, drift, entry),
        attribution=context.resource.spec.drift.attribution,
    )


def _is_own(context: ReconcileContext, drift: Drift, entry: ActivityEntry) -> bool:
    """Whether a change was made by this operator: by this process, or in a run of one before it."""
    run = context.state.run
    runs = filter(None, (run.id if run else "", drift.run_before))
    is_of_run = any(fold(entry.request_id).startswith(f"{fold(run_id)}/") for run_id in runs)
    return is_of_run or context.site_recovery.client.own_writes.made(entry)


def _tell(context: ReconcileContext, before: Drift, now: Drift) -> None:
    """One line for whoever is named, and one where nobody can be."""
    for old, new in zip(before.mappings, now.mappings, strict=True):
        if new.change and new.change != old.change:
            log.warning("%s", sentence_of(new), extra=context.log_fields(mapping=new.path))
    if now.standing is not before.standing and now.standing in {Standing.NOT_IN_LOG, Standing.NOT_READABLE}:
        log.info("%s", sentence_of_nobody(now), extra=context.log_fields())
