"""The dashboard's row about policies: whether every vault that is meant is covered, and if not what."""

from __future__ import annotations

from typing import Final

from tools.docs_build.dashboard_queries import FEW, NONE, SCOPE, P
from tools.docs_build.grafana import Panel, series, stat, table

_STANDINGS: Final = {
    "managed": "green",
    "missing": "yellow",
    "without_account": "red",
    "conflicting": "orange",
    "foreign": "blue",
    "excluded": "#8e8e8e",
}
_RED: Final = (("green", None), ("red", 1))
_ORANGE: Final = (("green", None), ("orange", 1))

__all__ = ["policies_row"]


def _of(metric: str, *matchers: str, by: str = "") -> str:
    """The series of a metric about the policies of the chosen namespaces, each once."""
    labels = ", ".join(filter(None, ("cluster", "job", "namespace", "name", by)))
    matching = ",".join([SCOPE, 'namespace=~"$namespace"', *matchers])
    return f"max by ({labels}) ({P}_policy_{metric}{{{matching}}})"


def _vaults(standings: str) -> str:
    found = _of("vaults", f'standing=~"{standings}"', by="standing")
    return f"sum by (namespace, name) ({found})"


_COVERED: Final = _vaults("managed|foreign")
_UNCOVERED: Final = _vaults("missing|without_account|conflicting")
_MEANT: Final = f"({_COVERED} + {_UNCOVERED} > 0)"
_UNREACHABLE: Final = _of("subscriptions", 'state="unreachable"', by="state")


def policies_row() -> list[Panel]:
    """Is every vault covered that is meant? What is not, why, and how old is what is known?"""
    by_standing = _of("vaults", 'standing!~"not_selected|not_allowed"', by="standing")
    return [
        stat(
            "Vaults covered",
            f"sum({_COVERED}) / sum({_MEANT})",
            width=4,
            unit="percentunit",
            steps=(("red", None), ("orange", 0.9), ("green", 1)),
            text="Of the vaults that policies mean, the share that has a resource: of the policy, or written by hand.",
        ),
        stat(
            "Vaults without a resource",
            f"sum({_UNCOVERED}) or {NONE}",
            width=4,
            steps=_ORANGE,
            text="They wait for their wave, have no Automation account, or belong to another policy.",
            book="PolicyUncovered",
        ),
        stat(
            "Resources orphaned",
            f"sum({_of('resources_orphaned')}) or {NONE}",
            width=4,
            steps=_ORANGE,
            text="About vaults that are gone, excluded or no longer selected.",
            book="PolicyOrphans",
        ),
        stat(
            "Subscriptions unreachable",
            f"sum({_UNREACHABLE}) or {NONE}",
            width=4,
            steps=_RED,
            text="In scope, and not to be read. What is in them keeps its resources.",
            book="PolicyDiscoveryOld",
        ),
        stat(
            "Rollouts paused",
            f"sum({_of('rollout_paused')}) or {NONE}",
            width=4,
            steps=_RED,
            text="Policies that make no new resources because too many have failed.",
            book="PolicyRolloutPaused",
        ),
        stat(
            "Plans to approve",
            f"sum({_of('removals_blocked')}) or {NONE}",
            width=4,
            steps=_RED,
            text="Policies whose removals or changes are above their limits.",
            book="PolicyRemovalsBlocked",
        ),
        series(
            "Vaults by what becomes of them",
            [(f"sum by (standing) ({by_standing}) > 0", "{{standing}}")],
            stacked=True,
            colours=_STANDINGS,
            text="Of all policies. Those that are not selected are left out.",
        ),
        series(
            "Duration of discoveries",
            [(f"topk({FEW}, {_of('discovery_duration_seconds')})", "{{namespace}}/{{name}}")],
            unit="s",
            colours={},
            text="How long it took to find all vaults, the last time.",
        ),
        table(
            "Policies",
            [
                ("Without a resource", f"topk({FEW}, {_UNCOVERED})"),
                ("Not Ready", f"topk({FEW}, sum by (namespace, name) ({_of('resources_not_ready')}))"),
                ("Unreachable", f"topk({FEW}, sum by (namespace, name) ({_UNREACHABLE}))"),
                (
                    "Last full discovery",
                    f"topk({FEW}, time() - min by (namespace, name) ({_of('last_complete_discovery_timestamp_seconds')}))",
                ),
            ],
            width=24,
            sort="Without a resource",
            descending=True,
            text="The worst of each: vaults without a resource, resources that are not Ready, subscriptions that cannot be read.",
            book="PolicyDiscoveryOld",
        ),
    ]
