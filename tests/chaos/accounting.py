"""Whether each change of a mapping had a cause: a replay of what happened to it. Pure.

Two questions are asked of every mapping.

*Had each PATCH a reason?* Between the end of the job before it and the moment when it was accepted, the mapping must
have been, at some moment, other than the PATCH wants it. The replay knows what the mapping was at every moment: what
it was at first, what drift made of it, what jobs made of it when they ended with success.

*Were there no more PATCHes than causes?* The first question alone would let two wishes undo each other for ever.
A cause is
- a wish: the vault's owner declares another goal than was declared before (or the mapping appears under one),
- an injected drift that changed the mapping's setting or health,
- a job that ended without success: the change is tried again,
- a PATCH whose answer was lost: the operator may look in vain for what became of it, and sends it once more; or whose
  job cannot be placed any more: its target does not name the mapping, and the answer that did was lost, or was heard
  by a process that ended before the job did.

A PATCH while a job runs on the mapping is refused by the service (409) and always wrong, with two exceptions: the job
has run for longer than its resource lets jobs run, or it cannot be placed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

ENABLED: Final = "Enabled"
DISABLED: Final = "Disabled"
MANAGED_IDENTITY: Final = "SystemAssignedIdentity"

__all__ = [
    "DriftFact", "Goal", "JobFact", "MappingFact", "RefusalFact", "Setting", "Stretch", "Wish", "causes",
    "check_mapping", "check_refusals", "final_setting", "most_in_window", "replay",
]  # fmt: skip


@dataclass(frozen=True)
class Goal:
    """What a mapping should be. The account is in lower case, and empty for Disabled."""

    auto_update: str
    account: str = ""


@dataclass(frozen=True)
class Setting:
    """What a mapping is."""

    status: str = DISABLED
    account: str = ""
    authentication: str = "RunAsAccount"
    ailing: bool = False

    def satisfies(self, goal: Goal) -> bool:
        """Whether nothing is to be done about it."""
        if goal.auto_update == DISABLED:
            return self.status == DISABLED
        return self == Setting(ENABLED, goal.account, MANAGED_IDENTITY)


@dataclass(frozen=True)
class Wish:
    """From some moment on a vault's owner wants this; None: there is no owner, or he wants nothing."""

    at: float
    goal: Goal | None


@dataclass(frozen=True)
class DriftFact:
    """Somebody changed a mapping at some moment between two: all times are simulated seconds."""

    since: float
    until: float
    change: str


@dataclass(frozen=True)
class JobFact:
    """A PATCH that was accepted, and the job that came of it."""

    name: str
    start: float
    end: float
    """Infinite if it has not ended."""
    succeeded: bool
    wanted: Goal
    answer_lost: bool = False
    unplaceable: bool = False
    """Whether nothing told the operator, at some time before its end, which mapping the job is about."""

    @property
    def may_be_missed(self) -> bool:
        """Whether the operator may do it again without being to blame."""
        return self.answer_lost or self.unplaceable


@dataclass(frozen=True)
class MappingFact:
    """A mapping from its first moment to its last."""

    name: str
    since: float
    first: Setting
    own_account: str
    """The account that drift enables it with, in lower case."""
    strange_account: str = ""
    """The account that drift of that kind sets."""
    jobs: tuple[JobFact, ...] = ()
    drifts: tuple[DriftFact, ...] = ()
    wishes: tuple[Wish, ...] = ()
    """Of its vault, in their order."""
    always_in_scope: bool = True
    """Whether it was paired from its first moment on, and was never removed."""


@dataclass(frozen=True)
class RefusalFact:
    """A PATCH that was refused because a job was running."""

    mapping: str
    at: float
    job: JobFact
    job_timeout: float


@dataclass(frozen=True)
class Stretch:
    """The mapping was so between two moments, or may have been."""

    since: float
    until: float
    setting: Setting


def check_mapping(mapping: MappingFact) -> list[str]:
    """Everything that is wrong with how a mapping was treated."""
    problems = []
    bound = causes(mapping)
    if len(mapping.jobs) > bound:
        problems.append(f"{mapping.name}: {len(mapping.jobs)} PATCHes for {bound} causes: {_story(mapping)}")
    stretches = replay(mapping)
    if stretches is None:
        return problems
    previous: JobFact | None = None
    for job in sorted(mapping.jobs, key=lambda job: job.start):
        since = mapping.since if previous is None else previous.end
        if previous is not None and previous.end > job.start:
            problems.append(f"{mapping.name}: job {job.name} began while {previous.name} was running")
        elif not (previous is not None and previous.may_be_missed) and not any(
            stretch.until > since and stretch.since <= job.start and not stretch.setting.satisfies(job.wanted)
            for stretch in stretches
        ):
            problems.append(
                f"{mapping.name}: PATCHed at {job.start:.1f} although it was as wanted since {since:.1f}: "
                f"{_story(mapping)}"
            )
        if not any(wish.goal == job.wanted and wish.at <= job.start for wish in mapping.wishes):
            problems.append(f"{mapping.name}: nobody had wished for {job.wanted} by {job.start:.1f}")
        previous = job
    return problems


