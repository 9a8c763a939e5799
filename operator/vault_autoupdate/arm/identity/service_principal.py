"""How a resource proves who it is to Azure: from what its Secret or ServiceAccount holds to a `Login`. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from vault_autoupdate.model.arm_id import is_guid
from vault_autoupdate.model.errors import CredentialUnusable
from vault_autoupdate.model.resource import CredentialSource

TENANT_ANNOTATION: Final = "azure.workload.identity/tenant-id"
CLIENT_ANNOTATION: Final = "azure.workload.identity/client-id"
_TENANT = re.compile(r"[0-9a-z]([0-9a-z.-]{0,251}[0-9a-z])?", re.IGNORECASE | re.ASCII)
_NAMES: Final = {"tenant": "AZURE_TENANT_ID", "client": "AZURE_CLIENT_ID"}
_SECRET: Final = "AZURE_CLIENT_SECRET"  # noqa: S105 - the name of a key
_CERTIFICATE: Final = "AZURE_CLIENT_CERTIFICATE"
_PASSWORD: Final = "AZURE_CLIENT_CERTIFICATE_PASSWORD"  # noqa: S105 - as above

__all__ = ["CLIENT_ANNOTATION", "TENANT_ANNOTATION", "Login", "describe", "login_of_secret", "login_of_service_account"]


@dataclass(frozen=True)
class Login:
    """An identity, and what proves it: a secret, a certificate, or, with neither, tokens of a ServiceAccount.

    Two of equal content are the same login. What is secret is in no text about it.
    """

    namespace: str
    source: CredentialSource
    tenant: str
    client: str
    secret: str = field(default="", repr=False)
    certificate: str = field(default="", repr=False)
    """PEM: certificate and private key."""
    password: str = field(default="", repr=False)
    """Of the private key, if it has one."""

    def __str__(self) -> str:
        return describe(self.namespace, self.source)


def describe(namespace: str, source: CredentialSource) -> str:
    """Name the object that holds a credential."""
    kind, name = (
        ("Secret", source.secret_name) if source.secret_name else ("ServiceAccount", source.service_account_name)
    )
    return f"{kind} {namespace}/{name}"


def login_of_secret(namespace: str, source: CredentialSource, data: Mapping[str, bytes]) -> Login:
    """Read a Secret.

    Raises:
        CredentialUnusable: something is missing in it, or cannot be right; the message has every key to mend.
    """
    texts, problems = {}, []
    for key in (*_NAMES.values(), _SECRET, _CERTIFICATE, _PASSWORD):
        try:
            texts[key] = data.get(key, b"").decode()
        except UnicodeDecodeError:
            problems.append(f"{key} is not text")
            texts[key] = "?"
    # Written by `echo` or an editor, such values end with a line break that is no part of them.
    tenant, client = texts[_NAMES["tenant"]].strip(), texts[_NAMES["client"]].strip()
    problems += _identity_problems(tenant, client, _NAMES["tenant"], _NAMES["client"])
    if bool(texts[_SECRET]) == bool(texts[_CERTIFICATE]):
        which = "both are there" if texts[_SECRET] else "neither is there"
        problems.append(f"exactly one of {_SECRET} and {_CERTIFICATE} is needed: {which}")
    if texts[_CERTIFICATE] and "-----BEGIN " not in texts[_CERTIFICATE]:
        problems.append(f"{_CERTIFICATE} must be PEM: certificate and private key")
    _refuse(namespace, source, problems)
    secret, password = texts[_SECRET].rstrip("\r\n"), texts[_PASSWORD].rstrip("\r\n")
    return Login(namespace, source, tenant, client, secret, texts[_CERTIFICATE], password)


def login_of_service_account(namespace: str, source: CredentialSource, annotations: Mapping[str, str]) -> Login:
    """Read the annotations of a ServiceAccount.

    Raises:
        CredentialUnusable: one is missing, or cannot be right; the message has every one to mend.
    """
    tenant, client = annotations.get(TENANT_ANNOTATION, ""), annotations.get(CLIENT_ANNOTATION, "")
    problems = _identity_problems(tenant, client, f"annotation {TENANT_ANNOTATION}", f"annotation {CLIENT_ANNOTATION}")
    _refuse(namespace, source, problems)
    return Login(namespace, source, tenant, client)


def _identity_problems(tenant: str, client: str, tenant_name: str, client_name: str) -> list[str]:
    """What is wrong with the two ids. The values are not repeated: somebody may have mixed up the keys."""
    problems = []
    if not _TENANT.fullmatch(tenant):  # it becomes part of a URL
        problems.append(
            f"{tenant_name} " + ("must be the GUID or the domain of the tenant" if tenant else "is missing")
        )
    if not is_guid(client):
        problems.append(f"{client_name} " + ("must be the client id, a GUID" if client else "is missing"))
    return problems


def _refuse(namespace: str, source: CredentialSource, problems: list[str]) -> None:
    if problems:
        raise CredentialUnusable(
            "CredentialInvalid",
            f"{describe(namespace, source)} cannot be used: {'; '.join(problems)}.",
            recommended_action="Mend it; it is read again at the interval, or when the resource asks for a look.",
        )
