"""The part of the fault matrix that is about the calls by which policies find vaults.

What must hold is the same in every cell: nothing is removed nor changed, and what could not be seen is said. So there
is no table of what is shown.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from workbench.faults.matrix import FAULTS
from workbench.faults.model import Fault, Simulated

__all__ = ["DISCOVERY_CELLS", "DiscoveryCall", "left_out"]


class DiscoveryCall(StrEnum):
    """The calls, as metrics and logs name them."""

    LIST_SUBSCRIPTIONS = "list_subscriptions"
    LIST_DESCENDANTS = "list_descendants"
    LIST_VAULTS = "list_vaults"
    LIST_ACCOUNTS = "list_accounts"
    QUERY_GRAPH = "query_graph"
    LOOK_AT_VAULT = "look_at_vault"
    """At one that has left what the policy means."""
    GET_USAGES = "get_usages"

    @property
    def route(self) -> str:
        """The simulator's name for it."""
        return _ROUTES[self]

    @property
    def has_links(self) -> bool:
        """Whether its pages are followed by links; those of Resource Graph have tokens."""
        return self.value.startswith("list_")

    @property
    def decides_what_is_there(self) -> bool:
        """Whether a discovery is not complete without it."""
        return self in {DiscoveryCall.LIST_SUBSCRIPTIONS, DiscoveryCall.LIST_DESCENDANTS, DiscoveryCall.LIST_VAULTS}


_ROUTES: Final = {
    DiscoveryCall.LIST_SUBSCRIPTIONS: "subscriptions",
    DiscoveryCall.LIST_DESCENDANTS: "descendants",
    DiscoveryCall.LIST_VAULTS: "vaults",
    DiscoveryCall.LIST_ACCOUNTS: "automation_accounts",
    DiscoveryCall.QUERY_GRAPH: "resource_graph",
    DiscoveryCall.LOOK_AT_VAULT: "vault",
    DiscoveryCall.GET_USAGES: "replication_usages",
}


def left_out(call: DiscoveryCall, fault: Fault) -> str:
    """Why a cell is not tried; empty where it is."""
    injection = fault.injection
    if not isinstance(injection, Simulated):
        return "where ARM cannot be reached, a token or a clock is wrong, no call differs from those above"
    if fault.name in {"429-with-a-date", "429-with-an-absurd-retry-after"}:
        return "Azure's wish to be left alone goes on when the fault has ended"
    if injection.kind == "throttle" and call is not DiscoveryCall.LIST_VAULTS:
        return "all share one client, and one stands for them"
    if injection.is_slow:
        return "it ends in the same time-out as a reset, only later"
    if injection.kind.startswith("next_link") and not call.has_links:
        return "the answer has no links to pages"
    if call is DiscoveryCall.LOOK_AT_VAULT and fault.name == "404":
        return "that is the proof itself"
    return ""


DISCOVERY_CELLS: Final = tuple((call, fault) for call in DiscoveryCall for fault in FAULTS if not left_out(call, fault))
