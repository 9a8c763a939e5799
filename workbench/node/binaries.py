"""The programs of the node: where they are, and how they are built."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from workbench.caches import cache_of
from workbench.kube.binaries import MODULE as KUBERNETES
from workbench.kube.binaries import kubernetes_version
from workbench.kube.build_control_plane import kubernetes_program
from workbench.kube.go_build import BuildFailed, GoBuild, GoProgram

RUNTIME: Final = Path(__file__).resolve().parents[1] / "go" / "node"
"""The Go module that pins containerd, runc, the CNI plugins and CoreDNS."""
ENFORCER: Final = RUNTIME.parent / "network-policy"
"""The Go module of what enforces NetworkPolicies."""

_CONTAINERD: Final = "github.com/containerd/containerd/v2/cmd"
_CNI: Final = "github.com/containernetworking/plugins/plugins"
_NO_FILE_SYSTEMS: Final = ("no_btrfs", "no_devmapper", "no_zfs")
"""Of containerd: not used, and they need C libraries."""

_BUILD: Final = GoBuild("node", instead="do without the tests on a node")

__all__ = [
    "ENFORCER", "KUBERNETES_PROGRAMS", "RUNTIME", "NodeBinaries", "build_enforcer", "build_node", "find_enforcer",
    "find_node",
]  # fmt: skip

KUBERNETES_PROGRAMS: Final = ("kubelet", "kube-controller-manager", "kube-scheduler", "kube-proxy")


@dataclass(frozen=True)
class NodeBinaries:
    """The programs, all in one directory."""

    directory: Path

    def __getitem__(self, name: str) -> Path:
        return self.directory / name


def find_node() -> NodeBinaries | None:
    """Return the programs, or None if they are not built; nothing is built."""
    directory = _node_directory()
    return NodeBinaries(directory) if all((directory / each.name).exists() for each in _programs()) else None


def build_node() -> NodeBinaries:
    """Return the programs, after building them if they are not there yet.

    Raises:
        BuildFailed: no Go, a Go that is too old, or a build that failed.
    """
    _BUILD.into(_node_directory(), _programs(), "about 5 minutes on two cores")
    if (found := find_node()) is None:
        raise BuildFailed(f"{_node_directory()} is not complete: remove it, and build again")
    return found


def find_enforcer() -> Path | None:
    """Return what enforces NetworkPolicies, or None if it is not built; nothing is built."""
    program = _enforcer_directory() / ENFORCER.name
    return program if program.exists() else None


def build_enforcer() -> Path:
    """Return what enforces NetworkPolicies, after building it if it is not there yet.

    Raises:
        BuildFailed: no Go, a Go that is too old, or a build that failed.
    """
    _BUILD.into(_enforcer_directory(), [GoProgram(ENFORCER.name, ".", ENFORCER)], "about a minute on two cores")
    return _enforcer_directory() / ENFORCER.name


def _programs() -> list[GoProgram]:
    return [
        *(kubernetes_program(name) for name in KUBERNETES_PROGRAMS),
        GoProgram("containerd", f"{_CONTAINERD}/containerd", RUNTIME, tags=_NO_FILE_SYSTEMS),
        GoProgram("containerd-shim-runc-v2", f"{_CONTAINERD}/containerd-shim-runc-v2", RUNTIME),
        GoProgram("ctr", f"{_CONTAINERD}/ctr", RUNTIME, tags=_NO_FILE_SYSTEMS),
        GoProgram("runc", "github.com/opencontainers/runc", RUNTIME, tags=("seccomp",), cgo=True),
        *(
            GoProgram(path.rpartition("/")[2], f"{_CNI}/{path}", RUNTIME)
            for path in ("main/bridge", "main/loopback", "ipam/host-local", "meta/portmap")
        ),
        GoProgram("coredns", "./coredns", RUNTIME),
        GoProgram("pause", "./pause", RUNTIME),
    ]


def _node_directory() -> Path:
    files = [module / name for module in (KUBERNETES, RUNTIME) for name in ("go.mod", "go.sum")]
    return cache_of("node", [*files, *sorted(RUNTIME.rglob("*.go"))], kubernetes_version())


def _enforcer_directory() -> Path:
    return cache_of(ENFORCER.name, sorted(ENFORCER.iterdir()))
