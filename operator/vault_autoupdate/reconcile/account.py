"""Look at the Automation account that updates the agents: whether it can, and what it has lost."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from vault_autoupdate.decide.account_report import absent_artifacts, build_account_report
from vault_autoupdate.decide.role_report import RoleReport, judge_role, role_not_known
from vault_autoupdate.model.arm_id import ArmId
from vault_autoupdate.model.azure import AccountFacts, ContainerMapping
from vault_autoupdate.model.errors import AzureError
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.reconcile.context import ReconcileContext
from vault_autoupdate.reconcile.looks import (
    account_interval,
    account_to_look_at,
    mappings_of,
    may_look,
    set_times,
    will_pass,
)

_RENEW_AGAIN_AFTER: Final = timedelta(hours=24)
"""What a PATCH did not bring back is not asked for again before."""
_ROUNDS: Final = 3
"""Readings of mappings that change meanwhile, before that is put off."""

__all__ = ["look_at_account", "next_look_at_account"]

log = logging.getLogger(__name__)


async def look_at_account(context: ReconcileContext) -> bool:
    """Look at the Automation account, and at the role of its identity, if that is due and there are reads to spare.

    Returns:
        Whether it has lost something that a PATCH of a mapping would make anew, so that the mappings are to be looked
        at again.
    """
    state, interval = context.state, context.timing.agent_interval
    account = account_to_look_at(context)
    if not interval or account is None:
        state.account.forget()
        state.artifacts_missing.clear()
        return False
    set_times(context)
    if not may_look(context, state.account.due):
        return False
    now = context.now()
    try:
        seen = await _read_account(context, account)
        role = await _look_at_role(context, account, seen[0]) if seen else None
    except AzureError as error:
        if will_pass(context, error):
            return False
        state.account.failed(error.explanation, now + interval)
        state.artifacts_missing.clear()
        log.info("the Automation account could not be read: %s", error, extra=context.log_fields(reason=error.reason))
        return False
    if seen is None:
        context.postponed = True
        return False
    facts, mappings = seen
    report = build_account_report(facts, account, mappings, now, role)
    state.account.found(report, now, now + account_interval(context, role))
    state.artifacts_renewed = {key: at for key, at in state.artifacts_renewed.items() if now - at < _RENEW_AGAIN_AFTER}
    state.artifacts_missing = {key: what for key, what in report.missing.items() if key not in state.artifacts_renewed}
    return bool(state.artifacts_missing)


def next_look_at_account(context: ReconcileContext) -> timedelta | None:
    """How long until the account is to be looked at again, where that is sooner than it usually is; None where not."""
    look = context.state.account
    if (
        look.report is None
        or look.due is None
        or account_interval(context, look.report.role) >= context.timing.agent_interval
    ):
        return None
    return max(look.due - context.now(), context.timing.retry_min)


async def _look_at_role(context: ReconcileContext, account: ArmId, facts: AccountFacts) -> RoleReport | None:
    """Look at the role of the account's own identity on the vault; None where there is no such identity.

    Raises:
        AzureError: it could not be read, for a reason that will pass.
    """
    if facts.account is None or not facts.account.has_own_identity:
        return None
    last, vault = context.state.account.report, context.resource.spec.vault_resource_id
    before, principal_id = last.role if last else None, facts.account.principal_id
    if not principal_id:
        why = f"Azure does not say which principal the identity of Automation account {account.name} is."
        return role_not_known("", Explanation("NotReported", why), before)
    try:
        roles = await context.roles.facts(context.call_context, vault, principal_id)
    except AzureError as error:
        if error.will_pass:
            raise
        log.info("the account's role could not be read: %s", error, extra=context.log_fields(reason=error.reason))
        return role_not_known(principal_id, error.explanation, before)
    confirmation = context.timing.role_confirmation
    return judge_role(roles, vault, account, principal_id, before, now=context.now(), confirmation=confirmation)


async def _read_account(
    context: ReconcileContext, account: ArmId
) -> tuple[AccountFacts, Sequence[ContainerMapping]] | None:
    """Read the account, and the mappings as they are at that time.

    Mappings that are set anew while it is read have other schedules than those by which it is judged. So what it lacks
    counts only if the mappings, read once more, still need it. None when they keep changing.

    Raises:
        AzureError: something could not be read.
    """
    facts = await context.accounts.facts(context.call_context, account)
    confirmed: tuple[list[str], list[str]] | None = None
    for _ in range(_ROUNDS):
        mappings = await mappings_of(context)
        absent = absent_artifacts(facts, account, mappings)
        if facts.account is None or absent == confirmed or not any(absent):
            return facts, mappings
        schedules, job_schedules = absent
        facts = await context.accounts.confirm(
            context.call_context, account, facts, schedules=schedules, job_schedules=job_schedules
        )
        confirmed = absent_artifacts(facts, account, mappings)
        if any(confirmed):
            context.mappings = ()  # to be read once more
    return None
