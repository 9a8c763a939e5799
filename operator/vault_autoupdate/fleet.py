"""All resources of the cluster: what is known of each, who owns which vault, and what is done when one is due."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from vault_autoupdate import situation
from vault_autoupdate.api import (
    FINALIZER,
    LONG_AGO,
    DeletionPolicy,
    InvalidSpec,
    ObjectGone,
    ObjectRef,
    ResourceKey,
    VaultAutoUpdate,
    parse_resource,
)
from vault_autoupdate.errors import Disposition
from vault_autoupdate.reconcile import Outcome, Reconciler
from vault_autoupdate.schedule import after_error, after_look, fraction_of
from vault_autoupdate.situation import Situation
from vault_autoupdate.state import VaultState, restore
from vault_autoupdate.status import build_status, differs
from vault_autoupdate.vault_pass import Timing

log = logging.getLogger(__name__)

__all__ = ["Entry", "Fleet", "PassObserver", "Writer"]


class Writer(Protocol):
    """Writes to Kubernetes; `KubeWriter` is the one."""

    async def write_status(self, ref: ObjectRef, status: Mapping[str, Any]) -> None:
        """Replace the status."""

    async def hold(self, ref: ObjectRef, finalizers: tuple[str, ...]) -> None:
        """Add our finalizer."""

    async def release(self, ref: ObjectRef, finalizers: tuple[str, ...]) -> None:
        """Take our finalizer off."""

    async def event(self, ref: ObjectRef, situation: Situation) -> None:
        """Post an Event."""


class PassObserver(Protocol):
    """Is told of every pass, for metrics."""

    def pass_ended(self, outcome: Outcome, seconds: float) -> None:
        """A pass over a vault has ended."""


@dataclass
class Entry:
    """What is known of one resource."""

    ref: ObjectRef
    generation: int
    resource: VaultAutoUpdate | None
    problem: InvalidSpec | None
    finalizers: tuple[str, ...]
    status: dict[str, Any]
    """As it stands in the cluster, as far as we know."""
    state: VaultState
    worked_generation: int | None = None
    """The generation that the state's attempts are about."""
    superseded: asyncio.Event | None = field(default=None, repr=False)
    """Set to end the pass that is under way; None while there is none."""

    @property
    def requested_at(self) -> str | None:
        """The value of the annotation that asks for a look now, if it has not been answered."""
        requested = self.resource.requested_at if self.resource else None
        return requested if requested != self.status.get("lastHandledReconcileAt") else None

    @property
    def is_ready(self) -> bool:
        """Whether the status says Ready."""
        return _readiness(self.status)[0] == "True"

    @property
    def vault_key(self) -> str:
        """What resources on the same vault have in common; empty when the vault cannot be told."""
        return self.resource.spec.vault_resource_id.key if self.resource else ""


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
        self._by_vault: dict[str, set[ResourceKey]] = {}
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
        new = _entry(body, self._now())
        key, old = new.ref.key, self.entries.get(new.ref.key)
        if old and old.ref.uid == new.ref.uid:
            new.state, new.worked_generation, new.superseded = old.state, old.worked_generation, old.superseded
            if old.superseded:
                new.status = old.status  # a pass is under way, and what it wrote last is the newest there is
            changed = _wish(old) != _wish(new)
        else:
            changed = True
            if old:
                self.gone(key)
        old_vault, self.entries[key] = old.vault_key if old else "", new
        if old_vault != new.vault_key:
            self._unlink(key, old_vault)
        self._by_vault.setdefault(new.vault_key, set()).add(key)
        if not changed:
            return
        if new.superseded:
            new.superseded.set()
        self._wake(key, self._first_delay(new) if initial else 0.0)
        if new.resource and new.resource.deleting:
            self._wake_others(new)

    def gone(self, key: ResourceKey) -> None:
        """Forget an object that was deleted, and let the next in line have its vault."""
        entry = self.entries.pop(key, None)
        if entry is None:
            return
        if entry.superseded:
            entry.superseded.set()
        self._unlink(key, entry.vault_key)
        self._wake_others(entry)

    def owner(self, entry: Entry) -> ResourceKey:
        """Who manages the vault of ``entry``: the oldest resource that names it and is not on its way out."""
        rivals = [self.entries[key] for key in self._by_vault.get(entry.vault_key, ())] or [entry]
        return min(rivals, key=_seniority).ref.key

    async def work(self, key: ResourceKey) -> float | None:
        """Do what is due for ``key``; returns the seconds until it is due again, None for when it changes."""
        entry = self.entries.get(key)
        if entry is None or self._stopping:
            return None
        try:
            return await self._work(entry)
        except ObjectGone:
            if (current := self.entries.get(key)) and current.ref == entry.ref:
                self.gone(key)
            return None

    async def _work(self, entry: Entry) -> float | None:
        resource = entry.resource
        if resource is None:
            await self._release(entry)
            await self._publish(entry, situation.invalid(entry.problem or InvalidSpec(["unreadable"])), final=True)
            return None
        owner = self.owner(entry)
        if owner != entry.ref.key:
            await self._release(entry)
            await self._publish(entry, situation.already_managed(owner), final=True)
            return None
        if await self._settle_finalizer(entry, resource):
            return None
        if resource.spec.suspend:
            await self._publish(entry, situation.suspended(entry.state), final=True)
            return None
        return await self._pass(entry, resource)

    async def _settle_finalizer(self, entry: Entry, resource: VaultAutoUpdate) -> bool:
        """Hold or let go of the resource as its policy says; True when there is nothing more to do for it."""
        wanted = resource.spec.deletion_policy is DeletionPolicy.DISABLE
        if resource.deleting:
            if wanted and FINALIZER in entry.finalizers and not resource.spec.suspend:
                return False
            await self._release(entry)
            return True
        if wanted and FINALIZER not in entry.finalizers:
            await self._writer.hold(entry.ref, entry.finalizers)
            entry.finalizers += (FINALIZER,)
        elif not wanted:
            await self._release(entry)
        return False

    async def _pass(self, entry: Entry, resource: VaultAutoUpdate) -> float | None:
        state, requested = entry.state, entry.requested_at
        if entry.worked_generation != entry.generation:
            state.attempts.clear()  # somebody changed something: what failed before may work now
        elif requested is not None:
            now = self._now()
            state.attempts = {key: replace(attempt, next_at=now) for key, attempt in state.attempts.items()}
        entry.worked_generation = entry.generation
        superseded = entry.superseded = asyncio.Event()
        began = self._now()
        if entry.status.get("observedGeneration") != entry.generation:
            await self._publish(entry, situation.looking(resource), announce=False)

        async def report(current: Situation) -> None:
            await self._publish(self._newest(entry), current)

        try:
            outcome = await self._reconciler.reconcile(resource, state, report, superseded)
            self._observer.pass_ended(outcome, (self._now() - began).total_seconds())
        finally:
            if newest := self.entries.get(entry.ref.key):
                newest.superseded = None
        entry = self._newest(entry)
        if resource.deleting and self._may_go(outcome):
            await self._publish(entry, outcome.situation)
            await self._release(entry)
            return None
        await self._publish(entry, outcome.situation, final=True, handled=None if outcome.superseded else requested)
        return 0.0 if outcome.superseded else self._next_delay(resource, state, outcome)

    def _next_delay(self, resource: VaultAutoUpdate, state: VaultState, outcome: Outcome) -> float:
        interval, name = resource.spec.interval, f"{resource.uid}{resource.key}"
        if outcome.error is None:
            tries = (attempt.next_at for attempt in state.attempts.values())
            return after_look(interval, name, self._now(), tries).total_seconds()
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
        """After a start: at once for what changed meanwhile or is not right, spread out for what was fine."""
        untouched = entry.status.get("observedGeneration") == entry.generation and entry.requested_at is None
        if entry.is_ready and untouched and not entry.state.operations:
            return self._startup_spread.total_seconds() * fraction_of(f"{entry.ref.uid}{entry.ref.key}")
        return 0.0

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
            entry.resource,
            entry.state,
            current,
            entry.status,
            self._now(),
            generation=entry.generation,
            handled_request=handled,
        )
        if not differs(entry.status, status):
            return
        before = _readiness(entry.status)
        try:
            await self._writer.write_status(entry.ref, status)
        except ObjectGone:
            raise
        except Exception as error:
            if final:
                raise
            log.warning("the status of %s could not be written: %s", entry.ref.key, error)
            return
        entry.status = status
        if announce and before != _readiness(status):
            await self._writer.event(entry.ref, current)

    def _newest(self, entry: Entry) -> Entry:
        """What is known of the same object by now. Raises `ObjectGone`."""
        newest = self.entries.get(entry.ref.key)
        if newest is None or newest.ref != entry.ref:
            raise ObjectGone(str(entry.ref.key))
        return newest

    async def _release(self, entry: Entry) -> None:
        if FINALIZER in entry.finalizers:
            await self._writer.release(entry.ref, entry.finalizers)
            entry.finalizers = tuple(name for name in entry.finalizers if name != FINALIZER)

    def _unlink(self, key: ResourceKey, vault_key: str) -> None:
        keys = self._by_vault.get(vault_key, set())
        keys.discard(key)
        if not keys:
            self._by_vault.pop(vault_key, None)

    def _wake_others(self, entry: Entry) -> None:
        for key in self._by_vault.get(entry.vault_key, ()):
            if key != entry.ref.key and entry.vault_key:
                self._wake(key, 0.0)


