"""The ``VaultAutoUpdatePolicy`` resource as types: which vaults a team means, and what is to become of them.

As with `vault_autoupdate.model.resource`, the API server has checked all of it before, and the command line reads
the same manifest from a file: so it is checked here too, all problems at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
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
    model_validator,
)
from pydantic.alias_generators import to_camel

from vault_autoupdate.model.arm_id import ArmId, is_guid, is_resource_name, parse_automation_account_id, parse_vault_id
from vault_autoupdate.model.durations import duration_between
from vault_autoupdate.model.quantity import Quantity, parse_quantity
from vault_autoupdate.model.resource import (
    GROUP,
    LONG_AGO,
    REQUESTED_AT,
    SHARD_LABEL,
    AgentUpdatesSpec,
    AutoUpdate,
    CredentialSource,
    DriftSpec,
    InvalidSpec,
    Metadata,
    Mode,
    ResourceKey,
    problem_of,
    request_of,
)
from vault_autoupdate.model.runbook_schedule import RunbookScheduleSpec

POLICY_UID: Final = f"{GROUP}/policy-uid"
"""Annotation of a child: that very policy, and not a later namesake."""
STAMPED_MODE: Final = f"{GROUP}/stamped-mode"
"""Annotation of a child: the mode that its policy gave it last, to tell a hand edit from a change of the policy."""
ADOPT: Final = f"{GROUP}/adopt"
"""Annotation on a resource that somebody wrote by hand: ``"true"`` hands it over to a policy."""
APPROVE: Final = f"{GROUP}/approve"
"""Annotation of a policy: the hash of the plan that may go beyond the limits, once."""

__all__ = [
    "ADOPT", "APPROVE", "POLICY_UID", "STAMPED_MODE", "AccountWay",
    "Discovery", "Exclusion", "Limits", "OnUnmatched", "PolicySpec", "Replication", "Rule", "Scope", "Selector",
    "Source", "Template", "VaultAutoUpdatePolicy", "VaultSelector", "Waves", "parse_policy",
]  # fmt: skip


class OnUnmatched(StrEnum):
    """What becomes of a child whose vault the policy does not select any more."""

    KEEP = "Keep"
    """It stays as it is, and is counted as orphaned."""
    RELEASE = "Release"
    """It is deleted. The vault in Azure is not touched."""


class Replication(StrEnum):
    """Whether vaults that replicate nothing are meant as well."""

    ANY = "Any"
    PRESENT = "Present"


class Source(StrEnum):
    """Where vaults are looked for."""

    AUTO = "Auto"
    """Resource Graph where the cloud has it, checked by the lists of Resource Manager."""
    LIST = "List"
    """The lists of Resource Manager alone."""


def _pattern(text: str) -> str:
    if not re.fullmatch(r"[\w.()*?-]{1,90}", text):
        raise ValueError(
            f"{text[:90]!r} is no pattern of names: write 1 to 90 letters, digits, periods, underscores, hyphens and "
            "parentheses, with * for any text and ? for any one character"
        )
    return text


def _tag_names(tags: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    for name, values in tags.items():
        if not 1 <= len(name) <= 512:
            raise ValueError("the name of a tag has 1 to 512 characters")
        if not values:
            raise ValueError(f"{name[:80]!r} must have at least one value")
    if len({name.casefold() for name in tags}) != len(tags):
        raise ValueError("Azure takes names of tags that differ only in letter case for the same one")
    return tags


def _subscription(text: str) -> str:
    if not is_guid(text):
        raise ValueError(f"{text[:80]!r} is not the GUID of a subscription")
    return text


def _group_name(text: str) -> str:
    if not is_resource_name(text):
        raise ValueError(f"{text[:90]!r} cannot be a name (not the display name): letters, digits and -_.() only")
    return text


NamePattern = Annotated[str, AfterValidator(_pattern)]
MatchTags = Annotated[dict[str, tuple[str, ...]], Field(max_length=20), AfterValidator(_tag_names)]
"""All names must be there (in any letter case), each with one of its values (exactly as written)."""
SubscriptionId = Annotated[str, AfterValidator(_subscription)]
GroupName = Annotated[str, AfterValidator(_group_name)]
Amount = Annotated[Quantity, BeforeValidator(parse_quantity)]


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, arbitrary_types_allowed=True, defer_build=True
    )


class Scope(_Part):
    """``spec.scope``: the part of Azure in which vaults are looked for."""

    management_groups: Annotated[tuple[GroupName, ...], Field(max_length=10)] = ()
    subscriptions: Annotated[tuple[SubscriptionId, ...], Field(max_length=1000)] = ()
    exclude_subscriptions: Annotated[tuple[SubscriptionId, ...], Field(max_length=1000)] = ()

    @model_validator(mode="after")
    def _exactly_one(self) -> Scope:
        if bool(self.management_groups) == bool(self.subscriptions):
            raise ValueError("must name exactly one of managementGroups and subscriptions")
        return self

    def declares(self, subscription: str) -> bool:
        """Whether the policy's own words leave room for this subscription: it is not excluded, nor unlisted."""
        key = subscription.casefold()
        if key in {each.casefold() for each in self.exclude_subscriptions}:
            return False
        return not self.subscriptions or key in {each.casefold() for each in self.subscriptions}


