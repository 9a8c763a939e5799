"""What a resource says about the shards."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.unit.builders import VAULT, VAULT_ID, manifest
from vault_autoupdate.decide.shards import Claim
from vault_autoupdate.decide.tenancy import parse_vault_scopes
from vault_autoupdate.model.arm_id import parse_vault_id
from vault_autoupdate.model.resource import LONG_AGO, SHARD_LABEL, ResourceKey
from vault_autoupdate.report.shard_claim import in_hands_of, read_claim


def _ready(reason: str, **more: Any) -> dict[str, Any]:
    return {"conditions": [{"type": "Ready", "status": "False", "reason": reason}], **more}


def _anything(_namespace: str, _id: str) -> bool:
    return True


@pytest.mark.parametrize(
    ("status", "shard"),
    [
        ({}, None),
        ({"observedGeneration": -1}, None),
        (_ready("SubscriptionInOtherShard", shard="a"), None),
        (_ready("Progressing"), ""),
        (_ready("Compliant", shard="a"), "a"),
        (_ready("InvalidSpec", shard="a"), "a"),
    ],
)
def test_a_resource_is_in_the_hands_of_whoever_wrote_its_status_unless_that_one_was_refused(
    status: dict[str, Any], shard: str | None
) -> None:
    assert in_hands_of(status) == shard


def test_what_may_not_be_named_is_not_claimed_and_neither_is_what_is_no_vault() -> None:
    body = manifest()
    nothing = parse_vault_scopes('{"asr": []}').allows

    assert read_claim(body, _anything).subscription == parse_vault_id(VAULT_ID).subscription.lower()
    assert read_claim(body, nothing).subscription == ""
    assert read_claim(manifest(vaultResourceId="/subscriptions/x"), _anything).subscription == ""


def test_whoever_is_in_the_middle_of_a_run_is_busy() -> None:
    run = {"id": "1", "startedAt": "2026-03-01T00:00:00Z"}
    statuses = [
        _ready("Progressing", lastRun=run),
        _ready("Compliant", lastRun=run | {"completedAt": run["startedAt"]}),
    ]

    assert [read_claim(manifest() | {"status": status}, _anything).is_busy for status in statuses] == [True, False]


def test_a_label_that_is_empty_is_that_of_the_main_shard() -> None:
    body = manifest()
    body["metadata"]["labels"] = {SHARD_LABEL: ""}

    assert read_claim(body, _anything).shard == read_claim(manifest(), _anything).shard == ""


def test_all_that_a_resource_says_of_the_shards_is_read() -> None:
    body = manifest()
    body["metadata"] |= {"creationTimestamp": "2026-02-01T00:00:00Z", "labels": {SHARD_LABEL: "a"}}
    body["status"] = _ready("Progressing", shard="b", lastRun={"startedAt": "2026-03-01T00:00:00Z"})
    asked: list[tuple[str, str]] = []

    def allows(namespace: str, named: str) -> bool:
        asked.append((namespace, named))
        return True

    claim = read_claim(body, allows)

    assert claim == Claim(
        ResourceKey("asr", "dr"),
        "uid-dr",
        datetime(2026, 2, 1, tzinfo=UTC),
        shard="a",
        subscription=VAULT.subscription.lower(),
        in_hands_of="b",
        is_busy=True,
    )
    assert asked == [("asr", VAULT_ID)]


@pytest.mark.parametrize(
    "more", [{}, {"spec": None, "status": None}, {"spec": {"vaultResourceId": 7}, "status": {"lastRun": None}}]
)
def test_of_what_says_nothing_nothing_is_claimed(more: dict[str, Any]) -> None:
    bare = {"metadata": {"namespace": "a", "name": "b", "labels": None}} | more

    assert read_claim(bare, _anything) == Claim(ResourceKey("a", "b"), "", LONG_AGO, "", "", None)


def test_what_a_resource_names_and_when_it_was_made_is_read_once_and_of_another_one_anew() -> None:
    before = Claim(ResourceKey("asr", "dr"), "uid-dr", LONG_AGO, "x", "sub", "x", is_busy=True)
    body = manifest()
    body["metadata"]["creationTimestamp"] = "2026-02-01T00:00:00Z"

    def read(known: Claim) -> tuple[object, ...]:
        found = read_claim(body, _anything, known)
        return found.created_at, found.subscription, found.shard, found.in_hands_of, found.is_busy

    anew = datetime(2026, 2, 1, tzinfo=UTC), VAULT.subscription.lower(), "", None, False
    assert read(before) == (LONG_AGO, "sub", "", None, False)
    assert read(replace(before, uid="another")) == anew
    assert read(replace(before, subscription="")) == anew, "what it may name may be more by now"


def test_the_hands_are_told_by_ready_and_by_no_other_condition() -> None:
    other = {"type": "Stalled", "status": "True", "reason": "SubscriptionInOtherShard"}
    ready = {"type": "Ready", "status": "False", "reason": "Progressing"}

    assert in_hands_of({"conditions": [other], "shard": "a"}) is None
    assert in_hands_of({"conditions": [other, ready], "shard": "a"}) == "a"
    assert in_hands_of({"conditions": None, "shard": "a"}) is None
