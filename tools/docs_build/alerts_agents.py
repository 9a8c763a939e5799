"""Alerts about agents, their updates in windows, and Automation accounts."""

from __future__ import annotations

from tools.docs_build.alerts_promql import (
    KEY,
    MOVE,
    SOURCE_KEY,
    Alert,
    matching,
    most,
    of_resource,
    own_series,
    present,
    series,
    since,
    unless_suspended,
)

_IS_BEHIND = 'state="behind"'
_BEHIND_LATELY = most("agents", MOVE, _IS_BEHIND)
_BY_HAND = of_resource(series("resource_auto_update")) + " == 0"
_WITHOUT_ROLE = of_resource(series("automation_account_problem", 'reason=~"RoleMissing|RoleTooWeak|RoleDenied"'))
_BY_PEOPLE = "reinstall_required|retries_exhausted|certificate_update"
_SCHEDULES_AMISS = 'type="RunbookScheduleInSync",status!="True",reason!="NotReported"'
_NAME = "VaultAutoUpdate {{ $labels.namespace }}/{{ $labels.name }}"
_MACHINES = "{{ $value | humanize }} machines in the vault of " + _NAME


def _behind_for(days: int) -> str:
    return f"time() - {own_series('agents_behind:since')} >= {days} * 86400"


def _concern(concerns: str) -> str:
    return of_resource(series("agents_concern", matching("concern", concerns)))


__all__ = ["ACCOUNT_ALERTS", "AGENT_ALERTS"]

AGENT_ALERTS = (
    since(
        "agents_behind:since",
        f"max by ({SOURCE_KEY}) (max_over_time({series('agents', _IS_BEHIND, MOVE)})) > 0",
        f"max by ({SOURCE_KEY}) (min_over_time({series('agents', _IS_BEHIND, '[1h]')})) == 0",
    ),
    Alert(
        "AgentsBehind",
        unless_suspended(f"{_BEHIND_LATELY} > 0 and on ({KEY}) {_behind_for(7)} unless on ({KEY}) {_BY_HAND}"),
        "",
        "warning",
        "Agents are not updated although auto-update is on.",
        f"{_MACHINES} run an agent for which there is an update, and for more than a week there have been such machines.",
        why="Site Recovery looks once a day, and a machine may be off or busy: a new version takes days to be everywhere. "
        "A restart of the operator does not begin the week anew.",
        of_resource=True,
    ),
    Alert(
        "AgentsLeftBehind",
        unless_suspended(
            f"{_BEHIND_LATELY} > 0 and on ({KEY}) {_behind_for(31)} and on ({KEY}) "
            f"{most('resource_auto_update', '[1h]')} == 0"
        ),
        "",
        "warning",
        "Agents wait for an update for a month, and no window brings it.",
        f"{_MACHINES} run an agent for which there is an update, and for a month there have been such machines. Windows are "
        "paused, too short or too rare, or nobody updates them by hand.",
        why="For vaults with autoUpdate: Disabled. A month, since windows may be that far apart; a pod that is replaced "
        "meanwhile must not begin it anew.",
        of_resource=True,
    ),
    Alert(
        "AgentsExpiring",
        unless_suspended(f"{_concern('expiring')} > 0 unless on ({KEY}) {_concern('expired')} > 0"),
        "1h",
        "warning",
        "Agents are about to expire.",
        f"{_MACHINES} run an agent that expires within 60 days. status.agents names the worst and says what to do.",
        why="With expired ones there is the critical alert instead.",
        of_resource=True,
    ),
    Alert(
        "AgentsExpiring",
        unless_suspended(f"{_concern('expired')} > 0"),
        "1h",
        "critical",
        "Agents have expired.",
        f"{_MACHINES} run an agent that has expired. Do not count on their replication. status.agents names the worst and "
        "says what to do.",
        of_resource=True,
    ),
    Alert(
        "AgentsFarBehind",
        unless_suspended(f"{_concern('far_behind')} > 0 unless on ({KEY}) {_concern('expired|expiring')} > 0"),
        "1h",
        "warning",
        "Agents are so old that Microsoft does not support them.",
        f"{_MACHINES} run an agent that is more than four releases behind the newest one that is known here. To update it "
        "takes a reboot.",
        why="Agents that expire are behind as well: one alert about them is enough.",
        of_resource=True,
    ),
    Alert(
        "AgentsNeedHands",
        unless_suspended(f"{most('agents_concern', MOVE, matching('concern', _BY_PEOPLE))} > 0"),
        "1d",
        "warning",
        "Agents are not going to be updated by anybody but a person.",
        f"{_MACHINES} need their agent installed anew or its certificate renewed, or Site Recovery has given up on them. "
        "status.agents names the worst and says what to do.",
        of_resource=True,
    ),
    Alert(
        "AgentsUnknown",
        unless_suspended(
            of_resource(series("resource_condition", 'type="AgentsCurrent",status="Unknown"'))
            + f" == 1 and on ({KEY}) {of_resource(series('agent_next_window_timestamp_seconds'))}"
        ),
        "2h",
        "warning",
        "Agents are to be updated in windows, but nobody can tell which ones need it.",
        f"{_NAME} has windows for updates of agents. For two hours it has not been known which agents need one, so its "
        "next window would pass unused. The condition AgentsCurrent says why.",
        why="Elsewhere an identity may do without the right to read them: only windows depend on it.",
        of_resource=True,
    ),
    Alert(
        "AgentRolloutStopped",
        unless_suspended(
            present(f"{most('agent_updates_phase', '[1h]', matching('phase', 'Stopped'))} == 1", "agent_updates_phase")
        ),
        "5m",
        "warning",
        "A rollout of agents has stopped because too many updates failed.",
        f"In a window for updates of agents, {_NAME} has reached maxFailures, so that no more updates start in it. "
        "status.agentUpdates.failures has what Azure says about them.",
        why="Looks back, since a window may close soon after.",
        of_resource=True,
    ),
    Alert(
        "AgentUpdatesFailing",
        unless_suspended(
            of_resource(series("agent_updates_failed_machines"))
            + f" > 0 and on ({KEY}) {of_resource(series('agent_updates_attempts_most'))} > 1"
        ),
        "1h",
        "warning",
        "Agents are not updated in their windows, again and again.",
        f"The agents of {{{{ $value | humanize }}}} machines of {_NAME} could not be updated, and that of one of them not "
        "for the second time in a row. status.agentUpdates.failures has what Azure says about them.",
        why="The number of tries tells, not the time: windows are a day or a month apart.",
        of_resource=True,
    ),
)

