"""Runs in the environment that has azure-cli: reads a list of commands as JSON, and writes what is wrong with each.

What is done is what ``AzCliCommandInvoker.execute`` of azure-cli does up to where it would check the login: the table
of commands, the arguments of the one, argparse, and ``--ids``. Whether it is wrong is azure-cli's word and not ours.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
from typing import Any

from azure.cli.core import get_default_cli
from knack.events import EVENT_INVOKER_POST_PARSE_ARGS

__all__: list[str] = []


def _complaint(cli: Any, arguments: list[str]) -> str | None:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            _parse(cli, arguments)
    except SystemExit as end:
        if end.code:
            return said.getvalue().partition("\n")[0] or f"exit code {end.code}"
    return None


def _parse(cli: Any, arguments: list[str]) -> None:
    invoker = cli.invocation_cls(
        cli_ctx=cli, parser_cls=cli.parser_cls, commands_loader_cls=cli.commands_loader_cls, help_cls=cli.help_cls
    )
    cli.invocation = invoker
    loader = invoker.commands_loader
    loader.load_command_table(arguments)
    command = invoker._rudimentary_get_command(arguments)  # noqa: SLF001 - as the invoker itself does
    invoker.data["command_string"] = command
    if command in loader.command_table:  # else all are left, and the parser says which would have been right
        loader.command_table = {command: loader.command_table[command]}
    loader.command_name = command
    loader.load_arguments(command)
    invoker.parser.cli_ctx = cli
    invoker.parser.load_command_table(loader)
    parsed = invoker.parser.parse_args(arguments)
    cli.raise_event(EVENT_INVOKER_POST_PARSE_ARGS, command=parsed.command, args=parsed)


def _main() -> None:
    logging.disable(logging.WARNING)
    cli = get_default_cli()
    commands = json.load(sys.stdin)
    with contextlib.redirect_stdout(sys.stderr):  # what help prints is no answer
        answers = [_complaint(cli, command) for command in commands]
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    _main()
