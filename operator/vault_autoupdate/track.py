"""Track: find out what has become of the jobs in flight. One list of jobs answers for all of them."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Final

from vault_autoupdate.attempts import Attempt, Explanation, FailureReason, failed, started
from vault_autoupdate.errors import AzureError, Disposition
from vault_autoupdate.jobs import JobPhase, Operation, Verdict, judge, phase_of
from vault_autoupdate.observe import look_at_one
from vault_autoupdate.observed import Job
from vault_autoupdate.plan import Action
from vault_autoupdate.resource_id import mapping_path
from vault_autoupdate.schedule import poll_delay
from vault_autoupdate.throttle import CallKind
from vault_autoupdate.vault_pass import VaultPass

log = logging.getLogger(__name__)

_JOBS_ON_A_PAGE: Final = 100
"""About: what Site Recovery puts on one is not documented."""

__all__ = ["end_polls", "next_poll", "poll"]


def next_poll(vault_pass: VaultPass) -> timedelta:
    """How long to wait before the next `poll`: by the age of the oldest job, which is the next one to end.

    Where many vaults of one scope have jobs in flight, they look less often, so that the scope's reads suffice.
    """
    timing, operations = vault_pass.timing, vault_pass.state.operations
    oldest = min(operation.started_at for operation in operations.values())
    delay = poll_delay(vault_pass.now() - oldest, timing.poll_min, timing.poll_max)
    return max(delay, timedelta(seconds=_rhythm(vault_pass, 1 + len(operations) // _JOBS_ON_A_PAGE)))


def end_polls(vault_pass: VaultPass) -> None:
    """Say that there will be no further `poll` for now, so that other vaults may look more often."""
    _rhythm(vault_pass, 0)


def _rhythm(vault_pass: VaultPass, calls: int) -> float:
    context = vault_pass.context
    return vault_pass.site_recovery.client.throttle.rhythm(context.scope, CallKind.READ, context.key, calls)


async def poll(vault_pass: VaultPass) -> None:
    """Look at all jobs in flight and settle those that have ended or taken too long.

    A look that fails for a passing reason leaves everything as it is for the next round.

    Raises:
        AzureError: one that will not pass by itself.
    """
    operations = list(vault_pass.state.operations.values())
    names = {operation.job_id.casefold() for operation in operations if operation.job_id}
    try:
        listed = (
            {
                job.key: job
                for job in await vault_pass.site_recovery.jobs(
                    vault_pass.context, vault_pass.resource.spec.vault_resource_id, until_seen=names
                )
            }
            if names
            else {}
        )
        for operation in operations:
            await _settle(vault_pass, operation, listed.get(operation.job_id.casefold()))
    except AzureError as error:
        if error.disposition not in {Disposition.RETRY, Disposition.WAIT}:
            raise
        log.warning("the jobs could not be read, they are looked at again: %s", error, extra=vault_pass.log_fields())


async def _settle(vault_pass: VaultPass, operation: Operation, job: Job | None) -> None:
    """Decide about one operation; where the list does not show its job, ask for it singly."""
    vault_id = vault_pass.resource.spec.vault_resource_id
    if job is None and operation.job_id:
        job = await vault_pass.site_recovery.job(vault_pass.context, vault_id, operation.job_id)
    phase = phase_of(job.state) if job else await _phase_without_job(vault_pass, operation)
    if phase is JobPhase.UNKNOWN and job:
        vault_pass.observer.job_state_unknown(job.state)
    verdict = judge(operation, phase, vault_pass.now(), vault_pass.resource.spec.job_timeout)
    if verdict is Verdict.RUNNING:
        return
    explanation = Explanation()
    if verdict is Verdict.FAILED:
        explanation = await _explain(vault_pass, operation, job)
    elif verdict is Verdict.TIMED_OUT:
        explanation = Explanation(
            code="JobTimeout",
            message=f"The job is {job.state if job else 'unknown'} after spec.jobTimeout and is waited for no longer.",
            recommended_action="Look at the job in the vault's Site Recovery jobs; cancel it there if it hangs.",
        )
    _conclude(vault_pass, operation, verdict, explanation)


async def _phase_without_job(vault_pass: VaultPass, operation: Operation) -> JobPhase:
    """What a change comes to whose job is unknown or forgotten: the mapping itself tells."""
    if await look_at_one(vault_pass, operation.mapping_id) in {Action.KEEP, Action.REPAIR}:
        return JobPhase.SUCCEEDED
    return JobPhase.FAILED if operation.job_id else JobPhase.RUNNING


async def _explain(vault_pass: VaultPass, operation: Operation, job: Job | None) -> Explanation:
    """Why a job failed. The list does not say; the job itself does."""
    vault_id = vault_pass.resource.spec.vault_resource_id
    if job is None:
        return Explanation(
            code="JobNotFound",
            message="Site Recovery does not know the job any more, and the mapping is not as declared.",
        )
    if not job.errors:
        job = await vault_pass.site_recovery.job(vault_pass.context, vault_id, operation.job_id) or job
    if not job.errors:
        return Explanation(
            code=job.state, message=f"The job ended as {job.state} {job.state_description}".strip() + "."
        )
    error = job.errors[0]
    return Explanation(error.code, error.message, error.possible_causes, error.recommended_action)


def _conclude(vault_pass: VaultPass, operation: Operation, verdict: Verdict, explanation: Explanation) -> None:
    """Note how an operation ended."""
    state, now, key = vault_pass.state, vault_pass.now(), operation.key
    run = vault_pass.begin_run()
    state.operations.pop(key, None)
    path = mapping_path(operation.mapping_id)
    seconds = (now - operation.started_at).total_seconds()
    vault_pass.observer.job_ended(path, verdict, seconds, explanation)
    if verdict is Verdict.SUCCEEDED:
        run.succeeded += 1
        state.actions[key] = Action.KEEP
        log.debug("job succeeded", extra=vault_pass.log_fields(mapping=path, job=operation.job_id))
        return
    if verdict is Verdict.TIMED_OUT:
        run.timed_out += 1
        state.given_up.add(operation.job_id.casefold())
        reason = FailureReason.TIMED_OUT
    else:
        run.failed += 1
        reason = FailureReason.JOB_FAILED
    attempt: Attempt = state.attempts.get(key) or started(None, now, vault_pass.backoff)
    state.attempts[key] = failed(attempt, reason, explanation, now, vault_pass.backoff, job_id=operation.job_id)
    state.paths[key] = path
    state.actions[key] = Action.WAIT
    log.warning(
        "job of %s: %s: %s %s",
        path,
        verdict,
        explanation.code,
        explanation.message,
        extra=vault_pass.log_fields(mapping=path, job=operation.job_id, reason=str(verdict)),
    )
