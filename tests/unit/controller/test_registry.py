"""Who manages a vault that several resources name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest

from tests.unit.builders import ACCOUNT_ID, VAULT_ID
from vault_autoupdate.controller.registry import Registry
from vault_autoupdate.controller.tracked import TrackedResource, read_declaration
from vault_autoupdate.decide.pacing import Allowance
from vault_autoupdate.decide.tenancy import TenancyRules
from vault_autoupdate.model.resource import API_VERSION, KIND, POLICY_LABEL

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def _body(name: str, *, age: int = 1, policy: str = "", deleting: bool = False, **spec: Any) -> dict[str, Any]:
    """A resource on the one vault; ``age`` in hours."""
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": "team",
        "uid": f"uid-{name}",
        "generation": 1,
        "creationTimestamp": (NOW - timedelta(hours=age)).isoformat(),
        "labels": {POLICY_LABEL: policy} if policy else {},
    }
    if deleting:
        metadata["deletionTimestamp"] = NOW.isoformat()
    fields = {"vaultResourceId": VAULT_ID, "autoUpdate": "Enabled", "automationAccountResourceId": ACCOUNT_ID}
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": fields | spec}


def _tracked(body: dict[str, Any]) -> TrackedResource:
    return TrackedResource.first_seen(read_declaration(body, TenancyRules()), {}, NOW, Allowance(timedelta()))


def _owner(registry: Registry) -> str:
    (vault,) = {each.vault_key for each in registry.resources.values()}
    owner = registry.owner(vault)
    assert owner is not None
    return owner.name


@pytest.mark.parametrize(
    ("bodies", "owner"),
    [
        ([_body("older", age=2), _body("younger")], "older"),
        ([_body("child", age=99, policy="estate"), _body("by-hand")], "by-hand"),
        ([_body("child", policy="estate"), _body("by-hand", age=2), _body("later-by-hand")], "by-hand"),
        ([_body("older-child", age=2, policy="one"), _body("younger-child", policy="other")], "older-child"),
        ([_body("child", policy="estate"), _body("by-hand", age=2, deleting=True)], "child"),
        ([_body("one", age=2, policy="estate", deleting=True), _body("other", age=3, deleting=True)], "other"),
    ],
    ids=["age", "by-hand-before-older-child", "by-hand-by-age", "children-by-age", "not-the-leaving", "all-leaving"],
)
def test_in_whatever_order_they_come_by_hand_goes_before_a_policy_and_then_age(
    bodies: list[dict[str, Any]], owner: str
) -> None:
    for order in permutations(bodies):
        registry = Registry()
        for body in order:
            registry.add(_tracked(body))
        assert _owner(registry) == owner


def test_a_resource_that_is_no_longer_of_a_policy_ranks_by_its_age_again() -> None:
    registry = Registry()
    child = _tracked(_body("child", age=2, policy="estate"))
    registry.add(child)
    registry.add(_tracked(_body("by-hand")))

    registry.update(child, read_declaration(_body("child", age=2), TenancyRules()), NOW)

    assert _owner(registry) == "child"
