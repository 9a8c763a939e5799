"""What is remembered of one vault between two looks at it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from vault_autoupdate.decide.account_report import AccountReport
from vault_autoupdate.decide.agent_report import AgentReport
from vault_autoupdate.decide.attempts import Attempt, BackoffPolicy, FailureReason, failed, started
from vault_autoupdate.decide.attribution import Drift
from vault_autoupdate.decide.jobs import Operation, Verdict
from vault_autoupdate.decide.look import Look, Subject
from vault_autoupdate.decide.plan import Action, Decision, Plan
from vault_autoupdate.decide.rollout import Rollout, RolloutDecision
from vault_autoupdate.decide.schedule_report import Replaced, ScheduleReport
from vault_autoupdate.decide.schedule_writes import ScheduleWrites
from vault_autoupdate.decide.standings import Standings
from vault_autoupdate.model.azure import ContainerMapping, LostArtifact, Machine
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.model.resource import Goal
from vault_autoupdate.model.windows import Window

__all__ = ["Run", "ScheduleKeeping", "VaultState"]


@dataclass
class Run:
    """One stretch of work on a vault, from the first change to the end of the last job: the runbook's task."""

    id: str
    started_at: datetime
    completed_at: datetime | None = None
    patched: int = 0
    """PATCHes that ARM accepted."""
    succeeded: int = 0
    failed: int = 0
    failed_to_start: int = 0
    timed_out: int = 0

    def count(self, verdict: Verdict) -> None:
        """One more job has ended."""
        match verdict:
            case Verdict.SUCCEEDED:
                self.succeeded += 1
            case Verdict.FAILED:
                self.failed += 1
            case Verdict.TIMED_OUT:
                self.timed_out += 1
            case Verdict.RUNNING:
                raise ValueError("a job that runs has not ended")


@dataclass
class ScheduleKeeping:
    """What is known of the schedules of the update runbook, and was done to them."""

    look: Look[ScheduleReport] = field(default_factory=Look)
    writes: ScheduleWrites = field(default_factory=ScheduleWrites)
    replaced: tuple[Replaced, ...] = ()
    """Times at which they ran before, the newest first."""

    def forget(self) -> None:
        """No time is declared. What was written lately counts all the same, should one be declared again."""
        self.look.forget()


