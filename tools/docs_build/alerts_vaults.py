"""Alerts about vaults: the mappings and what keeps them from being as declared."""

from __future__ import annotations

from tools.docs_build.alerts_promql import (
    KEY,
    MOVE,
    PROCESS,
    SOURCE_KEY,
    Alert,
    Record,
    matching,
    most,
    of_resource,
    old_looks,
    own_series,
    present,
    series,
    since,
    unless_suspended,
)

_NOT_READY = of_resource(series("resource_not_ready_seconds"))
_LAST = of_resource(series("resource_last_success_timestamp_seconds"))
_INTERVAL = of_resource(series("resource_interval_seconds"))
_READY = of_resource(series("resource_ready"))
_SUSPENDED = of_resource(series("resource_suspended"))
_AUDITED = of_resource(series("resource_audited"))
_RESUMED = "[1h]"
"""So long after a suspension, what is known of a resource may be from before it: the first look is still to come."""
_IN_FLIGHT = of_resource(series("jobs_in_flight"))
_UNREADY = (
    "count by (cluster) (" + of_resource(series("resource_not_ready_seconds", 'reason!="Progressing"')) + " > 900)"
)


def _interval(like: str) -> str:
    """The interval, and that of the default where the spec cannot be acted on."""
    return f"({_INTERVAL} or 0 * {like} + 3600)"


def _total(metric: str, matchers: str = "") -> str:
    return f"sum by (cluster) (max by ({PROCESS}) ({series(metric, matchers)}))"


def _resources() -> str:
    """All resources; the replicas that stand by have none."""
    return f"sum by (cluster) (max by ({PROCESS}) (sum by ({PROCESS}, instance) ({series('resources')})))"


def _while_failing(expression: str, *metrics: str) -> str:
    """``expression`` of resources that are there, are not suspended, and have not become Ready since."""
    return f"{unless_suspended(present(expression, *metrics), _RESUMED)} unless on ({KEY}) {_READY} == 1"


_NAME = "VaultAutoUpdate {{ $labels.namespace }}/{{ $labels.name }}"
_FRESH = f"({_total('resources_fresh')} / ({_total('resources_expected_fresh')} > 0))"
_STALE_VAULTS = f"({_total('resources_expected_fresh')} - {_total('resources_fresh')})"
_UNREADY_TOTAL = _total("resources_in_trouble", 'trouble="unready"')
_STALE = f"time() - {_LAST} > 3 * {_interval(_LAST)} unless on ({KEY}) {most('resource_suspended', '[3h]')} == 1"
_TOO_OLD = (
    f"(time() - {series('resource_last_success_timestamp_seconds')} > 1.5 * {series('resource_interval_seconds')}) "
    f"unless {series('resource_suspended')} == 1"
)
_TOO_OLD_LATELY = of_resource(f"count_over_time(({_TOO_OLD})[6h:10m])")
_RARELY = f"(time() - {_LAST}) and on ({KEY}) {_TOO_OLD_LATELY} > 8"
_NOT_UNREADY = 'trouble!="unready"'
_NOT_READABLE = 'attribution="NotReadable"'
_FAILED = 'reason=~"FailedToStart|JobFailed"'


def _reverts(window: str) -> str:
    """Looks that found something undone; a counter that is above zero when it is first seen has grown once."""
    counter = series("resource_reverts_total")
    least = f"min_over_time({counter}{window})"
    first = f"clamp_max({least}, 1) unless {counter} offset {window.strip('[]')} or 0 * {least}"
    return f"sum by ({KEY}) ({of_resource(f'increase({counter}{window}) + ({first})', 'instance')})"


__all__ = ["RECORDS", "SLOW_VAULT_ALERTS", "VAULT_ALERTS"]

RECORDS = (
    Record(
        "vault_autoupdate:fresh:ratio",
        _FRESH,
        "The service level: the share of vaults that were seen within their last two intervals. The goal is 0.99 over "
        "30 days; see docs/observability.md.",
    ),
    Record(
        "vault_autoupdate:ready:ratio",
        f"sum by (cluster) (max by ({PROCESS}) (sum by ({PROCESS}, instance) ({series('resources', matching('ready', 'True'))}))) "
        f"/ ({_resources()} > 0)",
        "The share of resources that are Ready.",
    ),
)

