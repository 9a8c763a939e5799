"""Documents of the control endpoint, shared by the server and the client."""

from __future__ import annotations

from typing import Any, TypedDict

__all__ = [
    "AccountInfo",
    "ActivityRecord",
    "DueRun",
    "FaultState",
    "ItemState",
    "KindStats",
    "MappingState",
    "PatchRecord",
    "RequestLogPage",
    "RequestRecord",
    "ScheduleInfo",
    "ScopeStats",
    "State",
    "Stats",
    "VaultState",
]


class RequestRecord(TypedDict):
    """One request in the log."""

    sequence: int
    simulated: float
    real: float
    method: str
    kind: str
    path: str
    status: int
    code: str
    fault: str
    vault: str
    mapping: str
    job: str
    client_request_id: str
    user_agent: str
    client: str
    scope: str
    application: str


class RequestLogPage(TypedDict):
    """Requests from the log, and the number from which to go on."""

    requests: list[RequestRecord]
    last_sequence: int


class VaultState(TypedDict):
    """What a vault holds."""

    id: str
    name: str
    location: str
    total: int
    by_status: dict[str, int]
    """A2A mappings by agentAutoUpdateStatus; others under ``none``."""
    compliant: int
    """Paired A2A mappings that are Enabled with the vault's account, managed identity, and no health errors."""
    unhealthy: int
    unpaired: int
    jobs: dict[str, int]
    """All jobs by state: of mappings, of agents, and background ones."""


class State(TypedDict):
    """The simulator at a glance."""

    simulated: float
    real: float
    time_scale: float
    vaults: list[VaultState]
    faults: int
    tokens_issued: int
    requests: int


class MappingState(TypedDict):
    """One mapping as it really is, whatever a client has been told."""

    id: str
    name: str
    provider: str | None
    state: str
    status: str
    authentication: str
    account: str | None
    schedule: str | None
    health_category: str | None
    active_job: str | None


class PatchRecord(TypedDict):
    """What was done to one mapping."""

    id: str
    name: str
    vault: str
    accepted: int
    refused: int
    outcomes: dict[str, int]
    running: bool


class ItemState(TypedDict):
    """The agent of one replicated VM as it really is."""

    vm_name: str
    id: str
    mapping: str
    """Name of the mapping that it belongs to."""
    version: str
    update_required: bool
    upgrade_in_progress: bool
    """Also while a job updates it."""
    expires_at: str | None
    """None for never."""
    updates_accepted: int
    updates_refused: int
    outcomes: dict[str, int]
    """Ended updates by outcome."""
    running: bool
    """A job updates it now."""
    running_in_vault: int
    """Updates of the whole vault that run now."""
    most_running_in_vault: int
    """Most updates of the whole vault that ever ran at once."""


class ActivityRecord(TypedDict):
    """One entry of the activity log as it really is."""

    id: str
    operation: str
    resource: str
    status: str
    caller: str
    correlation_id: str
    request_id: str
    time: str
    store: str
    shows_at: float
    """Simulated time from which it can be read."""
    lost: bool
    """It never can."""


class ScheduleInfo(TypedDict):
    """What an enabled mapping has in its Automation account."""

    mapping: str
    schedule: str | None
    """None when it was deleted."""
    job_schedule: str | None
    """None when it was deleted."""
    enabled: bool
    start: str | None
    """Its first run, in UTC."""
    time_zone: str | None
    frequency: str | None
    days: list[str]


class DueRun(TypedDict):
    """When a schedule starts the update runbook."""

    at: str
    schedule: str


class AccountInfo(TypedDict):
    """One Automation account."""

    id: str
    name: str
    location: str
    state: str
    identity: str
    principal: str
    """Object id of its own identity; empty without one."""
    minutes_used: float
    minutes_limit: int
    runs: list[str]
    """Statuses of its jobs."""
    schedules: list[ScheduleInfo]


class KindStats(TypedDict):
    """Counts of one kind of call (reads or writes) in one scope."""

    served: int
    throttled: int
    throttled_by_arm: int
    in_window: int
    """Calls in the window that ends now."""
    peak_in_window: int
    """Most calls that any window has held."""
    limit: int
    window: float


class ScopeStats(TypedDict):
    """Counts of one (subscription, region)."""

    subscription: str
    region: str
    reads: KindStats
    writes: KindStats
    """Includes the other client's writes."""
    own_peak_writes_in_window: int
    """Most writes in any window without the other client's."""


class Stats(TypedDict):
    """All counts."""

    scopes: list[ScopeStats]
    requests: int
    responses: dict[str, int]
    """Requests by status code; ``0`` for connections closed without an answer."""
    calls: dict[str, int]
    """Requests by ``METHOD kind``."""


class FaultState(TypedDict):
    """A fault that is waiting or at work."""

    id: str
    hits: int
    left: int | None
    fault: dict[str, Any]
