"""All policies of the cluster: what is known of each, and what is done when one is due."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any, Final, Protocol

from vault_autoupdate.arm.identity.tokens import TokenSource
from vault_autoupdate.decide.policy_selection import select
from vault_autoupdate.decide.schedule import fraction_of
from vault_autoupdate.decide.tenancy import TenancyRules
from vault_autoupdate.discovery.reconciler import ChildWriter, PolicyReconciler, Surroundings
from vault_autoupdate.discovery.state import PolicyState
from vault_autoupdate.model.conditions import ConditionStatus, ConditionType
from vault_autoupdate.model.errors import AzureError, NotLeading, NotWritten, ObjectGone
from vault_autoupdate.model.estate import Child, Estate
from vault_autoupdate.model.policy import VaultAutoUpdatePolicy, parse_policy
from vault_autoupdate.model.resource import CredentialSource, InvalidSpec, Mode, ObjectRef, ResourceKey
from vault_autoupdate.report.policy_readiness import (
    PolicyStanding,
    invalid_policy,
    is_alarming,
    refused_policy,
    standing_of_policy,
    suspended_policy,
)
from vault_autoupdate.report.policy_restore import read_child, read_tally
from vault_autoupdate.report.policy_status import build_policy_status
from vault_autoupdate.report.readiness import Readiness
from vault_autoupdate.report.shard_claim import shard_of
from vault_autoupdate.report.values import read_time

_SETTLE: Final = 1.0
"""Seconds that news of resources take to come in, about, and at least between two plans."""
_PLAN_SHARE: Final = 10.0
"""A plan that takes long is made more rarely: so many times as long lies between two of them."""
_REWRITE: Final = 5.0
_LOGIN_PAUSE: Final = 60.0
_LISTED_FOR: Final = 60.0
"""Seconds for which a list of resources does for all policies."""
_SLOWEST: Final = 60.0
"""Seconds between two plans while something waits for time to pass: an hour's limit, or a wave that proves itself."""

log = logging.getLogger(__name__)

__all__ = ["PolicyController", "StatusWriter", "TrackedPolicy"]


class StatusWriter(Protocol):
    """Writes to the policies themselves; a `KubeWriter` for their kind is the one."""

    async def write_status(self, ref: ObjectRef, status: Mapping[str, Any], *, patient: bool) -> None:
        """Replace the status. Raises as `KubeWriter.write_status`."""

    async def emit_event(self, ref: ObjectRef, readiness: Readiness, *, count: int = 1) -> None:
        """Post an Event."""


class ListingWriter(ChildWriter, Protocol):
    """Writes the resources of policies, and lists those that there are."""

    def pages(self) -> AsyncIterator[list[dict[str, Any]]]:
        """All VaultAutoUpdates. Raises `NotWritten`."""


@dataclass
class TrackedPolicy:
    """What is known of one policy between two looks at it."""

    ref: ObjectRef
    generation: int
    policy: VaultAutoUpdatePolicy | None
    problem: InvalidSpec | None
    status: dict[str, Any]
    state: PolicyState = field(default_factory=PolicyState)
    tokens: TokenSource | None = field(default=None, repr=False)
    discovery_due: float = 0.0
    """On the monotonic clock."""
    plan_due: float = 0.0

    @property
    def requested_at(self) -> str | None:
        """The value of the annotation that asks for a discovery now, if it has not been answered."""
        requested = self.policy.requested_at if self.policy else None
        return requested if requested != self.status.get("lastHandledReconcileAt") else None

    def intent(self) -> tuple[object, ...]:
        """What somebody wants of the controller."""
        policy = self.policy
        asked = (policy.requested_at, policy.approved, policy.deleting) if policy else ()
        return (self.generation, *asked)


