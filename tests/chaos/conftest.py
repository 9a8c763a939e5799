"""Chaos stops the API server: it has a control plane of its own, and its tests stay together in one worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.fixtures import require_control_plane, tests_below
from workbench.kube.control_plane import ControlPlane
from workbench.kube.resources import CRD_FILE, POLICY_CRD_FILE, install_definition

_HERE: Final = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups, also when only this folder is run
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep what needs the control plane in one worker."""
    for item in tests_below(_HERE, items):
        if "plane" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.cluster)
            if config.pluginmanager.hasplugin("xdist"):
                item.add_marker(pytest.mark.xdist_group("chaos"))


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A running etcd and kube-apiserver that nobody else uses."""
    require_control_plane()
    with ControlPlane(tmp_path_factory.mktemp("chaos")) as running:
        install_definition(running.rest, CRD_FILE)
        install_definition(running.rest, POLICY_CRD_FILE)
        yield running
