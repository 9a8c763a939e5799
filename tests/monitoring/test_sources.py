"""Where some metrics come from: drift that somebody else made, accounts, tokens, and the end of a certificate."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from cryptography import x509
from cryptography.hazmat.primitives.serialization import NoEncryption, load_pem_private_key, pkcs12

from tests.unit.builders import ACCOUNT, DISABLE, ENABLE, NOW, VAULT, disabled, mapping
from vault_autoupdate.arm.identity.process import certificate_expiry
from vault_autoupdate.arm.identity.tokens import TokenSource
from vault_autoupdate.decide.account_report import build_account_report
from vault_autoupdate.decide.plan import Plan, make_plan
from vault_autoupdate.decide.role_report import RoleReport, RoleStanding, _wrong
from vault_autoupdate.decide.state import VaultState
from vault_autoupdate.metrics.resource_specs import ACCOUNT_PROBLEMS
from vault_autoupdate.model.azure import Account, AccountFacts, RunbookRun, Schedule
from vault_autoupdate.model.errors import CredentialError
from vault_autoupdate.model.resource import Goal
from vault_autoupdate.settings import load_settings
from workbench.kube.certificates import Authority


def plan_of(goal: Goal, *mappings: Any) -> Plan:
    return make_plan(goal, mappings, running={}, attempts={}, now=NOW)


def test_what_was_right_and_is_not_any_more_is_a_revert_once_for_each_look() -> None:
    state = VaultState()
    state.look(plan_of(ENABLE, mapping("a"), mapping("b")), ENABLE)
    assert state.reverts == 0
    state.look(plan_of(ENABLE, disabled("a"), disabled("b")), ENABLE)
    assert state.reverts == 1
    state.look(plan_of(ENABLE, disabled("a"), disabled("b")), ENABLE)
    assert state.reverts == 1, "it is the same drift still"


def test_what_was_never_right_is_no_revert() -> None:
    state = VaultState()
    state.look(plan_of(ENABLE, disabled("a")), ENABLE)
    state.look(plan_of(ENABLE, disabled("a"), disabled("new")), ENABLE)
    assert state.reverts == 0


def test_what_differs_since_something_else_is_wanted_is_no_revert() -> None:
    state = VaultState()
    state.look(plan_of(ENABLE, mapping("a")), ENABLE)
    state.look(plan_of(DISABLE, mapping("a")), DISABLE)
    assert state.reverts == 0


def test_whatever_may_be_wrong_with_an_account_is_known_to_the_metric_and_nothing_else() -> None:
    all_at_once = AccountFacts(
        account=Account("aa", "Suspended", "None"),
        schedules={"off": Schedule("off", enabled=False)},
        runs=(RunbookRun("Failed", NOW, NOW),),
        minutes_used=499,
        minutes_limit=500,
    )
    mappings = [mapping("a", schedule_name="gone", job_schedule_name="gone"), mapping("b", schedule_name="off")]
    reports = (build_account_report(facts, ACCOUNT, mappings, NOW) for facts in (all_at_once, AccountFacts(None)))
    found = {problem.reason for report in reports for problem in report.problems}
    of_roles = (_wrong(RoleReport(standing), "aa", VAULT) for standing in RoleStanding)
    assert found | {wrong.code for wrong in of_roles if wrong} == set(ACCOUNT_PROBLEMS)


class Issuer:
    """A credential whose tokens last as long as it says."""

    def __init__(self) -> None:
        self.seconds = 3600.0
        self.error: Exception | None = None

    def get_token(self, *_: str, **__: Any) -> AccessToken:
        if self.error:
            raise self.error
        return AccessToken("token", int(time.time() + self.seconds))


def test_every_token_that_was_asked_for_is_told_of_also_when_the_old_one_still_does() -> None:
    issuer, told = Issuer(), list[float | None]()
    tokens = TokenSource(lambda: issuer, "https://arm", failure_pause=0, fetched=told.append)
    tokens.token()
    tokens.token()
    assert [bool(each) for each in told] == [True]
    issuer.seconds = 60
    tokens.renew("token")
    issuer.error = OSError("down")
    tokens.token()  # the present one has a minute left
    assert [bool(each) for each in told] == [True, True, False]


def test_a_token_that_cannot_be_had_is_told_of() -> None:
    issuer, told = Issuer(), list[float | None]()
    issuer.error = OSError("down")
    tokens = TokenSource(lambda: issuer, "https://arm", failure_pause=0, fetched=told.append)
    with pytest.raises(CredentialError):
        tokens.token()
    assert told == [None]


def certificate(directory: Path) -> tuple[bytes, bytes]:
    """A certificate and its key, PEM, good for a day."""
    pair = Authority(directory).client("client", "operator")
    return pair.certificate.read_bytes(), pair.key.read_bytes()


@pytest.mark.parametrize("form", ["pem", "pkcs12"])
def test_the_end_of_the_certificate_is_known_in_the_mode_that_has_one(tmp_path: Path, form: str) -> None:
    public, key = certificate(tmp_path)
    path = tmp_path / "client.bundle"
    if form == "pem":
        path.write_bytes(key + public)
    else:
        private: Any = load_pem_private_key(key, None)
        loaded = x509.load_pem_x509_certificate(public)
        path.write_bytes(pkcs12.serialize_key_and_certificates(b"x", private, loaded, None, NoEncryption()))
    environment = {"AZURE_CLIENT_CERTIFICATE_PATH": str(path)}
    settings = load_settings({"credential": "client-certificate"}, {})
    expiry = certificate_expiry(settings, environment)
    assert expiry is not None
    assert timedelta() < datetime.fromtimestamp(expiry, UTC) - datetime.now(UTC) <= timedelta(days=1)
    assert certificate_expiry(load_settings({"credential": "managed-identity"}, {}), environment) is None


def test_a_certificate_that_cannot_be_read_has_no_known_end(tmp_path: Path) -> None:
    settings = load_settings({"credential": "client-certificate"}, {})
    assert certificate_expiry(settings, {}) is None
    (tmp_path / "x").write_text("nothing")
    assert certificate_expiry(settings, {"AZURE_CLIENT_CERTIFICATE_PATH": str(tmp_path / "x")}) is None