class PolicyController:
    """Works on the policies that are due. All methods belong to one event loop."""

    def __init__(
        self,
        *,
        reconciler: PolicyReconciler,
        children: ListingWriter,
        writer: StatusWriter,
        wake: Callable[[ResourceKey, float], None],
        now: Callable[[], datetime],
        rules: TenancyRules,
        tokens_for: Callable[[str, CredentialSource | None], Awaitable[TokenSource | None]],
    ) -> None:
        self.policies: dict[ResourceKey, TrackedPolicy] = {}
        self._uids: dict[ResourceKey, str] = {}
        """Of all policies, those of other shards too."""
        self._resources: dict[ResourceKey, Child] = {}
        self._by_vault: dict[str, tuple[Child, ...]] = {}
        self._reconciler = reconciler
        self._children = children
        self._writer = writer
        self._wake = wake
        self._now = now
        self._rules = rules
        self._tokens_for = tokens_for
        self._listed_at: float | None = None

    def on_policy_change(self, body: Mapping[str, Any]) -> None:
        """Take in a policy as the API server has it; wake it if something changed that matters."""
        new = _read(body)
        self._uids[new.ref.key] = new.ref.uid
        if shard_of(body) != self._rules.shard:
            self.policies.pop(new.ref.key, None)
            return
        tracked = self.policies.get(new.ref.key)
        if tracked is None or tracked.ref != new.ref:
            self.policies[new.ref.key] = new
            self._wake(new.ref.key, _SETTLE)
            return
        before = tracked.intent()
        tracked.generation, tracked.policy, tracked.problem = new.generation, new.policy, new.problem
        if before != tracked.intent():
            tracked.discovery_due = tracked.plan_due = 0.0
            self._wake(new.ref.key, 0.0)

    def on_policy_delete(self, key: ResourceKey, uid: str) -> None:
        """Forget a policy. Its resources stay, and nothing is done in Azure."""
        if self._uids.get(key) == uid:
            del self._uids[key]
        tracked = self.policies.get(key)
        if tracked is not None and tracked.ref.uid == uid:
            del self.policies[key]

    def on_resource_change(self, body: Mapping[str, Any]) -> None:
        """Take in a VaultAutoUpdate, of whomever."""
        key = ResourceKey(body["metadata"]["namespace"], body["metadata"]["name"])
        child, before = read_child(body), self._resources.get(key)
        if child == before:
            return
        if before is not None:
            self._forget(before)
        if child is not None:
            self._resources[key] = child
            self._by_vault[child.vault_key] = (*self._by_vault.get(child.vault_key, ()), child)
        self._wake_those_of(child, before)

    def on_resource_delete(self, key: ResourceKey, uid: str) -> None:
        """Forget a VaultAutoUpdate that was deleted."""
        child = self._resources.get(key)
        if child is not None and child.ref.uid == uid:
            self._forget(child)
            self._wake_those_of(child)

    async def work(self, key: ResourceKey) -> float | None:
        """Do what is due for a policy; returns the seconds until it is due again, None for when it changes."""
        tracked = self.policies.get(key)
        if tracked is None:
            return None
        try:
            return await self._work(tracked)
        except ObjectGone:
            self.on_policy_delete(key, tracked.ref.uid)
            return None
        except (NotWritten, NotLeading) as error:
            log.warning("policy %s could not be written: %s", key, error)
            return _REWRITE

    async def _work(self, tracked: TrackedPolicy) -> float | None:
        policy = tracked.policy
        if policy is None:
            await self._publish(tracked, invalid_policy(tracked.problem or InvalidSpec(["unreadable"])))
            return None
        if policy.deleting:
            return None
        if refusal := self._rules.credential_refusal(policy.spec.template.credential):
            await self._publish(tracked, refused_policy(refusal))
            return None
        if policy.spec.suspend:
            await self._publish(tracked, suspended_policy())
            return None
        clock = time.monotonic()
        is_fresh = clock >= tracked.discovery_due or tracked.requested_at is not None
        if not is_fresh and clock < tracked.plan_due:
            return tracked.plan_due - clock
        return await self._pass(tracked, policy, is_fresh=is_fresh)

    async def _pass(self, tracked: TrackedPolicy, policy: VaultAutoUpdatePolicy, *, is_fresh: bool) -> float:
        await self._know_all_resources(anew=is_fresh)
        state, requested, intent = tracked.state, tracked.requested_at, tracked.intent()

        def is_wanted() -> bool:
            return self.policies.get(policy.key) is tracked and tracked.intent() == intent

        try:
            tracked.tokens = await self._tokens_for(policy.key.namespace, policy.spec.template.credential)
        except AzureError as error:
            await self._publish(
                tracked, PolicyStanding(Readiness(ConditionStatus.FALSE, error.reason, str(error), reconciling=True))
            )
            return _LOGIN_PAUSE
        if is_fresh:
            context = await self._reconciler.discover(policy, state, tracked.tokens)
            interval = policy.spec.discovery.interval.total_seconds()
            jitter = 0.1 * interval * fraction_of(f"{policy.uid}{policy.key}")
            tracked.discovery_due = time.monotonic() + interval - jitter
        else:
            context = self._reconciler.context(policy, tracked.tokens)
        began = time.monotonic()
        await self._reconciler.plan(policy, state, partial(self._around, policy, state), context, fresh=is_fresh)
        tracked.plan_due = time.monotonic() + max(_SETTLE, _PLAN_SHARE * (time.monotonic() - began))
        if not is_wanted():
            return 0.0  # it is not what it was when this plan was made
        written = await self._reconciler.apply(
            policy, state, self._children, partial(self._publish_plan, tracked, policy, handled=None), is_wanted
        )
        if not is_wanted():
            return 0.0
        await self._publish_plan(tracked, policy, handled=requested, is_fresh=is_fresh)
        return self._next_delay(tracked, policy, written)

    def _next_delay(self, tracked: TrackedPolicy, policy: VaultAutoUpdatePolicy, written: int) -> float:
        due = max(0.0, tracked.discovery_due - time.monotonic())
        plan = tracked.state.plan
        waits = plan.missing or plan.differing or written or tracked.state.not_written
        if policy.spec.mode is Mode.ENFORCE and waits:
            soon = policy.spec.limits.min_success_time.total_seconds() / 4
            return min(due, max(_SETTLE, min(_SLOWEST, soon)))
        return due

    async def _know_all_resources(self, *, anew: bool) -> None:
        """Before the first plan: what is not known to be there would be made a second time.

        And before each discovery: of what is deleted while the watch is cut, no news ever come.
        """
        if self._listed_at is not None and (not anew or time.monotonic() - self._listed_at < _LISTED_FOR):
            return
        before, there = dict(self._resources), set[ResourceKey]()
        async for page in self._children.pages():
            for body in page:
                key = ResourceKey(body["metadata"]["namespace"], body["metadata"]["name"])
                there.add(key)
                if key not in self._resources:
                    self.on_resource_change(body)
        for key in before.keys() - there:
            if self._resources.get(key) is before[key]:
                self.on_resource_delete(key, before[key].ref.uid)
        self._listed_at = time.monotonic()

    def _around(self, policy: VaultAutoUpdatePolicy, state: PolicyState) -> Surroundings:
        rivals: dict[str, ResourceKey] = {}
        for other in self.policies.values():
            if other.policy is not None and _is_older(other.policy, policy):
                rivals |= dict.fromkeys(self._meant_by(other, other.policy, state.estate), other.ref.key)
        others = frozenset(self._uids.values()) - {policy.uid}
        allows = partial(self._rules.scopes.allows, policy.key.namespace)
        return Surroundings(dict(self._by_vault), rivals, allows, others)

    def _meant_by(self, other: TrackedPolicy, policy: VaultAutoUpdatePolicy, estate: Estate | None) -> Iterable[str]:
        """Vaults that another policy means: until it has looked itself, as it would say of those in ``estate``."""
        if other.state.estate is not None or estate is None:
            return other.state.plan.selection.selected
        return select(policy.spec, estate, partial(self._rules.scopes.allows, policy.key.namespace)).selected

    async def _publish_plan(
        self, tracked: TrackedPolicy, policy: VaultAutoUpdatePolicy, *, handled: str | None, is_fresh: bool = True
    ) -> None:
        state = tracked.state
        if state.estate is None:
            return
        standing = standing_of_policy(policy, state.estate, state.plan, state.not_written)
        await self._publish(
            tracked,
            standing,
            is_fresh=is_fresh,
            estate=state.estate,
            plan=state.plan,
            evidence=state.evidence,
            last_complete_at=state.last_complete_at,
            removed=state.removed,
            changed=state.changed,
            handled=handled,
        )

    async def _publish(
        self, tracked: TrackedPolicy, standing: PolicyStanding, *, is_fresh: bool = True, **parts: Any
    ) -> None:
        status = build_policy_status(tracked.status, standing, self._now(), generation=tracked.generation, **parts)
        if _essence(status) == _essence(tracked.status) and not (is_fresh and parts):
            return
        before = tracked.status
        await self._writer.write_status(tracked.ref, status, patient=True)
        tracked.status = status
        events = _events(before, standing)
        _log(tracked.ref.key, events)
        for event in events:
            await self._writer.emit_event(tracked.ref, event)

    def _forget(self, child: Child) -> None:
        del self._resources[child.ref.key]
        rest = tuple(each for each in self._by_vault[child.vault_key] if each.ref.key != child.ref.key)
        if rest:
            self._by_vault[child.vault_key] = rest
        else:
            del self._by_vault[child.vault_key]

    def _wake_those_of(self, *children: Child | None) -> None:
        for child in children:
            if child is None:
                continue
            own = ResourceKey(child.ref.key.namespace, child.policy)
            for key in (own,) if child.policy and not child.adopt else tuple(self.policies):
                if key in self.policies:
                    self._wake(key, _SETTLE)


