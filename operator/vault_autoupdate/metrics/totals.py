"""All resources together: what stays true, and small, however many there are. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from prometheus_client.core import GaugeMetricFamily

from vault_autoupdate.decide.account_report import AccountReport
from vault_autoupdate.decide.agent_report import AgentReport, Concern
from vault_autoupdate.decide.attempts import FailureReason
from vault_autoupdate.decide.look import Subject, old_after
from vault_autoupdate.decide.rollout import Phase
from vault_autoupdate.metrics.facts import ResourceFacts
from vault_autoupdate.metrics.resource_specs import AGENT_STATES, OTHER_VERSION, SCHEDULE_STATES, Trouble
from vault_autoupdate.metrics.specs import spec
from vault_autoupdate.model import bounds
from vault_autoupdate.model.conditions import ConditionStatus, ConditionType, Reason
from vault_autoupdate.report.mapping_words import MAPPING_STATES

_UNREADY_AFTER: Final = 900.0
_DEFAULT_INTERVAL: Final = 3600.0
"""Of a resource whose spec cannot be acted on."""
_FRESH_INTERVALS: Final = 2
_NOT_READY_INTERVALS: Final = 2
_UNCHECKED_INTERVALS: Final = 3
_NO_LOOKS: Final[Mapping[Subject, timedelta]] = {}
_OF_CONCERN: Final = {
    Concern.EXPIRED: Trouble.AGENTS_EXPIRED,
    Concern.EXPIRING: Trouble.AGENTS_EXPIRING,
    Concern.FAR_BEHIND: Trouble.AGENTS_FAR_BEHIND,
}
_VERSION: Final = re.compile(r"unknown|[0-9]+(\.[0-9]+){0,7}", re.ASCII)

__all__ = ["Totals", "total_of", "troubles_of"]


def _is_expected_fresh(facts: ResourceFacts) -> bool:
    """Whether something is to be known of the vault: it can be acted on, and nobody has suspended it."""
    return facts.interval is not None and not facts.suspended


def _is_fresh(facts: ResourceFacts, now: float) -> bool:
    """Whether the vault was looked at within two intervals, before ``now`` (Unix time)."""
    return now - facts.last_success <= _FRESH_INTERVALS * (facts.interval or _DEFAULT_INTERVAL)


def _longest_unlooked(look_intervals: Mapping[Subject, timedelta], subject: Subject) -> float:
    """Seconds after which a look is old; what is not to be looked at is never old."""
    interval = look_intervals.get(subject)
    return float("inf") if interval is None else old_after(interval).total_seconds()


def troubles_of(
    facts: ResourceFacts, now: float, look_intervals: Mapping[Subject, timedelta] = _NO_LOOKS
) -> Iterator[Trouble]:
    """Why somebody should look at a resource. Nobody should at one that is suspended.

    Args:
        facts: about it.
        now: Unix time.
        look_intervals: between two looks at what there is beside the mappings.
    """
    if facts.suspended:
        return
    interval = facts.interval or _DEFAULT_INTERVAL
    if facts.not_ready_for is not None:
        if facts.not_ready_for > _UNREADY_AFTER and facts.reason != Reason.PROGRESSING:
            yield Trouble.UNREADY
        if facts.not_ready_for > _NOT_READY_INTERVALS * interval:
            yield Trouble.NOT_READY
    if now - facts.last_success > _UNCHECKED_INTERVALS * interval:
        yield Trouble.UNCHECKED
    elif any(now - at > _longest_unlooked(look_intervals, subject) for subject, at in facts.looks.items()):
        yield Trouble.LOOKS_OLD
    if any(each.type == ConditionType.STALLED and each.status == ConditionStatus.TRUE for each in facts.conditions):
        yield Trouble.STALLED
    if facts.failures:
        yield from _troubles_of_changes(facts)
    if facts.agents is not None and facts.agents.concerns:
        yield from (trouble for concern, trouble in _OF_CONCERN.items() if facts.agents.concerns.get(concern))
    if facts.rollout is not None and facts.rollout.phase is Phase.STOPPED:
        yield Trouble.ROLLOUT_STOPPED
    if facts.account is not None and facts.account.healthy is False:
        yield Trouble.ACCOUNT_UNHEALTHY
    if facts.schedules is not None and facts.schedules.amiss and not facts.audited:
        yield Trouble.SCHEDULES_AMISS


def _troubles_of_changes(facts: ResourceFacts) -> Iterator[Trouble]:
    reasons = facts.failures.keys()
    if facts.attempts_most > 1 and reasons & {FailureReason.JOB_FAILED, FailureReason.FAILED_TO_START}:
        yield Trouble.JOBS_FAILING
    if FailureReason.TIMED_OUT in reasons:
        yield Trouble.JOBS_TIMING_OUT
    if reasons & {FailureReason.STILL_DIFFERS, FailureReason.UNHEALTHY}:
        yield Trouble.REPAIR_NOT_CURING


@dataclass
class Totals:
    """Adds resources up."""

    now: float
    """Unix time."""
    look_intervals: Mapping[Subject, timedelta] = field(default_factory=dict)
    """Between two looks at what there is beside the mappings."""
    resources: Counter[tuple[str, ...]] = field(default_factory=Counter)
    troubles: Counter[Trouble] = field(default_factory=Counter)
    expected_fresh: int = 0
    fresh: int = 0
    oldest_success: float | None = None
    oldest_look: dict[tuple[str, ...], float] = field(default_factory=dict)
    last_change: float | None = None
    longest_not_ready: float = 0.0
    mappings: Counter[str] = field(default_factory=Counter)
    agents: Counter[str] = field(default_factory=Counter)
    concerns: Counter[Concern] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    accounts: Counter[str] = field(default_factory=Counter)
    schedules: Counter[str] = field(default_factory=Counter)
    next_run: float | None = None

    def add(self, facts: ResourceFacts) -> None:
        """Count one resource."""
        self.resources[facts.ready, facts.reason] += 1
        for trouble in troubles_of(facts, self.now, self.look_intervals):
            self.troubles[trouble] += 1
        if _is_expected_fresh(facts):
            self.expected_fresh += 1
            self.fresh += _is_fresh(facts, self.now)
            self.oldest_success = min(self.oldest_success or facts.last_success, facts.last_success)
        if facts.changed_at is not None:
            self.last_change = max(self.last_change or 0.0, facts.changed_at.timestamp())
        self.longest_not_ready = max(self.longest_not_ready, facts.not_ready_for or 0.0)
        if not facts.suspended:
            for subject, at in facts.looks.items():
                self.oldest_look[(subject,)] = min(self.oldest_look.get((subject,), at), at)
        for state, count in facts.mappings.items():
            self.mappings[state] += count
        if facts.agents is not None:
            self._add_agents(facts.agents)
        if facts.account is not None:
            self._add_account(facts.account)
        if facts.schedules is not None:
            self.schedules.update(in_sync=facts.schedules.in_sync, amiss=facts.schedules.amiss)

    def _add_account(self, account: AccountReport) -> None:
        self.accounts["unknown" if account.healthy is None else "healthy" if account.healthy else "unhealthy"] += 1
        if account.next_run is not None:
            next_run = account.next_run.timestamp()
            self.next_run = min(self.next_run or next_run, next_run)

    def _add_agents(self, report: AgentReport) -> None:
        for state, machines in zip(AGENT_STATES, (report.current, report.behind, report.unknown), strict=True):
            self.agents[state] += machines
        for concern, machines in report.concerns.items():
            self.concerns[concern] += machines
        self.versions[OTHER_VERSION] += report.other_versions
        for version, machines in report.versions:
            # A label is no place for whatever else Azure may write where a version belongs.
            self.versions[version if _VERSION.fullmatch(version) else OTHER_VERSION] += machines

    def families(self) -> Iterator[GaugeMetricFamily]:
        """The series."""
        yield _many("resources", self.resources)
        yield _many("resources_in_trouble", {(each,): self.troubles[each] for each in Trouble})
        yield _many("resources_expected_fresh", {(): self.expected_fresh})
        yield _many("resources_fresh", {(): self.fresh})
        yield _many("oldest_success_timestamp_seconds", _known(self.oldest_success))
        yield _many("oldest_look_timestamp_seconds", self.oldest_look)
        yield _many("look_interval_seconds", {(on,): each.total_seconds() for on, each in self.look_intervals.items()})
        yield _many("last_spec_change_timestamp_seconds", _known(self.last_change))
        yield _many("longest_not_ready_seconds", {(): self.longest_not_ready})
        yield _many("all_mappings", {(each,): self.mappings[each] for each in MAPPING_STATES})
        yield _many("all_agents", {(each,): self.agents[each] for each in AGENT_STATES})
        yield _many("all_agents_concern", {(each,): self.concerns[each] for each in Concern})
        yield _many("agent_versions", self._shown_versions())
        yield _many(
            "automation_accounts", {(each,): self.accounts[each] for each in ("healthy", "unhealthy", "unknown")}
        )
        yield _many("all_runbook_schedules", {(each,): self.schedules[each] for each in SCHEDULE_STATES})
        yield _many("automation_account_next_run_timestamp_seconds", _known(self.next_run))

    def _shown_versions(self) -> Mapping[tuple[str, ...], int]:
        named = {version: machines for version, machines in self.versions.items() if version != OTHER_VERSION}
        shown = dict(Counter(named).most_common(bounds.VERSIONS))
        others = sum(self.versions.values()) - sum(shown.values())
        return {(version,): machines for version, machines in {**shown, OTHER_VERSION: others}.items() if machines}


def _known(value: float | None) -> Mapping[tuple[str, ...], float]:
    return {} if value is None else {(): value}


def _many(name: str, values: Mapping[tuple[str, ...], float]) -> GaugeMetricFamily:
    wanted = spec(name)
    family = GaugeMetricFamily(wanted.name, wanted.text, labels=list(wanted.labels))
    for labels, value in values.items():
        family.add_metric(list(labels), value)
    return family


def total_of(
    resources: Iterable[ResourceFacts], now: float, look_intervals: Mapping[Subject, timedelta] = _NO_LOOKS
) -> Totals:
    """Add ``resources`` up as of ``now`` (Unix time)."""
    totals = Totals(now, look_intervals)
    for facts in resources:
        totals.add(facts)
    return totals
