"""The chart in real pods: what a user sees from installation to the end."""

from __future__ import annotations

import os

import pytest

from tests.node.installation import Installation
from workbench.ci import IN_CI


def test_a_start_works_passes_helm_test_and_leaves_no_warning(installation: Installation) -> None:
    installation.install(startupProbe={"initialDelaySeconds": 10, "periodSeconds": 2})  # as the chart has it
    installation.wait_ready(installation.declare())
    installation.test()
    warnings = [each["message"] for each in installation.events("Warning")]
    if warnings and os.getloadavg()[0] > 2 * (os.cpu_count() or 1) and not IN_CI:
        pytest.skip(f"nothing starts normally on a machine that is so busy: {warnings}")
    assert warnings == []


@pytest.mark.parametrize("uid", [1000660000, 7])
def test_any_user_and_group_will_do(installation: Installation, uid: int) -> None:
    """As OpenShift gives them: a number that nobody has heard of."""
    user = {"runAsUser": uid, "runAsGroup": uid + 1, "fsGroup": uid + 1}
    installation.install(podSecurityContext=user)
    installation.wait_ready(installation.declare())
    shown = installation.kubectl("exec", "deployment/vau-vault-autoupdate", "--", "id").check().stdout
    assert f"uid={uid}" in shown


def test_without_a_group_of_the_pod_it_is_the_images(installation: Installation) -> None:
    installation.install(podSecurityContext={"runAsUser": None, "runAsGroup": None, "fsGroup": None})
    shown = installation.kubectl("exec", "deployment/vau-vault-autoupdate", "--", "id").check().stdout
    assert "uid=65532(vault-autoupdate) gid=65532(vault-autoupdate)" in shown
