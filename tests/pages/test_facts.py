"""What the install pages say in figures and names is what the code and the chart have."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

import yaml

from tests.chart.helm import CHART
from vault_autoupdate.model.clouds import CLOUDS
from workbench.azure import azure_cli
from workbench.kube.resources import ROOT

_INSTALL: Final = (ROOT / "docs" / "install.md").read_text()
_IDENTITY: Final = (ROOT / "docs" / "workload-identity.md").read_text()
_VALUES: Final = yaml.safe_load((CHART / "values.yaml").read_text())


def test_names_to_let_through_a_firewall_are_those_of_each_cloud() -> None:
    rows = re.findall(r"^\| `(Azure\w+)` \| `([^|`]+)` \| `([^|`]+)` \|$", _INSTALL, re.MULTILINE)
    said = {cloud: [management, login] for cloud, management, login in rows}
    assert said == {
        name: [urlsplit(cloud.arm_endpoint).hostname, cloud.authority_host] for name, cloud in CLOUDS.items()
    }


def test_audiences_are_said_for_each_cloud_and_the_charts_is_the_public_one() -> None:
    said = dict(re.findall(r"^\| `(Azure\w+)` \| `(api://\w+)` \|$", _IDENTITY, re.MULTILINE))
    assert set(said) == set(CLOUDS)
    assert said["AzurePublic"] == _VALUES["azure"]["auth"]["workloadIdentity"]["audience"]


def test_versions_and_requests_are_those_that_there_are() -> None:
    assert f"with {azure_cli.version().rpartition('.')[0]}" in _INSTALL
    requests = _VALUES["resources"]["requests"]
    assert f"asks for {requests['cpu']} of CPU and {requests['memory']} of memory" in _INSTALL
    kubernetes = yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"]
    assert f"Kubernetes {kubernetes.removeprefix('>=').removesuffix('.0-0')} or newer" in _INSTALL
