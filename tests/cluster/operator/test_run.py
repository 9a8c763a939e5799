"""A run from its start to its end: with the example, over kills at any instant, over restarts."""

from __future__ import annotations

import pytest
import yaml

from asr_simulator import load_scenario
from tests.cluster.operator.conftest import SiteFactory
from workbench.kube.control_plane import ControlPlane
from workbench.kube.resources import EXAMPLE_FILE, ROOT, SUBSCRIPTION
from workbench.process.waiting import wait_until
from workbench.site import ENDLESS, Site, Vault, condition, is_ready, jobs_take

NAME = "dr-weu"
DEMO = ROOT / "examples/scenarios/demo.yaml"


def test_the_example_makes_a_vault_of_400_mappings_as_declared_with_one_patch_for_each_that_differs(
    own_site: SiteFactory, control_plane: ControlPlane
) -> None:
    manifest = yaml.safe_load(EXAMPLE_FILE.read_text())
    scenario = load_scenario(DEMO).model_dump(mode="json")
    site = own_site({}, namespace="default", **{**scenario, "time_scale": 100.0})
    site.vault, site.prefix = Vault("dr-weu", SUBSCRIPTION, "rg-dr-weu"), ""
    expected = site.differing()
    assert len(site.mappings()) == 400
    assert len(expected) == 230
    site.operator.start().wait_ready()
    try:
        control_plane.kubectl("apply", "-f", EXAMPLE_FILE).check()
        status = site.wait_ready(NAME, within=30)

        assert site.patched() == dict.fromkeys(expected, 1)
        assert {key: status["mappings"][key] for key in ("total", "inScope", "compliant", "drifted", "ignored")} == {
            "total": 400, "inScope": 360, "compliant": 360, "drifted": 0, "ignored": 40,
        }  # fmt: skip
        assert status["compliantSummary"] == "360/360"
        run = status["lastRun"]
        assert (run["patched"], run["succeeded"]) == (230, 230)
        assert (run["failed"], run["failedToStart"], run["timedOut"]) == (0, 0, 0)
        assert run["startedAt"] <= run["completedAt"]
        assert "operations" not in status
        assert "failures" not in status
        assert not {each["type"] for each in status["conditions"]} & {"Reconciling", "Stalled"}
        assert {each["observedGeneration"] for each in status["conditions"]} == {1}
        assert status["observedGeneration"] == 1

        resource = site.get(NAME)
        site.wait_events("Progressing", "Compliant", name=NAME)
        assert "finalizers" not in resource["metadata"]
        assert set(resource["metadata"]["annotations"]) == {"kubectl.kubernetes.io/last-applied-configuration"}
        assert resource["spec"] == manifest["spec"]
        writes = {(event.verb, event.resource, event.subresource) for event in site.writes()}
        assert writes == {("patch", "vaultautoupdates", "status"), ("create", "events", "")}

        _nothing_is_written_while_nothing_changes(site)
    finally:
        control_plane.kubectl("delete", "-f", EXAMPLE_FILE, "--ignore-not-found").check()


def _nothing_is_written_while_nothing_changes(site: Site) -> None:
    """A restart looks at the vault again, finds all as declared, and writes neither to Azure nor to Kubernetes."""
    site.wait_at_rest(NAME)
    assert site.operator.stop() == 0
    before, resource, sequence = len(site.writes()), site.get(NAME), site.sequence()
    site.operator.start().wait_ready()

    wait_until(
        lambda: site.operator.metrics().get('vault_autoupdate_reconcile_total{result="success"}'),
        within=20,
        what=lambda: f"a look at the vault: {site.operator.metrics()}",
    )
    assert site.operator.stop() == 0
    assert site.requests(since=sequence, kind="mappings")
    assert not site.requests(since=sequence, method="PATCH")
    assert len(site.writes()) == before
    assert site.get(NAME) == resource


