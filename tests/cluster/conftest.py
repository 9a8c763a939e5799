"""Tests against a real API server: one control plane for each test process, a namespace for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.fixtures import namespace_name, require_control_plane, tests_below
from workbench.kube.control_plane import ControlPlane
from workbench.kube.kubectl import Kubectl
from workbench.kube.resources import CRD_FILE, POLICY_CRD_FILE, install_definition

_HERE: Final = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups, also when only this folder is run
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what needs the control plane; ``--dist loadgroup`` then keeps it in one worker, with one control plane.

    In three groups, each with a control plane. The tests of the operator mostly wait, the others mostly calculate: one
    after the other they would take longer than all else beside them. The files of the operator are dealt out to two.
    """
    own = list(tests_below(_HERE, items))
    files = sorted({item.path for item in tests_below(_HERE / "operator", own)})
    groups = {file: f"operator-{number % 2}" for number, file in enumerate(files)}
    for item in own:
        item.add_marker(pytest.mark.cluster)
        if config.pluginmanager.hasplugin("xdist"):
            item.add_marker(pytest.mark.xdist_group(groups.get(item.path, "cluster")))


@pytest.fixture(scope="package")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A running etcd and kube-apiserver with the resource definition installed."""
    require_control_plane()
    with ControlPlane(tmp_path_factory.mktemp("control-plane")) as running:
        install_definition(running.rest, CRD_FILE)
        install_definition(running.rest, POLICY_CRD_FILE)
        yield running


@pytest.fixture
def namespace(control_plane: ControlPlane, request: pytest.FixtureRequest) -> str:
    """A new namespace, named after the test."""
    return control_plane.create_namespace(namespace_name(request))


@pytest.fixture
def kubectl(control_plane: ControlPlane, namespace: str) -> Kubectl:
    """kubectl with all rights, in the test's namespace."""
    return control_plane.kubectl.in_namespace(namespace)
