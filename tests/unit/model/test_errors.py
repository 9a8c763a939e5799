"""Errors: what they say of what to do."""

from __future__ import annotations

from typing import Any

import pytest

from vault_autoupdate.model.errors import (
    ArmError,
    AzureError,
    CredentialError,
    CredentialUnusable,
    Disposition,
    NotLeading,
    Unreachable,
    UntrustedLink,
    concerns_all,
)
from vault_autoupdate.model.explanation import Explanation


def _arm(status: int, *, all_alike: bool = False) -> ArmError:
    return ArmError(status, "Code", "m", disposition=Disposition.SLOW, all_alike=all_alike)


@pytest.mark.parametrize(
    ("error", "all_of_them"),
    [
        (_arm(409), False),
        (_arm(409, all_alike=True), True),
        (_arm(299), False),
        (_arm(300), True),
        (_arm(399), True),
        (_arm(400), False),
        (CredentialError("m"), True),
        (NotLeading("m"), True),
        (UntrustedLink("m"), True),
        (Unreachable("m"), False),
    ],
)
def test_an_error_that_every_other_change_would_get_too_is_known(error: AzureError, *, all_of_them: bool) -> None:
    assert concerns_all(error) is all_of_them


@pytest.mark.parametrize(("passing", "disposition"), [(False, Disposition.SLOW), (True, Disposition.RETRY)])
def test_a_credential_that_somebody_must_mend_is_tried_slowly(*, passing: bool, disposition: Disposition) -> None:
    error = CredentialUnusable("CredentialNotFound", "It is not there.", recommended_action="Make it.", passing=passing)

    assert (error.reason, error.disposition) == ("CredentialNotFound", disposition)
    assert (error.message, error.recommended_action) == ("It is not there.", "Make it.")


def test_of_an_error_whose_causes_nobody_has_named_none_are_told() -> None:
    assert Unreachable("No answer.").explanation == Explanation(Unreachable.reason, "No answer.")


@pytest.mark.parametrize("disposition", list(Disposition))
def test_what_arm_has_answered_is_kept(disposition: Disposition) -> None:
    error = ArmError(
        404, "151130", "m", disposition=disposition, codes=("151130", "NotThere"), absent=True, retry_after=3.0
    )

    assert (error.status, error.code, error.reason, error.codes) == (404, "151130", "NotThere", ("151130", "NotThere"))
    assert (error.disposition, error.absent, error.retry_after) == (disposition, True, 3.0)
    assert (_arm(500).codes, _arm(500).absent, _arm(500).reason) == (("Code",), False, "Code")


def test_an_error_is_told_with_its_number_what_to_do_and_the_activity() -> None:
    told: dict[str, Any] = {"possible_causes": "Why.", "recommended_action": "Do it."}
    by_number = ArmError(400, "151130", "Wrong.", disposition=Disposition.SLOW, activity_id="a-1", **told)
    by_name = ArmError(400, "BadRequest", "Wrong.", disposition=Disposition.SLOW)

    assert str(by_number) == "151130: Wrong. Do it. Activity id a-1."
    assert str(by_name) == "Wrong."
    assert by_name.explanation == Explanation("BadRequest", "Wrong.")
    assert (by_name.all_alike, by_name.absent, by_name.codes) == (False, False, ("BadRequest",))
    assert by_number.explanation == Explanation("151130", "Wrong.", "Why.", "Do it.", "a-1")
    assert by_number.reason == "Http400", "a reason is a word"
    assert Unreachable("m", **told).explanation == Explanation("ArmUnreachable", "m", "Why.", "Do it.")


@pytest.mark.parametrize(("status", "alike"), [(400, False), (401, True), (403, True), (404, False), (409, False)])
def test_a_login_that_is_refused_is_refused_to_all(status: int, *, alike: bool) -> None:
    error = _arm(status)
    assert (error.all_alike, error.activity_id, error.retry_after) == (alike, "", None)


@pytest.mark.parametrize(
    ("disposition", "will_pass"),
    [(Disposition.RETRY, True), (Disposition.WAIT, True), (Disposition.SLOW, False), (Disposition.STALL, False)],
)
def test_what_will_pass_by_itself_is_tried_again_soon(disposition: Disposition, *, will_pass: bool) -> None:
    assert ArmError(500, "X", "m", disposition=disposition).will_pass is will_pass
