"""Killed at any instants and started again: no mapping ever has two jobs, and in the end all are as declared.

The real passes run in virtual time against a vault in memory. What a killed process knew is gone; the next one has the
status that was written last, and what the vault and its list of jobs say.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.builders import MINUTE, NOW, VAULT, attempt, disabled, mapping, mapping_id_of, resource
from tests.unit.strategies import SLOW
from tests.unit.virtual_time import in_virtual_time
from vault_autoupdate.arm.client import CallContext
from vault_autoupdate.arm.site_recovery import SiteRecovery, Started
from vault_autoupdate.arm.throttle import CallKind, Throttle
from vault_autoupdate.decide.jobs import Operation, Verdict, WorkKind
from vault_autoupdate.decide.schedule import after_look
from vault_autoupdate.decide.state import VaultState
from vault_autoupdate.model.arm_id import ArmId
from vault_autoupdate.model.azure import ContainerMapping, Job, Vault
from vault_autoupdate.model.errors import Unreachable
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.model.limits import Limit
from vault_autoupdate.model.quota import QuotaScope
from vault_autoupdate.model.resource import Goal, VaultAutoUpdate
from vault_autoupdate.reconcile.context import Timing
from vault_autoupdate.reconcile.reconciler import Reconciler
from vault_autoupdate.report.document import build_status
from vault_autoupdate.report.readiness import Readiness
from vault_autoupdate.report.restore import restore

SECOND: Final = timedelta(seconds=1)
TIMING: Final = Timing(
    poll_min=3 * SECOND,
    poll_max=30 * SECOND,
    retry_pause=SECOND,
    retry_min=MINUTE,
    retry_max=60 * MINUTE,
    status_interval=2 * SECOND,
    request_interval=timedelta(),
    changes_at_once=4,
    agent_interval=timedelta(),
)
_MOST_PASSES: Final = 30


@dataclass(frozen=True)
class Case:
    """What happens to the vault, the calls and the process."""

    mappings: int
    names_of_targets: str
    """How jobs tell what they are about: ``id``, ``name``, or ``nothing``."""
    namesakes: bool
    """Whether mappings of two containers have the same names."""
    fates: tuple[str, ...]
    """What becomes of each PATCH in turn, then it succeeds: ``fails``, or its answer is ``lost`` or it is itself."""
    foreign: int
    """Mappings that somebody else's jobs are at work on at first."""
    job_seconds: float
    latency: float
    """Seconds until an answer, or until a PATCH gets to the vault."""
    patch_latency: float
    """Seconds until the answer of a PATCH is back from there."""
    kills: tuple[float, ...]
    """Seconds after which a process is killed, one after the other."""


@dataclass
class Work:
    """One job in the vault."""

    name: str
    key: str
    began: float
    ends: float
    fails: bool


@dataclass
class World:
    """The vault as Azure has it."""

    case: Case
    mappings: dict[str, ContainerMapping] = field(default_factory=dict)
    jobs: list[Work] = field(default_factory=list)
    status: dict[str, Any] = field(default_factory=dict)
    second_jobs: list[str] = field(default_factory=list)
    """Mappings of which a PATCH came while a job was at work on them."""
    needless: list[str] = field(default_factory=list)
    """Mappings of which a PATCH came while they were as declared."""
    fates: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for number in range(self.case.mappings):
            of_two = self.case.namesakes
            name = f"m{number // 2 if of_two else number}"
            seen = disabled(name, id=mapping_id_of(name, container=f"c{number % 2 if of_two else 0}"))
            self.mappings[seen.key] = seen
        self.fates = list(self.case.fates)
        for key in list(self.mappings)[: self.case.foreign]:
            self.begin(key, fails=False)

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def begin(self, key: str, *, fails: bool) -> Work:
        now = self.now()
        job = Work(f"5a4c3b2a-0000-4000-8000-{len(self.jobs):012}", key, now, now + self.case.job_seconds, fails)
        self.jobs.append(job)
        return job

    def running(self) -> list[Work]:
        return [job for job in self.jobs if self.now() < job.ends]

    def is_right(self, key: str) -> bool:
        return any(job.key == key and not job.fails and job.ends <= self.now() for job in self.jobs)

    def seen(self, key: str) -> ContainerMapping:
        found = self.mappings[key]
        return mapping(found.name, id=found.id) if self.is_right(key) else found


