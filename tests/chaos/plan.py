"""What a seed does to the operator, its cluster and its Azure, as a list of steps. Pure: always the same for a seed."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.chaos.policy_plan import PolicyPlan, make_policy_plan
from tests.chaos.steps import (
    Action,
    AddMappings,
    AgeAgents,
    Create,
    Delete,
    Drift,
    Edit,
    EndStuckJobs,
    Freeze,
    Kill,
    Lane,
    Look,
    OtherClient,
    Outage,
    RemoveMappings,
    Step,
    Terminate,
    TokenOutage,
    UpdateAgents,
)

STORM: Final = 12.0
"""Seconds for which things go wrong: ten simulated minutes."""
FAULT_RATE: Final = 0.10
"""Part of the calls to Azure that is hit by some fault."""
INTERVAL: Final = 6.0
"""Seconds between two looks in quiet times: five simulated minutes, the shortest interval of a resource."""

ROLLED_OUT: Final = "a0"
"""The resource whose agents are updated in windows, the only one of its vault."""

__all__ = ["FAULT_RATE", "INTERVAL", "ROLLED_OUT", "STORM", "ChaosPlan", "FaultPlan", "VaultPlan", "make_plan"]


@dataclass(frozen=True)
class FaultPlan:
    """A fault of the simulator."""

    kind: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class VaultPlan:
    """A vault, its subscription (vaults of one share its limits), and what it holds at first."""

    subscription: int
    mix: Mapping[str, int]
    machines: int = 0
    """Of each mapping; the agents of all are behind at first."""


@dataclass(frozen=True)
class ChaosPlan:
    """Everything that a seed decides."""

    seed: int
    one_process: bool
    """Whether the operator is never killed, so that its memory can be compared with itself."""
    patient: bool
    """Whether jobs that never end run until ``spec.jobTimeout``, at least a minute of the operator's own time."""
    vaults: tuple[VaultPlan, ...]
    resources: tuple[Create, ...]
    write_limit: int
    """Writes in any simulated minute, for the server and the operator alike."""
    enforced: bool
    """Whether the server refuses what is over the limit, or only counts."""
    job_target: str
    """What a job's target names: ``mapping``, or ``policy``, by which it cannot be found again."""
    jobs: Mapping[str, Any]
    faults: tuple[FaultPlan, ...]
    steps: tuple[Step, ...]
    policy: PolicyPlan
    last: tuple[Step, ...]
    """One after the other, when the others are done; however long an outage took, this happens with faults."""

    def __str__(self) -> str:
        heads = [f"seed {self.seed}: {'one process' if self.one_process else 'killed'}, {self.write_limit} writes/60s"]
        heads += [f"  {'enforced' if self.enforced else 'counted only'}; jobs name the {self.job_target}: {self.jobs}"]
        heads += [f"  vault {number}: {vault}" for number, vault in enumerate(self.vaults)]
        heads += [f"  at first: {resource}" for resource in self.resources]
        heads += [f"  fault: {fault.kind} {dict(fault.parameters)}" for fault in self.faults]
        heads += [f"  fault of discoveries: {kind} {parameters}" for kind, parameters in self.policy.faults]
        return "\n".join([*heads, *(f"  {step}" for step in self.steps), *(f"  + {step}" for step in self.last)])


