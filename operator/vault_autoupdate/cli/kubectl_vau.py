"""``kubectl vau``: what somebody who has kubectl at hand wants of resources, as a plugin of kubectl."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import click
from click.shell_completion import ShellComplete
from rich.console import Console

from vault_autoupdate.cli.common import (
    EXIT_FAILED,
    Watcher,
    fail,
    load,
    open_quiet_core,
    output_option,
    settings_options,
)
from vault_autoupdate.cli.context import CONTEXT_SETTINGS
from vault_autoupdate.cli.passes import look_and_plan
from vault_autoupdate.cli.status import show_status
from vault_autoupdate.cli.vault import show_plans
from vault_autoupdate.cli.why import why_lines
from vault_autoupdate.cluster.connection import (
    ClusterUnreadable,
    Connection,
    Kubeconfig,
    connect,
    namespace_of,
)
from vault_autoupdate.cluster.listing import list_resources
from vault_autoupdate.cluster.resources import change_resource, list_events, read_resource
from vault_autoupdate.decide.plan import Action
from vault_autoupdate.model.conditions import ConditionStatus, ConditionType
from vault_autoupdate.model.errors import AzureError
from vault_autoupdate.model.resource import (
    KIND,
    PLURAL,
    REQUESTED_AT,
    InvalidSpec,
    ResourceKey,
    VaultAutoUpdate,
    parse_resource,
)
from vault_autoupdate.model.text import printable
from vault_autoupdate.settings import Settings

_PERIOD: Final = 1.0
_PATIENCE: Final = 600.0
"""Seconds for which ``--wait`` waits."""
_KINDS: Final = frozenset({"vau", KIND.lower(), PLURAL})
_NO_FILES: Final = 4
"""What kubectl is told by a completion: offer no files (cobra's ShellCompDirectiveNoFileComp)."""

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

__all__ = ["complete", "main"]


@dataclass(frozen=True)
class _Place:
    """Which cluster, and which namespace in it."""

    kubeconfig: Kubeconfig
    namespace: str

    def key(self, name: str) -> ResourceKey:
        """A resource of the namespace; ``vau/NAME`` is taken as kubectl takes it.

        Raises:
            click.UsageError: it begins with something else, such as a namespace: another resource would be meant.
        """
        kind, _, own = name.rpartition("/")
        if kind and kind.lower().partition(".")[0] not in _KINDS:
            raise click.UsageError(f"{name}: there is no kind {kind!r} here; a namespace is named with -n")
        return ResourceKey(self.namespace, own)


def _place_options(command: F) -> F:
    """kubectl's own flags: it hands none of them to a plugin by itself."""
    for flags, text in (
        (("--kubeconfig",), "Kubeconfig to go by; without it, that of KUBECONFIG."),
        (("--context",), "Context of the kubeconfig; without it, the current one."),
        (("-n", "--namespace"), "Namespace; without it, that of the context."),
    ):
        command = click.option(*flags, default="", show_default=False, help=text)(command)
    return command


def _place(kubeconfig: str, context: str, namespace: str) -> _Place:
    chosen = Kubeconfig(kubeconfig, context)
    return _Place(chosen, namespace or namespace_of(chosen))


@click.group(name="kubectl vau", context_settings=CONTEXT_SETTINGS)
def main() -> None:
    """Look at VaultAutoUpdate resources and act on them. Names are those of kubectl get vau."""


@main.command()
@_place_options
@click.option("-A", "--all-namespaces", is_flag=True, help="All namespaces.")
@click.option(
    "-o", "--output", type=click.Choice(["table", "wide", "json"]), default="table", help="Form of the answer."
)
@click.option("-w", "--watch", is_flag=True, help="Go on showing how things are, until Ctrl-C.")
def status(kubeconfig: str, context: str, namespace: str, output: str, *, all_namespaces: bool, watch: bool) -> None:
    """Show the resources, the worst first, and what to do about them."""
    if watch and output == "json":
        raise click.UsageError("--watch shows a table; for programs, watch the resources themselves")
    place = _place(kubeconfig, context, namespace)
    show_status(("" if all_namespaces else place.namespace,), output, watch=watch, kubeconfig=place.kubeconfig)


@main.command()
@click.argument("name", required=False)
@_place_options
@click.option("-A", "--all-namespaces", is_flag=True, help="All namespaces.")
@output_option
@click.option("--all", "everything", is_flag=True, help="Also show mappings that are left as they are.")
@settings_options(operator=False)
def plan(
    name: str | None,
    kubeconfig: str,
    context: str,
    namespace: str,
    output: str,
    *,
    all_namespaces: bool,
    everything: bool,
    **flags: str | None,
) -> None:
    """Show what would be changed by what is declared in the cluster: of NAME, or of all resources.

    The resources are read from the cluster, and their vaults from Azure, as whoever types this.

    Exit code 0: nothing to do. 2: there are changes. 1: something could not be read.
    """
    settings, place = load(flags), _place(kubeconfig, context, namespace)
    key = place.key(name) if name else None

    async def read(api: Connection) -> list[dict[str, Any]]:
        if key:
            return [await read_resource(api, key)]
        return await list_resources(api, "" if all_namespaces else place.namespace)

    resources = [resource for each in _in_cluster(place, read) if (resource := _parsed(each))]
    sys.exit(show_plans(settings, resources, output, everything=everything))


@main.command()
@click.argument("name")
@_place_options
@click.option("--no-azure", is_flag=True, help="Do not ask Azure how the mappings differ by now.")
@settings_options(operator=False)
def why(name: str, kubeconfig: str, context: str, namespace: str, *, no_azure: bool, **flags: str | None) -> None:
    """Show why NAME is as it is: all conditions, failures, jobs, Events, and how its mappings differ by now.

    How they differ is read from Azure, as whoever types this; where that is not allowed, all else is shown.
    """
    settings, place = load(flags), _place(kubeconfig, context, namespace)
    key = place.key(name)

    async def read(api: Connection) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        document = await read_resource(api, key)
        return document, await list_events(api, key, document["metadata"]["uid"])

    document, events = _in_cluster(place, read)
    drift = [] if no_azure else _drift(settings, document)
    console = Console()
    for line in why_lines(document, events, drift, datetime.now(UTC)):
        title = bool(line) and not line.startswith(" ")
        console.print(printable(line), style="bold" if title else "", markup=False, highlight=False, soft_wrap=True)


@main.command()
@click.argument("name")
@_place_options
@click.option("--wait", is_flag=True, help="Wait until the look is over, ten minutes at the most.")
def now(name: str, kubeconfig: str, context: str, namespace: str, *, wait: bool) -> None:
    """Have the operator look at NAME now, and try again what waits for its next try (requestedAt).

    Exit code 0: it was asked to; with --wait, it has looked and is Ready. 1: it is not.
    """
    place = _place(kubeconfig, context, namespace)
    key, stamp = place.key(name), f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    change = {"metadata": {"annotations": {REQUESTED_AT: stamp}}}

    async def ask(api: Connection) -> dict[str, Any]:
        await change_resource(api, key, change)
        click.echo(f"vaultautoupdate/{key.name} is to be looked at now")
        return await _answered(api, key, stamp) if wait else {}

    ready = _in_cluster(place, ask)
    if wait:
        click.echo(printable(f"{ready.get('reason', 'Unknown')}: {ready.get('message', '')}"))
        sys.exit(0 if ready.get("status") == ConditionStatus.TRUE else EXIT_FAILED)


@main.command()
@click.argument("name")
@_place_options
def suspend(name: str, kubeconfig: str, context: str, namespace: str) -> None:
    """Leave the vault of NAME alone from now on. Jobs that run in Azure go on there."""
    _set_suspend(_place(kubeconfig, context, namespace), name, value=True)


@main.command()
@click.argument("name")
@_place_options
def resume(name: str, kubeconfig: str, context: str, namespace: str) -> None:
    """Go on with NAME."""
    _set_suspend(_place(kubeconfig, context, namespace), name, value=False)


def complete() -> None:
    """Answer kubectl, which asks this when TAB is pressed after ``kubectl vau``: one offer a line, then a directive."""
    *words, incomplete = sys.argv[1:] or [""]
    for offer in ShellComplete(main, {}, "kubectl vau", "").get_completions(words, incomplete):
        click.echo(f"{offer.value}\t{offer.help}" if offer.help else offer.value)
    click.echo(f":{_NO_FILES}")


def _set_suspend(place: _Place, name: str, *, value: bool) -> None:
    key = place.key(name)

    async def change(api: Connection) -> bool:
        before = (await read_resource(api, key)).get("spec", {}).get("suspend", False)
        await change_resource(api, key, {"spec": {"suspend": value}})
        return before is value

    unchanged = _in_cluster(place, change)
    word = "suspended" if value else "resumed"
    click.echo(f"vaultautoupdate/{key.name} {f'was {word} already' if unchanged else word}")


def _in_cluster(place: _Place, work: Callable[[Connection], Awaitable[T]]) -> T:
    """What ``work`` gives, or an end with why the cluster cannot be asked."""

    async def connected() -> T:
        async with connect(kubeconfig=place.kubeconfig) as api:
            return await work(api)

    try:
        return asyncio.run(connected())
    except ClusterUnreadable as error:
        fail(str(error))


async def _answered(api: Connection, key: ResourceKey, stamp: str) -> dict[str, Any]:
    """The condition Ready, once the operator has answered. Raises `ClusterUnreadable` if it does not in time."""
    try:
        async with asyncio.timeout(_PATIENCE):
            while True:
                status = (await read_resource(api, key)).get("status") or {}
                if status.get("lastHandledReconcileAt") == stamp:
                    return next(
                        (each for each in status.get("conditions", ()) if each.get("type") == ConditionType.READY), {}
                    )
                await asyncio.sleep(_PERIOD)
    except TimeoutError:
        raise ClusterUnreadable(f"{key} was not looked at: does the operator run, and watch its namespace?") from None


def _parsed(document: Mapping[str, Any]) -> VaultAutoUpdate | None:
    """The resource, or None where it cannot be acted on, which is said."""
    try:
        return parse_resource({name: part for name, part in document.items() if name != "status"})
    except InvalidSpec as error:
        name = f"{document['metadata'].get('namespace')}/{document['metadata'].get('name')}"
        click.echo(printable(f"warning: {name}: {error}"), err=True)
        return None


def _drift(settings: Settings, document: Mapping[str, Any]) -> list[str]:
    """How each mapping differs from what is declared, or why that cannot be told."""
    resource = _parsed(document)
    if resource is None:
        return []
    with open_quiet_core(settings, Watcher()) as core:
        try:
            made = asyncio.run(look_and_plan(core, resource))
        except AzureError as error:
            return [f"not known: {error.reason}: {error}"]
    resting = {Action.KEEP, Action.IGNORE}
    found = [f"{each.mapping.path}: {each.reason}" for each in made.decisions if each.action not in resting]
    return found or ["none"]
