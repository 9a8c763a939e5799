"""The login ends, as logins do: with a ``tokenFile``, with an exec plugin, and with neither any more."""

from __future__ import annotations

import asyncio
import json
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio import client
from kubernetes.aio.client.exceptions import ApiException

from vault_autoupdate.cluster import connection
from vault_autoupdate.cluster.connection import ClusterUnreadable, connect, namespace_of
from vault_autoupdate.cluster.writer import KubeWriter
from vault_autoupdate.model.errors import NotWritten
from vault_autoupdate.model.resource import ObjectRef, ResourceKey
from workbench.kube.certificates import Authority

REF = ObjectRef(ResourceKey("dr", "weu"), "uid")


class Guarded:
    """An API server that knows one token at a time."""

    def __init__(self) -> None:
        self.token = "first"
        self.answers: list[int] = []

    async def answer(self, request: web.Request) -> web.Response:
        good = request.headers.get("Authorization") == f"Bearer {self.token}"
        self.answers.append(200 if good else 401)
        return web.json_response({"items": []}, status=self.answers[-1])


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_LOGIN_PAUSE", 0.0)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)


@pytest_asyncio.fixture
async def guarded() -> AsyncIterator[tuple[Guarded, str]]:
    server = Guarded()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", server.answer)
    async with TestServer(application) as running:
        yield server, str(running.make_url(""))


def _kubeconfig(cluster: dict[str, str], user: dict[str, str] | None = None) -> dict[str, Any]:
    return {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:9", **cluster}}],
        "users": [{"name": "u", "user": user or {}}],
    }


