"""From a run's journal, the simulator's books and the operator's log to what is wrong with the run."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from asr_simulator.control_types import RequestRecord
from asr_simulator.generate import other_account
from asr_simulator.jobs import SUCCESSFUL_ENDINGS, Job
from asr_simulator.mapping import AutoUpdate
from tests.chaos.accounting import (
    DriftFact,
    Goal,
    JobFact,
    MappingFact,
    RefusalFact,
    Wish,
    check_mapping,
    check_refusals,
    final_setting,
    most_in_window,
)
from tests.chaos.actors import Stage, setting_of
from tests.chaos.agents import MachineFact, UpdateFact, check_agents
from tests.chaos.history import Version
from tests.chaos.journal import ResourceNote
from tests.chaos.truth import Claim, Declaration, check_claims, claims_of
from vault_autoupdate.model.durations import parse_duration
from workbench.site import SCALE

_WINDOW: Final = 60.0
_CONFLICT: Final = "Conflict"

__all__ = ["JobAccounts", "check_azure", "concluded", "goal_of", "owner_of", "wishes_of"]


@dataclass(frozen=True)
class JobAccounts:
    """How the operator came to know of the end of each job."""

    concluded: int = 0
    """It said so in its log."""
    observed: int = 0
    """It read the mappings, or the machines, after the end: its process was killed, or nobody wanted it any more."""
    lost: tuple[str, ...] = ()


def goal_of(spec: Mapping[str, Any]) -> Goal:
    """What a resource wants of its mappings."""
    if spec["autoUpdate"] == "Disabled":
        return Goal("Disabled")
    return Goal("Enabled", spec["automationAccountResourceId"].casefold())


def owner_of(bodies: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Which of the resources that name a vault manages it: the oldest."""
    return min(bodies, key=_seniority, default=None)


def _seniority(body: Mapping[str, Any]) -> tuple[str, str]:
    return (body["metadata"]["creationTimestamp"], body["metadata"]["name"])


def wishes_of(notes: Iterable[ResourceNote], vault_id: str) -> tuple[Wish, ...]:
    """What was declared for a vault, one after the other.

    A resource that is deleted with ``deletionPolicy: Disable`` wants Disabled from then on, unless there is another
    resource for the vault or it is suspended.
    """
    living: dict[str, Mapping[str, Any]] = {}
    leaving: dict[str, Mapping[str, Any]] = {}
    wishes: list[Wish] = []
    for note in notes:
        uid, spec = note.body["metadata"]["uid"], note.body["spec"]
        if spec["vaultResourceId"] != vault_id:
            continue
        if note.kind == "declared":
            living[uid] = note.body
        else:
            living.pop(uid, None)
            if spec["deletionPolicy"] == "Disable" and not spec["suspend"]:
                leaving[uid] = note.body
        owner = owner_of(living.values())
        goal = goal_of(owner["spec"]) if owner else Goal("Disabled") if leaving else None
        wishes.append(Wish(note.at, goal))
    return tuple(wishes)


def check_azure(stage: Stage, log: Path, versions: Sequence[Version]) -> tuple[list[str], JobAccounts]:
    """Everything that is wrong with what was done in Azure, and what became of the jobs."""
    requests = stage.sim.control.requests(limit=20_000)
    problems: list[str] = []
    for number in range(len(stage.vaults)):
        facts, jobs = _facts(stage, number, requests)
        for ordinal, fact in facts.items():
            problems += check_mapping(fact)
            problems += _check_replay(stage, number, ordinal, fact)
        problems += check_claims(_claims(stage, number, versions), list(facts.values()))
        problems += check_refusals(_refusals(stage, number, jobs, requests))
        problems += check_agents(_machines(stage, number), _most_updates(stage, number))
    problems += _check_limits(stage, requests)
    accounts = _account(stage, requests, log)
    problems += [f"job lost: {job}" for job in accounts.lost]
    return problems, accounts


