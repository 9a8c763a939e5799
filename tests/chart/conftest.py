"""Tests of the chart with Helm itself; those on an API server have one of their own, without the definition."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.fixtures import namespace_name, require_control_plane, tests_below
from workbench.kube.control_plane import ControlPlane
from workbench.kube.kubectl import Kubectl
from workbench.kube.resources import CRD_FILE, install_definition, load_definition
from workbench.process.waiting import wait_until

_HERE: Final = Path(__file__).parent
_DEFINITIONS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups, also when only this folder is run
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what needs the control plane; ``--dist loadgroup`` then keeps it in one worker, with one control plane."""
    for item in tests_below(_HERE, items):
        if "control_plane" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.cluster)
            if config.pluginmanager.hasplugin("xdist"):
                item.add_marker(pytest.mark.xdist_group("chart"))


@pytest.fixture(scope="package")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A running etcd and kube-apiserver, empty."""
    require_control_plane()
    with ControlPlane(tmp_path_factory.mktemp("control-plane")) as running:
        yield running


@pytest.fixture
def namespace(control_plane: ControlPlane, request: pytest.FixtureRequest) -> str:
    """A new namespace, named after the test."""
    return control_plane.create_namespace(namespace_name(request))


@pytest.fixture
def kubectl(control_plane: ControlPlane, namespace: str) -> Kubectl:
    """kubectl with all rights, in the test's namespace."""
    return control_plane.kubectl.in_namespace(namespace)


@pytest.fixture
def definition(control_plane: ControlPlane) -> None:
    """The resource definition is there, put there by somebody else than Helm."""
    install_definition(control_plane.rest, CRD_FILE)


@pytest.fixture
def no_definition(control_plane: ControlPlane) -> Iterator[None]:
    """There is no resource definition, and none is left behind."""
    _remove_definition(control_plane)
    yield
    _remove_definition(control_plane)


def _remove_definition(control_plane: ControlPlane) -> None:
    path = f"{_DEFINITIONS}/{load_definition()['metadata']['name']}"
    if control_plane.rest.get_or_none(path) is not None:
        control_plane.rest.request("DELETE", path)
        wait_until(lambda: control_plane.rest.get_or_none(path) is None, within=60, what="the definition to be gone")
