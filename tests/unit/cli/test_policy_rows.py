"""Policies as rows of ``vault-autoupdate status``."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from vault_autoupdate.cli.policy_rows import policy_rows
from vault_autoupdate.cli.status_table import policy_table
from workbench.kube.resources import policy_manifest

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def _policy(name: str, ready: str, reason: str, **status: Any) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": ready, "reason": reason, "message": f"what {reason} says"}]
    conditions += [
        {"type": kind, "status": "True", "reason": "X", "message": f"what to do about {kind}"}
        for kind in status.pop("holds", ())
    ]
    return policy_manifest(name, namespace="platform") | {"status": {"conditions": conditions, **status}}


def test_those_that_wait_for_somebody_come_first_and_say_what_for() -> None:
    rows = policy_rows(
        [
            _policy("covered", "True", "Covered"),
            _policy("off", "Unknown", "Suspended"),
            _policy("on-its-way", "False", "Uncovered"),
            _policy("shrunk", "False", "Uncovered", holds=["RemovalsBlocked"]),
            _policy("orphans", "True", "Covered", vaults={"orphaned": 2}),
            _policy("paused", "False", "Uncovered", holds=["RolloutPaused"]),
            _policy("wrong", "False", "InvalidSpec", holds=["Stalled"]),
        ]
    )

    assert [row.name for row in rows] == ["paused", "shrunk", "wrong", "on-its-way", "off", "orphans", "covered"]
    assert [row.action for row in rows[:4]] == [
        "what to do about RolloutPaused",
        "what to do about RemovalsBlocked",
        "what to do about Stalled",
        "what Uncovered says",
    ]


def test_a_policy_that_nobody_has_looked_at_says_so() -> None:
    (row,) = policy_rows([policy_manifest("estate")])

    assert (row.mode, row.coverage, row.ready) == ("Audit", "", "Unknown")
    assert row.action == "Not looked at yet: does the operator work on policies?"


def test_the_table_has_a_line_for_each_with_what_is_covered_and_what_is_not() -> None:
    document = _policy(
        "estate",
        "False",
        "Uncovered",
        coverage="4812/4903",
        vaults={"notReady": 3, "orphaned": 2},
        discovery={"subscriptions": {"unreachable": 1}},
    )
    console = Console(file=io.StringIO(), width=200)

    console.print(policy_table(policy_rows([document]), NOW))

    head, line = console.file.getvalue().splitlines()[:2]  # type: ignore[attr-defined]  # it is the StringIO above
    assert head.split()[:3] == ["POLICY", "MODE", "COVERED"]
    assert line.split()[:7] == ["platform/estate", "Audit", "4812/4903", "3", "2", "1", "Uncovered"]


def test_whatever_stands_in_a_status_is_shown_as_far_as_it_can_be() -> None:
    document = policy_manifest("estate") | {"status": {"conditions": [7], "vaults": [], "coverage": 5, "discovery": ""}}

    (row,) = policy_rows([document])

    assert (row.orphaned, row.unreachable, row.coverage) == (0, 0, "5")
