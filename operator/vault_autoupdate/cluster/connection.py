"""The connection to the API server, by the official client, so that every login works. Both directions share it."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode
from urllib.request import getproxies_environment

import aiohttp
import yaml
from kubernetes.aio import client, config
from kubernetes.aio.client import rest
from kubernetes.aio.client.exceptions import ApiException

from vault_autoupdate.cluster.calls import KubeCallObserver, tracing
from vault_autoupdate.cluster.recognition import UNAUTHORIZED, Recognition
from vault_autoupdate.model import bounds
from vault_autoupdate.model.resource import GROUP, PLURAL, VERSION, ResourceKey
from vault_autoupdate.model.text import clean

WRITES_AT_ONCE: Final = 16
LOGINS_AT_ONCE: Final = 4
_CONNECTIONS: Final = WRITES_AT_ONCE + LOGINS_AT_ONCE + 4
"""The others are for what must not wait behind thousands of statuses and credentials: the Lease."""
NO_ANSWER: Final = (aiohttp.ClientError, OSError, TimeoutError)
"""What the client raises when no answer came."""
TIMEOUT: Final = 30.0
"""Seconds for one request."""
_NO_KUBECONFIG: Final = (
    config.ConfigException, OSError, ValueError, TypeError, AttributeError, LookupError, yaml.YAMLError
)  # fmt: skip
"""What the client raises for a kubeconfig that is missing, or is not what it should be."""
_GOOD: Final = range(200, 300)
_DEFINITION_PAUSE: Final = 3.0
_LOGIN_PAUSE: Final = 1.0
_LONGEST_LOGIN_PAUSE: Final = 30.0
_NOT_FOUND: Final = 404
_FORBIDDEN: Final = 403
HINTS: Final = {404: "is the CustomResourceDefinition installed (crds/)?", 403: "is the Role bound?"}

log = logging.getLogger(__name__)

__all__ = [
    "LOGINS_AT_ONCE", "NO_ANSWER", "TIMEOUT", "WRITES_AT_ONCE", "ClusterUnreadable", "Connection", "Kubeconfig",
    "await_definition", "collection_path", "connect", "core_path", "in_short", "namespace_of",
    "object_path", "tune_client",
]  # fmt: skip


class ClusterUnreadable(ConnectionError):
    """There is no cluster to talk to, or it does not answer as hoped for."""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        """The HTTP status that it answered with; None where it did not."""


@dataclass(frozen=True)
class Kubeconfig:
    """Which kubeconfig to go by, as kubectl's flags name it."""

    file: str = ""
    """Empty for what KUBECONFIG says."""
    context: str = ""
    """Empty for the file's current one."""

    def __bool__(self) -> bool:
        return bool(self.file or self.context)


