"""Observe: read what the vault says. Reads only, and decides nothing."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from vault_autoupdate.arm.throttle import CallKind
from vault_autoupdate.decide.jobs import WorkKind, may_be_about
from vault_autoupdate.decide.plan import decide
from vault_autoupdate.model.azure import ContainerMapping, Job
from vault_autoupdate.model.errors import ArmError
from vault_autoupdate.reconcile.context import ReconcileContext
from vault_autoupdate.reconcile.jobs import recent_jobs
from vault_autoupdate.reconcile.mapping_work import read_mappings

_FORBIDDEN: Final = 403
_USUAL_READS: Final = 3
"""Mappings, jobs, and mappings again. The throttle is told, so that a vault that was begun is read before others."""

log = logging.getLogger(__name__)

__all__ = ["Observation", "observe"]


@dataclass(frozen=True)
class Observation:
    """What a vault said."""

    began: datetime
    mappings: Sequence[ContainerMapping]
    jobs: Sequence[Job] | None
    """The newest jobs; None where they do not matter, since all is as declared and nobody was interrupted."""


async def observe(context: ReconcileContext) -> Observation:
    """Read the vault's mappings, and its jobs if something differs or others may have left some running.

    A job may end between the two readings: then the mappings that were read do not show its effect yet, and the
    jobs that were read do not show it running any more. So where there are jobs about mappings at all, the mappings
    are read once more, after the jobs.

    Raises:
        AzureError: the vault could not be read.
    """
    await _locate(context)
    began = context.now()
    context.throttle.expect_calls(context.call_context, CallKind.READ, _USUAL_READS)
    try:
        mappings = await _read(context)
        if not _jobs_matter(context, mappings):
            return Observation(began, mappings, None)
        jobs = await recent_jobs(context)
        if any(may_be_about(job, WorkKind.MAPPING) for job in jobs):
            mappings = await _read(context)
        return Observation(began, mappings, jobs)
    finally:
        context.throttle.expect_calls(context.call_context, CallKind.READ, 0)


async def _read(context: ReconcileContext) -> list[ContainerMapping]:
    return [mapping for mapping in await read_mappings(context) if context.select(mapping)]


async def _locate(context: ReconcileContext) -> None:
    """Learn the vault's region, once: it decides which limits its calls count against.

    An identity that may manage the mappings but not read the vault goes by the subscription instead.
    """
    state = context.state
    vault_id = context.resource.spec.vault_resource_id
    if state.location or (state.vault_name and state.actions):
        return
    try:
        vault = await context.site_recovery.vault(context.call_context, vault_id)
    except ArmError as error:
        if error.status != _FORBIDDEN:
            raise
        log.info("the vault itself may not be read: its limits are the subscription's", extra=context.log_fields())
        state.vault_name = vault_id.name
    else:
        state.vault_name, state.location = vault.name, vault.location


def _jobs_matter(context: ReconcileContext, mappings: Sequence[ContainerMapping]) -> bool:
    """Whether a change may follow, so that it matters which jobs run already; or others may have begun some."""
    state = context.state
    if state.taken_over or (not state.looked and state.may_have_written):
        return True
    return any(
        decide(
            context.goal,
            each,
            running=state.operations.get(each.key),
            attempt=state.attempts.get(each.key),
            missing=state.artifacts_missing.get(each.key),
            now=context.now(),
        ).actionable
        for each in mappings
    )
