"""Track: find out what has become of the jobs in flight. One list of jobs answers for all of them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Final

from vault_autoupdate.arm.throttle import CallKind
from vault_autoupdate.decide.attempts import Attempt, FailureReason, failed, started
from vault_autoupdate.decide.jobs import JobPhase, Operation, Verdict, judge, phase_of, unidentified_running
from vault_autoupdate.decide.plan import Action
from vault_autoupdate.decide.schedule import poll_delay
from vault_autoupdate.model.arm_id import mapping_path
from vault_autoupdate.model.azure import Job
from vault_autoupdate.model.errors import ArmError, AzureError, Disposition
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.reconcile.context import ReconcileContext
from vault_autoupdate.reconcile.jobs import explanation_of, jobs_named, with_errors
from vault_autoupdate.reconcile.observe import look_at_one

log = logging.getLogger(__name__)

_LOOK: Final = "look at jobs"
_FAILURES_IN_A_LOOK: Final = 3
"""Jobs that cannot be read after which a look is over: each has been asked for several times."""
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


async def poll(context: ReconcileContext) -> None:
    """Look at all jobs in flight and settle those that have ended or taken too long.

    What cannot be looked at for a passing reason is left as it is for the next round, and the pass says why.

    Raises:
        AzureError: one that will not pass by itself.
    """
    operations = list(context.state.operations.values())
    failures = 0
    context.troubles.pop(_LOOK, None)
    try:
        listed = await _listed(context, operations)
    except AzureError as error:
        _note_trouble(context, error)
        return
    for operation in operations:
        try:
            await _settle(context, operation, listed)
        except AzureError as error:
            _note_trouble(context, error)
            failures += 1
            if failures == _FAILURES_IN_A_LOOK:
                return


async def _listed(context: ReconcileContext, operations: Iterable[Operation]) -> dict[str, Job]:
    """The jobs of ``operations`` that the vault lists, and others, by name.

    Of a change for which Azure has named no job, any job may be the one, so more of the list is read.
    """
    return await jobs_named(context, {operation.job_id.casefold() for operation in operations})


def _note_trouble(context: ReconcileContext, error: AzureError) -> None:
    """Take note of an error that may pass by itself; raises the others."""
    if error.disposition not in {Disposition.RETRY, Disposition.WAIT}:
        raise error
    context.troubles[_LOOK] = f"Jobs cannot be looked at now: {error}"
    log.warning("jobs could not be looked at, they are again: %s", error, extra=context.log_fields())


async def _settle(context: ReconcileContext, operation: Operation, listed: Mapping[str, Job]) -> None:
    """Decide about one operation; where the list does not show its job, ask for it singly."""
    vault_id, job = context.resource.spec.vault_resource_id, listed.get(operation.job_id.casefold())
    if job is None and operation.job_id:
        job = await context.site_recovery.job(context.call_context, vault_id, operation.job_id)
    explanation = Explanation()
    if job:
        phase = phase_of(job.state)
    else:
        phase, explanation = await _judge_by_mapping(context, operation, listed.values())
    if phase is JobPhase.UNKNOWN and job:
        context.observer.job_state_unknown(job.state)
    verdict = judge(operation, phase, context.now(), context.resource.spec.job_timeout)
    if verdict is Verdict.RUNNING:
        return
    if verdict is Verdict.FAILED and job:
        explanation = explanation_of(await with_errors(context, job))
    elif verdict is Verdict.TIMED_OUT:
        explanation = Explanation(
            code="JobTimeout",
            message=f"The job is {job.state if job else 'unknown'} after spec.jobTimeout and is waited for no longer.",
            recommended_action="Look at the job in the vault's Site Recovery jobs; cancel it there if it hangs.",
        )
    _conclude(context, operation, verdict, explanation)


async def _judge_by_mapping(
    context: ReconcileContext, operation: Operation, listed: Iterable[Job]
) -> tuple[JobPhase, Explanation]:
    """What a change comes to whose job is unknown or forgotten: the mapping itself tells.

    A job that has only just begun may not be known everywhere yet, and is given the time between two looks. One that
    was never named is over when nothing runs any more that it could be.
    """
    try:
        action = await look_at_one(context, operation.mapping_id)
    except ArmError as error:
        if not error.absent:
            raise
        return JobPhase.FAILED, Explanation("MappingNotFound", "Site Recovery does not know the mapping any more.")
    if action is Action.KEEP:
        return JobPhase.SUCCEEDED, Explanation()
    if context.now() - operation.started_at < context.timing.poll_max:
        return JobPhase.RUNNING, Explanation()
    if not operation.job_id:
        state = context.state
        identified = {each.job_id.casefold(): each for each in state.operations.values()}
        identified |= dict.fromkeys(state.given_up, operation)
        if unidentified_running(listed, identified=identified, since=operation.started_at):
            return JobPhase.RUNNING, Explanation()
    if action is Action.REPAIR:  # it was as declared before, too: now it is the job that is over
        return JobPhase.SUCCEEDED, Explanation()
    return JobPhase.FAILED, Explanation(
        "JobNotFound", "Site Recovery does not know the job any more, and the mapping is not as declared."
    )


def _conclude(context: ReconcileContext, operation: Operation, verdict: Verdict, explanation: Explanation) -> None:
    """Note how an operation ended."""
    state, now, key = context.state, context.now(), operation.key
    run = context.begin_run()
    state.operations.pop(key, None)
    path = mapping_path(operation.mapping_id)
    seconds = (now - operation.started_at).total_seconds()
    context.observer.job_ended(path, verdict, seconds, explanation)
    if verdict is Verdict.SUCCEEDED:
        run.succeeded += 1
        state.actions[key] = Action.KEEP
        log.debug("job succeeded", extra=context.log_fields(mapping=path, job=operation.job_id))
        return
    if verdict is Verdict.TIMED_OUT:
        run.timed_out += 1
        state.given_up.add(operation.job_id.casefold())
        reason = FailureReason.TIMED_OUT
    else:
        run.failed += 1
        reason = FailureReason.JOB_FAILED
    attempt: Attempt = state.attempts.get(key) or started(None, now, context.backoff)
    state.attempts[key] = failed(attempt, reason, explanation, now, context.backoff, job_id=operation.job_id)
    state.paths[key] = path
    state.actions[key] = Action.WAIT
    log.warning(
        "job of %s: %s: %s %s",
        path,
        verdict,
        explanation.code,
        explanation.message,
        extra=context.log_fields(mapping=path, job=operation.job_id, reason=str(verdict)),
    )
