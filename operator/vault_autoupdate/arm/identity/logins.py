"""Logs in outside the pool of threads that makes calls: a login that hangs keeps only those waiting who need it."""

from __future__ import annotations

import asyncio
import threading
from weakref import WeakKeyDictionary

from vault_autoupdate.arm.identity.tokens import TokenSource
from vault_autoupdate.model.errors import AzureError

__all__ = ["Logins"]


class Logins:
    """One thread at a time for each source of tokens, however many calls wait for it. Belongs to one event loop."""

    def __init__(self) -> None:
        self._under_way: WeakKeyDictionary[TokenSource, asyncio.Future[AzureError | None]] = WeakKeyDictionary()

    async def ensure(self, tokens: TokenSource) -> None:
        """Return when ``tokens`` has one at hand, so that to ask for it does not block.

        Raises:
            CredentialError: it could not get one.
        """
        if tokens.is_fresh:
            return
        login = self._under_way.get(tokens)
        if login is None or login.done():
            login = self._under_way[tokens] = asyncio.get_running_loop().create_future()
            threading.Thread(target=_log_in, args=(tokens, login), name="login", daemon=True).start()
        error = await asyncio.shield(login)  # somebody who cannot wait any longer does not stop the others
        if error:
            raise error


def _log_in(tokens: TokenSource, login: asyncio.Future[AzureError | None]) -> None:
    error: AzureError | None = None
    try:
        tokens.token()
    except AzureError as refused:
        error = refused
    loop = login.get_loop()
    if not loop.is_closed():
        loop.call_soon_threadsafe(_conclude, login, error)


def _conclude(login: asyncio.Future[AzureError | None], error: AzureError | None) -> None:
    if not login.done():
        login.set_result(error)
