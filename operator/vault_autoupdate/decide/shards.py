"""Which shard has which subscription, where several processes share the resources of a cluster. Pure.

Azure counts requests by subscription: two processes at work on one would each spend the whole of its budget. So all
vaults of a subscription belong to one shard, that of the oldest resource which names one of them. Every process comes
to that by itself, from what the API server shows to all of them, in whatever order it sees it.

Age alone counts here, while between two resources on one vault what somebody wrote by hand comes before what a policy
made: one new resource must not be able to take thousands of vaults from the shard that works on them.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from vault_autoupdate.decide.tenancy import Refusal, TenancyRules
from vault_autoupdate.model.arm_id import fold
from vault_autoupdate.model.conditions import Reason
from vault_autoupdate.model.resource import SHARD_LABEL, ResourceKey, VaultAutoUpdate

__all__ = ["Claim", "ShardRules", "SubscriptionTable", "in_words"]


@dataclass(frozen=True, slots=True)
class Claim:
    """What one resource says about the shards: all that is kept of those which others work on."""

    key: ResourceKey
    uid: str
    created_at: datetime
    shard: str
    """The one that it belongs to by its label; empty for the main one."""
    subscription: str
    """Of the vault that it names, folded; empty where it names none that it may."""
    in_hands_of: str | None
    """The shard that may be at work on it, as its status says; None for nobody."""
    is_busy: bool = False
    """Whether that one is in the middle of changing something, as its status says."""

    @property
    def rank(self) -> tuple[datetime, ResourceKey, str]:
        """The least has the subscription."""
        return (self.created_at, self.key, self.uid)


class SubscriptionTable:
    """The claims of all resources, by subscription. What it answers depends on them alone, not on their order."""

    def __init__(self) -> None:
        self._claims: dict[ResourceKey, Claim] = {}
        self._ranks: dict[str, list[tuple[datetime, ResourceKey, str]]] = {}
        """By subscription, the best claim first."""
        self._hands: dict[str, Counter[str]] = {}
        """By subscription: how many of its resources are in the hands of which shard."""

    def get(self, key: ResourceKey) -> Claim | None:
        """What is known of a resource."""
        return self._claims.get(key)

    def put(self, claim: Claim) -> Claim | None:
        """Take in a resource as it is now; returns what was known of it before."""
        before = self.drop(claim.key)
        self._claims[claim.key] = claim
        if claim.subscription:
            insort(self._ranks.setdefault(claim.subscription, []), claim.rank)
            if claim.in_hands_of is not None:
                self._hands.setdefault(claim.subscription, Counter())[claim.in_hands_of] += 1
        return before

    def drop(self, key: ResourceKey) -> Claim | None:
        """Forget a resource; returns what was known of it."""
        claim = self._claims.pop(key, None)
        if claim is None or not claim.subscription:
            return claim
        ranks = self._ranks[claim.subscription]
        del ranks[bisect_left(ranks, claim.rank)]
        if claim.in_hands_of is not None:
            self._hands[claim.subscription][claim.in_hands_of] -= 1
        if not ranks:
            del self._ranks[claim.subscription]
            self._hands.pop(claim.subscription, None)
        return claim

    def subscriptions(self) -> list[str]:
        """All that somebody claims."""
        return list(self._ranks)

    def holder(self, subscription: str) -> Claim | None:
        """The claim by which a shard has a subscription; None where nobody claims it."""
        ranks = self._ranks.get(subscription)
        return self._claims[ranks[0][1]] if ranks else None

    def hands(self, subscription: str) -> set[str]:
        """The shards that may be at work in a subscription, whosever it is."""
        return {shard for shard, count in self._hands.get(subscription, Counter()).items() if count > 0}

    def of(self, subscription: str, shard: str) -> Iterator[ResourceKey]:
        """The resources of a shard in a subscription. Takes as long as there are resources of whomever."""
        for _, key, _ in list(self._ranks.get(subscription, ())):
            if self._claims[key].shard == shard:
                yield key


@dataclass(frozen=True)
class ShardRules:
    """What the operator's settings allow to each resource, and the shards besides."""

    tenancy: TenancyRules
    table: SubscriptionTable = field(default_factory=SubscriptionTable)
    contested: dict[str, float] = field(default_factory=dict)
    """Subscriptions of this shard in which another one may be at work still; until when that is not even asked."""

    @property
    def shard(self) -> str:
        """That of this process; empty for the main one."""
        return self.tenancy.shard

    def refusal(self, resource: VaultAutoUpdate) -> Refusal | None:
        """Why ``resource`` may not be worked on; None if it may, as far as is known here."""
        if refusal := self.tenancy.refusal(resource):
            return refusal
        subscription = resource.spec.vault_resource_id.subscription
        holder = self.table.holder(fold(subscription))
        if holder is None or (holder.shard == self.shard and fold(subscription) not in self.contested):
            return None
        if holder.shard == self.shard:
            return Refusal(Reason.SUBSCRIPTION_IN_OTHER_SHARD, _not_yet(subscription, self.shard))
        return Refusal(Reason.SUBSCRIPTION_IN_OTHER_SHARD, _split(subscription, holder, self.shard))


def in_words(shard: str) -> str:
    """How to name a shard to people."""
    return f"shard {shard}" if shard else "the main shard"


def label_in_words(shard: str) -> str:
    """What a resource of a shard is labelled with."""
    return f"the label {SHARD_LABEL}={shard}" if shard else f"no label {SHARD_LABEL}"


def _not_yet(subscription: str, own: str) -> str:
    return (
        f"Nothing is done yet: subscription {subscription} has come to {in_words(own)}, and the one that worked in it "
        "has to let go of it first."
    )


def _split(subscription: str, holder: Claim, own: str) -> str:
    return (
        f"Nothing is done: subscription {subscription} belongs to {in_words(holder.shard)}, as VaultAutoUpdate "
        f"{holder.key} is the oldest resource in it. A subscription is never split among shards, since its request "
        f"limits count for all of its vaults together. Give this resource {label_in_words(holder.shard)}, or move all "
        f"resources in it to {in_words(own)}."
    )
