"""What is known of something that is looked at now and then, and how old that is. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Generic, TypeVar

from vault_autoupdate.model.explanation import Explanation

R = TypeVar("R")

NOTED_WITHIN: Final = timedelta(days=1)
"""By so much a look may be newer than the status says: nothing is written after each look just to say when it was."""
_MISSED: Final = 3
"""Looks in a row that have to fail before what is known is old: one, two may fall to reads that others use up."""

__all__ = ["NOTED_WITHIN", "Look", "Subject", "next_after_restart", "old_after"]


class Subject(StrEnum):
    """What is looked at beside the mappings."""

    AGENTS = "agents"
    """The agents of the vault's machines."""
    ACCOUNT = "automation_account"
    SCHEDULES = "runbook_schedules"
    """Those of the runbook that updates the agents."""


@dataclass
class Look(Generic[R]):
    """What is known of something that is looked at now and then: the agents of a vault, or its Automation account."""

    report: R | None = None
    """What was found when it was last looked at; None while nobody knows, or it does not matter."""
    problem: Explanation | None = None
    """Why nobody knows."""
    seen: bool = False
    """Whether this process has looked. Until then the report is that of the status."""
    due: datetime | None = None
    """When it is to be looked at again; None before this process has thought about it."""
    at: datetime | None = None
    """When it was last looked at, by this process or one before it; None while there is no report, or nobody tells."""

    def found(self, report: R, now: datetime, due: datetime) -> None:
        """It was looked at."""
        self.report, self.problem, self.seen, self.due, self.at = report, None, True, due, now

    def failed(self, problem: Explanation, due: datetime) -> None:
        """It could not be looked at, for a reason that will not pass by itself."""
        self.report, self.problem, self.seen, self.due, self.at = None, problem, True, due, None

    def forget(self) -> None:
        """It does not matter."""
        self.report, self.problem, self.seen, self.due, self.at = None, None, False, None, None


def next_after_restart(at: datetime | None, interval: timedelta, share: float, now: datetime) -> datetime:
    """When to look at what an earlier process has looked at: spread out, so that a restart costs little.

    Whoever is restarted again and again would never come to the last of them: what is late for certain comes first.

    Args:
        at: when it was looked at, as the status says.
        interval: between two looks.
        share: of the interval; evenly spread over resources.
        now: the present.
    """
    spread = now + interval * share
    return spread if at is None else min(spread, max(now, at + NOTED_WITHIN + interval))


def old_after(interval: timedelta) -> timedelta:
    """How old a look may be, by the status at worst, that comes at an interval and of which two in a row may fail."""
    return NOTED_WITHIN + _MISSED * interval
