"""What resources log in to Azure with, read from Kubernetes where they may bring that along."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from typing import Any, Final

from kubernetes.aio import client
from kubernetes.aio.client.exceptions import ApiException

from vault_autoupdate.cluster.connection import LOGINS_AT_ONCE, NO_ANSWER, TIMEOUT, in_short
from vault_autoupdate.model.errors import CredentialUnusable

_NOT_FOUND: Final = 404
_FORBIDDEN: Final = 403
_SHORTEST_TOKEN: Final = 600
"""Seconds: the least that the API server gives. Such a token is exchanged at once and then of no use."""

__all__ = ["KubeLogins"]


class KubeLogins:
    """Reads what resources log in to Azure with. Implements `LoginReader`; nothing of it is kept here or logged."""

    def __init__(self, api: client.ApiClient) -> None:
        self._core = client.CoreV1Api(api)
        self._turns = asyncio.Semaphore(LOGINS_AT_ONCE)

    async def secret(self, namespace: str, name: str) -> Mapping[str, bytes]:
        """The data of a Secret. Raises `CredentialUnusable`."""
        found = await self._asked("secrets", "get", namespace, name, self._core.read_namespaced_secret)
        return {key: base64.b64decode(value) for key, value in (found.data or {}).items()}

    async def annotations(self, namespace: str, name: str) -> Mapping[str, str]:
        """The annotations of a ServiceAccount. Raises `CredentialUnusable`."""
        found = await self._asked("serviceaccounts", "get", namespace, name, self._core.read_namespaced_service_account)
        annotations: dict[str, str] = found.metadata.annotations or {}
        return annotations

    async def token(self, namespace: str, name: str, audience: str) -> str:
        """A new token of a ServiceAccount, short-lived. Raises `CredentialUnusable`."""
        spec = client.V1TokenRequestSpec(audiences=[audience], expiration_seconds=_SHORTEST_TOKEN)
        made = await self._asked(
            "serviceaccounts/token",
            "create",
            namespace,
            name,
            self._core.create_namespaced_service_account_token,
            body=client.AuthenticationV1TokenRequest(spec=spec),
        )
        return str(made.status.token)

    async def _asked(self, resource: str, verb: str, namespace: str, name: str, call: Any, **more: Any) -> Any:
        """What ``call`` gives for an object, or a `CredentialUnusable` that says what to make or to grant."""
        what = f"{'Secret' if resource == 'secrets' else 'ServiceAccount'} {namespace}/{name}"
        try:
            async with self._turns:
                return await call(name, namespace, _request_timeout=TIMEOUT, **more)
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
