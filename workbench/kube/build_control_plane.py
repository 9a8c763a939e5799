"""Build kube-apiserver and etcd once, into a cache outside the checkout.

This is what ``make control-plane`` runs. The versions are those of the Go module in ``workbench/go/control-plane``,
where they are tool dependencies with their checksums in ``go.sum``. With ``KUBEBUILDER_ASSETS`` set nothing is built.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from workbench.kube.binaries import MODULE, Binaries, cache_directory, find_binaries, kubernetes_version
from workbench.kube.go_build import BuildFailed, GoBuild, GoProgram

_VERSION_PACKAGE: Final = "k8s.io/component-base/version"
_BUILD: Final = GoBuild(
    "control-plane",
    instead="set KUBEBUILDER_ASSETS to a directory with kube-apiserver and etcd, for example from setup-envtest",
)

__all__ = ["build", "kubernetes_program", "main"]


def build(module: Path = MODULE) -> Binaries:
    """Return the binaries, after building them if they are not there yet.

    Raises:
        BuildFailed: no Go, a Go that is too old, or a build that failed.
    """
    if found := find_binaries():
        return found
    target = cache_directory(module)
    programs = [
        GoProgram("etcd", "go.etcd.io/etcd/server/v3", module),
        kubernetes_program("kube-apiserver", module),
    ]
    _BUILD.into(target, programs, "about 5 minutes on two cores, and 3 GB in the caches of Go")
    if (found := Binaries.inside(target)) is None:
        raise BuildFailed(f"{target} has not both binaries: remove it, and build again")
    return found


def kubernetes_program(name: str, module: Path = MODULE) -> GoProgram:
    """A program of Kubernetes that says which version it is; else it calls itself v0.0.0-master."""
    version = kubernetes_version(module)
    major, minor = version.removeprefix("v").split(".")[:2]
    values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    stamps = [f"{_VERSION_PACKAGE}.{key}={value}" for key, value in values.items()]
    return GoProgram(name, f"k8s.io/kubernetes/cmd/{name}", module, stamps=stamps)


def main() -> int:
    """Build what is missing and print where it is."""
    try:
        binaries = build()
    except (BuildFailed, FileNotFoundError) as error:
        print(f"control-plane: {error}", file=sys.stderr)  # noqa: T201
        return 1
    _BUILD.say(f"kube-apiserver and etcd are in {binaries.etcd.parent}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
