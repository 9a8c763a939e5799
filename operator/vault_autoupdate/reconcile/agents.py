"""Look at what auto-update is all for: the agents of the vault's machines, and the account that updates them.

All of it can wait, so it uses reads only while there are plenty of them; an answer that does not come spoils nothing
but what is known of the agents or the account.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from vault_autoupdate.arm.throttle import CallKind
from vault_autoupdate.decide.account_report import absent_artifacts, build_account_report
from vault_autoupdate.decide.agent_report import build_report, newest_version
from vault_autoupdate.decide.schedule import fraction_of
from vault_autoupdate.model.arm_id import ArmId
from vault_autoupdate.model.azure import AccountFacts, ContainerMapping, Machine
from vault_autoupdate.model.errors import AzureError, Disposition
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.model.resource import AutoUpdate
from vault_autoupdate.reconcile.context import VaultPass

_RENEW_AGAIN_AFTER: Final = timedelta(hours=24)
"""What a PATCH did not bring back is not asked for again before."""
_ROUNDS: Final = 3
"""Readings of mappings that change meanwhile, before that is put off."""

log = logging.getLogger(__name__)

__all__ = ["explain", "look_at_account", "look_at_agents", "read_machines", "wants_to_look"]


def wants_to_look(vault_pass: VaultPass) -> bool:
    """Whether a look at the agents or the account is due, and there are reads to spare."""
    if not vault_pass.timing.agent_interval:
        return False
    _set_times(vault_pass)
    state = vault_pass.state
    account = _may_look(vault_pass, state.account_due) if _account_to_look_at(vault_pass) else False
    return _may_look(vault_pass, state.agents_due) or account


async def look_at_agents(vault_pass: VaultPass) -> None:
    """Look at the agents of the vault's machines, if that is due and there are reads to spare."""
    state, interval = vault_pass.state, vault_pass.timing.agent_interval
    if not interval:
        return
    _set_times(vault_pass)
    if not _may_look(vault_pass, state.agents_due):
        return
    try:
        await read_machines(vault_pass)
    except AzureError as error:
        if _will_pass(vault_pass, error):
            return
        state.agents, state.machines, state.machines_at, state.agents_looked = None, (), None, True
        state.agents_problem = explain(error)
        log.info("the agents could not be read: %s", error, extra=vault_pass.log_fields(reason=error.reason))
        state.agents_due = vault_pass.now() + interval


async def read_machines(vault_pass: VaultPass) -> Sequence[Machine]:
    """Read all machines of the vault and report on their agents. Raises `AzureError`."""
    state = vault_pass.state
    machines = await vault_pass.site_recovery.machines(vault_pass.context, vault_pass.resource.spec.vault_resource_id)
    newest = vault_pass.newest_agent
    newest.version = newest_version([newest.version, *(machine.agent_version for machine in machines)])
    now = vault_pass.now()
    state.agents = build_report(machines, await _mappings(vault_pass), newest=newest.version, now=now)
    state.agents_problem, state.agents_looked = None, True
    state.machines, state.machines_at = (tuple(machines), now) if _needs_machines(vault_pass) else ((), None)
    state.agents_due = now + vault_pass.timing.agent_interval
    return machines


async def look_at_account(vault_pass: VaultPass) -> bool:
    """Look at the Automation account, if that is due and there are reads to spare.

    Returns:
        Whether it has lost something that a PATCH of a mapping would make anew, so that the mappings are to be looked
        at again.
    """
    state, interval = vault_pass.state, vault_pass.timing.agent_interval
    account = _account_to_look_at(vault_pass)
    if not interval or account is None:
        state.account, state.account_problem, state.account_due, state.account_looked = None, None, None, False
        state.artifacts_missing.clear()
        return False
    _set_times(vault_pass)
    if not _may_look(vault_pass, state.account_due):
        return False
    now = vault_pass.now()
    try:
        seen = await _read_account(vault_pass, account)
    except AzureError as error:
        if _will_pass(vault_pass, error):
            return False
        state.account, state.account_looked, state.account_problem = None, True, explain(error)
        log.info(
            "the Automation account could not be read: %s", error, extra=vault_pass.log_fields(reason=error.reason)
        )
        state.artifacts_missing.clear()
        state.account_due = now + interval
        return False
    if seen is None:
        vault_pass.put_off = True
        return False
    facts, mappings = seen
    state.account = build_account_report(facts, account, mappings, now)
    state.account_problem, state.account_looked, state.account_due = None, True, now + interval
    state.artifacts_renewed = {key: at for key, at in state.artifacts_renewed.items() if now - at < _RENEW_AGAIN_AFTER}
    state.artifacts_missing = {
        key: what for key, what in state.account.missing.items() if key not in state.artifacts_renewed
    }
    return bool(state.artifacts_missing)


