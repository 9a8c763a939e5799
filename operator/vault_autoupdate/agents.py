"""The Mobility service on a vault's replicated machines: what is wrong with which, and how much. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from vault_autoupdate.attempts import Explanation

__all__ = ["AgentReport", "Concern", "MachineConcern"]


class Concern(StrEnum):
    """What may be wrong with the agent of a machine, the worst first. A machine may have several."""

    EXPIRED = "expired"
    EXPIRING = "expiring"
    REINSTALL_REQUIRED = "reinstall_required"
    RETRIES_EXHAUSTED = "retries_exhausted"
    FAR_BEHIND = "far_behind"
    CERTIFICATE_UPDATE = "certificate_update"
    UPDATE_REQUIRED = "update_required"
    UPGRADING = "upgrading"


@dataclass(frozen=True)
class MachineConcern:
    """One machine that somebody should look at."""

    machine: str
    """Name of the machine."""
    mapping: str
    """``fabric/container/mapping`` that it belongs to; empty where that cannot be told."""
    version: str
    concern: Concern
    explanation: Explanation
    """In words, with the recommended action."""


@dataclass(frozen=True)
class AgentReport:
    """All agents of a vault."""

    total: int = 0
    behind: int = 0
    """There is a newer version."""
    unknown: int = 0
    """Site Recovery does not say whether there is one."""
    concerns: Mapping[Concern, int] = field(default_factory=dict)
    """How many machines have each concern; those with none are left out."""
    versions: tuple[tuple[str, int], ...] = ()
    """Machines by version, the newest first, bounded."""
    other_versions: int = 0
    """Machines of versions that ``versions`` has no room for."""
    worst: tuple[MachineConcern, ...] = ()
    """The worst few."""

    @property
    def current(self) -> int:
        """Those that need no update."""
        return self.total - self.behind - self.unknown
