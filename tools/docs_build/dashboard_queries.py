"""Queries that several rows of the dashboard have in common."""

from __future__ import annotations

from typing import Final

from vault_autoupdate.metrics.spec_types import PREFIX

P: Final = PREFIX
CHOSEN: Final = 'namespace=~"$namespace",name=~"$resource"'
"""Matches the resources that are chosen at the top of the dashboard."""

__all__ = ["CHOSEN", "P", "mappings", "of"]


def of(metric: str, *more: str) -> str:
    """The series of a metric about the chosen resources, each once, however many replicas tell of it."""
    labels = ", ".join(["namespace", "name", *(each.partition("=")[0].rstrip("!") for each in more)])
    return f"max by ({labels}) ({P}_{metric}{{{','.join([CHOSEN, *more])}}})"


def mappings(state: str) -> str:
    """For each of the chosen resources, its mappings in a state; ``state`` begins with the operator."""
    return f"sum by (namespace, name) ({of('mappings', f'state{state}')})"