@pytest.mark.parametrize("target", ["mapping", "policy"])
def test_kill_9_at_any_instant_of_a_run_costs_no_second_patch(own_site: SiteFactory, target: str) -> None:
    many = 190
    site = own_site({"disabled": many, "enabled_compliant": 3}, jobs=jobs_take(ENDLESS, target=target))
    control = site.sim.control
    differing = site.differing()
    operator = site.operator.start().wait_ready()

    # Before the first PATCH: it has left, and Azure never gets to it.
    control.add_fault("hang", method="PATCH", seconds=60, forever=True)
    site.create()
    wait_until(lambda: any(fault["hits"] for fault in control.faults()), within=20, what="a PATCH that hangs")
    run = site.wait(lambda status: "lastRun" in status)["lastRun"]
    operator.kill()
    control.clear_faults()
    assert site.patched() == {}

    # Right after the first PATCHes: their jobs stand in no status.
    control.settings(jobs=jobs_take(ENDLESS, target=target), latency={"min": 0.05, "max": 0.05})
    operator.start()
    wait_until(site.patch_count, within=20, what="the first PATCH")
    operator.kill()
    control.settings(latency={"min": 0, "max": 0})
    first = site.patch_count()
    assert 0 < first < many, "this is to be a kill in the middle of the PATCHes"

    # In mid-run, with more jobs in flight than the status has room for.
    operator.start()
    if target == "policy":
        # Nothing tells whose jobs run: those that stand in no status have to end before more is started.
        site.wait(lambda status: "Waiting for" in condition(status)["message"])
        assert site.patch_count() == first
        control.advance(ENDLESS)
    wait_until(lambda: site.patch_count() == many, within=30, what=lambda: f"all PATCHes: {site.patch_count()}")
    in_flight = site.running_jobs()
    assert in_flight > 150
    site.wait_operations(in_flight)
    operator.kill()

    # While the result is verified: all jobs have ended, and nothing says so yet.
    operator.start().wait_ready()
    if target == "mapping":
        site.wait_operations(in_flight)
    else:
        site.wait(lambda status: "Waiting for" in condition(status)["message"])
    control.add_fault("hang", method="GET", route="mappings", seconds=60, forever=True)
    control.advance(ENDLESS)
    wait_until(lambda: any(fault["hits"] for fault in control.faults()), within=20, what="a look that hangs")
    operator.kill()
    control.clear_faults()
    assert not is_ready(site.status())

    operator.start()
    status = site.wait_ready()

    assert site.patched() == dict.fromkeys(differing, 1)
    assert not site.differing()
    assert status["lastRun"]["id"] == run["id"]
    assert status["lastRun"]["startedAt"] == run["startedAt"]
    assert status["lastRun"]["completedAt"]
    assert status["lastRun"]["failed"] + status["lastRun"]["failedToStart"] + status["lastRun"]["timedOut"] == 0
    assert status["compliantSummary"] == f"{many + 3}/{many + 3}"


def test_sigterm_in_mid_run_notes_the_jobs_in_flight_and_the_next_process_goes_on(own_site: SiteFactory) -> None:
    slow = {"VAULT_AUTOUPDATE_MAX_CONNECTIONS": "4", "VAULT_AUTOUPDATE_STATUS_INTERVAL": "60s"}
    site = own_site({"disabled": 60}, jobs=jobs_take(ENDLESS), settings=slow, latency={"min": 0.1, "max": 0.1})
    operator = site.operator.start().wait_ready()
    site.create()
    wait_until(lambda: site.patch_count() >= 10, within=20, what="some PATCHes")

    code = operator.child.stop(grace=5)

    assert code == 0
    started = site.patched()
    assert len(started) < 60
    status = site.status()
    names = {each["mapping"].rsplit("/", 1)[-1] for each in status["operations"]}
    assert names == {key.rsplit("/", 1)[-1] for key in started}
    assert "completedAt" not in status["lastRun"]

    operator.start()
    wait_until(lambda: site.patch_count() == 60, within=20, what="the other PATCHes")
    site.end_jobs()
    final = site.wait_ready()
    assert set(site.patched().values()) == {1}
    assert final["lastRun"]["id"] == status["lastRun"]["id"]
    assert (final["lastRun"]["patched"], final["lastRun"]["succeeded"]) == (60, 60)


def test_sigterm_waits_neither_for_the_logs_that_are_followed_nor_for_a_look_that_hangs(own_site: SiteFactory) -> None:
    site = own_site({"enabled_compliant": 2}, settings={"VAULT_AUTOUPDATE_HINTS": "on"})
    operator = site.operator.start().wait_ready()
    site.create()
    site.wait_ready()
    site.sim.control.add_fault("hang", seconds=60.0, method="GET", vault=site.vault.name, forever=True)
    site.request()
    wait_until(lambda: site.sim.control.faults()[0]["hits"] > 0, within=20, what="a look that hangs")

    assert operator.stop() == 0
