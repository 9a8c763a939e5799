"""Contract: replicated VMs, read by Microsoft's own client library."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.identity import ManagedIdentityCredential
from azure.mgmt.recoveryservicessiterecovery import SiteRecoveryManagementClient, models

from asr_simulator import SimulatorThread
from tests.simulator.helpers import GROUP, SUBSCRIPTION, VAULT, scenario, vault

_HTTP: dict[str, Any] = {"enforce_https": False}
_FABRIC = "asr-a2a-default-eastus"
_CONTAINER = "asr-a2a-default-eastus-container"

Item = models.ReplicationProtectedItem


def _list(client: SiteRecoveryManagementClient, **query: str) -> list[Item]:
    return list(client.replication_protected_items.list(GROUP, VAULT, **query, **_HTTP))


def _properties(item: Item) -> models.ReplicationProtectedItemProperties:
    assert item.properties is not None
    return item.properties


def _details(item: Item) -> models.A2AReplicationDetails:
    details = _properties(item).provider_specific_details
    assert isinstance(details, models.A2AReplicationDetails)
    return details


def test_items_are_listed_through_all_pages(sim: SimulatorThread, client: SiteRecoveryManagementClient) -> None:
    found = _list(client)
    paired = [mapping for mapping in sim.control.mappings() if mapping["provider"] == "A2A"]
    assert len({item.id for item in found}) == len(found) == 3 * len(paired)
    assert len(sim.control.requests(kind="protected_items")) == -(-len(found) // 2)


def test_a_list_goes_on_from_a_skip_token(client: SiteRecoveryManagementClient) -> None:
    """The parameter is called ``skipToken``, without a dollar sign."""
    pages: Any = client.replication_protected_items.list(GROUP, VAULT, **_HTTP).by_page()
    first = [item.name for item in next(pages)]
    token = str(pages.continuation_token).partition("skipToken=")[2]
    rest = _list(client, skip_token=token)
    assert first + [item.name for item in rest] == [item.name for item in _list(client)]
    with pytest.raises(HttpResponseError) as refused:
        _list(client, skip_token="made-up")
    assert refused.value.status_code == 400


def test_the_items_of_one_container_are_listed(client: SiteRecoveryManagementClient) -> None:
    items = client.replication_protected_items
    found = list(items.list_by_replication_protection_containers(GROUP, VAULT, _FABRIC, _CONTAINER, **_HTTP))
    assert len(found) >= 9  # three of each of alpha, beta and gamma
    assert {_properties(item).primary_protection_container_friendly_name for item in found} == {_CONTAINER}


def test_an_item_is_read(client: SiteRecoveryManagementClient) -> None:
    listed = _list(client)[0]
    found = client.replication_protected_items.get(GROUP, VAULT, _FABRIC, _CONTAINER, str(listed.name), **_HTTP)
    assert found.id == listed.id
    assert _details(found).agent_version == _details(listed).agent_version
    with pytest.raises(ResourceNotFoundError):
        client.replication_protected_items.get(GROUP, VAULT, _FABRIC, _CONTAINER, "none", **_HTTP)


def test_a_filter_chooses_items(client: SiteRecoveryManagementClient) -> None:
    everything = _list(client)
    assert len(_list(client, filter="instanceType eq 'A2A'")) == len(everything)
    assert _list(client, filter="instanceType eq 'InMageRcm'") == []
    assert _list(client, filter="processServerId eq '7'") == []
    machine = _details(everything[4]).fabric_object_id
    assert [item.id for item in _list(client, filter=f"fabricObjectId eq '{machine}'")] == [everything[4].id]
    of_region = _list(client, filter="sourceFabricLocation eq 'eastus' and instanceType eq 'A2A'")
    assert {_details(item).primary_fabric_location for item in of_region} == {"eastus"}
    assert len({item.id for item in of_region}) == len(of_region) >= 9
    with pytest.raises(HttpResponseError) as refused:
        _list(client, filter="colour eq 'red'")
    assert refused.value.status_code == 400


def test_an_item_leads_to_its_mapping(client: SiteRecoveryManagementClient) -> None:
    """By source container, target container and policy, as in recordings."""
    mappings = client.replication_protection_container_mappings.list(GROUP, VAULT, **_HTTP)
    places = {
        (
            str(mapping.id).partition("/replicationProtectionContainerMappings/")[0].lower(),
            str(mapping.properties.target_protection_container_id).lower(),
            str(mapping.properties.policy_id).lower(),
        )
        for mapping in mappings
        if mapping.properties
    }
    for item in _list(client):
        of_item = (
            str(item.id).partition("/replicationProtectedItems/")[0].lower(),
            str(_properties(item).recovery_container_id).lower(),
            str(_properties(item).policy_id).lower(),
        )
        assert of_item in places


def test_the_agents_of_items_are_told(client: SiteRecoveryManagementClient) -> None:
    details = [_details(item) for item in _list(client)]
    outdated = [each for each in details if each.is_replication_agent_update_required]
    current = [each for each in details if not each.is_replication_agent_update_required]
    assert outdated
    assert current
    assert {each.agent_version for each in outdated}.isdisjoint(each.agent_version for each in current)
    # "Never", without a zone: whoever moves it to another zone leaves the calendar.
    never = {each.agent_expiry_date.isoformat() for each in current if each.agent_expiry_date}
    assert never == {"9999-12-31T23:59:59.999999"}
    assert all(each.agent_expiry_date and each.agent_expiry_date.year < 9999 for each in outdated)
    assert all(each.is_agent_upgradeable is bool(each.is_replication_agent_update_required) for each in details)
    assert all(each.fabric_object_id == str(each.fabric_object_id).lower() for each in details)


def test_dates_have_seven_digits_and_no_zone(sim: SimulatorThread, client: SiteRecoveryManagementClient) -> None:
    dates = {_details(item)["agentExpiryDate"] for item in _list(client)}
    assert "9999-12-31T23:59:59.9999999" in dates
    for date in dates:
        assert len(date) == len("9999-12-31T23:59:59.9999999")
        assert datetime.fromisoformat(date).tzinfo is None


@pytest.mark.parametrize(
    ("version", "has_certificate_date", "has_upgrade_state"),
    [
        ("2022-08-01", False, False),
        ("2022-10-01", True, False),
        ("2025-01-01", True, False),
        ("2025-08-01", True, True),
    ],
)
def test_newer_fields_come_with_newer_versions(
    sim: SimulatorThread,
    credential: ManagedIdentityCredential,
    version: str,
    *,
    has_certificate_date: bool,
    has_upgrade_state: bool,
) -> None:
    with SiteRecoveryManagementClient(credential, SUBSCRIPTION, base_url=sim.url, api_version=version) as client:
        details = _details(_list(client)[0])
    assert ("agentCertificateExpiryDate" in details) is has_certificate_date
    assert ("isAgentUpgradeable" in details) is has_upgrade_state


def test_a_vault_has_no_items_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with SimulatorThread(scenario(vault(mix={"disabled": 1}))) as sim:
        for name, value in sim.identity_env.items():
            monkeypatch.setenv(name, value)
        with (
            ManagedIdentityCredential() as credential,
            SiteRecoveryManagementClient(credential, SUBSCRIPTION, base_url=sim.url) as client,
        ):
            assert _list(client) == []
