"""Every metric by name, kind, labels and meaning: what `metrics` counts, `collector` reads and the docs list. Pure.

Names follow Prometheus' conventions: base units, ``_total`` for counters, ``_timestamp_seconds`` for points in time.
No label holds the id of a subscription or vault, or words of an error: a resource is known by namespace and name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from vault_autoupdate.decide.agent_report import MOST_VERSIONS, Concern
from vault_autoupdate.decide.attempts import FailureReason
from vault_autoupdate.decide.rollout import Phase

PREFIX: Final = "vault_autoupdate"
OPERATIONS: Final = (
    "get_vault", "list_mappings", "get_mapping", "update_mapping", "list_jobs", "get_job", "list_items", "get_item",
    "update_agent", "get_account", "list_schedules", "list_job_schedules", "list_account_jobs", "list_usages",
    "get_schedule", "get_job_schedule",
)  # fmt: skip
CODES: Final = ("200", "202", "401", "403", "404", "409", "429", "500", "503", "ArmUnreachable", "AuthenticationFailed")
"""Answers that are there with a zero from the start, so that a rate sees the first of them; there may be others."""
CONDITIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "Ready": ("True", "False", "Unknown"),
    "Reconciling": ("True", "False"),
    "Stalled": ("True", "False"),
    "AgentsCurrent": ("True", "False", "Unknown"),
    "AutomationAccountHealthy": ("True", "False", "Unknown"),
}
ACCOUNT_PROBLEMS: Final = (
    "AccountNotFound", "AccountNotOk", "NoSystemAssignedIdentity", "ScheduleMissing", "JobScheduleMissing",
    "ScheduleDisabled", "RunbookFailing", "FreeMinutesNearlyUsed",
)  # fmt: skip
"""What may be wrong with an Automation account: the reasons of `automation.Problem`."""
OTHER_VERSION: Final = "other"
"""All versions that have no series of their own."""
UPDATE_OUTCOMES: Final = ("succeeded", "failed", "failed_to_start", "timed_out")
"""How a change of a mapping, or an update of an agent, may end."""

__all__ = [
    "ACCOUNT_PROBLEMS", "CODES", "CONDITIONS", "OF_THE_RESOURCE", "OPERATIONS", "OTHER_VERSION", "PREFIX", "SPECS",
    "UPDATE_OUTCOMES", "Kind", "MetricSpec", "Section", "spec",
]  # fmt: skip


class Kind(StrEnum):
    """Prometheus' types."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Section(StrEnum):
    """What metrics are about; the order is that of the documentation."""

    RESOURCES = "Resources"
    AGENTS = "Agents and the Automation account"
    JOBS = "Changes and jobs"
    AZURE = "Azure"
    OPERATOR = "Operator"