def make_plan(seed: int) -> ChaosPlan:
    """The plan of a seed: always the same."""
    rng = random.Random(f"chaos {seed}")
    one_process, patient = seed % 3 == 0, seed % 10 == 5
    vaults = tuple(VaultPlan(subscription, _mix(rng)) for subscription in (0, 0, 1))
    resources = [Create(f"r{number}", number, _first_spec(rng)) for number in range(len(vaults))]
    enforced = rng.random() < 0.5
    for_agents = random.Random(f"agents {seed}")
    steps = [
        *_operator_steps(rng, one_process=one_process),
        *_cluster_steps(rng),
        *_azure_steps(rng, len(vaults), enforced=enforced),
        *_resource_steps(rng, resources),
        *(Step(_moment(rng), Lane.RESOURCES, Look()) for _ in range(rng.randint(6, 14))),
        *_agent_steps(for_agents, len(vaults)),
    ]
    policy = make_policy_plan(seed, STORM)
    steps += policy.steps
    return ChaosPlan(
        seed=seed,
        one_process=one_process,
        patient=patient,
        vaults=(*vaults, VaultPlan(2, {"disabled": for_agents.randint(1, 3)}, machines=for_agents.randint(2, 5))),
        resources=(*resources, Create(ROLLED_OUT, len(vaults), _rollout_spec(for_agents))),
        write_limit=rng.choice((15, 30, 200)),
        enforced=enforced,
        job_target="policy" if rng.random() < 0.2 else "mapping",
        jobs=_jobs(rng),
        faults=_faults(rng),
        steps=tuple(sorted(steps, key=lambda step: (step.at, step.lane))),
        policy=policy,
        last=_last_steps(rng, len(vaults)),
    )


def _mix(rng: random.Random) -> dict[str, int]:
    return {
        "enabled_compliant": rng.randint(2, 6),
        "enabled_other_case": rng.randint(0, 2),
        "disabled": rng.randint(3, 9),
        "enabled_other_account": rng.randint(0, 3),
        "run_as_account": rng.randint(0, 3),
        "enabled_unhealthy": rng.randint(0, 2),
        "unpaired": rng.randint(0, 2),
        "missing_details": rng.randint(0, 1),
        "other_provider": rng.randint(0, 1),
    }


def _first_spec(rng: random.Random) -> dict[str, Any]:
    return {
        "autoUpdate": "Enabled" if rng.random() < 0.75 else "Disabled",
        "interval": rng.choice(("5m", "1h")),
        "deletionPolicy": "Disable" if rng.random() < 0.35 else "Retain",
    }


def _rollout_spec(rng: random.Random) -> dict[str, Any]:
    return {
        "autoUpdate": "Disabled",
        "interval": rng.choice(("5m", "1h")),
        "deletionPolicy": "Retain",
        "agentUpdates": {
            "schedule": "0 0 29 2 *",  # hardly ever: windows are opened on request
            "duration": "1h",
            "maxConcurrent": rng.randint(1, 4),
            "maxFailures": rng.choice((2, 50)),
            "order": rng.choice(([], ["canary-*"])),
        },
    }


def _jobs(rng: random.Random) -> dict[str, Any]:
    return {
        "duration": {"min": 5, "max": rng.choice((40, 100, 200))},
        "failed_share": 0.08,
        "cancelled_share": 0.02,
        "suspended_share": 0.02,
        "never_ending_share": 0.02,
        "partially_succeeded_share": 0.04,
        "completed_with_information_share": 0.04,
        "not_started_share": rng.choice((0, 0.3)),
        "background_per_hour": rng.choice((0, 60)),
    }


def _faults(rng: random.Random) -> tuple[FaultPlan, ...]:
    """Faults that strike at random, each so rarely that together they hit `FAULT_RATE` of the calls."""
    kinds: list[tuple[str, dict[str, Any]]] = [
        *(("status", {"status": status}) for status in (408, 409, 500, 502, 503, 504)),
        ("status", {"status": 403, "code": "AuthorizationFailed", "message": "The client has no right to do this."}),
        ("throttle", {"retry_after": round(rng.uniform(0.1, 1.0), 2)}),
        ("throttle", {"method": "PATCH"}),
        ("unauthorized", {}),
        ("reset_before", {}),
        ("reset_after", {}),
        ("hang", {"seconds": 5}),
        ("slow_body", {"seconds": round(rng.uniform(0.1, 0.8), 2)}),
        ("html", {}),
        ("truncated_json", {}),
        ("wrong_shape", {"method": "GET"}),
        ("empty_body", {}),
        ("redirect", {"url": "http://127.0.0.1:9/elsewhere"}),
        ("next_link_loop", {}),
        ("next_link_host", {"url": "http://127.0.0.2:9"}),
    ]
    rng.shuffle(kinds)
    of_writes: list[tuple[str, dict[str, Any], float]] = [
        ("reset_after", {"method": "PATCH"}, 0.04),
        ("no_job_urls", {}, 0.03),
        ("fail_job", {"code": "900042", "message": "Chaos failed this job."}, 0.03),
        ("job_never_ends", {}, 0.02),
        ("reset_after", {"route": "update_agent"}, 0.1),
        ("status", {"route": "update_agent", "status": 503}, 0.05),
    ]
    return (
        *(FaultPlan(kind, {**more, "rate": rate}) for kind, more, rate in of_writes),
        *(FaultPlan(kind, {**more, "rate": round(FAULT_RATE / len(kinds), 5)}) for kind, more in kinds),
    )


