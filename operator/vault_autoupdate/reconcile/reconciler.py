"""One pass over one vault: observe, plan, apply, track, until nothing is left to do. Orchestrates, decides nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from vault_autoupdate.arm.automation import AutomationAccounts
from vault_autoupdate.arm.site_recovery import SiteRecovery
from vault_autoupdate.decide.plan import Decision, Plan
from vault_autoupdate.decide.rollout import Phase
from vault_autoupdate.decide.schedule import fraction_of
from vault_autoupdate.decide.state import VaultState
from vault_autoupdate.model.azure import Machine
from vault_autoupdate.model.errors import AzureError
from vault_autoupdate.model.resource import AutoUpdate, Mode, RolloutRules, VaultAutoUpdate
from vault_autoupdate.reconcile.account import look_at_account
from vault_autoupdate.reconcile.agent_updates import advance
from vault_autoupdate.reconcile.agents import look_at_agents
from vault_autoupdate.reconcile.apply import Apply
from vault_autoupdate.reconcile.context import LogIn, NewestAgent, Report, RunObserver, Timing, VaultPass
from vault_autoupdate.reconcile.looks import wants_to_look
from vault_autoupdate.reconcile.observe import observe
from vault_autoupdate.reconcile.track import end_polls, next_poll, poll
from vault_autoupdate.report import readiness as situation
from vault_autoupdate.report.readiness import Situation

log = logging.getLogger(__name__)

__all__ = ["Outcome", "Reconciler"]


@dataclass(frozen=True)
class Outcome:
    """How a pass ended."""

    situation: Situation
    error: AzureError | None = None
    superseded: bool = False
    """The pass stopped early because the resource changed or the process is to end."""
    again: timedelta | None = None
    """How long until the agents want something, whatever the mappings want; None when they do not."""


class Reconciler:
    """Makes vaults match resources. One for the process; passes over different vaults run side by side."""

    def __init__(
        self,
        site_recovery: SiteRecovery,
        timing: Timing,
        observer: RunObserver,
        *,
        scope: Callable[[VaultAutoUpdate, str], str],
        now: Callable[[], datetime],
    ) -> None:
        self._site_recovery = site_recovery
        self._accounts = AutomationAccounts(site_recovery.client)
        self._newest_agent = NewestAgent()
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
    ) -> Outcome:
        """Work on the vault of ``resource`` until it is as declared, or as near to that as it gets for now.

        Args:
            resource: what is declared.
            state: what is known of the vault; changed in place.
            report: is called now and then while work goes on.
            superseded: once it is set, nothing more is started and the pass ends as soon as it can.
            log_in: gives the identity to work as; without it, the process's own.
        """
        vault_pass = self._begin(resource, state, report, superseded)
        try:
            vault_pass.tokens = await log_in() if log_in else None
            finished = await _until_settled(vault_pass)
            again = None
            if finished and not resource.deleting:
                finished, again = await _see_to_agents(vault_pass)
        except AzureError as error:
            state.errors_in_a_row += 1
            log.warning("%s", error, extra=vault_pass.log_fields(reason=error.reason, request=error.request_id))
            return Outcome(situation.failing(error, state, deleting=resource.deleting), error)
        state.errors_in_a_row = 0
        if not finished:
            return Outcome(situation.working(resource, state), superseded=True)
        return Outcome(situation.settled(resource, state), superseded=superseded.is_set(), again=again)

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
        vault_pass = self._begin(resource, state, report, superseded)
        while not superseded.is_set():
            again = await advance(vault_pass, rules, request=vault_pass.id, select=select)
            decision, rollout = state.rollout_decision, state.rollout
            await report(situation.updating_agents(state))
            if again is None or not rollout or not decision:
                break
            if not rollout.updates and decision.phase is not Phase.ROLLING:
                break
            await vault_pass.pause(again)
        return Outcome(situation.updating_agents(state), superseded=superseded.is_set())

    async def plan(self, resource: VaultAutoUpdate) -> Plan:
        """Look at the vault of ``resource`` and say what would be done, without doing it.

        Raises:
            AzureError: the vault could not be read.
        """

        async def nobody(_: Situation) -> None:
            return

        return await observe(self._begin(resource, VaultState(), nobody, asyncio.Event()))

    def _begin(
        self, resource: VaultAutoUpdate, state: VaultState, report: Report, superseded: asyncio.Event
    ) -> VaultPass:
        return VaultPass(
            resource=resource,
            state=state,
            site_recovery=self._site_recovery,
            accounts=self._accounts,
            newest_agent=self._newest_agent,
            timing=self._timing,
            observer=self._observer,
            report_to=report,
            superseded=superseded,
            now=self._now,
            scope=self._scope,
        )


async def _until_settled(vault_pass: VaultPass) -> bool:
    """Look and work in turn until a look finds nothing to do; False when the pass was superseded before."""
    state, superseded = vault_pass.state, vault_pass.superseded
    if state.settled_until and vault_pass.now() < state.settled_until and not vault_pass.resource.deleting:
        return True  # only the agents want something
    while not superseded.is_set():
        plan = await observe(vault_pass)
        if superseded.is_set():
            break
        to_change = (
            plan.actionable if vault_pass.resource.spec.mode is Mode.ENFORCE or vault_pass.resource.deleting else ()
        )
        if to_change and _must_wait_for_unidentified(vault_pass):
            waited_for = (
                f"Waiting for {len(vault_pass.unidentified)} jobs that a process before this one may have started."
            )
            await vault_pass.report(at_once=True, note=waited_for)
            await vault_pass.pause(vault_pass.timing.poll_max)
            continue
        state.interrupted = False
        if not to_change and not state.operations:
            if state.run and state.run.completed_at is None:
                state.run.completed_at = vault_pass.now()
            return True
        del plan  # thousands of passes may wait for their turn: what needs no change is not kept for so long
        vault_pass.mappings = ()
        vault_pass.begin_run()
        await vault_pass.report(at_once=True)
        await _work(vault_pass, to_change)
    return False


async def _see_to_agents(vault_pass: VaultPass) -> tuple[bool, timedelta | None]:
    """Look at the account and the agents, and update agents where that is wanted.

    Returns:
        Whether the vault is settled still, and not superseded while something was mended that the account had lost;
        and how long until the agents want something.
    """
    state, resource, spec = vault_pass.state, vault_pass.resource, vault_pass.resource.spec
    if (
        wants_to_look(vault_pass) and not vault_pass.superseded.is_set()
    ):  # that may take a while, and what is known already is not to wait for it
        await vault_pass.report_to(situation.settled(resource, state))
    while await look_at_account(vault_pass):
        state.settled_until = None
        if not await _until_settled(vault_pass):
            return False, None
    await look_at_agents(vault_pass)
    wanted = spec.agent_updates if spec.auto_update is AutoUpdate.DISABLED else None
    again = await advance(vault_pass, wanted.rules() if wanted else None, request=resource.update_agents_now)
    if vault_pass.put_off:
        later = vault_pass.timing.retry_min * (1 + fraction_of(f"{resource.uid}{resource.key}"))
        again = later if again is None else min(again, later)
    return True, again


def _must_wait_for_unidentified(vault_pass: VaultPass) -> bool:
    """After a kill in mid-run, running jobs without a known mapping may be ours: let them end before patching."""
    run = vault_pass.state.run
    if not vault_pass.unidentified or run is None:
        return False
    return vault_pass.now() - run.started_at < vault_pass.resource.spec.job_timeout


async def _work(vault_pass: VaultPass, to_change: tuple[Decision, ...]) -> None:
    """Apply and track side by side until every change has come to an end, or the pass is superseded."""
    loop = asyncio.get_running_loop()
    operations = vault_pass.state.operations
    apply = Apply(vault_pass, to_change)
    superseded = asyncio.create_task(vault_pass.superseded.wait())
    poll_at: float | None = None
    try:
        apply.advance()
        while (not apply.finished or operations) and not superseded.done():
            if operations and poll_at is None:
                poll_at = loop.time() + next_poll(vault_pass).total_seconds()
                await vault_pass.report()
            # Without a job to look at, the pass wakes up to tell what keeps the changes waiting, if anything does.
            until = loop.time() + vault_pass.timing.status_interval.total_seconds() if poll_at is None else poll_at
            wait = max(0.0, until - loop.time())
            await asyncio.wait({superseded, *apply.tasks}, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
            if superseded.done():
                break
            apply.advance()
            if poll_at is not None and loop.time() >= poll_at:
                await poll(vault_pass)
                poll_at = None
            await vault_pass.report()
    finally:
        superseded.cancel()
        end_polls(vault_pass)
        await apply.stop()
