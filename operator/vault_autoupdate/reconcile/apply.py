"""Apply: send the PATCHes of a plan, several under way at a time, each tried a few times before it counts as failed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from vault_autoupdate.arm.throttle import CallKind
from vault_autoupdate.decide.plan import Decision
from vault_autoupdate.model.errors import AzureError, Disposition
from vault_autoupdate.reconcile.jobs import send_once
from vault_autoupdate.reconcile.mapping_work import MappingWork

_FAILURES_IN_A_ROW: Final = 20
"""After so many changes that did not start, it is not the mappings: the pass ends and comes back later."""

__all__ = ["Apply"]


class Apply:
    """The changes of one pass. `advance` starts as many as may be under way; the tasks note their results."""

    def __init__(self, work: MappingWork, decisions: Iterable[Decision]) -> None:
        self._work = work
        self._context = work.context
        self._pending = list(decisions)[::-1]
        """The next one is the last: a deque of the few that most passes have would be ten times as large."""
        self._blocked: AzureError | None = None
        self._stopped = False
        self.tasks: set[asyncio.Task[None]] = set()

    @property
    def finished(self) -> bool:
        """Whether nothing is left to start and nothing is under way."""
        return not self.tasks and (not self._pending or self._blocked is not None)

    def advance(self) -> None:
        """Start changes up to the number that may be under way.

        Raises:
            AzureError: one that concerns all mappings alike, so that no further change makes sense now.
        """
        self.tasks = {task for task in self.tasks if not _ended(task)}
        # The first goes alone: its answer may concern all of them.
        at_once = self._context.timing.changes_at_once if self._work.has_tried else 1
        while self._pending and not self._blocked and len(self.tasks) < at_once:
            self.tasks.add(asyncio.create_task(self._change(self._pending.pop())))
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

    async def _change(self, decision: Decision) -> None:
        """Bring one mapping under way, or note why that did not work; what Azure refused unseen comes again first."""
        try:
            is_dealt_with = await send_once(self._work, decision, self._is_over)
        except AzureError as error:
            self._blocked = error
            return
        if not is_dealt_with:
            self._pending.append(decision)
        refusal = self._work.last_refusal
        if self._work.refusals_in_a_row >= _FAILURES_IN_A_ROW and refusal and refusal.disposition is Disposition.RETRY:
            self._blocked = refusal

    def _is_over(self) -> bool:
        """Whether nothing more is to be started."""
        return self._context.superseded.is_set() or self._blocked is not None or self._stopped

    def _expect_calls(self) -> None:
        """Tell the throttle how much is coming, so that its pace leaves room for others."""
        calls = len(self._pending) + len(self.tasks)
        self._context.throttle.expect_calls(self._context.call_context, CallKind.WRITE, calls)


def _ended(task: asyncio.Task[None]) -> bool:
    if not task.done():
        return False
    if not task.cancelled() and (error := task.exception()):
        raise error
    return True
