"""When the agents and the account are looked at: in no hurry, and only while there are reads to spare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from vault_autoupdate.arm.throttle import CallKind
from vault_autoupdate.decide.look import Look, Subject, next_after_restart
from vault_autoupdate.decide.role_report import RoleReport, RoleStanding
from vault_autoupdate.decide.schedule import fraction_of
from vault_autoupdate.model.arm_id import ArmId
from vault_autoupdate.model.azure import ContainerMapping
from vault_autoupdate.model.errors import AzureError
from vault_autoupdate.model.resource import AutoUpdate
from vault_autoupdate.reconcile.context import ReconcileContext, Timing
from vault_autoupdate.reconcile.mapping_work import read_mappings

_MENDED_WITHIN: Final = 4
"""So many times as long as it takes to be sure that there is no role, until it is looked whether there is one now."""
_SCHEDULE_INTERVAL: Final = timedelta(hours=6)
"""Between two looks at schedules, where the operator's setting wants none at the agents: these are declared."""
_AWAITED: Final = frozenset({RoleStanding.NOT_SEEN, RoleStanding.MISSING, RoleStanding.TOO_WEAK, RoleStanding.DENIED})

__all__ = [
    "account_interval",
    "account_to_look_at",
    "in_no_hurry",
    "look_intervals",
    "mappings_of",
    "may_look",
    "needs_machines",
    "schedule_interval",
    "set_times",
    "wants_to_look",
    "will_pass",
]


def wants_to_look(context: ReconcileContext) -> bool:
    """Whether a look at the agents or the account is due, and there are reads to spare."""
    if not context.timing.agent_interval:
        return False
    set_times(context)
    state = context.state
    account = may_look(context, state.account.due) if account_to_look_at(context) else False
    return may_look(context, state.agents.due) or account


def may_look(context: ReconcileContext, due: datetime | None) -> bool:
    """Whether what is ``due`` may be looked at now; if only the reads are missing, the pass comes back for it."""
    if due is not None and context.now() < due:
        return False
    has_plenty = context.throttle.has_plenty(context.call_context.scope, CallKind.READ)
    context.postponed |= not has_plenty
    return has_plenty


def will_pass(context: ReconcileContext, error: AzureError) -> bool:
    """Whether a look failed for a passing reason; if so, the pass comes back for it."""
    context.postponed |= error.will_pass
    return error.will_pass


def account_to_look_at(context: ReconcileContext) -> ArmId | None:
    """The Automation account, where it has anything to do."""
    spec = context.resource.spec
    matters = spec.auto_update is AutoUpdate.ENABLED and spec.automation_account_checks
    return spec.automation_account_resource_id if matters else None


def set_times(context: ReconcileContext) -> None:
    """Look in no hurry at what an earlier process has looked at, unless the machines are needed now."""
    state = context.state
    if state.agents.due is None and state.agents.report is not None and not needs_machines(context):
        state.agents.due = in_no_hurry(context, state.agents, context.timing.agent_interval)
    if state.account.due is None and state.account.report is not None:
        soonest = context.now() + account_interval(context, state.account.report.role)
        state.account.due = min(soonest, in_no_hurry(context, state.account, context.timing.agent_interval))


def account_interval(context: ReconcileContext, role: RoleReport | None) -> timedelta:
    """Between two looks at the account: shorter where a role is waited for, so that it is seen to come, or not to."""
    interval, confirmation = context.timing.agent_interval, context.timing.role_confirmation
    if role is None or role.standing not in _AWAITED:
        return interval
    return min(interval, confirmation if role.standing is RoleStanding.NOT_SEEN else confirmation * _MENDED_WITHIN)


def in_no_hurry(context: ReconcileContext, look: Look[Any], interval: timedelta) -> datetime:
    """When to look at what an earlier process has looked at."""
    share = fraction_of(f"{context.resource.uid}{context.resource.key}")
    return next_after_restart(look.at, interval, share, context.now())


def schedule_interval(timing: Timing) -> timedelta:
    """Between two looks at the schedules of the update runbook."""
    return timing.agent_interval or _SCHEDULE_INTERVAL


def look_intervals(timing: Timing) -> Mapping[Subject, timedelta]:
    """Between two looks at each subject; what is not looked at is not there."""
    both = {subject: timing.agent_interval for subject in (Subject.AGENTS, Subject.ACCOUNT) if timing.agent_interval}
    return {**both, Subject.SCHEDULES: schedule_interval(timing)}


async def mappings_of(context: ReconcileContext) -> Sequence[ContainerMapping]:
    """The vault's mappings: as this pass has seen them, or read for this. Raises `AzureError`."""
    if not context.mappings:
        context.mappings = await read_mappings(context)
    return context.mappings


def needs_machines(context: ReconcileContext) -> bool:
    """Whether the machines themselves are needed later on, for updates in windows."""
    return context.resource.spec.agent_updates is not None
