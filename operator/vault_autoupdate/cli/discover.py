"""``vault-autoupdate discover``: which vaults there are, and the setting that each has today."""

from __future__ import annotations

import asyncio
import csv
import io
import sys
from dataclasses import dataclass
from typing import Any, Final

import click
import yaml
from rich.console import Console
from rich.table import Table

from vault_autoupdate.arm.client import CallContext
from vault_autoupdate.cli.common import EXIT_FAILED, Watcher, load, open_quiet_core, refuse, settings_options
from vault_autoupdate.cli.view import print_json
from vault_autoupdate.core import Core
from vault_autoupdate.decide.policy_children import child_name
from vault_autoupdate.decide.policy_selection import standing_of
from vault_autoupdate.discovery.state import PolicyState
from vault_autoupdate.model.errors import AzureError
from vault_autoupdate.model.estate import Estate, FoundVault
from vault_autoupdate.model.policy import VaultAutoUpdatePolicy, parse_policy
from vault_autoupdate.model.quota import QuotaScope
from vault_autoupdate.model.resource import InvalidSpec
from vault_autoupdate.model.text import plural, printable
from vault_autoupdate.report.policy_report import Setting, manifest_today, setting_of

_COLUMNS: Final = ("vault", "location", "setting", "automation_account", "mappings", "trouble")

__all__ = ["discover"]


@dataclass(frozen=True)
class _Found:
    vault: FoundVault
    setting: Setting
    trouble: str = ""

    def document(self) -> dict[str, Any]:
        return {
            "vault": self.vault.id.text,
            "location": self.vault.location,
            "setting": self.setting.word,
            "automation_account": self.setting.account,
            "mappings": self.setting.mappings,
            "trouble": self.trouble,
            "tags": dict(self.vault.tags),
        }


@click.command()
@click.option("-m", "--management-group", "groups", multiple=True, help="Name of a management group; may be repeated.")
@click.option("-s", "--subscription", "subscriptions", multiple=True, help="GUID of a subscription; may be repeated.")
@click.option("-t", "--tag", "tags", multiple=True, help="Only vaults with this tag, as NAME=VALUE; may be repeated.")
@click.option("--location", "locations", multiple=True, help="Only vaults of this region; may be repeated.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "csv", "yaml"]),
    default="table",
    help="Form of the answer; yaml is one manifest for each vault.",
)
@settings_options(operator=False)
def discover(
    groups: tuple[str, ...],
    subscriptions: tuple[str, ...],
    tags: tuple[str, ...],
    locations: tuple[str, ...],
    output: str,
    **flags: str | None,
) -> None:
    """Show which vaults there are, and the setting that each of them has today. Nothing is changed.

    With -o yaml it prints a VaultAutoUpdate manifest for each vault that declares what it has, in mode Audit: the way
    in for a team that begins. Vaults whose mappings differ, and those without any, are named in comments.

    Exit code 0: all of the scope could be read. 1: something could not; what that is, is on standard error.
    """
    settings, policy = load(flags), _policy(groups, subscriptions, tags, locations)
    with open_quiet_core(settings, Watcher()) as core:
        estate, found = asyncio.run(_discover(core, policy))
    _show(output, found)
    sys.exit(0 if tell_troubles(estate) and not any(each.trouble for each in found) else EXIT_FAILED)


def tell_troubles(estate: Estate) -> bool:
    """Say on standard error what could not be read; returns whether there was nothing of that kind."""
    for trouble in estate.doubts:
        click.echo(f"warning: {trouble.code}: {printable(trouble.action)}", err=True)
    for subscription, trouble in sorted(estate.unreachable.items()):
        click.echo(f"warning: subscription {subscription}: {trouble.code}: {printable(trouble.action)}", err=True)
    if not estate.expected and not estate.doubts:
        click.echo("warning: there is no subscription in this scope that could be seen", err=True)
    return estate.is_complete


