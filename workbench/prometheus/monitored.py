"""A scenario with everything that monitoring is to show, and a Prometheus that watches it.

Five vaults: one that is made right, undone by somebody and made right again; one with changes that fail, health errors
that no repair cures, an Automation account that is suspended and an agent that has expired; one that may not be
changed; one with a run that an earlier process left behind; and one whose agents are updated in a window, until too
many updates have failed. A policy means all of them, and finds that each has a resource already.
"""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import requests

from asr_simulator import SimulatorThread, parse_scenario
from vault_autoupdate.arm.wire.site_recovery import job_id_of, patch_body
from vault_autoupdate.model.arm_id import mapping_path, parse_automation_account_id
from vault_autoupdate.model.resource import POLICY_PLURAL, REQUESTED_AT, UPDATE_AGENTS_NOW, AutoUpdate, Goal
from workbench.kube.embedded_api import EmbeddedApi, open_embedded_api
from workbench.kube.resources import (
    POLICY_CRD_FILE,
    collection_path,
    install_definition,
    manifest,
    policy_manifest,
    resource_path,
)
from workbench.kube.rest import MERGE_PATCH
from workbench.process.operator import OperatorProcess
from workbench.process.waiting import wait_until
from workbench.prometheus.server import PrometheusServer, without_waiting

ROOT: Final = Path(__file__).resolve().parents[2]
ALERTS: Final = ROOT / "charts/vault-autoupdate/files/alerts.yaml"
SCALE: Final = 30.0
"""Simulated seconds in a second."""
SUBSCRIPTIONS: Final = {
    "dr-weu": "6f3b9f5e-8a3c-4c7e-9a53-0d1f6b2c7a10",
    "unwell": "6f3b9f5e-8a3c-4c7e-9a53-0d1f6b2c7a11",
    "forbidden": "6f3b9f5e-8a3c-4c7e-9a53-0d1f6b2c7a12",
    "left-behind": "6f3b9f5e-8a3c-4c7e-9a53-0d1f6b2c7a13",
    "in-windows": "6f3b9f5e-8a3c-4c7e-9a53-0d1f6b2c7a14",
}
MIXES: Final = {
    "dr-weu": {"enabled_compliant": 60, "disabled": 120, "enabled_other_account": 30, "unpaired": 10},
    "unwell": {"enabled_compliant": 10, "disabled": 3, "enabled_unhealthy": 4},
    "forbidden": {"disabled": 5},
    "left-behind": {"enabled_compliant": 3, "disabled": 1},
    "in-windows": {"disabled": 6},
}
EXPECTED: Final = frozenset(
    {
        "VaultAutoUpdateAccessDenied",
        "VaultAutoUpdateAgentRolloutStopped",
        "VaultAutoUpdateAgentsBehind",
        "VaultAutoUpdateAgentsExpiring",
        "VaultAutoUpdateAgentsFarBehind",
        "VaultAutoUpdateAgentsLeftBehind",
        "VaultAutoUpdateAutomationAccountUnhealthy",
        "VaultAutoUpdateCredentialFailing",
        "VaultAutoUpdateDriftReturns",
        "VaultAutoUpdateJobsFailing",
        "VaultAutoUpdateJobsTimingOut",
        "VaultAutoUpdateNotReady",
        "VaultAutoUpdateRepairNotCuring",
        "VaultAutoUpdateStalled",
        "VaultAutoUpdateThrottled",
    }
)
"""Alerts that the scenario must set off; no other one may fire while the operator runs."""
NAMESPACE: Final = "default"

__all__ = ["ALERTS", "EXPECTED", "NAMESPACE", "SCALE", "SUBSCRIPTIONS", "Monitored", "monitored", "run_scenario"]


def vault_id(name: str) -> str:
    """The ARM id of a vault of the scenario."""
    return f"{_group(name)}/providers/Microsoft.RecoveryServices/vaults/{name}"


