"""Lists of resources, read a page at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any, Final

from kubernetes.aio.client.exceptions import ApiException

from vault_autoupdate.cluster.connection import (
    HINTS,
    NO_ANSWER,
    ClusterUnreadable,
    Connection,
    collection_path,
    in_short,
)
from vault_autoupdate.model.resource import PLURAL, SHARD_LABEL

_PAGE: Final = 500
_PAUSE: Final = 2.0
_NOT_TO_BE_SEEN: Final = frozenset({403, 404})
"""The watch will not see them either, and says so."""

log = logging.getLogger(__name__)

__all__ = ["each_page", "each_that_matters_to_shards", "list_resources"]


async def each_page(api: Connection, namespace: str, plural: str = PLURAL) -> AsyncIterator[list[dict[str, Any]]]:
    """All resources of a kind in a namespace, or in the cluster. Raises `ApiException`, and what `NO_ANSWER` names."""
    token: str | None = None
    while token is None or token:
        query: dict[str, object] = {"limit": _PAGE} | ({"continue": token} if token else {})
        document = await api.ask("GET", collection_path(namespace, plural), query=query)
        yield document["items"]
        token = (document.get("metadata") or {}).get("continue") or ""


async def list_resources(api: Connection, namespace: str = "", plural: str = PLURAL) -> list[dict[str, Any]]:
    """All resources of a kind in a namespace, or in the cluster, for whoever wants them all at once.

    Raises:
        ClusterUnreadable: they cannot be listed.
    """
    try:
        return [body async for page in each_page(api, namespace, plural) for body in page]
    except ApiException as error:
        hint = HINTS.get(error.status, "")
        raise ClusterUnreadable(f"cannot list {plural}: {in_short(error)}. {hint}".strip(), error.status) from error
    except NO_ANSWER as error:
        raise ClusterUnreadable(f"no answer from the API server: {in_short(error)}") from error


async def each_that_matters_to_shards(
    api: Connection, namespaces: tuple[str, ...], shard: str
) -> AsyncIterator[dict[str, Any]]:
    """All resources that are watched, some of them twice; none where all belong to the main shard, and it asks.

    A list that fails is begun anew, until it succeeds: nobody may work who does not know of the others.
    """
    for namespace in namespaces or ("",):
        while True:
            try:
                if shard or await _has_labelled(api, namespace):
                    async for page in each_page(api, namespace):
                        for body in page:
                            yield body
                break
            except (ApiException, *NO_ANSWER) as error:
                if isinstance(error, ApiException) and error.status in _NOT_TO_BE_SEEN:
                    break
                log.warning("the resources cannot be listed, again in %s s: %s", _PAUSE, in_short(error))
            await asyncio.sleep(_PAUSE)


async def _has_labelled(api: Connection, namespace: str) -> bool:
    query = {"limit": 1, "labelSelector": SHARD_LABEL}
    return bool((await api.ask("GET", collection_path(namespace), query=query))["items"])
