"""Who we are to Azure: the process by a credential of azure-identity, chosen by mode, and resources by their own."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from azure.core.credentials import TokenCredential
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import (
    AzureCliCredential,
    CertificateCredential,
    ClientAssertionCredential,
    ClientSecretCredential,
    DefaultAzureCredential,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
)
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs12

from vault_autoupdate.arm.deadline import DeadlineSession
from vault_autoupdate.arm.identity.service_principal import Login
from vault_autoupdate.model.clouds import CLOUDS
from vault_autoupdate.model.text import clean
from vault_autoupdate.settings import Credential, InvalidSettings, Settings

_CONNECT_TIMEOUT: Final = 10.0

_NEEDED: Final[Mapping[Credential, tuple[str, ...]]] = {
    Credential.WORKLOAD_IDENTITY: ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE"),
    Credential.CLIENT_SECRET: ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"),
    Credential.CLIENT_CERTIFICATE: ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_CERTIFICATE_PATH"),
}


_OF_ENTRA: Final = frozenset({"authority", "disable_instance_discovery"})
"""Options of credentials that go to an authority; the endpoint of a managed identity is none."""

__all__ = ["certificate_expiry", "make_credential", "make_login_credential"]


def make_credential(settings: Settings, environment: Mapping[str, str]) -> TokenCredential:
    """Build the credential of the configured mode.

    Raises:
        InvalidSettings: a variable that the mode needs is not set, or azure-identity cannot use its value.
    """
    mode = settings.credential
    missing = [name for name in _NEEDED.get(mode, ()) if not environment.get(name)]
    if missing:
        raise InvalidSettings([f"{name}: required by VAULT_AUTOUPDATE_CREDENTIAL={mode}" for name in missing])
    tenant, client = environment.get("AZURE_TENANT_ID", ""), environment.get("AZURE_CLIENT_ID", "")
    try:
        seconds = max(1, math.ceil(settings.request_timeout.total_seconds()))
        return _credential(mode, tenant, client, environment, _options(settings), seconds=seconds)
    except (ValueError, OSError) as error:
        raise InvalidSettings([f"VAULT_AUTOUPDATE_CREDENTIAL={mode}: {clean(error, 500)}"]) from error


def _credential(
    mode: Credential,
    tenant: str,
    client: str,
    environment: Mapping[str, str],
    options: Mapping[str, Any],
    *,
    seconds: int,
) -> TokenCredential:
    """``seconds``: for a command that gives tokens, such as ``az``. azure-identity's own ten are too few for some."""
    match mode:
        case Credential.WORKLOAD_IDENTITY:
            return WorkloadIdentityCredential(**options)
        case Credential.MANAGED_IDENTITY:
            without_authority = {name: value for name, value in options.items() if name not in _OF_ENTRA}
            return ManagedIdentityCredential(client_id=client or None, **without_authority)
        case Credential.CLIENT_SECRET:
            return ClientSecretCredential(tenant, client, environment["AZURE_CLIENT_SECRET"], **options)
        case Credential.CLIENT_CERTIFICATE:
            return CertificateCredential(
                tenant,
                client,
                environment["AZURE_CLIENT_CERTIFICATE_PATH"],
                password=environment.get("AZURE_CLIENT_CERTIFICATE_PASSWORD"),
                **options,
            )
        case Credential.AZURE_CLI:
            return AzureCliCredential(tenant_id=tenant, process_timeout=seconds)
        case Credential.DEFAULT:
            return DefaultAzureCredential(process_timeout=seconds, **options)


def make_login_credential(login: Login, settings: Settings, assertion: Callable[[], str]) -> TokenCredential:
    """Build the credential of a resource.

    Args:
        login: who it is.
        settings: where tokens come from, and how long to wait for them.
        assertion: gets a token of the login's ServiceAccount; called from any thread, whenever Azure's token has
            to be replaced.

    Raises:
        ValueError: azure-identity cannot use it.
    """
    options = _options(settings)
    if login.certificate:
        data, password = login.certificate.encode(), login.password or None
        return CertificateCredential(login.tenant, login.client, certificate_data=data, password=password, **options)
    if login.secret:
        return ClientSecretCredential(login.tenant, login.client, login.secret, **options)
    return ClientAssertionCredential(login.tenant, login.client, assertion, **options)


def _options(settings: Settings) -> dict[str, Any]:
    """Arguments by which a credential gets its tokens from where the settings say, in bounded time.

    While one thread asks for a token, all others wait for it: one question, and a time-out. azure-identity by itself
    asks ten times over several minutes, waits five for an answer, and sleeps for as long as a Retry-After says.

    An authority that is not a cloud's own was put into the configuration by whoever runs us. azure-identity would ask
    Microsoft's public cloud about it, which knows nothing of it and may not be in reach.
    """
    timeout = settings.request_timeout.total_seconds()
    transport = RequestsTransport(
        session=DeadlineSession(), connection_timeout=min(_CONNECT_TIMEOUT, timeout), read_timeout=timeout
    )
    known = any(settings.authority_host == cloud.authority_host for cloud in CLOUDS.values())
    return {
        "authority": settings.authority_host,
        "retry_total": 0,
        "retry_status": 0,
        "transport": transport,
        **({} if known else {"disable_instance_discovery": True}),
    }


def certificate_expiry(settings: Settings, environment: Mapping[str, str]) -> float | None:
    """Unix time when the certificate of the mode client-certificate ends; None in other modes."""
    if settings.credential is not Credential.CLIENT_CERTIFICATE:
        return None
    password = environment.get("AZURE_CLIENT_CERTIFICATE_PASSWORD")
    try:
        data = Path(environment["AZURE_CLIENT_CERTIFICATE_PATH"]).read_bytes()
        if b"-----BEGIN" in data:
            certificates = x509.load_pem_x509_certificates(data)
        else:
            bundle = pkcs12.load_key_and_certificates(data, password.encode() if password else None)[1]
            certificates = [bundle] if bundle else []
    except (KeyError, OSError, ValueError):
        return None
    return min((each.not_valid_after_utc.timestamp() for each in certificates), default=None)
