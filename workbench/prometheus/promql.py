"""Finds metrics and labels in PromQL that the operator does not have. Good for this project's queries, no parser."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from vault_autoupdate.metrics.spec_types import Kind
from vault_autoupdate.metrics.specs import SPECS

_TARGET: Final = frozenset({"job", "instance", "namespace", "cluster", "exported_namespace"})
"""Labels that scraping adds to each series, or moves, and that a Prometheus above several clusters has."""
_FOREIGN: Final[Mapping[str, frozenset[str]]] = {
    "ALERTS": frozenset({"alertname", "alertstate", "severity", "namespace", "name"}),
    "process_resident_memory_bytes": frozenset(),
    "process_cpu_seconds_total": frozenset(),
}
_NAME: Final = re.compile(r"\b(?:vault_autoupdate_\w+|process_\w+|ALERTS\w*)\b")
_SELECTOR: Final = re.compile(rf"({_NAME.pattern})\s*\{{([^}}]*)\}}")
_MATCHER: Final = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"')
_GROUPING: Final = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_LEGEND: Final = re.compile(r"\{\{\s*(\w+)\s*\}\}")

__all__ = ["known_labels", "problems_of"]


def known_labels() -> dict[str, frozenset[str]]:
    """By series name: the labels that it has, those of scraping included."""
    known = {name: labels | _TARGET for name, labels in _FOREIGN.items()}
    for spec in SPECS:
        for name in spec.series:
            bucket = {"le"} if spec.kind is Kind.HISTOGRAM and name.endswith("_bucket") else set()
            known[name] = frozenset(spec.labels) | _TARGET | bucket
    return known


def problems_of(expression: str, legend: str = "") -> list[str]:
    """What an expression names that does not exist: metrics, labels of theirs, labels to group or show by."""
    known = known_labels()
    used = set(_NAME.findall(expression))
    problems = [f"no metric {name}" for name in sorted(used - known.keys())]
    for name, matchers in _SELECTOR.findall(expression):
        problems += _missing(_MATCHER.findall(matchers), known.get(name, frozenset()), f"{name} has no label")
    everywhere = _TARGET.union(*(known.get(name, frozenset()) for name in used))
    for grouping in _GROUPING.findall(expression):
        problems += _missing(re.findall(r"\w+", grouping), everywhere, "to group by, there is no label")
    problems += _missing(_LEGEND.findall(legend), everywhere, "to show, there is no label")
    return problems


def _missing(labels: Iterable[str], known: frozenset[str], what: str) -> list[str]:
    return [f"{what} {label}" for label in labels if label not in known]
