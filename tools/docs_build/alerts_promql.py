"""What the alerts are made of: a rule, and the pieces of PromQL that all of them need.

Every selector has braces, also where nothing is selected: the chart puts its own selector into them, so that a release
asks about its own series alone.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Final

from vault_autoupdate.metrics.spec_types import PREFIX

KEY: Final = "cluster, exported_namespace, namespace, name"
"""What tells resources apart, in a Prometheus above several clusters too.

Where a Prometheus does not honour the labels of what it scrapes, the resource's namespace is in ``exported_namespace``.
"""
OPERATOR: Final = "cluster, namespace"
"""What tells operators apart: there ``namespace`` is that of the pod."""
PROCESS: Final = "cluster, namespace, job"
SOURCE_KEY: Final = f"{KEY}, job"
"""What tells resources apart where it is recorded, so that selectors by job find it."""
MOVE: Final = "[10m]"
"""Longer than a pod takes to be replaced: what has to hold for days looks back so far, else each move begins it anew."""

_READY: Final = 'ready="True"'
_NOT_READY: Final = 'ready!="True",reason!="Suspended"'

__all__ = [
    "KEY", "MOVE", "OPERATOR", "PROCESS", "SOURCE_KEY", "Alert", "Record", "grown", "last_grown", "matching",
    "most", "of_resource", "old_looks", "own_series", "present", "refused_last", "refused_since", "series", "since",
    "told", "unless_suspended", "wrapped",
]  # fmt: skip


@dataclass(frozen=True)
class Alert:
    """One alerting rule."""

    name: str
    """Without ``VaultAutoUpdate``."""
    expr: str
    hold: str
    """``for``; empty for none."""
    severity: str
    summary: str
    description: str
    why: str = ""
    """Why the rule is as it is, for its readers."""
    of_resource: bool = False
    """Whether it is about one resource, which its labels name."""


@dataclass(frozen=True)
class Record:
    """One recording rule."""

    name: str
    expr: str
    why: str = ""


def series(metric: str, matchers: str = "", window: str = "") -> str:
    """The series of a metric of ours."""
    return f"{PREFIX}_{metric}{{{matchers}}}{window}"


def matching(label: str, values: str) -> str:
    """A matcher: the label has one of the values, which bars stand between."""
    return f'{label}{"=~" if "|" in values else "="}"{values}"'


def of_resource(expression: str, *more: str) -> str:
    """One value for each resource, whoever scraped it and however often."""
    return f"max by ({', '.join([KEY, *more])}) ({expression})"


def told(expression: str) -> str:
    """What an alert tells of resources: each with its own namespace in ``namespace``, wherever it stood.

    Done once, at the end: a label that is replaced costs more than all else that is done to a series.
    """
    more = [label for label in ("reason", "subject") if f"{KEY}, {label}" in expression]
    renamed = f'label_replace({expression}, "namespace", "$1", "exported_namespace", "(.+)")'
    return f"max by ({', '.join(['cluster, namespace, name', *more])}) ({renamed})"


def most(metric: str, window: str, matchers: str = "", *more: str) -> str:
    """The most that a metric of a resource came to over a window."""
    return of_resource(f"max_over_time({series(metric, matchers, window)})", *more)


def present(expression: str, *metrics: str) -> str:
    """``expression``, of resources alone that are there now: what looks back must not outlive what it is about."""
    found = " or ".join(of_resource(series(metric)) for metric in ("resource_ready", *metrics))
    return f"({expression}) and on ({KEY}) ({found})"


def unless_suspended(expression: str, window: str = "") -> str:
    """``expression``, of resources alone that nobody has suspended, nor had within ``window``."""
    suspended = most("resource_suspended", window) if window else of_resource(series("resource_suspended"))
    return f"({expression}) unless on ({KEY}) {suspended} == 1"


def old_looks() -> str:
    """The age of looks at what there is beside the mappings, of those that are days late."""
    same = "cluster, job, instance, subject"
    longest = f"max by ({same}) (3 * {series('look_interval_seconds')} + 86400)"
    return f"time() - {series('resource_last_look_timestamp_seconds')} > on ({same}) group_left () {longest}"


def since(record: str, state: str, out_of_it: str = "") -> Record:
    """Since when each resource has been in a state; a gap in the series of less than eight hours is none.

    ``out_of_it`` gives those that were seen out of it within the hour. Costs the same however long it has been: a look
    back over weeks of samples costs more with each of them.
    """
    began = f"last_over_time({own_series(record)}[8h])" + (
        f" unless on ({SOURCE_KEY}) {out_of_it}" if out_of_it else ""
    )
    now = f"time() + 0 * ({state})"
    expr = f"max by ({SOURCE_KEY}) ({began} or on ({SOURCE_KEY}) {now}) and on ({SOURCE_KEY}) ({state})"
    return Record(f"{PREFIX}:{record}", expr)


def own_series(record: str, matchers: str = "") -> str:
    """What a rule of ours has recorded."""
    return f"{PREFIX}:{record}{{{matchers}}}"


def grown(metric: str, window: str, matchers: str = "", by: str = OPERATOR) -> str:
    """By how much a counter has grown, counted once however often it is scraped."""
    each = f"max by ({PROCESS}, instance) (increase({series(metric, matchers, window)}))"
    return f"sum by ({by}) (max by ({OPERATOR}, instance) ({each}))"


def last_grown(record: str, metric: str, by: str, matchers: str) -> Record:
    """When a counter has grown last: looks may be a week apart, so no look back finds it.

    A counter that is above zero when it is first seen has grown before. Eleven minutes have two samples in them also
    where there is one in five minutes; one that was there within a day and is back after a gap is not new.
    """
    counted = series(metric, matchers)
    new = f"{counted} > 0 unless present_over_time({series(metric, matchers, '[1d]')} offset 11m)"
    grows = f"(sum by ({by}) (increase({series(metric, matchers, '[11m]')})) > 0 or group by ({by}) ({new}))"
    then = f"last_over_time({own_series(record)}[1d]) and on ({by}) {counted}"
    return Record(f"{PREFIX}:{record}", f"max by ({by}) (time() + 0 * {grows} or on ({by}) ({then}))")


def refused_last(refused: str, answered: str, by: str, matchers: str) -> str:
    """Of two records of when something has grown last: when it was refused, if it has not been answered well since."""
    return (
        f"({own_series(refused, matchers)} unless on ({by}) {own_series(answered)} >= on ({by}) {own_series(refused)})"
    )


def refused_since(metric: str, by: str, refused: str, answered: str, *matchers: str) -> str:
    """What was refused after it had last been answered well, and while not all resources are Ready.

    ``refused`` and ``answered`` are records of when these have grown last, ``matchers`` select what counts as refused.
    """
    counted = " or ".join(series(metric, each) for each in matchers)
    all_ready = (
        f"(sum by (cluster) ({series('resources', _READY)}) > 0 unless on (cluster) "
        f"sum by (cluster) ({series('resources', _NOT_READY)}) > 0)"
    )
    return (
        f"sum by ({by}) ({counted}) > 0 unless on ({by}) ({own_series(answered)} unless on ({by}) "
        f"{own_series(refused)} > on ({by}) {own_series(answered)}) unless on (cluster) {all_ready}"
    )


def wrapped(text: str, indent: int) -> str:
    """Text for a folded YAML scalar."""
    pad = " " * indent
    return textwrap.fill(
        text, 120, initial_indent=pad, subsequent_indent=pad, break_long_words=False, break_on_hyphens=False
    )
