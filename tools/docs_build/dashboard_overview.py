"""The dashboard's first two rows: whether everything is right, and if not, whose it is."""

from __future__ import annotations

from typing import Final

from tools.docs_build.dashboard_queries import FEW, NONE, few, mappings, of, own, total
from tools.docs_build.grafana import Panel, bars_of, series, stat, table

_NOBODY: Final = f"((max({own('leading')}) < 1) or absent({own('leading')}))"
_TROUBLE: Final = f"(sum({own('resources_in_trouble')}) > 0)"
_MANY: Final = 'trouble=~"unready|not_ready|stalled|unchecked"'
_FIRING: Final = 'cluster=~"$cluster",alertname=~"VaultAutoUpdate.+",alertstate="firing",severity!="info"'
_CALLED: Final = (
    f'ALERTS{{{_FIRING},name!=""}} and on (namespace, name) ({own("resource_ready")} or {own("policy_ready")})',
    f'ALERTS{{{_FIRING},name=""}} and on (namespace) {own("build_info")}',
)
"""Alerts about the chosen operators, their resources and policies: green must not stand above them."""
_DRIFTED: Final = 'state="drifted"'
_ANY_REASON: Final = 'reason=~".+"'
_WORKING: Final = 'reason="Progressing"'
_NOT_READY: Final = ('ready!="True"', 'reason!="Suspended"')
_STATES: Final = {
    0: ("All is well", "green"),
    1: ("At work", "blue"),
    2: ("Somebody should look", "orange"),
    3: ("Many vaults need somebody", "red"),
    4: ("Nobody looks after the vaults", "dark-red"),
}
_WHY: Final = {
    "Progressing": "blue",
    "MappingsFailed": "orange",
    "AuthorizationFailed": "red",
    "AuthenticationFailed": "dark-red",
    "Throttled": "yellow",
    "ArmUnreachable": "purple",
}
_FRESH: Final = f"{total('resources_fresh')} / ({total('resources_expected_fresh')} > 0)"

__all__ = ["overview_row", "vaults_row"]


def _state() -> str:
    """The worst that can be said, as a number that has words."""
    working = f"({total('resources', matchers=(_WORKING,))} > 0)"
    worst = f"max(sum by (trouble) ({own('resources_in_trouble', _MANY)}))"
    many = f"({worst} / {total('resources')} > 0.2 and {worst} > 1)"
    looked_at = " or ".join(f"(vector(2) and on () ({each}))" for each in (_TROUBLE, *_CALLED))
    return (
        f"(vector(4) and on () {_NOBODY}) or (vector(3) and on () {many}) or {looked_at} "
        f"or (vector(1) and on () {working}) or vector(0)"
    )


def overview_row() -> list[Panel]:
    """Is everything right? What is wrong, whose it is, and how long it takes."""
    return [
        stat(
            "Is everything right?",
            _state(),
            width=8,
            height=5,
            words=_STATES,
            text="The worst that can be said at the moment, alerts that fire included. Many: more than a fifth of all, for one "
            "reason. What is wrong, and whose, is beside it.",
        ),
        stat(
            "Not Ready",
            f"{total('resources', matchers=_NOT_READY)} or {NONE}",
            width=4,
            height=5,
            steps=[("green", None), ("red", 1)],
            text="Resources whose vault is not as declared, or not known to be, those under way included. Suspended ones "
            "do not count.",
            book="NotReady",
        ),
        stat(
            "Vaults seen in time",
            _FRESH,
            width=4,
            height=5,
            unit="percentunit",
            steps=[("red", None), ("orange", 0.8), ("yellow", 0.98), ("green", 0.99)],
            text="Share of the vaults that were looked at within their last two intervals: the service level. The goal is "
            "99 % over 30 days.",
            book="FreshnessLow",
        ),
        stat(
            "Oldest look",
            f"time() - min({own('oldest_success_timestamp_seconds')})",
            width=4,
            height=5,
            unit="s",
            steps=[("green", None), ("orange", 7200), ("red", 14400)],
            text="Age of the oldest look at a vault. Suspended ones do not count. The colours are for an interval of an "
            "hour.",
            book="Unchecked",
        ),
        stat(
            "Done in about",
            f"{total('all_mappings', matchers=(_DRIFTED,))} / "
            f"(sum(rate({own('jobs_total', window='[10m]')})) > 0) or {NONE}",
            width=4,
            height=5,
            unit="s",
            zero="nothing under way",
            text="How long the changes that are left take at the pace of the last ten minutes. Nothing is under way where "
            "nothing is left, or nothing has been done for so long.",
        ),
        bars_of(
            "What is wrong",
            f"topk({FEW}, sum by (trouble) ({own('resources_in_trouble')}) > 0)",
            "{{trouble}}",
            width=8,
            text="Resources that somebody should look at, by why. Each has an alert of that name, and a page.",
        ),
        bars_of(
            "Why not Ready",
            f"topk({FEW}, {total('resources', 'reason', matchers=_NOT_READY)} > 0)",
            "{{reason}}",
            width=8,
            text="Resources that are not Ready by the reason of the condition. Progressing means that work goes on.",
            book="NotReady",
        ),
        bars_of(
            "Whose",
            f"topk({FEW}, count by (namespace) ({of('resource_not_ready_seconds')}))",
            "{{namespace}}",
            width=8,
            text="Namespaces with most resources that are not Ready.",
            book="MostlyNotReady",
        ),
    ]


def vaults_row() -> list[Panel]:
    """Mappings over time, the worst resources by name, and the alerts that fire."""
    alerts = 'sum by (alertname, severity) (ALERTS{alertname=~"VaultAutoUpdate.+",alertstate="firing"})'
    return [
        series(
            "Mappings by state",
            [(total("all_mappings", "state", matchers=('state!="ignored"',)), "{{state}}")],
            width=12,
            stacked=True,
            text="Of all resources, as they were last seen. Green is as declared.",
        ),
        series(
            "Ready and not",
            [
                (total("resources", matchers=('ready="True"',)), "Ready"),
                (f"{total('resources', matchers=_NOT_READY)} or {NONE}", "not Ready"),
            ],
            width=12,
            stacked=True,
            colours={"Ready": "green", "not Ready": "red"},
            text="Resources. Suspended ones are in neither.",
        ),
        table(
            "The worst resources",
            [
                ("Not Ready for", f"topk(20, {of('resource_not_ready_seconds', _ANY_REASON)})"),
            ],
            width=12,
            columns=("namespace", "name", "reason"),
            sort="Not Ready for",
            descending=True,
            text="Those that have not been Ready for longest, with the reason. vault-autoupdate status has all of them.",
            book="NotReady",
        ),
        table(
            "Alerts that fire",
            [("Firing", f"topk(20, {alerts})")],
            width=12,
            columns=("severity", "alertname"),
            sort="severity",
            text="Of all operators in sight, as far as this data source has the alerts. Each has a page among the runbooks.",
        ),
        series(
            "Why not Ready, over time",
            [(total("resources", "reason", matchers=_NOT_READY), "{{reason}}")],
            width=12,
            stacked=True,
            colours=_WHY,
            text="Resources that are not Ready by the reason of the condition.",
            book="NotReady",
        ),
        series(
            "Mappings that failed",
            [(few(mappings('="failed"')), "{{namespace}}/{{name}}")],
            width=12,
            text=f"The {FEW} resources with most mappings that were tried without success.",
            book="JobsFailing",
        ),
    ]
