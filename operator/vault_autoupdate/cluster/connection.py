"""The connection to the API server, by the official client, so that every login works. Both directions share it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, cast
from urllib.request import getproxies_environment

import aiohttp
from kubernetes.aio import client, config
from kubernetes.aio.client.exceptions import ApiException

from vault_autoupdate.cluster.calls import KubeCallObserver, tracing
from vault_autoupdate.model.resource import GROUP, PLURAL, VERSION
from vault_autoupdate.model.text import clean

WRITES_AT_ONCE: Final = 16
LOGINS_AT_ONCE: Final = 4
_CONNECTIONS: Final = WRITES_AT_ONCE + LOGINS_AT_ONCE + 4
"""The others are for what must not wait behind thousands of statuses and credentials: the Lease."""
NO_ANSWER: Final = (aiohttp.ClientError, OSError, TimeoutError)
"""What the client raises when no answer came."""
TIMEOUT: Final = 30.0
"""Seconds for one request."""
_DEFINITION_PAUSE: Final = 3.0
_HINTS: Final = {404: "is the CustomResourceDefinition installed (crds/)?", 403: "is the Role bound?"}

log = logging.getLogger(__name__)

__all__ = [
    "LOGINS_AT_ONCE", "NO_ANSWER", "TIMEOUT", "WRITES_AT_ONCE", "ClusterUnreadable", "await_definition", "connect",
    "in_short", "list_resources", "tune_client",
]  # fmt: skip


class ClusterUnreadable(ConnectionError):
    """There is no cluster to talk to, or it does not answer as hoped for."""


@asynccontextmanager
async def connect(observer: KubeCallObserver = lambda *_: None) -> AsyncIterator[client.ApiClient]:
    """Log in from within a pod, else by kubeconfig (exec plugins included).

    Args:
        observer: is told of every call.

    Raises:
        ClusterUnreadable: neither tells of a cluster.
    """
    try:
        config.load_incluster_config()  # type: ignore[no-untyped-call]  # the client's package has no types here
    except config.ConfigException:
        try:
            await config.load_kube_config()  # type: ignore[no-untyped-call]  # as above
        except config.ConfigException as error:
            raise ClusterUnreadable(f"no cluster to talk to (KUBECONFIG): {clean(error, 300)}") from error
    async with client.ApiClient(tune_client(client.Configuration.get_default_copy(), observer)) as api:
        yield api


def tune_client(
    configuration: client.Configuration, observer: KubeCallObserver = lambda *_: None
) -> client.Configuration:
    """Open fewer connections than the client would, and look for proxies before each request only if there are some.

    A TLS connection of asyncio keeps a buffer of 256 KiB, of which the client would have a hundred; and with
    ``trust_env`` it reads the environment and ``~/.netrc`` anew each time. Measured in docs/performance.md.
    """
    configuration.connection_pool_maxsize = _CONNECTIONS
    configuration.client_session_kwargs = {
        "trust_env": bool(getproxies_environment()),
        "trace_configs": [tracing(observer)],
    }
    return configuration


async def await_definition(api: client.ApiClient, namespaces: tuple[str, ...]) -> None:
    """Wait until the resources can be listed: their definition may be installed after the operator."""
    objects = client.CustomObjectsApi(api)
    while True:
        try:
            if namespaces:
                await objects.list_namespaced_custom_object(
                    GROUP, VERSION, namespaces[0], PLURAL, limit=1, _request_timeout=TIMEOUT
                )
            else:
                await objects.list_cluster_custom_object(GROUP, VERSION, PLURAL, limit=1, _request_timeout=TIMEOUT)
        except ApiException as error:
            log.warning("cannot list %s: %s %s", PLURAL, in_short(error), _HINTS.get(error.status, ""))
        except NO_ANSWER as error:
            log.warning("no answer from the API server: %s", in_short(error))
        else:
            return
        await asyncio.sleep(_DEFINITION_PAUSE)


async def list_resources(api: client.ApiClient, namespace: str = "") -> list[dict[str, Any]]:
    """All resources of a namespace, or of the cluster.

    Raises:
        ClusterUnreadable: they cannot be listed.
    """
    objects = client.CustomObjectsApi(api)
    try:
        if namespace:
            found = await objects.list_namespaced_custom_object(
                GROUP, VERSION, namespace, PLURAL, _request_timeout=TIMEOUT
            )
        else:
            found = await objects.list_cluster_custom_object(GROUP, VERSION, PLURAL, _request_timeout=TIMEOUT)
    except ApiException as error:
        hint = _HINTS.get(error.status, "")
        raise ClusterUnreadable(f"cannot list {PLURAL}: {in_short(error)} {hint}".strip()) from error
    except NO_ANSWER as error:
        raise ClusterUnreadable(f"no answer from the API server: {in_short(error)}") from error
    items: list[dict[str, Any]] = cast("dict[str, Any]", found)["items"]
    return items


def in_short(error: BaseException) -> str:
    """What went wrong with a request, in a few words."""
    if isinstance(error, ApiException):
        return f"{error.status} {clean(error.reason, 200)}"
    return f"{type(error).__name__} {clean(error, 200)}"
