"""What a resource says about the shards."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.builders import VAULT_ID, manifest
from vault_autoupdate.decide.tenancy import parse_vault_scopes
from vault_autoupdate.model.arm_id import parse_vault_id
from vault_autoupdate.model.resource import SHARD_LABEL
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
