"""The files that tell a node's programs what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import yaml

from workbench.kube.certificates import Authority
from workbench.kube.kubeconfig import write_kubeconfig
from workbench.node.images import PAUSE

ADDRESS: Final = "172.30.0.1"
"""Of the node, in a network that nothing else is in."""
SERVER: Final = f"https://{ADDRESS}:6443"
_PODS: Final = "10.244.0.0/24"
SERVICES: Final = "10.96.0.0/16"
"""The addresses of Services; `first_process.sh` tells the API server."""
_FIRST_SERVICE: Final = "10.96.0.1"
"""The address that pods find the API server at."""

_USERS: Final = {
    "admin": ("admin", ["system:masters"]),
    "node": ("system:node:node", ["system:nodes"]),
    "kube-controller-manager": ("system:kube-controller-manager", []),
    "kube-scheduler": ("system:kube-scheduler", []),
    "kube-proxy": ("system:kube-proxy", []),
    "coredns": ("system:coredns", ["system:masters"]),
}
"""Who has a kubeconfig: user and groups."""

__all__ = ["ADDRESS", "SERVER", "SERVICES", "write_configuration"]


def write_configuration(node: Path, programs: Path, cgroup: str) -> Authority:
    """Write everything below ``node``; return the authority that signed its certificates.

    Args:
        node: the node's directory.
        programs: where runc and the CNI plugins are.
        cgroup: name of the control group that pods live in.
    """
    for name in ("logs", "cni/net.d", "overlay/upper", "overlay/work", "pod-logs", "mounts"):
        (node / name).mkdir(parents=True, exist_ok=True)
    for name, document in {"kubelet": _kubelet(node, cgroup), "kube-proxy": _kube_proxy(node)}.items():
        (node / f"{name}.yaml").write_text(yaml.safe_dump(document))
    (node / "cni" / "net.d" / "10-bridge.conflist").write_text(json.dumps(_network(node)))
    (node / "containerd.toml").write_text(_containerd(node, programs))
    (node / "resolv.conf").write_text(f"nameserver {ADDRESS}\n")
    (node / "Corefile").write_text(_coredns(node))
    return _write_certificates(node)


def _write_certificates(node: Path) -> Authority:
    authority = Authority(node / "certificates")
    services = [".".join(["kubernetes", *more]) for more in ([], ["default"], ["default", "svc"])]
    names = [*services, f"{services[-1]}.cluster.local", "localhost", "127.0.0.1", ADDRESS, _FIRST_SERVICE]
    authority.server("kube-apiserver", names)
    authority.server("kubelet", ["node", "127.0.0.1", ADDRESS])
    authority.client("kubelet-client", "apiserver-kubelet-client", ["system:masters"])
    authority.signing_key("service-accounts")
    for name, (user, groups) in _USERS.items():
        pair = authority.client(name, user, groups)
        write_kubeconfig(node / f"{name}.kubeconfig", SERVER, authority=authority.certificate, client=pair)
    return authority


def _kubelet(node: Path, cgroup: str) -> dict[str, Any]:
    certificates = node / "certificates"
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failCgroupV1": False,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup}",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(certificates / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(certificates / "kubelet.crt"),
        "tlsPrivateKeyFile": str(certificates / "kubelet.key"),
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "clusterDNS": [ADDRESS],
        "clusterDomain": "cluster.local",
        "resolvConf": str(node / "resolv.conf"),
        "podLogsDir": str(node / "pod-logs"),
        "oomScoreAdj": 0,  # to lower it takes a right that not every root has
        "failSwapOn": False,
        "readOnlyPort": 0,
        # A machine whose disk is nearly full would evict the pods.
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "0%",
            "nodefs.inodesFree": "0%",
            "imagefs.available": "0%",
        },
        "imageGCHighThresholdPercent": 100,
        "nodeStatusUpdateFrequency": "4s",
        "syncFrequency": "10s",
        "registerNode": True,
    }


def _kube_proxy(node: Path) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clusterCIDR": _PODS,
        "clientConnection": {"kubeconfig": str(node / "kube-proxy.kubeconfig")},
        # Not to be changed for the whole machine.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "hostnameOverride": "node",
        "oomScoreAdj": 0,
        "bindAddress": ADDRESS,
    }


def _network(node: Path) -> dict[str, Any]:
    return {
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": True,
                "ipMasq": False,
                "hairpinMode": True,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": _PODS}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                    "dataDir": str(node / "cni" / "addresses"),
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def _containerd(node: Path, programs: Path) -> str:
    return f"""\
version = 3
root = "{node}/containerd"
state = "/run/containerd"
oom_score = 0
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "overlayfs"
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = "{PAUSE}"
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
      SystemdCgroup = false
      BinaryName = "{programs}/runc"
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ["{programs}"]
    conf_dir = "{node}/cni/net.d"
"""


def _coredns(node: Path) -> str:
    return f"""\
.:53 {{
  bind {ADDRESS}
  errors
  kubernetes cluster.local in-addr.arpa {{
    kubeconfig {node}/coredns.kubeconfig
  }}
  cache 5
}}
"""
