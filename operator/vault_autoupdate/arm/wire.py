"""ARM's JSON: from documents to the values of `vault_autoupdate.observed`, and the body of a PATCH.

Field names and which of them may be missing or null are those of api-version 2025-08-01 (the mapping's shape has
not changed since 2021-12-01). Whatever is not used is ignored; what is used must have the right type.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from vault_autoupdate.api import AutoUpdate
from vault_autoupdate.errors import MalformedReply
from vault_autoupdate.observed import AgentCounts, ContainerMapping, HealthError, Job, JobError, Vault
from vault_autoupdate.plan import AUTHENTICATION, PROVIDER, Goal
from vault_autoupdate.text import clean

_OPERATION = re.compile(r"/(?:replicationOperationStatus|operationresults|replicationJobs)/([^/?#]+)", re.IGNORECASE)
_TEXT_BYTES = 600
_NAME_BYTES = 260

Text = Annotated[
    str,
    BeforeValidator(lambda value: "" if value is None else value),
    AfterValidator(lambda text: text and clean(text, _TEXT_BYTES)),
]
"""A text that may be missing or null. Each is made fit for people here, since any may come before their eyes."""
Number = Annotated[str, BeforeValidator(lambda value: "" if value is None else str(value))]
Name = Annotated[str, AfterValidator(lambda text: clean(text, _NAME_BYTES))]

__all__ = [
    "agents_page",
    "job",
    "job_id_of",
    "jobs_page",
    "mapping",
    "mappings_page",
    "next_link",
    "parse_time",
    "patch_body",
    "vault",
]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel)


class _HealthError(_Model):
    error_code: Number = ""
    error_category: Text = ""
    error_message: Text = ""
    summary_message: Text = ""
    possible_causes: Text = ""
    recommended_action: Text = ""


class _ProviderDetails(_Model):
    instance_type: Text = ""
    agent_auto_update_status: Text = ""
    automation_account_arm_id: Text = ""
    automation_account_authentication_type: Text = ""


class _MappingProperties(_Model):
    state: Text = ""
    provider_specific_details: _ProviderDetails | None = None
    health_error_details: list[_HealthError] | None = None


class _Mapping(_Model):
    id: str
    """As it is, for calls; `SiteRecovery` refuses what can be no id."""
    name: Name
    properties: _MappingProperties


class _ServiceError(_Model):
    code: Number = ""
    message: Text = ""
    possible_causes: Text = ""
    recommended_action: Text = ""


class _ProviderError(_Model):
    error_code: Number = ""
    error_message: Text = ""
    possible_causes: Text = ""
    recommended_action: Text = ""


class _JobErrorDetails(_Model):
    service_error_details: _ServiceError | None = None
    provider_error_details: _ProviderError | None = None


class _JobProperties(_Model):
    state: Text = ""
    state_description: Text = ""
    start_time: Text = ""
    target_object_id: Text = ""
    target_object_name: Text = ""
    target_instance_type: Text = ""
    errors: list[_JobErrorDetails] | None = None


class _Job(_Model):
    name: Name
    properties: _JobProperties


class _ItemDetails(_Model):
    instance_type: Text = ""
    is_replication_agent_update_required: bool | None = None


class _ItemProperties(_Model):
    provider_specific_details: _ItemDetails | None = None


class _Item(_Model):
    properties: _ItemProperties


class _Page(_Model):
    value: list[Any]
    next_link: str | None = None


class _Vault(_Model):
    id: Text
    name: Name
    location: Name


M = TypeVar("M", bound=BaseModel)


def vault(document: object) -> Vault:
    """Read a Recovery Services vault."""
    wire = _read(_Vault, document, "a vault")
    return Vault(wire.id, wire.name, wire.location.replace(" ", "").casefold())


def mappings_page(document: object) -> list[ContainerMapping]:
    """Read one page of container mappings."""
    return [mapping(item) for item in _read(_Page, document, "a page of container mappings").value]


def next_link(page: object) -> str | None:
    """The link from one page of a list to the next; None on the last one."""
    return _read(_Page, page, "a page of a list").next_link or None


def mapping(document: object) -> ContainerMapping:
    """Read one container mapping."""
    wire = _read(_Mapping, document, "a container mapping")
    details = wire.properties.provider_specific_details or _ProviderDetails()
    return ContainerMapping(
        id=wire.id,
        name=wire.name,
        state=wire.properties.state,
        instance_type=details.instance_type,
        auto_update_status=details.agent_auto_update_status,
        automation_account_id=details.automation_account_arm_id,
        authentication_type=details.automation_account_authentication_type,
        health_errors=tuple(
            HealthError(
                code=clean(error.error_code, 120),
                category=clean(error.error_category, 120),
                message=error.error_message or error.summary_message,
                possible_causes=error.possible_causes,
                recommended_action=error.recommended_action,
            )
            for error in wire.properties.health_error_details or ()
        ),
    )


def jobs_page(document: object) -> list[Job]:
    """Read one page of jobs."""
    return [job(item) for item in _read(_Page, document, "a page of jobs").value]


def job(document: object) -> Job:
    """Read one job."""
    wire = _read(_Job, document, "a job")
    properties = wire.properties
    return Job(
        name=wire.name,
        state=properties.state,
        state_description=properties.state_description,
        started_at=parse_time(properties.start_time),
        target_id=properties.target_object_id,
        target_name=properties.target_object_name,
        target_type=properties.target_instance_type,
        errors=tuple(_job_error(error) for error in properties.errors or ()),
    )


def parse_time(text: str) -> datetime | None:
    """Read a time as ASR writes it (seven digits of fraction, sometimes no zone, sometimes the year 9999)."""
    try:
        time = datetime.fromisoformat(text)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def agents_page(document: object) -> AgentCounts:
    """Count the agents on one page of replicated items, those of other providers aside: they are updated otherwise."""
    counts = AgentCounts()
    for entry in _read(_Page, document, "a page of replicated items").value:
        details = _read(_Item, entry, "a replicated item").properties.provider_specific_details
        if details is None or details.instance_type.casefold() != PROVIDER.casefold():
            continue
        behind = details.is_replication_agent_update_required
        counts += AgentCounts(total=1, behind=int(behind is True), unknown=int(behind is None))
    return counts


def job_id_of(headers: Mapping[str, str]) -> str:
    """The GUID of the operation that a 202 announces, which is the job's name; empty when there is none.

    The rest of these URLs is signed; nothing of it is kept. The request id is the job's ARM id in answers of Site
    Recovery that users have published; it is the last resort.
    """
    for name in ("azure-asyncoperation", "location", "x-ms-request-id"):
        if match := _OPERATION.search(headers.get(name, "")):
            return clean(match[1], 64)
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


def _job_error(error: _JobErrorDetails) -> JobError:
    service = error.service_error_details or _ServiceError()
    provider = error.provider_error_details or _ProviderError()
    return JobError(
        code=clean(service.code or provider.error_code, 120),
        message=service.message or provider.error_message,
        possible_causes=service.possible_causes or provider.possible_causes,
        recommended_action=service.recommended_action or provider.recommended_action,
    )


def _read(model: type[M], document: object, what: str) -> M:
    try:
        return model.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the document"
        raise MalformedReply(
            f"ARM's answer is not {what}: {clean(where, 120)}: {clean(first['msg'], 200)}.",
            recommended_action="If this stays, check VAULT_AUTOUPDATE_API_VERSION and any proxy.",
        ) from error
