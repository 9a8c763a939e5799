"""The whole coverage of a policy, vault by vault, for people, files and audits; and vaults as manifests. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final

from vault_autoupdate.decide.policy_steps import PolicyPlan
from vault_autoupdate.model.arm_id import fold
from vault_autoupdate.model.azure import ContainerMapping
from vault_autoupdate.model.estate import Estate, FoundVault
from vault_autoupdate.model.policy import ADOPT, STAMPED_MODE
from vault_autoupdate.model.resource import API_VERSION, KIND, AutoUpdate

_TO_TAKE_OVER: Final = "to be taken over"
NOT_SELECTED: Final = "spec.vaultSelector does not select it"

__all__ = ["Setting", "VaultRow", "manifest_today", "rows_of", "setting_of", "whose"]


@dataclass(frozen=True)
class VaultRow:
    """One vault, and what a policy does about it."""

    vault: str
    """Its ARM id."""
    location: str
    standing: str
    """Managed, Missing, Changes, Leaves, Orphaned, Excluded, NotSelected, WithoutReplication, WithoutAccount, Foreign
    or Conflicting."""
    why: str = ""
    resource: str = ""
    """Name of its resource: the one that it has, or would get."""
    auto_update: str = ""
    """What the policy wants of it."""
    automation_account: str = ""

    def document(self) -> dict[str, Any]:
        """The same as JSON has it."""
        return asdict(self)


@dataclass(frozen=True)
class Setting:
    """The setting that a vault has today."""

    word: str
    """Enabled, Disabled, Mixed, or None where it has no mapping that can have one."""
    account: str = ""
    """If Enabled: what all of them name."""
    mappings: int = 0


def setting_of(mappings: Iterable[ContainerMapping]) -> Setting:
    """Sum up the mappings of a vault that replicate between Azure regions."""
    counted = [each for each in mappings if each.is_azure_to_azure and each.is_paired]
    enabled = [each for each in counted if each.is_set_to(AutoUpdate.ENABLED)]
    if not counted:
        return Setting("None")
    if not enabled:
        return Setting("Disabled", mappings=len(counted))
    if len(enabled) == len(counted) and len({fold(each.automation_account_id) for each in enabled}) == 1:
        return Setting("Enabled", counted[0].automation_account_id, len(counted))
    return Setting("Mixed", mappings=len(counted))


def manifest_today(name: str, vault: FoundVault, setting: Setting) -> dict[str, Any] | None:
    """A manifest that declares what a vault has today; None where that is not one thing.

    In mode Audit, so that whoever applies it changes nothing, not even where something is unhealthy.
    """
    if setting.word not in {"Enabled", "Disabled"}:
        return None
    account = {"automationAccountResourceId": setting.account} if setting.account else {}
    spec = {"vaultResourceId": vault.id.text, "autoUpdate": setting.word, **account, "mode": "Audit"}
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": name}, "spec": spec}


def rows_of(estate: Estate, plan: PolicyPlan) -> list[VaultRow]:
    """Every vault that was found and may be named, and every resource whose vault was not found, ordered by id."""
    rows = {key: _base(estate.vaults[key], plan) for key in _shown(estate, plan)}
    for creation in plan.missing:
        rows[creation.vault.key] = VaultRow(
            creation.vault.id.text,
            creation.vault.location,
            "Missing",
            "it has no resource yet",
            creation.name,
            creation.want.spec.auto_update.value,
            str(creation.want.spec.automation_account_resource_id or ""),
        )
    for change in plan.differing:
        key = change.child.vault_key
        why = f"to change: {', '.join(sorted(change.fields)) or STAMPED_MODE}" if not change.adopts else _TO_TAKE_OVER
        rows[key] = VaultRow(**{**rows[key].document(), "standing": "Changes", "why": why})
    leaving = {each.child.vault_key for each in plan.leaving}
    for key, why in plan.orphaned.items():
        child = plan.own[key]
        standing = "Leaves" if key in leaving else "Orphaned"
        rows[key] = VaultRow(str(child.spec.vault_resource_id), "", standing, why, child.ref.key.name)
    return [rows[key] for key in sorted(rows)]


def whose(plan: PolicyPlan, key: str) -> str:
    """In words, which policy has a vault that conflicts."""
    if key in plan.earlier:
        return f"its resource is of an earlier policy of this name: set {ADOPT}=true on it"
    return f"it belongs to policy {plan.conflicting[key]}"


def _shown(estate: Estate, plan: PolicyPlan) -> list[str]:
    """What the policy's namespace may not name is not told of."""
    if not plan.selection.not_allowed:
        return list(estate.vaults)
    selection = plan.selection
    return [key for key in estate.vaults if key in {*selection.selected, *selection.excluded, *selection.idle}]


def _base(vault: FoundVault, plan: PolicyPlan) -> VaultRow:
    key, text, place = vault.key, vault.id.text, vault.location
    if key in plan.selection.excluded:
        return VaultRow(text, place, "Excluded", plan.selection.excluded[key])
    if key in plan.selection.idle:
        return VaultRow(text, place, "WithoutReplication", "it replicates nothing, as far as is known")
    if key not in plan.selection.selected:
        return VaultRow(text, place, "NotSelected", NOT_SELECTED)
    if key in plan.without_account:
        return VaultRow(text, place, "WithoutAccount", plan.without_account[key])
    if key in plan.foreign:
        return VaultRow(text, place, "Foreign", "somebody wrote a resource by hand", str(plan.foreign[key].ref.key))
    if key in plan.conflicting:
        return VaultRow(text, place, "Conflicting", whose(plan, key))
    if key in plan.own:
        child = plan.own[key]
        account = str(child.spec.automation_account_resource_id or "")
        return VaultRow(text, place, "Managed", "", child.ref.key.name, child.spec.auto_update.value, account)
    return VaultRow(text, place, "Missing")
