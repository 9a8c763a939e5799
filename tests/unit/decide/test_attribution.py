"""Who has changed what was as declared: the last foreign call that took effect between two looks, or nobody."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import MINUTE, NOW, mapping_id_of
from vault_autoupdate.decide.attribution import Change, Drift, Standing, change_by, changed
from vault_autoupdate.model.activity import ActivityEntry
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.model.resource import DriftAttribution

MAPPING = mapping_id_of("alpha")
WRITE = (
    "Microsoft.RecoveryServices/vaults/replicationFabrics/replicationProtectionContainers"
    "/replicationProtectionContainerMappings/write"
)
DRIFT = changed(NOW, NOW - 60 * MINUTE, [(MAPPING, "auto-update is Disabled, declared Enabled")], run_before="")
OWN = "run/own"


def entry(status: str = "Succeeded", *, ago: timedelta = 10 * MINUTE, call: str = "c1", **fields: Any) -> ActivityEntry:
    given: dict[str, Any] = {
        "id": f"{call} {status} {ago}",
        "operation": WRITE,
        "status": status,
        "resource_id": MAPPING,
        "at": NOW - ago,
        "correlation_id": call,
        "request_id": "theirs",
        "caller": "ann@example.com",
        "object_id": "o-1",
        "application_id": "a-1",
    }
    return ActivityEntry(**(given | fields))


def found(*entries: ActivityEntry, attribution: DriftAttribution = DriftAttribution.CALLER) -> Change | None:
    return change_by(entries, MAPPING, DRIFT, is_own=lambda each: each.request_id == OWN, attribution=attribution)


def test_a_call_in_between_is_told_with_who_when_what_and_its_correlation_id() -> None:
    call = (entry("Started", ago=12 * MINUTE), entry("Accepted", ago=12 * MINUTE), entry("Succeeded", ago=10 * MINUTE))
    assert found(*call) == Change(
        NOW - 12 * MINUTE, WRITE, "c1", caller="ann@example.com", object_id="o-1", application_id="a-1"
    )


@pytest.mark.parametrize(
    "entries",
    [
        (),
        (entry("Started"),),
        (entry("Accepted"), entry("Failed")),
        (entry(request_id=OWN),),
        (entry("Accepted", request_id=""), entry(request_id=OWN)),
        (entry(ago=61 * MINUTE),),
        (entry(ago=-MINUTE),),
        (entry(resource_id=mapping_id_of("beta")),),
        (entry(resource_id=f"{MAPPING}/operationresults/x"),),
    ],
    ids=["none", "only begun", "failed", "ours", "ours in part", "before", "after", "another's", "below it"],
)
def test_whatever_else_there_is_nobody_is_named(entries: tuple[ActivityEntry, ...]) -> None:
    assert found(*entries) is None


def test_of_several_the_last_to_take_effect_is_told_and_how_many_others_there_were() -> None:
    change = found(entry(ago=30 * MINUTE, call="c1"), entry(ago=5 * MINUTE, call="c2", caller="bob@example.com"))
    assert change is not None
    assert (change.caller, change.others) == ("bob@example.com", 1)


def test_a_call_from_before_the_last_look_whose_job_ended_after_it_counts() -> None:
    change = found(entry("Accepted", ago=61 * MINUTE), entry("Succeeded", ago=59 * MINUTE))
    assert change is not None
    assert change.at == NOW - 61 * MINUTE, "when it was asked for"


def test_the_id_of_the_mapping_may_have_any_letter_case() -> None:
    assert found(entry(resource_id=MAPPING.upper())) is not None


def test_the_object_id_alone_names_no_caller() -> None:
    change = found(entry(), attribution=DriftAttribution.OBJECT_ID)
    assert change is not None
    assert (change.caller, change.object_id, change.application_id) == ("", "o-1", "a-1")


ENTRIES = st.builds(
    entry,
    st.sampled_from(["Started", "Accepted", "Succeeded", "Failed", "Other"]),
    ago=st.integers(-90, 90).map(lambda minutes: minutes * MINUTE),
    call=st.sampled_from(["c1", "c2", "c3", ""]),
    request_id=st.sampled_from([OWN, "theirs", ""]),
    caller=st.sampled_from(["ann", "bob", ""]),
    resource_id=st.sampled_from([MAPPING, MAPPING.upper(), mapping_id_of("beta")]),
)


@given(st.lists(ENTRIES, max_size=8), st.randoms(use_true_random=False))
def test_order_and_doubles_do_not_matter_and_whoever_is_named_has_a_call_in_between(
    entries: list[ActivityEntry], shuffler: Any
) -> None:
    told = found(*entries)
    other = [*entries, *entries]
    shuffler.shuffle(other)
    again = found(*other)
    assert (told is None) == (again is None)
    if told is None:
        return
    call = [
        each for each in entries if each.resource_key == MAPPING.lower() and each.correlation_id == told.correlation_id
    ]
    assert any(each.is_done and NOW - 60 * MINUTE <= each.at <= NOW for each in call)
    assert not any(each.request_id == OWN for each in call if told.correlation_id)


def looks_of(drift: Drift, *changes: Change | None) -> list[timedelta]:
    """When the log is asked, with these answers."""
    asked = []
    for change in changes:
        assert drift.next_look is not None
        asked.append(drift.next_look - NOW)
        drift = drift.looked([change])
    assert drift.next_look is None
    return asked


CHANGE = Change(NOW, WRITE, "c1", caller="ann")


def test_the_log_is_asked_four_times_within_the_20_minutes_that_it_may_be_late() -> None:
    assert looks_of(DRIFT, None, None, None, None) == [timedelta(), 2 * MINUTE, 6 * MINUTE, 20 * MINUTE]


def test_once_somebody_is_named_it_is_asked_once_more_at_the_end() -> None:
    assert looks_of(DRIFT, None, CHANGE, None) == [timedelta(), 2 * MINUTE, 20 * MINUTE]


def test_what_comes_late_and_is_later_replaces_what_was_told() -> None:
    drift = DRIFT.looked([CHANGE]).looked([Change(NOW, WRITE, "c2", caller="bob")])
    assert drift.mappings[0].change is not None
    assert drift.mappings[0].change.caller == "bob"
    assert DRIFT.looked([CHANGE]).looked([None]).mappings[0].change == CHANGE, "what was there once is not forgotten"


def test_it_is_said_how_far_the_question_is() -> None:
    drift, problem = DRIFT, Explanation("AuthorizationFailed")
    assert drift.standing is Standing.WAITING
    assert drift.looked([CHANGE]).standing is Standing.NAMED
    for _ in range(4):
        drift = drift.looked([None])
    assert drift.standing is Standing.NOT_IN_LOG
    assert DRIFT.not_looked(problem, will_pass=False).standing is Standing.NOT_READABLE
    assert DRIFT.not_looked(problem, will_pass=False).next_look is None
    assert DRIFT.not_looked(problem, will_pass=True).standing is Standing.WAITING


def test_of_many_mappings_a_few_are_asked_about_and_all_are_counted() -> None:
    drift = changed(
        NOW, NOW - MINUTE, [(mapping_id_of(f"m{number}"), "differs") for number in range(100)], run_before=""
    )
    assert (drift.count, len(drift.mappings)) == (100, 5)


@pytest.mark.parametrize(
    ("after", "named", "is_over", "next_look"),
    [
        (MINUTE, False, False, timedelta()),
        (3 * MINUTE, False, False, 2 * MINUTE),
        (60 * MINUTE, False, False, 20 * MINUTE),
        (60 * MINUTE, False, True, None),
        (60 * MINUTE, True, False, None),
    ],
)
def test_after_a_restart_only_what_is_open_is_asked_again(
    after: timedelta, named: bool, is_over: bool, next_look: timedelta | None
) -> None:
    drift = DRIFT.looked([CHANGE]) if named else DRIFT
    resumed = drift.resumed(NOW + after, is_over=is_over)
    assert resumed.next_look == (None if next_look is None else NOW + next_look)


def test_who_switches_it_off_or_wants_ids_only_gets_the_name_out_of_the_status() -> None:
    drift = DRIFT.looked([CHANGE])
    assert drift.as_wanted(DriftAttribution.DISABLED) is None
    assert drift.as_wanted(DriftAttribution.CALLER) == drift
    without = drift.as_wanted(DriftAttribution.OBJECT_ID)
    assert without is not None
    assert without.mappings[0].change is not None
    assert without.mappings[0].change.caller == ""


def test_what_one_entry_of_a_call_lacks_another_one_tells() -> None:
    nobody: dict[str, Any] = {"caller": "", "object_id": "", "application_id": ""}
    by_id = nobody | {"object_id": "o-1"}

    assert found(entry("Accepted", ago=12 * MINUTE, **nobody), entry(ago=10 * MINUTE)) == Change(
        NOW - 12 * MINUTE, WRITE, "c1", "ann@example.com", "o-1", "a-1"
    )
    assert found(entry("Accepted", ago=12 * MINUTE, **nobody), entry(ago=10 * MINUTE, **by_id)) == Change(
        NOW - 12 * MINUTE, WRITE, "c1", object_id="o-1"
    )
    assert found(entry(**nobody)) == Change(NOW - 10 * MINUTE, WRITE, "c1")


@pytest.mark.parametrize("ago", [timedelta(), 60 * MINUTE])
def test_a_change_at_the_very_moment_of_a_look_lies_between_the_two(ago: timedelta) -> None:
    assert found(entry(ago=ago)) is not None


def test_a_call_is_known_by_its_correlation_id_in_any_letter_case_and_without_one_each_entry_is_a_call() -> None:
    assert found(entry("Accepted", call="C1"), entry("Failed", call="c1")) is None
    alone = entry("Accepted", call="", id="1", ago=9 * MINUTE), entry("Failed", call="", id="2")
    assert found(*alone) == Change(NOW - 9 * MINUTE, WRITE, "", "ann@example.com", "o-1", "a-1")


def test_all_other_calls_in_that_time_are_counted() -> None:
    calls = [entry(call=f"c{number}", ago=number * MINUTE) for number in range(1, 5)]
    assert found(*calls) == Change(NOW - MINUTE, WRITE, "c1", "ann@example.com", "o-1", "a-1", others=3)


def test_where_it_is_not_known_since_when_nobody_is_named_and_nobody_asked() -> None:
    drift = replace(DRIFT, since=None)

    assert change_by([entry()], MAPPING, drift, is_own=lambda _: False, attribution=DriftAttribution.CALLER) is None
    assert (drift.next_look, drift.standing) == (None, Standing.NOT_IN_LOG)


def test_a_look_that_failed_is_one_look_less_and_a_problem_that_passes_is_not_kept() -> None:
    problem = Explanation("AuthorizationFailed")

    assert DRIFT.not_looked(problem, will_pass=True) == replace(DRIFT, looks=1)
    assert DRIFT.not_looked(problem, will_pass=False) == replace(DRIFT, looks=1, problem=problem)


def test_once_all_are_named_only_the_last_look_is_left_and_of_some_all() -> None:
    two = changed(NOW, NOW - MINUTE, [(mapping_id_of(name), "differs") for name in "ab"], run_before="r")

    assert (two.run_before, two.looked([CHANGE, CHANGE]).looks, two.looked([CHANGE, None]).looks) == ("r", 3, 1)
    assert replace(two, looks=3).looked([CHANGE, CHANGE]).looks == 4
    assert two.looked([None, CHANGE]).standing is Standing.NAMED


@pytest.mark.parametrize(
    ("after", "named", "looks"),
    [(0, False, 0), (2, False, 1), (6, False, 2), (19, True, 2), (20, False, 3), (20, True, 4), (-5, False, 0)],
)
def test_after_a_restart_one_look_of_those_that_are_over_is_made_once_more(
    after: int, looks: int, *, named: bool
) -> None:
    drift = DRIFT.looked([CHANGE]) if named else DRIFT
    assert drift.resumed(NOW + after * MINUTE, is_over=False).looks == looks


@pytest.mark.parametrize("answers", [0, 2])
def test_each_mapping_needs_an_answer_of_its_own(answers: int) -> None:
    with pytest.raises(ValueError, match="argument 2 is"):
        DRIFT.looked([None] * answers)


def test_of_whom_only_the_id_is_wanted_all_but_the_name_stays() -> None:
    two = changed(NOW, NOW - MINUTE, [(mapping_id_of(name), "differs") for name in "ab"], run_before="")
    by_id = replace(CHANGE, caller="", object_id="o-1")

    assert two.looked([None, CHANGE]).as_wanted(DriftAttribution.OBJECT_ID) == two.looked(
        [None, replace(CHANGE, caller="")]
    )
    assert two.looked([None, by_id]).as_wanted(DriftAttribution.OBJECT_ID) == two.looked([None, by_id])
