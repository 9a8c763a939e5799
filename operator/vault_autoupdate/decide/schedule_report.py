"""What a look at the schedules of the update runbook has come to. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from vault_autoupdate.decide.runbook_schedule import Finding, Standing
from vault_autoupdate.model import bounds
from vault_autoupdate.model.explanation import Explanation

__all__ = ["Replaced", "ScheduleReport", "add_replaced", "build_schedule_report"]


@dataclass(frozen=True)
class ScheduleReport:
    """Where the schedules stand that mappings name."""

    declared: str
    """When they should run, in words."""
    total: int = 0
    in_sync: int = 0
    findings: tuple[Finding, ...] = ()
    """Those that are not in sync, in the order of `Standing`."""
    refusal: Explanation | None = None
    """Why nothing was written, or nothing more, that should have been."""
    reason: str = ""
    """What the condition says in a word."""

    @property
    def amiss(self) -> int:
        """Schedules that run at another time."""
        return self.total - self.in_sync


@dataclass(frozen=True)
class Replaced:
    """A time at which schedules ran before they were moved, so that somebody can put it back by hand."""

    was: str
    schedules: int
    last_at: datetime


def build_schedule_report(
    declared: str, findings: Sequence[Finding], refusal: Explanation | None = None
) -> ScheduleReport:
    """Sum up what was found.

    Args:
        declared: when the schedules should run, in words.
        findings: where each of them stands.
        refusal: why nothing was written, or nothing more, that should have been.
    """
    order = list(Standing)
    amiss = [finding for finding in findings if finding.standing is not Standing.IN_SYNC]
    amiss.sort(key=lambda finding: (order.index(finding.standing), finding.target.mapping))
    worst = amiss[0].standing if amiss else Standing.IN_SYNC
    reason = refusal.code if refusal and worst is Standing.DIFFERS else worst
    return ScheduleReport(declared, len(findings), len(findings) - len(amiss), tuple(amiss), refusal, reason)


def add_replaced(known: Sequence[Replaced], was: Sequence[str], now: datetime) -> tuple[Replaced, ...]:
    """Add the times of schedules that were moved just now to those that are ``known``: the last five, the newest first.

    Args:
        known: what was replaced before.
        was: of each schedule that was moved, when it ran, in words.
        now: the present.
    """
    new = [
        Replaced(text, was.count(text) + sum(each.schedules for each in known if each.was == text), now)
        for text in dict.fromkeys(was)
    ]
    kept = [each for each in known if each.was not in was]
    return (*new, *kept)[: bounds.REPLACED]
