"""Scenario sections that say what exists: vaults and their protection container mappings."""

from __future__ import annotations

import re
from enum import StrEnum
from string import Formatter
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from asr_simulator.scenario.behaviour import Section, Share

__all__ = ["AccountId", "MappingKind", "MappingSpec", "Mix", "Name", "VaultSpec", "VmName"]


class MappingKind(StrEnum):
    """A starting condition of a mapping."""

    ENABLED_COMPLIANT = "enabled_compliant"
    """Enabled with the vault's automation account and its managed identity."""
    ENABLED_OTHER_CASE = "enabled_other_case"
    """As compliant, but the account id comes back in other letter case."""
    DISABLED = "disabled"
    """Auto-update off, as every mapping starts its life."""
    ENABLED_OTHER_ACCOUNT = "enabled_other_account"
    """Enabled with another automation account."""
    RUN_AS_ACCOUNT = "run_as_account"
    """Enabled with the right account but the retired Run As authentication."""
    ENABLED_UNHEALTHY = "enabled_unhealthy"
    """Compliant but with health errors of auto-update."""
    UNPAIRED = "unpaired"
    """Not in state Paired."""
    MISSING_DETAILS = "missing_details"
    """Without provider-specific details, like the published example."""
    OTHER_PROVIDER = "other_provider"
    """Details of another provider (InMageRcm, VMwareCbt)."""


def _arm_id_of_account(value: str) -> str:
    pattern = r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.Automation/automationAccounts/[^/]+"
    if re.fullmatch(pattern, value, re.IGNORECASE) is None:
        raise ValueError("must be the ARM id of an automation account")
    return value


def _path_segment(value: str) -> str:
    if not value or "/" in value or value != value.strip():
        raise ValueError("must be a non-empty name without slashes")
    return value


def _format_of_names(value: str) -> str:
    try:
        fields = {field for _, field, _, _ in Formatter().parse(value) if field is not None}
        example = value.format(mapping=0, index=0, role="role") if fields <= {"mapping", "index", "role"} else ""
    except (ValueError, LookupError) as error:
        raise ValueError(f"is not a format: {error}") from None
    if not example:
        raise ValueError("may only have the fields mapping, index and role")
    return _path_segment(value)


AccountId = Annotated[str, AfterValidator(_arm_id_of_account)]
Name = Annotated[str, AfterValidator(_path_segment)]
VmName = Annotated[str, AfterValidator(_format_of_names)]


class Mix(Section):
    """How many mappings of each kind to generate."""

    enabled_compliant: int = Field(default=0, ge=0)
    """Enabled as the vault's account says."""
    enabled_other_case: int = Field(default=0, ge=0)
    """Compliant in other letter case."""
    disabled: int = Field(default=0, ge=0)
    """Auto-update off."""
    enabled_other_account: int = Field(default=0, ge=0)
    """Another automation account."""
    run_as_account: int = Field(default=0, ge=0)
    """Run As authentication."""
    enabled_unhealthy: int = Field(default=0, ge=0)
    """Compliant with health errors."""
    unpaired: int = Field(default=0, ge=0)
    """Not Paired."""
    missing_details: int = Field(default=0, ge=0)
    """No provider-specific details."""
    other_provider: int = Field(default=0, ge=0)
    """InMageRcm or VMwareCbt."""

    def counts(self) -> dict[MappingKind, int]:
        """Return the count of each kind."""
        return {kind: int(getattr(self, kind.value)) for kind in MappingKind}

    def total(self) -> int:
        """Return the number of mappings."""
        return sum(self.counts().values())


class MappingSpec(Section):
    """One mapping, described one by one."""

    name: Name
    """Name of the mapping."""
    kind: MappingKind = MappingKind.DISABLED
    """Its starting condition."""
    source: Name = "eastus"
    """Region that is protected."""
    target: Name = "westeurope"
    """Region to which it fails over."""
    fabric: Name | None = None
    """Source fabric; by default the one that the portal makes for the region."""
    container: Name | None = None
    """Source protection container; by default the portal's for the region."""
    curable: bool = True
    """Whether a successful PATCH clears its health errors."""


class VaultSpec(Section):
    """A Recovery Services vault."""

    subscription: Name
    """Subscription id."""
    resource_group: Name
    """Resource group."""
    name: Name
    """Vault name."""
    location: Name = "westeurope"
    """Region: with the subscription it is the scope in which calls are counted."""
    automation_account: AccountId
    """Account of the compliant mappings."""
    tags: dict[str, str] = Field(default_factory=dict)
    """Tags of the vault."""
    mix: Mix | None = None
    """Counts of generated mappings."""
    mappings: tuple[MappingSpec, ...] = ()
    """Mappings described one by one; they come before the generated ones."""
    incurable_share: Share = 0.0
    """Part of the generated unhealthy mappings that a PATCH does not cure."""
    items_per_mapping: int = Field(default=0, ge=0)
    """Replicated VMs of each paired mapping between Azure regions."""
    outdated_agent_share: Share = 0.0
    """Part of the VMs for which there is a newer agent."""
    initial_replication_share: Share = 0.0
    """Part of the VMs that are still being replicated for the first time."""
    vm_name: VmName = "VM-{mapping:04}-{index:02}"
    """Names of the VMs, as a format of ``mapping`` (its number), ``index`` (of the VM there) and ``role``."""
    roles: tuple[Name, ...] = ()
    """Roles that the VMs take in turn."""
    jobs_page_size: int | None = Field(default=None, gt=0)
    """Jobs per page, if not the scenario's."""
    mappings_page_size: int | None = Field(default=None, gt=0)
    """Mappings per page, if not the scenario's."""

    @property
    def id(self) -> str:
        """ARM id."""
        group = f"/subscriptions/{self.subscription}/resourceGroups/{self.resource_group}"
        return f"{group}/providers/Microsoft.RecoveryServices/vaults/{self.name}"

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes the vault unique, in lower case."""
        return self.subscription.lower(), self.resource_group.lower(), self.name.lower()

    @model_validator(mode="after")
    def _has_roles_for_its_names(self) -> Self:
        if "{role" in self.vm_name and not self.roles:
            raise ValueError("vm_name needs roles")
        return self

    @model_validator(mode="after")
    def _has_distinct_mappings(self) -> Self:
        seen: set[tuple[str, str, str]] = set()
        for mapping in self.mappings:
            place = (
                (mapping.fabric or mapping.source).lower(),
                (mapping.container or mapping.source).lower(),
                mapping.name.lower(),
            )
            if place in seen:
                raise ValueError(f"mapping {mapping.name!r} is listed twice in one container")
            seen.add(place)
        return self
