"""What people do with single resources at a terminal: read one and its Events, and change it."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any
from urllib.parse import quote

from kubernetes.aio.client.exceptions import ApiException

from vault_autoupdate.cluster.connection import NO_ANSWER, ClusterUnreadable, Connection, in_short, object_path
from vault_autoupdate.model.resource import ResourceKey

_NOT_FOUND = 404
_MERGE_PATCH = "application/merge-patch+json"

__all__ = ["change_resource", "list_events", "read_resource"]


async def read_resource(api: Connection, key: ResourceKey) -> dict[str, Any]:
    """One resource. Raises `ClusterUnreadable`, also where it is not there."""
    return await _asked(api.ask("GET", object_path(key)), "read", key)


async def change_resource(api: Connection, key: ResourceKey, change: Mapping[str, Any]) -> dict[str, Any]:
    """Merge ``change`` (RFC 7386) into a resource; returns it as it is then. Raises as `read_resource`."""
    return await _asked(api.ask("PATCH", object_path(key), change, content_type=_MERGE_PATCH), "change", key)


async def list_events(api: Connection, key: ResourceKey, uid: str) -> list[dict[str, Any]]:
    """The Events about a resource, in no certain order.

    Those of ``v1``: what is posted as ``events.k8s.io`` is there too, and kubectl describe reads them so.

    Raises:
        ClusterUnreadable: they cannot be listed.
    """
    path = f"/api/v1/namespaces/{quote(key.namespace)}/events"
    query = {"fieldSelector": f"involvedObject.uid={uid}"}
    found = await _asked(api.ask("GET", path, query=query), "list the Events of", key)
    items: list[dict[str, Any]] = found["items"]
    return items


async def _asked(asking: Awaitable[Any], what: str, key: ResourceKey) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = await asking
    except ApiException as error:
        if error.status == _NOT_FOUND:
            raise ClusterUnreadable(f"there is no VaultAutoUpdate {key}", error.status) from error
        raise ClusterUnreadable(f"cannot {what} {key}: {in_short(error)}", error.status) from error
    except NO_ANSWER as error:
        raise ClusterUnreadable(f"no answer from the API server: {in_short(error)}") from error
    return answer
