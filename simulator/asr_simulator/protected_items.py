"""Replicated VMs: how they look on the wire, and the ``$filter`` of their list.

An item follows wholly from its mapping and its number there, so there is nothing to keep. The fields, their order and
what an item shows during its initial replication are from a recording; the rest is inferred from it.
"""

import random
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from .generate import guid
from .mapping import PAIRED, Mapping
from .odata_filter import bad_filter, read_conditions
from .regions import friendly_name
from .vault import Vault

ITEM_TYPE = (
    "Microsoft.RecoveryServices/vaults/replicationFabrics/replicationProtectionContainers/replicationProtectedItems"
)
AGENT_VERSION = "9.55.6808.1"
"""From the recording."""
OLDER_VERSION = "9.54.0.1"
"""Invented."""
NEVER = "9999-12-31T23:59:59.9999999"
"""How "never" looks (recording): no zone, 7 digits, a year that few libraries can move to another zone."""
EXPIRES_AFTER = 90 * 86_400.0
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


@dataclass(frozen=True)
class ProtectedItem:
    """One replicated VM of a mapping."""

    vault: Vault
    mapping: Mapping
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
    def vm_name(self) -> str:
        """Name of the VM."""
        return f"VM-{self.mapping.ordinal:04}-{self.index:02}"

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
        rng = random.Random(self.name)
        is_new = rng.random() < vault.spec.initial_replication_share
        is_outdated = rng.random() < vault.spec.outdated_agent_share
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
                "providerSpecificDetails": self._details(
                    rng, wall, api_version, is_new=is_new, is_outdated=is_outdated
                ),
                "recoveryContainerId": mapping.target_container_id,
                "eventCorrelationId": guid(rng),
            },
        }

    def _details(
        self, rng: random.Random, wall: float, api_version: str, *, is_new: bool, is_outdated: bool
    ) -> dict[str, Any]:
        mapping = self.mapping
        group = f"/subscriptions/{self.vault.spec.subscription}/resourceGroups/{self.vault.spec.resource_group}"
        expiry = (
            NEVER
            if not is_outdated
            else f"{datetime.fromtimestamp(wall + EXPIRES_AFTER, UTC):%Y-%m-%dT%H:%M:%S}.0000000"
        )
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
            "agentVersion": OLDER_VERSION if is_outdated else AGENT_VERSION,
            "agentExpiryDate": expiry,
            "isReplicationAgentUpdateRequired": is_outdated,
            "isReplicationAgentCertificateUpdateRequired": False,
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
            details["agentCertificateExpiryDate"] = NEVER
        if api_version >= "2025-08-01":
            details |= _newer_fields(is_outdated=is_outdated)
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


def _newer_fields(*, is_outdated: bool) -> dict[str, Any]:
    """Fields of the published model since 2025-08-01; no value of theirs was ever seen."""
    return {
        "agentReinstallAttemptToVersion": None,
        "osFamilyName": None,
        "distroName": None,
        "distroNameForWhichAgentIsInstalled": None,
        "isAgentUpgradeable": is_outdated,
        "isAgentReinstallRequired": False,
        "reasonsBlockingReInstall": None,
        "reasonsBlockingReinstallDetails": [],
        "isAgentUpgradeInProgress": False,
        "autoAgentUpgradeRetryCount": 0,
        "isAgentUpgradeRetryThresholdExhausted": False,
        "platformFaultDomain": None,
    }


def count_items(vault: Vault) -> int:
    """Count the items of a vault."""
    return sum(_has_items(mapping) for mapping in vault.ordered) * vault.spec.items_per_mapping


def select_items(
    vault: Vault, listing: list[Mapping], after: int, conditions: dict[str, str]
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


def parse_item_filter(text: str) -> dict[str, str]:
    """Read a ``$filter``; raises `ArmError` 400 for anything but the published fields."""
    conditions = read_conditions(text)
    if conditions.keys() - set(_FILTER_FIELDS):
        raise bad_filter(text)
    return conditions


def _has_items(mapping: Mapping) -> bool:
    return mapping.provider == "A2A" and mapping.state == PAIRED
