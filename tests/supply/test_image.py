"""The container image, as far as it can be checked without building it: ``tests/node`` builds it, and runs it in pods.

Its steps are read from the Dockerfile; its installation is made by the same commands and then run where nothing can be
written.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from asr_simulator import SimulatorThread, load_scenario
from tools.checks import sbom
from vault_autoupdate import __version__
from workbench.ci import IN_CI
from workbench.kube.embedded_api import open_embedded_api
from workbench.kube.resources import EXAMPLE_FILE, ROOT
from workbench.process.mount_namespace import mount_command
from workbench.process.operator import OperatorProcess
from workbench.process.waiting import wait_until

_DOCKERFILE: Final = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
_BUILD, _FINAL = (part.splitlines() for part in _DOCKERFILE.split("\nFROM ")[1:])
_SIMULATOR: Final = (ROOT / "simulator" / "Dockerfile").read_text(encoding="utf-8")
_DEMO: Final = ROOT / "examples" / "scenarios" / "demo.yaml"
needs_mounts: Final = pytest.mark.skipif(
    not mount_command() and not IN_CI, reason="needs a mount namespace: be root, or allow unprivileged user namespaces"
)


def _instructions(stage: list[str], name: str) -> list[str]:
    return [line.removeprefix(f"{name} ") for line in stage if line.startswith(f"{name} ")]


def test_only_what_is_locked_is_installed() -> None:
    """pip by hashes in the file, uv by the hashes of the lock file, which ``--frozen`` forbids to change."""
    commands = [part.strip() for run in _instructions(_BUILD, "RUN") for part in re.split(r"&&|;", run)]
    installing = [command for command in commands if re.search(r"\b(pip|uv|apt-get|apt|curl|wget)\b", command)]
    assert installing
    for command in installing:
        if command.startswith("pip install"):
            assert "--require-hashes" in command
            assert re.search(r"-r tools/uv\.txt$", command)
        else:
            assert command.startswith("uv sync ")
            assert "--frozen" in command or "--locked" in command
            assert "--no-default-groups" in command


def test_the_last_stage_installs_nothing_and_only_takes_the_installation() -> None:
    (run,) = _instructions(_FINAL, "RUN")
    assert [command.split()[0:3] for command in run.split("&&")] == [
        ["groupadd", "--gid", "65532"],
        ["useradd", "--uid", "65532"],
        ["python", "-m", "compileall"],
    ]
    (copy,) = _instructions(_FINAL, "COPY")
    assert copy == "--from=build /opt/vault-autoupdate /opt/vault-autoupdate"  # owned by root
    assert not _instructions(_FINAL, "ADD")
    assert not _instructions(_FINAL, "VOLUME")


def test_it_runs_as_a_user_who_owns_nothing_and_has_no_shell() -> None:
    (user,) = _instructions(_FINAL, "USER")
    number, _, group = user.partition(":")
    assert int(number) > 0
    assert int(group) > 0
    (run,) = _instructions(_FINAL, "RUN")
    groupadd, useradd, _ = run.split("&&")
    assert groupadd.split()[1:3] == ["--gid", group]  # so that the number has its name
    assert f"--uid {number} --gid {group} " in useradd
    assert "--no-create-home" in useradd
    assert "--shell /usr/sbin/nologin" in useradd
    assert not re.search(r"--chown|\bchown\b|\bchmod\b", _DOCKERFILE)
    assert _instructions(_FINAL, "ENTRYPOINT") == ['["vault-autoupdate"]']  # no shell in between


def test_base_images_are_pinned_to_the_digest_of_a_patch_release() -> None:
    images = [line.split()[0] for line in (_BUILD[0], _FINAL[0])]
    assert images == ["${BASE}"] * 2
    bases = [re.search(r"^ARG BASE=(.*)$", text, re.MULTILINE) for text in (_DOCKERFILE, _SIMULATOR)]
    named = {found[1] for found in bases if found}
    assert len(named) == 1
    assert re.fullmatch(r"docker\.io/library/python:\d+\.\d+\.\d+-slim-\w+@sha256:[0-9a-f]{64}", named.pop())


@pytest.fixture(scope="module")
def installation() -> Iterator[Path]:
    """What the build stage installs, by its own commands, in a directory that stays in sight of a mount namespace."""
    directory = ROOT / "build" / f"image-{os.getpid()}"
    environment = os.environ | {"UV_PROJECT_ENVIRONMENT": str(directory), "UV_LINK_MODE": "copy"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    try:
        for run in _instructions(_BUILD, "RUN"):
            if run.startswith("uv sync"):
                command = [*shlex.split(run), "--quiet", "--python", sys.executable]
                subprocess.run(command, check=True, cwd=ROOT, env=environment)
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def test_what_is_installed_is_what_the_list_of_components_says(installation: Path) -> None:
    """All that is there is listed; what is listed but not there is for other platforms."""
    script = "import json, importlib.metadata as m; print(json.dumps({d.name: d.version for d in m.distributions()}))"
    done = subprocess.run(
        [installation / "bin" / "python", "-I", "-c", script], check=True, capture_output=True, text=True
    )
    installed = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in json.loads(done.stdout).items()}
    document = sbom.read_lock()
    listed = {component["name"]: component["version"] for component in document["components"]}
    assert installed.pop("vault-autoupdate") == __version__
    assert installed.items() <= listed.items()
    assert "pip" not in installed
    conditional = {each["name"] for each in document["components"] if "properties" in each}
    assert listed.keys() - installed.keys() <= conditional


def _read_only(installation: Path) -> list[str]:
    """The installed operator, without capabilities, where no file system of the machine can be written."""
    script = (
        "set -eu\n"
        "mount -o remount,bind,ro /\n"
        f"for place in / /tmp {shlex.quote(str(installation))}; do\n"
        '  if touch "$place/probe" 2>/dev/null; then echo "$place can be written"; exit 99; fi\n'
        "done\n"
        'exec setpriv --no-new-privs --inh-caps=-all --bounding-set=-all "$@"'
    )
    return [*mount_command(), script, "sh", str(installation / "bin" / "vault-autoupdate")]


@needs_mounts
def test_the_command_works_where_nothing_can_be_written(installation: Path) -> None:
    done = subprocess.run(
        [*_read_only(installation), "--version"],
        env={"PATH": os.environ["PATH"], "HOME": "/", "TMPDIR": "/"},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert __version__ in done.stdout


@needs_mounts
def test_the_operator_does_its_work_where_nothing_can_be_written(installation: Path, tmp_path: Path) -> None:
    """Not even /tmp, which the chart gives it."""
    with (
        open_embedded_api(tmp_path, emulate=True) as api,
        SimulatorThread(load_scenario(_DEMO)) as sim,
        OperatorProcess(
            tmp_path,
            kubeconfig=api.kubeconfig,
            arm_url=sim.url,
            identity=sim.identity_env,
            scale=sim.scenario.time_scale,
            settings={"HOME": "/", "TMPDIR": "/"},
            program=_read_only(installation),
        ) as operator,
    ):
        operator.wait_ready(within=60)
        api.apply(EXAMPLE_FILE)

        def is_ready() -> bool:
            conditions = (api.get("dr-weu").get("status") or {}).get("conditions", ())
            return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)

        wait_until(is_ready, within=90, what="Ready")
        assert operator.stop() == 0
    assert "Read-only file system" not in operator.log.read_text()
