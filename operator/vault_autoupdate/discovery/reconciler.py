"""One pass over one policy: observe, plan, look, plan again, apply. It orchestrates, and decides nothing."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from vault_autoupdate.arm.client import CallContext
from vault_autoupdate.arm.discovery import TENANT_SCOPE
from vault_autoupdate.arm.identity.tokens import TokenSource
from vault_autoupdate.arm.site_recovery import SiteRecovery
from vault_autoupdate.decide.policy_evidence import learn
from vault_autoupdate.decide.policy_limits import DAY, HOUR
from vault_autoupdate.decide.policy_plan import make_plan
from vault_autoupdate.decide.policy_steps import Change, Creation, Facts, PolicyPlan, Removal
from vault_autoupdate.discovery.reader import EstateReader
from vault_autoupdate.discovery.state import PolicyState
from vault_autoupdate.model.arm_id import ArmId
from vault_autoupdate.model.errors import AzureError, NotWritten, ObjectChanged, ObjectGone
from vault_autoupdate.model.estate import Child, FoundVault, Look
from vault_autoupdate.model.policy import POLICY_UID, STAMPED_MODE, Source, VaultAutoUpdatePolicy
from vault_autoupdate.model.quota import QuotaScope
from vault_autoupdate.model.resource import (
    API_VERSION,
    KIND,
    POLICY_LABEL,
    SHARD_LABEL,
    AutoUpdate,
    ObjectRef,
    ResourceKey,
)

WRITES_AT_ONCE: Final = 16

__all__ = ["ChildWriter", "PolicyReconciler", "Surroundings"]


class ChildWriter(Protocol):
    """Writes the resources of policies; `cluster.child_writer.ChildWriter` is the one.

    All methods raise `NotWritten`, `ObjectGone`, `ObjectChanged` and `NotLeading`.
    """

    async def create(self, manifest: Mapping[str, Any]) -> None:
        """Make a resource; nothing, if there is one of that name."""

    async def change(self, ref: ObjectRef, changes: Mapping[str, Any]) -> None:
        """Merge changes into this very object."""

    async def remove(self, ref: ObjectRef) -> None:
        """Delete this very object."""


@dataclass(frozen=True)
class Surroundings:
    """What is around a policy in the cluster, as it is now."""

    resources: Mapping[str, tuple[Child, ...]]
    rivals: Mapping[str, ResourceKey]
    allows: Callable[[str], bool]
    policies: frozenset[str]
    """Uids of all other policies that there are, of other shards too."""


class PolicyReconciler:
    """Works on policies."""

    def __init__(
        self,
        reader: EstateReader,
        site_recovery: SiteRecovery,
        *,
        has_graph: bool,
        now: Callable[[], datetime],
    ) -> None:
        self._reader = reader
        self._site_recovery = site_recovery
        self._has_graph = has_graph
        self._now = now

    async def discover(
        self, policy: VaultAutoUpdatePolicy, state: PolicyState, tokens: TokenSource | None
    ) -> CallContext:
        """Observe: read the estate of a policy into its state; returns the context of this run's calls."""
        context = self.context(policy, tokens)
        discovery, now = policy.spec.discovery, self._now()
        verify = state.verified_at is None or now - state.verified_at >= discovery.verify_interval
        with_graph = self._has_graph and discovery.source is Source.AUTO and not verify
        previous = state.complete if state.generation == policy.generation else None
        accounts = state.estate.accounts if state.estate else {}
        estate = await self._reader.read(policy.spec, context, previous, with_graph=with_graph, accounts=accounts)
        state.estate, state.generation = estate, policy.generation
        state.current.clear()
        if estate.source == "List":
            state.verified_at = estate.started_at
        if estate.is_complete:
            state.complete, state.last_complete_at = estate, estate.started_at
        return context

    def context(self, policy: VaultAutoUpdatePolicy, tokens: TokenSource | None) -> CallContext:
        """The context of a run's calls."""
        return CallContext(
            TENANT_SCOPE, policy.key.namespace, f"policy {policy.key}", run_id=str(uuid.uuid4()), tokens=tokens
        )

    async def plan(
        self,
        policy: VaultAutoUpdatePolicy,
        state: PolicyState,
        around: Callable[[], Surroundings],
        context: CallContext,
        *,
        fresh: bool,
    ) -> PolicyPlan:
        """Plan, look at what the plan asks for, and plan again.

        Args:
            policy: the policy.
            state: with an estate in it.
            around: what is around it in the cluster.
            context: of the calls.
            fresh: whether the estate was read in this pass: on an older one nothing is removed, nor suspected.
        """
        draft = await self._make(policy, state, around(), {})
        if draft.read_mappings:
            state.current |= await self._current(context, draft.read_mappings)
            draft = await self._make(policy, state, around(), {})
        wanted = [vault for vault in draft.look_at if fresh or vault.key not in draft.orphaned]
        looks = await self._reader.looks(context, wanted)
        state.evidence = learn(
            {key: known for key, known in state.evidence.items() if key in draft.own}, looks, policy.spec
        )
        state.plan = await self._make(policy, state, around(), looks) if looks else draft
        return state.plan

    async def apply(
        self,
        policy: VaultAutoUpdatePolicy,
        state: PolicyState,
        writer: ChildWriter,
        save: Callable[[], Awaitable[None]],
        is_wanted: Callable[[], bool],
    ) -> int:
        """Do what the plan says; returns how many resources were written.

        Args:
            policy: the policy.
            state: with a plan in it.
            writer: writes resources.
            save: writes the status. What is counted is counted there before it is done.
            is_wanted: whether the policy is still as it was when the plan was made.
        """
        plan, now = state.plan, self._now()
        state.not_written = {name: _taken(child) for name, child in plan.taken.items()}
        if plan.remove or plan.change:
            state.removed = state.removed.plus(len(plan.remove), now, DAY)
            state.changed = state.changed.plus(len(plan.change), now, HOUR)
            await save()
        turns = asyncio.Semaphore(WRITES_AT_ONCE)

        async def write(name: str, step: Callable[[], Awaitable[None]]) -> bool:
            async with turns:
                if not is_wanted():
                    return False
                try:
                    await step()
                except NotWritten as error:
                    state.not_written[name] = str(error)
                except (ObjectGone, ObjectChanged):
                    pass  # somebody was faster: the news are on their way
                else:
                    return True
            return False

        steps = [
            *((each.name, _creating(writer, policy, each)) for each in plan.create),
            *((each.child.ref.key.name, _changing(writer, policy, each)) for each in plan.change),
            *((each.ref.key.name, _moving(writer, policy, each)) for each in plan.moving),
            *((each.child.ref.key.name, _removing(writer, each)) for each in plan.remove),
        ]
        return sum(await asyncio.gather(*(write(name, step) for name, step in steps)))

    async def _make(
        self, policy: VaultAutoUpdatePolicy, state: PolicyState, around: Surroundings, looks: Mapping[str, Look]
    ) -> PolicyPlan:
        if state.estate is None:
            return PolicyPlan()  # nothing was seen, so nothing is known
        facts = Facts(
            policy=policy,
            estate=state.estate,
            resources=around.resources,
            now=self._now(),
            allows=around.allows,
            rivals=around.rivals,
            policies=around.policies,
            evidence=dict(state.evidence),
            looks=looks,
            current=dict(state.current),
            removed=state.removed,
            changed=state.changed,
        )
        # Thousands of vaults take a second: the event loop has other things to do meanwhile.
        return await asyncio.to_thread(make_plan, facts)

    async def _current(self, context: CallContext, vaults: Iterable[FoundVault]) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for vault in vaults:
            try:
                found[vault.key] = await self._accounts_named(context, vault.id)
            except AzureError:
                continue  # it is asked again in the next pass
        return found

    async def _accounts_named(self, context: CallContext, vault: ArmId) -> tuple[str, ...]:
        scope = CallContext(
            QuotaScope(vault.subscription.casefold()), context.namespace, vault.key, context.run_id, context.tokens
        )
        mappings = await self._site_recovery.mappings(scope, vault)
        return tuple(
            mapping.automation_account_id
            for mapping in mappings
            if mapping.auto_update_status == AutoUpdate.ENABLED and mapping.automation_account_id
        )


