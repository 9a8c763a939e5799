"""Update the agents of a vault's machines in windows: one step at a time, each from what the vault says now.

A step tracks the updates under way, lets `vault_autoupdate.decide.rollout` decide, and starts what that says. It never
waits for a job, so that a rollout of hours keeps nothing else of the vault waiting; the next step is due when the first
of the jobs may have ended, or when a window opens or closes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from vault_autoupdate.decide.jobs import JobPhase, Verdict, judge, phase_of
from vault_autoupdate.decide.rollout import (
    AgentUpdate,
    Phase,
    Rollout,
    RolloutDecision,
    decide,
    enter,
    forget_current,
    is_reboot_note,
    note_failure,
    note_refusal,
    note_start,
    note_success,
)
from vault_autoupdate.decide.schedule import poll_delay
from vault_autoupdate.model.azure import Job, Machine
from vault_autoupdate.model.errors import ArmError, AzureError, Disposition, concerns_all
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.model.resource import Mode, RolloutRules
from vault_autoupdate.reconcile.agents import read_machines
from vault_autoupdate.reconcile.context import ReconcileContext
from vault_autoupdate.reconcile.jobs import PAGES_FOR_ADOPTION, explanation_of, jobs_named, with_errors
from vault_autoupdate.reconcile.looks import explain

_TRIES: Final = 4
"""One and three more, as for mappings."""
_MOST_LOOKED_AT: Final = 50
"""Machines that are read one by one in a step: as many as ``maxConcurrent`` may be."""
_FRESH_FOR: Final = timedelta(minutes=15)
"""So long are machines taken to be as they were read, while a window is open: others may update them too."""
_DONE_PLAINLY: Final = "completed"

log = logging.getLogger(__name__)

__all__ = ["advance"]


async def advance(
    context: ReconcileContext,
    rules: RolloutRules | None,
    *,
    request: str | None = None,
    select: Callable[[Machine], bool] = lambda _: True,
) -> timedelta | None:
    """Take one step: track what is under way, and start what may start now.

    Args:
        context: its state's ``rollout`` is changed in place.
        rules: how to roll out; None to track what is under way and start nothing.
        request: what asks for a window now, if anything does.
        select: which machines are updated at all.

    Returns:
        How long until the next step makes sense; None when nothing but another look at the vault brings any news.
    """
    state = context.state
    if rules is None and not (state.rollout and state.rollout.updates):
        handled = state.rollout.handled_request if state.rollout else None
        state.rollout = Rollout(handled_request=handled) if handled is not None else None
        state.rollout_decision, state.next_window, state.machines = None, None, ()
        return None
    rollout = state.rollout = state.rollout or Rollout()
    try:
        ended = await _track(context, rollout)
        if rules is None:
            state.rollout_decision, state.next_window = RolloutDecision(Phase.CLOSED), None
            return _until_next_poll(context, rollout) if rollout.updates else timedelta()
        return await _roll_out(context, rollout, rules, request, select, look=ended and not rollout.updates)
    except AzureError as error:
        return _note_error(context, rollout, error)


async def _roll_out(
    context: ReconcileContext,
    rollout: Rollout,
    rules: RolloutRules,
    request: str | None,
    select: Callable[[Machine], bool],
    *,
    look: bool,
) -> timedelta | None:
    state, audit = context.state, context.resource.spec.mode is Mode.AUDIT
    is_new = enter(rollout, rules, request, context.now())
    is_open = rollout.window is not None and rollout.window.is_open(context.now())
    is_old = is_open and (state.machines_at is None or context.now() - state.machines_at > _FRESH_FOR)
    state.next_window = rules.schedule.following(context.now())
    if is_new or look:
        state.machines_at = None  # what was seen before is no reason to update anything, also if this look fails
    if is_old or state.machines_at is None:
        machines: Sequence[Machine] = await read_machines(context)
        # Also where the resource has no windows, on the command line:
        state.machines, state.machines_at = tuple(machines), context.now()
        forget_current(rollout, machines)
    elif is_open and not rollout.updates:
        await _look_at_busy(context)
    selected = [machine for machine in state.machines if select(machine)]

    def decision_with(running: set[str]) -> RolloutDecision:
        running |= {machine.key for machine in selected if machine.upgrade_in_progress}
        return decide(rollout, rules, selected, now=context.now(), audit=audit, running=running)

    decision = decision_with(set())
    if decision.start:
        jobs = await _recent(context)
        busy = {machine.key for machine in selected if _job_on(machine, jobs)}
        starts = (_start(context, rollout, machine) for machine in decision_with(set(busy)).start)
        results = await asyncio.gather(*starts, return_exceptions=True)  # all come to their end before one is raised
        for result in results:
            if isinstance(result, BaseException):
                raise result
        decision = decision_with(busy)
    state.rollout_decision = replace(decision, start=())
    return _until_next_step(context, rollout, decision)


async def _look_at_busy(context: ReconcileContext) -> None:
    """Look again at machines that somebody else was updating when they were last read. Raises `AzureError`.

    What comes next may wait for them, and without an update of our own nothing else would tell that they are done.
    """
    state = context.state
    busy = [machine for machine in state.machines if machine.upgrade_in_progress][:_MOST_LOOKED_AT]
    seen: dict[str, Machine | None] = {}
    for machine in busy:
        try:
            seen[machine.key] = await context.site_recovery.machine(context.call_context, machine.id)
        except ArmError as error:
            if not error.absent:
                raise
            seen[machine.key] = None
    state.machines = tuple(now for each in state.machines if (now := seen.get(each.key, each)))


def _until_next_step(context: ReconcileContext, rollout: Rollout, decision: RolloutDecision) -> timedelta | None:
    now, state = context.now(), context.state
    if rollout.updates:
        return _until_next_poll(context, rollout)
    if decision.phase is Phase.ROLLING:  # somebody else is at work on what is next, or Azure asked to wait
        return context.timing.poll_max
    moments = [
        *([rollout.window.closes_at] if rollout.window and rollout.window.is_open(now) else []),
        *([state.next_window.opens_at] if state.next_window else []),
    ]
    return max(timedelta(), min(moments) - now) if moments else None


def _until_next_poll(context: ReconcileContext, rollout: Rollout) -> timedelta:
    oldest = min(update.started_at for update in rollout.updates.values())
    return poll_delay(context.now() - oldest, context.timing.poll_min, context.timing.poll_max)


def _note_error(context: ReconcileContext, rollout: Rollout, error: AzureError) -> timedelta | None:
    """Say why there is no progress. What will pass by itself is tried again soon, all else at the next look."""
    phase = context.state.rollout_decision.phase if context.state.rollout_decision else Phase.CLOSED
    action = f" {error.recommended_action}" if error.recommended_action else ""
    context.state.rollout_decision = RolloutDecision(phase, reason=f"{error.reason}: {error.message}{action}")
    log.warning("agents cannot be updated now: %s", error, extra=context.log_fields(reason=error.reason))
    if error.disposition in {Disposition.RETRY, Disposition.WAIT} or rollout.updates:
        return context.timing.poll_max
    return None


async def _recent(context: ReconcileContext) -> list[Job]:
    return await context.site_recovery.jobs(
        context.call_context, context.resource.spec.vault_resource_id, most_pages=PAGES_FOR_ADOPTION
    )


def _job_on(machine: Machine, jobs: Sequence[Job]) -> Job | None:
    """A job that is at work on ``machine``: its target is the replicated item, by id or else by the machine's name."""
    for job in jobs:
        is_about_it = job.target_id.casefold() == machine.key or job.target_name.casefold() == machine.name.casefold()
        if is_about_it and phase_of(job.state) in {JobPhase.RUNNING, JobPhase.UNKNOWN}:
            return job
    return None


