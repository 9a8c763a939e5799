"""The ``$filter`` of the job list.

Only the names of the fields and what they mean are published. The text form is inferred: ``name eq 'value'`` joined
by ``and``; an empty value means "any".
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from .arm_errors import ArmError
from .clock import Clock
from .jobs import FINISHED_STATES, Job
from .vault import Vault

_CONDITION = re.compile(r"\s*(\w+)\s+(\w+)\s+'((?:[^']|'')*)'\s*(and\b|$)", re.IGNORECASE)


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
    values: dict[str, str] = {}
    position = 0
    while position < len(text):
        match = _CONDITION.match(text, position)
        if match is None or match[2].lower() != "eq":
            raise _bad_filter(text)
        values[match[1].lower()] = match[3].replace("''", "'")
        position = match.end()
        if match[4] and position == len(text):
            raise _bad_filter(text)
    fields = {name: value for name, value in values.items() if value}
    wanted = JobFilter(
        status=_lower(fields.pop("jobstatus", None)),
        started_after=_moment(fields.pop("starttime", None), text),
        started_before=_moment(fields.pop("endtime", None), text),
        target_type=_lower(fields.pop("affectedobjecttypes", None)),
        name=_lower(fields.pop("jobname", None)),
    )
    if fields:
        raise _bad_filter(text)
    return wanted


def _lower(value: str | None) -> str | None:
    return None if value is None else value.lower()


def _moment(value: str | None, text: str) -> float | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise _bad_filter(text) from None
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()


def _bad_filter(text: str) -> ArmError:
    return ArmError(400, "InvalidFilterInQueryString", f"Invalid $filter '{text}' specified in the query string.")
