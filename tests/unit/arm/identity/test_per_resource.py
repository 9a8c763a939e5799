"""The identities that resources bring along: one source of tokens for each, for as long as somebody uses it."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import azure.identity
import pytest
from azure.core.credentials import AccessToken

from tests.unit.arm.identity.test_process import certificate  # noqa: F401 - a fixture
from tests.unit.builders import manifest
from vault_autoupdate.arm.identity.per_resource import AUDIENCE, Identities
from vault_autoupdate.arm.identity.process import make_login_credential
from vault_autoupdate.arm.identity.service_principal import CLIENT_ANNOTATION, TENANT_ANNOTATION, Login
from vault_autoupdate.model.errors import CredentialError, CredentialUnusable
from vault_autoupdate.model.resource import CredentialSource, VaultAutoUpdate, parse_resource
from vault_autoupdate.settings import load_settings

TENANT, CLIENT = "0c7f7b2e-95a4-4ff5-b8ef-1b07f1ac2f11", "aaaaaaaa-0000-4000-8000-000000000002"


class Cluster:
    """What a cluster holds. Implements `LoginReader`."""

    def __init__(self) -> None:
        self.secrets: dict[tuple[str, str], dict[str, bytes]] = {}
        self.given: list[tuple[str, str, str]] = []
        self.error: Exception | None = None
        self.delay = 0.0

    def put(self, namespace: str, name: str, secret: str) -> None:
        ids = {"AZURE_TENANT_ID": TENANT.encode(), "AZURE_CLIENT_ID": CLIENT.encode()}
        self.secrets[namespace, name] = {**ids, "AZURE_CLIENT_SECRET": secret.encode()}

    async def secret(self, namespace: str, name: str) -> Mapping[str, bytes]:
        return self.secrets[namespace, name]

    async def annotations(self, namespace: str, name: str) -> Mapping[str, str]:
        return {TENANT_ANNOTATION: TENANT, CLIENT_ANNOTATION: CLIENT}

    async def token(self, namespace: str, name: str, audience: str) -> str:
        await asyncio.sleep(self.delay)
        if self.error:
            raise self.error
        self.given.append((namespace, name, audience))
        return f"token-{len(self.given)}"


def _resource(namespace: str = "blue", **source: str) -> VaultAutoUpdate:
    body = manifest(credential=source or None)
    body["metadata"]["namespace"] = namespace
    return parse_resource(body)


def _identities(cluster: Cluster) -> Identities:
    return Identities(cluster, load_settings({}, {}))


async def test_who_brings_none_works_as_the_operator() -> None:
    assert await _identities(Cluster()).tokens_of(_resource()) is None


async def test_the_same_secret_gives_the_same_source_and_any_other_content_name_or_namespace_another() -> None:
    cluster = Cluster()
    identities = _identities(cluster)
    for namespace, name in (("blue", "a"), ("blue", "b"), ("green", "a")):
        cluster.put(namespace, name, "same")
    first = await identities.tokens_of(_resource(secretName="a"))
    assert await identities.tokens_of(_resource(secretName="a")) is first

    others = [
        await identities.tokens_of(_resource(secretName="b")),
        await identities.tokens_of(_resource("green", secretName="a")),
    ]
    cluster.put("blue", "a", "rotated")
    others.append(await identities.tokens_of(_resource(secretName="a")))

    assert len({id(each) for each in (first, *others)}) == 4


async def test_a_source_is_kept_by_its_users_and_by_nobody_else() -> None:
    cluster = Cluster()
    identities = _identities(cluster)
    held = None
    for number in range(20):
        cluster.put("blue", "a", f"rotated {number}")
        held = await identities.tokens_of(_resource(secretName="a"))
    gc.collect()
    assert held is not None
    assert len(identities) == 1

    del held
    gc.collect()
    assert len(identities) == 0


def _login(**changes: str) -> Login:
    source = CredentialSource.model_validate({"secretName": "a"})
    return Login("blue", source, TENANT, CLIENT, **changes)


def test_each_kind_of_login_is_a_class_of_azure_identity_at_the_configured_authority(certificate: Path) -> None:  # noqa: F811 - the fixture
    logins = {
        azure.identity.ClientSecretCredential: _login(secret="s"),
        azure.identity.CertificateCredential: _login(certificate=certificate.read_text()),
        azure.identity.ClientAssertionCredential: _login(),
    }

    settings = load_settings({}, {"VAULT_AUTOUPDATE_AUTHORITY_HOST": "https://login.example.com:8443"})
    for kind, login in logins.items():
        made: Any = make_login_credential(login, settings, lambda: "")
        assert type(made) is kind
        client = made if kind is not azure.identity.ClientAssertionCredential else made._client
        assert client._authority == "https://login.example.com:8443"


async def test_a_certificate_that_is_none_is_told_as_such() -> None:
    cluster = Cluster()
    ids = {"AZURE_TENANT_ID": TENANT.encode(), "AZURE_CLIENT_ID": CLIENT.encode()}
    pem = b"-----BEGIN CERTIFICATE-----\ns3cret\n-----END CERTIFICATE-----\n"
    cluster.secrets["blue", "a"] = {**ids, "AZURE_CLIENT_CERTIFICATE": pem}

    with pytest.raises(CredentialUnusable, match="Secret blue/a cannot be used: ") as refused:
        await _identities(cluster).tokens_of(_resource(secretName="a"))

    assert refused.value.reason == "CredentialInvalid"
    assert "s3cret" not in str(refused.value)


class _Exchange:
    """Stands in for the exchange at Entra ID: each token of Azure needs an assertion of its own, and ends at once."""

    def __init__(self, login: Login, authority: str, assertion: Any) -> None:
        self._assertion = assertion

    def get_token(self, *_: str) -> Any:
        return AccessToken(f"azure for {self._assertion()}", 0)


async def test_each_token_of_azure_is_had_for_a_new_token_of_the_service_account(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vault_autoupdate.arm.identity.per_resource.make_login_credential", _Exchange)
    cluster = Cluster()
    tokens = await _identities(cluster).tokens_of(_resource(serviceAccountName="dr"))
    assert tokens is not None

    assert [await asyncio.to_thread(tokens.token) for _ in range(2)] == ["azure for token-1", "azure for token-2"]
    assert cluster.given == [("blue", "dr", AUDIENCE)] * 2

    cluster.error = CredentialUnusable("CredentialForbidden", "may not", recommended_action="grant it")
    with pytest.raises(CredentialUnusable) as refused:
        await asyncio.to_thread(tokens.token)
    assert refused.value is cluster.error


async def test_an_api_server_that_does_not_answer_costs_a_thread_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vault_autoupdate.arm.identity.per_resource.make_login_credential", _Exchange)
    monkeypatch.setattr("vault_autoupdate.arm.identity.per_resource._LONGEST_WAIT", 0.05)
    cluster = Cluster()
    cluster.delay = 3600
    tokens = await _identities(cluster).tokens_of(_resource(serviceAccountName="dr"))
    assert tokens is not None

    with pytest.raises(CredentialError, match="no token of ServiceAccount blue/dr from the API server in time"):
        await asyncio.to_thread(tokens.token)
    assert threading.current_thread() is threading.main_thread()


async def test_what_an_identity_endpoint_repeats_of_a_secret_is_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    class _Echo(_Exchange):
        def get_token(self, *_: str) -> Any:
            raise OSError("invalid: blue-s3cret and eyJhbGciOiJub25l.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJl")

    monkeypatch.setattr("vault_autoupdate.arm.identity.per_resource.make_login_credential", _Echo)
    cluster = Cluster()
    cluster.put("blue", "a", "blue-s3cret")
    tokens = await _identities(cluster).tokens_of(_resource(secretName="a"))
    assert tokens is not None

    with pytest.raises(CredentialError) as refused:
        await asyncio.to_thread(tokens.token)
    assert str(refused.value) == (
        "No token from the credential: invalid: *** and *** Check Secret blue/a, and the identity that it is for."
    )
