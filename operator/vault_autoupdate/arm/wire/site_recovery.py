"""ARM's JSON: from documents to the values of `vault_autoupdate.model.azure`, and the body of a PATCH.

Field names and which of them may be missing or null are those of api-version 2025-08-01 (the mapping's shape has
not changed since 2021-12-01). Whatever is not used is ignored; what is used must have the right type.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic import Field

from vault_autoupdate.arm.wire.documents import (
    Document,
    InnerList,
    Name,
    Number,
    Text,
    next_link,
    parse_moment,
    parse_time,
    read,
    read_entries,
)
from vault_autoupdate.model import bounds
from vault_autoupdate.model.arm_id import fold
from vault_autoupdate.model.azure import AUTHENTICATION, PROVIDER, ContainerMapping, Job, Machine, Vault
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.model.resource import AutoUpdate, Goal
from vault_autoupdate.model.text import clean

_OPERATION = re.compile(r"/(?:replicationOperationStatus|operationresults|replicationJobs)/([^/?#]+)", re.IGNORECASE)
_MOST_BLOCKERS: Final = 10

__all__ = [
    "job",
    "job_id_of",
    "jobs_page",
    "machine",
    "machines_page",
    "mapping",
    "mappings_page",
    "next_link",
    "parse_time",
    "patch_body",
    "update_agent_body",
    "vault",
    "vaults_page",
]


class _HealthError(Document):
    error_code: Number = ""
    error_category: Text = ""
    error_message: Text = ""
    summary_message: Text = ""
    possible_causes: Text = ""
    recommended_action: Text = ""


class _ProviderDetails(Document):
    instance_type: Text = ""
    agent_auto_update_status: Text = ""
    automation_account_arm_id: Text = ""
    automation_account_authentication_type: Text = ""
    schedule_name: Text = ""
    job_schedule_name: Text = ""


class _MappingProperties(Document):
    state: Text = ""
    target_protection_container_id: Text = ""
    provider_specific_details: _ProviderDetails | None = None
    health_error_details: InnerList[_HealthError] | None = None


class _Mapping(Document):
    id: str
    """As it is, for calls; `SiteRecovery` refuses what can be no id."""
    name: Name = ""
    properties: _MappingProperties


class _ServiceError(Document):
    code: Number = ""
    message: Text = ""
    possible_causes: Text = ""
    recommended_action: Text = ""
    activity_id: Text = ""


class _CodedError(Document):
    """Of a provider, and of what blocks a machine."""

    error_code: Number = ""
    error_message: Text = ""
    possible_causes: Text = ""
    recommended_action: Text = ""


class _JobErrorDetails(Document):
    service_error_details: _ServiceError | None = None
    provider_error_details: _CodedError | None = None


class _JobProperties(Document):
    state: Text = ""
    state_description: Text = ""
    start_time: Text = ""
    target_object_id: Text = ""
    target_object_name: Text = ""
    target_instance_type: Text = ""
    scenario_name: Text = ""
    activity_id: Text = ""
    errors: InnerList[_JobErrorDetails] | None = None


class _Job(Document):
    name: Name
    properties: _JobProperties


class _ItemProvider(Document):
    instance_type: Text = ""


class _ItemKindProperties(Document):
    provider_specific_details: _ItemProvider | None = None


class _ItemKind(Document):
    """Of any item, also one of another provider, whose other fields are not ours to judge."""

    properties: _ItemKindProperties


class _ItemDetails(Document):
    """From `is_agent_upgrade_in_progress` on, missing before api-version 2025-08-01."""

    agent_version: Text = ""
    agent_expiry_date: Text = ""
    agent_certificate_expiry_date: Text = ""
    is_replication_agent_update_required: bool | None = None
    is_replication_agent_certificate_update_required: bool | None = None
    is_agent_upgrade_in_progress: bool | None = None
    is_agent_upgrade_retry_threshold_exhausted: bool | None = None
    is_agent_reinstall_required: bool | None = None
    reasons_blocking_reinstall: Text = Field("", alias="reasonsBlockingReInstall")
    reasons_blocking_reinstall_details: InnerList[_CodedError] | None = None


class _ItemProperties(Document):
    friendly_name: Text = ""
    recovery_container_id: Text = ""
    provider_specific_details: _ItemDetails | None = None


class _Item(Document):
    id: str
    """As it is, for calls; `SiteRecovery` refuses what can be no id."""
    name: Name
    properties: _ItemProperties


class _Vault(Document):
    id: Text
    name: Name
    location: Name


def vault(document: object) -> Vault:
    """Read a Recovery Services vault."""
    wire = read(_Vault, document, "a vault")
    return Vault(wire.id, wire.name, wire.location.replace(" ", "").casefold())


def vaults_page(document: object) -> list[Vault]:
    """Read one page of Recovery Services vaults."""
    return read_entries(document, "vaults", vault, needed=False)


def mappings_page(document: object) -> list[ContainerMapping]:
    """Read one page of container mappings."""
    return read_entries(document, "container mappings", mapping)


def mapping(document: object) -> ContainerMapping:
    """Read one container mapping."""
    wire = read(_Mapping, document, "a container mapping")
    properties = wire.properties
    details = properties.provider_specific_details or _ProviderDetails()
    return ContainerMapping(
        id=wire.id,
        name=wire.name or clean(wire.id.rpartition("/")[2], bounds.READ_NAME),
        state=properties.state,
        instance_type=details.instance_type,
        auto_update_status=details.agent_auto_update_status,
        automation_account_id=details.automation_account_arm_id,
        authentication_type=details.automation_account_authentication_type,
        schedule_name=details.schedule_name,
        job_schedule_name=details.job_schedule_name,
        target_container_id=properties.target_protection_container_id,
        health_errors=tuple(
            Explanation(
                code=clean(error.error_code, bounds.READ_WORD),
                category=clean(error.error_category, bounds.READ_WORD),
                message=error.error_message or error.summary_message,
                possible_causes=error.possible_causes,
                recommended_action=error.recommended_action,
            )
            for error in properties.health_error_details or ()
        ),
    )


def jobs_page(document: object) -> list[Job]:
    """Read one page of jobs."""
    return read_entries(document, "jobs", job, needed=False)


def job(document: object) -> Job:
    """Read one job."""
    wire = read(_Job, document, "a job")
    properties = wire.properties
    return Job(
        name=wire.name,
        state=properties.state,
        state_description=properties.state_description,
        started_at=parse_time(properties.start_time),
        target_id=properties.target_object_id,
        target_name=properties.target_object_name,
        target_type=properties.target_instance_type,
        scenario=clean(properties.scenario_name, bounds.READ_WORD),
        errors=tuple(_job_error(error, properties.activity_id) for error in properties.errors or ()),
    )


def machines_page(document: object) -> list[Machine]:
    """Read one page of replicated items, those of other providers aside: their agents are updated otherwise."""
    found = read_entries(document, "replicated items", _machine_of_ours)
    return [each for each in found if each is not None]


def _machine_of_ours(entry: object) -> Machine | None:
    return machine(entry) if fold(_provider(entry)) == fold(PROVIDER) else None


def machine(document: object) -> Machine:
    """Read one replicated item."""
    wire = read(_Item, document, "a replicated item")
    details = wire.properties.provider_specific_details or _ItemDetails()
    return Machine(
        id=wire.id,
        name=clean(wire.properties.friendly_name, bounds.READ_NAME) or wire.name,
        target_container_id=wire.properties.recovery_container_id,
        agent_version=clean(details.agent_version, bounds.READ_WORD),
        update_required=details.is_replication_agent_update_required,
        certificate_update_required=details.is_replication_agent_certificate_update_required,
        agent_expires_at=parse_moment(details.agent_expiry_date),
        certificate_expires_at=parse_moment(details.agent_certificate_expiry_date),
        upgrade_in_progress=details.is_agent_upgrade_in_progress,
        retries_exhausted=details.is_agent_upgrade_retry_threshold_exhausted,
        reinstall_required=details.is_agent_reinstall_required,
        blockers=_blockers(details),
    )


def job_id_of(headers: Mapping[str, str]) -> str:
    """The GUID of the operation that an answer announces, which is the job's name; empty when there is none.

    The rest of these URLs is signed; nothing of it is kept. The request id is the job's ARM id in answers of Site
    Recovery that users have published; it is the last resort.
    """
    for name in ("azure-asyncoperation", "location", "x-ms-request-id"):
        if match := _OPERATION.search(headers.get(name, "")):
            return clean(match[1], bounds.ID)
    return ""


def patch_body(goal: Goal) -> dict[str, Any]:
    """The body that brings a mapping to ``goal``: the whole wanted state, so that sending it twice is harmless.

    For Disabled the account is left out, as Terraform and Azure PowerShell do it; for Enabled the authentication
    type is always sent, since the API's default is the retired ``RunAsAccount``.
    """
    wanted: dict[str, Any] = {"instanceType": PROVIDER, "agentAutoUpdateStatus": str(goal.auto_update)}
    if goal.auto_update is AutoUpdate.ENABLED and goal.automation_account:
        wanted["automationAccountArmId"] = goal.automation_account.text
        wanted["automationAccountAuthenticationType"] = AUTHENTICATION
    return {"properties": {"providerSpecificInput": wanted}}


def update_agent_body() -> dict[str, Any]:
    """The body that has an agent updated: of this provider's machines nothing is to be said about an account."""
    return {"properties": {}}


