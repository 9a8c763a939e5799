"""Contract: Microsoft's own client library updates agents on the simulator, as it is."""

from __future__ import annotations

from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.core.polling.base_polling import LocationPolling
from azure.mgmt.core.polling.arm_polling import ARMPolling
from azure.mgmt.recoveryservicessiterecovery import SiteRecoveryManagementClient, models

from asr_simulator import SimulatorThread
from asr_simulator.control_types import ItemState
from tests.simulator.helpers import GROUP, VAULT

_HTTP: dict[str, Any] = {"enforce_https": False}
_FABRIC = "asr-a2a-default-eastus"
_CONTAINER = "asr-a2a-default-eastus-container"
_NEWER = "9.60.7000.1"
_NOTHING = models.UpdateMobilityServiceRequest(properties=models.UpdateMobilityServiceRequestProperties())


def _item(sim: SimulatorThread) -> ItemState:
    return next(item for item in sim.control.items() if item["mapping"] == "alpha")


def _update(client: SiteRecoveryManagementClient, item: str, **options: Any) -> Any:
    """Update the agent of the machine with the id ``item``."""
    items, name = client.replication_protected_items, item.rpartition("/")[2]
    return items.begin_update_mobility_service(GROUP, VAULT, _FABRIC, _CONTAINER, name, _NOTHING, **_HTTP, **options)


def _details(item: models.ReplicationProtectedItem) -> models.A2AReplicationDetails:
    assert item.properties is not None
    details = item.properties.provider_specific_details
    assert isinstance(details, models.A2AReplicationDetails)
    return details


def _get(client: SiteRecoveryManagementClient, item: str) -> models.A2AReplicationDetails:
    items = client.replication_protected_items
    return _details(items.get(GROUP, VAULT, _FABRIC, _CONTAINER, item.rpartition("/")[2], **_HTTP))


def test_an_update_of_an_agent_is_polled_to_its_end(sim: SimulatorThread, client: SiteRecoveryManagementClient) -> None:
    sim.control.release_agent(_NEWER)
    item = _item(sim)["id"]
    assert _get(client, item).is_agent_upgradeable is True
    updated = _details(_update(client, item).result(timeout=20))
    assert (updated.agent_version, updated.is_replication_agent_update_required) == (_NEWER, False)
    assert (updated.is_agent_upgradeable, updated.is_agent_upgrade_in_progress) == (False, False)
    assert sim.control.requests(kind="operation_status")
    (request,) = sim.control.requests(kind="update_agent")
    assert (request["method"], request["status"]) == ("POST", 202)


def test_an_update_of_an_agent_is_polled_by_location_alone(
    sim: SimulatorThread, client: SiteRecoveryManagementClient
) -> None:
    sim.control.release_agent(_NEWER)
    polling = ARMPolling(0.05, lro_algorithms=[LocationPolling()], **_HTTP)
    found = _update(client, _item(sim)["id"], polling=polling).result(timeout=20)
    assert _details(found).agent_version == _NEWER
    assert {entry["status"] for entry in sim.control.requests(kind="item_operation_result")} == {200, 202}
    assert sim.control.requests(kind="operation_status") == []


def test_an_agent_says_that_it_is_being_updated(sim: SimulatorThread, client: SiteRecoveryManagementClient) -> None:
    sim.control.settings(agent_updates={"never_ending": ["*"]})
    item = _item(sim)["id"]
    _update(client, item, polling=False)
    assert _get(client, item).is_agent_upgrade_in_progress is True
    with pytest.raises(ResourceExistsError) as refused:
        _update(client, item, polling=False)
    assert refused.value.status_code == 409


def test_the_job_of_an_update_names_its_machine(sim: SimulatorThread, client: SiteRecoveryManagementClient) -> None:
    item = _item(sim)
    _update(client, item["id"]).wait(20)
    (listed,) = client.replication_jobs.list(GROUP, VAULT, **_HTTP)
    assert listed.name is not None
    job = client.replication_jobs.get(GROUP, VAULT, listed.name, **_HTTP).properties
    assert job is not None
    assert (job.target_object_id, job.target_object_name) == (item["id"], item["vm_name"])
    assert (job.state, job.state_description, job.errors) == ("Succeeded", "Completed", [])


def test_an_update_that_fails_is_an_error_with_its_code(
    sim: SimulatorThread, client: SiteRecoveryManagementClient
) -> None:
    failure = {"code": "77001", "message": "It broke."}
    sim.control.settings(agent_updates={"failing": ["*"], "failures": [failure]})
    with pytest.raises(HttpResponseError, match="It broke") as caught:
        _update(client, _item(sim)["id"]).result(timeout=20)
    assert caught.value.error is not None
    assert caught.value.error.code == "77001"


def test_the_library_waits_for_ever_for_an_update_that_succeeds_with_information(
    sim: SimulatorThread, client: SiteRecoveryManagementClient
) -> None:
    """It knows no such status, so it is no judge of an end; the job and the machine tell."""
    sim.control.release_agent(_NEWER)
    sim.control.settings(agent_updates={"reboot_pending": ["*"]})
    item = _item(sim)["id"]
    poller = _update(client, item)
    poller.wait(1)
    assert not poller.done()
    (listed,) = client.replication_jobs.list(GROUP, VAULT, **_HTTP)
    job = client.replication_jobs.get(GROUP, VAULT, str(listed.name), **_HTTP).properties
    assert job is not None
    assert (job.state, job.state_description) == ("Succeeded", "CompletedWithInformation")
    assert job.errors
    assert job.errors[0].service_error_details is not None
    assert job.errors[0].service_error_details.code == "151083"
    assert _get(client, item).agent_version == _NEWER


def test_a_machine_that_is_not_there_is_not_found(client: SiteRecoveryManagementClient) -> None:
    with pytest.raises(ResourceNotFoundError):
        _update(client, "none", polling=False)


def test_what_is_wrong_with_an_agent_reaches_the_caller(
    sim: SimulatorThread, client: SiteRecoveryManagementClient
) -> None:
    item = _item(sim)
    blocker = {"code": "900170", "message": "m", "possible_causes": "p", "recommended_action": "r"}
    sim.control.set_items(
        None,
        item["vm_name"],
        expires_at="2027-03-01T12:00:00+00:00",
        certificate_update_required=True,
        reinstall_required=True,
        blockers=[blocker],
        retries_exhausted=True,
        retry_count=5,
    )
    details = _get(client, item["id"])
    assert details.agent_expiry_date is not None
    assert details.agent_expiry_date.isoformat().startswith("2027-03-01T12:00:00")
    assert details.is_replication_agent_certificate_update_required is True
    assert details.is_agent_reinstall_required is True
    assert (details.is_agent_upgrade_retry_threshold_exhausted, details.auto_agent_upgrade_retry_count) == (True, 5)
    assert details.reasons_blocking_reinstall_details
    (reason,) = details.reasons_blocking_reinstall_details
    assert (reason.error_code, reason.error_message) == ("900170", "m")
    assert (reason.possible_causes, reason.recommended_action) == ("p", "r")
