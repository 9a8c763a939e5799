"""The ``$filter`` of the job list."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from asr_simulator.clock import Clock
from asr_simulator.jobs import FINISHED_STATES, Job
from asr_simulator.odata_filter import bad_filter, read_conditions
from asr_simulator.vault import Vault

__all__ = ["JobFilter", "parse_filter"]


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs to list; None stands for any."""

    status: str | None = None
    started_after: float | None = None
    started_before: float | None = None
    target_type: str | None = None
    name: str | None = None

    def select(self, vault: Vault, before: int, now: float, clock: Clock) -> Iterator[Job]:
        """Yield the matching jobs that are older than job number ``before``, newest first.

        A filter for a state that is not final only looks at the jobs that have not ended.
        """
        if self.status is not None and self.status not in _FINISHED:
            candidates = (job for job in reversed(vault.unfinished.values()) if job.number < before)
        else:
            candidates = (vault.jobs[number] for number in range(min(before, len(vault.jobs)) - 1, -1, -1))
        for job in candidates:
            started = clock.wall_at(job.start)
            if self.started_after is not None and started <= self.started_after:
                return  # jobs are in order of their start: all others are older still
            if self._matches(job, started, now):
                yield job

    def _matches(self, job: Job, started: float, now: float) -> bool:
        return (
            (self.status is None or job.course.at(now).state.lower() == self.status)
            and (self.started_before is None or started < self.started_before)
            and (self.target_type is None or job.target_type.lower() == self.target_type)
            and (self.name is None or job.name == self.name)
        )


_FINISHED = frozenset(state.lower() for state in FINISHED_STATES)


def parse_filter(text: str) -> JobFilter:
    """Read a ``$filter``; raises `ArmError` 400 for anything but the known fields with ``eq``."""
    fields = read_conditions(text)
    wanted = JobFilter(
        status=fields.pop("jobstatus", None),
        started_after=_moment(fields.pop("starttime", None), text),
        started_before=_moment(fields.pop("endtime", None), text),
        target_type=fields.pop("affectedobjecttypes", None),
        name=fields.pop("jobname", None),
    )
    if fields:
        raise bad_filter(text)
    return wanted


def _moment(value: str | None, text: str) -> float | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value.upper())
    except ValueError:
        raise bad_filter(text) from None
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
