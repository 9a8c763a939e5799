"""Events: of transitions only, aggregated, with the reason of the condition, and never one for each mapping."""

from __future__ import annotations

from typing import Any, Final

import pytest

from workbench.prometheus.monitored import Monitored

_NORMAL: Final = {"Progressing", "Compliant", "RunbookScheduleMoved"}


def events_of(scenario: Monitored) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = scenario.api.rest.request("GET", "/apis/events.k8s.io/v1/namespaces/default/events")[
        "items"
    ]
    return items


@pytest.mark.parametrize(("name", "most"), [("dr-weu", 16), ("unwell", 4), ("forbidden", 4), ("left-behind", 4)])
def test_the_scenario_gives_few_events_of_each_resource(scenario: Monitored, name: str, most: int) -> None:
    mine = [event for event in events_of(scenario) if event["regarding"]["name"] == name]
    assert 1 <= len(mine) <= most, [(event["reason"], event["note"]) for event in mine]


def test_every_event_has_a_reason_that_the_condition_had_and_names_its_resource(scenario: Monitored) -> None:
    events = events_of(scenario)
    reasons = {event["reason"] for event in events}
    assert {"Progressing", "Compliant", "MappingsFailed", "AuthorizationFailed"} <= reasons
    for event in events:
        assert event["type"] == ("Normal" if event["reason"] in _NORMAL else "Warning"), event["reason"]
        assert event["reportingController"] == "asr.vault-autoupdate.io/vault-autoupdate"
        assert event["regarding"]["kind"] == "VaultAutoUpdate"
        assert event["regarding"]["uid"]
        assert event["note"]
