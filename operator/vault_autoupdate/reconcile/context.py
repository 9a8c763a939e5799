"""One pass over one vault: what its steps share."""

from __future__ import annotations

import asyncio
import uuid
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

from vault_autoupdate.arm.activity import ActivityLogs
from vault_autoupdate.arm.authorization import RoleAssignments
from vault_autoupdate.arm.automation import AutomationAccounts
from vault_autoupdate.arm.client import CallContext
from vault_autoupdate.arm.identity.tokens import TokenSource
from vault_autoupdate.arm.runbook_schedules import RunbookSchedules
from vault_autoupdate.arm.site_recovery import SiteRecovery
from vault_autoupdate.arm.throttle import CallKind, Throttle
from vault_autoupdate.decide.agent_report import newest_version
from vault_autoupdate.decide.attempts import BackoffPolicy
from vault_autoupdate.decide.jobs import Verdict, WorkKind
from vault_autoupdate.decide.schedule_claims import ScheduleClaims
from vault_autoupdate.decide.state import Run, VaultState
from vault_autoupdate.model.arm_id import fold
from vault_autoupdate.model.azure import ContainerMapping, Job
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.model.quota import QuotaScope
from vault_autoupdate.model.resource import AutoUpdate, Goal, VaultAutoUpdate
from vault_autoupdate.report import readiness
from vault_autoupdate.report.readiness import Readiness

_MOST_SUBSCRIPTIONS: Final = 10_000
"""Whose newest agent is remembered."""

__all__ = ["LogIn", "NewestAgents", "ReconcileContext", "Report", "RunObserver", "Timing"]

Report = Callable[[Readiness], Awaitable[None]]
"""Takes how things stand while a pass goes on, to show it to people."""


LogIn = Callable[[], Awaitable[TokenSource | None]]
"""Gives the identity that a resource brings along; None for the process's own. Raises `CredentialError`."""


class RunObserver(Protocol):
    """Is told what happens to mappings and jobs, for metrics."""

    def drift_found(self, drifted: int, unhealthy: int) -> None:
        """A look at a vault found mappings that have to be changed."""

    def work_failed_to_start(self, kind: WorkKind, label: str, explanation: Explanation) -> None:
        """ARM did not accept the change of a mapping or the update of an agent, or it did not get through."""

    def work_ended(
        self, kind: WorkKind, label: str, verdict: Verdict, took: timedelta, explanation: Explanation
    ) -> None:
        """Work on a mapping or an agent is not waited for any longer."""

    def job_state_unknown(self, state: str) -> None:
        """A job is in a state that nobody has documented."""


@dataclass(frozen=True)
class Timing:
    """How long things wait."""

    poll_min: timedelta
    poll_max: timedelta
    retry_pause: timedelta
    retry_min: timedelta
    retry_max: timedelta
    status_interval: timedelta
    agent_interval: timedelta
    """Between two looks at a vault's agents and at its Automation account; nothing for none."""
    request_interval: timedelta
    """After a handful of looks at a resource that somebody asked for, between two more; nothing for no bound."""
    changes_at_once: int
    """PATCHes of one vault that may be under way or waiting for their turn."""
    role_confirmation: timedelta = timedelta(minutes=15)
    """For how long no role of an Automation account's identity must have been seen before that counts."""


class NewestAgents:
    """The newest version of the agent that was seen on any machine: Site Recovery does not tell what the newest is.

    By subscription, so that a machine of one team with a made-up version says nothing of another team's machines.
    """

    def __init__(self) -> None:
        self._versions: OrderedDict[str, str] = OrderedDict()

    def seen(self, subscription: str, versions: Iterable[str]) -> str:
        """Take note of the versions on some machines of a subscription; returns the newest one of all."""
        newest = newest_version([self._versions.pop(fold(subscription), ""), *versions])
        self._versions[fold(subscription)] = newest
        while len(self._versions) > _MOST_SUBSCRIPTIONS:
            self._versions.popitem(last=False)
        return newest


