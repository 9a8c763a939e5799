"""Scenario sections that say how the service behaves: limits, latency, jobs, identities."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

Share = Annotated[float, Field(ge=0.0, le=1.0)]
"""A probability or a part of a whole."""

__all__ = [
    "DEFAULT_AUDIENCES",
    "DEFAULT_FAILURES",
    "ArmBuckets",
    "Denial",
    "Identity",
    "IdentitySpec",
    "JobFailure",
    "Jobs",
    "Limit",
    "LimitText",
    "Range",
    "Section",
    "Share",
    "Throttling",
]


class Section(BaseModel):
    """Base of every section: unknown fields are errors, and a section never changes once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Limit(Section):
    """So many calls in any window of so many simulated seconds; written ``200/60s``."""

    count: int = Field(gt=0)
    """Calls let through."""
    window: float = Field(gt=0)
    """Length of the sliding window in simulated seconds."""

    def __str__(self) -> str:
        return f"{self.count}/{self.window:g}s"


_LIMIT = re.compile(r"(\d+)/(\d+(?:\.\d+)?)s")


def _read_limit(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    match = _LIMIT.fullmatch(value.strip())
    if match is None:
        raise ValueError("write a limit as COUNT/SECONDSs, for example 200/60s")
    return {"count": int(match[1]), "window": float(match[2])}


LimitText = Annotated[Limit, BeforeValidator(_read_limit), PlainSerializer(str, return_type=str)]


class ArmBuckets(Section):
    """Resource Manager's own token buckets, in front of Site Recovery (documented by Microsoft for public Azure)."""

    enabled: bool = True
    """Off: only Site Recovery's windows limit."""
    writes: int = Field(default=200, gt=0)
    """Size of the write bucket."""
    writes_per_second: float = Field(default=10.0, gt=0)
    """Refill of the write bucket per simulated second."""
    reads: int = Field(default=250, gt=0)
    """Size of the read bucket."""
    reads_per_second: float = Field(default=25.0, gt=0)
    """Refill of the read bucket per simulated second."""


class Throttling(Section):
    """Request limits, each counted per (subscription, vault region)."""

    enabled: bool = True
    """Off: Site Recovery counts but never rejects."""
    writes: LimitText = Limit(count=200, window=60.0)
    """Site Recovery's limit on writes."""
    reads: LimitText = Limit(count=10_000, window=3600.0)
    """Site Recovery's limit on reads."""
    arm: ArmBuckets = ArmBuckets()
    """Resource Manager's buckets."""
    other_client_writes_per_minute: float = Field(default=0.0, ge=0)
    """Writes that somebody else, evenly spaced, makes in the same scope: they take part of the write limit."""


class Range(Section):
    """An interval from which values are drawn evenly."""

    min: float = Field(ge=0)
    """Smallest value."""
    max: float = Field(ge=0)
    """Largest value."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.max < self.min:
            raise ValueError("max must not be less than min")
        return self


class JobFailure(Section):
    """One way for a job to fail, with the texts that its error carries."""

    code: str
    """``serviceErrorDetails.code``; numbers written as text."""
    message: str
    """What happened."""
    possible_causes: str = ""
    """Why it may have happened."""
    recommended_action: str = ""
    """What the service advises."""
    provider_code: int | None = None
    """``providerErrorDetails.errorCode``; none leaves the provider's details out."""
    provider_message: str = ""
    """``providerErrorDetails.errorMessage``."""
    weight: float = Field(default=1.0, gt=0)
    """How often this failure is drawn, relative to the others."""


DEFAULT_FAILURES = (
    JobFailure(
        code="900001",
        message="The automation account could not be reached to set up the update schedule.",
        possible_causes="The managed identity of the automation account has no role in the vault.",
        recommended_action="Give the automation account's managed identity a role in the vault and try again.",
        provider_code=900101,
        provider_message="The schedule was not created.",
    ),
    JobFailure(
        code="900002",
        message="The job failed because of an internal error.",
        possible_causes="A dependent service was briefly unavailable.",
        recommended_action="Try again. If the problem stays, contact support.",
    ),
)
"""Invented: no numeric codes of auto-update failures are published. 9000xx cannot be mistaken for real ones."""


class Jobs(Section):
    """How jobs run. The ``*_share`` fields are drawn exclusively, so their sum is at most 1; the rest succeed."""

    duration: Range = Range(min=5.0, max=30.0)
    """Simulated seconds from acceptance to the end."""
    retry_after: float | None = Field(default=30.0, ge=0)
    """``Retry-After`` of an accepted PATCH in simulated seconds (published examples: 30); null leaves it out."""
    failed_share: Share = 0.0
    """Part that ends ``Failed``."""
    failures: tuple[JobFailure, ...] = Field(default=DEFAULT_FAILURES, min_length=1)
    """Errors of the failed ones."""
    partially_succeeded_share: Share = 0.0
    """Part that ends ``Succeeded`` with stateDescription ``PartiallySucceeded``."""
    completed_with_information_share: Share = 0.0
    """Part that ends ``Succeeded`` with stateDescription ``CompletedWithInformation``."""
    cancelled_share: Share = 0.0
    """Part that somebody cancels half-way."""
    suspended_share: Share = 0.0
    """Part that is suspended and stays so."""
    never_ending_share: Share = 0.0
    """Part that runs for ever."""
    not_started_share: Share = 0.0
    """Part that waits as ``NotStarted`` for a third of its time first; independent of how it ends."""
    target: Literal["mapping", "policy"] = "mapping"
    """What a mapping job's target fields name: nobody knows for an update; for a creation it was the policy."""
    background_per_hour: float = Field(default=0.0, ge=0)
    """Jobs per simulated hour and vault that have nothing to do with mappings (initial replications)."""

    @model_validator(mode="after")
    def _shares_fit(self) -> Self:
        shares = (
            self.failed_share,
            self.partially_succeeded_share,
            self.completed_with_information_share,
            self.cancelled_share,
            self.suspended_share,
            self.never_ending_share,
        )
        if sum(shares) > 1.0 + 1e-9:
            raise ValueError(f"the shares add up to {sum(shares):g}, more than 1")
        return self


class Denial(Section):
    """Calls that an identity has no right to make."""

    subscription: str = "*"
    """Subscription id, with wildcards."""
    vault: str = "*"
    """Vault name, with ``*`` and ``?`` as wildcards."""
    action: str = "*"
    """Action name such as ``*/replicationProtectionContainerMappings/write``, with wildcards."""


class IdentitySpec(Section):
    """An identity that the token endpoints know."""

    client_id: str
    """The application id by which it is asked for."""
    object_id: str = "5c0d3f0e-0000-4000-8000-000000000001"
    """The principal id that access errors name."""
    user: str = ""
    """User principal name of a person; empty for an application."""
    tenant_id: str | None = None
    """Tenant of its tokens when it is not the subscription's: such tokens are refused."""
    client_secret: str | None = None
    """Secret that it has to show at the OAuth endpoint; none: any will do."""
    federated_subject: str | None = None
    """Subject that its federated assertions must have, such as ``system:serviceaccount:NAMESPACE:NAME``; none: any."""
    denied: tuple[Denial, ...] = ()
    """What it may not do; everything else is allowed."""


DEFAULT_AUDIENCES = (
    "https://management.azure.com",
    "https://management.core.windows.net",
    "https://management.usgovcloudapi.net",
    "https://management.core.usgovcloudapi.net",
    "https://management.chinacloudapi.cn",
    "https://management.core.chinacloudapi.cn",
)


class Identity(Section):
    """The token endpoint and what tokens must look like."""

    secret: str = "asr-simulator"  # noqa: S105 - guards nothing: any caller of the simulator may know it
    """What ``X-IDENTITY-HEADER`` has to hold."""
    tenant_id: str = "3f1f7c4e-2b7d-4b1e-9d2a-7c6a1e5b9f00"
    """Tenant of the subscriptions."""
    token_lifetime: float = Field(default=86_400.0, gt=0)
    """Real seconds for which a token is good."""
    audiences: tuple[str, ...] = Field(default=DEFAULT_AUDIENCES, min_length=1)
    """Audiences that the Resource Manager routes accept; a trailing slash does not matter."""
    identities: tuple[IdentitySpec, ...] = ()
    """Known identities. Empty: every client id gets a token with all rights."""
