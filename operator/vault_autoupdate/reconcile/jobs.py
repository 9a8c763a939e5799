"""One flow for both kinds of work: a change is sent once, looked for after a lost answer, followed and concluded.

Whether a container mapping is changed or the agent of a machine updated: Azure makes a job of it, the answer may get
lost, the job may not say whose it is, and it has to come to an end that somebody is told of. What differs is in a
`Work`: what is sent, what the target says of itself, and where it is written down.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import ClassVar, Final, Generic, TypeVar

from vault_autoupdate.arm.client import Purpose
from vault_autoupdate.arm.site_recovery import Started
from vault_autoupdate.decide.jobs import (
    JobPhase,
    Operation,
    Standing,
    Target,
    Verdict,
    WorkKind,
    explanation_of,
    judge,
    phase_by_target,
    phase_of,
    running_on,
    unplaced,
)
from vault_autoupdate.model.azure import Job
from vault_autoupdate.model.errors import AzureError, Disposition, concerns_all
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.reconcile.context import ReconcileContext

TRIES: Final = 4
"""The first and three more, as the runbook does it."""
PAGES_FOR_ADOPTION: Final = 10
"""Pages of jobs that are searched for running ones; the newest come first."""
_FAILURES_IN_A_LOOK: Final = 3
"""Jobs that cannot be read after which a look is over: each has been asked for several times."""
_TIMED_OUT: Final = Explanation(
    "JobTimeout",
    "The job runs for longer than spec.jobTimeout and is waited for no longer.",
    recommended_action="Look at the job in the vault's Site Recovery jobs; cancel it there if it hangs.",
)

_MAY_HAVE_BEGUN: Final = Started("", done=False)

T = TypeVar("T", bound=Target)

__all__ = ["PAGES_FOR_ADOPTION", "TRIES", "Work", "follow", "recent_jobs", "send_once"]


class Work(ABC, Generic[T]):
    """One kind of work in a vault."""

    kind: ClassVar[WorkKind]
    gone: ClassVar[Explanation]
    """Why work has failed whose target is not there any more."""
    lost: ClassVar[Explanation]
    """Why work has failed whose job nobody knows and whose target is not as wanted."""

    def __init__(self, context: ReconcileContext) -> None:
        self.context = context

    @property
    @abstractmethod
    def operations(self) -> Mapping[str, Operation]:
        """What is under way, by key of the target."""

    @abstractmethod
    def label(self, target: T) -> str:
        """The target as people know it."""

    @abstractmethod
    async def targets(self) -> Sequence[Target]:
        """All targets of the vault, to tell whose a job is. Raises `AzureError`."""

    @abstractmethod
    async def send(self, target: T) -> Started:
        """Ask Azure for the change, once. Raises `AzureError`."""

    @abstractmethod
    async def look(self, target_id: str) -> Standing:
        """Ask the target itself how it stands. Raises `AzureError`."""

    @abstractmethod
    def note_start(self, target: T, started: Started) -> None:
        """The change was accepted, or may have been: then no job is named."""

    @abstractmethod
    def note_refusal(self, target: T, error: AzureError) -> None:
        """The change was refused, or did not get through, also after several tries."""

    @abstractmethod
    def note_end(self, operation: Operation, verdict: Verdict, explanation: Explanation, job: Job | None) -> None:
        """An operation is not waited for any longer."""

    def needs_errors(self, job: Job) -> bool:
        """Whether to read what a job says of its end. The list does not tell; the job itself does."""
        return phase_of(job.state) is JobPhase.FAILED

    def phase_of(self, job: Job) -> JobPhase:
        """What a job's state comes to."""
        return phase_of(job.state)


async def send_once(work: Work[T], target: T, is_over: Callable[[], bool] = lambda: False) -> bool:
    """Have one change made, and see to it that Azure is asked for it once.

    After an answer that got lost it is looked for before it is sent again. Where that cannot be seen, it counts as
    begun: its target tells in the end.

    Args:
        work: sends it, and notes what came of it.
        target: of the change.
        is_over: whether nothing more is to be sent.

    Returns:
        Whether it was dealt with. If not, nothing is under way: Azure asked to be left alone, or it was over before.

    Raises:
        AzureError: one that concerns all changes alike, so that no further one makes sense now.
    """
    began = work.context.now()
    for tries in range(1, TRIES + 1):
        if is_over():
            return False
        try:
            started: Started | None = await work.send(target)
        except AzureError as error:
            if error.disposition is Disposition.WAIT:
                return False  # refused unseen
            if concerns_all(error):
                raise
            refusal = error
            if not error.will_pass:
                break
            started = await _find_after_all(work, target, began, tries)
        if started is not None:
            work.note_start(target, started)
            return True
    work.note_refusal(target, refusal)
    return True


