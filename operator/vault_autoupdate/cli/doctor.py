"""``vault-autoupdate doctor``: whether Azure works with this identity, before anything depends on it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final, TextIO, TypeVar

import click
from rich.console import Console

from vault_autoupdate.arm.checkup import ACCOUNT_READS, VAULT_READS, AzureProbe, federated_claims
from vault_autoupdate.cli.common import (
    EXIT_FAILED,
    load,
    manifests,
    output_option,
    quiet_logging,
    refuse,
    settings_options,
)
from vault_autoupdate.cli.view import print_json
from vault_autoupdate.core import utc_now
from vault_autoupdate.decide.role_report import RoleReport, judge_role
from vault_autoupdate.model.arm_id import ArmId, InvalidResourceId, parse_automation_account_id, parse_vault_id
from vault_autoupdate.model.checkup import Finding, Greeting, Login, Read, Standing
from vault_autoupdate.model.errors import ArmError, AzureError
from vault_autoupdate.model.text import printable
from vault_autoupdate.report import checkup
from vault_autoupdate.settings import Credential, InvalidSettings, Settings

_STYLES: Final = {Standing.OK: "green", Standing.NOT_OK: "bold red", Standing.UNKNOWN: "yellow"}
_UNAUTHORIZED: Final = 401

T = TypeVar("T")

__all__ = ["doctor"]


@dataclass(frozen=True)
class _Target:
    """A vault, the account that updates its agents, and whether the operator updates them."""

    vault: ArmId
    account: ArmId | None = None
    updates_agents: bool = False


@click.command()
@click.argument("file", type=click.File(encoding="utf-8"), required=False)
@click.option("--vault", metavar="ID", help="Resource id of a vault, instead of FILE.")
@click.option("--automation-account", "account", metavar="ID", help="Resource id of its Automation account, likewise.")
@output_option
@settings_options(operator=False)
def doctor(file: TextIO | None, vault: str | None, account: str | None, output: str, **flags: str | None) -> None:
    """Check that Azure works: connection, clock, identity, token, and its rights on a vault. Nothing is changed.

    FILE is the manifest that kubectl takes; - reads standard input. Without FILE and --vault, what concerns no vault is
    checked. In a cluster, with the operator's own identity: kubectl exec deploy/NAME -- vault-autoupdate doctor ...

    Exit code 0: nothing is wrong. 1: something is; the line says what to do.
    """
    settings, targets = load(flags), _targets(file, vault, account)
    quiet_logging(settings)
    findings = list(_examine(settings, os.environ, targets))
    if output == "json":
        click.echo(print_json([_document(finding) for finding in findings]))
    else:
        _show(findings)
    sys.exit(EXIT_FAILED if any(finding.standing is Standing.NOT_OK for finding in findings) else 0)


def _targets(file: TextIO | None, vault: str | None, account: str | None) -> list[_Target]:
    """What is to be checked, or an end with all that is wrong with what was given."""
    if file is not None:
        if vault or account:
            raise click.UsageError("FILE, or --vault and --automation-account: not both")
        specs = [resource.spec for resource in manifests(file)]
        return [
            _Target(spec.vault_resource_id, spec.automation_account_resource_id, spec.agent_updates is not None)
            for spec in specs
        ]
    if account and not vault:
        raise click.UsageError("--automation-account goes together with --vault")
    if not vault:
        return []
    try:
        return [_Target(parse_vault_id(vault), parse_automation_account_id(account) if account else None)]
    except InvalidResourceId as error:
        refuse([str(error)])


def _examine(settings: Settings, environment: Mapping[str, str], targets: list[_Target]) -> Iterator[Finding]:
    """All findings, in an order in which each presupposes those before it."""
    try:
        probe = AzureProbe(settings, environment)
    except InvalidSettings as error:
        yield checkup.no_identity(error.problems)
        return
    try:
        yield checkup.identity(settings.credential, environment.get("AZURE_CLIENT_ID", ""))
        if settings.credential is Credential.WORKLOAD_IDENTITY:
            yield checkup.federated_token(federated_claims(environment))
        yield from _from_connection_on(probe, settings, targets)
    finally:
        probe.close()


def _from_connection_on(probe: AzureProbe, settings: Settings, targets: list[_Target]) -> Iterator[Finding]:
    subscriptions = list(dict.fromkeys(target.vault.subscription.lower() for target in targets)) or [""]
    greetings = {each: _outcome(partial(probe.greet, each)) for each in subscriptions}
    first = greetings[subscriptions[0]]
    yield checkup.connection(settings.arm_endpoint, probe.way(), first)
    if isinstance(first, Greeting):
        yield checkup.clock(first)
    login = _outcome(probe.log_in)
    yield checkup.token(login)
    if not isinstance(login, Login):
        yield from _unchecked(targets, because="there is no token")
    elif not isinstance(first, Greeting):
        yield from _unchecked(targets, because="ARM does not answer")
    else:
        for subscription, greeting in greetings.items():
            if subscription and isinstance(greeting, Greeting):
                yield checkup.tenant(login, greeting, subscription)
        yield from _resources(probe, targets)


def _resources(probe: AzureProbe, targets: list[_Target]) -> Iterator[Finding]:
    reads: list[Read] = []
    for target in targets:
        if (yield from _reads(probe, target.vault, VAULT_READS, reads)):
            permissions = _outcome(partial(probe.permissions, target.vault))
            yield checkup.right("change mappings", target.vault, checkup.CHANGE_MAPPINGS, permissions)
            needed = target.updates_agents
            yield checkup.right("update agents", target.vault, checkup.UPDATE_AGENTS, permissions, needed=needed)
        if target.account and (yield from _reads(probe, target.account, ACCOUNT_READS, reads)):
            role = _outcome(partial(_role, probe, target.vault, target.account))
            yield checkup.account_role(target.vault, role)
    if targets:
        yield checkup.quota(reads)


def _role(probe: AzureProbe, vault: ArmId, account: ArmId) -> RoleReport | None:
    """What the account's identity may do in the vault; None where it has none. Raises `AzureError`."""
    principal_id = probe.principal_of(account)
    if not principal_id:
        return None
    found = probe.roles(vault, principal_id)
    return judge_role(found, vault, account, principal_id, None, now=utc_now(), confirmation=timedelta(minutes=15))