def _read(body: Mapping[str, Any]) -> TrackedPolicy:
    metadata, status = body["metadata"], dict(body.get("status") or {})
    policy: VaultAutoUpdatePolicy | None = None
    problem: InvalidSpec | None = None
    try:
        policy = parse_policy({name: part for name, part in body.items() if name != "status"})
    except InvalidSpec as error:
        problem = error
    state = PolicyState(
        removed=read_tally(status.get("removals")),
        changed=read_tally(status.get("changes")),
        last_complete_at=read_time((status.get("discovery") or {}).get("lastCompleteAt")),
    )
    ref = ObjectRef(ResourceKey(metadata["namespace"], metadata["name"]), metadata.get("uid", ""))
    return TrackedPolicy(ref, int(metadata.get("generation", 0)), policy, problem, status, state)


def _is_older(other: VaultAutoUpdatePolicy, policy: VaultAutoUpdatePolicy) -> bool:
    """Whether ``other`` comes first. A policy that changes nothing takes no vault from one that does."""
    if other.uid == policy.uid or other.deleting or other.spec.suspend or other.spec.mode is Mode.AUDIT:
        return False
    return (other.created_at, other.key) < (policy.created_at, policy.key)


def _essence(status: Mapping[str, Any]) -> dict[str, Any]:
    """A status without what only tells when it was looked at."""
    discovery = dict(status.get("discovery") or {})
    for moment in ("startedAt", "completedAt", "lastCompleteAt"):
        discovery.pop(moment, None)
    return dict(status) | {"discovery": discovery}


