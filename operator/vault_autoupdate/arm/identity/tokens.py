"""Tokens for one audience, kept until shortly before they end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from typing import Final

from azure.core.credentials import AccessToken, TokenCredential

from vault_autoupdate.model.errors import CredentialError
from vault_autoupdate.model.text import clean

_REFRESH_BEFORE: Final = 300.0
"""Seconds before its end at which a token is replaced, as azure-core's own policy does it."""
_SETTINGS_ACTION: Final = "Check VAULT_AUTOUPDATE_CREDENTIAL and the identity's settings (AZURE_* variables)."

__all__ = ["TokenSource"]


class TokenSource:
    """Tokens for one audience, kept until shortly before they end. Used by many threads."""

    def __init__(
        self,
        factory: Callable[[], TokenCredential],
        audience: str,
        *,
        failure_pause: float = 1.0,
        action: str = _SETTINGS_ACTION,
        secrets: Collection[str] = (),
        fetched: Callable[[float | None], None] = lambda _: None,
    ) -> None:
        """Prepare for tokens for ``audience``.

        Args:
            factory: makes a credential; a new one is made after a failure, since msal repeats the answer of an
                identity endpoint that was down for a minute without asking it again.
            audience: what the tokens are for.
            failure_pause: seconds for which all who ask share one failure, instead of each asking the endpoint.
            action: what to do when there is no token to be had.
            secrets: what must not come up in an error, whatever the identity endpoint answers.
            fetched: is told of each answer, by any thread: when the token ends, or None if there was none.
        """
        self._factory = factory
        self._failure_pause = failure_pause
        self._action = action
        self._secrets = [secret for secret in secrets if secret]
        self._fetched = fetched
        self._failure: CredentialError | None = None
        self._failed_at = 0.0
        self._credential: TokenCredential | None = factory()
        self._scope = audience.rstrip("/") + "/.default"
        self._lock = threading.Lock()
        self._token: AccessToken | None = None

    def token(self) -> str:
        """Return a token that is good for some minutes.

        Raises:
            CredentialError: azure-identity could not get one; the message is its own, without secrets.
        """
        with self._lock:
            token = self._token
            if token is None or token.expires_on - time.time() < _REFRESH_BEFORE:
                token = self._token = self._fetch(previous=token)
            return token.token

    def renew(self, refused: str) -> str:
        """Return another token than ``refused``, which ARM did not take, if there is one to be had.

        azure-identity keeps tokens itself and hands the same one out until it is about to end; a credential made
        anew has none yet.

        Raises:
            CredentialError: as `token` does.
        """
        with self._lock:
            if self._token is not None and self._token.token == refused:
                self._credential = self._token = None
        return self.token()

    def _fetch(self, previous: AccessToken | None) -> AccessToken:
        if self._failure and time.monotonic() - self._failed_at < self._failure_pause:
            raise self._failure
        try:
            self._credential = self._credential or self._factory()
            token = self._credential.get_token(self._scope)
        except Exception as error:  # an answer of a shape that msal does not expect is an AttributeError, for one
            self._credential = None
            self._fetched(None)
            if previous is not None and previous.expires_on > time.time():
                return previous  # it has some minutes left, and the next call asks again
            self._failed_at = time.monotonic()
            self._failure = self._explained(error)
            raise self._failure from error
        self._failure = None
        self._fetched(float(token.expires_on))
        return token

    def _explained(self, error: Exception) -> CredentialError:
        if isinstance(error, CredentialError):
            return error
        said = _without_answer(error)
        for secret in self._secrets:
            said = said.replace(secret, "***")
        return CredentialError(f"No token from the credential: {clean(said, 500)}", recommended_action=self._action)


def _without_answer(error: Exception) -> str:
    """What azure-core says, but for the answer that it quotes when that cannot be read: there may be a token in it."""
    return clean(str(error).partition("\nContent:")[0] or type(error).__name__, 500)
