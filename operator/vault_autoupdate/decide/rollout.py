"""Updating the agents of a vault's machines in windows: which are started now, and why no more. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Final

from vault_autoupdate.decide.jobs import Operation, Verdict
from vault_autoupdate.model.azure import Job, Machine
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.model.resource import RolloutRules
from vault_autoupdate.model.text import plural
from vault_autoupdate.model.windows import Window

_REBOOT: Final = "151083"
"""Site Recovery's code for an update that is done but for a reboot (its page on troubleshooting)."""

__all__ = [
    "MachineFailure",
    "Phase",
    "Rollout",
    "RolloutDecision",
    "decide",
    "enter",
    "forget_current",
    "is_reboot_note",
    "note_failure",
    "note_refusal",
    "note_start",
    "note_success",
    "refuse",
]


class Phase(StrEnum):
    """Where a rollout stands."""

    CLOSED = "Closed"
    """No window is open."""
    ROLLING = "Rolling"
    """A window is open and there is something left to do in it."""
    DONE = "Done"
    """A window is open and nothing is left to do."""
    PAUSED = "Paused"
    STOPPED = "Stopped"
    """``maxFailures`` was reached in the open window."""
    AUDIT = "Audit"
    """A window is open, and the resource's mode is to change nothing."""


@dataclass(frozen=True)
class MachineFailure:
    """A machine whose agent could not be updated."""

    machine_id: str
    machine: str
    attempts: int
    """In a row, over all windows."""
    last_at: datetime
    explanation: Explanation
    job_id: str = ""


@dataclass
class Rollout:
    """What is remembered of the updates of one vault. All of it goes into the status and comes back from there.

    ``started`` is always the sum of ``succeeded``, ``failed``, ``timed_out`` and the number of ``updates``. So an
    update that was refused counts as one that was started and failed, and one that was still under way when a window
    opened counts in that window too: its failure is to stop a rollout like any other.
    """

    window: Window | None = None
    """The window whose counts these are: open, or the last one."""
    request: str | None = None
    """The value of the annotation that opened ``window``; None when it was the schedule."""
    handled_request: str | None = None
    """The last value of the annotation that was taken up."""
    updates: dict[str, Operation] = field(default_factory=dict)
    """By machine key: under way."""
    done: dict[str, str] = field(default_factory=dict)
    """By machine key: the names of those updated in ``window``, until a report shows them current."""
    failures: dict[str, MachineFailure] = field(default_factory=dict)
    """By machine key: the last try failed."""
    started: int = 0
    succeeded: int = 0
    failed: int = 0
    timed_out: int = 0
    reboots: int = 0
    """Of those that succeeded: wait for a reboot (Site Recovery's code 151083)."""


@dataclass(frozen=True)
class RolloutDecision:
    """What is done about a vault's agents now."""

    phase: Phase
    start: tuple[Machine, ...] = ()
    """To be started now, in this order."""
    waiting: tuple[Machine, ...] = ()
    """Those beside ``start`` that the open window, or else the next one, would update, in that order."""
    reason: str = ""
    """In words: why nothing more is started."""


def enter(rollout: Rollout, rules: RolloutRules, request: str | None, now: datetime) -> bool:
    """Open the window that is to be open now, or close the one that no longer is.

    A new value of the annotation opens a window at once, which stays open for its duration whatever the schedule
    says. Without one, the schedule decides, also when it has just been changed.

    Args:
        rollout: changed in place. A new window begins with counts of nothing; failures are remembered.
        rules: as declared.
        request: the value of the annotation; None without one.
        now: the present.

    Returns:
        Whether a window was entered in which ``rollout`` was not yet.

    Raises:
        ValueError: the schedule cannot be used.
    """
    if request is not None and request != rollout.handled_request:
        opens_at = now.astimezone(UTC).replace(microsecond=0)  # as the status tells it: a restart changes nothing
        rollout.handled_request = request
        _begin(rollout, Window(opens_at, opens_at + rules.schedule.duration), request)
        return True
    window = rollout.window
    is_open = window is not None and window.is_open(now)
    if is_open and rollout.request is not None:
        return False
    scheduled = rules.schedule.current(now)
    if scheduled is None:
        if window is not None and is_open:
            rollout.window = Window(window.opens_at, now.astimezone(UTC).replace(microsecond=0))
        return False
    if window is not None and rollout.request is None and window.opens_at == scheduled.opens_at:
        rollout.window = scheduled  # it may have become longer or shorter
        return False
    _begin(rollout, scheduled, None)
    return True