def _moment(rng: random.Random) -> float:
    return round(rng.uniform(0.0, STORM), 3)


def _life(rng: random.Random) -> float:
    return round(rng.uniform(0.05, 3.0), 2) if rng.random() < 0.85 else -1.0


def _operator_steps(rng: random.Random, *, one_process: bool) -> list[Step]:
    actions: list[Action] = [Freeze(round(rng.uniform(0.2, 2.0), 2)) for _ in range(rng.randint(0, 2))]
    if not one_process:
        actions += [Kill(_life(rng), round(rng.choice((0.0, rng.uniform(0, 1))), 2)) for _ in range(rng.randint(1, 3))]
        actions += [Terminate(_life(rng), round(rng.uniform(0, 0.5), 2)) for _ in range(rng.randint(0, 1))]
    return [Step(_moment(rng), Lane.OPERATOR, action) for action in actions]


def _cluster_steps(rng: random.Random) -> list[Step]:
    if rng.random() < 0.3:
        return []
    return [Step(round(rng.uniform(0, STORM - 4), 3), Lane.CLUSTER, Outage(round(rng.uniform(0.2, 2.0), 2)))]


def _azure_steps(rng: random.Random, vaults: int, *, enforced: bool) -> list[Step]:
    actions: list[Action] = []
    changes = ("disable", "disable", "other_account", "run_as", "health_error", "unpair", "pair")
    for _ in range(rng.randint(10, 20)):
        places = tuple(sorted(rng.randrange(1000) for _ in range(rng.randint(1, 4))))
        actions.append(Drift(rng.randrange(vaults), rng.choice(changes), places))
    for _ in range(rng.randint(0, 3)):
        kinds = rng.sample(("disabled", "enabled_compliant", "enabled_other_account", "run_as_account"), 2)
        actions.append(AddMappings(rng.randrange(vaults), {kind: rng.randint(1, 3) for kind in kinds}))
    actions += [RemoveMappings(rng.randrange(vaults), rng.randint(1, 3)) for _ in range(rng.randint(0, 2))]
    actions += [TokenOutage(round(rng.uniform(0.5, 2.0), 2)) for _ in range(rng.randint(0, 1))]
    actions += [EndStuckJobs() for _ in range(rng.randint(0, 2))]
    if enforced:
        actions.append(OtherClient(rng.choice((5.0, 10.0, 100.0))))
    return [Step(_moment(rng), Lane.AZURE, action) for action in actions]


@dataclass
class _Known:
    """A resource as it will be at some moment of the plan."""

    vault: int
    spec: dict[str, Any]
    held: bool
    """Whether it ever had a finalizer, so that its name may still be taken after it was deleted."""
    since: float = 0.0


