"""The log of a whole scenario, at its most talkative: a line for each decision, with who and what, and no secret."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import pytest

from workbench.prometheus.monitored import Monitored

SECRETS: Final = {
    "a bearer token": re.compile(r"bearer\s+[\w.~+/-]{8,}", re.IGNORECASE),
    "a JSON web token": re.compile(r"\beyJ[\w-]{10,}"),
    "a signed part of an operation URL": re.compile(r"[?&](t|c|s|h|sig|sv|se)=[^&\s*]"),
    "the identity header": re.compile(r"X-IDENTITY-HEADER", re.IGNORECASE),
}


@pytest.fixture
def text(scenario: Monitored) -> str:
    return scenario.operator.log.read_text()


@pytest.fixture
def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("what", SECRETS)
def test_no_secret_is_logged_at_any_level(text: str, what: str) -> None:
    assert SECRETS[what].findall(text) == []


def test_no_token_that_was_issued_is_logged_nor_served_nor_written(scenario: Monitored, text: str) -> None:
    everything = text + json.dumps(scenario.api.list()) + str(scenario.operator.metrics())
    everything += json.dumps(scenario.api.rest.request("GET", "/apis/events.k8s.io/v1/namespaces/default/events"))
    assert scenario.sim.identity_env["IDENTITY_HEADER"] not in everything
    for what, pattern in SECRETS.items():
        assert pattern.findall(everything) == [], what


def test_every_secret_that_is_looked_for_would_be_found() -> None:
    examples = {
        "a bearer token": "Authorization: Bearer abcdefghijk",
        "a JSON web token": "token eyJhbGciOiJSUzI1NiJ9",
        "a signed part of an operation URL": "https://arm/x?api-version=1&s=abc",
        "the identity header": "X-IDENTITY-HEADER: x",
    }
    for what, example in examples.items():
        assert SECRETS[what].search(example), what


def test_a_change_is_one_line_with_vault_mapping_job_run_and_client_request(
    scenario: Monitored, lines: list[dict[str, Any]]
) -> None:
    changes = [line for line in lines if line["message"].startswith("changing ")]
    accepted = sum(record["accepted"] for record in scenario.sim.control.patches().values())
    assert len(changes) == accepted
    sent = {each["client_request_id"] for each in scenario.sim.control.requests(limit=20_000, method="PATCH")}
    for line in changes:
        assert {"resource", "vault", "mapping", "job", "run", "request"} <= line.keys()
        assert line["request"] in sent
        assert line["request"].startswith(f"{line['run']}/")
        assert line["level"] == "info"


def test_a_failure_is_a_warning_with_its_reason(lines: list[dict[str, Any]]) -> None:
    failed = [line for line in lines if line["level"] == "warning" and line.get("vault") == "unwell"]
    assert any("job" in line and line.get("reason") == "failed" for line in failed)
    denied = [line for line in lines if line.get("reason") == "AuthorizationFailed" and line["level"] == "warning"]
    assert denied
    assert all("request" in line for line in denied if line["logger"] == "vault_autoupdate.reconcile.reconciler")


def test_every_transition_is_a_line(scenario: Monitored, lines: list[dict[str, Any]]) -> None:
    told = {
        line["reason"]
        for line in lines
        if line["logger"].startswith("vault_autoupdate.controller.") and "reason" in line
    }
    assert {"Progressing", "Compliant", "MappingsFailed", "AuthorizationFailed"} <= told


def test_no_line_is_of_a_library_about_its_own_doings(lines: list[dict[str, Any]]) -> None:
    others = [line for line in lines if not line["logger"].startswith("vault_autoupdate.")]
    assert len(others) <= 5, others
    assert not [line for line in lines if "exception" in line]
