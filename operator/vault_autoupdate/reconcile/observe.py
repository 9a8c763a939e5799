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
from vault_autoupdate.reconcile.context import VaultPass
from vault_autoupdate.reconcile.jobs import PAGES_FOR_ADOPTION

_FORBIDDEN: Final = 403
_USUAL_READS: Final = 3
"""Mappings, jobs, and mappings again. Announced, so that a vault that was begun is read to the end before others."""

log = logging.getLogger(__name__)

__all__ = ["look_at_one", "observe"]


async def observe(vault_pass: VaultPass) -> Plan:
    """Read the vault's mappings, and its jobs if something differs, and plan.

    Takes what was found into the pass's state: where each mapping stands, and jobs of others that are adopted.

    Raises:
        AzureError: the vault could not be read.
    """
    await _locate(vault_pass)
    throttle, context = vault_pass.site_recovery.client.throttle, vault_pass.context
    throttle.announce(context.scope, CallKind.READ, context.key, _USUAL_READS)
    try:
        return await _observe(vault_pass)
    finally:
        throttle.announce(context.scope, CallKind.READ, context.key, 0)


async def _observe(vault_pass: VaultPass) -> Plan:
    state = vault_pass.state
    plan = await _read_mappings(vault_pass)
    if plan.actionable or state.taken_over:
        plan = await _look_at_jobs(vault_pass, plan)
    if state.assume_omitted(plan):
        plan = _plan(vault_pass, [decision.mapping for decision in plan.decisions])
    state.look(plan, vault_pass.goal)
    if plan.actionable:
        counts = plan.counts
        vault_pass.observer.drift_found(counts[Action.PATCH], counts[Action.REPAIR])
        for decision in plan.actionable:
            log.debug("%s: %s", decision.mapping.path, decision.reason, extra=vault_pass.log_fields())
    return plan


async def _read_mappings(vault_pass: VaultPass) -> Plan:
    """Read all mappings, forget operations on those that are gone, and plan."""
    state = vault_pass.state
    vault_id = vault_pass.resource.spec.vault_resource_id
    mappings = await vault_pass.site_recovery.mappings(vault_pass.context, vault_id)
    vault_pass.mappings = mappings
    present = {mapping.key for mapping in mappings}
    state.operations = {key: operation for key, operation in state.operations.items() if key in present}
    return _plan(vault_pass, mappings)


async def _locate(vault_pass: VaultPass) -> None:
    """Learn the vault's region, once: it decides which limits its calls count against.

    An identity that may manage the mappings but not read the vault goes by the subscription instead.
    """
    state = vault_pass.state
    vault_id = vault_pass.resource.spec.vault_resource_id
    if state.location or (state.vault_name and state.actions):
        return
    try:
        vault = await vault_pass.site_recovery.vault(vault_pass.context, vault_id)
    except ArmError as error:
        if error.status != _FORBIDDEN:
            raise
        log.info("the vault itself may not be read: its limits are the subscription's", extra=vault_pass.log_fields())
        state.vault_name = vault_id.name
    else:
        state.vault_name, state.location = vault.name, vault.location


async def _look_at_jobs(vault_pass: VaultPass, plan: Plan) -> Plan:
    """Adopt the jobs that are at work on mappings: patching those again would start a second one.

    A job may end between the two readings: then the mappings that were read do not show its effect yet, and the
    jobs that were read do not show it running any more. So where there are jobs about mappings at all, the mappings
    are read once more, after the jobs.
    """
    state = vault_pass.state
    jobs = await vault_pass.site_recovery.jobs(
        vault_pass.context, vault_pass.resource.spec.vault_resource_id, most_pages=PAGES_FOR_ADOPTION
    )
    state.taken_over = False
    if any(not is_about_something_else(job) for job in jobs):
        plan = await _read_mappings(vault_pass)
    if not state.actions:
        _count_earlier_writes(vault_pass, jobs)
    ours = {operation.job_id.casefold() for operation in state.operations.values()}
    in_scope = {decision.mapping.key for decision in plan.decisions if decision.action is not Action.IGNORE}
    mappings = [decision.mapping for decision in plan.decisions]
    adopted = {
        operation.key: operation
        for operation in adopt(mappings, jobs, known=ours | state.given_up, now=vault_pass.now())
        if operation.key in in_scope
    }
    for operation in adopted.values():
        path = mapping_path(operation.mapping_id)
        log.info("found a running job: tracking it", extra=vault_pass.log_fields(mapping=path, job=operation.job_id))
    state.operations.update(adopted)
    vault_pass.unidentified = []
    if state.interrupted and state.run:
        identified = dict.fromkeys((*ours, *state.given_up))
        identified.update((operation.job_id.casefold(), None) for operation in adopted.values())
        vault_pass.unidentified = unidentified_running(jobs, identified=identified, since=state.run.started_at)
    return _plan(vault_pass, mappings)


def _count_earlier_writes(vault_pass: VaultPass, jobs: list[Job]) -> None:
    """On the first look of a process: what was begun in the last minute stands in the server's windows already."""
    context, now = vault_pass.context, vault_pass.now()
    ages = [
        max(0.0, (now - job.started_at).total_seconds())
        for job in jobs
        if job.started_at is not None and not is_about_something_else(job)
    ]
    vault_pass.site_recovery.client.throttle.spent(context.scope, CallKind.WRITE, ages)


def _plan(vault_pass: VaultPass, mappings: list[ContainerMapping]) -> Plan:
    state = vault_pass.state
    return make_plan(
        vault_pass.goal,
        mappings,
        running=state.operations,
        attempts=state.attempts,
        missing=state.artifacts_missing,
        now=vault_pass.now(),
    )


async def look_at_one(vault_pass: VaultPass, mapping_id: str) -> Action:
    """Read one mapping and tell what would be done about it. Raises `AzureError`."""
    mapping = await vault_pass.site_recovery.mapping(vault_pass.context, mapping_id)
    return decide(vault_pass.goal, mapping, running=False, attempt=None, now=vault_pass.now()).action
