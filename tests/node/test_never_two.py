"""Never two at work: whatever ends a pod, its successor writes when it has ended or lost the Lease, and no sooner.

Each test lets an operator begin with the mappings of a vault of its own, disturbs it, and waits until all is done. What
Azure was asked for, and by whom, tells whether two worked at once.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Collection, Iterator
from typing import Any, Final

import pytest

from tests.node.installation import SELECTOR, Installation, Simulated, operator_process, simulated, writers
from workbench.node.node import Node
from workbench.process.waiting import wait_until
from workbench.site import Vault, scenario

VAULTS: Final = 12
MAPPINGS: Final = 120
BEGUN: Final = 10
"""PATCHes after which an operator is in the middle of its work."""
_NAMESPACE: Final = "never-two"


@pytest.fixture(scope="module")
def azure(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulated]:
    """A vault for each test."""
    document = scenario({"disabled": MAPPINGS}, vault_count=VAULTS)
    with simulated(node, tmp_path_factory.mktemp("never-two"), document) as running:
        yield running


@pytest.fixture(scope="module")
def installed(node: Node, azure: Simulated, definition: None) -> Iterator[Installation]:
    """One release for all of these tests, whose operator writes ten times a second."""
    node.kubectl("create", "namespace", _NAMESPACE).check()
    node.kubectl("label", "namespace", _NAMESPACE, "pod-security.kubernetes.io/enforce=restricted").check()
    made = Installation(node, _NAMESPACE, azure)
    made.install(**_SLOWLY)
    yield made
    made.uninstall()


_SLOWLY: Final[dict[str, Any]] = {"limits": {"write": "100/10s"}, "podDisruptionBudget": {"enabled": True}}


@pytest.fixture
def vault_number(request: pytest.FixtureRequest, counter: Iterator[int]) -> int:
    """A vault that no other test has."""
    return next(counter)


@pytest.fixture(scope="module")
def counter() -> Iterator[int]:
    return iter(range(VAULTS))


def _begin(installed: Installation, number: int) -> Vault:
    """Let the operator begin with a vault."""
    of = installed.declare(number)
    wait_until(
        lambda: len(installed.azure.patches(of)) >= BEGUN,
        within=60,
        what=lambda: f"{BEGUN} PATCHes:\n{installed.logs()}",
    )
    return of


def _check(installed: Installation, of: Vault, *, by_how_many: Collection[int] = (2,)) -> None:
    """All is done, each mapping once, and by one pod after the other."""
    installed.wait_ready(of, within=120)
    patches = installed.azure.patches(of)
    by = writers(patches)
    assert len(by) == len(set(by)), f"two at once: {by}"
    assert len(by) in by_how_many, by
    accepted = [each["mapping"] for each in patches if each["status"] == 202]
    assert sorted(accepted) == sorted(set(accepted))
    assert len(accepted) == MAPPINGS


def _delete(installed: Installation) -> None:
    installed.kubectl("delete", "pod", installed.leader(), "--wait=false").check()


def _evict(installed: Installation) -> None:
    name = installed.leader()
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    with installed.node.connect() as rest:
        rest.create(f"/api/v1/namespaces/{installed.namespace}/pods/{name}/eviction", eviction)


def _drain(installed: Installation) -> None:
    selected = f"--pod-selector={SELECTOR}"
    options = ("--ignore-daemonsets", "--delete-emptydir-data", "--timeout=60s", selected)
    drained = installed.kubectl("drain", "node", *options, timeout=90)
    try:
        assert drained.code == 0, drained.stderr
    finally:
        installed.kubectl("uncordon", "node").check()


def _kill(installed: Installation) -> None:
    os.kill(operator_process(installed.leader()), signal.SIGKILL)


def _upgrade(installed: Installation) -> None:
    installed.install(**_SLOWLY, podAnnotations={"changed": "yes"})


def _roll_back(installed: Installation) -> None:
    installed.rollback()


@pytest.mark.parametrize(
    "disturb",
    [_delete, _evict, _drain, _upgrade, _roll_back],
    ids=lambda each: each.__name__.strip("_"),
)
def test_the_successor_waits(
    installed: Installation, vault_number: int, disturb: Callable[[Installation], None]
) -> None:
    of = _begin(installed, vault_number)
    disturb(installed)
    _check(installed, of)


def test_a_second_replica_waits(installed: Installation, vault_number: int) -> None:
    of = _begin(installed, vault_number)
    installed.install(**_SLOWLY, replicas=2)
    _check(installed, of, by_how_many=[1])


def test_of_two_replicas_the_one_that_is_left_goes_on(installed: Installation, vault_number: int) -> None:
    """Which one that is, the controller of the ReplicaSet decides."""
    installed.install(**_SLOWLY, replicas=2)
    of = _begin(installed, vault_number)
    installed.install(**_SLOWLY)
    _check(installed, of, by_how_many=[1, 2])


@pytest.mark.parametrize("replicas", [1, 2])
def test_pods_that_know_no_lease_have_ended_before_those_start_that_do(
    installed: Installation, vault_number: int, replicas: int
) -> None:
    """As after an upgrade from a version, or values, without an election: only the order of the pods helps there."""
    installed.install(**_SLOWLY, leaderElection={"enabled": False})
    of = _begin(installed, vault_number)
    installed.install(**_SLOWLY, replicas=replicas)
    _check(installed, of)


def test_a_container_that_was_killed_goes_on_in_its_pod(installed: Installation, vault_number: int) -> None:
    """It waits for the Lease of the process before it; a pod that is there still from before may be first."""
    of = _begin(installed, vault_number)
    _kill(installed)
    _check(installed, of, by_how_many=(1, 2))


def test_sigterm_while_azure_hangs_ends_by_itself_inside_the_grace_period(
    installed: Installation, vault_number: int
) -> None:
    """By itself is with code 0: 137 would be the kubelet's doing."""
    of = _begin(installed, vault_number)
    control, name = installed.azure.control, installed.leader()
    fault = control.add_fault("hang", seconds=90.0, method="PATCH", vault=of.name, forever=True)
    wait_until(lambda: control.faults()[0]["hits"] > 0, within=20, what="calls that hang")
    assert _delete_and_watch(installed, name) == 0
    control.remove_fault(fault)
    _check(installed, of)


def _delete_and_watch(installed: Installation, name: str) -> int:
    """Delete a pod, and return the code that its container ended with."""
    code = -1
    path = f"/api/v1/namespaces/{installed.namespace}/pods"
    with installed.node.connect() as rest:
        version = rest.request("GET", path)["metadata"]["resourceVersion"]
        installed.kubectl("delete", "pod", name, "--wait=false").check()
        for event in rest.watch(path, resource_version=version, seconds=60):
            if event["object"]["metadata"]["name"] != name:
                continue
            for container in event["object"]["status"].get("containerStatuses", ()):
                code = container["state"].get("terminated", {}).get("exitCode", code)
            if event["type"] == "DELETED":
                return code
    pytest.fail(f"{name} is still there after a minute")
