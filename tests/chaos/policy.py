"""A policy in the storm: its vaults, what is done to them, and whether its resources are those that may be there.

By hand nobody has declared these vaults. Two looks an hour apart are the least proof that a vault has left, so in the
minute that a seed takes no resource of a policy may go, whatever its discoveries have shown.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from asr_simulator import SimulatorThread
from asr_simulator.vault import Vault as SimulatedVault
from tests.chaos.accounting import Goal
from tests.chaos.history import Version
from tests.chaos.policy_plan import EXCLUDED, FIRST_VAULTS, PolicyPlan
from tests.chaos.steps import AddVault, DeleteVault, ExcludeVault, SetSubscription
from vault_autoupdate.model.resource import POLICY_LABEL, POLICY_PLURAL
from workbench.kube.resources import collection_path, policy_manifest, resource_path
from workbench.kube.rest import MERGE_PATCH, RestClient
from workbench.site import REQUESTED_AT, Vault, condition

NAME: Final = "estate"
GROUP: Final = "estate"
_EXCLUDE: Final = {"vault-autoupdate": "exclude"}
_SUBSCRIPTIONS: Final = tuple(f"6f3b9f5e-8a3c-4c7e-9a53-00000000009{number}" for number in range(2))

__all__ = ["PolicyGround", "children_of", "is_of_policy", "tenant_section", "vault_sections"]


def is_of_policy(body: Mapping[str, Any]) -> bool:
    """Whether a policy has made a resource."""
    return POLICY_LABEL in body["metadata"].get("labels", {})


def tenant_section() -> dict[str, Any]:
    """The management groups and subscriptions of a scenario."""
    return {
        "management_groups": [{"name": GROUP}, {"name": "elsewhere"}],
        "subscriptions": [{"id": each, "management_group": GROUP} for each in _SUBSCRIPTIONS],
    }


def vault_sections() -> list[dict[str, Any]]:
    """The vaults that are there at first."""
    return [_section(number, subscription) for number, subscription in FIRST_VAULTS.items()]


def _vault(number: int, subscription: int) -> Vault:
    return Vault(f"estate-{number}", _SUBSCRIPTIONS[subscription])


def _account(subscription: int) -> str:
    return Vault("asr", _SUBSCRIPTIONS[subscription]).account


def _section(number: int, subscription: int) -> dict[str, Any]:
    vault = _vault(number, subscription)
    return {
        "subscription": vault.subscription,
        "resource_group": vault.group,
        "name": vault.name,
        "automation_account": _account(subscription),
        "mix": {"disabled": 1, "enabled_compliant": 1},
        "tags": _EXCLUDE if number == EXCLUDED else {},
    }


@dataclass
class PolicyGround:
    """What a plan does to the vaults of a policy."""

    plan: PolicyPlan
    sim: SimulatorThread
    namespace: str
    asked: int = 0
    vaults: dict[int, int] = field(default_factory=lambda: dict(FIRST_VAULTS))
    """Those that there are, by number, with their subscription."""
    excluded: set[int] = field(default_factory=lambda: {EXCLUDED})
    moved: set[int] = field(default_factory=set)
    """Subscriptions that have left the management group."""

    def apply(self, rest: RestClient) -> None:
        """Declare the policy."""
        body = policy_manifest(
            NAME,
            scope={"managementGroups": [GROUP]},
            exclude={"matchTags": {name: [value] for name, value in _EXCLUDE.items()}},
            automationAccount=[{"namePattern": "aa-asr"}],
            mode="Enforce",
            onUnmatched="Release" if self.plan.release else "Keep",
            limits={"maxFailures": "100%", "maxRemovals": "100%", "minSuccessTime": "0s"},
            discovery={"source": "List"},
        )
        rest.create(collection_path(self.namespace, POLICY_PLURAL), body)

    def do(self, action: AddVault | DeleteVault | ExcludeVault | SetSubscription) -> None:
        """Do one action."""
        control = self.sim.control
        match action:
            case AddVault(number, subscription):
                control.add_vaults(_section(number, subscription))
                self.vaults[number] = subscription
            case DeleteVault(number):
                control.delete_vaults(_vault(number, self.vaults.pop(number)).name)
            case ExcludeVault(number):
                control.tag_vault(_vault(number, self.vaults[number]).name, **_EXCLUDE)
                self.excluded.add(number)
            case SetSubscription(number, state, group):
                fields = {"state": state} if state else {"management_group": group}
                control.set_subscription(_SUBSCRIPTIONS[number], **fields)
                self.moved |= {number} if group else set()

    def calm(self) -> None:
        """Let everything be in order that only time would mend."""
        for each in _SUBSCRIPTIONS:
            self.sim.control.set_subscription(each, state="Enabled")

    def ask(self, rest: RestClient, persist: Callable[[Callable[[], Any]], Any]) -> None:
        """Ask for a discovery, and for a look at each of the policy's resources."""
        self.asked += 1
        patch = {"metadata": {"annotations": {REQUESTED_AT: f"ask-{self.asked}"}}}

        def merge(path: str) -> None:
            rest.request("PATCH", path, patch, content_type=MERGE_PATCH)

        persist(partial(merge, resource_path(self.namespace, NAME, plural=POLICY_PLURAL)))
        for body in persist(lambda: children_of(rest, self.namespace)):
            persist(partial(merge, resource_path(self.namespace, body["metadata"]["name"])))

    def wanted(self) -> dict[str, int]:
        """The vaults that the policy means by now, by name, with their subscription."""
        return {
            _vault(number, subscription).name: subscription
            for number, subscription in self.vaults.items()
            if number not in self.excluded and subscription not in self.moved
        }

    def unsettled(self, rest: RestClient, differs: Callable[[SimulatedVault, Goal], str]) -> str:
        """The first thing that is not as the policy wants it; empty if all is."""
        status = rest.request("GET", resource_path(self.namespace, NAME, plural=POLICY_PLURAL)).get("status") or {}
        wanted, ready = self.wanted(), condition(status)
        if status.get("lastHandledReconcileAt") != f"ask-{self.asked}" or ready.get("status") != "True":
            return f"the policy is not Ready after ask-{self.asked}: {json.dumps(status)}"
        if status["coverage"] != f"{len(wanted)}/{len(wanted)}":
            return f"the policy covers {status['coverage']}, not all of {sorted(wanted)}"
        named = {each["spec"]["vaultResourceId"].rpartition("/")[2] for each in children_of(rest, self.namespace)}
        if missing := wanted.keys() - named:
            return f"there is no resource for {sorted(missing)}"
        for name, subscription in wanted.items():
            if problem := differs(self._world(name), Goal("Enabled", _account(subscription).casefold())):
                return problem
        return ""

    def problems(self, versions: Iterable[Version]) -> Iterator[str]:
        """What must not have happened: a resource that went, one that nobody meant, a vault that was switched off."""
        seen: dict[str, str] = {}
        for version in versions:
            seen[version.name] = str(version.body["spec"]["vaultResourceId"])
            if version.deleted:
                yield f"the policy removed {version.name} without proof"
        if len(set(seen.values())) != len(seen):
            yield f"a vault has two resources: {seen}"
        if any(vault.endswith(f"/estate-{EXCLUDED}") for vault in seen.values()):
            yield "the policy made a resource for a vault that was always excluded"
        for name in map(_name_of, seen.values()):
            world = next((each for each in self.sim.world.vaults.values() if each.spec.name == name), None)
            updates = world.setting_updates.values() if world else ()
            if off := [update for update in updates if update.wanted.status == "Disabled"]:
                yield f"{len(off)} PATCHes switched auto-update of {name} off"

    def _world(self, name: str) -> SimulatedVault:
        return next(each for each in self.sim.world.vaults.values() if each.spec.name == name)


def children_of(rest: RestClient, namespace: str) -> list[dict[str, Any]]:
    """The resources that a policy has made."""
    return [each for each in rest.request("GET", collection_path(namespace))["items"] if is_of_policy(each)]


def _name_of(vault_id: str) -> str:
    return vault_id.rpartition("/")[2]