ACCOUNT_ALERTS = (
    Alert(
        "AutomationAccountUnhealthy",
        unless_suspended(
            f"{of_resource(series('automation_account_healthy'))} == 0 unless on ({KEY}) {_WITHOUT_ROLE} == 1"
        ),
        "30m",
        "warning",
        "The Automation account cannot update the agents.",
        f"The Automation account of {_NAME} cannot do its daily run, or soon will not. The condition "
        "AutomationAccountHealthy says what to do.",
        why="What is the matter with its role has an alert of its own.",
        of_resource=True,
    ),
    Alert(
        "AutomationAccountRole",
        unless_suspended(f"{_WITHOUT_ROLE} == 1"),
        "30m",
        "warning",
        "The Automation account may not change the vault.",
        f"Auto-update of {_NAME} is as declared, and nothing is updated: the identity of its Automation account has no role "
        "on the vault, one that only reads, or is denied what its role allows. The condition AutomationAccountHealthy has "
        "the command that gives it one.",
        why="By the time the reason is told, no role was seen for a quarter of an hour.",
        of_resource=True,
    ),
    Alert(
        "SchedulesNotKept",
        unless_suspended(f"{most('resource_condition', MOVE, _SCHEDULES_AMISS, 'reason')} == 1")
        + f" unless on ({KEY}) {most('resource_audited', MOVE)} == 1",
        "7h",
        "warning",
        "Site Recovery updates agents at another time than declared.",
        f"Schedules of the update runbook of {_NAME} do not run as spec.runbookSchedule says: {{{{ $labels.reason }}}}. The "
        "condition RunbookScheduleInSync names them and says what to do.",
        why="Longer than the six hours between two looks: what one finds is moved at once, or with the next one.",
        of_resource=True,
    ),
)
