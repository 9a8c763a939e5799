from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.unit.builders import VAULT, VAULT_ID
from vault_autoupdate.decide.role_report import RoleReport, RoleStanding
from vault_autoupdate.model.checkup import Finding, Greeting, Login, Permission, Read, Standing, TokenClaims, Way
from vault_autoupdate.model.errors import ArmError, AzureError, CredentialError, Disposition
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.report.checkup import (
    CHANGE_MAPPINGS,
    CLOCK_BOUND,
    UPDATE_AGENTS,
    account_role,
    clock,
    connection,
    count,
    federated_token,
    identity,
    no_identity,
    not_checked,
    quota,
    read,
    right,
    tenant,
    token,
)

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def _greeting(*, ahead: float = 0.0, date: datetime | None = NOW, tenant: str = "t") -> Greeting:
    return Greeting(401, date, NOW + timedelta(seconds=ahead), tenant, "TLSv1.3", "an authority")


@pytest.mark.parametrize(
    ("ahead", "words"),
    [
        (0.5, "Within 2 s of ARM's."),
        (0.0, "Within 2 s of ARM's."),
        (-1.0, "Within 3 s of ARM's."),
        (100.5, "Within 101 s of ARM's."),
        (CLOCK_BOUND + 0.5, "Within 301 s of ARM's."),
        (-CLOCK_BOUND + 0.5, "Within 301 s of ARM's."),
    ],
)  # the Date of an answer is half a second behind on average
def test_a_clock_within_five_minutes_is_well(ahead: float, words: str) -> None:
    assert clock(_greeting(ahead=ahead)) == Finding("clock", Standing.OK, words)


@pytest.mark.parametrize(
    ("ahead", "words"),
    [
        (CLOCK_BOUND + 1.5, "301 s ahead of ARM's: tokens seem expired, or not good yet."),
        (-CLOCK_BOUND - 0.5, "301 s behind ARM's: tokens seem expired, or not good yet."),
        (86_400.5, "86,400 s ahead of ARM's: tokens seem expired, or not good yet."),
    ],
)
def test_a_clock_beyond_that_is_not(ahead: float, words: str) -> None:
    assert clock(_greeting(ahead=ahead)) == Finding(
        "clock",
        Standing.NOT_OK,
        words,
        "Set the clock of the machine, or of the node that the pod runs on (NTP).",
    )


def test_an_answer_without_a_date_tells_nothing_about_the_clock() -> None:
    assert clock(_greeting(date=None)) == Finding("clock", Standing.UNKNOWN, "The answer has no Date.")


@pytest.mark.parametrize(
    ("ours", "theirs", "finding"),
    [
        ("A", "a", Finding("tenant", Standing.OK, "Token and subscription s are of tenant a.")),
        (
            "a",
            "b",
            Finding(
                "tenant",
                Standing.NOT_OK,
                "The token is of tenant a, subscription s of b.",
                "Set AZURE_TENANT_ID to b, with an identity of that tenant; or az login --tenant b.",
            ),
        ),
        ("", "a", Finding("tenant", Standing.UNKNOWN, "Neither token nor ARM say it of subscription s.")),
        ("a", "", Finding("tenant", Standing.UNKNOWN, "Neither token nor ARM say it of subscription s.")),
    ],
)
def test_tenants_are_compared_where_both_are_known(ours: str, theirs: str, finding: Finding) -> None:
    login = Login(TokenClaims(tenant=ours), "AzureCliCredential", None)
    assert tenant(login, _greeting(tenant=theirs), "s") == finding


@pytest.mark.parametrize(
    ("claims", "expires_at", "words"),
    [
        (TokenClaims(), NOW, "From WorkloadIdentityCredential, good until 2026-11-28T12:00:00Z."),
        (TokenClaims(name="ann@example.com"), None, "From WorkloadIdentityCredential, name ann@example.com."),
        (
            TokenClaims(application="a-1", object="o-1", name="n", tenant="t", audience="https://arm", subject="s"),
            NOW,
            (
                "From WorkloadIdentityCredential, application a-1, object o-1, name n, tenant t, audience https://arm, "
                "good until 2026-11-28T12:00:00Z."
            ),
        ),
    ],
)
def test_a_token_is_told_by_all_that_can_be_read_in_it(
    claims: TokenClaims, expires_at: datetime | None, words: str
) -> None:
    login = Login(claims, "WorkloadIdentityCredential", expires_at)
    assert token(login) == Finding("token", Standing.OK, words)


