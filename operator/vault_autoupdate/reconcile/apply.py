"""Apply: send the PATCHes of a plan, several under way at a time, each tried a few times before it counts as failed."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from vault_autoupdate.arm.client import Purpose
from vault_autoupdate.arm.throttle import CallKind
from vault_autoupdate.decide.attempts import FailureReason, failed, started
from vault_autoupdate.decide.jobs import Operation, Verdict, adopt, unidentified_running
from vault_autoupdate.decide.plan import Action, Decision
from vault_autoupdate.model.azure import ContainerMapping
from vault_autoupdate.model.errors import AzureError, Disposition, concerns_all
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.reconcile.context import ReconcileContext
from vault_autoupdate.reconcile.jobs import PAGES_FOR_ADOPTION
from vault_autoupdate.reconcile.observe import look_at_one

_TRIES: Final = 4
"""The first and three more, as the runbook does it."""
_FAILURES_IN_A_ROW: Final = 20
"""After so many changes that did not start, it is not the mappings: the pass ends and comes back later."""

log = logging.getLogger(__name__)

__all__ = ["Apply"]


class Apply:
    """The changes of one pass. `advance` starts as many as may be under way; the tasks note their results."""

    def __init__(self, context: ReconcileContext, decisions: Iterable[Decision]) -> None:
        self._context = context
        self._mappings: Sequence[ContainerMapping] | None = None
        self._reading = asyncio.Lock()
        self._pending = deque(decisions)
        self._failures_in_a_row = 0
        self._blocked: AzureError | None = None
        self._is_first = True
        """Whether no change of this pass has been answered yet. The first goes alone: it may concern all alike."""
        self._stopped = False
        self.tasks: set[asyncio.Task[None]] = set()

    @property
    def finished(self) -> bool:
        """Whether nothing is left to start and nothing is under way."""
        return not self.tasks and (not self._pending or self._blocked is not None)

    @property
    def _is_over(self) -> bool:
        """Whether nothing more is to be started."""
        return self._context.superseded.is_set() or self._blocked is not None or self._stopped

    def advance(self) -> None:
        """Start changes up to the number that may be under way.

        Raises:
            AzureError: one that concerns all mappings alike, so that no further change makes sense now.
        """
        self.tasks = {task for task in self.tasks if not _ended(task)}
        at_once = 1 if self._is_first else self._context.timing.changes_at_once
        while self._pending and not self._blocked and len(self.tasks) < at_once:
            self.tasks.add(asyncio.create_task(self._change(self._pending.popleft())))
        self._expect_calls()
        if self._blocked and not self.tasks:
            raise self._blocked

    async def stop(self) -> None:
        """Take back the changes that wait for their turn, and wait for the answers to those that have left."""
        self._stopped = True
        self._pending.clear()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.tasks = set()
        self._expect_calls()

    def _expect_calls(self) -> None:
        """Tell the throttle how much is coming, so that its pace leaves room for others."""
        calls = len(self._pending) + len(self.tasks)
        self._context.throttle.expect_calls(self._context.call_context, CallKind.WRITE, calls)

    async def _change(self, decision: Decision) -> None:
        """Bring one mapping under way, or note why that did not work."""
        try:
            await self._try(decision)
        finally:
            self._is_first = False
            self._context.troubles.pop(decision.mapping.key, None)

    async def _try(self, decision: Decision) -> None:
        context, tries, began = self._context, 0, self._context.now()
        unsure: AzureError | None = None
        """After what it is not known whether the change got through."""
        while not self._is_over:
            try:
                if unsure:
                    if await self._is_under_way_already(decision, began) or self._is_over:
                        return
                    if tries == _TRIES:
                        self._note_failure(decision, unsure)
                        return
                    unsure = None
                context.troubles.pop(decision.mapping.key, None)
                answer = await context.site_recovery.update(context.call_context, decision.mapping, context.goal)
            except AzureError as error:
                if unsure:
                    context.troubles[decision.mapping.key] = (
                        f"Whether the change of {decision.mapping.path} got through cannot be seen now: {error}"
                    )
                if error.disposition is Disposition.WAIT:
                    if unsure:
                        await context.pause(context.timing.poll_max)
                    continue  # refused unseen: the throttle holds the next try back for as long as ARM said
                if concerns_all(error):
                    self._blocked = error
                    return
                if error.disposition is not Disposition.RETRY or tries == _TRIES:
                    self._note_failure(decision, error)
                    return
                tries += 1
                unsure = unsure or error
                await context.pause(context.timing.retry_pause * 2 ** (tries - 1))
            else:
                self._note_start(decision, answer.job_id, done=answer.done, request_id=answer.request_id)
                return

    def _note_start(self, decision: Decision, job_id: str, *, done: bool, request_id: str = "") -> None:
        context, state = self._context, self._context.state
        key, now = decision.mapping.key, context.now()
        run = context.begin_run()
        run.patched += 1
        self._failures_in_a_row = 0
        state.attempts[key] = started(state.attempts.get(key), now, context.backoff)
        state.paths[key] = decision.mapping.path
        if state.artifacts_missing.pop(key, None):
            state.artifacts_renewed[key] = now
            state.account_due = now + context.resource.spec.interval  # to see whether it is there again
        if done:
            run.succeeded += 1
            context.observer.job_ended(decision.mapping.path, Verdict.SUCCEEDED, 0.0, Explanation())
            state.actions[key] = Action.KEEP
        else:
            state.operations[key] = Operation(decision.mapping.id, job_id, now)
            state.actions[key] = Action.TRACK
        log.info(
            "changing %s: %s",
            decision.mapping.path,
            decision.reason,
            extra=context.log_fields(mapping=decision.mapping.path, job=job_id, request=request_id),
        )

    def _note_failure(self, decision: Decision, error: AzureError) -> None:
        context, state = self._context, self._context.state
        key, now = decision.mapping.key, context.now()
        context.begin_run().failed_to_start += 1
        attempt = started(state.attempts.get(key), now, context.backoff)
        explanation = error.explanation
        context.observer.change_failed_to_start(decision.mapping.path, explanation)
        state.attempts[key] = failed(attempt, FailureReason.FAILED_TO_START, explanation, now, context.backoff)
        state.paths[key] = decision.mapping.path
        state.actions[key] = Action.WAIT
        log.warning(
            "could not change %s: %s",
            decision.mapping.path,
            error,
            extra=context.log_fields(mapping=decision.mapping.path, reason=error.reason, request=error.request_id),
        )
        self._failures_in_a_row += 1
        if self._failures_in_a_row >= _FAILURES_IN_A_ROW and error.disposition is Disposition.RETRY:
            self._blocked = error

    async def _all_mappings(self) -> Sequence[ContainerMapping]:
        """All mappings of the vault, to tell whose a job is; read when the first answer is lost. Raises `AzureError`.

        To keep them from the start would take most of the memory of a fleet whose passes wait for their turn.
        """
        async with self._reading:
            if self._mappings is None:
                vault_id = self._context.resource.spec.vault_resource_id
                self._mappings = await self._context.site_recovery.mappings(self._context.call_context, vault_id)
            return self._mappings

    async def _is_under_way_already(self, decision: Decision, began: datetime) -> bool:
        """After an answer that got lost: look whether the change got through, before it is sent again.

        Any job since ``began`` that does not say whose it is may be this change's, so such jobs are waited for.

        Raises:
            AzureError: that cannot be seen; until it can, the change is not sent again.
        """
        context, spec = self._context, self._context.resource.spec
        while not self._is_over:
            jobs = await context.site_recovery.jobs(
                context.call_context.to(Purpose.MAKE_SURE), spec.vault_resource_id, most_pages=PAGES_FOR_ADOPTION
            )
            tracked = {operation.job_id for operation in context.state.operations.values()}
            known = tracked | context.state.given_up
            found = adopt(await self._all_mappings(), jobs, known=known, now=context.now())
            if mine := next((operation for operation in found if operation.key == decision.mapping.key), None):
                self._note_start(decision, mine.job_id, done=False)
                return True
            if await look_at_one(context, decision.mapping.id) is Action.KEEP:
                self._note_start(decision, "", done=True)  # its job began and ended while the answer was on its way
                return True
            identified = dict.fromkeys(name.casefold() for name in (*known, *(other.job_id for other in found)))
            unidentified = unidentified_running(jobs, identified=identified, since=began)
            if not unidentified or context.now() - began >= spec.job_timeout:
                return False
            await context.pause(context.timing.poll_max)
        return False


def _ended(task: asyncio.Task[None]) -> bool:
    if not task.done():
        return False
    if not task.cancelled() and (error := task.exception()):
        raise error
    return True
