"""What a node is built of: pinned to each other, and built anew when something in it changes."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from workbench.ci import IN_CI
from workbench.kube.binaries import MODULE, kubernetes_version
from workbench.kube.go_build import BuildFailed
from workbench.kube.resources import ROOT
from workbench.node import images
from workbench.node.binaries import RUNTIME
from workbench.node.configuration import write_configuration
from workbench.node.namespaces import network_of
from workbench.node.requirements import missing


def test_coredns_has_the_kubernetes_client_of_the_kubelet() -> None:
    pins = re.findall(r"^\tk8s\.io/(\S+) => \S+ (\S+)$", (RUNTIME / "go.mod").read_text(), re.MULTILINE)
    assert {name for name, _ in pins} == {"api", "apimachinery", "client-go"}
    assert {version for _, version in pins} == {kubernetes_version(MODULE).replace("v1.", "v0.")}


def test_the_configuration_is_complete_and_readable(tmp_path: Path) -> None:
    write_configuration(tmp_path, Path("/programs"), "group")
    assert yaml.safe_load((tmp_path / "kubelet.yaml").read_text())["cgroupRoot"] == "/group"
    for name in ("admin", "node", "kube-controller-manager", "kube-scheduler", "kube-proxy", "coredns"):
        assert yaml.safe_load((tmp_path / f"{name}.kubeconfig").read_text())["users"]
    script = (Path(images.__file__).parent / "first_process.sh").read_text()
    for written in re.findall(r'"\$(?:NODE|pki)/([\w.-]+\.(?:kubeconfig|yaml|toml|crt|key|pub))"', script):
        assert list(tmp_path.glob(f"**/{written}")), written


def test_another_operator_is_another_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("operator", "simulator", "tools"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Dockerfile", ".dockerignore", "pyproject.toml", "uv.lock", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / name)
    pause = tmp_path / "pause"
    pause.write_text("")
    before = images._image_set("debian", pause)
    monkeypatch.setattr(images, "ROOT", tmp_path)
    assert images._image_set("debian", pause) == before
    assert images._image_set("registry", pause).operator != before.operator

    (tmp_path / "operator" / "vault_autoupdate" / "__init__.py").write_text('__version__ = "9"\n')
    changed = images._image_set("debian", pause)
    assert changed.operator != before.operator
    assert (changed.simulator, changed.pause) == (before.simulator, before.pause)


def test_a_base_from_nowhere_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VAULT_AUTOUPDATE_BASE_FROM", "somewhere")
    with pytest.raises(BuildFailed, match="registry, debian"):
        images.find_images(tmp_path)


@pytest.mark.skipif(bool(missing()) and not IN_CI, reason=f"a node cannot run here: {missing()}")
def test_the_network_is_left_again() -> None:
    here = Path("/proc/thread-self/ns/net").readlink()
    with subprocess.Popen(["unshare", "--net", "sleep", "60"]) as process:
        try:
            assert process.poll() is None
            with network_of(process.pid):
                pass
            assert Path("/proc/thread-self/ns/net").readlink() == here
        finally:
            process.kill()