class Selector(_Part):
    """What selects vaults by what is seen of them: all that is given must fit."""

    match_tags: MatchTags = {}
    locations: Annotated[tuple[str, ...], Field(max_length=50)] = ()
    names: Annotated[tuple[NamePattern, ...], Field(max_length=50)] = ()


class VaultSelector(Selector):
    """``spec.vaultSelector``: the vaults that are meant."""

    replication: Replication = Replication.ANY


class Exclusion(Selector):
    """``spec.exclude``: vaults that are not meant after all. Any part of it that fits excludes."""

    vaults: Annotated[
        tuple[Annotated[ArmId, BeforeValidator(lambda value: parse_vault_id(str(value)))], ...], Field(max_length=500)
    ] = ()


class Rule(Selector):
    """One of ``spec.rules``: what is different for some vaults. The first that fits counts."""

    auto_update: AutoUpdate | None = None
    mode: Mode | None = None
    agent_updates: AgentUpdatesSpec | None = None
    runbook_schedule: RunbookScheduleSpec | None = None


class Template(_Part):
    """``spec.template``: what is declared for each vault. Children are always ``deletionPolicy: Retain``."""

    auto_update: AutoUpdate
    mode: Mode = Mode.ENFORCE
    interval: Annotated[timedelta, duration_between(timedelta(minutes=5), timedelta(hours=168))] = timedelta(hours=1)
    job_timeout: Annotated[timedelta, duration_between(timedelta(minutes=1), timedelta(hours=24))] = timedelta(
        minutes=160
    )
    automation_account_checks: StrictBool = True
    drift: DriftSpec = DriftSpec()
    credential: CredentialSource | None = None
    agent_updates: AgentUpdatesSpec | None = None
    runbook_schedule: RunbookScheduleSpec | None = None


class AccountWay(_Part):
    """One of ``spec.automationAccount``: a way from a vault to its Automation account."""

    vault_tag: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    """Name of a tag of the vault whose value is the account's name or id."""
    account_tag: MatchTags | None = None
    name_pattern: NamePattern | None = None
    resource_group: GroupName | None = None
    """Narrows ``namePattern``."""
    resource_id: Annotated[ArmId, BeforeValidator(lambda value: parse_automation_account_id(str(value)))] | None = None
    """For the vaults of its subscription."""
    current: Literal[True] | None = None
    """What all mappings of the vault that have auto-update name already."""

    @model_validator(mode="after")
    def _one_way(self) -> AccountWay:
        ways = (self.vault_tag, self.account_tag, self.name_pattern, self.resource_id, self.current)
        if sum(way is not None for way in ways) != 1:
            raise ValueError("must have exactly one of vaultTag, accountTag, namePattern, resourceId and current")
        if self.resource_group and not self.name_pattern:
            raise ValueError("resourceGroup goes with namePattern alone")
        return self


class Waves(_Part):
    """``spec.limits.waves``: who goes first. Vaults of a wave begin when the one before it has proved itself."""

    tag: Annotated[str, Field(min_length=1, max_length=512)]
    order: Annotated[tuple[Annotated[str, Field(max_length=256)], ...], Field(min_length=1, max_length=20)]
    """Values of the tag. All other vaults, those without the tag too, come last, unless ``""`` gives them a place."""