def _taken(child: Child) -> str:
    return f"a resource of this name is for {child.spec.vault_resource_id}: delete it, and make it under another name"


def manifest_of(policy: VaultAutoUpdatePolicy, creation: Creation) -> dict[str, Any]:
    """The manifest of a resource that a policy makes."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": creation.name,
            "namespace": policy.key.namespace,
            "labels": {POLICY_LABEL: policy.key.name} | ({SHARD_LABEL: policy.shard} if policy.shard else {}),
            "annotations": {POLICY_UID: policy.uid, STAMPED_MODE: creation.want.spec.mode.value},
        },
        "spec": {name: value for name, value in creation.want.fields.items() if value is not None},
    }


def _creating(writer: ChildWriter, policy: VaultAutoUpdatePolicy, creation: Creation) -> Callable[[], Awaitable[None]]:
    return lambda: writer.create(manifest_of(policy, creation))


def _changing(writer: ChildWriter, policy: VaultAutoUpdatePolicy, change: Change) -> Callable[[], Awaitable[None]]:
    metadata: dict[str, Any] = {"annotations": {STAMPED_MODE: change.mode}}
    if change.adopts:
        metadata["labels"] = {POLICY_LABEL: policy.key.name}
        metadata["annotations"][POLICY_UID] = policy.uid
    return lambda: writer.change(change.child.ref, {"metadata": metadata, "spec": dict(change.fields)})


def _moving(writer: ChildWriter, policy: VaultAutoUpdatePolicy, child: Child) -> Callable[[], Awaitable[None]]:
    labels = {SHARD_LABEL: policy.shard or None}
    return lambda: writer.change(child.ref, {"metadata": {"labels": labels}})


def _removing(writer: ChildWriter, removal: Removal) -> Callable[[], Awaitable[None]]:
    return lambda: writer.remove(removal.child.ref)
