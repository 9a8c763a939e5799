"""What is known of one resource between two looks at it, and what the API server says of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from vault_autoupdate.arm.identity.tokens import TokenSource
from vault_autoupdate.decide.pacing import Allowance
from vault_autoupdate.decide.state import VaultState
from vault_autoupdate.decide.tenancy import Refusal
from vault_autoupdate.model.conditions import ConditionStatus, ConditionType
from vault_autoupdate.model.errors import CredentialError
from vault_autoupdate.model.resource import (
    POLICY_LABEL,
    REQUESTED_AT,
    UPDATE_AGENTS_NOW,
    CredentialSource,
    InvalidSpec,
    ObjectRef,
    ResourceKey,
    VaultAutoUpdate,
    parse_resource,
)
from vault_autoupdate.report.history import ReadyHistory
from vault_autoupdate.report.restore import restore
from vault_autoupdate.report.shard_claim import shard_of
from vault_autoupdate.report.values import compact, read_time

TokensOf = Callable[[VaultAutoUpdate], Awaitable[TokenSource | None]]
"""Gives the identity that a resource brings along; None for the process's own. Raises `CredentialError`."""


class Rules(Protocol):
    """Says which resources may be worked on: `TenancyRules`, or `ShardRules` with them."""

    @property
    def shard(self) -> str:
        """That of this process; empty for the main one."""

    def refusal(self, resource: VaultAutoUpdate) -> Refusal | None:
        """Why a resource may not be worked on; None if it may."""


Mark = tuple[object, ...]
"""What of an object has to change before it can declare anything else, see `mark_of`."""

__all__ = [
    "Declaration", "Mark", "Rules", "TokensOf", "TrackedResource", "intent_of", "log_in", "mark_of", "read_declaration",
    "ready_condition", "ref_of",
]  # fmt: skip


@dataclass(frozen=True)
class Declaration:
    """What one object in the cluster declares; its status apart."""

    ref: ObjectRef
    mark: Mark
    generation: int
    resource: VaultAutoUpdate | None
    problem: InvalidSpec | None
    refusal: Refusal | None
    """Why it may not be worked on, although it is valid."""
    elsewhere: str | None
    """The shard that it belongs to by its label, if that is not this process's."""
    finalizers: tuple[str, ...]
    created_at: datetime | None
    """None where the object does not tell."""

    @property
    def vault_key(self) -> str:
        """What resources on the same vault have in common; empty when the vault cannot be told."""
        return self.resource.spec.vault_resource_id.key if self.resource else ""

    @property
    def credential(self) -> CredentialSource | None:
        """What it logs in with, if not as the operator."""
        return self.resource.spec.credential if self.resource else None


@dataclass
class TrackedResource:
    """What is known of one object in the cluster, from the first that is heard of it to the last."""

    declaration: Declaration
    finalizers: tuple[str, ...]
    """Those that it has, ours included as soon as it is written."""
    status: dict[str, Any]
    """As it stands in the cluster, as far as we know."""
    state: VaultState
    history: ReadyHistory
    worked_generation: int | None
    """The generation that the state's attempts are about."""
    allowance: Allowance
    """How often somebody may still have it looked at before its time."""
    tokens: TokenSource | None = field(default=None, repr=False)
    """The identity that it brought along to the last pass. To hold it here keeps it, see `Identities`."""
    sent: dict[str, Any] | None = field(default=None, repr=False)
    """The status that was sent to the API server last, until news of the object show it."""
    superseded: asyncio.Event | None = field(default=None, repr=False)
    """Set to end the pass that is under way; None while there is none."""
    told_owner: ResourceKey | None = None
    """Who manages its vault, as its status says, if that is somebody else."""
    hinted: bool = False
    """Whether there is reason to look at the vault before its time."""
    account_hinted: bool = False
    """Whether there is reason to look at its Automation account."""
    changed_at: datetime | None = None
    """When its spec was last changed while this process watched."""
    seen_present_at: datetime | None = None
    """When the API server was last asked whether it is still there."""

    @classmethod
    def first_seen(
        cls, declaration: Declaration, status: Mapping[str, Any], now: datetime, allowance: Allowance
    ) -> TrackedResource:
        """Begin with what an earlier process may have written into the status."""
        resource, observed = declaration.resource, status.get("observedGeneration")
        return cls(
            declaration=declaration,
            finalizers=declaration.finalizers,
            status=compact(status),
            state=restore(status, resource.spec.vault_resource_id, now) if resource else VaultState(),
            history=ReadyHistory.first_seen(status, declaration.created_at, now),
            worked_generation=observed if isinstance(observed, int) else None,
            allowance=allowance,
        )

    def take_over(self, declaration: Declaration) -> None:
        """Bring up to date what the object declares."""
        if declaration.refusal or self.declaration.credential != declaration.credential:
            self.tokens = None
        self.declaration = declaration
        self.finalizers = declaration.finalizers

    def too_soon(self, now: datetime) -> timedelta:
        """How long somebody has to wait for a look before its time; the last wish stands until then."""
        asked = self.worked_generation != self.generation or self.requested_at is not None
        is_leaving = self.resource is not None and self.resource.deleting
        return self.allowance.take(now) if asked and not is_leaving else timedelta()

    def prepare(self, now: datetime) -> None:
        """Before a pass: forget what a change or a request makes doubtful."""
        state = self.state
        if self.worked_generation != self.generation:
            state.attempts.clear()  # somebody changed something: what failed before may work now
            state.look_anew(now)
        elif self.requested_at is not None:
            state.attempts = {key: replace(attempt, next_at=now) for key, attempt in state.attempts.items()}
            state.look_anew(now)
        self.worked_generation = self.generation
        if self.hinted:
            state.settled_until = None
        if self.account_hinted:
            state.account.due = now
        self.hinted = self.account_hinted = False

    def take_over_status(self, status: Mapping[str, Any], now: datetime) -> None:
        """Bring up to date what stands in the status, unless these news are older than what we have sent."""
        if self.sent is None or self.sent == status:
            self.status = compact(status) if self.sent is None else self.sent
            self.sent = None
            self.history.status_is(self.status, now)

    @property
    def ref(self) -> ObjectRef:
        """Which object it is."""
        return self.declaration.ref

    @property
    def generation(self) -> int:
        """Of its spec."""
        return self.declaration.generation

    @property
    def resource(self) -> VaultAutoUpdate | None:
        """What is declared; None when it could not be read."""
        return self.declaration.resource

    @property
    def vault_key(self) -> str:
        """See `Declaration`."""
        return self.declaration.vault_key

    @property
    def requested_at(self) -> str | None:
        """The value of the annotation that asks for a look now, if it has not been answered."""
        requested = self.resource.requested_at if self.resource else None
        return requested if requested != self.status.get("lastHandledReconcileAt") else None

    @property
    def is_ready(self) -> bool:
        """Whether the status says Ready."""
        return ready_condition(self.status)[0] == ConditionStatus.TRUE

    def is_as_left(self, now: datetime) -> bool:
        """Whether all was well when a process before this one left it, and nothing has changed since."""
        is_as_seen = self.status.get("observedGeneration") == self.generation and self.requested_at is None
        is_idle = self.is_ready and not self.declaration.refusal and not self.has_work_under_way(now)
        return is_as_seen and is_idle and self.declaration.elsewhere is None

    def has_work_under_way(self, now: datetime) -> bool:
        """Whether something goes on in Azure, or may begin, that cannot wait until the vault's turn comes."""
        rollout, spec = self.state.rollout, self.resource.spec if self.resource else None
        if self.state.operations or (rollout and rollout.updates):
            return True
        updates = spec.agent_updates if spec else None
        is_open = rollout is not None and rollout.window is not None and rollout.window.is_open(now)
        return updates is not None and (is_open or updates.rules().schedule.current(now) is not None)


