"""The dashboard's rows about Azure and about the operator itself."""

from __future__ import annotations

from tools.docs_build.dashboard_queries import FEW, SCOPE, P, own
from tools.docs_build.grafana import Panel, series, stat, table

_UNREAD = 'state=~"forbidden|failing"'
_RATE = "[$__rate_interval]"
_RESULTS = {"success": "green", "superseded": "blue", "error": "red", "not_written": "orange", "crashed": "dark-red"}

__all__ = ["azure_row", "operator_row"]


def azure_row() -> list[Panel]:
    """Calls, quota, tokens."""
    duration = own("arm_request_duration_seconds_bucket", window=_RATE)
    wait = own("arm_throttle_wait_seconds_bucket", window=_RATE)
    lane = "{{kind}} {{region}} ({{scope}})"
    return [
        series(
            "Calls by answer",
            [(f"sum by (code) (rate({own('arm_requests_total', window=_RATE)})) > 0", "{{code}}")],
            unit="reqps",
            width=8,
            text="Answers of Azure Resource Manager by HTTP status, or why there was none.",
            book="AccessDenied",
        ),
        series(
            "Calls by operation",
            [
                (
                    f"topk({FEW}, sum by (operation) (rate({own('arm_requests_total', window=_RATE)})) > 0)",
                    "{{operation}}",
                )
            ],
            unit="reqps",
            width=8,
            text=f"What is asked: the {FEW} operations with most calls.",
        ),
        series(
            "Latency",
            [
                (f"histogram_quantile({quantile}, sum by (le) (rate({duration})))", f"{quantile:.0%}")
                for quantile in (0.5, 0.95, 0.99)
            ],
            unit="s",
            width=8,
            text="Of the calls themselves; waiting for quota is not in it.",
        ),
        series(
            "Least quota left",
            [(f"min by (kind, region) ({own('arm_quota_remaining')})", "{{kind}} {{region}}")],
            width=8,
            text="Calls that could leave now, of the subscription of a region where least could.",
            book="Throttled",
        ),
        series(
            "Wait for quota",
            [(f"histogram_quantile(0.95, sum by (le, kind) (rate({wait})))", "{{kind}}, 95%")],
            unit="s",
            width=8,
            text="How long calls wait for their turn.",
            book="Throttled",
        ),
        series(
            "Refused with 429",
            [(f"sum by (kind) (increase({own('arm_throttled_total', window=_RATE)}))", "{{kind}}")],
            bars=True,
            width=8,
            text="Something else uses up the limits, since the operator stays below them on its own.",
            book="Throttled",
        ),
        series(
            "Azure wants to be left alone",
            [(f"topk(5, max by (region, kind, scope) ({own('arm_throttle_paused_seconds')}) > 0)", lane)],
            unit="s",
            width=8,
            text="For how long still. Nothing is drawn while it does not.",
            book="Throttled",
        ),
        series(
            "Least share of the limits in use",
            [(f"bottomk(5, min by (region, kind, scope) ({own('arm_throttle_share_ratio')}) < 1)", lane)],
            unit="percentunit",
            width=8,
            text="Lowered by a 429; it recovers step by step. Nothing is drawn while all of the limits is in use.",
            book="Throttled",
        ),
        stat(
            "Activity logs not read",
            f"sum({own('hint_logs', _UNREAD)})",
            width=8,
            height=8,
            steps=[("green", None), ("orange", 1)],
            text="Logs that are to be read for hints, and cannot be. Vaults are looked at at their interval all the same.",
            book="HintsNotRead",
        ),
        series(
            "Readings of activity logs",
            [(f"sum by (result) (increase({own('hint_readings_total', window=_RATE)}))", "{{result}}")],
            bars=True,
            stacked=True,
            width=8,
            colours={"success": "green", "cut_off": "yellow", "forbidden": "red", "error": "orange"},
            text="For hints, about every two minutes for each subscription. cut_off: there were more pages than are read.",
            book="HintsNotRead",
        ),
        series(
            "Looks for a hint",
            [(f"sum by (outcome) (increase({own('hint_wakes_total', window=_RATE)}))", "{{outcome}}")],
            bars=True,
            stacked=True,
            width=8,
            colours={"woken": "blue", "postponed": "orange"},
            text="Vaults that were looked at before their time. postponed: not now, for lack of reads or since looks fail.",
            book="HintsPostponed",
        ),
        series(
            "Tokens",
            [
                (
                    f"sum by (identity, result) (increase({own('arm_token_requests_total', window=_RATE)}))",
                    "{{identity}}, {{result}}",
                )
            ],
            bars=True,
            width=8,
            colours={
                "operator, success": "green",
                "operator, error": "red",
                "resource, success": "blue",
                "resource, error": "orange",
            },
            text="A token is replaced five minutes before its end, when a call needs it. resource: of spec.credential.",
            book="CredentialFailing",
        ),
    ]


