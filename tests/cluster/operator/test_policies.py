"""Policies end to end: a real API server, a simulated tenant, and the operator as a process of its own."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asr_simulator import SimulatorThread
from workbench.kube.control_plane import ControlPlane
from workbench.kube.resources import collection_path, manifest, resource_path
from workbench.policy_site import SUBSCRIPTIONS, PolicySite, tenant
from workbench.process.command_line import run
from workbench.process.waiting import wait_until
from workbench.site import SHARD_LABEL


@pytest.fixture
def site(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> Iterator[PolicySite]:
    """Six vaults in three subscriptions of a management group, and an operator that works on policies."""
    with SimulatorThread(tenant(vaults=2)) as sim, PolicySite(control_plane, sim, namespace, tmp_path) as running:
        yield running


def test_a_policy_begins_with_a_look_and_makes_nothing(site: PolicySite) -> None:
    site.apply()

    status = site.wait("WouldChange")

    assert status["vaults"] | {"found": 6, "selected": 6, "managed": 0} == status["vaults"]
    assert (status["coverage"], status["pending"]["create"]) == ("0/6", 6)
    assert site.condition("DiscoveryComplete")["message"] == (
        "All of the scope could be read: 6 vaults in 3 subscriptions."
    )
    assert site.children() == {}


def test_enforced_it_covers_every_vault_and_the_vaults_are_set(site: PolicySite) -> None:
    site.apply(mode="Enforce")

    status = site.wait("Covered")

    assert status["coverage"] == "6/6"
    child = site.children()["estate-dr-0-0"]
    assert child["spec"]["automationAccountResourceId"].endswith("/aa-0")
    assert child["metadata"]["labels"] == {"asr.vault-autoupdate.io/policy": "estate"}
    assert "ownerReferences" not in child["metadata"]
    assert "finalizers" not in child["metadata"]
    assert set(site.settings().values()) == {"Enabled"}


def test_events_tell_what_has_changed_and_only_that(site: PolicySite) -> None:
    site.apply()
    site.wait("WouldChange")
    site.apply(mode="Enforce")
    site.wait("Covered")

    site.sim.control.add_fault("status", route="subscriptions", status=403, code="NoRight", forever=True)
    site.discover()
    site.discover()
    site.sim.control.clear_faults()
    site.discover()

    wait_until(lambda: "Complete" in site.events(), within=10, what=lambda: f"Complete in {site.events()}")
    told = site.events()
    ready = [reason for reason in told if reason in {"WouldChange", "Uncovered", "Progressing", "Covered"}]
    assert (ready[0], ready[-1]) == ("WouldChange", "Covered")
    assert (told["NoRight"].count("Warning"), told["Complete"]) == (1, ["Normal"])
    assert not {"WithinLimits", "AboveLimits", "TooManyFailures"} & told.keys()


def test_a_report_about_the_policy_of_the_cluster_has_a_line_for_each_vault(site: PolicySite) -> None:
    site.apply(mode="Enforce", exclude={"names": ["dr-2-1"]})
    site.wait("Covered")
    cluster = {"KUBECONFIG": str(site.plane.admin_kubeconfig)}

    ended = run("policy", "report", "-n", site.namespace, "estate", sim=site.sim, **cluster)

    assert ended.returncode == 0, ended.stderr
    rows = list(csv.DictReader(ended.stdout.splitlines()))
    assert [row["standing"] for row in rows] == 5 * ["Managed"] + ["Excluded"]
    assert {row["resource"] for row in rows if row["resource"]} == {
        each["metadata"]["name"] for each in site.children().values()
    }
    plan = run("policy", "plan", "-n", site.namespace, "estate", sim=site.sim, **cluster)
    assert (plan.returncode, plan.stdout) == (0, "Plan: 1 Excluded, 5 Managed.\n")
    missing = run("policy", "plan", "-n", site.namespace, "other", sim=site.sim, **cluster)
    assert (missing.returncode, missing.stderr) == (
        1, f"error: there is no VaultAutoUpdatePolicy other in namespace {site.namespace}\n",
    )  # fmt: skip


def test_a_new_vault_is_found_and_an_excluded_one_keeps_its_resource(site: PolicySite) -> None:
    exclude = {"matchTags": {"vault-autoupdate": ["exclude"]}}
    site.apply(mode="Enforce", exclude=exclude, discovery={"source": "List"})
    site.wait("Covered")

    site.sim.control.add_vaults(site.vault(0, 9))
    site.sim.control.tag_vault("dr-1-0", **{"vault-autoupdate": "exclude"})
    site.discover()
    status = site.wait_until(lambda now: now["vaults"]["found"] == 7 and now["coverage"] == "6/6")

    assert (status["vaults"]["excluded"], status["vaults"]["orphaned"]) == (1, 1)
    assert {"estate-dr-0-9", "estate-dr-1-0"} <= set(site.children())
    (sample,) = status["samples"]
    assert (sample["kind"], sample["why"]) == ("Orphaned", "excluded by its tag vault-autoupdate=exclude")


def test_a_resource_that_somebody_writes_by_hand_takes_its_vault_from_the_policy_and_gives_it_back(
    site: PolicySite,
) -> None:
    site.apply(mode="Enforce", limits={"maxFailures": 0})
    site.wait("Covered")
    spec = site.children()["estate-dr-0-0"]["spec"]
    by_hand = manifest("by-hand", namespace=site.namespace, **spec | {"autoUpdate": "Disabled"})

    site.plane.rest.create(collection_path(site.namespace), by_hand)
    status = site.wait_until(lambda now: now["vaults"]["foreign"] == 1 and site.condition("Ready")["status"] == "True")
    site.wait_child("estate-dr-0-0", "VaultAlreadyManaged")

    assert status["coverage"] == "5/6"
    assert site.settings_of("dr-0-0") == {"Disabled"}
    site.plane.rest.request("DELETE", resource_path(site.namespace, "by-hand"))
    site.wait_child("estate-dr-0-0", "Compliant")
    assert site.settings_of("dr-0-0") == {"Enabled"}


def test_a_deleted_policy_leaves_its_resources_and_azure_as_they_are(site: PolicySite) -> None:
    site.apply(mode="Enforce")
    site.wait("Covered")
    before = (set(site.children()), site.settings())

    site.kubectl("delete", "vaup", "estate").check()

    assert (set(site.children()), site.settings()) == before


def test_waves_go_one_after_the_other(site: PolicySite) -> None:
    site.sim.control.tag_vault("dr-2-1", ring="canary")
    waves = {"waves": {"tag": "ring", "order": ["canary"]}, "minSuccessTime": "2s"}
    site.apply(mode="Enforce", limits=waves)

    site.wait_until(lambda now: now["vaults"]["managed"] == 1)
    first = set(site.children())
    site.wait("Covered")

    assert first == {"estate-dr-2-1"}
    assert len(site.children()) == 6


def test_a_namespace_cannot_reach_what_is_not_given_to_it(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    scopes = {"VAULT_AUTOUPDATE_VAULT_SCOPES": f'{{"{namespace}": ["/subscriptions/{SUBSCRIPTIONS[0]}"]}}'}
    with (
        SimulatorThread(tenant(vaults=2)) as sim,
        PolicySite(control_plane, sim, namespace, tmp_path, settings=scopes) as site,
    ):
        site.apply(mode="Enforce")
        status = site.wait("Covered")

        assert (status["coverage"], status["vaults"]["notAllowed"], status["vaults"]["found"]) == ("2/2", 4, 2)
        assert {name[:9] for name in site.children()} == {"estate-dr"}
        assert {name.split("-")[2] for name in site.children()} == {"0"}


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"kind": "empty_list"}, None),
        ({"kind": "rows_missing", "share": 0.7}, None),
        (
            {"kind": "status", "route": "vaults", "subscription": SUBSCRIPTIONS[1], "status": 403, "code": "NoRight"},
            "NoRight",
        ),
        ({"kind": "status", "route": "subscriptions", "status": 403, "code": "NoRight"}, "NoRight"),
        ({"kind": "status", "route": "descendants", "status": 500}, "InternalServerError"),
        (
            {"kind": "status", "route": "subscriptions", "status": 200, "body": '{"value": []}'},
            "SubscriptionNotVisible",
        ),
        ({"kind": "status", "route": "vaults", "status": 404, "code": "SubscriptionNotFound"}, "SubscriptionNotFound"),
    ],
)
def test_whatever_is_not_seen_keeps_its_resource_and_its_setting(
    site: PolicySite, fault: dict[str, Any], code: str | None
) -> None:
    site.apply(mode="Enforce", onUnmatched="Release", discovery={"source": "List"}, limits={"maxRemovals": "100%"})
    site.wait("Covered")

    changes = len(site.sim.control.requests(method="PATCH"))

    site.sim.control.add_fault(**fault, forever=True)
    for _ in range(2):
        site.discover()

    assert len(site.children()) == 6
    assert len(site.sim.control.requests(method="PATCH")) == changes
    assert set(site.settings().values()) == {"Enabled"}
    if code is not None:
        assert site.condition("DiscoveryComplete")["reason"] == code
    else:
        counts = site.status()["vaults"]
        assert counts["found"] + counts["orphaned"] == 6, "what success has left out is missed by name"


def test_sigterm_does_not_wait_for_a_discovery_that_hangs(site: PolicySite) -> None:
    site.apply()
    site.wait("WouldChange")
    site.sim.control.add_fault("hang", seconds=90.0, route="subscriptions", forever=True)
    site.ask_for_discovery()
    wait_until(lambda: site.sim.control.faults()[0]["hits"] > 0, within=30, what="a discovery that hangs")

    assert site.operator.stop() == 0


def test_a_policy_that_is_labelled_for_another_shard_goes_on_there_and_takes_its_resources_along_and_back(
    site: PolicySite, tmp_path: Path
) -> None:
    site.apply(mode="Enforce", discovery={"source": "List"})
    site.wait("Covered")
    (work_dir := tmp_path / "other").mkdir()
    with PolicySite(site.plane, site.sim, site.namespace, work_dir, settings={"VAULT_AUTOUPDATE_SHARD": "a"}):
        site.kubectl("label", "vaup", "estate", f"{SHARD_LABEL}=a").check()
        wait_until(
            lambda: {child["status"].get("shard") for child in site.children().values()} == {"a"},
            within=30,
            what=lambda: f"all to be in the other one's hands: {site.children()}",
        )
        site.sim.control.add_vaults(site.vault(0, 9))
        site.discover()
        site.wait_until(lambda now: now["coverage"] == "7/7")

        assert {child["metadata"]["labels"][SHARD_LABEL] for child in site.children().values()} == {"a"}

        site.kubectl("label", "vaup", "estate", f"{SHARD_LABEL}-").check()
        wait_until(
            lambda: (
                {
                    (child["metadata"]["labels"].get(SHARD_LABEL), child["status"].get("shard"))
                    for child in site.children().values()
                }
                == {(None, None)}
            ),
            within=30,
            what=lambda: f"all to be back in the main one's hands: {site.children()}",
        )


def test_the_log_of_a_shard_with_a_policy_warns_of_nothing_while_all_is_well_and_of_a_refusal_once(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    settings = {"VAULT_AUTOUPDATE_LOG_FORMAT": "json", "VAULT_AUTOUPDATE_SHARD": "a"}
    with (
        SimulatorThread(tenant(vaults=2)) as sim,
        PolicySite(control_plane, sim, namespace, tmp_path, settings=settings) as site,
    ):

        def alarming() -> list[dict[str, Any]]:
            lines = [json.loads(line) for line in site.operator.log.read_text().splitlines()]
            return [line for line in lines if line["level"] not in {"debug", "info"}]

        site.apply(mode="Enforce", discovery={"source": "List"})
        site.kubectl("label", "vaup", "estate", f"{SHARD_LABEL}=a").check()
        site.wait("Covered")
        site.operator.stop()
        site.operator.start().wait_ready()
        site.discover()
        assert alarming() == []

        sim.control.add_fault("status", route="subscriptions", status=403, code="NoRight", forever=True)
        for _ in range(3):
            site.discover()
        (line,) = alarming()
        assert (line["level"], line["resource"], line["reason"]) == ("warning", f"{namespace}/estate", "NoRight")
