"""Bodies about a vault as a whole."""

from __future__ import annotations

from collections import Counter
from typing import Any
from urllib.parse import quote

from asr_simulator.protected_items import count_items
from asr_simulator.vault import Vault

__all__ = ["replication_usages", "vault_document", "vault_health", "vault_list_item", "vault_setting"]


def vault_document(vault: Vault) -> dict[str, Any]:
    """Build the vault itself: tags and identity are from the published model, the rest is seen in a recording."""
    return {
        "location": vault.spec.location,
        "name": vault.spec.name,
        "etag": f"W/\"datetime'{quote(vault.created)}'\"",
        "tags": vault.tags,
        "identity": {"type": "None"},
        "properties": {
            "provisioningState": "Succeeded",
            "privateEndpointStateForBackup": "None",
            "privateEndpointStateForSiteRecovery": "None",
            "monitoringSettings": {
                "azureMonitorAlertSettings": {"alertsForAllJobFailures": "Enabled"},
                "classicAlertSettings": {"alertsForCriticalOperations": "Enabled"},
            },
            "publicNetworkAccess": "Enabled",
            "restoreSettings": {
                "crossSubscriptionRestoreSettings": {"crossSubscriptionRestoreState": "Enabled"},
            },
        },
        "id": vault.id,
        "type": "Microsoft.RecoveryServices/vaults",
        "sku": {"name": "Standard"},
    }


def vault_list_item(vault: Vault) -> dict[str, Any]:
    """Build the vault as lists have it: with fewer properties than the answer about it alone (published comparison)."""
    whole = vault_document(vault)
    short = {"provisioningState", "privateEndpointStateForBackup", "privateEndpointStateForSiteRecovery"}
    return whole | {"properties": {name: value for name, value in whole["properties"].items() if name in short}}


def replication_usages(vault: Vault) -> dict[str, Any]:
    """Build what the vault replicates, as the published model has it; the summaries are empty here."""
    return {
        "value": [
            {
                "monitoringSummary": {"unHealthyVmCount": 0, "unHealthyProviderCount": 0, "eventsCount": 0},
                "jobsSummary": {"failedJobs": 0, "suspendedJobs": 0, "inProgressJobs": 0},
                "protectedItemCount": count_items(vault),
                "recoveryPlanCount": 0,
                "registeredServersCount": 0,
                "recoveryServicesProviderAuthType": 0,
            }
        ]
    }


def vault_health(vault: Vault) -> dict[str, Any]:
    """Build the vault's health (published example); that auto-update errors count for containers is inferred."""
    categories = Counter(
        (mapping.ailment.category, mapping.ailment.level, mapping.ailment.summary)
        for mapping in vault.ordered
        if mapping.is_unhealthy and mapping.ailment is not None
    )
    issues: list[dict[str, Any]] = [
        {
            "summaryCode": "900200",
            "category": category,
            "severity": "Error" if level == "Critical" else "Warning",
            "summaryMessage": summary,
            "affectedResourceType": "ProtectionContainers",
            "affectedResourceSubtype": "",
            "affectedResourceCorrelationIds": [],
        }
        for category, level, summary in categories
    ]
    return {
        "id": f"{vault.path}/replicationVaultHealth/Default",
        "name": "Default",
        "type": "Microsoft.RecoveryServices/vaults/replicationVaultHealth",
        "properties": {
            "vaultErrors": [],
            "protectedItemsHealth": {"resourceCount": count_items(vault), "issues": []},
            "fabricsHealth": {"resourceCount": len({fabric for fabric, _ in vault.containers}), "issues": []},
            "containersHealth": {"resourceCount": len(vault.containers), "issues": issues},
        },
    }


def vault_setting(vault: Vault) -> dict[str, Any]:
    """Build the vault's only setting object (published example): it has nothing to do with auto-update."""
    return {
        "id": f"{vault.path}/replicationVaultSettings/default",
        "name": "default",
        "type": "Microsoft.RecoveryServices/vaults/replicationVaultSettings",
        "properties": {"migrationSolutionId": None, "vmwareToAzureProviderType": None},
    }
