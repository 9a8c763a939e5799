"""The calls to Site Recovery, typed. Each follows all pages and never leaves the configured host."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from typing import Any, Final, TypeVar

from vault_autoupdate.arm.client import ArmClient, CallContext
from vault_autoupdate.arm.locations import VaultLocations
from vault_autoupdate.arm.paging import PagedList, pages
from vault_autoupdate.arm.session import ArmReply
from vault_autoupdate.arm.wire import site_recovery as wire
from vault_autoupdate.arm.wire.errors import is_unknown_to_site_recovery
from vault_autoupdate.model import bounds
from vault_autoupdate.model.arm_id import ArmId, is_below
from vault_autoupdate.model.azure import ContainerMapping, Job, Machine, Vault
from vault_autoupdate.model.errors import ArmError, MalformedReply
from vault_autoupdate.model.resource import Goal
from vault_autoupdate.model.text import clean

_MOST_PAGES: Final = 2000
_ACCEPTED: Final = 202
_OPERATION_HEADERS: Final = frozenset({"azure-asyncoperation", "operation-location"})

T = TypeVar("T")

__all__ = ["SiteRecovery", "Started"]


class Started:
    """What came of a change that was accepted: the PATCH of a mapping, or the update of an agent."""

    def __init__(self, job_id: str, *, done: bool, request_id: str = "") -> None:
        self.job_id = job_id
        """The job's GUID; empty when none was named."""
        self.done = done
        """Whether ARM answered that it is done already, so that there is nothing to wait for."""
        self.request_id = request_id
        """The client request id of the change."""


