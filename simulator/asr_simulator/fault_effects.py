"""What each fault does to a request or to its answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import socket
import struct
from typing import Any

from aiohttp import web

from asr_simulator.arm_errors import JSON_TYPE, Answer, ArmError, dumps
from asr_simulator.faults import Fault, FaultKind
from asr_simulator.identity import TokenAuthority

_HTML = "<html><head><title>Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
_PIECES = 20
_DROP_SECONDS = 0.02

__all__ = ["after_processing", "instead_of_processing", "render"]


async def instead_of_processing(
    fault: Fault, request: web.Request, tokens: TokenAuthority, headers: dict[str, str]
) -> web.StreamResponse:
    """Let a fault strike that keeps the call from being processed."""
    match fault.kind:
        case FaultKind.RESET_BEFORE:
            return _reset(request)
        case FaultKind.HANG:
            await asyncio.sleep(fault.seconds)
            return _reset(request)
        case FaultKind.HTML:
            status = fault.status if "status" in fault.model_fields_set else 502
            text = fault.body if isinstance(fault.body, str) else _HTML
            return web.Response(status=status, text=text, content_type="text/html", headers=headers)
        case FaultKind.REDIRECT:
            return web.Response(status=307, headers=headers | {"Location": fault.url or ""})
        case FaultKind.STATUS if fault.body is not None:
            body = fault.body.encode() if isinstance(fault.body, str) else dumps(fault.body)
            headers = headers | {"Content-Type": JSON_TYPE} | fault.headers
            return web.Response(status=fault.status, body=body, headers=headers)
        case FaultKind.TOKEN_DOWN:
            body = dumps({"statusCode": 500, "message": "The identity service is not available."})
            return web.Response(status=500, body=body, headers=headers | {"Content-Type": JSON_TYPE})
        case FaultKind.UNAUTHORIZED:
            answer = tokens.revoked().answer()
        case FaultKind.THROTTLE:
            code = fault.code or "TooManyRequests"
            answer = ArmError(429, code, fault.message or "Too many requests. Please try again later.").answer()
            if fault.retry_after is not None:
                answer.headers["Retry-After"] = str(math.ceil(fault.retry_after))
                answer.headers["retry-after-ms"] = str(math.ceil(fault.retry_after * 1000))
        case _:
            code = fault.code or "InternalServerError"
            answer = ArmError(fault.status, code, fault.message or "The server failed on request.").answer()
            answer.headers |= fault.headers
    return render(answer, headers | answer.headers)


async def after_processing(
    fault: Fault | None, request: web.Request, answer: Answer, headers: dict[str, str]
) -> web.StreamResponse:
    """Send an answer, spoilt by a fault if there is one."""
    match fault.kind if fault is not None else None:
        case FaultKind.RESET_AFTER:
            return _reset(request)
        case FaultKind.SLOW_HEAD:
            return await _dribble(request, answer, headers, fault.seconds if fault else 0.0)
        case FaultKind.SLOW_BODY:
            return await _trickle(request, answer, headers, fault.seconds if fault else 0.0)
        case FaultKind.TRUNCATED_JSON:
            answer.body = answer.body[: len(answer.body) // 2]
        case FaultKind.EMPTY_BODY:
            answer.body = b""
        case FaultKind.WRONG_SHAPE:
            answer.body = dumps(_other_shape(fault, answer.body))
        case _:
            pass
    return render(answer, headers)


def render(answer: Answer, headers: dict[str, str]) -> web.Response:
    """Make the HTTP response of an answer."""
    if answer.body and "Content-Type" not in headers:
        headers["Content-Type"] = JSON_TYPE
    return web.Response(status=answer.status, body=answer.body, headers=headers)


def _other_shape(fault: Fault | None, body: bytes) -> Any:
    if fault is not None and fault.body is not None:
        return fault.body
    with contextlib.suppress(ValueError):
        if isinstance(json.loads(body), dict):
            return ["unexpected", {"value": 1}]
    return {"unexpected": True}


def _reset(request: web.Request) -> web.Response:
    """Drop the connection so that the client sees a reset; the response returned is never sent."""
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        if connection is not None:
            linger = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        transport.abort()
    return web.Response(status=500)


async def _dribble(request: web.Request, answer: Answer, headers: dict[str, str], seconds: float) -> web.StreamResponse:
    """Send a head whose end takes ``seconds`` to come: a header that goes on and on, as long as the client listens."""
    headers |= {"Content-Length": str(len(answer.body)), "Connection": "close", "X-Slow": ""}
    lines = [f"HTTP/1.1 {answer.status} Slow", *(f"{name}: {value}" for name, value in headers.items())]
    head = "\r\n".join(lines).encode()
    transport = request.transport
    end = asyncio.get_running_loop().time() + seconds
    while transport is not None and not transport.is_closing():
        transport.write(head)
        head = b"."
        if asyncio.get_running_loop().time() >= end:
            transport.write(b"\r\n\r\n" + answer.body)
            transport.close()
            break
        await asyncio.sleep(min(_DROP_SECONDS, seconds))
    return _reset(request)


async def _trickle(request: web.Request, answer: Answer, headers: dict[str, str], seconds: float) -> web.StreamResponse:
    headers |= {"Content-Type": JSON_TYPE, "Content-Length": str(len(answer.body))}
    response = web.StreamResponse(status=answer.status, headers=headers)
    await response.prepare(request)
    size = max(1, -(-len(answer.body) // _PIECES))
    for begin in range(0, len(answer.body), size):
        await asyncio.sleep(seconds / _PIECES)
        await response.write(answer.body[begin : begin + size])
    await response.write_eof()
    return response
