"""The ``VaultAutoUpdate`` resource as types: a Kubernetes object goes in, a `VaultAutoUpdate` comes out.

The API server has applied the schema, its defaults and its CEL rules before the controller sees an object, but
the command line reads the same manifest from a file, and a resource may be older than a rule. So everything is
checked here too, all problems at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import InitErrorDetails, PydanticCustomError

from vault_autoupdate.model import bounds
from vault_autoupdate.model.arm_id import ArmId, fold, parse_automation_account_id, parse_vault_id
from vault_autoupdate.model.durations import duration_between
from vault_autoupdate.model.runbook_schedule import RunbookScheduleSpec
from vault_autoupdate.model.text import clean
from vault_autoupdate.model.windows import LONGEST, SHORTEST, WindowSchedule

GROUP: Final = "asr.vault-autoupdate.io"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "VaultAutoUpdate"
PLURAL: Final = "vaultautoupdates"
POLICY_KIND: Final = "VaultAutoUpdatePolicy"
POLICY_PLURAL: Final = "vaultautoupdatepolicies"
REQUESTED_AT: Final = f"{GROUP}/requestedAt"
"""Annotation: any change of its value means "look now"."""
UPDATE_AGENTS_NOW: Final = f"{GROUP}/updateAgentsNow"
"""Annotation: any change of its value opens a window for updates of agents now, once."""
POLICY_LABEL: Final = f"{GROUP}/policy"
"""Label of a resource that a policy made: the policy, in the same namespace."""
SHARD_LABEL: Final = f"{GROUP}/shard"
"""Label of a resource, or of a policy: the shard that works on it. Without it, that is the main one."""
LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)
FINALIZER: Final = f"{GROUP}/disable-auto-update"
"""Held only by resources with ``deletionPolicy: Disable``."""

__all__ = [
    "API_VERSION", "FINALIZER", "GROUP", "KIND", "LONG_AGO", "PLURAL", "POLICY_KIND", "POLICY_LABEL",
    "POLICY_PLURAL", "REQUESTED_AT", "SHARD_LABEL", "UPDATE_AGENTS_NOW", "VERSION", "AgentUpdatesSpec",
    "AutoUpdate", "CredentialSource", "DeletionPolicy", "DriftAttribution", "DriftSpec", "Goal", "InvalidSpec",
    "Metadata", "Mode", "ObjectRef", "ResourceKey", "RolloutRules", "Spec", "VaultAutoUpdate", "parse_resource",
    "problem_of", "request_of",
]  # fmt: skip


class InvalidSpec(ValueError):
    """A manifest that cannot be acted on; ``problems`` has one sentence for each thing to mend."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class AutoUpdate(StrEnum):
    """What ``agentAutoUpdateStatus`` of every mapping in scope should be."""

    ENABLED = "Enabled"
    DISABLED = "Disabled"


class Mode(StrEnum):
    """Whether differences are mended or only reported."""

    ENFORCE = "Enforce"
    AUDIT = "Audit"


class DeletionPolicy(StrEnum):
    """What happens to the vault when its resource is deleted."""

    RETAIN = "Retain"
    DISABLE = "Disable"


class DriftAttribution(StrEnum):
    """Whether, and how, those are named who have changed what was as declared."""

    DISABLED = "Disabled"
    CALLER = "Caller"
    OBJECT_ID = "ObjectId"
    """Not by name, but by the id that Entra ID has for them."""


_OBJECT_NAME: Final = r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$"
_ONE_SOURCE: Final = (
    "must name exactly one of secretName and serviceAccountName; without spec.credential the operator's own identity "
    "is used"
)
_UPDATES_BY_ITSELF: Final = (
    "Site Recovery updates the agents by itself when autoUpdate is Enabled: set autoUpdate to Disabled to have them "
    "updated in windows, or remove agentUpdates"
)

_NOTHING_SCHEDULED: Final = (
    "Site Recovery has no schedule when autoUpdate is Disabled: set autoUpdate to Enabled, or remove runbookSchedule "
    "and say with agentUpdates when the operator updates the agents"
)


class CredentialSource(BaseModel):
    """``spec.credential``: the Secret or the ServiceAccount by which the resource logs in to Azure."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)

    secret_name: Annotated[str, Field(pattern=_OBJECT_NAME)] | None = None
    service_account_name: Annotated[str, Field(pattern=_OBJECT_NAME)] | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> CredentialSource:
        if (self.secret_name is None) == (self.service_account_name is None):
            raise ValueError(_ONE_SOURCE)
        return self


class DriftSpec(BaseModel):
    """``spec.drift``: what is to be learned about changes by others."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)

    attribution: DriftAttribution = DriftAttribution.DISABLED


