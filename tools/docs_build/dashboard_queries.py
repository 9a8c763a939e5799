"""Queries that several rows of the dashboard have in common."""

from __future__ import annotations

from typing import Final

from vault_autoupdate.metrics.spec_types import PREFIX

P: Final = PREFIX
SCOPE: Final = 'cluster=~"$cluster",job=~"$job"'
"""Matches the operators that are chosen at the top of the dashboard."""
CHOSEN: Final = f'{SCOPE},namespace=~"$namespace",name=~"$resource"'
"""Matches the resources that are chosen there."""
FEW: Final = 10
"""Resources that a panel draws at most."""

NONE: Final = f"0 * count({P}_build_info{{{SCOPE}}})"
"""Zero, where the operator is scraped at all: no data must not look like no trouble."""

__all__ = ["CHOSEN", "FEW", "NONE", "SCOPE", "P", "few", "mappings", "of", "own", "total"]


def own(metric: str, *matchers: str, window: str = "") -> str:
    """The series of a metric about the operator, or all resources together."""
    return f"{P}_{metric}{{{','.join([SCOPE, *matchers])}}}{window}"


def total(metric: str, *by: str, matchers: tuple[str, ...] = ()) -> str:
    """What a metric of all resources together comes to; a replica that stands by has none, or zeros."""
    labels = ", ".join(["cluster", "job", *by])
    inner = f"max by ({labels}) (sum by ({labels}, instance) ({own(metric, *matchers)}))"
    return f"sum by ({', '.join(by)}) ({inner})" if by else f"sum({inner})"


def of(metric: str, *more: str) -> str:
    """The series of a metric about the chosen resources, each once, however many replicas tell of it."""
    labels = ", ".join(["namespace", "name", *(each.partition("=")[0].rstrip("!") for each in more)])
    return f"max by ({labels}) ({P}_{metric}{{{','.join([CHOSEN, *more])}}})"


def few(expression: str) -> str:
    """The few resources that have most of something, those that have none left out."""
    return f"topk({FEW}, {expression} > 0)"


def mappings(state: str) -> str:
    """For each of the chosen resources, its mappings in a state; ``state`` begins with the operator."""
    return f"sum by (namespace, name) ({of('mappings', f'state{state}')})"
