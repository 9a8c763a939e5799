"""Microsoft's own client libraries, unmodified, on a simulator."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from azure.identity import ManagedIdentityCredential
from azure.mgmt.authorization import AuthorizationManagementClient
from azure.mgmt.automation import AutomationClient
from azure.mgmt.recoveryservices import RecoveryServicesClient
from azure.mgmt.recoveryservicessiterecovery import SiteRecoveryManagementClient

from asr_simulator import SimulatorThread
from tests.simulator.helpers import SUBSCRIPTION, scenario, vault


@pytest.fixture
def sim(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatorThread]:
    """A vault of three disabled mappings and four others, three VMs each, two to a page; jobs take a moment."""
    of = scenario(
        vault(
            mix={"enabled_unhealthy": 2, "missing_details": 2},
            items_per_mapping=3,
            outdated_agent_share=0.4,
            initial_replication_share=0.4,
        ),
        jobs={"duration": {"min": 10, "max": 10}, "retry_after": None},
        time_scale=100,
        mappings_page_size=2,
        items_page_size=2,
    )
    with SimulatorThread(of) as running:
        for name, value in running.identity_env.items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def credential(sim: SimulatorThread) -> Iterator[ManagedIdentityCredential]:
    with ManagedIdentityCredential() as found:
        yield found


@pytest.fixture
def client(sim: SimulatorThread, credential: ManagedIdentityCredential) -> Iterator[SiteRecoveryManagementClient]:
    with SiteRecoveryManagementClient(
        credential, SUBSCRIPTION, base_url=sim.url, polling_interval=0.05, retry_total=0
    ) as found:
        yield found


@pytest.fixture
def automation(sim: SimulatorThread, credential: ManagedIdentityCredential) -> Iterator[AutomationClient]:
    with AutomationClient(credential, SUBSCRIPTION, base_url=sim.url, retry_total=0) as found:
        yield found


@pytest.fixture
def authorization(
    sim: SimulatorThread, credential: ManagedIdentityCredential
) -> Iterator[AuthorizationManagementClient]:
    with AuthorizationManagementClient(credential, SUBSCRIPTION, base_url=sim.url, retry_total=0) as found:
        yield found


@pytest.fixture
def vaults(sim: SimulatorThread, credential: ManagedIdentityCredential) -> Iterator[RecoveryServicesClient]:
    with RecoveryServicesClient(credential, SUBSCRIPTION, base_url=sim.url, retry_total=0) as found:
        yield found
