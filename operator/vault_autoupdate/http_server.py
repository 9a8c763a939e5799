"""What the process serves: ``/healthz`` and ``/readyz`` for the kubelet, ``/metrics`` for Prometheus.

Healthy means "not stuck, and not refused whenever something is to be written"; ready means "watching". Neither asks
whether Azure is up: a restart would cure nothing there. All of it is answered from the event loop, so that any answer
at all shows that the loop turns; how many may ask at a time, and how long they may take, `listener` sees to.

``/metrics`` may be served over TLS and ask for a bearer token. The token is compared with a file: asking the API
server who the caller is (TokenReview) would need rights in the whole cluster that nothing else here needs.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from aiohttp import web

from vault_autoupdate.listener import listen
from vault_autoupdate.settings import Address, InvalidSettings, Settings, is_loopback, variable

STUCK_AFTER: Final = 300.0
"""Seconds that a resource may be due without being worked on."""
REFUSED_TOO_LONG: Final = 300.0
"""Seconds for which the API server may refuse whatever is to be written."""
_CERTIFICATE_PERIOD: Final = 30.0
"""Seconds between two looks at whether the certificate has been replaced."""
_RENDER_TIME: Final = 20.0
"""Seconds that a scrape waits for its page."""
_CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

log = logging.getLogger(__name__)

__all__ = ["REFUSED_TOO_LONG", "STUCK_AFTER", "MetricsPage", "RenderedPage", "serve_health", "serve_metrics"]

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class RenderedPage:
    """``/metrics`` of one instant, in Prometheus' text format."""

    text: bytes
    gzipped: bytes


class MetricsPage(Protocol):
    """Makes ``/metrics``; `vault_autoupdate.metrics.page.Page` is the one."""

    async def render(self) -> RenderedPage:
        """The page of this instant, or of a moment ago."""


@asynccontextmanager
async def serve_health(
    address: Address,
    *,
    overdue: Callable[[], float],
    writes_refused: Callable[[], float],
    ready: Callable[[], bool],
    not_watched: Callable[[], Sequence[str]],
) -> AsyncIterator[None]:
    """Serve ``/healthz`` and ``/readyz``.

    Args:
        address: where.
        overdue: seconds that a resource has been due without being worked on.
        writes_refused: seconds for which the API server has refused to have anything written.
        ready: whether resources are watched.
        not_watched: namespaces whose resources cannot be watched though they should be.

    Raises:
        OSError: the address is taken.
    """

    async def healthz(_: web.BaseRequest) -> web.Response:
        due, refused = overdue(), writes_refused()
        facts: dict[str, object] = {"oldestOverdueSeconds": round(due, 1), "writesRefusedSeconds": round(refused, 1)}
        return _answer(facts, good=due < STUCK_AFTER and refused < REFUSED_TOO_LONG)

    async def readyz(_: web.BaseRequest) -> web.Response:
        missing = sorted(not_watched())
        return _answer({"watching": ready()} | ({"notWatched": missing} if missing else {}), good=ready())

    async with listen(address.host, address.port, _routes({"/healthz": healthz, "/readyz": readyz})):
        yield


@asynccontextmanager
async def serve_metrics(settings: Settings, page: MetricsPage) -> AsyncIterator[None]:
    """Serve ``/metrics``, over TLS and to those with the token where the settings say so.

    Raises:
        InvalidSettings: a file cannot be used.
        OSError: the address is taken.
    """
    handler = _metrics(page)
    if settings.metrics_token_file:
        handler = _guarded(handler, Path(settings.metrics_token_file))
        if not settings.metrics_cert_file and not is_loopback(settings.metrics_address.host):
            log.warning("/metrics asks for a token but is served over plain http, where others can read it")
    async with AsyncExitStack() as stack:
        context = None
        if settings.metrics_cert_file:
            context = await stack.enter_async_context(_certificate(settings))
        address = settings.metrics_address
        await stack.enter_async_context(listen(address.host, address.port, _routes({"/metrics": handler}), tls=context))
        yield


