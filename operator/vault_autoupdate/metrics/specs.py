"""Every metric by name, kind, labels and meaning: what `metrics` counts, `collector` reads and the docs list.

Names follow Prometheus' conventions: base units, ``_total`` for counters, ``_timestamp_seconds`` for points in time.
No label holds the id of a subscription or vault, or words of an error: a resource is known by namespace and name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from vault_autoupdate.cluster.calls import NO_ANSWER
from vault_autoupdate.cluster.calls import OPERATIONS as KUBE_OPERATIONS
from vault_autoupdate.controller.hints import HintPoll, LogState
from vault_autoupdate.decide.hints import Meaning
from vault_autoupdate.metrics.policy_specs import POLICY_SPECS
from vault_autoupdate.metrics.resource_specs import RESOURCE_SPECS, TOTAL_SPECS
from vault_autoupdate.metrics.spec_types import PREFIX, Kind, MetricSpec, Section, quoted

DISCOVERY_OPERATIONS: Final = (
    "list_subscriptions", "list_descendants", "list_vaults", "list_accounts", "query_graph", "look_at_vault",
    "get_usages",
)  # fmt: skip
"""Those that policies need, and `vault-autoupdate discover`."""
OPERATIONS: Final = (
    "get_vault", "locate_vaults", "list_mappings", "get_mapping", "update_mapping", "list_jobs", "get_job",
    "list_items", "get_item", "update_agent", "get_account", "list_schedules", "list_job_schedules",
    "list_account_jobs", "list_usages", "get_schedule", "get_job_schedule", "update_schedule",
    "list_role_assignments", "get_role_definition", "list_deny_assignments", "list_activity", *DISCOVERY_OPERATIONS,
)  # fmt: skip
CODES: Final = ("200", "202", "401", "403", "404", "409", "429", "500", "503", "ArmUnreachable", "AuthenticationFailed")
"""Answers that are there with a zero from the start, so that a rate sees the first of them; there may be others."""
KUBE_CODES: Final = ("200", "201", "403", "409", "429", "500", NO_ANSWER)
"""Answers of the API server that are there with a zero from the start, likewise."""
HINT_WAKES: Final = ("woken", "postponed")
PASS_RESULTS: Final = ("success", "error", "superseded", "not_written", "crashed")
UPDATE_OUTCOMES: Final = ("succeeded", "failed", "failed_to_start", "timed_out")
"""How a change of a mapping, or an update of an agent, may end."""

__all__ = [
    "CODES", "KUBE_CODES", "KUBE_OPERATIONS", "OPERATIONS", "PASS_RESULTS", "SPECS", "UPDATE_OUTCOMES", "spec",
]  # fmt: skip

_SCOPE: Final = {
    "scope": "the subscription: first 8 digits of the SHA-256 of its id in lower case, which the log maps to the id; "
    "it goes an hour after the last call",
    "region": "of the vaults; empty where it is not known; `automation` for Automation accounts, "
    "`authorization` for roles; `other` if no name",
    "kind": "`read`, `write`",
}
_WATCHED: Final = {"watched_namespace": "each of those to be watched; empty where all of them are, by one watch"}
_CALL_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_JOB_BUCKETS: Final = (1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640, 1800, 3600, 9600)
_WAIT_BUCKETS: Final = (0.01, 0.1, 1, 5, 15, 30, 60, 120, 300, 900, 3600)
_PASS_BUCKETS: Final = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 10800)


def _metric(
    section: Section, kind: Kind, name: str, text: str, labels: Mapping[str, str] | None = None, *buckets: float
) -> MetricSpec:
    return MetricSpec(f"{PREFIX}_{name}", kind, section, text, labels or {}, buckets)


SPECS: Final = (
    *TOTAL_SPECS,
    *RESOURCE_SPECS,
    *POLICY_SPECS,
    _metric(
        Section.AGENTS,
        Kind.COUNTER,
        "agent_updates_total",
        "Updates of agents that this operator started, by how they ended.",
        {"outcome": quoted(UPDATE_OUTCOMES)},
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
        {"outcome": quoted(UPDATE_OUTCOMES)},
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
            "operation": quoted(OPERATIONS),
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
        "Tokens asked for by how that ended, and by whose identity: the operator's own, or one that a resource brings "
        "along in spec.credential.",
        {"result": "`success`, `error`", "identity": "`operator`, `resource`"},
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
        Section.AZURE,
        Kind.COUNTER,
        "hint_readings_total",
        "Readings of activity logs for hints, of one provider each. cut_off: there were more pages than are read; "
        "forbidden: off for an hour.",
        {"result": quoted(HintPoll)},
    ),
    _metric(
        Section.AZURE,
        Kind.GAUGE,
        "hint_logs",
        "Activity logs that are read for hints, by how that went last.",
        {"state": quoted(LogState)},
    ),
    _metric(
        Section.AZURE,
        Kind.COUNTER,
        "hint_entries_total",
        "Entries of activity logs by what they came to: a change to look at, a change of the operator's own, one that "
        "was there before, or something else.",
        {"meaning": quoted(Meaning)},
    ),
    _metric(
        Section.AZURE,
        Kind.COUNTER,
        "hint_wakes_total",
        "Looks before their time for a change in the activity log. postponed: there were no reads to spare, the share "
        "of the namespace was used, or looks at the vault fail.",
        {"outcome": quoted(HINT_WAKES)},
    ),
    _metric(
        Section.OPERATOR,
        Kind.GAUGE,
        "build_info",
        "1, with the version of the operator, and the shard that it works for.",
        {"version": "of the operator", "shard": "its name; empty for the main one"},
    ),
    _metric(Section.OPERATOR, Kind.GAUGE, "start_timestamp_seconds", "When this process began."),
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
        "Passes over a vault by how they ended. not_written: well or not, the API server did not take what came of it; "
        "crashed: a defect of the operator.",
        {"result": quoted(PASS_RESULTS)},
    ),
    _metric(
        Section.OPERATOR,
        Kind.COUNTER,
        "kube_requests_total",
        "Calls to the API server by what they are for and how it answered.",
        {"operation": quoted(KUBE_OPERATIONS), "code": f"HTTP status; `{NO_ANSWER}`"},
    ),
    _metric(
        Section.OPERATOR,
        Kind.COUNTER,
        "interim_statuses_skipped_total",
        "Statuses that would only have told of progress and did not get their turn among thousands of others in time.",
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
    _metric(
        Section.OPERATOR,
        Kind.GAUGE,
        "reconcile_overrun_seconds",
        "For how long the slowest pass under way has run beyond the longest that one can take; 0 when none has.",
    ),
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
