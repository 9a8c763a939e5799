"""Writes the Grafana dashboard that the chart ships.

Plain dictionaries in the form that Grafana exports, so that the file can be imported as it is. All rows but the first
two are closed, so that nothing is asked about that nobody looks at.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from tools.docs_build.dashboard_agents import agents_row
from tools.docs_build.dashboard_azure import azure_row, operator_row
from tools.docs_build.dashboard_overview import overview_row, vaults_row
from tools.docs_build.dashboard_policies import policies_row
from tools.docs_build.dashboard_queries import SCOPE, P, own
from tools.docs_build.dashboard_work import drift_row, jobs_row
from tools.docs_build.grafana import DATASOURCE, RUNBOOKS, Panel

PAGE: Final = Path(__file__).resolve().parents[2] / "charts/vault-autoupdate/files/dashboards/vault-autoupdate.json"

_WIDTH: Final = 24
_OPEN: Final = 2
"""Rows that are open when the dashboard is."""


def rows() -> list[tuple[str, list[Panel]]]:
    """All panels, by row."""
    return [
        ("Overview", overview_row()),
        ("Vaults", vaults_row()),
        ("Drift and repair", drift_row()),
        ("Jobs", jobs_row()),
        ("Agents", agents_row()),
        ("Policies", policies_row()),
        ("Azure", azure_row()),
        ("Operator", operator_row()),
    ]


def placed(panels: list[Panel], top: int) -> tuple[list[Panel], int]:
    """Put panels side by side from line ``top`` on; returns them, and the line below."""
    found: list[Panel] = []
    left = line_height = 0
    for panel in panels:
        place = panel["gridPos"]
        if left + place["w"] > _WIDTH:
            top, left, line_height = top + line_height, 0, 0
        found.append({**panel, "gridPos": {"x": left, "y": top, **place}})
        left, line_height = left + place["w"], max(line_height, place["h"])
    return found, top + line_height


def _variable(name: str, label: str, query: str, *, every: str = ".+") -> Panel:
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
        "allValue": every,
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _annotation(name: str, expression: str, colour: str, title: str) -> Panel:
    return {
        "name": name,
        "enable": True,
        "datasource": DATASOURCE,
        "expr": expression,
        "iconColor": colour,
        "titleFormat": title,
        "step": "60s",
        "useValueForTime": True,
    }


def build() -> Panel:
    """The dashboard."""
    panels: list[Panel] = []
    top = 0
    for number, (title, members) in enumerate(rows()):
        row: Panel = {"type": "row", "title": title, "gridPos": {"x": 0, "y": top, "w": _WIDTH, "h": 1}}
        inside, below = placed(members, top + 1)
        if number < _OPEN:
            panels += [{**row, "collapsed": False, "panels": []}, *inside]
            top = below
        else:
            panels.append({**row, "collapsed": True, "panels": inside})
            top += 1
    _number(panels)
    return {
        "uid": "vault-autoupdate",
        "title": "vault-autoupdate",
        "description": "Auto-update of Azure Site Recovery vaults: what is as declared, what is not, and why.",
        "tags": ["vault-autoupdate", "azure", "site-recovery"],
        "schemaVersion": 39,
        "version": 2,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "1m",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "annotations": {
            "list": [
                _annotation("Starts", f"{own('start_timestamp_seconds')} * 1000", "orange", "started: {{instance}}"),
                _annotation(
                    "Versions",
                    f"max by (version) ({own('build_info')} * on (job, instance) group_left () "
                    f"{own('start_timestamp_seconds')}) * 1000",
                    "blue",
                    "version {{version}}",
                ),
                _annotation(
                    "Changes of a spec",
                    f"max by (cluster, job) ({own('last_spec_change_timestamp_seconds')}) * 1000",
                    "purple",
                    "a spec was changed: the log says which, and what of it",
                ),
            ]
        },
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
                _variable("cluster", "Cluster", f"label_values({P}_build_info, cluster)", every=".*"),
                _variable("job", "Operator", f'label_values({P}_build_info{{cluster=~"$cluster"}}, job)', every=".*"),
                _variable("namespace", "Namespace", f"label_values({P}_resource_ready{{{SCOPE}}}, namespace)"),
                _variable(
                    "resource", "Resource", f'label_values({P}_resource_ready{{{SCOPE},namespace=~"$namespace"}}, name)'
                ),
            ]
        },
        "links": [{"title": "Runbooks", "type": "link", "url": f"{RUNBOOKS}/README.md", "targetBlank": True}],
        "panels": panels,
    }


def _number(panels: list[Panel]) -> None:
    """Give each panel a number of its own, those in closed rows too."""
    number = 0
    for panel in panels:
        for each in (panel, *panel.get("panels", ())):
            number += 1
            each["id"] = number


def render() -> str:
    """The file."""
    return json.dumps(build(), indent=2) + "\n"