def causes(mapping: MappingFact) -> int:
    """How many PATCHes of the mapping there may be at the most."""
    wished = [wish.goal for wish in mapping.wishes if wish.at > mapping.since and wish.goal is not None]
    at_first = [wish.goal for wish in mapping.wishes if wish.at <= mapping.since]
    goals = [goal for goal in (*at_first[-1:], *wished) if goal is not None]
    wishes = sum(1 for before, after in pairwise([None, *goals]) if before != after)
    drifts = sum(1 for drift in mapping.drifts if drift.change not in {"pair", "unpair"})
    retries = sum(1 for job in mapping.jobs if not job.succeeded)
    missed = sum(1 for job in mapping.jobs if job.succeeded and job.may_be_missed)
    return wishes + drifts + retries + missed


def check_refusals(refusals: Iterable[RefusalFact]) -> list[str]:
    """PATCHes that were sent although a job was running, without an excuse."""
    return [
        f"{each.mapping}: PATCHed at {each.at:.1f} while job {each.job.name} of {each.job.start:.1f} was running"
        for each in refusals
        if each.at - each.job.start < each.job_timeout and not each.job.unplaceable
    ]


def final_setting(mapping: MappingFact) -> Setting | None:
    """What the mapping is in the end; None where the order of what happened cannot be told."""
    stretches = replay(mapping)
    return stretches[-1].setting if stretches else None


def most_in_window(times: Iterable[float], window: float) -> int:
    """The largest number of ``times`` that lie in any half-open stretch of ``window``."""
    ordered, most, first = sorted(times), 0, 0
    for last, time in enumerate(ordered):
        while ordered[first] <= time - window:
            first += 1
        most = max(most, last - first + 1)
    return most


def replay(mapping: MappingFact) -> list[Stretch] | None:
    """What the mapping was, stretch by stretch; None where a job ended while a drift was being injected."""
    ends = [job for job in mapping.jobs if job.succeeded]
    if any(drift.since <= job.end <= drift.until for job in ends for drift in mapping.drifts):
        return None
    events: list[tuple[float, float, DriftFact | JobFact]] = [
        *((job.end, job.end, job) for job in ends),
        *((drift.since, drift.until, drift) for drift in mapping.drifts),
    ]
    stretches = [Stretch(mapping.since, math.inf, mapping.first)]
    for since, until, event in sorted(events, key=lambda entry: entry[0]):
        setting = stretches[-1].setting
        after = _drifted(setting, event.change, mapping) if isinstance(event, DriftFact) else _changed(event)
        stretches[-1] = replace(stretches[-1], until=until)
        stretches.append(Stretch(since, math.inf, after))
    return stretches


def _changed(job: JobFact) -> Setting:
    goal = job.wanted
    return Setting() if goal.auto_update == DISABLED else Setting(ENABLED, goal.account, MANAGED_IDENTITY)


def _drifted(setting: Setting, change: str, mapping: MappingFact) -> Setting:
    match change:
        case "disable":
            # What ails it stays and shows again when it is enabled by another drift.
            return Setting(ailing=setting.ailing)
        case "other_account":
            return Setting(ENABLED, mapping.strange_account, MANAGED_IDENTITY, setting.ailing)
        case "run_as":
            return Setting(ENABLED, mapping.own_account, "RunAsAccount", setting.ailing)
        case "health_error" if setting.status == ENABLED:
            return replace(setting, ailing=True)
        case "health_error":
            return Setting(ENABLED, mapping.own_account, MANAGED_IDENTITY, ailing=True)
        case _:
            return setting  # paired or not


def _story(mapping: MappingFact) -> str:
    """What happened to a mapping, in order."""
    lines: list[tuple[float, str]] = [(mapping.since, f"is {mapping.first}")]
    lines += [(wish.at, f"wished {wish.goal}") for wish in mapping.wishes]
    lines += [(drift.since, f"drift {drift.change}") for drift in mapping.drifts]
    for job in mapping.jobs:
        missed = " (may be missed)" if job.may_be_missed else ""
        lines.append((job.start, f"PATCH {job.name[:8]} to {job.wanted}{missed}"))
        if job.end < math.inf:
            lines.append((job.end, f"job {job.name[:8]} {'succeeded' if job.succeeded else 'did not succeed'}"))
    return "; ".join(f"{at:.1f} {line}" for at, line in sorted(lines))
