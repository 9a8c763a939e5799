"""What this process works on where others work on the rest: it stands between the watch and the `Controller`.

All processes see all resources. Of those that belong to others only a `Claim` is kept. A resource goes from one shard
to another when its label changes, or when another resource becomes the oldest in its subscription. Never are two
processes at work on it, or on one subscription: whoever is to begin waits until whoever was at work has let go. That
one says so in the status: it hands over what has another label, and refuses what has its own but is in a subscription
of another shard. If it does not, since it has ended, its Lease tells.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Container, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from vault_autoupdate.decide.shards import Claim, ShardRules, in_words
from vault_autoupdate.model.resource import ResourceKey
from vault_autoupdate.report.shard_claim import read_claim

_SETTLE: Final = 2.0
"""Seconds that news of a change take to reach all processes, about: so long nobody begins where another one may not yet
know that it has to end."""
_LAST_ANSWER: Final = 60.0
"""Seconds that an answer of Azure may take for which a process still waits whose resource was deleted in mid-run."""
_PATIENCE: Final = 60.0
"""Seconds to wait for a shard to let go of which nobody can tell whether it is at work: it has no Lease."""
_LOOK: Final = 1.0
"""Seconds between two looks at the Leases of those that are waited for."""

log = logging.getLogger(__name__)

__all__ = ["Presence", "ShardGate", "Worker"]


class Worker(Protocol):
    """Works on what belongs to this shard; a `Controller` is the one."""

    def on_change(self, body: Mapping[str, Any], *, initial: bool = False) -> None:
        """Take in an object."""

    def on_delete(self, key: ResourceKey, uid: str = "") -> None:
        """Forget an object."""

    def judge_again(self, key: ResourceKey) -> None:
        """What may be done about it may have changed, though it has not."""

    @property
    def resources(self) -> Container[ResourceKey]:
        """All that it tracks."""


class Presence(Protocol):
    """Knows whether other shards are at work; a `ShardPresence` is the one."""

    async def is_at_work(self, shard: str) -> bool | None:
        """Whether a process of that shard may be at work; None where that cannot be told."""


@dataclass(frozen=True)
class _Waiting:
    """A resource of ours that is not begun yet."""

    body: Mapping[str, Any]
    initial: bool
    not_before: float


class ShardGate:
    """Lets through what this process is to work on. All methods belong to one event loop."""

    def __init__(
        self,
        rules: ShardRules,
        worker: Worker,
        presence: Presence,
        *,
        listed: Callable[[], AsyncIterator[Mapping[str, Any]]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._own = rules.shard
        self._table = rules.table
        self._allows = rules.tenancy.scopes.allows
        self._worker = worker
        self._presence = presence
        self._listed = listed
        self._clock = clock
        self._granted: set[str] = set()
        """Subscriptions in which this process works."""
        self._contested = rules.contested
        self._foreign: set[str] = set()
        """Subscriptions of others that resources of ours may be in as well."""
        self._quiet_until: dict[str, float] = {}
        """By subscription: until when somebody may still be at work whose resource was deleted."""
        self._waiting: dict[ResourceKey, _Waiting] = {}
        self._away: set[str] = set()
        """Shards that are waited for and are known not to be at work."""
        self._waited_since: dict[str, float] = {}
        self._is_alone = False
        """Whether no other shard had anything when this process began."""
        self._up_to_date_at = 0.0
        """While the first listing comes in, news of what has changed since wait behind it."""
        self._stirred = asyncio.Event()

    async def begin(self) -> None:
        """Before the watch: learn whose each subscription is, so that what was ours before goes on at once."""
        async for body in self._listed():
            self._table.put(read_claim(body, self._allows))
        self._is_alone = not self._own and not self._table.subscriptions()
        for subscription in self._table.subscriptions():
            self._judge(subscription, settle=0.0)

    def on_change(self, body: Mapping[str, Any], *, initial: bool = False) -> None:
        """Take in an object as the API server has it."""
        metadata = body["metadata"]
        before = self._table.get(ResourceKey(metadata["namespace"], metadata["name"]))
        claim = read_claim(body, self._allows, before)
        if initial and not self._is_alone:
            self._up_to_date_at = self._clock() + _SETTLE
        if claim != before:
            self._table.put(claim)
            if before is not None and before.uid != claim.uid:
                self._went(before)
            if claim.subscription:
                self._judge(claim.subscription)
        self._route(claim, before, body, initial=initial)

    def on_delete(self, key: ResourceKey, uid: str) -> None:
        """Forget an object that was deleted."""
        claim = self._table.get(key)
        if claim is not None and claim.uid == uid:
            self._table.drop(key)
            self._waiting.pop(key, None)
            self._went(claim)
        self._worker.on_delete(key, uid)

    async def run(self) -> None:
        """Find out whether those that are waited for are at work, as long as anybody is waited for."""
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            while self._waiting or self._contested:
                await self._look()
                self._begin_what_may()
                await asyncio.sleep(_LOOK)
            self._away.clear()
            self._waited_since.clear()

    def _route(self, claim: Claim, before: Claim | None, body: Mapping[str, Any], *, initial: bool) -> None:
        key, is_known = claim.key, claim.key in self._worker.resources
        if claim.shard != self._own:
            self._waiting.pop(key, None)
            if is_known or claim.in_hands_of == self._own:
                self._worker.on_change(body, initial=initial)  # to let go of it
            return
        if is_known:
            self._worker.on_change(body, initial=initial)
            return
        waiting, was_of_other = self._waiting.get(key), before is not None and before.shard != self._own
        not_before = waiting.not_before if waiting else self._clock() + _SETTLE * was_of_other
        self._waiting[key] = _Waiting(body, initial, not_before)
        self._begin(key)

    def _begin(self, key: ResourceKey) -> None:
        """Give a resource of ours to the worker, if nobody else may be at work on it."""
        if (waiting := self._waiting.get(key)) is None:
            return
        claim = self._table.get(key)
        if claim is not None and self._is_free(claim, waiting.not_before):
            del self._waiting[key]
            self._worker.on_change(waiting.body, initial=waiting.initial)
        else:
            self._stirred.set()

    def _is_free(self, claim: Claim, not_before: float) -> bool:
        """Whether a resource of ours may be begun: at once, if it was in our hands before."""
        if claim.in_hands_of is None:
            not_before = max(not_before, self._up_to_date_at)
        is_let_go = claim.in_hands_of in {None, self._own, *self._away}
        return is_let_go and claim.subscription not in self._contested and self._clock() >= not_before

    def _went(self, claim: Claim) -> None:
        """A resource was deleted. If somebody else was at work on it, nothing tells when that one has ended."""
        if not claim.subscription:
            return
        if claim.is_busy and claim.in_hands_of not in {None, self._own, *self._away}:
            self._quiet_until[claim.subscription] = self._clock() + _LAST_ANSWER
        self._judge(claim.subscription)

    def _judge(self, subscription: str, *, settle: float = _SETTLE) -> None:
        """Find out anew whose a subscription is."""
        holder = self._table.holder(subscription)
        if holder is None:
            self._forget(subscription)
        elif holder.shard != self._own:
            was_ours = self._forget(subscription)
            self._foreign.add(subscription)
            if was_ours:
                log.info("subscription %s belongs to %s now", subscription, in_words(holder.shard))
                self._tell_own(subscription)
        elif subscription not in self._granted:
            if subscription not in self._contested:
                self._contested[subscription] = self._clock() + settle * (subscription in self._foreign)
                self._foreign.discard(subscription)
            self._grant(subscription)

    def _forget(self, subscription: str) -> bool:
        """Work in a subscription no longer; returns whether it was ours."""
        was_ours = subscription in self._granted or subscription in self._contested
        self._granted.discard(subscription)
        self._contested.pop(subscription, None)
        self._foreign.discard(subscription)
        return was_ours

    def _grant(self, subscription: str) -> None:
        """Begin in a subscription of ours, if nobody else may be at work in it."""
        others = self._table.hands(subscription) - {self._own} - self._away
        quiet_until = self._quiet_until.get(subscription, 0.0)
        not_before = max(self._contested[subscription], quiet_until, self._up_to_date_at)
        if others or self._clock() < not_before:
            self._stirred.set()
            return
        del self._contested[subscription]
        self._quiet_until.pop(subscription, None)
        self._granted.add(subscription)
        self._tell_own(subscription)

    def _tell_own(self, subscription: str) -> None:
        for key in self._table.of(subscription, self._own):
            if key in self._waiting:
                self._begin(key)
            else:
                self._worker.judge_again(key)

    async def _look(self) -> None:
        """Find out of each shard that is waited for whether it is at work."""
        awaited = self._awaited()
        for shard in self._waited_since.keys() - awaited:
            del self._waited_since[shard]
        self._away &= awaited
        for shard in awaited:
            since = self._waited_since.setdefault(shard, self._clock())
            is_at_work = await self._presence.is_at_work(shard)
            if is_at_work is None:
                is_at_work = self._clock() - since < _PATIENCE
            if is_at_work:
                self._away.discard(shard)
            elif shard not in self._away:
                log.info("%s is not at work: what it has left is taken over", in_words(shard))
                self._away.add(shard)

    def _awaited(self) -> set[str]:
        """The shards that have to let go of something before it is begun here."""
        hands = [self._table.hands(subscription) for subscription in self._contested]
        claims = [claim for key in self._waiting if (claim := self._table.get(key))]
        of_single_ones = {claim.in_hands_of for claim in claims if claim.in_hands_of is not None}
        return of_single_ones.union(*hands) - {self._own}

    def _begin_what_may(self) -> None:
        for subscription in list(self._contested):
            self._grant(subscription)
        for key in list(self._waiting):
            self._begin(key)