def refuse(rollout: Rollout, request: str | None) -> bool:
    """Answer a value of the annotation where no windows are declared: it opens none, neither now nor later.

    Args:
        rollout: changed in place.
        request: the value of the annotation; None without one.

    Returns:
        Whether it was not answered before.
    """
    if request is None or request == rollout.handled_request:
        return False
    rollout.handled_request = request
    return True


def decide(
    rollout: Rollout,
    rules: RolloutRules,
    machines: Sequence[Machine],
    *,
    now: datetime,
    audit: bool,
    running: Collection[str],
) -> RolloutDecision:
    """Decide which updates to start now. The same facts give the same decision, in whatever order they come.

    Args:
        rollout: what is remembered; `enter` has been called for ``now``.
        rules: as declared.
        machines: all replicated machines of the vault.
        now: the present.
        audit: whether nothing may be changed.
        running: keys of the machines that any job is at work on, or that say that an upgrade is in progress.
    """
    behind = {each.key: each for each in machines if each.update_required is True and each.key not in rollout.done}
    idle = [each for key, each in behind.items() if key not in rollout.updates]
    busy = [each for each in idle if each.key in running or each.upgrade_in_progress is True]
    free = [each for each in idle if each.key not in running and each.upgrade_in_progress is not True]
    in_order = sorted(
        (each for each in free if each.reinstall_required is not True),
        key=lambda each: _place(each, rollout, rules.order),
    )
    window = rollout.window
    if window is None or not window.is_open(now):
        left, is_open = in_order, False
    else:
        left, is_open = [each for each in in_order if not _was_tried(each, rollout, window)], True
    reinstalls = len(free) - len(in_order)
    note = f" {plural(reinstalls, 'machine')} left out: the agent has to be installed anew." if reinstalls else ""
    failures = rollout.failed + rollout.timed_out
    if rules.pause:
        phase, why = Phase.PAUSED, f"{_wait(left)}; set spec.agentUpdates.pause to false to go on."
    elif not is_open:
        phase, why = Phase.CLOSED, f"No window is open; {_wait(left)} for the next one."
    elif audit:
        phase, why = Phase.AUDIT, f"{_wait(left)}; mode Audit starts none. Set spec.mode to Enforce to update them."
    elif failures >= rules.max_failures:
        phase, left = Phase.STOPPED, in_order
        why = (
            f"{plural(failures, 'update')} failed, and maxFailures is {rules.max_failures:,}: nothing more is started "
            f"in this window; {_wait(left)} for the next one. Mend the cause; a new value of the annotation "
            "updateAgentsNow goes on at once."
        )
    elif left or busy or rollout.updates:
        return _roll(rollout, rules, left, busy, note)
    else:
        failed = f" {plural(failures, 'update')} failed." if failures else ""
        phase, why = Phase.DONE, f"Nothing is left to do in this window.{failed}"
    return RolloutDecision(phase, waiting=tuple(left), reason=why + note)


def _roll(
    rollout: Rollout, rules: RolloutRules, left: Sequence[Machine], busy: Sequence[Machine], note: str
) -> RolloutDecision:
    """What to start of those ``left``, in their order: of the first group that has not ended, as many as may be."""
    at_work = [*(update.name for update in rollout.updates.values()), *(each.name for each in busy)]
    groups = [_group(each.name, rules.order) for each in left]
    first = min((*groups, *(_group(name, rules.order) for name in at_work)))
    ready = groups.count(first)  # they are at the beginning
    starting = min(ready, max(0, rules.max_concurrent - len(at_work)))
    start, waiting = left[:starting], left[starting:]
    under_way = len(at_work) + starting
    why = f"{plural(under_way, 'update')} under way."
    if waiting:
        is_full = under_way >= rules.max_concurrent
        place = f"a place: maxConcurrent is {rules.max_concurrent:,}"
        why = f"{why} {_wait(waiting)} for {place if is_full else 'the group before theirs to end'}."
    return RolloutDecision(Phase.ROLLING, tuple(start), tuple(waiting), why + note)