class Limits(_Part):
    """``spec.limits``: how much may happen at once."""

    max_new: Annotated[int, Field(strict=True, ge=1, le=1000)] = 20
    max_new_per_hour: Annotated[int, Field(strict=True, ge=1, le=100_000)] = 100
    max_removals: Amount = Quantity(5, is_percent=True)
    max_failures: Amount = Quantity(2)
    min_success_time: Annotated[timedelta, duration_between(timedelta(), timedelta(hours=168))] = timedelta(minutes=30)
    waves: Waves | None = None


class Discovery(_Part):
    """``spec.discovery``: how and how often vaults are looked for."""

    source: Source = Source.AUTO
    interval: Annotated[timedelta, duration_between(timedelta(minutes=5), timedelta(hours=168))] = timedelta(hours=1)
    verify_interval: Annotated[timedelta, duration_between(timedelta(hours=1), timedelta(hours=168))] = timedelta(
        hours=6
    )


class PolicySpec(_Part):
    """``spec`` of a policy, checked."""

    scope: Scope
    vault_selector: VaultSelector = VaultSelector()
    exclude: Exclusion = Exclusion()
    rules: Annotated[tuple[Rule, ...], Field(max_length=10)] = ()
    template: Template
    automation_account: Annotated[tuple[AccountWay, ...], Field(max_length=10)] = ()
    mode: Mode = Mode.AUDIT
    on_unmatched: OnUnmatched = OnUnmatched.KEEP
    limits: Limits = Limits()
    discovery: Discovery = Discovery()
    suspend: StrictBool = False

    def setting_of(self, rule: Rule | None) -> AutoUpdate:
        """What is declared for the vaults of a rule; of the template where none fits."""
        return (rule and rule.auto_update) or self.template.auto_update

    @model_validator(mode="after")
    def _parts_fit(self) -> PolicySpec:
        declared: list[tuple[AutoUpdate, Template | Rule]] = [(self.template.auto_update, self.template)]
        declared += [(self.setting_of(rule), rule) for rule in self.rules]
        enabled = [part for setting, part in declared if setting is AutoUpdate.ENABLED]
        disabled = [part for setting, part in declared if setting is AutoUpdate.DISABLED]
        if enabled and not self.automation_account:
            raise ValueError("automationAccount must have at least one way to the account where autoUpdate is Enabled")
        if any(part.agent_updates for part in enabled):
            raise ValueError("agentUpdates goes with autoUpdate Disabled alone: else Site Recovery updates by itself")
        if any(part.runbook_schedule for part in disabled):
            raise ValueError("runbookSchedule goes with autoUpdate Enabled alone: else Site Recovery has no schedule")
        return self


@dataclass(frozen=True)
class VaultAutoUpdatePolicy:
    """One policy: what the user declared, and what the API server says of the object."""

    key: ResourceKey
    spec: PolicySpec
    uid: str = ""
    generation: int = 0
    created_at: datetime = LONG_AGO
    deleting: bool = False
    requested_at: str | None = None
    approved: str = ""
    """Value of the `APPROVE` annotation."""
    shard: str = ""
    """The one that works on it, by its label; empty for the main one."""


class _Manifest(_Part):
    api_version: Literal["asr.vault-autoupdate.io/v1alpha1"]
    kind: Literal["VaultAutoUpdatePolicy"]
    metadata: Metadata
    spec: PolicySpec
    status: dict[str, Any] | None = None


def parse_policy(body: Mapping[str, Any]) -> VaultAutoUpdatePolicy:
    """Turn a Kubernetes object or a manifest into a `VaultAutoUpdatePolicy`.

    Raises:
        InvalidSpec: something in it cannot be acted on; every problem is named with its field.
    """
    try:
        manifest = _Manifest.model_validate(dict(body))
    except ValidationError as error:
        raise InvalidSpec([problem_of(entry) for entry in error.errors()]) from None
    metadata = manifest.metadata
    annotations = metadata.annotations or {}
    if len(metadata.name) > 63:
        raise InvalidSpec(["metadata.name: at most 63 characters, since children carry it as a label"])
    return VaultAutoUpdatePolicy(
        key=ResourceKey(metadata.namespace, metadata.name),
        spec=manifest.spec,
        uid=metadata.uid,
        generation=metadata.generation,
        created_at=metadata.creation_timestamp,
        deleting=metadata.deletion_timestamp is not None,
        requested_at=request_of(annotations.get(REQUESTED_AT)),
        approved=(annotations.get(APPROVE) or "")[:64].strip(),
        shard=(metadata.labels or {}).get(SHARD_LABEL, ""),
    )
