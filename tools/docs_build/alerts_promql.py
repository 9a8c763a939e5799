"""What the alerts are made of: a rule, and the pieces of PromQL that all of them need.

Every selector has braces, also where nothing is selected: the chart puts its own selector into them, so that a release
asks about its own series alone.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Final

from vault_autoupdate.metrics.spec_types import PREFIX

KEY: Final = "cluster, namespace, name"
"""What tells resources apart, in a Prometheus above several clusters too."""
OPERATOR: Final = "cluster, namespace"
"""What tells operators apart: there ``namespace`` is that of the pod."""
PROCESS: Final = "cluster, namespace, job"
MOVE: Final = "[10m]"
"""Longer than a pod takes to be replaced: what has to hold for days looks back so far, else each move begins it anew."""

_READY: Final = 'ready="True"'
_NOT_READY: Final = 'ready!="True",reason!="Suspended"'

__all__ = [
    "KEY", "MOVE", "OPERATOR", "PROCESS", "Alert", "Record", "count_of_last", "grown", "matching", "most", "of_resource",
    "old_looks", "present", "refused_since", "series", "unless_suspended", "wrapped",
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
    why: str


def series(metric: str, matchers: str = "", window: str = "") -> str:
    """The series of a metric of ours."""
    return f"{PREFIX}_{metric}{{{matchers}}}{window}"


def matching(label: str, pattern: str) -> str:
    """A matcher: the label has one of the values in ``pattern``."""
    return f'{label}=~"{pattern}"'


def of_resource(expression: str, *more: str) -> str:
    """One value for each resource, whoever scraped it and however often, and wherever its namespace stands.

    Where a Prometheus does not honour the labels of what it scrapes, the resource's namespace is in
    ``exported_namespace``.
    """
    renamed = f'label_replace({expression}, "namespace", "$1", "exported_namespace", "(.+)")'
    return f"max by ({', '.join([KEY, *more])}) ({renamed})"


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


def count_of_last(expression: str, window: str, step: str) -> str:
    """How many of the steps of a window an expression gave something at; a gap does not begin it anew."""
    return f"count_over_time(({expression})[{window}:{step}])"


def grown(metric: str, window: str, matchers: str = "", by: str = OPERATOR) -> str:
    """By how much a counter has grown, counted once however often it is scraped."""
    each = f"max by ({PROCESS}, instance) (increase({series(metric, matchers, window)}))"
    return f"sum by ({by}) (max by ({OPERATOR}, instance) ({each}))"


def refused_since(metric: str, refused: str, answered: str, by: str) -> str:
    """What was refused after it had last been answered well, and while not all resources are Ready.

    A counter that is 1 when it is first seen has not grown, and looks may be hours apart: so not the growth within
    some time tells, but which of the two has grown last within a day. Eleven minutes have two samples in them also where
    there is one in five minutes.
    """

    def last_grown(matchers: str) -> str:
        grown_now = f"sum by ({by}) (increase({series(metric, matchers, '[11m]')})) > bool 0"
        return f"max_over_time((time() * ({grown_now}))[1d:10m])"

    all_ready = (
        f"(sum by (cluster) ({series('resources', _READY)}) > 0 unless on (cluster) "
        f"sum by (cluster) ({series('resources', _NOT_READY)}) > 0)"
    )
    return (
        f"sum by ({by}) ({series(metric, refused)}) > 0 unless on ({by}) "
        f"((({last_grown(answered)}) > 0) >= on ({by}) {last_grown(refused)}) unless on (cluster) {all_ready}"
    )


def wrapped(text: str, indent: int) -> str:
    """Text for a folded YAML scalar."""
    pad = " " * indent
    return textwrap.fill(
        text, 120, initial_indent=pad, subsequent_indent=pad, break_long_words=False, break_on_hyphens=False
    )
