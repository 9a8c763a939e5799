"""Keep the schedules of the update runbook at the declared time: look, move, and look whether that was taken.

Of an account nothing else is written. A write is noted, and shown in the status, before it leaves: after a kill, the
next process must know how often a schedule was moved.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from vault_autoupdate.decide.plan import Action
from vault_autoupdate.decide.runbook_schedule import (
    Finding,
    Standing,
    Target,
    can_be_asked_for,
    find_targets,
    judge,
)
from vault_autoupdate.decide.schedule_report import ScheduleReport, add_replaced, build_schedule_report
from vault_autoupdate.model.arm_id import ArmId, fold
from vault_autoupdate.model.azure import Schedule, ScheduleLink
from vault_autoupdate.model.conditions import Reason
from vault_autoupdate.model.errors import AzureError
from vault_autoupdate.model.resource import AutoUpdate, Mode
from vault_autoupdate.model.runbook_schedule import RunbookScheduleSpec
from vault_autoupdate.model.text import plural
from vault_autoupdate.reconcile.context import ReconcileContext
from vault_autoupdate.reconcile.looks import in_no_hurry, mappings_of, may_look, schedule_interval, will_pass
from vault_autoupdate.reconcile.schedule_mover import ScheduleMover
from vault_autoupdate.report import readiness

_MOST_ASKED_FOR: Final = 10
"""Schedules that no list shows and that are asked for singly."""

__all__ = ["find_runbook_schedules", "keep_runbook_schedules"]

log = logging.getLogger(__name__)


async def keep_runbook_schedules(context: ReconcileContext) -> None:
    """Bring the schedules to the declared time, if a look at them is due and there are reads to spare.

    What goes wrong stays with them: nothing else of the pass depends on it.
    """
    look, wanted = context.state.schedules.look, _wanted(context)
    if wanted is None:
        context.state.schedules.forget()
        context.schedule_claims.forget(context.call_context.key)
        return
    declared, account = wanted
    _set_time(context, declared)
    if not may_look(context, look.due):
        return
    try:
        report, passing = await _keep(context, declared, account)
    except AzureError as error:
        if not will_pass(context, error):
            look.failed(error.explanation, context.now() + schedule_interval(context.timing))
            log.info("schedules could not be read: %s", error, extra=context.log_fields(reason=error.reason))
        return
    now = context.now()
    look.found(report, now, now + (timedelta() if passing else schedule_interval(context.timing)))


async def find_runbook_schedules(context: ReconcileContext) -> ScheduleReport | None:
    """Say where the schedules stand without moving any; None where no time is declared. Raises `AzureError`."""
    if (wanted := _wanted(context)) is None:
        return None
    declared, account = wanted
    findings, _ = await _find(context, declared, account)
    return build_schedule_report(str(declared), findings)


async def _keep(
    context: ReconcileContext, declared: RunbookScheduleSpec, account: ArmId
) -> tuple[ScheduleReport, bool]:
    """Look, and move what differs. Returns also whether something passing has kept that from being finished."""
    keeping, now = context.state.schedules, context.now()
    keeping.writes.forget_old(now)
    findings, links = await _find(context, declared, account)
    differing = [finding for finding in findings if finding.standing is Standing.DIFFERS]
    if context.resource.spec.mode is not Mode.ENFORCE or not differing or context.superseded.is_set():
        return build_schedule_report(str(declared), findings), context.superseded.is_set()
    for finding in differing:
        keeping.writes.note(finding.target.name, finding.target.mapping, now)
    await context.report_to(readiness.settled(context.resource, context.state))
    mover = ScheduleMover(context, account, links.keys())
    moved = await mover.move(differing)
    findings = [moved.get(finding.target.key, finding) for finding in findings]
    if mover.moved:
        keeping.replaced = add_replaced(keeping.replaced, mover.moved, context.now())
        said = f"moved {plural(len(mover.moved), 'schedule')} of Automation account {account.name} to {declared}"
        log.info("%s", said, extra=context.log_fields(reason=Reason.RUNBOOK_SCHEDULE_MOVED))
    error = mover.stopped_by
    passing = context.superseded.is_set() or (error is not None and will_pass(context, error))
    return build_schedule_report(str(declared), findings, error.explanation if error else None), passing


async def _find(
    context: ReconcileContext, declared: RunbookScheduleSpec, account: ArmId
) -> tuple[list[Finding], Mapping[str, ScheduleLink]]:
    """Where each schedule stands, and what binds schedules to runbooks. Raises `AzureError`."""
    busy = {key for key, action in context.state.actions.items() if action is Action.TRACK}
    targets = find_targets(declared, await mappings_of(context), account, busy)
    keys = frozenset(f"{account.key}/{target.key}" for target in targets)
    claimed = context.schedule_claims.claim(context.call_context.key, str(declared), keys, context.now())
    if not targets:
        return [], {}
    facts = await context.schedules.read(context.call_context, account)
    schedules = await _with_unlisted(context, account, targets, facts.schedules)
    by_schedule: dict[str, dict[str, ScheduleLink]] = {}
    for key, link in facts.links.items():
        by_schedule.setdefault(fold(link.schedule), {})[key] = link
    findings = []
    for target in targets:
        links, writes = by_schedule.get(target.key, {}), context.state.schedules.writes
        finding = judge(target, schedules.get(target.key), links, writes, context.now())
        if other := claimed.get(f"{account.key}/{target.key}"):
            finding = replace(
                finding,
                standing=Standing.DECLARED_TWICE,
                message=f"A mapping of another vault names it too, for which {other} is declared: declare the same.",
            )
        findings.append(finding)
    return findings, facts.links


async def _with_unlisted(
    context: ReconcileContext, account: ArmId, targets: Sequence[Target], listed: Mapping[str, Schedule]
) -> Mapping[str, Schedule]:
    """Ask singly for what the list does not show: that Site Recovery's are in it is likely, and no more."""
    found = dict(listed)
    absent = [target for target in targets if target.key not in listed and can_be_asked_for(target.name)]
    for target in absent[:_MOST_ASKED_FOR]:
        schedule = await context.schedules.get(context.call_context, account, target.name)
        if schedule:
            found[target.key] = schedule
    return found


def _wanted(context: ReconcileContext) -> tuple[RunbookScheduleSpec, ArmId] | None:
    """What is declared, and for which account."""
    spec = context.resource.spec
    declared, account = spec.runbook_schedule, spec.automation_account_resource_id
    if spec.auto_update is not AutoUpdate.ENABLED or declared is None or account is None:
        return None
    return declared, account


def _set_time(context: ReconcileContext, declared: RunbookScheduleSpec) -> None:
    """Look at once where something else is declared than before; in no hurry where an earlier process has looked."""
    look = context.state.schedules.look
    if look.report is None or look.report.declared != str(declared):
        look.due = None if look.problem is None else look.due
    elif look.due is None and not look.seen:
        look.due = in_no_hurry(context, look, schedule_interval(context.timing))
