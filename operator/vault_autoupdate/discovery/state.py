"""What is remembered of a policy between two passes. What must outlive the process stands in its status."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from vault_autoupdate.decide.policy_evidence import Evidence
from vault_autoupdate.decide.policy_limits import Tally
from vault_autoupdate.decide.policy_steps import PolicyPlan
from vault_autoupdate.model.estate import Estate

__all__ = ["PolicyState"]


@dataclass
class PolicyState:
    """Of one policy."""

    removed: Tally = field(default_factory=Tally)
    changed: Tally = field(default_factory=Tally)
    last_complete_at: datetime | None = None
    """These three stand in the status."""
    estate: Estate | None = None
    """What the last discovery has found."""
    complete: Estate | None = None
    """The last one that could read everything."""
    generation: int = -1
    """The generation of the policy that ``estate`` is about."""
    verified_at: datetime | None = None
    """When the last one by lists began."""
    evidence: dict[str, Evidence] = field(default_factory=dict)
    current: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """By vault, the accounts that its mappings name."""
    plan: PolicyPlan = field(default_factory=PolicyPlan)
    """The last one."""
    not_written: dict[str, str] = field(default_factory=dict)
    """Resources that the API server did not take in the last pass, with the reason."""
