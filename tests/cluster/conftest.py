"""Tests against a real API server: one control plane for each test process, a namespace for each test."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from workbench.kube.binaries import HOW_TO_ENABLE, find_binaries
from workbench.kube.control_plane import ControlPlane
from workbench.kube.kubectl import Kubectl
from workbench.kube.resources import CRD_FILE, POLICY_CRD_FILE, install_definition

_HERE: Final = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups, also when only this folder is run
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what needs the control plane; ``--dist loadgroup`` then keeps it in one worker, with one control plane.

    In two groups, each with a control plane: the tests of the operator mostly wait, the others mostly calculate, and
    one after the other they would take longer than all else beside them.
    """
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.cluster)
            if config.pluginmanager.hasplugin("xdist"):
                of_operator = item.path.is_relative_to(_HERE / "operator")
                item.add_marker(pytest.mark.xdist_group("operator" if of_operator else "cluster"))


@pytest.fixture(scope="package")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A running etcd and kube-apiserver with the resource definition installed."""
    if find_binaries() is None:
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(f"no kube-apiserver and etcd, and in CI this test must not be skipped: {HOW_TO_ENABLE}")
        pytest.skip(f"needs a real kube-apiserver: {HOW_TO_ENABLE}")
    with ControlPlane(tmp_path_factory.mktemp("control-plane")) as running:
        install_definition(running.rest, CRD_FILE)
        install_definition(running.rest, POLICY_CRD_FILE)
        yield running


@pytest.fixture
def namespace(control_plane: ControlPlane, request: pytest.FixtureRequest) -> str:
    """A new namespace, named after the test."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:40].strip("-")
    return control_plane.create_namespace(f"{name}-{os.urandom(3).hex()}")


@pytest.fixture
def kubectl(control_plane: ControlPlane, namespace: str) -> Kubectl:
    """kubectl with all rights, in the test's namespace."""
    return control_plane.kubectl.in_namespace(namespace)
