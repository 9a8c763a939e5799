"""A Kubernetes cluster of one node on this machine: a control plane, and what runs Pods."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import requests

from workbench.kube.binaries import find_binaries
from workbench.kube.certificates import Authority
from workbench.kube.kubectl import Kubectl
from workbench.kube.rest import ApiError, RestClient
from workbench.node.binaries import NodeBinaries, find_node
from workbench.node.cgroups import Cgroup
from workbench.node.configuration import ADDRESS, SERVER, write_configuration
from workbench.node.images import Images, find_images
from workbench.node.namespaces import enter_network_of, network_of
from workbench.node.requirements import NAMESPACES
from workbench.process.children import ChildProcess
from workbench.process.waiting import wait_until

HOW_TO_BUILD: Final = "run `make node` once (needs Go, takes some minutes)"
_SCRIPT: Final = Path(__file__).with_name("first_process.sh")
_START_SECONDS: Final = 240.0
"""Enough where other work has the machine."""
_END_SECONDS: Final = 30.0

__all__ = ["HOW_TO_BUILD", "Node"]


class Node:
    """The node, from ``with`` to the end of the block.

    All its processes live in namespaces that one process holds; with that one they end, and their mounts, interfaces
    and addresses are gone. If this process is killed, the kernel ends it too. Nothing of the machine is changed but a
    control group, which is there as long as the node is. Nobody outside reaches it, and its pods reach nobody outside;
    `network` steps inside.
    """

    def __init__(self, directory: Path | None = None) -> None:
        """Prepare a node; nothing is started yet.

        Args:
            directory: for data, certificates and logs; stays afterwards. Without it, a temporary one. It must not lie
                on an overlay file system.

        Raises:
            FileNotFoundError: programs or images are not built; the message says how to build them.
        """
        control_plane, programs = find_binaries(), find_node()
        images = find_images(programs["pause"]) if programs else None
        if control_plane is None or programs is None or images is None:
            raise FileNotFoundError(f"the node's programs or images are not built: {HOW_TO_BUILD}")
        self.programs: NodeBinaries = programs
        self.images: Images = images
        self._control_plane = control_plane.etcd.parent
        self._temporary = directory is None
        self.directory = directory or Path(tempfile.mkdtemp(prefix="node-"))
        self._cgroup = Cgroup()
        self._first: ChildProcess | None = None
        self._authority: Authority | None = None

    # --- life cycle -------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Start everything, and return once the node is Ready and has its images; also again after `crash`."""
        try:
            self._cgroup.create()
            if self._authority is None:
                self.directory.mkdir(parents=True, exist_ok=True)
                self.directory.chmod(0o700)  # keys lie in it
                self._authority = write_configuration(self.directory, self.programs.directory, self._cgroup.name)
            (self.directory / "started").unlink(missing_ok=True)  # of the run before
            self._first = ChildProcess(
                [str(shutil.which(NAMESPACES[0])), *NAMESPACES[1:], "bash", str(_SCRIPT)],
                log=self.directory / "logs" / "first_process.log",
                name="the node",
                env={
                    "PATH": os.environ["PATH"],
                    "HOME": "/nonexistent",
                    "NODE": str(self.directory),
                    "CONTROL_PLANE": str(self._control_plane),
                    "PROGRAMS": str(self.programs.directory),
                    "ADDRESS": ADDRESS,
                },
            )
            wait_until(self._is_started, within=60, what=lambda: f"the node's programs:\n{self._process.log_tail()}")
            if not (self.directory / "images").exists():
                self._import_images()
            with self.network(), self.connect() as rest:
                wait_until(lambda: self._is_ready(rest), within=_START_SECONDS, what=self._why_not_ready, every=0.2)
        except BaseException:
            self.close()
            raise
        return self

    def crash(self) -> None:
        """End everything at once, as when the machine loses its power. `start` brings it up again with its data."""
        if self._first is not None:
            inside = _child_of(self._first.pid)
            self._first.kill()
            self._first = None
            # The kernel ends the first process inside because its parent has ended, and all others with it.
            wait_until(
                lambda: not inside.exists(), within=_END_SECONDS, what=lambda: f"the end of {inside}", every=0.02
            )
            self._cgroup.remove()

    def restart(self) -> None:
        """Crash and start again. The calling thread is in the new network then: the old one leads nowhere any more."""
        self.crash()
        self.start()
        enter_network_of(self._process.pid)

    def close(self) -> None:
        """End everything, and remove the directory if it was a temporary one."""
        self.crash()
        if self._temporary:
            shutil.rmtree(self.directory, ignore_errors=True)

    # --- use --------------------------------------------------------------------------------------------------

    @contextmanager
    def network(self) -> Iterator[None]:
        """Be in the node's network: this thread, and the threads and processes that it starts meanwhile."""
        with network_of(self._process.pid):
            yield

    @property
    def first_process(self) -> int:
        """Id of the process that holds the namespaces."""
        return self._process.pid

    @property
    def admin_kubeconfig(self) -> Path:
        """With all rights; works in the node's network."""
        return self.directory / "admin.kubeconfig"

    @property
    def kubectl(self) -> Kubectl:
        """kubectl with all rights; works in the node's network."""
        return Kubectl(self.admin_kubeconfig)

    @property
    def authority(self) -> Authority:
        """Signs the certificates of the cluster, and those of servers that stand in for others."""
        if self._authority is None:
            raise RuntimeError("the node was not started")
        return self._authority

    def connect(self) -> RestClient:
        """A client with all rights, for use in the node's network; whoever asks for it closes it."""
        certificates = self.directory / "certificates"
        pair = self.authority.pair("admin")
        return RestClient(SERVER, authority=certificates / "ca.crt", client=pair)

    def cgroups(self) -> list[Path]:
        """The directories of the control group that the pods are in."""
        return self._cgroup.paths()

    def log(self, name: str) -> str:
        """What a program of the node has logged."""
        return (self.directory / "logs" / f"{name}.log").read_text(errors="replace")

    def restart_kubelet(self) -> None:
        """End the kubelet, which is started again; the pods go on meanwhile."""
        for directory in Path("/proc").iterdir():
            with contextlib.suppress(OSError):  # it is no process, or has ended
                command = (directory / "cmdline").read_bytes().split(b"\0")
                if command[0] == b"kubelet" and f"--root-dir={self.directory / 'kubelet'}".encode() in command:
                    os.kill(int(directory.name), signal.SIGKILL)

    # --- inside -----------------------------------------------------------------------------------------------

    @property
    def _process(self) -> ChildProcess:
        if self._first is None:
            raise RuntimeError("the node is not running")
        return self._first

    def _is_started(self) -> bool:
        self._process.check_alive()
        return (self.directory / "started").exists()

    def _is_ready(self, rest: RestClient) -> bool:
        self._process.check_alive()
        with contextlib.suppress(requests.RequestException, ApiError):
            node = rest.get_or_none("/api/v1/nodes/node") or {}
            account = rest.get_or_none("/api/v1/namespaces/default/serviceaccounts/default")
            conditions = node.get("status", {}).get("conditions", ())
            return account is not None and any(
                each["type"] == "Ready" and each["status"] == "True" for each in conditions
            )
        return False

    def _why_not_ready(self) -> str:
        ends = "\n".join(f"{name}: {self.log(name)[-1500:]}" for name in ("kube-apiserver", "kubelet", "containerd"))
        return f"the node Ready; the ends of logs:\n{ends}"

    def _import_images(self) -> None:
        """Give the archives to containerd."""
        inside = ["nsenter", f"--target={self._process.pid}", "--mount", "--net", "--ipc"]
        ctr = [str(self.programs["ctr"]), "--address=/run/containerd/containerd.sock", "--namespace=k8s.io"]
        for archive in self.images.archives:
            command = [*inside, *ctr, "images", "import", "--local", str(archive)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise RuntimeError(f"{archive.name} could not be imported: {done.stderr}")
        (self.directory / "images").touch()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _child_of(process: int) -> Path:
    """Where the kernel shows the child of a process, as long as that is there."""
    children: list[str] = []
    with contextlib.suppress(OSError):  # the process has ended by itself
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return Path("/proc", children[0] if children else "none")