async def _start(context: ReconcileContext, rollout: Rollout, machine: Machine) -> None:
    """Bring the update of one machine under way, or note why that did not work. Raises what concerns all machines."""
    unsure: AzureError | None = None
    """After what it is not known whether the call got through."""
    for attempt in range(1, _TRIES + 1):
        if context.superseded.is_set() and not unsure:
            return
        try:
            if unsure and await _is_under_way_already(context, rollout, machine):
                return
            unsure = None
            answer = await context.site_recovery.update_agent(context.call_context, machine.id)
        except AzureError as error:
            if not _may_pass(context, rollout, machine, error, unsure=unsure is not None):
                return
            unsure = unsure or error
            await context.pause(context.timing.retry_pause * 2 ** (attempt - 1))
        else:
            _note_start(context, rollout, machine, answer.job_id, request_id=answer.request_id)
            if answer.done:
                note_success(rollout, machine.key, reboot=False)
                context.observer.agent_update_ended(machine.name, Verdict.SUCCEEDED, 0.0, Explanation())
            return
    if unsure is None:
        return
    try:
        if not await _is_under_way_already(context, rollout, machine):
            _refused(context, rollout, machine, unsure)
    except AzureError:
        _note_start(context, rollout, machine, "")  # it may be at work: the machine itself will tell


def _may_pass(
    context: ReconcileContext, rollout: Rollout, machine: Machine, error: AzureError, *, unsure: bool
) -> bool:
    """Whether to look and to try again after ``error``; if not, it is noted what is known of the machine.

    ``unsure``: what failed was to look whether an earlier try got through. Raises what concerns all machines.
    """
    may_pass = error.disposition in {Disposition.RETRY, Disposition.WAIT} and not concerns_all(error)
    if unsure and not may_pass:
        _note_start(context, rollout, machine, "")  # it may be at work: the machine itself will tell
    if concerns_all(error):
        raise error
    if not unsure and error.disposition is Disposition.WAIT:
        return False  # refused unseen: at the next step
    if not unsure and not may_pass:
        _refused(context, rollout, machine, error)
    return may_pass