def note_start(rollout: Rollout, machine: Machine, job_id: str, now: datetime) -> None:
    """Remember that the update of ``machine`` was accepted.

    Args:
        rollout: changed in place.
        machine: which one.
        job_id: the job's GUID; empty when ARM named none.
        now: the present.
    """
    if machine.key not in rollout.updates:
        rollout.started += 1
    rollout.updates[machine.key] = Operation(machine.id, job_id, now, name=machine.name)


def note_success(rollout: Rollout, key: str, *, reboot: bool) -> None:
    """Remember that the update of the machine with ``key`` is done; nothing when none is under way.

    Args:
        rollout: changed in place.
        key: of the machine.
        reboot: whether the machine is to be rebooted for it, see `is_reboot_note`.
    """
    update = rollout.updates.pop(key, None)
    if update is None:
        return
    rollout.done[key] = update.name
    rollout.failures.pop(key, None)
    rollout.succeeded += 1
    rollout.reboots += reboot


def note_failure(
    rollout: Rollout, update: Operation, verdict: Verdict, explanation: Explanation, now: datetime
) -> None:
    """Remember that ``update`` is not waited for any longer; nothing when it is not under way.

    Args:
        rollout: changed in place.
        update: which one.
        verdict: that it failed or timed out.
        explanation: why.
        now: the present.
    """
    if rollout.updates.pop(update.key, None) is None:
        return
    if verdict is Verdict.TIMED_OUT:
        rollout.timed_out += 1
    else:
        rollout.failed += 1
    _fail(rollout, update, explanation, now)


def note_refusal(rollout: Rollout, machine: Machine, explanation: Explanation, now: datetime) -> None:
    """Remember that the update of ``machine`` was refused, or got no answer.

    Args:
        rollout: changed in place.
        machine: which one.
        explanation: why.
        now: the present.
    """
    rollout.started += 1
    rollout.failed += 1
    _fail(rollout, Operation(machine.id, "", now, name=machine.name), explanation, now)


def forget_current(rollout: Rollout, machines: Iterable[Machine]) -> None:
    """Forget the failures of machines that need no update any more or are gone, and who of those was done.

    Args:
        rollout: changed in place.
        machines: all replicated machines of the vault, just read.
    """
    kept = {machine.key for machine in machines if machine.update_required is not False}
    rollout.failures = {key: failure for key, failure in rollout.failures.items() if key in kept}
    rollout.done = {key: name for key, name in rollout.done.items() if key in kept}


def is_reboot_note(job: Job) -> bool:
    """Whether ``job`` says that its update is done, but for a reboot of the machine: replication goes on."""
    return any(error.code.strip() == _REBOOT for error in job.errors)


def _begin(rollout: Rollout, window: Window, request: str | None) -> None:
    rollout.window = window
    rollout.request = request
    rollout.done = {}
    rollout.started = len(rollout.updates)
    rollout.succeeded = rollout.failed = rollout.timed_out = rollout.reboots = 0


def _fail(rollout: Rollout, update: Operation, explanation: Explanation, now: datetime) -> None:
    before = rollout.failures.get(update.key)
    attempts = before.attempts + 1 if before else 1
    rollout.failures[update.key] = MachineFailure(
        update.target_id, update.name, attempts, now, explanation, update.job_id
    )


def _was_tried(machine: Machine, rollout: Rollout, window: Window) -> bool:
    failure = rollout.failures.get(machine.key)
    return failure is not None and failure.last_at >= window.opens_at


def _place(machine: Machine, rollout: Rollout, order: Sequence[str]) -> tuple[int, int, str, str]:
    """For sorting: by group; in it, who has never failed first, so that one that always fails keeps no other back."""
    failure = rollout.failures.get(machine.key)
    attempts = failure.attempts if failure else 0
    return _group(machine.name, order), attempts, machine.name.casefold(), machine.key


def _group(name: str, order: Sequence[str]) -> int:
    """Which pattern of ``order`` is the first that ``name`` matches; their number when there is none."""
    for number, pattern in enumerate(order):
        if fnmatchcase(name.casefold(), pattern.casefold().replace("[", "[[]")):  # sets of letters are no feature
            return number
    return len(order)


def _wait(machines: Sequence[Machine]) -> str:
    return f"{plural(len(machines), 'machine')} {'waits' if len(machines) == 1 else 'wait'}"
