"""What ``vault-autoupdate restore`` decides: from what mappings had at some time to what they should be again. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vault_autoupdate.decide.plan import Action, Plan
from vault_autoupdate.model.arm_id import ArmId, fold
from vault_autoupdate.model.azure import ContainerMapping
from vault_autoupdate.model.resource import AutoUpdate, Goal

__all__ = ["Recorded", "Step", "steps_back", "to_put_back"]


@dataclass(frozen=True)
class Recorded:
    """What a mapping had when it was written down."""

    key: str
    """Its id for comparing."""
    path: str
    auto_update: str
    """As Site Recovery said it; empty where it said nothing, as of mappings that cannot have auto-update."""
    automation_account: ArmId | None = None


@dataclass(frozen=True)
class Step:
    """What some of a vault's mappings should be again."""

    goal: Goal
    keys: frozenset[str]

    def includes(self, mapping: ContainerMapping) -> bool:
        """Whether it is about ``mapping``."""
        return mapping.key in self.keys


def steps_back(recorded: Iterable[Recorded]) -> list[Step]:
    """One step for each setting that mappings had. Those without any are in none: they are left alone.

    The authentication is in no goal. Run As accounts are retired, so what had one comes back with the account's
    identity.
    """
    goals: dict[tuple[AutoUpdate, str], Goal] = {}
    keys: dict[tuple[AutoUpdate, str], set[str]] = {}
    for each in recorded:
        goal = _goal(each)
        if goal is None:
            continue
        setting = (goal.auto_update, goal.automation_account.key if goal.automation_account else "")
        goals.setdefault(setting, goal)
        keys.setdefault(setting, set()).add(each.key)
    return [Step(goal, frozenset(keys[setting])) for setting, goal in goals.items()]


def _goal(recorded: Recorded) -> Goal | None:
    if fold(recorded.auto_update) == fold(AutoUpdate.DISABLED):
        return Goal(AutoUpdate.DISABLED)
    if fold(recorded.auto_update) == fold(AutoUpdate.ENABLED) and recorded.automation_account:
        return Goal(AutoUpdate.ENABLED, recorded.automation_account)
    return None


def to_put_back(plan: Plan) -> frozenset[str]:
    """Keys of the mappings that are not as they were, or at which a job is at work, so that it cannot be told yet.

    Unhealthy ones that are as they were are not repaired: that would be more than the way back.
    """
    return frozenset(each.key for each in plan.decisions if each.action in {Action.PATCH, Action.TRACK})