class Kubeconfig:
    """A kubeconfig whose user logs in by a file, which a plugin prints or which is named as it is."""

    def __init__(self, directory: Path, server: str, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.file, self.runs = directory / "token", directory / "runs"
        self.write("first")
        user: dict[str, Any] = {"tokenFile": str(self.file)}
        if way == "exec":
            user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(self._plugin(directory))}}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": {"server": server}}],
            "users": [{"name": "test", "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "current-context": "test",
        }
        (directory / "kubeconfig").write_text(yaml.safe_dump(document))
        monkeypatch.setattr(
            "kubernetes.aio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(directory / "kubeconfig")
        )

    def write(self, token: str) -> None:
        self.file.write_text(token)

    def _plugin(self, directory: Path) -> Path:
        plugin = directory / "plugin"
        credential = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential"}
        plugin.write_text(
            f"#!{sys.executable}\nimport json\n"
            f"open({str(self.runs)!r}, 'a').write('.')\n"
            f"token = open({str(self.file)!r}).read()\n"
            "assert token, 'no token to be had'\n"
            f"print(json.dumps({json.dumps(credential)} | {{'status': {{'token': token}}}}))\n"
        )
        plugin.chmod(plugin.stat().st_mode | stat.S_IXUSR)
        return plugin


@pytest.fixture(params=["tokenFile", "exec"])
def kubeconfig(
    request: pytest.FixtureRequest, tmp_path: Path, guarded: tuple[Guarded, str], monkeypatch: pytest.MonkeyPatch
) -> Kubeconfig:
    return Kubeconfig(tmp_path, guarded[1], request.param, monkeypatch)


async def test_a_token_that_has_ended_is_replaced_by_the_next_one_and_the_write_gets_through(
    guarded: tuple[Guarded, str], kubeconfig: Kubeconfig
) -> None:
    async with connect() as api:
        writer = KubeWriter(api, instance="test")
        await writer.write_status(REF, {}, patient=False)
        guarded[0].token = "second"
        kubeconfig.write("second")
        await writer.write_status(REF, {}, patient=False)
    assert guarded[0].answers == [200, 401, 200]
    assert writer.health.failing_for({"dr"}) == 0


async def test_all_that_is_refused_at_once_shares_one_login(
    guarded: tuple[Guarded, str], kubeconfig: Kubeconfig
) -> None:
    async with connect() as api:
        guarded[0].token = "second"
        kubeconfig.write("second")
        writer = KubeWriter(api, instance="test")
        await asyncio.gather(*(writer.write_status(REF, {}, patient=False) for _ in range(12)))
        assert api.logins == 2
    if kubeconfig.runs.exists():
        assert kubeconfig.runs.read_text() == ".."


async def test_a_login_that_stays_refused_is_told_as_refused(
    guarded: tuple[Guarded, str], kubeconfig: Kubeconfig
) -> None:
    async with connect() as api:
        guarded[0].token = "never to be had"
        writer = KubeWriter(api, instance="test")
        with pytest.raises(NotWritten, match="401"):
            await writer.write_status(REF, {}, patient=False)
        assert api.recognition.refused_for > 0
        assert "401" in api.recognition.problem
        assert writer.health.refused_for({"dr"}) > 0
        guarded[0].token = "first"
        await writer.write_status(REF, {}, patient=False)
        assert api.recognition.refused_for == 0
        assert writer.health.refused_for({"dr"}) == 0


async def test_somebody_who_cannot_wait_does_not_stop_the_login_of_the_others(
    guarded: tuple[Guarded, str], kubeconfig: Kubeconfig
) -> None:
    async with connect() as api:
        guarded[0].token = "second"
        kubeconfig.write("second")
        impatient = asyncio.create_task(api.log_in_again(1))
        patient = asyncio.create_task(api.log_in_again(1))
        await asyncio.sleep(0)
        impatient.cancel()
        await patient
        assert api.logins == 2


@pytest.mark.parametrize("kubeconfig", ["exec"], indirect=True)
async def test_a_plugin_that_fails_is_an_error_and_nobody_goes_on_as_nobody(
    guarded: tuple[Guarded, str], kubeconfig: Kubeconfig
) -> None:
    async with connect() as api:
        guarded[0].token = "second"
        kubeconfig.write("")
        with pytest.raises(ClusterUnreadable, match="exec plugin"):
            await client.CustomObjectsApi(api).get_api_resources("example.com", "v1")
        kubeconfig.write("second")
        await client.CustomObjectsApi(api).list_cluster_custom_object("example.com", "v1", "things")
    kubeconfig.write("")
    with pytest.raises(ClusterUnreadable, match="exec plugin"):
        async with connect():
            raise AssertionError("there is nothing to log in with")


_BAD_CERTIFICATE = {"client-certificate-data": "AAAA", "client-key-data": "AAAA"}


@pytest.mark.parametrize(
    "text",
    [
        b"x: [",
        b"[1, 2]",
        b"a text",
        b"contexts: {a: b}",
        b"apiVersion: v1",
        "clusters: ä".encode("utf-16"),
        yaml.safe_dump(_kubeconfig({"certificate-authority-data": "!"})).encode(),
        yaml.safe_dump(_kubeconfig({"certificate-authority": "/not/there"})).encode(),
        yaml.safe_dump(_kubeconfig({}, _BAD_CERTIFICATE)).encode(),
    ],
)
async def test_a_kubeconfig_that_is_none_is_told_in_words(text: bytes, tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_bytes(text)
    chosen = connection.Kubeconfig(str(file))
    with pytest.raises(ClusterUnreadable, match=r"^no cluster to talk to \(KUBECONFIG\): "):
        async with connect(kubeconfig=chosen):
            pass

    assert namespace_of(chosen) == "default"


async def test_a_certificate_of_a_plugin_that_has_ended_is_replaced_and_connections_are_made_anew(
    tmp_path: Path, guarded: tuple[Guarded, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path / "ca")
    pairs = [authority.client(name, "operator") for name in ("first", "second")]
    Kubeconfig(tmp_path, guarded[1], "exec", monkeypatch)
    credential = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential"}

    def hand_out(number: int) -> None:
        status = {
            "clientCertificateData": pairs[number].certificate.read_text(),
            "clientKeyData": pairs[number].key.read_text(),
        }
        (tmp_path / "credential").write_text(json.dumps({**credential, "status": status}))

    (tmp_path / "plugin").write_text(f"#!/bin/sh\nexec cat {tmp_path / 'credential'}\n")
    hand_out(0)
    async with connect() as api:
        things, before = client.CustomObjectsApi(api), api.rest_client
        hand_out(1)
        with pytest.raises(ApiException):  # this server asks for a token, whatever the certificate
            await things.list_cluster_custom_object("example.com", "v1", "things")
        assert api.logins == 2
        assert api.rest_client is not before
        assert _content(str(api.configuration.cert_file)) == _content(pairs[1].certificate)


async def test_another_refusal_is_no_reason_to_log_in_again(guarded: tuple[Guarded, str]) -> None:
    async def forbidden(_: web.Request) -> web.Response:
        return web.json_response({}, status=403)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", forbidden)
    async with TestServer(application) as running:
        configuration = client.Configuration(host=str(running.make_url("")))
        async with connection.Connection(configuration) as api:
            with pytest.raises(ApiException):
                await client.CustomObjectsApi(api).list_cluster_custom_object("example.com", "v1", "things")
            assert (api.logins, api.recognition.refused_for) == (1, 0)


def _content(path: str | Path) -> bytes:
    return Path(path).read_bytes()