def ref_of(body: Mapping[str, Any]) -> ObjectRef:
    """Which object a body from the API server is about."""
    metadata = body["metadata"]
    return ObjectRef(ResourceKey(metadata["namespace"], metadata["name"]), metadata.get("uid", ""))


def mark_of(body: Mapping[str, Any]) -> Mark:
    """What of an object has to change before it can declare anything else: every change of the spec has a generation.

    Most news of an object are the echo of a status that was just written; they need not be read any further.
    """
    metadata = body["metadata"]
    annotations = metadata.get("annotations") or {}
    return (
        metadata.get("uid", ""),
        metadata.get("generation"),
        metadata.get("deletionTimestamp"),
        tuple(metadata.get("finalizers") or ()),
        annotations.get(REQUESTED_AT),
        annotations.get(UPDATE_AGENTS_NOW),
        (metadata.get("labels") or {}).get(POLICY_LABEL),
        shard_of(body),
    )


def read_declaration(body: Mapping[str, Any], rules: Rules) -> Declaration:
    """Read what an object declares."""
    metadata = body["metadata"]
    resource, problem, shard = None, None, shard_of(body)
    try:
        resource = parse_resource({key: value for key, value in body.items() if key != "status"})
    except InvalidSpec as error:
        problem = error
    return Declaration(
        ref=ref_of(body),
        mark=mark_of(body),
        generation=int(metadata.get("generation", 0)),
        resource=resource,
        problem=problem,
        refusal=rules.refusal(resource) if resource else None,
        elsewhere=None if shard == rules.shard else shard,
        finalizers=tuple(metadata.get("finalizers") or ()),
        created_at=read_time(metadata.get("creationTimestamp")),
    )


async def log_in(tracked: TrackedResource, resource: VaultAutoUpdate, tokens_of: TokensOf | None) -> TokenSource | None:
    """Get the identity to work as, and keep it until something else is to be used. Raises `CredentialError`."""
    try:
        tracked.tokens = await tokens_of(resource) if tokens_of else None
    except CredentialError as error:
        if not error.will_pass:
            tracked.tokens = None
        raise
    return tracked.tokens


def intent_of(declaration: Declaration) -> tuple[object, ...]:
    """What somebody wants of the controller; all else in an object is its own doing or of no concern."""
    resource = declaration.resource
    if resource is None:
        return (declaration.generation, declaration.elsewhere)
    wishes = (resource.requested_at, resource.update_agents_now, resource.policy)
    return (declaration.generation, declaration.elsewhere, resource.deleting, *wishes)


def ready_condition(status: Mapping[str, Any]) -> tuple[object, object]:
    """Status and reason of the condition Ready."""
    for condition in status.get("conditions") or ():
        if condition.get("type") == ConditionType.READY:
            return (condition.get("status"), condition.get("reason"))
    return (None, None)