def _claims(stage: Stage, number: int, versions: Sequence[Version]) -> Iterable[Claim]:
    """When resources of a vault said that they were Ready."""
    declared: dict[str, list[Declaration]] = {}
    for note in stage.journal.resources:
        body = note.body
        if note.kind == "declared" and body["spec"]["vaultResourceId"] == stage.vaults[number].id:
            declaration = Declaration(body["metadata"]["generation"], note.at, goal_of(body["spec"]))
            declared.setdefault(body["metadata"]["uid"], []).append(declaration)
    for uid, declarations in declared.items():
        yield from claims_of([version for version in versions if version.uid == uid], declarations)


def _facts(
    stage: Stage, number: int, requests: Sequence[RequestRecord]
) -> tuple[dict[int, MappingFact], dict[str, JobFact]]:
    vault, world = stage.vaults[number], stage.world_vault(number)
    lost = {
        record["simulated"]
        for record in requests
        if record["method"] == "PATCH" and record["vault"] == vault.name and record["status"] == 0
    }
    jobs: dict[int, list[JobFact]] = {}
    for job in world.jobs:
        update = world.setting_updates.get(job.number)
        if update is not None:
            fact = _job_fact(stage, job, update.wanted, lost=job.start in lost)
            jobs.setdefault(update.mapping.ordinal, []).append(fact)
    wishes = wishes_of(stage.journal.resources, vault.id)
    facts = {}
    present = {mapping.ordinal for mapping in world.ordered}
    for note in stage.journal.mappings:
        if note.vault == vault.name:
            drifts = tuple(
                DriftFact(drift.since, drift.until, drift.change)
                for drift in stage.journal.drifts
                if drift.vault == vault.name and note.ordinal in drift.ordinals
            )
            facts[note.ordinal] = MappingFact(
                name=f"{vault.name} {note.name}",
                since=note.at,
                first=note.setting,
                own_account=vault.account.casefold(),
                strange_account=other_account(vault.account).casefold(),
                jobs=tuple(jobs.get(note.ordinal, ())),
                drifts=drifts,
                wishes=wishes,
                always_in_scope=note.in_scope
                and note.ordinal in present
                and not any(drift.change in {"pair", "unpair"} for drift in drifts),
            )
    return facts, {job.name: job for each in jobs.values() for job in each}


def _job_fact(stage: Stage, job: Job, wanted: AutoUpdate, *, lost: bool) -> JobFact:
    goal = Goal(wanted.status, (wanted.account or "").casefold())
    ended = job.course.end < math.inf
    succeeded = ended and job.course.ending in SUCCESSFUL_ENDINGS
    forgotten = lost or any(job.start < start < job.course.end for start in stage.journal.starts)
    return JobFact(
        name=job.name,
        start=job.start,
        end=job.course.end,
        succeeded=succeeded,
        wanted=goal,
        answer_lost=lost,
        unplaceable=forgotten and stage.plan.job_target != "mapping",
    )


def _check_replay(stage: Stage, number: int, ordinal: int, fact: MappingFact) -> list[str]:
    """Check the checker: what the replay comes to in the end must be what the simulator has."""
    real = next((each for each in stage.world_vault(number).ordered if each.ordinal == ordinal), None)
    replayed = final_setting(fact)
    if real is None or replayed is None or setting_of(real) == replayed:
        return []
    return [f"{fact.name}: the replay is wrong: {replayed} instead of {setting_of(real)}"]


def _refusals(
    stage: Stage, number: int, jobs: Mapping[str, JobFact], requests: Sequence[RequestRecord]
) -> Iterable[RefusalFact]:
    vault, world = stage.vaults[number], stage.world_vault(number)
    running: dict[str, list[JobFact]] = {}
    for job in world.jobs:
        update = world.setting_updates.get(job.number)
        if update is not None:
            running.setdefault(update.mapping.name.casefold(), []).append(jobs[job.name])
    for record in requests:
        if record["method"] != "PATCH" or record["vault"] != vault.name or record["code"] != _CONFLICT:
            continue
        at = record["simulated"]
        for fact in running.get(record["mapping"].casefold(), ()):
            if fact.start < at < fact.end:
                yield RefusalFact(
                    mapping=f"{vault.name} {record['mapping']}",
                    at=at,
                    job=fact,
                    job_timeout=_shortest_timeout(stage, vault.id),
                )


