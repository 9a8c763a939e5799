"""Those who do what a plan says: to the operator, the API server, Azure and the resources."""

from __future__ import annotations

import json
import math
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

import requests

from asr_simulator import SimulatorThread
from asr_simulator.agents import OLDER_VERSION
from asr_simulator.faults import Fault
from asr_simulator.jobs import Job
from asr_simulator.mapping import ContainerMapping
from asr_simulator.vault import Vault as SimulatedVault
from tests.chaos.accounting import Setting
from tests.chaos.journal import AgeNote, DriftNote, Journal, MappingNote, ResourceNote
from tests.chaos.plan import ChaosPlan
from tests.chaos.policy import PolicyGround
from tests.chaos.steps import (
    Action,
    AddMappings,
    AddVault,
    AgeAgents,
    Create,
    Delete,
    DeleteVault,
    Drift,
    Edit,
    EndStuckJobs,
    ExcludeVault,
    Freeze,
    Kill,
    Lane,
    Look,
    OtherClient,
    Outage,
    RemoveMappings,
    SetSubscription,
    Step,
    Terminate,
    TokenOutage,
    UpdateAgents,
)
from vault_autoupdate.model.resource import UPDATE_AGENTS_NOW
from workbench.kube.control_plane import ControlPlane
from workbench.kube.resources import collection_path, manifest, resource_path
from workbench.kube.rest import MERGE_PATCH, ApiError, RestClient
from workbench.process.operator import OperatorProcess
from workbench.process.waiting import wait_until
from workbench.site import REQUESTED_AT, Vault

T = TypeVar("T")

_RETRIED: Final = frozenset({403, 409, 429, 500, 503, 504})
"""Answers of an API server that is only just starting; 409 as long as an object of that name is going away."""
_PATIENCE: Final = 40.0

__all__ = ["Stage", "setting_of", "throttle_section"]


