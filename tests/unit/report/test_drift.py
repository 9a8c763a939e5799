"""What is said about those who changed what was as declared: never more than the log has."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from tests.unit.builders import HOUR, MINUTE, NOW, VAULT, mapping_id_of
from tests.unit.schema import STATUS, violations
from tests.unit.strategies import DRIFTS
from vault_autoupdate.decide.attribution import Change, ChangedMapping, Drift, changed
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.report.drift import drift_event, drift_fields, restore_drift, sentence_of
from vault_autoupdate.report.readiness import Readiness

DRIFT = changed(NOW, NOW - HOUR, [(mapping_id_of("alpha"), "auto-update is Disabled, declared Enabled")], run_before="")
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


def test_a_mapping_that_the_log_does_not_show_is_named_all_the_same() -> None:
    assert sentence_of(DRIFT.mappings[0]) == (
        "The activity log does not show who changed eastus/east-container/alpha: auto-update is Disabled, declared "
        "Enabled."
    )


_REFUSED = Explanation("X", "It is refused.", recommended_action="Grant it.")


@pytest.mark.parametrize(
    ("drift", "attribution", "message"),
    [
        (DRIFT, "Waiting", "The activity log does not show yet who it was; it is up to 20 minutes late."),
        (
            replace(DRIFT, looks=4),
            "NotInLog",
            (
                "The activity log shows no change by others in that time. What Site Recovery changes by itself is not "
                "in it, and entries may be missing."
            ),
        ),
        (
            DRIFT.not_looked(_REFUSED, will_pass=False),
            "NotReadable",
            "Who it was cannot be learned: It is refused. Grant it.",
        ),
        (DRIFT.not_looked(Explanation(), will_pass=False), "NotReadable", "Who it was cannot be learned:"),
    ],
)
def test_without_a_name_the_status_says_why(drift: Drift, attribution: str, message: str) -> None:
    assert fields(drift) == {
        "asDeclaredAt": "2026-03-01T11:00:00Z",
        "foundAt": "2026-03-01T12:00:00Z",
        "mappings": 1,
        "attribution": attribution,
        "message": message,
        "changes": [
            {"mapping": "eastus/east-container/alpha", "found": "auto-update is Disabled, declared Enabled"},
        ],
    }


def test_the_status_has_all_that_the_log_says_of_a_change_and_nothing_that_it_does_not() -> None:
    every = {
        "mapping": "eastus/east-container/alpha",
        "found": "auto-update is Disabled, declared Enabled",
        "changedAt": "2026-03-01T11:59:00Z",
        "caller": "ann@example.com",
        "objectId": "o-1",
        "applicationId": "a-1",
        "operation": "a/b/write",
        "correlationId": "c-1",
        "otherChanges": 2,
    }
    bare = Change(NOW, "", "")

    assert fields(DRIFT.looked([replace(ANN, others=2)]))["changes"] == [every]
    assert fields(DRIFT.looked([bare]))["changes"] == [
        {"mapping": every["mapping"], "found": every["found"], "changedAt": "2026-03-01T12:00:00Z"}
    ]


def test_where_it_is_not_known_since_when_nothing_is_said_of_it() -> None:
    assert "asDeclaredAt" not in fields(replace(DRIFT, since=None))


def test_texts_of_others_are_cut_to_what_the_status_holds() -> None:
    long = "x" * 2000
    mapping = ChangedMapping(mapping_id_of(long), long, Change(NOW, long, long, long, long, long))
    told = fields(replace(DRIFT, count=7, mappings=(mapping,)))
    [change] = told["changes"]

    assert {name: len(change[name].encode()) for name in change if name not in {"changedAt", "otherChanges"}} == {
        "mapping": 400, "found": 400, "caller": 256, "objectId": 64, "applicationId": 64, "operation": 256,
        "correlationId": 64,
    }  # fmt: skip
    assert len(told["message"].encode()) == 1000
    assert told["message"].endswith("… 7 mappings in all.")


def test_of_many_the_number_is_told_and_of_them_the_first_that_somebody_is_named_for() -> None:
    many = changed(NOW, NOW - HOUR, [(mapping_id_of(f"m{number}"), "differs") for number in range(7)], run_before="")

    assert fields(many)["message"] == (
        "The activity log does not show yet who it was; it is up to 20 minutes late. 7 mappings in all."
    )
    assert (fields(many)["mappings"], len(fields(many)["changes"])) == (7, 5)
    named = many.looked([None, ANN, replace(ANN, caller="bob@example.com"), None, None])
    assert fields(named)["message"].startswith("eastus/east-container/m1 was changed by ann@example.com ")
    assert "in all" not in fields(replace(DRIFT, count=1))["message"]


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


_LATER = NOW + 7 * MINUTE


@pytest.mark.parametrize(
    ("drift", "restored"),
    [
        (DRIFT, replace(DRIFT, looks=2)),
        (replace(DRIFT, looks=4), replace(DRIFT, looks=4)),
        (replace(DRIFT, since=None, count=9), replace(DRIFT, since=None, count=9, looks=4)),
        (
            replace(DRIFT.not_looked(_REFUSED, will_pass=False), count=3),
            replace(DRIFT, count=3, problem=Explanation(message="It is refused. Grant it.")),
        ),
    ],
)
def test_a_restart_goes_on_asking_where_it_was_not_over(drift: Drift, restored: Drift) -> None:
    assert restore_drift(drift_fields(drift), VAULT, _LATER) == restored


def test_what_lies_ahead_after_a_restart_was_found_now() -> None:
    restored = restore_drift(drift_fields(DRIFT), VAULT, NOW - HOUR)

    assert restored is not None
    assert restored.found_at == NOW - HOUR


def test_of_a_status_no_more_is_taken_over_than_one_has_and_no_fewer_are_counted() -> None:
    written = {"foundAt": "2026-03-01T12:00:00Z", "mappings": 1}
    entries = [{"mapping": f"f/c/m{number}", "found": "x", "changedAt": "never"} for number in range(7)]
    restored = restore_drift({"lastDrift": written | {"changes": entries}}, VAULT, NOW)

    assert restored is not None
    assert (restored.count, [each.path for each in restored.mappings]) == (5, [f"f/c/m{number}" for number in range(5)])
    assert [each.change for each in restored.mappings] == [None] * 5
    assert [each.found for each in restored.mappings] == ["x"] * 5


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
    told = Readiness("False", "DriftAttributed", fields(DRIFT.looked([ANN]))["message"])

    assert drift_event({}, waiting) is None
    assert drift_event({}, named) == drift_event(waiting, named) == told
    assert told.is_warning
    assert drift_event(named, named) is None
    assert drift_event(named, {}) is None


def test_an_event_tells_what_has_become_known_since() -> None:
    ann, bob = (drift_fields(DRIFT.looked([replace(ANN, caller=who)])) for who in ("ann", "bob"))
    nobody = drift_fields(replace(DRIFT, looks=4))

    assert drift_event(ann, bob) == Readiness("False", "DriftAttributed", bob["lastDrift"]["message"])
    assert drift_event(ann, nobody) == Readiness("True", "DriftNotAttributed", nobody["lastDrift"]["message"])
    same_words = {"lastDrift": nobody["lastDrift"] | {"attribution": "NotReadable"}}
    assert drift_event(nobody, same_words) is not None


def test_an_event_tells_that_nobody_can_be_named() -> None:
    nobody = drift_fields(replace(DRIFT, looks=4))
    told = drift_event(drift_fields(DRIFT), nobody)

    assert told == Readiness("True", "DriftNotAttributed", nobody["lastDrift"]["message"])
    assert not told.is_warning
