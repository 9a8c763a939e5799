"""Site Recovery jobs: what their states mean, whose a job is, what has become of the work it stands for. Pure.

Two kinds of work make jobs here: the change of a container mapping, and the update of a machine's agent. Both are
followed by the same rules.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol

from vault_autoupdate.model.arm_id import fold, mapping_path
from vault_autoupdate.model.azure import Job
from vault_autoupdate.model.explanation import Explanation

# "NotStarted, InProgress, Succeeded, Failed, Cancelled, Suspended or Other" is what the SDK documents; the operation
# status uses the same words, and a job's description ("PartiallySucceeded") may stand where a state is expected.
_SUCCEEDED: Final = frozenset({"succeeded", "partiallysucceeded", "completedwithinformation"})
_FAILED: Final = frozenset({"failed", "cancelled", "canceled"})
_RUNNING: Final = frozenset({"notstarted", "inprogress", "cancelling", "suspended", "other"})

_CLOCK_SKEW: Final = timedelta(minutes=5)
"""By how much Azure's clock and ours may differ."""

__all__ = [
    "JobPhase", "Operation", "Standing", "Target", "Verdict", "WorkKind", "adopt", "explanation_of", "judge",
    "may_be_about", "phase_by_target", "phase_of", "running_on", "unplaced",
]  # fmt: skip


class WorkKind(StrEnum):
    """What is changed in a vault, and made a job of."""

    MAPPING = "mapping"
    """A container mapping gets its setting."""
    AGENT = "agent"
    """A machine's Mobility service is updated."""


# Words of a job's target type that say what it is about; an empty or unknown type may be about anything.
_MACHINES: Final = ("protectionentity", "protecteditem", "virtualmachine", "server")
_ABOUT_ANOTHER: Final = {
    WorkKind.MAPPING: (*_MACHINES, "recoveryplan"),
    WorkKind.AGENT: ("containermapping", "recoveryplan"),
}
_KINDS_OF_ID: Final = ("/replicationprotectioncontainermappings/", "/replicationprotecteditems/")
"""In ids that name a mapping or a machine: they are that one's, and nobody's namesake."""


class JobPhase(StrEnum):
    """What a job's state comes to."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """A state nobody has documented: waited for like a running one, and counted."""


class Verdict(StrEnum):
    """What has become of an operation."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"


class Standing(StrEnum):
    """What the target itself says of the work on it."""

    DONE = "done"
    """It is as wanted."""
    BUSY = "busy"
    """It says that work on it goes on."""
    AS_SET = "as set"
    """What was set is there, and was before: whether the work is over does not show."""
    DIFFERS = "differs"
    """It is not as wanted."""
    GONE = "gone"
    """Site Recovery does not know it any more."""


class Target(Protocol):
    """What a job may be about: a mapping or a machine."""

    @property
    def id(self) -> str:
        """Its ARM id."""

    @property
    def key(self) -> str:
        """The id for comparing."""

    @property
    def name(self) -> str:
        """As people know it."""


@dataclass(frozen=True)
class Operation:
    """Work under way: the job that Site Recovery made of a change."""

    target_id: str
    job_id: str
    """The job's GUID; empty when nobody has named it: ARM did not, or its answer was lost."""
    started_at: datetime
    adopted: bool = False
    """Whether the job was found running instead of started by this run."""
    name: str = ""
    """Of a machine, as people know it; a mapping is known by its path."""
    scenario: str = ""
    """What the job does, in Site Recovery's word, if it was found running."""

    @property
    def key(self) -> str:
        """The target's key."""
        return fold(self.target_id)

    @property
    def job_key(self) -> str:
        """The job's name for comparing."""
        return fold(self.job_id)

    @property
    def in_words(self) -> str:
        """The job, for who wonders why its target is not done: whose it is, what it does, and since when."""
        if not self.adopted:
            return f"our job is at work on it since {self.started_at:%Y-%m-%dT%H:%M:%SZ}"
        named = " ".join(filter(None, (self.scenario, self.job_id))) or "of which nothing more is known"
        return f"a job that was begun elsewhere is at work on it since {self.started_at:%Y-%m-%dT%H:%M:%SZ}: {named}"

    @property
    def label(self) -> str:
        """The target as people know it."""
        return self.name or mapping_path(self.target_id)


def phase_of(state: str) -> JobPhase:
    """Sort a job's state, in any letter case."""
    word = state.casefold()
    if word in _SUCCEEDED:
        return JobPhase.SUCCEEDED
    if word in _FAILED:
        return JobPhase.FAILED
    return JobPhase.RUNNING if word in _RUNNING else JobPhase.UNKNOWN


