"""``/metrics`` over TLS and with a token, as a ServiceMonitor with tlsConfig and authorization asks for it."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from vault_autoupdate import http_server as endpoints
from vault_autoupdate.http_server import RenderedPage, serve_metrics
from vault_autoupdate.settings import InvalidSettings, load_settings
from workbench.kube.certificates import Authority
from workbench.process.ports import free_ports


class Answer:
    """A page with one metric. Implements `MetricsPage`."""

    async def render(self) -> RenderedPage:
        return RenderedPage(b"answer 42\n", gzip.compress(b"answer 42\n"))


@asynccontextmanager
async def served(**settings: Any) -> AsyncIterator[str]:
    """Serve one metric with these settings; gives the address."""
    (port,) = free_ports(1)
    values = {f"VAULT_AUTOUPDATE_{name.upper()}": str(value) for name, value in settings.items()}
    loaded = load_settings({"metrics_address": f"127.0.0.1:{port}"}, values)
    async with serve_metrics(loaded, Answer()):
        yield f"127.0.0.1:{port}/metrics"


async def get(url: str, authority: Path | None = None, *, shown: str = "") -> tuple[int, str]:
    context = ssl.create_default_context(cafile=authority) if authority else True
    headers = {"Authorization": shown} if shown else {}
    async with aiohttp.ClientSession() as session, session.get(url, ssl=context, headers=headers) as answer:
        return answer.status, await answer.text()


async def test_without_settings_it_is_open_and_plain() -> None:
    async with served() as address:
        status, text = await get(f"http://{address}")
    assert (status, "answer 42" in text) == (200, True)


async def test_who_takes_gzip_gets_it_and_others_do_not() -> None:
    async with served() as address, aiohttp.ClientSession(auto_decompress=False) as session:
        for accepted, encoding in {"gzip": "gzip", "identity": None}.items():
            async with session.get(f"http://{address}", headers={"Accept-Encoding": accepted}) as answer:
                assert answer.headers.get("Content-Encoding") == encoding
                assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"


async def test_another_path_is_not_found_and_another_method_is_not_allowed() -> None:
    async with served() as address, aiohttp.ClientSession() as session:
        async with session.get(f"http://{address}/x") as answer:
            assert answer.status == 404
        async with session.post(f"http://{address}", data=b"x") as answer:
            assert answer.status == 405


async def test_a_page_that_takes_too_long_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(_: Answer) -> RenderedPage:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(endpoints, "_RENDER_TIME", 0.05)
    monkeypatch.setattr(Answer, "render", never)
    async with served() as address:
        assert (await get(f"http://{address}"))[0] == 503


async def test_with_a_token_only_those_who_show_it_get_in(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("correct horse\n")
    async with served(metrics_token_file=token) as address:
        for shown in ("", "Bearer wrong", "Basic correct horse"):
            status, text = await get(f"http://{address}", shown=shown)
            assert status == 401
            assert "answer" not in text
        assert (await get(f"http://{address}", shown="Bearer correct horse"))[0] == 200
        token.write_text("another")
        assert (await get(f"http://{address}", shown="Bearer correct horse"))[0] == 401
        assert (await get(f"http://{address}", shown="Bearer another"))[0] == 200
        token.unlink()
        assert (await get(f"http://{address}", shown="Bearer another"))[0] == 401, "no token, no entry"
        token.write_text("")
        assert (await get(f"http://{address}", shown="Bearer "))[0] == 401


async def test_a_token_file_that_is_not_there_or_empty_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text(" \n")
    for name in ("missing", "empty"):
        with pytest.raises(InvalidSettings, match="VAULT_AUTOUPDATE_METRICS_TOKEN_FILE"):
            async with served(metrics_token_file=tmp_path / name):
                pass


async def test_with_a_certificate_it_speaks_tls_and_a_new_certificate_is_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "_CERTIFICATE_PERIOD", 0.05)
    old, new = Authority(tmp_path / "old"), Authority(tmp_path / "new")
    pair = old.server("tls", ["127.0.0.1"])
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    certificate.write_bytes(pair.certificate.read_bytes())
    key.write_bytes(pair.key.read_bytes())
    async with served(metrics_cert_file=certificate, metrics_key_file=key) as address:
        assert (await get(f"https://{address}", old.certificate))[0] == 200
        with pytest.raises(aiohttp.ClientError):
            await get(f"http://{address}")
        pair = new.server("tls", ["127.0.0.1"])
        certificate.write_bytes(pair.certificate.read_bytes())
        key.write_bytes(pair.key.read_bytes())
        for _ in range(100):
            try:
                status, _ = await get(f"https://{address}", new.certificate)
            except aiohttp.ClientError:
                continue
            assert status == 200
            return
    pytest.fail("the new certificate was not taken up")


def test_a_certificate_without_its_key_is_refused() -> None:
    for name in ("METRICS_CERT_FILE", "METRICS_KEY_FILE"):
        with pytest.raises(InvalidSettings, match="set both or neither"):
            load_settings({}, {f"VAULT_AUTOUPDATE_{name}": "/x"})


async def test_files_that_are_no_certificate_are_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("nothing")
    with pytest.raises(InvalidSettings, match="VAULT_AUTOUPDATE_METRICS_CERT_FILE"):
        async with served(metrics_cert_file=tmp_path / "x", metrics_key_file=tmp_path / "x"):
            pass
