"""Contract: Microsoft's own client libraries, as they are, work against the simulator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
)
from azure.core.polling.base_polling import LocationPolling
from azure.identity import ManagedIdentityCredential
from azure.mgmt.core.polling.arm_polling import ARMPolling
from azure.mgmt.recoveryservices import RecoveryServicesClient
from azure.mgmt.recoveryservicessiterecovery import SiteRecoveryManagementClient, models

from asr_simulator import SimulatorThread
from tests.simulator.helpers import ACCOUNT, GROUP, SUBSCRIPTION, VAULT, scenario, update, vault

# The libraries refuse to send a token over plain http unless told so with every call.
_HTTP: dict[str, Any] = {"enforce_https": False}
_FABRIC = "asr-a2a-default-eastus"
_CONTAINER = "asr-a2a-default-eastus-container"


@pytest.fixture
def sim(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatorThread]:
    jobs = {"duration": {"min": 10, "max": 10}, "retry_after": None}
    of = scenario(
        vault(mix={"enabled_unhealthy": 2, "missing_details": 2}), jobs=jobs, time_scale=100, mappings_page_size=2
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


def _update(client: SiteRecoveryManagementClient, name: str, status: str = "Enabled", **options: Any) -> Any:
    mappings = client.replication_protection_container_mappings
    return mappings.begin_update(GROUP, VAULT, _FABRIC, _CONTAINER, name, update(status), **_HTTP, **options)


def test_the_vault_is_read(sim: SimulatorThread, credential: ManagedIdentityCredential) -> None:
    with RecoveryServicesClient(credential, SUBSCRIPTION, base_url=sim.url) as client:
        found = client.vaults.get(GROUP, VAULT, **_HTTP)
        assert (found.name, found.location) == (VAULT, "westeurope")
        assert found.properties is not None
        assert found.properties.provisioning_state == "Succeeded"
        assert [item.name for item in client.vaults.list_by_resource_group(GROUP, **_HTTP)] == [VAULT]


def test_mappings_are_listed_through_all_pages(sim: SimulatorThread, client: SiteRecoveryManagementClient) -> None:
    found = list(client.replication_protection_container_mappings.list(GROUP, VAULT, **_HTTP))
    assert [item.name for item in found] == [item["name"] for item in sim.control.mappings()]
    assert len(sim.control.requests(kind="mappings")) == 4
    details = {type(item.properties.provider_specific_details) for item in found if item.properties}
    assert details == {models.A2AProtectionContainerMappingDetails, type(None)}
    errors = [error for item in found if item.properties for error in item.properties.health_error_details or []]
    assert {type(error) for error in errors} == {models.HealthError}
    assert all(error.creation_time_utc is not None for error in errors)


def test_a_mapping_is_read(client: SiteRecoveryManagementClient) -> None:
    found = client.replication_protection_container_mappings.get(GROUP, VAULT, _FABRIC, _CONTAINER, "alpha", **_HTTP)
    assert found.properties is not None
    details = found.properties.provider_specific_details
    assert isinstance(details, models.A2AProtectionContainerMappingDetails)
    assert details.agent_auto_update_status == "Disabled"
    assert details.automation_account_arm_id is None


def test_an_update_is_polled_to_its_end(client: SiteRecoveryManagementClient) -> None:
    found = _update(client, "alpha").result(timeout=20)
    details = found.properties.provider_specific_details
    assert isinstance(details, models.A2AProtectionContainerMappingDetails)
    assert details.agent_auto_update_status == "Enabled"
    assert details.automation_account_arm_id == ACCOUNT
    assert details.automation_account_authentication_type == "SystemAssignedIdentity"


def test_an_update_is_polled_by_location_alone(sim: SimulatorThread, client: SiteRecoveryManagementClient) -> None:
    """The other of the two URLs: 202 until the job has ended, then the mapping."""
    polling = ARMPolling(0.05, lro_algorithms=[LocationPolling()], **_HTTP)
    found = _update(client, "alpha", polling=polling).result(timeout=20)
    assert found.name == "alpha"
    assert {entry["status"] for entry in sim.control.requests(kind="operation_result")} == {200, 202}
    assert sim.control.requests(kind="operation_status") == []


def test_a_failed_job_is_an_error_with_its_code(sim: SimulatorThread, client: SiteRecoveryManagementClient) -> None:
    sim.control.add_fault("fail_job", code="77001", message="It broke.")
    with pytest.raises(HttpResponseError, match="It broke") as caught:
        _update(client, "alpha").result(timeout=20)
    assert caught.value.error is not None
    assert caught.value.error.code == "77001"


def test_jobs_are_listed_and_read(client: SiteRecoveryManagementClient) -> None:
    _update(client, "alpha").wait(20)
    _update(client, "beta", status="Disabled").wait(20)
    listed = list(client.replication_jobs.list(GROUP, VAULT, **_HTTP))
    assert [job.properties.target_object_name for job in listed if job.properties] == ["beta", "alpha"]
    assert listed[0].name is not None
    job = client.replication_jobs.get(GROUP, VAULT, listed[0].name, **_HTTP)
    assert job.properties is not None
    assert job.properties.state == "Succeeded"
    assert job.properties.end_time is not None
    assert job.properties.tasks
    filtered = client.replication_jobs.list(GROUP, VAULT, filter="jobStatus eq 'Failed'", **_HTTP)
    assert list(filtered) == []


def test_a_job_is_cancelled(sim: SimulatorThread, client: SiteRecoveryManagementClient) -> None:
    sim.control.add_fault("job_never_ends")
    _update(client, "alpha", status="Disabled")
    (job,) = client.replication_jobs.list(GROUP, VAULT, **_HTTP)
    assert job.name is not None
    cancelled = client.replication_jobs.begin_cancel(GROUP, VAULT, job.name, **_HTTP).result(timeout=20)
    assert cancelled.properties is not None
    assert cancelled.properties.state == "Cancelling"


def test_refusals_become_the_right_exceptions(sim: SimulatorThread, client: SiteRecoveryManagementClient) -> None:
    mappings = client.replication_protection_container_mappings
    with pytest.raises(ResourceNotFoundError) as missing:
        mappings.get(GROUP, VAULT, _FABRIC, _CONTAINER, "none", **_HTTP)
    assert missing.value.error is not None
    assert missing.value.error.code == "NotFound"
    sim.control.add_fault("job_never_ends")
    _update(client, "alpha")
    with pytest.raises(ResourceExistsError):
        _update(client, "alpha")
    sim.control.add_fault("unauthorized")
    with pytest.raises(ClientAuthenticationError, match="InvalidAuthenticationToken"):
        mappings.get(GROUP, VAULT, _FABRIC, _CONTAINER, "alpha", **_HTTP)


def test_a_client_that_retries_gets_through_a_limit(
    sim: SimulatorThread, credential: ManagedIdentityCredential
) -> None:
    """The library waits as told, so it is served: what is told is right at any time scale."""
    sim.control.settings(throttle={"reads": "1/30s", "arm": {"enabled": False}}, time_scale=25)
    with SiteRecoveryManagementClient(credential, SUBSCRIPTION, base_url=sim.url) as client:
        for _ in range(2):
            client.replication_protection_container_mappings.get(GROUP, VAULT, _FABRIC, _CONTAINER, "alpha", **_HTTP)
    statuses = [entry["status"] for entry in sim.control.requests(kind="mapping")]
    assert statuses == [200, 429, 200]  # a second try is enough


def test_an_unknown_client_id_gets_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    with SimulatorThread(scenario(identity={"identities": [{"client_id": "known"}]})) as sim:
        for name, value in sim.identity_env.items():
            monkeypatch.setenv(name, value)
        with ManagedIdentityCredential(client_id="known") as credential:
            assert credential.get_token("https://management.azure.com/.default").token
        with (
            ManagedIdentityCredential(client_id="unknown") as credential,
            pytest.raises(ClientAuthenticationError, match="No managed identity was found"),
        ):
            credential.get_token("https://management.azure.com/.default")