def explain(error: AzureError) -> Explanation:
    """An error as an explanation."""
    return Explanation(error.reason, error.message, error.possible_causes, error.recommended_action)


async def _read_account(
    vault_pass: VaultPass, account: ArmId
) -> tuple[AccountFacts, Sequence[ContainerMapping]] | None:
    """Read the account, and the mappings as they are at that time.

    Mappings that are set anew while it is read have other schedules than those by which it is judged. So what it lacks
    counts only if the mappings, read once more, still need it. None when they keep changing.

    Raises:
        AzureError: something could not be read.
    """
    facts = await vault_pass.accounts.facts(vault_pass.context, account)
    confirmed: tuple[list[str], list[str]] | None = None
    for _ in range(_ROUNDS):
        mappings = await _mappings(vault_pass)
        absent = absent_artifacts(facts, account, mappings)
        if facts.account is None or absent == confirmed or not any(absent):
            return facts, mappings
        schedules, job_schedules = absent
        facts = await vault_pass.accounts.confirm(
            vault_pass.context, account, facts, schedules=schedules, job_schedules=job_schedules
        )
        confirmed = absent_artifacts(facts, account, mappings)
        if any(confirmed):
            vault_pass.mappings = ()  # to be read once more
    return None


def _may_look(vault_pass: VaultPass, due: datetime | None) -> bool:
    if due is not None and vault_pass.now() < due:
        return False
    throttle, scope = vault_pass.site_recovery.client.throttle, vault_pass.context.scope
    has_plenty = throttle.has_plenty(scope, CallKind.READ)
    vault_pass.put_off |= not has_plenty
    return has_plenty


def _will_pass(vault_pass: VaultPass, error: AzureError) -> bool:
    will_pass = error.disposition in {Disposition.RETRY, Disposition.WAIT}
    vault_pass.put_off |= will_pass
    return will_pass


def _account_to_look_at(vault_pass: VaultPass) -> ArmId | None:
    """The Automation account, where it has anything to do."""
    spec = vault_pass.resource.spec
    matters = spec.auto_update is AutoUpdate.ENABLED and spec.automation_account_checks
    return spec.automation_account_resource_id if matters else None


def _set_times(vault_pass: VaultPass) -> None:
    """Look in no hurry at what an earlier process has looked at, unless the machines are needed now."""
    state = vault_pass.state
    if state.agents_due is None and state.agents is not None and not _needs_machines(vault_pass):
        state.agents_due = _in_no_hurry(vault_pass)
    if state.account_due is None and state.account is not None:
        state.account_due = _in_no_hurry(vault_pass)


def _in_no_hurry(vault_pass: VaultPass) -> datetime:
    """When to look at what an earlier process has looked at: spread out, so that a restart costs little."""
    share = fraction_of(f"{vault_pass.resource.uid}{vault_pass.resource.key}")
    return vault_pass.now() + vault_pass.timing.agent_interval * share


async def _mappings(vault_pass: VaultPass) -> Sequence[ContainerMapping]:
    """The vault's mappings: as this pass has seen them, or read for this. Raises `AzureError`."""
    if not vault_pass.mappings:
        vault_id = vault_pass.resource.spec.vault_resource_id
        vault_pass.mappings = await vault_pass.site_recovery.mappings(vault_pass.context, vault_id)
    return vault_pass.mappings


def _needs_machines(vault_pass: VaultPass) -> bool:
    """Whether the machines themselves are needed later on, for updates in windows."""
    return vault_pass.resource.spec.agent_updates is not None
