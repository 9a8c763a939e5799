"""From facts to the lines about each resource, in Prometheus' text format. Pure.

Not by the official client's objects: those take six times as long for tens of thousands of series (measured in
docs/performance.md), and nothing that they do is needed here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

from vault_autoupdate.decide.attribution import Drift
from vault_autoupdate.decide.look import Subject
from vault_autoupdate.decide.schedule_report import ScheduleReport
from vault_autoupdate.metrics.facts import ResourceFacts, RolloutFacts
from vault_autoupdate.metrics.resource_specs import RESOURCE_SPECS, SCHEDULE_STATES
from vault_autoupdate.metrics.spec_types import PREFIX
from vault_autoupdate.model.conditions import ConditionStatus

_MINUTE: Final = 60.0
_ESCAPES: Final = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})

_SUBJECTS: Final = {subject: f',subject="{subject}"' for subject in Subject}

Sample = tuple[str, str, float]
"""Name without the prefix, further labels with a comma before them, value."""

__all__ = ["samples_of", "write_resources"]


def write_resources(resources: Iterable[ResourceFacts]) -> str:
    """All series about single resources, in the order of their specs."""
    lines: dict[str, list[str]] = defaultdict(list)
    for facts in resources:
        labels = f'namespace="{_escaped(facts.namespace)}",name="{_escaped(facts.name)}"'
        for name, more, value in samples_of(facts):
            lines[name].append(f"{PREFIX}_{name}{{{labels}{more}}} {value!r}\n")
    return "".join(
        f"# HELP {spec.name} {spec.text}\n# TYPE {spec.name} {spec.kind}\n{''.join(found)}"
        for spec in RESOURCE_SPECS
        if (found := lines.get(spec.name.removeprefix(f"{PREFIX}_")))
    )


def samples_of(facts: ResourceFacts) -> Iterator[Sample]:
    """The series of one resource; what says nothing is left out."""
    yield "resource_ready", "", int(facts.ready == ConditionStatus.TRUE)
    if facts.not_ready_for is not None:
        yield "resource_not_ready_seconds", _label("reason", facts.reason), facts.not_ready_for
    if facts.auto_update is not None:
        yield "resource_auto_update", "", int(facts.auto_update)
    if facts.interval is not None:
        yield "resource_interval_seconds", "", facts.interval
    yield "resource_last_success_timestamp_seconds", "", facts.last_success
    for subject, at in facts.looks.items():
        yield "resource_last_look_timestamp_seconds", _SUBJECTS[subject], at
    yield "resource_reverts_total", "", facts.reverts
    for name, value in (
        ("resource_suspended", int(facts.suspended)),
        ("resource_audited", int(facts.audited)),
        ("jobs_in_flight", facts.jobs),
        ("resource_attempts_most", facts.attempts_most),
    ):
        if value:
            yield name, "", value
    for state, count in facts.mappings.items():
        if count:
            yield "mappings", _label("state", state), count
    for reason, count in facts.failures.items():
        yield "resource_failures", _label("reason", reason), count
    for condition in facts.conditions:
        more = _label("type", condition.type) + _label("status", condition.status) + _label("reason", condition.reason)
        yield "resource_condition", more, 1
    yield from _of_agents(facts)
    yield from _of_account(facts)
    yield from _of_schedules(facts.schedules)
    yield from _of_drift(facts.drift)
    if facts.rollout is not None:
        yield from _of_rollout(facts.rollout)


def _of_drift(drift: Drift | None) -> Iterator[Sample]:
    if drift is not None:
        attribution = _label("attribution", drift.standing)
        yield "drift_found_timestamp_seconds", attribution, int(drift.found_at.timestamp())


def _of_schedules(report: ScheduleReport | None) -> Iterator[Sample]:
    if report is None:
        return
    for state, count in zip(SCHEDULE_STATES, (report.in_sync, report.amiss), strict=True):
        if count:
            yield "runbook_schedules", _label("state", state), count


def _of_agents(facts: ResourceFacts) -> Iterator[Sample]:
    if (report := facts.agents) is None:
        return
    for state, count in (("current", report.current), ("behind", report.behind), ("unknown", report.unknown)):
        if count:
            yield "agents", _label("state", state), count
    for concern, count in report.concerns.items():
        if count:
            yield "agents_concern", _label("concern", concern), count


def _of_account(facts: ResourceFacts) -> Iterator[Sample]:
    if (account := facts.account) is None or account.healthy is None:
        return
    yield "automation_account_healthy", "", int(account.healthy)
    for reason in dict.fromkeys(problem.reason for problem in account.problems):
        yield "automation_account_problem", _label("reason", reason), 1
    if account.minutes_limit is not None:
        yield "automation_account_run_time_limit_seconds", "", account.minutes_limit * _MINUTE
        if account.minutes_used is not None:
            yield "automation_account_run_time_used_seconds", "", account.minutes_used * _MINUTE


def _of_rollout(rollout: RolloutFacts) -> Iterator[Sample]:
    for name, value in (
        ("agent_updates_in_flight", rollout.in_flight),
        ("agent_updates_failed_machines", rollout.failed_machines),
        ("agent_updates_attempts_most", rollout.attempts_most),
        ("agent_window_open", int(rollout.window_open)),
    ):
        if value:
            yield name, "", value
    if rollout.waiting is not None:
        yield "agent_updates_waiting", "", rollout.waiting
    if rollout.phase is not None:
        yield "agent_updates_phase", _label("phase", rollout.phase), 1
    if rollout.next_window is not None:
        yield "agent_next_window_timestamp_seconds", "", rollout.next_window


def _label(name: str, value: str) -> str:
    return f',{name}="{_escaped(value)}"'


def _escaped(value: str) -> str:
    return value.translate(_ESCAPES) if not value.isalnum() else value
