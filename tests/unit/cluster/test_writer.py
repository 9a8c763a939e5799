"""What is written and read when many have something to say or log in at once and the API server is slow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio import client

from vault_autoupdate.cluster.connection import Connection, tune_client
from vault_autoupdate.cluster.credentials import KubeLogins
from vault_autoupdate.cluster.writer import KubeWriter
from vault_autoupdate.model.errors import TurnNotCome
from vault_autoupdate.model.resource import ObjectRef, ResourceKey

MANY = 200


class SlowApiServer:
    """Holds every PATCH and every Secret back until it is told to answer; shows a Lease at once."""

    def __init__(self) -> None:
        self.answering = asyncio.Event()
        self.changed = asyncio.Condition()
        self.waiting = 0
        self.most = 0
        self.answered = 0

    async def hold(self, request: web.Request) -> web.Response:
        await self._count(1)
        await self.answering.wait()
        self.answered += 1
        await self._count(-1)
        return web.json_response({})

    async def lease(self, request: web.Request) -> web.Response:
        return web.json_response({"kind": "Lease"})

    async def _count(self, by: int) -> None:
        async with self.changed:
            self.waiting += by
            self.most = max(self.most, self.waiting)
            self.changed.notify_all()


@pytest_asyncio.fixture
async def slow() -> SlowApiServer:
    return SlowApiServer()


@pytest_asyncio.fixture
async def api(slow: SlowApiServer) -> AsyncIterator[Connection]:
    application = web.Application()
    application.router.add_get("/apis/coordination.k8s.io/{path:.*}", slow.lease)
    application.router.add_get("/{path:.*}", slow.hold)
    application.router.add_patch("/{path:.*}", slow.hold)
    async with TestServer(application) as server:
        configuration = client.Configuration(host=str(server.make_url("")))
        async with Connection(configuration) as own:
            yield own
        slow.answering.set()


async def _read_secret(logins: KubeLogins, number: int) -> None:
    assert await logins.secret("dr", f"secret-{number}") == {}


def _ref(number: int) -> ObjectRef:
    return ObjectRef(ResourceKey("dr", f"vault-{number}"), f"uid-{number}")


async def test_what_waits_for_its_turn_does_not_keep_the_lease_from_being_renewed(
    slow: SlowApiServer, api: Connection
) -> None:
    writer, logins = KubeWriter(api, instance="test"), KubeLogins(api)
    waiting = [asyncio.create_task(writer.write_status(_ref(n), {}, patient=True)) for n in range(MANY)]
    waiting += [asyncio.create_task(_read_secret(logins, n)) for n in range(MANY)]
    async with slow.changed:
        await slow.changed.wait_for(lambda: slow.waiting == 16 + 4)

    async with asyncio.timeout(10):
        assert (await client.CoordinationV1Api(api).read_namespaced_lease("name", "dr")).kind == "Lease"

    slow.answering.set()
    await asyncio.gather(*waiting)
    assert (slow.answered, slow.most) == (2 * MANY, 16 + 4)


async def test_what_only_tells_of_progress_gives_up_when_its_turn_does_not_come(
    slow: SlowApiServer, api: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vault_autoupdate.cluster.writer._SHORT_TIMEOUT", 0.2)
    writer = KubeWriter(api, instance="test")
    writes = [asyncio.create_task(writer.write_status(_ref(n), {}, patient=True)) for n in range(16)]
    async with slow.changed:
        await slow.changed.wait_for(lambda: slow.waiting == 16)

    with pytest.raises(TurnNotCome):
        await writer.write_status(_ref(MANY), {}, patient=False)

    slow.answering.set()
    await asyncio.gather(*writes)
    await writer.write_status(_ref(MANY), {}, patient=False)
    assert slow.answered == 17


@pytest.mark.parametrize("variable", ["", "HTTPS_PROXY", "https_proxy"])
async def test_proxies_are_used_where_the_environment_names_some(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    if variable:
        monkeypatch.setenv(variable, "http://proxy.example.com:3128")

    kwargs = tune_client(client.Configuration()).client_session_kwargs
    assert kwargs is not None
    assert kwargs["trust_env"] == bool(variable)
