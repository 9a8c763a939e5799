"""The work on container mappings: how one is changed, what it says of itself, and where that is written down."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

from vault_autoupdate.arm.site_recovery import Started
from vault_autoupdate.decide.jobs import Operation, Standing, Verdict, WorkKind
from vault_autoupdate.decide.plan import Action, Decision, decide
from vault_autoupdate.model.arm_id import mapping_path
from vault_autoupdate.model.azure import ContainerMapping, Job
from vault_autoupdate.model.errors import ArmError, AzureError
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.reconcile.context import ReconcileContext
from vault_autoupdate.reconcile.jobs import Work

_STANDING: Final = {Action.KEEP: Standing.DONE, Action.REPAIR: Standing.AS_SET}

log = logging.getLogger(__name__)

__all__ = ["MappingWork", "read_mappings"]


async def read_mappings(context: ReconcileContext) -> list[ContainerMapping]:
    """Read all mappings of the vault. Raises `AzureError`."""
    return await context.site_recovery.mappings(context.call_context, context.resource.spec.vault_resource_id)


class MappingWork(Work[Decision]):
    """Changes of mappings; what is remembered of them is in the vault's state."""

    kind = WorkKind.MAPPING
    gone = Explanation("MappingNotFound", "Site Recovery does not know the mapping any more.")
    lost = Explanation(
        "JobNotFound", "Site Recovery does not know the job any more, and the mapping is not as declared."
    )

    def __init__(self, context: ReconcileContext) -> None:
        super().__init__(context)
        self.has_tried = False
        """Whether a change was tried, and what came of it is known to be about that one or about all."""
        self.refusals_in_a_row = 0
        self.last_refusal: AzureError | None = None
        self._mappings: Sequence[ContainerMapping] | None = None
        self._reading = asyncio.Lock()

    @property
    def operations(self) -> Mapping[str, Operation]:
        """See `Work`."""
        return self.context.state.operations

    def label(self, target: Decision) -> str:
        """See `Work`."""
        return target.mapping.path

    async def targets(self) -> Sequence[ContainerMapping]:
        """See `Work`. Read when the first answer is lost.

        To keep them from the start would take most of the memory of a fleet whose passes wait for their turn.
        """
        async with self._reading:
            if self._mappings is None:
                self._mappings = await read_mappings(self.context)
            return self._mappings

    async def send(self, target: Decision) -> Started:
        """See `Work`."""
        try:
            return await self.context.site_recovery.update(self.context.call_context, target.mapping, self.context.goal)
        finally:
            self.has_tried = True

    async def look(self, target_id: str) -> Standing:
        """See `Work`."""
        context = self.context
        try:
            mapping = await context.site_recovery.mapping(context.call_context, target_id)
        except ArmError as error:
            if not error.absent:
                raise
            return Standing.GONE
        decision = decide(context.goal, mapping, running=None, attempt=None, now=context.now())
        return _STANDING.get(decision.action, Standing.DIFFERS)

    def note_start(self, target: Decision, started: Started) -> None:
        """See `Work`."""
        context, mapping = self.context, target.mapping
        run, operation = context.begin_run(), Operation(mapping.id, started.job_id, context.now())
        context.state.change_began(mapping, None if started.done else operation, context.now(), context.backoff)
        run.patched += 1
        self.refusals_in_a_row = 0
        if started.done:
            run.succeeded += 1
            context.observer.work_ended(self.kind, mapping.path, Verdict.SUCCEEDED, timedelta(), Explanation())
        fields = context.log_fields(mapping=mapping.path, job=started.job_id, request=started.request_id)
        log.info("changing %s: %s", mapping.path, target.reason, extra=fields)

    def note_refusal(self, target: Decision, error: AzureError) -> None:
        """See `Work`."""
        context, mapping = self.context, target.mapping
        context.begin_run().failed_to_start += 1
        self.refusals_in_a_row, self.last_refusal = self.refusals_in_a_row + 1, error
        context.state.change_refused(mapping, error.explanation, context.now(), context.backoff)
        context.observer.work_failed_to_start(self.kind, mapping.path, error.explanation)
        fields = context.log_fields(mapping=mapping.path, reason=error.reason, request=error.request_id)
        log.warning("could not change %s: %s", mapping.path, error, extra=fields)

    def note_end(self, operation: Operation, verdict: Verdict, explanation: Explanation, job: Job | None) -> None:  # noqa: ARG002 - of an agent's update the job tells more
        """See `Work`."""
        context, path = self.context, mapping_path(operation.target_id)
        context.begin_run().count(verdict)
        context.state.change_ended(operation, verdict, explanation, context.now(), context.backoff)
        context.observer.work_ended(self.kind, path, verdict, context.now() - operation.started_at, explanation)
        fields = context.log_fields(mapping=path, job=operation.job_id)
        if verdict is Verdict.SUCCEEDED:
            log.debug("job succeeded", extra=fields)
        else:
            said = f"{explanation.code} {explanation.message}"
            log.warning("job of %s: %s: %s", path, verdict, said, extra={**fields, "reason": str(verdict)})
