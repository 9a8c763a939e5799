"""``vault-autoupdate completion``: what a shell runs so that TAB completes commands and flags."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

__all__ = ["completion"]


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script for SHELL.

    \b
    bash: source <(vault-autoupdate completion bash)
    zsh:  source <(vault-autoupdate completion zsh)
    fish: vault-autoupdate completion fish | source
    """
    root = context.find_root().command
    kind = get_completion_class(shell)
    if kind is None:
        raise AssertionError("unreachable: the choice is among those that click knows")
    click.echo(kind(root, {}, "vault-autoupdate", "_VAULT_AUTOUPDATE_COMPLETE").source())
