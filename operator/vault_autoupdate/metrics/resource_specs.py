"""The metrics about resources: of each one, and of all together. Pure.

A series that says nothing is left out: a count of 0, a condition that is as it is of any resource which needs nobody.
At thousands of resources those were two of three. The totals are always there, zeros included.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from vault_autoupdate.decide.agent_report import Concern
from vault_autoupdate.decide.attempts import FailureReason
from vault_autoupdate.decide.attribution import Standing
from vault_autoupdate.decide.look import Subject
from vault_autoupdate.decide.rollout import Phase
from vault_autoupdate.metrics.spec_types import PREFIX, RESOURCE_LABELS, Kind, MetricSpec, Section, quoted
from vault_autoupdate.model import bounds
from vault_autoupdate.report.mapping_words import MAPPING_STATES

CONDITIONS: Final = ("Reconciling", "Stalled", "AgentsCurrent", "AutomationAccountHealthy", "RunbookScheduleInSync")
"""Those that have a metric. Ready has its own."""
REASONS: Final = (
    "AccountNotFound", "AccountNotOk", "AgentsExpired", "AgentsExpiring", "ArmUnreachable", "AuthenticationFailed",
    "AuthorizationFailed", "CertificateUpdate", "Compliant", "CredentialForbidden", "CredentialInvalid",
    "CredentialNotAllowed", "CredentialNotFound", "CredentialRequired", "CredentialUnreadable", "DriftDetected",
    "FarBehind", "FinalizerNotSet", "FreeMinutesNearlyUsed", "InvalidAuthenticationTokenTenant", "InvalidSpec",
    "JobScheduleMissing", "MalformedReply", "MappingsFailed", "NoSystemAssignedIdentity", "NotReadable",
    "NotReported", "Progressing", "ReinstallRequired", "ResourceNotFound", "RetriesExhausted", "RoleDenied",
    "RoleMissing", "RoleNotSeen", "RoleTooWeak", "RunbookFailing",
    "ScheduleDeclaredTwice", "ScheduleDisabled", "ScheduleKeepsChanging", "ScheduleMissing", "ScheduleNotAccepted",
    "ScheduleShared", "SchedulesDiffer", "ScopeLocked", "ScopeNotAllowed", "SubscriptionNotFound", "Suspended",
    "SubscriptionInOtherShard", "Throttled", "UntrustedLink", "UpdatesWaiting", "VaultAlreadyManaged",
)  # fmt: skip
"""Reasons of conditions that have a label of their own: others come from Azure, and may be anything."""
OTHER: Final = "Other"
"""All other reasons."""
OTHER_VERSION: Final = "other"
"""All versions that have no series of their own."""
ACCOUNT_PROBLEMS: Final = (
    "AccountNotFound", "AccountNotOk", "NoSystemAssignedIdentity", "RoleMissing", "RoleTooWeak", "RoleDenied",
    "ScheduleMissing", "JobScheduleMissing", "ScheduleDisabled", "RunbookFailing", "FreeMinutesNearlyUsed",
)  # fmt: skip
"""What may be wrong with an Automation account: the reasons of `decide.account_report.Problem`."""
AGENT_STATES: Final = ("current", "behind", "unknown")
SCHEDULE_STATES: Final = ("in_sync", "amiss")
_WITH_WINDOWS: Final = "Only for resources with spec.agentUpdates."
_REASONS_TEXT: Final = f"that of the condition, of those that the operator knows by itself; `{OTHER}`"

__all__ = [
    "ACCOUNT_PROBLEMS", "AGENT_STATES", "CONDITIONS", "OTHER", "OTHER_VERSION", "REASONS",
    "RESOURCE_SPECS", "SCHEDULE_STATES", "TOTAL_SPECS", "Trouble",
]  # fmt: skip


class Trouble(StrEnum):
    """What a resource may be counted under that somebody should look at. It may have several."""

    UNREADY = "unready"
    """Not Ready for 15 minutes, and not at work on it."""
    NOT_READY = "not_ready"
    """Not Ready for two intervals."""
    UNCHECKED = "unchecked"
    """No look has gone well for three intervals."""
    STALLED = "stalled"
    JOBS_FAILING = "jobs_failing"
    JOBS_TIMING_OUT = "jobs_timing_out"
    REPAIR_NOT_CURING = "repair_not_curing"
    AGENTS_EXPIRED = "agents_expired"
    AGENTS_EXPIRING = "agents_expiring"
    AGENTS_FAR_BEHIND = "agents_far_behind"
    ROLLOUT_STOPPED = "rollout_stopped"
    ACCOUNT_UNHEALTHY = "account_unhealthy"
    SCHEDULES_AMISS = "schedules_amiss"
    """Schedules of the update runbook run at another time than declared, and mode Audit does not leave them."""
    LOOKS_OLD = "looks_old"
    """What is known of its agents, its account or the schedules there is days old, though its mappings are read."""


def _resource(name: str, text: str, *, kind: Kind = Kind.GAUGE, usual: int = 0, **labels: str) -> MetricSpec:
    return MetricSpec(f"{PREFIX}_{name}", kind, Section.RESOURCES, text, {**RESOURCE_LABELS, **labels}, usual=usual)


def _agents(name: str, text: str, *, usual: int = 0, **labels: str) -> MetricSpec:
    return MetricSpec(f"{PREFIX}_{name}", Kind.GAUGE, Section.AGENTS, text, {**RESOURCE_LABELS, **labels}, usual=usual)


def _total(name: str, text: str, **labels: str) -> MetricSpec:
    return MetricSpec(f"{PREFIX}_{name}", Kind.GAUGE, Section.TOTALS, text, labels)


TOTAL_SPECS: Final = (
    _total(
        "resources",
        "Resources by their condition Ready and its reason.",
        ready="`True`, `False`, `Unknown`",
        reason=_REASONS_TEXT,
    ),
    _total(
        "resources_in_trouble",
        "Resources that somebody should look at, by why; one may have several reasons, and those that are suspended "
        "have none. The single ones are in the metrics about each resource.",
        trouble=quoted(Trouble),
    ),
    _total(
        "resources_expected_fresh",
        "Resources of whose vault something is to be known: all that are not suspended and can be acted on.",
    ),
    _total(
        "resources_fresh", "Those of them whose vault a look has gone well of within the last two of their intervals."
    ),
    _total("oldest_success_timestamp_seconds", "The least of `resource_last_success_timestamp_seconds`."),
    _total(
        "oldest_look_timestamp_seconds",
        "The least of `resource_last_look_timestamp_seconds`, those of suspended resources aside.",
        subject=quoted(Subject),
    ),
    _total(
        "look_interval_seconds",
        "How often each subject is looked at, while there are reads to spare. Absent for what is not looked at.",
        subject=quoted(Subject),
    ),
    _total(
        "last_spec_change_timestamp_seconds",
        "When the spec of any resource was last changed while this process watched; the log says which, and what of "
        "it. Absent before the first change.",
    ),
    _total("longest_not_ready_seconds", "The most of `resource_not_ready_seconds`; 0 when all are Ready."),
    _total("all_mappings", "Mappings of all vaults by where they stand.", state=quoted(MAPPING_STATES)),
    _total(
        "all_agents",
        "Machines of all vaults where that is known, by the state of their Mobility service.",
        state=quoted(AGENT_STATES),
    ),
    _total("all_agents_concern", "Machines of all vaults by what is wrong with their agent.", concern=quoted(Concern)),
    _total(
        "agent_versions",
        "Machines of all vaults by the version of their agent, where that is known.",
        version=f"the {bounds.VERSIONS} that most machines have; `unknown`; `{OTHER_VERSION}`",
    ),
    _total(
        "automation_accounts",
        "Automation accounts that resources name, where that matters, by whether they can run the updates.",
        health="`healthy`, `unhealthy`, `unknown`",
    ),
    _total(
        "all_runbook_schedules",
        "Schedules of the update runbook of all vaults with spec.runbookSchedule, by whether they run as declared.",
        state=quoted(SCHEDULE_STATES),
    ),
    _total(
        "automation_account_next_run_timestamp_seconds",
        "When the first of the accounts is to run the updates. In the past: that run is missing.",
    ),
)

RESOURCE_SPECS: Final = (
    _resource(
        "mappings",
        "Mappings of the resource's vault by where they stand, as they were last seen, by this process or by one "
        "before it. Absent for states that no mapping has.",
        usual=2,
        state=quoted(MAPPING_STATES),
    ),
    _resource("jobs_in_flight", "Jobs under way in the resource's vault. Absent when there are none."),
    _resource(
        "resource_condition",
        "1 for each condition that is not as it is of a resource which needs nobody: Reconciling and Stalled while "
        "they are True, AgentsCurrent, AutomationAccountHealthy and RunbookScheduleInSync while they are not. Ready "
        "has its own metrics.",
        type=quoted(CONDITIONS),
        status="`True`, `False`, `Unknown`",
        reason=_REASONS_TEXT,
    ),
    _resource("resource_ready", "1 if the resource is Ready, 0 if not.", usual=1),
    _resource(
        "resource_not_ready_seconds",
        "For how long the resource has not been Ready, with the reason that the condition has now. Absent while it is "
        "Ready, while it is suspended, and where a difference is all that is wrong and mode Audit leaves it.",
        reason=_REASONS_TEXT,
    ),
    _resource("resource_auto_update", "1 if spec.autoUpdate is Enabled, 0 if it is Disabled.", usual=1),
    _resource("resource_suspended", "1 if spec.suspend is set; absent if not."),
    _resource("resource_audited", "1 if spec.mode is Audit; absent if not."),
    _resource(
        "resource_interval_seconds",
        "spec.interval: how often the vault is looked at. Absent where the spec cannot be acted on.",
        usual=1,
    ),
    _resource(
        "resource_last_success_timestamp_seconds",
        "When the mappings of the vault were last read; where they never were, when the resource was made. It outlives "
        "the process: of a resource that was Ready when this process began it is that time, of others what their "
        "status says.",
        usual=1,
    ),
    _resource(
        "resource_last_look_timestamp_seconds",
        "When the agents of the resource's vault, its Automation account and the schedules there were last looked at. "
        "Absent before the first look, and where it does not matter or may not be read. It outlives the process: of "
        "what this one has not looked at yet it is what the status says, which may be a day too old.",
        usual=2,
        subject=quoted(Subject),
    ),
    _resource(
        "resource_failures",
        "Mappings that were tried without success and wait for the next try. Absent for reasons that none has.",
        reason=quoted(FailureReason),
    ),
    _resource(
        "resource_attempts_most",
        "Tries without success of the mapping that has had most of them. Absent when there is none.",
    ),
    _resource(
        "resource_reverts_total",
        "Looks that found mappings changed by somebody else after they had been as declared.",
        kind=Kind.COUNTER,
        usual=1,
    ),
    _resource(
        "drift_found_timestamp_seconds",
        "When mappings were last found changed by somebody else whose name is asked for, by how far the answer is. "
        "Only for resources with spec.drift.attribution.",
        attribution=quoted(Standing),
    ),
    _agents(
        "runbook_schedules",
        "Schedules of the update runbook by whether they run as declared, when they were last looked at. Only for "
        "resources with spec.runbookSchedule; absent for states that none has.",
        state=quoted(SCHEDULE_STATES),
    ),
    _agents(
        "agents",
        "Machines of the resource's vault by the state of their Mobility service, when they were last looked at. "
        "Absent for states that none has, and where that is not known: before the first look, or without the right to "
        "read replicated items.",
        usual=1,
        state=quoted(AGENT_STATES),
    ),
    _agents(
        "agents_concern",
        "Machines by what is wrong with their agent; one machine may have several concerns. Absent like `agents`.",
        concern=quoted(Concern),
    ),
    _agents(
        "agent_updates_in_flight",
        "Updates of agents under way. Absent when there are none.",
    ),
    _agents(
        "agent_updates_waiting", f"Machines that this window, or the next one, would still update. {_WITH_WINDOWS}"
    ),
    _agents("agent_updates_phase", f"1 for where the updates in windows stand. {_WITH_WINDOWS}", phase=quoted(Phase)),
    _agents(
        "agent_updates_failed_machines",
        f"Machines whose last update failed. Absent when there are none. {_WITH_WINDOWS}",
    ),
    _agents(
        "agent_updates_attempts_most",
        f"Updates in a row that failed of the machine that has had most of them. Absent when there are none. "
        f"{_WITH_WINDOWS}",
    ),
    _agents("agent_window_open", f"1 while a window for updates of agents is open. {_WITH_WINDOWS}"),
    _agents("agent_next_window_timestamp_seconds", f"When the next window opens. {_WITH_WINDOWS}"),
    _agents(
        "automation_account_healthy",
        "1 if the Automation account can run the updates, 0 if not, when it was last looked at. Absent where that is "
        "not known or does not matter: without auto-update, with the checks off, or without the right to look.",
        usual=1,
    ),
    _agents(
        "automation_account_problem",
        "1 for each thing that is wrong with the Automation account.",
        reason=quoted(ACCOUNT_PROBLEMS),
    ),
    _agents(
        "automation_account_run_time_used_seconds",
        "Run time of its jobs that the account has used this month; absent without a limit. That Azure counts minutes "
        "is inferred.",
    ),
    _agents(
        "automation_account_run_time_limit_seconds",
        "Run time of its jobs that the account may use in a month; absent without a limit.",
    ),
)
