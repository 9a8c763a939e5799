"""The command line: ``run``, ``plan``, ``apply``, ``status``, ``version``."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final, NoReturn, TextIO, TypeVar

import click
import yaml
from rich.console import Console

from vault_autoupdate import __version__, terminal
from vault_autoupdate.api import KIND, InvalidSpec, VaultAutoUpdate, parse_resource
from vault_autoupdate.attempts import Explanation
from vault_autoupdate.cli_status import status
from vault_autoupdate.errors import AzureError
from vault_autoupdate.jobs import Verdict
from vault_autoupdate.leader import LeadershipLost
from vault_autoupdate.logs import configure_logging
from vault_autoupdate.reconcile import Outcome
from vault_autoupdate.runtime import Core, open_core, run_operator
from vault_autoupdate.settings import InvalidSettings, Settings, load_settings, variable
from vault_autoupdate.situation import Situation
from vault_autoupdate.state import VaultState
from vault_autoupdate.text import plural
from vault_autoupdate.throttle import CallKind

_EXIT_FAILED: Final = 1
_EXIT_USAGE: Final = 2
_EXIT_CHANGES: Final = 2
_EXIT_INTERRUPTED: Final = 130
_OPERATOR_ONLY: Final = frozenset(
    {
        "agent_interval",
        "health_address",
        "leader_elect",
        "lease_name",
        "lease_namespace",
        "metrics_address",
        "metrics_cert_file",
        "metrics_key_file",
        "metrics_token_file",
        "resource_credentials",
        "resource_metrics",
        "startup_spread",
        "status_interval",
        "vault_scopes",
        "watch_namespaces",
    }
)

F = TypeVar("F", bound=Callable[..., Any])

__all__ = ["main"]


def _settings_options(*, operator: bool) -> Callable[[F], F]:
    """An option for every setting; all are read as text, so that all mistakes can be told at once."""

    def add(command: F) -> F:
        for field, info in reversed(Settings.model_fields.items()):
            if operator or field not in _OPERATOR_ONLY:
                text = f"{info.description} [{variable(field)}]"
                command = click.option(f"--{field.replace('_', '-')}", field, default=None, help=text)(command)
        return command

    return add


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="vault-autoupdate")
def main() -> None:
    """Keep Mobility service auto-update of Azure Site Recovery vaults as declared."""


main.add_command(status)


@main.command()
def version() -> None:
    """Print the version."""
    click.echo(__version__)


@main.command()
@_settings_options(operator=True)
def run(**flags: str | None) -> None:
    """Run the operator: watch VaultAutoUpdate resources and make their vaults match."""
    settings = _load(flags)
    configure_logging(settings)
    try:
        asyncio.run(run_operator(settings))
    except InvalidSettings as error:
        _refuse(error.problems)
    except (LeadershipLost, OSError) as error:
        _fail(str(error))


@main.command()
@click.argument("file", type=click.File(encoding="utf-8"))
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="Form of the answer.")
@click.option("--all", "everything", is_flag=True, help="Also show mappings that are left as they are.")
@_settings_options(operator=False)
def plan(file: TextIO, output: str, everything: bool, **flags: str | None) -> None:
    """Show what apply would change and why. FILE is the manifest that kubectl takes; - reads standard input.

    Exit code 0: nothing to do. 2: there are changes. 1: the vault could not be read.
    """
    settings, resources, console = _load(flags), _manifests(file), Console()
    _quiet(settings)
    documents, changes = [], 0
    with _core(settings, _Watcher()) as core:
        for resource in resources:
            try:
                result = asyncio.run(core.reconciler.plan(resource))
            except AzureError as error:
                _fail(f"{resource.key}: {error.reason}: {error}")
            changes += len(result.actionable)
            documents.append(terminal.plan_document(resource, result))
            if output == "text":
                terminal.show_plan(console, resource, result, everything=everything)
    if output == "json":
        click.echo(terminal.print_json(documents))
    sys.exit(_EXIT_CHANGES if changes else 0)


@main.command()
@click.argument("file", type=click.File(encoding="utf-8"))
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="Form of the answer.")
@_settings_options(operator=False)
def apply(file: TextIO, output: str, **flags: str | None) -> None:
    """Make the vault match FILE, once, and wait for all jobs. FILE is the manifest that kubectl takes.

    Exit code 0: all is as declared. 1: something failed or timed out. 130: interrupted with Ctrl-C; the same
    command again finds the jobs that still run, and goes on.
    """
    settings, resources = _load(flags), _manifests(file)
    console = Console(stderr=output == "json")
    _quiet(settings)
    documents, code = [], 0
    watcher = _Watcher()
    with _core(settings, watcher) as core:
        for resource in resources:
            state = VaultState()
            with terminal.open_view(console) as view:
                watcher.view = view
                outcome = asyncio.run(_apply(core, resource, state, view))
            terminal.show_run(console, resource, state, outcome.situation)
            documents.append(terminal.run_document(resource, state, outcome.situation))
            if outcome.superseded:
                jobs = plural(len(state.operations), "job")
                console.print(f"Interrupted. {jobs} still running in Azure; the same command again finds them.")
                code = _EXIT_INTERRUPTED
                break
            code = max(code, 0 if outcome.situation.ready == "True" or _only_audit(resource, outcome) else _EXIT_FAILED)
    if output == "json":
        click.echo(terminal.print_json(documents))
    sys.exit(code)


async def _apply(core: Core, resource: VaultAutoUpdate, state: VaultState, view: terminal.View) -> Outcome:
    interrupted = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupted.set)

    async def report(situation: Situation) -> None:
        view.progress(situation, state)

    return await core.reconciler.reconcile(resource, state, report, interrupted)


def _only_audit(resource: VaultAutoUpdate, outcome: Outcome) -> bool:
    """Whether the vault differs only because the manifest says to change nothing."""
    return outcome.error is None and outcome.situation.reason == "DriftDetected" and resource.spec.mode == "Audit"


class _Watcher:
    """Passes the outcome of each mapping to the view. Implements `CallObserver` and `RunObserver`."""

    view: terminal.View | None = None

    def change_failed_to_start(self, path: str, explanation: Explanation) -> None:
        if self.view:
            self.view.outcome(path, "failed_to_start", explanation)

    def job_ended(self, path: str, verdict: Verdict, seconds: float, explanation: Explanation) -> None:  # noqa: ARG002
        if self.view:
            self.view.outcome(path, str(verdict), explanation)

    def drift_found(self, drifted: int, unhealthy: int) -> None:
        pass

    def job_state_unknown(self, state: str) -> None:
        pass

    def call_finished(self, operation: str, code: str, seconds: float) -> None:
        pass

    def call_waited(self, kind: CallKind, seconds: float) -> None:
        pass

    def call_throttled(self, kind: CallKind) -> None:
        pass

    def quota_reported(self, kind: CallKind, remaining: int) -> None:
        pass


def _load(flags: dict[str, str | None]) -> Settings:
    try:
        return load_settings(flags, os.environ)
    except InvalidSettings as error:
        _refuse(error.problems)


@contextmanager
def _core(settings: Settings, watcher: _Watcher) -> Iterator[Core]:
    try:
        no_count = settings.model_copy(update={"agent_interval": timedelta()})  # nothing here would show it
        with open_core(no_count, os.environ, calls=watcher, runs=watcher) as core:
            yield core
    except InvalidSettings as error:
        _refuse(error.problems)


def _quiet(settings: Settings) -> None:
    """On the command line the views speak; the log only does when it was asked for or something is wrong."""
    level = settings.log_level if settings.log_level == "debug" else "error"
    configure_logging(settings.model_copy(update={"log_level": level}))


def _manifests(file: TextIO) -> list[VaultAutoUpdate]:
    """Read the resources of a manifest, or end with every problem."""
    try:
        documents = [document for document in yaml.safe_load_all(file) if document is not None]
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        _refuse([f"{file.name}: not YAML: {error}"])
    wanted = [d for d in documents if isinstance(d, dict) and d.get("kind") == KIND]
    if not wanted:
        _refuse([f"{file.name}: no {KIND} in it"])
    resources, problems = [], []
    for document in wanted:
        try:
            resources.append(parse_resource({key: value for key, value in document.items() if key != "status"}))
        except InvalidSpec as error:
            problems += [f"{file.name}: {problem}" for problem in error.problems]
    if problems:
        _refuse(problems)
    for resource in resources:
        if resource.spec.credential:
            click.echo(f"note: {resource.key}: spec.credential is for the operator; you log in as yourself", err=True)
    return resources


def _refuse(problems: Iterable[str]) -> NoReturn:
    for problem in problems:
        click.echo(f"error: {problem}", err=True)
    sys.exit(_EXIT_USAGE)


def _fail(message: str) -> NoReturn:
    click.echo(f"error: {message}", err=True)
    sys.exit(_EXIT_FAILED)
