"""The work on agents: how one is updated, what its machine says of itself, and where that is written down."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

from vault_autoupdate.arm.site_recovery import Started
from vault_autoupdate.decide.jobs import JobPhase, Operation, Standing, Verdict, WorkKind, phase_of
from vault_autoupdate.decide.rollout import (
    Rollout,
    is_reboot_note,
    note_failure,
    note_refusal,
    note_start,
    note_success,
)
from vault_autoupdate.model.azure import Job, Machine
from vault_autoupdate.model.errors import ArmError, AzureError
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.reconcile.context import ReconcileContext
from vault_autoupdate.reconcile.jobs import Work

_DONE_PLAINLY: Final = "completed"

log = logging.getLogger(__name__)

__all__ = ["AgentWork"]


class AgentWork(Work[Machine]):
    """Updates of agents; what is remembered of them is in the vault's rollout."""

    kind = WorkKind.AGENT
    gone = Explanation("MachineNotFound", "Site Recovery does not replicate the machine any more.")
    lost = Explanation(
        "JobNotFound", "Site Recovery does not know the job any more, and the agent still needs the update."
    )

    def __init__(self, context: ReconcileContext, rollout: Rollout) -> None:
        super().__init__(context)
        self.rollout = rollout

    @property
    def operations(self) -> Mapping[str, Operation]:
        """See `Work`."""
        return self.rollout.updates

    def label(self, target: Machine) -> str:
        """See `Work`."""
        return target.name

    async def targets(self) -> Sequence[Machine]:
        """See `Work`. All of them are in the state: without having read them nothing is started."""
        return self.context.state.machines

    async def send(self, target: Machine) -> Started:
        """See `Work`."""
        return await self.context.site_recovery.update_agent(self.context.call_context, target.id)

    async def look(self, target_id: str) -> Standing:
        """See `Work`."""
        try:
            machine = await self.context.site_recovery.machine(self.context.call_context, target_id)
        except ArmError as error:
            if not error.absent:
                raise
            return Standing.GONE
        if machine.update_required is False:
            return Standing.DONE
        return Standing.BUSY if machine.upgrade_in_progress else Standing.DIFFERS

    def needs_errors(self, job: Job) -> bool:
        """See `Work`. What is done but for a reboot says so in an error, and its description is not the plain one."""
        if phase_of(job.state) is JobPhase.SUCCEEDED:
            return job.state_description.casefold() != _DONE_PLAINLY
        return super().needs_errors(job)

    def phase_of(self, job: Job) -> JobPhase:
        """See `Work`. An update that failed for want of a reboot is done, and the note says what else to do."""
        phase = phase_of(job.state)
        return JobPhase.SUCCEEDED if phase is JobPhase.FAILED and is_reboot_note(job) else phase

    def note_start(self, target: Machine, started: Started) -> None:
        """See `Work`."""
        context = self.context
        note_start(self.rollout, target, started.job_id, context.now())
        fields = context.log_fields(machine=target.name, job=started.job_id, request=started.request_id)
        log.info("updating the agent of %s (%s)", target.name, target.agent_version, extra=fields)
        if started.done:
            note_success(self.rollout, target.key, reboot=False)
            context.observer.work_ended(self.kind, target.name, Verdict.SUCCEEDED, timedelta(), Explanation())

    def note_refusal(self, target: Machine, error: AzureError) -> None:
        """See `Work`."""
        context = self.context
        note_refusal(self.rollout, target, error.explanation, context.now())
        context.observer.work_failed_to_start(self.kind, target.name, error.explanation)
        fields = context.log_fields(machine=target.name, reason=error.reason, request=error.request_id)
        log.warning("could not update the agent of %s: %s", target.name, error, extra=fields)

    def note_end(self, operation: Operation, verdict: Verdict, explanation: Explanation, job: Job | None) -> None:
        """See `Work`."""
        context, machine = self.context, operation.label
        fields = context.log_fields(machine=machine, job=operation.job_id)
        if verdict is Verdict.SUCCEEDED:
            reboot = job is not None and is_reboot_note(job)
            note_success(self.rollout, operation.key, reboot=reboot)
            log.info("the agent of %s is updated%s", machine, "; it needs a reboot" if reboot else "", extra=fields)
        else:
            note_failure(self.rollout, operation, verdict, explanation, context.now())
            said = f"{verdict}: {explanation.code} {explanation.message}"
            log.warning("the agent of %s is not updated: %s", machine, said, extra={**fields, "reason": str(verdict)})
        context.observer.work_ended(self.kind, machine, verdict, context.now() - operation.started_at, explanation)
