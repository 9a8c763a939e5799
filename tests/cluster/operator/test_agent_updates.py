"""Agents updated on request by an operator process, seen through kubectl."""

from __future__ import annotations

from typing import Any

from tests.cluster.operator.conftest import SiteFactory
from vault_autoupdate.model.resource import UPDATE_AGENTS_NOW
from workbench.process.waiting import wait_until
from workbench.site import Site, condition, jobs_take, vault

NEW = "9.61.0.1"
UPDATES: dict[str, Any] = {
    "schedule": "0 2 29 2 *",
    "duration": "24h",
    "maxConcurrent": 3,
    "order": ["canary-*"],
}


def _site(own_site: SiteFactory, **scenario: Any) -> Site:
    own = vault()
    site = own_site(
        {},
        vaults=[
            {
                "subscription": own.subscription,
                "resource_group": own.group,
                "name": own.name,
                "automation_account": own.account,
                "mix": {"disabled": 2},
                "items_per_mapping": 4,
                "roles": ["canary", "web", "web", "db"],
                "vm_name": "{role}-{mapping:02}-{index}",
            }
        ],
        **scenario,
    )
    site.sim.control.release_agent(NEW)
    return site


def _phase(status: dict[str, Any]) -> str:
    return str(status.get("agentUpdates", {}).get("phase", ""))


def _wait_for_updates(site: Site, succeeded: int, *, within: float = 20) -> None:
    """Wait until so many updates have succeeded and more are under way, or all are done."""

    def is_so(status: dict[str, Any]) -> bool:
        updates = status.get("agentUpdates", {})
        return updates.get("succeeded", 0) >= succeeded and bool(updates.get("operations") or updates["succeeded"] == 8)

    site.wait(is_so, within=within)


def test_kubectl_annotate_updates_all_agents_within_the_bounds_also_over_a_kill(own_site: SiteFactory) -> None:
    site = _site(own_site, jobs=jobs_take(30))
    site.operator.start()
    site.create(autoUpdate="Disabled", agentUpdates=UPDATES)
    status = site.wait(lambda status: _phase(status) == "Closed" and status.get("agents", {}).get("behind") == 8)
    assert condition(status, "AgentsCurrent")["reason"] == "UpdatesWaiting"
    assert status["agentUpdates"]["planned"][:2] == ["canary-00-0", "canary-01-0"]

    annotated = site.kubectl("annotate", "vau", site.name(), f"{UPDATE_AGENTS_NOW}=please")
    assert annotated.code == 0, annotated.stderr
    site.wait(lambda status: len(status.get("agentUpdates", {}).get("operations", ())) == 3)
    site.operator.kill()
    site.operator.start()

    status = site.wait(lambda status: _phase(status) == "Done")
    assert status["lastHandledUpdateAgentsNow"] == "please"
    assert (status["agentUpdates"]["started"], status["agentUpdates"]["succeeded"]) == (8, 8)
    items = site.sim.control.items()
    assert {item["version"] for item in items} == {NEW}
    assert {item["updates_accepted"] for item in items} == {1}
    assert items[0]["most_running_in_vault"] == 3
    assert condition(status, "AgentsCurrent")["status"] == "True"
    assert condition(status)["status"] == "True"


def test_the_annotation_without_windows_is_answered_with_a_warning_in_kubectl_describe(site: Site) -> None:
    site.create(autoUpdate="Disabled")
    site.wait_ready()
    site.merge("dr", {"metadata": {"annotations": {UPDATE_AGENTS_NOW: "please"}}})
    status = site.wait(lambda status: status.get("lastHandledUpdateAgentsNow") == "please")
    assert "there is no spec.agentUpdates" in condition(status)["message"]
    wait_until(
        lambda: "UpdateAgentsRefused" in site.kubectl("describe", "vau", site.name()).stdout,
        within=10,
        what="an Event that says why",
    )
    assert "agentUpdates" not in site.status()


def test_drift_of_the_mappings_is_mended_while_a_rollout_goes_on(own_site: SiteFactory) -> None:
    site = _site(own_site, agent_updates={"never_ending": ["canary-*"]})
    site.operator.start()
    site.create(autoUpdate="Disabled", agentUpdates=UPDATES)
    site.wait_ready()
    site.merge("dr", {"metadata": {"annotations": {UPDATE_AGENTS_NOW: "please"}}})
    site.wait(lambda status: len(status.get("agentUpdates", {}).get("operations", ())) == 2)
    site.sim.control.drift("comply", count=1)

    site.request_and_wait()

    assert site.statuses() == {"Disabled": 2}
    assert _phase(site.status()) == "Rolling"


def test_a_rollout_in_an_open_window_goes_on_at_once_however_often_the_operator_is_killed(
    own_site: SiteFactory,
) -> None:
    """A resource that is Ready is looked at some time after a start: not one with updates in its window."""
    site = _site(own_site, jobs=jobs_take(20))
    site.operator.environment["VAULT_AUTOUPDATE_STARTUP_SPREAD"] = "1h"
    site.operator.start()
    site.create(autoUpdate="Disabled", agentUpdates=UPDATES)
    site.wait(lambda status: _phase(status) == "Closed" and status.get("agents", {}).get("behind") == 8)
    site.merge("dr", {"metadata": {"annotations": {UPDATE_AGENTS_NOW: "please"}}})
    for done in (0, 2, 5):
        _wait_for_updates(site, done)
        site.operator.kill()
        site.operator.start()
        _wait_for_updates(site, site.status()["agentUpdates"]["succeeded"] + 1, within=60)

    status = site.wait(lambda status: _phase(status) == "Done")
    assert (status["agentUpdates"]["started"], status["agentUpdates"]["succeeded"]) == (8, 8)
    items = site.sim.control.items()
    assert {item["updates_accepted"] for item in items} == {1}
    assert items[0]["most_running_in_vault"] <= UPDATES["maxConcurrent"]
