"""Which resource is due, and what is done about it: one pass over its vault, or a word to those who do not own it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from vault_autoupdate.controller.looking import Looking
from vault_autoupdate.controller.ports import PassObserver, Writer
from vault_autoupdate.controller.publisher import Publisher
from vault_autoupdate.controller.registry import Registry
from vault_autoupdate.controller.tracked import (
    Rules,
    TokensOf,
    TrackedResource,
    intent_of,
    log_in,
    mark_of,
    read_declaration,
    ref_of,
)
from vault_autoupdate.decide.jobs import Operation
from vault_autoupdate.decide.pacing import Allowance
from vault_autoupdate.decide.schedule import after_error, after_look, fraction_of
from vault_autoupdate.decide.state import VaultState
from vault_autoupdate.decide.tenancy import TenancyRules
from vault_autoupdate.model.conditions import Reason
from vault_autoupdate.model.errors import NotLeading, NotWritten, ObjectChanged, ObjectGone
from vault_autoupdate.model.resource import FINALIZER, DeletionPolicy, InvalidSpec, ResourceKey, VaultAutoUpdate
from vault_autoupdate.reconcile.context import Timing
from vault_autoupdate.reconcile.later import say_later
from vault_autoupdate.reconcile.reconciler import Outcome, Reconciler
from vault_autoupdate.report import readiness
from vault_autoupdate.report.readiness import Readiness
from vault_autoupdate.report.runbook_schedule import has_unwritten_moves

_SETTLE_SECONDS: Final = 0.5
"""How long news of the resources takes to come in, about."""
_MOVE_SECONDS: Final = 2.0
"""A subscription is moved one resource after the other: those whose turn will come are not told at once to leave."""
_REWRITE_SECONDS: Final = 5.0
"""How long after a write that did not come off, also after several tries, it is tried again."""
_TELL_SECONDS: Final = 0.02
"""Between two of those who are told that a vault has another owner: there may be thousands, and none is in a hurry."""
_LOOKING_SECONDS: Final = 1.0
"""A pass that has nothing to say for so long says that it is looking."""
_PRESENT_FOR: Final = timedelta(seconds=5)
"""So long is an owner taken to be there, after the API server has said so."""

log = logging.getLogger(__name__)

__all__ = ["Controller"]


class Controller:
    """Works on the resources that are due. All methods belong to one event loop."""

    def __init__(
        self,
        *,
        reconciler: Reconciler,
        writer: Writer,
        timing: Timing,
        observer: PassObserver,
        wake: Callable[[ResourceKey, float], None],
        startup_spread: timedelta,
        paused_for: Callable[[VaultAutoUpdate, str], timedelta],
        now: Callable[[], datetime],
        on_first_seen: Callable[[VaultAutoUpdate, VaultState], None] = lambda *_: None,
        rules: Rules | None = None,
        tokens_of: TokensOf | None = None,
    ) -> None:
        self._registry = Registry()
        self._rules = rules or TenancyRules()
        self._publisher = Publisher(
            writer, observer, now, status_interval=timing.status_interval, shard=self._rules.shard
        )
        self._reconciler = reconciler
        self._timing = timing
        self._observer = observer
        self._wake = wake
        self._startup_spread = startup_spread
        self._paused_for = paused_for
        self._on_first_seen = on_first_seen
        self._now = now
        self._tokens_of = tokens_of
        self._at_work: dict[str, asyncio.Event] = {}
        """By vault: what ends the pass over it that is under way. There is never more than one."""
        self._left_running: dict[str, dict[str, Operation]] = {}
        """By vault and mapping key: the jobs that the last pass has left in flight."""
        self._stopping = False

    @property
    def resources(self) -> Mapping[ResourceKey, TrackedResource]:
        """All that are tracked."""
        return self._registry.resources

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
        ref, status = ref_of(body), body.get("status") or {}
        tracked = self.resources.get(ref.key)
        if tracked and tracked.ref != ref:
            self.on_delete(ref.key)
            tracked = None
        if tracked and tracked.declaration.mark == mark_of(body):
            tracked.take_over_status(status, self._now())
            return
        declaration = read_declaration(body, self._rules)
        owner_before = self._registry.owner(declaration.vault_key)
        if tracked is None:
            is_news = True
            allowance = Allowance(self._timing.request_interval)
            tracked = TrackedResource.first_seen(declaration, status, self._now(), allowance)
            self._registry.add(tracked)
            if tracked.resource:
                self._on_first_seen(tracked.resource, tracked.state)
        else:
            is_news = intent_of(declaration) != intent_of(tracked.declaration)
            self._registry.update(tracked, declaration, self._now())
            tracked.take_over_status(status, self._now())
        if is_news:
            self._look_anew(tracked, owner_before, self._first_delay(tracked) if initial else 0.0)

    def judge_again(self, key: ResourceKey) -> None:
        """Find out anew whether a resource may be worked on: others have changed that has to do with it."""
        tracked = self.resources.get(key)
        if tracked is None or tracked.resource is None:
            return
        declaration = replace(tracked.declaration, refusal=self._rules.refusal(tracked.resource))
        if declaration.refusal == tracked.declaration.refusal:
            return
        owner_before = self._registry.owner(declaration.vault_key)
        self._registry.update(tracked, declaration, self._now())
        self._look_anew(tracked, owner_before, _MOVE_SECONDS if declaration.refusal else 0.0)

    def on_delete(self, key: ResourceKey, uid: str = "") -> None:
        """Forget an object that was deleted, and let the next in line have its vault.

        Args:
            key: the object's name.
            uid: tells it from a later one of the same name, which is kept.
        """
        tracked = self.resources.get(key)
        if tracked is None or uid not in {"", tracked.ref.uid}:
            return
        owner_before = self._registry.owner(tracked.vault_key)
        self._registry.remove(tracked)
        if tracked.superseded:
            tracked.superseded.set()
        self._wake_owner(tracked.vault_key, owner_before)

    def owner(self, tracked: TrackedResource) -> ResourceKey:
        """Who manages the vault that a resource names; itself where nobody may."""
        return self._registry.owner(tracked.vault_key) or tracked.ref.key

    def hint(self, tracked: TrackedResource, delay: float, *, account: bool = False) -> None:
        """Look at a vault in ``delay`` seconds, or at its Automation account: something may have changed there.

        What failed before is tried no sooner for it.
        """
        tracked.account_hinted |= account
        tracked.hinted |= not account
        self._wake(tracked.ref.key, delay)

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
        resource, declaration = tracked.resource, tracked.declaration
        if declaration.elsewhere is not None:
            await self._publisher.hand_over(tracked, declaration.elsewhere)
            raise ObjectGone(str(tracked.ref.key))  # as far as this process is concerned
        if resource is None:
            await self._stall(tracked, readiness.invalid(declaration.problem or InvalidSpec(["unreadable"])))
            return None
        if declaration.refusal:
            await self._stall(tracked, readiness.not_allowed(declaration.refusal))
            return None
        owner, intent = self.owner(tracked), intent_of(declaration)
        if owner != tracked.ref.key:
            return await self._stand_back(tracked, owner, resource)
        tracked.told_owner = None
        self._tell_others(tracked)
        if predecessor := self._at_work.get(tracked.vault_key):
            predecessor.set()  # nobody but us owns the vault by now; the end of its pass wakes us
            return None
        if await self._settle_finalizer(tracked, resource):
            return None
        self._check_present(tracked)
        if intent_of(tracked.declaration) != intent:
            return 0.0
        if resource.spec.suspend:
            await self._publisher.publish(tracked, readiness.suspended(tracked.state), final=True)
            return None
        if wait := tracked.too_soon(self._now()):
            return wait.total_seconds()
        return await self._pass(tracked, resource)

    async def _stall(self, tracked: TrackedResource, why: Readiness) -> None:
        """Say why nothing is done, and hold nobody up."""
        await self._publisher.remove_finalizer(tracked)
        await self._publisher.publish(tracked, why, final=True)

    async def _stand_back(self, tracked: TrackedResource, owner: ResourceKey, resource: VaultAutoUpdate) -> float:
        """Leave the vault to its owner, and find out now and then, or when asked, whether that is still there."""
        tracked.state.settled_until = None
        known = self.resources.get(owner)
        yields = (
            bool(resource.policy) and known is not None and known.resource is not None and not known.resource.policy
        )
        requested, why = tracked.requested_at, readiness.already_managed(owner, yields=yields)
        await self._publisher.remove_finalizer(tracked)
        await self._publisher.publish(tracked, why, final=True)
        tracked.told_owner = owner
        known = self.resources.get(owner)
        if known is None or self.owner(tracked) != owner:
            return 0.0  # it went while the status was written that names it
        now = self._now()
        next_look = after_look(resource.spec.interval, str(resource.key), now, ()).total_seconds()
        if known.seen_present_at is not None and (known_for := now - known.seen_present_at) < _PRESENT_FOR:
            return (_PRESENT_FOR - known_for).total_seconds() if requested else next_look
        if not await self._is_present(known, now):
            return 0.0
        if requested:
            await self._publisher.publish(tracked, why, final=True, handled=requested)
        return next_look

    async def _is_present(self, owner: TrackedResource, now: datetime) -> bool:
        """Whether the owner of a vault is still there: the news of its deletion may have been missed."""
        owner.seen_present_at = now
        try:
            await self._publisher.check_present(owner)
        except ObjectGone:
            self.on_delete(owner.ref.key, owner.ref.uid)
            return False
        return True

    def _tell_others(self, owner: TrackedResource) -> None:
        """Wake those whose status names somebody else as the owner, or who are about to leave, one after the other."""
        delay = 0.0
        for tracked in self._registry.claimants(owner.vault_key):
            if tracked is not owner and tracked.told_owner != owner.ref.key:
                tracked.told_owner = owner.ref.key
                self._wake(tracked.ref.key, delay)
                delay += _TELL_SECONDS

    def _look_anew(self, tracked: TrackedResource, owner_before: ResourceKey | None, delay: float) -> None:
        """Something about a resource has changed that matters, to others on its vault as well."""
        if tracked.superseded:
            tracked.superseded.set()
        self._wake(tracked.ref.key, delay)
        self._wake_owner(tracked.vault_key, owner_before, tracked.ref.key)

    def _wake_owner(self, vault_key: str, *but_not: ResourceKey | None) -> None:
        owner = self._registry.owner(vault_key)
        if owner is not None and owner not in but_not:
            self._wake(owner, 0.0)

    async def _settle_finalizer(self, tracked: TrackedResource, resource: VaultAutoUpdate) -> bool:
        """Hold or let go of the resource as its policy says; True when there is nothing more to do for it."""
        wanted = resource.spec.deletion_policy is DeletionPolicy.DISABLE
        if resource.deleting:
            if wanted and FINALIZER in tracked.finalizers and not resource.spec.suspend:
                return False
            await self._publisher.remove_finalizer(tracked)
            return True
        if not wanted:
            await self._publisher.remove_finalizer(tracked)
            return False
        try:
            await self._publisher.add_finalizer(tracked)
        except NotWritten as error:
            await self._publisher.publish(tracked, readiness.not_held(str(error)), final=True)
            raise
        return False

    async def _pass(self, tracked: TrackedResource, resource: VaultAutoUpdate) -> float | None:
        state, requested, began = tracked.state, tracked.requested_at, self._now()
        tracked.prepare(began)
        if left := self._left_running.pop(tracked.vault_key, None):
            state.take_over(left)
            state.settled_until = None
        superseded, vault_key = asyncio.Event(), tracked.vault_key
        tracked.superseded = self._at_work[vault_key] = superseded
        try:
            outcome = await self._reconcile(tracked, resource, superseded)
            self._observer.pass_ended(outcome, (self._now() - began).total_seconds())
            if outcome.error is None and not outcome.superseded:
                tracked.history.looked_at(began, self._now())
        finally:
            tracked.superseded = None
            del self._at_work[vault_key]
            if state.operations:
                self._left_running[vault_key] = dict(state.operations)
            self._wake_owner(vault_key, tracked.ref.key)
        self._check_present(tracked)
        if resource.deleting and outcome.leaves_nothing_to_do:
            await self._publisher.publish(tracked, outcome.readiness)
            await self._publisher.remove_finalizer(tracked)
            return None
        if tracked.generation != resource.generation and not outcome.readiness.reconciling:
            return 0.0  # it is settled as it was declared before, which says nothing of how it is declared now
        handled = None if outcome.superseded else requested
        logged = outcome.error is not None
        await self._publisher.publish(tracked, outcome.readiness, final=True, handled=handled, logged=logged)
        if outcome.refusal:
            await self._publisher.refuse(tracked, outcome.refusal)
        return 0.0 if outcome.superseded else self._next_delay(resource, state, outcome)

    async def _reconcile(
        self, tracked: TrackedResource, resource: VaultAutoUpdate, superseded: asyncio.Event
    ) -> Outcome:
        state, began = tracked.state, self._now()
        looking = Looking(tracked, resource, self._publisher, self._paused_for, self._now)

        async def report(current: Readiness) -> None:
            await end()
            self._check_present(tracked)
            tracked.history.looked_at(began, self._now())  # a pass begins with a look, and shows nothing before
            # A run has to stand in the status before its first change: a process after this one has to know of it.
            begins = state.run is not None and state.run.id != (tracked.status.get("lastRun") or {}).get("id")
            must = begins or has_unwritten_moves(tracked.status, state.schedules)  # likewise
            if tracked.generation != resource.generation and not current.reconciling:
                current = readiness.looking(resource)  # settled as it was declared before says nothing of now
            if must or current.reason != Reason.PROGRESSING:
                await self._publisher.publish(tracked, current, final=must)
            else:
                await self._publisher.tell_progress(tracked, current)

        async with say_later(looking.tell, _LOOKING_SECONDS, every=_LOOKING_SECONDS, wanted=looking.has_news) as end:
            return await self._reconciler.reconcile(
                resource, state, report, superseded, partial(log_in, tracked, resource, self._tokens_of)
            )

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
            pause=self._paused_for(resource, state.location),
        )
        return min(delay, self._timing.poll_max if state.operations else delay).total_seconds()

    def _first_delay(self, tracked: TrackedResource) -> float:
        """After a start: soon for what changed meanwhile, is not right or under way; spread out for what was fine.

        Not at once: an older resource on the same vault may come later in the first listing.
        """
        if tracked.is_as_left(self._now()):
            return self._startup_spread.total_seconds() * fraction_of(f"{tracked.ref.uid}{tracked.ref.key}")
        return _SETTLE_SECONDS

    def _check_present(self, tracked: TrackedResource) -> None:
        """Raises `ObjectGone` if the object was deleted meanwhile."""
        if self.resources.get(tracked.ref.key) is not tracked:
            raise ObjectGone(str(tracked.ref.key))
