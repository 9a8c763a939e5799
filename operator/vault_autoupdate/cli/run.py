"""``vault-autoupdate run``: the operator."""

from __future__ import annotations

import asyncio
import gc
from typing import Final

import click

from vault_autoupdate.cli.options import fail, load, refuse, settings_options
from vault_autoupdate.cluster.lease import LeadershipLost
from vault_autoupdate.logs import configure_logging
from vault_autoupdate.runtime import run_operator
from vault_autoupdate.settings import InvalidSettings

_BETWEEN_COLLECTIONS: Final = 10_000
"""So many new objects until Python looks for garbage among them, not 700: nearly all are gone by then without that."""

__all__ = ["run"]


@click.command()
@settings_options(operator=True)
def run(**flags: str | None) -> None:
    """Run the operator: watch VaultAutoUpdate resources and make their vaults match."""
    settings = load(flags)
    configure_logging(settings)
    gc.set_threshold(_BETWEEN_COLLECTIONS, *gc.get_threshold()[1:])
    try:
        asyncio.run(run_operator(settings))
    except InvalidSettings as error:
        refuse(error.problems)
    except (LeadershipLost, OSError) as error:
        fail(str(error))
