"""When the agents and the account are looked at: in no hurry, and only while there are reads to spare."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from vault_autoupdate.arm.throttle import CallKind
from vault_autoupdate.decide.schedule import fraction_of
from vault_autoupdate.model.arm_id import ArmId
from vault_autoupdate.model.azure import ContainerMapping
from vault_autoupdate.model.errors import AzureError, Disposition
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.model.resource import AutoUpdate
from vault_autoupdate.reconcile.context import VaultPass

__all__ = [
    "account_to_look_at",
    "explain",
    "mappings_of",
    "may_look",
    "needs_machines",
    "set_times",
    "wants_to_look",
    "will_pass",
]


def wants_to_look(vault_pass: VaultPass) -> bool:
    """Whether a look at the agents or the account is due, and there are reads to spare."""
    if not vault_pass.timing.agent_interval:
        return False
    set_times(vault_pass)
    state = vault_pass.state
    account = may_look(vault_pass, state.account_due) if account_to_look_at(vault_pass) else False
    return may_look(vault_pass, state.agents_due) or account


def explain(error: AzureError) -> Explanation:
    """An error as an explanation."""
    return Explanation(error.reason, error.message, error.possible_causes, error.recommended_action)


def may_look(vault_pass: VaultPass, due: datetime | None) -> bool:
    """Whether what is ``due`` may be looked at now; if only the reads are missing, the pass comes back for it."""
    if due is not None and vault_pass.now() < due:
        return False
    throttle, scope = vault_pass.site_recovery.client.throttle, vault_pass.context.scope
    has_plenty = throttle.has_plenty(scope, CallKind.READ)
    vault_pass.put_off |= not has_plenty
    return has_plenty


def will_pass(vault_pass: VaultPass, error: AzureError) -> bool:
    """Whether a look failed for a passing reason; if so, the pass comes back for it."""
    passing = error.disposition in {Disposition.RETRY, Disposition.WAIT}
    vault_pass.put_off |= passing
    return passing


def account_to_look_at(vault_pass: VaultPass) -> ArmId | None:
    """The Automation account, where it has anything to do."""
    spec = vault_pass.resource.spec
    matters = spec.auto_update is AutoUpdate.ENABLED and spec.automation_account_checks
    return spec.automation_account_resource_id if matters else None


def set_times(vault_pass: VaultPass) -> None:
    """Look in no hurry at what an earlier process has looked at, unless the machines are needed now."""
    state = vault_pass.state
    if state.agents_due is None and state.agents is not None and not needs_machines(vault_pass):
        state.agents_due = _in_no_hurry(vault_pass)
    if state.account_due is None and state.account is not None:
        state.account_due = _in_no_hurry(vault_pass)


def _in_no_hurry(vault_pass: VaultPass) -> datetime:
    """When to look at what an earlier process has looked at: spread out, so that a restart costs little."""
    share = fraction_of(f"{vault_pass.resource.uid}{vault_pass.resource.key}")
    return vault_pass.now() + vault_pass.timing.agent_interval * share


async def mappings_of(vault_pass: VaultPass) -> Sequence[ContainerMapping]:
    """The vault's mappings: as this pass has seen them, or read for this. Raises `AzureError`."""
    if not vault_pass.mappings:
        vault_id = vault_pass.resource.spec.vault_resource_id
        vault_pass.mappings = await vault_pass.site_recovery.mappings(vault_pass.context, vault_id)
    return vault_pass.mappings


def needs_machines(vault_pass: VaultPass) -> bool:
    """Whether the machines themselves are needed later on, for updates in windows."""
    return vault_pass.resource.spec.agent_updates is not None
