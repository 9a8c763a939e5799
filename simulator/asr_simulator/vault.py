"""A Recovery Services vault: its mappings and jobs, brought up to date whenever somebody looks."""

from __future__ import annotations

import heapq
import random
from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from uuid import NAMESPACE_URL, uuid5

from asr_simulator.agents import AgentRecord, Agents, AgentState
from asr_simulator.clock import Clock, seven_digits, trimmed
from asr_simulator.generate import MappingFactory
from asr_simulator.ids import guid
from asr_simulator.jobs import SUCCESSFUL_ENDINGS, Course, Job, draw_course
from asr_simulator.mapping import ENABLED, MANAGED_IDENTITY, PAIRED, AutoUpdate, ContainerMapping
from asr_simulator.scenario import Jobs, VaultSpec

MAPPING_TASKS = ("CloudPairingPrerequisitesCheck", "CloudPairingPrepareSite")
"""Tasks of a mapping's creation, as a published sample shows them; those of an update are unknown."""
AGENT_TASKS = ("UpdateMobilityServiceTask",)
"""Invented: no job that updates an agent was ever seen."""

__all__ = ["AGENT_TASKS", "MAPPING_TASKS", "SettingUpdate", "Vault"]


@dataclass(frozen=True, slots=True)
class SettingUpdate:
    """A mapping is to get a setting when a job ends well."""

    mapping: ContainerMapping
    wanted: AutoUpdate


