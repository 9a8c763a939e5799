"""Alerts about the operator itself."""

from __future__ import annotations

from tools.docs_build.alerts_promql import (
    OPERATOR,
    PROCESS,
    Alert,
    last_grown,
    own_series,
    refused_last,
    series,
)

_BUILD = series("build_info")
_LEADING = series("leading")
_SHARD = f"{OPERATOR}, shard"
_SEEN = f"group by ({_SHARD}) (present_over_time({series('build_info', window='[1d]')}))"
_HERE = f"group by ({_SHARD}) ({_BUILD})"
_EACH = f"{PROCESS}, instance"
_LEADS = f"max by ({_EACH}) ({_LEADING})"
_NAMED = f"max by ({_EACH}, shard) ({_BUILD})"
_LEADS_SHARD = f"({_LEADS} * on ({_EACH}) group_left (shard) {_NAMED} or {_LEADS} unless on ({_EACH}) {_BUILD})"
"""Who leads what: each shard has a Lease of its own, also where one job scrapes all of them."""

_WRITES = 'operation=~"write_status|write_finalizers|post_event"'
_REFUSED = f'{_WRITES},code=~"401|403"'
_REQUESTS = "kube_requests_total"
_BY_WRITE = f"{PROCESS}, operation"

__all__ = ["OPERATOR_ALERTS", "WRITE_RULES"]

OPERATOR_ALERTS = (
    Alert(
        "Absent",
        f"absent({_BUILD}) or group by (cluster) ({_SEEN} unless on ({_SHARD}) {_HERE})",
        "10m",
        "critical",
        "The operator does not run, or is not scraped.",
        "There have been no metrics of vault-autoupdate for ten minutes, so nobody looks after the vaults.{{ range query "
        f'"{_SEEN} unless on ({_SHARD}) {_HERE}" }}}} Gone: the one in namespace {{{{ .Labels.namespace }}}}'
        "{{ with .Labels.shard }}, shard {{ . }}{{ end }}."
        "{{ end }}",
        why="Where several operators are in sight, the others must not hide the one that has gone: one that was there "
        "within a day and is not any more counts. Of a release's own, the first part goes on telling for ever.",
    ),
    Alert(
        "NotLeading",
        f"max by ({OPERATOR}) (max by ({PROCESS}, shard) ({_LEADS_SHARD}) == 0)",
        "5m",
        "critical",
        "The operator runs, but no replica leads.",
        "For five minutes no replica of vault-autoupdate in namespace {{ $labels.namespace }} has held the Lease, so "
        "nobody looks after the vaults.",
    ),
    Alert(
        "MostlyDown",
        f"min by ({OPERATOR}) (sum_over_time((max by ({PROCESS}, shard) ({_LEADS_SHARD}))[30m:1m])) < 15",
        "20m",
        "critical",
        "The operator has led for less than half of the last half hour.",
        "The operator in namespace {{ $labels.namespace }} has led for {{ $value }} of the last 30 minutes: it ends "
        "again and again, or keeps losing the Lease.",
        why="A crash loop is never absent for ten minutes nor without a leader for five: each start ends the one, each "
        "gap the other. A fresh installation has led for long enough before this has held for 20 minutes.",
    ),
    Alert(
        "Restarting",
        f"max by ({OPERATOR}) (changes((max by ({PROCESS}) ({series('start_timestamp_seconds')}))[1h:1m])) > 3",
        "5m",
        "warning",
        "The operator restarts again and again.",
        "The operator in namespace {{ $labels.namespace }} has started {{ $value }} times within an hour.",
    ),
    Alert(
        "TwoLeaders",
        f"max by ({OPERATOR}) (sum by ({PROCESS}, shard) ({_LEADS_SHARD}) > 1)",
        "3m",
        "critical",
        "Two replicas believe that they lead.",
        "{{ $value }} replicas of vault-autoupdate in namespace {{ $labels.namespace }} work on the same vaults: they may "
        "send a change twice.",
    ),
    Alert(
        "WatchStale",
        f"time() - max by ({PROCESS}, instance) ({series('watch_last_contact_timestamp_seconds')}) > 600 "
        f"or max by ({PROCESS}, instance) (min_over_time({series('leading', window='[5m]')})) == 1 "
        f"unless max by ({PROCESS}, instance) (max_over_time({series('watching', window='[5m]')})) == 1",
        "5m",
        "warning",
        "The operator does not see changes of its resources.",
        "{{ $labels.instance }} has not heard of the API server, or does not watch the VaultAutoUpdate resources. It goes "
        "on with those that it knows; new ones and changes go unnoticed.",
        why="A watch is renewed every five minutes, so twice that is too long. A replica that leads and does not watch "
        "at all is no better; one that a list was refused to for a moment is not such a one.",
    ),
    Alert(
        "QueueOverdue",
        f"max by ({OPERATOR}) (max_over_time("
        f"(min_over_time({series('queue_oldest_overdue_seconds', window='[2m]')}))[15m:1m])) > 60",
        "5m",
        "warning",
        "Resources are due and are not worked on.",
        "For two minutes and more, a resource has been due for {{ $value | humanizeDuration }} without being worked on.",
        why="Two minutes, so that one late moment is none; looked back at, since the kubelet restarts a process that is "
        "overdue for five minutes.",
    ),
    Alert(
        "PassHanging",
        f"max by ({OPERATOR}) ({series('reconcile_overrun_seconds')}) > 0",
        "15m",
        "warning",
        "A look at a vault does not end.",
        "A pass over a vault has run for {{ $value | humanizeDuration }} longer than any could take.",
    ),
)

WRITE_RULES = (
    last_grown("write_refused:timestamp_seconds", _REQUESTS, _BY_WRITE, 'code=~"401|403"'),
    last_grown("write_answered:timestamp_seconds", _REQUESTS, _BY_WRITE, 'code=~"2.."'),
    last_grown("not_written:timestamp_seconds", "reconcile_total", PROCESS, 'result="not_written"'),
    last_grown("crashed:timestamp_seconds", "reconcile_total", PROCESS, 'result="crashed"'),
    Alert(
        "StatusNotWritten",
        f"max by ({OPERATOR}) (time() - {own_series('not_written:timestamp_seconds')} < 3600) or "
        f"max by ({OPERATOR}) (time() - {own_series('write_refused:timestamp_seconds', _WRITES)} < 900) or max by ({OPERATOR}) ("
        f"{refused_last('write_refused:timestamp_seconds', 'write_answered:timestamp_seconds', _BY_WRITE, _WRITES)} and on ({_BY_WRITE}) "
        f"max by ({_BY_WRITE}) (changes({series(_REQUESTS, _REFUSED, '[49h]')})) > 1)",
        "10m",
        "warning",
        "What the operator finds out cannot be written.",
        "The API server refuses statuses, finalizers or Events of the operator in namespace {{ $labels.namespace }}. A "
        "vault is not changed before that is written, so repairs stop while every status looks as it did.",
        why="For as long as nothing of the kind has been written since, where it was refused twice: looks may be hours "
        "apart. Where one namespace alone refuses, others are written all the while: then for a quarter of an hour.",
    ),
    Alert(
        "PassesCrash",
        f"max by ({OPERATOR}) (time() - {own_series('crashed:timestamp_seconds')} < 3600)",
        "5m",
        "warning",
        "Passes over a vault end by a defect of the operator.",
        "A pass of the operator in namespace {{ $labels.namespace }} has ended by an error that should not be, "
        "{{ $value | humanizeDuration }} ago. The log has a line of level error for each.",
    ),
)
