"""What a policy wants of one vault's resource, how that differs from what is there, and whose resource it is. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from vault_autoupdate.model.arm_id import ArmId
from vault_autoupdate.model.durations import format_duration
from vault_autoupdate.model.estate import Child, FoundVault
from vault_autoupdate.model.policy import Rule, Template, VaultAutoUpdatePolicy
from vault_autoupdate.model.resource import AgentUpdatesSpec, AutoUpdate, DeletionPolicy, Spec

__all__ = ["Claims", "Wanted", "child_name", "claims_of", "digest_of", "is_ours", "wanted", "wants"]


@dataclass(frozen=True)
class Wanted:
    """The resource that a vault should have."""

    fields: Mapping[str, Any]
    """``spec`` as a manifest has it; None for what must not be there."""
    spec: Spec
    """The same, checked."""


@dataclass(frozen=True)
class Claims:
    """Who has a resource for one vault."""

    own: Child | None = None
    """The policy's own, or one that somebody hands over to it."""
    foreign: Child | None = None
    """One that somebody wrote by hand. It wins, whatever its age."""
    others: Child | None = None
    """One of another policy."""


def child_name(policy: str, vault: ArmId) -> str:
    """The name of a vault's resource: the same at each discovery, and readable.

    Names of vaults have letters that those of objects may not have, and two vaults of one name may differ in their
    group: the hash of the whole id tells them apart.
    """
    readable = re.sub(r"[^a-z0-9]+", "-", vault.name.lower())[:60].strip("-")
    return "-".join(filter(None, (policy, readable, hashlib.sha256(vault.key.encode()).hexdigest()[:8])))


def wanted(policy: VaultAutoUpdatePolicy, vault: FoundVault, rule: Rule | None, account: ArmId | None) -> Wanted:
    """The resource that the policy wants for a vault which it has seen.

    ``account`` is None for ``Disabled`` alone. That setting comes from the template or a rule, and from nothing else.
    """
    template, setting = policy.spec.template, policy.spec.setting_of(rule)
    fields: dict[str, Any] = {
        "vaultResourceId": vault.id.text,
        "autoUpdate": setting.value,
        "automationAccountResourceId": account.text if account else None,
        "mode": ((rule and rule.mode) or template.mode).value,
        "interval": format_duration(template.interval),
        "jobTimeout": format_duration(template.job_timeout),
        "deletionPolicy": DeletionPolicy.RETAIN.value,
        "automationAccountChecks": template.automation_account_checks,
        "drift": {"attribution": template.drift.attribution.value},
        "credential": template.credential.model_dump(by_alias=True, exclude_none=True) if template.credential else None,
        "runbookSchedule": _schedule(template, rule, setting),
        "agentUpdates": _windows(template, rule, setting),
    }
    spec = Spec.model_validate({name: value for name, value in fields.items() if value is not None})
    return Wanted(fields, spec)


def wants(child: Child, want: Wanted) -> Mapping[str, Any]:
    """What has to change in the ``spec`` of an existing resource; empty when it is as wanted.

    Hand edits are undone, but for ``suspend``, and for ``mode`` unless the policy itself wants another mode by now.
    How an id is spelled does not matter.
    """
    changes = {}
    for name, value in want.fields.items():
        field = _FIELDS[name]
        have, need = getattr(child.spec, field), getattr(want.spec, field)
        if have == need or (isinstance(need, ArmId) and have and have.key == need.key):
            continue
        if name == "mode" and child.stamped_mode == need:
            continue
        changes[name] = value
    return changes


def digest_of(changes: Mapping[str, Any]) -> str:
    """A short text that is the same for the same changes."""
    return hashlib.sha256(json.dumps(changes, sort_keys=True).encode()).hexdigest()[:16]


def is_ours(policy: VaultAutoUpdatePolicy, child: Child) -> bool:
    """Whether a resource is of this very policy, and not of a namesake that was there before."""
    return (child.ref.key.namespace, child.policy, child.policy_uid) == (
        policy.key.namespace,
        policy.key.name,
        policy.uid,
    )


def claims_of(
    policy: VaultAutoUpdatePolicy, resources: Iterable[Child], policies: Collection[str] = frozenset()
) -> Claims:
    """Say whose the resources of one vault are; those that are being deleted count as gone.

    Args:
        policy: the policy.
        resources: of the vault.
        policies: uids of the others that there are. What was handed over and one of them has taken is that one's: else
            two policies that mean a vault would take it from each other for ever.
    """
    own = foreign = others = None
    for child in sorted((each for each in resources if not each.deleting), key=lambda each: each.ref.key):
        is_free = child.policy_uid not in policies and child.ref.key.namespace == policy.key.namespace
        if is_ours(policy, child):
            own = child
        elif child.adopt and is_free:
            own = own or child
        elif child.policy:
            others = others or child
        else:
            foreign = foreign or child
    return Claims(own, foreign, others)


def _schedule(template: Template, rule: Rule | None, setting: AutoUpdate) -> dict[str, Any] | None:
    declared = (rule and rule.runbook_schedule) or template.runbook_schedule
    return declared.as_manifest() if declared and setting is AutoUpdate.ENABLED else None


def _windows(template: Template, rule: Rule | None, setting: AutoUpdate) -> dict[str, Any] | None:
    if setting is AutoUpdate.ENABLED:
        return None
    updates = (rule and rule.agent_updates) or template.agent_updates
    return _manifest_of(updates) if updates else None


def _manifest_of(updates: AgentUpdatesSpec) -> dict[str, Any]:
    document = updates.model_dump(by_alias=True)
    return document | {"duration": format_duration(updates.duration), "order": list(updates.order)}


_FIELDS = {
    "vaultResourceId": "vault_resource_id",
    "autoUpdate": "auto_update",
    "automationAccountResourceId": "automation_account_resource_id",
    "mode": "mode",
    "interval": "interval",
    "jobTimeout": "job_timeout",
    "deletionPolicy": "deletion_policy",
    "automationAccountChecks": "automation_account_checks",
    "drift": "drift",
    "credential": "credential",
    "runbookSchedule": "runbook_schedule",
    "agentUpdates": "agent_updates",
}