@dataclass(frozen=True)
class MetricSpec:
    """One metric."""

    name: str
    """As it is exposed; a histogram without its ``_bucket``, ``_sum`` and ``_count``."""
    kind: Kind
    section: Section
    text: str
    """One or two sentences: the metric's HELP."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """By name: which values it has, for the documentation."""
    buckets: tuple[float, ...] = ()
    most: int | None = None
    """Series that one resource has at most, where the values of the labels do not tell."""

    @property
    def series(self) -> tuple[str, ...]:
        """The names under which its samples are found."""
        if self.kind is Kind.HISTOGRAM:
            return tuple(f"{self.name}_{part}" for part in ("bucket", "sum", "count"))
        return (self.name,)


OF_THE_RESOURCE: Final = "of the resource"
_RESOURCE: Final = {"namespace": OF_THE_RESOURCE, "name": OF_THE_RESOURCE}
_SCOPE: Final = {
    "scope": "a number without a meaning for each subscription and region, in the order in which they were met",
    "region": "of the vaults; empty where it is not known; `automation` for calls to Automation accounts",
    "kind": "`read`, `write`",
}
_WATCHED: Final = {"watched_namespace": "each of those to be watched; empty where all of them are, by one watch"}
_WITH_WINDOWS: Final = "Only for resources with spec.agentUpdates."
_CALL_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_JOB_BUCKETS: Final = (1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640, 1800, 3600, 9600)
_WAIT_BUCKETS: Final = (0.01, 0.1, 1, 5, 15, 30, 60, 120, 300, 900, 3600)
_PASS_BUCKETS: Final = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 10800)


def _resource(name: str, text: str, *, kind: Kind = Kind.GAUGE, most: int | None = None, **labels: str) -> MetricSpec:
    return MetricSpec(f"{PREFIX}_{name}", kind, Section.RESOURCES, text, {**_RESOURCE, **labels}, most=most)


def _agents(name: str, text: str, *, most: int | None = None, **labels: str) -> MetricSpec:
    return MetricSpec(f"{PREFIX}_{name}", Kind.GAUGE, Section.AGENTS, text, {**_RESOURCE, **labels}, most=most)


def _quoted(values: Iterable[str]) -> str:
    return ", ".join(f"`{value}`" for value in values)


def _metric(
    section: Section, kind: Kind, name: str, text: str, labels: Mapping[str, str] | None = None, *buckets: float
) -> MetricSpec:
    return MetricSpec(f"{PREFIX}_{name}", kind, section, text, labels or {}, buckets)


SPECS: Final = (
    _resource(
        "mappings",
        "Mappings of the resource's vault by where they stand, as they were last seen.",
        state="`compliant`, `drifted`, `updating`, `failed`, `ignored`",
    ),
    _resource("jobs_in_flight", "Jobs under way in the resource's vault."),
    _resource(
        "resource_condition",
        "1 for the status that a condition of the resource has, 0 for the others. AgentsCurrent and "
        "AutomationAccountHealthy are absent where the resource does not have them.",
        most=sum(len(statuses) for statuses in CONDITIONS.values()),
        type=_quoted(CONDITIONS),
        status="`True`, `False`, `Unknown`",
    ),
    _resource("resource_ready", "1 if the resource is Ready."),
    _resource(
        "resource_not_ready_seconds", "For how long the resource has not been Ready; 0 while it is, or is suspended."
    ),
    _resource("resource_suspended", "1 if spec.suspend is set."),
    _resource("resource_interval_seconds", "spec.interval: how often the vault is looked at."),
    _resource(
        "resource_last_success_timestamp_seconds",
        "When a look at the vault last went well, its failed mappings aside; before the first one, when this process "
        "first saw the resource.",
    ),
    _resource(
        "resource_failures",
        "Mappings that were tried without success and wait for the next try.",
        reason=_quoted(FailureReason),
    ),
    _resource("resource_attempts_most", "Tries without success of the mapping that has had most of them."),
    _resource(
        "resource_reverts_total",
        "Looks that found mappings changed by somebody else after they had been as declared.",
        kind=Kind.COUNTER,
    ),
    _resource("resource_auto_update", "1 if spec.autoUpdate is Enabled, 0 if it is Disabled."),
    _agents(
        "agents",
        "Machines of the resource's vault by the state of their Mobility service, when they were last looked at. "
        "Absent where that is not known: before the first look, or without the right to read replicated items.",
        state="`current`, `behind`, `unknown`",
    ),
    _agents(
        "agents_concern",
        "Machines by what is wrong with their agent; one machine may have several concerns. Absent like `agents`.",
        concern=_quoted(Concern),
    ),
    _agents(
        "agent_versions",
        "Machines by the version of their agent. Absent like `agents`.",
        most=MOST_VERSIONS + 1,
        version=f"the newest {MOST_VERSIONS}; `unknown`; `{OTHER_VERSION}`",
    ),
    _agents(
        "agent_updates_in_flight",
        "Updates of agents under way. Only for resources with spec.agentUpdates, or until the last of them has ended.",
    ),
    _agents(
        "agent_updates_waiting", f"Machines that this window, or the next one, would still update. {_WITH_WINDOWS}"
    ),
    _agents(
        "agent_updates_phase",
        f"1 for where the updates in windows stand, 0 for the others. {_WITH_WINDOWS}",
        phase=_quoted(Phase),
    ),
    _agents("agent_updates_failed_machines", f"Machines whose last update failed. {_WITH_WINDOWS}"),
    _agents("agent_window_open", f"1 while a window for updates of agents is open. {_WITH_WINDOWS}"),
    _agents("agent_next_window_timestamp_seconds", f"When the next window opens. {_WITH_WINDOWS}"),
    _agents(
        "automation_account_healthy",
        "1 if the Automation account can run the updates, 0 if not, when it was last looked at. Absent where that is "
        "not known or does not matter: without auto-update, with the checks off, or without the right to look.",
    ),
    _agents(
        "automation_account_problem",
        "1 for what is wrong with the Automation account, 0 for what is not. Absent like `automation_account_healthy`.",
        reason=_quoted(ACCOUNT_PROBLEMS),
    ),
    _agents("automation_account_next_run_timestamp_seconds", "When the account is to run the updates next."),
    _agents(
        "automation_account_run_time_used_seconds",
        "Run time of its jobs that the account has used this month. That Azure counts minutes is inferred.",
    ),
    _agents(
        "automation_account_run_time_limit_seconds",
        "Run time of its jobs that the account may use in a month; absent without a limit.",
    ),
    _metric(
        Section.AGENTS,
        Kind.COUNTER,
        "agent_updates_total",
        "Updates of agents that this operator started, by how they ended.",
        {"outcome": _quoted(UPDATE_OUTCOMES)},
    ),
    _metric(
        Section.AGENTS,
        Kind.HISTOGRAM,
        "agent_update_duration_seconds",
        "Time from the start of an agent's update to the end of its job as it was seen.",
        None,
        *_JOB_BUCKETS,
    ),
    _metric(
        Section.JOBS,
        Kind.COUNTER,
        "jobs_total",
        "Changes of mappings by how they ended.",
        {"outcome": _quoted(UPDATE_OUTCOMES)},
    ),
    _metric(
        Section.JOBS,
        Kind.HISTOGRAM,
        "job_duration_seconds",
        "Time from the PATCH to the end of its job as it was seen.",
        None,
        *_JOB_BUCKETS,
    ),
    _metric(Section.JOBS, Kind.COUNTER, "job_unknown_states_total", "Looks at jobs in a state that is not documented."),
    _metric(
        Section.JOBS,
        Kind.COUNTER,
        "drift_detected_total",
        "Mappings found to differ from what is declared; the same one again at each look in mode Audit.",
    ),
    _metric(
        Section.JOBS,
        Kind.COUNTER,
        "repairs_total",
        "Mappings found as declared but unhealthy, to be repaired.",
    ),
    _metric(
        Section.AZURE,
        Kind.COUNTER,
        "arm_requests_total",
        "Calls to Azure Resource Manager by operation and HTTP status (or why there was none).",
        {
            "operation": _quoted(OPERATIONS),
            "code": "HTTP status, or a word such as `ArmUnreachable`",
        },
    ),
    _metric(
        Section.AZURE,
        Kind.HISTOGRAM,
        "arm_request_duration_seconds",
        "Time of a call to Azure Resource Manager, waiting for quota not included.",
        {"operation": "as above"},
        *_CALL_BUCKETS,
    ),
    _metric(
        Section.AZURE,
        Kind.HISTOGRAM,
        "arm_throttle_wait_seconds",
        "Time that a call waited for quota.",
        {"kind": "`read`, `write`"},
        *_WAIT_BUCKETS,
    ),
    _metric(
        Section.AZURE,
        Kind.COUNTER,
        "arm_throttled_total",
        "Calls that Azure refused with 429.",
        {"kind": "`read`, `write`"},
    ),
    _metric(
        Section.AZURE, Kind.GAUGE, "arm_quota_remaining", "Calls that the own budget would let through now.", _SCOPE
    ),
    _metric(Section.AZURE, Kind.GAUGE, "arm_calls_waiting", "Calls that wait for quota.", _SCOPE),
    _metric(
        Section.AZURE,
        Kind.GAUGE,
        "arm_throttle_share_ratio",
        "Part of the limit that is used: below 1 for a while after a 429.",
        _SCOPE,
    ),
    _metric(
        Section.AZURE,
        Kind.GAUGE,
        "arm_throttle_paused_seconds",
        "For how long Azure still wants to be left alone; 0 when it does not.",
        _SCOPE,
    ),
    _metric(
        Section.AZURE,
        Kind.GAUGE,
        "arm_quota_reported",
        "Calls that Azure's last answer said were left (x-ms-ratelimit-remaining-subscription-*), of whatever "
        "subscription it was about.",
        {"kind": "`read`, `write`"},
    ),
    _metric(
        Section.AZURE,
        Kind.COUNTER,
        "arm_token_requests_total",
        "Tokens asked for by how that ended.",
        {"result": "`success`, `error`"},
    ),
    _metric(
        Section.AZURE,
        Kind.GAUGE,
        "arm_token_expiry_timestamp_seconds",
        "When the present token ends; it is replaced five minutes before, when a call needs it. 0 before the first.",
    ),
    _metric(
        Section.AZURE,
        Kind.GAUGE,
        "credential_expiry_timestamp_seconds",
        "When the credential itself ends: the certificate of the mode client-certificate. Absent in other modes.",
    ),
    _metric(
        Section.OPERATOR,
        Kind.GAUGE,
        "build_info",
        "1, with the version of the operator.",
        {"version": "of the operator"},
    ),
    _metric(Section.OPERATOR, Kind.GAUGE, "leading", "1 if this replica is the one that works."),
    _metric(
        Section.OPERATOR,
        Kind.GAUGE,
        "watching",
        "1 while this replica watches the resources; 0 also for a namespace that is not there or may not be watched.",
        _WATCHED,
    ),
    _metric(
        Section.OPERATOR,
        Kind.GAUGE,
        "watch_last_contact_timestamp_seconds",
        "When the API server last answered a list or watch of the resources, or sent a change; before, when watching "
        "began. A watch is renewed every five minutes, whatever happens.",
        _WATCHED,
    ),
    _metric(
        Section.OPERATOR,
        Kind.GAUGE,
        "cluster_writes_failing_seconds",
        "For how long no status or finalizer could be written in the namespace where that has gone on longest; 0 when "
        "the last write to each went well.",
    ),
    _metric(
        Section.OPERATOR,
        Kind.COUNTER,
        "reconcile_total",
        "Passes over a vault by how they ended.",
        {"result": "`success`, `error`, `superseded`"},
    ),
    _metric(
        Section.OPERATOR,
        Kind.HISTOGRAM,
        "reconcile_duration_seconds",
        "Time of a pass over a vault, jobs included.",
        None,
        *_PASS_BUCKETS,
    ),
    _metric(Section.OPERATOR, Kind.GAUGE, "reconciles_running", "Passes over vaults that are under way."),
    _metric(Section.OPERATOR, Kind.GAUGE, "queue_depth", "Resources that are due and not at work."),
    _metric(
        Section.OPERATOR,
        Kind.GAUGE,
        "queue_oldest_overdue_seconds",
        "Longest time that a resource has been due without being worked on.",
    ),
)

_BY_NAME: Final = {each.name: each for each in SPECS}


def spec(name: str) -> MetricSpec:
    """The metric with this name, prefix left out. Raises KeyError."""
    return _BY_NAME[f"{PREFIX}_{name}"]