def operator_row() -> list[Panel]:
    """The process, what it has to do, and what the API server lets it write."""
    ours = f"and on (job, instance) {own('build_info')}"
    passes = own("reconcile_duration_seconds_bucket", window=_RATE)
    one = [("red", None), ("green", 1), ("red", 2)]
    return [
        stat("Replicas", f"count({own('build_info')})", width=3, text="That are scraped.", book="Absent"),
        stat(
            "Leading",
            f"sum(max by (job, instance) ({own('leading')}))",
            width=3,
            steps=one,
            text="One works, the others stand by. Two are one too many.",
            book="TwoLeaders",
        ),
        stat(
            "Watching",
            f"sum(max by (job, instance) ({own('watching')}))",
            width=3,
            steps=one,
            text="The one that leads sees changes of the resources.",
            book="WatchStale",
        ),
        stat(
            "Last word of the API server",
            f"time() - max({own('watch_last_contact_timestamp_seconds')})",
            width=5,
            unit="s",
            steps=[("green", None), ("red", 600)],
            text="A watch is renewed every five minutes, whatever happens.",
            book="WatchStale",
        ),
        stat(
            "Token ends in",
            f"(max({own('arm_token_expiry_timestamp_seconds')}) > 0) - time()",
            width=5,
            unit="s",
            text="A new one is fetched when a call needs it, so that it may have ended while nothing is to be done.",
            book="CredentialFailing",
        ),
        table(
            "Versions",
            [("Replica", own("build_info"))],
            width=5,
            height=4,
            columns=("instance", "version"),
            text="Of the replicas.",
        ),
        series(
            "Queue",
            [(f"max({own('queue_depth')})", "due and waiting"), (f"max({own('reconciles_running')})", "at work")],
            width=8,
            text="Resources.",
            book="QueueOverdue",
        ),
        series(
            "Longest overdue",
            [(f"max({own('queue_oldest_overdue_seconds')})", "overdue")],
            unit="s",
            width=8,
            text="How long a resource has been due without being worked on.",
            book="QueueOverdue",
        ),
        series(
            "Passes by result",
            [(f"sum by (result) (increase({own('reconcile_total', window=_RATE)}))", "{{result}}")],
            bars=True,
            stacked=True,
            width=8,
            colours=_RESULTS,
            text="not_written: the API server did not take what came of it. crashed: a defect.",
            book="StatusNotWritten",
        ),
        series(
            "Time of a pass",
            [
                (f"histogram_quantile({quantile}, sum by (le) (rate({passes})))", f"{quantile:.0%}")
                for quantile in (0.5, 0.95)
            ],
            unit="s",
            width=8,
            text="Jobs included.",
        ),
        series(
            "What the API server refuses",
            [
                (
                    "sum by (operation, code) (increase("
                    + own("kube_requests_total", 'code!~"2..|404|409|422"', window=_RATE)
                    + ")) > 0",
                    "{{operation}}: {{code}}",
                )
            ],
            bars=True,
            width=8,
            text="Calls that were not answered well. Nothing is drawn while there are none.",
            book="StatusNotWritten",
        ),
        series(
            "Memory",
            [(f"process_resident_memory_bytes{{{SCOPE}}} {ours}", "{{instance}}")],
            unit="bytes",
            width=8,
            text="The resident set.",
            book="MostlyDown",
        ),
        series(
            "Processor",
            [(f"rate(process_cpu_seconds_total{{{SCOPE}}}{_RATE}) {ours}", "{{instance}}")],
            unit="percentunit",
            width=8,
            text="Part of a core that is used.",
        ),
        series(
            "Scrapes",
            [(f"scrape_duration_seconds{{{SCOPE}}} {ours}", "{{instance}}")],
            unit="s",
            width=8,
            text="How long it takes to be scraped.",
        ),
        series(
            "Series",
            [(f"scrape_samples_scraped{{{SCOPE}}} {ours}", "{{instance}}")],
            width=8,
            text=f"How many series a scrape brings, of {P} and of the process.",
        ),
    ]
