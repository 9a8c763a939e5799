"""``vault-autoupdate agents`` and ``update-agents``: the agents of a vault's machines, without a cluster."""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from itertools import groupby
from typing import Any, Final, TextIO, TypeVar

import click
from rich.console import Console

from vault_autoupdate.arm.client import CallContext
from vault_autoupdate.cli.agent_view import (
    AgentRow,
    UpdateGroup,
    agents_document,
    order_document,
    rollout_document,
    show_agents,
    show_order,
    show_rollout,
)
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
    refuse,
    settings_options,
    until_interrupted,
)
from vault_autoupdate.cli.view import View, open_view, print_json
from vault_autoupdate.core import Core, utc_now
from vault_autoupdate.decide.agent_report import AgentReport, Concern, build_report, mapping_of, newest_version
from vault_autoupdate.decide.rollout import Phase, Rollout, decide, enter
from vault_autoupdate.decide.state import VaultState
from vault_autoupdate.model.azure import ContainerMapping, Machine
from vault_autoupdate.model.conditions import ConditionStatus
from vault_autoupdate.model.errors import AzureError
from vault_autoupdate.model.resource import AutoUpdate, Mode, RolloutRules, VaultAutoUpdate
from vault_autoupdate.model.text import plural
from vault_autoupdate.model.windows import WindowSchedule
from vault_autoupdate.reconcile.reconciler import Outcome
from vault_autoupdate.report.readiness import Readiness, updating_agents

_DEFAULT_RULES: Final = RolloutRules(WindowSchedule("0 0 * * *", "UTC", timedelta(hours=24)))
"""Bounds of updates for a manifest without ``spec.agentUpdates``. The schedule does not matter: it is done now."""
_BY_ITSELF: Final = (
    "spec.autoUpdate is Enabled, so Site Recovery updates the agents by itself. Set spec.autoUpdate to Disabled to "
    "have them updated when you say so."
)
_PAUSED: Final = "spec.agentUpdates.pause is true: no update is started. Set it to false to go on."

F = TypeVar("F", bound=Callable[..., Any])

__all__ = ["agents", "update_agents"]


def _vm_option(command: F) -> F:
    text = "Only machines whose name matches, with * and ?, in any letter case; may be given several times."
    return click.option("--vm", "patterns", multiple=True, metavar="PATTERN", help=text)(command)


@dataclass(frozen=True)
class _Found:
    """What was read of one vault."""

    resource: VaultAutoUpdate
    mappings: list[ContainerMapping]
    machines: list[Machine]


@click.command()
@click.argument("file", type=click.File(encoding="utf-8"))
@output_option
@click.option("--all", "everything", is_flag=True, help="Also show machines whose agent is current.")
@_vm_option
@settings_options(operator=False)
def agents(file: TextIO, output: str, everything: bool, patterns: tuple[str, ...], **flags: str | None) -> None:
    """Show the agents of the vault's machines, the worst first. FILE is the manifest that kubectl takes.

    Exit code 0: none is behind, as far as Site Recovery says. 2: some are, or need somebody. 1: the vault could not
    be read.
    """
    settings, resources, console = load(flags), manifests(file), Console()
    documents, behind = [], False
    with open_quiet_core(settings, Watcher()) as core:
        found = [_read(core, resource) for resource in resources]
    newest = newest_version(machine.agent_version for each in found for machine in each.machines)
    now = utc_now()
    for each in found:
        machines = [machine for machine in each.machines if _selected(machine, patterns)]
        report = build_report(machines, each.mappings, newest=newest, now=now)
        rows = _rows(machines, each.mappings, newest, now)
        behind = behind or _needs_attention(report)
        documents.append(agents_document(each.resource, rows, report))
        if output == "text":
            show_agents(console, each.resource, rows, report, everything=everything)
    if output == "json":
        click.echo(print_json(documents))
    sys.exit(EXIT_CHANGES if behind else 0)


@click.command("update-agents")
@click.argument("file", type=click.File(encoding="utf-8"))
@output_option
@_vm_option
@click.option("--dry-run", is_flag=True, help="Show what would be updated, in which order, and start nothing.")
@settings_options(operator=False)
def update_agents(file: TextIO, output: str, patterns: tuple[str, ...], dry_run: bool, **flags: str | None) -> None:
    """Update the agents that need it, now, once, and wait for all jobs. FILE is the manifest that kubectl takes.

    A window of spec.agentUpdates opens now: its duration (or 24h), order, maxConcurrent and maxFailures hold. Only for
    vaults with autoUpdate: Disabled. With mode: Audit it is always a dry run.

    Exit code 0: all are updated. 1: something failed or timed out. 130: interrupted with Ctrl-C: nothing more is
    started, and what runs goes on in Azure. With --dry-run, 0: nothing to update. 2: there is something.
    """
    settings, resources = load(flags), manifests(file)
    _refuse_unsuitable(resources, dry_run=dry_run)
    console = Console(stderr=output == "json")
    documents, code, watcher = [], 0, Watcher()
    with open_quiet_core(settings, watcher) as core:
        for resource in resources:
            updates = resource.spec.agent_updates
            rules = updates.rules() if updates else _DEFAULT_RULES
            if dry_run or resource.spec.mode is Mode.AUDIT:
                groups = _order(_read(core, resource), rules, patterns)
                show_order(console, resource, rules, groups)
                documents.append(order_document(resource, rules, groups))
                code = max(code, EXIT_CHANGES if groups and dry_run else 0)
                continue
            state = VaultState()
            with open_view(console) as view:
                watcher.view = view
                outcome = asyncio.run(_update(core, resource, state, view, rules=rules, patterns=patterns))
            show_rollout(console, state, outcome.readiness)
            documents.append(rollout_document(resource, state, outcome.readiness))
            if outcome.superseded:
                running = plural(len(state.rollout.updates) if state.rollout else 0, "update")
                console.print(f"Interrupted. Nothing more is started; {running} still running in Azure.")
                code = EXIT_INTERRUPTED
                break
            code = max(code, 0 if _all_updated(outcome, state) else EXIT_FAILED)
    if output == "json":
        click.echo(print_json(documents))
    sys.exit(code)