def _reads(
    probe: AzureProbe, resource: ArmId, wanted: Mapping[str, str], done: list[Read]
) -> Generator[Finding, None, bool]:
    """Read one thing after the other, for as long as it makes sense; returns whether it still does."""
    hopeless = False
    for check, suffix in wanted.items():
        if hopeless:
            yield checkup.not_checked(check, resource.text, because="it would be refused as what is before it")
            continue
        outcome = _outcome(partial(probe.read, resource, suffix))
        yield checkup.read(check, resource, outcome)
        if isinstance(outcome, Read):
            done.append(outcome)
        else:
            hopeless = not isinstance(outcome, ArmError) or outcome.status == _UNAUTHORIZED or outcome.absent
    return not hopeless


def _unchecked(targets: list[_Target], *, because: str) -> Iterator[Finding]:
    for target in targets:
        yield checkup.not_checked("vault", target.vault.text, because=because)
        if target.account:
            yield checkup.not_checked("account", target.account.text, because=because)


def _outcome(ask: Callable[[], T]) -> T | AzureError:
    try:
        return ask()
    except AzureError as error:
        return error


def _show(findings: list[Finding]) -> None:
    """One line for each finding, those about one vault or account below its id."""
    console, about = Console(), ""
    for finding in findings:
        if finding.about and finding.about != about:
            console.print(printable(finding.about), markup=False, highlight=False, soft_wrap=True)
        about = finding.about
        words = " ".join(filter(None, (finding.message, finding.recommended_action)))
        line = printable(f" {finding.check:<16} {words}")
        console.print(f"[{_STYLES[finding.standing]}]{finding.standing:<9}[/]", end="", highlight=False)
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(checkup.count(findings), markup=False, highlight=False)


def _document(finding: Finding) -> dict[str, Any]:
    return {
        "check": finding.check,
        "standing": "".join(word.capitalize() for word in finding.standing.split()),
        "message": finding.message,
        **({"recommendedAction": finding.recommended_action} if finding.recommended_action else {}),
        **({"about": finding.about} if finding.about else {}),
    }
