"""Runs a container of a stored Deployment as a process on this machine, as a kubelet would run it in a pod.

What comes from the Deployment: command, environment (references to fields, Secrets and other variables included),
mounted volumes, the ServiceAccount's tokens, a read-only root file system, no capabilities. What does not: the image
(the command is looked for beside the running Python) and the user.

The mounts need a mount namespace of the process's own, which Linux gives to root, and to others where unprivileged user
namespaces are allowed. Elsewhere `Pod` falls back to a kubeconfig with the same token, and nothing is mounted; see
`Pod.has_mounts`.
"""

from __future__ import annotations

import base64
import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import urlsplit

from workbench.kube.control_plane import ControlPlane
from workbench.kube.kubeconfig import write_kubeconfig
from workbench.process.children import ChildProcess
from workbench.process.mount_namespace import PRIVATE, mount_command

_ACCOUNT_DIRECTORY: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
_CHECKOUT: Final = Path(__file__).resolve().parents[2]
"""Where the operator and its virtual environment are."""
_REFERENCE = re.compile(r"\$\(([A-Za-z_]\w*)\)")

__all__ = ["Pod"]


class Pod:
    """One container of a pod that is not there."""

    def __init__(
        self, control_plane: ControlPlane, namespace: str, template: Mapping[str, Any], work_dir: Path
    ) -> None:
        """Prepare what the kubelet would; nothing is started yet.

        Raises:
            ApiError: the ServiceAccount, or a Secret or ConfigMap that is referred to, does not exist.
        """
        self._plane = control_plane
        self._namespace = namespace
        self._spec = template["spec"]
        self._work_dir = work_dir
        self._container = self._spec["containers"][0]
        self.name = f"{self._container['name']}-0"
        self.log = work_dir / f"{self.name}.log"
        self.account = self._spec.get("serviceAccountName", "default")
        self._get("serviceaccounts", self.account)  # it must be there already
        self.has_mounts = bool(mount_command())
        self.mounts = self._mounts()
        self.environment = self._environment()

    def start(
        self, environment: Mapping[str, str] | None = None, *, command: Sequence[str] | None = None
    ) -> ChildProcess:
        """Start the container's command, or another one in its place; ``environment`` changes variables."""
        program, *rest = command or self._container["command"]
        arguments = [os.fspath(_beside_python(program)), *rest]
        if self.has_mounts:
            arguments = [*mount_command(), self._script(), "sh", *arguments]
        return ChildProcess(
            arguments, log=self.log, name=self.name, env={**self.environment, **(environment or {})}, cwd=Path("/")
        )

    # --- files ------------------------------------------------------------------------------------------------

    def _mounts(self) -> dict[str, Path]:
        """From mount points to directories of this machine."""
        volumes = {volume["name"]: volume for volume in self._spec.get("volumes", [])}
        found = {
            mount["mountPath"]: self._volume(volumes[mount["name"]])
            for mount in self._container.get("volumeMounts", [])
        }
        if self._spec.get("automountServiceAccountToken", True):
            directory = self._directory("service-account")
            (directory / "token").write_text(self._plane.service_account_token(self._namespace, self.account))
            (directory / "ca.crt").write_bytes(self._plane.authority.read_bytes())
            (directory / "namespace").write_text(self._namespace)
            found[_ACCOUNT_DIRECTORY] = directory
        return found

    def _volume(self, volume: Mapping[str, Any]) -> Path:
        directory = self._directory(volume["name"])
        if "emptyDir" in volume:
            return directory
        if "projected" in volume:
            for source in volume["projected"]["sources"]:
                token = source["serviceAccountToken"]
                (directory / token["path"]).write_text(
                    self._plane.service_account_token(
                        self._namespace,
                        self.account,
                        lifetime=token["expirationSeconds"],
                        audiences=[token["audience"]],
                    )
                )
            return directory
        if "secret" in volume:
            data = self._get("secrets", volume["secret"]["secretName"])["data"]
            contents = {key: base64.b64decode(value) for key, value in data.items()}
            items = volume["secret"].get("items")
        else:
            data = self._get("configmaps", volume["configMap"]["name"])["data"]
            contents = {key: value.encode() for key, value in data.items()}
            items = volume["configMap"].get("items")
        for item in items or [{"key": key, "path": key} for key in contents]:
            (directory / item["path"]).write_bytes(contents[item["key"]])
        return directory

    def _script(self) -> str:
        """Shell commands that make the mounts and then become the container's command."""
        lines = ["set -eu", f"mount -t tmpfs tmpfs {PRIVATE}"]
        for point in self.mounts:
            if not Path(point).exists():
                at = PurePosixPath(point.replace("/var/run/", "/run/", 1))
                assert at.is_relative_to(PRIVATE), f"cannot make a mount point at {point}"
                lines.append(f"mkdir -p {shlex.quote(str(at))}")
        # /tmp last: the sources of the others lie in it.
        for point, source in sorted(self.mounts.items(), key=lambda mount: mount[0] == "/tmp"):
            if point == "/tmp" and _CHECKOUT.is_relative_to("/tmp"):  # which must not vanish below the mount
                again = shlex.quote(str(source / _CHECKOUT.relative_to("/tmp")))
                lines.append(f"mkdir -p {again} && mount --bind {shlex.quote(str(_CHECKOUT))} {again}")
            lines.append(f"mount --rbind {shlex.quote(str(source))} {shlex.quote(point)}")
        if self._container.get("securityContext", {}).get("readOnlyRootFilesystem"):
            lines.append("mount -o remount,bind,ro /")
        prefix = ""
        if "ALL" in self._container.get("securityContext", {}).get("capabilities", {}).get("drop", []):
            prefix = "setpriv --no-new-privs --inh-caps=-all --bounding-set=-all "
        lines.append(f'exec {prefix}"$@"')
        return "\n".join(lines)

    def _directory(self, name: str) -> Path:
        directory = self._work_dir / "volumes" / name
        directory.mkdir(parents=True)
        return directory

    # --- environment ------------------------------------------------------------------------------------------

    def _environment(self) -> dict[str, str]:
        """The image's variables, the cluster's, and the container's own, which may refer to those before them."""
        server = urlsplit(self._plane.url)
        found = {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "HOME": "/tmp",
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "KUBERNETES_SERVICE_HOST": str(server.hostname),
            "KUBERNETES_SERVICE_PORT": str(server.port),
        }
        if not self.has_mounts:
            del found["KUBERNETES_SERVICE_HOST"]
            token = (self.mounts[_ACCOUNT_DIRECTORY] / "token").read_text()
            path = self._work_dir / "pod.kubeconfig"
            found["KUBECONFIG"] = str(
                write_kubeconfig(
                    path, self._plane.url, authority=self._plane.authority, token=token, namespace=self._namespace
                )
            )
            found["HOME"] = str(self.mounts["/tmp"])
        for entry in self._container.get("env", []):
            if "value" in entry:
                found[entry["name"]] = _REFERENCE.sub(lambda match: found.get(match[1], match[0]), entry["value"])
            else:
                found[entry["name"]] = self._reference(entry["valueFrom"])
        return found

    def _reference(self, source: Mapping[str, Any]) -> str:
        if "fieldRef" in source:
            return {"metadata.name": self.name, "metadata.namespace": self._namespace}[source["fieldRef"]["fieldPath"]]
        reference = source["secretKeyRef"]
        data = self._get("secrets", reference["name"])["data"]
        return base64.b64decode(data[reference["key"]]).decode()

    def _get(self, plural: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self._plane.rest.request("GET", f"/api/v1/namespaces/{self._namespace}/{plural}/{name}")
        return found


def _beside_python(program: str) -> Path:
    return Path(sys.executable).parent / program
