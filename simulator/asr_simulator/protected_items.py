"""Replicated VMs: how they look on the wire, and the ``$filter`` of their list.

An item follows wholly from its mapping and its number there, but for its agent. The fields, their order and what an
item shows during its initial replication are from a recording; the rest is inferred from it.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from asr_simulator.agents import FIRST_VERSION, OLDER_VERSION, AgentState, Key
from asr_simulator.arm_errors import entity_missing
from asr_simulator.ids import guid
from asr_simulator.mapping import PAIRED, ContainerMapping
from asr_simulator.odata_filter import bad_filter, read_conditions
from asr_simulator.regions import friendly_name
from asr_simulator.vault import Vault

ITEM_TYPE = (
    "Microsoft.RecoveryServices/vaults/replicationFabrics/replicationProtectionContainers/replicationProtectedItems"
)
NEVER = "9999-12-31T23:59:59.9999999"
"""How "never" looks (recording): no zone, 7 digits, a year that few libraries can move to another zone."""
EXPIRES_AFTER = timedelta(days=90)
_IDLE_SINCE = "1753-01-01T01:01:01Z"
_FILTER_FIELDS = (
    "sourcefabricname",
    "recoveryplanname",
    "sourcefabriclocation",
    "fabricobjectid",
    "vcentername",
    "instancetype",
    "multivmgroupcreateoption",
    "processserverid",
)

__all__ = [
    "EXPIRES_AFTER",
    "ITEM_TYPE",
    "NEVER",
    "ProtectedItem",
    "count_items",
    "find_item",
    "parse_item_filter",
    "select_items",
]


@dataclass(frozen=True)
class ProtectedItem:
    """One replicated VM of a mapping."""

    vault: Vault
    mapping: ContainerMapping
    index: int

    @cached_property
    def name(self) -> str:
        """Name in the vault."""
        return str(uuid5(NAMESPACE_URL, f"{self.mapping.id.lower()}/{self.index}"))

    @property
    def id(self) -> str:
        """ARM id."""
        mapping = self.mapping
        return (
            f"{self.vault.path}/replicationFabrics/{mapping.fabric}/replicationProtectionContainers/{mapping.container}"
            f"/replicationProtectedItems/{self.name}"
        )

    @property
    def key(self) -> Key:
        """What finds the agent within the vault."""
        return self.mapping.ordinal, self.index

    @cached_property
    def vm_name(self) -> str:
        """Name of the VM."""
        spec, ordinal = self.vault.spec, self.mapping.ordinal
        role = spec.roles[(ordinal * spec.items_per_mapping + self.index) % len(spec.roles)] if spec.roles else ""
        return spec.vm_name.format(mapping=ordinal, index=self.index, role=role)

    def agent(self, wall: float) -> AgentState:
        """Tell the state of the agent."""
        return self._agent(wall, is_outdated=self._draws()[2])

    def _draws(self) -> tuple[random.Random, bool, bool]:
        """Draw whether the VM is new and whether its agent is outdated; the rest is drawn from the same generator."""
        rng, spec = random.Random(self.name), self.vault.spec
        return rng, rng.random() < spec.initial_replication_share, rng.random() < spec.outdated_agent_share

    def _agent(self, wall: float, *, is_outdated: bool) -> AgentState:
        default = AgentState(FIRST_VERSION)
        if is_outdated:
            default = AgentState(OLDER_VERSION, expires_at=datetime.fromtimestamp(wall, UTC) + EXPIRES_AFTER)
        return self.vault.agents.state(self.key, default)

    @property
    def vm_id(self) -> str:
        """The VM, in lower case as a recording has it."""
        group = f"rg-vms-{self.mapping.source}"
        return (
            f"/subscriptions/{self.vault.spec.subscription}/resourcegroups/{group}"
            f"/providers/microsoft.compute/virtualmachines/{self.vm_name}"
        ).lower()

    @property
    def filter_fields(self) -> dict[str, str]:
        """What a filter may ask for, in lower case; an item between Azure regions has no value for the others."""
        return {
            "sourcefabricname": self.mapping.fabric.lower(),
            "sourcefabriclocation": self.mapping.source.lower(),
            "fabricobjectid": self.vm_id,
            "instancetype": "a2a",
            "multivmgroupcreateoption": "autocreated",
        }

    def document(self, wall: float, api_version: str) -> dict[str, Any]:
        """Build the wire form for a version of the API."""
        mapping, vault = self.mapping, self.vault
        rng, is_new, is_outdated = self._draws()
        agent = self._agent(wall, is_outdated=is_outdated)
        source_fabric = f"{vault.path}/replicationFabrics/{mapping.fabric}"
        return {
            "id": self.id,
            "name": self.name,
            "type": ITEM_TYPE,
            "properties": {
                "friendlyName": self.vm_name,
                "protectedItemType": "",
                "protectableItemId": None,
                "recoveryServicesProviderId": f"{source_fabric}/replicationRecoveryServicesProviders/"
                f"{uuid5(NAMESPACE_URL, source_fabric.lower())}",
                "primaryFabricFriendlyName": friendly_name(mapping.source),
                "primaryFabricProvider": "AzureFabric",
                "recoveryFabricFriendlyName": friendly_name(mapping.target),
                "recoveryFabricId": mapping.target_fabric,
                "primaryProtectionContainerFriendlyName": mapping.container,
                "recoveryProtectionContainerFriendlyName": mapping.target_container_name,
                "protectionState": "InitialReplicationInProgress" if is_new else "Protected",
                "protectionStateDescription": "Initial replication is in progress" if is_new else "Protected",
                "activeLocation": "Primary",
                "testFailoverState": "None",
                "testFailoverStateDescription": "None",
                "switchProviderState": "None",
                "switchProviderStateDescription": None,
                "allowedOperations": ["DisableProtection"]
                if is_new
                else ["UnplannedFailover", "DisableProtection", "TestFailover"],
                "replicationHealth": "Normal",
                "failoverHealth": "Normal",
                "healthErrors": [],
                "policyId": mapping.policy_id,
                "policyFriendlyName": mapping.policy,
                "currentScenario": {
                    "scenarioName": "None",
                    "jobId": f"{vault.path}/replicationJobs/None",
                    "startTime": _IDLE_SINCE,
                },
                "failoverRecoveryPointId": None,
                "providerSpecificDetails": self._details(rng, wall, api_version, agent, is_new=is_new),
                "recoveryContainerId": mapping.target_container_id,
                "eventCorrelationId": guid(rng),
            },
        }

    def _details(
        self, rng: random.Random, wall: float, api_version: str, agent: AgentState, *, is_new: bool
    ) -> dict[str, Any]:
        mapping = self.mapping
        group = f"/subscriptions/{self.vault.spec.subscription}/resourceGroups/{self.vault.spec.resource_group}"
        is_behind = self.vault.agents.is_behind(agent)
        details: dict[str, Any] = {
            "instanceType": "A2A",
            "fabricObjectId": self.vm_id,
            "initialPrimaryZone": "",
            "initialPrimaryFabricLocation": mapping.source,
            "initialRecoveryZone": "",
            "initialPrimaryExtendedLocation": None,
            "initialRecoveryExtendedLocation": None,
            "initialRecoveryFabricLocation": mapping.target,
            "multiVmGroupId": guid(rng),
            "multiVmGroupName": "",
            "multiVmGroupCreateOption": "AutoCreated",
            "managementId": guid(rng),
            "protectedDisks": None,
            "unprotectedDisks": None,
            "protectedManagedDisks": [self._disk(rng, group, is_new=is_new)],
            "recoveryBootDiagStorageAccountId": None,
            "primaryFabricLocation": mapping.source,
            "recoveryFabricLocation": mapping.target,
            "osType": rng.choice(("Windows", "Linux")),
            "recoveryAzureVMSize": "Standard_DS1_v2",
            "recoveryAzureVMName": self.vm_name,
            "recoveryAzureResourceGroupId": group,
            "recoveryCloudService": None,
            "recoveryAvailabilitySet": None,
            "selectedRecoveryAzureNetworkId": None,
            "selectedTfoAzureNetworkId": None,
            "vmNics": [],
            "vmSyncedConfigDetails": {"tags": {}, "inputEndpoints": []},
            "monitoringPercentageCompletion": None,
            "monitoringJobType": None,
            "lastHeartbeat": None if is_new else f"{datetime.fromtimestamp(wall, UTC):%Y-%m-%dT%H:%M:%S}Z",
            "agentVersion": agent.version,
            "agentExpiryDate": _expiry(agent.expires_at),
            "isReplicationAgentUpdateRequired": is_behind,
            "isReplicationAgentCertificateUpdateRequired": agent.certificate_update_required,
            "recoveryFabricObjectId": None,
            "vmProtectionState": "UnprotectedStatesBegin" if is_new else "Protected",
            "vmProtectionStateDescription": "Enabling protection" if is_new else "Protected",
            "lifecycleId": None if is_new else guid(rng),
            "testFailoverRecoveryFabricObjectId": None,
            "rpoInSeconds": None if is_new else rng.randrange(30, 600),
            "lastRpoCalculatedTime": None,
            "primaryAvailabilityZone": None,
            "recoveryAvailabilityZone": None,
            "primaryExtendedLocation": None,
            "recoveryExtendedLocation": None,
            "vmEncryptionType": "NotEncrypted",
            "tfoAzureVMName": f"{self.vm_name}-test",
            "recoveryAzureGeneration": "V1",
            "recoveryProximityPlacementGroupId": None,
            "autoProtectionOfDataDisk": "Disabled",
            "recoveryVirtualMachineScaleSetId": None,
            "recoveryCapacityReservationGroupId": None,
        }
        if api_version >= "2022-10-01":
            details["agentCertificateExpiryDate"] = _expiry(agent.certificate_expires_at)
        if api_version >= "2025-08-01":
            is_upgrading = self.vault.agents.is_upgrading(self.key, agent)
            details |= _newer_fields(agent, is_behind=is_behind, is_upgrading=is_upgrading)
        return details

    def _disk(self, rng: random.Random, group: str, *, is_new: bool) -> dict[str, Any]:
        name = f"{self.vm_name}_disk1_{guid(rng).replace('-', '')}"
        disks = f"{group}/providers/Microsoft.Compute/disks"
        return {
            "diskId": f"{self.vm_id.rpartition('/virtualmachines/')[0]}/disks/{name}".lower(),
            "recoveryResourceGroupId": group,
            "recoveryTargetDiskId": None,
            "recoveryReplicaDiskId": f"{disks}/{name}-ASRReplica",
            "recoveryOrignalTargetDiskId": None,
            "recoveryReplicaDiskAccountType": "Premium_LRS",
            "recoveryTargetDiskAccountType": "Premium_LRS",
            "recoveryDiskEncryptionSetId": None,
            "primaryDiskEncryptionSetId": None,
            "diskName": name,
            "diskCapacityInBytes": 136367308800,
            "primaryStagingAzureStorageAccountId": f"{group}/providers/Microsoft.Storage/storageAccounts/asrcache",
            "diskType": "OperatingSystem",
            "resyncRequired": False,
            "monitoringPercentageCompletion": None,
            "monitoringJobType": None,
            "dataPendingInStagingStorageAccountInMB": 0.0,
            "dataPendingAtSourceAgentInMB": 0.0,
            "diskState": "Unavailable" if is_new else "Protected",
            "allowedDiskLevelOperation": [],
            "isDiskEncrypted": False,
            "secretIdentifier": None,
            "dekKeyVaultArmId": None,
            "isDiskKeyEncrypted": False,
            "keyIdentifier": None,
            "kekKeyVaultArmId": None,
            "failoverDiskName": name,
            "tfoDiskName": f"{name}-ASRtest",
        }


def _expiry(moment: datetime | None) -> str:
    """Print a date as these are: no zone, 7 digits."""
    return NEVER if moment is None else f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.0000000"


def _newer_fields(agent: AgentState, *, is_behind: bool, is_upgrading: bool) -> dict[str, Any]:
    """Fields of the published model since 2025-08-01; no value of theirs was ever seen."""
    return {
        "agentReinstallAttemptToVersion": None,
        "osFamilyName": None,
        "distroName": None,
        "distroNameForWhichAgentIsInstalled": None,
        "isAgentUpgradeable": is_behind,
        "isAgentReinstallRequired": agent.reinstall_required,
        "reasonsBlockingReInstall": ", ".join(blocker.code for blocker in agent.blockers) or None,
        "reasonsBlockingReinstallDetails": [
            {
                "errorCode": blocker.code,
                "errorMessage": blocker.message,
                "errorMessageParameters": {},
                "errorTags": {},
                "possibleCauses": blocker.possible_causes,
                "recommendedAction": blocker.recommended_action,
            }
            for blocker in agent.blockers
        ],
        "isAgentUpgradeInProgress": is_upgrading,
        "autoAgentUpgradeRetryCount": agent.retry_count,
        "isAgentUpgradeRetryThresholdExhausted": agent.retries_exhausted,
        "platformFaultDomain": None,
    }


def count_items(vault: Vault) -> int:
    """Count the items of a vault."""
    return sum(_has_items(mapping) for mapping in vault.ordered) * vault.spec.items_per_mapping


def select_items(
    vault: Vault, listing: list[ContainerMapping], after: int, conditions: dict[str, str]
) -> Iterator[tuple[int, ProtectedItem]]:
    """Yield the items of some mappings that meet all conditions, after a position, each with its own position."""
    count = vault.spec.items_per_mapping
    if count == 0:
        return
    begin = bisect_left(listing, (after + 1) // count, key=lambda mapping: mapping.ordinal)
    for mapping in listing[begin:]:
        if not _has_items(mapping):
            continue
        for index in range(count):
            position = mapping.ordinal * count + index
            item = ProtectedItem(vault, mapping, index)
            if position > after and conditions.items() <= item.filter_fields.items():
                yield position, item


def find_item(vault: Vault, listing: list[ContainerMapping], name: str) -> ProtectedItem:
    """Find an item of some mappings by its name; raises `ArmError` 404."""
    wanted = name.lower()
    for _, item in select_items(vault, listing, -1, {}):
        if item.name == wanted:
            return item
    raise entity_missing("ReplicationProtectedItem", name)


def parse_item_filter(text: str) -> dict[str, str]:
    """Read a ``$filter``; raises `ArmError` 400 for anything but the published fields."""
    conditions = read_conditions(text)
    if conditions.keys() - set(_FILTER_FIELDS):
        raise bad_filter(text)
    return conditions


def _has_items(mapping: ContainerMapping) -> bool:
    return mapping.provider == "A2A" and mapping.state == PAIRED
