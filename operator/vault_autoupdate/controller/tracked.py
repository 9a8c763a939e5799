"""What is known of one resource between two looks at it, and what the API server says of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from vault_autoupdate.arm.identity.tokens import TokenSource
from vault_autoupdate.decide.state import VaultState
from vault_autoupdate.decide.tenancy import Refusal, TenancyRules
from vault_autoupdate.model.errors import CredentialError, Disposition
from vault_autoupdate.model.resource import (
    LONG_AGO,
    CredentialSource,
    InvalidSpec,
    ObjectRef,
    ResourceKey,
    VaultAutoUpdate,
    parse_resource,
)
from vault_autoupdate.report.history import ReadyHistory
from vault_autoupdate.report.restore import restore
from vault_autoupdate.report.values import read_time

TokensOf = Callable[[VaultAutoUpdate], Awaitable[TokenSource | None]]
"""Gives the identity that a resource brings along; None for the process's own. Raises `CredentialError`."""

__all__ = ["TokensOf", "TrackedResource", "intent_of", "log_in", "read_entry", "ready_condition", "seniority"]


@dataclass
class TrackedResource:
    """What is known of one object in the cluster, from the first that is heard of it to the last."""

    ref: ObjectRef
    generation: int
    resource: VaultAutoUpdate | None
    problem: InvalidSpec | None
    refusal: Refusal | None
    """Why it may not be worked on, although it is valid."""
    finalizers: tuple[str, ...]
    status: dict[str, Any]
    """As it stands in the cluster, as far as we know."""
    state: VaultState
    history: ReadyHistory
    worked_generation: int | None = None
    """The generation that the state's attempts are about."""
    tokens: TokenSource | None = field(default=None, repr=False)
    """The identity that it brought along to the last pass. To hold it here keeps it, see `Identities`."""
    sent: dict[str, Any] | None = field(default=None, repr=False)
    """The status that was sent to the API server last, until news of the object show it."""
    superseded: asyncio.Event | None = field(default=None, repr=False)
    """Set to end the pass that is under way; None while there is none."""

    def take_over(self, new: TrackedResource, now: datetime) -> None:
        """Bring up to date what the API server says of the same object."""
        if new.refusal or self.credential != new.credential:
            self.tokens = None
        self.generation, self.resource, self.problem = new.generation, new.resource, new.problem
        self.refusal = new.refusal
        self.finalizers = new.finalizers
        if self.sent is None or self.sent == new.status:  # else these news are older than what we have sent
            self.sent = None
            self.status = new.status
            self.history.status_is(new.status, now)

    @property
    def credential(self) -> CredentialSource | None:
        """What it logs in with, if not as the operator."""
        return self.resource.spec.credential if self.resource else None

    @property
    def requested_at(self) -> str | None:
        """The value of the annotation that asks for a look now, if it has not been answered."""
        requested = self.resource.requested_at if self.resource else None
        return requested if requested != self.status.get("lastHandledReconcileAt") else None

    @property
    def is_ready(self) -> bool:
        """Whether the status says Ready."""
        return ready_condition(self.status)[0] == "True"

    @property
    def vault_key(self) -> str:
        """What resources on the same vault have in common; empty when the vault cannot be told."""
        return self.resource.spec.vault_resource_id.key if self.resource else ""


def read_entry(body: Mapping[str, Any], now: datetime, rules: TenancyRules) -> TrackedResource:
    """Take in an object as the API server has it."""
    metadata = body["metadata"]
    status = dict(body.get("status") or {})
    try:
        resource, problem = parse_resource({key: value for key, value in body.items() if key != "status"}), None
    except InvalidSpec as error:
        resource, problem = None, error
    observed = status.get("observedGeneration")
    return TrackedResource(
        ref=ObjectRef(ResourceKey(metadata["namespace"], metadata["name"]), metadata.get("uid", "")),
        generation=int(metadata.get("generation", 0)),
        resource=resource,
        problem=problem,
        refusal=rules.refusal(resource) if resource else None,
        finalizers=tuple(metadata.get("finalizers") or ()),
        status=status,
        state=restore(status, resource.spec.vault_resource_id, now) if resource else VaultState(),
        history=ReadyHistory.first_seen(status, read_time(metadata.get("creationTimestamp")), now),
        worked_generation=observed if isinstance(observed, int) else None,
    )


async def log_in(tracked: TrackedResource, resource: VaultAutoUpdate, tokens_of: TokensOf | None) -> TokenSource | None:
    """Get the identity to work as, and keep it until something else is to be used. Raises `CredentialError`."""
    try:
        tracked.tokens = await tokens_of(resource) if tokens_of else None
    except CredentialError as error:
        if error.disposition is not Disposition.RETRY:
            tracked.tokens = None
        raise
    return tracked.tokens


def intent_of(tracked: TrackedResource) -> tuple[object, ...]:
    """What somebody wants of the controller; all else in an object is its own doing or of no concern."""
    resource = tracked.resource
    if resource is None:
        return (tracked.generation,)
    return (tracked.generation, resource.deleting, resource.requested_at, resource.update_agents_now)


def seniority(tracked: TrackedResource) -> tuple[bool, datetime, ResourceKey]:
    """Order of claims to a vault: the least is the best one. Who is on the way out comes last."""
    resource = tracked.resource
    return (bool(resource and resource.deleting), resource.created_at if resource else LONG_AGO, tracked.ref.key)


def ready_condition(status: Mapping[str, Any]) -> tuple[object, object]:
    """Status and reason of the Ready condition."""
    for condition in status.get("conditions") or ():
        if condition.get("type") == "Ready":
            return (condition.get("status"), condition.get("reason"))
    return (None, None)
