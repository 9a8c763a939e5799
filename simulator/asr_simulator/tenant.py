"""The tenant around the vaults: management groups, subscriptions, and who is in which."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from asr_simulator.scenario import ROOT, Scenario, SubscriptionState

__all__ = ["ManagementGroup", "Subscription", "Tenant"]


@dataclass
class Subscription:
    """A subscription as it is now."""

    id: str
    name: str
    state: SubscriptionState = "Enabled"
    tags: dict[str, str] = field(default_factory=dict)
    group: str = ROOT
    """Name of the management group that it is in."""


@dataclass(frozen=True)
class ManagementGroup:
    """A management group."""

    name: str
    display_name: str
    parent: str
    """Name of the group that it is in; empty for the root."""

    @property
    def id(self) -> str:
        """Its ARM id."""
        return f"/providers/Microsoft.Management/managementGroups/{self.name}"


class Tenant:
    """All management groups and subscriptions, by names and ids in lower case."""

    def __init__(self, scenario: Scenario) -> None:
        self.groups = {ROOT: ManagementGroup(ROOT, "Tenant Root Group", "")}
        for spec in scenario.management_groups:
            self.groups[spec.name.lower()] = ManagementGroup(spec.name, spec.display_name or spec.name, spec.parent)
        self.subscriptions: dict[str, Subscription] = {}
        for each in scenario.subscriptions:
            self.subscriptions[each.id.lower()] = Subscription(
                each.id, each.name or each.id, each.state, dict(each.tags), each.management_group
            )
        for vault in scenario.vaults:
            self.add(vault.subscription)

    def add(self, subscription: str) -> None:
        """Have a subscription, if there is none yet."""
        self.subscriptions.setdefault(subscription.lower(), Subscription(subscription, subscription))

    def below(self, group: str) -> Iterator[ManagementGroup | Subscription]:
        """Yield all that is in a management group, at any depth: groups before what is in them."""
        for child in self.groups.values():
            if child.parent.lower() == group.lower():
                yield child
                yield from self.below(child.name)
        for subscription in self.subscriptions.values():
            if subscription.group.lower() == group.lower():
                yield subscription

    def subscriptions_below(self, group: str) -> list[Subscription]:
        """The subscriptions in a management group, at any depth."""
        return [each for each in self.below(group) if isinstance(each, Subscription)]
