"""Look at what auto-update is all for: the agents of the vault's machines, and the account that updates them.

All of it can wait, so it uses reads only while there are plenty of them; an answer that does not come spoils nothing
but what is known of the agents or the account.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from vault_autoupdate.decide.agent_report import build_report
from vault_autoupdate.model.azure import Machine
from vault_autoupdate.model.errors import AzureError
from vault_autoupdate.reconcile.context import ReconcileContext
from vault_autoupdate.reconcile.looks import mappings_of, may_look, needs_machines, set_times, will_pass

log = logging.getLogger(__name__)

__all__ = ["look_at_agents", "read_machines"]


async def look_at_agents(context: ReconcileContext) -> None:
    """Look at the agents of the vault's machines, if that is due and there are reads to spare."""
    state, interval = context.state, context.timing.agent_interval
    if not interval:
        return
    set_times(context)
    if not may_look(context, state.agents.due):
        return
    try:
        await read_machines(context)
    except AzureError as error:
        if will_pass(context, error):
            return
        state.agents.failed(error.explanation, context.now() + interval)
        state.machines, state.machines_at = (), None
        log.info("the agents could not be read: %s", error, extra=context.log_fields(reason=error.reason))


async def read_machines(context: ReconcileContext) -> Sequence[Machine]:
    """Read all machines of the vault and report on their agents. Raises `AzureError`."""
    state, vault_id = context.state, context.resource.spec.vault_resource_id
    machines = await context.site_recovery.machines(context.call_context, vault_id)
    newest = context.newest_agents.seen(vault_id.subscription, (machine.agent_version for machine in machines))
    now = context.now()
    report = build_report(machines, await mappings_of(context), newest=newest, now=now)
    state.agents.found(report, now, now + context.timing.agent_interval)
    state.machines, state.machines_at = (tuple(machines), now) if needs_machines(context) else ((), None)
    return machines
