"""Whether programs would take a call: each is asked itself, or its own parser, and nothing is done.

Each function returns what is wrong, or None.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import click
import helm_python
import yaml

from asr_simulator.__main__ import main as simulator
from tests.chart.helm import merged
from tests.chart.helm_cli import parser as helm_parser
from tests.pages.recorder import Call
from vault_autoupdate.cli.kubectl_vau import main as plugin
from vault_autoupdate.cli.main import main as vault_autoupdate
from workbench.kube.control_plane import ControlPlane
from workbench.kube.kubectl import find_kubectl
from workbench.kube.resources import ROOT

_CLICK: Final[dict[str, click.Command]] = {
    "vault-autoupdate": vault_autoupdate,
    "asr-simulator": simulator,
    "kubectl-vau": plugin,
}
_DRY_RUN: Final = frozenset({"annotate", "apply", "create", "delete", "label", "patch", "scale"})
"""What kubectl can ask the API server without doing it."""
_NEEDS_A_NODE: Final = ("/proxy/",)
"""Paths that the API server passes on to a pod, which is not there."""

__all__ = ["amtool", "click_command", "helm", "kubectl", "make", "offline", "openssl", "python"]


def click_command(call: Call, folder: Path) -> str | None:
    """Parse by the command's own click, files included, and call nothing."""
    arguments = [*call.arguments, *(["--help"] if call.mention else [])]
    said = io.StringIO()
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(said),
        patch.object(click.Command, "invoke", return_value=None),
    ):
        try:
            _CLICK[call.program].main(arguments, prog_name=call.program, standalone_mode=False)
        except (click.ClickException, click.Abort) as error:
            return error.format_message() if isinstance(error, click.ClickException) else "aborted"
    return None


def helm(call: Call, folder: Path) -> str | None:
    """Parse, and render the chart with what the call says by Helm's own library."""
    said = io.StringIO()
    if call.mention:
        return None if call.arguments[0] in _helm_commands() else f"helm has no command {call.arguments[0]}"
    try:
        with contextlib.redirect_stderr(said):
            given = helm_parser().parse_args(call.arguments)
    except SystemExit:
        return said.getvalue().splitlines()[-1]
    if program := os.environ.get("HELM") or shutil.which("helm"):  # where Helm is a program too, it has a say
        done = subprocess.run([program, *call.arguments, "--help"], capture_output=True, text=True, check=False)
        if done.returncode:
            return done.stderr
    if given.command not in {"install", "upgrade"}:
        return None
    values: dict[str, Any] = {}
    for index, argument in enumerate(call.arguments, start=1):
        if argument in given.values and index in (call.files or {}):
            values = merged(values, yaml.safe_load((call.files or {})[index]))
    for assignment in given.set:
        values = merged(values, helm_python.parse_set_string(assignment))
    if given.reset_then_reuse_values:
        values = merged({"azure": {"auth": {"clientId": "6f3b9f5e-8a3c-4c7e-9a53-0d1f6b2c7a10"}}}, values)
    try:
        helm_python.Chart.load(folder / given.chart).render(
            values, name=given.name, namespace=given.namespace, is_install=True
        )
    except helm_python.HelmError as error:
        return str(error)
    return None


def _helm_commands() -> set[str]:
    (commands,) = (action.choices for action in helm_parser()._actions if action.dest == "command" and action.choices)
    return set(commands)


def kubectl(call: Call, control_plane: ControlPlane, folder: Path) -> str | None:
    """Run on a real API server that has what the pages speak of; what would change something as a dry run there."""
    arguments = list(call.arguments)
    for index, text in (call.files or {}).items():
        copy = folder / f"given-{index}.yaml"
        copy.write_text(text)
        arguments[index - 1] = str(copy)
    if "--watch" in arguments or _verb(arguments) == "exec" or "restart" in arguments:
        # Which would not end, has no pod, or would be done: only its flags are looked at.
        arguments.append("--help")
    elif _verb(arguments) in _DRY_RUN:
        arguments.append("--dry-run=server")
    done = _run_kubectl(arguments, call, control_plane, folder)
    if done.returncode and call.mention:
        done = _run_kubectl([*call.arguments, "--help"], call, control_plane, folder)
        return None if str(call) in done.stdout else "there is no such command"
    if done.returncode and not any(part in argument for part in _NEEDS_A_NODE for argument in arguments):
        return done.stderr or done.stdout
    return None


def _verb(arguments: Sequence[str]) -> str:
    """The first word that is neither a flag nor the namespace that follows one."""
    before = ("", *arguments)
    return next(
        word for last, word in zip(before, arguments, strict=False)
        if not word.startswith("-") and last not in {"-n", "--namespace"}
    )  # fmt: skip


def _run_kubectl(
    arguments: Sequence[str], call: Call, control_plane: ControlPlane, folder: Path
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [find_kubectl(), *arguments],
        cwd=folder,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(control_plane.directory),
            "KUBECONFIG": str(control_plane.admin_kubeconfig),
        },
        input=call.stdin or "",
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def offline(call: Call) -> str | None:
    """Parse the flags of ``oc get``, which are kubectl's."""
    if call.arguments[0] not in {"get", "adm"}:
        return "only `oc get` is known here"
    if call.mention:
        return None
    done = subprocess.run(
        [find_kubectl(), *call.arguments, "--help"], capture_output=True, text=True, timeout=30, check=False
    )
    return done.stderr or None


def openssl(call: Call, certificate: str) -> str | None:
    """Run on a certificate as its input; what names a command alone is asked for its help."""
    arguments = [*call.arguments, *(["-help"] if call.mention else [])]
    done = subprocess.run(
        ["openssl", *arguments], input=certificate, capture_output=True, text=True, timeout=30, check=False
    )
    return done.stderr if done.returncode else None


def make(call: Call) -> str | None:
    """Ask make what it would do."""
    done = subprocess.run(
        ["make", "--dry-run", "--directory", ROOT, *call.arguments],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    return done.stderr if done.returncode else None


def python(call: Call) -> str | None:
    """Look whether there is such a module; the arguments of our own tools are theirs."""
    if call.arguments[0] != "-m":
        return "only python -m is known here"
    return None if importlib.util.find_spec(call.arguments[1]) else f"there is no module {call.arguments[1]}"


def amtool(call: Call) -> str | None:
    """What the pages use of Alertmanager's program, which nothing here installs.

    Its flags are those of ``cli/silence_add.go`` and ``cli/root.go`` of Alertmanager 0.35.
    """
    words = list(call.arguments)
    if words[:2] != ["silence", "add"]:
        return "only `amtool silence add` is known here"
    flags = {word.partition("=")[0] for word in words[2:] if word.startswith("--")}
    if wrong := flags - {"--duration", "--comment", "--author", "--start", "--end", "--alertmanager.url"}:
        return f"unknown: {sorted(wrong)}"
    matchers = [word for word in words[2:] if not word.startswith("--")]
    return None if matchers and all("=" in word and word.partition("=")[2] for word in matchers) else "no matcher"
