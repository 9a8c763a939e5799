"""A real Kubernetes control plane for tests and the demo: etcd and kube-apiserver, no kubelet.

What it has: RBAC, signed ServiceAccount tokens, an audit log, everything that the API server itself does. What it
has not, because no controller manager runs: ServiceAccounts in new namespaces, garbage collection, an end of
namespaces that are being deleted, pods.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import requests

from workbench.kube.audit_log import POLICY, AuditEvent, read_audit_log
from workbench.kube.binaries import HOW_TO_ENABLE, Binaries, find_binaries
from workbench.kube.certificates import Authority, KeyPair
from workbench.kube.kubeconfig import write_kubeconfig
from workbench.kube.kubectl import Kubectl
from workbench.kube.rest import RestClient
from workbench.process.children import ChildProcess, ProcessDied
from workbench.process.ports import free_ports
from workbench.process.waiting import wait_until

_ATTEMPTS: Final = 3
_START_DEADLINE: Final = 60.0

__all__ = ["Binaries", "ControlPlane", "find_binaries"]


class ControlPlane:
    """etcd and kube-apiserver on loopback ports of their own, from ``with`` to the end of the block.

    Everything that they write lies in one directory. `close` stops what was started and nothing else; if this
    process is killed, the kernel stops it (on Linux).
    """

    def __init__(self, directory: Path | None = None, *, binaries: Binaries | None = None) -> None:
        """Prepare a control plane; nothing is started yet.

        Args:
            directory: for data, certificates and logs; stays afterwards. Without it, a temporary one.
            binaries: what to run, or what `find_binaries` finds.

        Raises:
            FileNotFoundError: there are no binaries; the message says how to get them.
        """
        found = binaries or find_binaries()
        if found is None:
            raise FileNotFoundError(f"no kube-apiserver and etcd: {HOW_TO_ENABLE}")
        self.binaries = found
        self._temporary = directory is None
        self.directory = directory or Path(tempfile.mkdtemp(prefix="control-plane-"))
        self.audit_log = self.directory / "audit.log"
        self._etcd: ChildProcess | None = None
        self._apiserver: ChildProcess | None = None
        self._ports = (0, 0, 0)

    # --- life cycle -------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Start both, and return once the API server is ready and has its default namespace."""
        try:
            self._prepare()
            for attempt in range(_ATTEMPTS):
                self._ports = (ports := free_ports(3))[0], ports[1], ports[2]
                try:
                    self.start_etcd()
                    self.start_apiserver()
                    break
                except ProcessDied as error:
                    # Somebody took a port between our look and the start.
                    self._stop_processes()
                    if attempt == _ATTEMPTS - 1 or "address already in use" not in str(error):
                        raise
            self.rest = self.connect()
            wait_until(
                lambda: self.rest.get_or_none("/api/v1/namespaces/default"),
                within=_START_DEADLINE,
                what="the default namespace",
            )
            self.admin_kubeconfig = self._kubeconfig(self.directory / "admin.kubeconfig", self._admin)
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Stop what was started, and remove the directory if it was a temporary one."""
        if rest := self.__dict__.get("rest"):
            rest.close()
        self._stop_processes()
        if self._temporary:
            shutil.rmtree(self.directory, ignore_errors=True)

    def start_etcd(self) -> None:
        """Start etcd on its port, with the data that is there, and wait until it answers."""
        if self._etcd is not None:
            return
        client, peer = (f"http://127.0.0.1:{port}" for port in self._ports[:2])
        self._etcd = ChildProcess(
            [
                self.binaries.etcd,
                "--name=test",
                f"--data-dir={self.directory / 'etcd'}",
                f"--listen-client-urls={client}",
                f"--advertise-client-urls={client}",
                f"--listen-peer-urls={peer}",
                f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster=test={peer}",
                "--unsafe-no-fsync=true",  # nothing here has to survive a power cut
                "--log-level=warn",
            ],
            log=self.directory / "etcd.log",
            env=_ENVIRONMENT,
        )
        self._wait_ready(self._etcd, f"{client}/health")

    def stop_etcd(self) -> None:
        """Stop etcd; its data stays. The API server keeps running and answers with errors."""
        if self._etcd is not None:
            self._etcd.stop(grace=0.5)  # with clients connected it would wait for them
            self._etcd = None

    def start_apiserver(self) -> None:
        """Start kube-apiserver on its port and wait until it is ready. etcd has to run."""
        if self._apiserver is not None:
            return
        self._apiserver = ChildProcess(
            [self.binaries.kube_apiserver, *self._apiserver_flags()],
            log=self.directory / "kube-apiserver.log",
            env=_ENVIRONMENT,
        )
        self._wait_ready(self._apiserver, f"{self.url}/readyz")

    def stop_apiserver(self, *, grace: float = 1.0) -> None:
        """Stop kube-apiserver.

        Left alone it takes many seconds to see its watches end, so it is killed after ``grace`` seconds; nothing
        is lost by that, all state is in etcd.
        """
        if self._apiserver is not None:
            self._apiserver.stop(grace=grace)
            self._apiserver = None

    # --- use --------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Where the API server is."""
        return f"https://127.0.0.1:{self._ports[2]}"

    @property
    def authority(self) -> Path:
        """Certificate of the authority that signed the API server's certificate."""
        return self._authority.certificate

    @property
    def version(self) -> str:
        """Version of the running API server, for example ``v1.36.3``."""
        return str(self.rest.request("GET", "/version")["gitVersion"])

    @property
    def kubectl(self) -> Kubectl:
        """kubectl with all rights."""
        return Kubectl(self.admin_kubeconfig)

    def connect(self) -> RestClient:
        """A client of its own for one thread, with all rights; whoever asks for it closes it."""
        return RestClient(self.url, authority=self._authority.certificate, client=self._admin)

    def kubeconfig(
        self, path: Path, *, user: str = "admin", groups: Sequence[str] = (), namespace: str = "default"
    ) -> Path:
        """Write a kubeconfig for a user with a certificate, and return its path.

        ``admin`` may do everything; any other user may do what RBAC grants to it or to its groups.
        """
        if user == "admin" and not groups:
            return self._kubeconfig(path, self._admin, namespace)
        pair = self._authority.client("-".join(["user", user, *groups]).replace(":", "-"), user, groups)
        return self._kubeconfig(path, pair, namespace)

    def create_namespace(self, name: str) -> str:
        """Create a namespace with its ``default`` ServiceAccount, unless it is there; return its name."""
        self.rest.create("/api/v1/namespaces", {"metadata": {"name": name}}, exists_ok=True)
        self.create_service_account(name, "default")
        return name

    def create_service_account(self, namespace: str, name: str) -> None:
        """Create a ServiceAccount unless it is there; even ``default`` ones do not come by themselves here."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        self.rest.create(path, {"metadata": {"name": name}}, exists_ok=True)

    def service_account_token(
        self, namespace: str, name: str, *, lifetime: int = 3600, audiences: Sequence[str] = ()
    ) -> str:
        """Return a token of a ServiceAccount, made by the API server; the account is created if need be."""
        self.create_service_account(namespace, name)
        answer = self.rest.request(
            "POST",
            f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token",
            {"spec": {"expirationSeconds": lifetime, "audiences": list(audiences)}},
        )
        return str(answer["status"]["token"])

    def service_account_kubeconfig(self, namespace: str, name: str, path: Path | None = None) -> Path:
        """Write a kubeconfig with a token of this ServiceAccount, and return its path."""
        return write_kubeconfig(
            path or self.directory / f"{namespace}.{name}.kubeconfig",
            self.url,
            authority=self._authority.certificate,
            token=self.service_account_token(namespace, name),
            namespace=namespace,
        )

    def audit_events(self, *, user: str | None = None) -> Iterator[AuditEvent]:
        """Yield what the API server was asked so far, oldest first; by one user only, if one is named."""
        return read_audit_log(self.audit_log, user=user)

    # --- inside -----------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o700)  # keys lie in it
        (self.directory / "audit-policy.yaml").write_text(POLICY)
        self._authority = Authority(self.directory / "certificates")
        self._serving = self._authority.server("kube-apiserver", ["127.0.0.1", "localhost", "kubernetes.default.svc"])
        self._admin = self._authority.client("admin", "admin", ["system:masters"])
        self._signing = self._authority.signing_key("service-accounts")

    def _apiserver_flags(self) -> list[str]:
        private, public = self._signing
        return [
            f"--etcd-servers=http://127.0.0.1:{self._ports[0]}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self._ports[2]}",
            f"--cert-dir={self.directory / 'certificates'}",
            f"--tls-cert-file={self._serving.certificate}",
            f"--tls-private-key-file={self._serving.key}",
            f"--client-ca-file={self._authority.certificate}",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--allow-privileged=true",
            f"--service-account-issuer={self.url}/",
            f"--service-account-key-file={public}",
            f"--service-account-signing-key-file={private}",
            "--disable-admission-plugins=ServiceAccount",  # wants what the controller manager would have made
            "--endpoint-reconciler-type=none",
            f"--audit-policy-file={self.directory / 'audit-policy.yaml'}",
            f"--audit-log-path={self.audit_log}",
        ]

    def _wait_ready(self, process: ChildProcess, url: str) -> None:
        session = requests.Session()
        session.trust_env = False
        session.verify = str(self._authority.certificate)
        session.cert = (str(self._admin.certificate), str(self._admin.key))

        def ready() -> bool:
            process.check_alive()
            try:
                return session.get(url, timeout=2).ok
            except requests.RequestException:
                return False

        with session:
            wait_until(ready, within=_START_DEADLINE, what=lambda: f"{url} ready; its log:\n{process.log_tail()}")

    def _kubeconfig(self, path: Path, client: KeyPair, namespace: str = "default") -> Path:
        return write_kubeconfig(
            path, self.url, authority=self._authority.certificate, client=client, namespace=namespace
        )

    def _stop_processes(self) -> None:
        self.stop_apiserver(grace=0.2)
        self.stop_etcd()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "GOGC": "400"}
"""Both live for minutes: rather some 80 MB more than a sixth of their processor time for collecting garbage.

etcd reads its flags from variables too: nothing of the user's environment may get there."""
