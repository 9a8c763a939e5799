"""``vault-autoupdate restore``: the way back, to what the mappings had when a plan was kept."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from typing import Any, Final, TextIO

import click
from rich.console import Console

from vault_autoupdate.cli.common import (
    EXIT_CHANGES,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    Watcher,
    fail,
    load,
    open_quiet_core,
    output_option,
    refuse,
    settings_options,
)
from vault_autoupdate.cli.manifest import InvalidManifest
from vault_autoupdate.cli.passes import bring_about, look_and_plan
from vault_autoupdate.cli.snapshot import Snapshot, read_snapshots
from vault_autoupdate.cli.view import open_view, plan_document, print_json, run_document, show_plan, show_run
from vault_autoupdate.core import Core
from vault_autoupdate.decide.plan import Plan
from vault_autoupdate.decide.state import VaultState
from vault_autoupdate.decide.way_back import Step, steps_back, to_put_back
from vault_autoupdate.model.azure import ContainerMapping
from vault_autoupdate.model.conditions import ConditionStatus
from vault_autoupdate.model.errors import AzureError
from vault_autoupdate.model.resource import API_VERSION, KIND, InvalidSpec, VaultAutoUpdate, parse_resource
from vault_autoupdate.model.text import plural

_OPERATOR: Final = (
    "note: an operator that declares something else for this vault changes it back: set its resource to mode: Audit, "
    "or delete it, first"
)

__all__ = ["restore"]


@dataclass(frozen=True)
class _Part:
    """The mappings of a vault that had the same setting, and what would be done to give it back to them."""

    resource: VaultAutoUpdate
    plan: Plan
    keys: frozenset[str]
    """Those that are to be put back."""

    def includes(self, mapping: ContainerMapping) -> bool:
        """Whether a mapping is to be put back."""
        return mapping.key in self.keys


@click.command()
@click.argument("file", type=click.File(encoding="utf-8"))
@output_option
@click.option("--yes", is_flag=True, help="Do it. Without this, what would be done is shown, and nothing is changed.")
@settings_options(operator=False)
def restore(file: TextIO, output: str, yes: bool, **flags: str | None) -> None:
    """Put mappings back to what they had when FILE was printed by plan -o json. - reads standard input.

    Mappings that are new since then, and those that cannot have auto-update, are left as they are. What had a Run As
    account comes back with the identity of the account, since Azure has retired the other.

    Exit code 0: all is as it was. 2, without --yes: there are changes. 1: something could not be read, failed or timed
    out. 130: interrupted with Ctrl-C; the same command again goes on.
    """
    settings, snapshots = load(flags), _snapshots(file)
    steps = [[(_resource(snapshot, step), step) for step in steps_back(snapshot.recorded)] for snapshot in snapshots]
    console = Console(stderr=yes and output == "json")
    if yes:
        click.echo(_OPERATOR, err=True)
    documents: list[dict[str, Any]] = []
    code, watcher = 0, Watcher()
    with open_quiet_core(settings, watcher) as core:
        for snapshot, wanted in zip(snapshots, steps, strict=True):
            parts = [_part(core, resource, step) for resource, step in wanted]
            if yes:
                code = max(code, _put_back(core, watcher, console, parts, documents))
                if code == EXIT_INTERRUPTED:
                    break
            else:
                documents += _show(snapshot, parts, console if output == "text" else None)
                code = max(code, EXIT_CHANGES if any(part.keys for part in parts) else 0)
    if output == "json":
        click.echo(print_json(documents))
    sys.exit(code)


def _snapshots(file: TextIO) -> list[Snapshot]:
    try:
        return read_snapshots(file)
    except InvalidManifest as error:
        refuse(f"{file.name}: {problem}" for problem in error.problems)


def _resource(snapshot: Snapshot, step: Step) -> VaultAutoUpdate:
    """What would have to be declared for some mappings of a vault to be as they were."""
    namespace, _, name = snapshot.resource.partition("/")
    account = step.goal.automation_account
    spec = {"vaultResourceId": snapshot.vault_resource_id.text, "autoUpdate": str(step.goal.auto_update)}
    spec |= {"automationAccountResourceId": account.text} if account else {}
    metadata = {"name": name, "namespace": namespace}
    try:
        return parse_resource({"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec})
    except InvalidSpec as error:
        refuse(f"{snapshot.resource}: {problem}" for problem in error.problems)


def _part(core: Core, resource: VaultAutoUpdate, step: Step) -> _Part:
    try:
        plan = asyncio.run(look_and_plan(core, resource, select=step.includes))
    except AzureError as error:
        fail(f"{resource.key}: {error.reason}: {error}")
    return _Part(resource, plan, to_put_back(plan))


def _show(snapshot: Snapshot, parts: list[_Part], console: Console | None) -> list[dict[str, Any]]:
    """Show the parts of a vault as one plan, and what is no longer there; returns it for programs."""
    found = {decision.key for part in parts for decision in part.plan.decisions}
    gone = [each.path for each in snapshot.recorded if each.auto_update and each.key not in found]
    documents = []
    for part in parts:
        plan = Plan(tuple(each for each in part.plan.decisions if each.key in part.keys or not each.actionable))
        documents.append(plan_document(part.resource, plan))
        if console:
            show_plan(console, part.resource, plan, everything=False)
    if console:
        for path in gone:
            console.print(f"no longer there: {path}", markup=False, highlight=False, soft_wrap=True)
    return documents


def _put_back(
    core: Core, watcher: Watcher, console: Console, parts: list[_Part], documents: list[dict[str, Any]]
) -> int:
    """Give their setting back to the mappings of a vault; returns the exit code."""
    code = 0
    for part in filter(lambda each: each.keys, parts):
        state = VaultState()
        with open_view(console) as view:
            watcher.view = view
            outcome = asyncio.run(bring_about(core, part.resource, state, view, console, select=part.includes))
        show_run(console, part.resource, state, outcome.readiness)
        documents.append(run_document(part.resource, state, outcome.readiness))
        if outcome.superseded:
            jobs = plural(len(state.operations), "job")
            console.print(f"Interrupted. {jobs} still running in Azure; the same command again finds them.")
            return EXIT_INTERRUPTED
        code = max(code, 0 if outcome.readiness.ready == ConditionStatus.TRUE else EXIT_FAILED)
    return code
