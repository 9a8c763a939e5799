"""What the fault matrix is made of: calls, faults, how they are made, and what must be seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

__all__ = [
    "AgentCall",
    "Call",
    "Cell",
    "Elsewhere",
    "Expected",
    "Fault",
    "Group",
    "Injection",
    "SentElsewhere",
    "Simulated",
    "SkewedClock",
    "TokenTrouble",
]


class Group(StrEnum):
    """Calls that are treated alike."""

    OBSERVE = "observe"
    TRACK = "track"
    APPLY = "apply"
    MAKE_SURE = "make sure"
    LOGIN = "login"


class Call(StrEnum):
    """The calls that the operator makes, as metrics and logs name them, apart by what they are made for."""

    GET_VAULT = "get_vault"
    LIST_MAPPINGS = "list_mappings"
    LIST_MAPPINGS_PAGE_2 = "list_mappings_page_2"
    LIST_JOBS = "list_jobs"
    LIST_JOBS_POLL = "list_jobs_poll"
    GET_JOB = "get_job"
    GET_MAPPING = "get_mapping"
    UPDATE_MAPPING = "update_mapping"
    LIST_JOBS_LOST_ANSWER = "list_jobs_lost_answer"
    GET_TOKEN = "get_token"

    @property
    def group(self) -> Group:
        """How it is treated."""
        return _GROUPS[self]

    @property
    def route(self) -> str:
        """The simulator's name for it."""
        return _ROUTES[self]

    @property
    def is_list(self) -> bool:
        """Whether the answer has pages."""
        return self.route in {"mappings", "jobs"}


_GROUPS: Final = {
    Call.GET_VAULT: Group.OBSERVE,
    Call.LIST_MAPPINGS: Group.OBSERVE,
    Call.LIST_MAPPINGS_PAGE_2: Group.OBSERVE,
    Call.LIST_JOBS: Group.OBSERVE,
    Call.LIST_JOBS_POLL: Group.TRACK,
    Call.GET_JOB: Group.TRACK,
    Call.GET_MAPPING: Group.TRACK,
    Call.UPDATE_MAPPING: Group.APPLY,
    Call.LIST_JOBS_LOST_ANSWER: Group.MAKE_SURE,
    Call.GET_TOKEN: Group.LOGIN,
}
_ROUTES: Final = {
    Call.GET_VAULT: "vault",
    Call.LIST_MAPPINGS: "mappings",
    Call.LIST_MAPPINGS_PAGE_2: "mappings",
    Call.LIST_JOBS: "jobs",
    Call.LIST_JOBS_POLL: "jobs",
    Call.GET_JOB: "job",
    Call.GET_MAPPING: "mapping",
    Call.UPDATE_MAPPING: "mapping",
    Call.LIST_JOBS_LOST_ANSWER: "jobs",
    Call.GET_TOKEN: "token",
}


class AgentCall(StrEnum):
    """The calls about agents and the account that updates them. None of them may touch Ready."""

    LIST_ITEMS = "list_items"
    UPDATE_AGENT = "update_agent"
    GET_ITEM = "get_item"
    """After an update whose answer was lost."""
    GET_ACCOUNT = "get_account"
    LIST_SCHEDULES = "list_schedules"
    LIST_JOB_SCHEDULES = "list_job_schedules"
    LIST_ACCOUNT_JOBS = "list_account_jobs"
    LIST_USAGES = "list_usages"
    LIST_ROLE_ASSIGNMENTS = "list_role_assignments"
    GET_ROLE_DEFINITION = "get_role_definition"
    LIST_DENY_ASSIGNMENTS = "list_deny_assignments"

    @property
    def like(self) -> Call:
        """The call of the vault's own work that fails for the same reasons."""
        match self:
            case AgentCall.UPDATE_AGENT:
                return Call.UPDATE_MAPPING
            case AgentCall.GET_ITEM:
                return Call.LIST_JOBS_LOST_ANSWER
            case _:
                return Call.LIST_MAPPINGS_PAGE_2

    @property
    def route(self) -> str:
        """The simulator's name for it."""
        return _AGENT_ROUTES[self]

    @property
    def is_list(self) -> bool:
        """Whether the answer has pages that are followed."""
        return self in {
            AgentCall.LIST_ITEMS,
            AgentCall.LIST_SCHEDULES,
            AgentCall.LIST_JOB_SCHEDULES,
            AgentCall.LIST_ACCOUNT_JOBS,
        } or (self.is_about_role and self is not AgentCall.GET_ROLE_DEFINITION)

    @property
    def is_about_account(self) -> bool:
        """Whether it is about the Automation account, its role included."""
        return self not in {AgentCall.LIST_ITEMS, AgentCall.UPDATE_AGENT, AgentCall.GET_ITEM}

    @property
    def is_about_role(self) -> bool:
        """Whether Azure's access control answers it."""
        return self in {
            AgentCall.LIST_ROLE_ASSIGNMENTS,
            AgentCall.GET_ROLE_DEFINITION,
            AgentCall.LIST_DENY_ASSIGNMENTS,
        }


