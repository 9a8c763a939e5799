"""The part of the ``helm`` command that the docs use, on Helm's own library, so that they can be followed in tests."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any, TypedDict

import helm_python
import yaml

from tests.chart.helm import merged

__all__ = ["main", "parser", "reset_then_reuse"]


class _Waiting(TypedDict):
    wait: str | None
    timeout: int | None


def main(arguments: list[str] | None = None) -> int:
    """Do what the command says; a failure ends with exit code 1 and the message that Helm has."""
    given = parser().parse_args(arguments)
    helm_python.disable_logging()
    with helm_python.Config(kubeconfig_path=os.environ["KUBECONFIG"], namespace=given.namespace) as helm:
        try:
            getattr(sys.modules[__name__], f"_{given.command}")(helm, given)
        except helm_python.HelmError as error:
            sys.stderr.write(f"Error: {error}\n")
            return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """What of Helm's commands and flags is known here: those that the pages use, as Helm's ``pkg/cmd`` has them."""
    shared = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    shared.add_argument("name")
    shared.add_argument("--namespace", "-n", default=argparse.SUPPRESS)
    shared.add_argument("--wait", action="store_true")
    shared.add_argument("--timeout", type=_seconds)
    found = argparse.ArgumentParser(allow_abbrev=False)
    found.add_argument("--namespace", "-n", default="default")  # before the command, too
    commands = found.add_subparsers(dest="command", required=True)
    for command in ("install", "upgrade"):
        change = commands.add_parser(command, parents=[shared], allow_abbrev=False)
        change.add_argument("chart")
        change.add_argument("--install", action="store_true", default=command == "install")
        change.add_argument("--create-namespace", action="store_true")
        change.add_argument("--reuse-values", action="store_true")
        change.add_argument("--reset-then-reuse-values", action="store_true")
        change.add_argument("--set", action="append", default=[])
        change.add_argument("--values", "-f", action="append", default=[])
    for command in ("uninstall", "rollback", "history", "test"):
        other = commands.add_parser(command, parents=[shared], allow_abbrev=False)
        other.add_argument("--ignore-not-found", action="store_true")
        other.add_argument("--logs", action="store_true")
    packaging = commands.add_parser("package", allow_abbrev=False)
    packaging.add_argument("chart")
    pushing = commands.add_parser("push", allow_abbrev=False)
    pushing.add_argument("package")
    pushing.add_argument("remote")
    return found


def _seconds(text: str) -> int:
    """A time-out like 90s or 3m."""
    return int(text[:-1]) * {"s": 1, "m": 60}[text[-1]]


def _waiting(given: argparse.Namespace) -> _Waiting:
    return {"wait": "watcher" if given.wait else None, "timeout": given.timeout}


def _upgrade(helm: helm_python.Config, given: argparse.Namespace) -> None:
    values: dict[str, Any] = {}
    for path in given.values:
        with open(path) as file:  # noqa: PTH123 - the name is the user's
            values = merged(values, yaml.safe_load(file) or {})
    for assignment in given.set:
        values = merged(values, helm_python.parse_set_string(assignment))
    if given.install and given.name not in {release["name"] for release in helm.list(all_states=True)}:
        release = helm.install(
            given.chart,
            given.name,
            values,
            namespace=given.namespace,
            create_namespace=given.create_namespace,
            **_waiting(given),
        )
    elif given.reset_then_reuse_values:
        release = reset_then_reuse(helm, given.chart, given.name, values)
    else:
        release = helm.upgrade(given.chart, given.name, values, reuse_values=given.reuse_values, **_waiting(given))
    sys.stdout.write(release.get("notes", "") or "")


def reset_then_reuse(helm: helm_python.Config, chart: str | Path, name: str, values: dict[str, Any]) -> Any:
    """What ``--reset-then-reuse-values`` does: what was set before, and ``values``, over the new chart's defaults.

    The library has no such option.
    """
    return helm.upgrade(chart, name, merged(dict(helm.get_values(name)), values))


_install = _upgrade


def _uninstall(helm: helm_python.Config, given: argparse.Namespace) -> None:
    helm.uninstall(given.name, ignore_not_found=given.ignore_not_found, **_waiting(given))


def _rollback(helm: helm_python.Config, given: argparse.Namespace) -> None:
    helm.rollback(given.name, **_waiting(given))


def _test(helm: helm_python.Config, given: argparse.Namespace) -> None:
    helm.test(given.name, timeout=given.timeout, logs=given.logs)


def _history(helm: helm_python.Config, given: argparse.Namespace) -> None:
    sys.stdout.write(json.dumps(helm.history(given.name)) + "\n")


if __name__ == "__main__":
    sys.exit(main())
