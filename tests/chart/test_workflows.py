"""The workflows, as far as they can be checked without running them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from workbench.kube.resources import ROOT

WORKFLOWS: Final = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def run(*arguments: str | Path) -> None:
    """Run a tool that is installed beside Python; it must find nothing."""
    program = Path(sys.executable).parent / arguments[0]
    done = subprocess.run([program, *arguments[1:]], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in yaml.safe_load(path.read_text())["jobs"].values() for step in job["steps"]]


def test_they_are_there() -> None:
    assert [path.name for path in WORKFLOWS] == ["ci.yml", "kind.yml", "release.yml"]


def test_schema() -> None:
    run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *WORKFLOWS)


def test_no_weak_points(tmp_path: Path) -> None:
    config = tmp_path / "zizmor.yml"
    config.write_text(yaml.safe_dump({"rules": {"unpinned-uses": {"config": {"policies": {"*": "hash-pin"}}}}}))
    run("zizmor", "--offline", "--no-progress", "--config", config, *WORKFLOWS)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_to_commits_that_say_their_release_and_each_to_one(path: Path) -> None:
    used = re.findall(r"uses: +(\S+)(.*)", path.read_text())
    assert len(used) == len([step for step in steps(path) if "uses" in step])
    for action, comment in used:
        assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", action)
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment)
    everywhere = {match for file in WORKFLOWS for match in re.findall(r"uses: +(\S+)@(\S+)", file.read_text())}
    assert len(everywhere) == len({action for action, _ in everywhere})


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_nothing_is_installed_that_no_hash_is_known_of(path: Path) -> None:
    for step in steps(path):
        for command in re.findall(r"\bpip3? install\b[^\n]*", step.get("run", "")):
            assert "--require-hashes" in command


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_scripts_are_shell_and_name_what_exists(path: Path) -> None:
    makefiles = [ROOT / "Makefile", *(ROOT / "workbench").glob("*.mk")]
    targets = {name for file in makefiles for name in re.findall(r"^([a-z-]+):", file.read_text(), re.MULTILINE)}
    for step in steps(path):
        script = step.get("run", "")
        done = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert set(re.findall(r"\bmake ([a-z-]+)", script)) <= targets
        for name in re.findall(r"\b(?:charts|examples)/[\w./-]+", script):
            assert (ROOT / name).exists(), name
