"""The way of Microsoft's runbook: its constants, its order, its sleeps, its table of states; see `docs/performance.md`.

What is left out costs no time in a run that goes well: the validation of its parameters, and a token before each
call (it gets one for the whole run here). The one thing added is that it reads all pages of the list.
"""

from __future__ import annotations

import os
import uuid
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from azure.identity import ManagedIdentityCredential

from asr_simulator.control_client import ControlClient
from benchmarks.scenarios import Vault
from benchmarks.task import Answer, SimulatedClock, Task

_AUDIENCE: Final = "https://management.core.windows.net/.default"
_API_VERSION: Final = "2021-12-01"
_RETRIES: Final = 3
_RETRY_PAUSE: Final = 2.0
_PATCH_PAUSE: Final = 1.0
_ROUND_PAUSE: Final = 30.0
_GET_PAUSE: Final = 0.5
_TIMEOUT: Final = 160 * 60.0
_SUCCESS: Final = frozenset({"Succeeded", "PartiallySucceeded", "CompletedWithInformation"})

__all__ = ["run"]


class Runbook:
    """One run over one vault."""

    def __init__(self, task: Task, clock: SimulatedClock) -> None:
        self._clock = clock
        self._url = task.url
        self._task_id = uuid.uuid4()
        self._http = requests.Session()
        self._http.trust_env = False
        token = ManagedIdentityCredential().get_token(_AUDIENCE).token
        self._http.headers["Authorization"] = f"Bearer {token}"

    def make(self, vault: Vault) -> tuple[int, int]:
        """Run to the end; returns how many jobs succeeded, and how many were to."""
        began = self._clock.now()
        wanted = [mapping for mapping in self._mappings(vault) if _is_to_change(mapping, vault)]
        jobs = [job for mapping in wanted if (job := self._patch(mapping, vault)) is not None]
        succeeded = 0
        while jobs:
            self._clock.sleep(_ROUND_PAUSE)
            left = []
            for job in jobs:
                status = self._status(job)
                if status in {"InProgress", None}:
                    left.append(job)
                succeeded += status in _SUCCESS
                self._clock.sleep(_GET_PAUSE)
            jobs = left
            if self._clock.now() - began > _TIMEOUT:
                break
        return succeeded, len(wanted)

    def _mappings(self, vault: Vault) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        link: str | None = f"{vault.id}/replicationProtectionContainerMappings?api-version={_API_VERSION}"
        while link:
            page = self._call("GET", link).json()
            found += page["value"]
            link = page.get("nextLink")
        return found

    def _patch(self, mapping: dict[str, Any], vault: Vault) -> str | None:
        body = {
            "properties": {
                "providerSpecificInput": {
                    "instanceType": "A2A",
                    "agentAutoUpdateStatus": "Enabled",
                    "automationAccountArmId": vault.account,
                    "automationAccountAuthenticationType": "SystemAssignedIdentity",
                }
            }
        }
        job = None
        for attempt in range(1 + _RETRIES):
            try:
                answer = self._call("PATCH", f"{mapping['id']}?api-version={_API_VERSION}", body)
            except requests.RequestException:
                if attempt < _RETRIES:
                    self._clock.sleep(_RETRY_PAUSE)
            else:
                job = answer.headers["Azure-AsyncOperation"]
                break
        self._clock.sleep(_PATCH_PAUSE)
        return job

    def _status(self, job: str) -> str | None:
        try:
            return str(self._call("GET", job).json()["status"])
        except requests.RequestException:
            return None

    def _call(self, method: str, target: str, body: dict[str, Any] | None = None) -> requests.Response:
        url = target if urlsplit(target).scheme else f"{self._url}{target}"
        headers = {"x-ms-client-request-id": f"{self._task_id}/{uuid.uuid4()}"}
        answer = self._http.request(method, url, json=body, headers=headers, timeout=60)
        answer.raise_for_status()
        return answer


def run(task: Task) -> Answer:
    """Run the runbook's way over each vault in turn, as somebody would who starts it for each."""
    os.environ.setdefault("NO_PROXY", "127.0.0.1")
    clock = SimulatedClock(ControlClient(task.url), task.scale)
    runbook = Runbook(task, clock)
    answer = Answer(began=clock.now())
    for vault in task.vaults:
        succeeded, wanted = runbook.make(vault)
        answer.ready[vault.name] = clock.now()
        answer.notes = f"{succeeded} of {wanted} jobs succeeded"
    answer.ended, answer.finished = clock.now(), True
    return answer


def _is_to_change(mapping: dict[str, Any], vault: Vault) -> bool:
    properties = mapping["properties"]
    details = properties.get("providerSpecificDetails") or {}
    if str(details.get("instanceType", "")).lower() != "a2a" or properties.get("state") != "Paired":
        return False
    is_right = (
        details.get("agentAutoUpdateStatus") == "Enabled"
        and str(details.get("automationAccountArmId", "")).lower() == vault.account.lower()
        and not properties.get("healthErrorDetails")
    )
    return not is_right
