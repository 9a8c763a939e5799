"""The control endpoint below ``/_simulator/``: look behind the curtain and change what is there. Loopback only."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from asr_simulator.arm_errors import dumps
from asr_simulator.control_accounts import (
    AccountRequest,
    SchedulesRequest,
    account_infos,
    apply_account,
    apply_schedules,
    due_runs,
)
from asr_simulator.control_activity import ActivityRequest, apply_activity, list_activity
from asr_simulator.control_agents import ItemsRequest, ReleaseRequest, apply_items, apply_release, item_states
from asr_simulator.control_requests import (
    ClockRequest,
    ControlError,
    DriftRequest,
    MappingsRequest,
    SettingsRequest,
    apply_drift,
    apply_mappings,
    apply_settings,
    find_vault,
)
from asr_simulator.control_roles import RolesRequest, apply_roles
from asr_simulator.control_tenant import (
    SubscriptionRequest,
    TagsRequest,
    VaultsRequest,
    apply_subscription,
    apply_tags,
    apply_vaults,
)
from asr_simulator.control_types import (
    DueRun,
    ItemState,
    KindStats,
    MappingState,
    PatchRecord,
    RequestLogPage,
    ScopeStats,
    State,
    Stats,
    VaultState,
)
from asr_simulator.faults import Fault
from asr_simulator.mapping import PAIRED, ContainerMapping
from asr_simulator.scenario import problems_of
from asr_simulator.throttle import Counters, ScopeLimits, SlidingWindow
from asr_simulator.vault import Vault
from asr_simulator.world import World

PREFIX = "/_simulator"
Wish = TypeVar("Wish", bound=BaseModel)

__all__ = ["PREFIX", "Control", "Wish"]


class Control:
    """Handlers of the control endpoint."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to register."""
        get, post = self._get, self._post
        return [
            web.get(f"{PREFIX}/state", get(lambda _query: self.state())),
            web.get(f"{PREFIX}/mappings", get(self.mappings)),
            web.get(f"{PREFIX}/items", get(self.items)),
            web.get(f"{PREFIX}/accounts", get(lambda _query: {"accounts": account_infos(self._world)})),
            web.get(f"{PREFIX}/activity", get(lambda query: list_activity(self._world, query.get("subscription", "")))),
            web.post(f"{PREFIX}/activity", post(ActivityRequest, lambda wish: apply_activity(self._world, wish))),
            web.get(f"{PREFIX}/due-runs", get(self.due_runs)),
            web.get(f"{PREFIX}/requests", get(self.requests)),
            web.get(f"{PREFIX}/patches", get(self.patches)),
            web.get(f"{PREFIX}/stats", get(lambda _query: self.stats())),
            web.get(f"{PREFIX}/faults", get(lambda _query: {"faults": self._world.faults.states()})),
            web.post(f"{PREFIX}/faults", post(Fault, lambda fault: {"id": self._world.faults.add(fault)})),
            web.delete(f"{PREFIX}/faults", get(lambda _query: {"removed": self._world.faults.remove()})),
            web.delete(f"{PREFIX}/faults/{{id}}", self._remove_fault),
            web.post(f"{PREFIX}/drift", post(DriftRequest, lambda wish: apply_drift(self._world, wish))),
            web.post(f"{PREFIX}/mappings", post(MappingsRequest, lambda wish: apply_mappings(self._world, wish))),
            web.post(f"{PREFIX}/items", post(ItemsRequest, lambda wish: apply_items(self._world, wish))),
            web.post(f"{PREFIX}/release", post(ReleaseRequest, lambda wish: apply_release(self._world, wish))),
            web.post(f"{PREFIX}/accounts", post(AccountRequest, lambda wish: apply_account(self._world, wish))),
            web.post(f"{PREFIX}/roles", post(RolesRequest, lambda wish: apply_roles(self._world, wish))),
            web.post(f"{PREFIX}/schedules", post(SchedulesRequest, lambda wish: apply_schedules(self._world, wish))),
            web.post(f"{PREFIX}/vaults", post(VaultsRequest, lambda wish: apply_vaults(self._world, wish))),
            web.post(f"{PREFIX}/tags", post(TagsRequest, lambda wish: apply_tags(self._world, wish))),
            web.post(
                f"{PREFIX}/subscriptions", post(SubscriptionRequest, lambda wish: apply_subscription(self._world, wish))
            ),
            web.post(f"{PREFIX}/settings", post(SettingsRequest, lambda wish: apply_settings(self._world, wish))),
            web.post(f"{PREFIX}/clock", post(ClockRequest, self._advance)),
            web.post(f"{PREFIX}/reset-stats", get(lambda _query: self.reset_stats())),
        ]

    def state(self) -> State:
        """Sum up everything."""
        world = self._world
        now = self._settle()
        return State(
            simulated=now,
            real=world.clock.real(),
            time_scale=world.clock.time_scale,
            vaults=[_vault_state(vault, now) for vault in world.vaults.values()],
            faults=len(world.faults),
            tokens_issued=world.tokens.issued,
            requests=world.log.last_sequence,
        )

    def mappings(self, query: dict[str, str]) -> dict[str, list[MappingState]]:
        """Show every mapping of a vault as it is."""
        self._settle()
        vault = find_vault(self._world, query.get("vault"))
        return {"mappings": [_mapping_state(mapping) for mapping in vault.ordered]}

    def items(self, query: dict[str, str]) -> dict[str, list[ItemState]]:
        """Show the agent of every replicated VM of a vault as it is."""
        self._settle()
        return {"items": item_states(find_vault(self._world, query.get("vault")), self._world.clock.wall())}

    def requests(self, query: dict[str, str]) -> RequestLogPage:
        """Show the request log, newest ``limit`` entries after ``since``, by ``kind``, ``method`` or ``vault``."""
        entries = [
            entry
            for entry in self._world.log.since(_whole(query, "since", 0))
            if all(
                query.get(name, getattr(entry, name)) == getattr(entry, name) for name in ("kind", "method", "vault")
            )
        ]
        limit = _whole(query, "limit", 1000)
        chosen = entries[-limit:] if limit else []
        return RequestLogPage(
            requests=[entry.record() for entry in chosen], last_sequence=self._world.log.last_sequence
        )

    def due_runs(self, query: dict[str, str]) -> dict[str, list[DueRun]]:
        """Show when the schedules of an ``account`` will start the runbook within so many ``hours``."""
        return {"runs": due_runs(self._world, query.get("account", ""), _whole(query, "hours", 24))}

    def patches(self, query: dict[str, str]) -> dict[str, list[PatchRecord]]:
        """Show what was done to each mapping that was PATCHed."""
        self._settle()
        vaults = [find_vault(self._world, query["vault"])] if "vault" in query else self._world.vaults.values()
        records = [
            PatchRecord(
                id=mapping.id,
                name=mapping.name,
                vault=vault.spec.name,
                accepted=mapping.patches_accepted,
                refused=mapping.patches_refused,
                outcomes=mapping.outcomes,
                running=mapping.active_job is not None,
            )
            for vault in vaults
            for mapping in vault.ordered
            if mapping.patches_accepted or mapping.patches_refused
        ]
        return {"patches": records}

    def stats(self) -> Stats:
        """Show all counts."""
        now = self._settle()
        scopes = self._world.throttle.scopes
        return Stats(
            scopes=[_scope_stats(key, limits, now) for key, limits in scopes.items()],
            requests=sum(self._world.responses.values()),
            responses=dict(self._world.responses),
            calls=dict(self._world.calls),
        )

    def reset_stats(self) -> dict[str, bool]:
        """Forget counts, peaks and the records of PATCHes and updates; windows, jobs, mappings and agents stay."""
        for limits in self._world.throttle.scopes.values():
            limits.reset_statistics()
        self._world.responses.clear()
        self._world.calls.clear()
        for vault in self._world.vaults.values():
            for mapping in vault.ordered:
                mapping.patches_accepted = mapping.patches_refused = 0
                mapping.outcomes = {}
            vault.agents.reset_statistics()
        return {"reset": True}

    def _advance(self, wish: ClockRequest) -> dict[str, float]:
        self._world.clock.skip(wish.advance)
        return {"simulated": self._settle()}

    def _settle(self) -> float:
        return self._world.settle()

    async def _remove_fault(self, request: web.Request) -> web.Response:
        _refuse_strangers(request)
        removed = self._world.faults.remove(request.match_info["id"])
        return _json({"removed": removed}, 200 if removed else 404)

    def _get(self, answer: Callable[[dict[str, str]], Any]) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.Response:
            _refuse_strangers(request)
            try:
                return _json(answer(dict(request.query)))
            except ControlError as error:
                return _json({"errors": error.problems}, 400)

        return handle

    def _post(self, model: type[Wish], answer: Callable[[Wish], Any]) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.Response:
            _refuse_strangers(request)
            try:
                return _json(answer(model.model_validate_json(await request.read())))
            except ValidationError as error:
                return _json({"errors": problems_of(error)}, 400)
            except ControlError as error:
                return _json({"errors": error.problems}, 400)

        return handle


