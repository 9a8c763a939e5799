"""Scenario sections about the tenant: management groups, subscriptions, and the index over all of it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from asr_simulator.scenario.behaviour import Limit, LimitText, Section
from asr_simulator.scenario.vaults import Name

SubscriptionState = Literal["Enabled", "Warned", "PastDue", "Disabled", "Deleted"]
ROOT = "root"
"""The management group above all others; a real one has the tenant's id for a name."""

__all__ = ["ROOT", "Graph", "ManagementGroupSpec", "SubscriptionSpec", "SubscriptionState"]


class ManagementGroupSpec(Section):
    """A management group."""

    name: Name
    """Its name, as in its id."""
    display_name: str = ""
    """What people see; empty for its name."""
    parent: Name = ROOT
    """The group that it is in."""


class SubscriptionSpec(Section):
    """A subscription, where something about it matters; those of vaults need not be listed."""

    id: Name
    """Its id."""
    name: str = ""
    """What people see; empty for its id."""
    state: SubscriptionState = "Enabled"
    """Its state."""
    tags: dict[str, str] = Field(default_factory=dict)
    """Its tags."""
    management_group: Name = ROOT
    """The group that it is in."""


class Graph(Section):
    """Resource Graph: an index that is behind, and counts queries by itself."""

    page_size: int = Field(default=1000, gt=0, le=1000)
    """Most rows on a page."""
    quota: LimitText = Limit(count=15, window=5.0)
    """Queries of one identity (published: 15 in 5 s, subject to change)."""
    lag: float = Field(default=30.0, ge=0)
    """Simulated seconds by which the index is behind a change, in the middle (published goal: 95 % within 30 s)."""
    longest_lag: float = Field(default=108_000.0, ge=0)
    """And at most: 30 hours were told to a customer."""
    spread: float = Field(default=1.5, ge=0)
    """How far lags lie apart: the logarithm's standard deviation (invented); 0 for all alike."""
