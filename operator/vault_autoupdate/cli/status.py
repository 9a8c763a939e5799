"""``vault-autoupdate status``: the fleet in one table, for people who do not have the dashboard open."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live

from vault_autoupdate.cli.common import load
from vault_autoupdate.cli.policy_rows import PolicyRow, policy_rows
from vault_autoupdate.cli.status_rows import FleetRow, document_of, fleet_rows
from vault_autoupdate.cli.status_table import fleet_table, policy_table
from vault_autoupdate.cluster.connection import ClusterUnreadable, Connection, Kubeconfig, connect
from vault_autoupdate.cluster.listing import list_resources
from vault_autoupdate.model.resource import PLURAL, POLICY_PLURAL
from vault_autoupdate.settings import variable

_Standing = tuple[list[FleetRow], list[PolicyRow]]
_PERIOD: Final = 2.0
_EXIT_FAILED: Final = 1

__all__ = ["show_status", "status"]


@click.command()
@click.option("-n", "--namespace", help="One namespace; without it, those that the operator watches, or all.")
@click.option("-A", "--all-namespaces", is_flag=True, help="All namespaces.")
@click.option(
    "-o", "--output", type=click.Choice(["table", "wide", "json"]), default="table", help="Form of the answer."
)
@click.option("-w", "--watch", is_flag=True, help="Go on showing how things are, until Ctrl-C.")
def status(namespace: str | None, output: str, *, all_namespaces: bool, watch: bool) -> None:
    """Show all VaultAutoUpdate resources of the cluster, the worst first, and what to do about them.

    Policies come before them, if there are any; -o json has the resources alone.

    Reads them through the kubeconfig that kubectl uses (KUBECONFIG), or as a pod's ServiceAccount.
    """
    if namespace and all_namespaces:
        raise click.UsageError("-n and -A exclude each other")
    if watch and output == "json":
        raise click.UsageError("--watch shows a table; for programs, watch the resources themselves")
    namespaces = (namespace,) if namespace else ("",) if all_namespaces else _watched()
    show_status(namespaces, output, watch=watch)


def show_status(
    namespaces: Sequence[str],
    output: str,
    *,
    watch: bool,
    kubeconfig: Kubeconfig = Kubeconfig(),  # noqa: B008 - frozen
) -> None:
    """Show the resources of some namespaces, "" for all; ends the process where the cluster cannot be read."""
    try:
        asyncio.run(_status(namespaces, output, watch=watch, kubeconfig=kubeconfig))
    except ClusterUnreadable as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(_EXIT_FAILED)
    except KeyboardInterrupt:
        return


def _watched() -> tuple[str, ...]:
    """What the operator watches whose pod this is; all namespaces outside of one."""
    if variable("watch_namespaces") not in os.environ:
        return ("",)
    return load({}).watch_namespaces or ("",)


async def _status(namespaces: Sequence[str], output: str, *, watch: bool, kubeconfig: Kubeconfig) -> None:
    console = Console()
    async with connect(kubeconfig=kubeconfig) as api:

        async def read() -> _Standing:
            resources = await _listed(api, namespaces, PLURAL)
            return fleet_rows(resources), policy_rows(await _policies(api, namespaces))

        standing = await read()
        if output == "json":
            click.echo(json.dumps(document_of(standing[0]), indent=2, ensure_ascii=False))
        elif not watch:
            console.print(_table(standing, output))
        else:
            await _follow(console, standing, read, output)


async def _listed(api: Connection, namespaces: Sequence[str], plural: str) -> list[dict[str, Any]]:
    found = [await list_resources(api, namespace, plural) for namespace in namespaces]
    return [document for of_one in found for document in of_one]


async def _policies(api: Connection, namespaces: Sequence[str]) -> list[dict[str, Any]]:
    """The policies; none where there is no such kind, or somebody may look at resources alone."""
    try:
        return await _listed(api, namespaces, POLICY_PLURAL)
    except ClusterUnreadable as error:
        if error.code in {HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN}:
            return []
        raise


async def _follow(console: Console, standing: _Standing, read: Callable[[], Awaitable[_Standing]], output: str) -> None:
    """Show the table as it changes: in place on a terminal, else one below the other."""
    if not console.is_terminal:
        while True:
            console.print(_table(standing, output), "")
            before = standing
            while standing == before:
                await asyncio.sleep(_PERIOD)
                standing = await read()
    with Live(_table(standing, output), console=console, auto_refresh=False) as live:
        while True:
            await asyncio.sleep(_PERIOD)
            live.update(_table(await read(), output), refresh=True)


def _table(standing: _Standing, output: str) -> RenderableType:
    (rows, policies), now = standing, datetime.now(UTC)
    fleet = fleet_table(rows, now, wide=output == "wide")
    return Group(policy_table(policies, now), fleet) if policies else fleet