def _machines(stage: Stage, number: int) -> list[MachineFact]:
    vault, world, updates = stage.vaults[number], stage.world_vault(number), dict[str, list[UpdateFact]]()
    for job in world.jobs:
        if job.number in world.agent_updates:
            succeeded = job.course.ending in SUCCESSFUL_ENDINGS
            fact = UpdateFact(job.name, job.start, job.course.end, succeeded and job.course.end < math.inf)
            updates.setdefault(job.target_name, []).append(fact)
    return [
        MachineFact(
            name=f"{vault.name} {item['vm_name']}",
            updates=updates.get(item["vm_name"], ()),
            aged=[
                (note.since, note.until)
                for note in stage.journal.aged
                if note.vault == vault.name and item["vm_name"] in note.machines
            ],
            refused=item["updates_refused"],
        )
        for item in stage.sim.control.items(vault.name)
    ]


def _most_updates(stage: Stage, number: int) -> int:
    """``maxConcurrent`` of the vault, which no step changes; without updates in windows, none."""
    return max(
        (
            note.body["spec"].get("agentUpdates", {}).get("maxConcurrent", 0)
            for note in stage.journal.resources
            if note.body["spec"]["vaultResourceId"] == stage.vaults[number].id
        ),
        default=0,
    )


def _shortest_timeout(stage: Stage, vault_id: str) -> float:
    """Of the resources of a vault; in simulated seconds, while the operator lives in real ones."""
    timeouts = (
        parse_duration(note.body["spec"]["jobTimeout"]).total_seconds() * SCALE
        for note in stage.journal.resources
        if note.body["spec"]["vaultResourceId"] == vault_id
    )
    return min(timeouts, default=math.inf)


def _check_limits(stage: Stage, requests: Sequence[RequestRecord]) -> list[str]:
    """The server's own count: never more in a window than the limit; and reads never had to be refused."""
    problems = []
    writes: dict[str, list[float]] = {}
    for record in requests:
        is_write = record["method"] == "PATCH" or record["kind"] == "update_agent"
        if is_write and record["fault"] not in stage.journal.uncounted:
            writes.setdefault(record["scope"], []).append(record["simulated"])
    for scope, times in writes.items():
        most = most_in_window(times, _WINDOW)
        if most > stage.plan.write_limit:
            problems.append(f"{most} writes in 60 s in {scope}: the limit is {stage.plan.write_limit}")
    for each in stage.sim.control.stats()["scopes"]:
        refused = each["reads"]["throttled"] + each["reads"]["throttled_by_arm"] + each["writes"]["throttled_by_arm"]
        if refused:
            problems.append(f"{refused} calls over the limits in {each['subscription']}/{each['region']}: {each}")
    return problems


def _account(stage: Stage, requests: Sequence[RequestRecord], log: Path) -> JobAccounts:
    told = concluded(log)
    counts = JobAccounts()
    for number, vault in enumerate(stage.vaults):
        last_read: dict[str, float] = {}
        for record in requests:
            if record["vault"] == vault.name and record["status"] == 200:
                last_read[record["kind"]] = max(last_read.get(record["kind"], 0.0), record["simulated"])
        world = stage.world_vault(number)
        for job in world.jobs:
            of_mapping = job.number in world.setting_updates
            if not of_mapping and job.number not in world.agent_updates:
                continue
            if job.name.casefold() in told:
                counts = replace(counts, concluded=counts.concluded + 1)
            elif job.course.end < last_read.get("mappings" if of_mapping else "protected_items", 0.0):
                counts = replace(counts, observed=counts.observed + 1)
            else:
                counts = replace(counts, lost=(*counts.lost, f"{job.name} of {vault.name} {job.target_name}"))
    return counts


def concluded(log: Path) -> set[str]:
    """Jobs of which the operator's log tells the end."""
    found = set()
    for line in log.read_text(errors="replace").splitlines():
        if '"job"' in line and line.startswith("{"):
            try:
                record = json.loads(line)
            except ValueError:
                continue  # the process was killed in the middle of the line
            if record["message"].startswith(("job succeeded", "job of ", "the agent of ")):
                found.add(str(record["job"]).casefold())
    return found
