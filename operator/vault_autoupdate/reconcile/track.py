"""Track: find out what has become of the jobs in flight, and how often to ask."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Final

from vault_autoupdate.arm.throttle import CallKind
from vault_autoupdate.decide.schedule import poll_delay
from vault_autoupdate.reconcile.context import ReconcileContext
from vault_autoupdate.reconcile.jobs import follow
from vault_autoupdate.reconcile.mapping_work import MappingWork

log = logging.getLogger(__name__)

_LOOK: Final = "look at jobs"
_JOBS_ON_A_PAGE: Final = 100
"""About: what Site Recovery puts on one is not documented."""

__all__ = ["end_polls", "next_poll", "poll"]


def next_poll(context: ReconcileContext) -> timedelta:
    """How long to wait before the next `poll`: by the age of the oldest job, which is the next one to end.

    Where many vaults of one scope have jobs in flight, they look less often, so that the scope's reads suffice.
    """
    timing, operations = context.timing, context.state.operations
    oldest = min(operation.started_at for operation in operations.values())
    delay = poll_delay(context.now() - oldest, timing.poll_min, timing.poll_max)
    return max(delay, timedelta(seconds=_poll_interval(context, 1 + len(operations) // _JOBS_ON_A_PAGE)))


def end_polls(context: ReconcileContext) -> None:
    """Say that there will be no further `poll` for now, so that other vaults may look more often."""
    _poll_interval(context, 0)


def _poll_interval(context: ReconcileContext, calls: int) -> float:
    return context.throttle.poll_interval(context.call_context, CallKind.READ, calls)


async def poll(work: MappingWork) -> None:
    """Look at all jobs in flight and conclude those that have ended or taken too long.

    What cannot be looked at for a passing reason is left as it is for the next round, and the pass says why.

    Raises:
        AzureError: one that will not pass by itself.
    """
    context = work.context
    context.troubles.pop(_LOOK, None)
    if trouble := await follow(work):
        context.troubles[_LOOK] = f"Jobs cannot be looked at now: {trouble}"
        log.warning("jobs could not be looked at, they are again: %s", trouble, extra=context.log_fields())