VAULT_ALERTS = (
    Alert(
        "MostlyNotReady",
        f"({_UNREADY} / count by (cluster) ({_READY}) > 0.2 and {_UNREADY} > 5) or "
        f"({_UNREADY_TOTAL} / {_resources()} > 0.2 and {_UNREADY_TOTAL} > 5)",
        "5m",
        "critical",
        "Many vaults have come to be not Ready at the same time: one cause is behind it.",
        "{{ $value | humanizePercentage }} of all resources{{ with $labels.cluster }} of cluster {{ . }}{{ end }} have not "
        'been Ready for a quarter of an hour. Most often:{{ range query "topk(3, sum by (reason) ('
        + series("resources", "ready!='True'")
        + '))" }} {{ .Labels.reason }} ({{ .Value }}){{ end }}.',
        why="What is at work is not counted: a first run over a fleet takes hours and is nothing to be called for.",
    ),
    Alert(
        "NotReady",
        unless_suspended(f"{_NOT_READY} > 2 * {_interval(_NOT_READY)}", _RESUMED)
        + f" unless on ({KEY}) {_AUDITED} == 1",
        "5m",
        "warning",
        "A vault has not been as declared for more than two intervals.",
        f"{_NAME} has not been Ready for {{{{ $value | humanizeDuration }}}}. The Ready condition of its status says why.",
        why="Without a spec that can be acted on there is no interval: then it is that of the default. Mode Audit finds "
        "differences on purpose.",
        of_resource=True,
    ),
    Alert(
        "Unchecked",
        f"(({_STALE}) or ({_RARELY})) unless on ({KEY}) {_IN_FLIGHT} > 0",
        "5m",
        "warning",
        "A vault has not been looked at for more than three intervals, or only now and then.",
        f"No look at the vault of {_NAME} has gone well for {{{{ $value | humanizeDuration }}}}. Whatever its status says "
        "is as old as that.",
        why="While jobs are tracked nothing else is read. The second part is for looks that come too rarely, though none "
        "is missing for long: for more than 80 minutes of the last six hours, the last one was older than one and a half "
        "intervals.",
        of_resource=True,
    ),
    Alert(
        "Stalled",
        unless_suspended(
            of_resource(series("resource_condition", 'type="Stalled",status="True"'), "reason")
            + " == 1 or "
            + of_resource(series("resource_not_ready_seconds", 'reason=~"AuthenticationFailed|Credential.+"'), "reason")
            + " > 900",
            _RESUMED,
        ),
        "15m",
        "warning",
        "Nothing goes on for a vault until somebody changes something.",
        f"{_NAME} is stalled{{{{ with $labels.reason }}}}: {{{{ . }}}}{{{{ end }}}}. It waits for a right, a credential, or "
        "a change of its spec; the message of its Ready condition says which.",
        why="A state and not an event: at whatever interval, also when the first answer of all was a refusal, and with "
        "the name of whom it concerns.",
        of_resource=True,
    ),
    Alert(
        "JobsFailing",
        _while_failing(
            f"({most('resource_failures', '[15m]', _FAILED, 'reason')} > 0 or "
            f"{most('resource_failures', '[3h]', _FAILED, 'reason')} > 0 and on ({KEY}) "
            f"{of_resource(series('resource_attempts_most'))} > 1) "
            f"unless on ({KEY}) {most('resource_attempts_most', '[15m]')} == 1",
            "resource_failures",
        ),
        "30m",
        "warning",
        "Changes of mappings keep failing.",
        "{{ $value | humanize }} mappings of "
        + _NAME
        + " could not be changed ({{ $labels.reason }}), also when tried "
        "again. status.failureCodes says with which of Azure's codes, status.failures what Azure says about them.",
        why="Looks back over the tries, during which nothing counts as failed. A mapping that failed once is tried again "
        "within minutes.",
        of_resource=True,
    ),
    Alert(
        "JobsTimingOut",
        _while_failing(
            f"{most('resource_failures', '[25h]', matching('reason', 'TimedOut'))} > 0", "resource_failures"
        ),
        "5m",
        "warning",
        "Jobs of Site Recovery do not come to an end.",
        "{{ $value | humanize }} jobs of " + _NAME + " were still running after spec.jobTimeout.",
        why="The next try takes spec.jobTimeout again, up to a day, during which nothing counts as failed.",
        of_resource=True,
    ),
    Alert(
        "RepairNotCuring",
        _while_failing(
            f"{most('resource_failures', '[30m]', matching('reason', 'StillDiffers|Unhealthy'))} > 0",
            "resource_failures",
        ),
        "2h",
        "warning",
        "Jobs succeed, but mappings do not become right.",
        "{{ $value | humanize }} mappings of " + _NAME + " have health errors, or are not as declared, after jobs that "
        "succeeded. Sending the same again does not cure them.",
        why="Longer than two tries at the default interval of an hour.",
        of_resource=True,
    ),
    Alert(
        "InTrouble",
        f"max by (cluster, trouble) ({series('resources_in_trouble', _NOT_UNREADY)}) > 0 "
        f"unless on (cluster) count by (cluster) ({series('resource_ready')})",
        "30m",
        "warning",
        "Resources need somebody, and there are no metrics that name them.",
        "{{ $value }} resources are counted under {{ $labels.trouble }}. Series about single resources are switched off: "
        "vault-autoupdate status names them.",
        why="For fleets without series about each resource, where the alerts beside this one have nothing to look at.",
    ),
)

