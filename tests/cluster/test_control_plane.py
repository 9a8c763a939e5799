"""The control plane of the tests itself: rights, tokens, the audit log, outages."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from workbench.kube.control_plane import ControlPlane
from workbench.kube.kubectl import Kubectl
from workbench.kube.resources import ROOT, collection_path, install_definition, manifest, resource_path
from workbench.kube.rest import ApiError
from workbench.process.children import ChildProcess
from workbench.process.waiting import wait_until


@pytest.fixture(scope="module")
def own(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A second control plane, for tests that stop parts of it."""
    with ControlPlane(tmp_path_factory.mktemp("own")) as running:
        install_definition(running.rest)
        yield running


def _grant(kubectl: Kubectl, account: str, verbs: str) -> None:
    namespace = kubectl.namespace
    kubectl("create", "role", "some", f"--verb={verbs}", "--resource=vaultautoupdates").check()
    kubectl("create", "rolebinding", "some", "--role=some", f"--serviceaccount={namespace}:{account}").check()


def test_two_control_planes_run_side_by_side(control_plane: ControlPlane, own: ControlPlane) -> None:
    assert control_plane.url != own.url
    own.rest.create(collection_path("default"), manifest("only-here"))

    assert control_plane.rest.get_or_none(resource_path("default", "only-here")) is None
    own.rest.request("DELETE", resource_path("default", "only-here"))


def test_a_service_account_may_do_what_it_was_granted_and_nothing_else(
    control_plane: ControlPlane, kubectl: Kubectl, namespace: str
) -> None:
    as_operator = Kubectl(control_plane.service_account_kubeconfig(namespace, "operator"))
    assert f"system:serviceaccount:{namespace}:operator" in as_operator("auth", "whoami").check().stdout
    assert "is forbidden" in as_operator("get", "vau").stderr

    _grant(kubectl, "operator", "get,list")

    assert as_operator("get", "vau").check().stderr == f"No resources found in {namespace} namespace.\n"
    assert "is forbidden" in as_operator("get", "vau", "-n", "default").stderr
    refused = as_operator("create", "-f", "-", stdin=json.dumps(manifest()))
    assert "cannot create resource" in refused.stderr


def test_a_token_is_good_for_the_audience_that_it_was_made_for(control_plane: ControlPlane, namespace: str) -> None:
    token = control_plane.service_account_token(namespace, "operator", audiences=["api://AzureADTokenExchange"])

    def review(audiences: list[str]) -> bool:
        body = {"spec": {"token": token, "audiences": audiences}}
        answer = control_plane.rest.request("POST", "/apis/authentication.k8s.io/v1/tokenreviews", body)
        return bool(answer["status"].get("authenticated"))

    assert review(["api://AzureADTokenExchange"])
    assert not review([])


def test_a_user_with_a_certificate_has_the_rights_of_its_groups(control_plane: ControlPlane, tmp_path: Path) -> None:
    nobody = Kubectl(control_plane.kubeconfig(tmp_path / "nobody", user="alice"))
    master = Kubectl(control_plane.kubeconfig(tmp_path / "master", user="alice", groups=["system:masters"]))

    assert nobody("auth", "can-i", "list", "vau").stdout == "no\n"
    assert master("auth", "can-i", "list", "vau").stdout == "yes\n"


def test_the_audit_log_tells_who_asked_for_what(control_plane: ControlPlane, kubectl: Kubectl, namespace: str) -> None:
    user = f"system:serviceaccount:{namespace}:auditee"
    as_auditee = Kubectl(control_plane.service_account_kubeconfig(namespace, "auditee"))
    as_auditee("get", "vau", "dr-weu")
    _grant(kubectl, "auditee", "get")
    as_auditee("get", "vau", "dr-weu")

    events = [event for event in control_plane.audit_events(user=user) if event.resource == "vaultautoupdates"]

    assert [(event.verb, event.name, event.namespace, event.code, event.allowed) for event in events] == [
        ("get", "dr-weu", namespace, 403, False),
        ("get", "dr-weu", namespace, 404, True),
    ]
    assert events[0].group == "asr.vault-autoupdate.io"
    assert events[0].user_agent.startswith("kubectl/")


def test_everything_is_there_again_after_the_api_server_was_stopped(own: ControlPlane) -> None:
    own.rest.create(collection_path("default"), manifest("stays"))
    token = own.service_account_kubeconfig("default", "default")
    url = own.url

    own.stop_apiserver()
    with pytest.raises(requests.ConnectionError):
        own.rest.request("GET", "/readyz")
    own.start_apiserver()

    assert own.url == url
    assert own.rest.request("GET", resource_path("default", "stays"))["metadata"]["name"] == "stays"
    assert "system:serviceaccount:default:default" in Kubectl(token)("auth", "whoami").check().stdout


def test_without_etcd_the_api_server_answers_with_errors_and_recovers(own: ControlPlane) -> None:
    own.rest.create(collection_path("default"), manifest("survives"))
    own.stop_etcd()
    with pytest.raises((ApiError, requests.RequestException)):
        own.rest.request("GET", resource_path("default", "survives"), timeout=3)

    own.start_etcd()

    def recovered() -> bool:
        try:
            return own.rest.get_or_none(resource_path("default", "survives")) is not None
        except (ApiError, requests.RequestException):
            return False

    wait_until(recovered, within=30, what="an answer after etcd came back")


def test_starting_what_runs_and_stopping_what_does_not_do_nothing(own: ControlPlane) -> None:
    own.start_apiserver()
    own.start_etcd()
    own.stop_apiserver()
    own.stop_apiserver()
    own.start_apiserver()

    assert own.rest.request("GET", "/readyz") == "ok"


_ABANDONED = """
import sys, time
from pathlib import Path
from workbench.kube.control_plane import ControlPlane
plane = ControlPlane(Path(sys.argv[1])).start()
print("started", plane._etcd.pid, plane._apiserver.pid, flush=True)
time.sleep(60)
"""


def test_a_control_plane_ends_with_a_test_run_that_is_killed(control_plane: ControlPlane, tmp_path: Path) -> None:
    command = [sys.executable, "-c", _ABANDONED, str(tmp_path / "plane")]
    with ChildProcess(command, log=tmp_path / "log", name="test run", cwd=ROOT) as run:
        _, etcd, apiserver = run.wait_for_log("started", within=60).split()
        run.send_signal(signal.SIGKILL)
        run.wait(within=5)

        def gone() -> bool:
            return not any(Path(f"/proc/{pid}/exe").exists() for pid in (etcd, apiserver))

        wait_until(gone, within=10, what="the end of etcd and kube-apiserver")


def test_a_temporary_control_plane_leaves_nothing_behind(control_plane: ControlPlane) -> None:
    with ControlPlane() as plane:
        directory = plane.directory
        assert directory.stat().st_mode & 0o077 == 0  # private keys lie in it
        assert os.access(plane.admin_kubeconfig, os.R_OK)

    assert not directory.exists()
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{plane.url}/readyz", verify=False, timeout=2)