_AGENT_ROUTES: Final = {
    AgentCall.LIST_ITEMS: "protected_items",
    AgentCall.UPDATE_AGENT: "update_agent",
    AgentCall.GET_ITEM: "protected_item",
    AgentCall.GET_ACCOUNT: "automation_account",
    AgentCall.LIST_SCHEDULES: "schedules",
    AgentCall.LIST_JOB_SCHEDULES: "job_schedules",
    AgentCall.LIST_ACCOUNT_JOBS: "automation_jobs",
    AgentCall.LIST_USAGES: "usages",
    AgentCall.LIST_ROLE_ASSIGNMENTS: "role_assignments",
    AgentCall.GET_ROLE_DEFINITION: "role_definition",
    AgentCall.LIST_DENY_ASSIGNMENTS: "deny_assignments",
}


class ScheduleCall(StrEnum):
    """The calls by which schedules of the update runbook are kept at a time. None of them may touch Ready."""

    LIST_SCHEDULES = "list_schedules"
    LIST_JOB_SCHEDULES = "list_job_schedules"
    GET_SCHEDULE = "get_schedule"
    """Before and after a change."""
    UPDATE_SCHEDULE = "update_schedule"

    @property
    def like(self) -> Call:
        """The call of the vault's own work that fails for the same reasons."""
        return Call.UPDATE_MAPPING if self is ScheduleCall.UPDATE_SCHEDULE else Call.LIST_MAPPINGS_PAGE_2

    @property
    def route(self) -> str:
        """The simulator's name for it."""
        return "job_schedules" if self is ScheduleCall.LIST_JOB_SCHEDULES else "schedules"

    @property
    def is_list(self) -> bool:
        """Whether the answer has pages that are followed."""
        return self in {ScheduleCall.LIST_SCHEDULES, ScheduleCall.LIST_JOB_SCHEDULES}


class Elsewhere(StrEnum):
    """Real places on this machine, or nowhere, at which ARM cannot be reached."""

    CLOSED_PORT = "closed port"
    UNKNOWN_NAME = "unknown name"
    UNTRUSTED_CERTIFICATE = "untrusted certificate"


@dataclass(frozen=True)
class Simulated:
    """A fault of the simulator."""

    kind: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    hits: int = 1
    """Requests of one call that are struck: a 401 is answered with a second one."""

    @property
    def is_slow(self) -> bool:
        """Whether it takes a time-out to end the call."""
        return self.kind in {"hang", "slow_head", "slow_body"}


@dataclass(frozen=True)
class SentElsewhere:
    """The call goes out as ever, but the endpoint is somewhere else."""

    where: Elsewhere


@dataclass(frozen=True)
class TokenTrouble:
    """The token has just run out when the call is made."""

    endpoint_is_down: bool
    """Whether the token endpoint is down at that moment; otherwise it is Azure that no longer takes the token."""


@dataclass(frozen=True)
class SkewedClock:
    """Azure's clock differs from ours."""

    seconds: float


Injection = Simulated | SentElsewhere | TokenTrouble | SkewedClock


@dataclass(frozen=True)
class Expected:
    """What must be seen."""

    reason: str
    """Reason of Ready while the fault lasts."""
    ready: str
    """Status of Ready while the fault lasts."""
    says: str
    """Part of the message while the fault lasts."""
    absorbed: bool
    """Whether a fault that strikes once goes unnoticed: the pass ends well and nothing else was shown."""
    patches: int = 1
    """The most PATCHes that Site Recovery accepts for one mapping, from the fault to the end."""


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong, and what follows from it at each group of calls."""

    name: str
    title: str
    injection: Injection
    expected: Mapping[Group, Expected]
    exceptions: Mapping[Call, Expected] = field(default_factory=dict)
    """Where a call differs from its group."""
    injections: Mapping[Call, Injection] = field(default_factory=dict)
    """Where a call needs another injection."""


@dataclass(frozen=True)
class Cell:
    """One call and one fault."""

    call: Call | AgentCall | ScheduleCall
    fault: Fault

    @property
    def name(self) -> str:
        """As the tests name it."""
        return f"{self.call}-{self.fault.name}"

    @property
    def injection(self) -> Injection:
        """How the fault is made."""
        return self.fault.injections.get(self._like, self.fault.injection)

    @property
    def expected(self) -> Expected:
        """What must be seen; of a call about agents, in the place that stands for Ready there."""
        return self.fault.exceptions.get(self._like) or self.fault.expected[self._like.group]

    @property
    def _like(self) -> Call:
        return self.call if isinstance(self.call, Call) else self.call.like