class Process:
    """One life of the operator. Implements what passes need of `SiteRecovery`, of a client and of an observer."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.client = self
        self.throttle = Throttle({CallKind.WRITE: [Limit(200, 60)], CallKind.READ: [Limit(10_000, 3600)]})
        self.alive = True
        self.reported = False
        self.state = restore(json.loads(json.dumps(world.status)), VAULT, self.time())
        self.untracked: list[str] = []
        """Jobs that were running and not found again."""
        self.mistaken: list[str] = []
        """Mappings that another one's job was taken to be about."""

    def time(self) -> datetime:
        return NOW + timedelta(seconds=self.world.now())

    async def run(self, wanted: VaultAutoUpdate) -> None:
        """Pass after pass until all is as declared."""
        reconciler = Reconciler(
            cast(SiteRecovery, self), TIMING, self, scope=lambda *_: QuotaScope("subscription", "region"), now=self.time
        )
        for _ in range(_MOST_PASSES):
            outcome = await reconciler.reconcile(wanted, self.state, self.report, asyncio.Event())
            await self.report(outcome.readiness)
            if outcome.readiness.ready == "True":
                return
            next_tries = [attempt.next_at for attempt in self.state.attempts.values()]
            await asyncio.sleep(after_look(60 * MINUTE, "dr", self.time(), next_tries).total_seconds())
        pytest.fail("it never gets done")

    async def report(self, readiness: Readiness) -> None:
        """Write the status, after a look at what is tracked; the first time, all running jobs are to be among it."""
        about = {job.name: job.key for job in self.world.jobs}
        self.mistaken += [o.target_id for key, o in self.state.operations.items() if about.get(o.job_id, key) != key]
        case = self.world.case
        if not self.reported and (
            case.names_of_targets == "id" or (case.names_of_targets == "name" and not case.namesakes)
        ):
            tracked = {operation.job_id for operation in self.state.operations.values()}
            self.untracked += [job.name for job in self.world.running() if job.name not in tracked]
        self.reported = True
        status = build_status(resource(), self.state, readiness, self.world.status, self.time())
        await self._answer()
        self.world.status = status

    async def _answer(self) -> None:
        await asyncio.sleep(self.world.case.latency)
        if not self.alive:
            raise asyncio.CancelledError

    # SiteRecovery

    async def vault(self, context: CallContext, vault_id: ArmId) -> Vault:
        await self._answer()
        return Vault(vault_id.text, vault_id.name, "westeurope")

    async def mappings(self, context: CallContext, vault_id: ArmId) -> list[ContainerMapping]:
        await self._answer()
        return [self.world.seen(key) for key in self.world.mappings]

    async def mapping(self, context: CallContext, mapping_id: str) -> ContainerMapping:
        await self._answer()
        return self.world.seen(mapping_id.casefold())

    async def update(self, context: CallContext, seen: ContainerMapping, goal: Goal) -> Started:
        async with self.throttle.call(context, CallKind.WRITE):
            await self._answer()
            world, fate = self.world, self.world.fates.pop(0) if self.world.fates else ""
            if fate == "lost":
                raise Unreachable("It did not get there.")
            if any(job.key == seen.key for job in world.running()):
                world.second_jobs.append(seen.path)
            if world.is_right(seen.key):
                world.needless.append(seen.path)
            job = world.begin(seen.key, fails=fate == "fails")
            await asyncio.sleep(world.case.patch_latency)
            if fate == "answer lost":
                raise Unreachable("Nobody knows.")
            return Started(job.name, done=False)

    async def jobs(self, context: CallContext, vault_id: ArmId, **_: Any) -> list[Job]:
        await self._answer()
        return [self._job(job) for job in reversed(self.world.jobs)]

    async def job(self, context: CallContext, vault_id: ArmId, name: str) -> Job | None:
        await self._answer()
        return next((self._job(job) for job in self.world.jobs if job.name == name), None)

    def _job(self, job: Work) -> Job:
        state = "InProgress" if self.world.now() < job.ends else "Failed" if job.fails else "Succeeded"
        told = Job(job.name, state, started_at=NOW + timedelta(seconds=job.began))
        about = self.world.mappings[job.key]
        match self.world.case.names_of_targets:
            case "id":
                return replace(told, target_id=about.id)
            case "name":
                return replace(told, target_name=about.name)
        return told

    # RunObserver

    def drift_found(self, drifted: int, unhealthy: int) -> None: ...

    def work_failed_to_start(self, kind: WorkKind, label: str, explanation: Explanation) -> None: ...

    def work_ended(
        self, kind: WorkKind, label: str, verdict: Verdict, took: timedelta, explanation: Explanation
    ) -> None: ...

    def job_state_unknown(self, state: str) -> None: ...


