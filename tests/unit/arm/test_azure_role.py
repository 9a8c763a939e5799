"""The role in the documentation against every call that there is to Azure."""

from __future__ import annotations

from typing import Any, Final

from tests.unit.builders import ACCOUNT_ID, DISABLE, VAULT, VAULT_ID
from tests.unit.scripted_arm import ScriptedArm, json_reply
from vault_autoupdate.arm.authorization import RoleAssignments
from vault_autoupdate.arm.automation import AutomationAccounts
from vault_autoupdate.arm.client import CallContext
from vault_autoupdate.arm.session import ArmCall, ArmReply
from vault_autoupdate.arm.site_recovery import SiteRecovery
from vault_autoupdate.model.arm_id import parse_automation_account_id
from vault_autoupdate.model.azure import ContainerMapping
from vault_autoupdate.model.quota import QuotaScope
from workbench.azure.role import ROLE, action_of

CONTAINER: Final = f"{VAULT_ID}/replicationFabrics/f/replicationProtectionContainers/c"
MAPPING: Final = f"{CONTAINER}/replicationProtectionContainerMappings/m"
ITEM: Final = f"{CONTAINER}/replicationProtectedItems/i"
GUID: Final = "88c53162-584e-4c98-984b-62149c2e9bca"
NAMED_BUT_NOT_CALLED: Final = {
    f"Microsoft.RecoveryServices/vaults/replicationFabrics/replicationProtectionContainers/{kind}/operationresults/read"
    for kind in ("replicationProtectionContainerMappings", "replicationProtectedItems")
}
"""Azure's answers to changes name such URLs; the operator follows the job instead."""


def _answer(call: ArmCall) -> ArmReply:
    """Something that each call takes for an answer."""
    document: dict[str, Any] = {"id": ITEM, "name": "n", "location": "l", "properties": {}, "value": []}
    if "/roleAssignments?" in call.target:
        document["value"] = [{"properties": {"roleDefinitionId": GUID, "principalId": GUID}}]
    return json_reply(document)


async def test_the_role_has_the_rights_for_all_calls_and_no_others() -> None:
    arm = ScriptedArm()
    arm.answer = _answer
    client = arm.client()
    context = CallContext(scope=QuotaScope("s"), namespace="", key=VAULT.key, run_id="run")
    site_recovery, mapping = SiteRecovery(client), ContainerMapping(MAPPING, "m", "Paired")
    await site_recovery.vault(context, VAULT)
    await site_recovery.mappings(context, VAULT)
    await site_recovery.mapping(context, MAPPING)
    await site_recovery.update(context, mapping, DISABLE)
    await site_recovery.jobs(context, VAULT)
    await site_recovery.job(context, VAULT, "j")
    await site_recovery.machines(context, VAULT)
    await site_recovery.machine(context, ITEM)
    await site_recovery.update_agent(context, ITEM)
    await AutomationAccounts(client).facts(context, parse_automation_account_id(ACCOUNT_ID))
    await RoleAssignments(client).facts(context, VAULT, GUID)
    client.close()
    calls = {name for name in dir(SiteRecovery) if not name.startswith("_")}

    assert calls == {
        "vault", "mappings", "mapping", "update", "jobs", "job", "machines", "machine", "update_agent",
    }, "each of them was called"  # fmt: skip
    assert {action_of(call.method, call.target) for call in arm.calls} | NAMED_BUT_NOT_CALLED == set(ROLE["Actions"])