def account_id(name: str) -> str:
    """The ARM id of the Automation account of a vault."""
    return f"{_group(name)}/providers/Microsoft.Automation/automationAccounts/aa-{name}"


def _group(name: str) -> str:
    return f"/subscriptions/{SUBSCRIPTIONS[name]}/resourceGroups/rg-{name}"


def _document(scale: float) -> dict[str, Any]:
    return {
        "time_scale": scale,
        "seed": 11,
        "mappings_page_size": 50,
        "jobs": {"duration": {"min": 10, "max": 60}},
        "identity": {"token_lifetime": 301},  # replaced five minutes before its end: after a second
        "vaults": [
            {
                "subscription": SUBSCRIPTIONS[name],
                "resource_group": f"rg-{name}",
                "name": name,
                "location": "westeurope",
                "automation_account": account_id(name),
                "mix": mix,
                "incurable_share": 1.0,
                "items_per_mapping": 1,
                "outdated_agent_share": 1.0 if name == "in-windows" else 0.2,
                "roles": ["canary", "db", "web"],
                "vm_name": "{role}-{mapping:03}",
            }
            for name, mix in MIXES.items()
        ],
        "automation_accounts": [{"id": account_id("unwell"), "state": "Suspended"}],
        "agent_updates": {"failing": ["db-*"]},
    }