class Connection(client.ApiClient):
    """The official client, which logs in anew when the API server does not know it any longer.

    Tokens and certificates of exec plugins, ``tokenFile`` and ServiceAccounts all end, and most do not say when. What
    is refused with 401 is sent once more after a new login, one for all that were refused meanwhile.
    """

    def __init__(
        self,
        configuration: client.Configuration,
        observer: KubeCallObserver = lambda *_: None,
        kubeconfig: Kubeconfig = Kubeconfig(),
    ) -> None:
        self._observer = observer
        self._kubeconfig = kubeconfig
        self.recognition = Recognition()
        self.logins = 1
        """How often this process has logged in."""
        self._logged_in_at = time.monotonic()
        self._logging_in: asyncio.Task[None] | None = None
        self._transport = _transport(configuration)
        super().__init__(self._tuned(configuration))

    async def ask(self, method: str, path: str, document: object = None, **more: Any) -> Any:
        """Send a plain document, or none, and read the one that comes. Arguments and errors are those of `send`."""
        return json.loads(await self.send(method, path, document, **more))

    async def send(
        self,
        method: str,
        path: str,
        document: object = None,
        *,
        query: Mapping[str, object] | None = None,
        content_type: str = "application/json",
    ) -> bytes:
        """Send a plain document, or none, and give what comes as it is.

        The client's generated methods would check every part of it against a model, and build models from the answer.
        Nothing is gained by that, the API server checks too; what it costs stands in docs/performance.md.

        Args:
            method: of HTTP.
            path: on the API server, its parts quoted.
            document: is sent as JSON.
            query: more of the URL.
            content_type: says which kind of patch it is.

        Raises:
            ApiException: the API server refused, or could not do it.
            ClientError: as all of `NO_ANSWER`: no answer came.
        """
        settings = await self.configuration.auth_settings()
        headers = {**self.default_headers, "Accept": "application/json", "Content-Type": content_type}
        headers |= {each["key"]: str(each["value"]) for each in settings.values()}
        url = f"{self.configuration.host}{path}{f'?{urlencode(query)}' if query else ''}"
        answer = await self.call_api(method, url, headers, document, _request_timeout=TIMEOUT)
        data = await answer.read()  # type: ignore[no-untyped-call]  # the client has no types
        if answer.status not in _GOOD:
            raise ApiException(http_resp=answer)
        return bytes(data)

    async def call_api(
        self,
        method: str,
        url: str,
        header_params: dict[str, str] | None = None,
        *arguments: Any,
        **more: Any,
    ) -> rest.RESTResponse:
        """Send a request, and once more after a new login if the first answer is 401. See the client's own."""
        logins, headers = self.logins, dict(header_params or {})
        answer = await super().call_api(method, url, dict(headers), *arguments, **more)
        if answer.status == UNAUTHORIZED:
            await answer.read()  # type: ignore[no-untyped-call]  # the client has no types
            await self.log_in_again(logins)
            settings = await self.configuration.auth_settings()
            headers |= {each["key"]: str(each["value"]) for each in settings.values()}
            answer = await super().call_api(method, url, headers, *arguments, **more)
        return answer

    async def log_in_again(self, logins: int) -> None:
        """Log in, unless that was done since there had been so many ``logins``.

        Raises:
            ClusterUnreadable: there is nothing to log in with, or the exec plugin failed.
        """
        if logins != self.logins:
            return
        if self._logging_in is None or self._logging_in.done():
            self._logging_in = asyncio.create_task(self._log_in(), name="log in to the cluster")
            self._logging_in.add_done_callback(lambda task: task.cancelled() or task.exception())
        await asyncio.shield(self._logging_in)  # somebody who cannot wait any longer does not stop the others

    async def _log_in(self) -> None:
        # The longer it has been of no use, the longer until an exec plugin is run again.
        pause = min(_LONGEST_LOGIN_PAUSE, _LOGIN_PAUSE + self.recognition.refused_for / 4)
        await asyncio.sleep(self._logged_in_at + pause - time.monotonic())
        self._logged_in_at = time.monotonic()
        log.info("the API server does not know this login any longer: logging in again")
        try:
            async with asyncio.timeout(TIMEOUT):
                configuration = await _find_cluster(self._kubeconfig)
        except TimeoutError as error:
            raise ClusterUnreadable("logging in to the cluster took too long") from error
        self.configuration = self._tuned(configuration)
        self.logins += 1
        if (transport := _transport(configuration)) != self._transport:
            before, self._transport = self.rest_client, transport
            self.rest_client = rest.RESTClientObject(configuration)
            await before.close()

    def _tuned(self, configuration: client.Configuration) -> client.Configuration:
        configuration.trace_configs = [self.recognition.tracing(), tracing(self._observer)]
        return tune_client(configuration)


@asynccontextmanager
async def connect(
    observer: KubeCallObserver = lambda *_: None,
    kubeconfig: Kubeconfig = Kubeconfig(),
) -> AsyncIterator[Connection]:
    """Log in from within a pod, else by kubeconfig (exec plugins included).

    Args:
        observer: is told of every call.
        kubeconfig: the one to go by, wherever this runs.

    Raises:
        ClusterUnreadable: neither tells of a cluster.
    """
    found = await _find_cluster(kubeconfig)
    try:
        api = Connection(found, observer, kubeconfig)
    except (OSError, ValueError) as error:  # of its certificates
        raise _no_cluster(error) from error
    async with api:
        yield api


def _no_cluster(error: Exception) -> ClusterUnreadable:
    plain = isinstance(error, config.ConfigException | OSError)
    what = str(error) if plain else f"it cannot be read: {in_short(error)}"
    return ClusterUnreadable(f"no cluster to talk to (KUBECONFIG): {clean(what, bounds.SAID)}")


async def _find_cluster(kubeconfig: Kubeconfig) -> client.Configuration:
    """Where the cluster is, and what to log in with. Raises `ClusterUnreadable`."""
    found = client.Configuration()
    if kubeconfig:
        await _load_kubeconfig(found, kubeconfig)
        return found
    try:
        config.load_incluster_config(found)  # type: ignore[no-untyped-call]  # the client's package has no types here
    except config.ConfigException:
        await _load_kubeconfig(found, kubeconfig)
    return found


