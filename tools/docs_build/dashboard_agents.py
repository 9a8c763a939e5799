"""The dashboard's row about agents."""

from __future__ import annotations

from typing import Final

from tools.docs_build.dashboard_queries import FEW, NONE, of, own, total
from tools.docs_build.grafana import Panel, heatmap, series, stat, table

_HEALTHY: Final = of("automation_account_healthy")
_NEXT_RUN: Final = own("automation_account_next_run_timestamp_seconds")
_UNDER_WAY: Final = of("agent_updates_in_flight")
_WAITING: Final = of("agent_updates_waiting")
_NOT_UPDATED: Final = of("agent_updates_failed_machines")
_EXPIRING: Final = of("agents_concern", 'concern=~"expired|expiring"')
_FAR_BEHIND: Final = of("agents_concern", 'concern="far_behind"')
_STATES: Final = {"current": "green", "behind": "yellow", "unknown": "#8e8e8e"}
_CONCERNS: Final = {
    "expired": "dark-red",
    "expiring": "red",
    "far_behind": "orange",
    "update_required": "yellow",
    "upgrading": "blue",
}
_UPDATES: Final = {"under way": "blue", "waiting": "yellow", "failed": "red"}
_PHASES: Final = {"Rolling": "blue", "Done": "green", "Stopped": "red", "Paused": "orange", "Closed": "#8e8e8e"}

_SUBJECTS: Final = {
    'subject="agents"': "agents",
    'subject="automation_account"': "an account",
    'subject="runbook_schedules"': "schedules",
}
_AMISS: Final = ('type="RunbookScheduleInSync"', 'status!="True"', 'reason=~".+"')

__all__ = ["agents_row"]


def agents_row() -> list[Panel]:
    """Agents, their updates in windows, and the Automation accounts."""
    by_state, by_version = of("agents", 'state=~".+"'), own("agent_versions")
    by_concern, by_phase = of("agents_concern", 'concern=~".+"'), of("agent_updates_phase", 'phase=~".+"')
    return [
        stat(
            "Expired, or within 60 days",
            f"sum({_EXPIRING}) or {NONE}",
            width=4,
            steps=[("green", None), ("red", 1)],
            text="Machines whose agent Site Recovery supports no longer, or not for long.",
        ),
        stat(
            "More than four releases behind",
            f"sum({_FAR_BEHIND}) or {NONE}",
            width=4,
            steps=[("green", None), ("orange", 1)],
            text="Machines whose agent Microsoft does not support.",
        ),
        stat("Updates under way", f"sum({_UNDER_WAY}) or {NONE}", width=3, text="In windows: spec.agentUpdates."),
        stat(
            "Waiting for a window",
            f"sum({_WAITING}) or {NONE}",
            width=3,
            text="Machines that a window would still update.",
        ),
        stat(
            "Updates failed",
            f"sum({_NOT_UPDATED}) or {NONE}",
            width=3,
            steps=[("green", None), ("red", 1)],
            text="Machines whose last update in a window failed.",
        ),
        stat(
            "Accounts unhealthy",
            f"count({_HEALTHY} == 0) or {NONE}",
            width=3,
            steps=[("green", None), ("red", 1)],
            text="Automation accounts that cannot update agents. The condition AutomationAccountHealthy says why.",
        ),
        stat(
            "Next run of an account",
            f"min({_NEXT_RUN}) - time()",
            width=4,
            unit="s",
            steps=[("red", None), ("blue", 0)],
            text="Negative: it is missing. Of all accounts, the run that comes first, as it was when the account was last looked at.",
        ),
        *(
            stat(
                f"Oldest look at {what}",
                f"time() - min({own('oldest_look_timestamp_seconds', matcher)})",
                width=6,
                unit="s",
                steps=[("green", None), ("orange", 86400), ("red", 151200)],
                text="How old the oldest of what is said of them is, suspended resources aside. The colours are for an "
                "interval of six hours.",
                book="LooksOld",
            )
            for matcher, what in _SUBJECTS.items()
        ),
        stat(
            "Schedules at another time",
            total("all_runbook_schedules", matchers=('state="amiss"',)),
            width=6,
            steps=[("green", None), ("orange", 1)],
            text="Schedules of the update runbook that do not run as spec.runbookSchedule says.",
            book="SchedulesNotKept",
        ),
        series(
            "Machines by state",
            [(f"sum by (state) ({by_state})", "{{state}}")],
            stacked=True,
            width=8,
            colours=_STATES,
            text="behind: an update waits.",
            book="AgentsBehind",
        ),
        series(
            "Machines by version",
            [(f"sum by (version) ({by_version})", "{{version}}")],
            stacked=True,
            width=8,
            colours={},
            text="Of all vaults where that is known.",
        ),
        series(
            "What is wrong with agents",
            [(f"sum by (concern) ({by_concern}) > 0", "{{concern}}")],
            width=8,
            colours=_CONCERNS,
            text="A machine may have several concerns.",
        ),
        series(
            "Updates in windows",
            [
                (f"sum({_UNDER_WAY}) or {NONE}", "under way"),
                (f"sum({_WAITING}) or {NONE}", "waiting"),
                (f"sum({_NOT_UPDATED}) or {NONE}", "failed"),
            ],
            width=8,
            colours=_UPDATES,
            text="Machines.",
            book="AgentUpdatesFailing",
        ),
        series(
            "Updates by outcome",
            [
                (
                    f"sum by (outcome) (increase({own('agent_updates_total', window='[$__rate_interval]')}))",
                    "{{outcome}}",
                )
            ],
            bars=True,
            stacked=True,
            width=8,
            text="In windows, or asked for by the annotation.",
            book="AgentRolloutStopped",
        ),
        heatmap(
            "Duration of updates",
            f"sum by (le) (increase({own('agent_update_duration_seconds_bucket', window='[$__rate_interval]')}))",
            text="From the start of an agent's update to the end of its job as it was seen.",
            width=8,
        ),
        series(
            "Resources by phase",
            [(f"sum by (phase) ({by_phase})", "{{phase}}")],
            stacked=True,
            width=8,
            colours=_PHASES,
            text="Where updates in windows stand. Stopped: maxFailures was reached.",
        ),
        series(
            "Schedules of the update runbook",
            [(total("all_runbook_schedules", "state"), "{{state}}")],
            stacked=True,
            width=8,
            colours={"in_sync": "green", "amiss": "orange"},
            text="Of vaults with spec.runbookSchedule.",
            book="SchedulesNotKept",
        ),
        table(
            "Why schedules are amiss",
            [("Amiss", f"topk({FEW}, {of('resource_condition', *_AMISS)})")],
            width=8,
            columns=("namespace", "name", "reason"),
            text="Resources whose schedules are not as declared, or not known, by the reason of the condition.",
            book="SchedulesNotKept",
        ),
        table(
            "Windows and accounts",
            [
                ("Failed", f"topk({FEW}, {_NOT_UPDATED})"),
                ("Waiting", f"topk({FEW}, {_WAITING})"),
                ("Account healthy", f"topk({FEW}, {_HEALTHY} == 0)"),
                ("Next window in", f"topk({FEW}, {of('agent_next_window_timestamp_seconds')} - time())"),
            ],
            width=24,
            sort="Failed",
            text="The worst of each: updates that failed or wait, accounts that cannot work, windows that are far away.",
        ),
    ]
