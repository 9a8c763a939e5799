"""Plan: take in what was observed, and decide about every mapping. No calls."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from vault_autoupdate.arm.throttle import CallKind
from vault_autoupdate.decide.jobs import WorkKind, adopt, unplaced
from vault_autoupdate.decide.plan import Action, Plan, is_in_scope, make_plan
from vault_autoupdate.model.azure import ContainerMapping, Job
from vault_autoupdate.reconcile.attribution import note_drift
from vault_autoupdate.reconcile.context import ReconcileContext
from vault_autoupdate.reconcile.observe import Observation

log = logging.getLogger(__name__)

__all__ = ["plan"]


def plan(context: ReconcileContext, observation: Observation) -> Plan:
    """Decide about every mapping, once a look, from what the vault said and what is remembered.

    Takes what was found into the pass's state: where each mapping stands, and jobs of others that are adopted.
    """
    state, mappings = context.state, observation.mappings
    state.keep_present(mappings)
    if not state.looked:
        _count_earlier_writes(context, observation.jobs or ())
    if observation.jobs is not None:
        _take_in_jobs(context, mappings, observation.jobs)
    made = _decide(context, mappings)
    if state.omitted:  # after a restart, once
        state.assume_omitted(decision.key for decision in made.actionable)
        made = _decide(context, mappings)
    last_look = state.looked_at
    undone = state.look(made, context.goal, observation.began)
    if undone and last_look:
        note_drift(context, undone, last_look)
    context.mappings = mappings
    if made.actionable:
        counts = made.counts
        context.observer.drift_found(counts[Action.PATCH], counts[Action.REPAIR])
        for decision in made.actionable:
            log.debug("%s: %s", decision.mapping.path, decision.reason, extra=context.log_fields())
    return made


def _decide(context: ReconcileContext, mappings: Sequence[ContainerMapping]) -> Plan:
    state = context.state
    return make_plan(
        context.goal,
        mappings,
        running=state.operations,
        attempts=state.attempts,
        missing=state.artifacts_missing,
        now=context.now(),
    )


def _take_in_jobs(context: ReconcileContext, mappings: Sequence[ContainerMapping], jobs: Sequence[Job]) -> None:
    """Adopt the jobs that are at work on mappings: patching those again would start a second one."""
    state, known = context.state, context.known_jobs
    state.taken_over = False
    in_scope = {mapping.key for mapping in mappings if is_in_scope(mapping)}
    found = adopt(mappings, jobs, WorkKind.MAPPING, known=known, now=context.now())
    adopted = [operation for operation in found if operation.key in in_scope]
    for operation in adopted:
        fields = context.log_fields(mapping=operation.label, job=operation.job_id)
        log.info("found a running job: tracking it", extra=fields)
    state.adopt(adopted)
    context.unidentified = []
    if state.interrupted and state.run:
        placed = {*known, *(operation.job_key for operation in adopted)}
        context.unidentified = unplaced(jobs, WorkKind.MAPPING, placed=placed, since=state.run.started_at)


def _count_earlier_writes(context: ReconcileContext, jobs: Sequence[Job]) -> None:
    """On the first look of a process: what was begun in the last minute stands in the server's windows already.

    That goes for jobs about machines too, and for those of others.
    """
    now = context.now()
    ages = [max(0.0, (now - job.started_at).total_seconds()) for job in jobs if job.started_at is not None]
    context.throttle.spent(context.call_context, CallKind.WRITE, ages)
