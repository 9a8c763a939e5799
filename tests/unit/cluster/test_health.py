"""What the process says about itself when the API server refuses it, and when it ends for that."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio import client

from vault_autoupdate.cluster import recognition
from vault_autoupdate.cluster.connection import Connection
from vault_autoupdate.cluster.recognition import NotRecognised, Recognition, work_while_recognised
from vault_autoupdate.cluster.watch_health import EVERYWHERE, WatchHealth
from vault_autoupdate.cluster.write_health import WriteHealth
from vault_autoupdate.cluster.writer import KubeWriter
from vault_autoupdate.http_server import serve_health
from vault_autoupdate.model.errors import NotWritten
from vault_autoupdate.model.resource import ObjectRef, ResourceKey
from vault_autoupdate.settings import Address
from workbench.kube.certificates import Authority
from workbench.process.ports import free_ports

LIST = "/apis/asr.vault-autoupdate.io/v1alpha1/namespaces/{}/vaultautoupdates"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


class TestWrites:
    def test_failing_is_counted_from_the_first_failure_to_the_next_write_that_goes_well(self, clock: Clock) -> None:
        health = WriteHealth(clock)
        for _ in range(3):
            health.failed("a", refused=False)
            clock.now += 100
        assert health.failing_for({"a", "b"}) == 300
        health.written("b")
        assert health.failing_for({"a", "b"}) == 300
        health.written("a")
        assert health.failing_for({"a", "b"}) == 0

    def test_one_namespace_without_rights_is_not_all_of_them(self, clock: Clock) -> None:
        health = WriteHealth(clock)
        health.failed("a", refused=True)
        clock.now += 400
        assert health.refused_for({"a", "b"}) == 0
        assert health.refused_for({"a"}) == 400
        health.failed("b", refused=True)
        clock.now += 50
        assert health.refused_for({"a", "b"}) == 50

    def test_no_answer_is_no_refusal(self, clock: Clock) -> None:
        health = WriteHealth(clock)
        health.failed("a", refused=False)
        clock.now += 400
        assert (health.refused_for({"a"}), health.failing_for({"a"})) == (0, 400)

    def test_without_resources_nothing_is_refused(self, clock: Clock) -> None:
        health = WriteHealth(clock)
        health.failed("gone", refused=True)
        clock.now += 400
        assert (health.refused_for(()), health.failing_for(())) == (0, 0)

    @pytest.mark.parametrize(
        ("status", "refused"), [(401, True), (403, True), (400, True), (429, False), (500, False), (503, False)]
    )
    async def test_what_the_api_server_says_decides_whether_it_refuses(
        self, status: int, refused: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def answer(_: web.Request) -> web.Response:
            return web.json_response({}, status=status)

        async def log_in_again(*_: object) -> None:
            """There is a login, and it is of no more use than the one before."""

        monkeypatch.setattr(Connection, "log_in_again", log_in_again)
        application = web.Application()
        application.router.add_patch("/{path:.*}", answer)
        async with (
            TestServer(application) as server,
            Connection(client.Configuration(host=str(server.make_url("")))) as api,
        ):
            writer = KubeWriter(api, instance="test")
            with pytest.raises(NotWritten):
                await writer.write_status(ObjectRef(ResourceKey("a", "b"), "uid"), {}, patient=False)
        assert writer.health.failing_for({"a"}) > 0
        assert (writer.health.refused_for({"a"}) > 0) is refused


class TestHealthEndpoints:
    async def test_healthz_says_so_when_whatever_is_written_is_refused_for_minutes(self, clock: Clock) -> None:
        health, address = WriteHealth(clock), Address("127.0.0.1", free_ports(1)[0])
        async with (
            serve_health(
                address,
                overdue=lambda: 0.0,
                writes_refused=lambda: health.refused_for({"a"}),
                ready=lambda: True,
                not_watched=lambda: (),
            ),
            aiohttp.ClientSession(f"http://{address}") as session,
        ):
            health.failed("a", refused=True)
            clock.now += 299
            async with session.get("/healthz") as answer:
                assert (answer.status, (await answer.json(content_type=None))["writesRefusedSeconds"]) == (200, 299)
            clock.now += 1
            async with session.get("/healthz") as answer:
                assert answer.status == 503

    async def test_readyz_names_the_namespaces_that_cannot_be_watched(self) -> None:
        address = Address("127.0.0.1", free_ports(1)[0])
        async with (
            serve_health(
                address,
                overdue=lambda: 0.0,
                writes_refused=lambda: 0.0,
                ready=lambda: True,
                not_watched=lambda: ("green", "blue"),
            ),
            aiohttp.ClientSession(f"http://{address}") as session,
            session.get("/readyz") as answer,
        ):
            assert await answer.json(content_type=None) == {
                "ok": True, "watching": True, "notWatched": ["blue", "green"],
            }  # fmt: skip


class TestWatch:
    @pytest_asyncio.fixture
    async def answered(self) -> AsyncIterator[TestServer]:
        """Forbids what is asked of the namespace ``missing``."""

        async def answer(request: web.Request) -> web.Response:
            return web.json_response({}, status=403 if "/missing/" in request.path else 200)

        application = web.Application()
        application.router.add_get("/{path:.*}", answer)
        server = TestServer(application)
        await server.start_server()
        yield server
        await server.close()

    async def _ask(self, health: WatchHealth, server: TestServer, *paths: str) -> None:
        async with aiohttp.ClientSession(server.make_url("/"), trace_configs=health.tracing()) as session:
            for path in paths:
                async with session.get(path):
                    pass

    async def test_a_namespace_that_is_refused_is_named_once_and_the_others_are_watched(
        self, answered: TestServer, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        health = WatchHealth(("missing", "there"), clock)
        health.begin()
        health.ready.set()
        clock.now += 60
        paths = [LIST.format("missing"), LIST.format("there") + "?watch=true", LIST.format("missing")]
        await self._ask(health, answered, *paths)
        assert health.refused == ("missing",)
        assert (health.is_watching("missing"), health.is_watching("there"), health.watching) == (False, True, True)
        assert (health.watches["missing"].last_contact, health.watches["there"].last_contact) == (1000, 1060)
        (line,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        assert "namespace missing cannot be watched: 403, does the namespace exist" in line

    async def test_nothing_is_watched_when_all_is_refused(self, answered: TestServer) -> None:
        health = WatchHealth(("missing",))
        health.ready.set()
        await self._ask(health, answered, LIST.format("missing"))
        assert health.watching is False

    async def test_all_namespaces_are_one_watch(self, answered: TestServer, clock: Clock) -> None:
        health = WatchHealth(clock=clock)
        await self._ask(health, answered, "/apis/asr.vault-autoupdate.io/v1alpha1/vaultautoupdates", "/version")
        assert health.watches[EVERYWHERE].last_contact == 1000

    async def test_other_answers_are_not_about_the_watch(self, answered: TestServer) -> None:
        health = WatchHealth()
        await self._ask(health, answered, "/version", "/api/v1/namespaces/missing/x")
        assert health.watches[EVERYWHERE].last_contact is None
        assert health.refused == ()


class TestRecognition:
    @pytest.fixture(autouse=True)
    def _quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(recognition, "_LOOK", 0.01)
        monkeypatch.setattr(recognition, "_LIMIT", timedelta(minutes=5))

    async def test_work_ends_when_the_login_has_been_refused_for_minutes(self, clock: Clock) -> None:
        refused, cancelled = Recognition(clock), asyncio.Event()

        async def work() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

        refused.refused("401 Unauthorized")
        working = asyncio.create_task(work_while_recognised(work(), Recognition(clock), refused))
        clock.now += 299
        done, _ = await asyncio.wait({working}, timeout=0.1)
        assert not done, "it may still come right"
        clock.now += 1
        with pytest.raises(NotRecognised, match=r"for more than 5m: 401 Unauthorized"):
            await working
        assert cancelled.is_set()

    async def test_work_that_is_done_is_done(self) -> None:
        async def work() -> None:
            await asyncio.sleep(0)

        await work_while_recognised(work(), Recognition())

    async def test_what_work_raises_is_raised(self) -> None:
        async def work() -> None:
            raise OSError("the address is taken")

        with pytest.raises(OSError, match="the address is taken"):
            await work_while_recognised(work(), Recognition())

    async def test_an_authority_that_was_replaced_counts_as_a_refusal_and_a_silent_server_does_not(
        self, tmp_path: Path
    ) -> None:
        """The certificate of the server is good, and signed by another authority than the one that was known."""
        old, new = Authority(tmp_path / "old"), Authority(tmp_path / "new")
        pair = new.server("api", ["127.0.0.1"])
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(pair.certificate, pair.key)

        async def answer(_: web.Request) -> web.Response:
            return web.json_response({})

        application = web.Application()
        application.router.add_get("/{path:.*}", answer)
        server = TestServer(application)
        await server.start_server(ssl=context)
        configuration = client.Configuration(host=str(server.make_url("")))
        configuration.ssl_ca_cert = str(old.certificate)
        async with Connection(configuration) as api:
            things = client.CustomObjectsApi(api)
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await things.get_api_resources("example.com", "v1")
            assert api.recognition.refused_for > 0
            assert "certificate verify failed" in api.recognition.problem
            known = api.recognition.problem
            await server.close()
            with pytest.raises(aiohttp.ClientConnectorError):
                await things.get_api_resources("example.com", "v1")
            assert api.recognition.problem == known, "a server that is away says nothing about trust"
