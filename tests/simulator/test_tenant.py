"""Subscriptions, management groups and the index over them: what is seen, by whom, and how late."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from asr_simulator.resource_graph import QUERIES
from tests.simulator.helpers import SUBSCRIPTION, VAULT, VAULT_PATH, Arm, open_arm, scenario, vault

_OTHER = "22222222-2222-4333-8444-555555555555"
_VAULTS, _ACCOUNTS, _ITEMS = QUERIES
_GRAPH = "/providers/Microsoft.ResourceGraph/resources"


def _scenario(**changes: Any) -> Any:
    return scenario(
        vault(tags={"dr": "gold"}),
        *(vault(subscription=_OTHER, name=f"other-{number}", mappings=[]) for number in range(3)),
        **({"graph": {"page_size": 2, "spread": 0}} | changes),
    )


@pytest.fixture
def arm() -> Iterator[Arm]:
    opened = open_arm(_scenario())
    yield opened
    opened.close()
    opened.sim.stop()


@pytest.fixture
def blind() -> Iterator[Arm]:
    """As somebody who may not read one of the two subscriptions."""
    denied = [{"subscription": _OTHER}]
    opened = open_arm(_scenario(identity={"identities": [{"client_id": "a", "denied": denied}]}))
    yield opened
    opened.close()
    opened.sim.stop()


def _query(arm: Arm, text: str = _VAULTS, **body: Any) -> Any:
    return arm.call("POST", _GRAPH, json={"query": text, **body}, version="2024-04-01")


def _names(arm: Arm) -> list[str]:
    """All vaults that the index shows."""
    found, token = [], None
    while True:
        document = _query(arm, options={"$skipToken": token} if token else {}).json()
        found += [row["name"] for row in document["data"]]
        token = document.get("$skipToken")
        if not token:
            return sorted(found)


def test_a_new_vault_shows_in_lists_at_once_and_in_the_index_later(arm: Arm) -> None:
    arm.sim.control.add_vaults(vault(name="new"))

    listed = arm.get(f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.RecoveryServices/vaults").json()["value"]
    assert sorted(each["name"] for each in listed) == [VAULT, "new"]
    assert "new" not in _names(arm)
    arm.sim.control.advance(30)
    assert "new" in _names(arm)


def test_a_deleted_vault_is_gone_at_once_and_lingers_in_the_index(arm: Arm) -> None:
    arm.sim.control.delete_vaults(VAULT)

    gone = arm.get(VAULT_PATH)
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "ResourceNotFound")
    assert VAULT in _names(arm)
    arm.sim.control.advance(30)
    assert VAULT not in _names(arm)


def test_a_tag_is_old_in_the_index_for_a_while(arm: Arm) -> None:
    arm.sim.control.tag_vault(VAULT, dr="manual")

    def tags() -> Any:
        return next(row["tags"] for row in _query(arm, subscriptions=[SUBSCRIPTION]).json()["data"])

    assert arm.get(VAULT_PATH).json()["tags"] == {"dr": "manual"}
    assert tags() == {"dr": "gold"}
    arm.sim.control.advance(30)
    assert tags() == {"dr": "manual"}


def test_what_may_not_be_read_is_left_out_without_a_word(blind: Arm) -> None:
    answer = _query(blind)

    assert (answer.status_code, answer.json()["totalRecords"]) == (200, 1)
    assert _query(blind, subscriptions=[_OTHER]).json()["error"]["code"] == "AccessDenied"
    listed = blind.get("/subscriptions", version="2022-12-01").json()["value"]
    assert [each["subscriptionId"] for each in listed] == [SUBSCRIPTION]
    refused = blind.get(f"/subscriptions/{_OTHER}/providers/Microsoft.RecoveryServices/vaults")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "AuthorizationFailed")


def test_items_and_accounts_can_be_asked_for(arm: Arm) -> None:
    assert [row["name"] for row in _query(arm, _ACCOUNTS).json()["data"]] == ["aa-dr"]
    assert _query(arm, _ITEMS).json()["data"] == []


def test_a_subscription_changes_its_state_and_its_place(arm: Arm) -> None:
    arm.sim.control.set_subscription(SUBSCRIPTION, state="Disabled")

    found = arm.get(f"/subscriptions/{SUBSCRIPTION}", version="2022-12-01").json()
    assert found["state"] == "Disabled"


class TestFaults:
    def test_rows_are_missing_with_success(self, arm: Arm) -> None:
        arm.sim.control.add_fault("rows_missing", route="resource_graph", share=1)
        answer = _query(arm)
        assert (answer.status_code, answer.json()["totalRecords"]) == (200, 0)

    def test_a_list_is_empty_with_success(self, arm: Arm) -> None:
        arm.sim.control.add_fault("empty_list", subscription=_OTHER)
        path = f"/subscriptions/{_OTHER}/providers/Microsoft.RecoveryServices/vaults"
        assert arm.get(path).json() == {"value": []}
        assert len(arm.get(path).json()["value"]) == 3

    def test_a_row_slips_through_between_two_pages(self, arm: Arm) -> None:
        arm.sim.control.add_fault("graph_rows_shift", forever=True)
        assert len(_names(arm)) == 3

    def test_a_result_is_truncated_without_a_token(self, arm: Arm) -> None:
        arm.sim.control.add_fault("graph_truncated")
        document = _query(arm).json()
        assert (document["resultTruncated"], "$skipToken" in document) == ("true", False)

    def test_only_a_header_says_that_subscriptions_are_missing(self, arm: Arm) -> None:
        arm.sim.control.add_fault("graph_limit_hit")
        assert _query(arm).headers["x-ms-tenant-subscription-limit-hit"] == "true"

    def test_the_list_of_one_subscription_fails(self, arm: Arm) -> None:
        arm.sim.control.add_fault("status", route="vaults", subscription=_OTHER, status=503)
        path = "/subscriptions/{}/providers/Microsoft.RecoveryServices/vaults"
        assert arm.get(path.format(SUBSCRIPTION)).status_code == 200
        assert arm.get(path.format(_OTHER)).status_code == 503