def _job_error(error: _JobErrorDetails, activity_id: str) -> Explanation:
    service = error.service_error_details or _ServiceError()
    provider = error.provider_error_details or _CodedError()
    return Explanation(
        code=clean(service.code or provider.error_code, bounds.READ_WORD),
        message=service.message or provider.error_message,
        possible_causes=service.possible_causes or provider.possible_causes,
        recommended_action=service.recommended_action or provider.recommended_action,
        activity_id=clean(service.activity_id or activity_id, bounds.ID),
    )


def _provider(item: object) -> str:
    details = read(_ItemKind, item, "a replicated item").properties.provider_specific_details
    return details.instance_type if details else ""


def _blockers(details: _ItemDetails) -> tuple[Explanation, ...]:
    """Why the agent cannot be installed anew; before there were details, it was one text."""
    found = [
        Explanation(
            code=clean(blocker.error_code, bounds.READ_WORD),
            message=blocker.error_message,
            possible_causes=blocker.possible_causes,
            recommended_action=blocker.recommended_action,
        )
        for blocker in (details.reasons_blocking_reinstall_details or [])[:_MOST_BLOCKERS]
    ]
    if not found and details.reasons_blocking_reinstall:
        found = [Explanation(message=details.reasons_blocking_reinstall)]
    return tuple(found)
