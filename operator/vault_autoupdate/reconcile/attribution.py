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
    context.drift_found.set()


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
    state = context.state
    state.drift = state.drift and state.drift.as_wanted(context.resource.spec.drift.attribution)
    asking = asyncio.create_task(_ask_when_due(context))
    try:
        yield
    except BaseException:
        asking.cancel()
        raise
    finally:
        context.ends = True
        context.drift_found.set()
        if context.superseded.is_set():
            asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking


async def _ask_when_due(context: ReconcileContext) -> None:
    while True:
        wait = until_asked_again(context)
        if wait == timedelta():
            await _ask(context)
        elif context.ends:
            return
        else:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if wait is None else wait.total_seconds()):
                    await context.drift_found.wait()
            context.drift_found.clear()


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
