"""Errors: what they say of what to do."""

from __future__ import annotations

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
from vault_autoupdate.model.limits import Limit


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


@pytest.mark.parametrize("disposition", list(Disposition))
def test_what_arm_has_answered_is_kept(disposition: Disposition) -> None:
    error = ArmError(
        404, "151130", "m", disposition=disposition, codes=("151130", "NotThere"), absent=True, retry_after=3.0
    )

    assert (error.status, error.code, error.reason, error.codes) == (404, "151130", "NotThere", ("151130", "NotThere"))
    assert (error.disposition, error.absent, error.retry_after) == (disposition, True, 3.0)
    assert (_arm(500).codes, _arm(500).absent, _arm(500).reason) == (("Code",), False, "Code")


def test_a_limit_is_written_as_it_is_read() -> None:
    assert (str(Limit(200, 60)), str(Limit(10_000, 3600))) == ("200/1m", "10000/1h")
