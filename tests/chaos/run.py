"""One seed: a calm beginning, a storm, then quiet, in which everything must come right by itself."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from asr_simulator import ControlRefusedError, SimulatorThread, parse_scenario
from asr_simulator.vault import Vault as SimulatedVault
from tests.chaos.accounting import Goal
from tests.chaos.actors import Stage, setting_of, throttle_section
from tests.chaos.history import Version, check_histories
from tests.chaos.journal import Journal
from tests.chaos.plan import INTERVAL, ROLLED_OUT, ChaosPlan, make_plan
from tests.chaos.policy import PolicyGround, is_of_policy, tenant_section, vault_sections
from tests.chaos.steps import Drift
from tests.chaos.verdict import JobAccounts, check_azure, concluded, goal_of, owner_of
from tests.chaos.watcher import Watcher
from workbench.kube.control_plane import ControlPlane
from workbench.kube.resources import collection_path
from workbench.process.waiting import wait_until
from workbench.site import SCALE, Vault, check_log, condition, make_operator

CALM: Final = {"duration": {"min": 2, "max": 10}}
"""Jobs in quiet times: they succeed soon."""
_LOOKS: Final = 15
"""Intervals within which everything must be right again."""
MEMORY_TOLERANCE: Final = 12 * 1024
"""KiB; see docs/reliability.md."""

__all__ = ["Result", "run_seed"]


@dataclass
class Result:
    """What came of one seed."""

    seed: int
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0
    settled_seconds: float = 0.0
    """From the end of the storm until everything was right."""
    counts: dict[str, int] = field(default_factory=dict)
    jobs: JobAccounts = field(default_factory=JobAccounts)
    memory_kib: tuple[int, int] = (0, 0)
    """Of the operator, after it had first converged and at the end."""
    account: str = ""
    """Plan and journal."""

    def document(self) -> dict[str, Any]:
        """For a file."""
        fields = asdict(self)
        del fields["account"]
        return fields

    def __str__(self) -> str:
        counts, memory = self.counts, self.memory_kib
        return (
            f"seed {self.seed:>4}  {'ok    ' if not self.problems else 'FAILED'}  {self.seconds:5.1f} s, "
            f"quiet after {self.settled_seconds:4.1f} s; {counts.get('faults', 0):>4} faults, "
            f"{counts.get('Kill', 0)} kills, {counts.get('Outage', 0)} outages, {counts.get('PATCHes', 0):>3} PATCHes, "
            f"{counts.get('drifted mappings', 0):>2} drifted, {counts.get('versions', 0):>3} versions; "
            f"memory {memory[0] / 1024:.0f} -> {memory[1] / 1024:.0f} MiB"
        )

    def explain(self) -> str:
        """Everything that helps to understand a failure."""
        found = "\n".join(f"  {problem}" for problem in self.problems)
        return f"{self}\n{found}\n{self.account}\nto repeat it: make chaos SEED={self.seed}"


def run_seed(seed: int, plane: ControlPlane, directory: Path) -> Result:
    """Run one seed on a control plane that is left running and whole."""
    plan, began = make_plan(seed), time.monotonic()
    result = Result(seed)
    namespace = plane.create_namespace(f"chaos-{seed}-{int(time.time() * 1000) % 10**8}")
    directory.mkdir(parents=True, exist_ok=True)
    with _stage(plan, plane, directory, namespace) as stage, _watching(stage) as versions:
        try:
            _play(stage, result)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other seeds go on, and this one says why
            stage.journal.problem(f"{type(error).__name__}: {error}")
        finally:
            plane.start_apiserver()
            stage.operator.thaw()
            stage.operator.close()
            result.problems += stage.journal.problems
            azure, result.jobs = check_azure(stage, stage.operator.log, list(versions))
            result.problems += azure
            result.counts = _counts(stage)
            result.account = f"{plan}\nwhat was done (simulated seconds):\n{stage.journal}"
    specs: dict[str, list[Mapping[str, Any]]] = {}
    for note in stage.journal.resources:
        specs.setdefault(note.body["metadata"]["uid"], []).append(note.body["spec"])
    by_hand = [version for version in versions if not is_of_policy(version.body)]
    result.problems += check_histories(by_hand, specs)
    result.problems += stage.policy.problems(version for version in versions if is_of_policy(version.body))
    result.counts["versions"] = len(versions)
    try:
        check_log(stage.operator.log)
    except AssertionError as error:
        result.problems.append(str(error))
    result.seconds = time.monotonic() - began
    return result


@contextmanager
def _stage(plan: ChaosPlan, plane: ControlPlane, directory: Path, namespace: str) -> Iterator[Stage]:
    vaults = [
        Vault(f"vault-{number:02}", f"6f3b9f5e-8a3c-4c7e-9a53-{each.subscription:012}")
        for number, each in enumerate(plan.vaults)
    ]
    document = {
        "time_scale": SCALE,
        "seed": plan.seed,
        "mappings_page_size": 5,
        "jobs_page_size": 8,
        "jobs": CALM | {"target": plan.job_target},
        "throttle": throttle_section(plan),
        "identity": {"token_lifetime": 305},  # replaced 300 s before its end: every five seconds
        "vaults": [
            {
                "subscription": vault.subscription,
                "resource_group": vault.group,
                "name": vault.name,
                "automation_account": vault.account,
                "mix": dict(each.mix),
                "items_per_mapping": each.machines,
                "outdated_agent_share": 1.0,
                "roles": ["canary", "web"],
                "vm_name": "{role}-{mapping:02}-{index}",
            }
            for vault, each in zip(vaults, plan.vaults, strict=True)
        ]
        + vault_sections(),
        **tenant_section(),
    }
    with ExitStack() as stack:
        sim = stack.enter_context(SimulatorThread(parse_scenario(document)))
        settings = {
            "VAULT_AUTOUPDATE_WRITE_LIMIT": f"{plan.write_limit}/{60 / SCALE}s",
            "VAULT_AUTOUPDATE_REQUEST_TIMEOUT": "1.5s",
            "VAULT_AUTOUPDATE_POLICIES": "true",
            "VAULT_AUTOUPDATE_LOG_LEVEL": "debug",
            "VAULT_AUTOUPDATE_LOG_FORMAT": "json",
        }
        operator = make_operator(plane, sim, directory, namespace, settings=settings)
        rest = stack.enter_context(plane.connect())
        stack.callback(operator.close)
        policy = PolicyGround(plan.policy, sim, namespace)
        yield Stage(plan, plane, sim, operator, namespace, vaults, Journal(sim.world.clock.now), rest, policy)


@contextmanager
def _watching(stage: Stage) -> Iterator[list[Version]]:
    watcher = Watcher(stage.plane.connect(), stage.namespace, stage.journal.now).start()
    try:
        yield watcher.versions
    finally:
        watcher.stop()


def _play(stage: Stage, result: Result) -> None:
    for number in range(len(stage.vaults)):
        stage.note_mappings(number, at=0.0)
    for resource in stage.plan.resources:
        stage.create(resource)
    stage.policy.apply(stage.rest)
    stage.start_operator()
    stage.operator.wait_ready(within=60)
    _settle(stage)
    first = _memory(stage)
    stage.journal.note("the storm begins")
    stage.sim.control.settings(jobs={**stage.plan.jobs, "target": stage.plan.job_target})
    stage.arm()
    stage.storm()
    stage.sim.control.clear_faults()
    stage.policy.calm()
    stage.sim.control.settings(jobs=CALM | {"target": stage.plan.job_target})
    stage.set_limits()
    stage.journal.note("quiet begins")
    quiet = time.monotonic()
    for name in list(stage.objects):
        stage.edit(name, suspend=False, mode="Enforce")
    stage.edit(ROLLED_OUT, agentUpdates={"pause": False})
    process = stage.operator.child.pid
    _check_running_jobs_are_known(stage)
    if stage.plan.patient:
        _outwait_stuck_jobs(stage)
    stage.end_stuck_jobs()
    _settle(stage)
    result.settled_seconds = time.monotonic() - quiet
    result.memory_kib = (first, _memory(stage))
    if result.memory_kib[1] > first + MEMORY_TOLERANCE:
        stage.journal.problem(f"memory grew from {first} KiB to {result.memory_kib[1]} KiB")
    _check_idle_look(stage)
    _say_farewell(stage)
    if stage.operator.child.returncode is not None or stage.operator.child.pid != process:
        stage.journal.problem("the operator ended by itself")
    stage.terminate()


def _settle(stage: Stage) -> None:
    """Wait until every vault is as its owner declares, and says so; an interval is over now and then."""
    why = ""
    for _ in range(_LOOKS):
        stage.look()
        stage.update_agents(ROLLED_OUT)
        try:
            wait_until(lambda: not _unsettled(stage), within=INTERVAL, what="everything to be as declared", every=0.1)
        except TimeoutError:
            stage.operator.child.check_alive()
            why = _unsettled(stage)
        else:
            stage.journal.note("everything is as declared")
            return
    raise TimeoutError(f"not as declared after {_LOOKS} intervals: {why}")


def _unsettled(stage: Stage) -> str:
    """The first thing that is not as declared; empty if all is."""
    items = stage.rest.request("GET", collection_path(stage.namespace))["items"]
    for number, vault in enumerate(stage.vaults):
        bodies = [item for item in items if item["spec"]["vaultResourceId"] == vault.id]
        if leaving := [item["metadata"]["name"] for item in bodies if "deletionTimestamp" in item["metadata"]]:
            return f"{leaving} not gone yet"
        owner = owner_of(bodies)
        if owner is None:
            return f"{vault.name} has no owner"
        for body in bodies:
            if problem := _not_ready(stage, body) if body is owner else _not_stalled(body):
                return problem
        if problem := _differs(stage, number, goal_of(owner["spec"])) or _not_rolled_out(stage, owner):
            return problem
    return stage.policy.unsettled(stage.rest, _vault_differs)


def _not_rolled_out(stage: Stage, body: Mapping[str, Any]) -> str:
    """The first machine whose agent is behind, or what the resource says instead of that all are done."""
    if body["metadata"]["name"] != ROLLED_OUT:
        return ""
    vault = next(each for each in stage.vaults if each.id == body["spec"]["vaultResourceId"])
    for item in stage.sim.control.items(vault.name):
        if item["update_required"] or item["upgrade_in_progress"]:
            return f"the agent of {item['vm_name']} is {item}"
    status = body.get("status") or {}
    good = (
        status.get("lastHandledUpdateAgentsNow") == stage.window
        and status["agentUpdates"]["phase"] == "Done"
        and not status["agentUpdates"].get("operations")
        and condition(status, "AgentsCurrent").get("status") == "True"
    )
    return "" if good else f"{ROLLED_OUT} does not say that {stage.window} is done: {status}"


def _not_ready(stage: Stage, body: Mapping[str, Any]) -> str:
    status = body.get("status") or {}
    ready = condition(status)
    good = (
        ready.get("status") == "True"
        and ready["observedGeneration"] == body["metadata"]["generation"]
        and status.get("lastHandledReconcileAt") == f"look-{stage.looks}"
    )
    return "" if good else f"{body['metadata']['name']} is not Ready after look-{stage.looks}: {status}"


def _not_stalled(body: Mapping[str, Any]) -> str:
    stalled = condition(body.get("status") or {}, "Stalled")
    good = (
        stalled.get("reason") == "VaultAlreadyManaged"
        and stalled["observedGeneration"] == body["metadata"]["generation"]
    )
    return "" if good else f"{body['metadata']['name']} should not have the vault: {body.get('status')}"


def _differs(stage: Stage, number: int, goal: Goal) -> str:
    """The first mapping in scope that is not as wanted, or has a job."""
    stage.sim.control.state()  # lets what is due happen
    return _vault_differs(stage.world_vault(number), goal)


def _vault_differs(vault: SimulatedVault, goal: Goal) -> str:
    for mapping in list(vault.ordered):
        if mapping.provider == "A2A" and mapping.state == "Paired" and not setting_of(mapping).satisfies(goal):
            return f"{vault.spec.name} {mapping.name} is {setting_of(mapping)}, not {goal}"
    running = [job for job in list(vault.unfinished.values()) if job.number in vault.setting_updates]
    return f"job {running[0].name} of {vault.spec.name} is running" if running else ""


def _check_running_jobs_are_known(stage: Stage) -> None:
    """Each job that would run for ever on a mapping that is not as wanted stands in the status of the vault's owner.

    Where its target does not name the mapping, the operator waits for it, which `check_refusals` sees.
    """
    if stage.plan.job_target != "mapping":
        return
    stage.look()

    def unknown() -> str:
        items = stage.rest.request("GET", collection_path(stage.namespace))["items"]
        for number, vault in enumerate(stage.vaults):
            owner = owner_of(
                item
                for item in items
                if item["spec"]["vaultResourceId"] == vault.id and "deletionTimestamp" not in item["metadata"]
            )
            if owner is None:
                return f"{vault.name} has no owner"
            goal = goal_of(owner["spec"])
            known = {entry.get("jobId") for entry in (owner.get("status") or {}).get("operations") or ()}
            world = stage.world_vault(number)
            present = {mapping.ordinal for mapping in list(world.ordered)}
            for job in stage.stuck_jobs(number):
                update = world.setting_updates.get(job.number)
                if update is None or update.mapping.ordinal not in present or update.mapping.state != "Paired":
                    continue
                mapping = update.mapping
                if job.name not in known and not setting_of(mapping).satisfies(goal):
                    return f"job {job.name} of {vault.name} {mapping.name} is not in {known}"
        return ""

    wait_until(lambda: not unknown(), within=INTERVAL * 5, what=lambda: f"all jobs to be known: {unknown()}")


def _outwait_stuck_jobs(stage: Stage) -> None:
    """Let the operator give up the jobs that never end, of which there is at least one."""
    armed = stage.add_fault("job_never_ends", vault=stage.vaults[2].name, times=1)

    def is_stuck() -> bool:
        if stage.stuck_jobs(2):
            return True
        stage.do(Drift(2, "other_account", tuple(range(0, 1000, 50))))
        stage.look()
        return False

    wait_until(is_stuck, within=INTERVAL * 10, what="a job that never ends", every=INTERVAL / 2)
    with contextlib.suppress(ControlRefusedError):  # it may have struck; if the storm has left such a job, it must not
        stage.sim.control.remove_fault(armed)
    numbers = range(len(stage.vaults))

    def left() -> set[str]:
        stuck = {job.name for number in numbers for job in stage.stuck_jobs(number)}
        return stuck - concluded(stage.operator.log)

    wait_until(lambda: not left(), within=150, what=lambda: f"the end of spec.jobTimeout for {left()}", every=1)
    stage.journal.note("jobs that never end were given up", count="outwaited")


def _check_idle_look(stage: Stage) -> None:
    """A further look changes nothing: no PATCH, no other status."""
    before, updates = _patches(stage), _updates(stage)
    stage.look()
    wait_until(lambda: not _unsettled(stage), within=INTERVAL * 5, what=lambda: f"the look: {_unsettled(stage)}")
    if (after := _patches(stage)) != before:
        stage.journal.problem(f"a look at what is as declared made {after - before} PATCHes")
    if (after := _updates(stage)) != updates:
        stage.journal.problem(f"a look at agents that are current made {after - updates} updates")


def _say_farewell(stage: Stage) -> None:
    """Delete everything: rivals, who have no say any more, then each owner by his policy, one of them Disable."""
    owners: dict[str, str] = {}
    for vault in stage.vaults:
        bodies = [body for body in stage.objects.values() if body["spec"]["vaultResourceId"] == vault.id]
        owner = owner_of(bodies)
        assert owner is not None
        owners[vault.id] = owner["metadata"]["name"]
    for name in sorted(set(stage.objects) - set(owners.values())):
        stage.delete(name)
    _wait_for(stage, set(owners.values()))
    stage.edit(next(iter(owners.values())), deletionPolicy="Disable")
    for number, (vault_id, name) in enumerate(owners.items()):
        disable = stage.objects[name]["spec"]["deletionPolicy"] == "Disable"
        patches = _patches(stage)
        if disable:
            _wait_for_finalizer(stage, name)
        stage.delete(name)
        _wait_for(stage, set(list(owners.values())[number + 1 :]))
        if disable and (problem := _differs(stage, number, Goal("Disabled"))):
            stage.journal.problem(f"{name} went with policy Disable, and {problem}")
        if not disable and _patches(stage) != patches:
            stage.journal.problem(f"{name} of {vault_id} went with policy Retain, and PATCHes were made")


def _wait_for(stage: Stage, names: set[str]) -> None:
    def others() -> set[str]:
        items = stage.rest.request("GET", collection_path(stage.namespace))["items"]
        return {item["metadata"]["name"] for item in items if not is_of_policy(item)} - names

    wait_until(lambda: not others(), within=60, what=lambda: f"the end of {others()}")


def _wait_for_finalizer(stage: Stage, name: str) -> None:
    def held() -> bool:
        items = stage.rest.request("GET", collection_path(stage.namespace))["items"]
        (body,) = (item for item in items if item["metadata"]["name"] == name)
        return bool(body["metadata"].get("finalizers"))

    wait_until(held, within=60, what=f"the finalizer of {name}")


def _patches(stage: Stage) -> int:
    """PATCHes that were accepted so far."""
    return sum(len(stage.world_vault(number).setting_updates) for number in range(len(stage.vaults)))


def _updates(stage: Stage) -> int:
    """Updates of agents that were accepted so far."""
    return sum(len(stage.world_vault(number).agent_updates) for number in range(len(stage.vaults)))


def _memory(stage: Stage) -> int:
    """Resident memory of the operator in KiB."""
    lines = Path(f"/proc/{stage.operator.child.pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS:")))


def _counts(stage: Stage) -> dict[str, int]:
    requests = stage.sim.control.requests(limit=20_000)
    return {
        **stage.journal.counts,
        "requests": len(requests),
        "faults": sum(bool(record["fault"]) for record in requests),
        "PATCHes": _patches(stage),
        "updates of agents": _updates(stage),
        "starts": len(stage.journal.starts),
    }