def _entry(body: Mapping[str, Any], now: datetime) -> Entry:
    metadata = body["metadata"]
    status = dict(body.get("status") or {})
    try:
        resource, problem = parse_resource({key: value for key, value in body.items() if key != "status"}), None
    except InvalidSpec as error:
        resource, problem = None, error
    observed = status.get("observedGeneration")
    return Entry(
        ref=ObjectRef(ResourceKey(metadata["namespace"], metadata["name"]), metadata.get("uid", "")),
        generation=int(metadata.get("generation", 0)),
        resource=resource,
        problem=problem,
        finalizers=tuple(metadata.get("finalizers") or ()),
        status=status,
        state=restore(status, resource.spec.vault_resource_id, now) if resource else VaultState(),
        worked_generation=observed if isinstance(observed, int) else None,
    )


def _wish(entry: Entry) -> tuple[object, ...]:
    """What somebody wants of the controller; all else in an object is its own doing or of no concern."""
    resource = entry.resource
    return (entry.generation, resource and resource.deleting, resource and resource.requested_at)


def _seniority(entry: Entry) -> tuple[bool, datetime, ResourceKey]:
    resource = entry.resource
    return (bool(resource and resource.deleting), resource.created_at if resource else LONG_AGO, entry.ref.key)


def _readiness(status: Mapping[str, Any]) -> tuple[object, object]:
    for condition in status.get("conditions") or ():
        if condition.get("type") == "Ready":
            return (condition.get("status"), condition.get("reason"))
    return (None, None)
