"""Site Recovery jobs: what their states mean, which job belongs to which mapping, when to give up. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol

from vault_autoupdate.model.arm_id import fold
from vault_autoupdate.model.azure import ContainerMapping, Job

# "NotStarted, InProgress, Succeeded, Failed, Cancelled, Suspended or Other" is what the SDK documents; the operation
# status uses the same words, and a job's description ("PartiallySucceeded") may stand where a state is expected.
_SUCCEEDED: Final = frozenset({"succeeded", "partiallysucceeded", "completedwithinformation"})
_FAILED: Final = frozenset({"failed", "cancelled", "canceled"})
_RUNNING: Final = frozenset({"notstarted", "inprogress", "cancelling", "suspended", "other"})
_OTHER_TARGETS: Final = ("protectionentity", "protecteditem", "recoveryplan", "virtualmachine", "server")

_CLOCK_SKEW: Final = timedelta(minutes=5)
"""By how much Azure's clock and ours may differ."""

__all__ = [
    "Begun",
    "JobPhase",
    "Operation",
    "Verdict",
    "adopt",
    "is_about_something_else",
    "judge",
    "phase_of",
    "unidentified_running",
]


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


@dataclass(frozen=True)
class Operation:
    """A change under way: the job that ASR made of a PATCH."""

    mapping_id: str
    job_id: str
    """The job's GUID; empty when ARM accepted the PATCH without naming a job."""
    started_at: datetime
    adopted: bool = False
    """Whether the job was found running instead of started by this run."""

    @property
    def key(self) -> str:
        """The mapping's key."""
        return fold(self.mapping_id)


def phase_of(state: str) -> JobPhase:
    """Sort a job's state, in any letter case."""
    word = state.casefold()
    if word in _SUCCEEDED:
        return JobPhase.SUCCEEDED
    if word in _FAILED:
        return JobPhase.FAILED
    return JobPhase.RUNNING if word in _RUNNING else JobPhase.UNKNOWN


class Begun(Protocol):
    """Something with a job that began at some time."""

    @property
    def started_at(self) -> datetime:
        """When it began."""


def judge(operation: Begun, phase: JobPhase, now: datetime, timeout: timedelta) -> Verdict:
    """Decide what has become of ``operation``, whose job was last seen in ``phase``."""
    match phase:
        case JobPhase.SUCCEEDED:
            return Verdict.SUCCEEDED
        case JobPhase.FAILED:
            return Verdict.FAILED
        case JobPhase.RUNNING | JobPhase.UNKNOWN:
            return Verdict.TIMED_OUT if now - operation.started_at >= timeout else Verdict.RUNNING


def adopt(
    mappings: Iterable[ContainerMapping], jobs: Iterable[Job], *, known: Iterable[str], now: datetime
) -> list[Operation]:
    """Find the running jobs that are at work on ``mappings``, other than the ``known`` ones.

    A job belongs to a mapping when its target is the mapping's id, or its target's name is the mapping's and no
    other mapping of the vault has it. What Site Recovery writes there for an update of a mapping is not
    documented; `unidentified_running` covers the case that it is neither.

    Args:
        mappings: all mappings of the vault, so that a name is only taken where it is unique.
        jobs: the vault's jobs.
        known: names of jobs to leave alone: tracked already, or given up.
        now: stands in for a start time that the job does not tell.
    """
    by_target: dict[str, ContainerMapping] = {}
    names: dict[str, list[ContainerMapping]] = {}
    for candidate in mappings:
        by_target[candidate.key] = candidate
        names.setdefault(fold(candidate.name), []).append(candidate)
    left_alone = {fold(name) for name in known}
    adopted: dict[str, Operation] = {}
    for job in jobs:
        if job.key in left_alone or phase_of(job.state) in {JobPhase.SUCCEEDED, JobPhase.FAILED}:
            continue
        namesakes = names.get(fold(job.target_name), []) if not is_about_something_else(job) else []
        mapping = by_target.get(fold(job.target_id)) or (namesakes[0] if len(namesakes) == 1 else None)
        if mapping is not None and mapping.key not in adopted:
            adopted[mapping.key] = Operation(mapping.id, job.name, job.started_at or now, adopted=True)
    return list(adopted.values())


def unidentified_running(jobs: Iterable[Job], *, identified: Mapping[str, object], since: datetime) -> list[Job]:
    """Running jobs that may be ours although nothing says so.

    After a kill, a job started in the last seconds stands in no status, and its target may not name the mapping.
    What is running, began at ``since`` or later and is not about a machine or a plan may be such a job.

    Args:
        jobs: the vault's jobs.
        identified: names (folded) of the jobs whose mapping is known.
        since: when the interrupted run began.
    """
    return [
        job
        for job in jobs
        if job.key not in identified
        and phase_of(job.state) in {JobPhase.RUNNING, JobPhase.UNKNOWN}
        and (job.started_at is None or job.started_at >= since - _CLOCK_SKEW)
        and not is_about_something_else(job)
    ]


def is_about_something_else(job: Job) -> bool:
    """Whether a job is certainly not about a mapping, but about a machine or a plan."""
    kind = job.target_type.casefold()
    return any(word in kind for word in _OTHER_TARGETS)