@dataclass
class Stage:
    """Everything that a plan acts on."""

    plan: ChaosPlan
    plane: ControlPlane
    sim: SimulatorThread
    operator: OperatorProcess
    namespace: str
    vaults: Sequence[Vault]
    journal: Journal
    rest: RestClient
    """Of the resources' lane; a session is not shared between threads."""
    policy: PolicyGround
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By name: resources that were created and not deleted, as the API server last showed them to us."""
    looks: int = 0
    windows: int = 0
    _said: int = 0
    """How long the log was when the present process was started."""

    # --- the storm --------------------------------------------------------------------------------------------

    def storm(self) -> None:
        """Do all steps; returns when the last one is done and whatever was stopped runs again."""
        began = time.monotonic()
        lanes = {lane: [step for step in self.plan.steps if step.lane is lane] for lane in Lane}
        threads = [
            threading.Thread(target=self._walk, args=(steps, began), name=f"lane {lane}", daemon=True)
            for lane, steps in lanes.items()
            if steps
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.operator.child.returncode is None:
            self.operator.wait_ready(within=_PATIENCE)
        self._walk(self.plan.last, time.monotonic())

    def _walk(self, steps: Sequence[Step], began: float) -> None:
        for step in steps:
            time.sleep(max(0.0, began + step.at - time.monotonic()))
            try:
                self.do(step.action)
            except Exception as error:  # noqa: BLE001 - a lane that dies must show in the verdict, not in a thread
                self.journal.problem(f"{step.action} could not be done: {type(error).__name__}: {error}")

    def do(self, action: Action) -> None:
        """Do one action and note it."""
        with self.journal.doing(str(action), count=type(action).__name__):
            self._do(action)

    def _do(self, action: Action) -> None:
        match action:
            case Kill() | Terminate() | Freeze():
                self._operate(action)
            case Outage():
                self.plane.stop_apiserver(grace=0.3)
                time.sleep(action.seconds)
                self.plane.start_apiserver()
            case TokenOutage():
                fault = self.add_fault("token_down", forever=True)
                time.sleep(action.seconds)
                self.sim.control.remove_fault(fault)
            case OtherClient():
                self.set_limits(action.writes_per_minute)
            case EndStuckJobs():
                self.end_stuck_jobs()
            case Drift():
                self._drift(action)
            case AgeAgents():
                self._age(action)
            case AddMappings():
                at = self.journal.now()
                names = self.sim.control.add_mappings(vault=self.vaults[action.vault].name, **action.kinds)
                self.note_mappings(action.vault, names, at=at)
            case RemoveMappings():
                self.sim.control.remove_mappings(vault=self.vaults[action.vault].name, count=action.count)
            case Create() | Edit() | Delete() | Look() | UpdateAgents():
                self._declare(action)
            case AddVault() | ExcludeVault() | DeleteVault() | SetSubscription():
                self.policy.do(action)

    # --- the operator -----------------------------------------------------------------------------------------

    def start_operator(self) -> None:
        """Start it; it has not been ready yet when this returns."""
        self.journal.starts.append(self.journal.now())
        self._said = self.operator.log.stat().st_size if self.operator.log.exists() else 0
        self.operator.start()

    def _operate(self, action: Kill | Terminate | Freeze) -> None:
        if (code := self.operator.child.returncode) is not None:
            self.journal.problem(
                f"the operator had ended by itself with code {code}: {self.operator.child.log_tail(5)}"
            )
            self.start_operator()
        if isinstance(action, Freeze):
            self.operator.freeze()
            time.sleep(action.seconds)
            self.operator.thaw()
            return
        self._let_live(action.lived)
        if isinstance(action, Kill):
            self.operator.kill()
        else:
            self.terminate()
        time.sleep(action.pause)
        self.start_operator()

    def terminate(self) -> None:
        """SIGTERM, which a process that has begun to work answers with code 0."""
        code = self.operator.stop()
        said = self.operator.log.read_bytes()[self._said :].decode(errors="replace")
        if code != 0 and "ARM at" in said:
            self.journal.problem(f"SIGTERM ended the operator with code {code}: {said[-2000:]}")

    def _let_live(self, seconds: float) -> None:
        """Wait until the process has been ready for so long; below 0, until it is somewhere in its start."""
        if seconds >= 0:
            self.operator.wait_ready(within=_PATIENCE)
            self.journal.note("the operator is ready")
        time.sleep(abs(seconds))

    # --- Azure ------------------------------------------------------------------------------------------------

    def set_limits(self, other_client: float = 0.0) -> None:
        """Set the limits of the plan, with another client that eats from them."""
        self.sim.control.settings(throttle=throttle_section(self.plan, other_client))

    def _drift(self, action: Drift) -> None:
        vault = self.vaults[action.vault].name
        ordered = [(mapping.ordinal, mapping.name) for mapping in self.world_vault(action.vault).ordered]
        if not ordered:
            return
        chosen = {ordered[place * len(ordered) // 1000] for place in action.places}
        since = self.journal.now()
        changed = set(self.sim.control.drift(action.change, vault=vault, mappings=[name for _, name in chosen]))
        until = self.journal.now()
        ordinals = tuple(ordinal for ordinal, name in sorted(chosen) if name in changed)
        self.journal.drifts.append(DriftNote(since, until, vault, action.change, ordinals))
        self.journal.add("drifted mappings", len(ordinals))

    def _age(self, action: AgeAgents) -> None:
        vault = self.vaults[action.vault].name
        names = [item["vm_name"] for item in self.sim.control.items(vault)]
        chosen = tuple(sorted({names[place * len(names) // 1000] for place in action.places}))
        since = self.journal.now()
        for name in chosen:
            self.sim.control.set_items(vault, name, version=OLDER_VERSION)
        self.journal.aged.append(AgeNote(since, self.journal.now(), vault, chosen))
        self.journal.add("aged machines", len(chosen))

    def note_mappings(self, number: int, names: Collection[str] | None = None, *, at: float) -> None:
        """Note what mappings of a vault are: all, or those that have just appeared."""
        vault = self.world_vault(number)
        for mapping in list(vault.ordered):
            if names is None or mapping.name in names:
                note = MappingNote(
                    at=at,
                    vault=vault.spec.name,
                    ordinal=mapping.ordinal,
                    name=mapping.name,
                    setting=setting_of(mapping),
                    in_scope=mapping.provider == "A2A" and mapping.state == "Paired",
                )
                self.journal.mappings.append(note)

    def arm(self) -> None:
        """Let the plan's faults strike from now on."""
        for fault in self.plan.faults:
            self.add_fault(fault.kind, **fault.parameters)
        for kind, parameters in self.plan.policy.faults:
            self.add_fault(kind, **parameters)

    def add_fault(self, kind: str, **parameters: Any) -> str:
        """Arm one fault; returns its id."""
        identifier = self.sim.control.add_fault(kind, **parameters)
        if Fault.model_validate({"kind": kind, **parameters}).is_gateway:
            self.journal.uncounted.add(identifier)
        return identifier

    def world_vault(self, number: int) -> SimulatedVault:
        """A vault's own state, to read."""
        name = self.vaults[number].name
        return next(each for each in self.sim.world.vaults.values() if each.spec.name == name)

    def stuck_jobs(self, number: int) -> list[Job]:
        """Jobs on mappings or agents of a vault that would run for ever."""
        return _stuck_jobs(self.world_vault(number))

    def end_stuck_jobs(self) -> None:
        """Cancel what would run for ever, as somebody would in the portal."""
        headers = {"X-IDENTITY-HEADER": self.sim.scenario.identity.secret}
        query = "api-version=2019-08-01&resource=https://management.azure.com"
        for job in [job for vault in list(self.sim.world.vaults.values()) for job in _stuck_jobs(vault)]:
            url = f"{self.sim.url}{job.path}/cancel?api-version=2025-08-01"

            def cancel(url: str = url, job: Job = job) -> bool:
                if job.course.end < math.inf:
                    return True  # an answer got lost: asked again, the service refuses
                token = _call(f"{self.sim.url}/msi/token?{query}", headers)
                return token is not None and (
                    _call(url, {"Authorization": f"Bearer {token['access_token']}"}, method="POST") is not None
                )

            wait_until(cancel, within=_PATIENCE, what=f"the cancellation of job {job.name}")
            self.journal.note(f"cancelled job {job.name} of {job.target_name}", count="cancelled")

    # --- resources --------------------------------------------------------------------------------------------

    def _declare(self, action: Create | Edit | Delete | Look | UpdateAgents) -> None:
        match action:
            case Create():
                self.create(action)
            case Edit():
                self.edit(action.name, **action.spec)
            case Delete():
                self.delete(action.name)
            case Look():
                self.look()
            case UpdateAgents():
                self.update_agents(action.name)

    def create(self, wanted: Create) -> None:
        """Create a resource; one of that name may be on its way out."""
        always = {"account": "own"} | ({"jobTimeout": "1m"} if self.plan.patient else {})
        body = manifest(wanted.name, **self._spec(wanted.vault, {**always, **wanted.spec}))
        self._note("declared", lambda: self.rest.create(collection_path(self.namespace), body))

    def edit(self, name: str, **fields: Any) -> None:
        """Change fields of a resource's spec, if it is still there."""
        current = self.objects.get(name)
        if current is None:
            return
        number = next(
            number for number, each in enumerate(self.vaults) if each.id == current["spec"]["vaultResourceId"]
        )
        patch = {"spec": self._spec(number, fields, whole=False)}
        self._note("declared", partial(self._merge, name, patch))

    def delete(self, name: str) -> None:
        """Delete a resource, if it is there; it may stay for as long as it has a finalizer."""
        if (current := self.objects.pop(name, None)) is None:
            return
        path = resource_path(self.namespace, name)
        at = self.journal.now()
        self.persist(lambda: self._delete(path))
        self.journal.resources.append(ResourceNote(at, "deleted", current))

    def look(self) -> None:
        """Ask for a look at everything, as if each interval were over."""
        self.looks += 1
        patch = {"metadata": {"annotations": {REQUESTED_AT: f"look-{self.looks}"}}}
        for name in list(self.objects):
            self.persist(partial(self._merge, name, patch))
        self.policy.ask(self.rest, self.persist)

    def update_agents(self, name: str) -> None:
        """Open a window for updates of agents, whatever has become of the one before."""
        self.windows += 1
        self.persist(partial(self._merge, name, {"metadata": {"annotations": {UPDATE_AGENTS_NOW: self.window}}}))

    @property
    def window(self) -> str:
        """What asked for the last window."""
        return f"window-{self.windows}"

    def _note(self, kind: Any, act: Callable[[], dict[str, Any]]) -> None:
        at = self.journal.now()
        body = self.persist(act)
        self.objects[body["metadata"]["name"]] = body
        self.journal.resources.append(ResourceNote(at, kind, body))

    def _merge(self, name: str, patch: dict[str, Any]) -> dict[str, Any]:
        path = resource_path(self.namespace, name)
        merged: dict[str, Any] = self.rest.request("PATCH", path, patch, content_type=MERGE_PATCH)
        return merged

    def _delete(self, path: str) -> bool:
        try:
            self.rest.request("DELETE", path)
        except ApiError as error:
            if error.code != 404:
                raise
        return True

    def _spec(self, number: int, fields: dict[str, Any], *, whole: bool = True) -> dict[str, Any]:
        vault, spec = self.vaults[number], dict(fields)
        if (account := spec.pop("account", None)) is not None:
            spec["automationAccountResourceId"] = vault.account if account == "own" else f"{vault.account}-2"
        return {"vaultResourceId": vault.id, **spec} if whole else spec

    def persist(self, act: Callable[[], T]) -> T:
        """Do something at the API server, again and again while it is away: each of these acts may be repeated."""
        last: list[str] = [""]

        def attempt() -> tuple[T] | None:
            try:
                return (act(),)
            except ApiError as error:
                if error.code not in _RETRIED:
                    raise
                if error.code == 409 and (found := self._own(error)) is not None:
                    return (found,)
                last[0] = str(error)
            except requests.RequestException as error:
                last[0] = str(error)
            return None

        return wait_until(attempt, within=_PATIENCE, what=lambda: f"an answer of the API server: {last[0]}")[0]

    def _own(self, error: ApiError) -> Any:
        """The object that a creation found in its place, if it was made by an earlier try that got no answer."""
        found = re.search(r'"([^"]+)" already exists', str(error))
        if found is None:
            return None
        body = self.rest.get_or_none(resource_path(self.namespace, found[1]))
        known = {note.body["metadata"]["uid"] for note in self.journal.resources}
        return body if body is not None and body["metadata"]["uid"] not in known else None


def _stuck_jobs(vault: SimulatedVault) -> list[Job]:
    jobs = list(vault.unfinished.values())
    ours = vault.setting_updates.keys() | vault.agent_updates.keys()
    return [job for job in jobs if job.number in ours and job.course.end == math.inf]


def setting_of(mapping: ContainerMapping) -> Setting:
    """What a mapping of the simulator is."""
    now = mapping.auto_update
    return Setting(now.status, (now.account or "").casefold(), now.authentication, mapping.ailment is not None)


def throttle_section(plan: ChaosPlan, other_client: float = 0.0) -> dict[str, Any]:
    """The limits of the simulator."""
    return {
        "enabled": plan.enforced,
        "writes": f"{plan.write_limit}/60s",
        "other_client_writes_per_minute": other_client,
    }


def _call(url: str, headers: dict[str, str], *, method: str = "GET") -> dict[str, Any] | None:
    """The JSON of an answer; None for an answer that is none, since faults hit everybody."""
    request = urllib.request.Request(url, headers=headers, method=method, data=b"" if method == "POST" else None)
    try:
        with urllib.request.urlopen(request, timeout=2) as answer:
            document: dict[str, Any] = json.load(answer)
            return document
    except (urllib.error.URLError, OSError, ValueError):
        return None
