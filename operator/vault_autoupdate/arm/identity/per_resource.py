"""The identities that resources bring along: read anew at each pass, and kept while a resource uses them."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable, Mapping
from typing import Final, Protocol
from weakref import WeakValueDictionary

from vault_autoupdate.arm.identity.process import make_login_credential
from vault_autoupdate.arm.identity.service_principal import Login, login_of_secret, login_of_service_account
from vault_autoupdate.arm.identity.tokens import TokenSource
from vault_autoupdate.model import bounds
from vault_autoupdate.model.errors import CredentialUnusable
from vault_autoupdate.model.resource import CredentialSource, VaultAutoUpdate
from vault_autoupdate.model.text import clean
from vault_autoupdate.settings import Settings

AUDIENCE: Final = "api://AzureADTokenExchange"
"""What the token of a ServiceAccount is for, as Entra ID wants it."""
_LONGEST_WAIT: Final = 45.0
"""Seconds that a thread waits for such a token; a request to the API server gives up before."""

__all__ = ["AUDIENCE", "Identities", "LoginReader"]


class LoginReader(Protocol):
    """Reads what credentials are made of; `KubeLogins` is the one. All methods raise `CredentialUnusable`."""

    async def secret(self, namespace: str, name: str) -> Mapping[str, bytes]:
        """The data of a Secret."""

    async def annotations(self, namespace: str, name: str) -> Mapping[str, str]:
        """The annotations of a ServiceAccount."""

    async def token(self, namespace: str, name: str, audience: str) -> str:
        """A new token of a ServiceAccount."""


class Identities:
    """Gives each resource its own source of tokens.

    Resources that name the same object with the same content share one. It is held by those who use it (their
    `TrackedResource` and their pass) and by nobody else, so that it goes when the last of them does, or when what it
    was made of has changed.
    """

    def __init__(
        self, reader: LoginReader, settings: Settings, *, fetched: Callable[[float | None], None] = lambda _: None
    ) -> None:
        """Prepare for identities.

        Args:
            reader: reads what they are made of.
            settings: where tokens come from.
            fetched: is told of each token that was asked for, by any thread; see `TokenSource`.
        """
        self._fetched = fetched
        self._reader = reader
        self._settings = settings
        self._sources: WeakValueDictionary[Login, TokenSource] = WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._sources)

    async def tokens_of(self, resource: VaultAutoUpdate) -> TokenSource | None:
        """The source of tokens of the identity that ``resource`` names; None if it names none.

        Raises:
            CredentialUnusable: what it names is not there, may not be read, or is not complete.
        """
        return await self.tokens_for(resource.key.namespace, resource.spec.credential)

    async def tokens_for(self, namespace: str, source: CredentialSource | None) -> TokenSource | None:
        """The source of tokens of an identity that something in ``namespace`` names. Raises as `tokens_of`."""
        if source is None:
            return None
        if source.secret_name:
            login = login_of_secret(namespace, source, await self._reader.secret(namespace, source.secret_name))
        else:
            name = source.service_account_name or ""
            login = login_of_service_account(namespace, source, await self._reader.annotations(namespace, name))
        tokens = self._sources.get(login)
        if tokens is None:
            tokens = self._sources[login] = self._make(login)
        return tokens

    def _make(self, login: Login) -> TokenSource:
        loop, reader, name = asyncio.get_running_loop(), self._reader, login.source.service_account_name or ""

        def assertion() -> str:
            asked = asyncio.run_coroutine_threadsafe(reader.token(login.namespace, name, AUDIENCE), loop)
            try:
                return asked.result(_LONGEST_WAIT)
            except (TimeoutError, concurrent.futures.CancelledError) as error:
                asked.cancel()
                raise OSError(f"no token of {login} from the API server in time") from error

        try:
            return TokenSource(
                lambda: make_login_credential(login, self._settings, assertion),
                self._settings.arm_audience,
                failure_pause=self._settings.retry_pause.total_seconds() / 2,
                action=f"Check {login}, and the identity that it is for.",
                secrets=(login.secret, login.password),
                fetched=self._fetched,
            )
        except ValueError as error:  # a certificate that is none, or a wrong password
            raise CredentialUnusable(
                "CredentialInvalid",
                f"{login} cannot be used: {clean(error, bounds.SAID)}",
                recommended_action="Mend it; it is read again at the interval, or when the resource asks for a look.",
            ) from None
