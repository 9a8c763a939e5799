"""What the operator loads to start, which is most of what starting takes."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Final

import pytest

_LOADED: Final = "import json, sys, vault_autoupdate.cli.run; print(json.dumps(sorted(sys.modules)))"


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    """The modules of a new process that has loaded the operator."""
    answer = subprocess.run([sys.executable, "-P", "-c", _LOADED], check=True, capture_output=True, text=True)
    return set(json.loads(answer.stdout))


@pytest.mark.parametrize(
    "name",
    [
        "rich",
        "oauthlib",
        "websocket",
        "kubernetes.client",
        "kubernetes.config",
        "kubernetes.dynamic",
        "kubernetes.stream",
        "vault_autoupdate.controller.policies",
        "vault_autoupdate.discovery.reconciler",
        "vault_autoupdate.model.policy",
    ],
)
def test_the_operator_loads_nothing_that_only_others_or_policies_need(loaded: set[str], name: str) -> None:
    assert name not in loaded


def test_of_the_kubernetes_client_what_is_used_works_though_the_rest_was_not_loaded() -> None:
    program = (
        "import vault_autoupdate.cluster.watch, kubernetes.aio\n"
        "from kubernetes.aio import client, config\n"
        "from kubernetes.client import V1ObjectMeta\n"
        "assert kubernetes.aio.client.Configuration is client.Configuration\n"
        "assert callable(config.load_kube_config)\n"
    )
    subprocess.run([sys.executable, "-P", "-c", program], check=True)
