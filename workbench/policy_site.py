"""A tenant of a few subscriptions, a policy over it, and an operator that works on policies."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

from asr_simulator import Scenario, SimulatorThread, parse_scenario
from workbench.kube.control_plane import ControlPlane
from workbench.kube.resources import collection_path, policy_manifest, resource_path
from workbench.kube.rest import MERGE_PATCH
from workbench.process.operator import OperatorProcess
from workbench.process.waiting import wait_until
from workbench.site import check_log

SUBSCRIPTIONS: Final = tuple(f"{number:08x}-0000-4000-8000-000000000000" for number in range(1, 4))
SCALE: Final = 100.0
"""Simulated seconds in a second."""
_PLURAL: Final = "vaultautoupdatepolicies"

__all__ = ["SUBSCRIPTIONS", "PolicySite", "subscription_of", "tenant", "vault_spec"]


def subscription_of(number: int) -> str:
    """The id of a subscription."""
    return f"{number + 1:08x}-0000-4000-8000-000000000000"


def vault_spec(subscription: int, number: int, **changes: Any) -> dict[str, Any]:
    """A vault with one mapping that is switched off."""
    owner = subscription_of(subscription)
    group = f"/subscriptions/{owner}/resourceGroups/rg"
    return {
        "subscription": owner,
        "resource_group": "rg",
        "name": f"dr-{subscription}-{number}",
        "automation_account": f"{group}/providers/Microsoft.Automation/automationAccounts/aa-{subscription}",
        "mix": {"disabled": 1},
    } | changes


def tenant(
    *, subscriptions: int = 3, vaults: int = 0, specs: Sequence[dict[str, Any]] = (), **changes: Any
) -> Scenario:
    """So many subscriptions in the management group ``mg``, each with so many vaults and one account; or ``specs``."""
    return parse_scenario(
        {
            "time_scale": SCALE,
            "jobs": {"duration": {"min": 5, "max": 20}},
            "management_groups": [{"name": "mg"}],
            "subscriptions": [
                {"id": subscription_of(number), "management_group": "mg"} for number in range(subscriptions)
            ],
            "vaults": specs
            or [vault_spec(subscription, number) for subscription in range(subscriptions) for number in range(vaults)],
        }
        | changes
    )


class PolicySite:
    """What a test of policies has in its hands."""

    def __init__(
        self,
        plane: ControlPlane,
        sim: SimulatorThread,
        namespace: str,
        work_dir: Path,
        *,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.plane = plane
        self.sim = sim
        self.namespace = namespace
        self.kubectl = plane.kubectl.in_namespace(namespace)
        self.operator = OperatorProcess(
            work_dir,
            kubeconfig=plane.admin_kubeconfig,
            arm_url=sim.url,
            identity=sim.identity_env,
            scale=SCALE,
            settings={
                "VAULT_AUTOUPDATE_POLICIES": "true",
                "VAULT_AUTOUPDATE_WATCH_NAMESPACES": namespace,
                "VAULT_AUTOUPDATE_AGENT_INTERVAL": "0s",
            }
            | dict(settings or {}),
        )
        self._asked = 0

    def __enter__(self) -> Self:
        self.operator.start()
        try:
            self.operator.wait_ready(within=90)
        except BaseException:
            self.operator.close()
            raise
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.operator.close()
        if kind is None:
            check_log(self.operator.log)

    @staticmethod
    def vault(subscription: int, number: int) -> dict[str, Any]:
        """A vault to make."""
        return vault_spec(subscription, number)

    def apply(self, **spec: Any) -> None:
        """Apply the policy ``estate`` over the management group."""
        fields: dict[str, Any] = {
            "scope": {"managementGroups": ["mg"]},
            "automationAccount": [{"namePattern": "aa-*"}],
        } | spec
        self.kubectl("apply", "-f", "-", stdin=json.dumps(policy_manifest(**fields))).check()

    def discover(self) -> None:
        """Ask for a discovery now, and wait until it has been answered."""
        asked = self.ask_for_discovery()
        self.wait_until(lambda status: status.get("lastHandledReconcileAt") == asked)

    def ask_for_discovery(self) -> str:
        """Ask for a discovery now; returns by what the answer is known."""
        self._asked += 1
        asked = str(self._asked)
        annotations = {"asr.vault-autoupdate.io/requestedAt": asked}
        path = resource_path(self.namespace, "estate", plural=_PLURAL)
        self.plane.rest.request("PATCH", path, {"metadata": {"annotations": annotations}}, content_type=MERGE_PATCH)
        return asked

    def status(self) -> dict[str, Any]:
        """The status of the policy."""
        path = resource_path(self.namespace, "estate", plural=_PLURAL)
        found: dict[str, Any] = self.plane.rest.request("GET", path).get("status", {})
        return found

    def condition(self, kind: str) -> dict[str, Any]:
        """One of its conditions; empty where there is none."""
        return next((each for each in self.status().get("conditions", ()) if each["type"] == kind), {})

    def wait(self, reason: str, *, within: float = 90.0) -> dict[str, Any]:
        """Wait for the reason of Ready; returns the status."""
        return self.wait_until(lambda _: self.condition("Ready").get("reason") == reason, within=within)

    def wait_until(self, holds: Callable[[dict[str, Any]], bool], *, within: float = 90.0) -> dict[str, Any]:
        """Wait until something holds of the status; returns it."""

        def told() -> bool:
            self.operator.child.check_alive()
            status = self.status()
            return bool(status.get("vaults") or status.get("conditions")) and holds(status)

        wait_until(told, within=within, what=lambda: f"{self.status()}\n{self.operator.child.log_tail()}")
        return self.status()

    def children(self) -> dict[str, dict[str, Any]]:
        """All VaultAutoUpdates, by their names without the hash."""
        found = self.plane.rest.request("GET", collection_path(self.namespace))["items"]
        return {each["metadata"]["name"].rpartition("-")[0]: each for each in found}

    def wait_child(self, name: str, reason: str, *, within: float = 60.0) -> None:
        """Wait for the reason of a child's Ready."""

        def told() -> bool:
            conditions = self.children()[name].get("status", {}).get("conditions", ())
            return any((each["type"], each["reason"]) == ("Ready", reason) for each in conditions)

        wait_until(told, within=within, what=lambda: f"{name}: {self.children()[name].get('status')}")

    def events(self) -> dict[str, list[str]]:
        """Types of the Events about the policy, by their reason, in the order in which they first came."""
        path = f"/apis/events.k8s.io/v1/namespaces/{self.namespace}/events"
        found = self.plane.rest.request("GET", path)["items"]
        told: dict[str, list[str]] = {}
        for each in sorted(found, key=lambda event: event["eventTime"]):
            if each["regarding"]["kind"] == "VaultAutoUpdatePolicy":
                told.setdefault(each["reason"], []).append(each["type"])
        return told

    def settings_of(self, vault: str) -> set[str]:
        """The settings of the mappings of one vault, by its name."""
        (child,) = (each for each in self.sim.world.vaults.values() if each.id.endswith(f"/{vault}"))
        return {mapping["status"] for mapping in self.sim.control.mappings(child.id)}

    def settings(self) -> dict[str, str]:
        """The setting of every mapping of every vault that has a resource, by its id."""
        return {
            mapping["id"]: mapping["status"]
            for child in self.children().values()
            for mapping in self.sim.control.mappings(child["spec"]["vaultResourceId"])
        }
