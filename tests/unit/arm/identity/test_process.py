"""Who the process is to Azure: the right class for each mode, and tokens that are kept and renewed."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import azure.identity
import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from vault_autoupdate.arm.identity.process import make_credential
from vault_autoupdate.arm.identity.tokens import TokenSource
from vault_autoupdate.model.errors import CredentialError
from vault_autoupdate.settings import InvalidSettings, load_settings

TENANT, CLIENT = "aaaaaaaa-0000-4000-8000-000000000001", "aaaaaaaa-0000-4000-8000-000000000002"


def _make(mode: str, environment: dict[str, str], **settings: str) -> Any:
    return make_credential(load_settings({"credential": mode, **settings}, {}), environment)


@pytest.fixture
def azure_environment(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, str]]:
    """Set variables as the pod has them; azure-identity reads some of them itself."""

    def set_variables(**variables: str) -> dict[str, str]:
        for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE", "IDENTITY_ENDPOINT"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return variables

    return set_variables


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    key, name = rsa.generate_private_key(65537, 2048), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("certificate") / "client.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return path


# The class for each mode.


def test_each_mode_is_a_class_of_azure_identity(
    azure_environment: Callable[..., dict[str, str]], certificate: Path
) -> None:
    environment = azure_environment(
        AZURE_TENANT_ID=TENANT,
        AZURE_CLIENT_ID=CLIENT,
        AZURE_FEDERATED_TOKEN_FILE="/var/run/secrets/token",
        AZURE_CLIENT_SECRET="secret",
        AZURE_CLIENT_CERTIFICATE_PATH=str(certificate),
    )
    modes = {
        "workload-identity": azure.identity.WorkloadIdentityCredential,
        "managed-identity": azure.identity.ManagedIdentityCredential,
        "client-secret": azure.identity.ClientSecretCredential,
        "client-certificate": azure.identity.CertificateCredential,
        "azure-cli": azure.identity.AzureCliCredential,
        "default": azure.identity.DefaultAzureCredential,
    }

    assert {mode: type(_make(mode, environment)) for mode in modes} == modes


@pytest.mark.parametrize(
    ("mode", "missing"),
    [
        ("workload-identity", ["AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE"]),
        ("client-secret", ["AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"]),
        ("client-certificate", ["AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_CERTIFICATE_PATH"]),
    ],
)
def test_all_variables_that_a_mode_needs_and_has_not_are_told_at_once(mode: str, missing: list[str]) -> None:
    with pytest.raises(InvalidSettings) as refused:
        _make(mode, {"AZURE_CLIENT_ID": ""})
    assert refused.value.problems == [f"{name}: required by VAULT_AUTOUPDATE_CREDENTIAL={mode}" for name in missing]

    with pytest.raises(InvalidSettings) as refused:
        _make(mode, dict.fromkeys(missing[:-1], TENANT))
    assert refused.value.problems == [f"{missing[-1]}: required by VAULT_AUTOUPDATE_CREDENTIAL={mode}"]


@pytest.mark.parametrize("mode", ["managed-identity", "azure-cli", "default"])
def test_the_other_modes_need_no_variables(mode: str, azure_environment: Callable[..., dict[str, str]]) -> None:
    assert _make(mode, azure_environment())


@pytest.mark.parametrize(
    ("mode", "environment", "problem"),
    [
        ("client-certificate", {"AZURE_CLIENT_CERTIFICATE_PATH": "/nowhere/client.pem"}, "/nowhere/client.pem"),
        ("client-secret", {"AZURE_CLIENT_SECRET": "s", "AZURE_TENANT_ID": "no tenant!"}, "tenant"),
    ],
)
def test_what_azure_identity_cannot_use_is_a_problem_of_the_configuration(
    mode: str, environment: dict[str, str], problem: str
) -> None:
    with pytest.raises(InvalidSettings) as refused:
        _make(mode, {"AZURE_TENANT_ID": TENANT, "AZURE_CLIENT_ID": CLIENT} | environment)

    assert len(refused.value.problems) == 1
    assert refused.value.problems[0].startswith(f"VAULT_AUTOUPDATE_CREDENTIAL={mode}: ")
    assert problem in refused.value.problems[0]


def test_tokens_are_asked_for_at_the_clouds_own_authority() -> None:
    environment = {"AZURE_TENANT_ID": TENANT, "AZURE_CLIENT_ID": CLIENT, "AZURE_CLIENT_SECRET": "s"}
    authorities = {
        cloud: _make("client-secret", environment, cloud=cloud)._authority
        for cloud in ("AzurePublic", "AzureUSGovernment", "AzureChina")
    }

    assert authorities == {
        "AzurePublic": "https://login.microsoftonline.com",
        "AzureUSGovernment": "https://login.microsoftonline.us",
        "AzureChina": "https://login.chinacloudapi.cn",
    }


# Tokens.


class Issuer:
    """Makes credentials whose tokens are numbered, and end after ``lasts`` seconds."""

    def __init__(self, lasts: float = 3600.0) -> None:
        self.lasts = lasts
        self.made = 0
        self.asked = 0
        self.error: Exception | None = None
        self.stale: set[int] = set()
        """Credentials, by number, that Entra ID does not take any more."""
        self.claims: list[str | None] = []

    def __call__(self) -> Any:
        self.made += 1
        issuer, number = self, self.made

        class _Credential:
            def get_token(self, *scopes: str, claims: str | None = None, **_: Any) -> AccessToken:
                assert scopes == ("https://arm/.default",)
                if number in issuer.stale:
                    raise ClientAuthenticationError("AADSTS700024: expired")
                issuer.asked += 1
                issuer.claims.append(claims)
                if issuer.error:
                    raise issuer.error
                return AccessToken(f"{number}.{issuer.asked}", int(time.time() + issuer.lasts))

        return _Credential()

    def source(self, *, failure_pause: float = 0.0) -> TokenSource:
        return TokenSource(self, "https://arm/", failure_pause=failure_pause)


def test_a_token_is_kept() -> None:
    issuer = Issuer()
    tokens = issuer.source()

    assert {tokens.token() for _ in range(10)} == {"1.1"}
    assert issuer.asked == 1


@pytest.mark.parametrize(("lasts", "asked"), [(299, 2), (0, 2), (320, 1)])
def test_a_token_is_renewed_five_minutes_before_it_ends(lasts: float, asked: int) -> None:
    issuer = Issuer(lasts)
    tokens = issuer.source()
    tokens.token()
    tokens.token()

    assert issuer.asked == asked


def test_many_threads_ask_once() -> None:
    issuer = Issuer()
    tokens, together = issuer.source(), threading.Barrier(8)

    def ask() -> str:
        together.wait(5)
        return tokens.token()

    with ThreadPoolExecutor(8) as pool:
        answers = {future.result() for future in [pool.submit(ask) for _ in range(8)]}

    assert answers == {"1.1"}
    assert issuer.asked == 1


def test_a_refused_token_is_replaced_by_that_of_a_new_credential() -> None:
    issuer = Issuer()
    tokens = issuer.source()

    assert tokens.renew(tokens.token()) == "2.2"
    assert tokens.token() == "2.2"


def test_a_refused_token_that_was_replaced_already_costs_nothing() -> None:
    issuer = Issuer()
    tokens = issuer.source()
    refused = tokens.token()

    assert {tokens.renew(refused) for _ in range(5)} == {"2.2"}
    assert (issuer.made, issuer.asked) == (2, 2)


@pytest.mark.parametrize(
    "error",
    [
        ClientAuthenticationError("no such client"),
        ValueError("odd"),
        OSError("no route"),
        FileNotFoundError(2),
        AttributeError("'list' object has no attribute 'get'"),  # what msal makes of a list where it expects an object
    ],
)
def test_no_token_is_an_error_in_the_words_of_azure_identity(error: Exception) -> None:
    issuer = Issuer()
    issuer.error = error
    with pytest.raises(CredentialError) as refused:
        issuer.source().token()

    assert refused.value.message.startswith(f"No token from the credential: {error}")
    assert "VAULT_AUTOUPDATE_CREDENTIAL" in refused.value.recommended_action


def test_an_answer_that_cannot_be_read_is_not_quoted_since_there_may_be_a_token_in_it() -> None:
    issuer = Issuer()
    issuer.error = ValueError('JSON is invalid: Unterminated string\nContent: {"access_token":"opaque-s3cret')
    with pytest.raises(CredentialError) as refused:
        issuer.source().token()

    assert "opaque" not in str(refused.value)
    assert "JSON is invalid: Unterminated string" in refused.value.message


def _not_json() -> Exception:
    try:
        json.loads("<html>")
    except ValueError as error:
        return error
    raise AssertionError


def _caused(cause: Exception) -> Exception:
    error = ClientAuthenticationError("It did not work.")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (_not_json(), "a proxy may have answered in its place"),
        (ClientAuthenticationError("Expecting value: line 1 column 1 (char 0)"), "a proxy may have answered"),
        (_caused(_not_json()), "a proxy may have answered"),
        (_caused(subprocess.TimeoutExpired("az", 60)), "it took longer than its time of 60 s"),
        (ClientAuthenticationError("Failed to invoke the Azure CLI"), "it took longer than its time"),
    ],
)
def test_what_the_libraries_say_obscurely_is_said_in_words(error: Exception, said: str) -> None:
    issuer = Issuer()
    issuer.error = error
    with pytest.raises(CredentialError) as refused:
        issuer.source().token()

    assert said in refused.value.message


def test_a_slow_az_has_the_time_of_a_request(
    azure_environment: Callable[..., dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    az = tmp_path / "az"
    az.write_text(
        '#!/bin/sh\nsleep 1.5\necho \'{"accessToken": "t", "expires_on": 4070908800, "tokenType": "Bearer"}\'\n'
    )
    az.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    environment = azure_environment()

    def tokens(timeout: str) -> TokenSource:
        return TokenSource(lambda: _make("azure-cli", environment, request_timeout=timeout), "https://audience")

    with pytest.raises(CredentialError, match="longer than its time of 1 s"):
        tokens("1s").token()
    assert tokens("20s").token() == "t"


def test_a_credential_whose_own_proof_has_ended_is_replaced_at_once() -> None:
    """azure-identity keeps a federated token for ten minutes, and Entra ID refuses it when it has ended."""
    issuer = Issuer(lasts=20)
    tokens = issuer.source()
    assert tokens.token() == "1.1"

    issuer.stale.add(1)
    assert tokens.token() == "2.2"


def test_claims_that_azure_asks_for_are_passed_on() -> None:
    issuer = Issuer()
    tokens = issuer.source()
    refused = tokens.token()

    assert tokens.renew(refused, '{"access_token": {}}') == "2.2"
    assert issuer.claims == [None, '{"access_token": {}}']
    assert tokens.token() == "2.2"


def test_a_token_that_cannot_be_renewed_serves_to_its_end() -> None:
    issuer = Issuer(lasts=200)
    tokens = issuer.source()
    first = tokens.token()
    issuer.error = OSError("down")
    assert tokens.token() == first

    issuer.error = None
    assert tokens.token() != first


def test_a_token_that_has_ended_is_not_used_any_more() -> None:
    issuer = Issuer(lasts=-1)
    tokens = issuer.source()
    tokens.token()
    issuer.error = OSError("down")

    with pytest.raises(CredentialError):
        tokens.token()


def test_after_a_failure_a_new_credential_is_asked() -> None:
    issuer = Issuer()
    issuer.error = OSError("down")
    tokens = issuer.source()
    with pytest.raises(CredentialError):
        tokens.token()
    issuer.error = None

    assert tokens.token() == "2.2"


def test_for_a_moment_all_who_ask_share_one_failure() -> None:
    issuer = Issuer()
    issuer.error = OSError("down")
    tokens = issuer.source(failure_pause=60)
    for _ in range(5):
        with pytest.raises(CredentialError, match="down"):
            tokens.token()

    assert issuer.asked == 1


def test_a_credential_that_cannot_be_made_anew_is_no_crash() -> None:
    issuer = Issuer()
    issuer.error = OSError("down")
    failing = False

    def factory() -> Any:
        if failing:
            raise InvalidSettings(["the certificate is gone"])
        return issuer()

    tokens = TokenSource(factory, "https://arm", failure_pause=0)
    failing = True
    for _ in range(2):
        with pytest.raises(CredentialError):
            tokens.token()
    failing, issuer.error = False, None

    assert tokens.token()
