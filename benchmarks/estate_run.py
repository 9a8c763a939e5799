"""One policy, step by step: the operator, the API server and the simulator are processes of their own."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.simulator import SimulatorProcess
from benchmarks.usage import cpu_seconds, peak_resident_bytes, resident_bytes
from vault_autoupdate.model.resource import POLICY_PLURAL, REQUESTED_AT
from workbench.kube.control_plane import ControlPlane
from workbench.kube.resources import (
    CRD_FILE,
    POLICY_CRD_FILE,
    collection_path,
    install_definition,
    policy_manifest,
    resource_path,
)
from workbench.kube.rest import MERGE_PATCH
from workbench.policy_site import subscription_of, vault_spec
from workbench.process.operator import OperatorProcess
from workbench.process.waiting import wait_until

SCALE: Final = 60.0
"""Simulated seconds in a second."""
_NAMESPACE: Final = "default"
_NAME: Final = "estate"
_GROUP: Final = "mg"
_RING: Final = "ring"
_CANARY: Final = "canary"
_LOOKS: Final = 2
"""Discoveries under each fault."""
_WITHIN: Final = 1800.0
_OTHER: Final = 1
"""The subscription that some faults are about."""
_GRAPH: Final = {"kind": "status", "route": "resource_graph"}
_LISTED: Final = {"discovery": {"source": "List"}}
_FAULTS: Final[tuple[tuple[str, dict[str, Any], tuple[dict[str, Any], ...]], ...]] = (
    ("half of Graph's rows missing, with success", {}, ({"kind": "rows_missing", "route": "resource_graph"},)),
    ("Graph empty, with success", {}, ({"kind": "empty_list", "route": "resource_graph"},)),
    ("rows shift between pages of Graph", {}, ({"kind": "graph_rows_shift"},)),
    ("Graph truncated", {}, ({"kind": "graph_truncated"},)),
    ("Graph's limit of subscriptions hit", {}, ({"kind": "graph_limit_hit"},)),
    ("Graph's quota used up (429)", {}, (_GRAPH | {"status": 429, "code": "RateLimiting"},)),
    ("Graph denied (403)", {}, (_GRAPH | {"status": 403, "code": "AccessDenied"},)),
    ("half of the lists' rows missing, with success", _LISTED, ({"kind": "rows_missing"},)),
    ("lists empty, with success", _LISTED, ({"kind": "empty_list"},)),
    (
        "one subscription denied (403)",
        _LISTED,
        tuple(
            {"kind": "status", "route": route, "subscription": "OTHER", "status": 403, "code": "AuthorizationFailed"}
            for route in ("vaults", "vault")
        ),
    ),
    (
        "SubscriptionNotFound everywhere",
        _LISTED,
        tuple(
            {"kind": "status", "route": route, "status": 404, "code": "SubscriptionNotFound"}
            for route in ("vaults", "vault")
        ),
    ),
    (
        "no right in any subscription (200, none listed)",
        _LISTED,
        ({"kind": "status", "route": "subscriptions", "status": 200, "body": '{"value": []}'},),
    ),
    (
        "management group empty, with success",
        _LISTED,
        ({"kind": "status", "route": "descendants", "status": 200, "body": '{"value": []}'},),
    ),
)

__all__ = ["EstateResult", "FaultResult", "StepResult", "run_estate"]


@dataclass(frozen=True)
class StepResult:
    """What one step took, in real time."""

    name: str
    seconds: float
    calls: int
    """To Azure."""
    cpu: float


@dataclass(frozen=True)
class FaultResult:
    """What came of two discoveries under a fault, with a policy that may remove all it likes."""

    name: str
    removed: int
    patches: int
    """Of mappings, whatever to: all of them are as declared from the beginning."""
    said: str
    """The reason of DiscoveryComplete, and what else tells of it."""


@dataclass(frozen=True)
class EstateResult:
    """What was measured."""

    subscriptions: int
    vaults: int
    steps: tuple[StepResult, ...]
    waves_in_order: bool
    list_calls: int
    """Of a discovery by lists, without tokens."""
    graph_calls: int
    """Of one by Resource Graph."""
    faults: tuple[FaultResult, ...]
    peak_mib: float
    rest_mib: float


def run_estate(subscriptions: int, vaults: int, *, faults: int | None = None) -> EstateResult:
    """Measure one policy over so many subscriptions with so many vaults each.

    Args:
        subscriptions: how many.
        vaults: in each of them.
        faults: how many of the faults; None for all.
    """
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vault-autoupdate-estate-")))
        document = _document(subscriptions, vaults)
        starts = stack.enter_context(ThreadPoolExecutor(1)).submit(SimulatorProcess, document, directory)
        stack.callback(lambda: starts.result().close())
        plane = stack.enter_context(ControlPlane(directory / "control-plane"))
        for definition in (CRD_FILE, POLICY_CRD_FILE):
            install_definition(plane.rest, definition)
        simulator = starts.result()
        operator = OperatorProcess(
            directory,
            kubeconfig=plane.admin_kubeconfig,
            arm_url=simulator.url,
            identity=simulator.identity,
            scale=SCALE,
            settings={
                "VAULT_AUTOUPDATE_POLICIES": "true",
                "VAULT_AUTOUPDATE_LOG_LEVEL": "warning",
                "VAULT_AUTOUPDATE_AGENT_INTERVAL": "0s",
            },
        )
        stack.enter_context(operator)
        operator.wait_ready(within=90)
        return _Estate(plane, simulator, operator, subscriptions, vaults).run(_FAULTS[:faults])


def _vault(subscription: int, number: int) -> dict[str, Any]:
    """A vault with one mapping that is right; the first of each subscription is a canary."""
    return vault_spec(subscription, number, mix={"enabled_compliant": 1}, tags={_RING: _CANARY} if number == 0 else {})


def _document(subscriptions: int, vaults: int) -> dict[str, Any]:
    return {
        "time_scale": SCALE,
        "jobs": {"duration": {"min": 5, "max": 20}},
        "latency": {"min": 0, "max": 0},
        "graph": {"spread": 0, "lag": 1},
        "management_groups": [{"name": _GROUP}],
        "subscriptions": [
            {"id": subscription_of(number), "management_group": _GROUP} for number in range(subscriptions)
        ],
        "vaults": [_vault(subscription, number) for subscription in range(subscriptions) for number in range(vaults)],
    }


@dataclass
class _Estate:
    plane: ControlPlane
    simulator: SimulatorProcess
    operator: OperatorProcess
    subscriptions: int
    vaults: int
    steps: list[StepResult] = field(default_factory=list)
    asked: int = 0

    def run(self, faults: tuple[tuple[str, dict[str, Any], tuple[dict[str, Any], ...]], ...]) -> EstateResult:
        count = self.subscriptions * self.vaults
        with self._step("audited, by lists"):
            self._apply()
            self._wait(lambda status: (status.get("pending") or {}).get("create") == count)
        list_calls = self.steps[-1].calls
        with self._step(f"rolled out in two waves, {self.subscriptions:,} canaries first"):
            self._apply(mode="Enforce")
            self._wait(lambda status: status.get("coverage") == f"{count}/{count}" and _is_ready(status))
        in_order = self._waves_in_order()
        with self._step("a discovery by Resource Graph"):
            self._discover()
        graph_calls = self.steps[-1].calls
        with self._step("a new vault found and covered"):
            self.simulator.control.add_vaults(_vault(0, self.vaults))
            self.simulator.control.advance(300)  # until Resource Graph has learnt of it
            self._discover()
            self._wait(lambda status: status.get("coverage") == f"{count + 1}/{count + 1}" and _is_ready(status))
        pid = self.operator.child.pid
        return EstateResult(
            subscriptions=self.subscriptions,
            vaults=count,
            steps=tuple(self.steps),
            waves_in_order=in_order,
            list_calls=list_calls,
            graph_calls=graph_calls,
            faults=tuple(self._suffer(*each) for each in faults),
            peak_mib=peak_resident_bytes(pid) / 2**20,
            rest_mib=resident_bytes(pid) / 2**20,
        )

    def _suffer(self, name: str, spec: dict[str, Any], faults: tuple[dict[str, Any], ...]) -> FaultResult:
        """Discover twice under a fault, with a policy that may remove everything."""
        self._apply(mode="Enforce", onUnmatched="Release", **spec)
        self._discover()
        before = self._children()
        for fault in faults:
            named = {key: subscription_of(_OTHER) if value == "OTHER" else value for key, value in fault.items()}
            self.simulator.control.add_fault(**named, forever=True)
        for _ in range(_LOOKS):
            self._discover()
        status = self._status()
        self.simulator.control.clear_faults()
        patches = self.simulator.control.requests(limit=10**6, method="PATCH")
        return FaultResult(name, len(before - self._children()), len(patches), _said(status))

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        pid, control = self.operator.child.pid, self.simulator.control
        began, cpu, calls = time.monotonic(), cpu_seconds(pid), control.state()["requests"]
        yield
        seconds = time.monotonic() - began
        # The token is no call to Resource Manager, and this question is one of the simulator's own.
        made = len([each for each in control.requests(since=calls, limit=10**6) if each["kind"] != "token"])
        self.steps.append(StepResult(name, seconds, made, cpu_seconds(pid) - cpu))
        print(f"  {name}: {seconds:.1f} s, {made:,} calls", flush=True)

    def _apply(self, **spec: Any) -> None:
        limits = {
            "maxNew": 1000,
            "maxNewPerHour": 100_000,
            "maxRemovals": "100%",
            "minSuccessTime": "0s",
            "waves": {"tag": _RING, "order": [_CANARY]},
        }
        fields = {
            "scope": {"managementGroups": [_GROUP]},
            "automationAccount": [{"namePattern": "aa-*"}],
            "limits": limits,
            "discovery": {"source": "Auto"},
        }
        document = policy_manifest(_NAME, **(fields | spec))
        path = resource_path(_NAMESPACE, _NAME, plural=POLICY_PLURAL)
        if self.plane.rest.get_or_none(path) is None:
            self.plane.rest.create(collection_path(_NAMESPACE, POLICY_PLURAL), document)
        else:
            self.plane.rest.request("PATCH", path, {"spec": document["spec"]}, content_type=MERGE_PATCH)

    def _discover(self) -> None:
        """Ask for a discovery, as if the interval were over, and wait for it."""
        self.asked += 1
        asked, path = f"ask-{self.asked}", resource_path(_NAMESPACE, _NAME, plural=POLICY_PLURAL)
        patch = {"metadata": {"annotations": {REQUESTED_AT: asked}}}
        self.plane.rest.request("PATCH", path, patch, content_type=MERGE_PATCH)
        self._wait(lambda status: status.get("lastHandledReconcileAt") == asked)

    def _wait(self, holds: Callable[[dict[str, Any]], object]) -> None:
        def told() -> bool:
            self.operator.child.check_alive()
            return bool(holds(self._status()))

        wait_until(told, within=_WITHIN, what=lambda: f"the policy: {self._status()}", every=0.2)

    def _status(self) -> dict[str, Any]:
        path = resource_path(_NAMESPACE, _NAME, plural=POLICY_PLURAL)
        status: dict[str, Any] = self.plane.rest.request("GET", path).get("status") or {}
        return status

    def _bodies(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.plane.rest.request("GET", f"{collection_path(_NAMESPACE)}?limit=20000")[
            "items"
        ]
        return found

    def _children(self) -> set[str]:
        return {body["metadata"]["name"] for body in self._bodies()}

    def _waves_in_order(self) -> bool:
        """Whether all canaries were made, and had been Ready, before the first of the others was made."""
        ready: list[str] = []
        made: list[str] = []
        for body in self._bodies():
            if body["spec"]["vaultResourceId"].endswith("-0"):
                conditions = body["status"]["conditions"]
                ready += [each["lastTransitionTime"] for each in conditions if each["type"] == "Ready"]
            else:
                made.append(body["metadata"]["creationTimestamp"])
        return max(ready) <= min(made)


def _is_ready(status: dict[str, Any]) -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions", ()))


def _said(status: dict[str, Any]) -> str:
    """What a policy says of what it could not see."""
    complete = next(each for each in status["conditions"] if each["type"] == "DiscoveryComplete")
    subscriptions, counts = status["discovery"]["subscriptions"], status["vaults"]
    parts = [f"{complete['reason']} by {status['discovery']['source']}", f"{counts['found']:,} found"]
    parts += [f"{subscriptions['unreachable']:,} subscriptions unreachable"] if subscriptions["unreachable"] else []
    parts += [f"{counts['orphaned']:,} orphaned"] if counts["orphaned"] else []
    return ", ".join(parts)
