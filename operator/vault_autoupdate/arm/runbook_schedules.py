"""The calls about the schedules that start the update runbook: read, and moved. Nothing is ever deleted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final
from urllib.parse import quote

from vault_autoupdate.arm.account_calls import AccountCalls, scope_of
from vault_autoupdate.arm.client import ArmClient, CallContext
from vault_autoupdate.arm.wire import runbook_schedules as wire
from vault_autoupdate.model.arm_id import ArmId, fold
from vault_autoupdate.model.azure import Schedule, ScheduleLink
from vault_autoupdate.model.errors import ArmError, MalformedReply
from vault_autoupdate.model.runbook_schedule import WallSchedule

_NOT_FOUND: Final = 404
_CREATED: Final = 201
_OPT_OUT: Final = "remove spec.runbookSchedule to leave the time to Site Recovery"

__all__ = ["AccountSchedules", "RunbookSchedules"]


@dataclass(frozen=True)
class AccountSchedules:
    """What starts when in an account."""

    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    """By folded name."""
    links: Mapping[str, ScheduleLink] = field(default_factory=dict)
    """By folded id of the job schedule."""


class RunbookSchedules:
    """Reads schedules of Automation accounts in one cloud, and moves them."""

    def __init__(self, client: ArmClient) -> None:
        self._calls = AccountCalls(client, _OPT_OUT)

    async def read(self, context: CallContext, account: ArmId) -> AccountSchedules:
        """Read all schedules of ``account``, and what they start.

        Raises:
            AzureError: something could not be read. Without the right, the recommended action names the one to grant.
        """
        return AccountSchedules(await self._schedules(context, account), await self.links(context, account))

    async def _schedules(self, context: CallContext, account: ArmId) -> dict[str, Schedule]:
        found: dict[str, Schedule] = {}
        context = replace(context, scope=scope_of(account))
        async for page in self._calls.pages(context, "list_schedules", account, "/schedules", wire.schedules_page):
            found.update(page)
        return found

    async def links(self, context: CallContext, account: ArmId) -> dict[str, ScheduleLink]:
        """Read what binds schedules to runbooks, by folded id. Raises as `read`."""
        found: dict[str, ScheduleLink] = {}
        context = replace(context, scope=scope_of(account))
        async for page in self._calls.pages(context, "list_job_schedules", account, "/jobSchedules", wire.links_page):
            found.update(page)
        return found

    async def get(self, context: CallContext, account: ArmId, name: str) -> Schedule | None:
        """Read one schedule as it is now; None where there is none. Raises as `read`."""
        context = replace(context, scope=scope_of(account))
        try:
            found = await self._calls.document(context, "get_schedule", account, _path(name), wire.schedule)
        except ArmError as error:
            if error.status == _NOT_FOUND and error.code.casefold() == "notfound":
                return None
            raise
        if fold(found.name) != fold(name):  # it would be moved under the name that stands in the answer
            raise MalformedReply(f"ARM was asked for schedule {name} and answered with {found.name}.")
        return found

    async def move(
        self, context: CallContext, account: ArmId, schedule: Schedule, wanted: WallSchedule, start: datetime
    ) -> bool:
        """Let ``schedule`` run as ``wanted``, once: what of it is not about time stays as it was read.

        Args:
            context: on whose behalf.
            account: in which the schedule is.
            schedule: as it was read a moment ago.
            wanted: when it is to run from now on.
            start: the first time, with the offset that the zone has then.

        Returns:
            Whether there was a schedule to move: False if Azure made a new one, since the old was gone meanwhile.

        Raises:
            AzureError: it was refused, or nobody knows whether it got through.
        """
        context = replace(context, scope=scope_of(account))
        body = wire.schedule_body(schedule, wanted, start)
        reply = await self._calls.put(context, "update_schedule", account, _path(schedule.name), body)
        return reply.status != _CREATED


def _path(name: str) -> str:
    return f"/schedules/{quote(name, safe='')}"
