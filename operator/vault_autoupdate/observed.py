"""What Azure says: container mappings, their health errors, and jobs. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from vault_autoupdate.resource_id import mapping_path

__all__ = ["AgentCounts", "ContainerMapping", "HealthError", "Job", "JobError", "Vault"]


@dataclass(frozen=True)
class Vault:
    """A Recovery Services vault, as far as it matters here."""

    id: str
    name: str
    location: str


@dataclass(frozen=True)
class HealthError:
    """One entry of ``healthErrorDetails``."""

    code: str = ""
    category: str = ""
    message: str = ""
    possible_causes: str = ""
    recommended_action: str = ""


@dataclass(frozen=True)
class ContainerMapping:
    """One protection container mapping. Provider details are empty texts where the reply has none."""

    id: str
    name: str
    state: str
    instance_type: str = ""
    auto_update_status: str = ""
    automation_account_id: str = ""
    authentication_type: str = ""
    health_errors: tuple[HealthError, ...] = ()

    @cached_property
    def key(self) -> str:
        """The id for comparing: ARM does not keep letter case."""
        return self.id.casefold()

    @cached_property
    def path(self) -> str:
        """``fabric/container/mapping``: the id as people read it."""
        return mapping_path(self.id)


@dataclass(frozen=True)
class JobError:
    """Why a job failed, as Site Recovery explains it."""

    code: str = ""
    message: str = ""
    possible_causes: str = ""
    recommended_action: str = ""


@dataclass(frozen=True)
class Job:
    """One Site Recovery job."""

    name: str
    """The job's GUID, which is that of the operation that made it."""
    state: str
    state_description: str = ""
    started_at: datetime | None = None
    target_id: str = ""
    target_name: str = ""
    target_type: str = ""
    errors: tuple[JobError, ...] = ()

    @cached_property
    def key(self) -> str:
        """The name for comparing."""
        return self.name.casefold()


@dataclass(frozen=True)
class AgentCounts:
    """How many replicated machines between Azure regions a vault has, by the state of their Mobility service."""

    total: int = 0
    behind: int = 0
    """There is a newer version."""
    unknown: int = 0
    """Site Recovery does not say whether there is one."""

    @property
    def current(self) -> int:
        """Those that need no update."""
        return self.total - self.behind - self.unknown

    def __add__(self, other: AgentCounts) -> AgentCounts:
        return AgentCounts(self.total + other.total, self.behind + other.behind, self.unknown + other.unknown)
