"""From what is declared and what was observed to a decision for each mapping, with its reason. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import cached_property

from vault_autoupdate.decide.attempts import Attempt
from vault_autoupdate.decide.jobs import Operation
from vault_autoupdate.model.arm_id import fold
from vault_autoupdate.model.azure import AUTHENTICATION, PROVIDER, ContainerMapping, LostArtifact
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.model.resource import AutoUpdate, Goal
from vault_autoupdate.model.text import plural

__all__ = ["Action", "Decision", "Plan", "decide", "is_in_scope", "make_plan"]


class Action(StrEnum):
    """What is done about a mapping."""

    IGNORE = "ignore"
    """Not ours to change: another provider, or not paired."""
    TRACK = "track"
    """A job is at work on it."""
    KEEP = "keep"
    """As declared."""
    PATCH = "patch"
    """Differs: change it."""
    REPAIR = "repair"
    """As declared but unhealthy: send the same state again, which is what the portal's Repair does."""
    WAIT = "wait"
    """Tried before without success: not yet time for the next try."""


@dataclass(frozen=True)
class Decision:
    """What is done about one mapping, and why, in words."""

    mapping: ContainerMapping
    action: Action
    reason: str
    unhealthy: Explanation | None = None
    """What is wrong with its health, where nothing else is."""
    differs: Explanation | None = None
    """What is not as declared although it was changed, and what may help."""

    @property
    def id(self) -> str:
        """Of the mapping."""
        return self.mapping.id

    @property
    def key(self) -> str:
        """Of the mapping, for comparing."""
        return self.mapping.key

    @property
    def name(self) -> str:
        """Of the mapping."""
        return self.mapping.name

    @property
    def actionable(self) -> bool:
        """Whether a PATCH follows from it."""
        return self.action in {Action.PATCH, Action.REPAIR}


@dataclass(frozen=True)
class Plan:
    """The decisions for all mappings of a vault, in the order in which the vault lists them."""

    decisions: tuple[Decision, ...]

    @cached_property
    def actionable(self) -> tuple[Decision, ...]:
        """The decisions from which a PATCH follows."""
        return tuple(decision for decision in self.decisions if decision.actionable)

    @cached_property
    def counts(self) -> Counter[Action]:
        """How many mappings there are for each action."""
        return Counter(decision.action for decision in self.decisions)


def make_plan(
    goal: Goal,
    mappings: Iterable[ContainerMapping],
    *,
    running: Mapping[str, Operation],
    attempts: Mapping[str, Attempt],
    now: datetime,
    missing: Mapping[str, LostArtifact] | None = None,
) -> Plan:
    """Decide about every mapping.

    Args:
        goal: what is declared.
        mappings: all mappings of the vault.
        running: by mapping key, the job that is at work on it, ours or anybody's.
        attempts: by mapping key, what was tried and has not made the mapping right.
        now: the present.
        missing: by mapping key, what the Automation account has lost that the mapping needed when it was looked at.
    """
    lost = missing or {}
    return Plan(
        tuple(
            decide(
                goal,
                mapping,
                running=running.get(mapping.key),
                attempt=attempts.get(mapping.key),
                now=now,
                missing=lost.get(mapping.key),
            )
            for mapping in mappings
        )
    )


def is_in_scope(mapping: ContainerMapping) -> bool:
    """Whether a mapping can have auto-update at all: of Azure-to-Azure replication, and paired."""
    return _why_ignored(mapping) == ""


