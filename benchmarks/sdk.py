"""The obvious way with Microsoft's library: ``begin_update(...).result()`` for each mapping, in a pool of threads.

The library's own defaults, but for times, which are scaled: a poll every 30 s, its retry policy. One thread for each
mapping, since each of them waits for its job to the end.
"""

from __future__ import annotations

import threading
from typing import Any, Final

from azure.core.exceptions import AzureError
from azure.identity import ManagedIdentityCredential
from azure.mgmt.recoveryservicessiterecovery import SiteRecoveryManagementClient

from asr_simulator.control_client import ControlClient
from benchmarks.scenarios import Vault
from benchmarks.task import Answer, SimulatedClock, Task

_POLL: Final = 30.0
_HTTP: Final[dict[str, Any]] = {"enforce_https": False}
"""The library refuses to send a token over plain http unless told so with every call."""
_BACKOFF_FACTOR: Final = 0.8
_BACKOFF_MAX: Final = 120.0

__all__ = ["run"]


class _Tally:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.succeeded = self.failed = 0

    def add(self, *, success: bool) -> None:
        with self._lock:
            self.succeeded += success
            self.failed += not success


def run(task: Task) -> Answer:
    """Update every mapping that is not enabled; stop at the limit, since the poller may never end."""
    clock = SimulatedClock(ControlClient(task.url), task.scale)
    (vault,) = task.vaults
    tally = _Tally()
    with (
        ManagedIdentityCredential() as credential,
        SiteRecoveryManagementClient(
            credential,
            vault.subscription,
            base_url=task.url,
            polling_interval=clock.real(_POLL),
            retry_backoff_factor=clock.real(_BACKOFF_FACTOR),
            retry_backoff_max=clock.real(_BACKOFF_MAX),
        ) as client,
    ):
        answer = Answer(began=clock.now())
        wanted = [mapping for mapping in _list(client, vault) if not _is_enabled(mapping)]
        threads = [
            threading.Thread(target=_update, args=(client, vault, mapping, tally), daemon=True) for mapping in wanted
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, clock.real(answer.began + task.limit - clock.now())))
        waiting = sum(thread.is_alive() for thread in threads)
        answer.ended, answer.finished = clock.now(), waiting == 0
    answer.notes = f"{tally.succeeded} of {len(wanted)} pollers returned, {tally.failed} failed"
    if waiting:
        answer.notes += f", {waiting} still polling when it was stopped"
    return answer


def _list(client: SiteRecoveryManagementClient, vault: Vault) -> list[Any]:
    return list(client.replication_protection_container_mappings.list("rg-dr", vault.name, **_HTTP))


def _is_enabled(mapping: Any) -> bool:
    return bool(mapping.properties.provider_specific_details.agent_auto_update_status == "Enabled")


def _update(client: SiteRecoveryManagementClient, vault: Vault, mapping: Any, tally: _Tally) -> None:
    parts = mapping.id.split("/")
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
    try:
        client.replication_protection_container_mappings.begin_update(
            "rg-dr", vault.name, parts[10], parts[12], mapping.name, body, **_HTTP
        ).result()
    except AzureError:
        tally.add(success=False)
    else:
        tally.add(success=True)
