"""``vault-autoupdate policy plan`` and ``policy report``: what a policy would do, of a file or of the cluster."""

from __future__ import annotations

import asyncio
import sys
from http import HTTPStatus
from typing import Any, Final

import click
from rich.console import Console

from vault_autoupdate.cli.common import (
    EXIT_CHANGES,
    EXIT_FAILED,
    Watcher,
    load,
    open_quiet_core,
    output_option,
    refuse,
    settings_options,
)
from vault_autoupdate.cli.discover import tell_troubles, to_csv
from vault_autoupdate.cli.manifest import InvalidManifest, read_documents
from vault_autoupdate.cli.view import print_json, show_legend
from vault_autoupdate.cluster.connection import ClusterUnreadable, connect
from vault_autoupdate.cluster.listing import list_resources
from vault_autoupdate.core import Core
from vault_autoupdate.decide.policy_steps import PolicyPlan
from vault_autoupdate.discovery.reconciler import Surroundings
from vault_autoupdate.discovery.state import PolicyState
from vault_autoupdate.model.estate import Child, Estate
from vault_autoupdate.model.policy import VaultAutoUpdatePolicy, parse_policy
from vault_autoupdate.model.resource import KIND, POLICY_KIND, POLICY_PLURAL, InvalidSpec, parse_resource
from vault_autoupdate.model.text import printable
from vault_autoupdate.report.policy_report import VaultRow, rows_of
from vault_autoupdate.report.policy_restore import read_child
from vault_autoupdate.report.policy_status import counts_of

_COLUMNS: Final = ("vault", "location", "standing", "why", "resource", "auto_update", "automation_account")
_SIGNS: Final = {
    "Missing": ("+", "to make"),
    "Changes": ("~", "to change"),
    "Leaves": ("-", "to leave"),
    "Managed": ("=", "as it should be"),
    "Orphaned": ("!", "left over"),
}
"""By standing: its sign, and what that means."""
_OTHER: Final = ("·", "nothing is done")

_source = click.argument("source", metavar="FILE|NAME")
_namespace_option = click.option(
    "-n",
    "--namespace",
    default="",
    show_default=False,
    help="Namespace of a policy of the cluster; without it, a file is read.",
)

__all__ = ["policy"]


@click.group()
def policy() -> None:
    """Show what a VaultAutoUpdatePolicy does. Nothing is changed, and with a file no cluster is needed."""


@policy.command()
@_source
@_namespace_option
@output_option
@click.option("--all", "everything", is_flag=True, help="Also show vaults for which nothing would be done.")
@settings_options(operator=False)
def plan(source: str, namespace: str, output: str, everything: bool, **flags: str | None) -> None:
    """Show what the policy in FILE would make, change and leave, and why. - reads standard input.

    With -n it is the policy NAME of that namespace of the cluster, and the resources that there are in the cluster.

    FILE may hold VaultAutoUpdate resources too, as kubectl get vau -A -o yaml prints them: they count as those that
    there are. Without them, every vault that is meant would get a new one.

    Exit code 0: nothing to do. 2: there are changes. 1: not all of the scope could be read.
    """
    settings, (declared, resources) = load(flags), _read(source, namespace)
    with open_quiet_core(settings, Watcher()) as core:
        estate, made = asyncio.run(_plan(core, declared, resources))
    rows = rows_of(estate, made)
    complete = tell_troubles(estate)
    if output == "json":
        counts = counts_of(estate, made)
        document = {"counts": counts, "planHash": made.hash, "vaults": [row.document() for row in rows]}
        click.echo(print_json(document))
    else:
        _show(rows, everything=everything)
    changes = bool(made.missing or made.differing or made.leaving)
    sys.exit(EXIT_FAILED if not complete else EXIT_CHANGES if changes else 0)


@policy.command()
@_source
@_namespace_option
@click.option("-o", "--output", type=click.Choice(["json", "csv"]), default="csv", help="Form of the answer.")
@settings_options(operator=False)
def report(source: str, namespace: str, output: str, **flags: str | None) -> None:
    """Print the whole coverage of the policy in FILE, a line for each vault, for audits. - reads standard input.

    FILE and NAME are as for plan. Exit code 0: all of the scope could be read. 1: not all.
    """
    settings, (declared, resources) = load(flags), _read(source, namespace)
    with open_quiet_core(settings, Watcher()) as core:
        estate, made = asyncio.run(_plan(core, declared, resources))
    rows = [row.document() for row in rows_of(estate, made)]
    if output == "json":
        click.echo(print_json(rows))
    else:
        click.echo(to_csv(_COLUMNS, rows), nl=False)
    sys.exit(0 if tell_troubles(estate) else EXIT_FAILED)


