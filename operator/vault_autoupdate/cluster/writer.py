"""What is written to Kubernetes: status, finalizer, Events. A few writes at a time."""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from kubernetes.aio.client.exceptions import ApiException

from vault_autoupdate.cluster.connection import NO_ANSWER, WRITES_AT_ONCE, Connection, in_short, object_path
from vault_autoupdate.cluster.write_health import WriteHealth
from vault_autoupdate.model import bounds
from vault_autoupdate.model.errors import NotLeading, NotWritten, ObjectChanged, ObjectGone, TurnNotCome
from vault_autoupdate.model.resource import API_VERSION, FINALIZER, GROUP, KIND, PLURAL, ObjectRef, ResourceKey
from vault_autoupdate.model.text import clean
from vault_autoupdate.report.readiness import Readiness

COMPONENT: Final = "vault-autoupdate"
_EVENTS: Final = "/apis/events.k8s.io/v1/namespaces/{}/events"
_MICRO_TIME: Final = "%Y-%m-%dT%H:%M:%S.%fZ"
_JSON_PATCH: Final = "application/json-patch+json"
_SHARD_PATH: Final = "/status/shard"
_PAUSES: Final = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
_GONE: Final = frozenset({404, 410})
_UNPROCESSABLE: Final = 422
_TOO_MANY: Final = 429
_REFUSALS: Final = range(400, 500)
_SHORT_TIMEOUT: Final = 5.0

log = logging.getLogger(__name__)

__all__ = ["COMPONENT", "KubeWriter"]


