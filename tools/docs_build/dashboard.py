"""Writes the Grafana dashboard that the chart ships.

Plain dictionaries in the form that Grafana exports, so that the file can be imported as it is.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from tools.docs_build.dashboard_agents import agents_row
from tools.docs_build.dashboard_queries import CHOSEN, P, mappings, of
from tools.docs_build.grafana import DATASOURCE, Panel, heatmap, series, stat, table

PAGE: Final = Path(__file__).resolve().parents[2] / "charts/vault-autoupdate/files/dashboards/vault-autoupdate.json"

_WIDTH: Final = 24
_COMPLIANT: Final = mappings('="compliant"')
_IN_SCOPE: Final = mappings('!="ignored"')
_FAILED: Final = mappings('="failed"')
_BEHIND: Final = of("agents", 'state="behind"')
_BY_STATE: Final = of("mappings", 'state!="ignored"')
_BY_REASON: Final = of("resource_failures", 'reason=~".+"')


def rows() -> list[tuple[str, list[Panel]]]:
    """All panels, by row."""
    return [
        ("Fleet", _fleet()),
        ("Drift and repair", _drift()),
        ("Jobs", _jobs()),
        ("Agents", agents_row()),
        ("Azure Resource Manager", _arm()),
        ("Operator", _operator()),
    ]


def _fleet() -> list[Panel]:
    return [
        stat("Resources", f"count({of('resource_ready')})", width=2, text="VaultAutoUpdate resources."),
        stat("Ready", f"sum({of('resource_ready')})", width=2, text="Resources whose vault is as declared."),
        stat(
            "Mappings as declared",
            f"sum({_COMPLIANT}) / sum({_IN_SCOPE})",
            width=4,
            unit="percentunit",
            steps=[("red", None), ("yellow", 0.95), ("green", 1)],
            text="Of all mappings in scope.",
        ),
        stat(
            "Mappings failed",
            f"sum({_FAILED})",
            width=3,
            steps=[("green", None), ("red", 1)],
            text="Tried without success; they wait for the next try.",
        ),
        stat(
            "Longest not Ready",
            f"max({of('resource_not_ready_seconds')})",
            width=4,
            unit="s",
            steps=[("green", None), ("yellow", 1800), ("red", 7200)],
            text="Of the resources that are not Ready. Suspended ones do not count.",
        ),
        stat(
            "Agents behind",
            f"sum({_BEHIND})",
            width=3,
            steps=[("green", None), ("yellow", 1)],
            text="Machines for whose agent an update waits, in the vaults where that is known.",
        ),
        stat(
            "Oldest look",
            f"time() - min({of('resource_last_success_timestamp_seconds')})",
            width=3,
            unit="s",
            text="Age of the oldest look at a vault that went well.",
        ),
        stat(
            "Alerts",
            'count(ALERTS{alertname=~"VaultAutoUpdate.+",alertstate="firing"}) or vector(0)',
            width=3,
            steps=[("green", None), ("red", 1)],
            text="Alerts of vault-autoupdate that are firing.",
        ),
        series(
            "Mappings by state",
            [(f"sum by (state) ({_BY_STATE})", "{{state}}")],
            width=12,
            stacked=True,
            text="All chosen resources. Green is as declared.",
        ),
        table(
            "By resource",
            [
                ("Ready", of("resource_ready")),
                ("As declared", f"{_COMPLIANT} / ({_IN_SCOPE} > 0)"),
                ("Failed", _FAILED),
                ("Jobs", of("jobs_in_flight")),
                ("Not Ready for", of("resource_not_ready_seconds")),
                ("Agents behind", f"sum by (namespace, name) ({_BEHIND})"),
                ("Last look", f"time() - {of('resource_last_success_timestamp_seconds')}"),
                ("Suspended", of("resource_suspended")),
            ],
            width=12,
            text="The worst first.",
        ),
    ]


def _drift() -> list[Panel]:
    return [
        series(
            "Found to differ",
            [
                (f"sum(increase({P}_drift_detected_total[$__rate_interval]))", "differ from the declaration"),
                (f"sum(increase({P}_repairs_total[$__rate_interval]))", "unhealthy"),
            ],
            bars=True,
            text="Mappings, at each look. The first run over a vault is in here too.",
        ),
        series(
            "Undone by somebody else",
            [
                (
                    f"sum by (namespace, name) (increase({P}_resource_reverts_total{{{CHOSEN}}}[$__rate_interval]))",
                    "{{namespace}}/{{name}}",
                )
            ],
            bars=True,
            text="Looks that found mappings changed after they had been as declared. Again and again: two are at odds.",
        ),
        series(
            "Tried without success",
            [(f"sum by (reason) ({_BY_REASON})", "{{reason}}")],
            stacked=True,
            width=6,
            text="Mappings that wait for the next try, by why. StillDiffers: the job succeeded and cured nothing.",
        ),
        series(
            "Most tries of a mapping",
            [(of("resource_attempts_most"), "{{namespace}}/{{name}}")],
            width=6,
            text="Each try doubles the wait before the next one.",
        ),
    ]


def _jobs() -> list[Panel]:
    return [
        series(
            "Changes by outcome",
            [(f"sum by (outcome) (increase({P}_jobs_total[$__rate_interval]))", "{{outcome}}")],
            bars=True,
            stacked=True,
        ),
        heatmap("Duration of jobs", f"sum by (le) (increase({P}_job_duration_seconds_bucket[$__rate_interval]))"),
        series("Jobs in flight", [(of("jobs_in_flight"), "{{namespace}}/{{name}}")], stacked=True, width=18),
        stat(
            "Looks at undocumented job states",
            f"sum(increase({P}_job_unknown_states_total[$__range]))",
            width=6,
            height=8,
            text="Such jobs are waited for like running ones.",
        ),
    ]


def _arm() -> list[Panel]:
    duration = f"{P}_arm_request_duration_seconds_bucket[$__rate_interval]"
    wait = f"{P}_arm_throttle_wait_seconds_bucket[$__rate_interval]"
    return [
        series(
            "Calls by answer",
            [(f"sum by (code) (rate({P}_arm_requests_total[$__rate_interval])) > 0", "{{code}}")],
            unit="reqps",
            stacked=True,
            width=8,
        ),
        series(
            "Calls by operation",
            [(f"sum by (operation) (rate({P}_arm_requests_total[$__rate_interval]))", "{{operation}}")],
            unit="reqps",
            stacked=True,
            width=8,
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
            "Quota left",
            [
                (f"min by (region, kind, scope) ({P}_arm_quota_remaining)", "{{kind}} {{region}} ({{scope}})"),
                (f"min by (kind) ({P}_arm_quota_reported)", "{{kind}}, as Azure says"),
            ],
            width=8,
            text="Calls that could leave now. Azure's own count is of whatever subscription it answered about last.",
        ),
        series(
            "Wait for quota",
            [(f"histogram_quantile(0.95, sum by (le, kind) (rate({wait})))", "{{kind}}, 95%")],
            unit="s",
            width=8,
        ),
        series(
            "Refused with 429",
            [
                (f"sum by (kind) (increase({P}_arm_throttled_total[$__rate_interval]))", "{{kind}} refused"),
                (f"max by (kind) ({P}_arm_throttle_paused_seconds)", "{{kind}} paused (s)"),
            ],
            width=8,
            text="Something else uses up the limits, since the operator stays below them on its own.",
        ),
        series(
            "Calls that wait",
            [(f"sum by (kind) ({P}_arm_calls_waiting)", "{{kind}}")],
            width=8,
        ),
        series(
            "Share of the limits in use",
            [(f"min by (region, kind, scope) ({P}_arm_throttle_share_ratio)", "{{kind}} {{region}} ({{scope}})")],
            unit="percentunit",
            width=8,
            text="Lowered by a 429; it recovers step by step.",
        ),
        series(
            "Tokens",
            [
                (f"sum by (result) (increase({P}_arm_token_requests_total[$__rate_interval]))", "{{result}}"),
            ],
            bars=True,
            width=8,
            text="A token is replaced five minutes before its end, when a call needs it.",
        ),
    ]


def _operator() -> list[Panel]:
    ours = f"and on (job, instance) {P}_build_info"
    passes = f"{P}_reconcile_duration_seconds_bucket[$__rate_interval]"
    return [
        stat("Replicas", f"count({P}_build_info)", width=3),
        stat("Leading", f"sum({P}_leading)", width=3, steps=[("red", None), ("green", 1)]),
        stat("Watching", f"sum({P}_watching)", width=3, steps=[("red", None), ("green", 1)]),
        stat(
            "Last word of the API server",
            f"time() - max({P}_watch_last_contact_timestamp_seconds)",
            width=5,
            unit="s",
            steps=[("green", None), ("red", 600)],
            text="A watch is renewed every five minutes, whatever happens.",
        ),
        stat(
            "Token ends in",
            f"max({P}_arm_token_expiry_timestamp_seconds) - time()",
            width=5,
            unit="s",
            text="A new one is fetched when a call needs it, so that it may have ended while nothing is to be done.",
        ),
        table("Versions", [("Replica", f"{P}_build_info")], width=5, height=4, columns=("instance", "version")),
        series(
            "Queue",
            [
                (f"max({P}_queue_depth)", "due and waiting"),
                (f"max({P}_reconciles_running)", "at work"),
                (f"max({P}_queue_oldest_overdue_seconds)", "oldest overdue (s)"),
            ],
            width=8,
        ),
        series(
            "Passes by result",
            [(f"sum by (result) (increase({P}_reconcile_total[$__rate_interval]))", "{{result}}")],
            bars=True,
            stacked=True,
            width=8,
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
        series("Memory", [(f"process_resident_memory_bytes {ours}", "{{instance}}")], unit="bytes"),
        series("CPU", [(f"rate(process_cpu_seconds_total[$__rate_interval]) {ours}", "{{instance}}")]),
    ]


# --- the whole ----------------------------------------------------------------------------------------------------


def _variable(name: str, label: str, query: str) -> Panel:
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".+",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def build() -> Panel:
    """The dashboard."""
    panels: list[Panel] = []
    top = 0
    for title, members in rows():
        panels.append(
            {"type": "row", "title": title, "collapsed": False, "gridPos": {"x": 0, "y": top, "w": 24, "h": 1}}
        )
        top, left, line_height = top + 1, 0, 0
        for panel in members:
            place = panel["gridPos"]
            if left + place["w"] > _WIDTH:
                top, left, line_height = top + line_height, 0, 0
            panels.append({**panel, "gridPos": {"x": left, "y": top, **place}})
            left, line_height = left + place["w"], max(line_height, place["h"])
        top += line_height
    return {
        "uid": "vault-autoupdate",
        "title": "vault-autoupdate",
        "description": "Auto-update of Azure Site Recovery vaults: what is as declared, what is not, and why.",
        "tags": ["vault-autoupdate", "azure", "site-recovery"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "1m",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": []},
        "templating": {
            "list": [
                {
                    "type": "datasource",
                    "name": "datasource",
                    "label": "Data source",
                    "query": "prometheus",
                    "current": {},
                    "refresh": 1,
                },
                _variable("namespace", "Namespace", f"label_values({P}_resource_ready, namespace)"),
                _variable("resource", "Resource", f'label_values({P}_resource_ready{{namespace=~"$namespace"}}, name)'),
            ]
        },
        "links": [
            {
                "title": "Runbooks",
                "type": "link",
                "url": "https://github.com/vault-autoupdate/vault-autoupdate/tree/main/docs/runbooks",
                "targetBlank": True,
            }
        ],
        "panels": [{"id": number, **panel} for number, panel in enumerate(panels, start=1)],
    }


def render() -> str:
    """The file."""
    return json.dumps(build(), indent=2) + "\n"