async def _is_under_way_already(context: ReconcileContext, rollout: Rollout, machine: Machine) -> bool:
    """After an answer that got lost: look whether the call got through before it is sent again. Raises `AzureError`."""
    job = _job_on(machine, await _recent(context))
    now_seen = await context.site_recovery.machine(context.call_context, machine.id)
    if job is None and now_seen.update_required is not False and not now_seen.upgrade_in_progress:
        return False
    _note_start(context, rollout, machine, job.name if job else "")
    return True


def _note_start(
    context: ReconcileContext, rollout: Rollout, machine: Machine, job_id: str, *, request_id: str = ""
) -> None:
    note_start(rollout, machine, job_id, context.now())
    fields = context.log_fields(machine=machine.name, job=job_id, request=request_id)
    log.info("updating the agent of %s (%s)", machine.name, machine.agent_version, extra=fields)


def _refused(context: ReconcileContext, rollout: Rollout, machine: Machine, error: AzureError) -> None:
    explanation = explain(error)
    note_refusal(rollout, machine, explanation, context.now())
    context.observer.agent_update_failed_to_start(machine.name, explanation)
    fields = context.log_fields(machine=machine.name, reason=error.reason, request=error.request_id)
    log.warning("could not update the agent of %s: %s", machine.name, error, extra=fields)


async def _track(context: ReconcileContext, rollout: Rollout) -> bool:
    """Settle the updates that have ended or taken too long; returns whether any has. Raises `AzureError`."""
    updates = list(rollout.updates.values())
    if not updates:
        return False
    listed = await jobs_named(context, {update.job_id.casefold() for update in updates})
    for update in updates:
        await _settle(context, rollout, update, listed)
    return len(rollout.updates) < len(updates)


async def _settle(context: ReconcileContext, rollout: Rollout, update: AgentUpdate, listed: Mapping[str, Job]) -> None:
    vault_id, job = context.resource.spec.vault_resource_id, listed.get(update.job_id.casefold())
    if job is None and update.job_id:
        job = await context.site_recovery.job(context.call_context, vault_id, update.job_id)
    explanation = Explanation()
    if job:
        phase = phase_of(job.state)
        if phase is JobPhase.FAILED or (
            phase is JobPhase.SUCCEEDED and job.state_description.casefold() != _DONE_PLAINLY
        ):
            job = await with_errors(context, job)
            explanation = explanation_of(job) if phase is JobPhase.FAILED else explanation
    else:
        phase, explanation = await _judge_by_machine(context, update, list(listed.values()))
    if phase is JobPhase.UNKNOWN and job:
        context.observer.job_state_unknown(job.state)
    reboot = job is not None and is_reboot_note(job)
    if reboot and phase is JobPhase.FAILED:
        phase = JobPhase.SUCCEEDED  # it is done, and the note says what else to do
    verdict = judge(update, phase, context.now(), context.resource.spec.job_timeout)
    if verdict is not Verdict.RUNNING:
        _conclude(context, rollout, update, verdict, explanation, reboot=reboot)


async def _judge_by_machine(
    context: ReconcileContext, update: AgentUpdate, jobs: Sequence[Job]
) -> tuple[JobPhase, Explanation]:
    """What an update comes to whose job is unknown or forgotten: the machine itself tells. Raises `AzureError`."""
    try:
        machine = await context.site_recovery.machine(context.call_context, update.machine_id)
    except ArmError as error:
        if not error.absent:
            raise
        return JobPhase.FAILED, Explanation("MachineNotFound", "Site Recovery does not replicate the machine any more.")
    if machine.update_required is False:
        return JobPhase.SUCCEEDED, Explanation()
    is_young = context.now() - update.started_at < context.timing.poll_max
    if machine.upgrade_in_progress or is_young or _job_on(machine, jobs):
        return JobPhase.RUNNING, Explanation()
    return JobPhase.FAILED, Explanation(
        "JobNotFound", "Site Recovery does not know the job any more, and the agent still needs the update."
    )


def _conclude(
    context: ReconcileContext,
    rollout: Rollout,
    update: AgentUpdate,
    verdict: Verdict,
    explanation: Explanation,
    *,
    reboot: bool,
) -> None:
    now = context.now()
    fields = context.log_fields(machine=update.machine, job=update.job_id)
    if verdict is Verdict.SUCCEEDED:
        note_success(rollout, update.key, reboot=reboot)
        note = "; it needs a reboot" if reboot else ""
        log.info("the agent of %s is updated%s", update.machine, note, extra=fields)
    else:
        if verdict is Verdict.TIMED_OUT:
            explanation = Explanation(
                "JobTimeout",
                "The job runs for longer than spec.jobTimeout and is waited for no longer.",
                recommended_action="Look at the job in the vault's Site Recovery jobs; cancel it there if it hangs.",
            )
        note_failure(rollout, update, verdict, explanation, now)
        log.warning(
            "the agent of %s is not updated: %s: %s %s",
            update.machine,
            verdict,
            explanation.code,
            explanation.message,
            extra={**fields, "reason": str(verdict)},
        )
    seconds = (now - update.started_at).total_seconds()
    context.observer.agent_update_ended(update.machine, verdict, seconds, explanation)
