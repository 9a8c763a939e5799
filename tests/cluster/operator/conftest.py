"""The operator as a process of its own, against a real API server and a simulated Azure."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import pytest
import pytest_asyncio
from kubernetes.aio import client, config

from asr_simulator import SimulatorThread
from vault_autoupdate.cluster.connection import Connection
from workbench.kube.control_plane import ControlPlane
from workbench.process.operator import OperatorProcess
from workbench.site import Site, check_log, jobs_take, make_operator, make_simulator, scenario, vault

_VAULTS = 60
MIX = {"enabled_compliant": 2, "disabled": 5, "enabled_other_account": 1, "unpaired": 1, "other_provider": 1}
"""What a vault of the shared Azure holds: eight mappings in scope, six of which differ."""


class Shared:
    """An Azure of many small vaults and one operator, for tests that need no process of their own."""

    def __init__(self, plane: ControlPlane, work_dir: Path) -> None:
        self.plane = plane
        self.namespace = plane.create_namespace("shared-operator")
        self.sim = make_simulator(scenario(MIX, vault_count=_VAULTS)).start()
        self.operator = make_operator(plane, self.sim, work_dir, self.namespace, name="shared")
        self._numbers = count()

    def site(self) -> Site:
        """A vault that nobody has used yet."""
        if self.operator.process is None or self.operator.process.returncode is not None:
            self.operator.start()
        self.operator.wait_ready()
        return Site(self.plane, self.sim, self.namespace, vault(next(self._numbers)), self.operator)

    def close(self) -> None:
        self.operator.close()
        self.sim.stop()


@pytest.fixture(scope="package")
def shared(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    running = Shared(control_plane, tmp_path_factory.mktemp("shared-operator"))
    try:
        yield running
    finally:
        running.close()
        check_log(running.operator.log)


@pytest.fixture
def site(shared: Shared) -> Iterator[Site]:
    """A vault of its own and the shared operator, which is running."""
    before = shared.operator.log.stat().st_size if shared.operator.log.exists() else 0
    own = shared.site()
    try:
        yield own
    finally:
        own.operator.thaw()
        shared.sim.control.clear_faults()
        shared.sim.control.settings(jobs=jobs_take(5))
        own.delete_all()
        check_log(shared.operator.log, before)


class SiteFactory(Protocol):
    """Starts an Azure with one vault, and prepares an operator for it."""

    def __call__(
        self, mix: Mapping[str, int], *, namespace: str = "", settings: Mapping[str, str] | None = None, **changes: Any
    ) -> Site: ...


class OperatorFactory(Protocol):
    """Prepares one more operator for a site."""

    def __call__(self, site: Site, name: str, settings: Mapping[str, str] | None = None) -> OperatorProcess: ...


@pytest.fixture
def operators(control_plane: ControlPlane, tmp_path: Path) -> Iterator[OperatorFactory]:
    """A factory of operators; at the end all are stopped, and their logs are looked at."""
    made: list[OperatorProcess] = []

    def make(site: Site, name: str, settings: Mapping[str, str] | None = None) -> OperatorProcess:
        operator = make_operator(control_plane, site.sim, tmp_path, site.namespace, name=name, settings=settings)
        made.append(operator)
        return operator

    yield make
    for operator in made:
        operator.close()
    for operator in made:
        check_log(operator.log)


@pytest.fixture
def own_site(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> Iterator[SiteFactory]:
    """A factory of sites with an Azure and an operator of their own. The operator is not started."""
    with ExitStack() as stack:

        def make(
            mix: Mapping[str, int],
            *,
            namespace: str = namespace,
            settings: Mapping[str, str] | None = None,
            **changes: Any,
        ) -> Site:
            sim: SimulatorThread = stack.enter_context(make_simulator(scenario(mix, **changes)))
            operator = make_operator(control_plane, sim, tmp_path, namespace, settings=settings)
            stack.callback(check_log, operator.log)
            stack.callback(operator.close)
            return Site(control_plane, sim, namespace, vault(), operator)

        yield make


@pytest_asyncio.fixture
async def api(control_plane: ControlPlane) -> AsyncIterator[Connection]:
    """The operator's own connection to the API server, with all rights."""
    configuration = client.Configuration()
    kubeconfig = str(control_plane.admin_kubeconfig)
    await config.load_kube_config(kubeconfig, client_configuration=configuration)  # type: ignore[no-untyped-call]  # no types
    async with Connection(configuration) as own:
        yield own
