"""Values for the unit tests: one vault, its mappings and the resource that declares them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from vault_autoupdate.decide.attempts import Attempt, BackoffPolicy, FailureReason
from vault_autoupdate.model.arm_id import ArmId, parse_automation_account_id, parse_vault_id
from vault_autoupdate.model.azure import ContainerMapping
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.model.resource import API_VERSION, KIND, AutoUpdate, Goal, VaultAutoUpdate, parse_resource

SUBSCRIPTION: Final = "6f3b9f5e-8a3c-4c7e-9a53-0d1f6b2c7a10"
GROUP: Final = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-dr"
VAULT_ID: Final = f"{GROUP}/providers/Microsoft.RecoveryServices/vaults/dr"
ACCOUNT_ID: Final = f"{GROUP}/providers/Microsoft.Automation/automationAccounts/aa-dr"
OTHER_ACCOUNT_ID: Final = f"{GROUP}/providers/Microsoft.Automation/automationAccounts/aa-other"

VAULT: Final[ArmId] = parse_vault_id(VAULT_ID)
ACCOUNT: Final[ArmId] = parse_automation_account_id(ACCOUNT_ID)
NOW: Final = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
POLICY: Final = BackoffPolicy(retry_min=MINUTE, repair_min=HOUR, retry_max=24 * HOUR)

ENABLE: Final = Goal(AutoUpdate.ENABLED, ACCOUNT)
DISABLE: Final = Goal(AutoUpdate.DISABLED)


def mapping_id_of(name: str, *, fabric: str = "eastus", container: str = "east-container") -> str:
    """The id of a mapping of the vault."""
    return (
        f"{VAULT_ID}/replicationFabrics/{fabric}/replicationProtectionContainers/{container}"
        f"/replicationProtectionContainerMappings/{name}"
    )


def mapping(name: str = "alpha", **changes: Any) -> ContainerMapping:
    """A paired A2A mapping that is enabled, with the right account, and healthy."""
    fields: dict[str, Any] = {
        "id": mapping_id_of(name),
        "name": name,
        "state": "Paired",
        "instance_type": "A2A",
        "auto_update_status": "Enabled",
        "automation_account_id": ACCOUNT_ID,
        "authentication_type": "SystemAssignedIdentity",
    }
    return ContainerMapping(**(fields | changes))


def disabled(name: str = "alpha", **changes: Any) -> ContainerMapping:
    """A mapping as Azure shows it when auto-update is off: the account is gone, the authentication at its default."""
    off = {"auto_update_status": "Disabled", "automation_account_id": "", "authentication_type": "RunAsAccount"}
    return mapping(name, **(off | changes))


def unhealthy(name: str = "alpha", **changes: Any) -> ContainerMapping:
    """A mapping that is as declared and has a health error."""
    return mapping(name, health_errors=(Explanation(category="AgentAutoUpdateInfra"),), **changes)


def attempt(
    count: int = 1, *, next_in: timedelta = HOUR, reason: FailureReason = FailureReason.JOB_FAILED, **explained: str
) -> Attempt:
    """An attempt of a minute ago."""
    return Attempt(
        count=count,
        last_at=NOW - MINUTE,
        next_at=NOW + next_in,
        reason=reason,
        explanation=Explanation(**explained),
    )


@contextmanager
def in_time_zone(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process that runs elsewhere."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", name)
        time.tzset()
        yield
    time.tzset()


def manifest(**spec: Any) -> dict[str, Any]:
    """A valid manifest; ``spec`` adds to its fields, and a value of None takes one away."""
    fields = {"vaultResourceId": VAULT_ID, "autoUpdate": "Enabled", "automationAccountResourceId": ACCOUNT_ID} | spec
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": "dr", "namespace": "asr", "uid": "uid-dr", "generation": 3},
        "spec": {name: value for name, value in fields.items() if value is not None},
    }


def resource(*, deleting: bool = False, **spec: Any) -> VaultAutoUpdate:
    """The resource that `manifest` declares."""
    body = manifest(**spec)
    if deleting:
        body["metadata"]["deletionTimestamp"] = "2026-03-01T11:00:00Z"
    return parse_resource(body)
