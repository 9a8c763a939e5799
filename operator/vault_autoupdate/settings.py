"""Configuration of the process: flags and ``VAULT_AUTOUPDATE_*`` variables, read once, all errors at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from ipaddress import ip_address
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from vault_autoupdate.decide.hints import HintMode
from vault_autoupdate.decide.tenancy import ResourceCredentials, VaultScopes, parse_vault_scopes
from vault_autoupdate.model.arm_id import fold
from vault_autoupdate.model.clouds import CLOUDS
from vault_autoupdate.model.durations import format_duration, parse_duration
from vault_autoupdate.model.limits import Limit, parse_limits
from vault_autoupdate.model.quota import QuotaScope, is_region
from vault_autoupdate.model.resource import VaultAutoUpdate

PREFIX: Final = "VAULT_AUTOUPDATE_"
_OF_A_SERVICE = re.compile(r"_(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)\Z")
"""Variables that Kubernetes sets in every pod for a Service whose name begins like ours: they are none of ours."""
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")

_SHARD = re.compile(r"([a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?)?")
"""The value of a label, and the end of a Lease's name."""

_FROM_CLOUD: Final = frozenset({"arm_endpoint", "arm_audience", "authority_host", "write_limit", "read_limit"})
"""What is taken from the cloud, where it is not set."""

__all__ = ["PREFIX", "Address", "Credential", "InvalidSettings", "Settings", "default_of", "load_settings"]


class InvalidSettings(ValueError):
    """The configuration cannot be used; ``problems`` has one line for each value to mend."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Credential(StrEnum):
    """How the process proves who it is to Azure; each is a class of azure-identity."""

    WORKLOAD_IDENTITY = "workload-identity"
    MANAGED_IDENTITY = "managed-identity"
    CLIENT_SECRET = "client-secret"  # noqa: S105 - the name of a mode
    CLIENT_CERTIFICATE = "client-certificate"
    AZURE_CLI = "azure-cli"
    DEFAULT = "default"


@dataclass(frozen=True)
class Address:
    """Where a server of ours listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _address(value: object) -> Address:
    if isinstance(value, Address):
        return value
    match = re.fullmatch(r"(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})", str(value).strip())
    if not match or int(match[3]) > 65535:
        raise ValueError(f"{value!r} is not an address: write host:port, for example 0.0.0.0:8080")
    return Address(match[1] or match[2] or "0.0.0.0", int(match[3]))  # noqa: S104 - in a pod the kubelet must reach it


def _limits(value: object) -> tuple[Limit, ...]:
    return value if isinstance(value, tuple) else parse_limits(str(value))


def _duration(value: object) -> timedelta:
    duration = value if isinstance(value, timedelta) else parse_duration(str(value))
    if duration <= timedelta():
        raise ValueError("must be longer than nothing")
    return duration


def _duration_or_none(value: object) -> timedelta:
    return value if isinstance(value, timedelta) else parse_duration(str(value))


def _namespaces(value: object) -> tuple[str, ...]:
    if isinstance(value, tuple):
        return value
    names = tuple(name.strip() for name in str(value).split(",") if name.strip())
    for name in names:
        if not _NAMESPACE.fullmatch(name):
            raise ValueError(f"{name!r} is not a namespace name")
    return names


def _shard(name: str) -> str:
    if not _SHARD.fullmatch(name):
        raise ValueError(
            f"{name!r} is no name of a shard: write up to 40 small letters, digits and hyphens, or nothing for the "
            "main one"
        )
    return name


