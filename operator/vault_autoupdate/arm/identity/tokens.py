"""Tokens for one audience, kept until shortly before they end."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Iterator
from typing import Any, Final

from azure.core.credentials import AccessToken, TokenCredential
from azure.core.exceptions import DecodeError

from vault_autoupdate.model.errors import CredentialError
from vault_autoupdate.model.text import clean

_REFRESH_BEFORE: Final = 300.0
"""Seconds before its end at which a token is replaced, as azure-core's own policy does it."""
_SETTINGS_ACTION: Final = "Check VAULT_AUTOUPDATE_CREDENTIAL and the identity's settings (AZURE_* variables)."

_NO_JSON = re.compile(r"Expecting value|JSON(Decode)?|text/html", re.IGNORECASE)

log = logging.getLogger(__name__)

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
        self._has_given = False
        """Whether the credential has given a token before."""
        self._token: AccessToken | None = None

    @property
    def is_fresh(self) -> bool:
        """Whether there is a token at hand that is good for some minutes."""
        token = self._token
        return token is not None and token.expires_on - time.time() >= _REFRESH_BEFORE

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

    def renew(self, refused: str, claims: str = "") -> str:
        """Return another token than ``refused``, which ARM did not take, if there is one to be had.

        azure-identity keeps tokens itself and hands the same one out until it is about to end; a credential made
        anew has none yet.

        Args:
            refused: the token that ARM did not take.
            claims: what ARM asks a new one to have (JSON), where it says so: see `arm.wire.challenge`.

        Raises:
            CredentialError: as `token` does.
        """
        with self._lock:
            if self._token is not None and self._token.token == refused:
                self._credential = self._token = None
                if claims:
                    self._token = self._fetch(previous=None, claims=claims)
        return self.token()

    def _fetch(self, previous: AccessToken | None, claims: str = "") -> AccessToken:
        if self._failure and time.monotonic() - self._failed_at < self._failure_pause:
            raise self._failure
        try:
            token = self._ask(claims)
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

    def _ask(self, claims: str) -> AccessToken:
        """Ask for a token; once more with a new credential where one that was used before is refused.

        azure-identity reads a federated token again after ten minutes only, and Entra ID refuses one that has ended.
        """
        options: dict[str, Any] = {"claims": claims} if claims else {}
        if self._credential is not None and self._has_given:
            try:
                return self._credential.get_token(self._scope, **options)
            except Exception as error:  # noqa: BLE001 - as in _fetch
                log.info("no token from the credential, a new one is asked: %s", _without_answer(error))
                self._credential = None
        self._has_given = False
        self._credential = self._credential or self._factory()
        token = self._credential.get_token(self._scope, **options)
        self._has_given = True
        return token

    def _explained(self, error: Exception) -> CredentialError:
        if isinstance(error, CredentialError):
            return error
        said = _why(error)
        for secret in self._secrets:
            said = said.replace(secret, "***")
        return CredentialError(f"No token from the credential: {clean(said, 500)}", recommended_action=self._action)


def _why(error: Exception) -> str:
    """What went wrong, in words that say it where those of the libraries do not."""
    said, chain = _without_answer(error), list(_chain(error))
    if any(isinstance(each, subprocess.TimeoutExpired) for each in chain) or "Failed to invoke the Azure CLI" in said:
        limit = next((f" of {each.timeout:g} s" for each in chain if isinstance(each, subprocess.TimeoutExpired)), "")
        return f"{said}: it took longer than its time{limit} (VAULT_AUTOUPDATE_REQUEST_TIMEOUT)"
    if any(isinstance(each, json.JSONDecodeError | DecodeError) for each in chain) or _NO_JSON.search(said):
        return f"the answer of the identity endpoint is no JSON: a proxy may have answered in its place ({said})"
    return said


def _chain(error: BaseException) -> Iterator[BaseException]:
    """``error`` and what it came from."""
    seen: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in seen:
        yield cause
        seen.append(cause)
        cause = cause.__cause__ or cause.__context__


def _without_answer(error: Exception) -> str:
    """What azure-core says, but for the answer that it quotes when that cannot be read: there may be a token in it."""
    return clean(str(error).partition("\nContent:")[0] or type(error).__name__, 500)
