"""What ``--help`` says on every command."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from vault_autoupdate.cli.main import main
from vault_autoupdate.settings import Settings, default_of, variable


def _commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from _commands(command, (*path, name))


COMMANDS = list(_commands(main))


def _help(path: tuple[str, ...]) -> str:
    result = CliRunner().invoke(main, [*path, "--help"])
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_shows_the_default_of_each_setting(path: tuple[str, ...]) -> None:
    said = _help(path)
    offered = [field for field in Settings.model_fields if f"[{variable(field)}]" in said]
    assert [
        field
        for field in offered
        if (default := default_of(field)) and f"{variable(field)}] [default: {default}]" not in said
    ] == []


@pytest.mark.parametrize("path", [path for path in COMMANDS if path != ("run",)], ids=" ".join)
def test_help_shows_the_default_of_each_choice(path: tuple[str, ...]) -> None:
    said = _help(path)
    assert said.count("--output") == len(re.findall(r"Form of the answer[^\[]*\[default: (text|table|csv)\]", said))


def test_most_commands_take_the_settings() -> None:
    assert sum("[VAULT_AUTOUPDATE_CLOUD]" in _help(path) for path in COMMANDS) >= 8


def test_no_help_shows_a_default_that_is_nothing() -> None:
    assert [path for path in COMMANDS if re.search(r'\[default: ("")?\]', _help(path))] == []