def test_a_token_that_was_refused_is_told_with_what_to_do() -> None:
    assert token(_REFUSED) == Finding("token", Standing.NOT_OK, "AuthorizationFailed: m", "Ask.")


def test_a_federated_token_says_what_the_federated_credential_has_to_have() -> None:
    claims = TokenClaims(issuer="https://oidc", subject="system:serviceaccount:a:b", audience="api://x")
    assert federated_token(claims) == Finding(
        "federated token",
        Standing.OK,
        "Issuer https://oidc, subject system:serviceaccount:a:b, audience api://x: the identity's federated "
        "credential has to have exactly these.",
    )
    assert federated_token(None) == Finding(
        "federated token",
        Standing.NOT_OK,
        "AZURE_FEDERATED_TOKEN_FILE cannot be read.",
        "Look whether the webhook of workload identity has changed the pod (label azure.workload.identity/use), or "
        "set azure.auth.workloadIdentity.projectedToken=true.",
    )


def test_an_identity_is_told_with_the_client_that_is_set() -> None:
    assert identity("workload", "") == Finding("identity", Standing.OK, "workload (VAULT_AUTOUPDATE_CREDENTIAL).")
    assert identity("workload", "c").message == "workload (VAULT_AUTOUPDATE_CREDENTIAL), client c (AZURE_CLIENT_ID)."


def test_an_identity_that_cannot_be_used_names_what_to_set() -> None:
    assert no_identity(["AZURE_TENANT_ID: missing", "AZURE_CLIENT_ID: missing"]) == Finding(
        "identity",
        Standing.NOT_OK,
        "AZURE_TENANT_ID: missing; AZURE_CLIENT_ID: missing.",
        "Set these variables; in a cluster the chart does so (azure.auth), and the webhook of workload identity.",
    )


def test_what_was_not_checked_says_what_it_would_have_failed_for() -> None:
    assert not_checked("token", "v", because="there is no identity") == Finding(
        "token", Standing.UNKNOWN, "Not checked: there is no identity.", about="v"
    )
    assert not_checked("token", because="x").about == ""


_DIRECT = Way("", "")
_REFUSED = ArmError(403, "AuthorizationFailed", "m", disposition=Disposition.SLOW, recommended_action="Ask.")


@pytest.mark.parametrize(
    ("way", "words"),
    [
        (_DIRECT, "https://arm answers without a proxy (TLSv1.3, certificate issued by an authority)."),
        (
            Way("p:80", "/ca"),
            "https://arm answers through the proxy p:80 (TLSv1.3, certificate issued by an authority, trusting /ca).",
        ),
    ],
)
@pytest.mark.parametrize("status", [401, 404])
def test_arm_refuses_a_stranger_and_that_is_well(way: Way, words: str, status: int) -> None:
    assert connection("https://arm", way, replace(_greeting(), status=status)) == Finding(
        "connection", Standing.OK, words
    )


@pytest.mark.parametrize("status", [200, 302, 403, 502])
def test_whatever_else_answers_in_arm_s_place_is_not_arm(status: int) -> None:
    finding = connection("https://arm", _DIRECT, replace(_greeting(), status=status, tls=""))

    assert (finding.check, finding.standing) == ("connection", Standing.NOT_OK)
    assert finding.message == (
        f"https://arm, without a proxy: answered {status} to a call without a token, where ARM answers 401 "
        "(plain HTTP)."
    )
    assert finding.recommended_action == (
        "Look for a proxy or firewall that answers in ARM's place, and check VAULT_AUTOUPDATE_ARM_ENDPOINT."
    )


def test_a_connection_that_fails_says_by_which_way_it_was_tried() -> None:
    finding = connection("https://arm", Way("proxy:8080", "/ca.pem"), _REFUSED)

    assert finding == Finding(
        "connection",
        Standing.NOT_OK,
        f"https://arm, through the proxy proxy:8080, trusting /ca.pem: {_REFUSED.reason}: m",
        "Ask.",
    )


@pytest.mark.parametrize(
    ("outcome", "standing", "words"),
    [
        (Read(entries=1200), Standing.OK, "Can be read: 1,200 on the first page."),
        (Read(entries=0), Standing.OK, "Can be read: 0 on the first page."),
        (Read(), Standing.OK, "Can be read."),
        (Read(entries=3, replicates=False), Standing.OK, "Nothing is replicated with this vault yet."),
        (_REFUSED, Standing.NOT_OK, f"{_REFUSED.reason}: m"),
    ],
)
def test_what_can_be_read_is_counted(outcome: Read | ArmError, standing: Standing, words: str) -> None:
    finding = read("mappings", VAULT, outcome)

    assert (finding.check, finding.standing, finding.message, finding.about) == ("mappings", standing, words, VAULT_ID)
    assert bool(finding.recommended_action) == (standing is Standing.NOT_OK)


