"""Contract: the credentials of Microsoft's identity library get tokens from the simulator, over TLS.

The library wants https from an authority, and trusts a private certificate authority in one of two ways: by the
environment variable ``REQUESTS_CA_BUNDLE``, or by the argument ``connection_verify``.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msal  # type: ignore[import-untyped]  # ships no types
import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError
from azure.identity import CertificateCredential, ClientSecretCredential, WorkloadIdentityCredential
from azure.mgmt.recoveryservicessiterecovery import SiteRecoveryManagementClient
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from asr_simulator import SimulatorThread, Tls
from tests.simulator.helpers import GROUP, SUBSCRIPTION, VAULT, scenario
from workbench.kube.certificates import Authority

TENANT = "3f1f7c4e-2b7d-4b1e-9d2a-7c6a1e5b9f00"
CLIENT = "0f9d3c51-2b54-4f5e-8a0c-93c1f5a7e111"
SUBJECT = "system:serviceaccount:vault-autoupdate:vault-autoupdate"
SCOPE = "https://management.azure.com/.default"


def _part(document: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


def service_account_token(**changes: Any) -> str:
    """Make what Kubernetes projects into a pod; nobody checks its signature here."""
    claims = {
        "iss": "https://kubernetes.default.svc.cluster.local",
        "sub": SUBJECT,
        "aud": ["api://AzureADTokenExchange"],
        "exp": int(time.time()) + 3600,
    }
    return f"{_part({'alg': 'RS256', 'kid': 'k'})}.{_part(claims | changes)}.c2lnbmF0dXJl"


def _application_certificate() -> bytes:
    """Make a certificate with its key: RSA, because the library signs with nothing else."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "application")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    return certificate.public_bytes(pem) + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def sim(authority: Authority) -> Iterator[SimulatorThread]:
    pair = authority.server("login", ["127.0.0.1"])
    identity = {"client_id": CLIENT, "client_secret": "open sesame", "federated_subject": SUBJECT}
    of = scenario(identity={"tenant_id": TENANT, "identities": [identity]})
    with SimulatorThread(of, tls=Tls(pair.certificate, pair.key)) as running:
        yield running


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(service_account_token())
    return path


Login = Callable[..., WorkloadIdentityCredential]


@pytest.fixture
def log_in(sim: SimulatorThread, authority: Authority, token_file: Path) -> Iterator[Login]:
    """Make workload identity credentials that trust the test's certificate authority."""
    opened: list[WorkloadIdentityCredential] = []

    def make(**changes: Any) -> WorkloadIdentityCredential:
        options: dict[str, Any] = {
            "tenant_id": TENANT,
            "client_id": CLIENT,
            "token_file_path": str(token_file),
            "authority": sim.url,
            "connection_verify": str(authority.certificate),
            "retry_total": 0,
        }
        opened.append(WorkloadIdentityCredential(**options | changes))
        return opened[-1]

    yield make
    for credential in opened:
        credential.close()


def test_workload_identity_reads_a_vault_over_tls(sim: SimulatorThread, authority: Authority, log_in: Login) -> None:
    """From the pod's token file to a list of mappings: no option but where things are and whom to trust."""
    with SiteRecoveryManagementClient(
        log_in(), SUBSCRIPTION, base_url=sim.url, connection_verify=str(authority.certificate)
    ) as client:
        found = [item.name for item in client.replication_protection_container_mappings.list(GROUP, VAULT)]
    assert found == ["alpha", "beta", "gamma"]


