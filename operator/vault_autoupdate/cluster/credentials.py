"""What resources log in to Azure with, read from Kubernetes where they may bring that along."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from typing import Any, Final

from kubernetes.aio.client.exceptions import ApiException

from vault_autoupdate.cluster.connection import LOGINS_AT_ONCE, NO_ANSWER, Connection, core_path, in_short
from vault_autoupdate.model.errors import CredentialUnusable

_NOT_FOUND: Final = 404
_FORBIDDEN: Final = 403
_SHORTEST_TOKEN: Final = 600
"""Seconds: the least that the API server gives. Such a token is exchanged at once and then of no use."""

__all__ = ["KubeLogins"]


class KubeLogins:
    """Reads what resources log in to Azure with. Implements `LoginReader`; nothing of it is kept here or logged."""

    def __init__(self, api: Connection) -> None:
        self._api = api
        self._turns = asyncio.Semaphore(LOGINS_AT_ONCE)

    async def secret(self, namespace: str, name: str) -> Mapping[str, bytes]:
        """The data of a Secret. Raises `CredentialUnusable`."""
        found = await self._asked("secrets", "get", namespace, name)
        return {key: base64.b64decode(value) for key, value in (found.get("data") or {}).items()}

    async def annotations(self, namespace: str, name: str) -> Mapping[str, str]:
        """The annotations of a ServiceAccount. Raises `CredentialUnusable`."""
        found = await self._asked("serviceaccounts", "get", namespace, name)
        annotations: dict[str, str] = found["metadata"].get("annotations") or {}
        return annotations

    async def token(self, namespace: str, name: str, audience: str) -> str:
        """A new token of a ServiceAccount, short-lived. Raises `CredentialUnusable`."""
        spec = {"audiences": [audience], "expirationSeconds": _SHORTEST_TOKEN}
        made = await self._asked("serviceaccounts/token", "create", namespace, name, {"spec": spec})
        return str(made["status"]["token"])

    async def _asked(self, resource: str, verb: str, namespace: str, name: str, document: object = None) -> Any:
        """What is there, or what is made of ``document``, or a `CredentialUnusable` that says what to make or grant."""
        plural, _, subresource = resource.partition("/")
        path = f"{core_path(plural, namespace, name)}{f'/{subresource}' if subresource else ''}"
        what = f"{'Secret' if resource == 'secrets' else 'ServiceAccount'} {namespace}/{name}"
        try:
            async with self._turns:
                return await self._api.ask("POST" if verb == "create" else "GET", path, document)
        except ApiException as error:
            if error.status == _NOT_FOUND:
                raise CredentialUnusable(
                    "CredentialNotFound",
                    f"There is no {what}, which spec.credential names.",
                    recommended_action="Create it, or name another one; it is looked for at the interval.",
                ) from None
            if error.status == _FORBIDDEN:
                raise CredentialUnusable(
                    "CredentialForbidden",
                    f"The operator may not {verb} {resource} for {what}.",
                    recommended_action=(
                        f'Let its ServiceAccount by a Role in namespace {namespace} with the rule apiGroups: [""], '
                        f"resources: [{resource}], resourceNames: [{name}], verbs: [{verb}]."
                    ),
                ) from None
            problem = in_short(error)
        except NO_ANSWER as error:
            problem = in_short(error)
        raise CredentialUnusable(
            "CredentialUnreadable", f"{what} could not be read: {problem}.", recommended_action="", passing=True
        )
