"""The HTTP side: what happens to every request before and after it is answered.

Order (inferred): authentication, API version, subscription and group, limits, authorization, the call.
Faults that stand for the network or the gateway strike before all of that.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from uuid import UUID

from aiohttp import web

from asr_simulator import arm_errors
from asr_simulator.activity_log import Author, Written
from asr_simulator.activity_query import ActivityQueries
from asr_simulator.api_versions import (
    ACTIVITY_LOG_VERSIONS,
    AUTHORIZATION_VERSIONS,
    AUTOMATION_VERSIONS,
    GRAPH_VERSIONS,
    MANAGEMENT_GROUP_VERSIONS,
    PERMISSION_VERSIONS,
    SITE_RECOVERY_VERSIONS,
    SUBSCRIPTION_VERSIONS,
    VAULT_VERSIONS,
)
from asr_simulator.arm_errors import Answer, ArmError
from asr_simulator.authorization import Authorization
from asr_simulator.automation import Automation
from asr_simulator.calls import Call
from asr_simulator.directory import Directory
from asr_simulator.fault_effects import after_processing, instead_of_processing
from asr_simulator.faults import Fault
from asr_simulator.request_log import LogEntry
from asr_simulator.resource_graph import ResourceGraph
from asr_simulator.routes import (
    AUTHORIZATION,
    AUTOMATION,
    DIRECTORY,
    LOGIN,
    TENANT_WIDE,
    Route,
    RouteKind,
    action_of,
    match_path,
)
from asr_simulator.signing import Claims
from asr_simulator.site_recovery import SiteRecovery
from asr_simulator.world import World

_WRITES = frozenset({"PATCH", "PUT", "POST", "DELETE"})
_VAULT_SERVICE = frozenset({RouteKind.VAULT, RouteKind.VAULTS, RouteKind.REPLICATION_USAGES})
"""Answered by the vault service, not by Site Recovery: only Resource Manager's bucket counts them (inferred)."""
_BESIDE_SITE_RECOVERY = _VAULT_SERVICE | AUTOMATION | AUTHORIZATION | DIRECTORY | {RouteKind.ACTIVITY_LOG}
_VERSIONS = {
    RouteKind.SUBSCRIPTIONS: SUBSCRIPTION_VERSIONS,
    RouteKind.SUBSCRIPTION: SUBSCRIPTION_VERSIONS,
    RouteKind.DESCENDANTS: MANAGEMENT_GROUP_VERSIONS,
    RouteKind.RESOURCE_GRAPH: GRAPH_VERSIONS,
    RouteKind.ACTIVITY_LOG: ACTIVITY_LOG_VERSIONS,
    RouteKind.PERMISSIONS: PERMISSION_VERSIONS,
    **dict.fromkeys(AUTHORIZATION, AUTHORIZATION_VERSIONS),
    **dict.fromkeys(AUTOMATION, AUTOMATION_VERSIONS),
}
_COMMON_HEADERS = {  # in user reports of real answers
    "Cache-Control": "no-cache",
    "Pragma": "no-cache",
    "Expires": "-1",
    "Server": "Kestrel",
    "X-Content-Type-Options": "nosniff",
}

__all__ = ["Gateway"]