def phase_by_target(standing: Standing, *, is_young: bool, may_run: bool) -> JobPhase:
    """What work comes to whose job is unknown or forgotten, by what its target says.

    Args:
        standing: what the target says.
        is_young: whether the work has begun only just now: its job may not be known everywhere yet.
        may_run: whether a job runs that may be the one.
    """
    match standing:
        case Standing.DONE:
            return JobPhase.SUCCEEDED
        case Standing.GONE:
            return JobPhase.FAILED
        case Standing.BUSY:
            return JobPhase.RUNNING
        case Standing.AS_SET | Standing.DIFFERS:
            if is_young or may_run:
                return JobPhase.RUNNING
            return JobPhase.SUCCEEDED if standing is Standing.AS_SET else JobPhase.FAILED


def judge(operation: Operation, phase: JobPhase, now: datetime, timeout: timedelta) -> Verdict:
    """Decide what has become of ``operation``, whose job was last seen in ``phase``."""
    match phase:
        case JobPhase.SUCCEEDED:
            return Verdict.SUCCEEDED
        case JobPhase.FAILED:
            return Verdict.FAILED
        case JobPhase.RUNNING | JobPhase.UNKNOWN:
            return Verdict.TIMED_OUT if now - operation.started_at >= timeout else Verdict.RUNNING


def running_on(
    targets: Iterable[Target], jobs: Iterable[Job], kind: WorkKind, *, known: Collection[str] = ()
) -> dict[str, Job]:
    """Find the running jobs that are at work on ``targets``: by key of the target, the first one listed.

    A job belongs to a target when it names the target's id, or names nobody by id and the target's name, which no
    other one has. What Site Recovery writes there for an update of a mapping is not documented; `unplaced` covers the
    case that it is neither.

    Args:
        targets: all of the vault's, so that a name is only taken where it is unique.
        jobs: the vault's jobs.
        kind: what the targets are.
        known: names (folded) of jobs to leave alone: tracked already, or given up.
    """
    by_key: dict[str, Target] = {}
    by_name: dict[str, list[Target]] = {}
    for candidate in targets:
        by_key[candidate.key] = candidate
        by_name.setdefault(fold(candidate.name), []).append(candidate)
    found: dict[str, Job] = {}
    for job in jobs:
        if job.key in known or not _runs(job):
            continue
        target = by_key.get(fold(job.target_id))
        if target is None and may_be_about(job, kind) and not _names_somebody(job):
            namesakes = by_name.get(fold(job.target_name), [])
            target = namesakes[0] if len(namesakes) == 1 else None
        if target is not None:
            found.setdefault(target.key, job)
    return found


def adopt(
    targets: Iterable[Target], jobs: Iterable[Job], kind: WorkKind, *, known: Collection[str], now: datetime
) -> list[Operation]:
    """The running jobs that are at work on ``targets``, as operations to be tracked, see `running_on`.

    ``now`` stands in for a start time that a job does not tell.
    """
    by_key = {target.key: target for target in targets}
    return [
        Operation(by_key[key].id, job.name, job.started_at or now, adopted=True, scenario=job.scenario)
        for key, job in running_on(by_key.values(), jobs, kind, known=known).items()
    ]


def unplaced(jobs: Iterable[Job], kind: WorkKind, *, placed: Collection[str], since: datetime) -> list[Job]:
    """Running jobs that may be ours although nothing says so.

    After a kill or a lost answer, a job that was started in the last seconds stands in no status, and its target may
    not name what it is about. What is running, began at ``since`` or later and is not certainly about something else
    may be such a job.

    Args:
        jobs: the vault's jobs.
        kind: what ours would be about.
        placed: names (casefolded) of the jobs whose target is known.
        since: when the work began that is in doubt.
    """
    young = (job for job in jobs if job.started_at is None or job.started_at >= since - _CLOCK_SKEW)
    return [job for job in young if job.key not in placed and _runs(job) and may_be_about(job, kind)]


def may_be_about(job: Job, kind: WorkKind) -> bool:
    """Whether a job may be about a target of ``kind``, going by what it says of its own target's type."""
    words = job.target_type.casefold()
    return not any(word in words for word in _ABOUT_ANOTHER[kind])


def explanation_of(job: Job) -> Explanation:
    """Why a job failed, in the words of its first error."""
    if job.errors:
        return job.errors[0]
    return Explanation(job.state, f"The job ended as {job.state} {job.state_description}".strip() + ".")


def _runs(job: Job) -> bool:
    return phase_of(job.state) in {JobPhase.RUNNING, JobPhase.UNKNOWN}


def _names_somebody(job: Job) -> bool:
    """Whether a job names a mapping or a machine by its id: it is that one's alone, though others have its name."""
    folded = fold(job.target_id)
    return any(kind in folded for kind in _KINDS_OF_ID)