async def _live(world: World, kills: tuple[float, ...]) -> list[Process]:
    """One process after the other; the last one is left to finish."""
    lives = []
    for seconds in (*kills, None):
        process = Process(world)
        lives.append(process)
        task = asyncio.create_task(process.run(resource()))
        await asyncio.wait({task}, timeout=seconds)
        process.alive = False
        if task.done():
            await task
        else:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    return lives


def _cases(
    target: str, fates: list[str], *, namesakes: st.SearchStrategy[bool], foreign: int = 2
) -> st.SearchStrategy[Case]:
    return st.builds(
        Case,
        mappings=st.integers(1, 8),
        names_of_targets=st.just(target),
        namesakes=namesakes,
        fates=st.lists(st.sampled_from(fates), max_size=6).map(tuple),
        foreign=st.integers(0, foreign),
        job_seconds=st.sampled_from([0.5, 5.0, 40.0, 300.0]),
        latency=st.sampled_from([0.0, 0.1, 2.0]),
        patch_latency=st.sampled_from([0.0, 0.1, 2.0, 15.0]),
        kills=st.lists(st.floats(0, 20) | st.floats(0, 400), max_size=4).map(tuple),
    )


_FATES: Final = ["", "fails", "lost", "answer lost"]
_CASES: Final = st.one_of(
    _cases("id", _FATES, namesakes=st.booleans()),
    _cases("name", _FATES, namesakes=st.just(False)),
    # Where jobs do not tell their mappings apart, only the answer to a PATCH says which is whose: when it is lost, or
    # the process is killed before it comes, all such jobs are waited for. Nothing tells about the jobs of others.
    _cases("name", _FATES, namesakes=st.just(True), foreign=0),
    _cases("nothing", _FATES, namesakes=st.booleans(), foreign=0),
)


@SLOW
@given(_CASES)
@example(Case(4, "id", False, (), 0, 300.0, 2.0, 2.0, (9.0,)))
@example(Case(4, "nothing", False, (), 0, 300.0, 2.0, 2.0, (9.0,)))
@example(Case(2, "name", True, ("lost",), 0, 5.0, 0.0, 2.0, ()))
@example(Case(1, "nothing", False, ("answer lost",), 0, 5.0, 0.0, 0.0, ()))
@example(Case(1, "nothing", False, ("lost", "lost", "lost", "answer lost"), 0, 300.0, 0.0, 0.0, ()))
def test_whenever_it_is_killed_no_mapping_gets_a_second_job_and_in_the_end_all_are_as_declared(case: Case) -> None:
    @in_virtual_time
    async def play() -> None:
        world = World(case)
        lives = await _live(world, case.kills)

        assert world.second_jobs == []
        assert world.needless == []
        assert all(world.is_right(key) for key in world.mappings)
        assert [(process.untracked, process.mistaken) for process in lives] == [([], []) for _ in lives]
        assert lives[-1].state.operations == {}
        assert world.status["compliantSummary"] == f"{case.mappings}/{case.mappings}"

    play()


def test_a_process_that_knows_nothing_adopts_what_runs() -> None:
    @in_virtual_time
    async def play() -> None:
        world = World(Case(3, "id", False, (), 2, 60.0, 0.1, 0.1, ()))
        process = Process(world)
        assert process.state == VaultState()
        await process.run(resource())

        assert len(world.jobs) == 3, "two of others and one of ours"
        run = process.state.run
        assert run is not None
        assert (run.patched, run.succeeded) == (1, 3)

    play()


def test_failures_that_the_status_had_no_room_for_are_not_mistaken_for_jobs_that_it_had_no_room_for_either() -> None:
    @in_virtual_time
    async def play() -> None:
        world = World(Case(240, "id", False, (), 200, 3000.0, 0.0, 0.0, ()))
        working_on = {job.key: job for job in world.jobs}
        before = VaultState(
            operations={key: Operation(world.mappings[key].id, job.name, NOW) for key, job in working_on.items()},
            attempts={key: attempt(next_in=60 * MINUTE) for key in world.mappings if key not in working_on},
        )
        world.status = build_status(resource(), before, Readiness("False", "Progressing", "At work."), {}, NOW)
        assert world.status["operationsOmitted"] >= 50
        assert world.status["failuresOmitted"] == 20
        process = Process(world)
        process.time = lambda: NOW  # type: ignore[method-assign]  # its clock stands still
        task = asyncio.create_task(process.run(resource()))
        await asyncio.wait({task}, timeout=150)  # longer than the jobs found hold the writes back

        assert len(process.state.operations) == len(world.jobs) == 200, "nothing is patched before its time"
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    play()
