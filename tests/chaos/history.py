"""What the history of a resource forbids: checked on every version that a watch has seen. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

FINALIZER: Final = "asr.vault-autoupdate.io/disable-auto-update"
MOST_OPERATIONS: Final = 150
MOST_FAILURES: Final = 20
MOST_BYTES: Final = 100_000
SEEN_NOW_AND_THEN: Final = frozenset({"AgentsCurrent", "AutomationAccountHealthy"})
_COUNTERS: Final = ("patched", "succeeded", "failed", "failedToStart", "timedOut")

__all__ = ["FINALIZER", "Version", "check_histories", "check_history"]


@dataclass(frozen=True)
class Version:
    """A resource as the API server had it at some time."""

    body: Mapping[str, Any]
    at: float = 0.0
    """When we saw it, in simulated seconds."""
    gap: bool = False
    """Whether versions before this one may have been missed: the watch had been cut."""
    deleted: bool = False

    @property
    def uid(self) -> str:
        return str(self.body["metadata"]["uid"])

    @property
    def name(self) -> str:
        return str(self.body["metadata"]["name"])

    @property
    def generation(self) -> int:
        return int(self.body["metadata"]["generation"])

    @property
    def status(self) -> Mapping[str, Any]:
        return self.body.get("status") or {}

    @property
    def conditions(self) -> dict[str, Mapping[str, Any]]:
        return {condition["type"]: condition for condition in self.status.get("conditions") or ()}


def check_histories(versions: Iterable[Version], specs: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """Everything that is wrong with the versions of many resources, in the order in which they were seen.

    Args:
        versions: of all resources.
        specs: by uid: what others than the operator have declared.
    """
    by_uid: dict[str, list[Version]] = {}
    for version in versions:
        by_uid.setdefault(version.uid, []).append(version)
    return [problem for uid, history in by_uid.items() for problem in check_history(history, specs.get(uid, ()))]


def check_history(history: Sequence[Version], specs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Everything that is wrong with the versions of one resource."""
    problems = [
        f"{version.name} version {version.body['metadata']['resourceVersion']}: {problem}"
        for version in history
        for problem in (*_alone(version), *_declared(version, specs))
    ]
    for before, after in pairwise(history):
        where = f"{after.name} version {after.body['metadata']['resourceVersion']}"
        problems += [f"{where}: {problem}" for problem in _transition(before, after)]
    return problems + _finalizers(history) + _runs(history)


def _alone(version: Version) -> Iterator[str]:
    status, conditions = version.status, version.conditions
    observed = status.get("observedGeneration", 0)
    if observed > version.generation:
        yield f"observedGeneration {observed} is beyond generation {version.generation}"
    for kind, condition in conditions.items():
        about = condition["observedGeneration"]
        # Agents and the account are looked at now and then: what was seen stays until the next look.
        if about > observed or (about != observed and kind not in SEEN_NOW_AND_THEN):
            yield f"{kind} is about generation {about}, the status about {observed}"
    for kind in ("Reconciling", "Stalled"):
        if kind in conditions and conditions[kind]["status"] != "True":
            yield f"{kind} is {conditions[kind]['status']}"
    if {"Reconciling", "Stalled"} <= conditions.keys():
        yield "Reconciling and Stalled at once"
    if len(conditions) != len(status.get("conditions") or ()):
        yield "a condition is there twice"
    if conditions.get("Ready", {}).get("status") == "True":
        yield from _ready(status, conditions)
    if len(status.get("operations") or ()) > MOST_OPERATIONS or len(status.get("failures") or ()) > MOST_FAILURES:
        yield "a list is longer than it may be"
    if (size := len(json.dumps(version.body))) > MOST_BYTES:
        yield f"it has {size} bytes"


def _ready(status: Mapping[str, Any], conditions: Mapping[str, Any]) -> Iterator[str]:
    mappings = status.get("mappings") or {}
    if not mappings or mappings["compliant"] != mappings["inScope"]:
        yield f"Ready with {mappings}"
    if status.get("operations") or status.get("operationsOmitted"):
        yield "Ready with jobs in flight"
    if status.get("failures"):
        yield "Ready with failures"
    if contradicting := sorted(conditions.keys() - {"Ready", *SEEN_NOW_AND_THEN}):
        yield f"Ready and {', '.join(contradicting)}"
    run = status.get("lastRun")
    if run and "completedAt" not in run:
        yield "Ready with a run that is not over"


def _declared(version: Version, specs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if version.body["spec"] not in specs:
        yield f"nobody has declared this: {version.body['spec']}"


def _transition(before: Version, after: Version) -> Iterator[str]:
    old, new = before.status.get("observedGeneration", 0), after.status.get("observedGeneration", 0)
    if new < old:
        yield f"observedGeneration went from {old} to {new}"
    for kind, condition in after.conditions.items():
        previous = before.conditions.get(kind)
        if previous is None:
            continue
        same_time = previous["lastTransitionTime"] == condition["lastTransitionTime"]
        if previous["status"] == condition["status"] and not same_time and not after.gap:
            times = f"{previous['lastTransitionTime']} {previous['reason']} -> {condition['lastTransitionTime']}"
            yield f"lastTransitionTime of {kind} changed ({times}), its status {condition['status']} did not"
        if condition["lastTransitionTime"] < previous["lastTransitionTime"]:
            yield f"lastTransitionTime of {kind} went back"


def _finalizers(history: Sequence[Version]) -> list[str]:
    """Our finalizer is held only by what has, or has had, the policy for it."""
    had_policy, problems = False, []
    for version in history:
        had_policy |= version.body["spec"].get("deletionPolicy") == "Disable"
        if FINALIZER in (version.body["metadata"].get("finalizers") or ()) and not had_policy:
            problems.append(f"{version.name} has the finalizer and never had deletionPolicy Disable")
    return problems


def _runs(history: Sequence[Version]) -> list[str]:
    """The counts of a run never fall, it begins once and ends once, and a run that is over does not come back."""
    problems: list[str] = []
    runs: dict[str, Mapping[str, Any]] = {}
    latest = ""
    for version in history:
        run = version.status.get("lastRun")
        if not run:
            if latest:
                problems.append(f"{version.name}: lastRun {latest} vanished")
            continue
        known = runs.get(run["id"])
        if known is not None and run["id"] != latest:
            problems.append(f"{version.name}: run {run['id']} came back")
        if known is not None:
            problems += [
                f"{version.name}: {counter} of run {run['id']} fell from {known[counter]} to {run[counter]}"
                for counter in _COUNTERS
                if run[counter] < known[counter]
            ]
            if run["startedAt"] != known["startedAt"]:
                problems.append(f"{version.name}: run {run['id']} began twice")
            if "completedAt" in known and run.get("completedAt") != known["completedAt"]:
                problems.append(f"{version.name}: run {run['id']} ended twice, or went on after its end")
        runs[run["id"]], latest = run, run["id"]
    return problems
