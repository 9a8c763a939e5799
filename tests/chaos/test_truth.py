"""Claims to be Ready: a wrong one is found."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.chaos.accounting import DriftFact, Goal, JobFact, MappingFact, Setting
from tests.chaos.history import Version
from tests.chaos.truth import SLACK, Claim, Declaration, check_claims, claims_of

ON, OFF = Goal("Enabled", "/account"), Goal("Disabled")
MAPPING = MappingFact("m", 0, Setting(), "/account", jobs=(JobFact("j", 10, 20, True, ON),))


def _version(number: int, at: float, ready: str, observed: int, *, gap: bool = False) -> Version:
    conditions = [{"type": "Ready", "status": ready}]
    status: dict[str, Any] = {"observedGeneration": observed, "conditions": conditions, "number": number}
    return Version({"metadata": {"name": "dr", "uid": "u"}, "status": status}, at, gap=gap)


def test_a_claim_reaches_back_to_its_generation_or_to_the_status_before_it() -> None:
    declarations = [Declaration(1, 100, ON), Declaration(2, 900, OFF)]
    history = [_version(1, 110, "False", 1), _version(2, 500, "True", 1), _version(3, 1000, "True", 2)]

    assert claims_of(history, declarations) == [Claim("dr", ON, 100, 500), Claim("dr", OFF, 900, 1000)]
    assert claims_of([_version(1, 400, "False", 1), history[1]], declarations) == [Claim("dr", ON, 400 - SLACK, 500)]
    missed = [_version(1, 400, "False", 1), replace(history[1], gap=True)]
    assert claims_of(missed, declarations) == [Claim("dr", ON, 100, 500)]
    assert claims_of([history[1], replace(history[1], at=700)], declarations) == [Claim("dr", ON, 100, 500)], (
        "a version that changes something else than the status claims nothing"
    )


def test_a_claim_is_wrong_if_a_mapping_was_not_right_at_any_moment_that_it_may_be_about() -> None:
    assert check_claims([Claim("dr", ON, 5, 21)], [MAPPING]) == []
    (problem,) = check_claims([Claim("dr", ON, 5, 19)], [MAPPING])
    assert "dr said at 19.0 that it was Ready" in problem
    assert check_claims([Claim("dr", OFF, 21, 30)], [MAPPING]) != []


def test_a_drift_after_the_look_does_not_make_a_claim_wrong_but_one_before_it_does() -> None:
    drifting = replace(MAPPING, drifts=(DriftFact(25, 25.1, "disable"),))

    assert check_claims([Claim("dr", ON, 22, 30)], [drifting]) == []
    assert check_claims([Claim("dr", ON, 26, 30)], [drifting]) != []


def test_mappings_that_come_and_go_are_left_out() -> None:
    assert check_claims([Claim("dr", ON, 5, 19)], [replace(MAPPING, always_in_scope=False)]) == []
    assert check_claims([Claim("dr", ON, 5, 19)], [replace(MAPPING, since=6)]) == []
