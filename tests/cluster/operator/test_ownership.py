"""Several resources that name one vault: one has it, the others say who."""

from __future__ import annotations

import pytest

from workbench.kube.resources import collection_path, manifest
from workbench.process.waiting import wait_until
from workbench.site import ENDLESS, FINALIZER, Site, condition


def _wait_next_second(site: Site, name: str) -> None:
    """Creation times are in whole seconds; a resource that is made after this is younger."""
    created = site.get(name)["metadata"]["creationTimestamp"]

    def passed() -> bool:
        probe = manifest("probe", vaultResourceId=site.vault.id, automationAccountResourceId=site.vault.account)
        path = f"{collection_path(site.namespace)}?dryRun=All"
        return bool(site.plane.rest.create(path, probe)["metadata"]["creationTimestamp"] > created)

    wait_until(passed, within=3, what="the next second", every=0.1)


def test_the_oldest_owns_the_vault_and_the_other_is_stalled_and_names_it(site: Site) -> None:
    site.create("z-older")
    site.wait_ready("z-older")
    _wait_next_second(site, "z-older")
    patches = site.patch_count()

    other_case = site.vault.id.upper().replace("/SUBSCRIPTIONS/", "/Subscriptions/")
    site.create("a-younger", vaultResourceId=other_case, autoUpdate="Disabled", deletionPolicy="Disable")

    status = site.wait_reason("VaultAlreadyManaged", "a-younger")
    assert condition(status)["status"] == "False"
    assert condition(status, "Stalled")["status"] == "True"
    assert not condition(status, "Reconciling")
    assert f"{site.namespace}/{site.name('z-older')}" in condition(status)["message"]
    assert {each["observedGeneration"] for each in status["conditions"]} == {1}
    assert not site.get("a-younger")["metadata"].get("finalizers")
    site.request_and_wait("z-older")
    assert site.patch_count() == patches

    site.delete("a-younger")
    site.request_and_wait("z-older")
    assert site.statuses() == {"Enabled": 8}


def test_when_the_older_is_deleted_the_other_takes_over_at_once(site: Site) -> None:
    site.create("older")
    site.wait_ready("older")
    _wait_next_second(site, "older")
    site.create("younger", autoUpdate="Disabled")
    site.wait_reason("VaultAlreadyManaged", "younger")

    site.delete("older")

    site.wait_ready("younger", within=5)
    assert site.statuses() == {"Disabled": 8}


@pytest.mark.parametrize("target", ["mapping", "policy"])
def test_when_the_older_is_deleted_in_mid_run_the_other_takes_its_jobs_over(site: Site, target: str) -> None:
    """Also if nothing that Site Recovery says of a job tells which mapping it is about."""
    site.set_jobs(ENDLESS, target=target)
    site.create("older")
    site.wait_operations(6, "older")
    _wait_next_second(site, "older")
    site.create("younger")
    site.wait_reason("VaultAlreadyManaged", "younger")

    site.delete("older")

    site.wait_operations(6, "younger")
    site.end_jobs()
    site.wait_ready("younger")
    assert set(site.patched().values()) == {1}


def test_the_next_owner_that_wants_the_opposite_waits_for_the_jobs_that_the_first_has_left(site: Site) -> None:
    """The mappings are still off, as it wants them; the jobs that are about to switch them on are not overlooked."""
    site.set_jobs(ENDLESS)
    site.create("older")
    site.wait_operations(6, "older")
    _wait_next_second(site, "older")
    site.create("younger", autoUpdate="Disabled")
    site.wait_reason("VaultAlreadyManaged", "younger")

    site.delete("older")

    site.wait_operations(8, "younger")
    site.end_jobs()
    site.wait_ready("younger")
    assert site.statuses() == {"Disabled": 8}


def test_an_older_one_with_policy_disable_hands_over_and_disables_nothing(site: Site) -> None:
    site.create("older", deletionPolicy="Disable")
    site.wait_ready("older")
    assert site.get("older")["metadata"]["finalizers"] == [FINALIZER]
    _wait_next_second(site, "older")
    site.create("younger")
    site.wait_reason("VaultAlreadyManaged", "younger")
    patches = site.patch_count()

    site.delete("older")

    site.wait_gone("older")
    site.wait_ready("younger")
    assert site.statuses() == {"Enabled": 8}
    assert site.patch_count() == patches


def test_two_that_are_made_at_once_never_work_on_the_vault_side_by_side(site: Site) -> None:
    """The one that is seen first begins; when the one comes to light that is to have the vault, it gives way."""
    site.set_jobs(ENDLESS)
    items = [
        manifest(
            site.name(name),
            namespace=site.namespace,
            vaultResourceId=site.vault.id,
            automationAccountResourceId=site.vault.account,
        )
        for name in ("second", "first")
    ]
    for item in items:
        site.plane.rest.create(collection_path(site.namespace), item)
    _, first = sorted(
        ((site.get(name)["metadata"]["creationTimestamp"], name) for name in ("first", "second")), reverse=True
    )
    owner = first[1]
    (other,) = {"first", "second"} - {owner}

    site.wait_operations(6, owner)
    site.wait_reason("VaultAlreadyManaged", other)
    site.end_jobs()
    site.wait_ready(owner)

    assert site.wait_reason("VaultAlreadyManaged", other)
    assert set(site.patched().values()) == {1}
    refused = [each for each in site.requests(method="PATCH") if each["status"] != 202]
    assert not refused, "a second PATCH of a mapping that is being changed"


def test_a_restart_over_several_resources_of_a_vault_lets_only_the_owner_work(site: Site) -> None:
    site.create("older", suspend=True)
    site.wait_reason("Suspended", "older")
    _wait_next_second(site, "older")
    for name in ("b", "c"):
        site.create(name, autoUpdate="Disabled")
        site.wait_reason("VaultAlreadyManaged", name)
    site.operator.kill()
    sequence = site.sequence()

    site.operator.start().wait_ready()
    site.create("d")

    site.wait_reason("VaultAlreadyManaged", "d")
    for name in ("b", "c"):
        assert condition(site.status(name))["reason"] == "VaultAlreadyManaged"
    assert not site.requests(since=sequence)