def decide(
    goal: Goal,
    mapping: ContainerMapping,
    *,
    running: Operation | None,
    attempt: Attempt | None,
    now: datetime,
    missing: LostArtifact | None = None,
) -> Decision:
    """Decide about one mapping; the first rule that applies wins."""
    lost = missing.what if missing and missing.is_named_by(mapping) else ""

    def decision(action: Action, reason: str, unhealthy: Explanation | None = None) -> Decision:
        return Decision(mapping, action, reason, unhealthy)

    if why := _why_ignored(mapping):
        return decision(Action.IGNORE, why)
    if running:
        return decision(Action.TRACK, running.in_words)
    differences = _differences(goal, mapping)
    unhealthy = goal.auto_update is AutoUpdate.ENABLED and bool(mapping.health_errors or lost)
    if not differences and not unhealthy:
        return decision(Action.KEEP, f"auto-update is {goal.auto_update}")
    what = "; ".join(differences) if differences else f"unhealthy: {lost or _worst(mapping)}"
    if attempt and now < attempt.next_at:
        tried = f"tried {plural(attempt.count, 'time')}, next try at {attempt.next_at:%Y-%m-%dT%H:%M:%SZ}"
        if differences:
            return replace(decision(Action.WAIT, f"{what}; {tried}"), differs=_still_differs(goal, mapping, what))
        health = Explanation("AgentAutoUpdateArtifactDeleted", lost) if lost else _health(mapping)
        return decision(Action.WAIT, f"{what}; {tried}", health)
    return decision(Action.PATCH if differences else Action.REPAIR, what)


def _why_ignored(mapping: ContainerMapping) -> str:
    """Why a mapping cannot have auto-update, in words; empty if it can."""
    if not mapping.is_azure_to_azure:
        return f"provider is {mapping.instance_type or 'not given'}, not {PROVIDER}"
    if not mapping.is_paired:
        return f"state is {mapping.state or 'not given'}, not Paired"
    return ""


def _differences(goal: Goal, mapping: ContainerMapping) -> list[str]:
    """Each thing that is not as declared. For Disabled only the status counts: the service resets the others."""
    found = []
    if not mapping.is_set_to(goal.auto_update):
        found.append(f"auto-update is {mapping.auto_update_status or 'not set'}, declared {goal.auto_update}")
    elif goal.auto_update is AutoUpdate.ENABLED:
        account = goal.automation_account
        if account and fold(mapping.automation_account_id) != account.key:
            found.append(
                f"automation account is {_account(mapping.automation_account_id)}, declared {_account(account.text)}"
            )
        if fold(mapping.authentication_type) != fold(AUTHENTICATION):
            found.append(f"authentication is {mapping.authentication_type or 'not set'}, declared {AUTHENTICATION}")
    return found


def _still_differs(goal: Goal, mapping: ContainerMapping, what: str) -> Explanation:
    """What a change that was accepted and carried out did not bring about. What helps is inferred from its place."""
    if not mapping.is_set_to(goal.auto_update):
        action = (
            "Look at the job in the vault's Site Recovery jobs, and for what else may set this: Azure Policy, "
            "Terraform, a script, another operator."
        )
    elif fold(mapping.authentication_type) != fold(AUTHENTICATION):
        action = (
            "Site Recovery keeps the retired Run As account: in the vault, Site Recovery infrastructure > Extension "
            "update settings > Migrate; or set autoUpdate to Disabled, wait, and to Enabled again."
        )
    else:
        action = "Check that Site Recovery may use the declared account for this vault, and for what else may set it."
    return Explanation(message=f"Accepted, and still {what}.", recommended_action=action)


def _account(resource_id: str) -> str:
    """``group/name`` of an Automation account: short, and still different for namesakes in two groups."""
    segments = resource_id.strip("/").split("/")
    return f"{segments[3]}/{segments[-1]}" if len(segments) == 8 else resource_id or "not set"


def _worst(mapping: ContainerMapping) -> str:
    error = mapping.health_errors[0]
    return _code_of(error) or error.message or "no details given"


def _health(mapping: ContainerMapping) -> Explanation:
    """The first health error in its own words."""
    error = mapping.health_errors[0]
    return Explanation(_code_of(error), error.message, error.possible_causes, error.recommended_action)


def _code_of(error: Explanation) -> str:
    """The category, which tells more, and the number, which people search for; either may be missing."""
    return f"{error.category} ({error.code})" if error.category and error.code else error.category or error.code
