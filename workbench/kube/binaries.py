"""Where the binaries of the control plane are: named by ``KUBEBUILDER_ASSETS``, or built into a cache."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from workbench.caches import cache_of, pinned_version

MODULE: Final = Path(__file__).resolve().parents[1] / "go" / "control-plane"
"""The Go module that pins kube-apiserver and etcd."""

HOW_TO_ENABLE: Final = (
    "run `make control-plane` once (needs Go, takes a few minutes), or set KUBEBUILDER_ASSETS to a directory with "
    "kube-apiserver and etcd"
)

__all__ = ["HOW_TO_ENABLE", "MODULE", "Binaries", "cache_directory", "find_binaries", "kubernetes_version"]


@dataclass(frozen=True)
class Binaries:
    """The two programs of a control plane."""

    kube_apiserver: Path
    etcd: Path

    @classmethod
    def inside(cls, directory: Path) -> Binaries | None:
        """Return the binaries in ``directory``, or None if one is missing."""
        found = cls(directory / "kube-apiserver", directory / "etcd")
        return found if all(os.access(path, os.X_OK) for path in (found.kube_apiserver, found.etcd)) else None


def kubernetes_version(module: Path = MODULE) -> str:
    """Return the version of Kubernetes that the Go module pins, for example ``v1.36.3``."""
    return pinned_version(module, "k8s.io/kubernetes")


def cache_directory(module: Path = MODULE) -> Path:
    """Return the directory where the built binaries of this module belong, whether it exists or not."""
    return cache_of("control-plane", (module / "go.mod", module / "go.sum"), kubernetes_version(module))


def find_binaries() -> Binaries | None:
    """Return the binaries to use, or None if there are none; nothing is built.

    Raises:
        FileNotFoundError: ``KUBEBUILDER_ASSETS`` is set but has not both of them. Whoever set it meant it, so
            nothing else is tried.
    """
    if assets := os.environ.get("KUBEBUILDER_ASSETS"):
        if (found := Binaries.inside(Path(assets))) is None:
            raise FileNotFoundError(f"KUBEBUILDER_ASSETS={assets} has no executable kube-apiserver and etcd")
        return found
    return Binaries.inside(cache_directory())
