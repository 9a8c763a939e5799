"""One pass over one vault: observe, plan, apply, track, until nothing is left to do. Orchestrates, decides nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from vault_autoupdate.arm.activity import ActivityLogs
from vault_autoupdate.arm.authorization import RoleAssignments
from vault_autoupdate.arm.automation import AutomationAccounts
from vault_autoupdate.arm.runbook_schedules import RunbookSchedules
from vault_autoupdate.arm.site_recovery import SiteRecovery
from vault_autoupdate.decide.plan import Decision, Plan
from vault_autoupdate.decide.rollout import Phase
from vault_autoupdate.decide.schedule import fraction_of
from vault_autoupdate.decide.schedule_claims import ScheduleClaims
from vault_autoupdate.decide.schedule_report import ScheduleReport
from vault_autoupdate.decide.state import VaultState
from vault_autoupdate.model.azure import ContainerMapping, Machine
from vault_autoupdate.model.conditions import ConditionStatus
from vault_autoupdate.model.errors import AzureError, Disposition
from vault_autoupdate.model.quota import QuotaScope
from vault_autoupdate.model.resource import AutoUpdate, Mode, RolloutRules, VaultAutoUpdate
from vault_autoupdate.reconcile.account import look_at_account, next_look_at_account
from vault_autoupdate.reconcile.agent_updates import advance
from vault_autoupdate.reconcile.agents import look_at_agents
from vault_autoupdate.reconcile.apply import Apply
from vault_autoupdate.reconcile.attribution import asking_who, until_asked_again
from vault_autoupdate.reconcile.context import LogIn, NewestAgents, ReconcileContext, Report, RunObserver, Timing
from vault_autoupdate.reconcile.later import say_later
from vault_autoupdate.reconcile.looks import wants_to_look
from vault_autoupdate.reconcile.mapping_work import MappingWork
from vault_autoupdate.reconcile.observe import observe
from vault_autoupdate.reconcile.plan import plan
from vault_autoupdate.reconcile.runbook_schedules import find_runbook_schedules, keep_runbook_schedules
from vault_autoupdate.reconcile.track import end_polls, next_poll, poll
from vault_autoupdate.report import readiness
from vault_autoupdate.report.readiness import Readiness

log = logging.getLogger(__name__)

__all__ = ["Outcome", "Reconciler"]


def _every_one(_: ContainerMapping) -> bool:
    return True


@dataclass(frozen=True)
class Outcome:
    """How a pass ended."""

    readiness: Readiness
    error: AzureError | None = None
    superseded: bool = False
    """The pass stopped early because the resource changed or the process is to end."""
    requeue_after: timedelta | None = None
    """How long until the agents want something, whatever the mappings want; None when they do not."""
    refusal: Readiness | None = None
    """What somebody asked for and does not get, and why; ``readiness`` says it too."""

    @property
    def leaves_nothing_to_do(self) -> bool:
        """Whether a resource that is being deleted may go: all is disabled, or the vault is gone."""
        if self.error is not None:
            return self.error.disposition is Disposition.STALL
        return not self.superseded and self.readiness.ready == ConditionStatus.TRUE


class Reconciler:
    """Makes vaults match resources. One for the process; passes over different vaults run side by side."""

    def __init__(
        self,
        site_recovery: SiteRecovery,
        timing: Timing,
        observer: RunObserver,
        *,
        scope: Callable[[VaultAutoUpdate, str], QuotaScope],
        now: Callable[[], datetime],
    ) -> None:
        self._site_recovery = site_recovery
        self._accounts = AutomationAccounts(site_recovery.client)
        self._roles = RoleAssignments(site_recovery.client)
        self._activity = ActivityLogs(site_recovery.client)
        self._schedules = RunbookSchedules(site_recovery.client)
        self._schedule_claims = ScheduleClaims()
        self._newest_agents = NewestAgents()
        self._timing = timing
        self._observer = observer
        self._scope = scope
        self._now = now

    async def reconcile(
        self,
        resource: VaultAutoUpdate,
        state: VaultState,
        report: Report,
        superseded: asyncio.Event,
        log_in: LogIn | None = None,
        *,
        select: Callable[[ContainerMapping], bool] = _every_one,
    ) -> Outcome:
        """Work on the vault of ``resource`` until it is as declared, or as near to that as it gets for now.

        Args:
            resource: what is declared.
            state: what is known of the vault; changed in place.
            report: is called now and then while work goes on.
            superseded: once it is set, nothing more is started and the pass ends as soon as it can.
            log_in: gives the identity to work as; without it, the process's own.
            select: which mappings; the others are left as they are.
        """
        context = self._begin(resource, state, report, superseded)
        context.select = select
        try:
            context.tokens = await log_in() if log_in else None
            async with asking_who(context):
                finished = await _until_settled(context)
                requeue_after = None
                if finished and not resource.deleting:
                    finished, requeue_after = await _see_to_agents(context)
            requeue_after = _sooner(requeue_after, until_asked_again(context))
        except AzureError as error:
            state.errors_in_a_row += 1
            log.warning("%s", error, extra=context.log_fields(reason=error.reason, request=error.request_id))
            return Outcome(readiness.failing(error, state, deleting=resource.deleting), error)
        state.errors_in_a_row = 0
        if not finished:
            return Outcome(readiness.working(resource, state), superseded=True)
        stands, refusal = readiness.settled(resource, state), context.refusal
        return Outcome(
            readiness.with_note(stands, refusal.message) if refusal else stands,
            superseded=superseded.is_set(),
            requeue_after=requeue_after,
            refusal=refusal,
        )

    async def update_agents(
        self,
        resource: VaultAutoUpdate,
        state: VaultState,
        report: Report,
        superseded: asyncio.Event,
        *,
        rules: RolloutRules,
        select: Callable[[Machine], bool],
    ) -> Outcome:
        """Update agents now, once, until none is left to update or too many failed.

        Args:
            resource: names the vault, and the longest time for a job.
            state: its ``rollout`` tells what came of it.
            report: is called after every step.
            superseded: once it is set, nothing more is started; what runs in Azure goes on there.
            rules: within what bounds; a window of their duration opens now.
            select: which machines.
        """
        context = self._begin(resource, state, report, superseded)
        while not superseded.is_set():
            requeue_after = await advance(context, rules, request=context.id, select=select)
            decision, rollout = state.rollout_decision, state.rollout
            await report(readiness.updating_agents(state))
            if requeue_after is None or not rollout or not decision:
                break
            if not rollout.updates and decision.phase is not Phase.ROLLING:
                break
            await context.pause(requeue_after)
        return Outcome(readiness.updating_agents(state), superseded=superseded.is_set())

    async def plan(self, resource: VaultAutoUpdate, *, select: Callable[[ContainerMapping], bool] = _every_one) -> Plan:
        """Look at the vault of ``resource`` and say what would be done, without doing it.

        Args:
            resource: what is declared.
            select: about which mappings.

        Raises:
            AzureError: the vault could not be read.
        """

        async def nobody(_: Readiness) -> None:
            return

        context = self._begin(resource, VaultState(), nobody, asyncio.Event())
        context.select = select
        return plan(context, await observe(context))

    async def plan_schedules(self, resource: VaultAutoUpdate) -> ScheduleReport | None:
        """Look at the schedules of the update runbook and say where they stand, without moving any.

        Returns:
            None where no time is declared.

        Raises:
            AzureError: the vault or the account could not be read.
        """

        async def nobody(_: Readiness) -> None:
            return

        return await find_runbook_schedules(self._begin(resource, VaultState(), nobody, asyncio.Event()))

    def _begin(
        self, resource: VaultAutoUpdate, state: VaultState, report: Report, superseded: asyncio.Event
    ) -> ReconcileContext:
        return ReconcileContext(
            resource=resource,
            state=state,
            site_recovery=self._site_recovery,
            accounts=self._accounts,
            roles=self._roles,
            activity=self._activity,
            schedules=self._schedules,
            schedule_claims=self._schedule_claims,
            newest_agents=self._newest_agents,
            timing=self._timing,
            observer=self._observer,
            report_to=report,
            superseded=superseded,
            now=self._now,
            scope=self._scope,
        )


async def _until_settled(context: ReconcileContext) -> bool:
    """Look and work in turn until a look finds nothing to do; False when the pass was superseded before."""
    state, superseded = context.state, context.superseded
    if state.settled_until and context.now() < state.settled_until and not context.resource.deleting:
        return True  # only the agents want something
    while not superseded.is_set():
        observation = await observe(context)
        if superseded.is_set():
            break
        to_change = _to_change(context, plan(context, observation))
        if to_change and _must_wait_for_unidentified(context):
            waited_for = (
                f"Waiting for {len(context.unidentified)} jobs that a process before this one may have started."
            )
            await context.report(at_once=True, note=waited_for)
            await context.pause(context.timing.poll_max)
            continue
        state.interrupted = False
        if not to_change and not state.operations:
            if state.run and state.run.completed_at is None:
                state.run.completed_at = context.now()
            return True
        del observation  # thousands of passes may wait for their turn: what needs no change is not kept for so long
        context.mappings = ()
        context.begin_run()
        await context.report(at_once=True)
        await _work(context, to_change)
    return False


async def _see_to_agents(context: ReconcileContext) -> tuple[bool, timedelta | None]:
    """Look at the account and the agents, and update agents where that is wanted.

    Returns:
        Whether the vault is settled still, and not superseded while something was mended that the account had lost;
        and how long until the agents want something.
    """
    state, resource, spec = context.state, context.resource, context.resource.spec

    async def say_settled() -> None:
        await context.report_to(readiness.settled(resource, state))

    looks = wants_to_look(context) and not context.superseded.is_set()
    # What they find is written together with what is known already, unless that would have to wait for it.
    patience = context.timing.status_interval.total_seconds() / 2
    async with say_later(say_settled, patience if looks else None) as end_looking:
        while await look_at_account(context):
            await end_looking()
            state.settled_until = None
            if not await _until_settled(context):
                return False, None
        await look_at_agents(context)
    await keep_runbook_schedules(context)
    wanted = spec.agent_updates if spec.auto_update is AutoUpdate.DISABLED else None
    requeue_after = await advance(context, wanted.rules() if wanted else None, request=resource.update_agents_now)
    if (sooner := next_look_at_account(context)) is not None:
        requeue_after = sooner if requeue_after is None else min(requeue_after, sooner)
    if context.postponed:
        later = context.timing.retry_min * (1 + fraction_of(f"{resource.uid}{resource.key}"))
        requeue_after = later if requeue_after is None else min(requeue_after, later)
    return True, requeue_after


def _sooner(*durations: timedelta | None) -> timedelta | None:
    """The shortest of those that there are."""
    return min((each for each in durations if each is not None), default=None)


def _to_change(context: ReconcileContext, made: Plan) -> tuple[Decision, ...]:
    """The decisions that are acted upon: all that lead to a PATCH, but in mode Audit none."""
    acts = context.resource.spec.mode is Mode.ENFORCE or context.resource.deleting
    return made.actionable if acts else ()


def _must_wait_for_unidentified(context: ReconcileContext) -> bool:
    """After a kill in mid-run, running jobs without a known mapping may be ours: let them end before patching."""
    run = context.state.run
    if not context.unidentified or run is None:
        return False
    return context.now() - run.started_at < context.resource.spec.job_timeout


async def _work(context: ReconcileContext, to_change: tuple[Decision, ...]) -> None:
    """Apply and track side by side until every change has come to an end, or the pass is superseded."""
    loop = asyncio.get_running_loop()
    operations, work = context.state.operations, MappingWork(context)
    apply = Apply(work, to_change)
    superseded = asyncio.create_task(context.superseded.wait())
    poll_at: float | None = None
    try:
        apply.advance()
        while (not apply.finished or operations) and not superseded.done():
            if operations and poll_at is None:
                poll_at = loop.time() + next_poll(context).total_seconds()
                await context.report()
            # Without a job to look at, the pass wakes up to tell what keeps the changes waiting, if anything does.
            until = loop.time() + context.timing.status_interval.total_seconds() if poll_at is None else poll_at
            wait = max(0.0, until - loop.time())
            await asyncio.wait({superseded, *apply.tasks}, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
            if superseded.done():
                break
            apply.advance()
            if poll_at is not None and loop.time() >= poll_at:
                await poll(work)
                poll_at = None
            await context.report()
    finally:
        superseded.cancel()
        end_polls(context)
        await apply.stop()
