"""What happens to a vault when its resource is deleted."""

from __future__ import annotations

import pytest

from workbench.process.waiting import wait_until
from workbench.site import ENDLESS, FINALIZER, Site, condition

OTHER_FINALIZER = "example.com/somebody-else"


def _finalizers(site: Site, name: str = "dr") -> list[str]:
    return list(site.get(name).get("metadata", {}).get("finalizers", []))


def _wait_finalizers(site: Site, *wanted: str) -> None:
    wait_until(
        lambda: sorted(_finalizers(site)) == sorted(wanted),
        within=10,
        what=lambda: f"the finalizers {wanted}: {_finalizers(site)}",
    )


def test_a_retained_resource_goes_at_once_and_its_vault_stays_as_it_is(site: Site) -> None:
    site.create()
    site.wait_ready()
    assert not _finalizers(site)
    before, patches = site.statuses(), site.patch_count()

    site.delete()

    assert not site.get()
    sequence = site.sequence()
    site.create("witness", vaultResourceId=site.vault.id.upper())  # has its turn when the first is forgotten
    site.wait_ready("witness")
    assert site.statuses() == before
    assert site.patch_count() == patches
    assert not site.requests(since=sequence, method="PATCH")


def test_a_retained_resource_goes_at_once_with_the_operator_down(site: Site) -> None:
    site.create()
    site.wait_ready()
    site.operator.freeze()

    deleted = site.kubectl("delete", "vau", site.name(), "--timeout=5s")

    assert deleted.code == 0, deleted.stderr
    assert not site.get()


def test_a_retained_resource_deleted_in_mid_run_is_worked_on_no_longer(site: Site) -> None:
    site.set_jobs(ENDLESS)
    site.create()
    site.wait_operations(6)

    site.delete()

    wait_until(
        lambda: not any(site.name() in series for series in site.operator.metrics()),
        within=10,
        what="the end of the metrics of the resource",
    )
    sequence = site.sequence()
    site.sim.control.advance(ENDLESS)
    site.create("witness", suspend=True)
    site.wait_reason("Suspended", "witness")
    assert not site.requests(since=sequence)


def test_with_policy_disable_the_vault_is_switched_off_first_and_then_the_resource_goes(site: Site) -> None:
    site.create(deletionPolicy="Disable")
    site.wait_ready()
    assert _finalizers(site) == [FINALIZER]
    assert site.statuses() == {"Enabled": 8}
    site.set_jobs(ENDLESS)

    site.delete()

    status = site.wait_operations(8)
    assert condition(status)["reason"] == "Progressing"
    assert condition(status)["message"].startswith("Disabling auto-update before the resource goes")
    assert _finalizers(site) == [FINALIZER]
    site.end_jobs()
    site.wait_gone()
    assert site.statuses() == {"Disabled": 8}
    assert site.operator.child.returncode is None


def test_with_policy_disable_a_delete_in_mid_run_waits_for_the_jobs_and_then_switches_off(site: Site) -> None:
    site.set_jobs(ENDLESS)
    site.create(deletionPolicy="Disable")
    site.wait_operations(6)

    site.delete()

    # The two that are enabled and have no job can be switched off at once.
    site.wait_operations(8)
    site.end_jobs()
    site.wait_gone()
    assert site.statuses() == {"Disabled": 8}


def test_changing_the_policy_adds_the_finalizer_and_takes_it_off(site: Site) -> None:
    site.create()
    site.wait_ready()
    assert not _finalizers(site)

    site.patch(deletionPolicy="Disable")
    _wait_finalizers(site, FINALIZER)
    site.patch(deletionPolicy="Retain")
    _wait_finalizers(site)

    site.wait_ready()
    assert "annotations" not in site.get()["metadata"]


def test_the_finalizers_of_others_are_left_alone(site: Site) -> None:
    site.create(finalizers=(OTHER_FINALIZER,), deletionPolicy="Disable")
    _wait_finalizers(site, OTHER_FINALIZER, FINALIZER)
    site.merge("dr", {"metadata": {"finalizers": [FINALIZER, OTHER_FINALIZER]}})  # in another order
    site.patch(deletionPolicy="Retain")
    _wait_finalizers(site, OTHER_FINALIZER)

    site.patch(deletionPolicy="Disable")
    _wait_finalizers(site, OTHER_FINALIZER, FINALIZER)
    site.wait_ready()
    site.delete()
    _wait_finalizers(site, OTHER_FINALIZER)
    assert site.statuses() == {"Disabled": 8}


def test_changing_the_policy_to_retain_frees_a_resource_that_is_already_being_deleted(site: Site) -> None:
    site.create(deletionPolicy="Disable")
    site.wait_ready()
    site.set_jobs(ENDLESS)
    site.delete()
    site.wait_operations(8)

    site.patch(deletionPolicy="Retain")

    site.wait_gone()


def test_a_policy_disable_that_comes_after_the_delete_comes_too_late_and_does_no_harm(site: Site) -> None:
    site.create(finalizers=(OTHER_FINALIZER,))
    site.wait_ready()
    site.delete()

    site.patch(deletionPolicy="Disable")  # the API server takes no new finalizers by now

    site.create("witness")
    site.wait_ready("witness")
    assert _finalizers(site) == [OTHER_FINALIZER]
    assert site.statuses() == {"Enabled": 8}


def test_with_the_operator_down_the_documented_command_frees_a_resource(site: Site) -> None:
    site.create(deletionPolicy="Disable")
    site.wait_ready()
    site.operator.freeze()
    site.kubectl("delete", "vau", site.name(), "--wait=false").check()
    assert _finalizers(site) == [FINALIZER]

    free = ("patch", "vau", site.name(), "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    site.kubectl(*free).check()

    assert not site.get()
    site.operator.thaw()
    site.create("witness")
    site.wait_ready("witness")
    assert site.statuses() == {"Enabled": 8}


def test_a_resource_whose_vault_is_gone_may_go(site: Site) -> None:
    site.create(deletionPolicy="Disable")
    site.wait_ready()
    fault = {"status": 404, "code": "ResourceNotFound", "message": "The vault was not found.", "forever": True}
    site.sim.control.add_fault("status", vault=site.vault.name, **fault)

    site.delete()

    site.wait_gone()


def test_a_resource_whose_vault_may_not_be_changed_stays_and_says_how_to_get_rid_of_it(site: Site) -> None:
    site.create(deletionPolicy="Disable")
    site.wait_ready()
    fault = {"status": 403, "code": "AuthorizationFailed", "message": "No.", "forever": True}
    site.sim.control.add_fault("status", vault=site.vault.name, method="PATCH", **fault)

    site.delete()

    status = site.wait_reason("AuthorizationFailed")
    assert "set spec.deletionPolicy to Retain" in condition(status)["message"]
    assert _finalizers(site) == [FINALIZER]
    site.patch(deletionPolicy="Retain")
    site.wait_gone()


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_suspended_resource_goes_without_its_vault_being_touched(site: Site, when: str) -> None:
    site.create(deletionPolicy="Disable")
    site.wait_ready()
    if when == "before":
        site.patch(suspend=True)
        site.wait_reason("Suspended")
        assert _finalizers(site) == [FINALIZER]
        sequence = site.sequence()
        site.delete()
        site.wait_gone()
        assert not site.requests(since=sequence)
        assert site.statuses() == {"Enabled": 8}
    else:
        site.set_jobs(ENDLESS)
        site.delete()
        site.wait_operations(8)
        site.patch(suspend=True)
        site.wait_gone()
