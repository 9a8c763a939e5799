"""Watches every answer of a simulator: whatever call it is, the body must be exactly what Microsoft's models say."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from azure.mgmt.automation import models as automation
from azure.mgmt.recoveryservices import models as vaults
from azure.mgmt.recoveryservicessiterecovery import models

from asr_simulator.routes import AUTOMATION, LOGIN, RouteKind, match_path
from tests.contract.strict import list_problems, problems
from tests.simulator.helpers import Arm

__all__ = ["ITEMS", "LISTS", "Watcher"]

LISTS: Final[dict[RouteKind, type[Any]]] = {
    RouteKind.VAULTS: vaults.Vault,
    RouteKind.MAPPINGS: models.ProtectionContainerMapping,
    RouteKind.CONTAINER_MAPPINGS: models.ProtectionContainerMapping,
    RouteKind.JOBS: models.Job,
    RouteKind.PROTECTED_ITEMS: models.ReplicationProtectedItem,
    RouteKind.CONTAINER_PROTECTED_ITEMS: models.ReplicationProtectedItem,
    RouteKind.SCHEDULES: automation.Schedule,
    RouteKind.JOB_SCHEDULES: automation.JobSchedule,
    RouteKind.AUTOMATION_JOBS: automation.JobCollectionItem,
    RouteKind.USAGES: automation.Usage,
}
ITEMS: Final[dict[RouteKind, type[Any]]] = {
    RouteKind.VAULT: vaults.Vault,
    RouteKind.MAPPING: models.ProtectionContainerMapping,
    RouteKind.OPERATION_RESULT: models.ProtectionContainerMapping,
    RouteKind.JOB: models.Job,
    RouteKind.JOB_CANCEL: models.Job,
    RouteKind.PROTECTED_ITEM: models.ReplicationProtectedItem,
    RouteKind.ITEM_OPERATION_RESULT: models.ReplicationProtectedItem,
    RouteKind.VAULT_HEALTH: models.VaultHealthDetails,
    RouteKind.AUTOMATION_ACCOUNT: automation.AutomationAccount,
}
_STATUS: Final = {"error", "id", "name", "properties", "status", "startTime", "endTime", "percentComplete"}


@dataclass
class Watcher:
    """Checks answers as they arrive, and remembers what kinds of things it has seen."""

    problems: list[str] = field(default_factory=list)
    routes: Counter[tuple[RouteKind, int]] = field(default_factory=Counter)
    seen: dict[str, set[str]] = field(default_factory=dict)
    """Values seen of whatever tells kinds apart: error codes, states, variants."""

    def watch(self, arm: Arm) -> None:
        """Check all that ``arm`` gets from now on."""
        arm.session.hooks["response"].append(lambda answer, **_: self._check(answer))

    def _check(self, answer: requests.Response) -> None:
        path = urlsplit(answer.url).path
        kind = match_path(path).kind
        if kind in LOGIN:
            return
        self.routes[kind, answer.status_code] += 1
        found = self._problems(kind, path, answer)
        self.problems += [f"{answer.request.method} {path} -> {answer.status_code}: {problem}" for problem in found]

    def _problems(self, kind: RouteKind, path: str, answer: requests.Response) -> list[str]:
        if answer.status_code == 202:
            return ["a body"] if answer.content else []
        document = answer.json()
        if answer.status_code >= 400:
            # Of a schedule that is not there, or is refused, Automation has no envelope (recorded).
            wrapped = {"error": document} if kind in AUTOMATION and "error" not in document else document
            self._note("code", wrapped["error"]["code"])
            return problems(_error_model(kind), wrapped)
        if kind is RouteKind.OPERATION_STATUS:
            self._note("status", document["status"])
            return [f"fields {document.keys() ^ _STATUS}"] if document.keys() != _STATUS else []
        if kind is RouteKind.VAULT_SETTINGS:
            single = path.lower().endswith("/default")
            return (problems if single else list_problems)(models.VaultSetting, document)
        is_list = kind in LISTS and "value" in document  # a schedule has the route of the list of them
        for item in document["value"] if is_list else [document]:
            self._note_kind(kind, item)
        return list_problems(LISTS[kind], document) if is_list else problems((ITEMS | LISTS)[kind], document)

    def _note(self, what: str, value: Any) -> None:
        self.seen.setdefault(what, set()).add(str(value))

    def _note_kind(self, kind: RouteKind, item: dict[str, Any]) -> None:
        if kind in AUTOMATION:
            self._note_automation(kind, item)
            return
        properties = item["properties"]
        if kind in (RouteKind.JOB, RouteKind.JOB_CANCEL):
            self._note("job", f"{properties['state']} {properties['stateDescription']}")
            for error in properties["errors"]:
                self._note("job error", "providerErrorDetails" in error)
        elif kind in (RouteKind.MAPPING, RouteKind.MAPPINGS):
            details = properties.get("providerSpecificDetails", {"instanceType": None})
            self._note("mapping", f"{details['instanceType']} {details.get('agentAutoUpdateStatus')}")
            self._note("mapping health", properties["health"])
            self._note("mapping state", properties["state"] == "Paired")
        elif kind in (RouteKind.PROTECTED_ITEM, RouteKind.PROTECTED_ITEMS):
            details = properties["providerSpecificDetails"]
            self._note("item", properties["protectionState"])
            self._note("agent", details["isReplicationAgentUpdateRequired"])
            self._note("upgrade", details.get("isAgentUpgradeInProgress"))
            self._note("blocked", bool(details.get("reasonsBlockingReinstallDetails")))

    def _note_automation(self, kind: RouteKind, item: dict[str, Any]) -> None:
        if kind is RouteKind.AUTOMATION_ACCOUNT:
            self._note("account", f"{item['properties']['state']} {item['identity']['type']}")
        elif kind is RouteKind.AUTOMATION_JOBS:
            self._note("run", item["properties"]["status"])
        elif kind is RouteKind.SCHEDULES:
            self._note("schedule", item["properties"]["isEnabled"])


def _error_model(kind: RouteKind) -> type[Any]:
    if kind in AUTOMATION:
        return automation.ErrorResponse
    return vaults.ErrorResponse if kind in (RouteKind.VAULT, RouteKind.VAULTS) else models.ErrorResponse
