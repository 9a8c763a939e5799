"""What can be done to the operator, its cluster and its Azure: the steps of a plan. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

__all__ = [
    "Action", "AddMappings", "AddVault", "AgeAgents", "Create", "Delete", "DeleteVault", "Drift", "Edit",
    "EndStuckJobs", "ExcludeVault", "Freeze", "Kill", "Lane", "Look", "OtherClient", "Outage", "RemoveMappings",
    "SetSubscription", "Step", "Terminate", "TokenOutage", "UpdateAgents",
]  # fmt: skip


class Lane(StrEnum):
    """Who acts. Steps of one lane follow each other, those of two lanes overlap."""

    OPERATOR = "operator"
    CLUSTER = "cluster"
    AZURE = "azure"
    RESOURCES = "resources"
    POLICY = "policy"
    """What happens in Azure to the vaults of a policy."""


@dataclass(frozen=True)
class Kill:
    """kill -9, and a start ``pause`` seconds later."""

    lived: float
    """Seconds before that, since the process was ready; below 0: it is killed while it starts."""
    pause: float


@dataclass(frozen=True)
class Terminate:
    """SIGTERM, wait for the end, and a start ``pause`` seconds later."""

    lived: float
    pause: float


@dataclass(frozen=True)
class Freeze:
    """SIGSTOP for so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Outage:
    """The API server is stopped, and started ``seconds`` later."""

    seconds: float


@dataclass(frozen=True)
class TokenOutage:
    """The token endpoint answers 500 for so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Drift:
    """Somebody changes mappings: those at these places in the vault's list, counted round."""

    vault: int
    change: str
    places: tuple[int, ...]
    """Each times 1000 over the length of the list."""


@dataclass(frozen=True)
class AgeAgents:
    """The agents of machines at these places in the vault's list are behind from now on."""

    vault: int
    places: tuple[int, ...]
    """As those of `Drift`."""


@dataclass(frozen=True)
class AddMappings:
    """New mappings appear in a vault."""

    vault: int
    kinds: Mapping[str, int]


@dataclass(frozen=True)
class RemoveMappings:
    """The last mappings of a vault disappear."""

    vault: int
    count: int


@dataclass(frozen=True)
class OtherClient:
    """Another client makes so many writes a simulated minute from now on."""

    writes_per_minute: float


@dataclass(frozen=True)
class EndStuckJobs:
    """Somebody cancels the jobs that would never end."""


@dataclass(frozen=True)
class Create:
    """Somebody creates a resource."""

    name: str
    vault: int
    spec: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Edit:
    """Somebody changes fields of a resource's spec."""

    name: str
    spec: Mapping[str, Any]


@dataclass(frozen=True)
class Delete:
    """Somebody deletes a resource."""

    name: str


@dataclass(frozen=True)
class Look:
    """The interval of all resources is over, or somebody wants to know."""


@dataclass(frozen=True)
class UpdateAgents:
    """Somebody opens a window for updates of agents."""

    name: str


@dataclass(frozen=True)
class AddVault:
    """Somebody makes a vault in one of the policy's subscriptions."""

    number: int
    subscription: int


@dataclass(frozen=True)
class ExcludeVault:
    """Somebody gives a vault the tag by which the policy excludes it."""

    number: int


@dataclass(frozen=True)
class DeleteVault:
    """Somebody deletes a vault of the policy."""

    number: int


@dataclass(frozen=True)
class SetSubscription:
    """A subscription of the policy comes to be in another state, or in another management group."""

    number: int
    state: str = ""
    group: str = ""


Action = (
    Kill | Terminate | Freeze | Outage | TokenOutage | Drift | AddMappings | RemoveMappings | OtherClient | EndStuckJobs
    | Create | Edit | Delete | Look | AgeAgents | UpdateAgents
    | AddVault | ExcludeVault | DeleteVault | SetSubscription
)  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One action, and when: in seconds after the storm has begun."""

    at: float
    lane: Lane
    action: Action

    def __str__(self) -> str:
        return f"{self.at:5.2f} s  {self.lane:<9}  {self.action}"