@dataclass
class ReconcileContext:
    """What the steps of one pass work on, and with."""

    resource: VaultAutoUpdate
    state: VaultState
    site_recovery: SiteRecovery
    accounts: AutomationAccounts
    roles: RoleAssignments
    activity: ActivityLogs
    schedules: RunbookSchedules
    schedule_claims: ScheduleClaims
    """Of all vaults that the process has seen."""
    timing: Timing
    observer: RunObserver
    report_to: Report
    superseded: asyncio.Event
    """Set when the resource has changed or the process is to stop: start nothing more, end soon."""
    now: Callable[[], datetime]
    scope: Callable[[VaultAutoUpdate, str], QuotaScope]
    """From resource and region to what shares a quota."""
    newest_agents: NewestAgents
    """Of all vaults that the process has seen."""
    select: Callable[[ContainerMapping], bool] = lambda _: True
    """Which of the vault's mappings the pass is about; of the others it takes no notice."""
    mappings: Sequence[ContainerMapping] = ()
    """As this pass has seen them last."""
    refusal: Readiness | None = None
    """What somebody asked for in this pass and does not get, and why."""
    postponed: bool = False
    """Whether a look that is due has to wait for better times."""
    tokens: TokenSource | None = field(default=None, repr=False)
    """The identity that the resource brings along; None for the process's own."""
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    ask_who: Callable[[], None] = lambda: None
    """Is called when there is something to ask the activity log about."""
    troubles: dict[str, str] = field(default_factory=dict)
    """What cannot be done for the moment, and why, in words."""
    unidentified: list[Job] = field(default_factory=list)
    """Running jobs that an earlier process may have started, found after a restart in mid-run."""
    _reported_at: float = 0.0
    _call_context: tuple[object, CallContext] | None = field(default=None, repr=False)
    """The last one, and what it was made of: it is asked for several times a call."""

    @property
    def goal(self) -> Goal:
        """What the mappings should be. A resource that is being deleted wants them disabled."""
        spec = self.resource.spec
        if self.resource.deleting:
            return Goal(AutoUpdate.DISABLED)
        return Goal(spec.auto_update, spec.automation_account_resource_id)

    @property
    def throttle(self) -> Throttle:
        """What calls wait for; the steps tell it what is coming."""
        return self.site_recovery.client.throttle

    @property
    def call_context(self) -> CallContext:
        """On whose behalf calls are made."""
        run = self.state.run
        run_id = run.id if run and run.completed_at is None and run.id else self.id
        made_of = (self.state.location, run_id, self.tokens)
        if self._call_context is None or self._call_context[0] != made_of:
            called = CallContext(
                scope=self.scope(self.resource, self.state.location),
                namespace=self.resource.key.namespace,
                key=self.resource.spec.vault_resource_id.key,
                run_id=run_id,
                tokens=self.tokens,
            )
            self._call_context = (made_of, called)
        return self._call_context[1]

    @property
    def known_jobs(self) -> set[str]:
        """Names (casefolded) of the jobs whose work is tracked, of either kind, and of those that were given up."""
        rollout = self.state.rollout
        operations = (*self.state.operations.values(), *(rollout.updates.values() if rollout else ()))
        return {operation.job_key for operation in operations if operation.job_id} | self.state.given_up

    @property
    def backoff(self) -> BackoffPolicy:
        """How long mappings wait after a failure."""
        return BackoffPolicy(
            retry_min=self.timing.retry_min,
            repair_min=max(self.timing.retry_min, self.resource.spec.interval),
            retry_max=self.timing.retry_max,
        )

    def begin_run(self) -> Run:
        """The run under way; a new one unless an earlier pass left one unfinished."""
        run = self.state.run
        if run is None or run.completed_at is not None:
            run = self.state.run = Run(self.id, self.now())
        return run

    def log_fields(self, **more: object) -> Mapping[str, object]:
        """Fields for every log line of this pass."""
        return {
            "resource": str(self.resource.key),
            "vault": self.resource.spec.vault_resource_id.name,
            "run": self.call_context.run_id,
            **more,
        }

    async def report(self, *, at_once: bool = False, note: str = "") -> None:
        """Show how far the work is, unless that was done a moment ago."""
        now = asyncio.get_running_loop().time()
        if at_once or now - self._reported_at >= self.timing.status_interval.total_seconds():
            self._reported_at = now
            await self.report_to(readiness.working(self.resource, self.state, note=note or self._hindrance()))

    def _hindrance(self) -> str:
        """What keeps the work from going on, in words; empty when nothing does."""
        scope = self.call_context.scope
        pause = max(self.throttle.paused_for(scope, kind) for kind in CallKind)
        waiting = readiness.pause_until(self.now() + timedelta(seconds=pause)) if pause > 0 else ""
        first, more = list(self.troubles.values())[:2], len(self.troubles) - 2
        rest = f"So for {more:,} more." if more > 0 else ""
        return " ".join(filter(None, (waiting, *first, rest)))

    async def pause(self, duration: timedelta) -> None:
        """Wait, but not beyond the moment when the pass is superseded."""
        try:
            async with asyncio.timeout(max(0.0, duration.total_seconds())):
                await self.superseded.wait()
        except TimeoutError:
            return
