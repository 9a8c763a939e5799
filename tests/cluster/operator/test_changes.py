"""Drift, changes of the resource while work is under way, modes, and resources that cannot be acted on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from workbench.kube.control_plane import ControlPlane
from workbench.kube.resources import CRD_FILE, install_definition, load_definition
from workbench.kube.rest import MERGE_PATCH, ApiError
from workbench.process.waiting import wait_until
from workbench.site import ENDLESS, Site, condition, is_ready


def test_mappings_that_somebody_undid_are_repaired_when_the_annotation_asks_for_a_look(site: Site) -> None:
    site.create()
    run = site.wait_ready()["lastRun"]["id"]
    site.reset_stats()
    undone = site.sim.control.drift("disable", vault=site.vault.name, count=3)

    status = site.request_and_wait()

    assert is_ready(status)
    assert not site.differing()
    assert {key.rsplit("/", 1)[-1]: count for key, count in site.patched().items()} == dict.fromkeys(undone, 1)
    assert status["lastRun"]["id"] != run
    assert (status["lastRun"]["patched"], status["lastRun"]["succeeded"]) == (3, 3)
    site.wait_events("Progressing", "Compliant", "Progressing", "Compliant")


def _but_for_looks(status: Mapping[str, Any]) -> dict[str, Any]:
    """A status without what tells that, and when, somebody has looked."""
    rest = {name: value for name, value in status.items() if name not in {"lastHandledReconcileAt", "lastSuccessTime"}}
    return {
        name: {key: each for key, each in value.items() if key != "lookedAt"} if isinstance(value, dict) else value
        for name, value in rest.items()
    }


def test_a_request_at_rest_is_answered_and_changes_nothing_else(site: Site) -> None:
    site.create()
    before = site.wait_at_rest()
    site.wait_events("Progressing", "Compliant")
    patches = site.patch_count()

    stamp = site.request()
    after = site.wait(lambda status: status.get("lastHandledReconcileAt") == stamp)

    assert _but_for_looks(after) == _but_for_looks(before)
    assert site.patch_count() == patches
    site.wait_events("Progressing", "Compliant")


def test_a_request_in_mid_run_is_answered_at_the_end_and_starts_nothing_twice(site: Site) -> None:
    site.set_jobs(ENDLESS)
    site.create()
    site.wait_operations(6)
    sequence = site.sequence()

    stamp = site.request()
    wait_until(lambda: site.requests(since=sequence, kind="mappings"), within=10, what="another look")
    site.end_jobs()

    status = site.wait(lambda status: status.get("lastHandledReconcileAt") == stamp)
    assert is_ready(status)
    assert set(site.patched().values()) == {1}


def test_a_change_of_the_spec_in_mid_run_supersedes_the_run(site: Site) -> None:
    site.set_jobs(ENDLESS)
    site.create()
    site.wait_operations(6)

    site.patch(autoUpdate="Disabled")

    # The jobs under way go on, what has none is switched off at once.
    status = site.wait_operations(8)
    assert status["observedGeneration"] == 2
    site.end_jobs()
    status = site.wait_ready()
    assert site.statuses() == {"Disabled": 8}
    assert {each["observedGeneration"] for each in status["conditions"]} == {2}
    assert "failures" not in status


def test_a_change_of_the_spec_right_after_the_resource_was_made_is_not_missed(site: Site) -> None:
    """With policy Disable the first thing that happens is a write of the finalizer."""
    site.set_jobs(ENDLESS)
    site.create(deletionPolicy="Disable")
    site.wait_operations(6)

    site.patch(autoUpdate="Disabled")

    site.wait_operations(8)
    site.end_jobs()
    site.wait_ready()
    assert site.statuses() == {"Disabled": 8}


def test_suspend_in_mid_run_starts_nothing_more_and_resume_goes_on(site: Site) -> None:
    control = site.sim.control
    control.add_mappings(vault=site.vault.name, disabled=100)
    control.settings(latency={"min": 0.1, "max": 0.1})
    site.set_jobs(ENDLESS)
    try:
        site.create()
        wait_until(lambda: site.patch_count() > 10, within=20, what="some PATCHes", every=0.02)
        site.patch(suspend=True)
        status = site.wait_reason("Suspended")
        started = site.patched()
    finally:
        control.settings(latency={"min": 0, "max": 0})
    assert len(started) < 106, "this is to be a suspension in the middle of the PATCHes"
    assert len(status["operations"]) == len(started)
    assert status["mappings"]["inScope"] == 108
    assert condition(status)["status"] == "Unknown"
    assert not condition(status, "Reconciling")
    assert not condition(status, "Stalled")
    sequence = site.sequence()
    site.request()  # not even this
    site.create("witness", vaultResourceId=site.vault.id.upper())
    site.wait_reason("VaultAlreadyManaged", "witness")
    assert not site.requests(since=sequence)
    site.delete("witness")

    site.patch(suspend=False)

    site.wait_operations(106)
    site.end_jobs()
    final = site.wait_ready()
    assert set(site.patched().values()) == {1}
    assert final["lastRun"]["id"] == status["lastRun"]["id"]
    assert (final["lastRun"]["patched"], final["lastRun"]["succeeded"]) == (106, 106)


def test_audit_reports_the_drift_and_changes_nothing_until_it_is_enforced(site: Site) -> None:
    site.create(mode="Audit")

    status = site.wait_reason("DriftDetected")

    assert condition(status)["status"] == "False"
    assert "6 mappings of 8 would be changed" in condition(status)["message"]
    assert (status["mappings"]["drifted"], status["mappings"]["compliant"]) == (6, 2)
    assert "lastRun" not in status
    assert not condition(status, "Reconciling")
    assert not site.requests(method="PATCH")

    site.patch(mode="Enforce")
    site.wait_ready()
    assert not site.differing()
    assert set(site.patched().values()) == {1}


def test_audit_in_mid_run_starts_nothing_more_and_follows_the_jobs_to_their_end(site: Site) -> None:
    site.set_jobs(ENDLESS)
    site.create()
    site.wait_operations(6)

    site.patch(mode="Audit")
    site.wait(lambda status: status.get("observedGeneration") == 2 and status["mappings"]["updating"] == 6)
    site.end_jobs()

    status = site.wait_ready()
    assert status["lastRun"]["succeeded"] == 6
    assert set(site.patched().values()) == {1}


def _relaxed(schema: Any) -> Any:
    """A schema without its rules and bounds: only the types are left."""
    rules = {"x-kubernetes-validations", "pattern", "enum", "required", "minLength", "maxLength", "minItems", "format"}
    if isinstance(schema, dict):
        return {key: _relaxed(value) for key, value in schema.items() if key not in rules}
    return schema


@pytest.mark.parametrize(
    ("fault", "reason", "stalled"),
    [
        ({"kind": "unauthorized"}, "InvalidAuthenticationToken", True),
        ({"kind": "status", "status": 403, "code": "AuthorizationFailed"}, "AuthorizationFailed", True),
        ({"kind": "status", "status": 404, "code": "ResourceNotFound"}, "ResourceNotFound", True),
        ({"kind": "status", "status": 503, "code": "ServiceUnavailable"}, "ServiceUnavailable", False),
    ],
    ids=["refused token", "no access", "no vault", "outage"],
)  # fmt: skip
def test_an_error_of_azure_shows_in_the_conditions_and_passes_when_it_has_passed(
    site: Site, fault: dict[str, Any], reason: str, stalled: bool
) -> None:
    site.sim.control.add_fault(vault=site.vault.name, forever=True, **fault)
    site.create()

    status = site.wait_reason(reason)

    assert condition(status)["status"] == ("False" if stalled else "Unknown")
    other = condition(status, "Stalled" if stalled else "Reconciling")
    assert other["status"] == "True"
    assert other["reason"] == reason
    assert {each["type"] for each in status["conditions"]} == {"Ready", other["type"]}
    assert {each["observedGeneration"] for each in status["conditions"]} == {1}
    assert not site.patched()
    site.wait_events(reason)
    assert [event["type"] for event in site.events()] == ["Warning"]

    site.sim.control.clear_faults()
    status = site.request_and_wait()
    assert is_ready(status)
    assert not {each["type"] for each in status["conditions"]} & {"Reconciling", "Stalled"}
    assert not site.differing()


def test_a_resource_from_before_a_stricter_schema_is_stalled_with_its_problems(
    site: Site, control_plane: ControlPlane
) -> None:
    lax = load_definition()
    (version,) = lax["spec"]["versions"]
    properties = version["schema"]["openAPIV3Schema"]["properties"]
    properties["spec"] = {**_relaxed(properties["spec"]), "x-kubernetes-preserve-unknown-fields": True}
    own = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{lax['metadata']['name']}"
    control_plane.rest.request("PATCH", own, {"spec": lax["spec"]}, content_type=MERGE_PATCH)
    try:

        def stored() -> bool:
            try:
                return bool(site.create(interval="1m", automationAccountResourceId=None))
            except ApiError as error:
                if error.code != 422:
                    raise
                return False  # the new schema takes a moment

        wait_until(stored, within=20, what="a resource that breaks the rules", every=0.2)
        site.wait_reason("InvalidSpec")
        site.create("other", vaultResourceId="/not/a/vault")
    finally:
        install_definition(control_plane.rest, CRD_FILE)

    status = site.wait_reason("InvalidSpec")
    assert condition(status, "Stalled")["status"] == "True"
    assert {each["observedGeneration"] for each in status["conditions"]} == {1}
    message = condition(status)["message"]
    assert "spec.interval: 1m is out of bounds" in message
    assert "automationAccountResourceId" in message
    assert not site.requests()
    site.wait_reason("InvalidSpec", "other", within=10)

    # Mended, it is worked on at once.
    fields = {"interval": "1h", "automationAccountResourceId": site.vault.account}
    site.merge("dr", {"spec": fields})
    site.wait_ready()
    assert not site.differing()