_MAY = [Permission((CHANGE_MAPPINGS,), ())]


def test_a_right_is_told_from_the_roles() -> None:
    assert right("change", VAULT, CHANGE_MAPPINGS, _MAY) == Finding(
        "change", Standing.OK, f"A role allows {CHANGE_MAPPINGS}.", about=VAULT_ID
    )
    assert right("change", VAULT, CHANGE_MAPPINGS, []) == Finding(
        "change",
        Standing.NOT_OK,
        f"No role allows {CHANGE_MAPPINGS}.",
        "Give the identity the role of docs/azure-role.json on the vault; a new assignment takes minutes.",
        VAULT_ID,
    )


def test_a_right_that_nothing_declared_needs_is_not_missed() -> None:
    assert right("update", VAULT, UPDATE_AGENTS, _MAY, needed=False) == Finding(
        "update", Standing.OK, "No role allows it, and nothing is declared that needs it.", about=VAULT_ID
    )


@pytest.mark.parametrize(
    ("outcome", "why"),
    [
        (_REFUSED, "This identity may not list its own permissions"),
        (ArmError(500, "x", "It is late, says X.", disposition=Disposition.RETRY), "It is late, says X"),
        (CredentialError("No token."), "No token"),
    ],
)
def test_a_right_that_cannot_be_told_without_a_change_says_so(outcome: AzureError, why: str) -> None:
    assert right("change", VAULT, CHANGE_MAPPINGS, outcome) == Finding(
        "change",
        Standing.UNKNOWN,
        f"{why}; without changing something it cannot be told.",
        "It shows at the first change; or grant Microsoft.Authorization/permissions/read as well.",
        VAULT_ID,
    )


_WRONG, _UNCLEAR = Explanation("RoleMissing", "No role."), Explanation("x", "Nobody knows.")


@pytest.mark.parametrize(
    ("outcome", "standing", "words"),
    [
        (None, Standing.NOT_OK, "The account has no system-assigned identity."),
        (_REFUSED, Standing.UNKNOWN, f"{_REFUSED.reason}: m"),
        (RoleReport(RoleStanding.MISSING, wrong=_WRONG), Standing.NOT_OK, "No role."),
        (RoleReport(RoleStanding.NOT_SEEN, unclear=_UNCLEAR), Standing.UNKNOWN, "Nobody knows."),
        (
            RoleReport(RoleStanding.ENOUGH, roles=("Contributor on the vault", "Reader on the group")),
            Standing.OK,
            "The account's identity is Contributor on the vault, Reader on the group.",
        ),
        (
            RoleReport(RoleStanding.NOT_JUDGED, roles=("Own role on the vault",)),
            Standing.OK,
            "The account's identity is Own role on the vault; nobody says whether that is enough.",
        ),
    ],
)
def test_the_role_of_the_account_is_judged_as_the_operator_judges_it(
    outcome: RoleReport | AzureError | None, standing: Standing, words: str
) -> None:
    finding = account_role(VAULT, outcome)

    assert (finding.check, finding.standing, finding.message, finding.about) == (
        "account role", standing, words, VAULT_ID,
    )  # fmt: skip


def test_an_account_without_an_identity_gets_one_in_the_portal() -> None:
    action = "Switch it on: Automation account > Identity > System assigned."
    assert account_role(VAULT, None).recommended_action == action


def test_what_is_left_of_the_limits_is_that_of_the_last_answer_that_says_it() -> None:
    reads = [Read(quotas=(("reads", "11"), ("writes", "5"))), Read(), Read(quotas=(("reads", "10"),))]

    assert quota(reads) == Finding("quota", Standing.OK, "reads: 10, writes: 5.")
    assert quota([Read()]) == Finding("quota", Standing.UNKNOWN, "No answer says how many calls are left.")


def test_findings_are_counted_in_one_line() -> None:
    standings = (Standing.OK, Standing.NOT_OK, Standing.UNKNOWN, Standing.UNKNOWN)
    of = [Finding("c", standing, "m") for standing in standings]

    assert count(of) == "4 checks, 1 not ok, 2 not known."
    assert count(of[:1]) == "1 check, 0 not ok, 0 not known."