def test_the_environment_configures_workload_identity_completely(
    sim: SimulatorThread, authority: Authority, token_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the webhook of workload identity sets in a pod, and the certificate authority beside it."""
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", f"{sim.url}/")
    monkeypatch.setenv("AZURE_TENANT_ID", TENANT)
    monkeypatch.setenv("AZURE_CLIENT_ID", CLIENT)
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(token_file))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.certificate))
    with WorkloadIdentityCredential() as credential:
        token = credential.get_token(SCOPE)
    assert token.expires_on - time.time() > 3600
    assert requests.get(
        f"{sim.url}/subscriptions/{SUBSCRIPTION}/providers/Microsoft.RecoveryServices/vaults?api-version=2023-02-01",
        headers={"Authorization": f"Bearer {token.token}"},
        timeout=10,
    ).json()["value"]


def test_a_server_that_nobody_vouches_for_gets_no_assertion(
    sim: SimulatorThread, log_in: Login, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path / "stranger")
    before = len(sim.control.requests(kind="oauth_token"))
    with pytest.raises(ServiceRequestError, match="CERTIFICATE_VERIFY_FAILED"):
        log_in(connection_verify=str(stranger.certificate)).get_token(SCOPE)
    assert len(sim.control.requests(kind="oauth_token")) == before


def test_a_client_secret_gets_a_token(sim: SimulatorThread, authority: Authority) -> None:
    """msal asks Microsoft whether it knows the host, unless told not to; then it asks the host for its endpoints."""
    with ClientSecretCredential(
        TENANT,
        CLIENT,
        "open sesame",
        authority=sim.url,
        connection_verify=str(authority.certificate),
        disable_instance_discovery=True,
    ) as credential:
        assert credential.get_token(SCOPE).token
    assert [entry["status"] for entry in sim.control.requests(kind="openid_configuration")][-1] == 200


def test_a_client_certificate_gets_a_token(sim: SimulatorThread, authority: Authority) -> None:
    with CertificateCredential(
        TENANT,
        CLIENT,
        certificate_data=_application_certificate(),
        authority=sim.url,
        connection_verify=str(authority.certificate),
        disable_instance_discovery=True,
    ) as credential:
        assert credential.get_token(SCOPE).token


def test_msal_accepts_the_instance_discovery_document(sim: SimulatorThread, authority: Authority) -> None:
    with requests.Session() as session:
        session.verify = str(authority.certificate)
        session.trust_env = False
        application = msal.ConfidentialClientApplication(
            CLIENT,
            client_credential="open sesame",
            authority=f"{sim.url}/{TENANT}",
            http_client=session,
            instance_discovery=f"{sim.url}/common/discovery/instance",
        )
        assert application.acquire_token_for_client([SCOPE])["token_type"] == "Bearer"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"exp": 1_700_000_000}, "AADSTS700024"),
        ({"aud": "https://kubernetes.default.svc"}, "AADSTS700212"),
        ({"sub": "system:serviceaccount:other:other"}, "AADSTS700213"),
    ],
    ids=["expired", "for another audience", "of another service account"],
)
def test_an_assertion_that_does_not_fit_is_refused(
    log_in: Login, token_file: Path, changes: dict[str, Any], code: str
) -> None:
    token_file.write_text(service_account_token(**changes))
    with pytest.raises(ClientAuthenticationError, match=code) as caught:
        log_in().get_token(SCOPE)
    response: Any = caught.value.response
    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("content", ["", "hunter2", "a.b.c", f"{_part(['no'])}.{_part({})}.c2ln"])
def test_a_file_without_a_token_is_refused(log_in: Login, token_file: Path, content: str) -> None:
    token_file.write_text(content)
    with pytest.raises(ClientAuthenticationError):
        log_in().get_token(SCOPE)


def test_an_unknown_client_is_refused(log_in: Login) -> None:
    stranger = "11111111-0000-4000-8000-000000000000"
    with pytest.raises(ClientAuthenticationError, match=f"AADSTS700016.*{stranger}.*{TENANT}") as caught:
        log_in(client_id=stranger).get_token(SCOPE)
    response: Any = caught.value.response
    body = response.json()
    assert (response.status_code, body["error"]) == (400, "unauthorized_client")
    assert body["error_codes"] == [700016]
    assert body["trace_id"] in body["error_description"]


def test_an_unknown_tenant_is_refused(
    sim: SimulatorThread, authority: Authority, log_in: Login, token_file: Path
) -> None:
    stranger = "22222222-0000-4000-8000-000000000000"
    with pytest.raises(ClientAuthenticationError, match="AADSTS90002"):
        log_in(tenant_id=stranger).get_token(SCOPE)
    with (
        ClientSecretCredential(
            stranger,
            CLIENT,
            "open sesame",
            authority=sim.url,
            connection_verify=str(authority.certificate),
            disable_instance_discovery=True,
        ) as credential,
        pytest.raises(ClientAuthenticationError, match="double check your tenant name"),
    ):
        credential.get_token(SCOPE)


def test_a_wrong_secret_is_refused(sim: SimulatorThread, authority: Authority) -> None:
    with (
        ClientSecretCredential(
            TENANT,
            CLIENT,
            "guess",
            authority=sim.url,
            connection_verify=str(authority.certificate),
            disable_instance_discovery=True,
        ) as credential,
        pytest.raises(ClientAuthenticationError, match="AADSTS7000215"),
    ):
        credential.get_token(SCOPE)


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"grant_type": None}, (400, "invalid_request", [900144])),
        ({"client_id": None}, (400, "invalid_request", [900144])),
        ({"grant_type": "password"}, (400, "unsupported_grant_type", [70003])),
        ({"scope": "https://management.azure.com/user_impersonation"}, (400, "invalid_scope", [1002012])),
        ({"client_secret": None}, (401, "invalid_client", [7000218])),
        ({"client_assertion": "a.b.c"}, (400, "invalid_request", [900144])),
    ],
)
def test_an_incomplete_request_is_refused(
    sim: SimulatorThread, authority: Authority, changes: dict[str, str | None], refusal: tuple[int, str, list[int]]
) -> None:
    form = {
        "grant_type": "client_credentials",
        "client_id": CLIENT,
        "client_secret": "open sesame",
        "scope": SCOPE,
    } | changes
    answer = requests.post(
        f"{sim.url}/{TENANT}/oauth2/v2.0/token",
        data={name: value for name, value in form.items() if value is not None},
        verify=str(authority.certificate),
        timeout=10,
    )
    assert (answer.status_code, answer.json()["error"], answer.json()["error_codes"]) == refusal


def test_an_endpoint_that_is_down_is_an_error_and_then_works(sim: SimulatorThread, log_in: Login) -> None:
    sim.control.add_fault("token_down")
    credential = log_in()
    with pytest.raises(ClientAuthenticationError):
        credential.get_token(SCOPE)
    assert credential.get_token(SCOPE).token
