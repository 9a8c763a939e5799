"""The API server, its database or the definition of the resource go away while the operator runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.operator.conftest import SiteFactory
from workbench.kube.control_plane import ControlPlane
from workbench.kube.resources import CRD_FILE, install_definition, load_definition
from workbench.process.waiting import wait_until
from workbench.site import ENDLESS, Site, is_ready


@pytest.fixture
def plane(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    """The control plane, whole again afterwards."""
    yield control_plane
    control_plane.start_etcd()
    control_plane.start_apiserver()
    install_definition(control_plane.rest, CRD_FILE)


def _lists(site: Site) -> int:
    """How often the operator has listed the resources."""
    user = f"{site.namespace}-{site.operator.name}"
    return sum(event.verb == "list" and event.code == 200 for event in site.plane.audit_events(user=user))


def test_a_fleet_is_listed_in_pages(site: Site) -> None:
    """With all of it at once, a start takes several times the memory that is kept."""
    user = f"{site.namespace}-{site.operator.name}"
    lists = [event.uri for event in site.plane.audit_events(user=user) if event.verb == "list"]
    assert any("limit=500" in uri for uri in lists), lists


@pytest.mark.parametrize("part", ["kube-apiserver", "etcd"])
def test_an_outage_of_the_cluster_in_mid_run_does_not_stop_the_run(site: Site, plane: ControlPlane, part: str) -> None:
    site.sim.control.add_mappings(vault=site.vault.name, disabled=60)
    site.sim.control.settings(latency={"min": 0.1, "max": 0.1})
    site.set_jobs(ENDLESS)
    try:
        site.create()
        wait_until(site.patch_count, within=20, what="the first PATCH")
        if part == "etcd":
            plane.stop_etcd()
        else:
            plane.stop_apiserver()
        wait_until(lambda: site.patch_count() == 66, within=30, what=lambda: f"the others: {site.patch_count()}")
    finally:
        site.sim.control.settings(latency={"min": 0, "max": 0})
    if part == "etcd":
        plane.start_etcd()
    else:
        plane.start_apiserver()
    site.end_jobs()

    status = site.wait_ready(within=40)

    assert set(site.patched().values()) == {1}
    assert (status["lastRun"]["patched"], status["lastRun"]["succeeded"]) == (66, 66)
    assert site.operator.child.returncode is None, "no restart was needed"
    site.patch(autoUpdate="Disabled")  # the watch works again
    site.wait_ready(within=40)
    assert site.statuses() == {"Disabled": 68}


def _cut_watch(site: Site, plane: ControlPlane) -> None:
    """Freeze the operator and restart the API server: its watch is gone, and what it saw last is too old to go on."""
    site.operator.freeze()
    plane.stop_apiserver()
    plane.start_apiserver()


def test_a_resource_deleted_while_the_watch_was_down_is_forgotten_at_the_next_write(
    site: Site, plane: ControlPlane
) -> None:
    site.set_jobs(ENDLESS)
    site.create()
    site.wait_operations(6)
    lists = _lists(site)
    _cut_watch(site, plane)
    site.delete()
    site.operator.thaw()
    wait_until(lambda: _lists(site) > lists, within=60, what="another list: the watch had expired")

    site.sim.control.advance(ENDLESS)  # now there is something to write

    wait_until(
        lambda: not any(site.name() in series for series in site.operator.metrics()),
        within=20,
        what="the end of the metrics of the resource",
    )
    assert site.operator.child.returncode is None


def test_the_next_in_line_gets_the_vault_of_an_owner_that_was_deleted_while_the_watch_was_down(
    site: Site, plane: ControlPlane
) -> None:
    site.create("a-owner")
    site.wait_ready("a-owner")
    site.create("b-other", autoUpdate="Disabled")
    site.wait_reason("VaultAlreadyManaged", "b-other")
    _cut_watch(site, plane)
    site.delete("a-owner")

    lists = _lists(site)
    site.operator.thaw()
    wait_until(lambda: _lists(site) > lists, within=60, what="another list: the watch had expired")

    site.request("b-other")  # or its interval passes

    site.wait_ready("b-other", within=20)
    assert site.statuses() == {"Disabled": 8}


def test_a_resource_made_anew_in_mid_run_gets_nothing_of_the_old_one(site: Site) -> None:
    site.set_jobs(ENDLESS)
    old = site.create()
    run = site.wait_operations(6)["lastRun"]

    site.delete()
    new = site.create(autoUpdate="Disabled", mode="Audit")

    assert old["metadata"]["uid"] != new["metadata"]["uid"]
    status = site.wait(lambda status: status.get("mappings", {}).get("updating") == 6)
    assert status["lastRun"]["id"] != run["id"]
    assert (status["lastRun"]["patched"], status["observedGeneration"]) == (0, 1)
    site.end_jobs()
    status = site.wait_reason("DriftDetected")
    assert site.get()["metadata"]["uid"] == new["metadata"]["uid"]
    assert set(site.patched().values()) == {1}


def test_an_operator_started_before_the_definition_waits_for_it_and_after_its_removal_begins_anew(
    own_site: SiteFactory, plane: ControlPlane
) -> None:
    site = own_site({"disabled": 3})
    definition = load_definition()["metadata"]["name"]
    path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{definition}"

    def remove() -> None:
        plane.rest.request("DELETE", path)
        wait_until(lambda: plane.rest.get_or_none(path) is None, within=30, what="the end of the definition")

    remove()
    operator = site.operator.start()
    line = operator.child.wait_for_log("cannot list", within=20)
    assert "is the CustomResourceDefinition installed" in line

    install_definition(plane.rest, CRD_FILE)
    site.create()
    site.wait_ready()
    assert operator.child.returncode is None

    remove()
    install_definition(plane.rest, CRD_FILE)
    site.sim.control.drift("disable", vault=site.vault.name, count=2)
    site.create()

    # If the definition is back before the watch is begun anew, the process goes on; else it says why it ends, and
    # its pod would be started again.
    def ready() -> bool:
        if operator.child.returncode is not None:
            assert operator.child.returncode == 1
            assert "the watch of vaultautoupdates ended for good" in operator.child.log_tail(3)
            operator.start()
        return is_ready(site.status())

    wait_until(ready, within=60, what=lambda: f"Ready: {operator.child.log_tail()}")
    assert not site.differing()
