"""Observe: read what the vault says and decide what follows from it. Reads only."""

from __future__ import annotations

import logging
from typing import Final

from vault_autoupdate.arm.throttle import CallKind
from vault_autoupdate.decide.jobs import adopt, is_about_something_else, unidentified_running
from vault_autoupdate.decide.plan import Action, Plan, decide, make_plan
from vault_autoupdate.model.arm_id import mapping_path
from vault_autoupdate.model.azure import ContainerMapping, Job
from vault_autoupdate.model.errors import ArmError
from vault_autoupdate.reconcile.context import ReconcileContext
from vault_autoupdate.reconcile.jobs import PAGES_FOR_ADOPTION

_FORBIDDEN: Final = 403
_USUAL_READS: Final = 3
"""Mappings, jobs, and mappings again. The throttle is told, so that a vault that was begun is read before others."""

log = logging.getLogger(__name__)

__all__ = ["look_at_one", "observe"]


async def observe(context: ReconcileContext) -> Plan:
    """Read the vault's mappings, and its jobs if something differs, and plan.

    Takes what was found into the pass's state: where each mapping stands, and jobs of others that are adopted.

    Raises:
        AzureError: the vault could not be read.
    """
    await _locate(context)
    throttle, call = context.throttle, context.call_context
    throttle.expect_calls(call, CallKind.READ, _USUAL_READS)
    try:
        return await _observe(context)
    finally:
        throttle.expect_calls(call, CallKind.READ, 0)


async def _observe(context: ReconcileContext) -> Plan:
    state = context.state
    plan = await _read_mappings(context)
    if plan.actionable or state.taken_over:
        plan = await _look_at_jobs(context, plan)
    elif not state.looked:
        _count_earlier_writes(context, await _jobs(context) if state.may_have_written else [])
    if state.assume_omitted(plan):
        plan = _plan(context, [decision.mapping for decision in plan.decisions])
    state.look(plan, context.goal)
    if plan.actionable:
        counts = plan.counts
        context.observer.drift_found(counts[Action.PATCH], counts[Action.REPAIR])
        for decision in plan.actionable:
            log.debug("%s: %s", decision.mapping.path, decision.reason, extra=context.log_fields())
    return plan


async def _read_mappings(context: ReconcileContext) -> Plan:
    """Read all mappings, forget operations on those that are gone, and plan."""
    state = context.state
    vault_id = context.resource.spec.vault_resource_id
    mappings = await context.site_recovery.mappings(context.call_context, vault_id)
    context.mappings = mappings
    present = {mapping.key for mapping in mappings}
    state.operations = {key: operation for key, operation in state.operations.items() if key in present}
    return _plan(context, mappings)


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


async def _look_at_jobs(context: ReconcileContext, plan: Plan) -> Plan:
    """Adopt the jobs that are at work on mappings: patching those again would start a second one.

    A job may end between the two readings: then the mappings that were read do not show its effect yet, and the
    jobs that were read do not show it running any more. So where there are jobs about mappings at all, the mappings
    are read once more, after the jobs.
    """
    state = context.state
    jobs = await _jobs(context)
    state.taken_over = False
    if any(not is_about_something_else(job) for job in jobs):
        plan = await _read_mappings(context)
    if not state.looked:
        _count_earlier_writes(context, jobs)
    ours = {operation.job_id.casefold() for operation in state.operations.values()}
    in_scope = {decision.mapping.key for decision in plan.decisions if decision.action is not Action.IGNORE}
    mappings = [decision.mapping for decision in plan.decisions]
    adopted = {
        operation.key: operation
        for operation in adopt(mappings, jobs, known=ours | state.given_up, now=context.now())
        if operation.key in in_scope
    }
    for operation in adopted.values():
        path = mapping_path(operation.mapping_id)
        log.info("found a running job: tracking it", extra=context.log_fields(mapping=path, job=operation.job_id))
    state.operations.update(adopted)
    context.unidentified = []
    if state.interrupted and state.run:
        identified = dict.fromkeys((*ours, *state.given_up))
        identified.update((operation.job_id.casefold(), None) for operation in adopted.values())
        context.unidentified = unidentified_running(jobs, identified=identified, since=state.run.started_at)
    return _plan(context, mappings)


def _count_earlier_writes(context: ReconcileContext, jobs: list[Job]) -> None:
    """On the first look of a process: what was begun in the last minute stands in the server's windows already.

    That goes for jobs about machines too, and for those of others.
    """
    now = context.now()
    ages = [max(0.0, (now - job.started_at).total_seconds()) for job in jobs if job.started_at is not None]
    context.throttle.spent(context.call_context, CallKind.WRITE, ages)


async def _jobs(context: ReconcileContext) -> list[Job]:
    vault_id = context.resource.spec.vault_resource_id
    return await context.site_recovery.jobs(context.call_context, vault_id, most_pages=PAGES_FOR_ADOPTION)


def _plan(context: ReconcileContext, mappings: list[ContainerMapping]) -> Plan:
    state = context.state
    return make_plan(
        context.goal,
        mappings,
        running=state.operations,
        attempts=state.attempts,
        missing=state.artifacts_missing,
        now=context.now(),
    )


async def look_at_one(context: ReconcileContext, mapping_id: str) -> Action:
    """Read one mapping and tell what would be done about it. Raises `AzureError`."""
    mapping = await context.site_recovery.mapping(context.call_context, mapping_id)
    return decide(context.goal, mapping, running=False, attempt=None, now=context.now()).action
