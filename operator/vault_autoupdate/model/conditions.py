"""The words of conditions: their types, their statuses, and the reasons that are ours and not Azure's own codes."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["ConditionStatus", "ConditionType", "PolicyReason", "Reason"]


class ConditionType(StrEnum):
    """What a condition is about."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    AGENTS_CURRENT = "AgentsCurrent"
    AUTOMATION_ACCOUNT_HEALTHY = "AutomationAccountHealthy"
    RUNBOOK_SCHEDULE_IN_SYNC = "RunbookScheduleInSync"
    DISCOVERY_COMPLETE = "DiscoveryComplete"
    """Of policies, as those that follow."""
    ROLLOUT_PAUSED = "RolloutPaused"
    REMOVALS_BLOCKED = "RemovalsBlocked"


class ConditionStatus(StrEnum):
    """Whether it is met."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Reason(StrEnum):
    """Why Ready is as it is, in words of ours. Beside them stand ARM's own codes and the reasons of our errors."""

    COMPLIANT = "Compliant"
    PROGRESSING = "Progressing"
    MAPPINGS_FAILED = "MappingsFailed"
    DRIFT_DETECTED = "DriftDetected"
    SUSPENDED = "Suspended"
    DRIFT_ATTRIBUTED = "DriftAttributed"
    """Of Events alone."""
    DRIFT_NOT_ATTRIBUTED = "DriftNotAttributed"
    """Likewise."""
    RUNBOOK_SCHEDULE_MOVED = "RunbookScheduleMoved"
    """Likewise."""
    THROTTLED = "Throttled"
    INVALID_SPEC = "InvalidSpec"
    VAULT_ALREADY_MANAGED = "VaultAlreadyManaged"
    SUBSCRIPTION_IN_OTHER_SHARD = "SubscriptionInOtherShard"
    FINALIZER_NOT_SET = "FinalizerNotSet"
    SCOPE_NOT_ALLOWED = "ScopeNotAllowed"
    CREDENTIAL_NOT_ALLOWED = "CredentialNotAllowed"
    CREDENTIAL_REQUIRED = "CredentialRequired"
    AGENTS_UPDATED = "AgentsUpdated"
    AGENT_UPDATES_FAILED = "AgentUpdatesFailed"
    AGENT_UPDATES_WAITING = "AgentUpdatesWaiting"
    UPDATE_AGENTS_REFUSED = "UpdateAgentsRefused"


class PolicyReason(StrEnum):
    """The same of the conditions of policies, where `Reason` has no word for it."""

    COVERED = "Covered"
    UNCOVERED = "Uncovered"
    WOULD_CHANGE = "WouldChange"
    NOT_WRITTEN = "NotWritten"
    NOTHING_READABLE = "NothingReadable"
    DISCOVERY_INCOMPLETE = "DiscoveryIncomplete"
    COMPLETE = "Complete"
    NOTHING_IN_SCOPE = "NothingInScope"
    WITHIN_LIMITS = "WithinLimits"
    ABOVE_LIMITS = "AboveLimits"
    TOO_MANY_FAILURES = "TooManyFailures"
