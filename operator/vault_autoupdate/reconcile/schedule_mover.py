"""Move schedules, one after the other: read it, write it, read it again, and believe only what is read."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

from vault_autoupdate.decide.runbook_schedule import (
    Finding,
    Standing,
    can_be_asked_for,
    judge,
    next_start,
    not_accepted,
)
from vault_autoupdate.decide.schedule_writes import ScheduleWrites
from vault_autoupdate.model.arm_id import ArmId
from vault_autoupdate.model.azure import Schedule
from vault_autoupdate.model.errors import ArmError, AzureError, Disposition, concerns_all
from vault_autoupdate.model.text import clean
from vault_autoupdate.reconcile.context import ReconcileContext

_REFUSALS: Final = range(400, 500)
_REFUSALS_IN_A_ROW: Final = 3
"""After so many it is not the schedules: the rest is left for the next look."""

__all__ = ["ScheduleMover"]


class ScheduleMover:
    """Moves the schedules of one vault in one account."""

    def __init__(self, context: ReconcileContext, account: ArmId, links: Collection[str]) -> None:
        """Move schedules of ``account``, whose lists show the job schedules with the folded ids ``links``."""
        self._context = context
        self._links = links
        self._account = account
        self._refusals = 0
        self.moved: list[str] = []
        """Of each that was moved, when it ran before, in words."""
        self.stopped_by: AzureError | None = None
        """What kept the rest from being moved."""

    async def move(self, findings: Sequence[Finding]) -> dict[str, Finding]:
        """Move those that differ. Each write is noted already; those that do not take place are taken back.

        Returns:
            By key of the schedule: where it stands now.
        """
        writes, done = self._context.state.schedules.writes, dict[str, Finding]()
        for finding in findings:
            key = finding.target.key
            if self.stopped_by or self._context.superseded.is_set() or self._refusals >= _REFUSALS_IN_A_ROW:
                writes.take_back(finding.target.name)
                continue
            try:
                done[key] = await self._move(finding)
            except AzureError as error:
                self.stopped_by = error
        return {**done, **await self._unbound([each for each in done.values() if each.standing is Standing.IN_SYNC])}

    async def _move(self, finding: Finding) -> Finding:
        """Move one. Raises `AzureError` for what concerns all of them alike."""
        context, target = self._context, finding.target
        writes = context.state.schedules.writes
        try:
            before = await self._read(finding)
        except AzureError:
            writes.take_back(target.name)
            raise
        now = judge(target, before, {}, ScheduleWrites(), context.now())
        if before is None or now.standing is not Standing.DIFFERS:
            writes.take_back(target.name)  # somebody was quicker
            return now
        lost: AzureError | None = None
        start = next_start(target.wanted, context.now())
        try:
            existed = await context.schedules.move(context.call_context, self._account, before, target.wanted, start)
        except AzureError as error:
            if concerns_all(error) or error.disposition is Disposition.WAIT:
                writes.take_back(target.name)
                raise
            if isinstance(error, ArmError) and error.status in _REFUSALS:
                self._refusals += 1
                return Finding(target, Standing.NOT_ACCEPTED, now.was, f"Azure refused to move it: {error}")
            existed, lost = True, error
        return await self._judge_move(now, before, existed=existed, lost=lost)

    async def _judge_move(
        self, finding: Finding, before: Schedule, *, existed: bool, lost: AzureError | None
    ) -> Finding:
        """What a read shows after a write; the answer of the write itself may tell of the time before it."""
        target = finding.target
        wrong = not_accepted(before, await self._read(finding), target.wanted, self._context.now())
        if not existed:
            wrong = "it was gone, so that Azure made a new one, which starts nothing"
        if lost and wrong:
            raise lost
        if wrong:
            self._refusals += 1
            return Finding(target, Standing.NOT_ACCEPTED, finding.was, f"Azure took the change, but {wrong}.")
        self._refusals = 0
        self.moved.append(finding.was)
        return Finding(target, Standing.IN_SYNC, finding.was)

    async def _read(self, finding: Finding) -> Schedule | None:
        if not can_be_asked_for(finding.target.name):
            return None
        return await self._context.schedules.get(self._context.call_context, self._account, finding.target.name)

    async def _unbound(self, moved: Sequence[Finding]) -> dict[str, Finding]:
        """Those that were moved and start nothing since: what bound them to the runbook must be there still."""
        if not self.moved or self.stopped_by:
            return {}
        try:
            links = await self._context.schedules.links(self._context.call_context, self._account)
        except AzureError as error:
            self.stopped_by = error
            return {}
        lost = {each.target.key: (each.target.job_schedules & set(self._links)) - links.keys() for each in moved}
        return {
            finding.target.key: replace(
                finding,
                standing=Standing.NOT_ACCEPTED,
                message=_unbound_message(min(lost[finding.target.key])),
            )
            for finding in moved
            if lost[finding.target.key]
        }


def _unbound_message(job_schedule: str) -> str:
    return (
        f"It was moved, and job schedule {clean(job_schedule, 64)}, which binds it to the runbook, is gone since: use "
        "Repair of the mapping."
    )
