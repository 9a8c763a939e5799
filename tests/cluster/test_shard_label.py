"""The page about shards has an admission policy by which teams cannot move each other's vaults."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.pages.reading import blocks
from workbench.kube.control_plane import ControlPlane
from workbench.kube.kubectl import Kubectl
from workbench.kube.resources import ROOT, manifest
from workbench.process.waiting import wait_until

_PAGE = ROOT / "docs" / "scaling.md"
_LABEL = "asr.vault-autoupdate.io/shard"
_REFUSED = "is set by those who run the operators"


@pytest.fixture
def policy(control_plane: ControlPlane) -> Iterator[None]:
    """What the page has, applied."""
    documents = [each for block in blocks(_PAGE.read_text()) for each in _documents(block.text)]
    text = yaml.safe_dump_all([each for each in documents if each["kind"].startswith("ValidatingAdmissionPolicy")])
    control_plane.kubectl("apply", "-f", "-", stdin=text).check()
    yield
    control_plane.kubectl("delete", "-f", "-", stdin=text).check()


def _documents(text: str) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(text) if isinstance(each, dict)] if "kind:" in text else []


@pytest.fixture
def team(control_plane: ControlPlane, namespace: str, tmp_path: Path, kubectl: Kubectl) -> Kubectl:
    """kubectl of somebody who may change all resources of the namespace."""
    rules = ["--verb=get,create,patch,update", "--resource=vaultautoupdates.asr.vault-autoupdate.io"]
    kubectl("create", "role", "editor", *rules).check()
    kubectl("create", "rolebinding", "editor", "--role=editor", "--user=team").check()
    return Kubectl(control_plane.kubeconfig(tmp_path / "team", user="team"), namespace)


def _apply(kubectl: Kubectl, *flags: str, **labels: str) -> str:
    body = manifest("dr")
    body["metadata"]["labels"] = labels
    done = kubectl("apply", *flags, "-f", "-", stdin=json.dumps(body))
    return done.stderr if done.code else ""


def test_a_team_can_declare_a_vault_but_not_say_which_operator_works_on_it(
    kubectl: Kubectl, team: Kubectl, policy: None
) -> None:
    def refused() -> bool:
        return _REFUSED in _apply(team, "--dry-run=server", **{_LABEL: "emea"})

    wait_until(refused, within=30, what="the policy to be enforced", every=0.2)
    assert _apply(team) == ""

    label = ("label", "vau/dr", "--overwrite", f"{_LABEL}=emea")
    assert _REFUSED in team(*label).stderr
    kubectl(*label).check()
    assert _REFUSED in team("label", "vau/dr", f"{_LABEL}-").stderr
    team("label", "vau/dr", "tier=gold").check()
