"""The operator's core in this process, against a simulator over real HTTP, with time running fast."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from asr_simulator import SimulatorThread
from asr_simulator.control_types import RequestRecord
from vault_autoupdate.arm.throttle import CallKind
from vault_autoupdate.core import Core, open_core
from vault_autoupdate.decide.jobs import Verdict, WorkKind
from vault_autoupdate.decide.plan import Plan
from vault_autoupdate.decide.state import VaultState
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.model.resource import API_VERSION, KIND, VaultAutoUpdate, parse_resource
from vault_autoupdate.reconcile.reconciler import Outcome
from vault_autoupdate.report.readiness import Readiness
from vault_autoupdate.settings import load_settings
from workbench.process.operator import scaled_settings

SCALE: Final = 100.0
"""Simulated seconds in a second."""
SUBSCRIPTION: Final = "6f3b9f5e-8a3c-4c7e-9a53-0d1f6b2c7a10"
VAULT: Final = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-dr/providers/Microsoft.RecoveryServices/vaults/dr"
ACCOUNT: Final = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-dr/providers/Microsoft.Automation/automationAccounts/aa-dr"
)

__all__ = ["ACCOUNT", "SCALE", "VAULT", "Azure", "Recorder", "open_azure", "resource", "scenario_document"]


def resource(**changes: Any) -> VaultAutoUpdate:
    """A resource that wants auto-update Enabled in `VAULT`, with some fields of its spec changed.

    ``deleting``, ``generation`` and ``annotations`` go to the metadata.
    """
    metadata: dict[str, Any] = {"name": "dr", "namespace": "default", "uid": "uid-dr", "generation": 1}
    metadata["annotations"] = changes.pop("annotations", {})
    if changes.pop("deleting", False):
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    metadata["generation"] = changes.pop("generation", 1)
    spec = {"vaultResourceId": VAULT, "autoUpdate": "Enabled", "automationAccountResourceId": ACCOUNT, **changes}
    spec = {name: value for name, value in spec.items() if value is not None}
    return parse_resource({"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec})


def scenario_document(*, mix: Mapping[str, int] | None = None, **changes: Any) -> dict[str, Any]:
    """A scenario with one vault of ``mix`` and jobs of ten simulated seconds; ``changes`` replace top-level keys."""
    vault: dict[str, Any] = {
        "subscription": SUBSCRIPTION,
        "resource_group": "rg-dr",
        "name": "dr",
        "automation_account": ACCOUNT,
        "mix": dict(mix or {"disabled": 3}),
        **changes.pop("vault", {}),
    }
    if "mappings" in vault:
        del vault["mix"]
    return {"time_scale": SCALE, "jobs": {"duration": {"min": 10, "max": 10}}, "vaults": [vault], **changes}


@dataclass
class Recorder:
    """Notes what the core tells. Implements `CallObserver` and `RunObserver`."""

    outcomes: Counter[str] = field(default_factory=Counter)
    agent_outcomes: Counter[str] = field(default_factory=Counter)
    explanations: dict[str, Explanation] = field(default_factory=dict)
    unknown_states: list[str] = field(default_factory=list)
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    drift: list[tuple[int, int]] = field(default_factory=list)

    def work_failed_to_start(self, kind: WorkKind, label: str, explanation: Explanation) -> None:
        self._outcomes_of(kind)["failed_to_start"] += 1
        self.explanations[label] = explanation

    def work_ended(
        self, kind: WorkKind, label: str, verdict: Verdict, took: timedelta, explanation: Explanation
    ) -> None:
        self._outcomes_of(kind)[str(verdict)] += 1
        self.explanations[label] = explanation

    def drift_found(self, drifted: int, unhealthy: int) -> None:
        self.drift.append((drifted, unhealthy))

    def job_state_unknown(self, state: str) -> None:
        self.unknown_states.append(state)

    def call_finished(self, operation: str, code: str, seconds: float) -> None:
        self.calls[operation, code] += 1

    def _outcomes_of(self, kind: WorkKind) -> Counter[str]:
        return self.outcomes if kind is WorkKind.MAPPING else self.agent_outcomes

    def call_waited(self, kind: CallKind, seconds: float) -> None:
        pass

    def call_throttled(self, kind: CallKind) -> None:
        pass

    def quota_reported(self, kind: CallKind, remaining: int) -> None:
        pass


class Azure:
    """A running simulator and the core that talks to it."""

    def __init__(self, sim: SimulatorThread, core: Core, recorder: Recorder) -> None:
        self.sim = sim
        self.control = sim.control
        self.core = core
        self.recorder = recorder
        self.reports: list[Readiness] = []

    async def reconcile(
        self,
        wanted: VaultAutoUpdate,
        state: VaultState | None = None,
        *,
        superseded: asyncio.Event | None = None,
        on_report: Callable[[Readiness], None] | None = None,
    ) -> Outcome:
        """One pass, to its end."""

        async def report(readiness: Readiness) -> None:
            self.reports.append(readiness)
            if on_report:
                on_report(readiness)

        return await self.core.reconciler.reconcile(
            wanted, state if state is not None else VaultState(), report, superseded or asyncio.Event()
        )

    async def plan(self, wanted: VaultAutoUpdate) -> Plan:
        """What would be done."""
        return await self.core.reconciler.plan(wanted)

    def patched(self) -> dict[str, int]:
        """By mapping name: PATCHes that the service accepted."""
        return {record["name"]: record["accepted"] for record in self.control.patches().values() if record["accepted"]}

    def requests(self, method: str = "", kind: str = "") -> list[RequestRecord]:
        """Requests that the service has seen."""
        return list(self.control.requests(limit=20_000, method=method or None, kind=kind or None))


@contextmanager
def open_azure(sim: SimulatorThread, **settings: str) -> Iterator[Azure]:
    """Open the core against a running simulator, with settings as fast as its clock; ``settings`` replace some.

    azure-identity finds the token endpoint by the process's environment: see `SimulatorThread.identity_env`.
    """
    values = {
        **scaled_settings(sim.scenario.time_scale),
        "VAULT_AUTOUPDATE_ARM_ENDPOINT": sim.url,
        "VAULT_AUTOUPDATE_CREDENTIAL": "managed-identity",
        "VAULT_AUTOUPDATE_REQUEST_TIMEOUT": "2s",
        **{f"VAULT_AUTOUPDATE_{name.upper()}": value for name, value in settings.items()},
    }
    recorder = Recorder()
    with open_core(load_settings({}, values), sim.identity_env, calls=recorder, runs=recorder) as core:
        yield Azure(sim, core, recorder)