def _agent_steps(rng: random.Random, vault: int) -> list[Step]:
    """Agents fall behind all the time, the first of them at once, and somebody wants them updated now and then."""
    moments = [0.0, *(_moment(rng) for _ in range(rng.randint(3, 6)))]
    aged = [AgeAgents(vault, tuple(rng.randrange(1000) for _ in range(rng.randint(1, 8)))) for _ in moments]
    steps = [Step(at, Lane.AZURE, action) for at, action in zip(moments, aged, strict=True)]
    steps += [Step(_moment(rng), Lane.RESOURCES, UpdateAgents(ROLLED_OUT)) for _ in range(rng.randint(3, 6))]
    changes: list[dict[str, Any]] = [{"agentUpdates": {"pause": True}}, {"suspend": True}, {"mode": "Audit"}]
    for change in rng.sample(changes, rng.randint(0, 2)):
        steps.append(Step(_moment(rng), Lane.RESOURCES, Edit(ROLLED_OUT, change)))
    return steps


def _last_steps(rng: random.Random, vaults: int) -> tuple[Step, ...]:
    places = tuple(range(0, 1000, 90))
    drifts = [Drift(vault, rng.choice(("disable", "other_account")), places) for vault in range(vaults)]
    looks = [Step(0.1 + 1.4 * number, Lane.RESOURCES, Look()) for number in range(4)]
    return (*(Step(0.0, Lane.AZURE, drift) for drift in drifts), *looks)


def _resource_steps(rng: random.Random, resources: list[Create]) -> list[Step]:
    known = {each.name: _Known(each.vault, dict(each.spec), _holds(each.spec)) for each in resources}
    steps: list[Step] = []
    made = 0
    for at in sorted(_moment(rng) for _ in range(rng.randint(8, 16))):
        present = sorted(name for name, each in known.items() if each.since <= at)
        if not present:
            continue
        name = rng.choice(present)
        match rng.choice(("edit", "edit", "edit", "replace", "rival", "again")):
            case "edit":
                change = _change(rng, known[name].spec)
                known[name].spec |= change
                known[name].held |= _holds(change)
                steps.append(Step(at, Lane.RESOURCES, Edit(name, change)))
            case "rival" if len(known) < 6:
                made += 1
                new = Create(f"x{made}", known[name].vault, _first_spec(rng))
                known[new.name] = _Known(new.vault, dict(new.spec), _holds(new.spec))
                steps.append(Step(at, Lane.RESOURCES, new))
            case "again" if not known[name].held:
                new = Create(name, known[name].vault, _first_spec(rng))
                later = round(at + 0.001, 3)
                known[name] = _Known(new.vault, dict(new.spec), _holds(new.spec), later)
                steps += [Step(at, Lane.RESOURCES, Delete(name)), Step(later, Lane.RESOURCES, new)]
            case _:
                made += 1
                new = Create(f"n{made}", known[name].vault, _first_spec(rng))
                del known[name]
                later = round(at + rng.choice((0.001, rng.uniform(0.1, 1.5))), 3)
                known[new.name] = _Known(new.vault, dict(new.spec), _holds(new.spec), later)
                steps += [Step(at, Lane.RESOURCES, Delete(name)), Step(later, Lane.RESOURCES, new)]
    return steps


def _holds(spec: Mapping[str, Any]) -> bool:
    return spec.get("deletionPolicy") == "Disable"


def _change(rng: random.Random, spec: Mapping[str, Any]) -> dict[str, Any]:
    match rng.choice(("autoUpdate", "autoUpdate", "account", "mode", "suspend", "interval", "deletionPolicy")):
        case "autoUpdate":
            return {"autoUpdate": "Disabled" if spec["autoUpdate"] == "Enabled" else "Enabled"}
        case "account":
            return {"account": "other" if spec.get("account") != "other" else "own"}
        case "mode":
            return {"mode": "Audit" if spec.get("mode") != "Audit" else "Enforce"}
        case "suspend":
            return {"suspend": not spec.get("suspend", False)}
        case "interval":
            return {"interval": rng.choice(("5m", "10m", "1h", "24h"))}
        case _:
            return {"deletionPolicy": "Retain" if _holds(spec) else "Disable"}
