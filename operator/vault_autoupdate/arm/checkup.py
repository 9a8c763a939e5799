"""Asks Azure once for each thing that the operator will need of it. Blocking; changes nothing."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from azure.core.credentials import TokenCredential

from vault_autoupdate.arm.identity.process import make_credential
from vault_autoupdate.arm.identity.tokens import TokenSource
from vault_autoupdate.arm.session import ArmCall, ArmReply, ArmSession
from vault_autoupdate.arm.wire import authorization, automation
from vault_autoupdate.arm.wire.access import permissions, read_claims
from vault_autoupdate.arm.wire.documents import next_link
from vault_autoupdate.arm.wire.errors import is_unknown_to_site_recovery
from vault_autoupdate.model.arm_id import ArmId
from vault_autoupdate.model.checkup import Greeting, Login, Permission, Read, TokenClaims, Way
from vault_autoupdate.model.errors import ArmError
from vault_autoupdate.model.roles import BUILT_IN, RoleAssignment, RoleFacts
from vault_autoupdate.settings import Settings

_VAULT_VERSION: Final = "?api-version=2023-02-01"
_ACCOUNT_VERSION: Final = "?api-version=2024-10-23"
_SUBSCRIPTION_VERSION: Final = "?api-version=2022-12-01"
_ROLES_VERSION: Final = "?api-version=2022-04-01"
_PERMISSIONS: Final = "/providers/Microsoft.Authorization/permissions?api-version=2022-04-01"
_REMAINING: Final = "x-ms-ratelimit-remaining-"
VAULT_READS: Final[Mapping[str, str]] = {
    "vault": _VAULT_VERSION,
    "mappings": "/replicationProtectionContainerMappings",
    "jobs": "/replicationJobs",
    "replicated items": "/replicationProtectedItems",
}
"""What is read of a vault: the name, and what follows the vault's id."""
ACCOUNT_READS: Final[Mapping[str, str]] = {
    "account": _ACCOUNT_VERSION,
    "schedules": f"/schedules{_ACCOUNT_VERSION}",
    "job schedules": f"/jobSchedules{_ACCOUNT_VERSION}",
    "runs": f"/jobs{_ACCOUNT_VERSION}",
    "usages": f"/usages{_ACCOUNT_VERSION}",
}
"""What is read of an Automation account."""

__all__ = ["ACCOUNT_READS", "VAULT_READS", "AzureProbe", "federated_claims"]


class AzureProbe:
    """A session of its own, with the identity, proxy and certificates that the operator would have."""

    def __init__(self, settings: Settings, environment: Mapping[str, str]) -> None:
        """Prepare; nothing is called yet.

        Raises:
            InvalidSettings: the credential's variables are not complete.
        """
        self._expires_at: datetime | None = None
        self._accounts: dict[str, Any] = {}
        """By key: the Automation accounts that were read."""
        self._credential: TokenCredential | None = None

        def factory() -> TokenCredential:
            self._credential = make_credential(settings, environment)
            return self._credential

        self._tokens = TokenSource(factory, settings.arm_audience, fetched=self._fetched)
        self._session = ArmSession(
            endpoint=settings.arm_endpoint,
            api_version=settings.api_version,
            tokens=self._tokens,
            timeout=settings.request_timeout.total_seconds(),
            may_write=lambda: False,
        )

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _fetched(self, expires_on: float | None) -> None:
        self._expires_at = None if expires_on is None else datetime.fromtimestamp(expires_on, UTC)

    def way(self) -> Way:
        """How calls to ARM leave this process."""
        return self._session.way()

    def greet(self, subscription: str) -> Greeting:
        """Call ARM without a token, about ``subscription`` or about none.

        Raises:
            Unreachable: no answer came.
        """
        place = f"/subscriptions/{subscription}".rstrip("/")
        return self._session.greet(f"{place}{_SUBSCRIPTION_VERSION}")

    def log_in(self) -> Login:
        """Get a token.

        Raises:
            CredentialError: there is none to be had.
        """
        claims = read_claims(self._tokens.token())
        # Which of its credentials the chain has taken is in no public attribute; without it the chain itself is named.
        chosen = getattr(self._credential, "_successful_credential", None) or self._credential
        return Login(claims, type(chosen).__name__, self._expires_at)

    def read(self, resource: ArmId, suffix: str) -> Read:
        """GET the resource, or the first page of what is in it.

        Raises:
            AzureError: it cannot be read.
        """
        try:
            reply = self._get(f"{resource.text}{suffix}")
        except ArmError as error:
            if is_unknown_to_site_recovery(error):
                return Read(entries=0, replicates=False)
            raise
        document = reply.document()
        if suffix == _ACCOUNT_VERSION:
            self._accounts[resource.key] = document
        entries = document.get("value") if isinstance(document, dict) else None
        quotas = tuple((name, value) for name, value in reply.headers.items() if name.startswith(_REMAINING))
        return Read(len(entries) if isinstance(entries, list) else None, quotas=quotas)

    def permissions(self, resource: ArmId) -> list[Permission]:
        """What the identity may do on ``resource``.

        Raises:
            AzureError: it may not be told.
        """
        return permissions(self._get(f"{resource.text}{_PERMISSIONS}").document())

    def principal_of(self, account: ArmId) -> str:
        """Of the own identity of an account that was read, a GUID; empty where it has none.

        Raises:
            MalformedReply: what was read is no account.
        """
        found = automation.account(self._accounts.get(account.key))
        return found.principal_id if found.has_own_identity else ""

    def roles(self, vault: ArmId, principal_id: str) -> RoleFacts:
        """The roles of a principal on a vault, as far as the first page of each list tells them.

        Raises:
            AzureError: they cannot be read.
        """
        below = f"{vault.text}/providers/Microsoft.Authorization"
        wanted = quote(f"atScope() and assignedTo('{principal_id}')", safe="()'")
        page = self._get(f"{below}/roleAssignments{_ROLES_VERSION}&$filter={wanted}").document()
        assignments = authorization.assignments_page(page)
        if next_link(page):
            assignments.append(RoleAssignment("", "", ""))  # one more, of which nothing is known
        denials = authorization.denials_page(
            self._get(f"{below}/denyAssignments{_ROLES_VERSION}&$filter=atScope()").document()
        )
        roles = {
            role_id: authorization.role_definition(
                self._get(f"{below}/roleDefinitions/{role_id}{_ROLES_VERSION}").document()
            )
            for role_id in {each.role_id for each in assignments} - {"", *BUILT_IN}
        }
        return RoleFacts(tuple(assignments), roles, tuple(denials))

    def _get(self, target: str) -> ArmReply:
        return self._session.send(ArmCall("GET", target, f"doctor/{uuid.uuid4()}", operation="doctor"))


def federated_claims(environment: Mapping[str, str]) -> TokenClaims | None:
    """What the ServiceAccount's token says, by which a workload proves who it is; None without one that can be read."""
    try:
        return read_claims(Path(environment["AZURE_FEDERATED_TOKEN_FILE"]).read_text(encoding="ascii").strip())
    except (KeyError, OSError, ValueError):
        return None