def _events(before: Mapping[str, Any], standing: PolicyStanding) -> list[Readiness]:
    """What has changed that is worth an Event: a condition's status, or why it is so."""
    known = {each["type"]: (each["status"], each["reason"]) for each in before.get("conditions") or ()}
    told = []
    for kind, current, normal in (
        (ConditionType.READY, standing.ready, ConditionStatus.TRUE),
        (ConditionType.DISCOVERY_COMPLETE, standing.complete, ConditionStatus.TRUE),
        (ConditionType.ROLLOUT_PAUSED, standing.paused, ConditionStatus.FALSE),
        (ConditionType.REMOVALS_BLOCKED, standing.blocked, ConditionStatus.FALSE),
    ):
        if current is None or known.get(kind) == (current.ready, current.reason):
            continue
        if kind not in known and current.ready == normal:
            continue  # nothing was wrong before, nor is it now
        told.append(
            current
            if kind == ConditionType.READY
            else replace(current, ready=ConditionStatus.TRUE if current.ready == normal else ConditionStatus.FALSE)
        )
    return told


def _log(key: ResourceKey, events: Sequence[Readiness]) -> None:
    """Tell of a transition in one line: several conditions may change for one cause, and the last one names it."""
    if not events:
        return
    level = logging.WARNING if any(is_alarming(each) for each in events) else logging.INFO
    told = " ".join(f"{each.reason}: {each.message}" for each in events)
    log.log(level, "policy %s is %s", key, told, extra={"resource": str(key), "reason": events[-1].reason})