def _metrics(page: MetricsPage) -> Handler:
    """Answer with the page; 503 where it cannot be made in time, so that nobody waits for ever."""

    async def metrics(request: web.BaseRequest) -> web.StreamResponse:
        try:
            async with asyncio.timeout(_RENDER_TIME):
                rendered = await page.render()
        except TimeoutError:
            log.warning("/metrics could not be made within %.0f s", _RENDER_TIME)
            return web.Response(status=503, text="the page could not be made in time\n")
        headers = {"Content-Type": _CONTENT_TYPE, "Vary": "Accept-Encoding"}
        if "gzip" in request.headers.get("Accept-Encoding", "").casefold():
            return web.Response(body=rendered.gzipped, headers={**headers, "Content-Encoding": "gzip"})
        return web.Response(body=rendered.text, headers=headers)

    return metrics


def _guarded(handler: Handler, token_file: Path) -> Handler:
    """Answer 401 to all who do not show the token that the file has at that moment."""
    _read_token(token_file)  # so that a mistake is told at the start

    async def guard(request: web.BaseRequest) -> web.StreamResponse:
        try:
            expected = _read_token(token_file)
        except InvalidSettings as error:
            log.warning("%s", error)
            expected = b""
        scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
        matches = hmac.compare_digest(shown.strip().encode("utf-8", "surrogateescape"), expected)
        if not expected or scheme.casefold() != "bearer" or not matches:
            return web.Response(status=401, headers={"WWW-Authenticate": "Bearer"}, text="a bearer token is needed\n")
        return await handler(request)

    return guard


def _read_token(path: Path) -> bytes:
    try:
        token = path.read_bytes().strip()
    except OSError as error:
        raise InvalidSettings([f"{variable('metrics_token_file')}: {path}: {error.strerror}"]) from error
    if not token:
        raise InvalidSettings([f"{variable('metrics_token_file')}: {path} is empty"])
    return token


@asynccontextmanager
async def _certificate(settings: Settings) -> AsyncIterator[ssl.SSLContext]:
    """The TLS context of ``/metrics``; a certificate that is replaced is in use within a minute."""
    files = (Path(settings.metrics_cert_file), Path(settings.metrics_key_file))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(*files)
    except (OSError, ssl.SSLError) as error:
        raise InvalidSettings([f"{variable('metrics_cert_file')}, {variable('metrics_key_file')}: {error}"]) from error

    async def follow() -> None:
        known = _written_at(files)
        while True:
            await asyncio.sleep(_CERTIFICATE_PERIOD)
            if (now := _written_at(files)) != known:
                try:
                    context.load_cert_chain(*files)
                except (OSError, ssl.SSLError) as error:  # one of the two may be new already and the other not yet
                    log.warning("the new certificate of /metrics cannot be used (yet): %s", error)
                else:
                    known = now
                    log.info("/metrics has a new certificate")

    following = asyncio.create_task(follow(), name="follow the certificate of /metrics")
    try:
        yield context
    finally:
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following


def _written_at(files: tuple[Path, Path]) -> tuple[int, ...]:
    with contextlib.suppress(OSError):
        return tuple(file.stat().st_mtime_ns for file in files)
    return ()


def _routes(routes: dict[str, Handler]) -> Handler:
    """Answer each path by its handler, whoever asks for another one with 404, and whatever is no GET with 405."""

    async def dispatch(request: web.BaseRequest) -> web.StreamResponse:
        if (handler := routes.get(request.path)) is None:
            return web.Response(status=404, text="not found\n")
        if request.method not in {"GET", "HEAD"}:
            return web.Response(status=405, headers={"Allow": "GET, HEAD"}, text="only GET\n")
        return await handler(request)

    return dispatch


def _answer(facts: dict[str, object], *, good: bool) -> web.Response:
    return web.Response(status=200 if good else 503, text=json.dumps({"ok": good, **facts}) + "\n")
