"""Scenario section about the activity log: how late it is, and how reliable."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from asr_simulator.scenario.behaviour import Range, Section, Share

__all__ = ["ActivityLogSettings"]


class ActivityLogSettings(Section):
    """The activity log of a subscription: entries are in one of several stores and show some time after the call."""

    lag: Range = Range(min=60.0, max=90.0)
    """Simulated seconds from a call to the moment from which its entries show (65 to 84 in recordings)."""
    tail_share: Share = 0.02
    """Part of the calls that show later than that (invented)."""
    longest_lag: float = Field(default=1200.0, ge=0)
    """And at most so late (published: 3 to 20 minutes)."""
    stores: dict[str, float] = Field(default={"AS1": 0.0, "US1": 0.0, "EU1": 0.0}, min_length=1)
    """Names of the stores, as in recorded tokens, with the simulated seconds by which each is later than that."""
    log_page_size: int = Field(default=200, gt=0, le=200)
    """Entries on a page (seen in reports)."""
    lost_share: Share = 0.0
    """Part of the entries that never show."""
    doubled_share: Share = 0.0
    """Part of the entries that show twice."""
    noise_per_hour: float = Field(default=0.0, ge=0)
    """Calls an hour and subscription that have to do with backups: the same provider, and nothing else in common."""
    request_ids: Literal["all", "guids"] = "all"
    """Which client request ids are kept: nobody knows about those that are no GUIDs."""
    entries_kept: int = Field(default=20_000, gt=0)
    """Entries that a subscription keeps."""