def _policy(
    groups: tuple[str, ...], subscriptions: tuple[str, ...], tags: tuple[str, ...], locations: tuple[str, ...]
) -> VaultAutoUpdatePolicy:
    """The flags as a policy that would select the same."""
    wanted: dict[str, list[str]] = {}
    for tag in tags:
        name, is_pair, value = tag.partition("=")
        if not is_pair:
            refuse([f"--tag {tag}: write NAME=VALUE"])
        wanted.setdefault(name, []).append(value)
    spec = {
        "scope": {"managementGroups": list(groups), "subscriptions": list(subscriptions)},
        "vaultSelector": {"matchTags": wanted, "locations": list(locations)},
        "template": {"autoUpdate": "Disabled"},
        "discovery": {"source": "List"},
    }
    document = {
        "apiVersion": "asr.vault-autoupdate.io/v1alpha1",
        "kind": "VaultAutoUpdatePolicy",
        "metadata": {"name": "found"},
        "spec": spec,
    }
    try:
        return parse_policy(document)
    except InvalidSpec as error:
        refuse([problem.replace("spec.scope: ", "scope: ") for problem in error.problems])


async def _discover(core: Core, policy: VaultAutoUpdatePolicy) -> tuple[Estate, list[_Found]]:
    state = PolicyState()
    context = await core.policies.discover(policy, state, None)
    estate = state.estate
    if estate is None:
        raise AssertionError("unreachable: a discovery always finds an estate, be it an empty one")
    meant = [vault for vault in estate.vaults.values() if standing_of(policy.spec, vault).selected]
    turns = asyncio.Semaphore(core.settings.max_connections)

    async def read(vault: FoundVault) -> _Found:
        scope = CallContext(QuotaScope(vault.subscription), "", vault.key, context.run_id)
        async with turns:
            try:
                return _Found(vault, setting_of(await core.site_recovery.mappings(scope, vault.id)))
            except AzureError as error:
                return _Found(vault, Setting("Unknown"), f"{error.reason}: {error}")

    found = await asyncio.gather(*map(read, meant))
    return estate, sorted(found, key=lambda each: each.vault.key)


def _show(output: str, found: list[_Found]) -> None:
    match output:
        case "json":
            click.echo(print_json([each.document() for each in found]))
        case "csv":
            click.echo(to_csv(_COLUMNS, [each.document() for each in found]), nl=False)
        case "yaml":
            click.echo(_manifests(found), nl=False)
        case _:
            _show_table(found)


def to_csv(columns: tuple[str, ...], rows: list[dict[str, Any]]) -> str:
    """Rows as CSV. A cell that a spreadsheet would take for a formula gets an apostrophe: names come from anybody."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        cells = [printable(str(row[column])) for column in columns]
        writer.writerow([f"'{cell}" if cell.startswith(("=", "+", "-", "@")) else cell for cell in cells])
    return text.getvalue()


def _manifests(found: list[_Found]) -> str:
    parts = []
    for each in found:
        manifest = manifest_today(child_name("", each.vault.id), each.vault, each.setting)
        if manifest is None:
            why = each.trouble or f"its setting is {each.setting.word} ({plural(each.setting.mappings, 'mapping')})"
            parts.append(f"# left out: {printable(each.vault.id.text)}: {printable(why)}\n")
        else:
            parts.append("---\n" + yaml.safe_dump(manifest, sort_keys=False))
    return "".join(parts)


def _show_table(found: list[_Found]) -> None:
    console = Console()
    table = Table("Vault", "Location", "Setting", "Account", "Mappings", "Subscription", box=None, pad_edge=False)
    for each in found:
        account = each.setting.account.rpartition("/")[2]
        cells = (each.vault.id.name, each.vault.location, each.setting.word, account, str(each.setting.mappings))
        table.add_row(*map(printable, cells), each.vault.subscription)
    console.print(table)
    words = [each.setting.word for each in found]
    counts = ", ".join(f"{words.count(word):,} {word}" for word in dict.fromkeys(sorted(words)))
    console.print(f"{plural(len(found), 'vault')}{': ' if counts else ''}{counts}.", soft_wrap=True)
