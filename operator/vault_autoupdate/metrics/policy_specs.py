"""Every metric about policies. There are few of them, so that each has series of its own in any case."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from vault_autoupdate.metrics.spec_types import PREFIX, Kind, MetricSpec, Section, quoted

__all__ = ["POLICY_SPECS", "PendingStep", "SubscriptionState", "VaultStanding"]


class VaultStanding(StrEnum):
    """What a policy says of a vault that it has found; each vault has exactly one."""

    MANAGED = "managed"
    MISSING = "missing"
    """It is meant, and has no resource yet."""
    WITHOUT_ACCOUNT = "without_account"
    FOREIGN = "foreign"
    CONFLICTING = "conflicting"
    EXCLUDED = "excluded"
    WITHOUT_REPLICATION = "without_replication"
    NOT_SELECTED = "not_selected"
    NOT_ALLOWED = "not_allowed"


class SubscriptionState(StrEnum):
    """What became of a subscription in the last discovery."""

    READ = "read"
    UNREACHABLE = "unreachable"
    DISABLED = "disabled"


class PendingStep(StrEnum):
    """What a policy would do to its resources."""

    CREATE = "create"
    UPDATE = "update"
    REMOVE = "remove"


_LABELS: Final = {"namespace": "of the policy", "name": "of the policy"}


def _policy(name: str, text: str, **labels: str) -> MetricSpec:
    return MetricSpec(f"{PREFIX}_policy_{name}", Kind.GAUGE, Section.POLICIES, text, {**_LABELS, **labels})


POLICY_SPECS: Final = (
    _policy("ready", "1 if the policy is Ready: every vault that is meant is covered.", reason="of that condition"),
    _policy("enforced", "1 if the policy makes resources; 0 in mode Audit."),
    _policy("suspended", "1 if somebody has suspended the policy."),
    _policy(
        "coverage_ratio",
        "The share of the vaults that are meant which have a resource of the policy. Absent while none is meant.",
    ),
    _policy("vaults", "Vaults that were found, by what becomes of them.", standing=quoted(VaultStanding)),
    _policy("resources_not_ready", "Resources of the policy that are not Ready, on vaults that are meant."),
    _policy("resources_orphaned", "Resources of the policy whose vault is no longer meant, or no longer found."),
    _policy(
        "subscriptions",
        "Subscriptions in scope by whether they could be read; one that is disabled may have been read.",
        state=quoted(SubscriptionState),
    ),
    _policy("pending", "Resources to make, to change, and to remove with proof.", step=quoted(PendingStep)),
    _policy("discovery_complete", "1 if the last discovery could read all that is in scope."),
    _policy(
        "last_complete_discovery_timestamp_seconds",
        "When the last discovery began that could read all that is in scope; before the first, when the policy was "
        "made.",
    ),
    _policy("discovery_duration_seconds", "How long the last discovery took."),
    _policy("discovery_interval_seconds", "How often vaults are looked for."),
    _policy("rollout_paused", "1 while no new resources are made because too many have failed."),
    _policy("removals_blocked", "1 while removals or changes wait for somebody's approval, being above the limits."),
)
