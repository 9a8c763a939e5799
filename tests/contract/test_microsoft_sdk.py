"""Contract: Microsoft's own client libraries, as they are, work against the simulator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
from tests.simulator.helpers import ACCOUNT, GROUP, SUBSCRIPTION, VAULT, scenario, update
from workbench.process.waiting import wait_until

# The libraries refuse to send a token over plain http unless told so with every call.
_HTTP: dict[str, Any] = {"enforce_https": False}
_FABRIC = "asr-a2a-default-eastus"
_CONTAINER = "asr-a2a-default-eastus-container"


def _update(client: SiteRecoveryManagementClient, name: str, status: str = "Enabled", **options: Any) -> Any:
    mappings = client.replication_protection_container_mappings
    return mappings.begin_update(GROUP, VAULT, _FABRIC, _CONTAINER, name, update(status), **_HTTP, **options)


def _get(client: SiteRecoveryManagementClient, name: str) -> models.ProtectionContainerMapping:
    mappings = client.replication_protection_container_mappings
    return mappings.get(GROUP, VAULT, _FABRIC, _CONTAINER, name, **_HTTP)


def test_vaults_are_read_and_listed(vaults: RecoveryServicesClient) -> None:
    found = vaults.vaults.get(GROUP, VAULT, **_HTTP)
    assert (found.name, found.location) == (VAULT, "westeurope")
    assert found.properties is not None
    assert found.properties.provisioning_state == "Succeeded"
    assert [item.name for item in vaults.vaults.list_by_resource_group(GROUP, **_HTTP)] == [VAULT]
    assert [item.name for item in vaults.vaults.list_by_subscription_id(**_HTTP)] == [VAULT]


def test_mappings_are_listed_through_all_pages(sim: SimulatorThread, client: SiteRecoveryManagementClient) -> None:
    found = list(client.replication_protection_container_mappings.list(GROUP, VAULT, **_HTTP))
    assert [item.name for item in found] == [item["name"] for item in sim.control.mappings()]
    assert len(sim.control.requests(kind="mappings")) == 4
    details = {type(item.properties.provider_specific_details) for item in found if item.properties}
    assert details == {models.A2AProtectionContainerMappingDetails, type(None)}
    errors = [error for item in found if item.properties for error in item.properties.health_error_details or []]
    assert {type(error) for error in errors} == {models.HealthError}
    assert all(error.creation_time_utc is not None for error in errors)


def test_the_mappings_of_one_container_are_listed(client: SiteRecoveryManagementClient) -> None:
    mappings = client.replication_protection_container_mappings
    found = mappings.list_by_replication_protection_containers(GROUP, VAULT, _FABRIC, _CONTAINER, **_HTTP)
    assert [item.name for item in found][:3] == ["alpha", "beta", "gamma"]
    other = mappings.list_by_replication_protection_containers(GROUP, VAULT, _FABRIC, "none", **_HTTP)
    assert list(other) == []


@pytest.mark.parametrize("explicit_null", [False, True], ids=["absent", "null"])
def test_a_list_ends_with_a_next_link_that_is_null_or_absent(
    monkeypatch: pytest.MonkeyPatch, *, explicit_null: bool
) -> None:
    of = scenario(mappings_page_size=2, explicit_null_next_link=explicit_null)
    with SimulatorThread(of) as sim:
        for name, value in sim.identity_env.items():
            monkeypatch.setenv(name, value)
        with (
            ManagedIdentityCredential() as credential,
            SiteRecoveryManagementClient(credential, SUBSCRIPTION, base_url=sim.url) as client,
        ):
            pages = client.replication_protection_container_mappings.list(GROUP, VAULT, **_HTTP).by_page()
            assert [[item.name for item in page] for page in pages] == [["alpha", "beta"], ["gamma"]]


def test_a_mapping_is_read(client: SiteRecoveryManagementClient) -> None:
    found = _get(client, "alpha")
    assert found.properties is not None
    details = found.properties.provider_specific_details
    assert isinstance(details, models.A2AProtectionContainerMappingDetails)
    assert details.agent_auto_update_status == "Disabled"
    assert details.automation_account_arm_id is None


def test_an_update_is_polled_to_its_end(sim: SimulatorThread, client: SiteRecoveryManagementClient) -> None:
    found = _update(client, "alpha").result(timeout=20)
    details = found.properties.provider_specific_details
    assert isinstance(details, models.A2AProtectionContainerMappingDetails)
    assert details.agent_auto_update_status == "Enabled"
    assert details.automation_account_arm_id == ACCOUNT
    assert details.automation_account_authentication_type == "SystemAssignedIdentity"
    assert sim.control.requests(kind="operation_status")


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


def test_jobs_are_listed_by_filter(sim: SimulatorThread, client: SiteRecoveryManagementClient) -> None:
    _update(client, "alpha").wait(20)
    sim.control.add_fault("fail_job")
    with pytest.raises(HttpResponseError):
        _update(client, "beta").result(timeout=20)

    def states(text: str) -> list[str | None]:
        jobs = client.replication_jobs.list(GROUP, VAULT, filter=text, **_HTTP)
        return [job.properties.state for job in jobs if job.properties]

    assert states("jobStatus eq 'Failed'") == ["Failed"]
    assert states("jobStatus eq 'Succeeded' and startTime eq '2020-01-01T00:00:00.0000000Z'") == ["Succeeded"]
    assert states("jobStatus eq 'InProgress'") == []
    with pytest.raises(HttpResponseError) as refused:
        states("jobStatus ne 'Failed'")
    assert (refused.value.status_code, refused.value.error and refused.value.error.code) == (
        400,
        "InvalidFilterInQueryString",
    )


def test_a_job_is_cancelled_to_the_end(sim: SimulatorThread, client: SiteRecoveryManagementClient) -> None:
    sim.control.add_fault("job_never_ends")
    _update(client, "alpha", polling=False)
    (job,) = client.replication_jobs.list(GROUP, VAULT, **_HTTP)
    assert job.name is not None
    name = job.name
    cancelled = client.replication_jobs.begin_cancel(GROUP, VAULT, name, **_HTTP).result(timeout=20)
    assert cancelled.properties is not None
    assert cancelled.properties.state in ("Cancelling", "Cancelled")

    def ended() -> models.JobProperties | None:
        properties = client.replication_jobs.get(GROUP, VAULT, name, **_HTTP).properties
        return properties if properties is not None and properties.end_time is not None else None

    last = wait_until(ended, within=20, what="the end of the job")
    assert last.state == "Cancelled"
    assert last.errors
    assert last.errors[0].service_error_details is not None
    assert last.errors[0].service_error_details.code == "538"
    mapping = _get(client, "alpha").properties
    assert mapping is not None
    assert isinstance(mapping.provider_specific_details, models.A2AProtectionContainerMappingDetails)
    assert mapping.provider_specific_details.agent_auto_update_status == "Disabled"


def test_the_health_of_a_vault_counts_its_items_and_errors(
    sim: SimulatorThread, client: SiteRecoveryManagementClient
) -> None:
    found = client.replication_vault_health.get(GROUP, VAULT, **_HTTP).properties
    assert found is not None
    assert found.protected_items_health is not None
    assert found.containers_health is not None
    paired = [item for item in sim.control.mappings() if item["provider"] == "A2A"]
    assert found.protected_items_health.resource_count == 3 * len(paired)
    assert found.containers_health.issues
    categories = [models.HealthErrorCategory(issue.category or "") for issue in found.containers_health.issues]
    assert all(category.value.startswith("AgentAutoUpdate") for category in categories)


def test_the_settings_of_a_vault_have_nothing_about_updates(client: SiteRecoveryManagementClient) -> None:
    (listed,) = client.replication_vault_setting.list(GROUP, VAULT, **_HTTP)
    single = client.replication_vault_setting.get(GROUP, VAULT, "default", **_HTTP)
    assert listed.name == single.name == "default"
    assert single.properties is not None
    assert set(single.properties) == {"migrationSolutionId", "vmwareToAzureProviderType"}


Refusal = tuple[type[HttpResponseError], int, str, Callable[[SimulatorThread, SiteRecoveryManagementClient], Any]]


def _missing_mapping(_: SimulatorThread, client: SiteRecoveryManagementClient) -> None:
    _get(client, "none")


def _missing_job(_: SimulatorThread, client: SiteRecoveryManagementClient) -> None:
    client.replication_jobs.get(GROUP, VAULT, "none", **_HTTP)


def _missing_vault(_: SimulatorThread, client: SiteRecoveryManagementClient) -> None:
    list(client.replication_protection_container_mappings.list(GROUP, "none", **_HTTP))


def _missing_group(_: SimulatorThread, client: SiteRecoveryManagementClient) -> None:
    list(client.replication_protection_container_mappings.list("none", VAULT, **_HTTP))


def _busy_mapping(sim: SimulatorThread, client: SiteRecoveryManagementClient) -> None:
    sim.control.add_fault("job_never_ends")
    _update(client, "alpha", polling=False)
    _update(client, "alpha", polling=False)


def _revoked_token(sim: SimulatorThread, client: SiteRecoveryManagementClient) -> None:
    sim.control.add_fault("unauthorized", forever=True)
    _get(client, "alpha")


def _limited(sim: SimulatorThread, client: SiteRecoveryManagementClient) -> None:
    sim.control.settings(throttle={"reads": "1/3600s", "arm": {"enabled": False}})
    for _ in range(2):
        _get(client, "alpha")


def _limited_by_the_gateway(sim: SimulatorThread, client: SiteRecoveryManagementClient) -> None:
    sim.control.settings(throttle={"arm": {"reads": 1, "reads_per_second": 0.001}})
    for _ in range(2):
        _get(client, "alpha")


def _broken(sim: SimulatorThread, client: SiteRecoveryManagementClient) -> None:
    sim.control.settings(patch_failure_share=1)
    _update(client, "alpha", polling=False)


REFUSALS: dict[str, Refusal] = {
    "a token that was revoked": (ClientAuthenticationError, 401, "InvalidAuthenticationToken", _revoked_token),
    "no such mapping": (ResourceNotFoundError, 404, "NotFound", _missing_mapping),
    "no such job": (ResourceNotFoundError, 404, "NotFound", _missing_job),
    "no such vault": (ResourceNotFoundError, 404, "ResourceNotFound", _missing_vault),
    "no such group": (ResourceNotFoundError, 404, "ResourceGroupNotFound", _missing_group),
    "another job on the mapping": (ResourceExistsError, 409, "Conflict", _busy_mapping),
    "Site Recovery's limit": (HttpResponseError, 429, "TooManyRequests", _limited),
    "Resource Manager's limit": (HttpResponseError, 429, "SubscriptionRequestsThrottled", _limited_by_the_gateway),
    "an error of the server": (HttpResponseError, 500, "InternalServerError", _broken),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_becomes_the_right_exception(
    sim: SimulatorThread, client: SiteRecoveryManagementClient, name: str
) -> None:
    kind, status, code, call = REFUSALS[name]
    with pytest.raises(HttpResponseError) as caught:
        call(sim, client)
    assert type(caught.value) is kind
    assert caught.value.status_code == status
    assert caught.value.error is not None
    assert caught.value.error.code == code
    assert caught.value.error.message


@pytest.fixture
def powerless(monkeypatch: pytest.MonkeyPatch) -> Iterator[SiteRecoveryManagementClient]:
    """A client whose identity may not write."""
    identity = {"client_id": "reader", "denied": [{"action": "*/write"}]}
    with SimulatorThread(scenario(identity={"identities": [identity]})) as sim:
        for name, value in sim.identity_env.items():
            monkeypatch.setenv(name, value)
        with (
            ManagedIdentityCredential(client_id="reader") as credential,
            SiteRecoveryManagementClient(credential, SUBSCRIPTION, base_url=sim.url) as client,
        ):
            yield client


def test_what_an_identity_may_not_do_is_forbidden_with_code_and_scope(
    powerless: SiteRecoveryManagementClient,
) -> None:
    assert _get(powerless, "alpha").name == "alpha"
    with pytest.raises(HttpResponseError) as caught:
        _update(powerless, "alpha", polling=False)
    assert (type(caught.value), caught.value.status_code) == (HttpResponseError, 403)
    assert caught.value.error is not None
    assert caught.value.error.code == "AuthorizationFailed"
    assert "over scope '/subscriptions/" in (caught.value.error.message or "")


def test_the_details_of_site_recovery_reach_the_caller(client: SiteRecoveryManagementClient) -> None:
    """The model of errors has no place for causes and advice, but they are in the answer."""
    with pytest.raises(ResourceNotFoundError) as caught:
        _get(client, "none")
    assert caught.value.error is not None
    (detail,) = caught.value.error.details
    assert detail.code == "ProtectionContainerMappingArmEntityMissing"
    response: Any = caught.value.response
    (raw,) = response.json()["error"]["details"]
    assert raw["possibleCauses"]
    assert raw["recommendedAction"]


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


def test_retry_after_alone_makes_the_library_wait(sim: SimulatorThread, credential: ManagedIdentityCredential) -> None:
    """Seconds in ``Retry-After``, for clients and answers that know no milliseconds."""
    sim.control.add_fault("status", status=429, code="TooManyRequests", headers={"Retry-After": "2"}, route="mapping")
    with SiteRecoveryManagementClient(credential, SUBSCRIPTION, base_url=sim.url) as client:
        assert _get(client, "alpha").name == "alpha"
    refused, served = sim.control.requests(kind="mapping")
    assert (refused["status"], served["status"]) == (429, 200)
    assert served["real"] - refused["real"] >= 2


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
