"""Writes the alerts: a rule file for Prometheus as it is, and the source of the chart's PrometheusRule."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tools.docs_build.alerts_agents import ACCOUNT_ALERTS, AGENT_ALERTS
from tools.docs_build.alerts_azure import AZURE_ALERTS, REFUSAL_RULES
from tools.docs_build.alerts_operator import OPERATOR_ALERTS, WRITE_RULES
from tools.docs_build.alerts_policies import POLICY_ALERTS
from tools.docs_build.alerts_promql import Alert, Record, told, wrapped
from tools.docs_build.alerts_vaults import RECORDS, SLOW_VAULT_ALERTS, VAULT_ALERTS

PAGE: Final = Path(__file__).resolve().parents[2] / "charts/vault-autoupdate/files/alerts.yaml"
_RUNBOOKS: Final = "https://github.com/vault-autoupdate/vault-autoupdate/blob/main/docs/runbooks"
_DASHBOARD: Final = "/d/vault-autoupdate/vault-autoupdate"
_HEAD: Final = """\
# The alerts of vault-autoupdate: a rule file for Prometheus as it is, and the source of the chart's PrometheusRule.
# Written by tools/docs_build/alerts*.py. Do not edit. Each alert has a page in docs/runbooks/ and cases in
# tests/monitoring/rules/.
#
# A resource is known by cluster, namespace and name, wherever its namespace stands: with honor_labels, as the chart's
# monitors scrape, in "namespace", else in "exported_namespace". Every selector has braces, so that one of your own can be
# put into them; the chart does it by itself:
#   sed -E '/description:/!s/(vault_autoupdate[a-z_:]+)\\{/\\1{job="vault-autoupdate-metrics",/g' alerts.yaml
# What is recorded keeps job, cluster and namespace. Alerts about weeks count from when these rules were first evaluated.
groups:
"""
GROUPS: Final[Sequence[tuple[str, Sequence[Alert | Record]]]] = (
    ("vault-autoupdate.records", RECORDS),
    ("vault-autoupdate.operator", OPERATOR_ALERTS),
    ("vault-autoupdate.writes", WRITE_RULES),
    ("vault-autoupdate.vaults", VAULT_ALERTS),
    ("vault-autoupdate.vaults-slow", SLOW_VAULT_ALERTS),
    ("vault-autoupdate.agents", AGENT_ALERTS),
    ("vault-autoupdate.accounts", ACCOUNT_ALERTS),
    ("vault-autoupdate.policies", POLICY_ALERTS),
    ("vault-autoupdate.azure", AZURE_ALERTS),
    ("vault-autoupdate.refusals", REFUSAL_RULES),
)

_RARELY: Final = frozenset({"vault-autoupdate.vaults-slow", "vault-autoupdate.agents"})
"""Groups about days and weeks, for which every three minutes is enough: still often enough for ALERTS to have no gaps."""

__all__ = ["GROUPS", "render"]


def render() -> str:
    """The file."""
    return _HEAD + "\n".join(_group(name, rules) for name, rules in GROUPS)


def _group(name: str, rules: Sequence[Alert | Record]) -> str:
    interval = "    interval: 3m\n" if name in _RARELY else ""
    return f"  - name: {name}\n{interval}    rules:\n" + "\n".join(_rule(rule) for rule in rules)


def _rule(rule: Alert | Record) -> str:
    comment = "".join(f"      # {line.strip()}\n" for line in wrapped(rule.why, 8).splitlines()) if rule.why else ""
    if isinstance(rule, Record):
        return f"{comment}      - record: {rule.name}\n        expr: >-\n{wrapped(rule.expr, 10)}\n"
    annotations = {
        "summary": rule.summary,
        "description": rule.description,
        "value": "{{ $value | humanize }}",
        "runbook_url": f"{_RUNBOOKS}/VaultAutoUpdate{rule.name}.md",
        "dashboard_url": _DASHBOARD
        + ("?var-namespace={{ $labels.namespace }}&var-resource={{ $labels.name }}" if rule.of_resource else ""),
    }
    expr = told(rule.expr) if "$labels.name }}" in rule.description else rule.expr
    hold = f"        for: {rule.hold}\n" if rule.hold else ""
    said = "".join(f"          {name}: {json.dumps(text)}\n" for name, text in annotations.items())
    return (
        f"{comment}      - alert: VaultAutoUpdate{rule.name}\n        expr: >-\n{wrapped(expr, 10)}\n{hold}"
        f"        labels:\n          severity: {rule.severity}\n        annotations:\n{said}"
    )
