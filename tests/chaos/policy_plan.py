"""What a seed does to the vaults of a policy and to who looks for them. Pure: always the same for a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, Final

from tests.chaos.steps import AddVault, DeleteVault, ExcludeVault, Lane, SetSubscription, Step

HERE, THERE = 0, 1
"""Two subscriptions of the policy's management group: the second one fares ill."""
EXCLUDED: Final = 5
"""The vault that is excluded from the beginning to the end."""
FIRST_VAULTS: Final = {0: HERE, 1: HERE, 2: HERE, 3: THERE, EXCLUDED: HERE}
LATER_VAULT: Final = 4

__all__ = ["EXCLUDED", "FIRST_VAULTS", "HERE", "LATER_VAULT", "THERE", "PolicyPlan", "make_policy_plan"]


@dataclass(frozen=True)
class PolicyPlan:
    """What a seed decides about a policy."""

    faults: tuple[tuple[str, dict[str, Any]], ...]
    """Of discoveries: kind and parameters, each with the part of the calls that it hits."""
    steps: tuple[Step, ...]
    release: bool
    """Whether it may remove resources; in the minute that a seed takes there is never proof enough."""


def make_policy_plan(seed: int, storm: float) -> PolicyPlan:
    """The plan of a seed, for a storm of so many seconds."""
    rng = random.Random(f"policy {seed}")
    actions: list[AddVault | DeleteVault | ExcludeVault | SetSubscription] = [
        AddVault(LATER_VAULT, HERE),
        ExcludeVault(1),
        DeleteVault(2),
    ]
    actions += [SetSubscription(THERE, state="Disabled")] if rng.random() < 0.5 else []
    actions += [SetSubscription(THERE, group="elsewhere")] if rng.random() < 0.5 else []
    moments = sorted(round(rng.uniform(0.0, storm), 3) for _ in actions)
    rng.shuffle(actions)
    routes = ("subscriptions", "descendants", "vaults", "vault")
    return PolicyPlan(
        faults=(
            ("rows_missing", {"share": 0.5, "rate": 0.2}),
            ("empty_list", {"rate": 0.2}),
            ("status", {"route": "subscriptions", "status": 200, "body": '{"value": []}', "rate": 0.1}),
            ("status", {"route": "vault", "status": 404, "code": "SubscriptionNotFound", "rate": 0.2}),
            ("status", {"route": rng.choice(routes), "status": 403, "code": "AuthorizationFailed", "rate": 0.2}),
        ),
        steps=tuple(Step(at, Lane.POLICY, action) for at, action in zip(moments, actions, strict=True)),
        release=rng.random() < 0.5,
    )
