"""Calls to the API server are counted by what they are for and how they were answered, also by none at all."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from vault_autoupdate.cluster.calls import NO_ANSWER, OPERATIONS, operation_of, tracing

OURS = "/apis/asr.vault-autoupdate.io/v1alpha1"


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("GET", f"{OURS}/vaultautoupdates", "list_resources"),
        ("GET", f"{OURS}/namespaces/team/vaultautoupdates", "list_resources"),
        ("POST", f"{OURS}/namespaces/team/vaultautoupdates", "create_resource"),
        ("DELETE", f"{OURS}/namespaces/team/vaultautoupdates/estate-dr", "delete_resource"),
        ("GET", f"{OURS}/vaultautoupdatepolicies", "list_policies"),
        ("PATCH", f"{OURS}/namespaces/team/vaultautoupdatepolicies/estate/status", "write_policy_status"),
        ("PATCH", f"{OURS}/namespaces/team/vaultautoupdates/dr/status", "write_status"),
        ("PATCH", f"{OURS}/namespaces/team/vaultautoupdates/status", "write_finalizers"),
        ("PATCH", f"{OURS}/namespaces/team/vaultautoupdates/dr", "write_finalizers"),
        ("POST", "/apis/events.k8s.io/v1/namespaces/team/events", "post_event"),
        ("GET", "/apis/coordination.k8s.io/v1/namespaces/ops/leases/x", "read_lease"),
        ("PUT", "/apis/coordination.k8s.io/v1/namespaces/ops/leases/x", "renew_lease"),
        ("POST", "/apis/coordination.k8s.io/v1/namespaces/ops/leases", "renew_lease"),
        ("GET", "/api/v1/namespaces/team/secrets/x", "read_secret"),
        ("GET", "/api/v1/namespaces/team/serviceaccounts/x", "read_service_account"),
        ("POST", "/api/v1/namespaces/team/serviceaccounts/x/token", "request_token"),
        ("GET", "/version", "other"),
    ],
)
def test_a_call_is_known_by_its_path(method: str, path: str, operation: str) -> None:
    assert operation_of(method, path) == operation
    assert operation in OPERATIONS


def test_a_watch_is_no_list() -> None:
    assert operation_of("GET", f"{OURS}/vaultautoupdates", is_watch=True) == "watch_resources"


async def test_every_answer_is_counted_and_every_call_without_one() -> None:
    seen: Counter[tuple[str, str]] = Counter()

    async def refuse(request: web.Request) -> web.Response:
        if request.query.get("watch"):
            await asyncio.Event().wait()
        return web.Response(status=403)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", refuse)
    trace = tracing(lambda operation, code: seen.update([(operation, code)]))
    async with TestServer(application) as server, aiohttp.ClientSession(trace_configs=[trace]) as session:
        await session.patch(server.make_url(f"{OURS}/namespaces/team/vaultautoupdates/dr/status"))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                await session.get(server.make_url(f"{OURS}/vaultautoupdates?watch=true"))
    assert seen == {("write_status", "403"): 1, ("watch_resources", NO_ANSWER): 1}