class KubeWriter:
    """Writes what the controller has to say, a few writes at a time.

    Those that wait for their turn are not requests yet: thousands of passes may have something to say at once, and
    the time that one waits is not the API server's.
    """

    def __init__(
        self,
        api: Connection,
        *,
        instance: str,
        may_write: Callable[[], bool] = lambda: True,
        plural: str = PLURAL,
        kind: str = KIND,
    ) -> None:
        self._plural = plural
        self._kind = kind
        self._api = api
        self._instance = instance
        self._may_write = may_write
        self._turns = asyncio.Semaphore(WRITES_AT_ONCE)
        self.health = WriteHealth()

    async def write_status(self, ref: ObjectRef, status: Mapping[str, Any], *, patient: bool) -> None:
        """Replace the whole status.

        Args:
            ref: the object.
            status: the whole of it.
            patient: whether to try several times; what only tells of progress must not hold the work up.

        Raises:
            ObjectGone: there is nothing to write to.
            NotWritten: the API server would not have it, also after several tries.
            NotLeading: this process may not write (any more).
        """
        patch = [{"op": "add", "path": "/status", "value": status}]
        try:
            await self._patch(ref, patch, "/status", patient=patient)
        except ObjectChanged as error:
            raise ObjectGone(str(ref.key)) from error  # nothing but its uid can have changed

    async def hand_over(self, ref: ObjectRef, shard: str, to: str) -> None:
        """Say in the status that another shard has the object now; nothing else of it changes.

        Args:
            ref: the object.
            shard: the one that has had it; empty for the main one. If that is not so, nothing is written.
            to: the one that gets it.

        Raises as `write_status`.
        """
        test: dict[str, Any] = {"op": "test", "path": _SHARD_PATH, "value": shard or None}
        step = {"op": "add", "path": _SHARD_PATH, "value": to} if to else {"op": "remove", "path": _SHARD_PATH}
        try:
            await self._patch(ref, [test, step], "/status")
        except ObjectChanged:
            log.debug("%s is in other hands already", ref.key)

    async def check_present(self, ref: ObjectRef) -> None:
        """Find out whether an object is there, by a patch that changes nothing. Raises as `write_status`."""
        try:
            await self._patch(ref, [], "/status")
        except ObjectChanged as error:
            raise ObjectGone(str(ref.key)) from error

    async def add_finalizer(self, ref: ObjectRef, finalizers: tuple[str, ...]) -> None:
        """Add our finalizer to an object that has ``finalizers``.

        Raises as `write_status`, and `ObjectChanged` if it has others by now.
        """
        patch: list[dict[str, Any]] = (
            [{"op": "add", "path": "/metadata/finalizers/-", "value": FINALIZER}]
            if finalizers
            else [
                {"op": "test", "path": "/metadata/finalizers", "value": None},
                {"op": "add", "path": "/metadata/finalizers", "value": [FINALIZER]},
            ]
        )
        await self._patch(ref, patch)

    async def remove_finalizer(self, ref: ObjectRef, finalizers: tuple[str, ...]) -> None:
        """Take our finalizer off an object that has ``finalizers``. Raises as `add_finalizer`."""
        path = f"/metadata/finalizers/{finalizers.index(FINALIZER)}"
        patch = [{"op": "test", "path": path, "value": FINALIZER}, {"op": "remove", "path": path}]
        await self._patch(ref, patch)

    async def emit_event(self, ref: ObjectRef, readiness: Readiness, *, count: int = 1) -> None:
        """Post an Event about a transition. One that cannot be posted is logged and forgotten.

        Args:
            ref: the object.
            readiness: what it has come to.
            count: how many times it has come to that since it was told last.
        """
        if not self._may_write():
            return
        event = self._event(ref, readiness, count, datetime.now(UTC))
        try:
            async with self._turns:
                await self._api.send("POST", _EVENTS.format(quote(ref.key.namespace)), event)
        except (ApiException, *NO_ANSWER) as error:
            log.warning("an Event could not be posted: %s", in_short(error), extra={"resource": str(ref.key)})

    def _event(self, ref: ObjectRef, readiness: Readiness, count: int, now: datetime) -> dict[str, Any]:
        """An ``events.k8s.io/v1`` Event."""
        at = now.strftime(_MICRO_TIME)
        return {
            "metadata": {"name": f"{ref.key.name[:200]}.{uuid.uuid4().hex[:16]}", "namespace": ref.key.namespace},
            "eventTime": at,
            "reportingController": f"{GROUP}/{COMPONENT}",
            "reportingInstance": self._instance[:128],
            "action": "Reconcile",
            "reason": readiness.reason[:128],
            "type": "Warning" if readiness.is_warning else "Normal",
            "note": clean(readiness.message, bounds.MESSAGE),
            "regarding": _reference(ref.key, ref.uid, self._kind),
            **({"related": _reference(readiness.related)} if readiness.related else {}),
            **({"series": {"count": count, "lastObservedTime": at}} if count > 1 else {}),
        }

    async def _patch(
        self, ref: ObjectRef, patch: list[dict[str, Any]], subresource: str = "", *, patient: bool = True
    ) -> None:
        # The test refuses the patch if the object was deleted and made anew meanwhile.
        whole = [{"op": "test", "path": "/metadata/uid", "value": ref.uid}, *patch]
        for pause in (*_PAUSES, None) if patient else (None,):
            await self._take_turn(patient=patient)
            try:
                async with asyncio.timeout(None if patient else _SHORT_TIMEOUT):
                    if not self._may_write():
                        raise NotLeading("another replica may be leading by now: nothing is written")
                    path = f"{object_path(ref.key, self._plural)}{subresource}"
                    await self._api.send("PATCH", path, whole, content_type=_JSON_PATCH)
            except (ApiException, *NO_ANSWER) as error:
                if isinstance(error, ApiException) and error.status in _GONE:
                    self.health.written(ref.key.namespace)
                    raise ObjectGone(str(ref.key)) from error
                if isinstance(error, ApiException) and _is_failed_test(error):
                    self.health.written(ref.key.namespace)
                    raise ObjectChanged(str(ref.key)) from error
                self.health.failed(ref.key.namespace, refused=_is_refusal(error))
                if pause is None:
                    raise NotWritten(in_short(error)) from error
                log.debug("%s could not be written, again in %s s: %s", ref.key, pause, in_short(error))
            else:
                self.health.written(ref.key.namespace)
                return
            finally:
                self._turns.release()
            await asyncio.sleep(pause)

    async def _take_turn(self, *, patient: bool) -> None:
        """Wait until a write may begin. Raises `TurnNotCome` where it is not worth a long wait."""
        try:
            async with asyncio.timeout(None if patient else _SHORT_TIMEOUT):
                await self._turns.acquire()
        except TimeoutError as error:
            raise TurnNotCome("too many others are being written") from error


def _reference(key: ResourceKey, uid: str | None = None, kind: str = KIND) -> dict[str, str]:
    """An ``ObjectReference``."""
    named = {"apiVersion": API_VERSION, "kind": kind, "name": key.name, "namespace": key.namespace}
    return named | ({"uid": uid} if uid else {})


def _is_refusal(error: BaseException) -> bool:
    """Tell an answer that says no from one that says "not now", and from none."""
    return isinstance(error, ApiException) and error.status in _REFUSALS and error.status != _TOO_MANY


def _is_failed_test(error: ApiException) -> bool:
    """Tell a patch whose ``test`` failed from one whose result breaks the schema, which names its causes."""
    if error.status != _UNPROCESSABLE:
        return False
    try:
        return not json.loads(error.body or "")["details"].get("causes")
    except (ValueError, KeyError, TypeError, AttributeError):
        return True
