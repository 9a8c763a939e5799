"""The accounting of PATCHes can fail: each way to do too much is found, and what has a cause passes."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from tests.chaos.accounting import (
    DriftFact,
    Goal,
    JobFact,
    MappingFact,
    RefusalFact,
    Setting,
    Wish,
    causes,
    check_mapping,
    check_refusals,
    final_setting,
    most_in_window,
)

ACCOUNT = "/account"
ON = Goal("Enabled", ACCOUNT)
OFF = Goal("Disabled")
RIGHT = Setting("Enabled", ACCOUNT, "SystemAssignedIdentity")


def _job(start: float, end: float, wanted: Goal = ON, *, succeeded: bool = True, lost: bool = False) -> JobFact:
    return JobFact(f"job-{start:g}", start, end, succeeded, wanted, answer_lost=lost)


def _mapping(
    *jobs: JobFact,
    first: Setting | None = None,
    drifts: tuple[DriftFact, ...] = (),
    wishes: tuple[Wish, ...] = (Wish(0, ON),),
) -> MappingFact:
    return MappingFact("m", 0, first or Setting(), ACCOUNT, "/strange", jobs, drifts, wishes)


def _drift(at: float, change: str) -> DriftFact:
    return DriftFact(at, at + 0.1, change)


JUSTIFIED = {
    "a wish": _mapping(_job(1, 2)),
    "nothing to do, nothing done": _mapping(first=RIGHT),
    "drift": _mapping(_job(6, 7), first=RIGHT, drifts=(_drift(5, "disable"),)),
    "drift while a job runs, which undoes it": _mapping(_job(1, 9), drifts=(_drift(5, "run_as"),)),
    "drift right after a job": _mapping(_job(1, 4), _job(6, 7), drifts=(_drift(5, "other_account"),)),
    "a health error": _mapping(_job(6, 7), first=RIGHT, drifts=(_drift(5, "health_error"),)),
    "a job that failed": _mapping(_job(1, 2, succeeded=False), _job(3, 4)),
    "a job that never ends": _mapping(_job(1, math.inf, succeeded=False)),
    "an edit there and back": _mapping(
        _job(1, 2), _job(6, 7, OFF), _job(11, 12), wishes=(Wish(0, ON), Wish(5, OFF), Wish(10, ON))
    ),
    "an answer that was lost": _mapping(_job(1, 2, lost=True), _job(3, 4)),
    "a job that cannot be placed any more": _mapping(replace(_job(1, 2), unplaceable=True), _job(3, 4)),
    "a wish of the past that comes late": _mapping(_job(6, 7), wishes=(Wish(0, ON), Wish(5, OFF))),
    "drift to Disabled where Disabled is wished, in the middle of the change": _mapping(
        _job(6, 7, OFF), first=RIGHT, drifts=(_drift(5, "disable"),), wishes=(Wish(0, OFF),)
    ),
}
NOT_JUSTIFIED = {
    "a second PATCH after success": (_mapping(_job(1, 2), _job(3, 4)), "as wanted since 2.0"),
    "more PATCHes than causes": (_mapping(_job(1, 2), _job(3, 4)), "2 PATCHes for 1 causes"),
    "a PATCH of what was right from the start": (_mapping(_job(1, 2), first=RIGHT), "as wanted since 0.0"),
    "a PATCH to Disabled of what is Disabled": (
        _mapping(_job(1, 2, OFF), wishes=(Wish(0, OFF),)), "as wanted since 0.0"
    ),
    "a PATCH that the drift before the last job explains, and nothing since": (
        _mapping(_job(1, 2), _job(6, 7), _job(9, 10), drifts=(_drift(5, "disable"), _drift(5.5, "run_as"))),
        "PATCHed at 9.0 although it was as wanted since 7.0",
    ),
    "a PATCH while a job of ours runs": (
        _mapping(_job(1, 9), _job(3, 4), drifts=(_drift(2, "disable"),)), "while job-1 was running"
    ),
    "a PATCH of something nobody wished": (_mapping(_job(1, 2, OFF), first=RIGHT), "nobody had wished"),
    "a PATCH before the wish": (_mapping(_job(1, 2), wishes=(Wish(5, ON),)), "nobody had wished"),
    "two wishes that undo each other": (
        _mapping(*(_job(n, n + 0.5, ON if n % 2 else OFF) for n in range(5, 11)), wishes=(Wish(0, ON), Wish(1, OFF))),
        "6 PATCHes for 2 causes",
    ),
    "pairing is no cause": (
        _mapping(_job(6, 7), first=RIGHT, drifts=(_drift(1, "unpair"), _drift(5, "pair")), wishes=(Wish(0, ON),)),
        "as wanted since 0.0",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", JUSTIFIED)
def test_a_patch_with_a_cause_passes(case: str) -> None:
    assert check_mapping(JUSTIFIED[case]) == []


@pytest.mark.parametrize("case", NOT_JUSTIFIED)
def test_a_patch_without_a_cause_is_found(case: str) -> None:
    mapping, said = NOT_JUSTIFIED[case]

    problems = check_mapping(mapping)

    assert any(said in problem for problem in problems), problems


def test_a_mapping_that_appears_later_has_the_wish_of_that_time_as_its_cause() -> None:
    wishes = (Wish(0, ON), Wish(1, OFF), Wish(2, ON), Wish(9, None), Wish(10, ON))
    assert causes(replace(_mapping(wishes=wishes), since=5)) == 1
    assert causes(_mapping(wishes=wishes)) == 3
    assert causes(_mapping(wishes=(Wish(0, None),))) == 0


def test_the_replay_tells_what_a_mapping_has_become() -> None:
    assert final_setting(_mapping(_job(1, 2))) == RIGHT
    assert final_setting(_mapping(_job(1, 2, succeeded=False))) == Setting()
    ill = _mapping(first=RIGHT, drifts=(_drift(1, "health_error"), _drift(2, "disable"), _drift(3, "other_account")))
    assert final_setting(ill) == Setting("Enabled", "/strange", "SystemAssignedIdentity", ailing=True)
    assert final_setting(_mapping(first=RIGHT, drifts=(_drift(1, "run_as"),))) == replace(
        RIGHT, authentication="RunAsAccount"
    )
    assert final_setting(_mapping(_job(1, 5), drifts=(DriftFact(4.9, 5.1, "disable"),))) is None, "either may be last"


REFUSED = RefusalFact("m", 10, _job(1, 99), job_timeout=1000)


@pytest.mark.parametrize(
    ("refusal", "excused"),
    [
        (REFUSED, False),
        (replace(REFUSED, job_timeout=9), True),
        (replace(REFUSED, job=_job(1, 99, lost=True)), False),
        (replace(REFUSED, job=replace(_job(1, 99), unplaceable=True)), True),
    ],
)
def test_a_patch_while_a_job_runs_is_wrong_unless_it_could_not_be_known(refusal: RefusalFact, excused: bool) -> None:
    assert bool(check_refusals([refusal])) is not excused


def test_the_most_in_any_window_is_counted_as_the_server_counts() -> None:
    assert most_in_window([], 60) == 0
    assert most_in_window([0, 60], 60) == 1, "one exactly that old has left the window"
    assert most_in_window([59.9, 0, 100], 60) == 2
    assert most_in_window([0, 1, 2, 61, 61.5, 61.9, 62.5], 60) == 4
