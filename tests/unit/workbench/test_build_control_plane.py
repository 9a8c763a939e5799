"""Building the control plane: once, into the cache, with a message that helps when it cannot be done."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from workbench.kube import go_build
from workbench.kube.binaries import MODULE, Binaries, cache_directory, find_binaries, kubernetes_version
from workbench.kube.build_control_plane import build, main
from workbench.kube.go_build import BuildFailed
from workbench.kube.resources import ROOT

_FAKE_GO = """#!{python}
import os, pathlib, sys
if sys.argv[1:] == ["env", "GOVERSION"]:
    print("{version}")
    sys.exit()
with open("{log}", "a") as log:
    print(os.environ["CGO_ENABLED"], *sys.argv[1:], file=log)
print("some/package", file=sys.stderr)
if {fails}:
    print("undefined: everything", file=sys.stderr)
    sys.exit(1)
output = pathlib.Path(sys.argv[sys.argv.index("-o") + 1])
output.parent.mkdir(exist_ok=True)
output.write_text("a binary")
output.chmod(0o755)
"""


@pytest.fixture(autouse=True)
def no_binaries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


def _fake_go(tmp_path: Path, *, version: str = "go1.26.8", fails: bool = False) -> Path:
    """Put a program in the place of Go, and return the file where it notes its calls."""
    go, log = tmp_path / "bin" / "go", tmp_path / "calls"
    go.parent.mkdir()
    go.write_text(_FAKE_GO.format(python=sys.executable, version=version, log=log, fails=fails))
    go.chmod(0o755)
    return log


def _assets(directory: Path) -> Path:
    directory.mkdir()
    for name in ("kube-apiserver", "etcd"):
        (directory / name).write_text("")
        (directory / name).chmod(0o755)
    return directory


def test_both_binaries_are_built_with_the_version_stamped_in(tmp_path: Path) -> None:
    calls = _fake_go(tmp_path)

    binaries = build()

    assert binaries == find_binaries() == Binaries.inside(cache_directory())
    assert binaries.etcd.stat().st_mode & stat.S_IXUSR
    etcd, apiserver = calls.read_text().splitlines()
    assert etcd.endswith("go.etcd.io/etcd/server/v3")
    assert apiserver.endswith("k8s.io/kubernetes/cmd/kube-apiserver")
    for part in ("-mod=readonly", "-trimpath", f"version.gitVersion={kubernetes_version()} ", "version.gitMinor=36"):
        assert part in apiserver
    assert apiserver.startswith("0 build")


def test_the_second_call_builds_nothing(tmp_path: Path) -> None:
    calls = _fake_go(tmp_path)
    build()
    calls.unlink()

    build()

    assert not calls.exists()


def test_two_builds_at_once_do_the_work_once(tmp_path: Path) -> None:
    calls = _fake_go(tmp_path)
    threads = [threading.Thread(target=build) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(calls.read_text().splitlines()) == 2


def test_a_failed_build_leaves_nothing_behind_and_shows_why(tmp_path: Path) -> None:
    _fake_go(tmp_path, fails=True)

    with pytest.raises(BuildFailed, match="undefined: everything"):
        build()

    assert find_binaries() is None
    assert [path for path in cache_directory().parent.iterdir() if path.is_dir()] == []


def test_progress_is_told_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _fake_go(tmp_path)
    monkeypatch.setattr(go_build, "_PROGRESS_EVERY", 0.005)

    assert main() == 0

    told = capsys.readouterr().out
    assert re.search(r"etcd: \d+ s, 0 modules fetched, \d packages compiled", told)
    assert f"kube-apiserver and etcd are in {cache_directory()}" in told


def test_without_go_the_message_names_both_ways_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main() == 1

    message = capsys.readouterr().err
    assert "Install Go 1.26" in message
    assert "KUBEBUILDER_ASSETS" in message


def test_a_go_that_is_too_old_is_named(tmp_path: Path) -> None:
    _fake_go(tmp_path, version="go1.24.4")

    with pytest.raises(BuildFailed, match=r"Go 1\.26\.0 or newer is needed, and it says 'go1\.24\.4'"):
        build()


def test_binaries_of_ones_own_are_used_and_nothing_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = _fake_go(tmp_path)
    assets = _assets(tmp_path / "assets")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))

    assert build() == Binaries(assets / "kube-apiserver", assets / "etcd")
    assert not calls.exists()


def test_a_wrong_directory_of_ones_own_is_an_error_and_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))

    assert main() == 1
    assert "has no executable kube-apiserver and etcd" in capsys.readouterr().err


def test_another_pin_is_another_place_in_the_cache(tmp_path: Path) -> None:
    copy = tmp_path / "module"
    shutil.copytree(MODULE, copy)
    assert cache_directory(copy) == cache_directory()

    with (copy / "go.sum").open("a") as pins:
        pins.write("another line\n")

    assert cache_directory(copy) != cache_directory()


def test_all_staging_modules_are_pinned_to_the_version_of_kubernetes() -> None:
    pins = re.findall(r"^\t(k8s\.io/\S+) => (\S+) (\S+)$", (MODULE / "go.mod").read_text(), re.MULTILINE)

    assert len(pins) == 31
    assert all(old == new and version == kubernetes_version().replace("v1.", "v0.") for old, new, version in pins)


@pytest.mark.parametrize(("ci", "outcome"), [("", "1 skipped"), ("true", "1 error")])
def test_cluster_tests_without_binaries_are_skipped_by_name_but_fail_in_ci(
    tmp_path: Path, ci: str, outcome: str
) -> None:
    test = "tests/cluster/test_refusals.py::test_a_manifest_without_spec_is_refused"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA", test],
        cwd=ROOT,
        env={"PATH": "", "HOME": str(tmp_path), "CI": ci, "PYTEST_ADDOPTS": os.environ.get("PYTEST_ADDOPTS", "")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert outcome in done.stdout
    assert "run `make control-plane` once" in done.stdout
