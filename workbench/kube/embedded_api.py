"""A Kubernetes API for the demo and for tests that do not care which: the real one if its binaries are there."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from workbench.kube.binaries import Binaries, find_binaries
from workbench.kube.control_plane import ControlPlane
from workbench.kube.emulator_server import EmulatorServer
from workbench.kube.kubeconfig import write_kubeconfig
from workbench.kube.kubectl import Kubectl
from workbench.kube.resources import CRD_FILE, collection_path, install_definition, resource_path
from workbench.kube.rest import MERGE_PATCH, RestClient

__all__ = ["EmbeddedApi", "open_embedded_api"]


class EmbeddedApi:
    """A running API server with the resource definition installed, real or emulated.

    The methods work on ``VaultAutoUpdate`` resources; anything else goes through `rest` or `kubectl`.
    """

    def __init__(self, kind: str, kubeconfig: Path, rest: RestClient, server: ControlPlane | EmulatorServer) -> None:
        self.kind = kind
        """What it is, for people: ``kube-apiserver v1.36.3`` or ``kmock emulator``."""
        self.kubeconfig = kubeconfig
        """A kubeconfig with all rights."""
        self.rest = rest
        self.server = server

    @property
    def is_real(self) -> bool:
        """Whether this is a real kube-apiserver."""
        return isinstance(self.server, ControlPlane)

    def kubectl(self, *arguments: str | Path, stdin: str | None = None) -> str:
        """Run kubectl and return what it prints.

        Raises:
            KubectlError: it failed.
        """
        # The emulator serves no OpenAPI, which kubectl would validate against.
        changes = bool(arguments) and arguments[0] in {"apply", "create", "replace"}
        extra = ["--validate=false"] if changes and not self.is_real else []
        return Kubectl(self.kubeconfig)(*arguments, *extra, stdin=stdin).check().stdout

    def apply(self, manifest: Path | dict[str, Any]) -> str:
        """Apply a file or a document, and return what kubectl prints."""
        if isinstance(manifest, Path):
            return self.kubectl("apply", "-f", manifest)
        return self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(manifest))

    def get(self, name: str, namespace: str = "default") -> dict[str, Any]:
        """Return a resource."""
        document: dict[str, Any] = self.rest.request("GET", resource_path(namespace, name))
        return document

    def list(self, namespace: str = "default") -> list[dict[str, Any]]:
        """Return the resources of a namespace."""
        items: list[dict[str, Any]] = self.rest.request("GET", collection_path(namespace))["items"]
        return items

    def patch(self, name: str, patch: dict[str, Any], namespace: str = "default") -> dict[str, Any]:
        """Merge something into a resource, and return the result."""
        path = resource_path(namespace, name)
        document: dict[str, Any] = self.rest.request("PATCH", path, patch, content_type=MERGE_PATCH)
        return document

    def delete(self, name: str, namespace: str = "default") -> None:
        """Delete a resource; finalizers may keep it for a while."""
        self.rest.request("DELETE", resource_path(namespace, name))

    def close(self) -> None:
        """Stop the server."""
        self.rest.close()
        self.server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_embedded_api(work_dir: Path, *, emulate: bool = False, definition: Path = CRD_FILE) -> EmbeddedApi:
    """Start an API server that keeps its files in ``work_dir``, and install the resource definition.

    Args:
        work_dir: for data, logs and the kubeconfig.
        emulate: take the emulator even if there are binaries of the real one.
        definition: the CustomResourceDefinition to install.
    """
    binaries = None if emulate else find_binaries()
    api = _emulated(work_dir) if binaries is None else _real(work_dir, binaries)
    try:
        install_definition(api.rest, definition)
    except BaseException:
        api.close()
        raise
    return api


def _real(work_dir: Path, binaries: Binaries) -> EmbeddedApi:
    plane = ControlPlane(work_dir / "control-plane", binaries=binaries).start()
    return EmbeddedApi(f"kube-apiserver {plane.version}", plane.admin_kubeconfig, plane.rest, plane)


def _emulated(work_dir: Path) -> EmbeddedApi:
    server = EmulatorServer().start()
    kubeconfig = write_kubeconfig(work_dir / "emulator.kubeconfig", server.url, token="none")
    return EmbeddedApi("kmock emulator", kubeconfig, RestClient(server.url), server)
