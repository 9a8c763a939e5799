"""What Azure says: container mappings, their health errors, jobs, and replicated machines. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Final

from vault_autoupdate.model.arm_id import fold, mapping_path
from vault_autoupdate.model.explanation import Explanation

PROVIDER: Final = "A2A"
"""The provider of Azure-to-Azure replication, the only one whose mappings have auto-update."""
AUTHENTICATION: Final = "SystemAssignedIdentity"
"""Run As accounts were retired on 2023-09-30; the API's default is still ``RunAsAccount``."""
RUNBOOK: Final = "MS-SR-Update-MobilityServiceForA2AVirtualMachines"
"""Site Recovery's update runbook. It is a global one: the account's own list of runbooks does not have it."""

__all__ = [
    "AUTHENTICATION",
    "PROVIDER",
    "RUNBOOK",
    "Account",
    "AccountFacts",
    "ContainerMapping",
    "Job",
    "LostArtifact",
    "Machine",
    "RunbookRun",
    "Schedule",
    "ScheduleLink",
    "Vault",
]


@dataclass(frozen=True)
class Vault:
    """A Recovery Services vault, as far as it matters here."""

    id: str
    name: str
    location: str


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
    schedule_name: str = ""
    """Of the schedule in the Automation account."""
    job_schedule_name: str = ""
    """Of what binds that schedule to the runbook, a GUID."""
    target_container_id: str = ""
    health_errors: tuple[Explanation, ...] = ()

    @cached_property
    def key(self) -> str:
        """The id for comparing: ARM does not keep letter case."""
        return fold(self.id)

    @cached_property
    def path(self) -> str:
        """``fabric/container/mapping``: the id as people read it."""
        return mapping_path(self.id)

    @property
    def is_azure_to_azure(self) -> bool:
        """Whether its provider is the one whose mappings have auto-update."""
        return fold(self.instance_type) == fold(PROVIDER)

    @property
    def is_paired(self) -> bool:
        """Whether it replicates, so that auto-update can be set."""
        return fold(self.state) == "paired"

    def is_set_to(self, auto_update: str) -> bool:
        """Whether auto-update is ``Enabled`` or ``Disabled``, in whatever letter case Azure has it."""
        return fold(self.auto_update_status) == fold(auto_update)


@dataclass(frozen=True)
class LostArtifact:
    """What a mapping names and its Automation account no longer has. A PATCH of the mapping makes it anew."""

    name: str
    """The schedule or job schedule, as the mapping names it."""
    what: str
    """What is missing, in words."""

    def is_named_by(self, mapping: ContainerMapping) -> bool:
        """Whether ``mapping`` needs it still: set anew, a mapping has a schedule of another name."""
        return fold(self.name) in {fold(mapping.schedule_name), fold(mapping.job_schedule_name)}


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
    scenario: str = ""
    """What it does, in Site Recovery's word."""
    errors: tuple[Explanation, ...] = ()

    @cached_property
    def key(self) -> str:
        """The name for comparing."""
        return fold(self.name)


@dataclass(frozen=True)
class Machine:
    """One machine that is replicated between Azure regions, as far as its Mobility service goes.

    None stands for what Site Recovery does not say: most of these fields are missing before api-version 2025-08-01.
    """

    id: str
    """Of the replicated item."""
    name: str
    """Of the machine, as people know it."""
    target_container_id: str = ""
    agent_version: str = ""
    update_required: bool | None = None
    certificate_update_required: bool | None = None
    agent_expires_at: datetime | None = None
    """None also for never, which Site Recovery writes as the year 9999."""
    certificate_expires_at: datetime | None = None
    upgrade_in_progress: bool | None = None
    retries_exhausted: bool | None = None
    reinstall_required: bool | None = None
    blockers: tuple[Explanation, ...] = ()
    """Why the agent cannot be installed anew."""

    @cached_property
    def key(self) -> str:
        """The id for comparing."""
        return fold(self.id)

    @property
    def container_id(self) -> str:
        """The source container that it is in, for comparing."""
        return self.key.partition("/replicationprotecteditems/")[0]


@dataclass(frozen=True)
class Account:
    """An Automation account."""

    name: str
    state: str
    """``Ok``, ``Unavailable`` or ``Suspended``."""
    identity_type: str = ""
    """``SystemAssigned``, ``UserAssigned``, ``SystemAssigned, UserAssigned`` or ``None``; empty when not given."""
    principal_id: str = ""
    """Of the system-assigned identity, a GUID; empty when not given."""

    @property
    def has_own_identity(self) -> bool:
        """Whether it has a system-assigned identity, which is the only one that the update runbook can log in with."""
        return "systemassigned" in self.identity_type.casefold().replace(" ", "").split(",")


@dataclass(frozen=True)
class Schedule:
    """A schedule of the account."""

    name: str
    enabled: bool | None = None
    next_run: datetime | None = None
    start: datetime | None = None
    """The first run; the later ones have its wall time in the zone."""
    time_zone: str = ""
    frequency: str = ""
    """``Day``, ``Week`` and others."""
    interval: int | None = None
    """How many days or weeks lie between two runs."""
    week_days: frozenset[str] = frozenset()
    """Names of the days, folded; they matter to a weekly one."""
    expiry: str | None = None
    """When it ends, as it was read: it is sent back as it is. Often the year 9999."""
    description: str | None = None
    """As it was read, to be sent back as it is: never fit for people."""

    @property
    def expires_at(self) -> datetime | None:
        """When it ends; None for never."""
        try:
            time = datetime.fromisoformat(self.expiry or "")
            return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
        except (ValueError, OverflowError):
            return None


@dataclass(frozen=True)
class ScheduleLink:
    """A job schedule: it binds a schedule to a runbook."""

    schedule: str
    """Name."""
    runbook: str
    """Name. Site Recovery's own is in no list of the account's runbooks, but it is named here."""


@dataclass(frozen=True)
class RunbookRun:
    """One job of the account that ran the update runbook. Never its output."""

    status: str
    started_at: datetime | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True)
class AccountFacts:
    """What was read of one account: all of it, or the reading failed as a whole."""

    account: Account | None
    """None when it does not exist."""
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    """By folded name."""
    job_schedules: Mapping[str, str] = field(default_factory=dict)
    """By folded id: the name of the schedule that it binds to the runbook."""
    runs: tuple[RunbookRun, ...] = ()
    """The last few runs of the update runbook, newest first."""
    minutes_used: float | None = None
    minutes_limit: float | None = None
    """None when unlimited or not known."""
