"""The commands of ``vault-autoupdate``, each loaded when it is asked for."""

from __future__ import annotations

import gc
from importlib import import_module
from typing import Final

import click

from vault_autoupdate import __version__
from vault_autoupdate.cli.context import CONTEXT_SETTINGS

_COMMANDS: Final = {
    "agents": "agents",
    "apply": "vault",
    "completion": "completion",
    "discover": "discover",
    "doctor": "doctor",
    "plan": "vault",
    "policy": "policy",
    "restore": "restore",
    "run": "run",
    "status": "status",
    "update-agents": "agents",
}
"""By name: the module that has it. Which libraries a command needs differs, and starting is mostly loading them."""

__all__ = ["main"]


class _Commands(click.Group):
    """Loads a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *_COMMANDS})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if (module := _COMMANDS.get(cmd_name)) is None:
            return super().get_command(ctx, cmd_name)
        gc.disable()  # what is loaded stays: it is not looked through for garbage, now or later
        try:
            loaded = import_module(f"vault_autoupdate.cli.{module}")
        finally:
            gc.freeze()
            gc.enable()
        command: click.Command = getattr(loaded, cmd_name.replace("-", "_"))
        return command


@click.group(
    cls=_Commands,
    context_settings=CONTEXT_SETTINGS,
)
@click.version_option(__version__, prog_name="vault-autoupdate")
def main() -> None:
    """Keep Mobility service auto-update of Azure Site Recovery vaults as declared."""


@main.command()
def version() -> None:
    """Print the version."""
    click.echo(__version__)
