"""What is said of a metric before it has any value: name, kind, labels, meaning. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

PREFIX: Final = "vault_autoupdate"
OF_THE_RESOURCE: Final = "of the resource"
RESOURCE_LABELS: Final = {"namespace": OF_THE_RESOURCE, "name": OF_THE_RESOURCE}

__all__ = ["OF_THE_RESOURCE", "PREFIX", "RESOURCE_LABELS", "Kind", "MetricSpec", "Section", "quoted"]


class Kind(StrEnum):
    """Prometheus' types."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Section(StrEnum):
    """What metrics are about; the order is that of the documentation."""

    TOTALS = "All resources together"
    RESOURCES = "Resources"
    AGENTS = "Agents and the Automation account"
    POLICIES = "Policies"
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
    usual: int = 0
    """Series that a resource has of it which is as declared, with its agents and its account known and well."""

    @property
    def series(self) -> tuple[str, ...]:
        """The names under which its samples are found."""
        if self.kind is Kind.HISTOGRAM:
            return tuple(f"{self.name}_{part}" for part in ("bucket", "sum", "count"))
        return (self.name,)


def quoted(values: Iterable[str]) -> str:
    """Values of a label, for the documentation."""
    return ", ".join(f"`{value}`" for value in values)
