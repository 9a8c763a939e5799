"""All resources of the cluster: what is known of each, who owns which vault, and what is done when one is due."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from vault_autoupdate.controller.ports import PassObserver, Writer
from vault_autoupdate.controller.tracked import (
    TokensOf,
    TrackedResource,
    intent_of,
    log_in,
    read_entry,
    ready_condition,
    seniority,
)
from vault_autoupdate.decide.jobs import Operation
from vault_autoupdate.decide.schedule import after_error, after_look, fraction_of
from vault_autoupdate.decide.state import VaultState
from vault_autoupdate.decide.tenancy import TenancyRules
from vault_autoupdate.model.errors import Disposition, NotLeading, NotWritten, ObjectChanged, ObjectGone, TurnNotCome
from vault_autoupdate.model.resource import (
    FINALIZER,
    DeletionPolicy,
    InvalidSpec,
    ResourceKey,
    VaultAutoUpdate,
)
from vault_autoupdate.reconcile.context import Timing
from vault_autoupdate.reconcile.reconciler import Outcome, Reconciler
from vault_autoupdate.report import readiness
from vault_autoupdate.report.document import build_status, differs
from vault_autoupdate.report.events import EventAggregator
from vault_autoupdate.report.readiness import Readiness

_SETTLE_SECONDS = 0.5
"""How long news of the resources takes to come in, about."""
_REWRITE_SECONDS = 5.0
"""How long after a write that did not come off, also after several tries, it is tried again."""

log = logging.getLogger(__name__)

__all__ = ["Controller", "TrackedResource"]


class Controller:
    """Keeps all resources, and works on those that are due. All methods belong to one event loop."""

    def __init__(
        self,
        *,
        reconciler: Reconciler,
        writer: Writer,
        timing: Timing,
        observer: PassObserver,
        wake: Callable[[ResourceKey, float], None],
        startup_spread: timedelta,
        paused_for: Callable[[VaultAutoUpdate, str], float],
        now: Callable[[], datetime],
        rules: TenancyRules | None = None,
        tokens_of: TokensOf | None = None,
    ) -> None:
        self.resources: dict[ResourceKey, TrackedResource] = {}
        self._reconciler = reconciler
        self._writer = writer
        self._timing = timing
        self._observer = observer
        self._wake = wake
        self._startup_spread = startup_spread
        self._paused_for = paused_for
        self._now = now
        self._rules = rules or TenancyRules()
        self._tokens_of = tokens_of
        self._by_vault: dict[str, set[ResourceKey]] = {}
        self._at_work: dict[str, asyncio.Event] = {}
        """By vault: what ends the pass over it that is under way. There is never more than one."""
        self._left_running: dict[str, dict[str, Operation]] = {}
        """By vault and mapping key: the jobs that the last pass has left in flight."""
        self._announcements = EventAggregator()
        self._stopping = False

    def stop(self) -> None:
        """End all passes as soon as they can: their state is written and the next process goes on."""
        self._stopping = True
        for tracked in self.resources.values():
            if tracked.superseded:
                tracked.superseded.set()

    def on_change(self, body: Mapping[str, Any], *, initial: bool = False) -> None:
        """Take in an object as the API server has it; wake it if something changed that matters.

        Args:
            body: the object.
            initial: whether it comes from the first listing, not from a change.
        """
        new = read_entry(body, self._now(), self._rules)
        key, tracked = new.ref.key, self.resources.get(new.ref.key)
        if tracked and tracked.ref != new.ref:
            self.on_delete(key)
            tracked = None
        if tracked is None:
            changed, tracked = True, new
            self.resources[key] = tracked
        else:
            changed = intent_of(tracked) != intent_of(new)
            self._unlink(tracked)
            if bool(tracked.refusal) != bool(new.refusal):
                self._wake_others(tracked)  # it comes to have a claim to its vault, or loses it
            tracked.take_over(new, self._now())
        self._by_vault.setdefault(tracked.vault_key, set()).add(key)
        if not changed:
            return
        if tracked.superseded:
            tracked.superseded.set()
        self._wake(key, self._first_delay(tracked) if initial else 0.0)
        if tracked.resource:
            # Who leaves makes room for all others; who comes takes the vault from those that are leaving.
            self._wake_others(tracked, leaving_only=not tracked.resource.deleting)

    def on_delete(self, key: ResourceKey, uid: str = "") -> None:
        """Forget an object that was deleted, and let the next in line have its vault.

        Args:
            key: the object's name.
            uid: tells it from a later one of the same name, which is kept.
        """
        tracked = self.resources.get(key)
        if tracked is None or uid not in {"", tracked.ref.uid}:
            return
        del self.resources[key]
        if tracked.superseded:
            tracked.superseded.set()
        self._unlink(tracked)
        self._wake_others(tracked)

    def owner(self, tracked: TrackedResource) -> ResourceKey:
        """Who manages the vault: the oldest resource that names it, may do so, and is not on its way out.

        Nobody gets hold of a vault by naming it from a namespace that may not.
        """
        named = [self.resources[key] for key in self._by_vault.get(tracked.vault_key, ())]
        rivals = [rival for rival in named if not rival.refusal] or [tracked]
        return min(rivals, key=seniority).ref.key

    async def work(self, key: ResourceKey) -> float | None:
        """Do what is due for ``key``; returns the seconds until it is due again, None for when it changes."""
        tracked = self.resources.get(key)
        if tracked is None or self._stopping:
            return None
        try:
            return await self._work(tracked)
        except ObjectGone:
            self.on_delete(key, tracked.ref.uid)
            return None
        except ObjectChanged:
            return _SETTLE_SECONDS
        except (NotWritten, NotLeading) as error:
            log.warning("%s could not be written: %s", key, error, extra={"resource": str(key)})
            self._observer.pass_not_written()
            return _REWRITE_SECONDS
        except Exception:
            self._observer.pass_crashed()
            raise

    async def _work(self, tracked: TrackedResource) -> float | None:
        resource = tracked.resource
        if resource is None:
            await self._release(tracked)
            await self._publish(tracked, readiness.invalid(tracked.problem or InvalidSpec(["unreadable"])), final=True)
            return None
        if tracked.refusal:
            await self._release(tracked)
            await self._publish(tracked, readiness.not_allowed(tracked.refusal), final=True)
            return None
        owner, wanted = self.owner(tracked), intent_of(tracked)
        if owner != tracked.ref.key:
            tracked.state.settled_until = None
            await self._release(tracked)
            await self._publish(tracked, readiness.already_managed(owner), final=True)
            return await self._look_out_for(owner, resource)
        if predecessor := self._at_work.get(tracked.vault_key):
            predecessor.set()  # nobody but us owns the vault by now; the end of its pass wakes us
            return None
        if await self._settle_finalizer(tracked, resource):
            return None
        self._check_present(tracked)
        if intent_of(tracked) != wanted:
            return 0.0
        if resource.spec.suspend:
            await self._publish(tracked, readiness.suspended(tracked.state), final=True)
            return None
        return await self._pass(tracked, resource)

    async def _look_out_for(self, owner: ResourceKey, resource: VaultAutoUpdate) -> float:
        """Find out whether the owner of a vault is still there: the news of its deletion may have been missed."""
        known = self.resources.get(owner)
        if known is None:
            return 0.0  # it went while the status was written that names it
        ref = known.ref
        try:
            await self._writer.check_present(ref)
        except ObjectGone:
            self.on_delete(owner, ref.uid)
            return 0.0
        return after_look(resource.spec.interval, str(resource.key), self._now(), ()).total_seconds()

    async def _settle_finalizer(self, tracked: TrackedResource, resource: VaultAutoUpdate) -> bool:
        """Hold or let go of the resource as its policy says; True when there is nothing more to do for it."""
        wanted = resource.spec.deletion_policy is DeletionPolicy.DISABLE
        if resource.deleting:
            if wanted and FINALIZER in tracked.finalizers and not resource.spec.suspend:
                return False
            await self._release(tracked)
            return True
        if wanted and FINALIZER not in tracked.finalizers:
            try:
                await self._writer.add_finalizer(tracked.ref, tracked.finalizers)
            except NotWritten as error:
                await self._publish(tracked, readiness.not_held(str(error)), final=True)
                raise
            tracked.finalizers += (FINALIZER,)
        elif not wanted:
            await self._release(tracked)
        return False

    async def _pass(self, tracked: TrackedResource, resource: VaultAutoUpdate) -> float | None:
        state, requested, now = tracked.state, tracked.requested_at, self._now()
        if tracked.worked_generation != tracked.generation:
            state.attempts.clear()  # somebody changed something: what failed before may work now
            state.look_anew(now)
        elif requested is not None:
            state.attempts = {key: replace(attempt, next_at=now) for key, attempt in state.attempts.items()}
            state.look_anew(now)
        tracked.worked_generation, vault_key = tracked.generation, tracked.vault_key
        superseded, began = asyncio.Event(), self._now()
        tracked.superseded = self._at_work[vault_key] = superseded
        if left := self._left_running.pop(vault_key, None):
            state.take_over(left)
            state.settled_until = None

        async def report(current: Readiness) -> None:
            self._check_present(tracked)
            tracked.history.looked_at(began, self._now())  # a pass begins with a look, and shows nothing before
            # A run has to stand in the status before its first change: a process after this one has to know of it.
            noted = (tracked.status.get("lastRun") or {}).get("id")
            await self._publish(tracked, current, final=state.run is not None and state.run.id != noted)

        try:
            if tracked.status.get("observedGeneration") != tracked.generation:
                await self._publish(tracked, readiness.looking(resource), announce=False)
            outcome = await self._reconciler.reconcile(
                resource, state, report, superseded, partial(log_in, tracked, resource, self._tokens_of)
            )
            self._observer.pass_ended(outcome, (self._now() - began).total_seconds())
            if outcome.error is None and not outcome.superseded:
                tracked.history.looked_at(began, self._now())
        finally:
            tracked.superseded = None
            del self._at_work[vault_key]
            if state.operations:
                self._left_running[vault_key] = dict(state.operations)
            if superseded.is_set():
                self._wake_others(tracked)
        self._check_present(tracked)
        if resource.deleting and self._may_go(outcome):
            await self._publish(tracked, outcome.readiness)
            await self._release(tracked)
            return None
        if tracked.generation != resource.generation and not outcome.readiness.reconciling:
            return 0.0  # it is settled as it was declared before, which says nothing of how it is declared now
        await self._publish(tracked, outcome.readiness, final=True, handled=None if outcome.superseded else requested)
        return 0.0 if outcome.superseded else self._next_delay(resource, state, outcome)

    def _next_delay(self, resource: VaultAutoUpdate, state: VaultState, outcome: Outcome) -> float:
        interval, name, now = resource.spec.interval, f"{resource.uid}{resource.key}", self._now()
        if outcome.error is None:
            if state.settled_until is None or state.settled_until <= now:
                tries = (attempt.next_at for attempt in state.attempts.values())
                state.settled_until = now + after_look(interval, name, now, tries)
            requeue_after = timedelta.max if outcome.requeue_after is None else outcome.requeue_after
            return min(state.settled_until - now, requeue_after).total_seconds()
        state.settled_until = None
        delay = after_error(
            outcome.error.disposition,
            state.errors_in_a_row,
            interval,
            name,
            retry_min=self._timing.retry_min,
            pause=timedelta(seconds=self._paused_for(resource, state.location)),
        )
        return min(delay, self._timing.poll_max if state.operations else delay).total_seconds()

    @staticmethod
    def _may_go(outcome: Outcome) -> bool:
        """Whether a resource that is being deleted has nothing left to do: all is disabled, or the vault is gone."""
        if outcome.error is not None:
            return outcome.error.disposition is Disposition.STALL
        return not outcome.superseded and outcome.readiness.ready == "True"

    def _first_delay(self, tracked: TrackedResource) -> float:
        """After a start: soon for what changed meanwhile or is not right, spread out for what was fine.

        Not at once: an older resource on the same vault may come later in the first listing.
        """
        untouched = tracked.status.get("observedGeneration") == tracked.generation and tracked.requested_at is None
        if tracked.is_ready and untouched and not tracked.state.operations and not tracked.refusal:
            return self._startup_spread.total_seconds() * fraction_of(f"{tracked.ref.uid}{tracked.ref.key}")
        return _SETTLE_SECONDS

    async def _publish(
        self,
        tracked: TrackedResource,
        current: Readiness,
        *,
        final: bool = False,
        announce: bool = True,
        handled: str | None = None,
    ) -> None:
        """Write the status if it says anything new, and post an Event if the readiness or its reason changed.

        Raises:
            ObjectGone: the resource is no longer there.
            Exception: the API server would not take the ``final`` word of a pass; what it missed in between is
                only logged, since there is more to come.
        """
        status = build_status(
            tracked.resource, tracked.state, current, tracked.status, self._now(),
            generation=tracked.generation, handled_request=handled, last_success=tracked.history.last_success,
        )  # fmt: skip
        if not differs(tracked.status, status):
            return
        before, tracked.sent = ready_condition(tracked.status), status
        try:
            await self._writer.write_status(tracked.ref, status, patient=final)
        except ObjectGone:
            raise
        except Exception as error:
            if final:
                raise
            self._observer.interim_status_skipped()
            level = logging.DEBUG if isinstance(error, TurnNotCome) else logging.WARNING
            fields = {"resource": str(tracked.ref.key)}
            log.log(level, "the status of %s could not be written: %s", tracked.ref.key, error, extra=fields)
            return
        tracked.status = status
        tracked.history.status_is(status, self._now())
        if announce and before != ready_condition(status):
            await self._announce(tracked, current, was_ready=before[0] == "True")

    async def _announce(self, tracked: TrackedResource, current: Readiness, *, was_ready: bool) -> None:
        """Tell of a transition: always in the log, and in an Event unless that would be one too many."""
        level = logging.WARNING if current.is_warning else logging.INFO
        vault = tracked.resource.spec.vault_resource_id.name if tracked.resource else ""
        fields = {"resource": str(tracked.ref.key), "vault": vault, "reason": current.reason}
        log.log(level, "%s is %s: %s", tracked.ref.key, current.reason, current.message, extra=fields)
        news = self._announcements.consider(tracked.ref.uid, current, self._now(), was_ready=was_ready)
        if news:
            await self._writer.emit_event(tracked.ref, current, count=news.count)

    def _check_present(self, tracked: TrackedResource) -> None:
        """Raises `ObjectGone` if the object was deleted meanwhile."""
        if self.resources.get(tracked.ref.key) is not tracked:
            raise ObjectGone(str(tracked.ref.key))

    async def _release(self, tracked: TrackedResource) -> None:
        if FINALIZER in tracked.finalizers:
            await self._writer.remove_finalizer(tracked.ref, tracked.finalizers)
            tracked.finalizers = tuple(name for name in tracked.finalizers if name != FINALIZER)

    def _unlink(self, tracked: TrackedResource) -> None:
        (keys := self._by_vault.get(tracked.vault_key, set())).discard(tracked.ref.key)
        if not keys:
            self._by_vault.pop(tracked.vault_key, None)

    def _wake_others(self, tracked: TrackedResource, *, leaving_only: bool = False) -> None:
        for key in self._by_vault.get(tracked.vault_key, ()):
            if key == tracked.ref.key or not tracked.vault_key:
                continue
            resource = self.resources[key].resource
            if not leaving_only or (resource and resource.deleting):
                self._wake(key, 0.0)