async def _update(
    core: Core,
    resource: VaultAutoUpdate,
    state: VaultState,
    view: View,
    *,
    rules: RolloutRules,
    patterns: tuple[str, ...],
) -> Outcome:
    interrupted = on_interrupt()

    async def report(readiness: Readiness) -> None:
        view.progress(readiness, state)

    work = core.reconciler.update_agents(
        resource, state, report, interrupted, rules=rules, select=lambda machine: _selected(machine, patterns)
    )
    return await until_interrupted(work, interrupted, lambda: Outcome(updating_agents(state), superseded=True))


def _refuse_unsuitable(resources: Sequence[VaultAutoUpdate], *, dry_run: bool) -> None:
    """End before anything is called where a manifest does not want updates of this kind."""
    problems = []
    for resource in resources:
        spec = resource.spec
        if spec.auto_update is AutoUpdate.ENABLED:
            problems.append(f"{resource.key}: {_BY_ITSELF}")
        elif spec.agent_updates and spec.agent_updates.pause and not dry_run:
            problems.append(f"{resource.key}: {_PAUSED}")
    if problems:
        refuse(problems)


def _all_updated(outcome: Outcome, state: VaultState) -> bool:
    decision = state.rollout_decision
    return outcome.readiness.ready == ConditionStatus.TRUE and decision is not None and decision.phase is Phase.DONE


def _read(core: Core, resource: VaultAutoUpdate) -> _Found:
    """The mappings and machines of a vault, or an end with why they cannot be read."""

    async def read() -> _Found:
        vault = resource.spec.vault_resource_id
        context = CallContext(core.settings.quota_scope(resource, ""), "", vault.key, str(uuid.uuid4()))
        mappings = await core.site_recovery.mappings(context, vault)
        return _Found(resource, mappings, await core.site_recovery.machines(context, vault))

    try:
        return asyncio.run(read())
    except AzureError as error:
        fail(f"{resource.key}: {error.reason}: {error}")


def _rows(
    machines: Sequence[Machine], mappings: Sequence[ContainerMapping], newest: str, now: datetime
) -> list[AgentRow]:
    """Each machine with the mapping that it belongs to and the worst that is wrong with it."""
    by_container: defaultdict[str, list[ContainerMapping]] = defaultdict(list)
    for each in mappings:
        by_container[each.key.partition("/replicationprotectioncontainermappings/")[0]].append(each)
    rows = []
    for machine in machines:
        mapping = mapping_of(machine, by_container[machine.container_id])
        worst = build_report([machine], [mapping] if mapping else [], newest=newest, now=now).worst
        rows.append(AgentRow(machine, mapping.path if mapping else "", worst[0] if worst else None))
    return rows


def _order(found: _Found, rules: RolloutRules, patterns: tuple[str, ...]) -> list[UpdateGroup]:
    """What would be updated now, in groups, the first one first."""
    rollout, now = Rollout(), utc_now()
    enter(rollout, rules, "dry run", now)
    machines = [machine for machine in found.machines if _selected(machine, patterns)]
    running = {machine.key for machine in machines if machine.upgrade_in_progress}
    decision = decide(rollout, rules, machines, now=now, audit=True, running=running)
    return [
        UpdateGroup(pattern, tuple(group))
        for pattern, group in groupby(decision.waiting, key=lambda machine: _pattern_of(machine, rules))
    ]


def _pattern_of(machine: Machine, rules: RolloutRules) -> str:
    return next((pattern for pattern in rules.order if _matches(machine, pattern)), "")


def _selected(machine: Machine, patterns: tuple[str, ...]) -> bool:
    return not patterns or any(_matches(machine, pattern) for pattern in patterns)


def _matches(machine: Machine, pattern: str) -> bool:
    return fnmatchcase(machine.name.casefold(), pattern.casefold().replace("[", "[[]"))  # sets are no feature


def _needs_attention(report: AgentReport) -> bool:
    """Whether some agent is behind, or has anything else wrong than being upgraded."""
    return report.behind > 0 or bool(report.concerns.keys() - {Concern.UPGRADING})