@dataclass
class VaultState:
    """Everything known of a vault that one resource manages."""

    vault_name: str = ""
    location: str = ""
    looked: bool = False
    """Whether this process has looked at the vault. Until then its mappings are those of the status."""
    looked_at: datetime | None = None
    """When the last look of this process began."""
    actions: MutableMapping[str, Action] = field(default_factory=Standings)
    """By mapping key: where each mapping stands; empty before the first look."""
    operations: dict[str, Operation] = field(default_factory=dict)
    """By mapping key: the jobs in flight."""
    attempts: dict[str, Attempt] = field(default_factory=dict)
    """By mapping key: what was tried and has not made the mapping right."""
    paths: dict[str, str] = field(default_factory=dict)
    """By mapping key: how to name it to people."""
    samples: dict[str, str] = field(default_factory=dict)
    """By mapping key: why it differs, for the first few that do."""
    given_up: frozenset[str] = frozenset()
    """Jobs (folded names) that ran longer than they may; they are not adopted again."""
    run: Run | None = None
    interrupted: bool = False
    """Whether this process found a run that another one had not finished."""
    taken_over: bool = False
    """Whether another pass has left jobs in flight that may undo what is right now: those are to be looked for."""
    omitted: tuple[int, Attempt] | None = None
    """After a restart: how many failures the status had no room for, and one of those that it had."""
    errors_in_a_row: int = 0
    goal: Goal | None = None
    """What the mappings should have been at the last look."""
    agents: Look[AgentReport] = field(default_factory=Look)
    """The agents of the vault's machines."""
    account: Look[AccountReport] = field(default_factory=Look)
    """The Automation account."""
    schedules: ScheduleKeeping = field(default_factory=ScheduleKeeping)
    """The schedules of the update runbook."""
    rollout: Rollout | None = None
    """Updates of agents in windows; None for a vault without ``spec.agentUpdates`` and without any left over."""
    rollout_decision: RolloutDecision | None = None
    """What was last decided about them."""
    next_window: Window | None = None
    """The next window to open."""
    machines: tuple[Machine, ...] = ()
    """All machines as they were last looked at; kept only for a vault whose agents are updated in windows."""
    machines_at: datetime | None = None
    """When they were looked at."""
    artifacts_missing: dict[str, LostArtifact] = field(default_factory=dict)
    """By mapping key: what the Automation account has lost that the mapping needs."""
    artifacts_renewed: dict[str, datetime] = field(default_factory=dict)
    """By mapping key: when that was last done, so that it is not done again and again in vain."""
    settled_until: datetime | None = None
    """Until when the mappings need no look, as far as is known."""
    reverts: int = 0
    """Looks that found something changed by somebody else after it had been as declared."""
    drift: Drift | None = None
    """What the last of these found, where it is to be learned who it was."""

    @property
    def may_have_written(self) -> bool:
        """Whether the process before this one may have begun something that its last status does not tell."""
        return self.interrupted or bool(self.operations) or bool(self.rollout and self.rollout.updates)

    @property
    def looks(self) -> Mapping[Subject, Look[Any]]:
        """What is looked at now and then, beside the mappings."""
        return {Subject.AGENTS: self.agents, Subject.ACCOUNT: self.account, Subject.SCHEDULES: self.schedules.look}

    @property
    def counts(self) -> Counter[Action]:
        """How many mappings stand where."""
        return Counter(self.actions.values())

    def look_anew(self, now: datetime) -> None:
        """Somebody wants to know how things stand: all of it is due."""
        self.settled_until = None
        self.agents.due = self.account.due = self.schedules.look.due = now
        self.artifacts_renewed.clear()

    def take_over(self, left: Mapping[str, Operation]) -> None:
        """Track the jobs that another pass over the vault has left in flight, by mapping key.

        What Site Recovery says of a job may not name its mapping, so that it could not be found again.
        """
        self.taken_over = True
        self.operations = {**{key: replace(each, adopted=True) for key, each in left.items()}, **self.operations}

    def assume_omitted(self, differing: Iterable[str]) -> None:
        """After a restart, treat mappings that differ like the failures that the status had no room for.

        Otherwise every restart would try them all at once, however often they failed.

        Args:
            differing: keys of the mappings that differ, in the order in which the vault lists them.
        """
        if self.omitted is None:
            return
        count, like = self.omitted
        self.omitted = None
        unknown = [key for key in differing if key not in self.attempts]
        self.attempts.update((key, like) for key in unknown[:count])

    def adopt(self, operations: Iterable[Operation]) -> None:
        """Track jobs that were found at work on mappings."""
        self.operations.update((operation.key, operation) for operation in operations)

    def keep_present(self, mappings: Iterable[ContainerMapping]) -> None:
        """Forget operations on mappings that the vault does not have any more."""
        present = {mapping.key for mapping in mappings}
        self.operations = {key: operation for key, operation in self.operations.items() if key in present}

    def change_began(
        self, mapping: ContainerMapping, operation: Operation | None, now: datetime, policy: BackoffPolicy
    ) -> None:
        """The change of a mapping is under way; without an operation it is done already."""
        key = mapping.key
        self.attempts[key] = started(self.attempts.get(key), now, policy)
        self.paths[key] = mapping.path
        self.actions[key] = Action.TRACK if operation else Action.KEEP
        self.schedules.look.due = now  # Azure may give it another schedule, or the same one another time
        if operation:
            self.operations[key] = operation
        if self.artifacts_missing.pop(key, None):
            self.artifacts_renewed[key] = now
            self.account.due = now + policy.repair_min  # to see whether it is there again

    def change_refused(
        self, mapping: ContainerMapping, explanation: Explanation, now: datetime, policy: BackoffPolicy
    ) -> None:
        """The change of a mapping was refused, or did not get through."""
        attempt = started(self.attempts.get(mapping.key), now, policy)
        self._fail(mapping.key, mapping.path, failed(attempt, FailureReason.FAILED_TO_START, explanation, now, policy))

    def change_ended(
        self, operation: Operation, verdict: Verdict, explanation: Explanation, now: datetime, policy: BackoffPolicy
    ) -> None:
        """The job of a mapping is not waited for any longer."""
        key = operation.key
        self.operations.pop(key, None)
        self.schedules.look.due = now
        if verdict is Verdict.SUCCEEDED:
            self.actions[key] = Action.KEEP
            return
        reason = FailureReason.JOB_FAILED
        if verdict is Verdict.TIMED_OUT:
            self.given_up |= {operation.job_key}
            reason = FailureReason.TIMED_OUT
        attempt = self.attempts.get(key) or started(None, now, policy)
        attempt = failed(attempt, reason, explanation, now, policy, job_id=operation.job_id)
        self._fail(key, operation.label, attempt)

    def _fail(self, key: str, path: str, attempt: Attempt) -> None:
        self.attempts[key], self.paths[key], self.actions[key] = attempt, path, Action.WAIT

    def look(self, plan: Plan, goal: Goal | None = None, began: datetime | None = None) -> tuple[Decision, ...]:
        """Take over what an observation found. What is right again needs no further attempts.

        Args:
            plan: what was decided about it.
            goal: what was declared.
            began: when it began.

        Returns:
            The decisions about mappings that had been as declared and were changed by somebody else.
        """
        self.looked = True
        undone = [d for d in plan.actionable if goal == self.goal and self.actions.get(d.mapping.key) is Action.KEEP]
        self.reverts += bool(undone)
        self.goal, self.looked_at = goal, began
        self.actions = Standings((decision.mapping.key, decision.action) for decision in plan.decisions)
        present = {decision.mapping.key: decision for decision in plan.decisions}
        self.attempts = {
            key: attempt
            for key, attempt in self.attempts.items()
            if key in present and present[key].action not in {Action.KEEP, Action.IGNORE}
        }
        for key, attempt in self.attempts.items():
            unhealthy, differs = present[key].unhealthy, present[key].differs
            if attempt.reason in {FailureReason.STILL_DIFFERS, FailureReason.UNHEALTHY}:
                if unhealthy is not None:
                    self.attempts[key] = replace(attempt, reason=FailureReason.UNHEALTHY, explanation=unhealthy)
                elif differs is not None:
                    self.attempts[key] = replace(attempt, reason=FailureReason.STILL_DIFFERS, explanation=differs)
        differing = [d for d in plan.decisions if d.action in {Action.PATCH, Action.REPAIR, Action.WAIT}]
        self.paths = {key: present[key].mapping.path for key in (*self.attempts, *self.operations) if key in present}
        self.samples = {d.mapping.path: d.reason for d in differing[:3]}
        return tuple(d for d in undone if d.action is Action.PATCH)
