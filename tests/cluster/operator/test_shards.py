"""Two processes that share the resources of a cluster by label: each works on its own, and on none of the other."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

import pytest

from tests.cluster.operator.conftest import OperatorFactory, SiteFactory
from workbench.process.operator import OperatorProcess
from workbench.process.waiting import wait_until
from workbench.site import Site, condition, vault

pytestmark = pytest.mark.xdist_group("shards")

MANY = 200
"""Mappings of a vault whose run takes some seconds at the limit below."""
_PACE = {"VAULT_AUTOUPDATE_WRITE_LIMIT": "100/5s", "VAULT_AUTOUPDATE_STATUS_INTERVAL": "0.5s"}


def _shard(name: str) -> dict[str, str]:
    return {"VAULT_AUTOUPDATE_SHARD": name}


def _elected(site: Site, shard: str = "") -> dict[str, str]:
    return {
        **_shard(shard),
        "VAULT_AUTOUPDATE_LEADER_ELECT": "true",
        "VAULT_AUTOUPDATE_LEASE_NAMESPACE": site.namespace,
    }


def _changed_by(operator: OperatorProcess) -> Counter[str]:
    """Names of the mappings that a process says it changed, from its log."""
    text = operator.log.read_text(errors="replace")
    return Counter(match[1].rsplit("/", 1)[-1] for match in re.finditer(r" changing (\S+): ", text))


def _check_one_after_the_other(site: Site, first: OperatorProcess, second: OperatorProcess) -> None:
    """Each mapping was patched once, and from the first PATCH of the second process on all PATCHes are its own."""
    assert set(site.patched().values()) == {1}
    names = [each["mapping"] for each in site.requests(method="PATCH")]
    second.stop()  # whatever it has sent, it has logged now
    of_second = set(_changed_by(second))
    begin = next(number for number, name in enumerate(names) if name in of_second)
    assert begin > 0
    assert not set(_changed_by(first)) & of_second
    assert set(names[begin:]) <= of_second


def test_each_process_works_on_the_resources_of_its_label_and_a_subscription_is_never_split(
    own_site: SiteFactory, operators: OperatorFactory
) -> None:
    site = own_site({"disabled": 3}, vault_count=3)
    other, nobodys = replace(site, vault=vault(1), prefix="other"), replace(site, vault=vault(2), prefix="nobodys")
    site.operator.start().wait_ready()
    of_a = operators(site, "of-a", _shard("a")).start()
    of_a.wait_ready()

    site.create()
    other.create(shard="a")
    nobodys.create(shard="nobody")
    assert "shard" not in site.wait_ready()
    assert other.wait_ready()["shard"] == "a"
    assert len(_changed_by(site.operator)) == len(_changed_by(of_a)) == 3

    site.create("late", shard="a")
    refused = condition(site.wait_reason("SubscriptionInOtherShard", "late"))
    assert refused["status"] == "False"
    assert f"belongs to the main shard, as VaultAutoUpdate {site.namespace}/{site.name()}" in refused["message"]
    assert condition(site.status("late"), "Stalled")["status"] == "True"

    site.delete()
    site.wait_ready("late")  # as soon as the subscription is free
    assert "conditions" not in nobodys.status()
    assert nobodys.patch_count() == 0
    assert site.patch_count() == other.patch_count() == 3


def test_a_resource_that_is_labelled_anew_in_mid_run_goes_on_in_the_other_process_and_nothing_is_patched_twice(
    own_site: SiteFactory, operators: OperatorFactory
) -> None:
    site = own_site({"disabled": MANY}, settings=_PACE, throttle={"enabled": False, "arm": {"enabled": False}})
    main = site.operator.start()
    main.wait_ready()
    of_a = operators(site, "of-a", _PACE | _shard("a")).start()
    of_a.wait_ready()
    site.create()
    wait_until(lambda: site.patch_count() >= 20, within=20, what="20 PATCHes")

    site.move("a")

    assert site.wait_ready(within=60)["shard"] == "a"
    _check_one_after_the_other(site, main, of_a)
    assert site.patch_count() == MANY


def test_what_a_killed_process_has_left_is_taken_over_once_its_lease_has_run_out(
    own_site: SiteFactory, operators: OperatorFactory
) -> None:
    site = own_site({"disabled": MANY}, throttle={"enabled": False, "arm": {"enabled": False}})
    main = operators(site, "main", _PACE | _elected(site)).start()
    of_a = operators(site, "of-a", _PACE | _elected(site, "a")).start()
    site.operator = main
    site.create()
    wait_until(lambda: site.patch_count() >= 20, within=30, what="20 PATCHes")
    leases = site.plane.rest.request("GET", f"/apis/coordination.k8s.io/v1/namespaces/{site.namespace}/leases")
    assert {"vault-autoupdate", "vault-autoupdate-a"} <= {each["metadata"]["name"] for each in leases["items"]}

    main.kill()
    site.move("a")

    site.wait(lambda status: status.get("shard") == "a", within=40)
    site.wait_ready(within=60)
    _check_one_after_the_other(site, main, of_a)