async def _load_kubeconfig(configuration: client.Configuration, kubeconfig: Kubeconfig) -> None:
    file, context = kubeconfig.file or None, kubeconfig.context or None
    try:
        loader = await config.load_kube_config(file, context, configuration)  # type: ignore[no-untyped-call]  # as above
    except _NO_KUBECONFIG as error:
        raise _no_cluster(error) from error
    # The client only logs that a plugin failed, and would go on as nobody.
    if "exec" in (loader._user or ()) and not (configuration.api_key or configuration.cert_file):  # noqa: SLF001 - nothing else tells
        raise ClusterUnreadable("the exec plugin of the kubeconfig gave no credential; its message is logged above")


def namespace_of(kubeconfig: Kubeconfig) -> str:
    """The namespace that kubectl would work in; ``default`` where the kubeconfig names none, or there is none."""
    try:
        contexts, current = config.list_kube_config_contexts(kubeconfig.file or None)  # type: ignore[no-untyped-call]  # as above
        chosen = next((each for each in contexts if each["name"] == kubeconfig.context), current)
        return str(chosen["context"].get("namespace") or "default")
    except _NO_KUBECONFIG:
        return "default"


def _transport(configuration: client.Configuration) -> tuple[object, ...]:
    """What connections are made with; files by their content, since they may be replaced."""
    names = (configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file)
    files = [Path(name).read_bytes() if name else b"" for name in names]
    return (configuration.host, configuration.verify_ssl, configuration.tls_server_name, configuration.proxy, *files)


def tune_client(configuration: client.Configuration) -> client.Configuration:
    """Open fewer connections than the client would, and look for proxies before each request only if there are some.

    A TLS connection of asyncio keeps a buffer of 256 KiB, of which the client would have a hundred; and with
    ``trust_env`` it reads the environment and ``~/.netrc`` anew each time. Measured in docs/performance.md.
    """
    configuration.connection_pool_maxsize = _CONNECTIONS
    configuration.client_session_kwargs = {"trust_env": bool(getproxies_environment())}
    return configuration


def collection_path(namespace: str = "", plural: str = PLURAL) -> str:
    """Where all resources of a namespace are, or those of all of them."""
    return f"/apis/{GROUP}/{VERSION}{f'/namespaces/{quote(namespace)}' if namespace else ''}/{plural}"


def object_path(key: ResourceKey, plural: str = PLURAL) -> str:
    """Where a resource is."""
    return f"{collection_path(key.namespace, plural)}/{quote(key.name, safe='')}"


def core_path(plural: str, namespace: str, name: str) -> str:
    """Where an object of Kubernetes' own is, a Secret for example."""
    return f"/api/v1/namespaces/{quote(namespace)}/{plural}/{quote(name, safe='')}"


async def await_definition(api: Connection, namespaces: tuple[str, ...], plural: str = PLURAL) -> None:
    """Wait until the resources are served: their definition may be installed after the operator.

    It does not wait for rights: one namespace that is missing, or has no Role, must not keep the others waiting.
    """
    while True:
        try:
            if await _is_served(api, namespaces, plural):
                return
            log.warning("cannot list %s: 404 Not Found %s", plural, HINTS[_NOT_FOUND])
        except ApiException as error:
            log.warning("cannot list %s: %s %s", plural, in_short(error), HINTS.get(error.status, ""))
        except NO_ANSWER as error:
            log.warning("no answer from the API server: %s", in_short(error))
        await asyncio.sleep(_DEFINITION_PAUSE)


async def _is_served(api: Connection, namespaces: tuple[str, ...], plural: str) -> bool:
    """Whether a list is answered. Where it is forbidden, whether the API server knows the resource at all."""
    try:
        await api.send("GET", collection_path(namespaces[0] if namespaces else "", plural), query={"limit": 1})
    except ApiException as error:
        if error.status == _NOT_FOUND:
            return False
        if error.status != _FORBIDDEN or not namespaces:
            raise
    else:
        return True
    try:
        known = await api.ask("GET", f"/apis/{GROUP}/{VERSION}")
    except ApiException as error:
        if error.status == _NOT_FOUND:
            return False
        raise
    return any(resource["name"] == plural for resource in known["resources"])


def in_short(error: BaseException) -> str:
    """What went wrong with a request, in a few words."""
    if isinstance(error, ApiException):
        return f"{error.status} {clean(error.reason, bounds.QUOTED)}"
    return f"{type(error).__name__} {clean(error, bounds.QUOTED)}"
