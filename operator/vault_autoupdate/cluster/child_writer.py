"""Writes the resources that policies make. Each write is for one very object, and made once: the next pass goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final

from kubernetes.aio.client.exceptions import ApiException

from vault_autoupdate.cluster.connection import (
    NO_ANSWER,
    WRITES_AT_ONCE,
    Connection,
    collection_path,
    in_short,
    object_path,
)
from vault_autoupdate.cluster.listing import each_page
from vault_autoupdate.model.errors import NotLeading, NotWritten, ObjectChanged, ObjectGone
from vault_autoupdate.model.resource import ObjectRef

_MERGE_PATCH: Final = "application/merge-patch+json"
_GONE: Final = frozenset({404, 410})
_CONFLICT: Final = 409
_INVALID: Final = 422

__all__ = ["ChildWriter"]


class ChildWriter:
    """Makes, changes and deletes VaultAutoUpdate resources, and lists those that there are."""

    def __init__(
        self, api: Connection, namespaces: tuple[str, ...], *, may_write: Callable[[], bool] = lambda: True
    ) -> None:
        self._api = api
        self._namespaces = namespaces
        self._may_write = may_write
        self._turns = asyncio.Semaphore(WRITES_AT_ONCE)

    async def pages(self) -> AsyncIterator[list[dict[str, Any]]]:
        """All VaultAutoUpdates of the namespaces that are watched. Raises `NotWritten` if they cannot be listed."""
        try:
            for namespace in self._namespaces or ("",):
                async for page in each_page(self._api, namespace):
                    yield page
        except (ApiException, *NO_ANSWER) as error:
            raise NotWritten(in_short(error)) from error

    async def create(self, manifest: Mapping[str, Any]) -> None:
        """Make a resource; nothing, if there is one of that name. Raises `NotWritten`, `NotLeading`."""
        namespace = manifest["metadata"]["namespace"]
        try:
            await self._write(lambda: self._api.send("POST", collection_path(namespace), manifest))
        except ObjectChanged:
            return
        except ObjectGone as error:
            raise NotWritten(f"{error}: is there a namespace {namespace}?") from error

    async def change(self, ref: ObjectRef, changes: Mapping[str, Any]) -> None:
        """Merge changes into this very object. Raises `NotWritten`, `NotLeading`, `ObjectGone`, `ObjectChanged`."""
        # A uid that is another one is a change of what cannot be changed: the API server refuses it.
        body = dict(changes) | {"metadata": {**changes.get("metadata", {}), "uid": ref.uid}}
        await self._write(lambda: self._api.send("PATCH", object_path(ref.key), body, content_type=_MERGE_PATCH))

    async def remove(self, ref: ObjectRef) -> None:
        """Delete this very object. Raises as `change`."""
        options = {"preconditions": {"uid": ref.uid}}
        await self._write(lambda: self._api.send("DELETE", object_path(ref.key), options))

    async def _write(self, send: Callable[[], Awaitable[object]]) -> None:
        async with self._turns:
            if not self._may_write():
                raise NotLeading("another replica may be leading by now: nothing is written")
            try:
                await send()
            except (ApiException, *NO_ANSWER) as error:
                if isinstance(error, ApiException) and error.status in _GONE:
                    raise ObjectGone(in_short(error)) from error
                if isinstance(error, ApiException) and (error.status == _CONFLICT or _is_of_another(error)):
                    raise ObjectChanged(in_short(error)) from error
                raise NotWritten(in_short(error)) from error


def _is_of_another(error: ApiException) -> bool:
    """Whether a change was refused because the object of that name is another one by now."""
    return error.status == _INVALID and "metadata.uid" in str(error.body)
