"""Reading mappings and vaults."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from asr_simulator import Scenario
from tests.simulator.helpers import GROUP, MAPPINGS, SUBSCRIPTION, VAULT_PATH, Arm, scenario, update, vault

Serve = Callable[[Scenario], Arm]
_CAPITAL = f"/S{VAULT_PATH[2:]}"


def test_the_vault_is_as_recorded(arm: Arm) -> None:
    body = arm.get(VAULT_PATH).json()
    assert body["id"] == VAULT_PATH
    assert body["type"] == "Microsoft.RecoveryServices/vaults"
    assert body["location"] == "westeurope"
    assert body["properties"]["provisioningState"] == "Succeeded"
    assert body["sku"] == {"name": "Standard"}


@pytest.mark.parametrize(
    "path", [f"/subscriptions/{SUBSCRIPTION}", f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"]
)
def test_vaults_are_listed_by_subscription_and_by_group(serve: Serve, path: str) -> None:
    arm = serve(scenario(vault(), vault(name="second")))
    body = arm.get(f"{path}/providers/Microsoft.RecoveryServices/vaults").json()
    assert [item["name"] for item in body["value"]] == ["dr-vault", "second"]


def test_a_disabled_mapping_looks_as_recorded(arm: Arm) -> None:
    container = "asr-a2a-default-eastus-container"
    path = f"{_CAPITAL}/replicationFabrics/asr-a2a-default-eastus/replicationProtectionContainers/{container}"
    recovery = "asr-a2a-default-westeurope-t-container"
    target = f"{_CAPITAL}/replicationFabrics/asr-a2a-default-westeurope/replicationProtectionContainers/{recovery}"
    assert arm.mapping("alpha") == {
        "id": f"{path}/replicationProtectionContainerMappings/alpha",
        "name": "alpha",
        "type": "Microsoft.RecoveryServices/vaults/replicationFabrics/replicationProtectionContainers/"
        "replicationProtectionContainerMappings",
        "properties": {
            "targetProtectionContainerId": target,
            "targetProtectionContainerFriendlyName": "asr-a2a-default-westeurope-t-container",
            "providerSpecificDetails": {
                "instanceType": "A2A",
                "agentAutoUpdateStatus": "Disabled",
                "automationAccountAuthenticationType": "RunAsAccount",
                "automationAccountArmId": None,
                "scheduleName": None,
                "jobScheduleName": None,
            },
            "health": "Normal",
            "healthErrorDetails": [],
            "policyId": f"{_CAPITAL}/replicationPolicies/24-hour-retention-policy",
            "state": "Paired",
            "sourceProtectionContainerFriendlyName": "asr-a2a-default-eastus-container",
            "sourceFabricFriendlyName": "East US",
            "targetFabricFriendlyName": "West Europe",
            "policyFriendlyName": "24-hour-retention-policy",
        },
    }


@pytest.mark.parametrize("change", [str.lower, str.upper, str.title])
def test_letter_case_of_a_path_does_not_matter(arm: Arm, change: Callable[[str], str]) -> None:
    assert arm.get(change(arm.mapping_path("beta"))).json()["name"] == "beta"


def test_a_list_is_cut_into_pages_that_hold_everything_once(serve: Serve) -> None:
    arm = serve(scenario(vault(mappings=[], mix={"disabled": 25}), mappings_page_size=10))
    pages = arm.pages(VAULT_PATH + MAPPINGS)
    assert [len(page) for page in pages] == [10, 10, 5]
    assert len({item["id"] for page in pages for item in page}) == 25


def test_next_links_lead_back_to_the_host_of_the_request(serve: Serve) -> None:
    arm = serve(scenario(mappings_page_size=2))
    link = arm.below(MAPPINGS, headers={"Host": "arm.example:4443"}).json()["nextLink"]
    assert link.startswith(f"http://arm.example:4443{VAULT_PATH}{MAPPINGS}?api-version=")


@pytest.mark.parametrize(("explicit", "expected"), [(True, {"value", "nextLink"}), (False, {"value"})])
def test_the_last_page_has_a_null_next_link_or_none(serve: Serve, explicit: bool, expected: set[str]) -> None:
    body = serve(scenario(explicit_null_next_link=explicit)).below(MAPPINGS).json()
    assert set(body) == expected
    assert body.get("nextLink") is None


def test_a_full_last_page_has_no_successor(serve: Serve) -> None:
    assert [len(page) for page in serve(scenario(mappings_page_size=3)).pages(VAULT_PATH + MAPPINGS)] == [3]


def test_pages_stay_right_while_mappings_come_and_go(serve: Serve) -> None:
    arm = serve(scenario(vault(mappings=[], mix={"disabled": 6}), mappings_page_size=2))
    names = [item["name"] for item in arm.sim.control.mappings()]
    first = arm.below(MAPPINGS).json()
    arm.sim.control.remove_mappings(names=[names[0], names[2]])
    arm.sim.control.add_mappings(disabled=1)
    second = arm.get(first["nextLink"]).json()
    assert [item["name"] for item in second["value"]] == names[3:5]


def test_a_continuation_of_another_list_is_refused(serve: Serve) -> None:
    arm = serve(scenario(mappings_page_size=2, jobs_page_size=1))
    token = arm.below(MAPPINGS).json()["nextLink"].rpartition("skipToken=")[2]
    answer = arm.below(f"/replicationJobs?skipToken={token}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "InvalidSkipToken")


def test_a_container_lists_its_own_mappings(serve: Serve) -> None:
    arm = serve(scenario(vault(mappings=[{"name": "one"}, {"name": "two", "source": "uksouth"}, {"name": "three"}])))
    container = arm.mapping_path("two").rpartition(MAPPINGS)[0]
    assert [item["name"] for item in arm.get(container + MAPPINGS).json()["value"]] == ["two"]


def test_items_of_a_list_show_the_published_type(arm: Arm) -> None:
    types = {item["type"] for item in arm.below(MAPPINGS).json()["value"]}
    assert types == {"Microsoft.RecoveryServices/vaults/replicationProtectionContainerMappings"}


def test_every_kind_of_mapping_can_be_described(serve: Serve) -> None:
    kinds = [
        "enabled_compliant",
        "enabled_other_case",
        "disabled",
        "enabled_other_account",
        "run_as_account",
        "enabled_unhealthy",
        "unpaired",
        "missing_details",
        "other_provider",
    ]
    arm = serve(scenario(vault(mappings=[{"name": kind, "kind": kind} for kind in kinds])))
    seen = {item["name"]: item["properties"] for item in arm.below(MAPPINGS).json()["value"]}
    details = {name: properties.get("providerSpecificDetails", {}) for name, properties in seen.items()}
    right = details["enabled_compliant"]
    assert right["agentAutoUpdateStatus"] == "Enabled"
    assert right["automationAccountAuthenticationType"] == "SystemAssignedIdentity"
    assert right["scheduleName"].startswith("enabled_compliant_")
    other_case = details["enabled_other_case"]["automationAccountArmId"]
    assert other_case != right["automationAccountArmId"]
    assert other_case == right["automationAccountArmId"].lower()
    assert details["disabled"]["agentAutoUpdateStatus"] == "Disabled"
    assert details["enabled_other_account"]["automationAccountArmId"].endswith("/aa-former")
    assert details["run_as_account"]["automationAccountAuthenticationType"] == "RunAsAccount"
    assert seen["enabled_unhealthy"]["healthErrorDetails"][0]["errorCategory"].startswith("AgentAutoUpdate")
    assert seen["enabled_unhealthy"]["health"] in {"Warning", "Critical"}
    assert seen["unpaired"]["state"] != "Paired"
    assert "providerSpecificDetails" not in seen["missing_details"]
    assert details["other_provider"]["instanceType"] in {"InMageRcm", "VMwareCbt"}


def test_vault_health_counts_mappings_that_are_unhealthy(serve: Serve) -> None:
    arm = serve(scenario(vault(mappings=[{"name": "ill", "kind": "enabled_unhealthy"}])))
    properties = arm.below("/replicationVaultHealth").json()["properties"]
    assert properties["containersHealth"]["issues"][0]["category"].startswith("AgentAutoUpdate")


def test_vault_settings_say_nothing_about_auto_update(arm: Arm) -> None:
    listed = arm.below("/replicationVaultSettings").json()
    assert listed["nextLink"] is None
    assert listed["value"] == [arm.below("/replicationVaultSettings/default").json()]


def test_an_unknown_mapping_is_refused_in_the_form_of_site_recovery(arm: Arm) -> None:
    answer = arm.get(arm.mapping_path("alpha") + "x")
    (detail,) = answer.json()["error"]["details"]
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NotFound")
    assert detail["possibleCauses"]
    assert detail["recommendedAction"]


def test_ten_thousand_mappings_do_not_slow_down_a_patch(serve: Serve) -> None:
    """Counts work, not time: a PATCH renders no other mapping."""
    arm = serve(scenario(vault(mappings=[{"name": "mine"}], mix={"disabled": 10_000}), mappings_page_size=5_000))
    path = arm.sim.world.vaults[next(iter(arm.sim.world.vaults))].ordered[0].id
    assert arm.call("PATCH", path, json=update()).status_code == 202
    (world_vault,) = arm.sim.world.vaults.values()
    assert not any(mapping._rendered for mapping in world_vault.ordered)
