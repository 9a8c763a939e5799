"""One policy for many vaults: looked at first, then enforced; a new vault is found, and one is excluded by its tag."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, Final

from asr_simulator.control_client import ControlClient
from demo.screen import note, say
from vault_autoupdate.model.resource import POLICY_LABEL, POLICY_PLURAL, REQUESTED_AT
from workbench.kube.embedded_api import EmbeddedApi
from workbench.kube.resources import policy_manifest, resource_path
from workbench.process.waiting import wait_until

GROUP: Final = "mg-prod"
SUBSCRIPTIONS: Final = tuple(f"6f3b9f5e-8a3c-4c7e-9a53-0d1f6b2c7b{number:02}" for number in range(1, 4))
"""Those of the scenario that are in the management group."""
VAULTS: Final = 2
"""In each of them."""
NAME: Final = "estate"

__all__ = ["show_policy"]


def show_policy(api: EmbeddedApi, control: ControlClient) -> None:
    """Cover all vaults of a management group by one policy."""
    say(f"A management group {GROUP} of {len(SUBSCRIPTIONS)} subscriptions, with vaults that nobody has declared")
    for vault in control.add_vaults(
        *(_vault(subscription, number) for subscription in range(len(SUBSCRIPTIONS)) for number in range(VAULTS))
    ):
        note(vault)
    count = len(SUBSCRIPTIONS) * VAULTS

    say(f"kubectl apply: a VaultAutoUpdatePolicy over {GROUP}. It begins with a look")
    _apply(api)
    _follow(api, lambda status: _reason(status) == "WouldChange")
    _show(api)

    say("The same with spec.mode: Enforce")
    _apply(api, mode="Enforce")
    _follow(api, lambda status: status.get("coverage") == f"{count}/{count}" and _reason(status) == "Covered")
    _show(api, resources=True)

    say("Somebody creates a vault; the next look finds it")
    note(control.add_vaults(_vault(0, VAULTS))[0])
    _ask(api)
    _follow(api, lambda status: status.get("coverage") == f"{count + 1}/{count + 1}" and _reason(status) == "Covered")
    _show(api)

    say("Somebody tags a vault vault-autoupdate=exclude: it is left alone, and nothing is switched off")
    control.tag_vault("dr-2-0", **{"vault-autoupdate": "exclude"})
    control.reset_stats()
    _ask(api)
    status = _follow(api, lambda status: status["vaults"]["excluded"] == 1)
    _show(api)
    (sample,) = (each for each in status["samples"] if each["kind"] == "Orphaned")
    note(f"{sample['name'].rpartition('/')[2]}: {sample['why']}; its resource stays, since spec.onUnmatched is Keep")
    if patches := control.patches():
        raise SystemExit(f"leaving a policy must not change anything in Azure: {patches}")


def _vault(subscription: int, number: int) -> dict[str, Any]:
    owner = SUBSCRIPTIONS[subscription]
    group = f"/subscriptions/{owner}/resourceGroups/rg-dr/providers"
    return {
        "subscription": owner,
        "resource_group": "rg-dr",
        "name": f"dr-{subscription}-{number}",
        "automation_account": f"{group}/Microsoft.Automation/automationAccounts/aa-asr",
        "mix": {"enabled_compliant": 2, "disabled": 3},
    }


def _apply(api: EmbeddedApi, **spec: Any) -> None:
    document = policy_manifest(
        NAME,
        scope={"managementGroups": [GROUP]},
        exclude={"matchTags": {"vault-autoupdate": ["exclude"]}},
        automationAccount=[{"namePattern": "aa-asr*"}],
        discovery={"source": "List"},
        **spec,
    )
    for line in api.kubectl("apply", "-f", "-", stdin=json.dumps(document)).splitlines():
        note(line)


def _ask(api: EmbeddedApi) -> None:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    note(f"kubectl annotate vaup/{NAME} --overwrite {REQUESTED_AT}={stamp}")
    api.kubectl("annotate", f"vaup/{NAME}", "--overwrite", f"{REQUESTED_AT}={stamp}")


def _show(api: EmbeddedApi, *, resources: bool = False) -> None:
    lines = api.kubectl("get", "vaup").splitlines()
    if resources:
        lines += api.kubectl("get", "vau", "-l", f"{POLICY_LABEL}={NAME}").splitlines()
    for line in lines:
        note(line)


def _follow(api: EmbeddedApi, finished: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Show what the policy says as it changes until it is ``finished``; returns its status."""
    said = ""

    def look() -> dict[str, Any] | None:
        nonlocal said
        status: dict[str, Any] = api.rest.request("GET", resource_path("default", NAME, plural=POLICY_PLURAL)).get(
            "status", {}
        )
        ready = _ready(status)
        if ready.get("message", said) != said:
            said = ready["message"]
            note(f"{ready['reason']}: {said}")
        return status if status and finished(status) else None

    return wait_until(look, within=60, what="what the policy is to say", every=0.1)


def _ready(status: dict[str, Any]) -> dict[str, Any]:
    return next((each for each in status.get("conditions", ()) if each["type"] == "Ready"), {})


def _reason(status: dict[str, Any]) -> str:
    return str(_ready(status).get("reason", ""))
