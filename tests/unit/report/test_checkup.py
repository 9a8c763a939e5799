from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from vault_autoupdate.model.checkup import Greeting, Login, Standing, TokenClaims
from vault_autoupdate.report.checkup import CLOCK_BOUND, clock, federated_token, tenant, token

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def _greeting(*, ahead: float = 0.0, date: datetime | None = NOW, tenant: str = "t") -> Greeting:
    return Greeting(401, date, NOW + timedelta(seconds=ahead), tenant, "TLSv1.3", "an authority")


@pytest.mark.parametrize("ahead", [0.0, 0.9, -1.0, CLOCK_BOUND, -CLOCK_BOUND + 1])
def test_a_clock_within_five_minutes_is_well(ahead: float) -> None:
    assert clock(_greeting(ahead=ahead)).standing is Standing.OK


@pytest.mark.parametrize("ahead", [CLOCK_BOUND + 1, -CLOCK_BOUND - 1, 86_400.0])
def test_a_clock_beyond_that_is_not(ahead: float) -> None:
    assert clock(_greeting(ahead=ahead)).standing is Standing.NOT_OK


def test_an_answer_without_a_date_tells_nothing_about_the_clock() -> None:
    assert clock(_greeting(date=None)).standing is Standing.UNKNOWN


@pytest.mark.parametrize(
    ("ours", "theirs", "standing"),
    [
        ("A", "a", Standing.OK),
        ("a", "b", Standing.NOT_OK),
        ("", "a", Standing.UNKNOWN),
        ("a", "", Standing.UNKNOWN),
    ],
)
def test_tenants_are_compared_where_both_are_known(ours: str, theirs: str, standing: Standing) -> None:
    login = Login(TokenClaims(tenant=ours), "AzureCliCredential", None)
    assert tenant(login, _greeting(tenant=theirs), "s").standing is standing


def test_a_token_that_cannot_be_read_is_still_a_token() -> None:
    finding = token(Login(TokenClaims(), "AzureCliCredential", NOW))
    assert (finding.standing, finding.message) == (
        Standing.OK,
        "From AzureCliCredential, good until 2026-11-28T12:00:00Z.",
    )


def test_a_federated_token_says_what_the_federated_credential_has_to_have() -> None:
    claims = TokenClaims(issuer="https://oidc", subject="system:serviceaccount:a:b", audience="api://x")
    assert "Issuer https://oidc, subject system:serviceaccount:a:b, audience api://x" in federated_token(claims).message
    assert federated_token(None).standing is Standing.NOT_OK
