"""The calls of Recovery Services and Site Recovery: from a route to an answer. No HTTP here, no limits."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import islice
from urllib.parse import quote, urlencode

from asr_simulator import arm_errors
from asr_simulator.arm_errors import Answer, ArmError, dumps
from asr_simulator.calls import Call, escaped, page_answer
from asr_simulator.documents import (
    replication_usages,
    vault_document,
    vault_health,
    vault_list_item,
    vault_setting,
)
from asr_simulator.faults import FaultKind
from asr_simulator.job_filter import JobFilter, parse_filter
from asr_simulator.jobs import SUCCESSFUL_ENDINGS, Course, Job, draw_course
from asr_simulator.mapping import PAIRED, AutoUpdate, ContainerMapping
from asr_simulator.protected_items import ProtectedItem, find_item, parse_item_filter, select_items
from asr_simulator.routes import RouteKind
from asr_simulator.scenario import REBOOT_PENDING, matches_any
from asr_simulator.update_input import check_agent_update, read_update
from asr_simulator.vault import Vault
from asr_simulator.world import World

__all__ = ["SiteRecovery"]


class SiteRecovery:
    """Answers calls from the state of a `World`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._handlers: dict[RouteKind, Callable[[Call, Vault], Answer]] = {
            RouteKind.VAULT: self._get_vault,
            RouteKind.MAPPINGS: self._list_vault_mappings,
            RouteKind.CONTAINER_MAPPINGS: self._list_container_mappings,
            RouteKind.MAPPING: self._get_or_patch_mapping,
            RouteKind.OPERATION_STATUS: self._operation_status,
            RouteKind.OPERATION_RESULT: self._operation_result,
            RouteKind.JOBS: self._list_jobs,
            RouteKind.JOB: self._get_job,
            RouteKind.JOB_CANCEL: self._cancel,
            RouteKind.PROTECTED_ITEMS: self._list_vault_items,
            RouteKind.CONTAINER_PROTECTED_ITEMS: self._list_container_items,
            RouteKind.PROTECTED_ITEM: self._get_item,
            RouteKind.UPDATE_AGENT: self._update_agent,
            RouteKind.ITEM_OPERATION_RESULT: self._operation_result,
            RouteKind.REPLICATION_USAGES: self._replication_usages,
            RouteKind.VAULT_HEALTH: self._vault_health,
            RouteKind.VAULT_SETTINGS: self._vault_settings,
        }

    def answer(self, call: Call) -> Answer:
        """Answer a call; raises `ArmError` for a refusal."""
        if call.route.kind is RouteKind.VAULTS:
            return self._list_vaults(call)
        vault = self._world.find(call.route, call.now)
        if vault is None:
            resource = f"Microsoft.RecoveryServices/vaults/{call.route.vault}"
            raise arm_errors.resource_not_found(resource, call.route.resource_group)
        return self._handlers[call.route.kind](call, vault)

    def _get_vault(self, _call: Call, vault: Vault) -> Answer:
        return Answer(200, dumps(vault_document(vault)))

    def _replication_usages(self, _call: Call, vault: Vault) -> Answer:
        return Answer(200, dumps(replication_usages(vault)))

    def _vault_health(self, _call: Call, vault: Vault) -> Answer:
        return Answer(200, dumps(vault_health(vault)))

    def _list_vault_mappings(self, call: Call, vault: Vault) -> Answer:
        return self._list_mappings(call, vault, vault.ordered)

    def _list_container_mappings(self, call: Call, vault: Vault) -> Answer:
        return self._list_mappings(call, vault, _in_container(call, vault))

    def _get_or_patch_mapping(self, call: Call, vault: Vault) -> Answer:
        if call.method == "PATCH":
            return self._patch(call, vault)
        return Answer(200, self._mapping(call, vault).body(listed=False))

    def _operation_status(self, call: Call, vault: Vault) -> Answer:
        self._check_signature(call)
        return Answer(200, dumps(self._job(call, vault).operation_status(call.now, self._world.clock)))

    def _get_job(self, call: Call, vault: Vault) -> Answer:
        return Answer(200, dumps(self._job(call, vault).document(call.now, self._world.clock)))

    def _list_vaults(self, call: Call) -> Answer:
        found = self._world.vaults_of(call.route.subscription.lower(), call.route.resource_group.lower())
        found = self._spoilt(call, found)
        start, size = self._position(call, first=0), self._world.scenario.vaults_page_size
        page = [dumps(vault_list_item(vault)) for vault in found[start : start + size]]
        return self._page(call, page, start + size if start + size < len(found) else None)

    def _spoilt(self, call: Call, vaults: list[Vault]) -> list[Vault]:
        """A part of a list, where a fault wants that: with success, as from a cache that has lost some."""
        if call.fault is not None and call.fault.kind is FaultKind.EMPTY_LIST:
            return []
        if call.fault is not None and call.fault.kind is FaultKind.ROWS_MISSING:
            share, rng = call.fault.share, self._world.rng
            return [vault for vault in vaults if rng.random() >= share]
        return vaults

    def _list_mappings(self, call: Call, vault: Vault, listing: list[ContainerMapping]) -> Answer:
        size = vault.spec.mappings_page_size or self._world.scenario.mappings_page_size
        after = self._position(call, first=-1)
        page, next_after = vault.page(listing, after, size)
        return self._page(call, [mapping.body(listed=True) for mapping in page], next_after)

    def _position(self, call: Call, first: int) -> int:
        token = call.query.get("skipToken")
        if token is None:
            return first
        position = self._world.signer.position(call.path.lower(), token)
        if position is None:
            raise ArmError(400, "InvalidSkipToken", "The skip token is not valid for this list.")
        return position

    def _page(self, call: Call, items: list[bytes], next_position: int | None, **more: str) -> Answer:
        return page_answer(
            call,
            items,
            None if next_position is None else self._continuation(call, next_position, more),
            beginning=self._continuation(call, 0, more),
            explicit_null=self._world.scenario.explicit_null_next_link,
        )

    def _continuation(self, call: Call, position: int, more: Mapping[str, str]) -> str:
        token = self._world.signer.continuation(call.path.lower(), position)
        return "&".join(f"{name}={value}" for name, value in (*more.items(), ("skipToken", token)))

    def _mapping(self, call: Call, vault: Vault) -> ContainerMapping:
        route = call.route
        mapping = vault.mappings.get((route.fabric.lower(), route.container.lower(), route.mapping.lower()))
        if mapping is None:
            raise arm_errors.entity_missing("ProtectionContainerMapping", route.mapping)
        return mapping

    def _job(self, call: Call, vault: Vault) -> Job:
        job = vault.jobs_by_name.get(call.route.job.lower())
        if job is None:
            raise arm_errors.entity_missing("Job", call.route.job)
        return job

    def _check_signature(self, call: Call) -> None:
        world = self._world
        if world.scenario.signed_operation_urls and not world.signer.url_is_genuine(call.path, call.query):
            raise arm_errors.bad_signature()

    def _patch(self, call: Call, vault: Vault) -> Answer:
        mapping = self._mapping(call, vault)
        try:
            wanted = self._wanted(call, mapping)
        except ArmError:
            mapping.patches_refused += 1
            raise
        settings = self._world.job_settings
        job = vault.start_update(mapping, wanted, call.now, self._course(call, vault), target=settings.target)
        return self._accepted(call, vault, job, mapping.id)

    def _accepted(self, call: Call, vault: Vault, job: Job, subject: str) -> Answer:
        """Answer a write that has started a job on the thing with the id ``subject``."""
        retry_after = self._world.job_settings.retry_after
        headers = {}
        if retry_after is not None:
            headers["Retry-After"] = self.whole_real_seconds(retry_after)
        if call.fault is None or call.fault.kind is not FaultKind.NO_JOB_URLS:
            status_path = f"{vault.path}/replicationOperationStatus/{job.name}"
            headers["Azure-AsyncOperation"] = self._operation_url(call, status_path)
            headers["x-ms-request-id"] = job.path
            headers["Location"] = self._operation_url(call, f"{subject}/operationresults/{job.name}")
        return Answer(202, headers=headers)

    def _update_agent(self, call: Call, vault: Vault) -> Answer:
        """Start an update of an agent, also where there is none to be had: what happens then is unknown."""
        item = self._item(call, vault)
        record = vault.agents.record(item.key)
        try:
            check_agent_update(call.body)
            if record.job is not None:
                raise arm_errors.operation_in_progress(item.vm_name, record.job.name)
        except ArmError:
            record.refused += 1
            raise
        state = item.agent(self._world.clock.wall())
        course = self._agent_course(call, vault, item.vm_name)
        job = vault.start_agent_update((item.id, item.vm_name), record, state, call.now, course)
        return self._accepted(call, vault, job, item.id)

    def _agent_course(self, call: Call, vault: Vault, vm_name: str) -> Course:
        settings, updates = self._world.job_settings, self._world.agent_updates
        if call.fault is not None and call.fault.kind in (FaultKind.FAIL_JOB, FaultKind.JOB_NEVER_ENDS):
            return self._course(call, vault)
        if matches_any(vm_name, updates.never_ending):
            return draw_course(vault.rng, settings, call.now, ending="NeverEnds")
        if matches_any(vm_name, updates.failing) or vault.rng.random() < updates.failed_share:
            settings = settings.model_copy(update={"failures": updates.failures})
            return draw_course(vault.rng, settings, call.now, ending="Failed")
        if matches_any(vm_name, updates.reboot_pending):
            return draw_course(vault.rng, settings, call.now, ending="CompletedWithInformation", failure=REBOOT_PENDING)
        return draw_course(vault.rng, settings, call.now)

    def _course(self, call: Call, vault: Vault) -> Course:
        settings = self._world.job_settings
        fault = call.fault
        if fault is not None and fault.kind is FaultKind.FAIL_JOB:
            return draw_course(vault.rng, settings, call.now, ending="Failed", failure=fault.job_failure())
        if fault is not None and fault.kind is FaultKind.JOB_NEVER_ENDS:
            return draw_course(vault.rng, settings, call.now, ending="NeverEnds")
        return draw_course(vault.rng, settings, call.now)

    def _wanted(self, call: Call, mapping: ContainerMapping) -> AutoUpdate:
        """Read a PATCH, and refuse it where the service would, as far as that is known."""
        wanted = read_update(call.body)
        if mapping.provider != "A2A" or mapping.state != PAIRED:
            raise arm_errors.site_recovery_error(
                400,
                "BadRequest",
                "900301",
                f"The mapping '{mapping.name}' cannot be updated in its present state.",
                possible_causes="It is not paired, or it is not a mapping between Azure regions.",
                recommended_action="Retry when the mapping is paired.",
            )
        if mapping.active_job is not None:
            raise arm_errors.operation_in_progress(mapping.name, mapping.active_job.name)
        if self._world.rng.random() < self._world.patch_failure_share:
            raise arm_errors.site_recovery_error(
                500,
                "InternalServerError",
                "900300",
                "The operation has failed.",
                possible_causes="An internal server error occurred.",
                recommended_action="Retry the last action. If the issue persists contact support.",
            )
        return wanted

    def whole_real_seconds(self, simulated_seconds: float) -> str:
        """Turn a simulated time into a header value for clients that live in real time."""
        return str(math.ceil(self._world.clock.real_seconds(simulated_seconds) - 1e-9))

    def _operation_url(self, call: Call, path: str) -> str:
        if not self._world.scenario.signed_operation_urls:
            return f"{call.base_url}{escaped(path)}?api-version={call.api_version}"
        query = self._world.signer.sign_url(path, call.api_version, self._world.clock.wall())
        return f"{call.base_url}{escaped(path)}?{query}"

    def _operation_result(self, call: Call, vault: Vault) -> Answer:
        """Answer ``Location``: 202 while the job runs, then mapping or item; a failure is an error (inferred)."""
        self._check_signature(call)
        job = self._job(call, vault)
        if not job.is_finished(call.now):
            headers = {"Location": f"{call.base_url}{escaped(call.path)}?{urlencode(call.query)}"}
            retry_after = self._world.job_settings.retry_after
            if retry_after is not None:
                headers["Retry-After"] = self.whole_real_seconds(retry_after)
            return Answer(202, headers=headers)
        if job.course.ending in SUCCESSFUL_ENDINGS:
            return self._get_item(call, vault) if call.route.item else self._get_or_patch_mapping(call, vault)
        failure = job.failure(call.now)
        raise arm_errors.site_recovery_error(
            409,
            "Conflict",
            failure.code,
            failure.message,
            possible_causes=failure.possible_causes,
            recommended_action=failure.recommended_action,
        )

    def _list_jobs(self, call: Call, vault: Vault) -> Answer:
        text = call.query.get("$filter", "")
        wanted = parse_filter(text) if text else JobFilter()
        size = vault.spec.jobs_page_size or self._world.scenario.jobs_page_size
        before = self._position(call, first=len(vault.jobs))
        clock = self._world.clock
        page: list[Job] = []
        next_before: int | None = None
        for job in wanted.select(vault, before, call.now, clock):
            if len(page) == size:
                next_before = page[-1].number
                break
            page.append(job)
        return self._page(call, [job.listed(call.now, clock) for job in page], next_before, **_carried(text))

    def _list_vault_items(self, call: Call, vault: Vault) -> Answer:
        return self._list_items(call, vault, vault.ordered)

    def _list_container_items(self, call: Call, vault: Vault) -> Answer:
        return self._list_items(call, vault, _in_container(call, vault))

    def _list_items(self, call: Call, vault: Vault, listing: list[ContainerMapping]) -> Answer:
        text = call.query.get("$filter", "")
        size = self._world.scenario.items_page_size
        found = select_items(vault, listing, self._position(call, first=-1), parse_item_filter(text))
        page = list(islice(found, size + 1))
        next_after = page[size - 1][0] if len(page) > size else None
        wall = self._world.clock.wall()
        bodies = [dumps(item.document(wall, call.api_version)) for _, item in page[:size]]
        return self._page(call, bodies, next_after, **_carried(text))

    def _get_item(self, call: Call, vault: Vault) -> Answer:
        return Answer(200, dumps(self._item(call, vault).document(self._world.clock.wall(), call.api_version)))

    def _item(self, call: Call, vault: Vault) -> ProtectedItem:
        return find_item(vault, _in_container(call, vault), call.route.item)

    def _cancel(self, call: Call, vault: Vault) -> Answer:
        """Cancel a job: 200 with the job, which is Cancelling (published example)."""
        job = self._job(call, vault)
        if not job.is_cancellable(call.now):
            raise arm_errors.site_recovery_error(
                400,
                "BadRequest",
                "900302",
                f"The job '{job.name}' cannot be cancelled in its present state.",
                possible_causes="It has ended or is being cancelled.",
                recommended_action="No action is needed.",
            )
        vault.cancel(job, call.now)
        return Answer(200, dumps(job.document(call.now, self._world.clock)))

    def _vault_settings(self, call: Call, vault: Vault) -> Answer:
        setting = vault_setting(vault)
        is_single = call.path.lower().rstrip("/").endswith("/default")
        return Answer(200, dumps(setting if is_single else {"value": [setting], "nextLink": None}))


def _in_container(call: Call, vault: Vault) -> list[ContainerMapping]:
    """Return the mappings of the container that a path names."""
    return vault.containers.get((call.route.fabric.lower(), call.route.container.lower()), [])


def _carried(filter_text: str) -> dict[str, str]:
    """Return what a link to the next page repeats of a filter."""
    return {"$filter": quote(filter_text, safe="")} if filter_text else {}
