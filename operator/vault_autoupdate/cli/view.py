"""What the command line shows: tables and a progress bar for people, plain lines where nobody looks on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TimeElapsedColumn
from rich.table import Column, Table
from rich.text import Text

from vault_autoupdate.cli.schedules import schedules_document
from vault_autoupdate.decide.jobs import Verdict
from vault_autoupdate.decide.plan import Action, Decision, Plan
from vault_autoupdate.decide.rollout import Phase
from vault_autoupdate.decide.schedule_report import ScheduleReport
from vault_autoupdate.decide.state import Run, VaultState
from vault_autoupdate.model.conditions import ConditionStatus
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.model.resource import VaultAutoUpdate
from vault_autoupdate.model.text import plural
from vault_autoupdate.report.mapping_words import MAPPING_WORDS
from vault_autoupdate.report.readiness import Readiness

_SIGNS: Final = {
    Action.PATCH: ("~", "yellow"),
    Action.REPAIR: ("!", "magenta"),
    Action.KEEP: ("=", "green"),
    Action.TRACK: ("…", "cyan"),
    Action.IGNORE: ("-", "dim"),
    Action.WAIT: ("x", "red"),
}
"""By action: its sign and its style."""

__all__ = [
    "LiveView",
    "PlainView",
    "View",
    "open_view",
    "plan_document",
    "run_document",
    "show_legend",
    "show_plan",
    "show_run",
]


class View(Protocol):
    """Shows a run while it goes on."""

    def outcome(self, path: str, word: str, explanation: Explanation) -> None:
        """One mapping or machine has come to an end."""

    def progress(self, readiness: Readiness, state: VaultState) -> None:
        """How far the run is."""


class PlainView:
    """One line for each thing that happens to a mapping or a machine."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = ""

    def outcome(self, path: str, word: str, explanation: Explanation) -> None:
        """See `View`."""
        why = " ".join(part for part in (explanation.code, explanation.message, explanation.recommended_action) if part)
        self._console.print(f"{word:<15} {path}" + (f"  {why}" if why else ""), markup=False, soft_wrap=True)

    def progress(self, readiness: Readiness, state: VaultState) -> None:  # noqa: ARG002 - the words are enough here
        """See `View`."""
        if readiness.message != self._last:
            self._last = readiness.message
            self._console.print(readiness.message, markup=False, soft_wrap=True)


class JobsInFlight(ProgressColumn):
    """How many jobs are in flight, each time that the bar is drawn: progress is told in larger steps than that."""

    state: VaultState | None = None

    def render(self, task: Task) -> Text:  # noqa: ARG002 - of the one task that there is, the state tells more
        """See `ProgressColumn`."""
        if self.state is None:
            return Text("reading the vault")
        return Text(f"{plural(_in_flight(self.state), 'job')} in flight")


class LiveView:
    """A progress bar, and a line above it for each mapping or machine that has come to an end."""

    def __init__(self, progress: Progress, in_flight: JobsInFlight) -> None:
        self._progress = progress
        self._in_flight = in_flight
        self._task = progress.add_task("", total=None)
        self._done = 0

    def outcome(self, path: str, word: str, explanation: Explanation) -> None:
        """See `View`."""
        self._done += 1
        self._progress.update(self._task, completed=self._done)
        style = "green" if word == str(Verdict.SUCCEEDED) else "red"
        self._progress.console.print(f"[{style}]{word}[/] {escape(path)}  {escape(explanation.code)}", soft_wrap=True)
        for text in _lines(explanation):
            self._progress.console.print(f"    {escape(text)}", soft_wrap=True)

    def progress(self, readiness: Readiness, state: VaultState) -> None:  # noqa: ARG002 - the numbers are enough here
        """See `View`."""
        self._in_flight.state = state
        running, waiting = _work_left(state)
        self._progress.update(self._task, total=self._done + running + waiting, completed=self._done)


def _lines(explanation: Explanation) -> list[str]:
    """What is said about a failure below its code."""
    activity = f"Activity id {explanation.activity_id}." if explanation.activity_id else ""
    return [text for text in (explanation.message, explanation.recommended_action, activity) if text]


def _in_flight(state: VaultState) -> int:
    rollout = state.rollout
    return len(state.operations) + (len(rollout.updates) if rollout else 0)


def _work_left(state: VaultState) -> tuple[int, int]:
    """Jobs in flight, and changes and updates that are still to start."""
    counts, rollout, decision = state.counts, state.rollout, state.rollout_decision
    waiting = counts[Action.PATCH] + counts[Action.REPAIR]
    if rollout and decision and decision.phase is Phase.ROLLING:
        undecided = {machine.key for machine in (*decision.start, *decision.waiting)}
        waiting += len(undecided - rollout.updates.keys() - rollout.done.keys() - rollout.failures.keys())
    return _in_flight(state), waiting


