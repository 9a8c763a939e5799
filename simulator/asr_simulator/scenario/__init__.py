"""The scenario: what exists in the simulated cloud and how it behaves."""

from asr_simulator.scenario.activity import ActivityLogSettings
from asr_simulator.scenario.agents import (
    REBOOT_PENDING,
    AccountSpec,
    AccountState,
    AgentUpdates,
    IdentityType,
    RunSpec,
    matches_any,
)
from asr_simulator.scenario.behaviour import (
    ArmBuckets,
    Denial,
    Identity,
    IdentitySpec,
    JobFailure,
    Jobs,
    Limit,
    Range,
    Section,
    Throttling,
)
from asr_simulator.scenario.model import Scenario, ScenarioError, load_scenario, parse_scenario, problems_of
from asr_simulator.scenario.roles import DenySpec, GroupSpec, RoleAssignmentSpec, Roles, RoleSpec
from asr_simulator.scenario.schedules import Schedules
from asr_simulator.scenario.tenant import ROOT, Graph, ManagementGroupSpec, SubscriptionSpec, SubscriptionState
from asr_simulator.scenario.vaults import MappingKind, MappingSpec, Mix, VaultSpec

__all__ = [
    "REBOOT_PENDING",
    "ROOT",
    "AccountSpec",
    "AccountState",
    "ActivityLogSettings",
    "AgentUpdates",
    "ArmBuckets",
    "Denial",
    "DenySpec",
    "Graph",
    "GroupSpec",
    "Identity",
    "IdentitySpec",
    "IdentityType",
    "JobFailure",
    "Jobs",
    "Limit",
    "ManagementGroupSpec",
    "MappingKind",
    "MappingSpec",
    "Mix",
    "Range",
    "RoleAssignmentSpec",
    "RoleSpec",
    "Roles",
    "RunSpec",
    "Scenario",
    "ScenarioError",
    "Schedules",
    "Section",
    "SubscriptionSpec",
    "SubscriptionState",
    "Throttling",
    "VaultSpec",
    "load_scenario",
    "matches_any",
    "parse_scenario",
    "problems_of",
]