class Gateway:
    """Handles every request that is not for the control endpoint."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._site_recovery = SiteRecovery(world)
        self._automation = Automation(world)
        self._authorization = Authorization(world)
        self._directory = Directory(world)
        self._graph = ResourceGraph(world)
        self._activity = ActivityQueries(world)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, log it, and let a fault strike if one is waiting for it."""
        world = self._world
        # The body first: from the clock's reading to the end of processing nothing may come between, so that
        # requests are counted and processed in the order of their times.
        body = await request.read() if request.can_read_body else b""
        arrived, real = world.clock.now(), world.clock.real()
        path = request.path
        route = match_path(path)
        client_id = request.headers.get("x-ms-client-request-id", "")
        hit = world.faults.take(request.method, route, client_id) if world.faults else None
        fault, fault_id = hit or (None, "")
        code = ""
        headers = self._own_headers(request)
        status = 0
        try:
            if fault is not None and fault.is_gateway:
                response = await instead_of_processing(fault, request, world.tokens, headers)
            else:
                correlation = headers["x-ms-correlation-request-id"]
                answer, code = self._process(
                    request, route, body=body, arrived=arrived, fault=fault, correlation=correlation
                )
                headers.update(answer.headers)
                if route.kind not in LOGIN and world.latency.max > 0:
                    await asyncio.sleep(self._world.ids.uniform(world.latency.min, world.latency.max))
                response = await after_processing(fault, request, answer, headers)
            status = 0 if request.transport is None or request.transport.is_closing() else response.status
        finally:
            entry = LogEntry(
                simulated=arrived,
                real=real,
                method=request.method,
                kind=route.kind.value,
                path=path,
                status=status,
                code=code,
                fault=fault_id,
                vault=route.vault,
                mapping=route.mapping,
                job=route.job,
                client_request_id=client_id,
                user_agent=request.headers.get("User-Agent", ""),
                client=request.remote or "",
                scope=self._scope_name(route),
                application=world.tokens.application_of(request.headers.get("Authorization")),
            )
            world.log.add(entry)
            world.responses[str(status)] += 1
            world.calls[f"{request.method} {route.kind.value}"] += 1
        return response

    def _process(
        self,
        request: web.Request,
        route: Route,
        *,
        body: bytes,
        arrived: float,
        fault: Fault | None,
        correlation: str,
    ) -> tuple[Answer, str]:
        if route.kind in LOGIN:
            return self._answer_login(request, route, body), ""
        query = request.query
        extra: dict[str, str] = {}
        try:
            claims = self._world.tokens.authenticate(request.headers.get("Authorization"))
            self._check_version(route, query.get("api-version"))
            self._check_place(route, request.path)
            if route.kind is RouteKind.RESOURCE_GRAPH:
                extra, allowed = self._graph.quota(claims.object_id, arrived)
                if not allowed:
                    raise self._graph.refused_by_quota()
            else:
                extra = self._check_limits(route, request.method, claims, arrived)
            if route.kind is RouteKind.UNKNOWN:
                raise arm_errors.no_such_route(request.path)
            self._check_rights(route, request.method, claims)
            call = Call(
                method=request.method,
                route=route,
                path=request.path,
                query=query,
                base_url=f"{request.scheme}://{request.host}",
                body=body,
                now=arrived,
                fault=fault,
            )
            answer = self._answer_and_log(request, call, claims, correlation)
        except ArmError as error:
            self._complete_details(error, request)
            answer = error.answer()
            answer.headers |= extra
            return answer, error.code
        answer.headers |= extra
        return answer, ""

    def _answer_and_log(self, request: web.Request, call: Call, claims: Claims, correlation: str) -> Answer:
        """Answer a call; what writes stands in the activity log, well or not."""
        if call.method == "GET" or call.route.kind in TENANT_WIDE:
            return self._answer(call, claims)
        try:
            answer = self._answer(call, claims)
        except ArmError as error:
            self._log_write(request, call, claims, correlation, error.status)
            raise
        self._log_write(request, call, claims, correlation, answer.status)
        return answer

    def _log_write(self, request: web.Request, call: Call, claims: Claims, correlation: str, status: int) -> None:
        course = None
        if status == 202 and (vault := self._world.find(call.route, call.now)):
            course = vault.jobs[-1].course
        written = Written(
            resource=call.route.scope,
            action=action_of(call.route.kind, call.method) or "",
            author=Author(claims.object_id, claims.client_id, claims.user, claims.tenant_id),
            at=call.now,
            status=status,
            method=call.method,
            # Resource Manager makes one for a client that sends none (inferred).
            request_id=request.headers.get("x-ms-client-request-id") or correlation,
            correlation_id=correlation,
            ended_at=None if course is None or math.isinf(course.end) else course.end,
            failed=course is not None and course.ending == "Failed",
        )
        self._world.activity.record(written)

    def _answer(self, call: Call, claims: Claims) -> Answer:
        def may(action: str, subscription: str) -> bool:
            return self._world.tokens.is_allowed(claims, action, "", subscription)

        if call.route.kind is RouteKind.RESOURCE_GRAPH:
            read = "Microsoft.RecoveryServices/vaults/read"
            return self._graph.answer(call, lambda subscription: may(read, subscription))
        if call.route.kind is RouteKind.ACTIVITY_LOG:
            return self._activity.answer(call)
        if call.route.kind is RouteKind.PERMISSIONS:
            return self._directory.permissions(
                self._world.tokens.denied(claims, call.route.vault, call.route.subscription)
            )
        if call.route.kind in DIRECTORY:
            read = "Microsoft.Resources/subscriptions/read"
            return self._directory.answer(call, lambda subscription: may(read, subscription))
        if call.route.kind in AUTOMATION:
            return self._automation.answer(call)
        if call.route.kind in AUTHORIZATION:
            return self._authorization.answer(call)
        return self._site_recovery.answer(call)

    def _answer_login(self, request: web.Request, route: Route, body: bytes) -> Answer:
        base_url = f"{request.scheme}://{request.host}"
        match request.method, route.kind:
            case "GET", RouteKind.TOKEN:
                return self._world.tokens.answer_token_request(request.query, request.headers)
            case "POST", RouteKind.OAUTH_TOKEN:
                return self._world.oauth.answer_token_request(route.tenant, body)
            case "GET", RouteKind.OPENID_CONFIGURATION:
                return self._world.oauth.openid_configuration(route.tenant, base_url)
            case "GET", RouteKind.INSTANCE_DISCOVERY:
                return self._world.oauth.instance_discovery(base_url)
            case _:
                return arm_errors.method_not_allowed(request.method).answer()

    def _check_version(self, route: Route, version: str | None) -> None:
        if not version:
            raise arm_errors.missing_api_version()
        supported = _VERSIONS.get(route.kind, AUTOMATION_VERSIONS if route.account else SITE_RECOVERY_VERSIONS)
        if route.kind in _VAULT_SERVICE:
            supported = VAULT_VERSIONS
        if version not in supported:
            raise arm_errors.unknown_api_version(version, supported)

    def _check_place(self, route: Route, path: str) -> None:
        if route.kind in TENANT_WIDE:
            return
        if not route.subscription:
            raise arm_errors.no_such_route(path)
        groups = self._world.groups.get(route.subscription.lower())
        if groups is None:
            raise arm_errors.subscription_not_found(route.subscription)
        if route.resource_group and route.resource_group.lower() not in groups:
            raise arm_errors.resource_group_not_found(route.resource_group)

    def _check_limits(self, route: Route, method: str, claims: Claims, arrived: float) -> dict[str, str]:
        """Count the call; returns the headers that tell what is left."""
        is_write = method in _WRITES
        kind = "write" if is_write else "read"
        limits = self._world.throttle.scope(route.subscription, self._region(route), arrived)
        verdict = limits.admit(arrived, write=is_write, site_recovery=route.kind not in _BESIDE_SITE_RECOVERY)
        if verdict.wait == 0:
            remaining = limits.remaining(arrived, write=is_write)
            of = "subscription" if route.subscription else "tenant"
            return {} if remaining is None else {f"x-ms-ratelimit-remaining-{of}-{kind}s": str(remaining)}
        wait = self._world.clock.real_seconds(verdict.wait)
        seconds = max(1, math.ceil(wait))
        if verdict.by_arm:
            error = arm_errors.subscription_requests_throttled(kind, route.subscription, claims.object_id, seconds)
        else:
            settings = limits.settings
            error = arm_errors.too_many_requests(kind, str(settings.writes if is_write else settings.reads), seconds)
        milliseconds = str(math.ceil(wait * 1000))
        headers = {
            "Retry-After": str(seconds),
            "x-ms-retry-after-ms": milliseconds,
            "retry-after-ms": milliseconds,
        }
        raise replace(error, headers=headers)

    def _region(self, route: Route) -> str:
        if route.account:
            account = self._world.find_account(route)
            return "" if account is None else account.location
        vault = self._world.vaults.get((route.subscription.lower(), route.resource_group.lower(), route.vault.lower()))
        return "" if vault is None else vault.spec.location

    def _scope_name(self, route: Route) -> str:
        return f"{route.subscription.lower()}/{self._region(route)}" if route.subscription else ""

    def _check_rights(self, route: Route, method: str, claims: Claims) -> None:
        action = action_of(route.kind, method)
        if action is None:
            raise arm_errors.method_not_allowed(method)
        if route.kind in (RouteKind.SUBSCRIPTIONS, RouteKind.SUBSCRIPTION):
            return  # who may not see a subscription does not see it: that is no error
        if not self._world.tokens.is_allowed(claims, action, route.vault, route.subscription):
            raise arm_errors.authorization_failed(claims.client_id, claims.object_id, action, route.scope)

    def _own_headers(self, request: web.Request) -> dict[str, str]:
        request_id = str(UUID(int=self._world.ids.getrandbits(128), version=4))
        headers = _COMMON_HEADERS | {
            "x-ms-request-id": request_id,
            "x-ms-correlation-request-id": request.headers.get("x-ms-correlation-request-id", request_id),
        }
        client_id = request.headers.get("x-ms-client-request-id")
        if client_id and request.headers.get("x-ms-return-client-request-id", "").lower() == "true":
            headers["x-ms-client-request-id"] = client_id
        return headers

    def _complete_details(self, error: ArmError, request: web.Request) -> None:
        """Put the ids that a support request asks for into Site Recovery's details."""
        for detail in error.details or ():
            detail["clientRequestId"] = request.headers.get("x-ms-client-request-id", "")
            detail["activityId"] = str(UUID(int=self._world.ids.getrandbits(128), version=4))
