"""Connections within bounds: half-sent requests, slow readers, too many of them, and no file descriptors left."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from vault_autoupdate.listener import Bounds, listen
from workbench.kube.certificates import Authority
from workbench.process.ports import free_ports

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
SHORT = Bounds(connections=4, of_one_address=4, request_time=0.2, answer_time=0.2)
PATIENT = Bounds(connections=4, of_one_address=4, request_time=30, answer_time=30)


async def _hello(_: web.BaseRequest) -> web.Response:
    return web.Response(text="hello")


@asynccontextmanager
async def _served(bounds: Bounds, handler: Any = _hello, **more: Any) -> AsyncIterator[int]:
    (port,) = free_ports(1)
    async with listen("127.0.0.1", port, handler, bounds=bounds, **more):
        yield port


async def _ask(port: int, host: str = "127.0.0.1") -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(REQUEST)
    try:
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def _ask_until_answered(port: int) -> bytes:
    async with asyncio.timeout(10):
        while not (answer := await _ask(port)):  # noqa: ASYNC110 - nobody tells when there is room
            await asyncio.sleep(0.01)
    return answer


async def _until_closed(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(10):
        try:
            return await reader.read()
        except ConnectionError:
            return b""


async def test_a_request_is_answered_and_its_connection_closed() -> None:
    async with _served(PATIENT) as port:
        assert (await _ask(port)).endswith(b"hello")


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n", b"\x16\x03\x01"])
async def test_a_request_that_does_not_come_to_an_end_is_closed(sent: bytes) -> None:
    async with _served(SHORT) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        assert b"hello" not in await _until_closed(reader)
        writer.close()


async def test_a_header_that_comes_byte_by_byte_gets_no_more_time_than_another() -> None:
    async with _served(SHORT) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        closed = asyncio.create_task(_until_closed(reader))
        while not closed.done():
            writer.write(b"G")
            await asyncio.sleep(0.01)
        assert b"hello" not in await closed
        writer.close()


async def test_an_answer_that_is_not_taken_is_closed() -> None:
    async def much_to_some(request: web.BaseRequest) -> web.Response:
        return web.Response(body=b"x" * 50_000_000) if request.path == "/much" else await _hello(request)

    async with _served(replace(SHORT, connections=1, answer_time=1), much_to_some) as port:
        with socket.create_connection(("127.0.0.1", port)) as slow:
            slow.sendall(REQUEST.replace(b"/", b"/much", 1))
            assert await asyncio.to_thread(slow.recv, 1) == b"H"
            assert await _ask(port) == b"", "it holds the only place"
            assert (await _ask_until_answered(port)).endswith(b"hello")


async def test_who_opens_more_connections_than_there_is_room_for_is_closed_at_once_and_the_others_are_served() -> None:
    async with _served(PATIENT) as port:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(4)]
        assert await _ask(port) == b""
        held[0][1].close()
        assert (await _ask_until_answered(port)).endswith(b"hello")
        for _, writer in held:
            writer.close()


async def test_one_address_cannot_take_the_room_of_the_others() -> None:
    async with _served(replace(PATIENT, of_one_address=2)) as port:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        assert await _ask(port) == b""
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.2", 0))
        writer.write(REQUEST)
        assert (await reader.read()).endswith(b"hello")
        for _, each in [*held, (reader, writer)]:
            each.close()


async def test_an_unfinished_tls_handshake_is_closed_and_counts(tmp_path: Path) -> None:
    pair = Authority(tmp_path).server("tls", ["127.0.0.1"])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.certificate, pair.key)
    async with _served(SHORT, tls=context) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\x16\x03\x01")
        assert await _until_closed(reader) == b""
        writer.close()


async def test_what_cannot_be_accepted_is_said_once_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    loop, tries = asyncio.get_running_loop(), 0
    accept = loop.sock_accept

    async def out_of_files(listening: socket.socket) -> tuple[socket.socket, Any]:
        nonlocal tries
        tries += 1
        if tries <= 3:
            raise OSError(errno.EMFILE, "Too many open files")
        return await accept(listening)

    monkeypatch.setattr(loop, "sock_accept", out_of_files)
    monkeypatch.setattr("vault_autoupdate.listener._ACCEPT_PAUSE", 0.01)
    with caplog.at_level(logging.WARNING):
        async with _served(PATIENT) as port:
            assert (await _ask(port)).endswith(b"hello")
    assert [record.getMessage() for record in caplog.records] == [
        "connections cannot be accepted, tried again each second: [Errno 24] Too many open files"
    ]


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no sockets of both families")
async def test_the_unspecified_address_of_ipv6_stands_for_both_families() -> None:
    (port,) = free_ports(1)
    async with listen("::", port, _hello):
        assert (await _ask(port)).endswith(b"hello")
        assert (await _ask(port, "::1")).endswith(b"hello")


async def test_at_the_end_all_connections_are_closed() -> None:
    async with _served(PATIENT) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert (await _ask(port)).endswith(b"hello")
    assert await _until_closed(reader) == b""
    writer.close()