SLOW_VAULT_ALERTS = (
    Alert(
        "DriftReturns",
        unless_suspended(present(f"{_reverts('[1d]')} > 2.5 or {_reverts('[7d]')} > 3.5", "resource_reverts_total")),
        "",
        "warning",
        "Somebody or something keeps undoing what is declared.",
        'In {{ $value | printf "%.0f" }} looks, mappings of ' + _NAME + " had been changed by somebody else, and were "
        "changed back: three times within a day, or every other night. status.lastDrift names who it was, where "
        "spec.drift.attribution is Caller or ObjectId.",
        of_resource=True,
    ),
    Alert(
        "FreshnessLow",
        f"{_FRESH} < 0.8 and on (cluster) {_STALE_VAULTS} > 5",
        "15m",
        "critical",
        "One vault in five has not been seen for more than two intervals.",
        "Only {{ $value | humanizePercentage }} of the vaults have been seen right within their last two intervals. "
        "Whatever is said of the others is older than that.",
    ),
    Alert(
        "FreshnessLow",
        f"{_FRESH} < 0.98 >= 0.8 and on (cluster) {_STALE_VAULTS} > 5",
        "1h",
        "warning",
        "Vaults have not been seen for more than two intervals.",
        "Only {{ $value | humanizePercentage }} of the vaults have been seen right within their last two intervals; the "
        "goal is 99 %.",
    ),
    since("suspended:since", f"max by ({SOURCE_KEY}) ({series('resource_suspended')}) == 1"),
    Alert(
        "SuspendedForLong",
        f"{_SUSPENDED} == 1 and on ({KEY}) time() - {own_series('suspended:since')} >= 7 * 86400",
        "",
        "info",
        "A vault has been suspended for more than a week.",
        f"Nobody looks after the vault of {_NAME} since spec.suspend was set, more than a week ago.",
        of_resource=True,
    ),
    Alert(
        "AttributionNotReadable",
        unless_suspended(f"time() - {of_resource(series('drift_found_timestamp_seconds', _NOT_READABLE))} < 86400"),
        "5m",
        "info",
        "Who keeps undoing what is declared is asked for, and cannot be learned.",
        f"Mappings of {_NAME} were changed by somebody else {{{{ $value | humanizeDuration }}}} ago, and the activity log that "
        "would name them may not be read. status.lastDrift says which action to grant.",
        why="For a day: whether the log may be read by now is known when something is undone the next time.",
        of_resource=True,
    ),
    Alert(
        "LooksOld",
        unless_suspended(f"{of_resource(old_looks(), 'subject')} > 0", "[6h]")
        + f" unless on ({KEY}) (time() - {_LAST} > 3 * {_interval(_LAST)})",
        "2h",
        "warning",
        "What is known of agents, an Automation account or its schedules is days old.",
        f"{_NAME}: the last look at its {{{{ $labels.subject }}}} was {{{{ $value | humanizeDuration }}}} ago. Whatever is said "
        "of them is as old as that, and no alert about them can be trusted.",
        why="Three looks that were missed, and a day, by which the status may be behind that a restart begins with. Of a "
        "vault whose mappings are not read either, Unchecked tells.",
        of_resource=True,
    ),
    Alert(
        "AuditDiffers",
        unless_suspended(
            f"{most('mappings', MOVE, matching('state', 'drifted'))} > 0 and on ({KEY}) "
            f"{most('resource_audited', MOVE)} == 1"
        ),
        "1d",
        "info",
        "A vault in mode Audit differs from what is declared.",
        "{{ $value | humanize }} mappings of " + _NAME + " would be changed if its mode were Enforce.",
        of_resource=True,
    ),
)
