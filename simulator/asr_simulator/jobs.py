"""Site Recovery jobs: how they run and how they look on the wire.

A job's whole course is drawn when it starts; its state at any moment follows from the clock, so nothing has to tick.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from typing import Any, Literal

from asr_simulator.arm_errors import dumps
from asr_simulator.clock import Clock, seven_digits, trimmed, whole_second
from asr_simulator.ids import guid
from asr_simulator.scenario import JobFailure, Jobs

NOT_STARTED = "NotStarted"
IN_PROGRESS = "InProgress"
SUCCEEDED = "Succeeded"
FAILED = "Failed"
CANCELLING = "Cancelling"
CANCELLED = "Cancelled"
SUSPENDED = "Suspended"
FINISHED_STATES = frozenset({SUCCEEDED, FAILED, CANCELLED})

CANCEL_SECONDS = 2.0
"""Simulated seconds that a cancelled job stays ``Cancelling`` (inferred)."""

Ending = Literal[
    "Completed", "PartiallySucceeded", "CompletedWithInformation", "Failed", "Cancelled", "Suspended", "NeverEnds"
]
SUCCESSFUL_ENDINGS = ("Completed", "PartiallySucceeded", "CompletedWithInformation")

__all__ = [
    "CANCELLED",
    "CANCELLING",
    "CANCEL_SECONDS",
    "FAILED",
    "FINISHED_STATES",
    "IN_PROGRESS",
    "NOT_STARTED",
    "SUCCEEDED",
    "SUCCESSFUL_ENDINGS",
    "SUSPENDED",
    "Course",
    "Ending",
    "Job",
    "Phase",
    "draw_course",
]


@dataclass(frozen=True, slots=True)
class Phase:
    """The job is in ``state`` from ``since`` (simulated) on."""

    since: float
    state: str
    description: str


@dataclass(frozen=True, slots=True)
class Course:
    """Everything that will happen to a job."""

    phases: tuple[Phase, ...]
    ending: Ending
    failure: JobFailure | None = None

    @property
    def end(self) -> float:
        """Simulated time of the end; infinite when there is none."""
        last = self.phases[-1]
        return last.since if last.state in FINISHED_STATES else math.inf

    def at(self, now: float) -> Phase:
        """Tell the phase at a moment."""
        current = self.phases[0]
        for phase in self.phases[1:]:
            if phase.since > now:
                break
            current = phase
        return current


def draw_course(
    rng: random.Random,
    settings: Jobs,
    start: float,
    *,
    ending: Ending | None = None,
    failure: JobFailure | None = None,
) -> Course:
    """Draw how a job will go; the ending may be fixed, and so may the error of one that fails or warns."""
    duration = rng.uniform(settings.duration.min, settings.duration.max)
    drawn = ending or _draw_ending(rng, settings)
    late = rng.random() < settings.not_started_share
    phases = [Phase(start, NOT_STARTED, NOT_STARTED)] if late else []
    phases.append(Phase(start + duration / 3 if late else start, IN_PROGRESS, IN_PROGRESS))
    end = start + duration
    match drawn:
        case "Completed" | "PartiallySucceeded" | "CompletedWithInformation":
            phases.append(Phase(end, SUCCEEDED, drawn))
        case "Failed":
            phases.append(Phase(end, FAILED, FAILED))
            weights = [item.weight for item in settings.failures]
            failure = failure or rng.choices(settings.failures, weights)[0]
        case "Cancelled":
            phases += [Phase(start + duration * 0.7, CANCELLING, CANCELLING), Phase(end, CANCELLED, CANCELLED)]
        case "Suspended":
            phases.append(Phase(end, SUSPENDED, SUSPENDED))
        case "NeverEnds":
            pass
    return Course(tuple(phases), drawn, failure)


def _draw_ending(rng: random.Random, settings: Jobs) -> Ending:
    shares: tuple[tuple[Ending, float], ...] = (
        ("Failed", settings.failed_share),
        ("PartiallySucceeded", settings.partially_succeeded_share),
        ("CompletedWithInformation", settings.completed_with_information_share),
        ("Cancelled", settings.cancelled_share),
        ("Suspended", settings.suspended_share),
        ("NeverEnds", settings.never_ending_share),
    )
    draw = rng.random()
    for ending, share in shares:
        if draw < share:
            return ending
        draw -= share
    return "Completed"


@dataclass(slots=True, eq=False)
class Job:
    """A job of a vault. What changes when it ends, the vault knows."""

    number: int
    """Rises with every job of the vault: the list is sorted by it, newest first."""
    name: str
    vault_path: str
    scenario_name: str
    friendly_name: str
    target_id: str
    target_name: str
    target_type: str
    start: float
    course: Course
    activity_id: str
    task_names: tuple[str, ...]
    affected: dict[str, str] = field(default_factory=dict)
    """What the details of the job name besides its target, by role."""
    _listed: tuple[Phase, bytes] | None = None
    """Body for the list in the phase for which it was rendered."""

    @property
    def path(self) -> str:
        """ARM id."""
        return f"{self.vault_path}/replicationJobs/{self.name}"

    def is_finished(self, now: float) -> bool:
        """Tell whether the job has ended."""
        return self.course.end <= now

    def is_cancellable(self, now: float) -> bool:
        """Tell whether the job can be cancelled: it has not ended and is not being cancelled."""
        return self.course.at(now).state in (NOT_STARTED, IN_PROGRESS, SUSPENDED)

    def cancel(self, now: float) -> None:
        """Cancel a job that has not ended."""
        phases = tuple(phase for phase in self.course.phases if phase.since <= now)
        phases += (Phase(now, CANCELLING, CANCELLING), Phase(now + CANCEL_SECONDS, CANCELLED, CANCELLED))
        self.course = Course(phases, "Cancelled")

    def listed(self, now: float, clock: Clock) -> bytes:
        """Render an item of the job list: no tasks, errors, activity id or custom details (published example)."""
        phase = self.course.at(now)
        if self._listed is None or self._listed[0] is not phase:
            self._listed = (phase, dumps(self._document(now, clock, tasks=[], errors=[], extra={})))
        return self._listed[1]

    def document(self, now: float, clock: Clock) -> dict[str, Any]:
        """Build the answer to a GET of this job."""
        extra = {
            "activityId": f"{self.activity_id} ActivityId: {self.activity_id}",
            "customDetails": {"instanceType": "AsrJobDetails", "affectedObjectDetails": self.affected},
        }
        return self._document(now, clock, tasks=self._tasks(now, clock), errors=self._errors(now, clock), extra=extra)

    def _document(
        self, now: float, clock: Clock, *, tasks: list[Any], errors: list[Any], extra: dict[str, Any]
    ) -> dict[str, Any]:
        phase = self.course.at(now)
        properties: dict[str, Any] = {
            **extra,
            "scenarioName": self.scenario_name,
            "friendlyName": self.friendly_name,
            "state": phase.state,
            "stateDescription": phase.description,
            "tasks": tasks,
            "errors": errors,
            "startTime": trimmed(clock.wall_at(self.start)),
            "allowedActions": ["Cancel"] if self.is_cancellable(now) else [],
            "targetObjectId": self.target_id,
            "targetObjectName": self.target_name,
            "targetInstanceType": self.target_type,
        }
        if self.is_finished(now):
            properties["endTime"] = trimmed(whole_second(clock.wall_at(self.course.end)))
        return {"id": self.path, "name": self.name, "properties": properties}

    def operation_status(self, now: float, clock: Clock) -> dict[str, Any]:
        """Build the body behind ``Azure-AsyncOperation`` (recording).

        That a partial success shows as a status of its own is inferred from Microsoft's runbook, which accepts such
        a status; the error of a failed one has the form of a published example.
        """
        phase = self.course.at(now)
        finished = self.is_finished(now)
        status = phase.state if phase.description == "Completed" else phase.description
        return {
            "error": self.operation_error(now),
            "id": None,
            "name": self.name,
            "properties": None,
            "status": status,
            "startTime": seven_digits(clock.wall_at(self.start)),
            "endTime": seven_digits(whole_second(clock.wall_at(self.course.end))) if finished else None,
            "percentComplete": None,
        }

    def operation_error(self, now: float) -> dict[str, Any] | None:
        """Return what went wrong so far; code 538, already shown while cancelling, is published."""
        state = self.course.at(now).state
        if state in (CANCELLING, CANCELLED) or (state == FAILED and self.course.failure is not None):
            failure = self.failure(now)
            return {"code": failure.code, "message": failure.message}
        return None

    def failure(self, now: float) -> JobFailure:
        """Return why a job that did not succeed has ended."""
        if self.course.at(now).state == FAILED and self.course.failure is not None:
            return self.course.failure
        return JobFailure(code="538", message="The job was canceled.")

    def _errors(self, now: float, clock: Clock) -> list[dict[str, Any]]:
        warning = self.course.failure if self.course.ending == "CompletedWithInformation" else None
        if not self.is_finished(now) or (warning is None and self.operation_error(now) is None):
            return []
        failure = warning or self.failure(now)
        details: dict[str, Any] = {
            "serviceErrorDetails": {
                "code": failure.code,
                "message": failure.message,
                "possibleCauses": failure.possible_causes,
                "recommendedAction": failure.recommended_action,
                "activityId": self.activity_id,
            },
            "errorLevel": "Error" if warning is None else "Warning",
            "creationTime": trimmed(clock.wall_at(self.course.end)),
            "taskId": self._task_id(len(self.task_names) - 1),
        }
        if failure.provider_code is not None:
            details["providerErrorDetails"] = {
                "errorCode": failure.provider_code,
                "errorMessage": failure.provider_message,
                "errorId": str(failure.provider_code),
                "possibleCauses": failure.possible_causes,
                "recommendedAction": failure.recommended_action,
            }
        return [details]

    def _task_id(self, index: int) -> str:
        return guid(random.Random(f"{self.name} {index}"))

    def _tasks(self, now: float, clock: Clock) -> list[dict[str, Any]]:
        """Build the tasks: all but the last are done in an instant, the last shares the job's fate."""
        phase = self.course.at(now)
        tasks = []
        for index, name in enumerate(self.task_names):
            is_last = index == len(self.task_names) - 1
            state = phase.state if is_last else SUCCEEDED if phase.state != NOT_STARTED else NOT_STARTED
            task: dict[str, Any] = {
                "taskId": self._task_id(index),
                "name": name,
                "startTime": trimmed(clock.wall_at(self.start)),
                "allowedActions": [],
                "friendlyName": name,
                "state": state,
                "stateDescription": "Completed" if state == SUCCEEDED else state,
                "taskType": "TaskDetails",
                "errors": [],
            }
            if state in FINISHED_STATES:
                task["endTime"] = trimmed(clock.wall_at(self.course.end if is_last else self.start))
            tasks.append(task)
        return tasks
