"""``vault-autoupdate plan`` and ``apply``: what differs in a vault, and mending it, without a cluster."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from dataclasses import replace
from typing import TextIO

import click
from rich.console import Console

from vault_autoupdate.cli.common import (
    EXIT_CHANGES,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    Watcher,
    fail,
    load,
    manifests,
    open_quiet_core,
    output_option,
    settings_options,
)
from vault_autoupdate.cli.passes import bring_about, look_and_plan
from vault_autoupdate.cli.schedules import look_at_schedules, show_schedules
from vault_autoupdate.cli.view import open_view, plan_document, print_json, run_document, show_plan, show_run
from vault_autoupdate.decide.runbook_schedule import Standing
from vault_autoupdate.decide.state import VaultState
from vault_autoupdate.model.conditions import ConditionStatus, Reason
from vault_autoupdate.model.errors import AzureError
from vault_autoupdate.model.resource import VaultAutoUpdate
from vault_autoupdate.model.text import plural
from vault_autoupdate.reconcile.reconciler import Outcome
from vault_autoupdate.settings import Settings

__all__ = ["apply", "plan", "show_plans"]


@click.command()
@click.argument("file", type=click.File(encoding="utf-8"))
@output_option
@click.option("--all", "everything", is_flag=True, help="Also show mappings that are left as they are.")
@settings_options(operator=False)
def plan(file: TextIO, output: str, everything: bool, **flags: str | None) -> None:
    """Show what apply would change and why. FILE is the manifest that kubectl takes; - reads standard input.

    Exit code 0: nothing to do. 2: there are changes. 1: the vault could not be read.
    """
    sys.exit(show_plans(load(flags), manifests(file), output, everything=everything))


def show_plans(settings: Settings, resources: Iterable[VaultAutoUpdate], output: str, *, everything: bool) -> int:
    """Plan each resource and show it; returns the exit code. Ends the process where a vault cannot be read."""
    console = Console()
    documents, changes = [], 0
    with open_quiet_core(settings, Watcher()) as core:
        for resource in resources:
            try:
                result = asyncio.run(look_and_plan(core, resource))
                schedules = asyncio.run(look_at_schedules(core, resource))
            except AzureError as error:
                fail(f"{resource.key}: {error.reason}: {error}")
            to_move = sum(each.standing is Standing.DIFFERS for each in schedules.findings) if schedules else 0
            changes += len(result.actionable) + to_move
            documents.append(plan_document(resource, result, schedules))
            if output == "text":
                show_plan(console, resource, result, everything=everything)
                show_schedules(console, schedules)
    if output == "json":
        click.echo(print_json(documents))
    return EXIT_CHANGES if changes else 0


@click.command()
@click.argument("file", type=click.File(encoding="utf-8"))
@output_option
@settings_options(operator=False)
def apply(file: TextIO, output: str, **flags: str | None) -> None:
    """Make the vault match FILE, once, and wait for all jobs. FILE is the manifest that kubectl takes.

    That is auto-update of the mappings alone: agents are updated by update-agents, also where spec.agentUpdates is set,
    and to keep spec.runbookSchedule is for the operator, which remembers how often a schedule was moved.

    While Azure asks to be left alone (429), it is waited. A look that fails for a reason that may pass is taken again,
    up to four times in a row.

    Exit code 0: all is as declared. 1: something failed or timed out. 130: interrupted with Ctrl-C; the same
    command again finds the jobs that still run, and goes on.
    """
    settings, resources = load(flags), [_without_times(resource) for resource in manifests(file)]
    console = Console(stderr=output == "json")
    documents, code = [], 0
    watcher = Watcher()
    with open_quiet_core(settings, watcher) as core:
        for resource in resources:
            state = VaultState()
            with open_view(console) as view:
                watcher.view = view
                outcome = asyncio.run(bring_about(core, resource, state, view, console))
            show_run(console, resource, state, outcome.readiness)
            documents.append(run_document(resource, state, outcome.readiness))
            if outcome.superseded:
                jobs = plural(len(state.operations), "job")
                console.print(f"Interrupted. {jobs} still running in Azure; the same command again finds them.")
                code = EXIT_INTERRUPTED
                break
            code = max(
                code,
                0 if outcome.readiness.ready == ConditionStatus.TRUE or _only_audit(resource, outcome) else EXIT_FAILED,
            )
    if output == "json":
        click.echo(print_json(documents))
    sys.exit(code)


def _without_times(resource: VaultAutoUpdate) -> VaultAutoUpdate:
    """``resource`` without windows and schedules: a command that ends soon, and forgets, cannot see to them."""
    return replace(resource, spec=resource.spec.model_copy(update={"agent_updates": None, "runbook_schedule": None}))


def _only_audit(resource: VaultAutoUpdate, outcome: Outcome) -> bool:
    """Whether the vault differs only because the manifest says to change nothing."""
    return outcome.error is None and outcome.readiness.reason == Reason.DRIFT_DETECTED and resource.spec.mode == "Audit"
