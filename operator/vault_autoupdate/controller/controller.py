"""All resources of the cluster: what is known of each, who owns which vault, and what is done when one is due."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol

from vault_autoupdate.controller.tracked import Entry, TokensOf, log_in, read_entry, readiness, seniority, wish
from vault_autoupdate.decide.jobs import Operation
from vault_autoupdate.decide.schedule import after_error, after_look, fraction_of
from vault_autoupdate.decide.state import VaultState
from vault_autoupdate.decide.tenancy import TenancyRules
from vault_autoupdate.model.errors import Disposition, NotLeading, NotWritten, ObjectChanged, ObjectGone
from vault_autoupdate.model.resource import (
    FINALIZER,
    DeletionPolicy,
    InvalidSpec,
    ObjectRef,
    ResourceKey,
    VaultAutoUpdate,
)
from vault_autoupdate.reconcile.context import Timing
from vault_autoupdate.reconcile.reconciler import Outcome, Reconciler
from vault_autoupdate.report import readiness as situation
from vault_autoupdate.report.document import build_status, differs
from vault_autoupdate.report.events import Announcements
from vault_autoupdate.report.readiness import Situation

_SETTLE_SECONDS = 0.5
"""How long news of the resources takes to come in, about."""
_REWRITE_SECONDS = 5.0
"""How long after a write that did not come off, also after several tries, it is tried again."""

log = logging.getLogger(__name__)

__all__ = ["Entry", "Fleet", "PassObserver", "Writer"]


class Writer(Protocol):
    """Writes to Kubernetes; `KubeWriter` is the one."""

    async def write_status(self, ref: ObjectRef, status: Mapping[str, Any], *, patient: bool) -> None:
        """Replace the status. Raises as `KubeWriter.write_status`."""

    async def check_present(self, ref: ObjectRef) -> None:
        """Raise `ObjectGone` if there is no such object."""

    async def hold(self, ref: ObjectRef, finalizers: tuple[str, ...]) -> None:
        """Add our finalizer."""

    async def release(self, ref: ObjectRef, finalizers: tuple[str, ...]) -> None:
        """Take our finalizer off."""

    async def event(self, ref: ObjectRef, situation: Situation, *, count: int) -> None:
        """Post an Event about something that has happened ``count`` times since the last one."""


class PassObserver(Protocol):
    """Is told of every pass, for metrics."""

    def pass_ended(self, outcome: Outcome, seconds: float) -> None:
        """A pass over a vault has ended."""


class Fleet:
    """Keeps all entries, and works on those that are due. All methods belong to one event loop."""

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
        self.entries: dict[ResourceKey, Entry] = {}
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
        self._announcements = Announcements()
        self._stopping = False

    def stop(self) -> None:
        """End all passes as soon as they can: their state is written and the next process goes on."""
        self._stopping = True
        for entry in self.entries.values():
            if entry.superseded:
                entry.superseded.set()

    def seen(self, body: Mapping[str, Any], *, initial: bool = False) -> None:
        """Take in an object as the API server has it; wake it if something changed that matters.

        Args:
            body: the object.
            initial: whether it comes from the first listing, not from a change.
        """
        new = read_entry(body, self._now(), self._rules)
        key, entry = new.ref.key, self.entries.get(new.ref.key)
        if entry and entry.ref != new.ref:
            self.gone(key)
            entry = None
        if entry is None:
            changed, entry = True, new
            self.entries[key] = entry
        else:
            changed = wish(entry) != wish(new)
            self._unlink(entry)
            if bool(entry.refusal) != bool(new.refusal):
                self._wake_others(entry)  # it comes to have a claim to its vault, or loses it
            entry.take_over(new)
        self._by_vault.setdefault(entry.vault_key, set()).add(key)
        if not changed:
            return
        if entry.superseded:
            entry.superseded.set()
        self._wake(key, self._first_delay(entry) if initial else 0.0)
        if entry.resource:
            # Who leaves makes room for all others; who comes takes the vault from those that are leaving.
            self._wake_others(entry, leaving_only=not entry.resource.deleting)

    def gone(self, key: ResourceKey, uid: str = "") -> None:
        """Forget an object that was deleted, and let the next in line have its vault.

        Args:
            key: the object's name.
            uid: tells it from a later one of the same name, which is kept.
        """
        entry = self.entries.get(key)
        if entry is None or uid not in {"", entry.ref.uid}:
            return
        del self.entries[key]
        if entry.superseded:
            entry.superseded.set()
        self._unlink(entry)
        self._wake_others(entry)

    def owner(self, entry: Entry) -> ResourceKey:
        """Who manages the vault of ``entry``: the oldest resource that names it, may do so, and is not on its way out.

        Nobody gets hold of a vault by naming it from a namespace that may not.
        """
        named = [self.entries[key] for key in self._by_vault.get(entry.vault_key, ())]
        rivals = [rival for rival in named if not rival.refusal] or [entry]
        return min(rivals, key=seniority).ref.key

    async def work(self, key: ResourceKey) -> float | None:
        """Do what is due for ``key``; returns the seconds until it is due again, None for when it changes."""
        entry = self.entries.get(key)
        if entry is None or self._stopping:
            return None
        try:
            return await self._work(entry)
        except ObjectGone:
            self.gone(key, entry.ref.uid)
            return None
        except ObjectChanged:
            return _SETTLE_SECONDS
        except (NotWritten, NotLeading) as error:
            log.warning("%s could not be written: %s", key, error)
            return _REWRITE_SECONDS

    async def _work(self, entry: Entry) -> float | None:
        resource = entry.resource
        if resource is None:
            await self._release(entry)
            await self._publish(entry, situation.invalid(entry.problem or InvalidSpec(["unreadable"])), final=True)
            return None
        if entry.refusal:
            await self._release(entry)
            await self._publish(entry, situation.not_allowed(entry.refusal), final=True)
            return None
        owner, wanted = self.owner(entry), wish(entry)
        if owner != entry.ref.key:
            entry.state.settled_until = None
            await self._release(entry)
            await self._publish(entry, situation.already_managed(owner), final=True)
            return await self._look_out_for(owner, resource)
        if predecessor := self._at_work.get(entry.vault_key):
            predecessor.set()  # nobody but us owns the vault by now; the end of its pass wakes us
            return None
        if await self._settle_finalizer(entry, resource):
            return None
        self._check_present(entry)
        if wish(entry) != wanted:
            return 0.0
        if resource.spec.suspend:
            await self._publish(entry, situation.suspended(entry.state), final=True)
            return None
        return await self._pass(entry, resource)

    async def _look_out_for(self, owner: ResourceKey, resource: VaultAutoUpdate) -> float:
        """Find out whether the owner of a vault is still there: the news of its deletion may have been missed."""
        known = self.entries.get(owner)
        if known is None:
            return 0.0  # it went while the status was written that names it
        ref = known.ref
        try:
            await self._writer.check_present(ref)
        except ObjectGone:
            self.gone(owner, ref.uid)
            return 0.0
        return after_look(resource.spec.interval, str(resource.key), self._now(), ()).total_seconds()

    async def _settle_finalizer(self, entry: Entry, resource: VaultAutoUpdate) -> bool:
        """Hold or let go of the resource as its policy says; True when there is nothing more to do for it."""
        wanted = resource.spec.deletion_policy is DeletionPolicy.DISABLE
        if resource.deleting:
            if wanted and FINALIZER in entry.finalizers and not resource.spec.suspend:
                return False
            await self._release(entry)
            return True
        if wanted and FINALIZER not in entry.finalizers:
            try:
                await self._writer.hold(entry.ref, entry.finalizers)
            except NotWritten as error:
                await self._publish(entry, situation.not_held(str(error)), final=True)
                raise
            entry.finalizers += (FINALIZER,)
        elif not wanted:
            await self._release(entry)
        return False

    async def _pass(self, entry: Entry, resource: VaultAutoUpdate) -> float | None:
        state, requested, now = entry.state, entry.requested_at, self._now()
        if entry.worked_generation != entry.generation:
            state.attempts.clear()  # somebody changed something: what failed before may work now
            state.look_anew(now)
        elif requested is not None:
            state.attempts = {key: replace(attempt, next_at=now) for key, attempt in state.attempts.items()}
            state.look_anew(now)
        entry.worked_generation, vault_key = entry.generation, entry.vault_key
        superseded, began = asyncio.Event(), self._now()
        entry.superseded = self._at_work[vault_key] = superseded
        if left := self._left_running.pop(vault_key, None):
            state.take_over(left)
            state.settled_until = None

        async def report(current: Situation) -> None:
            self._check_present(entry)
            # A run has to stand in the status before its first change: a process after this one has to know of it.
            noted = (entry.status.get("lastRun") or {}).get("id")
            await self._publish(entry, current, final=state.run is not None and state.run.id != noted)

        try:
            if entry.status.get("observedGeneration") != entry.generation:
                await self._publish(entry, situation.looking(resource), announce=False)
            outcome = await self._reconciler.reconcile(
                resource, state, report, superseded, partial(log_in, entry, resource, self._tokens_of)
            )
            self._observer.pass_ended(outcome, (self._now() - began).total_seconds())
            if outcome.error is None and not outcome.superseded:
                entry.vitals.last_success = self._now()
        finally:
            entry.superseded = None
            del self._at_work[vault_key]
            if state.operations:
                self._left_running[vault_key] = dict(state.operations)
            if superseded.is_set():
                self._wake_others(entry)
        self._check_present(entry)
        if resource.deleting and self._may_go(outcome):
            await self._publish(entry, outcome.situation)
            await self._release(entry)
            return None
        if entry.generation != resource.generation and not outcome.situation.reconciling:
            return 0.0  # it is settled as it was declared before, which says nothing of how it is declared now
        await self._publish(entry, outcome.situation, final=True, handled=None if outcome.superseded else requested)
        return 0.0 if outcome.superseded else self._next_delay(resource, state, outcome)

    def _next_delay(self, resource: VaultAutoUpdate, state: VaultState, outcome: Outcome) -> float:
        interval, name, now = resource.spec.interval, f"{resource.uid}{resource.key}", self._now()
        if outcome.error is None:
            if state.settled_until is None or state.settled_until <= now:
                tries = (attempt.next_at for attempt in state.attempts.values())
                state.settled_until = now + after_look(interval, name, now, tries)
            again = timedelta.max if outcome.again is None else outcome.again
            return min(state.settled_until - now, again).total_seconds()
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
        return not outcome.superseded and outcome.situation.ready == "True"

    def _first_delay(self, entry: Entry) -> float:
        """After a start: soon for what changed meanwhile or is not right, spread out for what was fine.

        Not at once: an older resource on the same vault may come later in the first listing.
        """
        untouched = entry.status.get("observedGeneration") == entry.generation and entry.requested_at is None
        if entry.is_ready and untouched and not entry.state.operations and not entry.refusal:
            return self._startup_spread.total_seconds() * fraction_of(f"{entry.ref.uid}{entry.ref.key}")
        return _SETTLE_SECONDS

    async def _publish(
        self,
        entry: Entry,
        current: Situation,
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
            entry.resource, entry.state, current, entry.status, self._now(),
            generation=entry.generation, handled_request=handled,
        )  # fmt: skip
        if not differs(entry.status, status):
            return
        before, entry.sent = readiness(entry.status), status
        try:
            await self._writer.write_status(entry.ref, status, patient=final)
        except ObjectGone:
            raise
        except Exception as error:
            if final:
                raise
            log.warning("the status of %s could not be written: %s", entry.ref.key, error)
            return
        entry.status = status
        entry.vitals.status_is(status, self._now())
        if announce and before != readiness(status):
            await self._announce(entry, current, was_ready=before[0] == "True")

    async def _announce(self, entry: Entry, current: Situation, *, was_ready: bool) -> None:
        """Tell of a transition: always in the log, and in an Event unless that would be one too many."""
        level = logging.WARNING if current.is_warning else logging.INFO
        vault = entry.resource.spec.vault_resource_id.name if entry.resource else ""
        fields = {"resource": str(entry.ref.key), "vault": vault, "reason": current.reason}
        log.log(level, "%s is %s: %s", entry.ref.key, current.reason, current.message, extra=fields)
        news = self._announcements.consider(entry.ref.uid, current, self._now(), was_ready=was_ready)
        if news:
            await self._writer.event(entry.ref, current, count=news.count)

    def _check_present(self, entry: Entry) -> None:
        """Raises `ObjectGone` if the object was deleted meanwhile."""
        if self.entries.get(entry.ref.key) is not entry:
            raise ObjectGone(str(entry.ref.key))

    async def _release(self, entry: Entry) -> None:
        if FINALIZER in entry.finalizers:
            await self._writer.release(entry.ref, entry.finalizers)
            entry.finalizers = tuple(name for name in entry.finalizers if name != FINALIZER)

    def _unlink(self, entry: Entry) -> None:
        (keys := self._by_vault.get(entry.vault_key, set())).discard(entry.ref.key)
        if not keys:
            self._by_vault.pop(entry.vault_key, None)

    def _wake_others(self, entry: Entry, *, leaving_only: bool = False) -> None:
        for key in self._by_vault.get(entry.vault_key, ()):
            if key == entry.ref.key or not entry.vault_key:
                continue
            resource = self.entries[key].resource
            if not leaving_only or (resource and resource.deleting):
                self._wake(key, 0.0)
