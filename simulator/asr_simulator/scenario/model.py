"""The whole scenario, and reading it from a YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from asr_simulator.scenario.activity import ActivityLogSettings
from asr_simulator.scenario.agents import AccountSpec, AgentUpdates
from asr_simulator.scenario.behaviour import Identity, Jobs, Range, Section, Share, Throttling
from asr_simulator.scenario.roles import Roles
from asr_simulator.scenario.schedules import Schedules
from asr_simulator.scenario.tenant import ROOT, Graph, ManagementGroupSpec, SubscriptionSpec
from asr_simulator.scenario.vaults import VaultSpec

_Loader: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Ten times as fast where libyaml is there: a scenario may have thousands of vaults."""

__all__ = ["Scenario", "ScenarioError", "load_scenario", "parse_scenario", "problems_of"]


class ScenarioError(Exception):
    """A scenario that cannot be used; carries every problem found."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class Scenario(Section):
    """Everything that a simulator run depends on. The same scenario and seed give the same vaults."""

    time_scale: float = Field(default=1.0, gt=0)
    """Simulated seconds per real second."""
    seed: int = 0
    """Seed of everything random."""
    mappings_page_size: int = Field(default=100, gt=0)
    """Mappings on a page."""
    jobs_page_size: int = Field(default=100, gt=0)
    """Jobs on a page."""
    items_page_size: int = Field(default=100, gt=0)
    """Replicated items on a page."""
    automation_page_size: int = Field(default=100, gt=0)
    """Schedules, job schedules and jobs of an Automation account on a page (published example: 100)."""
    vaults_page_size: int = Field(default=200, gt=0)
    """Vaults on a page of a list (a client that did not page saw exactly 200)."""
    explicit_null_next_link: bool = False
    """Last pages carry ``nextLink: null`` instead of no nextLink: both forms are published."""
    signed_operation_urls: bool = True
    """Operation URLs carry and need a signature (seen since 2023); off: plain URLs (seen in 2022)."""
    throttle: Throttling = Throttling()
    """Request limits."""
    latency: Range = Range(min=0.0, max=0.0)
    """Real seconds that each Resource Manager call takes at least."""
    jobs: Jobs = Jobs()
    """How jobs run."""
    agent_updates: AgentUpdates = AgentUpdates()
    """How updates of agents go."""
    schedules: Schedules = Schedules()
    """What happens to schedules of Automation accounts."""
    patch_failure_share: Share = 0.0
    """Part of the PATCH calls that is answered 500 and starts no job."""
    identity: Identity = Identity()
    """Tokens."""
    request_log_size: int = Field(default=20_000, gt=0)
    """Requests kept in the log."""
    vaults: tuple[VaultSpec, ...] = Field(min_length=1)
    """The vaults."""
    automation_accounts: tuple[AccountSpec, ...] = ()
    """Automation accounts besides those that vaults name, or what is special about those."""
    management_groups: tuple[ManagementGroupSpec, ...] = ()
    """Management groups below the one that is always there, which is called root here."""
    subscriptions: tuple[SubscriptionSpec, ...] = ()
    """Subscriptions, where something about them matters."""
    roles: Roles = Roles()
    """Roles, and who has which on what."""
    graph: Graph = Graph()
    """Resource Graph."""
    activity_log: ActivityLogSettings = ActivityLogSettings()
    """The activity log."""

    @model_validator(mode="after")
    def _names_are_distinct(self) -> Self:
        seen: set[tuple[str, str, str]] = set()
        for vault in self.vaults:
            if vault.key in seen:
                raise ValueError(f"vault {vault.name!r} is listed twice")
            seen.add(vault.key)
        accounts = [account.id.lower() for account in self.automation_accounts]
        if len(set(accounts)) < len(accounts):
            raise ValueError("an automation account is listed twice")
        groups = [ROOT, *(group.name.lower() for group in self.management_groups)]
        if len(set(groups)) < len(groups):
            raise ValueError("a management group is listed twice")
        subscriptions = [each.id.lower() for each in self.subscriptions]
        if len(set(subscriptions)) < len(subscriptions):
            raise ValueError("a subscription is listed twice")
        places = {group.parent.lower() for group in self.management_groups}
        places |= {each.management_group.lower() for each in self.subscriptions}
        if unknown := sorted(places - set(groups)):
            raise ValueError(f"there is no management group {unknown[0]!r}")
        return self


def problems_of(error: ValidationError) -> list[str]:
    """Turn pydantic's errors into one line each: the field's place, then what is wrong."""
    items = error.errors(include_url=False)
    lines = []
    for item in items:
        place = item["loc"]
        inside = any(len(other["loc"]) > len(place) and other["loc"][: len(place)] == place for other in items)
        if item["type"] == "too_short" and inside:
            continue  # it is only too short because its wrong items were left out
        where = ".".join(str(part) for part in place) or "scenario"
        lines.append(f"{where}: {item['msg'].removeprefix('Value error, ')}")
    return lines


def parse_scenario(document: Any) -> Scenario:
    """Read a scenario from plain data; raises `ScenarioError` with all problems at once."""
    if not isinstance(document, dict):
        raise ScenarioError(["scenario: must be a mapping of fields"])
    try:
        return Scenario.model_validate(document)
    except ValidationError as error:
        raise ScenarioError(problems_of(error)) from None


def load_scenario(path: Path) -> Scenario:
    """Read a scenario file; raises `ScenarioError` with all problems at once."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ScenarioError([f"{path}: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise ScenarioError([f"{path}: is not UTF-8 text"]) from None
    try:
        return parse_scenario(yaml.load(text, _Loader))  # noqa: S506 - both are safe ones
    except yaml.YAMLError as error:
        raise ScenarioError([f"{path}: is not YAML: {' '.join(str(error).split())}"]) from None