async def _find_after_all(work: Work[T], target: T, since: datetime, tries: int) -> Started | None:
    """Look for a change that was sent at ``since`` or later and whose answer got lost; None if it did not get through.

    Once sent it must not be forgotten: who is told to stop here notes that it may be under way.

    Raises:
        AzureError: one that concerns all changes alike.
    """
    context = work.context
    try:
        await context.pause(context.timing.retry_pause * 2 ** (tries - 1))
        for looks in range(TRIES):
            try:
                return await _look_for(work, target, since)
            except AzureError as error:
                label = work.label(target)
                context.troubles[target.key] = f"Whether the change of {label} got through cannot be seen now: {error}"
                if concerns_all(error):
                    work.note_start(target, _MAY_HAVE_BEGUN)
                    raise
                if not error.will_pass or context.superseded.is_set():
                    break
                await context.pause(context.timing.retry_pause * 2**looks)
    except asyncio.CancelledError:
        work.note_start(target, _MAY_HAVE_BEGUN)
        raise
    finally:
        context.troubles.pop(target.key, None)
    return _MAY_HAVE_BEGUN


async def _look_for(work: Work[T], target: T, since: datetime) -> Started | None:
    jobs = await recent_jobs(work.context, Purpose.MAKE_SURE)
    known = work.context.known_jobs
    running = running_on(await work.targets(), jobs, work.kind, known=known)
    if job := running.get(target.key):
        return Started(job.name, done=False)
    standing = await work.look(target.id)
    if standing is Standing.DONE:  # its job began and ended while the answer was on its way
        return Started("", done=True)
    placed = {*known, *(job.key for job in running.values())}
    if standing in {Standing.BUSY, Standing.GONE} or unplaced(jobs, work.kind, placed=placed, since=since):
        return _MAY_HAVE_BEGUN
    return None


async def follow(work: Work[T]) -> AzureError | None:
    """Look at all work under way, and conclude what has ended or taken too long. One list of jobs answers for all.

    Returns:
        What kept it from looking at some of it, if anything did and will pass: that is left for the next time.

    Raises:
        AzureError: one that will not pass by itself.
    """
    operations, trouble, failures = list(work.operations.values()), None, 0
    try:
        listed = await _listed(work.context, {operation.job_key for operation in operations})
    except AzureError as error:
        return _passing(error)
    for operation in operations:
        try:
            await _settle(work, operation, listed)
        except AzureError as error:
            trouble, failures = _passing(error), failures + 1
            if failures == _FAILURES_IN_A_LOOK:
                break
    return trouble


async def _settle(work: Work[T], operation: Operation, listed: Mapping[str, Job]) -> None:
    """Decide about one operation; where the list does not show its job, ask for it singly."""
    context, explanation = work.context, Explanation()
    job = listed.get(operation.job_key) if operation.job_id else None
    if job is None and operation.job_id:
        job = await _job(context, operation.job_id)
    if job is None:
        phase, explanation = await _phase_by_target(work, operation, listed.values())
    else:
        if work.needs_errors(job) and not job.errors:
            job = await _job(context, job.name) or job
        phase = work.phase_of(job)
        if phase is JobPhase.UNKNOWN:
            context.observer.job_state_unknown(job.state)
    verdict = judge(operation, phase, context.now(), context.resource.spec.job_timeout)
    if verdict is Verdict.RUNNING:
        return
    if verdict is Verdict.TIMED_OUT:
        explanation = _TIMED_OUT
    elif verdict is Verdict.FAILED and job:
        explanation = explanation_of(job)
    work.note_end(operation, verdict, explanation, job)


async def _phase_by_target(
    work: Work[T], operation: Operation, listed: Collection[Job]
) -> tuple[JobPhase, Explanation]:
    """What work comes to whose job is unknown or forgotten: the target itself tells.

    Work whose job was never named is over when nothing runs any more that it could be.
    """
    context = work.context
    standing = await work.look(operation.target_id)
    is_young = context.now() - operation.started_at < context.timing.poll_max
    may_run = not operation.job_id and bool(
        unplaced(listed, work.kind, placed=context.known_jobs, since=operation.started_at)
    )
    phase = phase_by_target(standing, is_young=is_young, may_run=may_run)
    if phase is not JobPhase.FAILED:
        return phase, Explanation()
    return phase, work.gone if standing is Standing.GONE else work.lost


async def recent_jobs(context: ReconcileContext, purpose: Purpose = Purpose.OBSERVE) -> list[Job]:
    """The newest of the vault's jobs, enough to find those that run. Raises `AzureError`."""
    vault_id = context.resource.spec.vault_resource_id
    return await context.site_recovery.jobs(context.call_context.to(purpose), vault_id, most_pages=PAGES_FOR_ADOPTION)


async def _listed(context: ReconcileContext, names: Collection[str]) -> dict[str, Job]:
    """The vault's jobs by casefolded name, those in ``names`` among them as far as the vault lists them.

    An empty name stands for any job, so then more of the list is read. Raises `AzureError`.
    """
    if "" in names:
        jobs = await recent_jobs(context, Purpose.TRACK)
    else:
        vault_id, call = context.resource.spec.vault_resource_id, context.call_context.to(Purpose.TRACK)
        jobs = await context.site_recovery.jobs(call, vault_id, until_seen=names)
    return {job.key: job for job in jobs}


async def _job(context: ReconcileContext, name: str) -> Job | None:
    """One job with its errors; None when Site Recovery does not know it (any more). Raises `AzureError`."""
    return await context.site_recovery.job(context.call_context, context.resource.spec.vault_resource_id, name)


def _passing(error: AzureError) -> AzureError:
    """An error that may pass by itself; raises the others."""
    if not error.will_pass:
        raise error
    return error