async def _plan(
    core: Core, declared: VaultAutoUpdatePolicy, resources: dict[str, tuple[Child, ...]]
) -> tuple[Estate, PolicyPlan]:
    state = PolicyState()
    around = Surroundings(resources, {}, lambda _: True, frozenset())
    context = await core.policies.discover(declared, state, None)
    made = await core.policies.plan(declared, state, lambda: around, context, fresh=True)
    if state.estate is None:
        raise AssertionError("unreachable: a discovery always finds an estate, be it an empty one")
    return state.estate, made


def _read(source: str, namespace: str) -> tuple[VaultAutoUpdatePolicy, dict[str, tuple[Child, ...]]]:
    """The one policy of a file or of the cluster, and the resources there; or an end with all that is wrong with it."""
    documents = _from_cluster(namespace, source) if namespace else _from_file(source)
    policies = [each for each in documents if each.get("kind") == POLICY_KIND]
    if len(policies) != 1:
        refuse([f"{source}: must hold exactly one {POLICY_KIND}, not {len(policies)}"])
    try:
        declared = parse_policy({name: part for name, part in policies[0].items() if name != "status"})
    except InvalidSpec as error:
        refuse([f"{source}: {problem}" for problem in error.problems])
    resources: dict[str, tuple[Child, ...]] = {}
    for document in documents:
        if document.get("kind") == KIND and (child := _child(document)):
            resources[child.vault_key] = (*resources.get(child.vault_key, ()), child)
    return declared, resources


def _child(document: dict[str, Any]) -> Child | None:
    """A resource, if it can be acted on: a file need not have what the API server would not take."""
    try:
        parse_resource({name: part for name, part in document.items() if name != "status"})
    except InvalidSpec:
        return None
    document["metadata"].setdefault("namespace", "default")
    return read_child(document)


def _from_file(name: str) -> list[dict[str, Any]]:
    try:
        with click.open_file(name, encoding="utf-8") as file:
            return read_documents(file)
    except OSError as error:
        refuse([f"{name}: {error.strerror}"])
    except InvalidManifest as error:
        refuse(f"{name}: {problem}" for problem in error.problems)


def _from_cluster(namespace: str, name: str) -> list[dict[str, Any]]:
    try:
        return asyncio.run(_read_cluster(namespace, name))
    except ClusterUnreadable as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(EXIT_FAILED)


async def _read_cluster(namespace: str, name: str) -> list[dict[str, Any]]:
    """A policy, and all resources that there are: as far as one may see, since a vault may be named from anywhere."""
    async with connect() as api:
        policies = await list_resources(api, namespace, POLICY_PLURAL)
        wanted = [each for each in policies if each["metadata"]["name"] == name]
        if not wanted:
            raise ClusterUnreadable(f"there is no {POLICY_KIND} {name} in namespace {namespace}")
        try:
            resources = await list_resources(api)
        except ClusterUnreadable as error:
            if error.code != HTTPStatus.FORBIDDEN:
                raise
            resources = await list_resources(api, namespace)
        return [*wanted, *resources]


def _show(rows: list[VaultRow], *, everything: bool) -> None:
    console = Console()
    done = [row for row in rows if everything or row.standing not in {"Managed", "NotSelected", "Excluded"}]
    for row in done:
        sign, _ = _SIGNS.get(row.standing, _OTHER)
        setting = f" {row.auto_update}" if row.standing == "Missing" and row.auto_update else ""
        why = f": {row.why}" if row.why else ""
        console.print(printable(f"{sign} {row.vault}{setting}{why}"), markup=False, highlight=False, soft_wrap=True)
    show_legend(console, dict(_SIGNS.get(row.standing, _OTHER) for row in done))
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.standing] = counts.get(row.standing, 0) + 1
    summary = ", ".join(f"{count:,} {standing}" for standing, count in sorted(counts.items()))
    console.print(f"Plan: {summary or 'no vaults'}.", soft_wrap=True)
