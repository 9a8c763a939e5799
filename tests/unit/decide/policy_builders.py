"""Values for the tests of policies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from tests.unit.builders import NOW
from vault_autoupdate.decide.policy_children import child_name
from vault_autoupdate.model.arm_id import parse_automation_account_id, parse_vault_id
from vault_autoupdate.model.estate import Child, ChildState, Estate, FoundAccount, FoundVault
from vault_autoupdate.model.policy import VaultAutoUpdatePolicy, parse_policy
from vault_autoupdate.model.resource import ObjectRef, ResourceKey, Spec

SUBSCRIPTIONS: Final = tuple(f"{number:08x}-0000-4000-8000-000000000000" for number in range(1, 4))
OLD: Final = NOW - timedelta(days=30)


def vault_of(number: int = 1, subscription: str = SUBSCRIPTIONS[0], **tags: str) -> FoundVault:
    """One vault; underscores in names of tags stand for hyphens."""
    text = f"/subscriptions/{subscription}/resourceGroups/rg/providers/Microsoft.RecoveryServices/vaults/dr-{number}"
    named = {name.replace("_", "-"): value for name, value in tags.items()}
    return FoundVault(parse_vault_id(text), "westeurope", named)


def account_of(name: str = "aa-asr", subscription: str = SUBSCRIPTIONS[0], **tags: str) -> FoundAccount:
    """One Automation account."""
    text = f"/subscriptions/{subscription}/resourceGroups/rg/providers/Microsoft.Automation/automationAccounts/{name}"
    return FoundAccount(parse_automation_account_id(text), tags)


def estate_of(vaults: Iterable[FoundVault], **changes: Any) -> Estate:
    """A complete discovery, by lists, with one account in each subscription."""
    fields: dict[str, Any] = {
        "source": "List",
        "started_at": NOW,
        "completed_at": NOW,
        "expected": frozenset(SUBSCRIPTIONS),
        "read": frozenset(SUBSCRIPTIONS),
        "vaults": {vault.key: vault for vault in vaults},
        "accounts": {each: (account_of(subscription=each),) for each in SUBSCRIPTIONS},
    }
    return Estate(**(fields | changes))


def policy_of(
    *, name: str = "estate", uid: str = "policy-uid", approve: str = "", **spec: Any
) -> VaultAutoUpdatePolicy:
    """A policy over the subscriptions that enforces."""
    fields: dict[str, Any] = {
        "scope": {"subscriptions": list(SUBSCRIPTIONS)},
        "template": {"autoUpdate": "Enabled"},
        "automationAccount": [{"namePattern": "aa-*"}],
        "mode": "Enforce",
    } | spec
    metadata = {
        "name": name,
        "namespace": "platform",
        "uid": uid,
        "annotations": {"asr.vault-autoupdate.io/approve": approve},
    }
    return parse_policy(
        {
            "apiVersion": "asr.vault-autoupdate.io/v1alpha1",
            "kind": "VaultAutoUpdatePolicy",
            "metadata": metadata,
            "spec": fields,
        }
    )


def child_of(vault: FoundVault, policy: VaultAutoUpdatePolicy | None = None, **changes: Any) -> Child:
    """The resource of a vault as the policy would have made it, Ready for long; without a policy, one by hand."""
    spec: dict[str, Any] = {
        "vaultResourceId": vault.id.text,
        "autoUpdate": "Enabled",
        "automationAccountResourceId": account_of(subscription=vault.id.subscription).id.text,
    } | changes.pop("spec", {})
    name = child_name(policy.key.name if policy else "by-hand", vault.id)
    fields: dict[str, Any] = {
        "ref": ObjectRef(ResourceKey("platform", name), f"uid-{name}"),
        "spec": Spec.model_validate({key: value for key, value in spec.items() if value is not None}),
        "policy": policy.key.name if policy else "",
        "policy_uid": policy.uid if policy else "",
        "stamped_mode": "Enforce" if policy else "",
        "state": ChildState.READY,
        "ready_since": OLD,
        "created_at": OLD,
    }
    return Child(**(fields | changes))


def by_vault(*children: Child) -> Mapping[str, tuple[Child, ...]]:
    """Resources as a plan takes them."""
    found: dict[str, tuple[Child, ...]] = {}
    for child in children:
        found[child.vault_key] = (*found.get(child.vault_key, ()), child)
    return found


def ago(**duration: float) -> datetime:
    """A time before `NOW`."""
    return NOW - timedelta(**duration)