class SiteRecovery:
    """Site Recovery's API in one cloud. A call about a vault goes to that vault, whatever ids an answer holds."""

    def __init__(self, client: ArmClient) -> None:
        self.client = client
        self._locations = VaultLocations(client)

    async def vault(self, context: CallContext, vault_id: ArmId) -> Vault:
        """Read the vault itself, for its region. Raises `AzureError`."""
        return await self._locations.vault(context, vault_id)

    async def mappings(self, context: CallContext, vault_id: ArmId) -> list[ContainerMapping]:
        """Read all container mappings of the vault. Raises `AzureError`."""
        found: dict[str, ContainerMapping] = {}
        wanted = _list("list_mappings", vault_id, "replicationProtectionContainerMappings", wire.mappings_page)
        async for page in self._pages(context, wanted):
            found.update((mapping.key, mapping) for mapping in page)
        for mapping in found.values():
            _check_below(vault_id.key, mapping.id, "mappings")
        return list(found.values())

    async def mapping(self, context: CallContext, mapping_id: str) -> ContainerMapping:
        """Read one mapping. Raises `AzureError`."""
        _check_below(context.key, mapping_id, "mappings")
        return await self.client.read(context, "get_mapping", mapping_id, lambda reply: wire.mapping(reply.document()))

    async def update(self, context: CallContext, mapping: ContainerMapping, goal: Goal) -> Started:
        """Ask for ``mapping`` to become as ``goal`` says. Raises `AzureError`."""
        _check_below(context.key, mapping.id, "mappings")
        reply = await self.client.write(context, "update_mapping", mapping.id, wire.patch_body(goal))
        started = _started(reply)
        if started.done:
            wire.mapping(reply.document())  # it says so: then the mapping has to be there, not a log-in page
        return started

    async def jobs(
        self, context: CallContext, vault_id: ArmId, *, until_seen: Collection[str] | None = None, most_pages: int = 100
    ) -> list[Job]:
        """Read the vault's recent jobs.

        Args:
            context: on whose behalf.
            vault_id: the vault.
            until_seen: names of jobs (folded) after which no further page is read; None reads all pages. No
                order of the list is relied upon, but the service lists the newest first, so that few pages do.
            most_pages: how many pages to read at the most; the jobs of a vault go back for weeks.

        Raises:
            AzureError: a page could not be read.
        """
        missing = set(until_seen) if until_seen is not None else None
        found: list[Job] = []
        pages = 0
        async for jobs in self._pages(context, _list("list_jobs", vault_id, "replicationJobs", wire.jobs_page)):
            pages += 1
            found += jobs
            if missing is not None:
                missing.difference_update(job.key for job in jobs)
            if pages == most_pages or (missing is not None and not missing):
                break
        return found

    async def job(self, context: CallContext, vault_id: ArmId, name: str) -> Job | None:
        """Read one job with its errors; None when Site Recovery does not know it (any more). Raises `AzureError`."""
        target = f"{vault_id.text}/replicationJobs/{name}"
        if "/" in name or not is_below(target, vault_id.key):
            return None  # it can be no job's name
        try:
            return await self.client.read(context, "get_job", target, lambda reply: wire.job(reply.document()))
        except ArmError as error:
            if error.absent:
                return None
            raise

    async def machines(self, context: CallContext, vault_id: ArmId) -> list[Machine]:
        """Read the machines of the vault that are replicated between Azure regions. Raises `AzureError`."""
        found: dict[str, Machine] = {}
        wanted = _list("list_items", vault_id, "replicationProtectedItems", wire.machines_page)
        async for page in self._pages(context, wanted):
            found.update((machine.key, machine) for machine in page)
        for machine in found.values():
            _check_below(vault_id.key, machine.id, "replicated items")
        return list(found.values())

    async def machine(self, context: CallContext, machine_id: str) -> Machine:
        """Read one machine by the id of its replicated item. Raises `AzureError`."""
        _check_below(context.key, machine_id, "replicated items")
        return await self.client.read(context, "get_item", machine_id, lambda reply: wire.machine(reply.document()))

    async def update_agent(self, context: CallContext, machine_id: str) -> Started:
        """Ask for the agent of a machine to be updated, once. Raises `AzureError`.

        When no answer comes, the update may run all the same: the vault's jobs and the machine tell.
        """
        _check_below(context.key, machine_id, "replicated items")
        target = f"{machine_id}/updateMobilityService"
        reply = await self.client.write(context, "update_agent", target, wire.update_agent_body(), method="POST")
        started = _started(reply)
        if started.done:
            wire.machine(reply.document())  # it says so: then the item has to be there, not a log-in page
        return started

    async def _pages(self, context: CallContext, wanted: PagedList[T]) -> AsyncIterator[Sequence[T]]:
        """The pages of a list; none where Site Recovery says that it knows nothing of the vault.

        A vault with which nothing is replicated answers so, instead of with an empty list.
        """
        try:
            async for page in pages(self.client, context, wanted):
                yield page
        except ArmError as error:
            if not is_unknown_to_site_recovery(error):
                raise


def _list(operation: str, vault: ArmId, kind: str, read_page: Callable[[Any], Sequence[T]]) -> PagedList[T]:
    return PagedList(operation, f"{vault.text}/{kind}", vault, "vault", read_page, _MOST_PAGES)


def _started(reply: ArmReply) -> Started:
    """What came of a change by its answer.

    A 200 or 201 that names an operation has begun and is not done (ARM's contract for asynchronous calls, and
    Microsoft's example of this one); then the job tells the rest.
    """
    job_id = wire.job_id_of(reply.headers)
    begun = reply.status == _ACCEPTED or bool(job_id) or not _OPERATION_HEADERS.isdisjoint(reply.headers)
    return Started(job_id, done=not begun, request_id=reply.request_id)


def _check_below(vault_key: str, text: str, what: str) -> None:
    if not is_below(text, vault_key):
        raise MalformedReply(
            f"Of the vault's {what} one has the id {clean(text, bounds.QUOTED)}, which is not one of this vault.",
            recommended_action="Nothing is called there. If this stays, look for a proxy that answers in ARM's place.",
        )
