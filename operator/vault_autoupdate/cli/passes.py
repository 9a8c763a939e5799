"""What commands that change mappings do: look, work until it is done, and look again where a look failed in passing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Final

from rich.console import Console

from vault_autoupdate.cli.common import on_interrupt, until_interrupted
from vault_autoupdate.cli.view import View
from vault_autoupdate.core import Core, utc_now
from vault_autoupdate.decide.plan import Plan
from vault_autoupdate.decide.state import VaultState
from vault_autoupdate.model.azure import ContainerMapping
from vault_autoupdate.model.errors import AzureError, Disposition
from vault_autoupdate.model.resource import VaultAutoUpdate
from vault_autoupdate.reconcile.reconciler import Outcome
from vault_autoupdate.report.readiness import Readiness, working

_MORE_LOOKS: Final = 4
"""After one that failed for a reason that may pass, without anything having been achieved meanwhile."""

__all__ = ["Select", "bring_about", "every_one", "look_and_plan"]

Select = Callable[[ContainerMapping], bool]
"""Which mappings of a vault a command is about."""


def every_one(_: ContainerMapping) -> bool:
    """All of them."""
    return True


async def bring_about(
    core: Core,
    resource: VaultAutoUpdate,
    state: VaultState,
    view: View,
    console: Console,
    *,
    select: Select = every_one,
) -> Outcome:
    """Make the selected mappings match ``resource`` and wait for all jobs, or until Ctrl-C.

    Args:
        core: works on Azure.
        resource: what is declared.
        state: tells what came of it.
        view: shows how far it is.
        console: is told how long Azure wants to be left alone.
        select: which mappings; the others are left as they are.
    """
    interrupted = on_interrupt()

    async def report(readiness: Readiness) -> None:
        view.progress(readiness, state)

    def so_far() -> Outcome:
        return Outcome(working(resource, state), superseded=True)

    failures, done = 0, _work_done(state)
    while True:
        work = core.reconciler.reconcile(resource, state, report, interrupted, select=select)
        outcome = await until_interrupted(work, interrupted, so_far)
        if outcome.superseded or outcome.error is None:
            return outcome
        failures, done = (failures + 1 if done == _work_done(state) else 1), _work_done(state)
        if outcome.error.disposition is Disposition.WAIT:
            pause = max(timedelta(seconds=1), core.paused_for(resource, state.location))
        elif outcome.error.disposition is Disposition.RETRY and failures <= _MORE_LOOKS:
            pause = _pause_before_look(core, failures)
        else:
            return outcome
        until = utc_now() + pause
        said = f"{outcome.readiness.message} Going on at {until:%Y-%m-%dT%H:%M:%SZ}."
        console.print(said, markup=False, soft_wrap=True)
        with suppress(TimeoutError):
            await asyncio.wait_for(interrupted.wait(), pause.total_seconds())


async def look_and_plan(core: Core, resource: VaultAutoUpdate, *, select: Select = every_one) -> Plan:
    """Plan; a look that fails for a reason that may pass is taken again, within the same bounds as by `bring_about`.

    Raises:
        AzureError: the vault could not be read.
    """
    for failures in range(1, _MORE_LOOKS + 1):
        try:
            return await core.reconciler.plan(resource, select=select)
        except AzureError as error:
            if error.disposition is not Disposition.RETRY:
                raise
        await asyncio.sleep(_pause_before_look(core, failures).total_seconds())
    return await core.reconciler.plan(resource, select=select)


def _pause_before_look(core: Core, failures: int) -> timedelta:
    """How long before a look is taken again. The operator waits for minutes; at a terminal that would be too long."""
    return core.settings.retry_pause * (1 << failures - 1)


def _work_done(state: VaultState) -> tuple[int, ...]:
    """What a run has come to. While it goes on, an error now and then must not add up to its end."""
    run = state.run
    return (run.patched, run.succeeded, run.failed, run.failed_to_start, run.timed_out) if run else ()