def _refuse_strangers(request: web.Request) -> None:
    """Let only this machine in: the endpoint has no other protection."""
    if request.remote is None or not ipaddress.ip_address(request.remote.partition("%")[0]).is_loopback:
        raise web.HTTPForbidden(text="the control endpoint is for this machine only")


def _json(document: Any, status: int = 200) -> web.Response:
    return web.Response(status=status, body=dumps(document), content_type="application/json")


def _whole(query: dict[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not text.isascii() or not text.isdigit():
        raise ControlError([f"{name}: must be a whole number"])
    return int(text)


def _vault_state(vault: Vault, now: float) -> VaultState:
    statuses = Counter(m.auto_update.status if m.provider == "A2A" else "none" for m in vault.ordered)
    return VaultState(
        id=vault.id,
        name=vault.spec.name,
        location=vault.spec.location,
        total=len(vault.ordered),
        by_status=dict(statuses),
        compliant=sum(vault.is_compliant(mapping) for mapping in vault.ordered),
        unhealthy=sum(mapping.is_unhealthy for mapping in vault.ordered),
        unpaired=sum(mapping.state != PAIRED for mapping in vault.ordered),
        jobs=dict(Counter(job.course.at(now).state for job in vault.jobs)),
    )


def _mapping_state(mapping: ContainerMapping) -> MappingState:
    setting = mapping.auto_update
    return MappingState(
        id=mapping.id,
        name=mapping.name,
        provider=mapping.provider,
        state=mapping.state,
        status=setting.status,
        authentication=setting.authentication,
        account=setting.account,
        schedule=setting.schedule,
        health_category=mapping.ailment.category if mapping.is_unhealthy and mapping.ailment else None,
        active_job=mapping.active_job.name if mapping.active_job else None,
    )


def _scope_stats(key: tuple[str, str], limits: ScopeLimits, now: float) -> ScopeStats:
    return ScopeStats(
        subscription=key[0],
        region=key[1],
        reads=_kind_stats(limits.reads, limits.read_window, now),
        writes=_kind_stats(limits.writes, limits.write_window, now),
        own_peak_writes_in_window=limits.own_write_window.peak,
    )


def _kind_stats(counters: Counters, window: SlidingWindow, now: float) -> KindStats:
    return KindStats(
        served=counters.served,
        throttled=counters.throttled,
        throttled_by_arm=counters.throttled_by_arm,
        in_window=window.count(now),
        peak_in_window=window.peak,
        limit=window.limit.count,
        window=window.limit.window,
    )