@dataclass
class Monitored:
    """A running scenario."""

    sim: SimulatorThread
    api: EmbeddedApi
    operator: OperatorProcess
    prometheus: PrometheusServer
    began: float = field(default_factory=time.time)
    ended: float = 0.0
    moments: dict[str, float] = field(default_factory=dict)
    """When the stages began: Unix time."""
    fired: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By name: alerts that have fired so far, as they were seen first."""

    def stage(self, name: str) -> None:
        """Note the beginning of a stage."""
        self.moments[name] = time.time()

    def create(self, name: str, *, annotations: Mapping[str, str] | None = None, **spec: Any) -> None:
        """Declare a vault of the scenario."""
        fields = {"vaultResourceId": vault_id(name), "automationAccountResourceId": account_id(name), **spec}
        document = manifest(name, namespace=NAMESPACE, **fields)
        document["metadata"]["annotations"] = dict(annotations or {})
        self.api.rest.create(collection_path(NAMESPACE), document)

    def status(self, name: str) -> dict[str, Any]:
        """The status of a resource."""
        document: dict[str, Any] = self.api.get(name).get("status") or {}
        return document

    def wait(self, name: str, wanted: Callable[[dict[str, Any]], object], *, within: float = 40) -> None:
        """Wait until the status of a resource is as wanted."""

        def reached() -> bool:
            self._look()
            return bool(wanted(self.status(name)))

        wait_until(reached, within=within, what=lambda: f"the status wanted of {name}: {self.status(name)}")

    def wait_ready(self, name: str) -> None:
        """Wait until a resource is Ready."""
        self.wait(name, lambda status: _ready(status).get("status") == "True")

    def ask(self, name: str) -> None:
        """Ask for a look now, and wait until the vault is as declared again."""
        stamp = uuid.uuid4().hex
        self.api.patch(name, {"metadata": {"annotations": {REQUESTED_AT: stamp}}})
        self.wait(
            name,
            lambda status: status.get("lastHandledReconcileAt") == stamp and _ready(status).get("status") == "True",
        )

    def wait_fired(self, *names: str) -> None:
        """Wait until these alerts have fired at some time."""

        def missing() -> set[str]:
            self._look()
            return set(names) - set(self.fired)

        wait_until(lambda: not missing(), within=60, what=lambda: f"{missing()} in /api/v1/alerts", every=0.2)

    def ask_until_fired(self, name: str, alert: str) -> None:
        """Ask for looks at a vault until an alert has fired: one refusal alone may lie between two good answers."""
        asked = itertools.count()

        def is_told() -> bool:
            self.api.patch(name, {"metadata": {"annotations": {REQUESTED_AT: f"look {next(asked)}"}}})
            self._look()
            return alert in self.fired

        wait_until(is_told, within=60, what=f"{alert} in /api/v1/alerts", every=3.0)

    def last(self, simulated_seconds: float) -> None:
        """Let the stage that began last go on until it is so old."""
        seconds = simulated_seconds / self.sim.scenario.time_scale
        end = max(self.moments.values()) + seconds
        wait_until(lambda: time.time() >= end, within=seconds + 1, what="the end of a stage")

    def _look(self) -> None:
        for alert in self.prometheus.alerts():
            if alert["state"] == "firing":
                self.fired.setdefault(alert["labels"]["alertname"], alert)


@contextmanager
def monitored(prometheus: str, work_dir: Path, *, scale: float = SCALE) -> Iterator[Monitored]:
    """Start everything; nothing is declared yet."""
    with ExitStack() as stack:
        sim = stack.enter_context(SimulatorThread(parse_scenario(_document(scale))))
        api = stack.enter_context(open_embedded_api(work_dir, emulate=True))
        install_definition(api.rest, POLICY_CRD_FILE)
        operator = OperatorProcess(
            work_dir,
            kubeconfig=api.kubeconfig,
            arm_url=sim.url,
            identity=sim.identity_env,
            scale=scale,
            settings={
                "VAULT_AUTOUPDATE_POLICIES": "true",
                "VAULT_AUTOUPDATE_LOG_LEVEL": "debug",
                "VAULT_AUTOUPDATE_LOG_FORMAT": "json",
                "VAULT_AUTOUPDATE_RETRY_MIN": "4s",
            },
        )
        server = stack.enter_context(  # first, so that it sees what the operator finds at its start
            PrometheusServer(
                prometheus, work_dir / "prometheus", target=operator.metrics_url, rules=without_waiting(ALERTS)
            )
        )
        running = Monitored(sim, api, operator, server)
        _leave_behind(running)
        stack.enter_context(operator)
        operator.wait_ready()
        absent = 'ALERTS{alertname="VaultAutoUpdateAbsent"}'
        wait_until(lambda: server.gives(f"up == 1 unless on() {absent}"), within=10, what="a first scrape")
        running.began = time.time()
        yield running


def run_scenario(running: Monitored) -> None:
    """All of it, in about half a minute."""
    sim = running.sim.control
    for mapping in sim.mappings("unwell"):
        if mapping["status"] == "Disabled":
            sim.add_fault("fail_job", method="PATCH", vault="unwell", mapping=mapping["name"], forever=True)
    sim.add_fault("status", status=403, code="AuthorizationFailed", method="PATCH", vault="forbidden", forever=True)
    _age_agents(running)

    running.stage("declared")
    running.create("dr-weu", drift={"attribution": "Caller"})
    running.create("unwell", runbookSchedule={"time": "02:30", "timeZone": "Europe/Berlin"})
    running.create("forbidden")
    running.create(
        "in-windows",
        annotations={UPDATE_AGENTS_NOW: "now"},
        autoUpdate="Disabled",
        automationAccountResourceId=None,
        agentUpdates={
            "schedule": "0 0 29 2 *",  # hardly ever: the window is the one that the annotation opens
            "duration": "1h",
            "maxConcurrent": 2,
            "maxFailures": 2,
            "order": ["canary-*"],
        },
    )
    running.api.rest.create(
        collection_path(NAMESPACE, plural=POLICY_PLURAL),
        policy_manifest(namespace=NAMESPACE, scope={"subscriptions": list(SUBSCRIPTIONS.values())}, mode="Enforce"),
    )
    running.wait_ready("dr-weu")

    running.stage("undone")
    for _ in range(3):
        sim.drift("disable", vault="dr-weu", count=8)
        running.ask("dr-weu")

    running.stage("throttled")
    sim.settings(throttle={"other_client_writes_per_minute": 190})
    sim.advance(120)  # until the other client's writes fill the window
    sim.drift("disable", vault="dr-weu", count=40)
    running.api.patch("dr-weu", {"metadata": {"annotations": {REQUESTED_AT: "throttled"}}})
    running.wait_fired("VaultAutoUpdateThrottled")
    running.last(120)

    running.stage("free again")
    sim.settings(throttle={})
    running.wait("dr-weu", lambda status: status.get("lastHandledReconcileAt") == "throttled")
    running.wait_ready("dr-weu")

    running.stage("refused again")
    running.ask_until_fired("forbidden", "VaultAutoUpdateAccessDenied")

    running.stage("no tokens")
    fault = sim.add_fault("token_down", forever=True)
    running.api.patch("dr-weu", {"metadata": {"annotations": {REQUESTED_AT: "no tokens"}}})
    running.wait_fired(*EXPECTED)
    running.stage("told of")
    running.last(45)  # so that whoever asks about the past between two evaluations finds it too
    sim.remove_fault(fault)
    running.ended = time.time()


def _age_agents(running: Monitored) -> None:
    """Let one agent be expired, another one expire soon, and those whose updates will fail be far behind."""
    sim, now = running.sim.control, datetime.now(UTC)
    for vault, days in {"unwell": -1, "dr-weu": 30}.items():
        item = sim.items(vault)[0]["vm_name"]
        sim.set_items(vault, item, expires_at=(now + timedelta(days=days)).isoformat())
    sim.set_items("in-windows", "db-*", version="9.48.1.1")


def _leave_behind(running: Monitored) -> None:
    """A resource with the status of a run that began three hours ago, and whose job never ends."""
    running.sim.control.add_fault("job_never_ends", method="PATCH", vault="left-behind", forever=True)
    running.create("left-behind")
    then = (datetime.now(UTC) - timedelta(hours=3)).strftime("%Y-%m-%dT%H:%M:%SZ")
    disabled = next(each for each in running.sim.control.mappings("left-behind") if each["status"] == "Disabled")
    status = {
        "observedGeneration": 1,
        "conditions": [
            {
                "type": "Ready",
                "status": "False",
                "reason": "Progressing",
                "message": "Setting auto-update.",
                "lastTransitionTime": then,
                "observedGeneration": 1,
            }
        ],
        "operations": [
            {"mapping": mapping_path(disabled["id"]), "startedAt": then, "jobId": _change(running.sim, disabled["id"])}
        ],
    }
    running.api.rest.request(
        "PATCH",
        resource_path(NAMESPACE, "left-behind", subresource="status"),
        {"status": status},
        content_type=MERGE_PATCH,
    )
    running.sim.control.reset_stats()  # what the earlier process did is not counted as the operator's


def _ready(status: dict[str, Any]) -> dict[str, Any]:
    return next((each for each in status.get("conditions", ()) if each["type"] == "Ready"), {})


def _change(sim: SimulatorThread, mapping_id: str) -> str:
    """Change a mapping as an earlier process did; returns the name of the job."""
    login = sim.identity_env
    token = requests.get(
        login["IDENTITY_ENDPOINT"],
        params={"api-version": "2019-08-01", "resource": "https://management.azure.com"},
        headers={"X-IDENTITY-HEADER": login["IDENTITY_HEADER"]},
        timeout=10,
    ).json()["access_token"]
    goal = Goal(AutoUpdate.ENABLED, parse_automation_account_id(account_id("left-behind")))
    answer = requests.patch(
        f"{sim.url}{mapping_id}",
        params={"api-version": "2025-08-01"},
        json=patch_body(goal),
        headers={"Authorization": f"Bearer {token}"},
        timeout=10,
    )
    answer.raise_for_status()
    return job_id_of({name.lower(): value for name, value in answer.headers.items()})
