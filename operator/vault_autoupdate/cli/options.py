"""What every command has: an option for each setting, and a way to end that says what is wrong.

It loads nothing that only people at a terminal need, see `vault_autoupdate.cli.run`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from typing import Any, Final, NoReturn, TypeVar

import click

from vault_autoupdate.model.text import printable
from vault_autoupdate.settings import InvalidSettings, Settings, default_of, load_settings, variable

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
_OPERATOR_ONLY: Final = frozenset(
    {
        "agent_interval",
        "health_address",
        "hint_interval",
        "hints",
        "leader_elect",
        "lease_name",
        "lease_namespace",
        "metrics_address",
        "metrics_cert_file",
        "metrics_key_file",
        "metrics_token_file",
        "request_interval",
        "resource_credentials",
        "role_confirmation",
        "policies",
        "resource_metrics",
        "shard",
        "startup_spread",
        "status_interval",
        "vault_scopes",
        "watch_namespaces",
    }
)

F = TypeVar("F", bound=Callable[..., Any])

__all__ = ["EXIT_FAILED", "EXIT_USAGE", "fail", "load", "refuse", "settings_options"]


def settings_options(*, operator: bool) -> Callable[[F], F]:
    """An option for every setting; all are read as text, so that all mistakes can be told at once."""

    def add(command: F) -> F:
        for field, info in reversed(Settings.model_fields.items()):
            if operator or field not in _OPERATOR_ONLY:
                default = f"  [default: {found}]" if (found := default_of(field)) else ""
                text = f"{info.description} [{variable(field)}]{default}"
                command = click.option(f"--{field.replace('_', '-')}", field, default=None, help=text)(command)
        return command

    return add


def load(flags: dict[str, str | None]) -> Settings:
    """The settings, or an end with all that is wrong with them."""
    try:
        return load_settings(flags, os.environ)
    except InvalidSettings as error:
        refuse(error.problems)


def refuse(problems: Iterable[str]) -> NoReturn:
    """End because of what was given: nothing was called."""
    for problem in problems:
        _complain(problem)
    sys.exit(EXIT_USAGE)


def fail(message: str) -> NoReturn:
    """End because something did not work."""
    _complain(message)
    sys.exit(EXIT_FAILED)


def _complain(problem: str) -> None:
    """Say what is wrong. It may repeat what a file has, or the file's name: nothing of that moves the cursor."""
    lines = [printable(line) for line in problem.splitlines()]
    click.echo("\n".join(["error: " + lines[0], *lines[1:]] if lines else ["error"]), err=True)