def is_loopback(host: str) -> bool:
    """Tell whether ``host`` can only be this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _arm_endpoint(value: object) -> str:
    text = str(value).rstrip("/")
    parts = urlsplit(text)
    rest = parts.query or parts.fragment or parts.path or "@" in parts.netloc
    if parts.scheme not in {"https", "http"} or not parts.hostname or parts.port == 0 or rest:
        raise ValueError(f"{value!r} is not an endpoint: write https://host")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError("plain http is only allowed to this machine itself: a token would be readable on its way")
    return text


def _authority_host(value: object) -> str:
    text = str(value).removesuffix("/")
    parts = urlsplit(text if "://" in text else f"https://{text}")
    if parts.scheme != "https" or not parts.hostname or parts.path or parts.query or parts.fragment or "@" in text:
        raise ValueError(f"{value!r} is not a host: write login.example.com, with https:// or nothing before it")
    # azure-identity takes what is before a colon for a scheme.
    return parts.netloc if parts.port is None else f"https://{parts.netloc}"


Duration = Annotated[timedelta, BeforeValidator(_duration)]


class Settings(BaseModel):
    """Everything that can be set. The field's name is the flag's (``--arm-endpoint``) and the variable's."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    cloud: Literal["AzurePublic", "AzureUSGovernment", "AzureChina"] = Field(
        "AzurePublic", description="Azure cloud: its endpoints and its limits."
    )
    arm_endpoint: Annotated[str, BeforeValidator(_arm_endpoint)] = Field(
        "", description="Azure Resource Manager instead of the cloud's own; https, or http to this machine."
    )
    arm_audience: str = Field("", description="Audience of the token instead of the cloud's own.")
    authority_host: Annotated[str, BeforeValidator(_authority_host)] = Field(
        "", description="Host that issues tokens instead of the cloud's own."
    )
    api_version: str = Field(
        "2025-08-01", pattern=r"^\d{4}-\d{2}-\d{2}(-preview)?$", description="API version of Site Recovery."
    )
    credential: Credential = Field(Credential.DEFAULT, description="How to log in to Azure.")
    write_limit: Annotated[tuple[Limit, ...], BeforeValidator(_limits)] = Field(
        (), description="Writes to a subscription and region: count/window, several with commas."
    )
    read_limit: Annotated[tuple[Limit, ...], BeforeValidator(_limits)] = Field(
        (), description="Reads of a subscription and region: count/window, several with commas."
    )
    budget_scope: Literal["region", "subscription"] = Field(
        "region", description="What shares the limits: the vaults of a region in a subscription, or all of them."
    )
    job_poll_min: Duration = Field(timedelta(seconds=3), description="Soonest look at the jobs after a change.")
    job_poll_max: Duration = Field(
        timedelta(seconds=30), validate_default=True, description="Longest time between two looks at running jobs."
    )
    retry_pause: Duration = Field(
        timedelta(seconds=2), description="Wait before a call that failed is sent again, up to three times; it doubles."
    )
    retry_min: Duration = Field(
        timedelta(minutes=1), description="First wait before a failed mapping or vault is tried again; it doubles."
    )
    retry_max: Duration = Field(
        timedelta(hours=24), validate_default=True, description="Longest wait before another try."
    )
    request_timeout: Duration = Field(timedelta(seconds=60), description="Longest time for one call to ARM.")
    max_connections: int = Field(
        32,
        ge=1,
        le=512,
        description="Calls to ARM under way at a time. Reads, or writes, of one scope take three quarters at most.",
    )
    status_interval: Duration = Field(
        timedelta(seconds=5), description="Shortest time between two status writes of a resource under way."
    )
    startup_spread: Duration = Field(
        timedelta(minutes=5), description="Unchanged resources are looked at within this time after a start."
    )
    agent_interval: Annotated[timedelta, BeforeValidator(_duration_or_none)] = Field(
        timedelta(hours=6),
        description="Time between two looks at the agents of a vault's machines, and at its Automation account; "
        "0s for none.",
    )
    role_confirmation: Duration = Field(
        timedelta(minutes=15),
        description="Time for which no role of an Automation account's identity must have been seen before it counts "
        "as missing; Azure takes up to ten minutes to show a new one.",
    )
    request_interval: Annotated[timedelta, BeforeValidator(_duration_or_none)] = Field(
        timedelta(seconds=30),
        description="After five looks at a resource that somebody asked for, least time between two more; 0s for none.",
    )
    hints: HintMode = Field(
        HintMode.OFF,
        description="Whether the activity logs of subscriptions are read for changes to look at before the interval is "
        "over: off, on, or auto for subscriptions with three vaults or more.",
    )
    hint_interval: Duration = Field(
        timedelta(seconds=110), description="Time between two readings of a subscription's activity log."
    )
    watch_namespaces: Annotated[tuple[str, ...], BeforeValidator(_namespaces)] = Field(
        (), description="Namespaces to watch, separated by commas; empty for all."
    )
    shard: Annotated[str, AfterValidator(_shard)] = Field(
        "",
        description="Work on the resources whose label asr.vault-autoupdate.io/shard has this value; empty: on those "
        "without the label.",
    )
    vault_scopes: Annotated[VaultScopes, BeforeValidator(parse_vault_scopes)] = Field(
        VaultScopes(),
        description="Which namespaces may name which parts of Azure, as a JSON object from namespaces to lists of "
        "scopes; empty: all may name everything.",
    )
    resource_credentials: ResourceCredentials = Field(
        ResourceCredentials.REFUSED,
        description="Whether resources may log in to Azure by a spec.credential of their own: "
        "refused, allowed, or required.",
    )
    leader_elect: bool = Field(
        default=False, description="Work only while holding a Lease, so that several replicas can run (true or false)."
    )
    lease_namespace: str = Field("", description="Namespace of the Lease; empty for the pod's own.")
    lease_name: str = Field(
        "vault-autoupdate", description="Name of the Lease; the shard, if any, follows after a hyphen."
    )
    metrics_address: Annotated[Address, BeforeValidator(_address)] = Field(
        Address("0.0.0.0", 9090),  # noqa: S104 - as in _address
        description="Where /metrics is served.",
    )
    metrics_cert_file: str = Field(
        "", description="Certificate (PEM) to serve /metrics with over https; read again when it changes."
    )
    metrics_key_file: str = Field(
        "", validate_default=True, description="Private key (PEM) of that certificate; both or neither."
    )
    metrics_token_file: str = Field(
        "", description="File with a bearer token that /metrics asks for; read at each request. Empty: open to all."
    )
    policies: bool = Field(
        default=False, description="Work on VaultAutoUpdatePolicy resources as well, which must be installed."
    )
    resource_metrics: bool = Field(
        default=True, description="Metrics about each resource; false where there are too many (true or false)."
    )
    health_address: Annotated[Address, BeforeValidator(_address)] = Field(
        Address("0.0.0.0", 8080),  # noqa: S104 - as in _address
        description="Where /healthz and /readyz are served.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severity logged.")
    log_format: Literal["console", "json"] = Field("console", description="Form of the log lines.")

    @model_validator(mode="before")
    @classmethod
    def _fill_in_cloud(cls, values: Any) -> Any:
        """Take the endpoints and limits that were not given from the cloud."""
        cloud = CLOUDS.get(values.get("cloud", "AzurePublic"))
        if cloud is None:
            return values
        filled = {
            "arm_endpoint": cloud.arm_endpoint,
            "arm_audience": cloud.arm_audience,
            "authority_host": cloud.authority_host,
            "write_limit": cloud.write_limit,
            "read_limit": cloud.read_limit,
        }
        return {**filled, **{name: value for name, value in values.items() if value not in ("", None)}}

    @field_validator("metrics_key_file")
    @classmethod
    def _key_and_certificate(cls, key: str, info: ValidationInfo) -> str:
        if bool(key) != bool(info.data.get("metrics_cert_file")):
            raise ValueError(f"goes together with {variable('metrics_cert_file')}: set both or neither")
        return key

    @field_validator("job_poll_max", "retry_max")
    @classmethod
    def _order(cls, longest: timedelta, info: ValidationInfo) -> timedelta:
        shortest = f"{str(info.field_name).removesuffix('max')}min"
        if longest < info.data.get(shortest, longest):
            raise ValueError(f"must not be shorter than {variable(shortest)}")
        return longest

    def quota_scope(self, resource: VaultAutoUpdate, region: str) -> QuotaScope:
        """What the calls about ``resource`` count against; ``region`` is that of its vault, empty if not known.

        What cannot be the name of a region counts as not known: whoever answers could else make up as many budgets.
        """
        subscription = fold(resource.spec.vault_resource_id.subscription)
        return QuotaScope(subscription, region if self.budget_scope == "region" and is_region(region) else "")