def _name_pattern(pattern: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._*?-]{1,64}", pattern):
        raise ValueError(
            f"{pattern[:64]!r} is no pattern of machine names: write 1 to 64 letters, digits, periods, underscores and "
            "hyphens, with * for any text and ? for any one character"
        )
    return pattern


class AgentUpdatesSpec(BaseModel):
    """``spec.agentUpdates``: when the operator updates the agents, how many at once, and when it stops."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)

    schedule: str
    time_zone: str = "UTC"
    duration: Annotated[timedelta, duration_between(SHORTEST, LONGEST)]
    max_concurrent: Annotated[int, Field(strict=True, ge=1, le=50)] = 10
    max_failures: Annotated[int, Field(strict=True, ge=1, le=50)] = 1
    order: Annotated[tuple[Annotated[str, AfterValidator(_name_pattern)], ...], Field(max_length=20)] = ()
    pause: StrictBool = False

    # Each of the two is checked with a partner that is right, so that both are told, each under its own name.

    @field_validator("schedule")
    @classmethod
    def _is_cron(cls, schedule: str) -> str:
        WindowSchedule(schedule, "UTC", SHORTEST).check()
        return schedule

    @field_validator("time_zone")
    @classmethod
    def _is_known(cls, time_zone: str) -> str:
        WindowSchedule("0 0 * * *", time_zone, SHORTEST).check()
        return time_zone

    def rules(self) -> RolloutRules:
        """The same in the terms of `vault_autoupdate.decide.rollout`."""
        return RolloutRules(
            WindowSchedule(self.schedule, self.time_zone, self.duration),
            max_concurrent=self.max_concurrent,
            max_failures=self.max_failures,
            order=self.order,
            pause=self.pause,
        )


class Spec(BaseModel):
    """``spec`` of the resource, checked."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, arbitrary_types_allowed=True)

    vault_resource_id: Annotated[ArmId, BeforeValidator(lambda value: parse_vault_id(str(value)))]
    auto_update: AutoUpdate
    automation_account_resource_id: (
        Annotated[ArmId, BeforeValidator(lambda value: parse_automation_account_id(str(value)))] | None
    ) = Field(None, validate_default=True)
    mode: Mode = Mode.ENFORCE
    suspend: StrictBool = False
    interval: Annotated[timedelta, duration_between(timedelta(minutes=5), timedelta(hours=168))] = timedelta(hours=1)
    job_timeout: Annotated[timedelta, duration_between(timedelta(minutes=1), timedelta(hours=24))] = timedelta(
        minutes=160
    )
    deletion_policy: DeletionPolicy = DeletionPolicy.RETAIN
    credential: CredentialSource | None = None
    agent_updates: AgentUpdatesSpec | None = None
    runbook_schedule: RunbookScheduleSpec | None = None
    automation_account_checks: StrictBool = True
    drift: DriftSpec = DriftSpec()

    @field_validator("automation_account_resource_id")
    @classmethod
    def _account_fits(cls, account: ArmId | None, info: ValidationInfo) -> ArmId | None:
        vault: ArmId | None = info.data.get("vault_resource_id")
        if account is None and info.data.get("auto_update") is AutoUpdate.ENABLED:
            raise ValueError("required when autoUpdate is Enabled")
        if account and vault and fold(account.subscription) != fold(vault.subscription):
            raise ValueError(
                f"must be in the vault's subscription ({vault.subscription}): Site Recovery accepts no other"
            )
        return account

    @field_validator("runbook_schedule")
    @classmethod
    def _site_recovery_updates(
        cls, schedule: RunbookScheduleSpec | None, info: ValidationInfo
    ) -> RunbookScheduleSpec | None:
        if schedule is not None and info.data.get("auto_update") is AutoUpdate.DISABLED:
            raise ValueError(_NOTHING_SCHEDULED)
        return schedule

    @field_validator("agent_updates", mode="wrap")
    @classmethod
    def _one_of_us_updates(
        cls, value: object, validate: ValidatorFunctionWrapHandler, info: ValidationInfo
    ) -> AgentUpdatesSpec | None:
        problems: list[InitErrorDetails] = []
        updates: AgentUpdatesSpec | None = None
        try:
            updates = validate(value)
        except ValidationError as error:  # what is wrong inside is told as well
            problems += [
                InitErrorDetails(type=entry["type"], loc=entry["loc"], input=entry["input"], ctx=entry.get("ctx", {}))
                for entry in error.errors()
            ]
        if value is not None and info.data.get("auto_update") is AutoUpdate.ENABLED:
            conflict = PydanticCustomError("value_error", "{error}", {"error": _UPDATES_BY_ITSELF})
            problems.insert(0, InitErrorDetails(type=conflict, input=value))
        if problems:
            raise ValidationError.from_exception_data("agentUpdates", problems)
        return updates


