"""What is measured: fleets of vaults, how the simulated service behaves, and which bounds hold."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

JOB_SECONDS: Final = 20.0
"""Every job takes this long, so that the shortest possible time is known."""
WRITES_PER_WINDOW: Final = 200
WINDOW: Final = 60.0
HOUR: Final = 3600.0
_LATENCY: Final = (0.02, 0.10)
"""Simulated seconds by which the service's answers are late."""

__all__ = ["HOUR", "JOB_SECONDS", "Bounds", "Contender", "Disturbance", "Late", "Scenario", "Vault", "vaults"]


class Contender(StrEnum):
    """Who does the work."""

    OURS = "ours"
    RUNBOOK = "runbook"
    SDK = "sdk"


@dataclass(frozen=True)
class Vault:
    """One simulated vault."""

    name: str
    to_patch: int
    compliant: int = 0
    scope: int = 0
    """Number of its subscription. All vaults are in one region, so a subscription is what shares the limits."""

    @property
    def subscription(self) -> str:
        """Subscription id."""
        return f"00000000-0000-4000-8000-{self.scope:012d}"

    @property
    def _group(self) -> str:
        return f"/subscriptions/{self.subscription}/resourceGroups/rg-dr"

    @property
    def id(self) -> str:
        """ARM id of the vault."""
        return f"{self._group}/providers/Microsoft.RecoveryServices/vaults/{self.name}"

    @property
    def account(self) -> str:
        """ARM id of its automation account."""
        return f"{self._group}/providers/Microsoft.Automation/automationAccounts/aa-{self.name}"

    def document(self) -> dict[str, Any]:
        """The vault in a scenario of the simulator."""
        return {
            "subscription": self.subscription,
            "resource_group": "rg-dr",
            "name": self.name,
            "automation_account": self.account,
            "mix": {"disabled": self.to_patch, "enabled_compliant": self.compliant},
        }


def vaults(count: int, to_patch: int, *, scopes: int = 1, compliant: int = 0) -> tuple[Vault, ...]:
    """Make equal vaults, dealt out to ``scopes`` subscriptions."""
    return tuple(Vault(f"vault-{n:04}", to_patch, compliant, n % scopes) for n in range(count))


@dataclass(frozen=True)
class Late:
    """A vault whose resource is applied while the others are under way."""

    vault: Vault
    at: float
    """Simulated seconds after the start."""


@dataclass(frozen=True)
class Disturbance:
    """Another client that writes in the same scope, for a while."""

    writes_per_minute: float
    until: float


@dataclass(frozen=True)
class Bounds:
    """What must hold; none of it is in real time."""

    ratio: float | None = None
    """Most time to all compliant, over the shortest possible one."""
    throttled: int | None = 0
    """Most answers 429."""
    late_seconds: float | None = None
    """Most time from applying the late vault to its last mapping."""
    reads: int | None = None
    """Most reads."""
    share_of_left: float | None = None
    """Least part of what another client leaves that is used."""


@dataclass(frozen=True)
class Scenario:
    """One measurement."""

    name: str
    title: str
    scale: float
    """Simulated seconds per real second."""
    vaults: tuple[Vault, ...]
    bounds: Bounds = field(default_factory=Bounds)
    contenders: tuple[Contender, ...] = (Contender.OURS,)
    late: Late | None = None
    disturbance: Disturbance | None = None
    jobs: dict[str, float] = field(default_factory=dict)
    """More settings of the simulator's jobs."""
    patch_failure_share: float = 0.0
    hold: float = 0.0
    """Simulated seconds to watch after everything has become ready, instead of measuring how long that takes."""
    limit: float = 4 * HOUR
    """Simulated seconds after which a contender is stopped."""
    scales: dict[Contender, float] = field(default_factory=dict)
    """Time scales of contenders for whom the scenario's would not do."""
    limits: dict[Contender, float] = field(default_factory=dict)
    """Likewise, when they are stopped."""
    is_light: bool = False
    """Whether ours takes little of the machine, so that two such scenarios may be measured at a time."""

    @property
    def all_vaults(self) -> tuple[Vault, ...]:
        """With the late one."""
        return (*self.vaults, self.late.vault) if self.late else self.vaults

    @property
    def to_patch(self) -> int:
        """Mappings that are not as declared."""
        return sum(vault.to_patch for vault in self.all_vaults)

    def scale_for(self, contender: Contender) -> float:
        """Simulated seconds per real second for one contender."""
        return self.scales.get(contender, self.scale)

    def limit_for(self, contender: Contender) -> float:
        """Simulated seconds after which one contender is stopped."""
        return self.limits.get(contender, self.limit)

    @property
    def shortest(self) -> float:
        """The shortest time that the limits allow: full windows one after the other, and the last job."""
        per_scope: dict[int, int] = {}
        for vault in self.all_vaults:
            per_scope[vault.scope] = per_scope.get(vault.scope, 0) + vault.to_patch
        return max(_shortest(count, self.disturbance) for count in per_scope.values())

    def document(self, scale: float) -> dict[str, Any]:
        """The scenario as the simulator reads it."""
        return {
            "time_scale": scale,
            "seed": 2024,
            "jobs": {"duration": {"min": JOB_SECONDS, "max": JOB_SECONDS}, **self.jobs},
            "latency": {"min": _LATENCY[0] / scale, "max": _LATENCY[1] / scale},
            "patch_failure_share": self.patch_failure_share,
            "throttle": {
                "other_client_writes_per_minute": self.disturbance.writes_per_minute if self.disturbance else 0
            },
            "request_log_size": 200_000,
            "vaults": [vault.document() for vault in self.all_vaults],
        }


def _shortest(count: int, disturbance: Disturbance | None) -> float:
    if count == 0:
        return 0.0
    done, start = 0, 0.0
    while True:
        allowed = WRITES_PER_WINDOW
        if disturbance and start < disturbance.until:
            allowed -= math.ceil(disturbance.writes_per_minute * WINDOW / 60.0)
        done += allowed
        if done >= count:
            return start + JOB_SECONDS
        start += WINDOW