def variable(field: str) -> str:
    """The environment variable of a field of `Settings`."""
    return PREFIX + field.upper()


def default_of(field: str) -> str:
    """The default of a setting as people write it; empty where there is none."""
    value = Settings.model_fields[field].default
    if field in _FROM_CLOUD:
        return "the cloud's"
    if isinstance(value, timedelta):
        return format_duration(value)
    if value in ("", (), VaultScopes()):
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def load_settings(flags: Mapping[str, str | None], environment: Mapping[str, str]) -> Settings:
    """Build the settings from flags (which win) and environment variables.

    Raises:
        InvalidSettings: with every problem, each naming its variable and flag.
    """
    values = {
        field: value
        for field in Settings.model_fields
        if (value := flags.get(field) or environment.get(variable(field), "")) != ""
    }
    known = {variable(field) for field in Settings.model_fields}
    problems = [
        f"{name}: no such setting"
        for name in sorted(environment)
        if name.startswith(PREFIX) and name not in known and not _OF_A_SERVICE.search(name)
    ]
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        problems += [_problem(entry) for entry in error.errors()]
    if problems:
        raise InvalidSettings(problems)
    return settings


def _problem(entry: Any) -> str:
    field = str(entry["loc"][0]) if entry["loc"] else ""
    where = f"{variable(field)} (--{field.replace('_', '-')}): " if field else ""
    reason = str(entry["ctx"]["error"]) if entry["type"] == "value_error" else entry["msg"]
    return f"{where}{reason}"
