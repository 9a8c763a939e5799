"""The invariants of a status's history can fail: each is broken here, and a right history passes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.chaos.history import FINALIZER, Version, check_histories, check_history

SPEC = {"vaultResourceId": "/vault", "autoUpdate": "Enabled", "deletionPolicy": "Retain"}
RUN = {"id": "run-1", "startedAt": "2026-01-01T00:00:01Z"}
COUNTS = {"patched": 0, "succeeded": 0, "failed": 0, "failedToStart": 0, "timedOut": 0}
Body = dict[str, Any]


def _conditions(ready: str, at: str, *more: str, generation: int = 1) -> list[Body]:
    common = {"observedGeneration": generation, "reason": "R", "message": "m"}
    return [
        {"type": "Ready", "status": ready, "lastTransitionTime": at, **common},
        *({"type": kind, "status": "True", "lastTransitionTime": at, **common} for kind in more),
    ]


def _body(number: int, status: Body | None = None, *, generation: int = 1) -> Body:
    metadata = {"uid": "uid-1", "name": "dr", "resourceVersion": str(number), "generation": generation}
    return {"metadata": metadata, "spec": dict(SPEC), "status": status or {}}


def _history() -> list[Body]:
    """A resource that is created, worked on, and becomes Ready."""
    return [
        _body(1),
        _body(2, {"observedGeneration": 1, "conditions": _conditions("False", "2026-01-01T00:00:01Z", "Reconciling"),
                  "mappings": {"inScope": 2, "compliant": 1}, "operations": [{"mapping": "f/c/m", "jobId": "j"}],
                  "lastRun": RUN | COUNTS | {"patched": 1}}),
        _body(3, {"observedGeneration": 1, "conditions": _conditions("True", "2026-01-01T00:00:05Z"),
                  "mappings": {"inScope": 2, "compliant": 2},
                  "lastRun": RUN | COUNTS | {"patched": 1, "succeeded": 1, "completedAt": "2026-01-01T00:00:05Z"}}),
        _body(4, {"observedGeneration": 1, "conditions": _conditions("True", "2026-01-01T00:00:05Z"),
                  "mappings": {"inScope": 2, "compliant": 2},
                  "lastRun": RUN | COUNTS | {"patched": 1, "succeeded": 1, "completedAt": "2026-01-01T00:00:05Z"}},
              generation=2),
    ]  # fmt: skip


def _check(bodies: list[Body], **more: bool) -> list[str]:
    return check_history([Version(body, **more) for body in bodies], [SPEC])


def test_a_right_history_passes() -> None:
    assert _check(_history()) == []


def _second_run(bodies: list[Body]) -> None:
    later = copy.deepcopy(bodies[2])
    later["metadata"]["resourceVersion"] = "5"
    later["status"]["lastRun"]["id"] = "run-2"
    again = copy.deepcopy(bodies[2])
    again["metadata"]["resourceVersion"] = "6"
    bodies += [later, again]


BROKEN: dict[str, tuple[Callable[[list[Body]], object], str]] = {
    "observedGeneration beyond the generation": (
        lambda bodies: bodies[1]["status"].update(observedGeneration=2), "is beyond generation 1"
    ),
    "observedGeneration goes back": (
        lambda bodies: bodies[3]["status"].update(observedGeneration=0), "went from 1 to 0"
    ),
    "Ready about another generation than the status": (
        lambda bodies: bodies[2]["status"]["conditions"][0].update(observedGeneration=0), "Ready is about generation 0"
    ),
    "Ready with a mapping that is not right": (
        lambda bodies: bodies[2]["status"]["mappings"].update(compliant=1), "Ready with {"
    ),
    "Ready without having looked": (lambda bodies: bodies[2]["status"].pop("mappings"), "Ready with {}"),
    "Ready with jobs in flight": (
        lambda bodies: bodies[2]["status"].update(operations=[{}]), "Ready with jobs in flight"
    ),
    "Ready with jobs for which there is no room": (
        lambda bodies: bodies[2]["status"].update(operationsOmitted=1), "Ready with jobs in flight"
    ),
    "Ready with failures": (lambda bodies: bodies[2]["status"].update(failures=[{}]), "Ready with failures"),
    "Ready in the middle of a run": (
        lambda bodies: bodies[2]["status"]["lastRun"].pop("completedAt"), "a run that is not over"
    ),
    "Ready and Reconciling": (
        lambda bodies: bodies[2]["status"].update(
            conditions=_conditions("True", "2026-01-01T00:00:05Z", "Reconciling")
        ),
        "Ready and Reconciling",
    ),
    "Reconciling is False": (
        lambda bodies: bodies[1]["status"]["conditions"][1].update(status="False"), "Reconciling is False"
    ),
    "Reconciling and Stalled": (
        lambda bodies: bodies[1]["status"].update(
            conditions=_conditions("False", "2026-01-01T00:00:01Z", "Reconciling", "Stalled")
        ),
        "at once",
    ),
    "a condition twice": (
        lambda bodies: bodies[2]["status"]["conditions"].append(bodies[2]["status"]["conditions"][0]), "twice"
    ),
    "too many operations": (
        lambda bodies: bodies[1]["status"].update(operations=[{}] * 151), "longer than it may be"
    ),
    "too many failures": (lambda bodies: bodies[1]["status"].update(failures=[{}] * 21), "longer than it may be"),
    "too large": (lambda bodies: bodies[1]["status"].update(failures=[{"message": "m" * 100_000}]), "bytes"),
    "transition time without a transition": (
        lambda bodies: bodies[3]["status"].update(conditions=_conditions("True", "2026-01-01T00:00:06Z")),
        "its status True did not",
    ),
    "transition time goes back": (
        lambda bodies: bodies[2]["status"].update(conditions=_conditions("True", "2026-01-01T00:00:00Z")), "went back"
    ),
    "a count falls": (lambda bodies: bodies[3]["status"]["lastRun"].update(patched=0), "fell from 1 to 0"),
    "a run begins twice": (
        lambda bodies: bodies[3]["status"]["lastRun"].update(startedAt="2026-01-01T00:00:03Z"), "began twice"
    ),
    "a run ends twice": (
        lambda bodies: bodies[3]["status"]["lastRun"].update(completedAt="2026-01-01T00:00:09Z"), "ended twice"
    ),
    "a run goes on after its end": (
        lambda bodies: (bodies[3]["status"]["lastRun"].pop("completedAt"),
                        bodies[3]["status"].update(conditions=_conditions("False", "2026-01-01T00:00:06Z"))),
        "went on after its end",
    ),
    "a run comes back": (_second_run, "came back"),
    "lastRun vanishes": (lambda bodies: bodies[3]["status"].pop("lastRun"), "vanished"),
    "a spec that nobody declared": (
        lambda bodies: bodies[2]["spec"].update(autoUpdate="Disabled"), "nobody has declared this"
    ),
    "a finalizer without the policy": (
        lambda bodies: bodies[2]["metadata"].update(finalizers=[FINALIZER]), "never had deletionPolicy Disable"
    ),
}  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN)
def test_what_a_history_forbids_is_found(broken: str) -> None:
    bodies, (damage, said) = _history(), BROKEN[broken]
    damage(bodies)

    problems = _check(bodies)

    assert any(said in problem for problem in problems), problems


def test_a_transition_that_was_not_seen_excuses_a_new_transition_time() -> None:
    bodies = _history()
    bodies[3]["status"].update(conditions=_conditions("True", "2026-01-01T00:00:06Z"))

    assert _check(bodies, gap=True) == []


def test_the_finalizer_of_one_who_had_the_policy_may_stay_for_a_while() -> None:
    bodies = _history()
    held = SPEC | {"deletionPolicy": "Disable"}
    bodies[1]["spec"] = held
    bodies[2]["metadata"]["finalizers"] = [FINALIZER]

    assert check_history([Version(body) for body in bodies], [SPEC, held]) == []


def test_two_resources_have_two_histories() -> None:
    mine, other = _history(), _history()
    for body in other:
        body["metadata"]["uid"] = "uid-2"
    mixed = [Version(body) for pair in zip(mine, reversed(other), strict=True) for body in pair]

    problems = check_histories(mixed, {"uid-1": [SPEC], "uid-2": [SPEC]})

    assert any("went from 1 to 0" in problem for problem in problems)
    assert check_histories([Version(body) for body in [*mine, *_history()[:0]]], {"uid-1": [SPEC]}) == []
