"""Scenario sections that say what becomes of agents and of the Automation accounts that update them."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Literal

from pydantic import Field

from asr_simulator.scenario.behaviour import JobFailure, Section, Share
from asr_simulator.scenario.vaults import AccountId, Name

AccountState = Literal["Ok", "Unavailable", "Suspended"]
IdentityType = Literal["SystemAssigned", "UserAssigned", "SystemAssigned, UserAssigned", "None"]
RunStatus = Literal[
    "New",
    "Activating",
    "Running",
    "Completed",
    "Failed",
    "Stopped",
    "Blocked",
    "Suspended",
    "Disconnected",
    "Suspending",
    "Stopping",
    "Resuming",
    "Removing",
]

DEFAULT_AGENT_FAILURES = (
    JobFailure(
        code="900151",
        message="The Mobility service could not be updated on the virtual machine.",
        possible_causes="The virtual machine is not running, or the guest agent on it does not answer.",
        recommended_action="Start the virtual machine and make sure that its guest agent is ready, then try again.",
        provider_code=900152,
        provider_message="The extension did not answer in time.",
    ),
)
"""Invented, like all codes 9000xx and 9001xx."""

REBOOT_PENDING = JobFailure(
    code="151083",
    message="The Mobility service was updated with warnings.",
    possible_causes="The filter driver of the earlier version is still loaded.",
    recommended_action="Restart the virtual machine at the next opportunity. Replication goes on until then.",
)
"""The code and what it means are published; the texts are in our own words."""

__all__ = [
    "DEFAULT_AGENT_FAILURES",
    "REBOOT_PENDING",
    "AccountSpec",
    "AccountState",
    "AgentUpdates",
    "IdentityType",
    "RunSpec",
    "RunStatus",
    "matches_any",
]


class AgentUpdates(Section):
    """How updates of agents go. Duration, and all that is not said here, are those of ``jobs``."""

    auto_update_after: float | None = Field(default=None, ge=0)
    """Simulated seconds from a release until the VMs of mappings with auto-update have it; null: never."""
    failing: tuple[str, ...] = ()
    """Names of VMs whose updates fail, with wildcards."""
    failed_share: Share = 0.0
    """Part of the other updates that fails."""
    failures: tuple[JobFailure, ...] = Field(default=DEFAULT_AGENT_FAILURES, min_length=1)
    """Errors of the failed ones."""
    reboot_pending: tuple[str, ...] = ()
    """Names of VMs whose updates succeed with code 151083, because they need a restart, with wildcards."""
    never_ending: tuple[str, ...] = ()
    """Names of VMs whose updates run for ever, with wildcards."""


class RunSpec(Section):
    """A job of an Automation account."""

    status: RunStatus = "Completed"
    """How it is or has ended."""
    ago: float = Field(default=3600.0, ge=0)
    """Real seconds since it began."""
    lasted: float | None = Field(default=60.0, ge=0)
    """Real seconds that it took; null: it has not ended."""
    runbook: str = ""
    """What it ran, if not the runbook that updates agents."""


class AccountSpec(Section):
    """An Automation account that is not as they usually are, or that no vault names."""

    id: AccountId
    """ARM id."""
    location: Name = "westeurope"
    """Region: with the subscription it is the scope in which calls are counted."""
    tags: dict[str, str] = Field(default_factory=dict)
    """Tags of the account."""
    state: AccountState = "Ok"
    """State of the account."""
    identity: IdentityType = "SystemAssigned"
    """Type of its identity."""
    minutes_used: float = Field(default=0.0, ge=0)
    """Minutes that its jobs have run this month."""
    minutes_limit: int = Field(default=500, ge=-1)
    """Minutes that they may run; -1: without limit."""
    runs: tuple[RunSpec, ...] = ()
    """Its last jobs, in the order in which they are listed."""


def matches_any(name: str, patterns: tuple[str, ...]) -> bool:
    """Tell whether a name fits one of the patterns, in any letter case."""
    return any(fnmatchcase(name.lower(), pattern.lower()) for pattern in patterns)
