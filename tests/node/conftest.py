"""Tests in Pods: one node for all of them, and this process in its network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.fixtures import namespace_name, tests_below
from tests.node.installation import Installation, Simulated, simulated
from workbench.ci import skip_unless_in_ci
from workbench.kube.resources import CRD_FILE, POLICY_CRD_FILE, install_definition
from workbench.node.node import Node
from workbench.node.requirements import missing
from workbench.site import scenario

_HERE: Final = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what needs the node; ``--dist loadgroup`` then keeps it in one worker."""
    for item in tests_below(_HERE, items):
        item.add_marker(pytest.mark.node)
        item.add_marker(pytest.mark.timeout(400))
        if config.pluginmanager.hasplugin("xdist"):
            item.add_marker(pytest.mark.xdist_group("node"))


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A running node. This process is in its network meanwhile."""
    if reason := missing():
        skip_unless_in_ci(reason)
    try:
        prepared = Node(tmp_path_factory.mktemp("node"))
    except FileNotFoundError as error:
        skip_unless_in_ci(str(error))
    with prepared as running, running.network():
        yield running
    assert _left(prepared) == []


def _left(node: Node) -> list[str]:
    """What is still there of a node that was closed: processes, mounts, control groups."""
    of_processes = [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(node.directory) in _text(path)]
    mounts = [line for line in _text(Path("/proc/self/mounts")).splitlines() if str(node.directory) in line]
    return [*map(str, of_processes), *mounts, *map(str, node.cgroups())]


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:  # a process that has ended
        return ""


@pytest.fixture(scope="session")
def definition(node: Node) -> None:
    """The resource definitions are there, whatever release comes and goes."""
    with node.connect() as rest:
        for file in (CRD_FILE, POLICY_CRD_FILE):
            install_definition(rest, file)


@pytest.fixture
def namespace(node: Node, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own that takes only pods of the ``restricted`` level."""
    name = namespace_name(request)
    node.kubectl("create", "namespace", name).check()
    node.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted").check()
    yield name
    node.kubectl("delete", "namespace", name, "--wait=false").check()


@pytest.fixture
def azure(node: Node, tmp_path: Path) -> Iterator[Simulated]:
    """A simulated Azure in the node's network, with one vault of twelve mappings, eight of which are to be changed."""
    with simulated(node, tmp_path, scenario({"enabled_compliant": 4, "disabled": 8})) as running:
        yield running


@pytest.fixture
def installation(node: Node, namespace: str, azure: Simulated, definition: None) -> Iterator[Installation]:
    """The chart, to be installed in the test's namespace with an operator that looks after that one alone."""
    made = Installation(node, namespace, azure)
    yield made
    made.uninstall()
