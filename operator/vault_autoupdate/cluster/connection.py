"""What is written to Kubernetes and read besides the watch. Through the official client, so that every login works.

Writes: status, finalizer, Events. Reads: what resources log in to Azure with, where they may bring that along.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final, cast
from urllib.request import getproxies_environment

import aiohttp
from kubernetes.aio import client, config
from kubernetes.aio.client.exceptions import ApiException

from vault_autoupdate.model.errors import CredentialUnusable, NotLeading, NotWritten, ObjectChanged, ObjectGone
from vault_autoupdate.model.resource import API_VERSION, FINALIZER, GROUP, KIND, PLURAL, VERSION, ObjectRef, ResourceKey
from vault_autoupdate.model.text import clean
from vault_autoupdate.report.readiness import Situation

COMPONENT: Final = "vault-autoupdate"
_JSON_PATCH: Final = "application/json-patch+json"
_PAUSES: Final = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
_NOT_FOUND: Final = 404
_FORBIDDEN: Final = 403
_WRITES_AT_ONCE: Final = 16
_LOGINS_AT_ONCE: Final = 4
_CONNECTIONS: Final = _WRITES_AT_ONCE + _LOGINS_AT_ONCE + 4
"""The others are for what must not wait behind thousands of statuses and credentials: the Lease."""
_SHORTEST_TOKEN: Final = 600
"""Seconds: the least that the API server gives. Such a token is exchanged at once and then of no use."""
_GONE: Final = frozenset({404, 410})
_UNPROCESSABLE: Final = 422
_NO_ANSWER: Final = (aiohttp.ClientError, OSError, TimeoutError)
_TIMEOUT: Final = 30.0
_SHORT_TIMEOUT: Final = 5.0
_DEFINITION_PAUSE: Final = 3.0
_HINTS: Final = {404: "is the CustomResourceDefinition installed (crds/)?", 403: "is the Role bound?"}
_NOTE_BYTES: Final = 1000
"""The API allows 1 kB for the note of an Event."""

log = logging.getLogger(__name__)

__all__ = [
    "COMPONENT",
    "ClusterUnreadable",
    "KubeLogins",
    "KubeWriter",
    "await_definition",
    "connect",
    "list_resources",
    "tune_client",
]


class ClusterUnreadable(ConnectionError):
    """There is no cluster to talk to, or it does not answer as hoped for."""


@asynccontextmanager
async def connect() -> AsyncIterator[client.ApiClient]:
    """Log in from within a pod, else by kubeconfig (exec plugins included).

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
    async with client.ApiClient(tune_client(client.Configuration.get_default_copy())) as api:
        yield api


def tune_client(configuration: client.Configuration) -> client.Configuration:
    """Open fewer connections than the client would, and look for proxies before each request only if there are some.

    A TLS connection of asyncio keeps a buffer of 256 KiB, of which the client would have a hundred; and with
    ``trust_env`` it reads the environment and ``~/.netrc`` anew each time. Measured in docs/performance.md.
    """
    configuration.connection_pool_maxsize = _CONNECTIONS
    configuration.client_session_kwargs = {"trust_env": bool(getproxies_environment())}
    return configuration


async def await_definition(api: client.ApiClient, namespaces: tuple[str, ...]) -> None:
    """Wait until the resources can be listed: their definition may be installed after the operator."""
    objects = client.CustomObjectsApi(api)
    while True:
        try:
            if namespaces:
                await objects.list_namespaced_custom_object(
                    GROUP, VERSION, namespaces[0], PLURAL, limit=1, _request_timeout=_TIMEOUT
                )
            else:
                await objects.list_cluster_custom_object(GROUP, VERSION, PLURAL, limit=1, _request_timeout=_TIMEOUT)
        except ApiException as error:
            log.warning("cannot list %s: %s %s", PLURAL, _short(error), _HINTS.get(error.status, ""))
        except _NO_ANSWER as error:
            log.warning("no answer from the API server: %s", _short(error))
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
                GROUP, VERSION, namespace, PLURAL, _request_timeout=_TIMEOUT
            )
        else:
            found = await objects.list_cluster_custom_object(GROUP, VERSION, PLURAL, _request_timeout=_TIMEOUT)
    except ApiException as error:
        hint = _HINTS.get(error.status, "")
        raise ClusterUnreadable(f"cannot list {PLURAL}: {_short(error)} {hint}".strip()) from error
    except _NO_ANSWER as error:
        raise ClusterUnreadable(f"no answer from the API server: {_short(error)}") from error
    items: list[dict[str, Any]] = cast("dict[str, Any]", found)["items"]
    return items


