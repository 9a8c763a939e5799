"""Update the agents of a vault's machines in windows: one step at a time, each from what the vault says now.

A step follows the updates under way, lets `vault_autoupdate.decide.rollout` decide, and starts what that says. It never
waits for a job, so that a rollout of hours keeps nothing else of the vault waiting; the next step is due when the first
of the jobs may have ended, or when a window opens or closes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from vault_autoupdate.decide.jobs import WorkKind, running_on
from vault_autoupdate.decide.rollout import Phase, Rollout, RolloutDecision, decide, enter, forget_current, refuse
from vault_autoupdate.decide.schedule import poll_delay
from vault_autoupdate.model.azure import Machine
from vault_autoupdate.model.errors import ArmError, AzureError
from vault_autoupdate.model.resource import Mode, RolloutRules
from vault_autoupdate.reconcile.agent_work import AgentWork
from vault_autoupdate.reconcile.agents import read_machines
from vault_autoupdate.reconcile.context import ReconcileContext
from vault_autoupdate.reconcile.jobs import follow, recent_jobs, send_once
from vault_autoupdate.report import readiness

_MOST_LOOKED_AT: Final = 50
"""Machines that are read one by one in a step: as many as ``maxConcurrent`` may be."""
_FRESH_FOR: Final = timedelta(minutes=15)
"""So long are machines taken to be as they were read, while a window is open: others may update them too."""

log = logging.getLogger(__name__)

__all__ = ["advance"]


async def advance(
    context: ReconcileContext,
    rules: RolloutRules | None,
    *,
    request: str | None = None,
    select: Callable[[Machine], bool] = lambda _: True,
) -> timedelta | None:
    """Take one step: follow what is under way, and start what may start now.

    Args:
        context: its state's ``rollout`` is changed in place.
        rules: how to roll out; None to follow what is under way and start nothing.
        request: what asks for a window now, if anything does.
        select: which machines are updated at all.

    Returns:
        How long until the next step makes sense; None when nothing but another look at the vault brings any news.
    """
    state = context.state
    if rules is None:
        _refuse(context, request)
    if rules is None and not (state.rollout and state.rollout.updates):
        handled = state.rollout.handled_request if state.rollout else None
        state.rollout = Rollout(handled_request=handled) if handled is not None else None
        state.rollout_decision, state.next_window, state.machines = None, None, ()
        return None
    rollout = state.rollout = state.rollout or Rollout()
    work, under_way = AgentWork(context, rollout), len(rollout.updates)
    try:
        if under_way and (trouble := await follow(work)):
            return _note_error(context, rollout, trouble)
        if rules is None:
            state.rollout_decision, state.next_window = RolloutDecision(Phase.CLOSED), None
            return _until_next_poll(context, rollout) if rollout.updates else timedelta()
        is_idle_again = under_way > 0 and not rollout.updates
        return await _roll_out(work, rules, request, select, look=is_idle_again)
    except AzureError as error:
        return _note_error(context, rollout, error)


def _refuse(context: ReconcileContext, request: str | None) -> None:
    """Answer what asks for a window where none are declared, so that it opens none once they are."""
    rollout = context.state.rollout or Rollout()
    if refuse(rollout, request):
        context.state.rollout = rollout
        context.refusal = readiness.agents_not_updated(context.resource)


async def _roll_out(
    work: AgentWork, rules: RolloutRules, request: str | None, select: Callable[[Machine], bool], *, look: bool
) -> timedelta | None:
    """Open or close the window, look at the machines where that is needed, and start what may start now."""
    context, rollout, state = work.context, work.rollout, work.context.state
    is_new = enter(rollout, rules, request, context.now())
    state.next_window = rules.schedule.following(context.now())
    await _refresh(context, rollout, look=is_new or look)
    selected = [machine for machine in state.machines if select(machine)]

    def decision_with(running: set[str]) -> RolloutDecision:
        running = running | {machine.key for machine in selected if machine.upgrade_in_progress}
        audit = context.resource.spec.mode is Mode.AUDIT
        return decide(rollout, rules, selected, now=context.now(), audit=audit, running=running)

    decision = decision_with(set())
    if decision.start:
        busy = set(running_on(state.machines, await recent_jobs(context), WorkKind.AGENT))
        await _start(work, decision_with(busy).start)
        decision = decision_with(busy)
    state.rollout_decision = replace(decision, start=())
    return _until_next_step(context, rollout, decision)


async def _refresh(context: ReconcileContext, rollout: Rollout, *, look: bool) -> None:
    """Read the machines anew, if what is known of them does not do. Raises `AzureError`.

    ``look``: what was seen before is no reason to update anything, also if this look fails.
    """
    state = context.state
    is_open = rollout.window is not None and rollout.window.is_open(context.now())
    is_old = is_open and (state.machines_at is None or context.now() - state.machines_at > _FRESH_FOR)
    if look:
        state.machines_at = None
    if is_old or state.machines_at is None:
        machines: Sequence[Machine] = await read_machines(context)
        # Also where the resource has no windows, on the command line:
        state.machines, state.machines_at = tuple(machines), context.now()
        forget_current(rollout, machines)
    elif is_open and not rollout.updates:
        await _look_at_busy(context)


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


async def _start(work: AgentWork, machines: Sequence[Machine]) -> None:
    """Start some updates side by side; all come to their end before an error of one is raised."""
    results = await asyncio.gather(
        *(send_once(work, machine, work.context.superseded.is_set) for machine in machines), return_exceptions=True
    )
    for result in results:
        if isinstance(result, BaseException):
            raise result


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
    return context.timing.poll_max if error.will_pass or rollout.updates else None