@dataclass(frozen=True, order=True)
class ResourceKey:
    """Names one resource in the cluster."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class ObjectRef:
    """Names one object in the cluster: this very one, and not a later namesake."""

    key: ResourceKey
    uid: str


@dataclass(frozen=True)
class VaultAutoUpdate:
    """One resource: what the user declared, and what the API server says of the object."""

    key: ResourceKey
    spec: Spec
    uid: str = ""
    generation: int = 0
    created_at: datetime = LONG_AGO
    deleting: bool = False
    requested_at: str | None = None
    """Value of the `REQUESTED_AT` annotation, cut to what the status can answer with."""
    update_agents_now: str | None = None
    """Value of the `UPDATE_AGENTS_NOW` annotation, cut likewise."""
    policy: str = ""
    """Value of the `POLICY_LABEL`; empty when somebody wrote it by hand."""


class Metadata(BaseModel):
    """``metadata`` of an object, as far as it matters here."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel)

    name: str = Field(min_length=1)
    namespace: str = "default"
    uid: str = ""
    generation: int = 0
    creation_timestamp: datetime = LONG_AGO
    deletion_timestamp: datetime | None = None
    annotations: dict[str, str] | None = None
    labels: dict[str, str] | None = None


class _Manifest(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)

    api_version: Literal["asr.vault-autoupdate.io/v1alpha1"]
    kind: Literal["VaultAutoUpdate"]
    metadata: Metadata
    spec: Spec
    status: dict[str, Any] | None = None


def parse_resource(body: Mapping[str, Any]) -> VaultAutoUpdate:
    """Turn a Kubernetes object or a manifest into a `VaultAutoUpdate`.

    Raises:
        InvalidSpec: something in it cannot be acted on; every problem is named with its field.
    """
    try:
        manifest = _Manifest.model_validate(dict(body))
    except ValidationError as error:
        raise InvalidSpec([problem_of(entry) for entry in error.errors()]) from None
    metadata = manifest.metadata
    annotations = metadata.annotations or {}
    return VaultAutoUpdate(
        key=ResourceKey(metadata.namespace, metadata.name),
        spec=manifest.spec,
        uid=metadata.uid,
        generation=metadata.generation,
        created_at=metadata.creation_timestamp,
        deleting=metadata.deletion_timestamp is not None,
        requested_at=request_of(annotations.get(REQUESTED_AT)),
        update_agents_now=request_of(annotations.get(UPDATE_AGENTS_NOW)),
        policy=(metadata.labels or {}).get(POLICY_LABEL, ""),
    )


def request_of(value: str | None) -> str | None:
    """The value of an annotation that asks for something, cut to what the status can answer with."""
    return None if value is None else clean(value, bounds.REQUEST)


def problem_of(entry: Any) -> str:
    """One line for one of pydantic's errors, in the words of the manifest and fit for a terminal."""
    return clean(_problem_of(entry), bounds.MESSAGE)


def _problem_of(entry: Any) -> str:
    is_default = entry["type"] == "value_error"
    # A default that does not do is named as its field is in Python; other fields as they are in the manifest.
    where = ".".join(to_camel(part) if part in Spec.model_fields and is_default else str(part) for part in entry["loc"])
    where = where or "the document"
    match entry["type"]:
        case "extra_forbidden":
            return f"{where}: unknown field"
        case "missing":
            return f"{where}: required"
        case "value_error":
            return f"{where}: {entry['ctx']['error']}"
        case "model_type" | "dict_type":
            return f"{where}: must be an object"
        case "list_type" | "tuple_type":
            return f"{where}: must be a list"
        case _:
            words = f"{entry['msg'][0].lower()}{entry['msg'][1:]}"
            return f"{where}: {words.replace('tuple', 'list')}"  # as JSON and YAML call it


@dataclass(frozen=True)
class Goal:
    """What every mapping in scope should be."""

    auto_update: AutoUpdate
    automation_account: ArmId | None = None


@dataclass(frozen=True)
class RolloutRules:
    """``spec.agentUpdates``."""

    schedule: WindowSchedule
    max_concurrent: int = 10
    max_failures: int = 1
    """Failures in a window after which nothing more is started in it."""
    order: tuple[str, ...] = ()
    """Patterns of machine names (``*`` and ``?``, any letter case): who matches the first goes first, then the
    next; all others come last. The next group begins when the one before it has ended."""
    pause: bool = False
