"""A protection container mapping: its state and how it looks on the wire."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from asr_simulator.arm_errors import dumps
from asr_simulator.jobs import Job
from asr_simulator.regions import friendly_name

MAPPING_TYPE = (
    "Microsoft.RecoveryServices/vaults/replicationFabrics/replicationProtectionContainers/"
    "replicationProtectionContainerMappings"
)
LISTED_TYPE = "Microsoft.RecoveryServices/vaults/replicationProtectionContainerMappings"
"""Type of an item of the vault's list (published example); a single GET shows `MAPPING_TYPE` (recording)."""

RUN_AS_ACCOUNT = "RunAsAccount"
MANAGED_IDENTITY = "SystemAssignedIdentity"
ENABLED = "Enabled"
DISABLED = "Disabled"
PAIRED = "Paired"
ELSEWHERE = "Microsoft Azure"
"""Target of a mapping that is not between Azure regions (published example)."""

__all__ = [
    "DISABLED",
    "ELSEWHERE",
    "ENABLED",
    "LISTED_TYPE",
    "MANAGED_IDENTITY",
    "MAPPING_TYPE",
    "PAIRED",
    "RUN_AS_ACCOUNT",
    "Ailment",
    "AutoUpdate",
    "ContainerMapping",
]


@dataclass(frozen=True, slots=True)
class Ailment:
    """Why auto-update of a mapping is unhealthy."""

    category: str
    level: str
    summary: str
    causes: str
    advice: str
    curable: bool
    since: str

    def health_error(self, entity_id: str) -> dict[str, Any]:
        """Render a HealthError; the fields are published, the texts and the code are invented."""
        return {
            "innerHealthErrors": [],
            "errorSource": "SiteRecovery",
            "errorType": "AgentAutoUpdate",
            "errorLevel": self.level,
            "errorCategory": self.category,
            "errorCode": "900200",
            "summaryMessage": self.summary,
            "errorMessage": self.summary,
            "possibleCauses": self.causes,
            "recommendedAction": self.advice,
            "creationTimeUtc": self.since,
            "recoveryProviderErrorMessage": "",
            "entityId": entity_id,
            "errorId": f"900200-{self.category}",
            "customerResolvability": "Allowed",
        }


@dataclass(frozen=True, slots=True)
class AutoUpdate:
    """The auto-update part of a mapping. The default is what a disabled mapping really shows (recording)."""

    status: str = DISABLED
    authentication: str = RUN_AS_ACCOUNT
    account: str | None = None
    schedule: str | None = None
    job_schedule: str | None = None


@dataclass(slots=True, eq=False)
class ContainerMapping:
    """One mapping. Whoever changes a field calls `changed` afterwards."""

    ordinal: int
    vault_path: str
    """The vault's id as answers show it, with a capital ``/Subscriptions/``."""
    fabric: str
    container: str
    name: str
    source: str
    target: str
    policy: str
    provider: str | None = "A2A"
    """instanceType of the details; None leaves the details out."""
    auto_update: AutoUpdate = field(default_factory=AutoUpdate)
    state: str = PAIRED
    ailment: Ailment | None = None
    active_job: Job | None = None
    patches_accepted: int = 0
    patches_refused: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    """Ended jobs by outcome."""
    _rendered: dict[bool, bytes] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """ARM id."""
        return (
            f"{self.vault_path}/replicationFabrics/{self.fabric}/replicationProtectionContainers/{self.container}"
            f"/replicationProtectionContainerMappings/{self.name}"
        )

    @property
    def key(self) -> tuple[str, str, str]:
        """What finds the mapping within its vault."""
        return self.fabric.lower(), self.container.lower(), self.name.lower()

    @property
    def target_fabric(self) -> str:
        """ARM id of the fabric to which it fails over."""
        return f"{self.vault_path}/replicationFabrics/asr-a2a-default-{self.target}"

    @property
    def target_container_name(self) -> str:
        """Display name of the container to which it fails over."""
        return f"asr-a2a-default-{self.target}-t-container" if self.provider in ("A2A", None) else ELSEWHERE

    @property
    def target_container_id(self) -> str:
        """ARM id of that container, or what stands there for other providers."""
        if self.provider not in ("A2A", None):
            return ELSEWHERE
        return f"{self.target_fabric}/replicationProtectionContainers/{self.target_container_name}"

    @property
    def policy_id(self) -> str:
        """ARM id of the replication policy."""
        return f"{self.vault_path}/replicationPolicies/{self.policy}"

    @property
    def is_unhealthy(self) -> bool:
        """Whether health errors show: only an enabled mapping has any."""
        return self.ailment is not None and self.auto_update.status == ENABLED

    def changed(self) -> None:
        """Forget the rendered form."""
        self._rendered.clear()

    def body(self, *, listed: bool) -> bytes:
        """Render as JSON, once until the next change."""
        body = self._rendered.get(listed)
        if body is None:
            body = self._rendered[listed] = dumps(self.document(listed=listed))
        return body

    def document(self, *, listed: bool = False) -> dict[str, Any]:
        """Build the wire form; the order of the fields is that of a recording."""
        properties: dict[str, Any] = {
            "targetProtectionContainerId": self.target_container_id,
            "targetProtectionContainerFriendlyName": self.target_container_name,
        }
        details = self._details()
        if details is not None:
            properties["providerSpecificDetails"] = details
        unhealthy = self.ailment if self.is_unhealthy else None
        properties |= {
            "health": "Normal" if unhealthy is None else unhealthy.level,
            "healthErrorDetails": [] if unhealthy is None else [unhealthy.health_error(self.name)],
            "policyId": self.policy_id,
            "state": self.state,
            "sourceProtectionContainerFriendlyName": self.container,
            "sourceFabricFriendlyName": friendly_name(self.source),
            "targetFabricFriendlyName": friendly_name(self.target),
            "policyFriendlyName": self.policy,
        }
        return {
            "id": self.id,
            "name": self.name,
            "type": LISTED_TYPE if listed else MAPPING_TYPE,
            "properties": properties,
        }

    def _details(self) -> dict[str, Any] | None:
        match self.provider:
            case None:
                return None
            case "A2A":
                setting = self.auto_update
                return {
                    "instanceType": "A2A",
                    "agentAutoUpdateStatus": setting.status,
                    "automationAccountAuthenticationType": setting.authentication,
                    "automationAccountArmId": setting.account,
                    "scheduleName": setting.schedule,
                    "jobScheduleName": setting.job_schedule,
                }
            case "InMageRcm":
                return {"instanceType": "InMageRcm", "enableAgentAutoUpgrade": "true"}
            case _:
                return {"instanceType": self.provider, "targetLocation": self.target}