@contextmanager
def open_view(console: Console) -> Iterator[View]:
    """The view that suits where the output goes."""
    if not console.is_terminal:
        yield PlainView(console)
        return
    in_flight = JobsInFlight()
    columns = (
        in_flight,
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        yield LiveView(progress, in_flight)


def show_plan(console: Console, resource: VaultAutoUpdate, plan: Plan, *, everything: bool) -> None:
    """Print what would be changed and why, and a line that sums it up."""
    shown = [decision for decision in plan.decisions if everything or decision.action not in _AT_REST]
    console.print(f"{resource.key}: vault {resource.spec.vault_resource_id}", markup=False, soft_wrap=True)
    if console.is_terminal and shown:
        table = Table("", Column("Mapping", overflow="fold"), Column("Why", overflow="fold"), box=None, pad_edge=False)
        for decision in shown:
            sign, style = _SIGNS[decision.action]
            table.add_row(sign, escape(decision.mapping.path), escape(decision.reason), style=style)
        console.print(table)
    else:
        for decision in shown:
            line = f"{_SIGNS[decision.action][0]} {decision.mapping.path}: {decision.reason}"
            console.print(line, markup=False, soft_wrap=True)
    show_legend(console, {_SIGNS[each.action][0]: MAPPING_WORDS[each.action].meaning for each in shown})
    counts = plan.counts
    console.print(
        f"Plan: {counts[Action.PATCH]:,} to change, {counts[Action.REPAIR]:,} to repair, "
        f"{counts[Action.TRACK]:,} under way, {counts[Action.KEEP]:,} as declared, {counts[Action.IGNORE]:,} ignored.",
        markup=False,
        soft_wrap=True,
    )


def show_legend(console: Console, signs: Mapping[str, str]) -> None:
    """Print what the signs mean, if there are any."""
    if signs:
        words = "  ".join(f"{sign} {meaning}" for sign, meaning in signs.items())
        console.print(f"Signs: {words}", markup=False, highlight=False, soft_wrap=True)


def plan_document(resource: VaultAutoUpdate, plan: Plan, schedules: ScheduleReport | None = None) -> dict[str, Any]:
    """The plan for programs."""
    counts = plan.counts
    return {
        "resource": str(resource.key),
        "vaultResourceId": str(resource.spec.vault_resource_id),
        "counts": {str(action): counts[action] for action in Action},
        "mappings": [_decision(decision) for decision in plan.decisions],
        **({"runbookSchedule": schedules_document(schedules)} if schedules else {}),
    }


def show_run(console: Console, resource: VaultAutoUpdate, state: VaultState, readiness: Readiness) -> None:
    """Print how a run ended: the words, and the four counters that the runbook ends with."""
    run = state.run or Run("", resource.created_at)
    colour = "green" if readiness.ready == ConditionStatus.TRUE else "yellow" if readiness.reconciling else "red"
    console.print(f"[{colour}]{escape(readiness.reason)}[/]: {escape(readiness.message)}", soft_wrap=True)
    console.print(
        f"{run.succeeded:,} succeeded, {run.failed:,} failed, {run.failed_to_start:,} failed to start, "
        f"{run.timed_out:,} timed out.",
        markup=False,
    )


def run_document(resource: VaultAutoUpdate, state: VaultState, readiness: Readiness) -> dict[str, Any]:
    """How a run ended, for programs."""
    run, counts = state.run or Run("", resource.created_at), state.counts
    return {
        "resource": str(resource.key),
        "vaultResourceId": str(resource.spec.vault_resource_id),
        "ready": readiness.ready,
        "reason": readiness.reason,
        "message": readiness.message,
        "runId": run.id,
        "succeeded": run.succeeded,
        "failed": run.failed,
        "failedToStart": run.failed_to_start,
        "timedOut": run.timed_out,
        "jobsInFlight": len(state.operations),
        "counts": {str(action): counts[action] for action in Action},
        "failures": [
            {
                "mapping": state.paths.get(key, key),
                "reason": str(attempt.reason),
                "code": attempt.explanation.code,
                "message": attempt.explanation.message,
                "possibleCauses": attempt.explanation.possible_causes,
                "recommendedAction": attempt.explanation.recommended_action,
                "activityId": attempt.explanation.activity_id,
                "jobId": attempt.job_id,
            }
            for key, attempt in state.attempts.items()
            if state.actions.get(key) is Action.WAIT
        ],
    }


def print_json(document: object) -> str:
    """A document as indented JSON."""
    return json.dumps(document, indent=2, ensure_ascii=False)


def _decision(decision: Decision) -> dict[str, str]:
    """What would be done about a mapping, and what it has: that is what `restore` goes back to."""
    mapping = decision.mapping
    return {
        "mapping": mapping.path,
        "action": str(decision.action),
        "reason": decision.reason,
        "autoUpdate": mapping.auto_update_status,
        "automationAccountResourceId": mapping.automation_account_id,
        "automationAccountAuthenticationType": mapping.authentication_type,
    }


_AT_REST: Final = frozenset({Action.KEEP, Action.IGNORE})
