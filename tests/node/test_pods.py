"""Pods under pressure: too little memory, a process that is stuck, a node that is emptied or loses its power."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.chart.helm import CLIENT_ID
from tests.node.installation import DEPLOYMENT, SELECTOR, Installation, Simulated, operator_process, simulated, writers
from workbench.kube.certificates import Authority
from workbench.node.node import Node
from workbench.process.waiting import wait_until
from workbench.site import scenario

MEBIBYTE: Final = 1024 * 1024


def _is_ready(pod: dict[str, Any]) -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", ()))


def _restarts(pod: dict[str, Any]) -> int:
    return sum(each["restartCount"] for each in pod["status"].get("containerStatuses", ()))


def _peak_memory(pod: dict[str, Any]) -> int:
    """Most bytes that the operator in a pod has held at a time."""
    status = Path(f"/proc/{operator_process(pod['metadata']['name'])}/status").read_text()
    (kibibytes,) = re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(kibibytes) * 1024


class TestMemory:
    @pytest.fixture
    def azure(self, node: Node, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Simulated]:
        vaults = 50 if "20_000" in request.node.name else 1
        with simulated(node, tmp_path, scenario({"enabled_compliant": 400}, vault_count=vaults)) as running:
            yield running

    @pytest.mark.parametrize("vaults", [1, 50], ids=["400 mappings", "20_000 mappings"])
    def test_needs_less_than_half_of_the_limit(self, installation: Installation, vaults: int) -> None:
        installation.install(polling={"startupSpread": "1s"})
        for of in [installation.declare(number) for number in range(vaults)]:
            installation.wait_ready(of, within=180)
        pod = installation.pod()
        assert pod["spec"]["containers"][0]["resources"]["limits"]["memory"] == "512Mi"
        assert _peak_memory(pod) < 256 * MEBIBYTE


def test_a_pod_without_enough_memory_says_so(installation: Installation) -> None:
    installation.install(wait=False, resources={"requests": {"memory": "24Mi"}, "limits": {"memory": "24Mi"}})
    installation.wait_pod(lambda pod: _restarts(pod) >= 1, "a restart")
    assert "OOMKilled" in installation.kubectl("describe", "pods", "--selector", SELECTOR).stdout


def test_a_pod_that_cannot_start_says_why(installation: Installation) -> None:
    """Workload identity where no webhook changes pods: its last words are the termination message."""
    auth = {"mode": "workloadIdentity", "clientId": CLIENT_ID}
    installation.install(wait=False, azure={"auth": auth})
    installation.wait_pod(lambda pod: _restarts(pod) >= 1, "a restart")
    assert "AZURE_FEDERATED_TOKEN_FILE: required by" in installation.kubectl("describe", "pods").stdout


def test_a_process_that_is_stuck_is_taken_out_and_replaced(installation: Installation) -> None:
    probe = {"periodSeconds": 2, "timeoutSeconds": 2, "failureThreshold": 2}
    installation.install(livenessProbe=probe, readinessProbe=probe)
    installation.wait_ready(installation.declare())
    os.kill(operator_process(installation.pod()["metadata"]["name"]), signal.SIGSTOP)
    installation.wait_pod(lambda pod: not _is_ready(pod), "a pod that is not Ready")
    installation.wait_pod(lambda pod: _restarts(pod) == 1 and _is_ready(pod), "another process", within=120)


def test_of_two_replicas_one_works_and_both_are_ready(installation: Installation) -> None:
    installation.install(replicas=2)
    assert [_is_ready(pod) for pod in installation.pods()] == [True, True]
    of = installation.declare()
    installation.wait_ready(of)
    assert len(writers(installation.azure.patches(of))) == 1
    leader = installation.leader()
    installation.kubectl("delete", "pod", leader, "--wait=false").check()
    wait_until(lambda: installation.leader() not in {"", leader}, within=20, what="the other one to lead")


def test_two_replicas_of_which_none_can_work_are_not_ready(installation: Installation) -> None:
    """A replica that waits is not Ready for that alone: somebody has to be at work."""
    installation.install(wait=False, replicas=2, rbac={"create": False})
    installation.wait_pod(lambda pod: pod["status"]["phase"] == "Running", "a pod that runs")
    wait_until(
        lambda: any("Readiness probe failed" in event["message"] for event in installation.events()),
        within=120,
        what=installation.describe,
        every=0.5,
    )
    assert not any(map(_is_ready, installation.pods()))


def test_the_disruption_budget_keeps_one_of_two_while_there_is_no_other_node(installation: Installation) -> None:
    installation.install(replicas=2, podDisruptionBudget={"enabled": True})
    selected = ("--ignore-daemonsets", "--delete-emptydir-data", f"--pod-selector={SELECTOR}")
    try:
        drained = installation.kubectl("drain", "node", *selected, "--timeout=15s", timeout=60)
        assert drained.code != 0
        assert "would violate the pod's disruption budget" in drained.stdout + drained.stderr
        assert sum(map(_is_ready, installation.pods())) == 1
        installation.wait_ready(installation.declare())  # which works on
    finally:
        installation.kubectl("uncordon", "node").check()
    wait_until(lambda: sum(map(_is_ready, installation.pods())) == 2, within=60, what="both to be Ready again")


def test_helm_test_passes_where_metrics_want_tls_and_a_token(installation: Installation, tmp_path: Path) -> None:
    pair = Authority(tmp_path / "metrics").server("metrics", ["metrics.example.com"])
    data = {"tls.crt": pair.certificate.read_text(), "tls.key": pair.key.read_text()}
    kind = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": {"name": "metrics-tls"}}
    installation.apply({**kind, "stringData": data})
    installation.secret("metrics-token", token="t0ken")
    installation.install(metrics={"tls": {"secret": "metrics-tls"}, "auth": {"secret": "metrics-token"}})
    installation.test()


def test_the_command_line_in_the_pod_shows_what_the_pod_watches(installation: Installation) -> None:
    """With the rights of the pod, which has none in other namespaces."""
    installation.install()
    of = installation.declare()
    installation.wait_ready(of)
    command = ("exec", f"deployment/{DEPLOYMENT}", "--", "vault-autoupdate", "status", "--output", "json")
    assert of.name in json.dumps(installation.kubectl(*command).json())


def test_a_node_that_loses_its_power_goes_on_where_it_was(installation: Installation) -> None:
    installation.install(limits={"write": "2/10s"})  # so that it is not done before the power is gone
    of = installation.declare()
    wait_until(lambda: len(installation.azure.patches(of)) >= 2, within=60, what="work under way")
    installation.node.restart()
    installation.azure.sim.stop()  # it was in the network of the node that is no more
    installation.azure.sim.start()
    installation.wait_ready(of, within=120)
    patches = installation.azure.patches(of)
    assert len(writers(patches)) == 2
    assert sorted(each["mapping"] for each in patches) == sorted({each["mapping"] for each in patches})
