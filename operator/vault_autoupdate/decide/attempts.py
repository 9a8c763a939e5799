"""What is remembered of mappings that were changed and did not become right: attempts, errors, next try. Pure.

An entry is made by each PATCH and goes when the mapping is seen to be as declared. Until its time has come, a
mapping that still differs is left alone: an error that a PATCH cannot cure must not be patched every hour.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from vault_autoupdate.decide.schedule import backoff
from vault_autoupdate.model.explanation import Explanation

__all__ = ["Attempt", "BackoffPolicy", "FailureReason", "failed", "started"]


class FailureReason(StrEnum):
    """Why a mapping is not right although it was tried."""

    FAILED_TO_START = "FailedToStart"
    """The PATCH was refused or never got an answer."""
    JOB_FAILED = "JobFailed"
    TIMED_OUT = "TimedOut"
    """The job was still running after ``spec.jobTimeout``."""
    STILL_DIFFERS = "StillDiffers"
    """The job succeeded and the mapping is not as declared all the same."""
    UNHEALTHY = "Unhealthy"
    """The mapping is as declared and has health errors all the same."""


@dataclass(frozen=True)
class BackoffPolicy:
    """How long to wait before a mapping is tried again."""

    retry_min: timedelta
    """First wait after a failure."""
    repair_min: timedelta
    """First wait after a change that succeeded and cured nothing: Site Recovery looks at health in its own time."""
    retry_max: timedelta


@dataclass(frozen=True)
class Attempt:
    """What is known of the changes to one mapping that have not made it right."""

    count: int
    last_at: datetime
    next_at: datetime
    reason: FailureReason = FailureReason.STILL_DIFFERS
    explanation: Explanation = field(default_factory=Explanation)
    job_id: str = ""


def started(previous: Attempt | None, now: datetime, policy: BackoffPolicy) -> Attempt:
    """The entry for a change that begins now."""
    count = previous.count + 1 if previous else 1
    return Attempt(
        count=count,
        last_at=now,
        next_at=now + backoff(count, policy.repair_min, policy.retry_max),
        explanation=previous.explanation if previous else Explanation(),
    )


def failed(
    attempt: Attempt,
    reason: FailureReason,
    explanation: Explanation,
    now: datetime,
    policy: BackoffPolicy,
    *,
    job_id: str = "",
) -> Attempt:
    """The entry after the change has failed."""
    return replace(
        attempt,
        reason=reason,
        explanation=explanation,
        job_id=job_id,
        next_at=now + backoff(attempt.count, policy.retry_min, policy.retry_max),
    )