class Vault:
    """State of one vault. Every public method expects `settle` to have been called for the same moment."""

    def __init__(
        self,
        spec: VaultSpec,
        clock: Clock,
        rng: random.Random,
        *,
        background_per_hour: float,
        auto_update_after: float | None,
        can_update: Callable[[ContainerMapping], bool],
        name_schedule: Callable[[ContainerMapping, AutoUpdate, Vault], AutoUpdate],
    ) -> None:
        self.spec = spec
        self.tags = dict(spec.tags)
        self.clock = clock
        self.rng = rng
        self.id = spec.id
        self.path = f"/S{self.id[2:]}"
        """The id as Site Recovery prints it: with a capital S (recording)."""
        a_day_ago = clock.wall() - 86_400.0
        self.created = seven_digits(a_day_ago)
        self.factory = MappingFactory(spec, self.path, rng, trimmed(a_day_ago))
        self.mappings: dict[tuple[str, str, str], ContainerMapping] = {}
        self.ordered: list[ContainerMapping] = []
        self.containers: dict[tuple[str, str], list[ContainerMapping]] = {}
        self.jobs: list[Job] = []
        self.jobs_by_name: dict[str, Job] = {}
        self.unfinished: dict[int, Job] = {}
        self.setting_updates: dict[int, SettingUpdate] = {}
        """By number of the job, ended ones included: what its end was to change."""
        self.agent_updates: dict[int, AgentRecord] = {}
        """By number of the job, ended ones included: whose agent it was to update."""
        self.background_per_hour = background_per_hour
        self.agents = Agents(auto_update_after)
        self._can_update = can_update
        self._name_schedule = name_schedule
        self._ends: list[tuple[float, int]] = []
        self._next_background: float | None = None
        self.add(self.factory.initial())

    def add(self, mappings: Iterable[ContainerMapping]) -> None:
        """Add mappings; they were made by `factory`, so their ordinals rise."""
        for mapping in mappings:
            self.mappings[mapping.key] = mapping
            self.ordered.append(mapping)
            self.containers.setdefault(mapping.key[:2], []).append(mapping)

    def remove(self, mapping: ContainerMapping) -> None:
        """Remove a mapping; a job that runs on it goes on and changes nothing."""
        del self.mappings[mapping.key]
        self.agents.forget(mapping.ordinal)
        for listing in (self.ordered, self.containers[mapping.key[:2]]):
            del listing[bisect_left(listing, mapping.ordinal, key=_ordinal)]

    def page(self, listing: list[ContainerMapping], after: int, size: int) -> tuple[list[ContainerMapping], int | None]:
        """Cut a page from a list: the mappings after ordinal ``after``, and where the next page begins."""
        begin = bisect_left(listing, after + 1, key=_ordinal)
        page = listing[begin : begin + size]
        return page, page[-1].ordinal if begin + size < len(listing) else None

    def is_compliant(self, mapping: ContainerMapping) -> bool:
        """Tell whether a mapping is as the vault's scenario calls right: its account, managed identity, healthy."""
        setting = mapping.auto_update
        return (
            mapping.provider == "A2A"
            and mapping.state == PAIRED
            and setting.status == ENABLED
            and (setting.account or "").lower() == self.spec.automation_account.lower()
            and setting.authentication == MANAGED_IDENTITY
            and not mapping.is_unhealthy
        )

    def settle(self, now: float) -> None:
        """Let everything happen that is due: background jobs begin, ended jobs take effect, in order of time."""
        self._start_background_jobs(now)
        ends = self._ends
        while ends and ends[0][0] <= now:
            end, number = heapq.heappop(ends)
            job = self.unfinished.get(number)
            if job is not None and job.course.end == end:  # else: cancelled since, which queued another end
                del self.unfinished[number]
                self._finish(job)
        if self.agents.auto_update_after is not None:
            self.agents.update_automatically((m.ordinal for m in self.ordered if self._can_update(m)), now)

    def start_update(
        self, mapping: ContainerMapping, wanted: AutoUpdate, now: float, course: Course, *, target: str
    ) -> Job:
        """Start the job of an accepted PATCH."""
        if target == "policy":
            # Seen for a creation: type ProtectionProfile, a GUID, the policy's name.
            policy_id = str(uuid5(NAMESPACE_URL, f"{self.id}/{mapping.policy}"))
            names = (policy_id, mapping.policy, "ProtectionProfile")
        else:
            names = (mapping.id, mapping.name, "ProtectionContainerMapping")
        job = self._start_job("ModifyCloudPairing", "Modify protection container mapping", names, now, course)
        job.task_names = MAPPING_TASKS
        job.affected = {"PrimaryCloudName": mapping.container}
        self.setting_updates[job.number] = SettingUpdate(mapping, wanted)
        mapping.active_job = job
        mapping.patches_accepted += 1
        return job

    def start_agent_update(
        self, target: tuple[str, str], record: AgentRecord, state: AgentState, now: float, course: Course
    ) -> Job:
        """Start the job that updates the agent of the VM with the id and the name of ``target``.

        The names of the scenario and of the target's type are inferred: no such job was ever seen.
        """
        names = (*target, "ProtectionEntity")
        job = self._start_job("UpdateMobilityService", "Update mobility service", names, now, course)
        job.task_names = AGENT_TASKS
        self.agent_updates[job.number] = record
        self.agents.begin(record, state, job)
        return job

    def cancel(self, job: Job, now: float) -> None:
        """Cancel an unfinished job."""
        job.cancel(now)
        heapq.heappush(self._ends, (job.course.end, job.number))

    def _start_job(
        self, scenario_name: str, friendly_name: str, target: tuple[str, str, str], now: float, course: Course
    ) -> Job:
        job = Job(
            number=len(self.jobs),
            name=guid(self.rng),
            vault_path=self.path,
            scenario_name=scenario_name,
            friendly_name=friendly_name,
            target_id=target[0],
            target_name=target[1],
            target_type=target[2],
            start=now,
            course=course,
            activity_id=guid(self.rng),
            task_names=("PrerequisitesCheck",),
        )
        self.jobs.append(job)
        self.jobs_by_name[job.name] = job
        self.unfinished[job.number] = job
        heapq.heappush(self._ends, (course.end, job.number))
        return job

    def _start_background_jobs(self, now: float) -> None:
        if self.background_per_hour == 0:
            self._next_background = None
            return
        mean = 3600.0 / self.background_per_hour
        if self._next_background is None:
            self._next_background = now + self.rng.expovariate(1 / mean)
        while self._next_background <= now:
            course = draw_course(self.rng, Jobs(), self._next_background, ending="Completed")
            target = (guid(self.rng), f"vm-{self.rng.randrange(1000):03}", "ProtectionEntity")
            self._start_job(
                "IrCompletion", "Finalize protection on the recovery", target, self._next_background, course
            )
            self._next_background += self.rng.expovariate(1 / mean)

    def _finish(self, job: Job) -> None:
        if (record := self.agent_updates.get(job.number)) is not None:
            self.agents.finish(record, job)
        if (update := self.setting_updates.get(job.number)) is not None:
            self._finish_setting(job, update.mapping, update.wanted)

    def _finish_setting(self, job: Job, mapping: ContainerMapping, wanted: AutoUpdate) -> None:
        if mapping.active_job is job:
            mapping.active_job = None
        ending = job.course.ending
        mapping.outcomes[ending] = mapping.outcomes.get(ending, 0) + 1
        if ending not in SUCCESSFUL_ENDINGS:
            return
        if wanted.status == ENABLED:
            wanted = self._name_schedule(mapping, wanted, self)
        mapping.auto_update = wanted
        if mapping.ailment is not None and mapping.ailment.curable:
            mapping.ailment = None
        mapping.changed()


def _ordinal(mapping: ContainerMapping) -> int:
    return mapping.ordinal