class KubeWriter:
    """Writes what the controller has to say, a few writes at a time.

    Those that wait for their turn are not requests yet: thousands of passes may have something to say at once, and
    the time that one waits is not the API server's.
    """

    def __init__(self, api: client.ApiClient, *, instance: str, may_write: Callable[[], bool] = lambda: True) -> None:
        self._objects = client.CustomObjectsApi(api)
        self._events = client.EventsV1Api(api)
        self._instance = instance
        self._may_write = may_write
        self._turns = asyncio.Semaphore(_WRITES_AT_ONCE)

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
            await self._patch(self._objects.patch_namespaced_custom_object_status, ref, patch, patient=patient)
        except ObjectChanged as error:
            raise ObjectGone(str(ref.key)) from error  # nothing but its uid can have changed

    async def check_present(self, ref: ObjectRef) -> None:
        """Find out whether an object is there, by a patch that changes nothing. Raises as `write_status`."""
        try:
            await self._patch(self._objects.patch_namespaced_custom_object_status, ref, [])
        except ObjectChanged as error:
            raise ObjectGone(str(ref.key)) from error

    async def hold(self, ref: ObjectRef, finalizers: tuple[str, ...]) -> None:
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
        await self._patch(self._objects.patch_namespaced_custom_object, ref, patch)

    async def release(self, ref: ObjectRef, finalizers: tuple[str, ...]) -> None:
        """Take our finalizer off an object that has ``finalizers``. Raises as `hold`."""
        path = f"/metadata/finalizers/{finalizers.index(FINALIZER)}"
        patch = [{"op": "test", "path": path, "value": FINALIZER}, {"op": "remove", "path": path}]
        await self._patch(self._objects.patch_namespaced_custom_object, ref, patch)

    async def event(self, ref: ObjectRef, situation: Situation, *, count: int = 1) -> None:
        """Post an Event about a transition. One that cannot be posted is logged and forgotten.

        Args:
            ref: the object.
            situation: what it has come to.
            count: how many times it has come to that since it was told last.
        """
        if not self._may_write():
            return
        now = datetime.now(UTC)
        event = client.EventsV1Event(
            metadata=client.V1ObjectMeta(
                name=f"{ref.key.name[:200]}.{uuid.uuid4().hex[:16]}", namespace=ref.key.namespace
            ),
            event_time=now,
            reporting_controller=f"{GROUP}/{COMPONENT}",
            reporting_instance=self._instance[:128],
            action="Reconcile",
            reason=situation.reason[:128],
            type="Warning" if situation.is_warning else "Normal",
            note=clean(situation.message, _NOTE_BYTES),
            regarding=_reference(ref.key, ref.uid),
            related=_reference(situation.related) if situation.related else None,
            series=client.EventsV1EventSeries(count=count, last_observed_time=now) if count > 1 else None,
        )
        try:
            async with self._turns:
                await self._events.create_namespaced_event(ref.key.namespace, event, _request_timeout=_TIMEOUT)
        except (ApiException, *_NO_ANSWER) as error:
            log.warning("an Event could not be posted: %s", _short(error), extra={"resource": str(ref.key)})

    async def _patch(self, method: Any, ref: ObjectRef, patch: list[dict[str, Any]], *, patient: bool = True) -> None:
        # The test refuses the patch if the object was deleted and made anew meanwhile.
        whole = [{"op": "test", "path": "/metadata/uid", "value": ref.uid}, *patch]
        for pause in (*_PAUSES, None) if patient else (None,):
            try:
                async with asyncio.timeout(None if patient else _SHORT_TIMEOUT), self._turns:
                    if not self._may_write():
                        raise NotLeading("another replica may be leading by now: nothing is written")
                    await method(
                        GROUP,
                        VERSION,
                        ref.key.namespace,
                        PLURAL,
                        ref.key.name,
                        whole,
                        _content_type=_JSON_PATCH,
                        _request_timeout=_TIMEOUT,
                    )
            except (ApiException, *_NO_ANSWER) as error:
                if isinstance(error, ApiException) and error.status in _GONE:
                    raise ObjectGone(str(ref.key)) from error
                if isinstance(error, ApiException) and _is_failed_test(error):
                    raise ObjectChanged(str(ref.key)) from error
                if pause is None:
                    raise NotWritten(_short(error)) from error
                log.warning("%s could not be written, again in %s s: %s", ref.key, pause, _short(error))
                await asyncio.sleep(pause)
            else:
                return


class KubeLogins:
    """Reads what resources log in to Azure with. Implements `LoginReader`; nothing of it is kept here or logged."""

    def __init__(self, api: client.ApiClient) -> None:
        self._core = client.CoreV1Api(api)
        self._turns = asyncio.Semaphore(_LOGINS_AT_ONCE)

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
                return await call(name, namespace, _request_timeout=_TIMEOUT, **more)
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
            problem = _short(error)
        except _NO_ANSWER as error:
            problem = _short(error)
        raise CredentialUnusable(
            "CredentialUnreadable", f"{what} could not be read: {problem}.", recommended_action="", passing=True
        )


def _reference(key: ResourceKey, uid: str | None = None) -> client.V1ObjectReference:
    return client.V1ObjectReference(api_version=API_VERSION, kind=KIND, name=key.name, namespace=key.namespace, uid=uid)


def _is_failed_test(error: ApiException) -> bool:
    """Tell a patch whose ``test`` failed from one whose result breaks the schema, which names its causes."""
    if error.status != _UNPROCESSABLE:
        return False
    try:
        return not json.loads(error.body or "")["details"].get("causes")
    except (ValueError, KeyError, TypeError, AttributeError):
        return True


def _short(error: BaseException) -> str:
    if isinstance(error, ApiException):
        return f"{error.status} {clean(error.reason, 200)}"
    return f"{type(error).__name__} {clean(error, 200)}"
