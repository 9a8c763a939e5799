"""What the steps that follow jobs share: which are listed, and why one failed."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from vault_autoupdate.arm.client import Purpose
from vault_autoupdate.model.azure import Job
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.reconcile.context import ReconcileContext

PAGES_FOR_ADOPTION: Final = 10
"""Pages of jobs that are searched for running ones; the newest come first."""

__all__ = ["PAGES_FOR_ADOPTION", "explanation_of", "jobs_named", "with_errors"]


async def jobs_named(context: ReconcileContext, names: Collection[str]) -> dict[str, Job]:
    """The vault's jobs by casefolded name, those in ``names`` among them as far as the vault lists them.

    An empty name stands for any job, so then more of the list is read. Raises `AzureError`.
    """
    site_recovery, vault_id = context.site_recovery, context.resource.spec.vault_resource_id
    call_context = context.call_context.to(Purpose.TRACK)
    if "" in names:
        jobs = await site_recovery.jobs(call_context, vault_id, most_pages=PAGES_FOR_ADOPTION)
    else:
        jobs = await site_recovery.jobs(call_context, vault_id, until_seen=names)
    return {job.key: job for job in jobs}


async def with_errors(context: ReconcileContext, job: Job) -> Job:
    """A job with its errors. The list does not tell them; the job itself does. Raises `AzureError`."""
    if job.errors:
        return job
    vault_id = context.resource.spec.vault_resource_id
    return await context.site_recovery.job(context.call_context, vault_id, job.name) or job


def explanation_of(job: Job) -> Explanation:
    """Why a job failed, in the words of its first error."""
    if not job.errors:
        return Explanation(
            code=job.state, message=f"The job ended as {job.state} {job.state_description}".strip() + "."
        )
    error = job.errors[0]
    return Explanation(
        error.code, error.message, error.possible_causes, error.recommended_action, activity_id=error.activity_id
    )
