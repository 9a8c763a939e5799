"""``vault-autoupdate plan`` and ``apply``: what differs in a vault, and mending it, without a cluster."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Final, TextIO

import click
from rich.console import Console

from vault_autoupdate.cli import view as terminal
from vault_autoupdate.cli.common import (
    EXIT_CHANGES,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    Watcher,
    fail,
    load,
    manifests,
    on_interrupt,
    open_quiet_core,
    output_option,
    settings_options,
)
from vault_autoupdate.core import Core, utc_now
from vault_autoupdate.decide.plan import Plan
from vault_autoupdate.decide.state import VaultState
from vault_autoupdate.model.errors import AzureError, Disposition
from vault_autoupdate.model.resource import VaultAutoUpdate
from vault_autoupdate.model.text import plural
from vault_autoupdate.reconcile.reconciler import Outcome
from vault_autoupdate.report.readiness import Readiness

_MORE_LOOKS: Final = 4
"""After one that failed for a reason that may pass, without anything having been achieved meanwhile."""

__all__ = ["apply", "plan"]


@click.command()
@click.argument("file", type=click.File(encoding="utf-8"))
@output_option
@click.option("--all", "everything", is_flag=True, help="Also show mappings that are left as they are.")
@settings_options(operator=False)
def plan(file: TextIO, output: str, everything: bool, **flags: str | None) -> None:
    """Show what apply would change and why. FILE is the manifest that kubectl takes; - reads standard input.

    Exit code 0: nothing to do. 2: there are changes. 1: the vault could not be read.
    """
    settings, resources, console = load(flags), manifests(file), Console()
    documents, changes = [], 0
    with open_quiet_core(settings, Watcher()) as core:
        for resource in resources:
            try:
                result = asyncio.run(_plan(core, resource))
            except AzureError as error:
                fail(f"{resource.key}: {error.reason}: {error}")
            changes += len(result.actionable)
            documents.append(terminal.plan_document(resource, result))
            if output == "text":
                terminal.show_plan(console, resource, result, everything=everything)
    if output == "json":
        click.echo(terminal.print_json(documents))
    sys.exit(EXIT_CHANGES if changes else 0)


@click.command()
@click.argument("file", type=click.File(encoding="utf-8"))
@output_option
@settings_options(operator=False)
def apply(file: TextIO, output: str, **flags: str | None) -> None:
    """Make the vault match FILE, once, and wait for all jobs. FILE is the manifest that kubectl takes.

    That is auto-update of the mappings alone: agents are updated by update-agents, also where spec.agentUpdates is set.

    While Azure asks to be left alone (429), it is waited. A look that fails for a reason that may pass is taken again,
    up to four times in a row.

    Exit code 0: all is as declared. 1: something failed or timed out. 130: interrupted with Ctrl-C; the same
    command again finds the jobs that still run, and goes on.
    """
    settings, resources = load(flags), [_without_windows(resource) for resource in manifests(file)]
    console = Console(stderr=output == "json")
    documents, code = [], 0
    watcher = Watcher()
    with open_quiet_core(settings, watcher) as core:
        for resource in resources:
            state = VaultState()
            with terminal.open_view(console) as view:
                watcher.view = view
                outcome = asyncio.run(_apply(core, resource, state, view, console))
            terminal.show_run(console, resource, state, outcome.readiness)
            documents.append(terminal.run_document(resource, state, outcome.readiness))
            if outcome.superseded:
                jobs = plural(len(state.operations), "job")
                console.print(f"Interrupted. {jobs} still running in Azure; the same command again finds them.")
                code = EXIT_INTERRUPTED
                break
            code = max(code, 0 if outcome.readiness.ready == "True" or _only_audit(resource, outcome) else EXIT_FAILED)
    if output == "json":
        click.echo(terminal.print_json(documents))
    sys.exit(code)


async def _apply(
    core: Core, resource: VaultAutoUpdate, state: VaultState, view: terminal.View, console: Console
) -> Outcome:
    interrupted = on_interrupt()

    async def report(readiness: Readiness) -> None:
        view.progress(readiness, state)

    failures, done = 0, _work_done(state)
    while True:
        outcome = await core.reconciler.reconcile(resource, state, report, interrupted)
        if outcome.superseded or outcome.error is None:
            return outcome
        failures, done = (failures + 1 if done == _work_done(state) else 1), _work_done(state)
        if outcome.error.disposition is Disposition.WAIT:
            pause = max(1.0, core.paused_for(resource, state.location))
        elif outcome.error.disposition is Disposition.RETRY and failures <= _MORE_LOOKS:
            pause = _pause_before_look(core, failures)
        else:
            return outcome
        until = utc_now() + timedelta(seconds=pause)
        said = f"{outcome.readiness.message} Going on at {until:%Y-%m-%dT%H:%M:%SZ}."
        console.print(said, markup=False, soft_wrap=True)
        with suppress(TimeoutError):
            await asyncio.wait_for(interrupted.wait(), pause)


async def _plan(core: Core, resource: VaultAutoUpdate) -> Plan:
    """Plan; a look that fails for a reason that may pass is taken again, within the same bounds as by `apply`.

    Raises:
        AzureError: the vault could not be read.
    """
    for failures in range(1, _MORE_LOOKS + 1):
        try:
            return await core.reconciler.plan(resource)
        except AzureError as error:
            if error.disposition is not Disposition.RETRY:
                raise
        await asyncio.sleep(_pause_before_look(core, failures))
    return await core.reconciler.plan(resource)


def _pause_before_look(core: Core, failures: int) -> float:
    """Seconds before a look is taken again. The operator waits for minutes; at a terminal that would be too long."""
    return core.settings.retry_pause.total_seconds() * float(2 ** (failures - 1))


def _work_done(state: VaultState) -> tuple[int, ...]:
    """What a run has come to. While it goes on, an error now and then must not add up to its end."""
    run = state.run
    return (run.patched, run.succeeded, run.failed, run.failed_to_start, run.timed_out) if run else ()


def _without_windows(resource: VaultAutoUpdate) -> VaultAutoUpdate:
    """``resource`` without updates in windows: a command that ends soon cannot see to them."""
    return replace(resource, spec=resource.spec.model_copy(update={"agent_updates": None}))


def _only_audit(resource: VaultAutoUpdate, outcome: Outcome) -> bool:
    """Whether the vault differs only because the manifest says to change nothing."""
    return outcome.error is None and outcome.readiness.reason == "DriftDetected" and resource.spec.mode == "Audit"
