"""``vault-autoupdate status``: the fleet in one table, for people who do not have the dashboard open."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import click
from rich.console import Console, RenderableType
from rich.live import Live

from vault_autoupdate.cli.common import load
from vault_autoupdate.cli.status_rows import FleetRow, document_of, fleet_rows
from vault_autoupdate.cli.status_table import fleet_table
from vault_autoupdate.cluster.connection import ClusterUnreadable, connect, list_resources
from vault_autoupdate.settings import variable

_PERIOD: Final = 2.0
_EXIT_FAILED: Final = 1

__all__ = ["status"]


@click.command()
@click.option(
    "-n", "--namespace", default="", help="One namespace; without it, those that the operator watches, or all."
)
@click.option("-A", "--all-namespaces", is_flag=True, help="All namespaces.")
@click.option(
    "-o", "--output", type=click.Choice(["table", "wide", "json"]), default="table", help="Form of the answer."
)
@click.option("-w", "--watch", is_flag=True, help="Go on showing how things are, until Ctrl-C.")
def status(namespace: str, output: str, *, all_namespaces: bool, watch: bool) -> None:
    """Show all VaultAutoUpdate resources of the cluster, the worst first, and what to do about them.

    Reads them through the kubeconfig that kubectl uses (KUBECONFIG), or as a pod's ServiceAccount.
    """
    if namespace and all_namespaces:
        raise click.UsageError("-n and -A exclude each other")
    if watch and output == "json":
        raise click.UsageError("--watch shows a table; for programs, watch the resources themselves")
    namespaces = (namespace,) if namespace else ("",) if all_namespaces else _watched()
    try:
        asyncio.run(_status(namespaces, output, watch=watch))
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


async def _status(namespaces: Sequence[str], output: str, *, watch: bool) -> None:
    console = Console()
    async with connect() as api:

        async def read() -> list[FleetRow]:
            found = [await list_resources(api, namespace) for namespace in namespaces]
            return fleet_rows([resource for of_one in found for resource in of_one])

        rows = await read()
        if output == "json":
            click.echo(json.dumps(document_of(rows), indent=2, ensure_ascii=False))
        elif not watch:
            console.print(_table(rows, output))
        else:
            await _follow(console, rows, read, output)


async def _follow(
    console: Console, rows: list[FleetRow], read: Callable[[], Awaitable[list[FleetRow]]], output: str
) -> None:
    """Show the table as it changes: in place on a terminal, else one below the other."""
    if not console.is_terminal:
        while True:
            console.print(_table(rows, output), "")
            before = rows
            while rows == before:
                await asyncio.sleep(_PERIOD)
                rows = await read()
    with Live(_table(rows, output), console=console, auto_refresh=False) as live:
        while True:
            await asyncio.sleep(_PERIOD)
            live.update(_table(await read(), output), refresh=True)


def _table(rows: Sequence[FleetRow], output: str) -> RenderableType:
    return fleet_table(rows, datetime.now(UTC), wide=output == "wide")
