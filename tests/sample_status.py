"""A status with everything in it, as the controller might write it."""

from __future__ import annotations

from typing import Any, Final

NOW: Final = "2026-01-02T03:04:05Z"

__all__ = ["NOW", "full_status", "ready"]


def ready(generation: int, status: str = "True", message: str = "all 814 mappings are Enabled") -> dict[str, Any]:
    """A condition, ``Ready`` unless changed."""
    return {
        "type": "Ready",
        "status": status,
        "observedGeneration": generation,
        "reason": "Succeeded",
        "message": message,
        "lastTransitionTime": NOW,
    }


def full_status() -> dict[str, Any]:
    """A status that has every field of the schema, and every list at least one item."""
    return {
        "observedGeneration": 1,
        "conditions": [
            ready(1, "False", "2 mappings could not be changed") | {"reason": "JobFailed"},
            ready(1, message="3 jobs in flight") | {"type": "Reconciling", "reason": "Progressing"},
            ready(1, "False", "41 agents wait for an update") | {"type": "AgentsCurrent", "reason": "UpdatesWaiting"},
            ready(1, "False", "no schedule") | {"type": "AutomationAccountHealthy", "reason": "ScheduleMissing"},
        ],
        "vaultName": "dr-weu",
        "location": "westeurope",
        "compliantSummary": "812/814",
        "mappings": {
            "total": 820, "inScope": 814, "compliant": 812, "drifted": 0, "updating": 3, "failed": 2, "ignored": 6
        },
        "agents": {
            "lookedAt": NOW,
            "total": 1200, "behind": 41, "unknown": 0, "expired": 1, "expiring": 2, "reinstallRequired": 1,
            "retriesExhausted": 3, "farBehind": 4, "certificateUpdate": 0, "upgrading": 5,
            "versions": [{"version": "9.55.6808.1", "machines": 1159}],
            "otherVersions": 2,
            "worst": [
                {
                    "machine": "vm-7",
                    "mapping": "fabric/container/mapping-2",
                    "version": "9.49.6395.1",
                    "concern": "Expired",
                    "message": "The agent expired on 2025-12-01.",
                    "recommendedAction": "Update it.",
                }
            ],
        },
        "lastDrift": {
            "asDeclaredAt": NOW,
            "foundAt": NOW,
            "mappings": 1,
            "attribution": "Named",
            "message": "fabric/container/mapping-2 was changed by ann@example.com.",
            "changes": [
                {
                    "mapping": "fabric/container/mapping-2",
                    "found": "auto-update is Disabled, declared Enabled",
                    "changedAt": NOW,
                    "caller": "ann@example.com",
                    "objectId": "0b1ec700-0000-4000-8000-000000000001",
                    "applicationId": "c44b4083-3bb0-49c1-b47d-974e53cbdf3c",
                    "operation": "Microsoft.RecoveryServices/vaults/replicationFabrics/write",
                    "correlationId": "0b1ec700-0000-4000-8000-000000000002",
                    "otherChanges": 1,
                }
            ],
        },
        "agentUpdates": {
            "phase": "Rolling",
            "message": "5 updates are under way, which is maxConcurrent.",
            "window": {"opensAt": NOW, "closesAt": NOW, "request": "1767323045"},
            "nextWindow": {"opensAt": NOW, "closesAt": NOW},
            "started": 9, "succeeded": 3, "failed": 1, "timedOut": 0, "rebootsPending": 1, "waiting": 31,
            "planned": ["vm-1", "vm-2"],
            "operations": [
                {
                    "machine": "vm-3",
                    "item": "fabric/container/item-3",
                    "jobId": "5d6c1f0e-2f0b-4c57-8a3e-6c1e2c7a9b10",
                    "startedAt": NOW,
                }
            ],
            "failures": [
                {
                    "machine": "vm-4",
                    "item": "fabric/container/item-4",
                    "attempts": 2,
                    "code": "151100",
                    "message": "The agent could not be updated.",
                    "possibleCauses": "The machine is off.",
                    "recommendedAction": "Start it.",
                    "activityId": "9c1e6f0a-3f1b-4b4e-8f36-5a2d7e0c9b21",
                    "jobId": "6f0f4b9e-50b4-4d3b-bd51-0a2d5c1f7a44",
                    "lastAttemptAt": NOW,
                }
            ],
            "failuresOmitted": 1,
        },
        "automationAccount": {
            "lookedAt": NOW,
            "name": "aa-dr-weu",
            "state": "Ok",
            "nextRun": NOW,
            "lastRun": {"status": "Completed", "startedAt": NOW, "endedAt": NOW},
            "minutesUsed": 12.5,
            "minutesLimit": 500,
            "schedulesMissing": 1,
            "schedulesDisabled": 0,
            "problems": [{"reason": "ScheduleMissing", "message": "A schedule is gone. It is made anew."}],
            "role": {
                "standing": "NotJudged",
                "principalId": "88c53162-584e-4c98-984b-62149c2e9bca",
                "formerPrincipalId": "88c53162-584e-4c98-984b-62149c2e9bcb",
                "roles": ["Updater on the vault"],
                "missingSince": NOW,
            },
        },
        "runbookSchedule": {
            "lookedAt": NOW,
            "declared": "every day at 02:30 Europe/Berlin, spread over 2h",
            "schedules": 812,
            "inSync": 810,
            "differing": [
                {
                    "mapping": "fabric/container/mapping-2",
                    "schedule": "mapping-2_58e5c2b5",
                    "reason": "ScheduleDisabled",
                    "was": "every day at 00:00 Etc/UTC",
                    "wanted": "every day at 03:10 Europe/Berlin",
                    "message": "It is disabled.",
                }
            ],
            "differingOmitted": 1,
            "replaced": [{"was": "every day at 00:00 Etc/UTC", "schedules": 810, "lastMovedAt": NOW}],
            "moved": [
                {
                    "schedule": "58e5c2b5f4a19c03",
                    "mapping": "0b0ad8a95d7c4e21",
                    "movedAt": [NOW],
                }
            ],
            "movedOthersUntil": NOW,
        },
        "operations": [
            {
                "mapping": "fabric/container/mapping-1",
                "jobId": "3f1d6d7e-6d0c-4b5e-9a55-1f3b0b0d9f7e",
                "startedAt": NOW,
                "adopted": True,
                "scenario": "ModifyCloudPairing",
            }
        ],
        "operationsOmitted": 2,
        "lastRun": {
            "id": "0b9d2a2c-4b6e-4a39-8d0f-9d6e1f1d2c3b",
            "startedAt": NOW,
            "completedAt": NOW,
            "patched": 10,
            "succeeded": 7,
            "failed": 1,
            "failedToStart": 1,
            "timedOut": 1,
        },
        "failureCodes": [{"reason": "JobFailed", "code": "151137", "count": 2}],
        "failures": [
            {
                "mapping": "fabric/container/mapping-2",
                "reason": "JobFailed",
                "code": "151137",
                "message": "The automation account has no identity.",
                "possibleCauses": "It was removed.",
                "recommendedAction": "Switch it on.",
                "activityId": "9c1e6f0a-3f1b-4b4e-8f36-5a2d7e0c9b22",
                "jobId": "7b0e9b0e-5b7c-4c53-8f52-0f4c5d8a1a11",
                "attempts": 2,
                "lastAttemptAt": NOW,
                "nextAttemptAt": NOW,
            }
        ],
        "failuresOmitted": 1,
        "lastSuccessTime": NOW,
        "lastHandledReconcileAt": "now",
        "lastHandledUpdateAgentsNow": "1767323045",
        "shard": "emea",
    }  # fmt: skip
