"""What is said about those who changed what was as declared: never more than the log has."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from tests.unit.builders import HOUR, MINUTE, NOW, VAULT, mapping_id_of
from tests.unit.schema import STATUS, violations
from tests.unit.strategies import DRIFTS
from vault_autoupdate.decide.attribution import Change, Drift, changed
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.report.drift import drift_event, drift_fields, restore_drift, sentence_of

DRIFT = changed(NOW, NOW - HOUR, [(mapping_id_of("alpha"), "auto-update is Disabled, declared Enabled")])
ANN = Change(NOW - MINUTE, "a/b/write", "c-1", caller="ann@example.com", object_id="o-1", application_id="a-1")


def fields(drift: Drift) -> dict[str, Any]:
    found: dict[str, Any] = drift_fields(drift)["lastDrift"]
    return found


def test_whoever_is_named_is_named_with_time_operation_and_correlation_id() -> None:
    assert sentence_of(DRIFT.looked([ANN]).mappings[0]) == (
        "eastus/east-container/alpha was changed by ann@example.com with application a-1 at 2026-03-01T11:59:00Z "
        "(a/b/write, correlation id c-1): auto-update is Disabled, declared Enabled."
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (replace(ANN, caller=""), "changed by object id o-1 with application a-1 at"),
        (replace(ANN, caller="a-1"), "changed by a-1 at"),
        (replace(ANN, caller="", object_id="", application_id=""), "changed by somebody whom the log does not name at"),
        (replace(ANN, others=2), "correlation id c-1, after 2 changes by others)"),
    ],
)
def test_what_the_log_lacks_is_not_made_up(change: Change, words: str) -> None:
    assert words in sentence_of(DRIFT.looked([change]).mappings[0])


def test_without_a_name_the_status_says_why() -> None:
    assert "up to 20 minutes late" in fields(DRIFT)["message"]
    assert "shows no change by others" in fields(replace(DRIFT, looks=4))["message"]
    refused = DRIFT.not_looked(Explanation("X", "It is refused.", recommended_action="Grant it."), will_pass=False)
    assert fields(refused)["message"] == "Who it was cannot be learned: It is refused. Grant it."


def test_of_many_the_number_is_told() -> None:
    many = changed(NOW, NOW - HOUR, [(mapping_id_of(f"m{number}"), "differs") for number in range(7)])
    assert fields(many)["message"].endswith("7 mappings in all.")
    assert (fields(many)["mappings"], len(fields(many)["changes"])) == (7, 5)


def test_no_drift_is_no_field() -> None:
    assert drift_fields(None) == {}


@given(DRIFTS)
def test_whatever_is_known_the_api_server_takes_it(drift: Drift) -> None:
    assert list(violations(drift_fields(drift), STATUS)) == []


@given(DRIFTS)
def test_what_was_written_is_written_again_after_a_restart(drift: Drift) -> None:
    """As far as it can be read; mappings of another vault are not taken over."""
    once = restore_drift(drift_fields(drift), VAULT, NOW)
    assert once is not None
    again = restore_drift(drift_fields(once), VAULT, NOW)
    assert again is not None
    assert drift_fields(again) == drift_fields(once)


def test_all_that_was_written_comes_back_after_a_restart() -> None:
    written = fields(DRIFT.looked([replace(ANN, others=2)]))
    restored = restore_drift({"lastDrift": written}, VAULT, NOW)

    assert restored is not None
    assert restored.mappings == DRIFT.looked([replace(ANN, others=2)]).mappings
    assert fields(restored) == written
    assert written["asDeclaredAt"] == "2026-03-01T11:00:00Z"


@pytest.mark.parametrize("found", [None, 1, {}, {"foundAt": "never"}, {"foundAt": 1}])
def test_what_cannot_be_read_is_as_good_as_nothing(found: Any) -> None:
    assert restore_drift({"lastDrift": found}, VAULT, NOW) is None


def test_a_mapping_of_another_vault_is_not_asked_about() -> None:
    written = fields(DRIFT)
    written["changes"][0]["mapping"] = "a/../b"
    restored = restore_drift({"lastDrift": written}, VAULT, NOW)
    assert restored is not None
    assert restored.mappings == ()


def test_an_event_tells_who_it_was_once() -> None:
    waiting, named = drift_fields(DRIFT), drift_fields(DRIFT.looked([ANN]))
    assert drift_event({}, waiting) is None
    told = drift_event(waiting, named)
    assert told is not None
    assert (told.reason, told.is_warning) == ("DriftAttributed", True)
    assert "ann@example.com" in told.message
    assert drift_event(named, named) is None
    assert drift_event(named, {}) is None


def test_an_event_tells_that_nobody_can_be_named() -> None:
    told = drift_event(drift_fields(DRIFT), drift_fields(replace(DRIFT, looks=4)))
    assert told is not None
    assert (told.reason, told.is_warning) == ("DriftNotAttributed", False)
