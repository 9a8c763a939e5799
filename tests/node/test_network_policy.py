"""The chart's NetworkPolicy, enforced by kube-router's controller: what it lets through, and what it does not."""

from __future__ import annotations

from typing import Any, Final

from tests.node.installation import DEPLOYMENT, Installation
from workbench.node.configuration import ADDRESS
from workbench.node.network_policies import network_policies
from workbench.process.waiting import wait_until

_METRICS: Final = 9090
_KUBELET: Final = 10250
"""A port of the node that anybody finds open, and that the policy does not name."""
_CONNECT: Final = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)"


def test_the_operator_works_and_reaches_nothing_else_and_who_may_scrape_is_who_the_values_name(
    installation: Installation,
) -> None:
    peer = {"podSelector": {"matchLabels": {"scrapes": "yes"}}}
    installation.install(networkPolicy={"enabled": True, "metricsFrom": [peer]})
    _start_client(installation, "prometheus", scrapes="yes")
    _start_client(installation, "neighbour")
    address = str(installation.pod()["status"]["podIP"])
    assert _connects(installation, "pod/neighbour", address, _METRICS), "nobody enforces the policy yet"
    assert _connects(installation, f"deployment/{DEPLOYMENT}", ADDRESS, _KUBELET)

    with network_policies(installation.node, pods=1):
        wait_until(
            lambda: not _connects(installation, "pod/neighbour", address, _METRICS),
            within=30,
            what="the neighbour to be shut out",
        )
        assert _connects(installation, "pod/prometheus", address, _METRICS)
        assert not _connects(installation, f"deployment/{DEPLOYMENT}", ADDRESS, _KUBELET)
        assert _connects(installation, "pod/neighbour", ADDRESS, _KUBELET), "it has no policy"
        of = installation.declare()
        installation.wait_ready(of)
        installation.test()


def _start_client(installation: Installation, name: str, **labels: str) -> None:
    """Start a pod that does nothing, to connect from."""
    restricted = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    container: dict[str, Any] = {
        "name": "client",
        "image": "vault-autoupdate:ci",
        "imagePullPolicy": "Never",
        "command": ["python", "-c", "import signal; signal.pause()"],
        "securityContext": restricted,
    }
    metadata = {"name": name, "labels": labels}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 0, "automountServiceAccountToken": False}
    installation.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    installation.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s", timeout=70).check()


def _connects(installation: Installation, client: str, address: str, port: int) -> bool:
    """Whether a connection from a pod comes about."""
    command = ("exec", client, "--", "python", "-c", _CONNECT, address, str(port))
    return installation.kubectl(*command, timeout=30).code == 0
